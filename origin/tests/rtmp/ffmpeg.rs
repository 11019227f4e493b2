//! ffmpeg, the encoder behind most captures, pushes for real.

use std::process::Stdio;

use lectern_origin::ingest::flv::Tag;
use lectern_origin::ingest::h264;
use tokio::process::{Child, Command};

use crate::support::*;

/// Starts an encoder of a test pattern and a tone.
fn encode(origin: &Origin, key: &str, arguments: &[&str]) -> Child {
    let url = format!("rtmp://{}/live/{key}", origin.address);
    Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-re"])
        .args(["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440"])
        .args(["-c:a", "aac", "-ar", "44100", "-b:a", "96k"])
        .args(arguments)
        .args(["-f", "flv", &url])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("these tests need ffmpeg, as the origin itself does")
}

const X264: [&str; 10] =
    ["-c:v", "libx264", "-profile:v", "high", "-preset", "veryfast", "-g", "25", "-bf", "2"];

#[tokio::test]
async fn ffmpeg_publishes_and_ends_cleanly() {
    let mut origin = Origin::start().await;
    let mut ffmpeg = encode(&origin, "lecture", &[&X264[..], &["-t", "2"]].concat());
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });
    let (mut pictures, mut keyframes, mut audio, mut reordered) = (0, 0, 0, false);
    let mut times = Vec::new();
    let clean = loop {
        match origin.seen().await {
            Seen::Ended { clean, .. } => break clean,
            Seen::Claimed { .. } => panic!("claimed twice"),
            Seen::Tag { tag, .. } => match tag {
                Tag::Metadata(metadata) => {
                    assert_eq!((metadata.width, metadata.height), (Some(320.0), Some(180.0)));
                    assert_eq!(metadata.has_video, Some(true));
                    assert!(metadata.encoder.unwrap().starts_with("Lavf"));
                }
                Tag::VideoConfig { avcc } => {
                    let sets = h264::ParameterSets::from_avcc(&avcc).unwrap();
                    assert_eq!((sets.width, sets.height), (320, 180));
                    assert_eq!(sets.frame_rate, Some(25.0));
                    assert!(sets.codec().starts_with("avc1.6400"), "{}", sets.codec());
                    assert!(sets.may_reorder());
                }
                Tag::AudioConfig { asc } => {
                    assert_eq!((asc.sample_rate, asc.channels, asc.sbr), (44_100, 1, false));
                }
                Tag::Video { timestamp_ms, composition_ms, keyframe, .. } => {
                    pictures += 1;
                    keyframes += usize::from(keyframe);
                    reordered |= composition_ms > 0;
                    times.push(timestamp_ms);
                }
                Tag::Audio { .. } => audio += 1,
                Tag::OpusConfig { .. } | Tag::EndOfSequence => {}
            },
        }
    };
    assert!(clean, "ffmpeg says that it ends");
    assert_eq!(pictures, 50);
    assert_eq!(keyframes, 2);
    assert!(reordered);
    assert!(times.is_sorted());
    assert!((84..=90).contains(&audio), "{audio} audio frames in two seconds");
    assert!(within(ffmpeg.wait()).await.unwrap().success());
    assert_eq!(origin.metrics.panics.get(), 0);
}

#[tokio::test]
async fn a_second_ffmpeg_takes_over_from_the_first() {
    let mut origin = Origin::start().await;
    let first = encode(&origin, "lecture", &X264);
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });
    while !matches!(origin.seen().await, Seen::Tag { tag: Tag::Video { .. }, .. }) {}
    let _second = encode(&origin, "lecture", &X264);
    while origin.seen().await != (Seen::Claimed { take: 1 }) {}
    // The first may have sent more before it was closed.
    while origin.seen().await != (Seen::Ended { take: 0, clean: false }) {}
    while !matches!(origin.seen().await, Seen::Tag { take: 1, tag: Tag::Video { .. }, .. }) {}
    let output = within(first.wait_with_output()).await.unwrap();
    assert!(!output.status.success());
}

#[tokio::test]
async fn ffmpeg_shows_its_user_why_it_was_refused() {
    let origin = Origin::start().await;
    let output = within(encode(&origin, "guess", &X264).wait_with_output()).await.unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("This stream key is not known"), "{said}");
}
