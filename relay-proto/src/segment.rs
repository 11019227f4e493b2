//! The segment grid: which segment a group belongs to, as a pure function of its start time.

use crate::time::MediaTime;

/// Numbers segments of nominal length `D` so that every edge, and the origin, counts alike.
///
/// Segment `k` begins with the first group that starts at or after `kD − D/2`; so a group that
/// starts at `t` belongs to segment `round(t / D)`. As long as no group is longer than `D`, no
/// number is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentGrid {
    duration_ms: u32,
}

impl SegmentGrid {
    /// The shortest segments, and the ones a broadcast starts with.
    pub const DURATION_MS_MIN: u32 = 2_000;
    /// The longest. A group longer than this makes the publisher begin a new period.
    pub const DURATION_MS_MAX: u32 = 10_000;

    /// A grid of nominal segment length `duration_ms`, brought into the bounds above.
    pub fn new(duration_ms: u32) -> Self {
        Self { duration_ms: duration_ms.clamp(Self::DURATION_MS_MIN, Self::DURATION_MS_MAX) }
    }

    /// The smallest grid of whole seconds that covers groups of `group_ms` milliseconds.
    pub fn covering(group_ms: u64) -> Self {
        let whole = group_ms.div_ceil(1_000).saturating_mul(1_000);
        Self::new(u32::try_from(whole).unwrap_or(u32::MAX))
    }

    /// `D` in milliseconds.
    pub fn duration_ms(self) -> u32 {
        self.duration_ms
    }

    /// The number of the segment to which a group that starts at `start` belongs.
    pub fn number(self, start: MediaTime) -> u64 {
        let divisor = u128::from(self.duration_ms) * u128::from(start.timescale.hz());
        let number = (u128::from(start.ticks) * 1_000 + divisor / 2) / divisor;
        u64::try_from(number).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timescale;
    use proptest::prelude::*;

    #[test]
    fn a_group_belongs_to_the_nearest_grid_point() {
        let grid = SegmentGrid::new(2_000);
        let check = |ms, expect| assert_eq!(grid.number(MediaTime::from_millis(ms)), expect);
        check(0, 0);
        check(999, 0);
        check(1_000, 1);
        check(2_999, 1);
        check(3_000, 2);
    }

    #[test]
    fn the_grid_covers_the_group_in_whole_seconds() {
        assert_eq!(SegmentGrid::covering(0).duration_ms(), 2_000);
        assert_eq!(SegmentGrid::covering(2_001).duration_ms(), 3_000);
        assert_eq!(SegmentGrid::covering(8_334).duration_ms(), 9_000);
        assert_eq!(SegmentGrid::covering(60_000).duration_ms(), 10_000);
    }

    proptest! {
        #[test]
        fn no_number_is_skipped_while_groups_fit(
            start in 0u64..10_000_000_000,
            lengths in prop::collection::vec(1u64..=180_000, 1..50),
        ) {
            let grid = SegmentGrid::new(2_000);
            let mut t = start;
            for length in lengths {
                let before = grid.number(MediaTime::new(t, Timescale::VIDEO));
                t += length;
                let after = grid.number(MediaTime::new(t, Timescale::VIDEO));
                prop_assert!(after == before || after == before + 1);
            }
        }
    }
}
