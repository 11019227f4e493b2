//! FLV as a stream of bytes, such as an ffmpeg process writes it: its header, and tags behind one another
//! (Video File Format 10, §E.2 to §E.4.1). What is in the tags is the [`Demuxer`](super::Demuxer)'s.

use bytes::{Buf, Bytes, BytesMut};

/// The largest tag that is taken: a keyframe of 4 MB, twice over.
const TAG_BYTES_MAX: usize = 8 << 20;
const FILE_HEADER_BYTES: usize = 9;
const TAG_HEADER_BYTES: usize = 11;
/// The size of the tag before stands behind each, and before the first.
const BACK_POINTER_BYTES: usize = 4;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTag {
    /// 8 audio, 9 video, 18 data.
    pub kind: u8,
    /// Milliseconds, which wrap.
    pub timestamp_ms: u32,
    /// What the demuxer reads.
    pub body: Bytes,
}

/// What is not FLV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It begins otherwise.
    #[error("this does not begin like FLV")]
    Header,
    /// A tag is larger than any that is sent live.
    #[error("a tag of {0} bytes")]
    TooLarge(usize),
}

/// Cuts a stream into tags. Holds one tag at the most, and what was pushed last.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
    begun: bool,
}

impl Reader {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next tag that is whole.
    pub fn pop(&mut self) -> Result<Option<RawTag>, Error> {
        if !self.begun {
            let Some(header) = self.buffer.first_chunk::<FILE_HEADER_BYTES>() else {
                return Ok(None);
            };
            if !header.starts_with(b"FLV\x01") || header[5..] != [0, 0, 0, FILE_HEADER_BYTES as u8]
            {
                return Err(Error::Header);
            }
            self.buffer.advance(FILE_HEADER_BYTES);
            self.begun = true;
        }
        let head = self.buffer.get(BACK_POINTER_BYTES..BACK_POINTER_BYTES + TAG_HEADER_BYTES);
        let Some(&[kind, s2, s1, s0, t2, t1, t0, t3, ..]) = head else { return Ok(None) };
        let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
        if size > TAG_BYTES_MAX {
            return Err(Error::TooLarge(size));
        }
        let whole = BACK_POINTER_BYTES + TAG_HEADER_BYTES + size;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let mut body = self.buffer.split_to(whole);
        body.advance(BACK_POINTER_BYTES + TAG_HEADER_BYTES);
        let timestamp_ms = u32::from_be_bytes([t3, t2, t1, t0]);
        Ok(Some(RawTag { kind: kind & 0x1f, timestamp_ms, body: body.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, and a tag of video at 16,909,060 ms.
    const STREAM: &[u8] =
        b"FLV\x01\x01\0\0\0\x09\0\0\0\0\x09\0\0\x03\x02\x03\x04\x01\0\0\0abc\0\0\0\x0e";

    #[test]
    fn tags_come_out_whole_however_the_bytes_come() {
        for size in 1..=STREAM.len() {
            let mut reader = Reader::default();
            let mut tags = Vec::new();
            for bytes in STREAM.chunks(size) {
                reader.push(bytes);
                tags.extend(reader.pop().expect("FLV"));
            }
            let body = Bytes::from_static(b"abc");
            assert_eq!(tags, [RawTag { kind: 9, timestamp_ms: 0x0102_0304, body }]);
        }
    }

    #[test]
    fn what_is_not_flv_is_told() {
        let mut reader = Reader::default();
        reader.push(b"RIFF12345");
        assert_eq!(reader.pop(), Err(Error::Header));
        let mut reader = Reader::default();
        reader.push(b"FLV\x01\x01\0\0\0\x09\0\0\0\0\x09\xff\xff\xff\0\0\0\0\0\0\0");
        assert_eq!(reader.pop(), Err(Error::TooLarge(0xff_ffff)));
    }
}
