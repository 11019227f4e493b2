//! How much of something one sender may have done for it in a turn.

use std::time::{Duration, Instant};

/// So many within each turn of `per`, which begins with the first.
#[derive(Debug)]
pub(super) struct Quota {
    max: u32,
    per: Duration,
    since: Option<Instant>,
    taken: u32,
}

impl Quota {
    /// `max` in each turn of `per`.
    pub(super) const fn new(max: u32, per: Duration) -> Self {
        Self { max, per, since: None, taken: 0 }
    }

    /// Whether one more is within it.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.per {
            (self.since, self.taken) = (Some(now), 0);
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_forgotten_with_its_turn() {
        const MAX: u32 = 1_000;
        const TURN: Duration = Duration::from_secs(1);
        let (mut quota, start) = (Quota::new(MAX, TURN), Instant::now());
        let mut taken = |at: Duration| (0..5_000).filter(|_| quota.take(start + at)).count();
        assert_eq!(taken(Duration::ZERO), MAX as usize);
        assert_eq!(taken(TURN - Duration::from_millis(1)), 0);
        assert_eq!(taken(TURN), MAX as usize);
    }
}
