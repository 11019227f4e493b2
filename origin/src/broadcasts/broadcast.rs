//! One broadcast: who publishes to it now and who stands by, and the way of a take's output to the relay.
//!
//! Newest wins: a publisher that presents a live key takes over, since an encoder that lost its connection
//! comes back before the old socket is known to be dead. A backup key never takes over from a primary one:
//! its publisher stands by, and goes on air while the other is silent. What a publisher holds of it is
//! [`handle`]'s.

mod handle;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::net::{Announcer, BroadcastPublisher, Epoch, TrackPublisher};
use lectern_relay_proto::{
    About, BroadcastId, Catalog, Period, PublisherState, SegmentGrid, Timescale, UtcTime,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Grant, Protocol, Signals, Spec};
use crate::comments::{Audience, Room};
use crate::doctor;
use crate::ingest::{Refusal, Tag};
use crate::metrics::Metrics;
use crate::package::{Lane, Packaged};
use crate::store::{self, Store, Timeline};
use crate::take::{Continuation, Output, Take};
use crate::transcode::video::Reencoders;

pub use self::handle::TakeHandle;

/// Takeovers of one broadcast within [`TAKEOVER_WINDOW`]. An encoder on a bad line comes back a few
/// times a minute; two encoders with one key would take over from each other for ever.
const TAKEOVERS_MAX: usize = 10;
const TAKEOVER_WINDOW: Duration = Duration::from_secs(60);
/// A primary publisher that has sent nothing for so long is no reason for its backup to wait.
const PRIMARY_SILENT: Duration = Duration::from_secs(3);
/// Nobody may publish for so long after the host has stopped the broadcast: encoders come back by
/// themselves within seconds.
const STOPPED_FOR: Duration = Duration::from_secs(30);

/// What the relay orders groups of every track by. Not the tracks' own timescales: one of them may
/// change with the encoder's sample rate, and a MoQ track keeps its timescale for life.
const RELAY_TIMESCALE: Timescale = Timescale::VIDEO;

pub(super) struct Broadcast {
    id: BroadcastId,
    store: Store,
    metrics: Metrics,
    signals: Signals,
    /// What mends its publishers' pictures.
    reencoders: Option<Reencoders>,
    /// As in its [`Room`].
    t0_ms: Arc<AtomicU64>,
    audience: watch::Receiver<Audience>,
    state: Mutex<State>,
}

struct State {
    publication: BroadcastPublisher,
    /// For people, in each catalog.
    about: About,
    /// The newest, but for [`Self::about`].
    catalog: Catalog,
    /// Since when it is as the catalog says.
    since: Option<UtcTime>,
    tracks: Vec<(Lane, TrackPublisher)>,
    /// `None` until the first frame ever arrives.
    timeline: Option<Timeline>,
    /// Where and on which grid the next take begins.
    floor_ms: u64,
    grid: SegmentGrid,
    /// Counts claims.
    claims: u64,
    /// Whose media is published.
    on_air: Option<Claim>,
    /// Who waits for the one on air to fall silent; always with a backup key.
    standby: Option<Claim>,
    /// When the latest takeovers were.
    takeovers: VecDeque<Instant>,
    /// The host lets nobody publish.
    blocked: bool,
    stopped: Option<Instant>,
    take: Option<Take>,
    out: Vec<Output>,
    doctor: doctor::Watch,
}

/// A publisher's right to the broadcast.
struct Claim {
    number: u64,
    grant: Grant,
    since: UtcTime,
    /// When media came of it last.
    heard: UtcTime,
    /// Cancelled once it has none any more.
    over: CancellationToken,
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
    /// Whether somebody stands by with a backup key.
    pub standby: bool,
    /// Who watches.
    pub audience: Audience,
    /// How many problems and warnings the doctor has found.
    pub findings: u64,
}

impl Broadcast {
    pub(super) fn announce(
        spec: Spec,
        relay: &Announcer,
        store: &Store,
        metrics: &Metrics,
        signals: &Signals,
        reencoders: Option<Reencoders>,
    ) -> Result<(Self, Room), super::Error> {
        let Spec { id, about, moderator_key, attendance, blocked } = spec;
        let timeline = store.load(&id)?;
        let mut publication = relay.broadcast(&id, Epoch::IDLE)?;
        let t0_ms = timeline.as_ref().map_or(0, |timeline| timeline.t0().as_millis());
        let t0_ms = Arc::new(AtomicU64::new(t0_ms));
        let audience = watch::Sender::default();
        let room = Room {
            comments: publication.comments()?,
            t0_ms: t0_ms.clone(),
            moderator_key,
            attendance,
            audience: audience.clone(),
        };
        let catalog = empty_catalog(timeline.as_ref(), about.clone());
        publication.set_catalog(&catalog)?;
        let state = State {
            publication,
            about,
            catalog,
            since: None,
            tracks: Vec::new(),
            timeline,
            floor_ms: 0,
            grid: SegmentGrid::new(SegmentGrid::DURATION_MS_MIN),
            claims: 0,
            on_air: None,
            standby: None,
            takeovers: VecDeque::new(),
            blocked,
            stopped: None,
            take: None,
            out: Vec::new(),
            doctor: doctor::Watch::new(metrics.findings.clone()),
        };
        let (store, metrics, signals) = (store.clone(), metrics.clone(), signals.clone());
        let (audience, state) = (audience.subscribe(), Mutex::new(state));
        Ok((Self { id, store, metrics, signals, reencoders, t0_ms, audience, state }, room))
    }

    /// Gives the broadcast to a new publisher, or lets it stand by.
    pub(super) fn claim(self: &Arc<Self>, grant: &Grant) -> Result<TakeHandle, Refusal> {
        let span = tracing::info_span!("take", broadcast = %self.id);
        let entered = span.enter();
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(why) = state.closed_to_publishers(now) {
            return Err(why);
        }
        state.claims += 1;
        let (number, over) = (state.claims, CancellationToken::new());
        let at = UtcTime::from(SystemTime::now());
        let claim =
            Claim { number, grant: grant.clone(), since: at, heard: at, over: over.clone() };
        let waits =
            grant.backup && state.on_air.as_ref().is_some_and(|on_air| !on_air.grant.backup);
        if waits {
            tracing::info!("a publisher with a backup key stands by");
            state.stand_by(Some(claim));
        } else {
            self.take_over(&mut state, claim, now)?;
        }
        drop(state);
        drop(entered);
        self.signals.changed(&self.id);
        // What comes by WebRTC was re-encoded before, where it had to be.
        let over_rtmp = grant.protocol == Protocol::Rtmp;
        let reencoders = self.reencoders.clone().filter(|_| over_rtmp);
        Ok(TakeHandle::new(self.clone(), number, over, reencoders, span))
    }

    /// Puts `claim` on air instead of whoever is.
    fn take_over(&self, state: &mut State, claim: Claim, now: Instant) -> Result<(), Refusal> {
        if state.take.is_some() {
            state.takeovers.retain(|at| now.duration_since(*at) < TAKEOVER_WINDOW);
            if state.takeovers.len() >= TAKEOVERS_MAX {
                tracing::warn!("two publishers fight for the broadcast; the newer one is refused");
                self.metrics.refused.with_label_values(&["takeovers"]).inc();
                return Err(Refusal::Unavailable(
                    "Two encoders publish with this stream key and keep replacing each other. \
                     Stop one of them, then try again in a minute."
                        .to_owned(),
                ));
            }
            state.takeovers.push_back(now);
            self.metrics.takeovers.inc();
            tracing::info!("a newer publisher takes over");
        }
        self.end_take(state, false);
        if let Some(former) = state.on_air.replace(claim) {
            if former.grant.backup && state.standby.is_none() {
                state.standby = Some(former);
            } else {
                former.over.cancel();
            }
        }
        Ok(())
    }

    /// Puts whoever stands by on air, if nobody else is or has said anything for long.
    fn promote(&self, state: &mut State, at: UtcTime) {
        let silent = |on_air: &Claim| at.saturating_since(on_air.heard) >= PRIMARY_SILENT;
        if !state.on_air.as_ref().is_none_or(silent) {
            return;
        }
        let Some(claim) = state.standby.take() else { return };
        tracing::warn!("the backup publisher goes on air");
        self.end_take(state, false);
        if let Some(silent) = state.on_air.replace(claim) {
            silent.over.cancel();
        }
        self.signals.changed(&self.id);
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
        if state.standby.as_ref().is_some_and(|claim| &*claim.grant.key == key) {
            state.stand_by(None);
        }
        if state.on_air.as_ref().is_some_and(|claim| &*claim.grant.key == key) {
            self.end_take(&mut state, true);
            if let Some(claim) = state.on_air.take() {
                claim.over.cancel();
            }
        }
        drop(state);
        self.signals.changed(&self.id);
    }

    fn end_all(&self, state: &mut State) {
        self.end_take(state, true);
        // One whose encoder was lost before is not waited for any more.
        if state.catalog.state == PublisherState::Away && state.since.is_some() {
            let ended = Catalog { state: PublisherState::Ended, ..state.catalog.clone() };
            if let Err(error) = self.publish_catalog(state, &ended) {
                tracing::warn!(%error, "that the broadcast has ended was not published");
            }
        }
        state.stand_by(None);
        if let Some(on_air) = state.on_air.take() {
            on_air.over.cancel();
        }
        self.signals.changed(&self.id);
    }

    /// What it is about from now on.
    pub(super) fn set_about(&self, about: About) -> Result<(), super::Error> {
        let mut state = self.lock();
        if state.about == about {
            return Ok(());
        }
        let catalog = Catalog { about: about.clone(), ..state.catalog.clone() };
        // Known once edges are told, so that what failed can be tried again.
        state.publication.set_catalog(&catalog)?;
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

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        let began = state.timeline.is_some();
        Status {
            state: began.then_some(state.catalog.state),
            since: state.since,
            publisher: state.on_air.as_ref().map(Claim::publishing),
            standby: state.standby.is_some(),
            audience: self.audience.borrow().clone(),
            findings: state.doctor.serious(),
        }
    }

    /// A panic in one take poisons the lock; what it left is replaced by the next claim, so the
    /// broadcast itself goes on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a tag as the publisher sent it. The first begins a take.
    fn examine(&self, state: &mut State, tag: &Tag, arrived: UtcTime) -> Result<(), Failure> {
        if state.take.is_none() {
            state.take = Some(self.begin_take(state, arrived)?);
            state.doctor.begin(arrived);
        }
        state.doctor.tag(tag, arrived);
        self.say_findings(state);
        Ok(())
    }

    /// Publishes a tag as viewers get it.
    fn push(&self, state: &mut State, tag: Tag, arrived: UtcTime) -> Result<(), Failure> {
        let driven = self.drive(state, |take, out| take.push(tag, arrived, out));
        while let Some(level) = state.take.as_mut().and_then(Take::poll_level) {
            state.doctor.level(level);
        }
        self.say_findings(state);
        driven
    }

    fn say_findings(&self, state: &mut State) {
        if state.doctor.take_changed() {
            self.signals.changed(&self.id);
        }
    }

    /// Lets the take work, and publishes what comes of it even where it fails.
    fn drive(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut Take, &mut Vec<Output>) -> Result<(), crate::take::Error>,
    ) -> Result<(), Failure> {
        let State { take: Some(take), out, .. } = &mut *state else { return Ok(()) };
        let worked = work(take, out);
        self.count_dropped(take);
        self.publish(state)?;
        Ok(worked?)
    }

    fn begin_take(&self, state: &mut State, arrived: UtcTime) -> Result<Take, Failure> {
        let timeline = state.timeline.get_or_insert_with(|| Timeline::begin(arrived));
        let number = timeline.next_take;
        timeline.next_take += 1;
        self.store.save(&self.id, timeline)?;
        self.t0_ms.store(timeline.t0().as_millis(), Ordering::Relaxed);
        self.metrics.takes.inc();
        self.metrics.takes_live.inc();
        tracing::info!(take = number, "a take begins");
        let from = Continuation {
            next_period: timeline.next_period,
            next_sequence: timeline.next_sequence(arrived),
            grid: state.grid,
            floor_ms: state.floor_ms,
        };
        Ok(Take::new(timeline.t0(), number, from))
    }

    fn end_take(&self, state: &mut State, clean: bool) {
        let State { take: Some(take), out, .. } = &mut *state else { return };
        if let Err(error) = take.end(clean, out) {
            tracing::warn!(%error, "the end of the take was not packaged");
        }
        if let Err(error) = self.publish(state) {
            tracing::warn!(%error, "the end of the take was not published");
        }
        // Or edges would take the last group for one whose end was lost, and cut off its readers.
        for (_, track) in &mut state.tracks {
            if let Err(error) = track.finish_group() {
                tracing::warn!(%error, "the last group of the take was not finished");
            }
        }
        state.doctor.end(SystemTime::now().into());
        if let Some(take) = state.take.take() {
            state.floor_ms = take.end_ms() + 1;
            state.grid = take.grid();
            if let Some(timeline) = &mut state.timeline {
                timeline.count_to(take.next_sequence());
                if let Err(error) = self.store.save(&self.id, timeline) {
                    // What is stored says that a count goes on, which is safe, if not exact.
                    tracing::warn!(%error, "how far the segments were counted is not stored");
                }
            }
            self.metrics.takes_live.dec();
            tracing::info!(clean, "the take ended");
        }
    }

    fn publish(&self, state: &mut State) -> Result<(), Failure> {
        for output in std::mem::take(&mut state.out) {
            match output {
                Output::Catalog(catalog) => self.publish_catalog(state, &catalog)?,
                Output::Chunk(packaged) => self.publish_chunk(state, packaged)?,
            }
        }
        Ok(())
    }

    fn publish_catalog(&self, state: &mut State, catalog: &Catalog) -> Result<(), Failure> {
        for lane in [Lane::Video, Lane::Opus, Lane::Aac] {
            let name = lane.track();
            let listed = catalog.video.iter().any(|track| track.name == name)
                || catalog.audio.iter().any(|track| track.name == name);
            if listed && state.tracks.iter().all(|(at, _)| *at != lane) {
                let track = state.publication.track(&name, RELAY_TIMESCALE)?;
                state.tracks.push((lane, track));
            }
        }
        // Stored before anyone hears of it: a period id must never be used for other media.
        let next_period = catalog.period.id + 1;
        if let Some(timeline) = state.timeline.as_mut().filter(|at| at.next_period < next_period) {
            timeline.next_period = next_period;
            timeline.count_from(catalog.period.sequence, catalog.period.start_ms);
            self.store.save(&self.id, timeline)?;
            self.metrics.periods.inc();
        }
        let was = state.catalog.state;
        state.catalog = Catalog { about: state.about.clone(), ..catalog.clone() };
        state.publication.set_catalog(&state.catalog)?;
        if was != catalog.state {
            state.since = Some(SystemTime::now().into());
            self.signals.changed(&self.id);
        }
        Ok(())
    }

    fn publish_chunk(&self, state: &mut State, packaged: Packaged) -> Result<(), Failure> {
        let track = state.tracks.iter_mut().find(|(lane, _)| *lane == packaged.lane);
        let Some((_, track)) = track else { return Ok(()) };
        let time = packaged.time.rescale(RELAY_TIMESCALE);
        match track.write(packaged.group, time, packaged.bytes) {
            Ok(()) => {}
            // The rest of an endless group is lost; the next keyframe begins another.
            Err(lectern_relay_proto::net::Error::GroupFull(_)) => {
                self.metrics.dropped.with_label_values(&["group_full"]).inc();
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        if packaged.lane == Lane::Video {
            let age = UtcTime::from(SystemTime::now()).saturating_since(packaged.arrived);
            self.metrics.publish_age.observe(age.as_secs_f64());
        }
        Ok(())
    }

    fn count_dropped(&self, take: &mut Take) {
        let dropped = take.take_dropped();
        let reasons = [
            ("undecodable_video", dropped.undecodable),
            ("audio", dropped.audio),
            ("clock_jump", dropped.clock_jumps),
        ];
        for (reason, count) in reasons.into_iter().filter(|(_, count)| *count > 0) {
            self.metrics.dropped.with_label_values(&[reason]).inc_by(count);
        }
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

    /// Lets `claim` stand by instead of whoever does.
    fn stand_by(&mut self, claim: Option<Claim>) {
        if let Some(former) = std::mem::replace(&mut self.standby, claim) {
            former.over.cancel();
        }
    }

    fn is_on_air(&self, claim: u64) -> bool {
        self.on_air.as_ref().is_some_and(|on_air| on_air.number == claim)
    }

    fn is_standby(&self, claim: u64) -> bool {
        self.standby.as_ref().is_some_and(|standby| standby.number == claim)
    }
}

impl Claim {
    fn publishing(&self) -> Publishing {
        let Grant { key, protocol, .. } = &self.grant;
        Publishing { key: key.clone(), protocol: *protocol, since: self.since }
    }
}

/// Why a take cannot go on.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Take(#[from] crate::take::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the relay refused it: {0}")]
    Relay(#[from] lectern_relay_proto::net::Error),
}

/// What is said of a broadcast to which nobody has published since this process began.
fn empty_catalog(timeline: Option<&Timeline>, about: About) -> Catalog {
    let grid = SegmentGrid::new(SegmentGrid::DURATION_MS_MIN);
    Catalog {
        t0: timeline.map_or_else(UtcTime::default, Timeline::t0),
        state: PublisherState::Away,
        about,
        period: Period {
            id: timeline.map_or(0, |timeline| timeline.next_period.saturating_sub(1)),
            take: timeline.map_or(0, |timeline| timeline.next_take.saturating_sub(1)),
            start_ms: 0,
            grid,
            sequence: 0,
        },
        video: Vec::new(),
        audio: Vec::new(),
    }
}
