//! A frame, the one shape that every ingest protocol converts to, and the group that holds it.

use std::fmt;

use bytes::Bytes;

use crate::time::{MediaTime, UtcTime};

/// One coded picture or audio packet, in decode order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Decode time, in the track's timescale.
    pub dts: MediaTime,
    /// Presentation time minus decode time, in ticks of the track's timescale.
    /// Zero unless an encoder reorders pictures (B-frames).
    pub composition_offset: i32,
    /// Ticks of the track's timescale. For video it is the running cadence: the true duration is
    /// known only with the next frame, whose `dts` is authoritative.
    pub duration: u32,
    /// Whether decoding can begin here. True for every audio frame.
    pub keyframe: bool,
    /// H.264: NAL units, each behind its length in four bytes (ISO/IEC 14496-15 §5.3.4).
    /// AAC: one raw_data_block. Opus: one packet.
    pub data: Bytes,
    /// When the last byte of it reached the origin: what the added latency is measured from.
    pub arrived: UtcTime,
}

/// The place of a group in a broadcast: the period it belongs to and its index there.
///
/// It is the MoQ group sequence, so the relay itself tells an edge when a new period begins, in
/// whatever order catalog and media arrive. Groups of one id in different tracks belong together:
/// the origin cuts audio where it cuts video, so every edge cuts alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    /// Counts periods of the broadcast.
    pub period: u32,
    /// Counts groups within the period, from zero.
    pub index: u32,
}

impl GroupId {
    /// Bits of the sequence that hold the index. With [`Self::PERIOD_BITS`] they make 53, the
    /// largest integer that a JavaScript subscriber can hold.
    const INDEX_BITS: u32 = 28;
    const PERIOD_BITS: u32 = 25;
    /// The last index of a period; the publisher begins a new period after it.
    pub const INDEX_MAX: u32 = (1 << Self::INDEX_BITS) - 1;
    /// The last period of a broadcast.
    pub const PERIOD_MAX: u32 = (1 << Self::PERIOD_BITS) - 1;

    /// The MoQ group sequence.
    pub fn sequence(self) -> u64 {
        u64::from(self.period) << Self::INDEX_BITS | u64::from(self.index & Self::INDEX_MAX)
    }

    /// The group of a MoQ sequence; `None` if no publisher of ours can have chosen it.
    pub fn from_sequence(sequence: u64) -> Option<Self> {
        let period = u32::try_from(sequence >> Self::INDEX_BITS).ok()?;
        let index = u32::try_from(sequence & u64::from(Self::INDEX_MAX)).ok()?;
        (period <= Self::PERIOD_MAX).then_some(Self { period, index })
    }

    /// The group after this one in the same period.
    pub fn next(self) -> Self {
        Self { index: self.index + 1, ..self }
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.period, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_order_by_period_then_index() {
        let a = GroupId { period: 3, index: GroupId::INDEX_MAX };
        let b = GroupId { period: 4, index: 0 };
        assert!(a.sequence() < b.sequence());
        assert_eq!(GroupId::from_sequence(a.sequence()), Some(a));
        assert_eq!(GroupId::from_sequence(b.sequence()), Some(b));
        assert_eq!(GroupId::from_sequence(u64::MAX), None);
    }
}
