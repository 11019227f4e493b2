//! One broadcast: who publishes to it now and who stands by, as the host sees it and orders it. Who gives way
//! to whom is [`succession`]'s, whether this process may publish at all [`holding`]'s, the way of a take's
//! output to the relay [`output`]'s; what a publisher holds of it is [`handle`]'s.

mod handle;
mod holding;
mod output;
mod publication;
mod succession;
mod traced;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::net::{Announcer, Epoch};
use lectern_relay_proto::{About, BroadcastId, Catalog, PublisherState, SegmentGrid, UtcTime};
use tokio::sync::watch;

use self::publication::Publication;
use self::succession::{Fight, Succession};
use super::owner::Chores;
use super::{Grant, Protocol, Signals, Spec};
use crate::comments::{Audience, Outlet, Room};
use crate::doctor;
use crate::ingest::Refusal;
use crate::metrics::Metrics;
use crate::take::{Output, Take};
use crate::timelines::{Lease, Silence, Timeline, Timelines, UsedUp, Wish};
use crate::transcode::video::Reencoders;
use crate::wall;

pub use self::handle::TakeHandle;

/// Nobody may publish for so long after the host has stopped the broadcast: encoders come back by
/// themselves within seconds.
const STOPPED_FOR: Duration = Duration::from_secs(30);

/// What all broadcasts of an origin work with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) relay: Announcer,
    pub(super) timelines: Timelines,
    pub(super) metrics: Metrics,
    pub(super) signals: Signals,
    /// What the database is to be asked and told.
    pub(super) chores: Chores,
    /// What mends publishers' pictures.
    pub(super) reencoders: Option<Reencoders>,
}

pub(super) struct Broadcast {
    pub(super) id: BroadcastId,
    means: Means,
    /// As in its [`Room`].
    t0_ms: Arc<AtomicU64>,
    comments: Outlet,
    audience: watch::Receiver<Audience>,
    state: Mutex<State>,
}

struct State {
    publication: Publication,
    /// Whether [`Self::publication`] has a catalog.
    announced: bool,
    /// For people, in each catalog.
    about: About,
    /// The newest, but for [`Self::about`].
    catalog: Catalog,
    /// Since when it is as the catalog says.
    since: Option<UtcTime>,
    /// What the database said last, and whether it has said anything. While the lease is held, that knows more.
    stored: Option<Timeline>,
    is_read: bool,
    /// What is wrong with what stands there was said.
    is_damaged: bool,
    /// This process's right to publish.
    lease: Option<Lease>,
    /// For how long nothing new was read.
    silence: Silence,
    /// When it was last asked for, for one who waits.
    wished: Option<Instant>,
    /// On which grid the next take begins.
    grid: SegmentGrid,
    succession: Succession,
    /// The host lets nobody publish.
    blocked: bool,
    stopped: Option<Instant>,
    take: Option<Take>,
    out: Vec<Output>,
    doctor: doctor::Watch,
}

/// Who publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// With which key.
    pub key: Arc<str>,
    /// How.
    pub protocol: Protocol,
    /// Since when.
    pub since: UtcTime,
}

/// How a broadcast is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether media arrives; `None` if none ever has.
    pub state: Option<PublisherState>,
    /// Since when, if that was within the life of this process.
    pub since: Option<UtcTime>,
    /// Who is on air.
    pub publisher: Option<Publishing>,
    /// Whether somebody stands by.
    pub standby: bool,
    /// Who watches.
    pub audience: Audience,
    /// How many problems and warnings the doctor has found.
    pub findings: u64,
}

impl Status {
    /// Whether there is anything to it that has to do with this process: what was before it began is over, and
    /// all origins can tell.
    pub(super) fn is_of_now(&self) -> bool {
        let on_air = match self.state {
            Some(PublisherState::Live) => true,
            Some(PublisherState::Away) => self.since.is_some(),
            Some(PublisherState::Ended) | None => false,
        };
        on_air || self.publisher.is_some() || self.findings > 0
    }
}

impl Broadcast {
    /// By which viewers know it.
    pub(super) fn id(&self) -> &BroadcastId {
        &self.id
    }

    /// A broadcast that is announced once it is known how far it has come.
    pub(super) fn open(spec: Spec, means: &Means) -> Result<(Self, Room), super::Error> {
        let Spec { id, about, moderator_key, attendance, blocked } = spec;
        let (publication, comments) = Publication::begin(&means.relay, &id, Epoch::IDLE)?;
        let (comments, t0_ms) = (Outlet::new(comments), Arc::<AtomicU64>::default());
        let audience = watch::Sender::default();
        let room = Room {
            comments: comments.clone(),
            t0_ms: t0_ms.clone(),
            moderator_key,
            attendance,
            audience: audience.clone(),
        };
        let state = State {
            publication,
            announced: false,
            catalog: holding::idle_catalog(None, about.clone()),
            about,
            since: None,
            stored: None,
            is_read: false,
            is_damaged: false,
            lease: None,
            silence: Silence::default(),
            wished: None,
            grid: SegmentGrid::new(SegmentGrid::DURATION_MS_MIN),
            succession: Succession::default(),
            blocked,
            stopped: None,
            take: None,
            out: Vec::new(),
            doctor: doctor::Watch::new(means.metrics.findings.clone())
                .counting(means.metrics.ingest.of(&id)),
        };
        let (means, audience, state) = (means.clone(), audience.subscribe(), Mutex::new(state));
        Ok((Self { id, means, t0_ms, comments, audience, state }, room))
    }

    /// What a publisher needs to be let in; nothing if it is to wait for one who is here.
    pub(super) fn needs(&self, grant: &Grant) -> Result<Option<Wish>, Refusal> {
        let _entered = tracing::info_span!("take", broadcast = %self.id).entered();
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(why) = state.closed_to_publishers(now) {
            return Err(why);
        }
        if state.succession.waits(grant) {
            return Ok(None);
        }
        // Before anything is taken from another process.
        if state.take.is_some() || state.lease.is_none() {
            state.succession.check(now).map_err(|Fight| self.refuse_fight())?;
        }
        Ok(Some(if grant.backup { Wish::UnlessLiveElsewhere } else { Wish::Now }))
    }

    /// Gives the broadcast to a new publisher, or lets it stand by. `None` if it is another process's by now.
    pub(super) fn claim(self: &Arc<Self>, grant: &Grant) -> Result<Option<TakeHandle>, Refusal> {
        let span = tracing::info_span!("take", broadcast = %self.id);
        let entered = span.enter();
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(why) = state.closed_to_publishers(now) {
            return Err(why);
        }
        let at = wall::now();
        let waits = state.succession.waits(grant) || (grant.backup && state.lease.is_none());
        let (number, over) = if waits {
            tracing::info!("a publisher with a backup key stands by");
            state.succession.stand_by(grant, at)
        } else {
            if state.lease.is_none() {
                return Ok(None);
            }
            if state.take.is_some() {
                state.succession.check(now).map_err(|Fight| self.refuse_fight())?;
                state.succession.note_takeover(now);
                self.means.metrics.takeovers.inc();
                tracing::info!("a newer publisher takes over");
            }
            self.end_take(&mut state, false);
            state.succession.take_over(grant, at)
        };
        drop(state);
        drop(entered);
        self.means.signals.changed(&self.id);
        // What comes by WebRTC was re-encoded before, where it had to be.
        let over_rtmp = grant.protocol == Protocol::Rtmp;
        let reencoders = self.means.reencoders.clone().filter(|_| over_rtmp);
        Ok(Some(TakeHandle::new(self.clone(), number, over, reencoders, span)))
    }

    fn refuse_fight(&self) -> Refusal {
        tracing::warn!("two publishers fight for the broadcast; the newer one is refused");
        self.means.metrics.refused.with_label_values(&["takeovers"]).inc();
        Refusal::Unavailable(
            "Two encoders publish with this stream key and keep replacing each other. \
             Stop one of them, then try again in a minute."
                .to_owned(),
        )
    }

    /// Ends whoever publishes, and lets nobody come back for a while; or not before it is unblocked.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = Some(Instant::now());
        self.end_all(&mut state);
    }

    /// Lets nobody publish, or everybody again who has a key.
    pub(super) fn block(&self, blocked: bool) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.blocked, blocked) == blocked {
            return;
        }
        state.stopped = None;
        if blocked {
            self.end_all(&mut state);
        }
    }

    /// Ends whoever publishes with `key`.
    pub(super) fn revoke(&self, key: &str) {
        let mut state = self.lock();
        if state.succession.is_on_air_with(key) {
            self.end_take(&mut state, true);
        }
        state.succession.revoke(key);
        drop(state);
        self.means.signals.changed(&self.id);
    }

    fn end_all(&self, state: &mut State) {
        self.end_take(state, true);
        // One whose encoder was lost before is not waited for any more.
        if state.catalog.state == PublisherState::Away && state.since.is_some() {
            let ended = Catalog { state: PublisherState::Ended, ..state.catalog.clone() };
            if let Err(error) = self.set_catalog(state, &ended) {
                tracing::warn!(%error, "that the broadcast has ended was not published");
            }
        }
        state.succession.end_all();
        self.means.signals.changed(&self.id);
    }

    /// What it is about from now on.
    pub(super) fn set_about(&self, about: About) -> Result<(), super::Error> {
        let mut state = self.lock();
        if state.about == about {
            return Ok(());
        }
        if state.announced {
            let catalog = Catalog { about: about.clone(), ..state.catalog.clone() };
            // Known once edges are told, so that what failed can be tried again.
            state.publication.set_catalog(&catalog)?;
        }
        state.about = about;
        Ok(())
    }

    pub(super) fn report(&self, now: UtcTime) -> doctor::Report {
        let _entered = tracing::info_span!("doctor", broadcast = %self.id).entered();
        self.lock().doctor.report(now)
    }

    pub(super) fn findings(&self) -> Vec<doctor::Finding> {
        self.lock().doctor.findings().to_vec()
    }

    /// By which this process may publish to it; `None` if it may not.
    pub(super) fn owned_by(&self) -> Option<Epoch> {
        self.lock().lease.as_ref().map(|lease| lease.timeline().epoch())
    }

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let began = state.timeline().is_some_and(Timeline::has_begun);
        Status {
            state: began.then_some(state.catalog.state),
            since: state.since,
            publisher: state.succession.publishing(),
            standby: state.succession.has_waiting(),
            audience: self.audience.borrow().clone(),
            findings: state.doctor.serious(),
        }
    }

    /// A panic in one take poisons the lock; what it left is replaced by the next claim, so the
    /// broadcast itself goes on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why nobody may publish.
    fn closed_to_publishers(&self, now: Instant) -> Option<Refusal> {
        if self.blocked {
            return Some(Refusal::Blocked);
        }
        let stopped = self.stopped.map(|at| now.saturating_duration_since(at));
        let left = STOPPED_FOR.checked_sub(stopped?).filter(|left| !left.is_zero())?;
        Some(Refusal::Stopped(left))
    }

    /// How far it has come, as far as is known.
    fn timeline(&self) -> Option<&Timeline> {
        self.lease.as_ref().map(Lease::timeline).or(self.stored.as_ref())
    }
}

/// Why a take cannot go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Take(#[from] crate::take::Error),
    #[error(transparent)]
    UsedUp(#[from] UsedUp),
    /// No publisher is on air then.
    #[error("the broadcast is another server's")]
    NotOurs,
    #[error("the relay refused it: {0}")]
    Relay(#[from] lectern_relay_proto::net::Error),
}
