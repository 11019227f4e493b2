//! How many watch each broadcast at this edge, by path. `docs/audience.md` says who counts as what.
//!
//! [`roll`] has the rules for those who watch over HTTP, [`recent`] keeps most requests away from it,
//! [`places`] says who is there already where no more than so many may be;
//! how many sessions of WebRTC are established, the engine knows. Here are the clock and the locks.

mod metrics;
mod places;
mod recent;
mod roll;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use axum::http::header::USER_AGENT;
use axum::http::{Extensions, HeaderMap, HeaderName, Method, Request, StatusCode};
use lectern_relay_proto::BroadcastId;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::places::{Places, Who};
use self::recent::Recent;
use self::roll::{Roll, Said, Source};
use crate::client::{Client, network};
use crate::whep::Engine;
pub use lectern_relay_proto::comment::Viewers;
pub use metrics::Metrics;

/// How often it is counted, and so how old a count may be.
const PAUSE: Duration = Duration::from_secs(1);

/// How many watch each broadcast; those that nobody watches are left out.
pub type ByBroadcast = BTreeMap<BroadcastId, Viewers>;

/// A way of playing over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HttpPath {
    Dash,
    Hls,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// What tells a player of the media.
    Manifest(HttpPath),
    /// Media, and of which path if it is of one alone.
    Media(Option<HttpPath>),
}

impl Asked {
    fn path(self) -> Option<HttpPath> {
        match self {
            Self::Manifest(path) => Some(path),
            Self::Media(path) => path,
        }
    }

    fn is_media(self) -> bool {
        matches!(self, Self::Media(_))
    }
}

/// Of an experience report, what tells viewers apart.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Viewer {
    /// Random, for as long as the player plays this broadcast, and not kept by it.
    id: ViewerId,
    /// How many reports came before this.
    n: u32,
    /// What it plays by from now on; `null` if it leaves.
    on: Option<On>,
}

/// Sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct ViewerId(u64);

/// An id of another shape.
#[derive(Debug, thiserror::Error)]
#[error("a viewer's id is 16 hexadecimal digits in lower case")]
struct BadViewerId;

impl TryFrom<String> for ViewerId {
    type Error = BadViewerId;

    fn try_from(id: String) -> Result<Self, BadViewerId> {
        let shaped = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = shaped.then(|| u64::from_str_radix(&id, 16).ok()).flatten();
        id.map(Self).ok_or(BadViewerId)
    }
}

/// By which a player of ours says which viewer an offer, or the first manifest, is for.
const VIEWER: HeaderName = HeaderName::from_static("lectern-viewer");

/// Somebody who begins to watch, or asks as such a one does.
pub(crate) struct Newcomer {
    /// What.
    pub(crate) id: BroadcastId,
    viewer: Option<u64>,
    client: Option<IpAddr>,
    headers: HeaderMap,
    /// By WebRTC, where each offer is a viewer.
    by_offer: bool,
}

impl Newcomer {
    /// Whom a request for `id` is from.
    pub(crate) fn of<B>(id: &BroadcastId, request: &Request<B>, by_offer: bool) -> Self {
        let headers = request.headers();
        let named = headers.get(VIEWER).and_then(|name| name.to_str().ok());
        let viewer = named.and_then(|name| ViewerId::try_from(name.to_owned()).ok());
        let mut agent = HeaderMap::new();
        if let Some(value) = headers.get(USER_AGENT) {
            agent.insert(USER_AGENT, value.clone());
        }
        Self {
            id: id.clone(),
            viewer: viewer.map(|ViewerId(viewer)| viewer),
            client: client_of(request.extensions()),
            headers: agent,
            by_offer,
        }
    }
}

/// What a player plays by.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum On {
    Webrtc,
    Dash,
    Hls,
}

impl From<Viewer> for Said {
    fn from(Viewer { id: ViewerId(viewer), n, on }: Viewer) -> Self {
        let on = match on {
            Some(On::Dash) => Some(HttpPath::Dash),
            Some(On::Hls) => Some(HttpPath::Hls),
            // Its session counts, for exactly as long as there is one.
            Some(On::Webrtc) | None => None,
        };
        Self { viewer, number: n, on }
    }
}

/// A request that is to be counted if it is answered.
pub(crate) struct Asking {
    id: BroadcastId,
    from: Source,
    asked: Asked,
}

/// Those who watch at this edge.
pub struct Audience {
    roll: Mutex<Roll>,
    places: Mutex<Places>,
    recent: Recent,
    /// Its keys are this process's own: what is kept of an address says nothing elsewhere, and nobody
    /// can look for two that are taken for one.
    hasher: RandomState,
    began: Instant,
    viewers: watch::Sender<Arc<ByBroadcast>>,
    metrics: Metrics,
}

impl Audience {
    /// Nobody watches.
    pub fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            roll: Mutex::default(),
            places: Mutex::default(),
            recent: Recent::new(),
            hasher: RandomState::new(),
            began: Instant::now(),
            viewers: watch::Sender::default(),
            metrics,
        })
    }

    /// Counts every second, until `cancel`.
    pub async fn run(&self, engine: &Engine, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let counting = async {
            loop {
                ticks.tick().await;
                self.count(engine.established());
            }
        };
        cancel.run_until_cancelled(counting).await;
    }

    /// How many watch this broadcast, as of the last second.
    pub fn counts(&self, id: &BroadcastId) -> Viewers {
        self.viewers.borrow().get(id).copied().unwrap_or_default()
    }

    /// How many watch this broadcast on all edges, as far as is known here.
    pub fn everywhere(&self, id: &BroadcastId) -> u64 {
        let elsewhere = self.places().count_elsewhere(id, Instant::now().into_std());
        self.counts(id).total().saturating_add(elsewhere)
    }

    /// The origin says that so many watch on all edges.
    pub(crate) fn told(&self, id: &BroadcastId, everywhere: u64) {
        let elsewhere = everywhere.saturating_sub(self.counts(id).total());
        self.places().elsewhere(id, elsewhere, Instant::now().into_std());
    }

    /// Whether somebody may watch where no more than `max` may: who does already, or while there are
    /// places. `sessions` are those of WebRTC here, and those that are about to be.
    pub(crate) fn admit(&self, newcomer: &Newcomer, max: u32, sessions: u32) -> bool {
        let Newcomer { id, viewer, client, headers, by_offer } = newcomer;
        let browser = self.browser(*client, headers);
        let who = match viewer {
            Some(viewer) => Who::Viewer(*viewer, browser),
            None if *by_offer => Who::Anybody,
            None => Who::Browser(browser),
        };
        let counts = self.counts(id);
        let mut places = self.places();
        let now = Instant::now().into_std();
        // A count is up to a second old, and a crowd comes within one.
        let over_http = Viewers { webrtc: sessions, ..counts }.total();
        let here = counts.total().max(over_http).max(places.viewers(id));
        let all = here.saturating_add(places.count_elsewhere(id, now));
        let admitted = all < u64::from(max) || places.knows(id, who, now);
        if admitted {
            places.seen(id, who, now);
        }
        admitted
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once nobody watches here.
    pub(crate) async fn nobody(&self) {
        if self.follow().wait_for(|counts| counts.is_empty()).await.is_err() {
            std::future::pending().await
        }
    }

    /// Follows how many watch each broadcast. It changes when any of the numbers does, and at most
    /// once a second.
    pub fn follow(&self) -> watch::Receiver<Arc<ByBroadcast>> {
        self.viewers.subscribe()
    }

    /// Counts now; `sessions` are those of WebRTC.
    pub(crate) fn count(&self, sessions: impl IntoIterator<Item = (BroadcastId, u32)>) {
        let mut viewers = ByBroadcast::new();
        self.places().forget(Instant::now().into_std());
        {
            let mut roll = self.roll.lock().unwrap_or_else(PoisonError::into_inner);
            for (id, [dash, hls]) in roll.count(Instant::now().into_std()) {
                viewers.insert(id.clone(), Viewers { webrtc: 0, dash, hls });
            }
        }
        for (id, webrtc) in sessions {
            viewers.entry(id).or_default().webrtc = webrtc;
        }
        viewers.retain(|_, counts| counts.total() > 0);
        self.metrics.tell(viewers.values().copied().fold(Viewers::default(), Viewers::and));
        self.viewers.send_if_modified(|before| {
            let changed = **before != viewers;
            if changed {
                *before = Arc::new(viewers);
            }
            changed
        });
    }

    /// A player reports on a broadcast that there is.
    pub(crate) fn said(
        &self,
        id: &BroadcastId,
        client: Option<IpAddr>,
        headers: &HeaderMap,
        viewer: Viewer,
    ) {
        let browser = self.browser(client, headers);
        let from = self.source(browser, client);
        let now = Instant::now().into_std();
        let ViewerId(name) = viewer.id;
        match viewer.on {
            Some(_) => self.places().seen(id, Who::Viewer(name, browser), now),
            None => self.places().left(id, name),
        }
        let said = self.roll.lock().unwrap_or_else(PoisonError::into_inner).said(
            id,
            from,
            viewer.into(),
            now,
        );
        if let Err(limit) = said {
            self.metrics.uncounted(limit);
        }
    }

    /// What [`Self::asked`] is to be told if this request is answered; `None` if it would learn
    /// nothing, as of most. `/live/<id>/…` is its path.
    pub(crate) fn asking<B>(&self, request: &Request<B>, asked: Asked) -> Option<Asking> {
        if request.method() != Method::GET {
            return None;
        }
        let id = request.uri().path().split('/').nth(2)?;
        let client = client_of(request.extensions());
        let browser = self.browser(client, request.headers());
        let asker = self.hasher.hash_one((browser, id, asked));
        let first = self.recent.is_first(asker, self.began.elapsed().as_secs());
        let id = first.then(|| id.parse().ok()).flatten()?;
        Some(Asking { id, from: self.source(browser, client), asked })
    }

    /// A request was answered. While somebody counts it does not wait: players ask again.
    pub(crate) fn asked(&self, Asking { id, from, asked }: Asking, status: StatusCode) {
        if !status.is_success() && status != StatusCode::NOT_MODIFIED {
            return;
        }
        let mut roll = match self.roll.try_lock() {
            Ok(roll) => roll,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if let Err(limit) = roll.asked(&id, from, asked, Instant::now().into_std()) {
            self.metrics.uncounted(limit);
        }
    }

    fn browser(&self, client: Option<IpAddr>, headers: &HeaderMap) -> u64 {
        // What is no text is some player's that nobody knows.
        let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        self.hasher.hash_one((client, kind_of(agent.unwrap_or_default())))
    }

    fn source(&self, browser: u64, client: Option<IpAddr>) -> Source {
        let client = client.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        Source { browser, client: self.hasher.hash_one(network(client)) }
    }
}

/// The client of a request, if it came over a connection.
pub(crate) fn client_of(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Client>().map(|Client(ip)| *ip)
}

/// What of a `User-Agent` tells browsers apart. Apple's give HLS to a part of the system that has a
/// name of its own, so at one address they all are one.
fn kind_of(agent: &str) -> &str {
    const APPLE: &str = "AppleCoreMedia/";
    let webkit = !agent.contains("Chrome/") && agent.contains("AppleWebKit/");
    if webkit || agent.starts_with(APPLE) { APPLE } else { agent }
}
