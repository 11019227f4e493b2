//! What re-encoding promises, with the machine's own ffmpeg: H.264 without B-frames at the same times,
//! a keyframe every two seconds, ffmpeg started anew when it dies, and gone with its source.

use std::process::Command;

use tokio::time::timeout;

use super::*;
use crate::ingest::flv::Demuxer;
use crate::ingest::flv::container::Reader;
use crate::ingest::h264::ParameterSets;

const DEADLINE: Duration = Duration::from_secs(30);

fn ffmpeg(args: &str) -> Vec<u8> {
    let made = Command::new("ffmpeg")
        .args("-hide_banner -loglevel error".split(' '))
        .args(args.split_ascii_whitespace())
        .output()
        .expect("ffmpeg is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Five seconds of a moving picture at 25 a second as frames of IVF, each with its time in ms.
fn ivf(encoder: &str, size: &str) -> Vec<(u32, Vec<u8>)> {
    let made = ffmpeg(&format!(
        "-f lavfi -i testsrc2=size={size}:rate=25:duration=5 -c:v {encoder} -f ivf pipe:1"
    ));
    let mut rest = &made[32..];
    let mut frames = Vec::new();
    while let Some(head) = rest.first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        frames.push((frames.len() as u32 * 40, rest[12..12 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    assert_eq!(frames.len(), 125);
    frames
}

fn vp8(size: &str, start_ms: u32) -> Vec<Coded> {
    let frames = ivf("libvpx -deadline realtime -cpu-used 8 -g 50 -auto-alt-ref 0", size);
    let coded = |(ms, data): (u32, Vec<u8>)| {
        let keyframe = data[0] & 1 == 0;
        let setup = if keyframe { Bytes::copy_from_slice(&data[6..10]) } else { Bytes::new() };
        Coded { timestamp_ms: start_ms.wrapping_add(ms), keyframe, setup, data: data.into() }
    };
    frames.into_iter().map(coded).collect()
}

/// H.264 with two B-frames, as OBS makes it.
fn b_frames() -> Vec<Coded> {
    let made = ffmpeg(
        "-f lavfi -i testsrc2=size=320x180:rate=25:duration=5 -c:v libx264 -preset veryfast \
         -bf 2 -g 50 -f flv pipe:1",
    );
    let mut reader = Reader::default();
    reader.push(&made);
    let (mut demuxer, mut setup, mut coded) = (Demuxer::new(), Bytes::new(), Vec::new());
    while let Some(raw) = reader.pop().expect("FLV") {
        if raw.kind != 9 {
            continue;
        }
        match demuxer.video(raw.timestamp_ms, raw.body).expect("a tag") {
            Some(Tag::VideoConfig { avcc }) => setup = avcc,
            Some(Tag::Video { timestamp_ms, composition_ms, keyframe, data }) => {
                let setup = if keyframe { setup.clone() } else { Bytes::new() };
                let timestamp_ms = timestamp_ms.wrapping_add_signed(composition_ms);
                coded.push(Coded { timestamp_ms, keyframe, setup, data });
            }
            _ => {}
        }
    }
    coded
}

async fn reencoders(most: usize) -> Reencoders {
    Reencoders::find(None, most, &Registry::new()).await.expect("ffmpeg with libx264")
}

/// Pushes everything, and gives back what is made of it until `count` pictures have come.
async fn reencode(codec: Codec, all: Vec<Coded>, count: usize) -> Vec<Tag> {
    let mut reencoder = reencoders(1).await.start(codec).expect("a place");
    let mut made = Vec::new();
    let mut pictures = 0;
    let mut waiting = all.into_iter();
    timeout(DEADLINE, async {
        while pictures < count {
            // No faster than it is encoded, as a live source would be: the queue is not what is tried.
            if reencoder.to_encode.capacity() > PICTURES_MAX / 2
                && let Some(coded) = waiting.next()
            {
                assert!(reencoder.push(coded));
                continue;
            }
            match reencoder.next().await.expect("running") {
                Reencoded::Tag(tag) => {
                    pictures += usize::from(matches!(tag, Tag::Video { .. }));
                    made.push(tag);
                }
                Reencoded::BrokeOff | Reencoded::NeedsKeyframe => panic!("ffmpeg broke off"),
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{pictures} of {count} pictures were made"));
    made
}

/// The times of the pictures, and of the keyframes among them. None is shown out of order.
fn times(made: &[Tag]) -> (Vec<u32>, Vec<u32>) {
    let (mut all, mut keyframes) = (Vec::new(), Vec::new());
    for tag in made {
        if let Tag::Video { timestamp_ms, composition_ms, keyframe, .. } = tag {
            assert_eq!(*composition_ms, 0);
            all.push(*timestamp_ms);
            if *keyframe {
                keyframes.push(*timestamp_ms);
            }
        }
    }
    (all, keyframes)
}

fn sizes(made: &[Tag]) -> Vec<(u32, u32)> {
    let size = |tag: &Tag| match tag {
        Tag::VideoConfig { avcc } => {
            let sets = ParameterSets::from_avcc(avcc).expect("valid");
            assert!(!sets.may_reorder());
            Some((sets.width, sets.height))
        }
        _ => None,
    };
    made.iter().filter_map(size).collect()
}

#[tokio::test]
async fn vp8_becomes_h264_at_the_same_times() {
    // Over the wrap of the clock.
    let start = 0_u32.wrapping_sub(1_000);
    let made = reencode(Codec::Vp8, vp8("322x180", start), 125).await;
    let (all, keyframes) = times(&made);
    let expect: Vec<_> = (0..125).map(|n| start.wrapping_add(n * 40)).collect();
    assert_eq!(all, expect);
    assert_eq!(keyframes, [start, start.wrapping_add(2_000), start.wrapping_add(4_000)]);
    assert_eq!(sizes(&made), [(322, 180)]);
}

#[tokio::test]
async fn b_frames_come_out_in_the_order_in_which_they_are_shown() {
    let source = b_frames();
    let in_order = |pair: &[Coded]| pair[0].timestamp_ms < pair[1].timestamp_ms;
    assert!(!source.windows(2).all(in_order), "the source has none");
    let mut expect: Vec<_> = source.iter().map(|coded| coded.timestamp_ms).collect();
    expect.sort_unstable();
    // The decoder holds the last back until more come, or none do.
    expect.truncate(120);
    let (all, keyframes) = times(&reencode(Codec::H264, source, 120).await);
    assert_eq!(all[..120], expect);
    assert_eq!(keyframes.len(), 3);
}

#[tokio::test]
async fn a_source_that_changes_its_size_goes_on() {
    let mut source = vp8("320x180", 0);
    source.extend(vp8("640x360", 5_000));
    let made = reencode(Codec::Vp8, source, 250).await;
    assert_eq!(sizes(&made), [(320, 180), (640, 360)]);
    let expect: Vec<_> = (0..250).map(|n| n * 40).collect();
    assert_eq!(times(&made).0, expect);
}

#[tokio::test]
async fn a_source_whose_clock_jumps_goes_on_with_its_new_times() {
    let mut source = vp8("320x180", 5_000);
    source.extend(vp8("320x180", 3_600_000));
    source.extend(vp8("320x180", 1_000));
    let made = reencode(Codec::Vp8, source, 375).await;
    let run = |start: u32| (0..125).map(move |n| start + n * 40);
    let expect: Vec<_> = run(5_000).chain(run(3_600_000)).chain(run(1_000)).collect();
    let (all, keyframes) = times(&made);
    assert_eq!(all, expect);
    assert_eq!(keyframes.len(), 9);
}

#[tokio::test]
async fn an_ffmpeg_that_dies_is_started_anew_and_one_whose_source_is_gone_is_killed() {
    use std::os::unix::fs::PermissionsExt as _;
    // An ffmpeg that leaves its process id.
    let dir = tempfile::tempdir().expect("a directory");
    let (wrapper, pid_file) = (dir.path().join("ffmpeg"), dir.path().join("pid"));
    let script = format!("#!/bin/sh\necho $$ > {}\nexec ffmpeg \"$@\"\n", pid_file.display());
    std::fs::write(&wrapper, script).expect("written");
    std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let pid = || std::fs::read_to_string(&pid_file).expect("a pid").trim().to_owned();

    let pool = Reencoders::find(Some(&wrapper), 1, &Registry::new()).await.expect("ffmpeg");
    let source = vp8("320x180", 0);
    let mut reencoder = pool.start(Codec::Vp8).expect("a place");
    let live = async {
        assert!(reencoder.push(source[0].clone()));
        while !matches!(reencoder.next().await, Some(Reencoded::Tag(Tag::Video { .. }))) {}
        let first = pid();
        let killed = Command::new("kill").args(["-9", &first]).status();
        assert!(killed.expect("kill").success());
        while reencoder.next().await != Some(Reencoded::BrokeOff) {}
        while reencoder.next().await != Some(Reencoded::NeedsKeyframe) {}
        assert_eq!(pool.metrics.restarts.get(), 1);
        // Depends on what was lost with the first.
        assert!(reencoder.push(source[1].clone()));
        assert!(reencoder.push(source[0].clone()));
        while !matches!(reencoder.next().await, Some(Reencoded::Tag(Tag::Video { .. }))) {}
        assert_ne!(pid(), first);
        assert_eq!(pool.metrics.dropped.get(), 1);
    };
    timeout(DEADLINE, live).await.expect("in time");
    drop(reencoder);
    let gone = async {
        let of_process = PathBuf::from(format!("/proc/{}", pid()));
        while of_process.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, gone).await.expect("killed and reaped");
}

#[tokio::test]
async fn no_more_run_than_may_and_a_place_is_free_again() {
    let pool = reencoders(1).await;
    let first = pool.start(Codec::Vp8).expect("a place");
    assert!(pool.start(Codec::Vp8).is_none());
    assert_eq!(pool.metrics.running.get(), 1);
    drop(first);
    let free = async {
        while pool.metrics.running.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, free).await.expect("in time");
    assert!(pool.start(Codec::Vp8).is_some());
}

#[tokio::test]
async fn what_ffmpeg_has_no_time_for_is_left_out_up_to_a_keyframe() {
    let mut reencoder = reencoders(1).await.start(Codec::Vp8).expect("a place");
    let coded = |keyframe| Coded {
        timestamp_ms: 0,
        keyframe,
        setup: Bytes::new(),
        data: Bytes::from_static(&[0; 1_000]),
    };
    // Without a turn of the runtime nothing is taken out.
    for at in 0..PICTURES_MAX {
        assert!(reencoder.push(coded(at == 0)));
    }
    assert!(!reencoder.push(coded(false)));
    assert!(!reencoder.push(coded(true)), "there is no room for it either");
    assert_eq!(reencoder.dropped.get(), 2);
    let large = Coded { data: vec![0; BYTES_MAX].into(), ..coded(true) };
    assert!(!reencoder.push(large));
}

#[tokio::test]
async fn what_is_no_ffmpeg_is_said_to_be_none() {
    let find = async |path: &str| {
        let path = PathBuf::from(path);
        Reencoders::find(Some(&path), 1, &Registry::new()).await.expect_err("none").to_string()
    };
    assert!(find("/nowhere/ffmpeg").await.contains("origin.ffmpeg"));
    assert!(find("false").await.contains("does not answer as ffmpeg does"));
    assert!(find("true").await.contains("libx264"));
    let pool = reencoders(1).await;
    assert!(pool.codecs().contains(&Codec::Vp8) && pool.codecs().contains(&Codec::H264));
}
