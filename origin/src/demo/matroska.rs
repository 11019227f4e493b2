//! The container of the pipe to ffmpeg: Matroska (RFC 9559), written as a live stream.
//!
//! One pipe carries pictures and sound, each with its time. Two pipes would each have to be kept
//! from starving the other, and raw pictures without times could not be left out when ffmpeg
//! falls behind. Every block stands in a cluster of its own, which is all that a pipe needs.

use super::tone;

/// The track numbers.
pub(super) const VIDEO: u8 = 1;
pub(super) const AUDIO: u8 = 2;

/// EBML: a size that is not known, as of a segment that goes on for ever (RFC 8794 §6.2).
const SIZE_UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Everything before the first block: uncompressed yuv420p, and interleaved 32-bit floats.
pub(super) fn header(width: u32, height: u32, fps: u32) -> Vec<u8> {
    let mut ebml = Vec::new();
    element(&mut ebml, 0x4282, b"matroska"); // DocType
    element(&mut ebml, 0x4287, &[4]); // DocTypeVersion
    element(&mut ebml, 0x4285, &[2]); // DocTypeReadVersion

    let mut info = Vec::new();
    element(&mut info, 0x2ad7b1, &1_000_000_u32.to_be_bytes()); // TimestampScale: milliseconds
    element(&mut info, 0x4d80, b"lectern"); // MuxingApp
    element(&mut info, 0x5741, b"lectern"); // WritingApp

    let mut picture = Vec::new();
    element(&mut picture, 0xb0, &width.to_be_bytes()); // PixelWidth
    element(&mut picture, 0xba, &height.to_be_bytes()); // PixelHeight
    element(&mut picture, 0x2eb524, b"I420"); // UncompressedFourCC
    let mut video = track(VIDEO, 1, "V_UNCOMPRESSED");
    element(&mut video, 0x23e383, &(1_000_000_000 / fps).to_be_bytes()); // DefaultDuration, ns
    element(&mut video, 0xe0, &picture);

    let mut sound = Vec::new();
    element(&mut sound, 0xb5, &f64::from(tone::SAMPLE_RATE).to_be_bytes()); // SamplingFrequency
    element(&mut sound, 0x9f, &[tone::CHANNELS as u8]); // Channels
    element(&mut sound, 0x6264, &[32]); // BitDepth
    let mut audio = track(AUDIO, 2, "A_PCM/FLOAT/IEEE");
    element(&mut audio, 0xe1, &sound);

    let mut tracks = Vec::new();
    element(&mut tracks, 0xae, &video);
    element(&mut tracks, 0xae, &audio);

    let mut out = Vec::new();
    element(&mut out, 0x1a45dfa3, &ebml);
    out.extend_from_slice(&0x18538067_u32.to_be_bytes()); // Segment
    out.extend_from_slice(&SIZE_UNKNOWN);
    element(&mut out, 0x1549a966, &info);
    element(&mut out, 0x1654ae6b, &tracks);
    out
}

/// What stands before the `size` bytes of a block that begins at `time_ms`.
pub(super) fn block_header(track: u8, time_ms: u64, size: usize) -> Vec<u8> {
    let mut timestamp = Vec::new();
    element(&mut timestamp, 0xe7, &time_ms.to_be_bytes());
    let mut block = Vec::new();
    id(&mut block, 0xa3); // SimpleBlock, RFC 9559 §10.2
    block.extend_from_slice(&size_of(4 + size));
    block.extend_from_slice(&[0x80 | track, 0, 0, 0x80]); // at the cluster's time, a keyframe

    let mut out = Vec::new();
    id(&mut out, 0x1f43b675); // Cluster
    out.extend_from_slice(&size_of(timestamp.len() + block.len() + size));
    out.extend_from_slice(&timestamp);
    out.extend_from_slice(&block);
    out
}

/// What both tracks say of themselves; `kind` is 1 for video and 2 for audio.
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
