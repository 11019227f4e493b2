//! What happens, as it happens (server-sent events, WHATWG HTML §9.2): a console that listens needs to ask
//! nothing again.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use lectern_relay_proto::BroadcastId;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::Site;
use super::asked::Query;
use super::broadcasts::{BroadcastBody, body};
use super::caller::{Caller, Part, Parted};
use super::live::LiveBody;
use super::problem::{Problem, Refused};
use super::report::ReportBody;
use crate::control::records::Scope;

/// Those who listen at once.
pub(super) const LISTENERS_MAX: usize = 500;
/// Each listens for so long, and comes back: so whoever may not listen any more, soon does not.
const LISTENS_MAX: Duration = Duration::from_secs(300);
/// How often what changes all the time is told: how many watch, and how it goes.
const TELL_EACH: Duration = Duration::from_secs(1);

/// What to tell.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQuery {
    /// Of this broadcast also how it is, once a second.
    #[param(max_length = 64)]
    live: Option<String>,
}

/// What happens in one's broadcasts. `broadcast` has a Broadcast that is new or has changed, `deleted` the
/// id of one that is gone, `live` a Live of the broadcast that the query names, once a second, with the newest point of
/// its history alone.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery),
    responses((status = 200, content_type = "text/event-stream", body = String), Refused))]
pub(super) async fn events(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(query): Query<EventQuery>,
) -> Result<Response, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let live = match &query.live {
        Some(id) => {
            let (listed, _) = caller.broadcast(&site, id, Part::Moderator).await?;
            Some(listed.broadcast.id.clone())
        }
        None => None,
    };
    let place = site.listeners.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable("too many listen"))?;
    let signals = site.control.broadcasts().signals();
    let mut tick = interval(TELL_EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listener = Listener {
        parts: caller.parts(&site).await?,
        site,
        caller,
        live,
        told: HashMap::new(),
        signals,
        tick,
        until: Instant::now() + LISTENS_MAX,
        ready: VecDeque::new(),
        _place: place,
    };
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut headers = HeaderMap::new();
    // Proxies that collect answers would hold the first event back.
    headers.insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok((headers, Sse::new(events).keep_alive(KeepAlive::default())).into_response())
}

/// Somebody who listens.
struct Listener {
    site: Arc<Site>,
    caller: Caller,
    parts: Parted,
    live: Option<BroadcastId>,
    /// What they know.
    told: HashMap<BroadcastId, BroadcastBody>,
    signals: Receiver<BroadcastId>,
    tick: Interval,
    until: Instant,
    ready: VecDeque<Event>,
    _place: OwnedSemaphorePermit,
}

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
}

impl Listener {
    /// The next event; `None` once it is time to come back.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = tokio::time::sleep_until(self.until) => return None,
                signal = self.signals.recv() => match signal {
                    Ok(id) => self.changed(&id).await,
                    // What was missed is found with the next tick.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                _ = self.tick.tick() => self.all(),
            }
        }
    }

    async fn changed(&mut self, id: &BroadcastId) {
        if !self.told.contains_key(id) && self.parts.of(id).is_none() {
            // It may be one that was just made, or a part that was just given.
            match self.caller.parts(&self.site).await {
                Ok(parts) => self.parts = parts,
                Err(_) => return,
            }
        }
        self.tell(id);
    }

    /// Tells what is not known yet of all broadcasts, and how the one that is looked at is.
    fn all(&mut self) {
        let gone = self.told.keys().filter(|id| self.site.control.get(id).is_none()).cloned();
        let ids: Vec<_> = gone.collect();
        let all = self.site.control.all();
        ids.iter().for_each(|id| self.tell(id));
        all.iter().for_each(|listed| self.tell(&listed.broadcast.id));
        self.tell_live();
    }

    fn tell_live(&mut self) {
        let Some(id) = self.live.as_ref().filter(|id| self.parts.of(id).is_some()) else { return };
        let report = self.site.control.broadcasts().report(id, SystemTime::now().into());
        let Some((status, report)) = self.site.control.status(id).zip(report) else { return };
        let report = ReportBody::from(report).newest();
        self.push("live", &LiveBody::of(&status, report));
    }

    fn tell(&mut self, id: &BroadcastId) {
        let Some(part) = self.parts.of(id) else { return };
        let listed = self.site.control.get(id).zip(self.site.control.status(id));
        match listed {
            Some((listed, status)) => {
                let body = body(&listed, &status, part);
                if self.told.get(id) != Some(&body) {
                    self.push("broadcast", &body);
                    self.told.insert(id.clone(), body);
                }
            }
            None => {
                if self.told.remove(id).is_some() {
                    self.push("deleted", &Deleted { id: id.as_str() });
                }
            }
        }
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        let data = serde_json::to_string(data).expect("plain");
        self.ready.push_back(Event::default().event(name).data(data));
    }
}
