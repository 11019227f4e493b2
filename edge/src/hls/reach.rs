//! How far a media playlist reaches, and what a blocking reload waits for (RFC 8216bis §6.2.5.2).

use std::time::Duration;

/// How far ahead of the newest segment a request may wait.
const AHEAD_SEGMENTS_MAX: u64 = 2;
/// How far ahead of the newest part: the Advance Part Limit.
const AHEAD: Duration = Duration::from_secs(3);

/// How far a playlist reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The media sequence number of the segment that the first part that is not listed belongs to.
    pub sequence: u64,
    /// How many parts of that segment are listed.
    pub parts: u32,
    /// How many parts the segment before it has.
    pub parts_before: u32,
    /// The longest that a part may be.
    pub part_target: Duration,
    /// Whether nothing will be added.
    pub ended: bool,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `_HLS_msn`.
    pub sequence: u64,
    /// `_HLS_part`; without it, the whole segment.
    pub part: Option<u32>,
}

impl Reach {
    /// Whether what was asked for is listed.
    pub fn lists(&self, asked: Asked) -> bool {
        let Asked { sequence, part } = asked;
        match part {
            // A part that its segment turned out not to have is the first one of the next.
            Some(part) if sequence.checked_add(1) == Some(self.sequence) => {
                part < self.parts_before || self.parts > 0
            }
            Some(part) if sequence == self.sequence => part < self.parts,
            _ => sequence < self.sequence,
        }
    }

    /// Whether so much is asked that no player would mean it.
    pub fn is_too_far(&self, asked: Asked) -> bool {
        let Asked { sequence, part } = asked;
        let target_us = self.part_target.as_micros().max(1);
        let parts_ahead = u32::try_from(AHEAD.as_micros().div_ceil(target_us)).unwrap_or(u32::MAX);
        let listed = if sequence == self.sequence { self.parts } else { 0 };
        sequence >= self.sequence.saturating_add(AHEAD_SEGMENTS_MAX)
            || (sequence >= self.sequence
                && part.is_some_and(|part| part > listed.saturating_add(parts_ahead)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        sequence: 12,
        parts: 3,
        parts_before: 8,
        part_target: Duration::from_millis(250),
        ended: false,
    };

    #[test]
    fn a_request_waits_for_what_is_not_listed() {
        let check = |sequence, part, expect| {
            assert_eq!(REACH.lists(Asked { sequence, part }), expect, "{sequence} {part:?}");
        };
        check(5, None, true);
        check(11, None, true);
        check(12, None, false);
        check(12, Some(2), true);
        check(12, Some(3), false);
        check(13, Some(0), false);
        check(11, Some(7), true);
        check(u64::MAX, Some(0), false);
        // Segment 11 ended after eight parts: its ninth is the first of segment 12.
        check(11, Some(8), true);
        let fresh = Reach { parts: 0, ..REACH };
        assert!(!fresh.lists(Asked { sequence: 11, part: Some(8) }));
        assert!(fresh.lists(Asked { sequence: 11, part: Some(7) }));
    }

    #[test]
    fn who_asks_absurdly_far_ahead_is_not_waited_with() {
        let check = |sequence, part, expect| {
            assert_eq!(REACH.is_too_far(Asked { sequence, part }), expect, "{sequence} {part:?}");
        };
        check(0, Some(u32::MAX), false);
        check(12, None, false);
        check(13, Some(0), false);
        check(13, Some(12), false);
        check(13, Some(13), true);
        check(14, None, true);
        check(14, Some(0), true);
        check(u64::MAX, None, true);
        check(12, Some(15), false);
        check(12, Some(16), true);
    }
}
