//! Time as types: the UTC instant of an event, and media time as ticks of a stated timescale.
//!
//! Media time is the offset from `T0`, the UTC instant at which the broadcast's first frame
//! arrived. Video counts in 1/90000 s, audio in samples, so neither ever rounds its own cadence.

use std::cmp::Ordering;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds between the NTP era 0 epoch (1900) and the Unix epoch (1970), RFC 5905 §6.
const NTP_UNIX_OFFSET_S: u64 = 2_208_988_800;

/// Ticks per second of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// 90 kHz: video, in RTP as in CMAF.
    pub const VIDEO: Self = Self(NonZeroU32::new(90_000).expect("not zero"));
    /// 48 kHz: Opus, whatever rate the source was sampled at (RFC 7587 §4.1).
    pub const OPUS: Self = Self(NonZeroU32::new(48_000).expect("not zero"));
    /// Milliseconds: what RTMP counts in.
    pub const MILLIS: Self = Self(NonZeroU32::new(1_000).expect("not zero"));

    /// A timescale of `hz` ticks per second; `None` for zero.
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// Ticks per second.
    pub const fn hz(self) -> u32 {
        self.0.get()
    }
}

/// A point on a broadcast's media timeline: ticks since `T0`.
#[derive(Clone, Copy, Debug)]
pub struct MediaTime {
    /// Ticks since `T0`, in `timescale`.
    pub ticks: u64,
    /// Ticks per second.
    pub timescale: Timescale,
}

impl MediaTime {
    /// `ticks` of `timescale` after `T0`.
    pub const fn new(ticks: u64, timescale: Timescale) -> Self {
        Self { ticks, timescale }
    }

    /// `ms` milliseconds after `T0`.
    pub const fn from_millis(ms: u64) -> Self {
        Self::new(ms, Timescale::MILLIS)
    }

    /// The same instant in another timescale, rounded to the nearest tick.
    pub fn rescale(self, timescale: Timescale) -> Self {
        if timescale == self.timescale {
            return self;
        }
        let from = u128::from(self.timescale.hz());
        let ticks = (u128::from(self.ticks) * u128::from(timescale.hz()) + from / 2) / from;
        Self::new(u64::try_from(ticks).unwrap_or(u64::MAX), timescale)
    }

    /// Microseconds since `T0`, rounded down.
    pub fn as_micros(self) -> u64 {
        let us = u128::from(self.ticks) * 1_000_000 / u128::from(self.timescale.hz());
        u64::try_from(us).unwrap_or(u64::MAX)
    }

    /// Seconds since `T0`.
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.timescale.hz())
    }

    /// The time since `T0`.
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(self.as_micros())
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        self.as_duration().saturating_sub(earlier.as_duration())
    }
}

impl PartialEq for MediaTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MediaTime {}

impl PartialOrd for MediaTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MediaTime {
    /// Exact, across timescales.
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.ticks) * u128::from(other.timescale.hz());
        let right = u128::from(other.ticks) * u128::from(self.timescale.hz());
        left.cmp(&right)
    }
}

/// A UTC instant, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime {
    micros: u64,
}

impl UtcTime {
    /// `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self { micros: ms.saturating_mul(1_000) }
    }

    /// `us` microseconds after the Unix epoch.
    pub const fn from_micros(us: u64) -> Self {
        Self { micros: us }
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.micros / 1_000
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// The 64-bit NTP timestamp of RFC 5905 §6, as `prft` and RTCP sender reports carry it.
    pub fn to_ntp(self) -> u64 {
        let seconds = self.micros / 1_000_000 + NTP_UNIX_OFFSET_S;
        let fraction = ((self.micros % 1_000_000) << 32).div_ceil(1_000_000);
        (seconds << 32) | fraction
    }

    /// The instant of a 64-bit NTP timestamp; `None` for zero, which says "unknown". Seconds before
    /// 1970 are read as those of era 1, which begins in February 2036.
    pub fn from_ntp(ntp: u64) -> Option<Self> {
        if ntp == 0 {
            return None;
        }
        let seconds = ntp >> 32;
        let era_1 = || (seconds + (1 << 32)) - NTP_UNIX_OFFSET_S;
        let seconds = seconds.checked_sub(NTP_UNIX_OFFSET_S).unwrap_or_else(era_1);
        let micros = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
        Some(Self { micros: seconds * 1_000_000 + micros })
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

impl From<SystemTime> for UtcTime {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { micros: u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX) }
    }
}

impl std::ops::Add<Duration> for UtcTime {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_add(micros) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_to_the_nearest_tick() {
        let check = |ms, hz, expect| {
            let to = Timescale::new(hz).expect("not zero");
            assert_eq!(MediaTime::from_millis(ms).rescale(to).ticks, expect);
        };
        check(0, 90_000, 0);
        check(33, 90_000, 2_970);
        check(23, 44_100, 1_014); // 1014.3
        check(10, 44_100, 441);
    }

    #[test]
    fn order_holds_across_timescales() {
        let a = MediaTime::new(1_001, Timescale::OPUS);
        let b = MediaTime::new(1_877, Timescale::VIDEO);
        assert!(a < b);
        assert_eq!(MediaTime::from_millis(20), MediaTime::new(960, Timescale::OPUS));
    }

    #[test]
    fn ntp_survives_the_round_trip_to_the_microsecond() {
        for us in [0, 1, 999_999, 1_000_000, 1_795_123_456_789_012, 2_100_000_000_000_001] {
            let time = UtcTime::from_micros(us);
            assert_eq!(UtcTime::from_ntp(time.to_ntp()), Some(time), "{us}");
        }
        assert_eq!(UtcTime::from_ntp(0), None);
    }
}
