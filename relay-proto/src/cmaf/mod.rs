//! CMAF (ISO/IEC 23000-19): the one container in which media travels from origin to viewer.
//!
//! The origin writes headers ([`avc_init`], [`aac_init`], [`opus_init`]) and chunks
//! ([`write_chunk`]); the edge reads chunks ([`read_chunk`]). This module owns the shape of a
//! [`Chunk`] and its bounds. When a chunk ends and which group it joins is the packager's business.

mod init;
mod read;
#[cfg(test)]
mod tests;
mod write;

use bytes::Bytes;

pub use self::init::{aac_init, avc_init, opus_init};
pub use self::read::read_chunk;
pub use self::write::write_chunk;
use crate::frame::Frame;

/// The largest chunk, in bytes. A 4K keyframe at a contribution bitrate is below 4 MiB; this leaves
/// room for an encoder without rate control, and a reader never holds more per chunk.
pub const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most samples in one chunk. Ours hold one picture or a few audio frames; 256 AAC frames are
/// already 5 s of sound.
pub const SAMPLES_MAX: usize = 256;
/// AAC frames per chunk, but for the last of a group: 107 ms at 48 kHz. One frame a chunk would be half
/// overhead. Edges go by it for how long a part of LL-HLS must be.
pub const AAC_FRAMES_PER_CHUNK: usize = 5;
/// The largest decode time, in ticks. Half of the range of `tfdt`, so that readers may add offsets
/// and subtract times in signed arithmetic without thinking; at 90 kHz it is three million years.
pub const TICKS_MAX: u64 = i64::MAX as u64;

/// The only track of every header and chunk.
const TRACK_ID: u32 = 1;

/// `sample_depends_on = 2`: decoding can begin here (ISO/IEC 14496-12 §8.8.3.1).
const FLAGS_SYNC: u32 = 0x0200_0000;
/// `sample_depends_on = 1` and `sample_is_non_sync_sample`.
const FLAGS_NON_SYNC: u32 = 0x0101_0000;
/// `sample_is_non_sync_sample` alone: the bit that a reader goes by.
const FLAG_IS_NON_SYNC: u32 = 0x0001_0000;

/// One `moof` + `mdat`, preceded by its `prft`: the payload of a relay frame.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The bytes exactly as they travel, for LL-DASH and LL-HLS.
    pub bytes: Bytes,
    /// The samples inside, sharing those bytes, for WebRTC. Never empty.
    pub frames: Vec<Frame>,
}

/// Why a header or chunk was not written, or a chunk not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to write, or the chunk that was read holds no sample.
    #[error("a chunk holds at least one sample")]
    Empty,
    /// More than [`SAMPLES_MAX`] samples.
    #[error("chunk of {0} samples; at most {SAMPLES_MAX}")]
    TooManySamples(usize),
    /// More than [`CHUNK_BYTES_MAX`] bytes.
    #[error("chunk of {0} bytes; at most {CHUNK_BYTES_MAX}")]
    TooLarge(usize),
    /// A sample without a byte in it.
    #[error("sample {0} of the chunk is empty")]
    EmptySample(usize),
    /// Decode times go backwards, jump further than a sample duration can say, or exceed
    /// [`TICKS_MAX`].
    #[error("decode times of the chunk are not in order or out of range")]
    Times,
    /// The bytes end in the middle of a box, or a box states a size that its parent cannot hold.
    #[error("box at byte {0} has a size that does not fit")]
    BoxSize(usize),
    /// A box that does not belong here, or not in this order.
    #[error("expected box {expected}, found {found:?}")]
    UnexpectedBox {
        /// The four-character code that belongs here.
        expected: &'static str,
        /// The four bytes that stand here instead.
        found: [u8; 4],
    },
    /// The boxes parse but do not say what a chunk of ours says.
    #[error("chunk is not one of ours: {0}")]
    Unsupported(&'static str),
    /// The decoder configuration is not one that a header can be made of.
    #[error("decoder configuration: {0}")]
    Config(&'static str),
    /// A box body is malformed.
    #[error("malformed box: {0}")]
    Box(#[from] mp4_atom::Error),
}
