//! One viewer: drives its [`Ladder`] with time, the network, and engines, and notes what its screen shows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::ladder::{Action, Event, Failure, Ladder, Standing};
use super::screen::Screen;
use crate::outcome::Watched;
use crate::world::BROADCAST;

/// A question that takes longer is a "no".
const STATUS_MAX: Duration = Duration::from_secs(3);
/// How often our player says what it plays, and hears whether the edge is about to stop.
const REPORT_EACH: Duration = Duration::from_secs(10);
/// What is kept of why a reload would be needed.
const RELOADS_MAX: usize = 20;
/// What engines have to say that was not heard yet.
const EVENTS_MAX: usize = 1_024;

/// What is seen of a viewer; shared with who asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    screen: Screen,
    edge: usize,
    anew: usize,
    moved: usize,
    /// Those until the fault.
    before: (usize, usize),
    t0_ms: Option<i64>,
    /// Media time of the newest picture.
    media_us: Option<u64>,
    reloads: Vec<String>,
}

impl Seen {
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it counts.
    pub(crate) fn begin(&self) {
        let mut notes = self.lock();
        notes.screen.begin(Instant::now());
        notes.before = (notes.anew, notes.moved);
        notes.reloads.clear();
    }

    /// What was seen since then.
    pub(crate) fn watched(&self) -> Watched {
        let notes = self.lock();
        Watched {
            gap: notes.screen.longest(Instant::now()),
            anew: notes.anew - notes.before.0,
            moved: notes.moved - notes.before.1,
        }
    }

    /// What no viewer would have come back from without a reload.
    pub(crate) fn reloads(&self) -> Vec<String> {
        self.lock().reloads.clone()
    }

    /// The edge that it asks.
    pub(crate) fn edge(&self) -> usize {
        self.lock().edge
    }

    /// For how long it has played without a gap.
    pub(crate) fn steady_for(&self) -> Duration {
        self.lock().screen.steady_for(Instant::now())
    }

    /// The viewer would have to reload.
    pub(crate) fn needs_reload(&self, why: String) {
        let reloads = &mut self.lock().reloads;
        if reloads.len() < RELOADS_MAX && !reloads.contains(&why) {
            reloads.push(why);
        }
    }

    /// What is on the screen.
    pub(crate) fn shows(&self, media_us: Option<u64>) {
        self.lock().media_us = media_us;
    }

    /// Media time of what is on the screen, in milliseconds.
    pub(crate) fn media_ms(&self) -> Option<u64> {
        self.lock().media_us.map(|us| us / 1_000)
    }

    /// T0 is said to be this, which it must be for as long as the broadcast lasts.
    pub(crate) fn told_t0(&self, t0_ms: i64) {
        let before = *self.lock().t0_ms.get_or_insert(t0_ms);
        if before != t0_ms {
            self.needs_reload(format!("T0 was {before} and is {t0_ms}"));
        }
    }
}

/// What an engine is given.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) client: Client,
    /// Of the edge, such as `http://10.0.0.1:8080`.
    pub(crate) base: String,
    pub(crate) seen: Seen,
    pub(crate) heard: Heard,
}

/// Where an engine says what happens.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    id: u64,
    events: mpsc::Sender<Event>,
}

impl Heard {
    /// There is a new picture.
    pub(crate) fn picture(&self) {
        // Who is behind with hearing misses one of many.
        let _ = self.events.try_send(Event::Picture(self.id));
    }
}

/// Plays until it cannot any more.
pub(crate) type Engine = Arc<dyn Fn(Setting) -> BoxFuture<'static, Failure> + Send + Sync>;

/// Watches the broadcast at `edges`, beginning at the first, until it is dropped.
pub(crate) async fn watch(
    client: Client,
    edges: Vec<String>,
    first_picture: Duration,
    engine: Engine,
    seen: Seen,
) {
    let (events, mut told) = mpsc::channel(EVENTS_MAX);
    let mut ladder = Ladder::new(edges.len(), first_picture, Instant::now());
    let mut attempts: Vec<(u64, JoinHandle<()>)> = Vec::new();
    let mut asked = JoinSet::new();
    let mut looked = JoinSet::new();
    let mut report = interval(REPORT_EACH);
    report.set_missed_tick_behavior(MissedTickBehavior::Delay);
    report.reset();
    loop {
        for action in ladder.drain() {
            match action {
                Action::Start(id, edge) => {
                    let heard = Heard { id, events: events.clone() };
                    let (client, base) = (client.clone(), edges[edge].clone());
                    let playing = engine(Setting { client, base, seen: seen.clone(), heard });
                    let events = events.clone();
                    let task = tokio::spawn(async move {
                        let failure = playing.await;
                        let _ = events.send(Event::Failed(id, failure)).await;
                    });
                    attempts.push((id, task));
                }
                Action::Stop(id) => attempts.retain(|(known, task)| {
                    if *known == id {
                        task.abort();
                    }
                    *known != id
                }),
                Action::Ask(edge) => {
                    asked.spawn(ask(client.clone(), edges.clone(), edge, true));
                }
                Action::Look(edge, others) => {
                    let (client, edges) = (client.clone(), edges.clone());
                    looked.spawn(
                        async move { (edge, first_with_media(&client, &edges, others).await) },
                    );
                }
            }
        }
        {
            let mut notes = seen.lock();
            (notes.anew, notes.moved) = (ladder.anew, ladder.moved);
            notes.edge = ladder.edge();
        }
        let due = ladder.deadline();
        let timer = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let random = rand::random::<f64>();
        tokio::select! {
            () = timer => ladder.timeout(random, Instant::now()),
            Some(event) = told.recv() => {
                let now = Instant::now();
                if matches!(event, Event::Picture(_)) {
                    seen.lock().screen.picture(now);
                }
                ladder.handle(event, random, now);
            }
            _ = report.tick() => {
                let edge = ladder.edge();
                asked.spawn(ask(client.clone(), edges.clone(), edge, false));
            }
            Some(Ok(answer)) = asked.join_next(), if !asked.is_empty() => {
                let Answer { edge, standing, draining, t0_ms, better, asked } = answer;
                // Of an edge that is not asked any more nothing follows.
                if edge != ladder.edge() {
                    continue;
                }
                t0_ms.into_iter().for_each(|t0_ms| seen.told_t0(t0_ms));
                if let Some(better) = better {
                    ladder.handle(Event::Better(better), random, Instant::now());
                }
                if asked {
                    ladder.handle(Event::Standing(standing), random, Instant::now());
                }
                if let Some(draining) = draining {
                    let event = if draining { Event::Draining } else { Event::Staying };
                    ladder.handle(event, random, Instant::now());
                }
            }
            Some(Ok((edge, back))) = looked.join_next(), if !looked.is_empty() => {
                if edge == ladder.edge() {
                    ladder.handle(Event::Looked(back), random, Instant::now());
                }
            }
        }
    }
}

struct Answer {
    edge: usize,
    standing: Standing,
    /// Whether the edge is about to stop, where it said.
    draining: Option<bool>,
    t0_ms: Option<i64>,
    /// The edge has lost its upstream, and this one has media.
    better: Option<usize>,
    /// The ladder waits for it.
    asked: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    state: String,
    t0_ms: Option<i64>,
    #[serde(default)]
    draining: bool,
    #[serde(default)]
    cut_off: bool,
}

/// How the broadcast stands at one of `edges`, and whether it is better at another (`web/src/session.ts`).
async fn ask(client: Client, edges: Vec<String>, edge: usize, asked: bool) -> Answer {
    let (standing, status) = stands(&client, &edges[edge]).await;
    let better = match asked && status.cut_off {
        true => {
            let others = (0..edges.len()).filter(|other| *other != edge);
            first_with_media(&client, &edges, others).await
        }
        false => None,
    };
    // It has no T0 before its first frame.
    let t0_ms = status.t0_ms.filter(|t0_ms| *t0_ms > 0);
    let draining = (standing == Standing::Live).then_some(status.draining);
    Answer { edge, standing, draining, t0_ms, better, asked }
}

/// The first of these that has media, and stays.
async fn first_with_media(
    client: &Client,
    edges: &[String],
    these: impl IntoIterator<Item = usize>,
) -> Option<usize> {
    for other in these {
        let (standing, status) = stands(client, &edges[other]).await;
        if standing == Standing::Live && !status.cut_off && !status.draining {
            return Some(other);
        }
    }
    None
}

/// How the broadcast stands at an edge, as `web/src/edge-status.ts` takes it.
async fn stands(client: &Client, base: &str) -> (Standing, Status) {
    let url = format!("{base}/live/{BROADCAST}");
    let answer = async {
        let response = client.get(url).timeout(STATUS_MAX).send().await.ok()?;
        let standing = match response.status().as_u16() {
            200 => Standing::Live,
            404 | 503 => Standing::Away,
            _ => Standing::Unreachable,
        };
        let reason = response.headers().get("lectern-reason").cloned();
        let unheard = reason.is_some_and(|reason| reason == "unheard");
        if standing != Standing::Live {
            let standing = if unheard { Standing::Unreachable } else { standing };
            return Some((standing, Status::default()));
        }
        let status: Status = response.json().await.ok()?;
        let away = matches!(status.state.as_str(), "away" | "ended");
        Some((if away { Standing::Away } else { Standing::Live }, status))
    };
    answer.await.unwrap_or_default()
}
