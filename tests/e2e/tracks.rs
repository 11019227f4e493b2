//! Promise: whatever tracks an encoder sends, viewers get what there is, and are told what there is
//! not.

use std::path::Path;
use std::process::Stdio;

use lectern_origin::config::Config;
use tokio::process::Command;

use crate::stack::{AAC, AUDIO, H264, Stack, VIDEO, representations};

/// What Chromium offers to receive.
const OFFER: &str = include_str!("../../edge/src/whep/chromium_offer.sdp");

fn tracks(manifest: &str) -> Vec<String> {
    let name = |id: String| id.split('~').next().unwrap_or_default().to_owned();
    representations(manifest).into_iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn video_and_audio_are_valid_dash_that_ffprobe_reads() {
    let stack = Stack::start().await;
    let _encoder = stack.publish("a-key", &format!("{VIDEO} {AUDIO} {H264} {AAC}"));
    stack.segments("a", 1).await;
    let manifest = stack.manifest("a").await;
    assert_eq!(tracks(&manifest), ["video-main", "audio-opus", "audio-aac"]);
    validate(&manifest);
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name,profile,sample_rate"])
        .args(["-of", "compact=nk=1:p=0", &stack.url("/live/a/manifest.mpd")])
        .stderr(Stdio::inherit())
        .output();
    let probe = String::from_utf8(probe.await.expect("ffprobe is installed").stdout).unwrap();
    for expect in ["h264|", "opus|unknown|48000", "aac|LC|44100"] {
        assert!(probe.contains(expect), "{expect} in {probe}");
    }
    assert_eq!(stack.offer("a", OFFER).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_alone_is_a_broadcast() {
    let stack = Stack::start().await;
    let _encoder = stack.publish("a-key", &format!("{AUDIO} {AAC}"));
    stack.segments("a", 1).await;
    let manifest = stack.manifest("a").await;
    assert_eq!(tracks(&manifest), ["audio-opus", "audio-aac"]);
    validate(&manifest);
    let answer = stack.offer("a", OFFER).await;
    assert_eq!(answer.status(), 201);
    assert!(answer.text().await.unwrap().contains("opus/48000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn video_alone_is_a_broadcast() {
    let stack = Stack::start().await;
    let _encoder = stack.publish("a-key", &format!("{VIDEO} {H264}"));
    stack.segments("a", 1).await;
    let manifest = stack.manifest("a").await;
    assert_eq!(tracks(&manifest), ["video-main"]);
    validate(&manifest);
    assert_eq!(stack.offer("a", OFFER).await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_play_by_dash_and_webrtc_says_why_it_cannot() {
    let stack = Stack::start_as(Config { reencode: false, ..Config::default() }).await;
    let encode = "-c:v libx264 -preset ultrafast -bf 2 -profile:v high -pix_fmt yuv420p -g 25";
    let _encoder = stack.publish("a-key", &format!("{VIDEO} {encode}"));
    stack.segments("a", 1).await;
    let answer = stack.offer("a", OFFER).await;
    assert_eq!(answer.status(), 406);
    assert_eq!(answer.headers()["Lectern-Reason"], "b-frames");
    assert!(answer.text().await.unwrap().contains("B-frames"));
    validate(&stack.manifest("a").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn keyframes_eight_seconds_apart_move_to_a_grid_that_fits_them() {
    let stack = Stack::start().await;
    let encode = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p \
        -force_key_frames expr:gte(t,n_forced*8) -g 1000";
    let _encoder = stack.publish("a-key", &format!("{VIDEO} {AUDIO} {encode} {AAC}"));
    let manifest = stack
        .status_when("a", "no period with longer segments", |status| {
            status["edge_ms"].as_u64().filter(|edge| *edge > 9_500)
        })
        .await;
    assert!(manifest > 0);
    let manifest = stack.manifest("a").await;
    assert!(manifest.contains(r#"timescale="90000" duration="720000""#), "{manifest}");
    validate(&manifest);
}

/// Checks a manifest against the DASH schema, where there is one.
fn validate(manifest: &str) {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas");
    let dir = std::env::var_os("LECTERN_DASH_SCHEMA").map_or(beside, Into::into);
    let schema = dir.join("DASH-MPD-local.xsd");
    if !schema.is_file() {
        eprintln!("not checked against the DASH schema: {} is not there", schema.display());
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest).unwrap();
    let lint = std::process::Command::new("xmllint")
        .args(["--noout", "--schema"])
        .args([schema.as_path(), file.path()])
        .output()
        .expect("xmllint is installed");
    assert!(lint.status.success(), "{}\n{manifest}", String::from_utf8_lossy(&lint.stderr));
}
