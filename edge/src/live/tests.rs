//! How the routes behave, against made-up broadcasts and without a socket. Time is virtual: it
//! moves on only when everything waits.

mod audience;
mod hls;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures::StreamExt as _;
use lectern_relay_proto::about::Visibility;
use lectern_relay_proto::{About, Catalog, TrackName, UtcTime};
use prometheus::Registry;
use tower::ServiceExt as _;

use super::*;
use crate::audience::{self as watching, Audience};
use crate::timeline::Config;
use crate::timeline::testing::{Event, Script, T0, name};

struct Edge {
    directory: Arc<Directory>,
    audience: Arc<Audience>,
    live: Arc<Live>,
    routes: Router,
    registry: Registry,
    script: Script,
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Edge {
    fn new(script: Script) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let window = Duration::from_secs(30);
        let directory = Directory::new(Config { window, ..Config::default() }, metrics);
        directory.set_informed(true);
        let live = directory.open("talk".parse().unwrap()).unwrap();
        let audience = Audience::new(watching::Metrics::register(&registry).unwrap());
        let routes = routes(directory.clone(), audience.clone(), true);
        Self { routes, live, directory, audience, registry, script }
    }

    /// An edge at which the broadcast stands at `media_ms`.
    fn at(script: Script, media_ms: u64) -> Self {
        let edge = Self::new(script);
        edge.live.set_catalog(edge.script.catalog());
        edge.play(0..media_ms);
        edge
    }

    fn play(&self, media_ms: std::ops::Range<u64>) {
        let events = self.script.events();
        events.iter().filter(|e| media_ms.contains(&e.at_ms)).for_each(|e| self.feed(e));
    }

    fn feed(&self, event: &Event) {
        match &event.chunk {
            Some(chunk) => self.live.push(&event.track, event.group, chunk.clone()),
            None => self.live.end_group(&event.track, event.group),
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Got {
        let response = self.respond(method, path, headers).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Got { status: parts.status, headers: parts.headers, body }
    }

    async fn respond(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> axum::response::Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, &[]).await
    }

    fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metrics = family.get_metric().iter();
        let of = |m: &&prometheus::proto::Metric| {
            label.is_empty() || m.get_label().iter().any(|pair| pair.value() == label)
        };
        metrics.filter(of).map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
    }
}

/// The path of a file of a track of period 0.
fn path(track: &str, file: &str) -> String {
    let locator = crate::timeline::Locator::new(&name(track), T0, 0);
    format!("/live/talk/{locator}/{file}")
}

fn video(file: &str) -> String {
    path(TrackName::VIDEO_MAIN, file)
}

#[tokio::test(start_paused = true)]
async fn a_whole_segment_is_served_with_everything_a_cache_wants() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    let got = edge.get(&video("0.m4s")).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.body.starts_with("<video/main 0/0 0>") && got.body.ends_with("1960>"));
    assert_eq!(got.header("content-length"), got.body.len().to_string());
    assert_eq!(got.header("content-type"), "video/mp4");
    assert!(got.header("cache-control").contains("immutable"));
    assert_eq!(got.header("accept-ranges"), "bytes");
    let etag = got.header("etag").to_owned();
    assert!(!etag.is_empty());

    let again = edge.send(Method::GET, &video("0.m4s"), &[("if-none-match", &etag)]).await;
    assert_eq!((again.status, again.body.as_str()), (StatusCode::NOT_MODIFIED, ""));

    let head = edge.send(Method::HEAD, &video("0.m4s"), &[]).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(head.header("content-length"), got.body.len().to_string());

    let init = edge.get(&path(TrackName::AUDIO_OPUS, "init.mp4")).await;
    assert_eq!((init.body.as_str(), init.header("content-type")), ("init audio/opus", "audio/mp4"));
}

#[tokio::test(start_paused = true)]
async fn one_range_is_honoured() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    let whole = edge.get(&video("0.m4s")).await;
    let path = video("0.m4s");
    let got = edge.send(Method::GET, &path, &[("range", "bytes=1-4")]).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::PARTIAL_CONTENT, &whole.body[1..5]));
    assert_eq!(got.header("content-range"), format!("bytes 1-4/{}", whole.body.len()));
    let got = edge.send(Method::GET, &path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(got.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(got.header("content-range"), format!("bytes */{}", whole.body.len()));
    let stale = [("range", "bytes=1-4"), ("if-range", "\"other\"")];
    assert_eq!(edge.send(Method::GET, &path, &stale).await.status, StatusCode::OK);
    let many = edge.send(Method::GET, &path, &[("range", "bytes=0-1,2-3")]).await;
    assert_eq!((many.status, many.body), (StatusCode::OK, whole.body));
}

#[tokio::test(start_paused = true)]
async fn a_segment_in_progress_comes_chunk_by_chunk_and_ends_where_the_next_begins() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 2_100);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().get("content-length").is_none());
    let mut body = response.into_body().into_data_stream();
    let mut next = async || {
        let chunk = tokio::time::timeout(Duration::from_secs(1), body.next()).await.ok()??;
        Some(String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    };
    for at_ms in [2_000, 2_040, 2_080] {
        assert_eq!(next().await.unwrap(), format!("<video/main 0/1 {at_ms}>"));
    }
    assert_eq!(next().await, None, "nothing more has arrived");
    edge.play(2_100..2_150);
    assert_eq!(next().await.unwrap(), "<video/main 0/1 2120>");
    edge.play(2_150..4_050);
    let mut rest = 0;
    while next().await.is_some() {
        rest += 1;
    }
    assert_eq!(rest, 50 - 4);
    let whole = edge.get(&video("1.m4s")).await;
    assert!(whole.body.ends_with("3960>") && !whole.header("content-length").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_http_1_0_cannot_tell_from_a_whole_segment_is_not_for_caches() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 2_100);
    let get = async |url: String| {
        let request = Request::builder().uri(url).version(axum::http::Version::HTTP_10);
        let routes = edge.routes.clone();
        routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().headers().clone()
    };
    let in_progress = get(video("1.m4s")).await;
    assert_eq!(in_progress["cache-control"], "no-store");
    assert!(!in_progress.contains_key("etag"));
    assert!(get(video("0.m4s")).await["cache-control"].to_str().unwrap().contains("immutable"));
}

#[tokio::test(start_paused = true)]
async fn the_next_segment_is_held_until_it_begins() {
    for track in [TrackName::VIDEO_MAIN, TrackName::AUDIO_OPUS] {
        let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
        let path = path(track, "2.m4s");
        let request = edge.respond(Method::GET, &path, &[]);
        tokio::pin!(request);
        let early = tokio::time::timeout(Duration::from_millis(1_500), &mut request).await;
        assert!(early.is_err(), "held");
        assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 1.0);
        edge.play(3_000..4_100);
        assert_eq!(request.await.status(), StatusCode::OK);
        assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 0.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_begin_in_time_is_not_found() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
    let asked = tokio::time::Instant::now();
    let got = edge.get(&video("2.m4s")).await;
    assert_eq!(
        (got.status, got.header("cache-control")),
        (StatusCode::NOT_FOUND, "public, max-age=1")
    );
    assert_eq!(asked.elapsed().as_secs(), 11, "the longest GOP there may be, in virtual time");
}

#[tokio::test(start_paused = true)]
async fn what_is_being_fetched_is_not_there_yet_and_then_gone_if_it_does_not_come() {
    let edge = Edge::new(Script::new(&[2_000; 6]));
    edge.live.set_catalog(edge.script.catalog());
    let late = |event: &&Event| event.group.index >= 3 && event.at_ms < 9_000;
    edge.script.events().iter().filter(late).for_each(|event| edge.feed(event));
    let answer = async |file: &str| {
        let got = edge.get(&video(file)).await;
        (got.status, got.header("cache-control").to_owned())
    };
    // The edge joined within segment 3, of which it does not know that it is the beginning.
    let coming = (StatusCode::NOT_FOUND, "public, max-age=1".to_owned());
    assert_eq!(answer("3.m4s").await, coming);
    assert_eq!(answer("0.m4s").await, coming);
    while let Some(missing) = edge.live.missing(1).first() {
        if missing.group.index < 2 {
            edge.live.no_older(&missing.track, missing.group);
            continue;
        }
        let of_it = |e: &Event| e.track == missing.track && e.group == missing.group;
        let events = edge.script.events().into_iter().filter(of_it);
        let chunks = events.filter_map(|event| event.chunk).collect();
        edge.live.push_older(&missing.track, missing.group, chunks);
    }
    assert_eq!(answer("3.m4s").await.0, StatusCode::OK);
    let gone = (StatusCode::GONE, "public, max-age=60".to_owned());
    assert_eq!(answer("2.m4s").await, gone);
    assert_eq!(answer("0.m4s").await, gone);
}

#[tokio::test(start_paused = true)]
async fn paths_that_lead_nowhere_are_answered_at_once() {
    let edge = Edge::at(Script::new(&[2_000; 40]), 70_000);
    let asked = tokio::time::Instant::now();
    let check = async |path: &str, status: u16| {
        let got = edge.get(path).await;
        assert_eq!(got.status.as_u16(), status, "{path}: {}", got.body);
        assert!(got.header("cache-control").contains("max-age"), "{path}");
        assert_eq!(got.header("access-control-allow-origin"), "*", "{path}");
    };
    check(&video("36.m4s"), 404).await;
    check(&video("18446744073709551615.m4s"), 404).await;
    check(&video("99999999999999999999.m4s"), 404).await;
    check(&video(&format!("{}.m4s", "9".repeat(4_000))), 404).await;
    check(&video("-1.m4s"), 404).await;
    check(&video("034.m4s"), 404).await;
    check(&video("x.m4s"), 404).await;
    check(&video(".m4s"), 404).await;
    check(&video("0.m4s"), 410).await;
    check(&video("init.mp5"), 404).await;
    check("/live/talk/video-main~1~0/34.m4s", 410).await;
    check("/live/talk/video-main~zzzzzzz~0/34.m4s", 404).await;
    check(&video("34.m4s").replace("~0/", "~1/"), 404).await;
    check(&video("34.m4s").replace("main", "other"), 404).await;
    check("/live/talk/video%2fmain~tot3j7~0/34.m4s", 404).await;
    check("/live/talk/..%2f..%2fetc%2fpasswd/34.m4s", 404).await;
    check("/live/other/video-main~tot3j7~0/34.m4s", 404).await;
    check("/live/%00/manifest.mpd", 404).await;
    check("/live/other/manifest.mpd", 404).await;
    check("/live/other", 404).await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(edge.directory.list().len(), 1, "nothing lasts");
}

#[tokio::test(start_paused = true)]
async fn the_manifest_is_rendered_once_and_revalidated() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
    let first = edge.get("/live/talk/manifest.mpd").await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header("content-type"), "application/dash+xml");
    assert_eq!(first.header("cache-control"), "public, max-age=1");
    // Another segment begins: a new snapshot, but nothing in the manifest has changed.
    edge.play(3_000..5_000);
    let etag = first.header("etag");
    let second =
        edge.send(Method::GET, "/live/talk/manifest.mpd", &[("if-none-match", etag)]).await;
    assert_eq!((second.status, second.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    // The broadcast ends: it has.
    edge.live.set_catalog(Catalog { state: PublisherState::Ended, ..edge.script.catalog() });
    let third = edge.send(Method::GET, "/live/talk/manifest.mpd", &[("if-none-match", etag)]).await;
    assert_eq!(third.status, StatusCode::OK);
    assert!(third.body.contains("mediaPresentationDuration"));
}

#[tokio::test(start_paused = true)]
async fn before_there_is_media_viewers_are_told_to_come_back() {
    let edge = Edge::new(Script::new(&[2_000]));
    let manifest = "/live/talk/manifest.mpd".to_owned();
    for path in [manifest, "/live/talk".to_owned(), video("0.m4s"), video("init.mp4")] {
        let begun = tokio::time::Instant::now();
        let got = edge.get(&path).await;
        assert!(begun.elapsed() <= HOLD_MAX + Duration::from_millis(1), "{:?}", begun.elapsed());
        assert_eq!((got.status, got.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
        assert!(!got.body.is_empty());
    }
    assert_eq!(edge.get("/live").await.body, "{\"broadcasts\":[],\"complete\":true}");
    edge.directory.set_informed(false);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(edge.get("/live").await.body, "{\"broadcasts\":[],\"complete\":false}");
}

#[tokio::test(start_paused = true)]
async fn the_lobby_lists_what_is_on() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
    let list: serde_json::Value = serde_json::from_str(&edge.get("/live").await.body).unwrap();
    let expect = serde_json::json!({
        "id": "talk", "state": "live", "t0_ms": T0.as_millis(), "capture_offset_ms": 0,
        "viewers": 0,
    });
    assert_eq!(list["broadcasts"], serde_json::json!([expect]));
    let one: serde_json::Value = serde_json::from_str(&edge.get("/live/talk").await.body).unwrap();
    assert_eq!((&one["ready"], &one["state"]), (&true.into(), &"live".into()));
    assert_eq!(one["tracks"][0]["last_segment"], 1);
    let about = About {
        title: Some("Algebra <I>".to_owned().try_into().unwrap()),
        starts_at: Some(UtcTime::from_millis(1_795_000_000_000)),
        description: Some("x".repeat(400).try_into().unwrap()),
        topics: vec!["algebra".to_owned().try_into().unwrap()].try_into().unwrap(),
        ..About::default()
    };
    edge.live.set_catalog(Catalog { about: about.clone(), ..edge.script.catalog() });
    tokio::time::advance(Duration::from_secs(1)).await;
    for path in ["/live", "/live/talk"] {
        let told: serde_json::Value = serde_json::from_str(&edge.get(path).await.body).unwrap();
        let told = told["broadcasts"].get(0).unwrap_or(&told);
        assert_eq!(told["title"], "Algebra <I>");
        assert_eq!(told["starts_at"], 1_795_000_000_000_u64);
        assert_eq!(told["topics"], serde_json::json!(["algebra"]));
        let whole = path == "/live/talk";
        let told = told["description"].as_str().unwrap();
        assert_eq!(
            (told.len(), told.ends_with('…')),
            if whole { (400, false) } else { (303, true) }
        );
    }
    // What is not for everybody to find is not in the list.
    for visibility in [Visibility::Unlisted, Visibility::Token] {
        let about = About { visibility, ..about.clone() };
        edge.live.set_catalog(Catalog { about, ..edge.script.catalog() });
        tokio::time::advance(Duration::from_secs(1)).await;
        let list = edge.get("/live").await;
        assert_eq!(list.body, "{\"broadcasts\":[],\"complete\":true}", "{visibility:?}");
        assert_eq!(edge.get("/live/talk").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_lobby_that_is_off_lists_nothing() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
    let routes = routes(edge.directory.clone(), edge.audience.clone(), false);
    let request = Request::builder().uri("/live").body(Body::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn every_origin_may_read_and_preflight() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 3_000);
    for path in ["/time", "/live", "/live/talk/manifest.mpd", &video("0.m4s")] {
        let got = edge.send(Method::OPTIONS, path, &[("origin", "https://x.example")]).await;
        assert_eq!(got.status, StatusCode::NO_CONTENT, "{path}");
        assert!(got.header("access-control-allow-headers").contains("Range"));
        let got = edge.get(path).await;
        assert_eq!(got.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(got.header("timing-allow-origin"), "*", "{path}");
        assert!(got.header("access-control-expose-headers").contains("CMSD-Static"));
    }
    assert_eq!(edge.send(Method::POST, "/live", &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_told_to_the_millisecond_and_never_cached() {
    let edge = Edge::new(Script::new(&[]));
    let got = edge.get("/time").await;
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(got.body.len(), "2026-11-20T15:00:00.000Z".len());
    let now = dash::DateTime(UtcTime::from(SystemTime::now())).to_string();
    assert_eq!(got.body[..11], now[..11]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_on_is_dropped_and_counted() {
    let edge = Edge::at(Script::new(&[2_000; 60]), 2_100);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().await.unwrap().is_ok());
    // Meanwhile the segment leaves the window.
    edge.play(2_100..60_000);
    assert!(body.next().await.unwrap().is_err(), "cut off, so that no cache keeps half of it");
    assert!(body.next().await.is_none());
    assert_eq!(edge.metric("lectern_edge_http_readers_dropped_total", "evicted"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_segment_whose_publisher_fell_silent_is_not_followed_for_ever() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 2_100);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    let body = response.into_body().into_data_stream();
    let items: Vec<_> = body.collect().await;
    assert!(items.last().unwrap().is_err());
    assert_eq!(edge.metric("lectern_edge_http_readers_dropped_total", "slow"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn when_the_encoder_goes_away_the_last_segment_ends_and_no_more_are_promised() {
    let edge = Edge::at(Script::new(&[2_000; 2]), 4_001);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    edge.live.set_catalog(Catalog { state: PublisherState::Away, ..edge.script.catalog() });
    let items: Vec<_> = response.into_body().into_data_stream().collect().await;
    assert!(items.len() == 50 && items.iter().all(Result::is_ok));
    let asked = tokio::time::Instant::now();
    // Players that cannot know ask on for what they were promised, and are not refused it.
    let empty = edge.respond(Method::GET, &video("2.m4s"), &[]).await;
    assert_eq!(empty.status(), StatusCode::OK);
    assert_eq!(empty.headers()["cache-control"], "public, max-age=1");
    let bytes = axum::body::to_bytes(empty.into_body(), 100).await.unwrap();
    assert_eq!(&bytes[..], b"\0\0\0\x14stypmsdh\0\0\0\0msdh");
    assert_eq!(edge.get(&video("99999999999.m4s")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(asked.elapsed(), Duration::ZERO, "not held");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_segment_is_never_cached() {
    let edge = Edge::at(Script::new(&[1_000; 8]), 2_100);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    let track = name(TrackName::VIDEO_MAIN);
    edge.live.lose_group(&track, GroupId { period: 0, index: 2 });
    let items: Vec<_> = response.into_body().into_data_stream().collect().await;
    assert!(items.last().unwrap().is_err(), "a cache must not take it for whole");
    edge.play(3_000..4_000);
    let got = edge.get(&video("1.m4s")).await;
    assert_eq!((got.status, got.header("cache-control")), (StatusCode::OK, "no-store"));
    assert_eq!(got.header("etag"), "");
}

#[tokio::test(start_paused = true)]
async fn closing_a_broadcast_ends_its_readers() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 2_100);
    let response = edge.respond(Method::GET, &video("1.m4s"), &[]).await;
    let next = video("2.m4s");
    let held = edge.respond(Method::GET, &next, &[]);
    tokio::pin!(held);
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut held).await.is_err());
    edge.directory.close(&"talk".parse().unwrap());
    assert_eq!(held.await.status(), StatusCode::NOT_FOUND);
    let items: Vec<_> = response.into_body().into_data_stream().collect().await;
    assert!(items.last().unwrap().is_err());
    assert_eq!(edge.get("/live/talk").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn bytes_and_chunks_are_counted() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    let got = edge.get(&video("0.m4s")).await;
    edge.get(&video("77.m4s")).await;
    let sent = edge.metric("lectern_edge_http_sent_bytes_total", "segment");
    assert_eq!(sent as usize, got.body.len());
    assert_eq!(edge.metric("lectern_edge_chunks_received_total", "video"), 125.0);
    let text = prometheus::TextEncoder::new().encode_to_string(&edge.registry.gather()).unwrap();
    assert!(text.contains("lectern_edge_chunk_age_seconds_count{track=\"video\"} 125"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_edge_that_has_not_heard_its_upstream_does_not_call_a_broadcast_unknown() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    edge.directory.set_informed(false);
    assert_eq!(edge.get("/live/talk/manifest.mpd").await.status, StatusCode::OK);
    // In vain.
    for url in ["/live/other", "/live/other/manifest.mpd", "/live/other/index.m3u8"] {
        let got = edge.get(url).await;
        assert_eq!((got.status, got.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
        assert_eq!(got.header("cache-control"), "no-store");
        assert!(got.body.contains("upstream"), "{}", got.body);
        assert_eq!(got.header("lectern-reason"), "unheard");
    }
    // The upstream is heard while requests wait.
    let soon = Duration::from_secs(2);
    let (late, unknown, ()) = tokio::join!(
        edge.get("/live/late/manifest.mpd"),
        edge.get("/live/other/index.m3u8"),
        async {
            tokio::time::sleep(soon).await;
            let live = edge.directory.open("late".parse().unwrap()).unwrap();
            live.set_catalog(edge.script.catalog());
            for event in edge.script.events() {
                if let Some(chunk) = event.chunk {
                    live.push(&event.track, event.group, chunk);
                }
            }
            assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 2.0);
            edge.directory.set_informed(true);
        }
    );
    assert_eq!(late.status, StatusCode::OK, "{}", late.body);
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_segment_from_before_this_edge_joined_is_waited_for_while_it_may_be_fetched() {
    let edge = Edge::new(Script::new(&[2_000; 10]));
    edge.live.set_catalog(edge.script.catalog());
    let events = edge.script.events();
    events.iter().filter(|event| event.group.index >= 6).for_each(|event| edge.feed(event));
    let fetch = async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        for missing in edge.live.missing(3) {
            let chunks = events
                .iter()
                .filter(|event| (&event.track, event.group) == (&missing.track, missing.group));
            let chunks = chunks.filter_map(|event| event.chunk.clone()).collect();
            edge.live.push_older(&missing.track, missing.group, chunks);
        }
    };
    // Where players begin, and the playlist that they find it by.
    let (segment, part) = (video("2.m4s"), video("2.1.m4s"));
    let (segment, part, playlist, ()) = tokio::join!(
        edge.get(&segment),
        edge.get(&part),
        edge.get("/live/talk/video-main/index.m3u8"),
        async {
            for _ in 0..5 {
                fetch().await;
            }
        }
    );
    assert_eq!(segment.status, StatusCode::OK, "{}", segment.body);
    assert!(segment.body.starts_with("<video/main 0/2 4000>"), "{}", segment.body);
    assert_eq!(part.status, StatusCode::OK, "{}", part.body);
    assert!(playlist.body.contains("#EXT-X-MEDIA-SEQUENCE:4\n"), "{}", playlist.body);
    // Upstream may have more, and nobody fetches it.
    assert_eq!(edge.get(&video("0.m4s")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_after_media_was_let_go_of_is_held_and_finds_what_there_was() {
    let edge = Edge::at(Script::new(&[2_000; 6]), 9_000);
    let (segment_1, playlist) = (video("1.m4s"), "/live/talk/video-main/index.m3u8");
    let (segment, listed) = (edge.get(&segment_1).await, edge.get(playlist).await);
    edge.live.empty(Some(&edge.script.catalog()));
    let snapshot = edge.live.snapshot().unwrap();
    assert!(
        snapshot.periods.iter().flat_map(|period| &period.tracks).all(|t| t.segments.is_empty())
    );
    assert_eq!(edge.get(&video("init.mp4")).await.status, StatusCode::OK);
    // Held, while nobody fetches it; and not said to be gone for good.
    assert_eq!(edge.get(&segment_1).await.status, StatusCode::NOT_FOUND);
    let blocking = format!("{playlist}?_HLS_msn=3&_HLS_part=0");
    let (manifest, again, reloaded, ()) = tokio::join!(
        edge.get("/live/talk/manifest.mpd"),
        edge.get(&segment_1),
        edge.get(&blocking),
        async {
            tokio::time::sleep(Duration::from_millis(40)).await;
            edge.play(0..9_000);
        }
    );
    assert_eq!(manifest.status, StatusCode::OK);
    assert_eq!((again.status, again.body), (StatusCode::OK, segment.body));
    assert_eq!((reloaded.status, reloaded.body), (StatusCode::OK, listed.body));
}

#[test]
fn a_directory_is_bounded() {
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let directory = Directory::new(Config::default(), metrics);
    let opened =
        (0..5_000).take_while(|n| directory.open(format!("b{n}").parse().unwrap()).is_ok());
    assert_eq!(opened.count(), 2_048);
    assert!(directory.open("b7".parse().unwrap()).is_ok(), "it is open already");
    directory.close(&"b7".parse().unwrap());
    assert!(directory.open("another".parse().unwrap()).is_ok());
}
