//! How a re-encoder does: by how much it delays the picture, and whether it is any use to go on with it.
//! Pure.

use std::time::Duration;

use lectern_relay_proto::UtcTime;

use super::Why;

/// Two failures within this are one too many: each is a picture that stands still up to the second
/// keyframe from there.
const FAILURES_WITHIN: Duration = Duration::from_secs(60);
/// Pictures that leave later than this for as long as [`LATE_FOR`] say that the machine is too slow:
/// viewers are better off with LL-DASH. A start on a busy machine takes less long to catch up.
const DELAY_MAX: Duration = Duration::from_millis(1_500);
const LATE_FOR: Duration = Duration::from_secs(10);
/// What the delay is the longest of.
const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Health {
    failed: Option<UtcTime>,
    hopeless: Option<Why>,
    late_since: Option<UtcTime>,
    /// When the second began whose pictures are looked at, and the longest delay in it.
    second: Option<(UtcTime, Duration)>,
    delay: Option<Duration>,
}

impl Health {
    /// A picture came out `delay` after it went in.
    pub(super) fn made(&mut self, delay: Duration, now: UtcTime) {
        let (began, longest) = self.second.get_or_insert((now, delay));
        *longest = delay.max(*longest);
        if now.saturating_since(*began) >= SECOND {
            self.delay = Some(*longest);
            self.second = None;
        }
        if delay <= DELAY_MAX {
            self.late_since = None;
        } else if now.saturating_since(*self.late_since.get_or_insert(now)) >= LATE_FOR {
            self.hopeless = Some(Why::Slow);
        }
    }

    /// ffmpeg broke off.
    pub(super) fn failed(&mut self, now: UtcTime) {
        self.stumbled(now, Why::Fails);
    }

    /// It has pictures, and makes none.
    pub(super) fn silent(&mut self) {
        self.hopeless = Some(Why::Fails);
    }

    /// More pictures wait for ffmpeg than may.
    pub(super) fn fell_behind(&mut self, now: UtcTime) {
        self.stumbled(now, Why::Slow);
    }

    fn stumbled(&mut self, now: UtcTime, why: Why) {
        let again = |before: UtcTime| now.saturating_since(before) < FAILURES_WITHIN;
        if self.failed.replace(now).is_some_and(again) {
            self.hopeless = Some(why);
        }
    }

    /// Why it is no use to go on.
    pub(super) fn hopeless(&self) -> Option<Why> {
        self.hopeless
    }

    /// The longest delay of the last second, in milliseconds; `None` before the first is over.
    pub(super) fn delay_ms(&self) -> Option<u32> {
        self.delay.map(|delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> UtcTime {
        UtcTime::from_millis(1_795_000_000_000 + ms)
    }

    #[test]
    fn the_delay_is_the_longest_of_the_last_second() {
        let mut health = Health::default();
        let delays = [20, 80, 30, 40, 25, 60];
        for (n, delay) in delays.into_iter().enumerate() {
            assert_eq!(health.delay_ms(), None);
            health.made(Duration::from_millis(delay), at(n as u64 * 200));
        }
        assert_eq!(health.delay_ms(), Some(80));
        for n in 0..6 {
            health.made(Duration::from_millis(50), at(1_200 + n * 200));
        }
        assert_eq!((health.delay_ms(), health.hopeless()), (Some(50), None));
    }

    #[test]
    fn two_failures_in_a_minute_are_hopeless_and_one_now_and_then_is_not() {
        let mut health = Health::default();
        for minute in 0..5 {
            health.failed(at(minute * 60_000));
        }
        assert_eq!(health.hopeless(), None);
        health.failed(at(4 * 60_000 + 59_000));
        assert_eq!(health.hopeless(), Some(Why::Fails));
        let mut health = Health::default();
        health.failed(at(0));
        health.fell_behind(at(9_000));
        assert_eq!(health.hopeless(), Some(Why::Slow));
    }

    #[test]
    fn late_for_ten_seconds_on_end_is_too_slow() {
        let (late, timely) = (Duration::from_millis(1_600), Duration::from_millis(100));
        let mut health = Health::default();
        for second in 0..10 {
            health.made(late, at(second * 1_000));
        }
        health.made(timely, at(9_500));
        for second in 10..20 {
            health.made(late, at(second * 1_000));
        }
        assert_eq!(health.hopeless(), None);
        health.made(late, at(20_000));
        assert_eq!(health.hopeless(), Some(Why::Slow));
    }
}
