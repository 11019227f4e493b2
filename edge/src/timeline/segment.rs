//! A segment: chunks in order, appended while it is in progress, one piece of memory afterwards.
//!
//! It is shared between the timeline, which writes, and its readers, which follow it. A tokio
//! `watch` channel is the cell that they share: a lock taken once per chunk, and a way to wait for
//! the next one; it needs neither a runtime nor a clock.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use lectern_relay_proto::MediaTime;
use lectern_relay_proto::cmaf::Chunk;
use tokio::sync::watch;

use super::parts::{Cut, Cutter};

/// A segment of one track.
#[derive(Debug)]
pub struct Segment {
    number: u64,
    start: MediaTime,
    cutter: Cutter,
    tail: watch::Sender<Tail>,
}

/// What there is of a segment so far.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The chunks, in order. Those of a part share one piece of memory, and once the segment is
    /// complete all do.
    pub pieces: Vec<Piece>,
    /// The parts that are complete, in order; all chunks of a complete segment are in one.
    pub parts: Arc<Vec<Part>>,
    /// How many of the chunks are in a part.
    parted: usize,
    /// All chunks as one; empty until the segment is complete.
    pub whole: Bytes,
    /// Bytes so far.
    pub len: usize,
    /// Where the last frame ends; for video by the running cadence.
    pub end: MediaTime,
    /// Whether more will come.
    pub state: State,
    /// Something is missing in the middle: it may be played but not cached.
    pub damaged: bool,
}

/// One chunk of a segment.
#[derive(Clone, Debug)]
pub struct Piece {
    /// `prft`, `moof` and `mdat`.
    pub bytes: Bytes,
    /// Decode time of its first frame.
    pub start: MediaTime,
    /// Ticks of the track's timescale.
    pub duration: u32,
    /// Whether decoding can begin here.
    pub independent: bool,
}

impl Piece {
    /// Where it ends, in ticks of the track's timescale.
    pub(super) fn end_ticks(&self) -> u64 {
        self.start.ticks.saturating_add(u64::from(self.duration))
    }
}

/// A run of chunks that LL-HLS addresses by itself (RFC 8216bis §4.4.4.9).
#[derive(Clone, Debug)]
pub struct Part {
    /// Its chunks.
    pub bytes: Bytes,
    /// Decode time of its first frame.
    pub start: MediaTime,
    /// Ticks of the track's timescale.
    pub duration: u32,
    /// Whether it begins with a frame from which decoding can begin.
    pub independent: bool,
}

/// Where a segment is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Chunks are still being added.
    Open,
    /// It will not change again.
    Complete,
    /// It was dropped from the window; readers stop.
    Gone,
}

impl Segment {
    pub(super) fn new(number: u64, start: MediaTime, cutter: Cutter) -> Self {
        let tail = Tail {
            pieces: Vec::new(),
            parts: Arc::default(),
            parted: 0,
            whole: Bytes::new(),
            len: 0,
            end: start,
            state: State::Open,
            damaged: false,
        };
        Self { number, start, cutter, tail: watch::Sender::new(tail) }
    }

    /// Its number, the same in every track.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Decode time of its first frame.
    pub fn start(&self) -> MediaTime {
        self.start
    }

    /// What there is of it. Holds a read lock while borrowed.
    pub fn tail(&self) -> watch::Ref<'_, Tail> {
        self.tail.borrow()
    }

    /// Follows it as it grows.
    pub fn follow(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Appends a chunk, which is not empty; returns what that came to.
    pub(super) fn append(&self, chunk: &Chunk) -> Appended {
        let (Some(first), Some(last)) = (chunk.frames.first(), chunk.frames.last()) else {
            return Appended { len: self.tail().len, parted: false };
        };
        let end = last.dts.ticks.saturating_add(u64::from(last.duration));
        let end = MediaTime::new(end, last.dts.timescale);
        let piece = Piece {
            bytes: chunk.bytes.clone(),
            start: first.dts,
            duration: u32::try_from(end.ticks.saturating_sub(first.dts.ticks)).unwrap_or(u32::MAX),
            independent: first.keyframe,
        };
        let mut appended = Appended { len: 0, parted: false };
        self.tail.send_modify(|tail| {
            let Cut { before: due, after } = self.cutter.cut(tail.open_part(), &piece);
            if due {
                tail.close_part();
            }
            tail.len += piece.bytes.len();
            tail.pieces.push(piece);
            tail.end = end;
            if after {
                tail.close_part();
            }
            appended = Appended { len: tail.len, parted: due || after };
        });
        appended
    }

    /// Ends it, and copies it into one piece of memory: a reader of the whole then costs one write
    /// instead of one per chunk, and the buffers of the relay are let go.
    pub(super) fn complete(&self) {
        self.tail.send_modify(|tail| {
            tail.close_part();
            let mut whole = BytesMut::with_capacity(tail.len);
            tail.pieces.iter().for_each(|piece| whole.extend_from_slice(&piece.bytes));
            tail.whole = whole.freeze();
            let mut at = 0;
            for piece in &mut tail.pieces {
                piece.bytes = take(&tail.whole, &mut at, piece.bytes.len());
            }
            let mut at = 0;
            for part in Arc::make_mut(&mut tail.parts) {
                part.bytes = take(&tail.whole, &mut at, part.bytes.len());
            }
            tail.state = State::Complete;
        });
    }

    pub(super) fn damage(&self) {
        self.tail.send_modify(|tail| tail.damaged = true);
    }

    pub(super) fn withdraw(&self) {
        self.tail.send_modify(|tail| tail.state = State::Gone);
    }
}

/// What appending a chunk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Appended {
    /// Bytes of the segment so far.
    pub(super) len: usize,
    /// Whether a part was completed.
    pub(super) parted: bool,
}

impl Tail {
    /// The chunks that are in no part yet.
    fn open_part(&self) -> &[Piece] {
        self.pieces.get(self.parted..).unwrap_or_default()
    }

    fn close_part(&mut self) {
        let open = self.open_part();
        let (Some(first), Some(last)) = (open.first(), open.last()) else { return };
        let span = last.start.ticks.saturating_sub(first.start.ticks);
        let duration = span.saturating_add(u64::from(last.duration));
        let (start, independent) = (first.start, first.independent);
        let mut bytes = BytesMut::with_capacity(open.iter().map(|piece| piece.bytes.len()).sum());
        open.iter().for_each(|piece| bytes.extend_from_slice(&piece.bytes));
        let bytes = bytes.freeze();
        let mut at = 0;
        for piece in self.pieces.iter_mut().skip(self.parted) {
            piece.bytes = take(&bytes, &mut at, piece.bytes.len());
        }
        self.parted = self.pieces.len();
        let duration = u32::try_from(duration).unwrap_or(u32::MAX);
        // Few parts, and a snapshot may hold on to those before.
        Arc::make_mut(&mut self.parts).push(Part { bytes, start, duration, independent });
    }
}

/// The next `len` bytes of `bytes` from `at`, which moves on.
fn take(bytes: &Bytes, at: &mut usize, len: usize) -> Bytes {
    let start = *at;
    *at += len;
    bytes.slice(start..*at)
}
