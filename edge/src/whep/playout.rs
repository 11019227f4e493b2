//! The playout-delay header extension: the operator's word on how long a player may hold a picture
//! back (<http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>).

use serde::Deserialize;

/// Between how much and how much a player may delay a picture. Zero for both leaves a jitter buffer
/// of half a millisecond instead of eight, and stutters as soon as packets are late by more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Limits")]
pub struct PlayoutDelay {
    min_ms: u16,
    max_ms: u16,
}

/// The same as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// The least, in milliseconds.
    min_ms: u16,
    /// The most, up to 40950.
    max_ms: u16,
}

/// Why a playout delay cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than the extension can say.
    #[error("a playout delay is {} ms at most", PlayoutDelay::MS_MAX)]
    TooLong,
    /// The least is more than the most.
    #[error("min_ms of the playout delay is more than its max_ms")]
    Reversed,
}

impl PlayoutDelay {
    /// The longest delay: twelve bits, in steps of 10 ms.
    pub const MS_MAX: u16 = 40_950;

    /// A delay between these, both rounded down to 10 ms.
    pub fn new(min_ms: u16, max_ms: u16) -> Result<Self, Error> {
        if max_ms > Self::MS_MAX {
            return Err(Error::TooLong);
        }
        if min_ms > max_ms {
            return Err(Error::Reversed);
        }
        Ok(Self { min_ms, max_ms })
    }

    /// The three bytes of the extension: twelve bits each.
    pub(super) fn to_wire(self) -> [u8; 3] {
        let both = u32::from(self.min_ms / 10) << 12 | u32::from(self.max_ms / 10);
        let [_, wire @ ..] = both.to_be_bytes();
        wire
    }
}

impl TryFrom<Limits> for PlayoutDelay {
    type Error = Error;

    fn try_from(limits: Limits) -> Result<Self, Error> {
        Self::new(limits.min_ms, limits.max_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_checked_and_fit_three_bytes() {
        assert_eq!(PlayoutDelay::new(0, 0).map(PlayoutDelay::to_wire), Ok([0, 0, 0]));
        assert_eq!(PlayoutDelay::new(20, 40_950).map(PlayoutDelay::to_wire), Ok([0, 0x2f, 0xff]));
        assert_eq!(PlayoutDelay::new(0, 40_951), Err(Error::TooLong));
        assert_eq!(PlayoutDelay::new(200, 100), Err(Error::Reversed));
    }
}
