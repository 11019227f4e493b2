//! Packets on a byte stream, RFC 4571: each is preceded by its length in two bytes.
//!
//! A reader of our own and not a general codec, so that a connection never holds more than one
//! buffer of a fixed size, whatever length its peer announces.

use super::DATAGRAM_BYTES_MAX;

/// What a connection may have sent that is not read yet: two of the largest frames.
const BUFFER_BYTES: usize = 2 * (LENGTH + DATAGRAM_BYTES_MAX);
const LENGTH: usize = 2;

/// Appends `contents`, packets of `segment` bytes of which the last may be shorter, as frames.
pub(super) fn write(contents: &[u8], segment: usize, framed: &mut Vec<u8>) {
    for packet in contents.chunks(segment.clamp(1, usize::from(u16::MAX))) {
        framed.extend_from_slice(&(packet.len() as u16).to_be_bytes());
        framed.extend_from_slice(packet);
    }
}

/// A frame that is longer than anything a viewer has reason to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub(super) struct Oversize(usize);

/// Takes frames out of what is read.
pub(super) struct Reader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Reader {
    /// A reader that has read nothing.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into(), start: 0, end: 0 }
    }

    /// Where to read to; never empty once [`Self::next`] has said that there is no frame.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// The next whole frame. An empty one is allowed and means nothing (§2).
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Oversize> {
        let unread = &self.buffer[self.start..self.end];
        let Some((length, rest)) = unread.split_first_chunk::<LENGTH>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > DATAGRAM_BYTES_MAX {
            return Err(Oversize(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + LENGTH;
        self.start = from + length;
        Ok(Some(&self.buffer[from..self.start]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads `bytes` in pieces of `step`.
    fn read(bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Oversize> {
        let mut reader = Reader::new();
        let (mut frames, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let space = reader.space();
            assert!(!space.is_empty(), "a reader that is out of frames has room");
            let take = step.min(rest.len()).min(space.len());
            space[..take].copy_from_slice(&rest[..take]);
            reader.filled(take);
            rest = &rest[take..];
            while let Some(frame) = reader.next()? {
                frames.push(frame.to_vec());
            }
        }
        Ok(frames)
    }

    #[test]
    fn what_is_written_is_read_however_it_is_cut() {
        let mut framed = Vec::new();
        write(&[7; 2_500], 1_000, &mut framed);
        write(&[8; DATAGRAM_BYTES_MAX], DATAGRAM_BYTES_MAX, &mut framed);
        framed.extend([0, 0]);
        let expect =
            vec![vec![7; 1_000], vec![7; 1_000], vec![7; 500], vec![8; DATAGRAM_BYTES_MAX], vec![]];
        for step in [1, 2, 3, 999, 5_000] {
            assert_eq!(read(&framed, step).unwrap(), expect, "in steps of {step}");
        }
    }

    #[test]
    fn a_length_beyond_any_packet_is_refused_before_its_bytes_come() {
        assert_eq!(read(&[0xff, 0xff], 2), Err(Oversize(65_535)));
        let least = (DATAGRAM_BYTES_MAX as u16 + 1).to_be_bytes();
        assert_eq!(read(&least, 1), Err(Oversize(DATAGRAM_BYTES_MAX + 1)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_stick(
            bytes in prop::collection::vec(any::<u8>(), 0..9_000),
            step in 1usize..5_000,
        ) {
            let _ = read(&bytes, step);
        }
    }
}
