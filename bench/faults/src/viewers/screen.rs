//! What a viewer's screen shows: when there was a new picture, and for how long there was none. Pure.

use std::time::{Duration, Instant};

/// A screen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Screen {
    first: Option<Instant>,
    last: Option<Instant>,
    /// Since when gaps count.
    since: Option<Instant>,
    longest: Duration,
    /// When a gap that could be noticed was last over, or the first picture came.
    steady_since: Option<Instant>,
}

/// Pictures that are further apart are no steady picture.
const STEADY: Duration = Duration::from_millis(500);

impl Screen {
    /// A new picture.
    pub(crate) fn picture(&mut self, now: Instant) {
        self.longest = self.longest.max(self.gap(now));
        if self.last.is_none_or(|last| now.saturating_duration_since(last) > STEADY) {
            self.steady_since = Some(now);
        }
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// From now on gaps count.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
        self.longest = Duration::ZERO;
    }

    /// The longest time without a new picture, that until now included.
    pub(crate) fn longest(&self, now: Instant) -> Duration {
        self.longest.max(self.gap(now))
    }

    /// For how long pictures have come without a gap.
    pub(crate) fn steady_for(&self, now: Instant) -> Duration {
        let (Some(since), Some(last)) = (self.steady_since, self.last) else {
            return Duration::ZERO;
        };
        if now.saturating_duration_since(last) > STEADY {
            return Duration::ZERO;
        }
        last.saturating_duration_since(since)
    }

    /// The time without a picture that counts, until `now`.
    fn gap(&self, now: Instant) -> Duration {
        let from = self.last.into_iter().chain(self.since).max();
        match (self.since, from) {
            (Some(_), Some(from)) => now.saturating_duration_since(from),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gaps_that_count_do() {
        let at = |ms| Instant::now() + Duration::from_millis(ms);
        let start = at(0);
        let at = |ms| start + Duration::from_millis(ms);
        let mut screen = Screen::default();
        screen.picture(at(0));
        screen.picture(at(5_000));
        screen.begin(at(6_000));
        assert_eq!(screen.longest(at(6_100)), Duration::from_millis(100));
        screen.picture(at(6_200));
        assert_eq!(screen.longest(at(6_200)), Duration::from_millis(200));
        assert_eq!(screen.steady_for(at(6_200)), Duration::ZERO);
        (0..20).for_each(|n| screen.picture(at(6_200 + n * 40)));
        assert_eq!(screen.longest(at(7_000)), Duration::from_millis(200));
        assert_eq!(screen.steady_for(at(6_960)), Duration::from_millis(760));
        assert_eq!(screen.steady_for(at(8_000)), Duration::ZERO);
        assert_eq!(screen.longest(at(9_960)), Duration::from_secs(3));
    }
}
