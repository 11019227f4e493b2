//! One track of a period: brings its groups into order and cuts them into segments.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::MediaTime;
use lectern_relay_proto::cmaf::Chunk;

use super::backfill::Front;
use super::fault::{Fault, Faults};
use super::numbers::{Known, Numbers};
use super::parts::Cutter;
use super::segment::Segment;

/// How much media may wait behind a group that has not ended, is missing, or has no number yet,
/// before that group is given up. Audio waits for the keyframe of its group, which encoders send up
/// to a second later; longer than this is a stall that viewers see whatever happens.
const HELD_SPAN_MAX: Duration = Duration::from_secs(3);
/// The most bytes that wait so: the span above at 20 Mb/s.
const HELD_BYTES_MAX: usize = 8 << 20;
/// The most chunks that wait so.
const HELD_CHUNKS_MAX: usize = 1_024;
/// The most groups that wait so; an empty group costs an entry too.
const HELD_GROUPS_MAX: usize = 256;

/// The order of a track's groups, and its segments.
#[derive(Default)]
pub(super) struct Track {
    current: Option<Current>,
    held: BTreeMap<u32, Held>,
    held_bytes: usize,
    held_chunks: usize,
    segments: VecDeque<Arc<Segment>>,
    /// Bytes of complete segments.
    complete_bytes: usize,
    /// Whether the last of the segments is in progress.
    open: bool,
    /// Whether chunks of the current group go into the open segment.
    serving: bool,
    /// What stands before the segments.
    front: Front,
    /// Whether chunks of the current group wait in the front.
    fronting: bool,
    last_dts: Option<MediaTime>,
    /// Bits per second of the segment with the most of them.
    bitrate_max: Option<u64>,
    chunk_ticks_max: u32,
    changed: bool,
    parted: bool,
}

struct Current {
    index: u32,
    ended: bool,
}

#[derive(Default)]
struct Held {
    chunks: VecDeque<Chunk>,
    ended: bool,
}

/// What a track needs of its period to go on.
pub(super) struct Context<'a> {
    pub(super) numbers: &'a mut Numbers,
    /// Whether this track is the one that numbers the groups.
    pub(super) main: bool,
    /// Where its segments are cut into parts.
    pub(super) cutter: Cutter,
    /// The most bytes of a segment in progress.
    pub(super) open_bytes_max: usize,
    pub(super) faults: &'a mut Faults,
}

impl Track {
    /// Takes a chunk, and whatever was waiting for it.
    pub(super) fn push(&mut self, index: u32, chunk: Chunk, cx: &mut Context<'_>) {
        if chunk.frames.is_empty() {
            cx.faults.count(Fault::Malformed);
            return;
        }
        match &self.current {
            Some(current) if index < current.index || (index == current.index && current.ended) => {
                cx.faults.count(Fault::Late);
            }
            Some(current) if index == current.index => self.append(&chunk, cx),
            _ => {
                self.held_bytes += chunk.bytes.len();
                self.held_chunks += 1;
                self.held.entry(index).or_default().chunks.push_back(chunk);
                self.advance(cx);
            }
        }
    }

    /// Group `index` is whole.
    pub(super) fn end_group(&mut self, index: u32, cx: &mut Context<'_>) {
        match &mut self.current {
            Some(current) if index < current.index => return,
            Some(current) if index == current.index => current.ended = true,
            _ => self.held.entry(index).or_default().ended = true,
        }
        self.advance(cx);
    }

    /// The rest of group `index` will never come.
    pub(super) fn lose_group(&mut self, index: u32, cx: &mut Context<'_>) {
        match &mut self.current {
            Some(current) if index < current.index => return,
            Some(current) if index == current.index => {
                if !current.ended {
                    current.ended = true;
                    self.lost(cx.faults);
                }
            }
            // Half a group is no better than none: its segment is damaged either way.
            _ => {
                let held = self.held.entry(index).or_default();
                held.ended = true;
                let (chunks, bytes) = held.clear();
                self.held_chunks -= chunks;
                self.held_bytes -= bytes;
            }
        }
        self.advance(cx);
    }

    /// Goes on to the groups that wait, as far as order and numbers allow.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        loop {
            let force = self.overfull();
            if let Some(current) = &mut self.current
                && !current.ended
            {
                if !force {
                    return;
                }
                current.ended = true;
                self.lost(cx.faults);
            }
            if self.current.is_none() && !force && !self.may_begin(cx) {
                return;
            }
            let Some((&index, held)) = self.held.first_key_value() else { return };
            let next = self.current.as_ref().is_none_or(|current| current.index + 1 == index);
            if !next && !force {
                return;
            }
            let start = held.chunks.front().and_then(|chunk| chunk.frames.first());
            let start = start.map(|frame| (frame.dts, frame.keyframe));
            let known = match start {
                Some((start, true)) => {
                    if cx.main && cx.numbers.learn(index, start) {
                        cx.faults.count(Fault::SkippedNumber);
                    }
                    cx.numbers.of(index)
                }
                // It has ended without a chunk, or its first chunks are missing.
                None if held.ended => Known::Never,
                None => return,
                Some((_, false)) => {
                    cx.faults.count(Fault::Malformed);
                    Known::Never
                }
            };
            if known == Known::NotYet && !force {
                return;
            }
            if !next {
                self.lost(cx.faults);
            }
            let joining = self.current.is_none();
            let Some((_, held)) = self.held.pop_first() else { return };
            self.held_chunks -= held.chunks.len();
            self.held_bytes -= held.chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
            self.current = Some(Current { index, ended: held.ended });
            self.fronting = false;
            if let Some((start, true)) = start {
                self.front.note(index, start);
            }
            match (known, start) {
                (Known::Number { number, begins }, Some((start, _))) => {
                    self.begin(index, number, begins, start, cx);
                }
                // The main track has not come to it, or joined later and may yet fetch it.
                (_, Some((_, true))) if self.front.takes_live(cx.main) => self.wait_in_front(index),
                _ => {
                    if !joining {
                        self.lost(cx.faults);
                    }
                    self.serving = false;
                }
            }
            for chunk in &held.chunks {
                self.append(chunk, cx);
            }
            self.cut_front(cx);
        }
    }

    /// Whether the first group may be taken. An edge that joins in the middle cannot serve anything
    /// before the first change of number, so until it sees that, it keeps what arrives: of the groups
    /// that it joins with, a later one may come first, and the earlier one says whether it begins a
    /// segment.
    fn may_begin(&self, cx: &Context<'_>) -> bool {
        let (Some((&first, _)), Some((&last, _))) =
            (self.held.first_key_value(), self.held.last_key_value())
        else {
            return false;
        };
        let number = |held: Option<&Held>| {
            let frame = held?.chunks.front()?.frames.first()?;
            Some(cx.numbers.at(frame.dts))
        };
        first == 0
            // The main track has been here, and its groups were in order.
            || (!cx.main && cx.numbers.of(first) != Known::NotYet)
            || (cx.main && number(self.held.get(&first)) != number(self.held.get(&last)))
    }

    /// Group `index`, the next, belongs to segment `number`; decides whether its chunks can be served.
    fn begin(
        &mut self,
        index: u32,
        number: u64,
        begins: bool,
        start: MediaTime,
        cx: &mut Context<'_>,
    ) {
        let last = self.segments.back().map(|segment| segment.number());
        if last == Some(number) {
            self.serving = self.open;
            return;
        }
        if last.is_some_and(|last| number < last) || self.last_dts.is_some_and(|dts| start <= dts) {
            cx.faults.count(Fault::Backward);
            self.serving = false;
            return;
        }
        self.complete();
        self.serving = begins;
        if !begins && self.front.takes_live(cx.main) {
            self.wait_in_front(index);
        }
        if begins {
            self.front.seal();
            self.segments.push_back(Arc::new(Segment::new(number, start, cx.cutter)));
            self.open = true;
            self.changed = true;
        }
    }

    fn wait_in_front(&mut self, index: u32) {
        self.front.begin(index);
        self.fronting = true;
        self.serving = false;
    }

    /// Makes segments of what stands before them, as far as beginnings are known.
    pub(super) fn cut_front(&mut self, cx: &mut Context<'_>) {
        while let Some(run) = self.front.cut(cx.numbers) {
            let start = run.chunks.first().and_then(|chunk| chunk.frames.first());
            let Some(start) = start.map(|frame| frame.dts) else { continue };
            if self.segments.front().is_some_and(|first| first.number() <= run.number) {
                cx.faults.count(Fault::Backward);
                continue;
            }
            let segment = Arc::new(Segment::new(run.number, start, cx.cutter));
            for chunk in &run.chunks {
                segment.append(chunk);
                self.note_length(chunk);
            }
            if run.damaged {
                segment.damage();
            }
            if run.live {
                self.segments.push_back(segment);
                self.open = true;
                self.serving = std::mem::take(&mut self.fronting);
            } else {
                self.complete_segment(&segment);
                self.segments.push_front(segment);
            }
            self.changed = true;
        }
    }

    /// Takes the group before all others, whole.
    pub(super) fn push_older(&mut self, index: u32, chunks: Vec<Chunk>, cx: &mut Context<'_>) {
        // Others were asked for with one that turned out to be the last.
        if self.front.is_over() {
            return;
        }
        if self.current.is_none() {
            return self.hold_older(index, chunks, cx);
        }
        match self.front.take(index, chunks) {
            Ok(start) => {
                if cx.main && !cx.numbers.learn_older(index, start) {
                    self.finish_front();
                }
                self.cut_front(cx);
            }
            Err(fault) => {
                cx.faults.count(fault);
                if fault != Fault::Late {
                    self.finish_front();
                }
            }
        }
    }

    /// The same while no group has been taken: it goes before those that wait, and may say that one
    /// of them begins a segment.
    fn hold_older(&mut self, index: u32, chunks: Vec<Chunk>, cx: &mut Context<'_>) {
        if self.held.first_key_value().is_none_or(|(&first, _)| first != index + 1) {
            cx.faults.count(Fault::Late);
            return;
        }
        let first = chunks.first().and_then(|chunk| chunk.frames.first());
        if !first.is_some_and(|frame| frame.keyframe) {
            cx.faults.count(Fault::Malformed);
            self.finish_front();
            return;
        }
        self.held_bytes += chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
        self.held_chunks += chunks.len();
        self.held.insert(index, Held { chunks: chunks.into(), ended: true });
        self.advance(cx);
    }

    fn append(&mut self, chunk: &Chunk, cx: &mut Context<'_>) {
        let (Some(first), Some(last)) = (chunk.frames.first(), chunk.frames.last()) else { return };
        if self.last_dts.is_some_and(|dts| first.dts <= dts) {
            cx.faults.count(Fault::Duplicate);
            return;
        }
        if self.fronting && !self.front.is_sealed() {
            self.last_dts = Some(last.dts);
            if self.front.append(chunk) > cx.open_bytes_max {
                cx.faults.count(Fault::Overflow);
                self.close_front(cx.faults);
            }
            return;
        }
        let segment = self.segments.back().filter(|_| self.open && self.serving);
        let Some(segment) = segment.cloned() else {
            cx.faults.count(Fault::Unserved);
            return;
        };
        self.last_dts = Some(last.dts);
        self.note_length(chunk);
        let appended = segment.append(chunk);
        self.parted |= appended.parted;
        if appended.len > cx.open_bytes_max {
            // It would push everything else out of the cache.
            cx.faults.count(Fault::Overflow);
            self.withdraw_open();
        }
    }

    fn note_length(&mut self, chunk: &Chunk) {
        let (Some(first), Some(last)) = (chunk.frames.first(), chunk.frames.last()) else { return };
        let end = last.dts.ticks.saturating_add(u64::from(last.duration));
        let ticks = u32::try_from(end.saturating_sub(first.dts.ticks)).unwrap_or(u32::MAX);
        self.chunk_ticks_max = self.chunk_ticks_max.max(ticks.min(last.dts.timescale.hz()));
    }

    fn lost(&mut self, faults: &mut Faults) {
        faults.count(Fault::LostGroup);
        self.front.lose();
        self.fronting = false;
        if let Some(segment) = self.open_segment() {
            segment.damage();
            self.changed = true;
        }
    }

    fn open_segment(&self) -> Option<&Arc<Segment>> {
        self.segments.back().filter(|_| self.open)
    }

    fn complete(&mut self) {
        let Some(segment) = self.open_segment().cloned() else { return };
        self.complete_segment(&segment);
        self.open = false;
    }

    fn complete_segment(&mut self, segment: &Segment) {
        segment.complete();
        let (len, end, damaged) = {
            let tail = segment.tail();
            (tail.len, tail.end, tail.damaged)
        };
        let span_us = end.saturating_since(segment.start()).as_micros();
        if let Some(rate) = (len as u128 * 8_000_000).checked_div(span_us)
            && !damaged
        {
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.bitrate_max = Some(self.bitrate_max.unwrap_or(0).max(rate));
        }
        self.complete_bytes += len;
        self.changed = true;
    }

    fn withdraw_open(&mut self) {
        if self.open
            && let Some(segment) = self.segments.pop_back()
        {
            segment.withdraw();
        }
        self.open = false;
        self.serving = false;
        self.changed = true;
    }

    /// Completes the last segment if nothing can follow in this period: for when the track goes on
    /// in the next one.
    pub(super) fn finish(&mut self) {
        let ended = self.current.as_ref().is_some_and(|current| current.ended);
        if ended && self.held.is_empty() {
            self.complete();
            self.front.seal();
            (self.serving, self.fronting) = (false, false);
        }
    }

    /// Ends the last segment whatever is missing; what is, will not come any more.
    pub(super) fn settle(&mut self, faults: &mut Faults) {
        let waits = self.open || self.fronting;
        if waits && self.current.as_ref().is_some_and(|current| !current.ended) {
            self.lost(faults);
        }
        if let Some(current) = &mut self.current {
            current.ended = true;
        }
        let waiting = std::mem::take(&mut self.held_chunks) as u64;
        faults.add(Fault::Late, waiting);
        self.held.clear();
        self.held_bytes = 0;
        self.complete();
        self.front.seal();
        (self.serving, self.fronting) = (false, false);
    }

    /// Drops what stands before the segments: its beginning will not come.
    pub(super) fn close_front(&mut self, faults: &mut Faults) {
        faults.add(Fault::Unserved, self.front.close());
        self.fronting = false;
        self.changed = true;
    }

    /// Drops complete segments that end more than `keep` before `edge`.
    pub(super) fn evict_before(&mut self, edge: MediaTime, keep: Duration) {
        let left = |end| edge.saturating_since(end) > keep;
        if self.front.is_sealed() && self.front.end().is_some_and(left) {
            self.front.close();
            self.changed = true;
        }
        while let Some(first) = self.first_complete() {
            let end = first.tail().end;
            if edge.saturating_since(end) <= keep {
                return;
            }
            self.evict_first();
        }
    }

    /// The oldest segment, if it is complete.
    pub(super) fn first_complete(&self) -> Option<&Arc<Segment>> {
        self.segments.front().filter(|_| !self.open || self.segments.len() > 1)
    }

    /// Drops the oldest segment; it must be complete.
    pub(super) fn evict_first(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            self.front.close();
            self.complete_bytes -= segment.tail().len.min(self.complete_bytes);
            segment.withdraw();
            self.changed = true;
        }
    }

    /// Drops everything and tells the readers.
    pub(super) fn withdraw(&mut self) {
        self.segments.drain(..).for_each(|segment| segment.withdraw());
        *self = Self { changed: true, ..Self::default() };
    }

    /// Whether more waits than the bounds allow.
    fn overfull(&self) -> bool {
        let first = self.held.values().find_map(|held| held.chunks.front());
        let last = self.held.values().rev().find_map(|held| held.chunks.back());
        let span = match (
            first.and_then(|chunk| chunk.frames.first()),
            last.and_then(|chunk| chunk.frames.last()),
        ) {
            (Some(first), Some(last)) => last.dts.saturating_since(first.dts),
            _ => Duration::ZERO,
        };
        span > HELD_SPAN_MAX
            || self.held_bytes > HELD_BYTES_MAX
            || self.held_chunks > HELD_CHUNKS_MAX
            || self.held.len() > HELD_GROUPS_MAX
    }

    pub(super) fn segments(&self) -> &VecDeque<Arc<Segment>> {
        &self.segments
    }

    pub(super) fn front(&self) -> &Front {
        &self.front
    }

    /// Asks for no older groups any more.
    pub(super) fn finish_front(&mut self) {
        self.front.finish();
        self.changed = true;
    }

    /// Upstream does not have group `index`, the one before all others.
    pub(super) fn miss_older(&mut self, index: u32, cx: &mut Context<'_>) {
        if self.current.is_some() {
            self.front.miss(index, !cx.main);
        } else {
            self.front.finish();
        }
        self.changed = true;
        self.cut_front(cx);
    }

    /// The oldest group that there is, and when it begins; while none has been taken, of those that
    /// wait.
    pub(super) fn first(&self) -> Option<(u32, MediaTime)> {
        let held = || {
            let (&index, held) = self.held.first_key_value()?;
            Some((index, held.chunks.front()?.frames.first()?.dts))
        };
        self.front.first().or_else(held)
    }

    /// Bytes of media held: whole, in progress, and waiting.
    pub(super) fn bytes(&self) -> usize {
        let open = self.open_segment().map_or(0, |segment| segment.tail().len);
        self.complete_bytes + open + self.held_bytes + self.front.bytes()
    }

    /// The highest bit rate of a whole segment.
    pub(super) fn bitrate_max(&self) -> Option<u64> {
        self.bitrate_max
    }

    /// The longest chunk.
    pub(super) fn chunk_ticks_max(&self) -> u32 {
        self.chunk_ticks_max
    }

    /// Where its media ends.
    pub(super) fn end(&self) -> Option<MediaTime> {
        let newest = self.segments.back().map(|segment| segment.tail().end);
        newest.or_else(|| self.front.end()).or_else(|| self.first().map(|(_, start)| start))
    }

    /// Whether its segments changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether parts of the segment in progress were completed since the last call.
    pub(super) fn take_parted(&mut self) -> bool {
        std::mem::take(&mut self.parted)
    }

    /// Whether it holds nothing.
    pub(super) fn is_spent(&self) -> bool {
        self.segments.is_empty() && self.front.is_empty()
    }
}

impl Held {
    /// Drops its chunks; returns how many and how many bytes there were.
    fn clear(&mut self) -> (usize, usize) {
        let bytes = self.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        let chunks = self.chunks.len();
        self.chunks.clear();
        (chunks, bytes)
    }
}
