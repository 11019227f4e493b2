//! The front of a track: what was sent before this edge joined, taken group by group from the newest
//! to the oldest, until the window is full or upstream has no more.
//!
//! Whether a group begins a segment is known only with the group before it, or if its index is 0. So
//! the oldest groups of a track wait here, and the segment that they make is cut off them when its
//! beginning is known. The group that the edge joined with waits too, while it is still arriving:
//! once the groups before it are here, the segment in progress at the join is served like any other.
//! Which groups to fetch is said here; fetching them is a driver's business.

use std::collections::VecDeque;
use std::time::Duration;

use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::{GroupId, MediaTime, Timescale, TrackName};

use super::fault::Fault;
use super::numbers::{Known, Numbers};

/// The most groups of a track that are asked for at once, so that short groups on a long way do not
/// cost a round trip each.
const DEPTH_MAX: u32 = 4;
/// No group is longer, so as many of it as are asked for at once do not reach far beyond the window.
const GROUP_SPAN_MAX: Duration = Duration::from_secs(10);
/// An audio track has no group where video's are shorter than its frames. More such groups in a row
/// mean that upstream has no more of the track.
const ABSENT_MAX: u32 = 3;

/// A group that is missing at the front of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its track.
    pub track: TrackName,
    /// The timescale of the track in the period of the group.
    pub timescale: Timescale,
    /// Its place.
    pub group: GroupId,
}

/// The groups before the first segment of a track.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// Oldest first, without a gap up to the first segment, or to the group that is arriving.
    groups: VecDeque<Older>,
    bytes: usize,
    /// The oldest group that was ever taken, and when it begins.
    first: Option<(u32, MediaTime)>,
    /// A segment has begun, so that groups that arrive do not wait here any more.
    sealed: bool,
    /// Something of the group that the edge joined with was lost.
    damaged: bool,
    /// Groups in a row, down to the oldest, that upstream does not have.
    absent: u32,
    /// Nothing older will come.
    over: bool,
}

#[derive(Debug)]
struct Older {
    index: u32,
    /// Empty if the track has no such group.
    chunks: Vec<Chunk>,
}

impl Older {
    fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }
}

/// The groups of one segment whose beginning is known.
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) chunks: Vec<Chunk>,
    /// Something is missing in the middle.
    pub(super) damaged: bool,
    /// The last of its groups is the one that is arriving.
    pub(super) live: bool,
}

impl Front {
    /// Whether a group that arrives, and of which is not known whether it begins a segment, can wait
    /// here. Where all of a track has been fetched its main track may yet have more to fetch, which
    /// says where this one's segments begin.
    pub(super) fn takes_live(&self, main: bool) -> bool {
        !(self.sealed || main && self.over)
    }

    /// The group at `index` was taken as it arrived. It is the first, if no other was.
    pub(super) fn note(&mut self, index: u32, start: MediaTime) {
        self.first.get_or_insert((index, start));
    }

    /// A group that arrives waits here.
    pub(super) fn begin(&mut self, index: u32) {
        self.groups.push_back(Older { index, chunks: Vec::new() });
    }

    /// A chunk of that group; returns the bytes that wait here.
    pub(super) fn append(&mut self, chunk: &Chunk) -> usize {
        if let Some(last) = self.groups.back_mut() {
            self.bytes += chunk.bytes.len();
            last.chunks.push(chunk.clone());
        }
        self.bytes
    }

    /// What arrives from now on does not follow what waits here.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
    }

    /// Whether what arrives may follow what waits here.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Something of what was arriving is lost.
    pub(super) fn lose(&mut self) {
        if !self.sealed && !self.groups.is_empty() {
            self.damaged = true;
            self.sealed = true;
        }
    }

    /// Takes the group before the oldest.
    pub(super) fn take(&mut self, index: u32, chunks: Vec<Chunk>) -> Result<MediaTime, Fault> {
        let Some((_, before)) = self.first.filter(|(first, _)| *first == index + 1) else {
            return Err(Fault::Late);
        };
        let mut frames = chunks.iter().flat_map(|chunk| &chunk.frames);
        let first = frames.next().filter(|frame| frame.keyframe).ok_or(Fault::Malformed)?.dts;
        let mut last = first;
        for frame in frames {
            if frame.dts <= last {
                return Err(Fault::Backward);
            }
            last = frame.dts;
        }
        if last >= before {
            return Err(Fault::Backward);
        }
        let group = Older { index, chunks };
        self.bytes += group.bytes();
        self.groups.push_front(group);
        self.first = Some((index, first));
        self.absent = 0;
        Ok(first)
    }

    /// Upstream does not have the group before the oldest. If `may_be_absent`, the track may go on
    /// before it.
    pub(super) fn miss(&mut self, index: u32, may_be_absent: bool) {
        let Some((_, before)) = self.first.filter(|(first, _)| *first == index + 1) else { return };
        if !may_be_absent || self.absent == ABSENT_MAX {
            self.over = true;
            return;
        }
        self.absent += 1;
        self.groups.push_front(Older { index, chunks: Vec::new() });
        self.first = Some((index, before));
    }

    /// Cuts off the newest segment whose beginning is known.
    pub(super) fn cut(&mut self, numbers: &Numbers) -> Option<Run> {
        let begins = |group: &Older| match numbers.of(group.index) {
            Known::Number { number, begins: true } => Some(number),
            _ => None,
        };
        let newest = self.groups.iter().enumerate().rev();
        let (at, number) = newest.filter_map(|(at, group)| Some((at, begins(group)?))).next()?;
        let groups = self.groups.split_off(at);
        self.bytes -= groups.iter().map(Older::bytes).sum::<usize>();
        let of_it = |group: &Older| matches!(numbers.of(group.index), Known::Number { number: of, .. } if of == number);
        let all = groups.len();
        let groups: Vec<Older> = groups.into_iter().take_while(of_it).collect();
        // Where the main track has a hole, nothing says to which segment the other tracks' groups
        // belong. What a publisher left out is not told from what a relay lost; only whole is cached.
        let hole = groups.len() < all || groups.iter().any(|group| group.chunks.is_empty());
        let live = !self.sealed && groups.len() == all;
        let damaged = std::mem::take(&mut self.damaged) || hole;
        self.sealed = true;
        let chunks = groups.into_iter().flat_map(|group| group.chunks).collect();
        Some(Run { number, chunks, damaged, live })
    }

    /// The oldest group, and when it begins.
    pub(super) fn first(&self) -> Option<(u32, MediaTime)> {
        self.first
    }

    /// Where the newest of what waits here ends.
    pub(super) fn end(&self) -> Option<MediaTime> {
        let last = self.groups.iter().rev().find_map(|group| group.chunks.last()?.frames.last())?;
        let ticks = last.dts.ticks.saturating_add(u64::from(last.duration));
        Some(MediaTime::new(ticks, last.dts.timescale))
    }

    /// Nothing older will come; what waits here may still be cut off.
    pub(super) fn finish(&mut self) {
        self.over = true;
    }

    /// Whether nothing older will come: it is not wanted, or not to be had.
    pub(super) fn is_over(&self) -> bool {
        self.over || self.first.is_some_and(|(first, _)| first == 0)
    }

    /// Whether segments may yet come of it: of groups that are to be fetched, or of those that are here and
    /// wait for the main track to say where their segments begin.
    pub(super) fn may_give(&self) -> bool {
        !self.is_over() || !self.groups.is_empty()
    }

    /// Drops what waits here, since its beginning will not come; returns how many chunks that were.
    pub(super) fn close(&mut self) -> u64 {
        self.over = true;
        self.sealed = true;
        self.bytes = 0;
        self.groups.drain(..).map(|group| group.chunks.len() as u64).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether there is nothing left to be done here.
    pub(super) fn is_closed(&self) -> bool {
        self.over && self.sealed && self.groups.is_empty()
    }

    /// Whether what waits here needs something older: the main track has come to it, and it still
    /// could not be cut off.
    pub(super) fn is_stranded(&self, numbers: &Numbers) -> bool {
        self.groups.front().is_some_and(|group| numbers.of(group.index) != Known::NotYet)
    }
}

/// How many groups before one that begins at `start` to ask for at once, for a window that ends at
/// `edge`; none if that is far enough back.
pub(super) fn depth(start: MediaTime, edge: MediaTime, window: Duration) -> u32 {
    match window.checked_sub(edge.saturating_since(start)) {
        None | Some(Duration::ZERO) => 0,
        Some(left) => {
            let groups = left.as_millis() / GROUP_SPAN_MAX.as_millis();
            u32::try_from(groups).unwrap_or(u32::MAX).clamp(1, DEPTH_MAX)
        }
    }
}
