//! Promise: a host who sends B-frames is watched over WebRTC all the same, with lips that match; where that
//! cannot be done, over DASH and HLS as before; and the sound goes on whatever becomes of the picture.

use std::os::unix::fs::PermissionsExt as _;

use lectern_origin::config::Config;
use lectern_relay_proto::Timescale;

use crate::lip_sync::{Fetched, beeps, decode, fetch};
use crate::stack::{AAC, Stack, representations};

/// What Chromium offers to receive.
const OFFER: &str = include_str!("../../edge/src/whep/chromium_offer.sdp");
const TOLERANCE_S: f64 = 0.050;
/// Something that moves, with a corner that is white for a tenth of each second; and a beep with it.
const FLASH: &str = "-re -f lavfi -i testsrc2=size=640x360:rate=30,\
    drawbox=x=0:y=0:w=160:h=90:color=black:t=fill,\
    drawbox=x=0:y=0:w=160:h=90:color=white:t=fill:enable='lt(mod(t,1),0.1)'";
const BEEP: &str =
    "-re -f lavfi -i aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)':s=48000:c=stereo";
/// As OBS has it, unless it is told otherwise.
const B_FRAMES: &str = "-c:v libx264 -preset veryfast -threads 1 -bf 2 -profile:v high -pix_fmt yuv420p \
    -g 60 -b:v 1M";

/// The tracks of the newest period, as `(video, opus)`.
async fn tracks(stack: &Stack) -> (String, String) {
    let places = representations(&stack.manifest("a").await);
    let newest = |track: &str| {
        let place = places.iter().rev().find(|place| place.starts_with(track));
        place.expect("listed").clone()
    };
    (newest("video-main~"), newest("audio-opus~"))
}

/// When the corner lights up.
fn flashes(video: &Fetched) -> Vec<f64> {
    let pixels = decode(
        &video.file,
        "-vf crop=160:90:0:0,scale=16:9 -fps_mode passthrough -pix_fmt gray -f rawvideo",
    );
    let mean = |luma: &[u8]| luma.iter().map(|at| u32::from(*at)).sum::<u32>() / 144;
    let lit: Vec<_> = pixels.chunks_exact(144).map(|luma| mean(luma) > 128).collect();
    assert_eq!(lit.len(), video.shown_s.len(), "every frame is decoded");
    let begins = lit.windows(2).enumerate().filter(|(_, pair)| !pair[0] && pair[1]);
    begins.map(|(n, _)| video.shown_s[n + 1]).collect()
}

fn has_no_gap(opus: &Fetched) {
    for pair in opus.shown_s.windows(2) {
        assert!((pair[1] - pair[0] - 0.020).abs() < 0.001, "sound goes on: {pair:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_are_mended_for_webrtc_and_lips_match() {
    let stack = Stack::start().await;
    let _encoder = stack.publish("a-key", &format!("{FLASH} {BEEP} {B_FRAMES} {AAC}"));
    let status = stack.segments("a", 4).await;
    assert_eq!(stack.offer("a", OFFER).await.status(), 201);

    let (video, opus) = tracks(&stack).await;
    let first = status["tracks"][0]["first_segment"].as_u64().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let video = fetch(&stack, &video, first, 4, Timescale::VIDEO, dir.path()).await;
    let opus = fetch(&stack, &opus, first, 4, Timescale::OPUS, dir.path()).await;
    for pair in video.shown_s.windows(2) {
        let apart_s = pair[1] - pair[0];
        assert!((0.030..0.037).contains(&apart_s), "each after the one before: {pair:?}");
    }
    has_no_gap(&opus);
    let (flashes, beeps) = (flashes(&video), beeps(&opus));
    assert!(flashes.len() >= 5, "{flashes:?}");
    for flash in &flashes {
        let nearest = beeps.iter().map(|beep| (beep - flash).abs()).fold(f64::MAX, f64::min);
        assert!(nearest <= TOLERANCE_S, "a flash at {flash:.3} s, beeps at {beeps:.3?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_re_encoder_dies_again_and_again_it_goes_on_as_without() {
    let dir = tempfile::tempdir().unwrap();
    let ffmpeg = dir.path().join("ffmpeg");
    let script = "#!/bin/sh\ncase \"$*\" in *coders*) exec ffmpeg \"$@\";; esac\nexit 1\n";
    std::fs::write(&ffmpeg, script).unwrap();
    std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).unwrap();
    without_mending(Config { ffmpeg: Some(ffmpeg), ..Config::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_re_encoder_is_free_it_goes_on_as_without() {
    without_mending(Config { reencoders_max: 0, ..Config::default() }).await;
}

/// WebRTC is closed and says why; picture and sound are there over HTTP.
async fn without_mending(config: Config) {
    let stack = Stack::start_as(config).await;
    let encode = B_FRAMES.replace("-g 60", "-g 30");
    let mut encoder = stack.publish("a-key", &format!("{FLASH} {BEEP} {encode} {AAC}"));
    let has_picture = |manifest: &str| {
        representations(manifest).iter().any(|place| place.starts_with("video-main~"))
    };
    stack.manifest_when("a", has_picture).await;
    let status = stack.segments("a", 2).await;
    let answer = stack.offer("a", OFFER).await;
    assert_eq!(answer.status(), 406);
    assert_eq!(answer.headers()["Lectern-Reason"], "b-frames");
    assert_eq!(encoder.try_wait().unwrap(), None, "and the broadcast goes on");
    let (_, opus) = tracks(&stack).await;
    let track = status["tracks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|track| track["name"].as_str().is_some_and(|name| name.contains("opus")));
    let first = track.expect("Opus")["first_segment"].as_u64().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let opus = fetch(&stack, &opus, first, 2, Timescale::OPUS, dir.path()).await;
    has_no_gap(&opus);
}
