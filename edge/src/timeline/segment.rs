//! A segment: chunks in order, appended while it is in progress, one piece of memory afterwards.
//!
//! It is shared between the timeline, which writes, and its readers, which follow it. A tokio
//! `watch` channel is the cell that they share: a lock taken once per chunk, and a way to wait for
//! the next one; it needs neither a runtime nor a clock.

use bytes::{Bytes, BytesMut};
use lectern_relay_proto::MediaTime;
use lectern_relay_proto::cmaf::Chunk;
use tokio::sync::watch;

/// A segment of one track.
#[derive(Debug)]
pub struct Segment {
    number: u64,
    start: MediaTime,
    tail: watch::Sender<Tail>,
}

/// What there is of a segment so far.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The chunks, in order. Once the segment is complete they share one piece of memory.
    pub pieces: Vec<Piece>,
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
    pub(super) fn new(number: u64, start: MediaTime) -> Self {
        let tail = Tail {
            pieces: Vec::new(),
            whole: Bytes::new(),
            len: 0,
            end: start,
            state: State::Open,
            damaged: false,
        };
        Self { number, start, tail: watch::Sender::new(tail) }
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

    /// Appends a chunk; returns the bytes of the segment so far. The chunk is not empty.
    pub(super) fn append(&self, chunk: &Chunk) -> usize {
        let (Some(first), Some(last)) = (chunk.frames.first(), chunk.frames.last()) else {
            return self.tail().len;
        };
        let end = last.dts.ticks.saturating_add(u64::from(last.duration));
        let end = MediaTime::new(end, last.dts.timescale);
        let piece = Piece {
            bytes: chunk.bytes.clone(),
            start: first.dts,
            duration: u32::try_from(end.ticks.saturating_sub(first.dts.ticks)).unwrap_or(u32::MAX),
            independent: first.keyframe,
        };
        let mut len = 0;
        self.tail.send_modify(|tail| {
            tail.len += piece.bytes.len();
            tail.pieces.push(piece);
            tail.end = end;
            len = tail.len;
        });
        len
    }

    /// Ends it, and copies it into one piece of memory: a reader of the whole then costs one write
    /// instead of one per chunk, and the buffers of the relay are let go.
    pub(super) fn complete(&self) {
        self.tail.send_modify(|tail| {
            let mut whole = BytesMut::with_capacity(tail.len);
            tail.pieces.iter().for_each(|piece| whole.extend_from_slice(&piece.bytes));
            tail.whole = whole.freeze();
            let mut at = 0;
            for piece in &mut tail.pieces {
                let end = at + piece.bytes.len();
                piece.bytes = tail.whole.slice(at..end);
                at = end;
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
