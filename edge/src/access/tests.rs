//! Who gets in at which route, with an edge's own router and made-up broadcasts: `talk` is for holders of
//! a token, `open` for everybody, and what else is of them is the same.

mod demanding;

use std::net::Ipv4Addr;

use axum::http::header::AUTHORIZATION;
use axum::http::{Request, StatusCode};
use lectern_relay_proto::about::{Registration, ViewerKeys, Visibility};
use lectern_relay_proto::{Catalog, TrackName};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::testing::{Issuer, sign_with};
use super::*;
use crate::timeline::testing::{Script, T0, name};
use crate::{audience, comments, experience, live, timeline, whep};

struct Edge {
    router: Router,
    directory: Arc<Directory>,
    audience: Arc<Audience>,
    demand: Arc<Demand>,
    issuer: Issuer,
    registry: Registry,
}

impl Edge {
    fn new(shared_cache: bool) -> Self {
        let registry = Registry::new();
        let metrics = live::Metrics::register(&registry).unwrap();
        let config = timeline::Config { comments: true, ..Default::default() };
        let directory = Directory::new(config, metrics);
        directory.set_informed(true);
        let audience = Audience::new(audience::Metrics::register(&registry).unwrap());
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let engine = whep::Config { listen: any, workers: 1, ..whep::Config::default() };
        let engine = Engine::start(engine, whep::Metrics::register(&registry).unwrap()).unwrap();
        let metrics = comments::Metrics::register(&registry).unwrap();
        let comments = comments::Comments::new(None, audience.clone(), metrics);
        let experience = experience::Metrics::register(&registry).unwrap();
        let metrics = demand::Metrics::register(&registry).unwrap();
        let linger = std::time::Duration::from_secs(60);
        let config =
            demand::Config { linger, subscribed_max: 2, prewarm: demand::Prewarm::default() };
        let demand = Demand::new(config, metrics);
        let access = Access::new(
            directory.clone(),
            audience.clone(),
            engine.clone(),
            demand.clone(),
            shared_cache,
            Metrics::register(&registry).unwrap(),
        );
        let broadcasts = Router::new()
            .merge(live::routes(directory.clone(), audience.clone(), true))
            .merge(experience::routes(directory.clone(), audience.clone(), experience))
            .merge(comments::routes(comments, directory.clone(), Vec::new()))
            .merge(whep::routes(engine));
        let router = access.guard(broadcasts);
        let issuer = Issuer::new("k1");
        let edge = Self { router, directory, audience, demand, issuer, registry };
        edge.describe("talk", Visibility::Token);
        edge.describe("open", Visibility::Public);
        edge
    }

    /// A catalog of a broadcast, and media the first time.
    fn describe(&self, id: &str, visibility: Visibility) {
        let keys = vec![self.issuer.key()];
        let about = About { visibility, viewer_keys: keys.try_into().unwrap(), ..About::default() };
        self.set(id, about);
    }

    fn set(&self, id: &str, about: About) {
        let script = Script::new(&[2_000; 4]);
        let id: BroadcastId = id.parse().unwrap();
        let new = self.directory.get(&id).is_none();
        let live = self.directory.open(id).unwrap();
        live.set_catalog(Catalog { about, ..script.catalog() });
        for event in script.events().iter().filter(|event| new && event.at_ms < 5_000) {
            match &event.chunk {
                Some(chunk) => live.push(&event.track, event.group, chunk.clone()),
                None => live.end_group(&event.track, event.group),
            }
        }
    }

    fn token(&self, more: Value) -> String {
        self.issuer.sign(&claims(more))
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if path.starts_with("/whep") { "v=0\r\n" } else { "{}" };
        let request = request.body(Body::from(body)).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", path, headers).await
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics.iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}

fn now_s() -> u64 {
    UtcTime::from(SystemTime::now()).as_millis() / 1_000
}

fn claims(more: Value) -> Value {
    let mut claims = json!({"broadcast": "talk", "exp": now_s() + 60});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every route of a broadcast that gives something of it away.
fn routes_of(id: &str) -> Vec<(&'static str, String)> {
    let track = timeline::Locator::new(&name(TrackName::VIDEO_MAIN), T0, 0);
    let period = timeline::PeriodLocator::new(T0, 0);
    let get = [
        format!("/live/{id}"),
        format!("/live/{id}/manifest.mpd"),
        format!("/live/{id}/index.m3u8"),
        format!("/live/{id}/video-main/index.m3u8"),
        format!("/live/{id}/{track}/init.mp4"),
        format!("/live/{id}/{track}/0.m4s"),
        format!("/live/{id}/{track}/1.0.m4s"),
        format!("/live/{id}/comments"),
        format!("/live/{id}/comments/0.jsonl"),
        format!("/live/{id}/comments/{period}~0.vtt"),
        format!("/live/{id}/comments/index.m3u8"),
        format!("/live/{id}/comments.vtt"),
        // The same in other spellings.
        format!("/live/{}%6{}/manifest.mpd", &id[..id.len() - 1], hex_low(id)),
    ];
    let mut routes: Vec<_> = get.into_iter().map(|path| ("GET", path)).collect();
    routes.push(("HEAD", format!("/live/{id}/{track}/0.m4s")));
    routes.push(("POST", format!("/live/{id}/experience")));
    routes.push(("POST", format!("/whep/{id}")));
    routes.push(("POST", format!("/whep/{id}?rendition=video/main")));
    routes
}

/// The last letter of a name, as the second digit of its percent-encoding.
fn hex_low(id: &str) -> String {
    format!("{:x}", id.bytes().last().unwrap() & 0xf)
}

const UPGRADE: [(&str, &str); 5] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("content-type", "application/sdp"),
];

#[tokio::test(start_paused = true)]
async fn no_route_lets_in_whom_the_token_does_not() {
    let edge = Edge::new(false);
    let secret = |text: &[u8]| {
        use aws_lc_rs::hmac;
        let key = edge.issuer.key().public_key;
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text).as_ref().to_vec()
    };
    let none = |_: &[u8]| Vec::new();
    let good = claims(json!({}));
    let bad = [
        ("expired", edge.token(json!({"exp": now_s() - 10})), "token-expired"),
        ("another broadcast", edge.token(json!({"broadcast": "open"})), "token-wrong-broadcast"),
        ("another key", Issuer::new("k1").sign(&good), "token-invalid"),
        ("no such kid", Issuer::new("k2").sign(&good), "token-invalid"),
        ("none", sign_with(r#"{"alg":"none","kid":"k1"}"#, &good, none), "token-invalid"),
        ("HS256", sign_with(r#"{"alg":"HS256","kid":"k1"}"#, &good, secret), "token-invalid"),
        ("not yet", edge.token(json!({"nbf": now_s() + 30})), "token-invalid"),
        ("for ever", edge.token(json!({"exp": null})), "token-invalid"),
        ("garbage", "garbage".to_owned(), "token-invalid"),
        ("empty", String::new(), "token-missing"),
        ("oversized", edge.token(json!({"x": "x".repeat(4_000)})), "token-invalid"),
    ];
    let good = format!("Bearer {}", edge.token(json!({"sub": "ada"})));
    for ((method, path), (_, open)) in routes_of("talk").into_iter().zip(routes_of("open")) {
        let public = edge.send(method, &open, &UPGRADE).await.status();
        assert_ne!(public, StatusCode::UNAUTHORIZED, "{open}");
        let mut with = UPGRADE.to_vec();
        with.push(("authorization", &good));
        let answer = edge.send(method, &path, &with).await;
        assert_eq!(answer.status(), public, "{method} {path}, with a good token");
        assert!(!header(&answer, "cache-control").contains("public"), "{path}");
        let refused = async |what: &str, carried: Option<(&str, String)>, code: &str| {
            let mut with = UPGRADE.to_vec();
            if let Some((name, value)) = &carried {
                with.push((name, value));
            }
            let answer = edge.send(method, &path, &with).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}: {what}");
            assert!(header(&answer, "www-authenticate").starts_with("Bearer"), "{what}");
            assert_eq!(header(&answer, "lectern-reason"), code, "{method} {path}: {what}");
            assert_eq!(header(&answer, "cache-control"), "no-store");
            assert_eq!(header(&answer, "content-type"), "application/problem+json");
            assert_eq!(header(&answer, "access-control-allow-origin"), "*");
            if method != "HEAD" {
                let problem: Value = serde_json::from_str(&body(answer).await).unwrap();
                assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &401.into()));
            }
        };
        refused("nothing", None, "token-missing").await;
        for (what, token, code) in &bad {
            if token.is_empty() {
                refused(what, Some(("cookie", String::new())), code).await;
                continue;
            }
            refused(what, Some(("authorization", format!("Bearer {token}"))), code).await;
            refused(what, Some(("cookie", format!("lectern-viewer={token}"))), code).await;
            let offered = format!("lectern.comments, lectern.token.{token}");
            refused(what, Some(("sec-websocket-protocol", offered)), code).await;
        }
        // Only a manifest takes it from the address.
        if !path.contains("manifest") && !path.ends_with("talk/index.m3u8") {
            let (token, between) = (&good[7..], if path.contains('?') { '&' } else { '?' });
            let answer =
                edge.send(method, &format!("{path}{between}token={token}"), &UPGRADE).await;
            assert_eq!(header(&answer, "lectern-reason"), "token-missing", "{path}");
        }
    }
}

#[tokio::test]
async fn a_session_is_its_viewers_and_who_asks_what_is_allowed_is_told() {
    let edge = Edge::new(false);
    for method in ["PATCH", "DELETE"] {
        let answer = edge.send(method, "/whep/talk/0123", &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "there is no such session");
    }
    for (_, path) in routes_of("talk") {
        let answer = edge.send("OPTIONS", &path, &[("origin", "https://lms.example")]).await;
        assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        // To the WebSocket a page says nothing beforehand.
        if !path.ends_with("/comments") {
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
            assert_eq!(header(&answer, "access-control-allow-origin"), "*", "{path}");
            let allowed = header(&answer, "access-control-allow-headers");
            assert!(allowed.contains("Authorization"), "{path}: {allowed}");
        }
    }
    assert_eq!(edge.get("/time", &[]).await.status(), StatusCode::OK);
    assert_eq!(edge.get("/live/nobody/manifest.mpd", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_manifest_takes_the_token_from_its_address_and_gives_the_cookie() {
    let edge = Edge::new(true);
    let token = edge.token(json!({}));
    for file in ["manifest.mpd", "index.m3u8"] {
        let path = format!("/live/talk/{file}?CMCD=x&token={token}");
        let answer = edge.get(&path, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        // With a cookie in it, no cache may keep it, whatever stands before this edge.
        assert_eq!(header(&answer, "cache-control"), "no-store");
        let cookies: Vec<String> = answer
            .headers()
            .get_all("set-cookie")
            .into_iter()
            .map(|cookie| cookie.to_str().unwrap().to_owned())
            .collect();
        assert_eq!(cookies.len(), 2);
        assert!(cookies.iter().all(|cookie| cookie.contains("HttpOnly; SameSite=Lax")));
        assert!(!body(answer).await.contains(&token), "what it names stays as it is for all");
        let cookie = cookies[0].split(';').next().unwrap();
        let next = edge.get("/live/talk/video-main/index.m3u8", &[("cookie", cookie)]).await;
        assert_eq!(next.status(), StatusCode::OK);
        assert!(header(&next, "set-cookie").is_empty());
        assert_eq!(header(&next, "cache-control"), "public, max-age=1", "as configured");
    }
}

#[tokio::test]
async fn the_cookie_is_given_to_whoever_brings_the_token() {
    let edge = Edge::new(false);
    let good = format!("Bearer {}", edge.token(json!({})));
    let post = async |id: &str, headers: &[(&str, &str)]| {
        edge.send("POST", &format!("/live/{id}/access"), headers).await
    };
    let origin = ("origin", "https://lms.example");
    let answer = post("talk", &[("authorization", &good), origin]).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(header(&answer, "access-control-allow-origin"), "https://lms.example");
    assert_eq!(header(&answer, "access-control-allow-credentials"), "true");
    let cookie = header(&answer, "set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(edge.get("/live/talk", &[("cookie", &cookie)]).await.status(), StatusCode::OK);
    // Who has it already gets no other by it.
    let answer = post("talk", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let answer = post("open", &[("authorization", &good)]).await;
    assert_eq!((answer.status(), header(&answer, "set-cookie")), (StatusCode::NO_CONTENT, ""));
    assert_eq!(post("nobody", &[]).await.status(), StatusCode::NOT_FOUND);
    let mut request = Request::post("/live/talk/access").body(Body::empty()).unwrap();
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(&good).unwrap());
    request.extensions_mut().insert(Secured(true));
    let answer = edge.router.clone().oneshot(request).await.unwrap();
    assert!(header(&answer, "set-cookie").ends_with("SameSite=None; Secure; Partitioned"));
}

#[tokio::test]
async fn a_signature_is_checked_once_and_one_client_sends_so_many() {
    let edge = Edge::new(false);
    let good = format!("Bearer {}", edge.token(json!({})));
    for _ in 0..50 {
        let answer = edge.get("/live/talk", &[("authorization", &good)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(edge.metric("lectern_edge_access_checked_total"), 1.0);
    let mut refused = Vec::new();
    for number in 0..CLIENT.burst + 50 {
        let forged = format!("Bearer {number}");
        let answer = edge.get("/live/talk", &[("authorization", &forged)]).await;
        refused.push(answer.status());
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(header(&answer, "retry-after").parse::<u64>().unwrap() > 0);
        }
    }
    assert_eq!(refused[0], StatusCode::UNAUTHORIZED);
    assert!(refused.contains(&StatusCode::TOO_MANY_REQUESTS));
    // Whoever is in stays.
    let answer = edge.get("/live/talk", &[("authorization", &good)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_the_catalog_has_no_more_lets_nobody_in() {
    let edge = Edge::new(false);
    let good = format!("Bearer {}", edge.token(json!({})));
    let ask = async || edge.get("/live/talk", &[("authorization", &good)]).await.status();
    assert_eq!(ask().await, StatusCode::OK);
    let about = About {
        visibility: Visibility::Token,
        viewer_keys: ViewerKeys::default(),
        ..About::default()
    };
    edge.set("talk", about);
    assert_eq!(ask().await, StatusCode::UNAUTHORIZED);
    edge.describe("talk", Visibility::Unlisted);
    assert_eq!(edge.get("/live/talk", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn who_must_register_is_told_so_at_every_route_and_is_in_with_a_token() {
    let edge = Edge::new(false);
    let about = |visibility| About {
        visibility,
        viewer_keys: vec![edge.issuer.key()].try_into().unwrap(),
        registration: Some(Registration::default()),
        ..About::default()
    };
    for visibility in [Visibility::Public, Visibility::Unlisted] {
        edge.set("talk", about(visibility));
        let bad = [
            None,
            Some(edge.token(json!({"exp": now_s() - 10}))),
            Some(edge.token(json!({"broadcast": "open"}))),
            Some(Issuer::new("k1").sign(&claims(json!({})))),
            Some("garbage".to_owned()),
        ];
        let good = format!("Bearer {}", edge.token(json!({"sub": "registration-1"})));
        for (method, path) in routes_of("talk") {
            for token in &bad {
                let token = token.as_ref().map(|token| format!("Bearer {token}"));
                let mut with = UPGRADE.to_vec();
                if let Some(token) = &token {
                    with.push(("authorization", token));
                }
                let answer = edge.send(method, &path, &with).await;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
                assert_eq!(header(&answer, "lectern-reason"), "registration-required", "{path}");
                assert_eq!(header(&answer, "www-authenticate"), "Bearer realm=\"lectern\"");
            }
            if method == "POST" {
                continue;
            }
            let mut with = UPGRADE.to_vec();
            with.push(("authorization", &good));
            let answer = edge.send(method, &path, &with).await;
            assert_ne!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    // Who was invited is not asked.
    edge.set("talk", about(Visibility::Token));
    let answer = edge.get("/live/talk", &[]).await;
    assert_eq!(header(&answer, "lectern-reason"), "token-missing");
}

#[tokio::test(start_paused = true)]
async fn who_asks_before_it_is_known_for_whom_it_is_waits_in_vain() {
    let edge = Edge::new(false);
    let live = edge.directory.open("later".parse().unwrap()).unwrap();
    let script = Script::new(&[2_000; 4]);
    let about = About { visibility: Visibility::Token, ..About::default() };
    let catalog = Catalog { about, ..script.catalog() };
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        live.set_catalog(catalog);
        for event in script.events() {
            match &event.chunk {
                Some(chunk) => live.push(&event.track, event.group, chunk.clone()),
                None => live.end_group(&event.track, event.group),
            }
        }
    };
    let (answer, ()) = tokio::join!(edge.get("/live/later/manifest.mpd", &[]), later);
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&answer, "lectern-reason"), "token-missing");
    // What needs no media, and is asked for before there is a catalog.
    edge.directory.open("soon".parse().unwrap()).unwrap();
    let answer = edge.get("/live/soon/comments.vtt", &[]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn no_more_begin_than_may_and_those_who_watch_stay() {
    let edge = Edge::new(false);
    let about = About { viewers_max: Some(3), ..About::default() };
    edge.set("open", about.clone());
    let ask = async |path: &str, viewer: &str, agent: &str| {
        let mut headers = vec![("user-agent", agent)];
        if !viewer.is_empty() {
            headers.push(("lectern-viewer", viewer));
        }
        let answer = edge.get(path, &headers).await;
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(header(&answer, "lectern-reason"), "broadcast-full");
            assert!((5..=20).contains(&header(&answer, "retry-after").parse().unwrap()));
        }
        answer.status() == StatusCode::OK
    };
    let (mpd, m3u8) = ("/live/open/manifest.mpd", "/live/open/index.m3u8");
    let name = |number: u64| format!("{number:016x}");
    // In one moment, before anybody was counted.
    let mut begun = Vec::new();
    for number in 0..5 {
        begun.push(ask(mpd, &name(number), "firefox").await);
    }
    assert_eq!(begun, [true, true, true, false, false]);
    assert!(ask(m3u8, &name(1), "firefox").await, "by another path");
    assert!(ask(mpd, "", "firefox").await, "what its player loads for it");
    assert!(!ask(mpd, "", "vlc").await);
    let offer = edge.send("POST", "/whep/open", &[("content-type", "application/sdp")]).await;
    assert_eq!(header(&offer, "lectern-reason"), "broadcast-full");
    // Media is for whoever has the manifest.
    let track = timeline::Locator::new(&name_of_video(), T0, 0);
    assert!(ask(&format!("/live/open/{track}/0.m4s"), "", "vlc").await);
    // Who is not heard of any more makes room.
    tokio::time::advance(Duration::from_secs(31)).await;
    edge.audience.count([]);
    assert!(ask(mpd, "", "vlc").await);
    // Those at other edges count as well.
    edge.audience.told(&"open".parse().unwrap(), 3);
    assert!(!ask(mpd, &name(9), "firefox").await);
    assert!(ask(mpd, "", "vlc").await);
    edge.set("open", About { viewers_max: Some(0), ..about });
    assert!(!ask(mpd, &name(9), "firefox").await);
    assert!(ask(mpd, "", "vlc").await, "lowered, and who watches stays");
}

fn name_of_video() -> TrackName {
    name(TrackName::VIDEO_MAIN)
}
