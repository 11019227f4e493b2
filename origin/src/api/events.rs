//! What happens, as it happens (server-sent events, WHATWG HTML §9.2): a console that listens needs to ask
//! nothing again.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use lectern_relay_proto::BroadcastId;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::Site;
use super::asked::Query;
use super::broadcasts::body;
use super::caller::{Caller, Part, Parted};
use super::problem::{Problem, Refused};
use crate::control::records::Scope;

/// Those who listen at once, and of one account: a console in each of somebody's windows.
const LISTENERS_MAX: usize = 500;
const LISTENERS_PER_ACCOUNT_MAX: usize = 20;
/// Each listens for so long, and comes back: so whoever may not listen any more, soon does not.
const LISTENS_MAX: Duration = Duration::from_secs(300);
/// How often what changes all the time is told: how many watch, and how it goes.
const TELL_EACH: Duration = Duration::from_secs(1);
/// Seconds of its history, of which another origin may tell some at once.
const POINTS_TOLD: usize = 10;

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
/// id of one that is gone, `live` a Live of the broadcast that the query names, once a second, with the newest points of
/// its history alone: also those that were told before.
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
    let place = site.listeners.take(&caller.account.id)?;
    let signals = site.control.broadcasts().signals();
    let mut tick = interval(TELL_EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Before they are looked at.
    let rights = site.control.store().rights();
    let caller = caller.renewed(&site).await?;
    let listener = Listener {
        rights,
        parts: caller.parts(&site).await?,
        site,
        caller,
        live,
        told: HashMap::new(),
        signals,
        tick,
        until: Instant::now() + LISTENS_MAX,
        unlooked: VecDeque::new(),
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
    /// Which version of what they know.
    told: HashMap<BroadcastId, u64>,
    /// As [`Store::rights`](crate::control::store::Store::rights) counts.
    rights: u64,
    signals: Receiver<BroadcastId>,
    tick: Interval,
    until: Instant,
    /// Those of which it is not known whether there is something to tell.
    unlooked: VecDeque<Look>,
    _place: Place,
}

/// What to look at.
enum Look {
    Broadcast(BroadcastId),
    Live,
}

#[derive(Serialize)]
struct Deleted<'a> {
    id: &'a str,
}

impl Listener {
    /// The next event; `None` once it is time to come back.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(look) = self.unlooked.pop_front() {
                let event = match look {
                    Look::Broadcast(id) => self.news_of(&id),
                    Look::Live => self.live(),
                };
                if event.is_some() {
                    return event;
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(self.until) => return None,
                signal = self.signals.recv() => match signal {
                    Ok(id) => self.unlooked.push_back(Look::Broadcast(id)),
                    // What was missed is found with the next tick.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
                _ = self.tick.tick() => self.look_at_all(),
            }
            self.renew().await?;
        }
    }

    /// Looks again what they may see, if that has changed for anybody; `None` if they may see nothing any
    /// more.
    async fn renew(&mut self) -> Option<()> {
        let rights = self.site.control.store().rights();
        if rights == self.rights {
            return Some(());
        }
        self.caller = self.caller.renewed(&self.site).await.ok()?;
        self.parts = self.caller.parts(&self.site).await.ok()?;
        self.rights = rights;
        Some(())
    }

    /// All that they know or may know, and the one that they look at.
    fn look_at_all(&mut self) {
        let all = self.site.control.all();
        let there = all.iter().map(|listed| &listed.broadcast.id);
        let gone = self.told.keys().filter(|id| self.site.control.get(id).is_none());
        self.unlooked = gone.chain(there).cloned().map(Look::Broadcast).collect();
        self.unlooked.push_back(Look::Live);
    }

    fn live(&self) -> Option<Event> {
        let id = self.live.as_ref().filter(|id| self.parts.of(id).is_some())?;
        Some(event("live", &self.site.elsewhere.live(id, POINTS_TOLD)?))
    }

    /// What is not known yet of a broadcast.
    fn news_of(&mut self, id: &BroadcastId) -> Option<Event> {
        let part = self.parts.of(id);
        let listed = self.site.control.get(id).zip(self.site.elsewhere.summary(id));
        match part.zip(listed) {
            Some((part, (listed, summary))) => {
                let body = serde_json::to_string(&body(&listed, &summary, part)).expect("plain");
                let mut hasher = DefaultHasher::new();
                body.hash(&mut hasher);
                let version = hasher.finish();
                let new = self.told.insert(id.clone(), version) != Some(version);
                new.then(|| Event::default().event("broadcast").data(body))
            }
            None => {
                self.told.remove(id)?;
                Some(event("deleted", &Deleted { id: id.as_str() }))
            }
        }
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).expect("plain"))
}

/// The places of those who listen.
#[derive(Default)]
pub(super) struct Listeners(Arc<Mutex<HashMap<String, usize>>>);

impl Listeners {
    fn take(&self, account: &str) -> Result<Place, Problem> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= LISTENERS_MAX {
            return Err(Problem::unavailable("too many listen"));
        }
        let own = taken.entry(account.to_owned()).or_default();
        if *own >= LISTENERS_PER_ACCOUNT_MAX {
            let detail =
                format!("you listen in {LISTENERS_PER_ACCOUNT_MAX} windows or programs already");
            return Err(Problem::unavailable(detail));
        }
        *own += 1;
        Ok(Place { taken: self.0.clone(), account: account.to_owned() })
    }
}

/// The place of somebody who listens, for as long as it lives.
struct Place {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    account: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.account) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.account);
            }
        }
    }
}
