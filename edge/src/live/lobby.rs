//! `GET /live`: the public broadcasts, for whoever looks for one. It is made once a second for all who
//! ask; those that are unlisted or need a token are not in it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use lectern_relay_proto::about::{Description, Language, SecureUrl, Title, Topics};
use lectern_relay_proto::{PublisherState, UtcTime};
use serde::Serialize;
use tokio::time::Instant;

use super::document::{Document, Keep};
use super::media::Asks;
use super::routes::{SHORT, refusal};
use super::{Directory, Live, lock};
use crate::audience::Audience;
use crate::requests::Kind;

/// For how long a list is good: as long as caches may keep it.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// What the list has of a description: what a card has room for.
const EXCERPT_CHARS_MAX: usize = 300;

/// The list, while it is good.
pub(super) struct Lobby {
    directory: Arc<Directory>,
    audience: Arc<Audience>,
    made: Mutex<Option<(Instant, Arc<Document>)>>,
}

#[derive(Serialize)]
struct Listing {
    broadcasts: Vec<Entry>,
    /// Whether the upstream has said what there is: until then there may be others.
    complete: bool,
}

#[derive(Serialize)]
struct Entry {
    #[serde(flatten)]
    summary: Summary,
    /// How many watch, on all edges.
    viewers: u64,
}

/// What is said of a broadcast to those who look for one and to those who watch it.
#[derive(Serialize)]
pub(super) struct Summary {
    id: String,
    state: PublisherState,
    t0_ms: u64,
    /// What to add to `T0` plus media time to get the UTC time at which a picture was taken, as the
    /// arrivals at the origin tell it. The encoder's clock drifts, so players ask again.
    capture_offset_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Title>,
    /// When it is to begin, Unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<Description>,
    #[serde(skip_serializing_if = "Topics::is_empty")]
    topics: Topics,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logo: Option<SecureUrl>,
}

impl Lobby {
    pub(super) fn new(directory: Arc<Directory>, audience: Arc<Audience>) -> Arc<Self> {
        Arc::new(Self { directory, audience, made: Mutex::default() })
    }

    pub(super) fn respond(&self, request: Request) -> Response<Body> {
        let (request, _) = request.into_parts();
        let (asks, metrics) = (Asks::from(&request), self.directory.metrics());
        self.list().respond("application/json", Kind::Status, Keep::Short, &asks, metrics)
    }

    fn list(&self) -> Arc<Document> {
        // Held while it is made: whoever asks meanwhile would do the same.
        let mut made = lock(&self.made);
        let now = Instant::now();
        if let Some((_, list)) = made.as_ref().filter(|(at, _)| now < *at + GOOD_FOR) {
            return list.clone();
        }
        let listing = Listing {
            broadcasts: self.directory.list().iter().filter_map(|live| self.entry(live)).collect(),
            complete: self.directory.is_informed(),
        };
        let json = serde_json::to_string(&listing).expect("maps with string keys and plain values");
        let list = Arc::new(Document::new(json));
        *made = Some((now, list.clone()));
        list
    }

    /// A public broadcast whose catalog has arrived.
    fn entry(&self, live: &Live) -> Option<Entry> {
        live.about().filter(|about| about.visibility.is_public())?;
        let mut summary = summary(live)?;
        summary.description = summary.description.map(excerpt);
        Some(Entry { summary, viewers: self.audience.everywhere(live.id()) })
    }
}

/// Where there is no lobby, nobody is told what there is.
pub(super) async fn none() -> Response<Body> {
    refusal(StatusCode::NOT_FOUND, SHORT, "there is no list of broadcasts here")
}

pub(super) fn summary(live: &Live) -> Option<Summary> {
    let (snapshot, about) = (live.snapshot()?, live.about()?);
    Some(Summary {
        id: live.id().to_string(),
        state: snapshot.state,
        t0_ms: snapshot.t0.as_millis(),
        capture_offset_ms: live.capture_offset_ms(),
        title: about.title.clone(),
        starts_at: about.starts_at.map(UtcTime::as_millis),
        description: about.description.clone(),
        topics: about.topics.clone(),
        language: about.language.clone(),
        logo: about.logo.clone(),
    })
}

fn excerpt(description: Description) -> Description {
    match description.as_str().char_indices().nth(EXCERPT_CHARS_MAX) {
        None => description,
        Some((end, _)) => {
            let cut = format!("{}…", description.as_str()[..end].trim_end());
            Description::try_from(cut).unwrap_or(description)
        }
    }
}
