//! LL-HLS over HTTP: what is held, for how long, and what is refused.

use lectern_relay_proto::PublisherState;
use tokio::time::Instant;

use super::*;

const PLAYLIST: &str = "/live/talk/video-main/index.m3u8";

/// Parts of 240 ms: segment 2 began at 4 s, and two parts of it are there.
fn edge() -> Edge {
    Edge::at(Script::new(&[2_000; 10]), 4_500)
}

fn query(query: &str) -> String {
    format!("{PLAYLIST}?{query}")
}

#[tokio::test(start_paused = true)]
async fn playlists_are_found_from_the_multivariant_one_and_revalidated() {
    let edge = edge();
    let got = edge.get("/live/talk/index.m3u8").await;
    assert_eq!(got.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(got.header("access-control-allow-origin"), "*");
    let uri = got.body.lines().last().unwrap();
    assert_eq!(format!("/live/talk/{uri}"), PLAYLIST);
    let media = edge.get(PLAYLIST).await;
    assert_eq!(media.status, StatusCode::OK);
    assert!(media.header("cache-control").contains("max-age=1"));
    // Every address in it leads somewhere.
    let media_urls =
        media.body.lines().filter_map(|line| match line.strip_prefix("#EXT-X-PART:") {
            Some(part) => part.split("URI=\"").nth(1)?.split('"').next(),
            None => (!line.starts_with('#')).then_some(line),
        });
    let mut count = 0;
    for url in media_urls {
        let url = url.strip_prefix("..").unwrap();
        let got = edge.get(&format!("/live/talk{url}")).await;
        assert_eq!(
            (got.status, got.header("content-type")),
            (StatusCode::OK, "video/mp4"),
            "{url}"
        );
        count += 1;
    }
    assert!(count > 20, "{count}");
    let again = edge.send(Method::GET, PLAYLIST, &[("if-none-match", media.header("etag"))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test(start_paused = true)]
async fn a_reload_waits_for_the_part_that_it_asks_for() {
    let edge = edge();
    let there = edge.get(&query("_HLS_msn=2&_HLS_part=1")).await;
    assert!(there.body.contains("/2.1.m4s\"\n"), "{}", there.body);
    let (url, play) = (query("_HLS_msn=2&_HLS_part=2"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 1.0);
        edge.play(4_500..4_720);
    });
    let (got, ()) = tokio::join!(edge.get(&url), play);
    assert!(got.body.contains("#EXT-X-PART:DURATION=0.24000,URI=\"../"), "{}", got.body);
    let listed = got.body.lines().filter(|line| line.contains("/2.2.m4s")).count();
    assert_eq!(listed, 1, "the part, and not a hint at it: {}", got.body);
    assert!(got.body.contains("#EXT-X-PRELOAD-HINT") && got.body.contains("/2.3.m4s"));
    assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_a_part_waits_for_the_whole_segment() {
    let edge = edge();
    let (url, play) = (query("_HLS_msn=2"), async {
        edge.play(4_500..5_980);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 1.0);
        edge.play(5_980..6_040);
    });
    let (got, ()) = tokio::join!(edge.get(&url), play);
    assert!(got.body.contains("#EXTINF:2.00000,\n../video-main~tot3j7~0/2.m4s"), "{}", got.body);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_waits_in_vain_gets_the_playlist_as_it_is() {
    let edge = edge();
    let before = edge.get(PLAYLIST).await;
    let start = Instant::now();
    let got = edge.get(&query("_HLS_msn=3&_HLS_part=0")).await;
    assert_eq!((got.status, got.header("cache-control")), (StatusCode::OK, "no-store"));
    assert_eq!(got.body, before.body);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_no_player_would_ask_is_refused_at_once() {
    let edge = edge();
    let start = Instant::now();
    for bad in [
        "_HLS_msn=4",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=99999999999999999999",
        "_HLS_msn=2&_HLS_part=40",
        "_HLS_msn=2&_HLS_part=4294967295",
        "_HLS_part=1",
        "_HLS_msn=-1",
        "_HLS_msn=",
        "_HLS_skip=no",
    ] {
        let got = edge.get(&query(bad)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{bad}");
        assert!(!got.body.is_empty(), "says why");
    }
    for absent in [
        "/live/talk/video-360p/index.m3u8",
        "/live/talk/video~main/index.m3u8",
        "/live/talk/..%2f..%2fvideo-main/index.m3u8",
        "/live/other/video-main/index.m3u8?_HLS_msn=1",
        &video("2.40.m4s"),
        &video("2.4294967296.m4s"),
        &video("2.01.m4s"),
        &video("3.1.m4s"),
        &video("90.0.m4s"),
        &video("1.20.m4s"),
    ] {
        assert_eq!(edge.get(absent).await.status, StatusCode::NOT_FOUND, "{absent}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing was waited for");
}

#[tokio::test(start_paused = true)]
async fn the_next_part_is_held_until_it_is_complete() {
    let edge = edge();
    let url = video("2.2.m4s");
    let (got, ()) = tokio::join!(edge.get(&url), async {
        tokio::task::yield_now().await;
        edge.play(4_500..4_720);
    });
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.body.starts_with("<video/main 0/2 4480>"), "{}", got.body);
    assert!(got.body.ends_with("<video/main 0/2 4680>"), "{}", got.body);
    assert!(got.header("cache-control").contains("immutable") && !got.header("etag").is_empty());

    // The first part of the segment to come, as the hint at the end of a segment has it.
    edge.play(4_720..5_980);
    let url = video("3.0.m4s");
    let (got, ()) = tokio::join!(edge.get(&url), async {
        tokio::task::yield_now().await;
        edge.play(5_980..6_300);
    });
    assert!(got.body.starts_with("<video/main 0/3 6000>"), "{}", got.body);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_its_segment_turns_out_not_to_have_is_not_found() {
    let edge = edge();
    // Segment 2 has nine parts, from 0 to 8.
    edge.play(4_500..6_000);
    let url = video("2.9.m4s");
    let (got, ()) = tokio::join!(edge.get(&url), async {
        tokio::task::yield_now().await;
        edge.play(6_000..6_040);
    });
    assert_eq!(got.status, StatusCode::NOT_FOUND, "{}", got.body);
}

#[tokio::test(start_paused = true)]
async fn the_end_lets_everybody_go_who_waits() {
    let edge = edge();
    let (url, end) = (query("_HLS_msn=2&_HLS_part=4"), async {
        tokio::task::yield_now().await;
        let ended = Catalog { state: PublisherState::Ended, ..edge.script.catalog() };
        edge.live.set_catalog(ended);
    });
    let (got, ()) = tokio::join!(edge.get(&url), end);
    assert!(got.body.ends_with("#EXT-X-ENDLIST\n"), "{}", got.body);
    let start = Instant::now();
    let absurd = edge.get(&query("_HLS_msn=900")).await;
    assert!(absurd.body.ends_with("#EXT-X-ENDLIST\n") && start.elapsed() == Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn thousands_who_wait_are_told_together_and_more_than_may_wait_get_what_there_is() {
    let edge = edge();
    let url = query("_HLS_msn=2&_HLS_part=2");
    let waiting: Vec<_> = (0..HELD_MAX + 100)
        .map(|_| {
            let request = Request::builder().uri(&url).body(Body::empty()).unwrap();
            tokio::spawn(edge.routes.clone().oneshot(request))
        })
        .collect();
    while edge.metric("lectern_edge_http_held_refused_total", "") < 100.0 {
        tokio::task::yield_now().await;
    }
    edge.play(4_500..4_720);
    let mut stale = 0;
    for task in waiting {
        let response = task.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        stale += usize::from(response.headers()["cache-control"] == "no-store");
    }
    assert_eq!(stale, 100);
    assert_eq!(edge.metric("lectern_edge_http_held_requests", ""), 0.0);
}

#[tokio::test(start_paused = true)]
async fn text_is_compressed_for_those_who_take_it_and_media_is_not() {
    let edge = edge();
    let plain = edge.get(PLAYLIST).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    for url in [PLAYLIST, "/live/talk/index.m3u8", "/live/talk/manifest.mpd"] {
        let response = edge.respond(Method::GET, url, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(response.headers()["content-encoding"], "gzip", "{url}");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text)
            .unwrap();
        let plain = edge.get(url).await;
        assert_eq!(text, plain.body);
        assert_ne!(etag, plain.header("etag"));
        let headers = [("accept-encoding", "gzip, br"), ("if-none-match", etag.as_str())];
        let again = edge.send(Method::GET, url, &headers).await;
        assert_eq!(
            (again.status, again.header("content-encoding")),
            (StatusCode::NOT_MODIFIED, "")
        );
    }
    let media = edge.send(Method::GET, &video("1.m4s"), &[("accept-encoding", "gzip")]).await;
    assert_eq!(media.header("content-encoding"), "");
}

#[tokio::test(start_paused = true)]
async fn who_comes_as_the_broadcast_begins_waits_for_its_first_segment() {
    let edge = Edge::at(Script::new(&[2_000; 3]), 1_000);
    let (got, ()) = tokio::join!(edge.get("/live/talk/index.m3u8"), async {
        tokio::task::yield_now().await;
        edge.play(1_000..2_200);
    });
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    let media = edge.get(PLAYLIST).await;
    assert!(media.body.contains("/0.m4s\n"), "never parts alone: {}", media.body);
}

#[tokio::test(start_paused = true)]
async fn before_there_is_media_players_are_told_to_come_back() {
    let edge = Edge::new(Script::new(&[2_000; 2]));
    for url in ["/live/talk/index.m3u8", PLAYLIST] {
        let got = edge.get(url).await;
        assert_eq!((got.status, got.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_playlist_that_was_read_never_begins_earlier() {
    let edge = Edge::new(Script::new(&[2_000; 10]));
    let mut events = edge.script.events();
    events.retain(|event| event.at_ms < 9_000);
    edge.live.set_catalog(edge.script.catalog());
    events.iter().filter(|event| event.group.index >= 2).for_each(|event| edge.feed(event));
    let first = edge.get(PLAYLIST).await;
    assert!(first.body.contains("#EXT-X-MEDIA-SEQUENCE:3\n"));
    // Another broadcast under the same id begins anew.
    let script = Script::new(&[2_000; 3]);
    let t0 = T0 + Duration::from_secs(60);
    edge.live.set_catalog(Catalog { t0, ..script.catalog() });
    script.events().iter().for_each(|event| edge.feed(event));
    let second = edge.get(PLAYLIST).await;
    assert!(second.body.contains("#EXT-X-MEDIA-SEQUENCE:0\n"), "{}", second.body);
}

const COMMENTS: &str = "/live/talk/comments/index.m3u8";

/// The same broadcast at an edge that has comments.
fn commented() -> Edge {
    let mut edge = Edge::new(Script::new(&[2_000; 10]));
    let config = Config { comments: true, ..Config::default() };
    edge.directory = Directory::new(config, Metrics::register(&Registry::new()).unwrap());
    edge.directory.set_informed(true);
    edge.live = edge.directory.open("talk".parse().unwrap()).unwrap();
    edge.routes = routes(edge.directory.clone(), edge.audience.clone(), true);
    edge.live.set_catalog(edge.script.catalog());
    edge.play(0..4_500);
    edge
}

#[tokio::test(start_paused = true)]
async fn comments_are_listed_where_there_are_any_and_as_soon_as_their_media_begins() {
    let edge = commented();
    let playlists = edge.get("/live/talk/index.m3u8").await;
    assert!(playlists.body.contains("URI=\"comments/index.m3u8\""), "{}", playlists.body);
    let got = edge.get(COMMENTS).await;
    assert_eq!(got.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(got.header("access-control-allow-origin"), "*");
    assert!(got.body.ends_with("~2.vtt\n"), "{}", got.body);
    let again = edge.send(Method::GET, COMMENTS, &[("if-none-match", got.header("etag"))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(edge.get("/live/talk/comments/index.m3u8?_HLS_skip=YES").await.body, got.body);

    let elsewhere = self::edge();
    assert_eq!(elsewhere.get(COMMENTS).await.status, StatusCode::NOT_FOUND);
    assert!(!elsewhere.get("/live/talk/index.m3u8").await.body.contains("comments"));
}

#[tokio::test(start_paused = true)]
async fn a_reload_of_comments_waits_for_the_segment_that_it_asks_for() {
    let edge = commented();
    let asking = |sequence: u64| format!("{COMMENTS}?_HLS_msn={sequence}");
    assert!(edge.get(&asking(2)).await.body.ends_with("~2.vtt\n"));
    let url = asking(3);
    let play = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        edge.play(4_500..6_100);
    };
    let (got, ()) = tokio::join!(edge.get(&url), play);
    assert!(got.body.ends_with("~3.vtt\n"), "{}", got.body);
    assert!(got.header("cache-control").contains("max-age=1"));

    let asked = Instant::now();
    let got = edge.get(&asking(5)).await;
    assert_eq!((got.status, asked.elapsed()), (StatusCode::OK, HOLD_MAX), "in vain");
    assert_eq!(got.header("cache-control"), "no-store");
    assert_eq!(edge.get(&asking(6)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(edge.get(&asking(u64::MAX)).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn comments_of_a_broadcast_that_is_over_are_not_waited_for() {
    let edge = commented();
    let ended = Catalog { state: PublisherState::Ended, ..edge.script.catalog() };
    edge.live.set_catalog(ended);
    tokio::time::sleep(SETTLE_AFTER * 2).await;
    let asked = Instant::now();
    let got = edge.get("/live/talk/comments/index.m3u8?_HLS_msn=4").await;
    assert!(got.body.ends_with("#EXT-X-ENDLIST\n"), "{}", got.body);
    assert_eq!(asked.elapsed(), Duration::ZERO);
}
