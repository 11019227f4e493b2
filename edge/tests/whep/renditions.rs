//! Several video renditions: which one a viewer gets, and how it goes over to another.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use lectern_edge::audience::{self, Audience};
use lectern_edge::comments::{self, Comments};
use lectern_edge::demand::{self, Demand, Prewarm};
use lectern_edge::live::{self, Directory};
use lectern_edge::timeline;
use lectern_edge::upstream;
use lectern_edge::whep::{self, Engine, Feed, OfferError, PinError};
use lectern_relay_proto::net::{
    Epoch, Identity, Publisher, PublisherConfig, PublisherMetrics, Subscriber, SubscriberConfig,
    SubscriberMetrics, Trust,
};
use lectern_relay_proto::{Catalog, Frame, GroupId, Timescale, TrackName, cmaf};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::host::{catalog, engine, engine_with, frame_of, parameter_sets, video_track};
use crate::viewer::{self, PATIENCE, Received, Viewer};
use crate::{assert_continuous, host};

const HD: &str = "video/hd";
const SD: &str = "video/sd";
const GOP: u64 = 30;
/// Between frames while a viewer watches, so that its socket holds them all.
const PACE: Duration = Duration::from_millis(10);

fn track(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

/// Tells the renditions apart in parameter sets and in every slice.
fn mark(name: &str) -> u8 {
    if name == HD { 1 } else { 2 }
}

/// HD takes about 1.4 Mb/s and SD a tenth.
fn slice(name: &str, number: u64) -> Vec<u8> {
    let mut slice = host::slice(number, number.is_multiple_of(GOP));
    if name == SD {
        slice.truncate(slice.len() / 10 + 10);
    }
    slice[1] = mark(name);
    slice
}

fn frame(name: &str, number: u64) -> Frame {
    frame_of(number, number.is_multiple_of(GOP), &slice(name, number))
}

fn group(period: u32, number: u64) -> GroupId {
    GroupId { period, index: (number / GOP) as u32 }
}

/// What a viewer gets of frame `number`.
fn expected(name: &str, number: u64) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    if number.is_multiple_of(GOP) {
        units.extend(parameter_sets(mark(name).into()));
    }
    units.push(slice(name, number));
    units
}

fn catalog_of(period: u32, names: &[&str]) -> Catalog {
    let video = names.iter().map(|name| video_track(name, mark(name).into())).collect();
    Catalog { video, ..catalog(period) }
}

/// A host with two renditions.
struct Ladder {
    feed: Feed,
    number: u64,
    period: u32,
    pushed: Instant,
}

impl Ladder {
    fn new(engine: &Engine) -> Self {
        let feed = engine.feed("demo".parse().unwrap());
        feed.set_catalog(&catalog_of(0, &[HD, SD]));
        Self { feed, number: 0, period: 0, pushed: Instant::now() }
    }

    /// Pushes the next frame if it is time for it.
    fn tick(&mut self) -> bool {
        let due = self.pushed.elapsed() >= PACE;
        if due {
            self.push(1);
        }
        due
    }

    fn push(&mut self, frames: u64) {
        for _ in 0..frames {
            for name in [HD, SD] {
                let group = group(self.period, self.number);
                self.feed.push_video(&track(name), group, &frame(name, self.number));
            }
            self.number += 1;
        }
        self.pushed = Instant::now();
    }
}

fn is(frame: &Received, name: &str) -> bool {
    frame.units.last().unwrap()[1] == mark(name)
}

fn last_is(viewer: &Viewer, name: &str) -> bool {
    viewer.frames.iter().rev().find(|frame| frame.video).is_some_and(|frame| is(frame, name))
}

/// That each frame is whole and follows on the last, or is a keyframe that a viewer may go on with;
/// gives back how often the rendition changed.
fn check_frames(viewer: &Viewer, began: (&str, u64)) -> usize {
    let (mut name, mut number) = began;
    let mut switches = 0;
    for (at, frame) in viewer.video().iter().enumerate() {
        if frame.units != expected(name, number) {
            let now = if is(frame, HD) { HD } else { SD };
            let mut keys = (0..100).map(|key| key * GOP);
            let key = keys.find(|key| expected(now, *key) == frame.units);
            let what = format!("frame {at}, after {number} of {name}, is {now} without a keyframe");
            switches += usize::from(now != name);
            (name, number) = (now, key.expect(&what));
        }
        number += 1;
    }
    let stamps: Vec<u32> = viewer.video().iter().map(|frame| frame.timestamp).collect();
    assert!(stamps.is_sorted_by(|a, b| a < b), "timestamps rise: {stamps:?}");
    assert_continuous(&viewer.sequences);
    switches
}

/// REMB, draft-alvestrand-rmcat-remb §2.2.
fn remb(bps: u32) -> Vec<u8> {
    let mut packet = vec![0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
    packet.extend(*b"REMB\x01");
    let exponent = (32 - bps.leading_zeros()).saturating_sub(18);
    let word = exponent << 18 | bps >> exponent;
    packet.extend(&word.to_be_bytes()[1..]);
    packet.extend([0, 0, 0, 9]);
    packet
}

/// RFC 3550 §6.4.2, with one report block.
fn receiver_report(ssrc: u32, fraction: u8) -> Vec<u8> {
    let mut packet = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.push(fraction);
    packet.extend([0; 19]);
    packet
}

fn nack(viewer: &Viewer, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x81, 205, 0, 3, 0, 0, 0, 1];
    packet.extend(viewer.video_ssrc().to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0]);
    packet
}

/// Has a packet sent again, which also says that all that was asked before has been taken. It must
/// be one from the middle of a frame, which the viewer makes nothing of.
fn has_sent_again(viewer: &mut Viewer, sequence: u16) {
    viewer.send_rtcp(&nack(viewer, sequence));
    viewer.until("the packet again", |viewer| viewer.sequences.last() == Some(&sequence));
    // Not part of the order of what is new.
    viewer.sequences.pop();
}

fn switches(registry: &Registry) -> Vec<(String, String, f64)> {
    let families = registry.gather();
    let name = "lectern_webrtc_rendition_switches_total";
    let family = families.iter().filter(|family| family.name() == name);
    let counted = family.flat_map(|family| family.get_metric()).map(|metric| {
        let label = |at: usize| metric.get_label()[at].value().to_owned();
        (label(0), label(1), metric.get_counter().get_value())
    });
    counted.collect()
}

#[test]
fn a_viewer_follows_its_link_down_and_up_at_keyframes() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Ladder::new(&engine);
    host.push(65);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    assert!(last_is(&viewer, HD));
    // From the middle of its first keyframe.
    let of_hd = viewer.sequences[2];

    viewer.send_rtcp(&remb(5_000_000));
    viewer.send_rtcp(&remb(400_000));
    viewer.until("SD", |viewer| {
        host.tick();
        last_is(viewer, SD)
    });
    assert_eq!(check_frames(&viewer, (HD, 60)), 1);

    assert_eq!(switches(&registry)[..], [("down".to_owned(), "estimate".to_owned(), 1.0)]);
    // What was sent of the former rendition can still be sent again.
    has_sent_again(&mut viewer, of_hd);

    viewer.until("HD again", |viewer| {
        if host.tick() {
            viewer.send_rtcp(&remb(20_000_000));
        }
        last_is(viewer, HD)
    });
    assert_eq!(check_frames(&viewer, (HD, 60)), 2);
    let both = [("down", "estimate", 1.0), ("up", "calm", 1.0)];
    assert_eq!(switches(&registry), both.map(|(way, why, n)| (way.to_owned(), why.to_owned(), n)));
}

#[test]
fn loss_that_lasts_takes_a_viewer_down_without_the_receivers_estimate() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Ladder::new(&engine);
    host.push(35);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    viewer.until("SD", |viewer| {
        if host.tick() {
            viewer.send_rtcp(&receiver_report(viewer.video_ssrc(), 200));
        }
        last_is(viewer, SD)
    });
    assert_eq!(check_frames(&viewer, (HD, 30)), 1);
    // Once the loss has lasted, what got through is itself an estimate; either may come first.
    let switches = switches(&registry);
    let [(direction, reason, times)] = &switches[..] else { panic!("{switches:?}") };
    assert_eq!((direction.as_str(), *times), ("down", 1.0));
    assert!(["loss", "estimate"].contains(&reason.as_str()), "{reason}");
}

#[test]
fn a_joiner_begins_with_what_a_link_should_carry() {
    let engine = engine();
    let feed = engine.feed("demo".parse().unwrap());
    let mut described = catalog_of(0, &[HD, SD]);
    described.video[0].bitrate = Some(6_000_000);
    described.video[1].bitrate = Some(900_000);
    feed.set_catalog(&described);
    let push = |number: u64| {
        for name in [HD, SD] {
            feed.push_video(&track(name), group(0, number), &frame(name, number));
        }
    };
    push(0);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("a frame", |viewer| viewer.video().len() == 1);
    assert!(last_is(&viewer, SD));
}

#[test]
fn a_pinned_rendition_is_sent_until_it_is_left_to_us_again() {
    let engine = engine();
    let id = "demo".parse().unwrap();
    let mut host = Ladder::new(&engine);
    host.push(35);
    assert_eq!(Viewer::open_rendition(&engine, "demo", "8k").err(), Some(OfferError::Rendition));
    let mut viewer = Viewer::open_rendition(&engine, "demo", "sd").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    assert!(last_is(&viewer, SD));
    let of_sd = viewer.sequences[2];

    let session = viewer.answer.session.clone();
    engine.pin(&id, &session, Some(0), Some(HD)).unwrap();
    viewer.until("HD", |viewer| {
        host.tick();
        last_is(viewer, HD)
    });
    viewer.send_rtcp(&remb(5_000_000));
    viewer.send_rtcp(&remb(100_000));
    has_sent_again(&mut viewer, of_sd);
    // Past the next keyframe, where it would go over.
    let enough = viewer.video().len() + 40;
    viewer.until("what followed", |viewer| {
        host.tick();
        viewer.video().len() >= enough
    });
    assert_eq!(check_frames(&viewer, (SD, 30)), 1);

    engine.pin(&id, &session, None, None).unwrap();
    viewer.until("SD, as the link has it", |viewer| {
        if host.tick() {
            viewer.send_rtcp(&remb(5_000_000));
            viewer.send_rtcp(&remb(100_000));
        }
        last_is(viewer, SD)
    });
    let pin = |line, rendition| engine.pin(&id, &session, line, rendition);
    assert_eq!(pin(None, Some("8k")), Err(PinError::Rendition));
    assert_eq!(pin(Some(1), Some("sd")), Err(PinError::Line));
}

#[test]
fn a_rendition_that_ends_with_its_period_leaves_its_viewers_with_another() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Ladder::new(&engine);
    host.push(60);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 30);
    host.feed.set_catalog(&catalog_of(1, &[SD]));
    host.period = 1;
    host.push(5);
    viewer.until("the other", |viewer| {
        last_is(viewer, SD) && viewer.video().last().unwrap().units == expected(SD, 64)
    });
    assert_eq!(check_frames(&viewer, (HD, 30)), 1);
    assert_eq!(switches(&registry)[0].1, "gone");
    assert!(host::value(&registry, "lectern_webrtc_frames_dropped_total") >= 5.0);
}

#[test]
fn a_period_with_quite_other_renditions_goes_on_in_the_same_session() {
    let engine = engine();
    let feed = engine.feed("demo".parse().unwrap());
    feed.set_catalog(&catalog_of(0, &[HD]));
    let push = |name, period, numbers: std::ops::Range<u64>| {
        for number in numbers {
            feed.push_video(&track(name), group(period, number), &frame(name, number));
        }
    };
    push(HD, 0, 0..5);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    feed.set_catalog(&catalog_of(1, &[SD]));
    push(SD, 1, 30..35);
    viewer.until("the other", |viewer| viewer.video().len() == 10);
    assert_eq!(check_frames(&viewer, (HD, 0)), 1);
}

#[test]
fn a_rendition_that_webrtc_cannot_carry_is_left_out() {
    let engine = engine();
    let mut host = Ladder::new(&engine);
    let mut described = catalog_of(0, &[HD, SD]);
    described.video[0].reordered = true;
    host.feed.set_catalog(&described);
    host.push(3);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 3);
    assert_eq!(check_frames(&viewer, (SD, 0)), 0);
    assert_eq!(Viewer::open_rendition(&engine, "demo", HD).err(), Some(OfferError::Rendition));
    described.video.pop();
    host.feed.set_catalog(&described);
    assert_eq!(Viewer::open(&engine, "demo").err(), Some(OfferError::BFrames));
}

#[tokio::test]
async fn the_layer_resource_answers_as_the_draft_asks() {
    let engine = engine();
    let mut host = Ladder::new(&engine);
    host.push(1);
    let offer = viewer::offer(&viewer::certificate());
    let created = post(&engine, "/whep/demo?rendition=sd", "application/sdp", &offer).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let location = created.headers()["location"].to_str().unwrap().to_owned();
    let layer = format!("{location}/layer");
    let link = format!("<{layer}>; rel=\"urn:ietf:params:whep:ext:core:layer\"");
    let mut links = created.headers().get_all("link").iter();
    assert!(links.any(|value| value.to_str().unwrap().contains(&link)));
    let none = post(&engine, "/whep/demo?rendition=8k", "application/sdp", &offer).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    assert_eq!(none.headers()["lectern-reason"], "rendition");

    let check = async |path: &str, body: &str, status: StatusCode, reason: Option<&str>| {
        let answer = post(&engine, path, "application/json", body).await;
        assert_eq!(answer.status(), status, "{body}");
        let given = answer.headers().get("lectern-reason").map(|reason| reason.to_str().unwrap());
        assert_eq!(given, reason, "{body}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    };
    check(&layer, r#"{"mediaId":"0","encodingId":"hd"}"#, StatusCode::OK, None).await;
    check(&layer, r#"{"rid":"video/sd"}"#, StatusCode::OK, None).await;
    check(&layer, r#"{"mediaId":"0","encodingId":null}"#, StatusCode::OK, None).await;
    check(&layer, "{}", StatusCode::OK, None).await;
    let (bad, missing) = (StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND);
    check(&layer, r#"{"encodingId":"8k"}"#, missing, Some("rendition")).await;
    check(&layer, r#"{"mediaId":"1"}"#, bad, Some("media")).await;
    check(&layer, r#"{"mediaId":"video"}"#, bad, Some("media")).await;
    check(&layer, "[1", bad, Some("malformed")).await;
    check("/whep/demo/none/layer", "{}", missing, Some("unknown")).await;
    check(&layer.replace("/demo/", "/other/"), "{}", missing, Some("unknown")).await;
    let wrong = post(&engine, &layer, "text/plain", "{}").await;
    assert_eq!(wrong.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let options = Request::options(&layer).body(Body::empty()).unwrap();
    assert_eq!(call(&engine, options).await.headers()["accept-post"], "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn renditions_that_a_publisher_sends_over_the_relay_reach_viewers() {
    let identity = Identity::self_signed().unwrap();
    let metrics = PublisherMetrics::register(&Registry::new()).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let publisher =
        Publisher::bind(PublisherConfig::new(listen, identity.clone(), metrics)).unwrap();
    let subscriber = Subscriber::start(SubscriberConfig {
        upstreams: vec![publisher.local_addr().unwrap().to_string()],
        relay: None,
        identity: None,
        server_name: Some("localhost".into()),
        trust: Trust::Certificates(identity.certificate_pem().into()),
        token: None,
        metrics: SubscriberMetrics::register(&Registry::new()).unwrap(),
    })
    .unwrap();
    let engine = engine();
    let metrics = live::Metrics::register(&Registry::new()).unwrap();
    let directory = Directory::new(timeline::Config::default(), metrics);
    let cancel = CancellationToken::new();
    let _end = cancel.clone().drop_guard();
    let metrics = upstream::Metrics::register(&Registry::new()).unwrap();
    let fetcher = upstream::Fetcher::new(1_000_000, metrics);
    let comments = Comments::new(
        None,
        Audience::new(audience::Metrics::register(&Registry::new()).unwrap()),
        comments::Metrics::register(&Registry::new()).unwrap(),
    );
    let prewarm = Prewarm::All;
    let config = demand::Config { linger: Duration::ZERO, subscribed_max: 1, prewarm };
    let demand = Demand::new(config, demand::Metrics::register(&Registry::new()).unwrap());
    let consumers = upstream::Consumers { directory, engine: engine.clone(), comments, demand };
    tokio::spawn(upstream::run(subscriber, consumers, fetcher, cancel));

    let mut broadcast = publisher.broadcast(&"demo".parse().unwrap(), Epoch::IDLE).unwrap();
    let mut tracks = [HD, SD].map(|name| {
        let publisher = broadcast.track(&track(name), Timescale::VIDEO).unwrap();
        (name, publisher)
    });
    let _silent = broadcast.track(&track(TrackName::AUDIO_OPUS), Timescale::OPUS).unwrap();
    broadcast.set_catalog(&catalog_of(0, &[HD, SD])).unwrap();
    let publishing = tokio::spawn(async move {
        for number in 0.. {
            for (name, publisher) in &mut tracks {
                let frame = frame(name, number);
                let chunk = cmaf::write_chunk(number as u32, std::slice::from_ref(&frame)).unwrap();
                publisher.write(group(0, number), frame.dts, chunk.bytes).unwrap();
            }
            // The pace of the encoder that this stands for.
            tokio::time::sleep(Duration::from_millis(33)).await;
        }
    });
    let watching = tokio::task::spawn_blocking(move || {
        for name in ["sd", "hd"] {
            let began = Instant::now();
            let mut viewer = loop {
                match Viewer::open_rendition(&engine, "demo", name) {
                    Ok(viewer) => break viewer,
                    Err(error) => assert!(began.elapsed() < PATIENCE, "{name}: {error}"),
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            viewer.connect();
            viewer.until("ten frames", |viewer| viewer.video().len() >= 10);
            let track = format!("video/{name}");
            assert!(viewer.video().iter().all(|frame| is(frame, &track)));
        }
    });
    watching.await.unwrap();
    publishing.abort();
}

async fn post(engine: &Engine, path: &str, kind: &str, body: &str) -> Response<Body> {
    let body = Body::from(body.to_owned());
    call(engine, Request::post(path).header("content-type", kind).body(body).unwrap()).await
}

async fn call(engine: &Engine, request: Request<Body>) -> Response<Body> {
    whep::routes(engine.clone()).oneshot(request).await.unwrap()
}
