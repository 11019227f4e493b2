//! How far the clock of another machine is from this one's, as one question and its answer tell (RFC 5905 §8, with
//! one reading of the other's clock), and when that is worth saying. Pure: whoever asks has the clocks.

use std::time::Duration;

use crate::UtcTime;

/// Clocks further apart than this are nobody's drift, and viewers notice.
pub const APART: Duration = Duration::from_secs(1);
/// An answer that took longer tells too little.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// How far the other clock is ahead of ours, in microseconds; negative if it is behind. `asked` by our clock, and
/// `theirs` by the other some time within `round_trip`: half of it either way is what this may be wrong by. `None`
/// if it took too long.
pub fn offset_us(asked: UtcTime, round_trip: Duration, theirs: UtcTime) -> Option<i64> {
    if round_trip > ROUND_TRIP_MAX {
        return None;
    }
    let ours = asked + round_trip / 2;
    let micros = |time: UtcTime| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Some(micros(theirs).saturating_sub(micros(ours)))
}

/// Whether two clocks agree, and what of that has been said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skew {
    is_apart: bool,
}

/// What is new of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// They are further apart than [`APART`].
    Apart,
    /// They agree again.
    Together,
}

impl Skew {
    /// They are so far apart now. What has been said is not said again, nor where they are about to agree.
    pub fn observe(&mut self, offset_us: i64) -> Option<News> {
        let offset = Duration::from_micros(offset_us.unsigned_abs());
        let news = match self.is_apart {
            false if offset > APART => News::Apart,
            true if offset < APART / 2 => News::Together,
            _ => return None,
        };
        self.is_apart = news == News::Apart;
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_round_trip_is_the_way_there() {
        let asked = UtcTime::from_millis(10_000);
        let took = Duration::from_millis(400);
        let check = |theirs, expect| {
            let offset = offset_us(asked, took, UtcTime::from_millis(theirs));
            assert_eq!(offset, Some(expect), "{theirs}");
        };
        check(10_200, 0);
        check(12_200, 2_000_000);
        check(7_200, -3_000_000);
        let late = ROUND_TRIP_MAX + Duration::from_millis(1);
        assert_eq!(offset_us(asked, late, asked), None);
    }

    #[test]
    fn clocks_that_go_apart_are_told_of_once_and_again_when_they_agree() {
        let mut skew = Skew::default();
        let told: Vec<_> = [0, 999_000, -1_001_000, 2_000_000, 900_000, 400_000, 0, 1_100_000]
            .map(|offset| skew.observe(offset))
            .into();
        let (apart, together) = (Some(News::Apart), Some(News::Together));
        assert_eq!(told, [None, None, apart, None, None, together, None, apart]);
    }
}
