//! The stamp that a frame carries: its number and the time it was sent, in an SEI of H.264.
//!
//! User data unregistered, ITU-T H.264 §D.1.7: sixteen bytes of a UUID, then what one likes. The
//! numbers are written seven bits to a byte with the highest bit set, so that no three bytes in a
//! row need emulation prevention.

/// Names our stamps; chosen at random, without zeros.
const UUID: [u8; 16] = *b"\x9c\x1e\xd4\x53\x6b\x0f\x4a\x71\xa9\x35\xe2\x88\x5d\x17\xc6\x2b";
const SEI: u8 = 6;
const USER_DATA_UNREGISTERED: u8 = 5;
/// Bytes of a number of 64 bits.
const NUMBER_BYTES: usize = 10;
const PAYLOAD_BYTES: usize = UUID.len() + 2 * NUMBER_BYTES;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Counted by the publisher.
    pub number: u64,
    /// Unix time in microseconds, just before it was sent.
    pub sent_us: u64,
}

impl Stamp {
    /// The NAL unit, without length or start code.
    pub fn write(&self) -> Vec<u8> {
        let mut unit = vec![SEI, USER_DATA_UNREGISTERED, PAYLOAD_BYTES as u8];
        unit.extend(UUID);
        for number in [self.number, self.sent_us] {
            unit.extend((0..NUMBER_BYTES).map(|n| 0x80 | (number >> (7 * n)) as u8 & 0x7f));
        }
        unit.push(0x80); // rbsp_trailing_bits
        unit
    }

    /// Reads a NAL unit; `None` if it is not a stamp.
    pub fn read(unit: &[u8]) -> Option<Self> {
        let [head, USER_DATA_UNREGISTERED, size, payload @ ..] = unit else { return None };
        if head & 0x1f != SEI || usize::from(*size) != PAYLOAD_BYTES {
            return None;
        }
        let numbers = payload.strip_prefix(&UUID)?.get(..2 * NUMBER_BYTES)?;
        let number = |bytes: &[u8]| {
            let parts = bytes.iter().enumerate();
            parts.fold(0, |sum, (n, byte)| sum | u64::from(byte & 0x7f) << (7 * n))
        };
        let (first, second) = numbers.split_at(NUMBER_BYTES);
        Some(Self { number: number(first), sent_us: number(second) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_needs_no_escaping() {
        for stamp in [
            Stamp { number: 0, sent_us: 0 },
            Stamp { number: 77, sent_us: 1_795_123_456_789_012 },
            Stamp { number: u64::MAX, sent_us: u64::MAX },
        ] {
            let unit = stamp.write();
            assert_eq!(Stamp::read(&unit), Some(stamp));
            assert!(!unit.windows(3).any(|w| w[..2] == [0, 0] && w[2] <= 3), "{unit:?}");
        }
    }

    #[test]
    fn another_unit_is_no_stamp() {
        let unit = Stamp { number: 1, sent_us: 2 }.write();
        assert_eq!(Stamp::read(&unit[..20]), None);
        assert_eq!(Stamp::read(&[]), None);
        let mut slice = unit.clone();
        slice[0] = 0x65;
        assert_eq!(Stamp::read(&slice), None);
        let mut other = unit;
        other[5] ^= 1;
        assert_eq!(Stamp::read(&other), None);
    }
}
