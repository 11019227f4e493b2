//! How a broadcast is right now, for its host.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::Viewers;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::asked::Named;
use super::broadcasts::Summary;
use super::caller::{Caller, Part};
use super::problem::{Problem, Refused};
use super::report::ReportBody;
use crate::broadcasts::{Protocol, Status};
use crate::control::records::{BroadcastState, Scope};
use crate::doctor::HISTORY_POINTS_MAX;
use crate::instant::Instant;

/// How a broadcast is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Live)]
pub(super) struct LiveBody {
    state: BroadcastState,
    /// Since when it is in this state.
    since: Option<Instant>,
    /// Who is on air.
    publisher: Option<PublisherBody>,
    /// Whether somebody stands by with a backup key.
    pub(super) standby: bool,
    viewers: ViewersBody,
    /// What the ingest doctor says.
    pub(super) report: ReportBody,
}

/// Who is on air.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Publisher)]
struct PublisherBody {
    protocol: ProtocolBody,
    /// The id of the stream key.
    key: String,
    since: Instant,
}

/// How somebody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Protocol)]
enum ProtocolBody {
    Rtmp,
    Whip,
}

/// Who watches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Viewers)]
struct ViewersBody {
    total: u64,
    by_path: BTreeMap<String, u64>,
    by_edge: Vec<EdgeBody>,
}

/// Who watches at one edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EdgeViewers)]
struct EdgeBody {
    edge: String,
    total: u64,
    by_path: BTreeMap<String, u64>,
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
    let live = site.elsewhere.live(&listed.broadcast.id, HISTORY_POINTS_MAX);
    Ok(Answer(live.ok_or_else(Problem::not_found)?))
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
            let paths = Viewers::PATHS.map(str::to_owned).into_iter().zip(counts);
            let paths: BTreeMap<_, _> = paths.collect();
            for (path, count) in &paths {
                *by_path.entry(path.clone()).or_default() += count;
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

    /// The same, with so many of the newest points of the history.
    pub(super) fn newest(self, points: usize) -> Self {
        Self { report: self.report.newest(points), ..self }
    }

    /// In short.
    pub(super) fn summary(&self) -> Summary {
        Summary {
            state: self.state,
            since: self.since,
            viewers: self.viewers.total,
            findings: self.report.serious(),
        }
    }

    /// Who had it on air has said nothing since then.
    pub(super) fn fall_silent(&mut self, since: UtcTime) {
        if self.state == BroadcastState::Live {
            (self.state, self.since) = (BroadcastState::Away, Some(since.into()));
        }
        (self.publisher, self.standby, self.viewers) = (None, false, ViewersBody::default());
        self.report.end();
    }
}
