//! ffmpeg plays the LL-DASH of a broadcast that is live while it plays: H.264, Opus and AAC, over
//! real HTTP, from the chunks that an origin would send.

#![allow(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lectern_edge::audience::{self, Audience};
use lectern_edge::live::{self, Directory, Live, Metrics};
use lectern_edge::timeline::Config;
use lectern_relay_proto::{
    About, AudioTrack, Catalog, Frame, GroupId, MediaTime, Period, PublisherState, SegmentGrid,
    Timescale, TrackName, UtcTime, VideoTrack, cmaf,
};

/// How much of the broadcast is over when the player comes.
const JOINED_S: u64 = 5;
const LENGTH_S: u64 = 40;
const FPS: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_a_live_broadcast_from_its_manifest() {
    let broadcast = Broadcast::generate(&["-g", "50"]);
    let t0 = UtcTime::from_millis(now().as_millis() - JOINED_S * 1_000);
    let (address, live, directory) = serve(t0, &broadcast).await;
    let (past, to_come) =
        broadcast.chunks(t0).into_iter().partition(|sent| sent.0.as_secs() < JOINED_S);
    publish(&live, t0, past).await;
    let publisher = tokio::spawn(async move { publish(&live, t0, to_come).await });
    let url = format!("http://{address}/live/talk/manifest.mpd");

    let probe = url.clone();
    let probed = tokio::task::spawn_blocking(move || {
        run(
            "ffprobe",
            &["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &probe],
        )
    });
    let probed = String::from_utf8(probed.await.unwrap().stdout).unwrap();
    let mut codecs: Vec<&str> = probed.lines().filter(|line| !line.is_empty()).collect();
    codecs.sort_unstable();
    codecs.dedup();
    assert_eq!(codecs, ["aac", "h264", "opus"]);

    let played = tokio::task::spawn_blocking(move || {
        let map = ["-map", "0:v:0", "-map", "0:a:0", "-map", "0:a:1"];
        let mut args = vec!["-v", "warning", "-xerror", "-i", &url, "-t", "6"];
        args.extend(map);
        args.extend(["-f", "framecrc", "-"]);
        run("ffmpeg", &args)
    });
    let played = String::from_utf8(played.await.unwrap().stdout).unwrap();
    let frames = |stream: &str| played.lines().filter(|line| line.starts_with(stream)).count();
    let frames = [frames("0,"), frames("1,"), frames("2,")];
    // ffmpeg opens the streams one after the other, each at the segment that is live by then, so the
    // later ones have less of the six seconds.
    let least = [2 * FPS as usize, 2 * 50, 2 * 46];
    let enough = frames.iter().zip(least).all(|(frames, least)| *frames >= least);
    assert!(enough, "frames of video, Opus, AAC: {frames:?}");
    publisher.abort();
    drop(directory);
}

fn now() -> UtcTime {
    UtcTime::from(SystemTime::now())
}

fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).output().expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    output
}

async fn serve(t0: UtcTime, broadcast: &Broadcast) -> (SocketAddr, Arc<Live>, Arc<Directory>) {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let audience = Audience::new(audience::Metrics::register(&registry).unwrap());
    let directory = Directory::new(Config::default(), metrics);
    directory.set_informed(true);
    let live = directory.open("talk".parse().unwrap()).unwrap();
    live.set_catalog(broadcast.catalog(t0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = live::routes(directory.clone(), audience, true);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, live, directory)
}

/// When it is sent, after `T0`, and what; no chunk: the group is whole.
type Sent = (Duration, TrackName, GroupId, Option<cmaf::Chunk>);

/// Sends every chunk at the moment its last frame would have arrived.
async fn publish(live: &Live, t0: UtcTime, chunks: Vec<Sent>) {
    let from = tokio::time::Instant::now();
    let past = now().saturating_since(t0);
    for (due, track, group, chunk) in chunks {
        if let Some(wait) = due.checked_sub(past) {
            tokio::time::sleep_until(from + wait).await;
        }
        match chunk {
            Some(chunk) => live.push(&track, group, chunk),
            None => live.end_group(&track, group),
        }
    }
}

/// The coded frames of a broadcast, each with its time in its track's timescale.
struct Broadcast {
    video: Vec<(u64, bool, Bytes)>,
    avcc: Bytes,
    opus: Vec<Bytes>,
    aac: Vec<Bytes>,
    asc: Bytes,
}

impl Broadcast {
    /// Test pictures and a tone, coded by ffmpeg.
    fn generate(gop: &[&str]) -> Self {
        let (length, size) = (LENGTH_S.to_string(), format!("testsrc=s=320x180:r={FPS}"));
        let video = ["-f", "lavfi", "-i", &size, "-c:v", "libx264", "-preset", "ultrafast"];
        let tune = ["-tune", "zerolatency", "-pix_fmt", "yuv420p"];
        let tone = ["-f", "lavfi", "-i", "sine=r=48000", "-ac", "2", "-t", &length];
        let quiet = ["-v", "error"];
        let flv = [
            &quiet[..],
            &video[..2],
            &video[2..4],
            &tone[..4],
            &tone[4..],
            &video[4..],
            &tune,
            gop,
        ];
        let flv = [&flv.concat()[..], &["-c:a", "aac", "-f", "flv", "-"]].concat();
        let flv = run("ffmpeg", &flv).stdout;
        let ogg = [&quiet[..], &tone, &["-c:a", "libopus", "-frame_duration", "20"]].concat();
        let ogg = run("ffmpeg", &[&ogg[..], &["-f", "ogg", "-"]].concat()).stdout;
        let mut broadcast = Self {
            video: vec![],
            avcc: Bytes::new(),
            opus: ogg_packets(&ogg).split_off(2),
            aac: vec![],
            asc: Bytes::new(),
        };
        broadcast.read_flv(Bytes::from(flv));
        broadcast
    }

    /// The tags of an FLV file (Adobe FLV 10.1, annex E.4).
    fn read_flv(&mut self, flv: Bytes) {
        let mut at = 13;
        while at + 11 < flv.len() {
            let tag = &flv[at..];
            let len = u32::from_be_bytes([0, tag[1], tag[2], tag[3]]) as usize;
            let ms = u64::from(u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]));
            let body = flv.slice(at + 11..at + 11 + len);
            match (tag[0], body[1]) {
                (9, 0) => self.avcc = body.slice(5..),
                (9, 1) => self.video.push((ms, body[0] >> 4 == 1, body.slice(5..))),
                (8, 0) => self.asc = body.slice(2..),
                (8, 1) => self.aac.push(body.slice(2..)),
                _ => {}
            }
            at += 11 + len + 4;
        }
        let first_ms = self.video[0].0;
        self.video.iter_mut().for_each(|(ms, ..)| *ms -= first_ms);
    }

    fn catalog(&self, t0: UtcTime) -> Catalog {
        let audio = |name: &str, codec: &str, init, description: &Bytes| AudioTrack {
            name: track(name),
            codec: codec.into(),
            init,
            description: description.clone(),
            sample_rate: 48_000,
            channels: 2,
            bitrate: Some(96_000),
        };
        let opus = cmaf::opus_init(2).unwrap();
        let aac = cmaf::aac_init(&self.asc, 48_000, 2).unwrap();
        let profile = &self.avcc[1..4];
        Catalog {
            t0,
            state: PublisherState::Live,
            about: About::default(),
            period: Period {
                id: 0,
                take: 0,
                start_ms: 0,
                grid: SegmentGrid::new(2_000),
                sequence: 0,
            },
            video: vec![VideoTrack {
                name: track(TrackName::VIDEO_MAIN),
                codec: format!("avc1.{:02x}{:02x}{:02x}", profile[0], profile[1], profile[2]),
                init: cmaf::avc_init(&self.avcc, 320, 180).unwrap(),
                description: self.avcc.clone(),
                width: 320,
                height: 180,
                framerate: Some(FPS as f64),
                bitrate: None,
                reordered: false,
            }],
            audio: vec![
                audio(TrackName::AUDIO_OPUS, "opus", opus, &Bytes::new()),
                audio(TrackName::AUDIO_AAC, "mp4a.40.2", aac, &self.asc),
            ],
        }
    }

    /// What the origin sends, in order.
    fn chunks(&self, t0: UtcTime) -> Vec<Sent> {
        let frame = |ticks: u64, timescale, duration, keyframe, data: &Bytes| {
            let dts = MediaTime::new(ticks, timescale);
            let arrived = t0 + dts.as_duration();
            Frame { dts, composition_offset: 0, duration, keyframe, data: data.clone(), arrived }
        };
        let ticks = u32::try_from(u64::from(Timescale::VIDEO.hz()) / FPS).unwrap();
        let video = self
            .video
            .iter()
            .map(|(ms, keyframe, data)| frame(ms * 90, Timescale::VIDEO, ticks, *keyframe, data));
        let video: Vec<Frame> = video.collect();
        let cuts: Vec<MediaTime> = video.iter().filter(|f| f.keyframe).map(|f| f.dts).collect();
        let audio = |packets: &[Bytes], samples: u32| -> Vec<Frame> {
            let at = |(n, data)| {
                frame(n as u64 * u64::from(samples), Timescale::OPUS, samples, true, data)
            };
            packets.iter().enumerate().map(at).collect()
        };
        let mut all = Vec::new();
        for (name, frames, per_chunk) in [
            (TrackName::VIDEO_MAIN, video, 1),
            (TrackName::AUDIO_OPUS, audio(&self.opus, 960), 5),
            (TrackName::AUDIO_AAC, audio(&self.aac, 1_024), 4),
        ] {
            let group_of = |frame: &Frame| cuts.iter().filter(|cut| **cut <= frame.dts).count() - 1;
            for frames in frames.chunk_by(|a, b| group_of(a) == group_of(b)) {
                let group = GroupId { period: 0, index: group_of(&frames[0]) as u32 };
                let mut due = Duration::ZERO;
                for frames in frames.chunks(per_chunk) {
                    let last = &frames[frames.len() - 1];
                    let chunk = cmaf::write_chunk(all.len() as u32, frames).unwrap();
                    due = last.dts.as_duration();
                    all.push((due, track(name), group, Some(chunk)));
                }
                all.push((due, track(name), group, None));
            }
        }
        all.sort_by_key(|(due, ..)| *due);
        all
    }
}

fn track(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

/// The packets of an Ogg file with one stream (RFC 3533 §6).
fn ogg_packets(ogg: &[u8]) -> Vec<Bytes> {
    let (mut packets, mut packet, mut at) = (vec![], vec![], 0);
    while at + 27 <= ogg.len() {
        assert_eq!(&ogg[at..at + 4], b"OggS");
        let lacing = &ogg[at + 27..at + 27 + usize::from(ogg[at + 26])];
        at += 27 + lacing.len();
        for &len in lacing {
            packet.extend_from_slice(&ogg[at..at + usize::from(len)]);
            at += usize::from(len);
            if len < 255 {
                packets.push(Bytes::from(std::mem::take(&mut packet)));
            }
        }
    }
    packets
}
