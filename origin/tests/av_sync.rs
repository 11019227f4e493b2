//! Promise: what the demo feed publishes flashes when it beeps, tells its time in every frame,
//! and can be read after an encoder has had it.

// What tests call may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod sound;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lectern_origin::demo::{self, Error, FeedConfig, pattern};
use lectern_relay_proto::UtcTime;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far beyond what anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Decodes a video that ffmpeg understands to luma planes of `width`×`height`.
fn decode_luma(video: &[u8], format: &str, width: usize, height: usize) -> Vec<Vec<u8>> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", format, "-i", "-", "-an", "-fps_mode", "passthrough"])
        .args([
            "-vf",
            &format!("scale={width}:{height}"),
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut stdin = ffmpeg.stdin.take().unwrap();
    let video = video.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&video));
    let output = ffmpeg.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout.chunks_exact(width * height).map(<[u8]>::to_vec).collect()
}

#[test]
fn the_clock_survives_an_encoder_and_a_smaller_picture() {
    let (width, height, fps, frames) = (1280, 720, 30, 90);
    let mut pattern = pattern::Pattern::new(width, height, fps).unwrap();
    let time_ms = move |n: u64| 1_795_123_456_000 + n * 1000 / u64::from(fps);
    let mut x264 = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"])
        .args(["-s", "1280x720", "-r", "30", "-i", "-"])
        .args(["-c:v", "libx264", "-preset", "superfast", "-tune", "zerolatency"])
        .args(["-b:v", "1M", "-maxrate", "1M", "-bufsize", "500k", "-f", "h264", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed");
    let mut stdin = x264.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        for n in 0..frames {
            stdin.write_all(pattern.draw(n, UtcTime::from_millis(time_ms(n)))).unwrap();
        }
    });
    let coded = x264.wait_with_output().unwrap().stdout;
    writer.join().unwrap();
    assert!(coded.len() < 3 * 1_200_000 / 8, "{} bytes in 3 s is not 1 Mb/s", coded.len());

    for (width, height) in [(1280, 720), (640, 360)] {
        let pictures = decode_luma(&coded, "h264", width, height);
        assert_eq!(pictures.len() as u64, frames);
        for (n, luma) in pictures.iter().enumerate() {
            let clock = pattern::read_clock(luma, width, height);
            assert_eq!(clock, Some(time_ms(n as u64)), "frame {n} at {width}x{height}");
            let lit = pattern::read_flash(luma, width, height).unwrap();
            assert_eq!(lit, n % 30 < 3, "frame {n} at {width}x{height}");
        }
    }
}

/// What an FLV file holds, tag by tag.
#[derive(Default)]
struct Flv {
    /// Times of pictures, in ms.
    video_ms: Vec<u32>,
    keyframes: Vec<usize>,
    /// Times and access units of sound.
    audio_ms: Vec<u32>,
    units: Vec<Bytes>,
}

impl Flv {
    fn parse(flv: &[u8]) -> Self {
        assert_eq!(&flv[..4], b"FLV\x01");
        let (mut parsed, mut rest) = (Self::default(), &flv[13..]);
        while rest.len() >= 11 {
            let be24 = |at: usize| u32::from_be_bytes([0, rest[at], rest[at + 1], rest[at + 2]]);
            let (size, time_ms) = (be24(1) as usize, be24(4) | u32::from(rest[7]) << 24);
            let Some(body) = rest.get(11..11 + size) else { break };
            match (rest[0], body) {
                (9, [first, 1, ..]) => {
                    if first >> 4 == 1 {
                        parsed.keyframes.push(parsed.video_ms.len());
                    }
                    assert_eq!(&body[2..5], [0, 0, 0], "no B-frames");
                    parsed.video_ms.push(time_ms);
                }
                (8, [0xaf, 1, unit @ ..]) => {
                    parsed.audio_ms.push(time_ms);
                    parsed.units.push(Bytes::copy_from_slice(unit));
                }
                _ => {}
            }
            rest = &rest[(11 + size + 4).min(rest.len())..];
        }
        parsed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_flashes_when_it_beeps_and_every_frame_tells_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let feed = tokio::spawn(demo::run(FeedConfig::new(url), cancel.clone()));

    let (mut publisher, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
    let mut flv = Vec::new();
    let mut arrivals: Vec<SystemTime> = Vec::new();
    let mut tags = Tags::default();
    let read = async {
        let mut buffer = vec![0; 1 << 16];
        while let size @ 1.. = publisher.read(&mut buffer).await.unwrap() {
            flv.extend_from_slice(&buffer[..size]);
            let complete = tags.video_in(&flv);
            arrivals.resize(complete, SystemTime::now());
            if complete > 30 * 9 / 2 {
                cancel.cancel();
            }
        }
    };
    timeout(DEADLINE, read).await.expect("the feed runs, and ends when told to");
    timeout(DEADLINE, feed).await.unwrap().unwrap().unwrap();

    let parsed = Flv::parse(&flv);
    let (width, height) = (640, 360);
    let pictures = decode_luma(&flv, "flv", width, height);
    assert_eq!(pictures.len(), parsed.video_ms.len());
    let seen: Vec<(u64, bool)> = pictures
        .iter()
        .map(|luma| {
            let clock = pattern::read_clock(luma, width, height).expect("a clock in every frame");
            (clock, pattern::read_flash(luma, width, height).unwrap())
        })
        .collect();
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "the clock goes on");

    // Presentation times are the frame grid's: drawn late or not, but never early.
    let offset = |n: usize| seen[n].0 as i64 - i64::from(parsed.video_ms[n]);
    let earliest = (0..seen.len()).map(offset).min().unwrap();
    for time_ms in &parsed.video_ms {
        let since_ms = f64::from(time_ms - parsed.video_ms[0]);
        let frames = (since_ms * 0.03).round();
        assert!((since_ms - frames / 0.03).abs() <= 2.0, "{since_ms}");
    }
    let span_s = f64::from(parsed.video_ms.last().unwrap() - parsed.video_ms[0]) / 1000.0;
    println!("{} frames in {span_s:.2} s", seen.len());

    // Keyframes stand two seconds apart, to the millisecond that FLV rounds to.
    for pair in parsed.keyframes.windows(2) {
        let apart_ms = parsed.video_ms[pair[1]] - parsed.video_ms[pair[0]];
        assert!((1_999..=2_001).contains(&apart_ms), "{apart_ms}");
    }

    let flashes: Vec<f64> = (1..seen.len())
        .filter(|n| seen[*n].1 && !seen[n - 1].1)
        .map(|n| f64::from(parsed.video_ms[n]) / 1000.0)
        .collect();
    let pcm = sound::decode_aac(&parsed.units, 48_000, 2);
    let sound_start_s = f64::from(parsed.audio_ms[0]) / 1000.0;
    let beeps: Vec<f64> = sound::onsets(&pcm, 48_000).iter().map(|s| s + sound_start_s).collect();
    assert!(flashes.len() >= 3 && !parsed.keyframes.is_empty(), "{flashes:?}");
    for flash in &flashes {
        let nearest = beeps
            .iter()
            .map(|beep| (beep - flash) * 1000.0)
            .min_by(|a, b| a.abs().total_cmp(&b.abs()));
        let apart_ms = nearest.expect("beeps");
        assert!(apart_ms.abs() <= 20.0, "beep {apart_ms} ms after flash at {flash}; {beeps:?}");
    }

    let mut delays_ms: Vec<i64> = (0..seen.len())
        .filter_map(|n| {
            Some(UtcTime::from(*arrivals.get(n)?).as_millis() as i64 - seen[n].0 as i64)
        })
        .collect();
    delays_ms.sort_unstable();
    println!(
        "drawn to arrived: median {} ms, 95% {} ms; drawn up to {} ms late",
        delays_ms[delays_ms.len() / 2],
        delays_ms[delays_ms.len() * 95 / 100],
        (0..seen.len()).map(offset).max().unwrap() - earliest,
    );
}

/// Counts the complete video tags of a growing FLV file.
#[derive(Default)]
struct Tags {
    at: usize,
    video: usize,
}

impl Tags {
    fn video_in(&mut self, flv: &[u8]) -> usize {
        self.at = self.at.max(13);
        while let Some(header) = flv.get(self.at..self.at + 11) {
            let size = u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
            let end = self.at + 11 + size;
            let Some(body) = flv.get(self.at + 11..end) else { break };
            self.video += usize::from(header[0] == 9 && body.get(1) == Some(&1));
            self.at = end + 4;
        }
        self.video
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_waits_for_a_server_that_is_not_there_yet() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let cancel = CancellationToken::new();
    let feed = tokio::spawn(demo::run(FeedConfig::new(format!("tcp://{address}")), cancel.clone()));
    // Nothing marks the first failure from outside; the feed connects whenever it comes to it.
    let listener = TcpListener::bind(address).await.unwrap();
    for _ in 0..2 {
        // Hanging up makes it come back.
        let (mut publisher, _) = timeout(DEADLINE, listener.accept()).await.unwrap().unwrap();
        let mut magic = [0; 3];
        timeout(DEADLINE, publisher.read_exact(&mut magic)).await.unwrap().unwrap();
        assert_eq!(&magic, b"FLV");
    }
    cancel.cancel();
    timeout(DEADLINE, feed).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_fed_is_refused_at_once() {
    let config = || FeedConfig::new("rtmp://127.0.0.1:1/live/secret-key");
    let size = FeedConfig { width: 1281, ..config() };
    assert!(matches!(demo::run(size, CancellationToken::new()).await, Err(Error::Size(_))));
    let gop = FeedConfig { gop_seconds: 0, ..config() };
    assert!(matches!(demo::run(gop, CancellationToken::new()).await, Err(Error::Encoding)));
    assert!(!format!("{:?}", config()).contains("secret"), "the key is in no log line");
}
