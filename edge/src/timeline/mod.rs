//! The timeline: what an edge can serve over HTTP now, as periods, tracks, segments and chunks.
//!
//! It turns catalogs and chunks, in whatever order the relay delivers them, into segments that are
//! the same bytes under the same number at every edge. It owns that order, the window and its
//! bounds. It is pure: no socket, no task, no clock. A manifest is rendered from its [`Snapshot`],
//! a media request is answered from a [`Segment`]; LL-DASH and LL-HLS share both.
//!
//! What makes edges agree, wherever each of them joined:
//! - The groups of the main track number the segments ([`SegmentGrid::number`]); group `n` of every
//!   other track belongs to the segment of group `n` of the main track, and waits for it.
//! - A group begins a segment if its index is 0 or its number differs from that of the group before
//!   it. An edge that joins in the middle cannot know this of its first group, so what it serves
//!   begins with the first change of number that it sees: that between two groups which arrive, or,
//!   when older groups have been fetched ([`Timeline::missing`]), the oldest of those.
//! - Chunks of a group are appended in order, and a group only after the end of the one before it.
//!   If a group is lost the segment is [`Tail::damaged`]: served, since a player can step over the
//!   hole, but never to be cached.
//!
//! [`SegmentGrid::number`]: lectern_relay_proto::SegmentGrid::number

mod backfill;
mod fault;
mod locator;
mod numbers;
mod parts;
mod period;
mod segment;
mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod track;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::{Catalog, GroupId, MediaTime, PublisherState, TrackName, UtcTime};

pub use backfill::Missing;
pub use fault::{Fault, Faults};
pub use locator::{Locator, PeriodLocator};
pub(crate) use locator::{escaped, unescaped};
use period::PeriodState;
pub use segment::{Part, Piece, Segment, State, Tail};
pub use snapshot::{Kind, PeriodView, SegmentView, Snapshot, TrackView};

/// The most periods kept, however short: an encoder that reconnects every second fills a window of
/// a minute with them, and a manifest with more is nothing that a player wants.
const PERIODS_MAX: usize = 64;
/// The most bytes of a period to come that are kept before the catalog that describes it: a few
/// seconds at 10 Mb/s. The catalog is one small frame of a higher priority, so it is never far.
const AHEAD_BYTES_MAX: usize = 8 << 20;
/// The most chunks and group ends kept so.
const AHEAD_EVENTS_MAX: usize = 2_048;

/// How much a timeline keeps.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How far back a viewer may seek. Segments stay for two more of their durations, since a
    /// player may ask for one that it saw in a manifest a moment ago.
    pub window: Duration,
    /// The most bytes of media kept per broadcast, all tracks together. When it is reached before
    /// the window is, the oldest segments go first.
    pub bytes_max: usize,
    /// Whether there are comments at this edge; see [`Snapshot::comments`].
    pub comments: bool,
}

impl Default for Config {
    /// Two minutes and 128 MiB, which hold all of two minutes, and of the segments around them, up to
    /// 8 Mb/s: 1080p at the 6 Mb/s that encoders are told to send it with, and its sound twice.
    fn default() -> Self {
        Self { window: Duration::from_secs(120), bytes_max: 128 << 20, comments: false }
    }
}

/// The timeline of one broadcast.
pub struct Timeline {
    config: Config,
    head: Option<Head>,
    periods: VecDeque<PeriodState>,
    ahead: Ahead,
    faults: Faults,
    changed: bool,
    parted: bool,
}

/// What the newest catalog says of the broadcast as a whole.
struct Head {
    t0: UtcTime,
    state: PublisherState,
    period: u32,
}

/// Media of periods whose catalog has not arrived.
#[derive(Default)]
struct Ahead {
    periods: BTreeMap<u32, Vec<(TrackName, u32, Event)>>,
    bytes: usize,
    events: usize,
}

enum Event {
    Chunk(Chunk),
    End,
    Lost,
}

impl Timeline {
    /// An empty timeline.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            head: None,
            periods: VecDeque::new(),
            ahead: Ahead::default(),
            faults: Faults::default(),
            changed: false,
            parted: false,
        }
    }

    /// Takes a newer catalog. One with another `T0` is another broadcast under the same id:
    /// everything of the former is dropped.
    pub fn set_catalog(&mut self, catalog: &Catalog) {
        let id = catalog.period.id;
        match &self.head {
            Some(head) if head.t0 != catalog.t0 => {
                // A broadcast that nobody has published to has no `T0` yet, and nothing to lose.
                if !self.periods.is_empty() {
                    self.faults.count(Fault::Restarted);
                }
                self.clear();
            }
            Some(head) if id < head.period => {
                self.faults.count(Fault::StaleCatalog);
                return;
            }
            _ => {}
        }
        self.head = Some(Head { t0: catalog.t0, state: catalog.state, period: id });
        self.changed = true;
        if catalog.main_track().is_none() {
            // Nobody has published since the origin began; its period is not one to be shown.
            return;
        }
        let last = self.periods.back_mut().filter(|period| period.id() == id);
        match last {
            Some(period) => period.describe(catalog, &mut self.faults),
            None => {
                let former = self.periods.back();
                let period = PeriodState::new(catalog, former, &mut self.faults);
                self.periods.push_back(period);
            }
        }
        self.replay(id);
        self.evict();
    }

    /// Takes a chunk of `group` of `track`.
    pub fn push(&mut self, track: &TrackName, group: GroupId, chunk: Chunk) {
        self.apply(track, group, Event::Chunk(chunk));
    }

    /// Says that `group` of `track` is whole.
    pub fn end_group(&mut self, track: &TrackName, group: GroupId) {
        self.apply(track, group, Event::End);
    }

    /// Says that the rest of `group` of `track` will never arrive.
    pub fn lose_group(&mut self, track: &TrackName, group: GroupId) {
        self.apply(track, group, Event::Lost);
    }

    /// The groups from before this edge joined that are to be fetched next, at most `max`: newest
    /// first, as far as the window and its bytes reach. Empty when there are none, or none before
    /// more has arrived.
    pub fn missing(&mut self, max: usize) -> Vec<Missing> {
        let Some(edge) = self.end() else { return Vec::new() };
        let mut missing = Vec::new();
        for period in self.periods.iter_mut().rev() {
            missing = period.missing(edge, self.config.window, max, &mut self.faults);
            self.changed |= period.take_changed();
            if !missing.is_empty() {
                break;
            }
        }
        missing
    }

    /// Takes all of a group that [`Self::missing`] named. What would push newer media out of the
    /// cache is not taken, and nothing older asked for.
    pub fn push_older(&mut self, track: &TrackName, group: GroupId, chunks: Vec<Chunk>) {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        if self.bytes().saturating_add(bytes) > self.config.bytes_max {
            self.close_fronts();
            return;
        }
        self.apply_older(track, group, Some(chunks));
    }

    /// Says that upstream has no more of a group that [`Self::missing`] named.
    pub fn no_older(&mut self, track: &TrackName, group: GroupId) {
        self.apply_older(track, group, None);
    }

    fn apply_older(&mut self, track: &TrackName, group: GroupId, chunks: Option<Vec<Chunk>>) {
        let period = self.periods.iter_mut().find(|period| period.id() == group.period);
        let Some(period) = period else {
            self.faults.count(Fault::Late);
            return;
        };
        self.changed |= period.push_older(track, group.index, chunks, &mut self.faults);
        self.evict();
    }

    fn close_fronts(&mut self) {
        for period in &mut self.periods {
            self.changed |= period.close_fronts(&mut self.faults);
        }
    }

    /// Bytes of media that are kept.
    pub fn bytes(&self) -> usize {
        self.periods.iter().map(PeriodState::bytes).sum()
    }

    /// Ends the segments that nothing more will be added to: those of periods that are over, which
    /// is every period but the current one, and that too unless the encoder is publishing.
    ///
    /// To be called a moment after the catalog that says so, for it may overtake media.
    pub fn settle(&mut self) {
        let Some(head) = &self.head else { return };
        let live = head.state == PublisherState::Live;
        let current = head.period;
        for period in self.periods.iter_mut().filter(|p| !live || p.id() < current) {
            self.changed |= period.settle(&mut self.faults);
        }
        self.evict();
    }

    /// Whether [`Self::snapshot`] would differ from the last one in more than parts of segments in
    /// progress.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// Whether it would differ from the last one in parts of segments in progress. Chunks alone do
    /// not change it.
    pub fn parted(&self) -> bool {
        self.parted
    }

    /// What can be served now; `None` before the first catalog.
    pub fn snapshot(&mut self) -> Option<Arc<Snapshot>> {
        self.changed = false;
        self.parted = false;
        let head = self.head.as_ref()?;
        let periods = self.periods.iter().map(PeriodState::view).collect();
        Some(Arc::new(Snapshot {
            t0: head.t0,
            state: head.state,
            window: self.config.window,
            comments: self.config.comments,
            periods,
        }))
    }

    /// What went wrong since the last call.
    pub fn take_faults(&mut self) -> Faults {
        std::mem::take(&mut self.faults)
    }

    /// Drops everything; readers of segments are told.
    pub fn clear(&mut self) {
        for period in &mut self.periods {
            period.withdraw();
        }
        self.periods.clear();
        self.ahead = Ahead::default();
        self.head = None;
        self.changed = true;
    }

    fn apply(&mut self, track: &TrackName, group: GroupId, event: Event) {
        let Some(at) = self.periods.iter().rposition(|period| period.id() == group.period) else {
            let to_come = self.head.as_ref().is_none_or(|head| group.period > head.period);
            if to_come {
                self.keep_ahead(track, group, event);
            } else if matches!(event, Event::Chunk(_)) {
                self.faults.count(Fault::Late);
            }
            return;
        };
        self.apply_at(at, track, group.index, event);
        if self.changed {
            self.evict();
        }
    }

    fn apply_at(&mut self, at: usize, track: &TrackName, index: u32, event: Event) {
        let open_bytes_max = self.config.bytes_max / 2;
        let faults = &mut self.faults;
        let Some(period) = self.periods.get_mut(at) else { return };
        self.changed |= match event {
            Event::Chunk(chunk) => period.push(track, index, chunk, open_bytes_max, faults),
            Event::End => period.end_group(track, index, faults),
            Event::Lost => period.lose_group(track, index, faults),
        };
        self.parted |= period.take_parted();
        // A track goes on in the next period only after its last group in this one.
        for former in self.periods.iter_mut().take(at) {
            self.changed |= former.finish(track);
        }
    }

    fn keep_ahead(&mut self, track: &TrackName, group: GroupId, event: Event) {
        let bytes = if let Event::Chunk(chunk) = &event { chunk.bytes.len() } else { 0 };
        let full = self.ahead.events >= AHEAD_EVENTS_MAX
            || self.ahead.bytes.saturating_add(bytes) > AHEAD_BYTES_MAX;
        if full {
            self.faults.count(Fault::Overflow);
            return;
        }
        self.ahead.bytes += bytes;
        self.ahead.events += 1;
        let events = self.ahead.periods.entry(group.period).or_default();
        events.push((track.clone(), group.index, event));
    }

    /// Applies what arrived before the catalog of period `id`, and forgets what came for periods
    /// that never got one.
    fn replay(&mut self, id: u32) {
        let later = self.ahead.periods.split_off(&id.saturating_add(1));
        let mut due = std::mem::replace(&mut self.ahead.periods, later);
        let at = self.periods.len().saturating_sub(1);
        for (track, index, event) in due.remove(&id).into_iter().flatten() {
            self.apply_at(at, &track, index, event);
        }
        let kept = || self.ahead.periods.values().flatten();
        self.ahead.events = kept().count();
        self.ahead.bytes = kept()
            .map(
                |(_, _, event)| if let Event::Chunk(chunk) = event { chunk.bytes.len() } else { 0 },
            )
            .sum();
    }

    /// Keeps the window and its byte bound.
    fn evict(&mut self) {
        let Some(edge) = self.periods.iter().filter_map(PeriodState::end).max() else { return };
        for period in &mut self.periods {
            let slack = Duration::from_millis(2 * u64::from(period.grid().duration_ms()));
            let keep = self.config.window + slack;
            self.changed |= period.evict_before(edge, keep);
        }
        if self.bytes() > self.config.bytes_max {
            self.close_fronts();
        }
        while self.bytes() > self.config.bytes_max {
            let evicted = self.periods.iter_mut().any(PeriodState::evict_oldest);
            if !evicted {
                break;
            }
            self.changed = true;
        }
        while self.periods.len() > 1
            && (self.periods.len() > PERIODS_MAX
                || self.periods.front().is_some_and(PeriodState::is_spent))
        {
            if let Some(mut period) = self.periods.pop_front() {
                period.withdraw();
                self.changed = true;
            }
        }
    }

    /// Media time of the newest frame; `None` before there is one.
    pub fn end(&self) -> Option<MediaTime> {
        self.periods.iter().filter_map(PeriodState::end).max()
    }
}
