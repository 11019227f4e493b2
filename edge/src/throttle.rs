//! How often the log says that strangers, or too many guests, are turned away: whoever causes a line
//! must not be able to fill a disk with it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines of most kinds.
const PAUSE: Duration = Duration::from_secs(10);

/// Lets one line through per pause, and counts those in between.
pub(crate) struct Throttle {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quiet_until: Option<Instant>,
    suppressed: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::every(PAUSE)
    }
}

impl Throttle {
    /// With so long a pause between two lines.
    pub(crate) fn every(pause: Duration) -> Self {
        Self { pause, state: Mutex::default() }
    }

    /// How many lines were held back before the one that may be written now; `None` to hold it back.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.quiet_until.is_some_and(|until| now < until) {
            state.suppressed += 1;
            return None;
        }
        state.quiet_until = Some(now + self.pause);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_and_the_number_of_the_others() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let lines: Vec<u64> =
            (0..25_000).filter_map(|ms| throttle.pass(start + Duration::from_millis(ms))).collect();
        assert_eq!(lines, [0, 9_999, 9_999]);
    }
}
