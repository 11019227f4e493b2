//! What other software makes of our CMAF: real encoder output goes in, ffmpeg reads it back.

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use lectern_relay_proto::cmaf::{self, Chunk};
use lectern_relay_proto::{Frame, MediaTime, Timescale, UtcTime};
use serde_json::Value;

/// Where the broadcast is when the test media begins: beyond 32 bits of video ticks.
const START_S: u64 = 100_000;

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {stderr}");
    // Decoders complain on stderr and still exit with success.
    assert!(stderr.trim().is_empty(), "{program}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn encode(path: &Path, args: &[&str]) -> Vec<u8> {
    let path = path.to_str().expect("UTF-8");
    let sources = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=30", "-f", "lavfi", "-i"];
    let sine = ["sine=frequency=440:sample_rate=44100", "-t", "2"];
    let common = ["-v", "error", "-y"];
    run("ffmpeg", &[&common[..], &sources, &sine, args, &[path]].concat());
    fs::read(path).expect("written")
}

/// What ffprobe says of the init segment followed by the chunks, and that ffmpeg can decode it.
fn probe(dir: &Path, init: &Bytes, chunks: &[Chunk]) -> Value {
    let path = dir.join("track.mp4");
    let chunks: Vec<_> = chunks.iter().map(|chunk| &chunk.bytes[..]).collect();
    fs::write(&path, [&init[..], &chunks.concat()].concat()).expect("written");
    let path = path.to_str().expect("UTF-8");
    run("ffmpeg", &["-v", "error", "-i", path, "-f", "null", "-"]);
    let shown = ["-show_streams", "-show_packets", "-of", "json", path];
    serde_json::from_str(&run("ffprobe", &[&["-v", "error"], &shown[..]].concat())).expect("JSON")
}

fn check_packets(probed: &Value, frames: &[Frame]) {
    let packets = probed["packets"].as_array().expect("packets");
    assert_eq!(packets.len(), frames.len());
    for (packet, frame) in packets.iter().zip(frames) {
        let dts = i64::try_from(frame.dts.ticks).expect("fits");
        assert_eq!(packet["dts"], dts, "{packet}");
        assert_eq!(packet["pts"], dts + i64::from(frame.composition_offset), "{packet}");
        // ffprobe leaves durations out where fragmented audio is concerned, its own included.
        let duration = &packet["duration"];
        assert!(duration.is_null() || *duration == frame.duration, "{packet}");
        assert_eq!(packet["size"], frame.data.len().to_string(), "{packet}");
        let keyframe = packet["flags"].as_str().expect("flags").starts_with('K');
        assert_eq!(keyframe, frame.keyframe, "{packet}");
    }
}

/// Chunks of up to `per_chunk` frames, and that our own reader gets back what went in.
fn write(frames: &[Frame], per_chunk: usize) -> Vec<Chunk> {
    let numbered = (1..).zip(frames.chunks(per_chunk));
    numbered
        .map(|(sequence, frames)| {
            let chunk = cmaf::write_chunk(sequence, frames).expect("valid frames");
            let timescale = frames[0].dts.timescale;
            let read = cmaf::read_chunk(chunk.bytes.clone(), timescale).expect("own chunk");
            assert_eq!(read.frames, chunk.frames);
            chunk
        })
        .collect()
}

fn frame(ticks: u64, timescale: Timescale, duration: u32, data: &[u8]) -> Frame {
    Frame {
        dts: MediaTime::new(START_S * u64::from(timescale.hz()) + ticks, timescale),
        composition_offset: 0,
        duration,
        keyframe: true,
        data: Bytes::copy_from_slice(data),
        arrived: UtcTime::from_millis(1_795_000_000_000),
    }
}

/// The tags of an FLV file (Adobe FLV 10.1 §E.4): type, milliseconds, body.
fn flv_tags(mut flv: &[u8]) -> Vec<(u8, u64, &[u8])> {
    let mut tags = Vec::new();
    flv = &flv[9 + 4..];
    while let [kind, a, b, c, t1, t2, t3, t4, _, _, _, rest @ ..] = flv {
        let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let ms = u32::from_be_bytes([*t4, *t1, *t2, *t3]);
        tags.push((*kind, u64::from(ms), &rest[..len]));
        flv = &rest[len + 4..];
    }
    tags
}

/// The packets of an Ogg stream without its two headers (RFC 3533 §6).
fn ogg_packets(mut ogg: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while !ogg.is_empty() {
        let lacing = &ogg[27..27 + usize::from(ogg[26])];
        let mut body = &ogg[27 + lacing.len()..];
        for &len in lacing {
            let (segment, rest) = body.split_at(len.into());
            packet.extend_from_slice(segment);
            body = rest;
            if len < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        ogg = body;
    }
    packets.split_off(2)
}

#[test]
fn high_profile_h264_with_b_frames_plays() {
    let dir = tempfile::tempdir().expect("a directory");
    let x264 = ["-an", "-c:v", "libx264", "-profile:v", "high", "-pix_fmt", "yuv420p"];
    let gop = ["-bf", "3", "-g", "30"];
    let flv = encode(&dir.path().join("in.flv"), &[&x264[..], &gop].concat());
    let tags: Vec<_> = flv_tags(&flv).into_iter().filter(|(kind, ..)| *kind == 9).collect();
    let (_, _, header) = tags.iter().find(|(_, _, body)| body[1] == 0).expect("avcC");
    let frames: Vec<_> = tags
        .iter()
        .filter(|(_, _, body)| body[1] == 1)
        .zip(0..)
        .map(|((_, _, body), index)| Frame {
            // FLV rounds to milliseconds; the cadence is exact.
            composition_offset: {
                let ms = i32::from_be_bytes([body[2], body[3], body[4], 0]) >> 8;
                (ms * 90 + 1_500) / 3_000 * 3_000
            },
            keyframe: body[0] >> 4 == 1,
            ..frame(index * 3_000, Timescale::VIDEO, 3_000, &body[5..])
        })
        .collect();
    assert!(frames.iter().any(|frame| frame.composition_offset != 3_000), "no B-frames");

    let init = cmaf::avc_init(&header[5..], 320, 180).expect("valid avcC");
    for per_chunk in [1, 7] {
        let probed = probe(dir.path(), &init, &write(&frames, per_chunk));
        let stream = &probed["streams"][0];
        assert_eq!(stream["codec_name"], "h264");
        assert_eq!(stream["profile"], "High");
        assert_eq!(stream["pix_fmt"], "yuv420p");
        assert_eq!((&stream["width"], &stream["height"]), (&320.into(), &180.into()));
        assert_eq!(stream["time_base"], "1/90000");
        check_packets(&probed, &frames);
    }
}

#[test]
fn aac_plays() {
    let dir = tempfile::tempdir().expect("a directory");
    let flv = encode(&dir.path().join("in.flv"), &["-vn", "-c:a", "aac", "-ac", "2"]);
    let tags: Vec<_> = flv_tags(&flv).into_iter().filter(|(kind, ..)| *kind == 8).collect();
    let (_, _, header) = tags.iter().find(|(_, _, body)| body[1] == 0).expect("ASC");
    let scale = Timescale::new(44_100).expect("not zero");
    let bodies = tags.iter().filter(|(_, _, body)| body[1] == 1 && body.len() > 2);
    let frames: Vec<_> = bodies
        .zip(0..)
        .map(|((_, _, body), index)| frame(index * 1_024, scale, 1_024, &body[2..]))
        .collect();

    let init = cmaf::aac_init(&header[2..], 44_100, 2).expect("valid ASC");
    let probed = probe(dir.path(), &init, &write(&frames, 5));
    let stream = &probed["streams"][0];
    assert_eq!(stream["codec_name"], "aac");
    assert_eq!(stream["profile"], "LC");
    assert_eq!(stream["sample_rate"], "44100");
    assert_eq!(stream["channels"], 2);
    assert_eq!(stream["time_base"], "1/44100");
    check_packets(&probed, &frames);
}

#[test]
fn opus_plays() {
    for channels in [1, 2] {
        let dir = tempfile::tempdir().expect("a directory");
        let count = channels.to_string();
        let opus = ["-vn", "-c:a", "libopus", "-frame_duration", "20", "-ac", &count];
        let packets = ogg_packets(&encode(&dir.path().join("in.ogg"), &opus));
        let frames: Vec<_> = packets
            .iter()
            .zip(0..)
            .map(|(packet, index)| frame(index * 960, Timescale::OPUS, 960, packet))
            .collect();

        let init = cmaf::opus_init(channels).expect("mono or stereo");
        let probed = probe(dir.path(), &init, &write(&frames, 1));
        let stream = &probed["streams"][0];
        assert_eq!(stream["codec_name"], "opus");
        assert_eq!(stream["sample_rate"], "48000");
        assert_eq!(stream["channels"], channels);
        assert_eq!(stream["time_base"], "1/48000");
        check_packets(&probed, &frames);
    }
}

#[test]
fn a_header_is_not_made_of_nonsense() {
    let asc = [0x12, 0x10];
    assert!(cmaf::avc_init(b"", 320, 180).is_err());
    assert!(cmaf::avc_init(&[1, 100, 0, 31, 255, 224, 0], 320, 180).is_err(), "no SPS");
    assert!(cmaf::avc_init(&[0; 20_000], 320, 180).is_err());
    assert!(cmaf::aac_init(&asc[..1], 44_100, 2).is_err());
    assert!(cmaf::aac_init(&asc, 0, 2).is_err());
    assert!(cmaf::aac_init(&asc, 44_100, 0).is_err());
    assert!(cmaf::aac_init(&asc, 96_000, 2).is_ok(), "a rate beyond sixteen bits");
    assert!(cmaf::opus_init(0).is_err());
    assert!(cmaf::opus_init(3).is_err());
}
