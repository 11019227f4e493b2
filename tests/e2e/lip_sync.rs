//! Promise: sound and picture stay together within 20 ms of the source, from AAC over RTMP to the
//! decoded Opus that a viewer hears.

use std::path::Path;
use std::process::Command;

use lectern_origin::demo::{self, FeedConfig, pattern};
use lectern_relay_proto::{Frame, Timescale, cmaf};
use tokio_util::sync::CancellationToken;

use crate::stack::{Stack, representations};

const TOLERANCE_S: f64 = 0.020;
/// The picture is decoded small: the flash is as clear.
const WIDTH: usize = 320;
const HEIGHT: usize = 180;

#[tokio::test(flavor = "multi_thread")]
async fn the_flash_and_the_beep_are_decoded_at_the_same_time() {
    let stack = Stack::start().await;
    let stop = CancellationToken::new();
    let feed = FeedConfig {
        width: 640,
        height: 360,
        bitrate: 800_000,
        ..FeedConfig::new(format!("rtmp://{}/live/a-key", stack.rtmp))
    };
    let feeding = tokio::spawn(demo::run(feed, stop.clone()));

    let status = stack.segments("a", 4).await;
    let manifest = stack.manifest("a").await;
    let [video, opus] = ["video-main~", "audio-opus~"].map(|track| {
        let places = representations(&manifest);
        places.into_iter().find(|place| place.starts_with(track)).expect("listed")
    });
    let first = status["tracks"][0]["first_segment"].as_u64().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let video = fetch(&stack, &video, first, 4, Timescale::VIDEO, dir.path()).await;
    let opus = fetch(&stack, &opus, first, 4, Timescale::OPUS, dir.path()).await;
    stop.cancel();
    feeding.await.unwrap().unwrap();

    let flashes = flashes(&video);
    let beeps = beeps(&opus);
    assert!(flashes.len() >= 5, "{flashes:?}");
    for flash in &flashes {
        let nearest = beeps.iter().map(|beep| (beep - flash).abs()).fold(f64::MAX, f64::min);
        assert!(nearest <= TOLERANCE_S, "a flash at {flash:.3} s, beeps at {beeps:.3?}");
    }
}

/// A track as a player would have it: header and segments in a file, and when each frame is shown.
pub(crate) struct Fetched {
    pub(crate) file: std::path::PathBuf,
    pub(crate) shown_s: Vec<f64>,
}

pub(crate) async fn fetch(
    stack: &Stack,
    id: &str,
    first: u64,
    count: u64,
    timescale: Timescale,
    dir: &Path,
) -> Fetched {
    let get = async |name: String| {
        let answer = stack.get(&format!("/live/a/{id}/{name}")).await;
        assert_eq!(answer.status(), 200, "{id}/{name}");
        answer.bytes().await.unwrap()
    };
    let mut file = get("init.mp4".to_owned()).await.to_vec();
    let mut shown_s = Vec::new();
    for number in first..first + count {
        let segment = get(format!("{number}.m4s")).await;
        for chunk in chunks(&segment) {
            let chunk = cmaf::read_chunk(chunk, timescale).unwrap();
            let shown = |frame: &Frame| {
                let offset = f64::from(frame.composition_offset) / f64::from(timescale.hz());
                frame.dts.as_secs_f64() + offset
            };
            shown_s.extend(chunk.frames.iter().map(shown));
        }
        file.extend_from_slice(&segment);
    }
    let path = dir.join(format!("{id}.mp4"));
    std::fs::write(&path, file).unwrap();
    Fetched { file: path, shown_s }
}

/// A segment taken apart after each `mdat`.
fn chunks(segment: &bytes::Bytes) -> Vec<bytes::Bytes> {
    let (mut chunks, mut begin, mut at) = (Vec::new(), 0, 0);
    while at < segment.len() {
        let length = u32::from_be_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        let kind = &segment[at + 4..at + 8];
        at += length;
        if kind == b"mdat" {
            chunks.push(segment.slice(begin..at));
            begin = at;
        }
    }
    chunks
}

pub(crate) fn decode(file: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(arguments.split(' '))
        .arg("-")
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// When the flash lights up.
fn flashes(video: &Fetched) -> Vec<f64> {
    let arguments =
        format!("-vf scale={WIDTH}:{HEIGHT} -fps_mode passthrough -pix_fmt gray -f rawvideo");
    let pixels = decode(&video.file, &arguments);
    let lit: Vec<_> = pixels
        .chunks_exact(WIDTH * HEIGHT)
        .map(|luma| pattern::read_flash(luma, WIDTH, HEIGHT).expect("the pattern"))
        .collect();
    assert_eq!(lit.len(), video.shown_s.len(), "every frame is decoded");
    let begins = lit.windows(2).enumerate().filter(|(_, pair)| !pair[0] && pair[1]);
    begins.map(|(n, _)| video.shown_s[n + 1]).collect()
}

/// When a tone begins after silence.
pub(crate) fn beeps(audio: &Fetched) -> Vec<f64> {
    const RATE: usize = 48_000;
    const LOUD: f32 = 0.05;
    let pcm = decode(&audio.file, "-ac 1 -ar 48000 -f f32le");
    let samples: Vec<f32> =
        pcm.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let mut beeps = Vec::new();
    let mut last_loud = None;
    for (n, _) in samples.iter().enumerate().filter(|(_, sample)| sample.abs() > LOUD) {
        if last_loud.is_some_and(|last| n - last > RATE / 5) {
            beeps.push(audio.shown_s[0] + n as f64 / RATE as f64);
        }
        last_loud = Some(n);
    }
    beeps
}
