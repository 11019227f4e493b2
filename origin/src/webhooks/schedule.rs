//! When something that was not heard is said again: soon at first, then ever later, for three days; the times
//! are those that Standard Webhooks recommends.

use std::time::Duration;

/// After the first attempt, after the second, and so on.
const AFTER_SECS: [u64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];
/// The longest that a server may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// So much later it may be, as a share: many that failed together do not come together again.
const SPREAD: f64 = 0.2;

/// How long after the attempt of this number, from 1, the next one is; `None` after the last. The server may
/// want more time, and `chance` is 0 to 1.
pub(super) fn next(attempts: u32, retry_after: Option<Duration>, chance: f64) -> Option<Duration> {
    let at = usize::try_from(attempts.saturating_sub(1)).ok()?;
    let after = Duration::from_secs(*AFTER_SECS.get(at)?).mul_f64(1.0 + SPREAD * chance);
    Some(after.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_ten_times_in_three_days_and_no_more() {
        let pauses: Vec<_> = (1..).map_while(|attempts| next(attempts, None, 0.0)).collect();
        assert_eq!(pauses.len() + 1, 10);
        assert!(pauses.is_sorted());
        let all: Duration = pauses.iter().sum();
        assert!((70..80).contains(&(all.as_secs() / 3_600)), "{all:?}");
        assert_eq!(next(u32::MAX, None, 0.0), None);
    }

    #[test]
    fn a_server_may_ask_for_more_time_but_not_for_ever_nor_for_less() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(next(1, Some(hour), 0.0), Some(hour));
        assert_eq!(next(1, Some(Duration::ZERO), 0.0), Some(Duration::from_secs(5)));
        assert_eq!(next(1, Some(Duration::MAX), 0.0), Some(RETRY_AFTER_MAX));
        assert_eq!(next(1, None, 1.0), Some(Duration::from_secs(6)));
    }
}
