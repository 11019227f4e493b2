//! Reads RTMP chunks and yields whole messages (RTMP 1.0 §5.3.1), whatever way the bytes are split
//! and however chunks of different streams interleave. It owns every bound on what a peer can make
//! us remember; what messages mean is left to the session.

use bytes::{Buf, Bytes, BytesMut};
use rml_rtmp::messages::MessagePayload;
use rml_rtmp::time::RtmpTimestamp;

use super::message;

/// Chunk size before either side says otherwise (§5.4.1).
const CHUNK_SIZE_DEFAULT: u32 = 128;
/// The highest chunk size that can be written: the top bit of the field must be zero (§5.4.1).
const CHUNK_SIZE_MAX: u32 = 0x7fff_ffff;
/// A keyframe of an 8K lecture slide at the highest quality is some 4 MiB; twice that is a mistake
/// or an attack.
pub const VIDEO_BYTES_MAX: usize = 8 << 20;
/// An AAC frame is at most 8 KiB; commands and metadata are a few hundred bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Chunk streams a peer may open. Encoders use two to six; 62 is as many as have a one-byte header.
pub const CHUNK_STREAMS_MAX: usize = 62;
/// Bytes of unfinished messages before media is expected: a command and something beside it.
const PARTIAL_BYTES_MAX_BEFORE_MEDIA: usize = 2 * MESSAGE_BYTES_MAX;
/// Bytes of unfinished messages while media flows: one picture of any size, and what stands
/// between its chunks.
const PARTIAL_BYTES_MAX: usize = VIDEO_BYTES_MAX + 8 * MESSAGE_BYTES_MAX;
/// How much of a message's stated length is set aside before its bytes arrive: most pictures need
/// no second allocation, and a header alone claims little.
const RESERVE_BYTES_MAX: usize = 256 << 10;
/// The same before the peer is known to hold a stream key.
const RESERVE_BYTES_MAX_BEFORE_MEDIA: usize = 4 << 10;

/// The value of a 24-bit timestamp field that says "see the extended timestamp" (§5.3.1.3).
const TIMESTAMP_EXTENDED: u32 = 0x00ff_ffff;
/// Basic header, message header and extended timestamp at their longest.
const HEADER_BYTES_MAX: usize = 3 + 11 + 4;

/// Why reading cannot go on. After an error the position in the chunk stream is lost, so the
/// connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message is longer than its kind may be.
    #[error("message of kind {kind} states {bytes} bytes; at most {bytes_max} are accepted")]
    MessageTooLarge {
        /// The message type id.
        kind: u8,
        /// The length its header states.
        bytes: usize,
        /// The bound it broke.
        bytes_max: usize,
    },
    /// Unfinished messages together hold too much.
    #[error("unfinished messages hold more than {0} bytes")]
    PartialTooLarge(usize),
    /// More than [`CHUNK_STREAMS_MAX`] chunk streams.
    #[error("more than {CHUNK_STREAMS_MAX} chunk streams")]
    TooManyChunkStreams,
    /// A compressed header refers to a chunk stream that has had no full one.
    #[error("compressed header on chunk stream {0}, which has none before it")]
    HeaderMissing(u32),
    /// A new message begins on a chunk stream whose last message is unfinished.
    #[error("message header inside an unfinished message of chunk stream {0}")]
    HeaderInsideMessage(u32),
    /// Set Chunk Size states a size that the field cannot have.
    #[error("chunk size of {0} is not between 1 and {CHUNK_SIZE_MAX}")]
    ChunkSize(u32),
    /// Set Chunk Size or Abort whose body is not four bytes.
    #[error("protocol control message of kind {kind} with {bytes} bytes; it has 4")]
    ControlLength {
        /// The message type id.
        kind: u8,
        /// The length of its body.
        bytes: usize,
    },
    /// Audio or video before the publisher was accepted.
    #[error("media before publishing was accepted")]
    MediaNotExpected,
}

/// What the last header of a chunk stream said; later chunks leave out what has not changed.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    /// Milliseconds; wraps.
    timestamp: u32,
    /// The timestamp of a full header or the delta of another, as a type 3 chunk repeats it.
    timestamp_field: u32,
    /// Whether the field did not fit 24 bits.
    extended: bool,
    length: usize,
    kind: u8,
    message_stream_id: u32,
    /// Whether a message has begun and is not finished; `partial` is what arrived of it.
    unfinished: bool,
    partial: BytesMut,
}

/// Header bytes on the way to being a whole header.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

/// The payload of one chunk on its way in.
#[derive(Debug)]
struct Payload {
    /// Index into the chunk streams.
    stream: usize,
    /// Bytes of this chunk still to come.
    remaining: usize,
}

/// A header that is complete.
struct ParsedHeader {
    format: u8,
    id: u32,
    /// Where the message header begins.
    at: usize,
    /// The extended timestamp, if there is one.
    extended: Option<u32>,
}

/// Reads the chunks of one connection.
#[derive(Debug)]
pub struct Reader {
    chunk_size: usize,
    streams: Vec<ChunkStream>,
    partial_bytes: usize,
    media: bool,
    header: Header,
    payload: Option<Payload>,
    /// Bytes that were taken for an extended timestamp and turned out to be payload.
    replay: Bytes,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader for the bytes that follow the handshake.
    pub fn new() -> Self {
        Self {
            chunk_size: CHUNK_SIZE_DEFAULT as usize,
            streams: Vec::new(),
            partial_bytes: 0,
            media: false,
            header: Header::default(),
            payload: None,
            replay: Bytes::new(),
        }
    }

    /// Says that a publisher was accepted: audio and video may come, and pictures may be large.
    pub fn expect_media(&mut self) {
        self.media = true;
    }

    /// Takes bytes from `input` until a message is whole or nothing is left. Set Chunk Size and
    /// Abort are acted on here and not returned.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<MessagePayload>, Error> {
        loop {
            let message = if self.replay.is_empty() {
                if input.is_empty() {
                    return Ok(None);
                }
                self.step(input)?
            } else {
                let replay = std::mem::take(&mut self.replay);
                let mut rest = &replay[..];
                let message = self.step(&mut rest)?;
                // The step may give back some of what it took: those bytes come first.
                if !rest.is_empty() {
                    self.replay = [&self.replay[..], rest].concat().into();
                }
                message
            };
            let Some(message) = message else { continue };
            match message.type_id {
                message::SET_CHUNK_SIZE => self.set_chunk_size(&message)?,
                message::ABORT => self.abort(&message)?,
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Either completes a header or takes payload. Takes at least one byte.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<MessagePayload>, Error> {
        let Some(payload) = &mut self.payload else {
            return match self.take_header(input) {
                Some(header) => self.begin_chunk(header),
                None => Ok(None),
            };
        };
        let stream = &mut self.streams[payload.stream];
        let take = payload.remaining.min(input.len());
        if stream.partial.is_empty() {
            let reserve_max =
                if self.media { RESERVE_BYTES_MAX } else { RESERVE_BYTES_MAX_BEFORE_MEDIA };
            stream.partial.reserve(stream.length.min(reserve_max));
        }
        stream.partial.extend_from_slice(&input[..take]);
        input.advance(take);
        payload.remaining -= take;
        self.partial_bytes += take;
        let bytes_max = if self.media { PARTIAL_BYTES_MAX } else { PARTIAL_BYTES_MAX_BEFORE_MEDIA };
        if self.partial_bytes > bytes_max {
            return Err(Error::PartialTooLarge(bytes_max));
        }
        let at = payload.stream;
        if payload.remaining == 0 {
            self.payload = None;
            return Ok(self.finish_if_whole(at));
        }
        Ok(None)
    }

    /// Takes header bytes until there is a whole header.
    fn take_header(&mut self, input: &mut &[u8]) -> Option<ParsedHeader> {
        loop {
            let (byte, rest) = input.split_first()?;
            self.header.bytes[self.header.len] = *byte;
            self.header.len += 1;
            *input = rest;
            if let Some(header) = self.parse_header() {
                self.header.len = 0;
                return Some(header);
            }
        }
    }

    /// The header that the bytes so far make, if they suffice; [`HEADER_BYTES_MAX`] always do.
    fn parse_header(&mut self) -> Option<ParsedHeader> {
        let have = self.header.len;
        let bytes = &self.header.bytes;
        let format = bytes[0] >> 6;
        // Basic header, §5.3.1.1.
        let (id, at) = match bytes[0] & 0x3f {
            0 => (64 + u32::from(bytes[1]), 2),
            1 => (64 + u32::from(bytes[1]) + 256 * u32::from(bytes[2]), 3),
            id => (u32::from(id), 1),
        };
        // Message header, §5.3.1.2.
        let end = at + [11, 7, 3, 0][usize::from(format)];
        if have < end {
            return None;
        }
        // Extended timestamp, §5.3.1.3.
        if format < 3 {
            if u24(&bytes[at..]) != TIMESTAMP_EXTENDED {
                return Some(ParsedHeader { format, id, at, extended: None });
            }
            if have < end + 4 {
                return None;
            }
            return Some(ParsedHeader { format, id, at, extended: Some(u32_be(&bytes[end..])) });
        }
        let Some(stream) = self.streams.iter().find(|stream| stream.id == id && stream.extended)
        else {
            return Some(ParsedHeader { format, id, at, extended: None });
        };
        // Some encoders leave it out of type 3 chunks. Those that send it repeat what the last
        // header said, or state the message's time; anything else is payload.
        let seen = &bytes[end..have];
        let repeats = [stream.timestamp_field, stream.timestamp]
            .iter()
            .any(|value| value.to_be_bytes().starts_with(seen));
        if !repeats {
            self.replay = Bytes::copy_from_slice(seen);
            return Some(ParsedHeader { format, id, at, extended: None });
        }
        if seen.len() < 4 {
            return None;
        }
        Some(ParsedHeader { format, id, at, extended: Some(u32_be(seen)) })
    }

    /// Applies a header to its chunk stream. Returns the message if it has no payload.
    fn begin_chunk(&mut self, header: ParsedHeader) -> Result<Option<MessagePayload>, Error> {
        let ParsedHeader { format, id, at, extended } = header;
        let index = match self.streams.iter().position(|stream| stream.id == id) {
            Some(index) => index,
            // A fresh stream may begin with a type 1 header, without a message stream id: the
            // most common client library answers pings so.
            None if format <= 1 => self.open(id)?,
            None => return Err(Error::HeaderMissing(id)),
        };
        let bytes = &self.header.bytes;
        let stream = &mut self.streams[index];
        if stream.unfinished && format != 3 {
            return Err(Error::HeaderInsideMessage(id));
        }
        if format < 3 {
            stream.timestamp_field = extended.unwrap_or_else(|| u24(&bytes[at..]));
            stream.extended = extended.is_some();
        }
        if format < 2 {
            stream.length = u24(&bytes[at + 3..]) as usize;
            stream.kind = bytes[at + 6];
        }
        if format == 0 {
            stream.message_stream_id = u32_le(&bytes[at + 7..]);
        }
        if !stream.unfinished {
            // A type 3 header that begins a message adds the last field again, even if that was a
            // full header's time (§5.3.1.2.4).
            stream.timestamp = match format {
                0 => stream.timestamp_field,
                _ => stream.timestamp.wrapping_add(stream.timestamp_field),
            };
            check_message(stream.kind, stream.length, self.media)?;
            stream.unfinished = true;
        }
        let remaining = (stream.length - stream.partial.len()).min(self.chunk_size);
        if remaining == 0 {
            return Ok(self.finish_if_whole(index));
        }
        self.payload = Some(Payload { stream: index, remaining });
        Ok(None)
    }

    fn open(&mut self, id: u32) -> Result<usize, Error> {
        if self.streams.len() >= CHUNK_STREAMS_MAX {
            return Err(Error::TooManyChunkStreams);
        }
        self.streams.push(ChunkStream {
            id,
            timestamp: 0,
            timestamp_field: 0,
            extended: false,
            length: 0,
            kind: 0,
            message_stream_id: 0,
            unfinished: false,
            partial: BytesMut::new(),
        });
        Ok(self.streams.len() - 1)
    }

    fn finish_if_whole(&mut self, index: usize) -> Option<MessagePayload> {
        let stream = &mut self.streams[index];
        if stream.partial.len() < stream.length {
            return None;
        }
        stream.unfinished = false;
        let data = std::mem::take(&mut stream.partial).freeze();
        self.partial_bytes -= data.len();
        Some(MessagePayload {
            timestamp: RtmpTimestamp::new(stream.timestamp),
            type_id: stream.kind,
            message_stream_id: stream.message_stream_id,
            data,
        })
    }

    /// §5.4.1. A size beyond the longest message means the same as that length.
    fn set_chunk_size(&mut self, message: &MessagePayload) -> Result<(), Error> {
        let size = control_value(message)?;
        if !(1..=CHUNK_SIZE_MAX).contains(&size) {
            return Err(Error::ChunkSize(size));
        }
        self.chunk_size = size as usize;
        Ok(())
    }

    /// §5.4.2. The rest of the message will not come.
    fn abort(&mut self, message: &MessagePayload) -> Result<(), Error> {
        let id = control_value(message)?;
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
            self.partial_bytes -= stream.partial.len();
            stream.partial = BytesMut::new();
            stream.unfinished = false;
        }
        Ok(())
    }
}

fn check_message(kind: u8, bytes: usize, media: bool) -> Result<(), Error> {
    if matches!(kind, message::AUDIO | message::VIDEO) && !media {
        return Err(Error::MediaNotExpected);
    }
    let bytes_max = if kind == message::VIDEO { VIDEO_BYTES_MAX } else { MESSAGE_BYTES_MAX };
    if bytes > bytes_max {
        return Err(Error::MessageTooLarge { kind, bytes, bytes_max });
    }
    Ok(())
}

fn control_value(message: &MessagePayload) -> Result<u32, Error> {
    match <[u8; 4]>::try_from(&message.data[..]) {
        Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
        Err(_) => Err(Error::ControlLength { kind: message.type_id, bytes: message.data.len() }),
    }
}

fn u24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

fn u32_be(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn u32_le(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests;
