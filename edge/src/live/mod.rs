//! Live broadcasts at this edge, and how HTTP viewers read them: the driver around
//! [`crate::timeline`], with the locks, clocks and waiting that the timeline itself does without.
//!
//! The upstream task opens a broadcast in the [`Directory`] and feeds the [`Live`] that it gets;
//! [`routes`] serves what is there. How a manifest reads is [`crate::dash`]'s.

mod body;
mod capture_clock;
mod directory;
mod document;
mod lobby;
mod lookup;
mod media;
mod metrics;
mod playlists;
mod range;
mod routes;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::trace::Stage;
use lectern_relay_proto::{
    About, BroadcastId, Catalog, Frame, GroupId, MediaTime, PublisherState, TrackName, UtcTime,
};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::AbortHandle;
use tracing::{debug, info, warn};

use self::capture_clock::CaptureClock;
use self::document::Document;
use self::media::Asks;
use self::metrics::HeldRequest;
use self::playlists::Playlists;
use crate::dash;
use crate::timeline::{Fault, Locator, Missing, Snapshot, Timeline};
use crate::traced::{Arrival, Arrivals};
pub use directory::{Directory, DirectoryFull};
pub use metrics::Metrics;
pub use routes::routes;

/// How long after a catalog that ends a period its last segments wait for media that the catalog
/// overtook. Readers of those segments wait as long, so it is kept short.
const SETTLE_AFTER: Duration = Duration::from_secs(1);
/// The most requests per broadcast that wait for a segment, a part or a playlist, and the most that
/// wait for a broadcast. Each costs a task and a connection, a few KiB; with irregular GOPs every
/// viewer waits at every segment, twice.
const HELD_MAX: usize = 16_384;
/// How long after it came a request waits for a broadcast, its manifest, or what a blocking reload asks
/// for. Live, parts come four times a second; who waits for longer than this waits for an encoder that
/// is away or an edge that cannot reach its upstream. Shorter than players wait for a first byte.
const HOLD_MAX: Duration = Duration::from_secs(6);

/// One broadcast at this edge.
pub struct Live {
    id: BroadcastId,
    timeline: Mutex<Timeline>,
    snapshot: watch::Sender<Option<Arc<Snapshot>>>,
    manifest: Mutex<Option<Manifest>>,
    playlists: Playlists,
    settling: Mutex<Option<AbortHandle>>,
    capture_clock: Mutex<CaptureClock>,
    /// `None` before the first catalog: then nobody knows for whom it is.
    about: Mutex<Option<Arc<About>>>,
    held: Semaphore,
    arrivals: Arrivals,
    metrics: Arc<Metrics>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.metrics.kept_bytes.sub(lock(&self.timeline).bytes() as i64);
    }
}

/// A rendered manifest, for as long as its content holds.
#[derive(Clone)]
struct Manifest {
    snapshot: Arc<Snapshot>,
    published: UtcTime,
    document: Arc<Document>,
}

/// A request that waits, counted for as long as it does.
struct Held<'a> {
    _permit: SemaphorePermit<'a>,
    _counted: HeldRequest<'a>,
}

impl Live {
    fn new(id: BroadcastId, timeline: Timeline, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            id,
            timeline: Mutex::new(timeline),
            snapshot: watch::Sender::new(None),
            manifest: Mutex::new(None),
            playlists: Playlists::default(),
            settling: Mutex::new(None),
            capture_clock: Mutex::default(),
            about: Mutex::default(),
            held: Semaphore::new(HELD_MAX),
            arrivals: Arrivals::default(),
            metrics,
        })
    }

    /// The broadcast's public id.
    pub fn id(&self) -> &BroadcastId {
        &self.id
    }

    /// What its host says of it, and for whom it is; `None` before the first catalog.
    pub fn about(&self) -> Option<Arc<About>> {
        lock(&self.about).clone()
    }

    /// Takes a newer catalog. Must be called within a tokio runtime.
    pub fn set_catalog(self: &Arc<Self>, catalog: Catalog) {
        let former = self.snapshot();
        let period = catalog.period.id;
        // First, so that nothing of it is served before it is known for whom.
        *lock(&self.about) = Some(Arc::new(catalog.about.clone()));
        self.update(|timeline| timeline.set_catalog(&catalog));
        let state = former.as_ref().map(|former| former.state);
        if state != Some(catalog.state) {
            info!(broadcast = %self.id, state = ?catalog.state, period, "publisher state");
        }
        let moved_on = former.is_some_and(|former| {
            former.current().is_some_and(|current| current.info.id != period)
        });
        if moved_on || catalog.state != PublisherState::Live {
            self.settle_later();
        }
    }

    /// Takes a chunk of `group` of `track`.
    pub fn push(&self, track: &TrackName, group: GroupId, chunk: Chunk) {
        if let Some(first) = chunk.frames.first() {
            let age = UtcTime::from(SystemTime::now()).saturating_since(first.arrived);
            self.metrics.chunk_received(track, age);
            self.observe_capture(track, first);
        }
        self.update(|timeline| timeline.push(track, group, chunk));
    }

    /// A traced group begins, of which [`Self::push`] brings the chunks.
    pub(crate) fn arrived(&self, arrival: Arc<Arrival>) {
        self.arrivals.note(arrival);
    }

    /// Somebody was sent what of a track begins in `span`.
    fn served(&self, locator: &Locator, span: RangeInclusive<MediaTime>, by: Stage) {
        self.arrivals.served((&locator.track, locator.period), span, by);
    }

    /// What to add to `T0` plus media time to get the UTC time at which a picture was taken.
    pub fn capture_offset_ms(&self) -> i64 {
        lock(&self.capture_clock).offset_ms()
    }

    fn observe_capture(&self, track: &TrackName, frame: &Frame) {
        let Some(snapshot) = self.snapshot() else { return };
        let main = snapshot.current().and_then(|period| period.tracks.first());
        if main.is_some_and(|main| main.name == *track) {
            lock(&self.capture_clock).observe(snapshot.t0, frame);
        }
    }

    /// Says that `group` of `track` is whole.
    pub fn end_group(&self, track: &TrackName, group: GroupId) {
        self.update(|timeline| timeline.end_group(track, group));
    }

    /// Says that the rest of `group` of `track` will never arrive (its stream was reset). Without
    /// it the groups behind wait for a few seconds of media first.
    pub fn lose_group(&self, track: &TrackName, group: GroupId) {
        self.update(|timeline| timeline.lose_group(track, group));
    }

    /// The older groups to fetch next, at most `max`; see [`Timeline::missing`].
    pub fn missing(&self, max: usize) -> Vec<Missing> {
        let mut missing = Vec::new();
        self.update(|timeline| missing = timeline.missing(max));
        missing
    }

    /// Takes all of a group that [`Self::missing`] named.
    pub fn push_older(&self, track: &TrackName, group: GroupId, chunks: Vec<Chunk>) {
        self.update(|timeline| timeline.push_older(track, group, chunks));
    }

    /// Says that a group that [`Self::missing`] named is not to be had.
    pub fn no_older(&self, track: &TrackName, group: GroupId) {
        self.update(|timeline| timeline.no_older(track, group));
    }

    /// Takes chunks that [`Self::push`] would have taken had they come in time.
    pub fn push_fetched(&self, track: &TrackName, group: GroupId, chunks: Vec<Chunk>) {
        self.update(|timeline| {
            chunks.into_iter().for_each(|chunk| timeline.push(track, group, chunk));
        });
    }

    /// What can be served now; `None` before the first catalog.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.borrow().clone()
    }

    /// Follows the snapshots: one for every segment that begins or ends, and every catalog.
    pub fn follow(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.snapshot.subscribe()
    }

    /// Drops all media and what was made of it. `catalog`, the newest one, still describes it, as to an
    /// edge that has just joined.
    pub fn empty(&self, catalog: Option<&Catalog>) {
        if let Some(settling) = lock(&self.settling).take() {
            settling.abort();
        }
        self.update(|timeline| {
            timeline.clear();
            if let Some(catalog) = catalog {
                timeline.set_catalog(catalog);
            }
        });
        *lock(&self.manifest) = None;
        self.playlists.clear();
    }

    /// Drops all media and tells the readers.
    fn close(&self) {
        self.empty(None);
    }

    fn update(&self, change: impl FnOnce(&mut Timeline)) {
        let mut timeline = lock(&self.timeline);
        let before = timeline.bytes() as i64;
        change(&mut timeline);
        self.metrics.kept_bytes.add(timeline.bytes() as i64 - before);
        let faults = timeline.take_faults();
        // Sent under the lock, so that snapshots come in the order they were taken.
        let segments = timeline.changed();
        if segments || (timeline.parted() && self.playlists.any_open()) {
            let snapshot = timeline.snapshot();
            // First what media is found by, and then the playlists that say it is there.
            if segments {
                self.snapshot.send_replace(snapshot.clone());
            }
            if let Some(snapshot) = &snapshot {
                self.playlists.publish(snapshot, segments);
            }
        }
        drop(timeline);
        if !faults.is_empty() {
            for (fault, name) in Fault::ALL.into_iter().filter(|(fault, _)| faults.of(*fault) > 0) {
                self.metrics.fault(name, faults.of(fault));
                let count = faults.of(fault);
                match fault {
                    Fault::Late
                    | Fault::Duplicate
                    | Fault::LostGroup
                    | Fault::Unserved
                    | Fault::UnknownTrack => {
                        debug!(broadcast = %self.id, fault = name, count, "media not used");
                    }
                    _ => warn!(broadcast = %self.id, fault = name, count, "relay fault"),
                }
            }
        }
    }

    /// Lets a request wait, unless too many do. A viewer that hangs up ends the wait by dropping it.
    fn hold(&self) -> Option<Held<'_>> {
        hold(&self.held, &self.metrics)
    }

    /// What `find` finds in this broadcast. Until there is such a thing, whoever asks is held.
    async fn once<T>(
        &self,
        asks: &Asks<'_>,
        mut find: impl FnMut(&Self) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = find(self) {
            return Some(found);
        }
        let _held = self.hold()?;
        let mut follow = self.follow();
        let begun = async {
            loop {
                if let Some(found) = find(self) {
                    return Some(found);
                }
                follow.changed().await.ok()?;
            }
        };
        tokio::time::timeout_at(asks.held_until(), begun).await.ok().flatten()
    }

    /// What can be served, once anybody has published.
    fn begun(&self) -> Option<Arc<Snapshot>> {
        self.snapshot().filter(|snapshot| !snapshot.periods.is_empty())
    }

    /// Settles the timeline a moment from now; a call meanwhile starts the moment anew.
    fn settle_later(self: &Arc<Self>) {
        let live = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            tokio::time::sleep(SETTLE_AFTER).await;
            if let Some(live) = live.upgrade() {
                live.update(Timeline::settle);
            }
        });
        if let Some(former) = lock(&self.settling).replace(task.abort_handle()) {
            former.abort();
        }
    }

    /// The MPD, rendered at most once per snapshot; `None` while there is too little to describe.
    fn manifest(&self) -> Option<Manifest> {
        let snapshot = self.snapshot()?;
        let mut cached = lock(&self.manifest);
        if let Some(manifest) = cached.as_ref().filter(|m| Arc::ptr_eq(&m.snapshot, &snapshot)) {
            return Some(manifest.clone());
        }
        if !snapshot.is_playable() {
            return None;
        }
        // The publish time moves only if anything else did (ISO/IEC 23009-1 §5.3.1.2).
        if let Some(manifest) = cached.as_mut()
            && manifest.document.is(&dash::render(&snapshot, manifest.published))
        {
            manifest.snapshot = snapshot;
            return Some(manifest.clone());
        }
        let published = UtcTime::from(SystemTime::now());
        let document = Arc::new(Document::new(dash::render(&snapshot, published)));
        Some(cached.insert(Manifest { snapshot, published, document }).clone())
    }
}

fn hold<'a>(held: &'a Semaphore, metrics: &'a Metrics) -> Option<Held<'a>> {
    let Ok(permit) = held.try_acquire() else {
        metrics.held_refused();
        return None;
    };
    Some(Held { _permit: permit, _counted: metrics.hold() })
}

/// Locks, whatever a panic elsewhere left behind: what is locked here is replaced whole or rebuilt
/// from the relay, and one session's panic must not take its neighbours with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
