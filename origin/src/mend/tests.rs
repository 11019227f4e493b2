//! What mending promises before ffmpeg has a say, and when it has none: what goes through untouched, what is
//! held and for how long, and how a source goes on that cannot be mended. The tests of
//! `transcode::video` say what ffmpeg makes of a picture, `tests/e2e/mend.rs` what viewers get.

use std::os::unix::fs::PermissionsExt as _;

use prometheus::Registry;
use tempfile::TempDir;

use super::*;
use crate::ingest::h264::tests::{SPS_BASELINE_180P, SPS_HIGH_720P, record};

/// Main 3.1, 320x176, without a word on reordering.
const SPS_SILENT: [u8; 8] = [0x67, 0x4d, 0x40, 0x1f, 0xf6, 0x0a, 0x0b, 0xc8];

fn at(ms: u64) -> UtcTime {
    UtcTime::from_millis(1_795_000_000_000 + ms)
}

fn config(sps: &[u8]) -> Tag {
    Tag::VideoConfig { avcc: record(sps, 3).into() }
}

fn picture(timestamp_ms: u32, composition_ms: i32, keyframe: bool) -> Tag {
    let data = Bytes::from_static(&[0, 0, 0, 1, 0x65]);
    Tag::Video { timestamp_ms, composition_ms, keyframe, data }
}

fn sound(timestamp_ms: u32) -> Tag {
    Tag::Audio { timestamp_ms, data: Bytes::from_static(&[1]) }
}

/// An ffmpeg that says what it can, and then does this.
async fn reencoders(does: &str, most: usize) -> (Reencoders, TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let ffmpeg = dir.path().join("ffmpeg");
    let says = r#"case "$*" in *-encoders*) echo " V. libx264 x"; exit;; *-decoders*) echo " V. h264 x"; exit;; esac"#;
    std::fs::write(&ffmpeg, format!("#!/bin/sh\n{says}\n{does}\n")).expect("written");
    std::fs::set_permissions(&ffmpeg, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let found = Reencoders::find(Some(&ffmpeg), most, &Registry::new()).await.expect("found");
    (found, dir)
}

/// Pushes each tag when its timestamp says, and configurations at the time of the last.
fn push(mend: &mut Mend, tags: impl IntoIterator<Item = Tag>) -> Out {
    let (mut out, mut now) = (Vec::new(), at(0));
    for tag in tags {
        now = tag.media().map_or(now, |(timestamp_ms, _)| at(timestamp_ms.into()));
        mend.push(tag, now, &mut out);
    }
    out
}

fn tags(out: Out) -> Vec<Tag> {
    out.into_iter().map(|(tag, _)| tag).collect()
}

/// Waits for the re-encoder and hands on, until the mend is as wanted.
async fn until(mend: &mut Mend, now: UtcTime, wanted: impl Fn(&Mend) -> bool) -> Out {
    let mut out = Vec::new();
    let wait = async {
        while !wanted(mend) {
            mend.ready().await;
            mend.handle_ready(now, &mut out);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("in time");
    out
}

#[tokio::test]
async fn what_needs_no_mending_or_cannot_have_it_goes_through_at_once() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    let in_order =
        [config(&SPS_BASELINE_180P), picture(0, 0, true), sound(5), picture(40, 0, false)];
    let mut mend = Mend::new(Some(found));
    assert_eq!(tags(push(&mut mend, in_order.clone())), in_order);
    assert_eq!(mend.state(), Mending::Off);
    let reordered =
        [config(&SPS_HIGH_720P), picture(0, 80, true), sound(5), picture(40, 160, false)];
    let mut mend = Mend::new(None);
    assert_eq!(tags(push(&mut mend, reordered.clone())), reordered);
    assert_eq!(mend.state(), Mending::Off);
}

#[tokio::test]
async fn a_source_that_says_nothing_is_held_until_its_pictures_do_or_for_a_moment() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    // In order: everything goes on, with the instants at which it came.
    let mut mend = Mend::new(Some(found.clone()));
    let mut all = vec![config(&SPS_SILENT)];
    for ms in (0..280).step_by(40) {
        all.extend([picture(ms, 80, ms == 0), sound(ms + 10)]);
    }
    assert_eq!(push(&mut mend, all.clone()), []);
    let out = push(&mut mend, [picture(320, 80, false)]);
    all.push(picture(320, 80, false));
    for (tag, arrived) in &out[1..] {
        assert_eq!(tag.media().map(|(ms, _)| at(ms.into())), Some(*arrived));
    }
    assert_eq!((tags(out), mend.state()), (all, Mending::Off));

    // One out of order: none of the source's pictures went out, and the sound waits for those to come.
    let mut mend = Mend::new(Some(found));
    let first = [config(&SPS_SILENT), picture(0, 80, true), sound(30), picture(40, 160, false)];
    assert_eq!(push(&mut mend, first), []);
    let next = [picture(80, 40, false), sound(90)];
    assert_eq!(tags(push(&mut mend, next)), [sound(30)], "which is of before the first picture");
    assert_eq!(mend.state(), Mending::Starting);
    let mut out = Vec::new();
    assert_eq!(mend.timeout(), Some(at(4_000)));
    mend.handle_timeout(at(5_000), &mut out);
    assert_eq!(tags(out), [sound(90)]);
}

#[tokio::test]
async fn where_no_place_is_free_it_is_tried_again_with_each_keyframe() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    let taken = found.start(Codec::H264).expect("a place");
    let mut mend = Mend::new(Some(found.clone()));
    let first = [config(&SPS_HIGH_720P), picture(0, 80, true), sound(30), picture(40, 160, false)];
    assert_eq!(tags(push(&mut mend, first.clone())), first, "as it is");
    assert_eq!(mend.state(), Mending::Impossible(Why::Busy));
    drop(taken);
    // The place is given back by a task of its own.
    let mut ms = 80;
    while mend.state() == Mending::Impossible(Why::Busy) {
        push(&mut mend, [picture(ms, 80, true)]);
        ms += 40;
        tokio::task::yield_now().await;
    }
    assert_eq!(mend.state(), Mending::Starting);
    assert_eq!(push(&mut mend, [picture(ms, 80, false)]), []);
    assert!(found.start(Codec::H264).is_none());
    mend.stop();
    while found.start(Codec::H264).is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_source_whose_ffmpeg_dies_twice_goes_on_as_it_is_from_its_next_keyframe() {
    let (found, _dir) = reencoders("exit 1", 1).await;
    let mut mend = Mend::new(Some(found.clone()));
    let first = [config(&SPS_HIGH_720P), picture(0, 80, true), sound(90), picture(40, 160, false)];
    assert_eq!(push(&mut mend, first), []);
    let resume = |mend: &Mend, wanted| matches!(mend.phase, Phase::Running { resume, .. } if resume == wanted);
    let out = until(&mut mend, at(100), |mend| resume(mend, Resume::AtKeyframe)).await;
    assert_eq!(tags(out), [sound(90)], "sound waits for nothing that will not come");
    assert_eq!(push(&mut mend, [picture(120, 80, false), sound(130)]).len(), 1);
    push(&mut mend, [picture(160, 80, true)]);
    until(&mut mend, at(500), |mend| matches!(mend.state(), Mending::Impossible(Why::Fails))).await;
    let rest =
        [picture(200, 80, false), sound(210), picture(240, 80, true), picture(280, 80, false)];
    let expect =
        [sound(210), config(&SPS_HIGH_720P), picture(240, 80, true), picture(280, 80, false)];
    assert_eq!(tags(push(&mut mend, rest)), expect);
    assert_eq!(mend.take_left(), Left { behind: 2, late: 0 });
    assert_eq!(mend.state(), Mending::Impossible(Why::Fails));
}

#[tokio::test]
async fn a_source_that_gives_b_frames_up_goes_on_as_it_is_and_its_new_sound_in_turn() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    let mut mend = Mend::new(Some(found));
    push(&mut mend, [config(&SPS_HIGH_720P), picture(0, 80, true), sound(90)]);
    let opus = Tag::OpusConfig { channels: 2 };
    assert_eq!(push(&mut mend, [opus.clone(), sound(95)]), [], "not before the sound before it");
    let next = [config(&SPS_BASELINE_180P), picture(120, 0, true), sound(130)];
    let [new, keyframe, last] = next.clone();
    let expect = [sound(90), opus, sound(95), new, keyframe, last];
    assert_eq!(tags(push(&mut mend, next)), expect);
    assert_eq!(mend.state(), Mending::Off);
}

#[tokio::test]
async fn where_the_clock_jumps_ffmpeg_goes_on_with_the_next_keyframe() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    let mut mend = Mend::new(Some(found));
    push(&mut mend, [config(&SPS_HIGH_720P), picture(9_000, 80, true), picture(9_040, 80, false)]);
    let mut out = Vec::new();
    mend.push(picture(500, 80, false), at(9_080), &mut out);
    mend.push(picture(540, 80, false), at(9_120), &mut out);
    assert_eq!(mend.take_left(), Left { behind: 2, late: 0 });
    mend.push(picture(580, 80, true), at(9_160), &mut out);
    mend.push(picture(620, 80, false), at(9_200), &mut out);
    assert_eq!((mend.take_left(), out), (Left::default(), Vec::new()));
}

#[tokio::test]
async fn what_is_held_at_the_end_goes_on() {
    let (found, _dir) = reencoders("exec cat >/dev/null", 1).await;
    let mut mend = Mend::new(Some(found));
    let few = [config(&SPS_SILENT), picture(0, 80, true), sound(20)];
    assert_eq!(push(&mut mend, few.clone()), []);
    let mut out = Vec::new();
    mend.end(at(100), &mut out);
    assert_eq!(tags(out), few);
}
