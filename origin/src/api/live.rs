//! How a broadcast is right now, for its host.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use lectern_relay_proto::comment::Viewers;
use serde::Serialize;
use utoipa::ToSchema;

use super::Site;
use super::asked::Named;
use super::caller::{Caller, Part};
use super::problem::{Problem, Refused};
use super::report::ReportBody;
use crate::broadcasts::{Protocol, Status};
use crate::control::records::{BroadcastState, Scope};
use crate::instant::Instant;

/// How a broadcast is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Live)]
pub(super) struct LiveBody {
    state: BroadcastState,
    /// Since when it is in this state.
    since: Option<Instant>,
    /// Who is on air.
    publisher: Option<PublisherBody>,
    /// Whether somebody stands by with a backup key.
    standby: bool,
    viewers: ViewersBody,
    /// What the ingest doctor says.
    report: ReportBody,
}

/// Who is on air.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Publisher)]
struct PublisherBody {
    protocol: ProtocolBody,
    /// The id of the stream key.
    key: String,
    since: Instant,
}

/// How somebody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Protocol)]
enum ProtocolBody {
    Rtmp,
    Whip,
}

/// Who watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Viewers)]
struct ViewersBody {
    total: u64,
    by_path: BTreeMap<&'static str, u64>,
    by_edge: Vec<EdgeBody>,
}

/// Who watches at one edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EdgeViewers)]
struct EdgeBody {
    edge: String,
    total: u64,
    by_path: BTreeMap<&'static str, u64>,
}

/// How a broadcast is right now.
#[utoipa::path(get, path = "/broadcasts/{id}/live", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = LiveBody), Refused))]
pub(super) async fn get(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Answer<LiveBody>, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Moderator).await?;
    let status = site.control.status(&listed.broadcast.id).ok_or_else(Problem::not_found)?;
    let report = site.control.broadcasts().report(&listed.broadcast.id);
    let report = report.ok_or_else(Problem::not_found)?;
    Ok(Answer(LiveBody::of(&status, ReportBody::from(report))))
}

impl LiveBody {
    pub(super) fn of(status: &Status, report: ReportBody) -> Self {
        let publisher = status.publisher.as_ref().map(|publishing| PublisherBody {
            protocol: match publishing.protocol {
                Protocol::Rtmp => ProtocolBody::Rtmp,
                Protocol::Whip => ProtocolBody::Whip,
            },
            key: publishing.key.to_string(),
            since: publishing.since.into(),
        });
        let mut by_path = BTreeMap::new();
        let mut by_edge = Vec::new();
        for (edge, viewers) in &status.audience {
            let counts = viewers.by_path().map(u64::from);
            let paths: BTreeMap<_, _> = Viewers::PATHS.into_iter().zip(counts).collect();
            for (path, count) in &paths {
                *by_path.entry(*path).or_default() += count;
            }
            let (edge, total) = (edge.to_string(), viewers.total());
            by_edge.push(EdgeBody { edge, total, by_path: paths });
        }
        let total = by_edge.iter().map(|edge| edge.total).sum();
        Self {
            state: BroadcastState::of(status),
            since: status.since.map(Instant::from),
            publisher,
            standby: status.standby,
            viewers: ViewersBody { total, by_path, by_edge },
            report,
        }
    }
}
