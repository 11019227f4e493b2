//! A token bucket: how much may be done at once, and how soon more. Pure; what time it is comes as an
//! argument.

use std::time::{Duration, Instant};

/// How much at once, and how soon one more.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// What a rested bucket holds.
    pub burst: u32,
    /// After how long one more is there.
    pub each: Duration,
}

impl Rate {
    /// After how long any bucket is full.
    pub fn rest(&self) -> Duration {
        self.each * self.burst
    }
}

/// What is left of a [`Rate`], which is the same in each call.
#[derive(Debug)]
pub struct Bucket {
    left: u32,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub fn full(rate: &Rate, now: Instant) -> Self {
        Self { left: rate.burst, filled: now }
    }

    /// Whether there is something to take; otherwise after how long there is.
    pub fn ready(&mut self, rate: &Rate, now: Instant) -> Result<(), Duration> {
        let more = now.saturating_duration_since(self.filled).as_nanos() / rate.each.as_nanos();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(rate.burst);
        self.filled = if self.left == rate.burst { now } else { self.filled + rate.each * more };
        match self.left {
            0 => Err((self.filled + rate.each).saturating_duration_since(now)),
            _ => Ok(()),
        }
    }

    /// Takes one, after it was said to be [`Self::ready`].
    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Whether nothing was taken of it for so long that a full one is as good.
    pub fn is_rested(&self, rate: &Rate, now: Instant) -> bool {
        now.saturating_duration_since(self.filled) >= rate.rest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_pace() {
        let rate = Rate { burst: 3, each: Duration::from_secs(2) };
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::full(&rate, start);
        let mut take = |ms| bucket.ready(&rate, at(ms)).map(|()| bucket.take());
        assert!((0..3).all(|_| take(0).is_ok()));
        assert_eq!(take(500), Err(Duration::from_millis(1_500)));
        assert_eq!(take(2_000), Ok(()));
        assert_eq!(take(2_000), Err(Duration::from_secs(2)));
        assert!((0..3).all(|_| take(60_000).is_ok()));
        assert!(take(60_000).is_err());
        assert!(!bucket.is_rested(&rate, at(65_999)));
        assert!(bucket.is_rested(&rate, at(66_000)));
    }
}
