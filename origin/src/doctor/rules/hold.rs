//! What keeps a finding from flapping: how long its cause must last, and be gone.

use lectern_relay_proto::UtcTime;

/// Holds a finding: on after its cause lasted for some seconds on end, off after it was gone for some.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    on_after_s: u32,
    off_after_s: u32,
    /// Seconds on end that speak for a change.
    run_s: u32,
    /// When those began.
    run_began: UtcTime,
    since: Option<UtcTime>,
}

impl Hold {
    pub(super) const fn new(on_after_s: u32, off_after_s: u32) -> Self {
        let run_began = UtcTime::from_millis(0);
        Self { on_after_s, off_after_s, run_s: 0, run_began, since: None }
    }

    /// Whether the cause was there in the second that ended at `at`; `None` if that cannot be told.
    pub(super) fn observe(&mut self, bad: Option<bool>, at: UtcTime) {
        let Some(bad) = bad else { return };
        if bad == self.since.is_some() {
            self.run_s = 0;
            return;
        }
        if self.run_s == 0 {
            self.run_began = at;
        }
        self.run_s += 1;
        let enough = if bad { self.on_after_s } else { self.off_after_s };
        if self.run_s >= enough {
            self.since = bad.then_some(self.run_began);
            self.run_s = 0;
        }
    }

    /// Since when the cause is there, if it is.
    pub(super) fn since(&self) -> Option<UtcTime> {
        self.since
    }
}

/// Which of the last seconds had something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent(u32);

impl Recent {
    /// A second is over.
    pub(super) fn push(&mut self, had: bool) {
        self.0 = self.0 << 1 | u32::from(had);
    }

    /// How many of the last `seconds`, at most 32, had it.
    pub(super) fn count(self, seconds: u32) -> u32 {
        (self.0 << (32 - seconds.clamp(1, 32))).count_ones()
    }
}

/// The middle of `values`, which it sorts; `None` if there are none.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_wants_a_cause_to_last_and_to_be_gone() {
        let mut hold = Hold::new(3, 2);
        let mut observe = |second: u64, bad| {
            hold.observe(bad, UtcTime::from_millis(second * 1_000));
            hold.since().map(|since| since.as_millis())
        };
        assert_eq!(observe(1, Some(true)), None);
        assert_eq!(observe(2, Some(true)), None);
        assert_eq!(observe(3, Some(false)), None, "not on end");
        assert_eq!(observe(4, Some(true)), None);
        assert_eq!(observe(5, None), None, "says nothing");
        assert_eq!(observe(6, Some(true)), None);
        assert_eq!(observe(7, Some(true)), Some(4_000));
        assert_eq!(observe(8, Some(false)), Some(4_000));
        assert_eq!(observe(9, Some(true)), Some(4_000));
        assert_eq!(observe(10, Some(false)), Some(4_000));
        assert_eq!(observe(11, Some(false)), None);
    }

    #[test]
    fn recent_seconds_are_counted() {
        let mut recent = Recent::default();
        [true, false, true, true].into_iter().for_each(|had| recent.push(had));
        assert_eq!((recent.count(1), recent.count(3), recent.count(4)), (1, 2, 3));
        (0..32).for_each(|_| recent.push(false));
        assert_eq!(recent.count(32), 0);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut []), None);
    }
}
