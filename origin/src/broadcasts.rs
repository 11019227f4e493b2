//! The broadcasts of this origin: who may publish to which, and the way of each from a take's
//! output to the relay.
//!
//! A broadcast is announced from the start, with or without an encoder, and outlives every take.
//! Newest wins: a publisher that presents a live key takes over, since an encoder that lost its
//! connection comes back before the old socket is known to be dead.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest;
use lectern_relay_proto::net::{BroadcastPublisher, Publisher, TrackPublisher};
use lectern_relay_proto::{
    About, BroadcastId, Catalog, Period, PublisherState, SegmentGrid, Timescale, UtcTime,
};
use tokio_util::sync::CancellationToken;

use crate::comments::Room;
use crate::config::BroadcastConfig;
use crate::ingest::{self, Refusal, Tag, TakeError};
use crate::metrics::Metrics;
use crate::package::{Lane, Packaged};
use crate::store::{self, Store, Timeline};
use crate::take::{Continuation, Output, Take};

/// All broadcasts of this origin.
pub struct Broadcasts {
    /// By the digest of the stream key, so that the time of a look-up says nothing about the keys.
    by_key: HashMap<KeyDigest, Arc<Broadcast>>,
    metrics: Metrics,
}

/// Takeovers of one broadcast within [`TAKEOVER_WINDOW`]. An encoder on a bad line comes back a few
/// times a minute; two encoders with one key would take over from each other for ever.
const TAKEOVERS_MAX: usize = 10;
const TAKEOVER_WINDOW: Duration = Duration::from_secs(60);

/// What the relay orders groups of every track by. Not the tracks' own timescales: one of them may
/// change with the encoder's sample rate, and a MoQ track keeps its timescale for life.
const RELAY_TIMESCALE: Timescale = Timescale::VIDEO;

type KeyDigest = [u8; digest::SHA256_OUTPUT_LEN];

/// Why the broadcasts could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two `[[broadcast]]` entries have the same id.
    #[error("two broadcasts are named {0}")]
    DuplicateId(BroadcastId),
    /// Two `[[broadcast]]` entries have the same stream key.
    #[error("broadcast {0} has a stream key that another one already has")]
    DuplicateKey(BroadcastId),
    /// A stream key is empty.
    #[error("broadcast {0} has an empty stream key")]
    EmptyKey(BroadcastId),
    /// What is known of a broadcast could not be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The relay refused the broadcast.
    #[error(transparent)]
    Relay(#[from] lectern_relay_proto::net::Error),
}

impl Broadcasts {
    /// Announces the configured broadcasts on `relay`. Each can be commented on in its room.
    pub fn announce(
        configs: &[BroadcastConfig],
        relay: &Publisher,
        store: &Store,
        metrics: Metrics,
    ) -> Result<(Self, HashMap<BroadcastId, Room>), Error> {
        let mut by_key = HashMap::new();
        let mut rooms = HashMap::new();
        let mut ids = HashSet::new();
        for config in configs {
            if !ids.insert(&config.id) {
                return Err(Error::DuplicateId(config.id.clone()));
            }
            let key = config.stream_key.expose();
            if key.is_empty() {
                return Err(Error::EmptyKey(config.id.clone()));
            }
            let (broadcast, room) = Broadcast::announce(config, relay, store, &metrics)?;
            rooms.insert(config.id.clone(), room);
            let broadcast = Arc::new(broadcast);
            if by_key.insert(key_digest(key), broadcast).is_some() {
                return Err(Error::DuplicateKey(config.id.clone()));
            }
        }
        Ok((Self { by_key, metrics }, rooms))
    }
}

impl ingest::Gate for Broadcasts {
    type Take = TakeHandle;

    async fn admits(&self, stream_key: &str) -> Result<(), Refusal> {
        let known = self.by_key.contains_key(&key_digest(stream_key));
        if !known {
            self.metrics.refused.with_label_values(&["unknown_key"]).inc();
        }
        known.then_some(()).ok_or(Refusal::UnknownKey)
    }

    async fn claim(&self, stream_key: &str, _peer: SocketAddr) -> Result<TakeHandle, Refusal> {
        match self.by_key.get(&key_digest(stream_key)) {
            Some(broadcast) => broadcast.claim().ok_or_else(|| {
                self.metrics.refused.with_label_values(&["takeovers"]).inc();
                Refusal::Unavailable(
                    "Two encoders publish with this stream key and keep replacing each other. \
                     Stop one of them, then try again in a minute."
                        .to_owned(),
                )
            }),
            None => {
                self.metrics.refused.with_label_values(&["unknown_key"]).inc();
                Err(Refusal::UnknownKey)
            }
        }
    }
}

fn key_digest(key: &str) -> KeyDigest {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 is 32 bytes")
}

struct Broadcast {
    id: BroadcastId,
    /// For people, in each of its catalogs.
    about: About,
    store: Store,
    metrics: Metrics,
    /// As in its [`Room`].
    t0_ms: Arc<AtomicU64>,
    state: Mutex<State>,
}

struct State {
    publication: BroadcastPublisher,
    tracks: Vec<(Lane, TrackPublisher)>,
    /// `None` until the first frame ever arrives.
    timeline: Option<Timeline>,
    /// Where and on which grid the next take begins.
    floor_ms: u64,
    grid: SegmentGrid,
    /// Counts claims; only the newest may publish.
    claims: u64,
    superseded: CancellationToken,
    /// When the latest takeovers were.
    takeovers: VecDeque<Instant>,
    take: Option<Take>,
    out: Vec<Output>,
}

/// A publisher's hold on a broadcast, until a newer one takes it.
pub struct TakeHandle {
    broadcast: Arc<Broadcast>,
    claim: u64,
    superseded: CancellationToken,
    span: tracing::Span,
}

impl Broadcast {
    fn announce(
        config: &BroadcastConfig,
        relay: &Publisher,
        store: &Store,
        metrics: &Metrics,
    ) -> Result<(Self, Room), Error> {
        let id = config.id.clone();
        let timeline = store.load(&id)?;
        let mut publication = relay.broadcast(&id)?;
        let t0_ms = timeline.as_ref().map_or(0, |timeline| timeline.t0().as_millis());
        let t0_ms = Arc::new(AtomicU64::new(t0_ms));
        let room = Room {
            comments: publication.comments()?,
            t0_ms: t0_ms.clone(),
            moderator_key: config.moderator_key.clone(),
            attendance: config.attendance,
        };
        let about = About {
            title: config.title.clone().map(String::from),
            starts_at: config.starts_at.map(UtcTime::from),
        };
        publication.set_catalog(&empty_catalog(timeline.as_ref(), about.clone()))?;
        let state = State {
            publication,
            tracks: Vec::new(),
            timeline,
            floor_ms: 0,
            grid: SegmentGrid::new(SegmentGrid::DURATION_MS_MIN),
            claims: 0,
            superseded: CancellationToken::new(),
            takeovers: VecDeque::new(),
            take: None,
            out: Vec::new(),
        };
        let (store, metrics, state) = (store.clone(), metrics.clone(), Mutex::new(state));
        Ok((Self { id, about, store, metrics, t0_ms, state }, room))
    }

    /// Gives the broadcast to a new publisher; `None` if it has changed hands too often of late.
    fn claim(self: &Arc<Self>) -> Option<TakeHandle> {
        let span = tracing::info_span!("take", broadcast = %self.id);
        let entered = span.enter();
        let mut state = self.lock();
        if state.take.is_some() {
            let now = Instant::now();
            state.takeovers.retain(|at| now.duration_since(*at) < TAKEOVER_WINDOW);
            if state.takeovers.len() >= TAKEOVERS_MAX {
                tracing::warn!("two publishers fight for the broadcast; the newer one is refused");
                return None;
            }
            state.takeovers.push_back(now);
            self.metrics.takeovers.inc();
            tracing::info!("a newer publisher takes over");
        }
        state.claims += 1;
        state.superseded.cancel();
        state.superseded = CancellationToken::new();
        self.end_take(&mut state, false);
        let (claim, superseded) = (state.claims, state.superseded.clone());
        drop(state);
        drop(entered);
        Some(TakeHandle { broadcast: self.clone(), claim, superseded, span })
    }

    /// A panic in one take poisons the lock; what it left is replaced by the next claim, so the
    /// broadcast itself goes on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, state: &mut State, tag: Tag, arrived: UtcTime) -> Result<(), Failure> {
        if state.take.is_none() {
            state.take = Some(self.begin_take(state, arrived)?);
        }
        self.drive(state, |take, out| take.push(tag, arrived, out))
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
        let catalog = Catalog { about: self.about.clone(), ..catalog.clone() };
        state.publication.set_catalog(&catalog)?;
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

impl TakeHandle {
    fn drive(
        &self,
        work: impl FnOnce(&Broadcast, &mut State) -> Result<(), Failure>,
    ) -> Result<(), TakeError> {
        let _entered = self.span.enter();
        let mut state = self.broadcast.lock();
        if state.claims != self.claim {
            return Err(TakeError::Unacceptable("a newer publisher has taken over".to_owned()));
        }
        work(&self.broadcast, &mut state).map_err(|failure| {
            tracing::error!(%failure, "the take cannot go on");
            TakeError::Unacceptable(failure.to_string())
        })
    }
}

impl ingest::Take for TakeHandle {
    fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), TakeError> {
        self.drive(|broadcast, state| broadcast.push(state, tag, arrived))
    }

    fn poll_timeout(&self) -> Option<UtcTime> {
        let state = self.broadcast.lock();
        let take = state.take.as_ref().filter(|_| state.claims == self.claim);
        take.and_then(Take::poll_timeout)
    }

    fn handle_timeout(&mut self, now: UtcTime) -> Result<(), TakeError> {
        self.drive(|broadcast, state| {
            broadcast.drive(state, |take, out| take.handle_timeout(now, out))
        })
    }

    fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    fn end(self, clean: bool) {
        let _entered = self.span.enter();
        let mut state = self.broadcast.lock();
        if state.claims == self.claim {
            self.broadcast.end_take(&mut state, clean);
        }
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
