//! Dates and durations as XML Schema writes them (xs:dateTime, xs:duration).

use std::fmt;
use std::time::Duration;

use lectern_relay_proto::UtcTime;
use time::OffsetDateTime;

/// A UTC instant to the millisecond: `2026-11-20T15:00:00.000Z`.
pub struct DateTime(pub UtcTime);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        // Past the year 9999 there is nothing to write; T0 comes from the network.
        let at = i64::try_from(ms / 1_000)
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        let ms = ms % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A duration to the millisecond, in seconds only: `PT61.5S`.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}S", Decimal(self.0))
    }
}

/// Seconds to the millisecond, without needless zeros: `1.9`.
pub(super) struct Decimal(pub(super) Duration);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.subsec_millis();
        write!(f, "{}", self.0.as_secs())?;
        match ms {
            0 => Ok(()),
            ms if ms % 100 == 0 => write!(f, ".{}", ms / 100),
            ms if ms % 10 == 0 => write!(f, ".{:02}", ms / 10),
            ms => write!(f, ".{ms:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_to_the_millisecond() {
        let check = |ms, expect: &str| {
            assert_eq!(DateTime(UtcTime::from_millis(ms)).to_string(), expect);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(1_795_187_491_007, "2026-11-20T15:11:31.007Z");
        check(u64::MAX / 1_000, "1970-01-01T00:00:00.551Z");
    }

    #[test]
    fn durations_have_no_needless_zeros() {
        let check = |ms, expect: &str| {
            assert_eq!(Seconds(Duration::from_millis(ms)).to_string(), expect);
        };
        check(0, "PT0S");
        check(1_900, "PT1.9S");
        check(61_050, "PT61.05S");
        check(7_200_001, "PT7200.001S");
    }
}
