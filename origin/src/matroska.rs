//! The container of pipes to ffmpeg: Matroska (RFC 9559), written as a live stream. What goes in, the
//! demo pattern or pictures to be re-encoded, is the writer's.
//!
//! One pipe carries pictures and sound, each with its time. Two pipes would each have to be kept
//! from starving the other, and raw pictures without times could not be left out when ffmpeg
//! falls behind. Every block stands in a cluster of its own, which is all that a pipe needs.

/// EBML: a size that is not known, as of a segment that goes on for ever (RFC 8794 §6.2).
const SIZE_UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// What a track carries. Tracks are numbered from one, in the order of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Track<'a> {
    /// Uncompressed pictures, yuv420p.
    Pictures {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Pictures per second.
        fps: u32,
    },
    /// Coded pictures.
    Coded {
        /// By its name here, such as `V_VP8`.
        codec: &'a str,
        /// What a decoder wants first, if anything.
        private: &'a [u8],
    },
    /// Uncompressed sound: interleaved 32-bit floats.
    Sound {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u8,
    },
}

/// Everything before the first block.
pub(crate) fn header(tracks: &[Track<'_>]) -> Vec<u8> {
    let mut ebml = Vec::new();
    element(&mut ebml, 0x4282, b"matroska"); // DocType
    element(&mut ebml, 0x4287, &[4]); // DocTypeVersion
    element(&mut ebml, 0x4285, &[2]); // DocTypeReadVersion

    let mut info = Vec::new();
    element(&mut info, 0x2ad7b1, &1_000_000_u32.to_be_bytes()); // TimestampScale: milliseconds
    element(&mut info, 0x4d80, b"lectern"); // MuxingApp
    element(&mut info, 0x5741, b"lectern"); // WritingApp

    let mut entries = Vec::new();
    for (number, track) in (1..).zip(tracks) {
        element(&mut entries, 0xae, &track.entry(number));
    }

    let mut out = Vec::new();
    element(&mut out, 0x1a45dfa3, &ebml);
    out.extend_from_slice(&0x18538067_u32.to_be_bytes()); // Segment
    out.extend_from_slice(&SIZE_UNKNOWN);
    element(&mut out, 0x1549a966, &info);
    element(&mut out, 0x1654ae6b, &entries);
    out
}

/// What stands before the `size` bytes of a block that begins at `time_ms`.
pub(crate) fn block_header(track: u8, time_ms: u64, keyframe: bool, size: usize) -> Vec<u8> {
    let mut timestamp = Vec::new();
    element(&mut timestamp, 0xe7, &time_ms.to_be_bytes());
    let mut block = Vec::new();
    id(&mut block, 0xa3); // SimpleBlock, RFC 9559 §10.2
    block.extend_from_slice(&size_of(4 + size));
    block.extend_from_slice(&[0x80 | track, 0, 0, u8::from(keyframe) << 7]); // at the cluster's time

    let mut out = Vec::new();
    id(&mut out, 0x1f43b675); // Cluster
    out.extend_from_slice(&size_of(timestamp.len() + block.len() + size));
    out.extend_from_slice(&timestamp);
    out.extend_from_slice(&block);
    out
}

impl Track<'_> {
    fn entry(&self, number: u8) -> Vec<u8> {
        match self {
            Self::Pictures { width, height, fps } => {
                let mut picture = Vec::new();
                element(&mut picture, 0xb0, &width.to_be_bytes()); // PixelWidth
                element(&mut picture, 0xba, &height.to_be_bytes()); // PixelHeight
                element(&mut picture, 0x2eb524, b"I420"); // UncompressedFourCC
                let mut out = track(number, 1, "V_UNCOMPRESSED");
                element(&mut out, 0x23e383, &(1_000_000_000 / fps).to_be_bytes()); // DefaultDuration, ns
                element(&mut out, 0xe0, &picture);
                out
            }
            Self::Coded { codec, private } => {
                // The size is in the stream; but it must be said, and readers go by what they decode.
                let mut picture = Vec::new();
                element(&mut picture, 0xb0, &16_u32.to_be_bytes());
                element(&mut picture, 0xba, &16_u32.to_be_bytes());
                let mut out = track(number, 1, codec);
                if !private.is_empty() {
                    element(&mut out, 0x63a2, private); // CodecPrivate
                }
                element(&mut out, 0xe0, &picture);
                out
            }
            Self::Sound { sample_rate, channels } => {
                let mut sound = Vec::new();
                element(&mut sound, 0xb5, &f64::from(*sample_rate).to_be_bytes()); // SamplingFrequency
                element(&mut sound, 0x9f, &[*channels]); // Channels
                element(&mut sound, 0x6264, &[32]); // BitDepth
                let mut out = track(number, 2, "A_PCM/FLOAT/IEEE");
                element(&mut out, 0xe1, &sound);
                out
            }
        }
    }
}

/// What all tracks say of themselves; `kind` is 1 for video and 2 for audio.
fn track(number: u8, kind: u8, codec: &str) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, 0xd7, &[number]); // TrackNumber
    element(&mut out, 0x73c5, &[number]); // TrackUID
    element(&mut out, 0x83, &[kind]); // TrackType
    element(&mut out, 0x9c, &[0]); // FlagLacing
    element(&mut out, 0x86, codec.as_bytes()); // CodecID
    out
}

fn element(out: &mut Vec<u8>, element: u32, payload: &[u8]) {
    id(out, element);
    out.extend_from_slice(&size_of(payload.len()));
    out.extend_from_slice(payload);
}

/// An element's ID, which brings its own length marker.
fn id(out: &mut Vec<u8>, id: u32) {
    let leading_zeros = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[leading_zeros..]);
}

/// A size in eight bytes, of which the first marks the length.
fn size_of(size: usize) -> [u8; 8] {
    (size as u64 | 1 << 56).to_be_bytes()
}
