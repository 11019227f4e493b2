//! One period: its tracks, and how the main track's groups let the others go on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::{
    AudioTrack, Catalog, GroupId, MediaTime, Period, SegmentGrid, Timescale, TrackName, UtcTime,
    VideoTrack,
};

use super::backfill::{self, Front, Missing};
use super::fault::{Fault, Faults};
use super::locator::Locator;
use super::numbers::Numbers;
use super::parts::{self, Cutter};
use super::segment::{Segment, State};
use super::snapshot::{Kind, PeriodView, SegmentView, TrackView};
use super::track::{Context, Track};

/// A period of the timeline.
pub(super) struct PeriodState {
    info: Period,
    numbers: Numbers,
    /// The main track first.
    tracks: Vec<Described>,
    early: Duration,
}

/// A track and what the catalog says of it.
struct Described {
    name: TrackName,
    locator: Arc<str>,
    kind: Kind,
    codec: String,
    init: Bytes,
    timescale: Timescale,
    /// Stated by the encoder, or measured in the period before.
    bitrate: Option<u64>,
    track: Track,
}

impl PeriodState {
    /// The period that `catalog` describes, after `former`.
    pub(super) fn new(catalog: &Catalog, former: Option<&Self>, faults: &mut Faults) -> Self {
        let mut period = Self {
            info: catalog.period,
            numbers: Numbers::new(catalog.period.grid),
            tracks: Vec::new(),
            early: Duration::ZERO,
        };
        period.describe(catalog, faults);
        for described in &mut period.tracks {
            let before = former.and_then(|former| former.find(&described.name));
            described.bitrate = described.bitrate.or_else(|| before?.bitrate());
        }
        period
    }

    /// Takes another catalog of this same period: tracks may be added, what is there stays.
    pub(super) fn describe(&mut self, catalog: &Catalog, faults: &mut Faults) {
        if catalog.period != self.info {
            faults.count(Fault::ChangedPeriod);
        }
        let (t0, id) = (catalog.t0, self.info.id);
        let video = catalog.video.iter().map(|track| Described::video(track, t0, id));
        let audio = catalog.audio.iter().filter_map(|track| Described::audio(track, t0, id));
        for new in video.chain(audio) {
            match self.tracks.iter_mut().find(|old| old.name == new.name) {
                None => self.tracks.push(new),
                Some(old) if old.init != new.init => faults.count(Fault::ChangedPeriod),
                Some(old) => old.bitrate = new.bitrate.or(old.bitrate),
            }
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.info.id
    }

    pub(super) fn grid(&self) -> SegmentGrid {
        self.info.grid
    }

    /// Takes a chunk; returns whether segments changed.
    pub(super) fn push(
        &mut self,
        track: &TrackName,
        index: u32,
        chunk: Chunk,
        open_bytes_max: usize,
        faults: &mut Faults,
    ) -> bool {
        let known = self.with(track, open_bytes_max, faults, |track, cx| {
            track.push(index, chunk, cx);
        });
        if !known {
            faults.count(Fault::UnknownTrack);
        }
        self.take_changed()
    }

    pub(super) fn end_group(&mut self, track: &TrackName, index: u32, faults: &mut Faults) -> bool {
        self.with(track, usize::MAX, faults, |track, cx| track.end_group(index, cx));
        self.take_changed()
    }

    pub(super) fn lose_group(
        &mut self,
        track: &TrackName,
        index: u32,
        faults: &mut Faults,
    ) -> bool {
        self.with(track, usize::MAX, faults, |track, cx| track.lose_group(index, cx));
        self.take_changed()
    }

    /// Applies `f` to a track, and lets the others go on if it was the main one.
    fn with(
        &mut self,
        name: &TrackName,
        open_bytes_max: usize,
        faults: &mut Faults,
        f: impl FnOnce(&mut Track, &mut Context<'_>),
    ) -> bool {
        let Some(at) = self.tracks.iter().position(|described| described.name == *name) else {
            return false;
        };
        let main = at == 0;
        let before = self.numbers.last_index();
        let cutter = self.tracks[at].cutter();
        let mut cx = Context { numbers: &mut self.numbers, main, cutter, open_bytes_max, faults };
        f(&mut self.tracks[at].track, &mut cx);
        if main && cx.numbers.last_index() != before {
            cx.main = false;
            for follower in self.tracks.iter_mut().skip(1) {
                cx.cutter = follower.cutter();
                follower.track.advance(&mut cx);
                follower.track.cut_front(&mut cx);
            }
        }
        true
    }

    /// The groups to fetch next: of all tracks the newest that are missing at the front, at most
    /// `max`, newest first and the main track before the others. None that lie before the window,
    /// which reaches back from `edge`.
    pub(super) fn missing(
        &mut self,
        edge: MediaTime,
        window: Duration,
        max: usize,
        faults: &mut Faults,
    ) -> Vec<Missing> {
        for described in &mut self.tracks {
            let far = |(_, start)| backfill::depth(start, edge, window) == 0;
            if !described.track.front().is_over() && described.track.first().is_some_and(far) {
                described.track.finish_front();
            }
        }
        self.tidy(faults);
        let period = self.info.id;
        let mut missing: Vec<Missing> = Vec::new();
        for described in self.tracks.iter().filter(|d| !d.track.front().is_over()) {
            let Some((first, start)) = described.track.first() else { continue };
            for index in (0..first).rev().take(backfill::depth(start, edge, window) as usize) {
                let group = GroupId { period, index };
                let (track, timescale) = (described.name.clone(), described.timescale);
                missing.push(Missing { track, timescale, group });
            }
        }
        missing.sort_by_key(|missing| std::cmp::Reverse(missing.group));
        missing.truncate(max);
        missing
    }

    /// Takes a group that [`Self::missing`] named, or that it is not to be had if there is none.
    pub(super) fn push_older(
        &mut self,
        track: &TrackName,
        index: u32,
        chunks: Option<Vec<Chunk>>,
        faults: &mut Faults,
    ) -> bool {
        let Some(at) = self.tracks.iter().position(|described| described.name == *track) else {
            return false;
        };
        let main = at == 0;
        let (numbers, cutter) = (&mut self.numbers, self.tracks[at].cutter());
        let mut cx = Context { numbers, main, cutter, open_bytes_max: usize::MAX, faults };
        let track = &mut self.tracks[at].track;
        match chunks {
            Some(chunks) => track.push_older(index, chunks, &mut cx),
            None => track.miss_older(index, &mut cx),
        }
        if main {
            cx.main = false;
            for follower in self.tracks.iter_mut().skip(1) {
                cx.cutter = follower.cutter();
                follower.track.advance(&mut cx);
                follower.track.cut_front(&mut cx);
            }
        }
        self.tidy(faults);
        let main = self.tracks.first().map(|main| main.track.segments().iter());
        let early = main.into_iter().flatten().map(|segment| earliness(&self.info, segment)).max();
        self.early = self.early.max(early.unwrap_or_default());
        self.take_changed()
    }

    /// Gives up what stands before the segments wherever its beginning cannot come any more: nothing
    /// numbers a group that is older than all of the main track's.
    fn tidy(&mut self, faults: &mut Faults) {
        let Some(main) = self.tracks.first().map(|main| &main.track) else { return };
        if !main.front().is_over() {
            return;
        }
        let Some((oldest, _)) = main.first() else { return };
        for track in self.tracks.iter_mut().map(|described| &mut described.track) {
            if !track.front().is_over() && track.first().is_some_and(|(first, _)| first <= oldest) {
                track.finish_front();
            }
            if track.front().is_over() && track.front().is_stranded(&self.numbers) {
                track.close_front(faults);
            }
        }
    }

    /// Gives up what stands before the segments; returns whether there was anything.
    pub(super) fn close_fronts(&mut self, faults: &mut Faults) -> bool {
        for track in self.tracks.iter_mut().map(|described| &mut described.track) {
            if !track.front().is_closed() {
                track.close_front(faults);
            }
        }
        self.take_changed()
    }

    /// Whether segments changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        let mut changed = false;
        for (at, described) in self.tracks.iter_mut().enumerate() {
            let new = described.track.take_changed();
            changed |= new;
            if new && at == 0 {
                let starts = described.track.segments().iter().rev().take(2);
                let early = starts.map(|segment| earliness(&self.info, segment)).max();
                self.early = self.early.max(early.unwrap_or_default());
            }
        }
        changed
    }

    /// Whether parts of segments in progress were completed since the last call.
    pub(super) fn take_parted(&mut self) -> bool {
        let parted = |parted, described: &mut Described| described.track.take_parted() || parted;
        self.tracks.iter_mut().fold(false, parted)
    }

    /// Completes the last segment of a track that goes on in a later period.
    pub(super) fn finish(&mut self, track: &TrackName) -> bool {
        if let Some(described) = self.tracks.iter_mut().find(|d| d.name == *track) {
            described.track.finish();
        }
        self.take_changed()
    }

    /// Completes what is in progress; see [`super::Timeline::settle`].
    pub(super) fn settle(&mut self, faults: &mut Faults) -> bool {
        self.tracks.iter_mut().for_each(|described| described.track.settle(faults));
        self.take_changed()
    }

    pub(super) fn withdraw(&mut self) {
        self.tracks.iter_mut().for_each(|described| described.track.withdraw());
    }

    pub(super) fn evict_before(&mut self, edge: MediaTime, keep: Duration) -> bool {
        self.tracks.iter_mut().for_each(|described| described.track.evict_before(edge, keep));
        self.take_changed()
    }

    /// Drops the oldest segment that is complete; `false` if there is none.
    pub(super) fn evict_oldest(&mut self) -> bool {
        let oldest = self
            .tracks
            .iter_mut()
            .filter_map(|d| Some((d.track.first_complete()?.start(), &mut d.track)))
            .min_by_key(|(start, _)| *start);
        let Some((_, track)) = oldest else { return false };
        track.evict_first();
        self.take_changed();
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.tracks.iter().map(|described| described.track.bytes()).sum()
    }

    /// Where its media ends.
    pub(super) fn end(&self) -> Option<MediaTime> {
        self.tracks.iter().filter_map(|described| described.track.end()).max()
    }

    /// Whether nothing of it can be served.
    pub(super) fn is_spent(&self) -> bool {
        self.tracks.iter().all(|described| described.track.is_spent())
    }

    fn find(&self, name: &TrackName) -> Option<&Described> {
        self.tracks.iter().find(|described| described.name == *name)
    }

    pub(super) fn view(&self) -> PeriodView {
        let mut tracks: Vec<_> = self.tracks.iter().map(Described::view).collect();
        // What others hold before segments is cut where the main track's begin. One that has begun none and gets
        // nothing older begins with what is still to arrive.
        let main = self.tracks.first().map(|main| main.track.front());
        if main.is_some_and(Front::is_over) && self.numbers.last_index().is_none() {
            tracks.iter_mut().for_each(|track| track.older_to_come = false);
        }
        PeriodView { info: self.info, tracks, last_number: self.numbers.last(), early: self.early }
    }
}

impl Described {
    fn video(track: &VideoTrack, t0: UtcTime, period: u32) -> Self {
        let kind =
            Kind::Video { width: track.width, height: track.height, framerate: track.framerate };
        Self {
            name: track.name.clone(),
            locator: Locator::new(&track.name, t0, period).to_string().into(),
            kind,
            codec: track.codec.clone(),
            init: track.init.clone(),
            timescale: Timescale::VIDEO,
            bitrate: track.bitrate.filter(|&rate| rate > 0),
            track: Track::default(),
        }
    }

    fn audio(track: &AudioTrack, t0: UtcTime, period: u32) -> Option<Self> {
        let kind = Kind::Audio { sample_rate: track.sample_rate, channels: track.channels };
        Some(Self {
            name: track.name.clone(),
            locator: Locator::new(&track.name, t0, period).to_string().into(),
            kind,
            codec: track.codec.clone(),
            init: track.init.clone(),
            timescale: Timescale::new(track.sample_rate)?,
            bitrate: track.bitrate.filter(|&rate| rate > 0),
            track: Track::default(),
        })
    }

    fn cutter(&self) -> Cutter {
        Cutter::new(parts::target(&self.kind), self.timescale)
    }

    fn bitrate(&self) -> Option<u64> {
        // In steps of about a tenth, so that the figure settles.
        let measured = self.track.bitrate_max().map(|rate| {
            let step = 10u64.pow(rate.max(1).ilog10().saturating_sub(1));
            rate.div_ceil(step) * step
        });
        self.bitrate.max(measured)
    }

    fn view(&self) -> TrackView {
        TrackView {
            name: self.name.clone(),
            locator: self.locator.clone(),
            kind: self.kind.clone(),
            codec: self.codec.clone(),
            init: self.init.clone(),
            timescale: self.timescale,
            bitrate: self.bitrate(),
            older_to_come: self.track.first().is_some() && self.track.front().may_give(),
            chunk_ticks_max: self.track.chunk_ticks_max(),
            part_target: parts::target(&self.kind),
            segments: self.track.segments().iter().map(SegmentView::new).collect(),
        }
    }
}

impl SegmentView {
    fn new(segment: &Arc<Segment>) -> Self {
        let tail = segment.tail();
        Self {
            number: segment.number(),
            start: segment.start(),
            end: tail.end,
            complete: tail.state == State::Complete,
            damaged: tail.damaged,
            parts: tail.parts.clone(),
            segment: segment.clone(),
        }
    }
}

/// By how much a segment began before the time that its number and the period's start give it.
fn earliness(period: &Period, segment: &Segment) -> Duration {
    let first = period.grid.number(MediaTime::from_millis(period.start_ms));
    let segments = segment.number().saturating_sub(first);
    let nominal_ms = segments.saturating_mul(u64::from(period.grid.duration_ms()));
    let nominal_ms = nominal_ms.saturating_add(period.start_ms);
    MediaTime::from_millis(nominal_ms).saturating_since(segment.start())
}
