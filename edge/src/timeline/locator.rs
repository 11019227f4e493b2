//! Where a track of a period is found: one path segment that also names `T0` and the period, so
//! that no cache ever mixes two takes or two broadcasts under one id.

use std::fmt;

use lectern_relay_proto::{TrackName, UtcTime};

/// The longest path segment that is looked at: a track name, two separators, two numbers.
const LEN_MAX: usize = 64 + 2 + 13 + 7;

/// A track of a period of a broadcast, as it stands in a URL: `video-main~top2v4~4`.
///
/// `/` of the track name is written `-`, and `-` is written `~`, which no track name holds; then
/// follow `T0` in base-36 seconds and the period in base 36.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locator {
    /// The track.
    pub track: TrackName,
    /// `T0` of the broadcast, in whole seconds since the Unix epoch.
    pub t0_s: u64,
    /// The period.
    pub period: u32,
}

/// A period of a broadcast, as it stands in the URL of what is not one track's: `top2v4~4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeriodLocator {
    /// `T0` of the broadcast, in whole seconds since the Unix epoch.
    pub t0_s: u64,
    /// The period.
    pub period: u32,
}

impl PeriodLocator {
    /// Where what belongs to `period` of the broadcast that began at `t0` is found.
    pub fn new(t0: UtcTime, period: u32) -> Self {
        Self { t0_s: t0.as_millis() / 1_000, period }
    }

    /// Reads what [`fmt::Display`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (t0_s, period) = text.split_once('~')?;
        Some(Self { t0_s: from_base36(t0_s)?, period: u32::try_from(from_base36(period)?).ok()? })
    }
}

impl fmt::Display for PeriodLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", Base36(self.t0_s), Base36(u64::from(self.period)))
    }
}

impl Locator {
    /// Where `track` of `period` of the broadcast that began at `t0` is found.
    pub fn new(track: &TrackName, t0: UtcTime, period: u32) -> Self {
        Self { track: track.clone(), t0_s: t0.as_millis() / 1_000, period }
    }

    /// Reads a path segment; `None` unless it is exactly what [`fmt::Display`] would write.
    pub fn parse(segment: &str) -> Option<Self> {
        if segment.len() > LEN_MAX {
            return None;
        }
        let (at, _) = segment.rmatch_indices('~').nth(1)?;
        let PeriodLocator { t0_s, period } = PeriodLocator::parse(segment.get(at + 1..)?)?;
        Some(Self { track: unescaped(segment.get(..at)?)?, t0_s, period })
    }
}

/// A track's name as one path segment.
pub(crate) fn escaped(track: &TrackName) -> impl Iterator<Item = char> {
    track.as_str().chars().map(|c| match c {
        '/' => '-',
        '-' => '~',
        c => c,
    })
}

/// Reads what [`escaped`] wrote.
pub(crate) fn unescaped(segment: &str) -> Option<TrackName> {
    // A slash would be read back as itself, and give one track two addresses.
    if segment.len() > LEN_MAX || segment.contains('/') {
        return None;
    }
    let name = segment.chars().map(|c| match c {
        '-' => '/',
        '~' => '-',
        c => c,
    });
    TrackName::new(name.collect::<String>()).ok()
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in escaped(&self.track) {
            fmt::Write::write_char(f, c)?;
        }
        write!(f, "~{}", PeriodLocator { t0_s: self.t0_s, period: self.period })
    }
}

struct Base36(u64);

impl fmt::Display for Base36 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0u8; 13];
        let mut at = digits.len();
        let mut rest = self.0;
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&digits[at..]).map_err(|_| fmt::Error)?)
    }
}

/// Canonical base 36 only: lower case, no leading zero, no sign.
fn from_base36(digits: &str) -> Option<u64> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let lower = digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
    if digits.len() > 13 || !canonical || !lower {
        return None;
    }
    u64::from_str_radix(digits, 36).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_locator_names_track_take_and_period() {
        let track = TrackName::new("video/main").unwrap();
        let locator = Locator::new(&track, UtcTime::from_millis(1_795_000_000_123), 4);
        assert_eq!(locator.to_string(), "video-main~top2v4~4");
    }

    #[test]
    fn what_no_edge_writes_is_not_read() {
        let check = |segment: &str| assert_eq!(Locator::parse(segment), None, "{segment:?}");
        check("");
        check("video-main");
        check("video-main~t5o~");
        check("video-main~~4");
        check("video/main~t5o~4");
        check("video-main~T5O~4");
        check("video-main~+5~4");
        check("video-main~05~4");
        check("..-..~1~4");
        check("video-main~zzzzzzzzzzzzz~4");
        check("video-main~1~zzzzzzz");
        check(&"a".repeat(100_000));
    }

    proptest! {
        #[test]
        fn every_locator_is_read_back(
            name in "[a-z0-9_-]{1,20}(/[a-z0-9_.-]{1,20})?",
            t0_s in 0..=u64::MAX / 1_000_000,
            period: u32,
        ) {
            let Ok(track) = TrackName::new(name) else { return Ok(()) };
            let locator = Locator { track, t0_s, period };
            prop_assert_eq!(Locator::parse(&locator.to_string()), Some(locator));
        }

        #[test]
        fn reading_is_the_inverse_of_writing(segment in "[a-z0-9~./-]{0,24}") {
            if let Some(locator) = Locator::parse(&segment) {
                prop_assert_eq!(locator.to_string(), segment);
            }
        }
    }
}
