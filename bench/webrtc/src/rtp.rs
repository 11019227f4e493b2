//! The RTP header, RFC 3550 §5.1, which SRTP leaves readable.

/// What of it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Bytes of the header with its extension.
    pub(crate) length: usize,
}

impl Header {
    /// Reads the header of a packet; `None` if it is not RTP.
    pub(crate) fn read(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut length = 12 + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension = rest.get(length - 12..length - 8)?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            length += 4 + 4 * words;
        }
        (length <= packet.len()).then_some(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: be32(&fixed[4..8]),
            ssrc: be32(&fixed[8..12]),
            length,
        })
    }
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Whether a datagram is RTCP and not RTP, by its second byte (RFC 5761 §4).
pub(crate) fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Sequence numbers without end, counted from the first one seen.
#[derive(Debug, Default)]
pub(crate) struct Unwrapped {
    newest: Option<u64>,
}

impl Unwrapped {
    /// What `sequence` stands for: the nearest to the newest, before it or after.
    pub(crate) fn unwrap(&mut self, sequence: u16) -> u64 {
        // One turn ahead, so that what comes before the first packet has a number as well.
        let newest = *self.newest.get_or_insert(u64::from(sequence) + (1 << 16));
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let number = newest.saturating_add_signed(ahead.into());
        self.newest = Some(newest.max(number));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_with_an_extension_is_read() {
        let mut packet = vec![0x90, 0x80 | 102, 1, 2, 0, 0, 0, 3, 0, 0, 0, 4];
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, 7]);
        let header = Header::read(&packet).unwrap();
        assert_eq!((header.marker, header.payload_type, header.sequence), (true, 102, 0x102));
        assert_eq!((header.timestamp, header.ssrc, header.length), (3, 4, 20));
        assert_eq!(Header::read(&packet[..18]), None);
        assert_eq!(Header::read(&[0; 12]), None);
    }

    #[test]
    fn sequence_numbers_go_on_past_the_wrap_and_come_late() {
        let mut unwrapped = Unwrapped::default();
        let first = unwrapped.unwrap(65_534);
        let rest: Vec<u64> =
            [65_535, 1, 0, 65_533].map(|sequence| unwrapped.unwrap(sequence) + 1 - first).into();
        assert_eq!(rest, [2, 4, 3, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_order(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(header) = Header::read(&bytes) {
                prop_assert!(header.length <= bytes.len());
            }
        }
    }
}
