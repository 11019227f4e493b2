//! Promise: an edge subscribes once to what somebody watches, and to nothing else; and the first viewer
//! does not notice.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use lectern_edge::config::Config as EdgeConfig;
use lectern_relay_proto::net::{
    BroadcastPublisher, Epoch, Identity, Publisher, PublisherConfig, PublisherMetrics,
    TrackPublisher,
};
use lectern_relay_proto::{
    About, AudioTrack, BroadcastId, Catalog, Frame, GroupId, MediaTime, Period, PublisherState,
    SegmentGrid, Timescale, TrackName, UtcTime, VideoTrack, cmaf,
};
use prometheus::Registry;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::stack::{
    AAC, AUDIO, DEADLINE, H264, Stack, VIDEO, client, metric, metric_when, representations,
    start_edge,
};
use crate::way::Way;

const OFFER: &str = include_str!("../../edge/src/whep/chromium_offer.sdp");
const ANNOUNCED: &str = "lectern_edge_broadcasts_announced";
const SUBSCRIBED: &str = "lectern_edge_broadcasts_subscribed";

/// An edge that subscribes to what is asked for, and lets go of it soon.
fn cold() -> EdgeConfig {
    EdgeConfig { linger_secs: const { NonZeroU32::new(1).unwrap() }, ..EdgeConfig::default() }
}

/// Whether ffmpeg can decode a picture of it.
async fn shows_a_picture(url: &str) {
    let player = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", url, "-frames:v", "1", "-f", "null", "-"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(DEADLINE, player).await.expect("in time").expect("ffmpeg is installed");
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What the edge has fetched of what it missed, and what failed.
fn fetched(registry: &Registry) -> Vec<String> {
    let families = registry.gather();
    let of = families
        .iter()
        .filter(|family| family.name().contains("backfill") || family.name().contains("fault"));
    let metrics = of.flat_map(|family| {
        family.get_metric().iter().map(move |metric| {
            let labels = metric.get_label().iter().map(|label| label.value());
            let labels = labels.collect::<Vec<_>>().join(" ");
            format!("{} {labels} {}", family.name(), metric.get_counter().get_value())
        })
    });
    metrics.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_viewer_on_each_path_gets_a_picture_and_so_does_the_next_first() {
    let near = Stack::start().await;
    let _encoder = near.publish("a-key", &format!("{VIDEO} {AUDIO} {H264} {AAC}"));
    near.segments("a", 2).await;
    let edge = near.another_edge_as(near.relay, cold()).await;
    let live = |status: &serde_json::Value| (status["state"] == "live").then_some(());
    edge.status_when("a", "the edge does not hear of it", live).await;
    let nobody_watches =
        async || metric_when(edge.registry(), SUBSCRIBED, |count| count == 0.0).await;
    assert_eq!(metric(edge.registry(), SUBSCRIBED), 0.0, "its status is nothing to watch");

    for _ in 0..2 {
        // No player of ours: it does not ask to be held.
        let answer = edge.offer("a", OFFER).await;
        assert_eq!(answer.status(), 201);
        let session = answer.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(metric(edge.registry(), SUBSCRIBED), 1.0);
        let ended = edge.delete(&session).await;
        assert_eq!(ended.status(), 200);
        nobody_watches().await;

        for manifest in ["manifest.mpd", "index.m3u8"] {
            shows_a_picture(&edge.url(&format!("/live/a/{manifest}"))).await;
            nobody_watches().await;
        }
        // Pictures that a player knows of from before are there.
        let manifest = near.manifest("a").await;
        for locator in representations(&manifest) {
            let init = edge.get(&format!("/live/a/{locator}/init.mp4")).await;
            assert_eq!(init.status(), 200);
            nobody_watches().await;
            let status = near.segments("a", 1).await;
            let last = status["tracks"][0]["last_segment"].as_u64().unwrap();
            for number in [last - 1, last, last + 1] {
                let segment = edge.get(&format!("/live/a/{locator}/{number}.m4s")).await;
                let status = segment.status();
                assert_eq!(status, 200, "{locator}/{number}: {:#?}", fetched(edge.registry()));
                assert!(!segment.bytes().await.unwrap().is_empty());
            }
            nobody_watches().await;
        }
    }
    let warm_ups = metric(edge.registry(), "lectern_edge_warm_ups_total");
    assert!(warm_ups >= 6.0, "{warm_ups}");
}

/// Frames in a second, and in a group.
const RATE: u64 = 25;
/// Bytes of a picture. Sound is nothing beside it.
const PICTURE: usize = 10_000;
/// What there is before the live edge, in pictures: more than the window of the edges here.
const BEFORE: u64 = 6 * RATE;

/// A relay without an origin, and what it has written.
struct Relay {
    publisher: Publisher,
    certificate: String,
}

impl Relay {
    fn start() -> Self {
        let identity = Identity::self_signed().unwrap();
        let metrics = PublisherMetrics::register(&Registry::new()).unwrap();
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let config = PublisherConfig::new(listen, identity.clone(), metrics);
        let publisher = Publisher::bind(config).unwrap();
        Self { publisher, certificate: identity.certificate_pem().to_owned() }
    }
}

/// A broadcast of pictures that nobody could decode, of one size.
struct Host {
    _broadcast: BroadcastPublisher,
    video: TrackPublisher,
    audio: TrackPublisher,
    picture: Vec<u8>,
    number: u64,
    t0: UtcTime,
    written: Arc<AtomicU64>,
}

impl Host {
    fn begin(relay: &Relay, id: &str, picture: usize) -> Self {
        let id: BroadcastId = id.parse().unwrap();
        let mut broadcast = relay.publisher.broadcast(&id, Epoch::IDLE).unwrap();
        let mut track = |name: &str, timescale| {
            broadcast.track(&TrackName::new(name).unwrap(), timescale).unwrap()
        };
        let video = track(TrackName::VIDEO_MAIN, Timescale::VIDEO);
        let audio = track(TrackName::AUDIO_OPUS, Timescale::OPUS);
        let before = Duration::from_millis(BEFORE * 1_000 / RATE);
        let t0 = UtcTime::from(SystemTime::now() - before);
        broadcast.set_catalog(&catalog(t0)).unwrap();
        let picture = (0..picture).map(|at| (at % 251) as u8).collect();
        let (number, written) = (0, Arc::default());
        Self { _broadcast: broadcast, video, audio, picture, number, t0, written }
    }

    /// Writes the next picture, and the sound beside it.
    fn write(&mut self) {
        let number = self.number;
        self.number += 1;
        let keyframe = number.is_multiple_of(RATE);
        let group = GroupId { period: 0, index: (number / RATE) as u32 };
        let mut slice = self.picture.clone();
        slice[0] = if keyframe { 0x65 } else { 0x41 };
        let picture = [&(slice.len() as u32).to_be_bytes(), &slice[..]].concat();
        let tracks = [
            (&mut self.video, Timescale::VIDEO, 90_000 / RATE, picture, keyframe),
            (&mut self.audio, Timescale::OPUS, 48_000 / RATE, vec![0xfc; 160], true),
        ];
        for (track, timescale, ticks, data, keyframe) in tracks {
            let dts = MediaTime::new(number * ticks, timescale);
            let frame = Frame {
                dts,
                composition_offset: 0,
                duration: ticks as u32,
                keyframe,
                data: data.into(),
                arrived: UtcTime::from(SystemTime::now()),
            };
            let chunk = cmaf::write_chunk(number as u32 + 1, &[frame]).unwrap().bytes;
            self.written.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            track.write(group, dts, chunk).unwrap();
        }
    }

    /// Writes what was before, and then in time, for ever. The number of pictures is sent with each.
    async fn run(mut self, told: watch::Sender<u64>) {
        (0..BEFORE).for_each(|_| self.write());
        let mut pace = tokio::time::interval(Duration::from_millis(1_000 / RATE));
        loop {
            pace.tick().await;
            // However late this comes, media is as old as its time says.
            let age = UtcTime::from(SystemTime::now()).saturating_since(self.t0);
            while self.number * 1_000 / RATE < age.as_millis() as u64 {
                self.write();
            }
            told.send_replace(self.number);
        }
    }
}

fn catalog(t0: UtcTime) -> Catalog {
    let parameters: &[u8] =
        &[1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 5, 0x67, 0x42, 0xc0, 0x1f, 0, 1, 0, 3, 0x68, 0xce, 0];
    Catalog {
        t0,
        state: PublisherState::Live,
        about: About::default(),
        period: Period { id: 0, take: 0, start_ms: 0, grid: SegmentGrid::new(2_000), sequence: 0 },
        video: vec![VideoTrack {
            name: TrackName::new(TrackName::VIDEO_MAIN).unwrap(),
            codec: "avc1.42c01f".into(),
            init: vec![0; 600].into(),
            description: parameters.to_vec().into(),
            width: 1_280,
            height: 720,
            framerate: None,
            bitrate: None,
            reordered: false,
        }],
        audio: vec![AudioTrack {
            name: TrackName::new(TrackName::AUDIO_OPUS).unwrap(),
            codec: "opus".into(),
            init: vec![0; 500].into(),
            description: vec![0; 11].into(),
            sample_rate: 48_000,
            channels: 2,
            bitrate: None,
        }],
    }
}

/// Waits until so many more pictures have been written; how many bytes they and their sound were.
async fn pictures(told: &mut watch::Receiver<u64>, written: &AtomicU64, count: u64) -> u64 {
    let (until, bytes) = (*told.borrow() + count, written.load(Ordering::Relaxed));
    let waiting = timeout(DEADLINE, told.wait_for(|number| *number >= until));
    waiting.await.expect("in time").expect("the host goes on");
    written.load(Ordering::Relaxed) - bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_comes_once_however_many_watch_and_not_at_all_when_nobody_does() {
    let relay = Relay::start();
    let way = Way::to(relay.publisher.local_addr().unwrap()).await;
    let config = EdgeConfig { window_secs: 4, ..cold() };
    let (edge, http, registry) = start_edge(way.address, &relay.certificate, config).await;
    let host = Host::begin(&relay, "talk", PICTURE);
    let (written, (tell, mut told)) = (host.written.clone(), watch::channel(0));
    let mut hosts = JoinSet::new();
    hosts.spawn(host.run(tell));
    metric_when(&registry, ANNOUNCED, |count| count == 1.0).await;

    let client = client();
    let url = |path: &str| format!("http://{http}{path}");
    let get = async |path: &str| client.get(url(path)).timeout(DEADLINE).send().await.unwrap();
    let whep = url("/whep/talk");
    let offer = || {
        let request = client.post(&whep).header("content-type", "application/sdp");
        request.body(OFFER).send()
    };
    for round in 0..2 {
        let idle = way.bytes();
        let media = pictures(&mut told, &written, 2 * RATE).await;
        let came = way.bytes() - idle;
        assert!(came < media / 20, "{came} of {media} bytes came to nobody, round {round}");

        // All at once, and each the first of its path.
        let before = way.bytes();
        let offers = join_all((0..4).map(|_| offer()));
        let (offers, dash, hls) =
            tokio::join!(offers, get("/live/talk/manifest.mpd"), get("/live/talk/index.m3u8"));
        assert_eq!((dash.status().as_u16(), hls.status().as_u16()), (200, 200), "round {round}");
        let sessions: Vec<String> = offers
            .into_iter()
            .map(|answer| {
                let answer = answer.unwrap();
                assert_eq!(answer.status(), 201, "round {round}");
                url(answer.headers()["location"].to_str().unwrap())
            })
            .collect();
        assert_eq!(metric(&registry, SUBSCRIBED), 1.0);
        let media = pictures(&mut told, &written, 6 * RATE).await;
        let came = way.bytes() - before;
        // What was fetched of before the first came is as much as the window again.
        let most = media + BEFORE * PICTURE as u64;
        assert!((media / 2..most * 5 / 4).contains(&came), "{came} of {media} bytes for six");

        for session in sessions {
            let _ = client.delete(session).send().await.unwrap();
        }
        metric_when(&registry, SUBSCRIBED, |count| count == 0.0).await;
    }
    edge.stop().await;
}

/// As many as an institution has on one day, with room for the unwatched to be seen if they cost.
const THOUSAND: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_that_nobody_watches_cost_an_edge_nothing_but_their_names() {
    let relay = Relay::start();
    let way = Way::to(relay.publisher.local_addr().unwrap()).await;
    let (edge, http, registry) = start_edge(way.address, &relay.certificate, cold()).await;
    let mut others: Vec<Host> =
        (0..THOUSAND - 2).map(|n| Host::begin(&relay, &format!("talk-{n}"), PICTURE)).collect();
    let mut hosts = JoinSet::new();
    let mut told = Vec::new();
    for id in ["a", "b"] {
        let host = Host::begin(&relay, id, PICTURE);
        let (tell, hears) = watch::channel(0);
        told.push((hears, host.written.clone()));
        hosts.spawn(host.run(tell));
    }
    metric_when(&registry, ANNOUNCED, |count| count == THOUSAND as f64).await;
    // A keyframe of each, which is what would come first.
    others.iter_mut().for_each(Host::write);
    let names = way.bytes();
    assert!(names < (THOUSAND * PICTURE) as u64, "{names} bytes to say what there is");

    let began = Instant::now();
    let client = client();
    for id in ["a", "b"] {
        let url = format!("http://{http}/live/{id}/manifest.mpd");
        let manifest = client.get(url).timeout(DEADLINE).send().await.unwrap();
        assert_eq!(manifest.status(), 200);
        assert!(manifest.text().await.unwrap().contains("<Representation "));
    }
    println!("two of a thousand were there after {:?}", began.elapsed());
    for (told, written) in &mut told {
        pictures(told, written, RATE).await;
    }
    assert!(metric(&registry, SUBSCRIBED) <= 2.0);
    let watched: u64 = told.iter().map(|(_, written)| written.load(Ordering::Relaxed)).sum();
    let came = way.bytes() - names;
    assert!(came < watched * 3 / 2, "{came} bytes came of {watched} that are watched");
    drop(others);
    edge.stop().await;
}
