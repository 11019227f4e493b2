//! WHEP over HTTP: what each request is answered.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use lectern_edge::whep::{self, Engine};
use tower::ServiceExt;

use crate::host::{Host, T0_MS, catalog, engine, engine_with, value};
use crate::viewer;

#[tokio::test]
async fn http_answers_as_whep_asks() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let offer = viewer::offer(&viewer::certificate());
    let created = post(&engine, "/whep/demo", "application/sdp", offer.clone()).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let header = |name: &str| created.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "application/sdp");
    assert_eq!(header("lectern-t0"), T0_MS.to_string());
    assert_eq!(header("access-control-allow-origin"), "*");
    assert!(header("access-control-expose-headers").contains("Lectern-T0"));
    assert!(header("etag").starts_with('"'));
    let location = header("location");

    let delete = |path: String| call(&engine, Request::delete(path).body(Body::empty()).unwrap());
    let elsewhere = location.replace("/demo/", "/other/");
    assert_eq!(delete(elsewhere).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(delete(location.clone()).await.status(), StatusCode::OK);
    // What was asked for is so, however often it is asked for.
    assert_eq!(delete(location.clone()).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(delete(location).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_refusal_is_counted_and_no_label_is_a_strangers() {
    let (engine, registry) = engine_with(|_| {});
    let request = |method: &str, path: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path);
        call(&engine, request.header("content-type", "application/sdp").body(body.into()).unwrap())
    };
    let refused = [
        ("POST", "/whep/demo", "v=0"),
        ("POST", "/whep/no..such", ""),
        ("POST", "/whep/%ff", ""),
        ("POST", "/whep/demo?rendition=%ff", ""),
        ("POST", "/whep/demo/deadbeef/layer", "{}"),
        ("PATCH", "/whep/demo/deadbeef", "a=x"),
        ("DELETE", "/whep/demo/deadbeef", ""),
        ("HACK", "/whep/demo", ""),
        ("HACK2", "/whep/demo/deadbeef", ""),
    ];
    for (count, (method, path, body)) in (1..).zip(refused) {
        let status = request(method, path, body).await.status();
        assert!(status.is_client_error(), "{method} {path}: {status}");
        let counted = value(&registry, "lectern_webrtc_requests_refused_total");
        assert_eq!(counted, f64::from(count), "{method} {path}");
    }
    assert!(request("OPTIONS", "/whep/demo", "").await.status().is_success());
    let families = registry.gather();
    let family = |name: &str| families.iter().find(|family| family.name() == name).unwrap();
    for metric in family("lectern_webrtc_requests_refused_total").get_metric() {
        for label in metric.get_label() {
            assert!(!label.value().contains("HACK"), "{label:?}");
        }
    }
    assert_eq!(value(&registry, "lectern_webrtc_requests_refused_total"), 9.0);
}

#[tokio::test]
async fn players_of_any_site_may_ask_what_is_possible() {
    let engine = engine();
    let session = "/whep/demo/0123456789abcdef0123456789abcdef";
    for (path, methods, accept) in [
        ("/whep/demo", "POST, OPTIONS", ["accept-post", "application/sdp"]),
        (session, "PATCH, DELETE, OPTIONS", ["accept-patch", "application/trickle-ice-sdpfrag"]),
    ] {
        let options = Request::options(path).body(Body::empty()).unwrap();
        let options = call(&engine, options).await;
        assert_eq!(options.status(), StatusCode::NO_CONTENT);
        let header = |name: &str| options.headers()[name].to_str().unwrap();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("access-control-allow-methods"), methods);
        assert_eq!(header("allow"), methods);
        let [name, kind] = accept;
        assert_eq!(header(name), kind);
        for wanted in ["Authorization", "Content-Type", "If-Match", "Prefer"] {
            assert!(header("access-control-allow-headers").contains(wanted), "{wanted}");
        }
        for wanted in ["Location", "ETag", "Link", "Retry-After", "Lectern-Reason"] {
            assert!(header("access-control-expose-headers").contains(wanted), "{wanted}");
        }

        let put = Request::put(path).body(Body::empty()).unwrap();
        let put = call(&engine, put).await;
        assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(put.headers()["lectern-reason"], "method");
        assert_eq!(put.headers()["access-control-allow-origin"], "*");
        let allow = put.headers()["allow"].to_str().unwrap();
        for method in methods.split(", ") {
            assert!(allow.contains(method), "{allow}");
        }
    }
}

#[tokio::test]
async fn players_are_told_of_the_ice_servers_of_the_operator() {
    let turn = whep::IceServer {
        urls: vec!["turn:turn.example.net".into(), "turns:turn.example.net".into()],
        username: Some("viewer".into()),
        credential: Some(whep::Credential("pass".into())),
    };
    let (engine, _) = engine_with(|config| config.ice_servers = vec![turn]);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let offer = viewer::offer(&viewer::certificate());
    let options = Request::options("/whep/demo").body(Body::empty()).unwrap();
    for response in
        [call(&engine, options).await, post(&engine, "/whep/demo", "application/sdp", offer).await]
    {
        let links = response.headers().get_all("link").into_iter();
        let links = links.map(|link| link.to_str().unwrap());
        let links: Vec<_> = links.filter(|link| link.contains("rel=\"ice-server\"")).collect();
        let expect = |scheme| {
            format!(
                "<{scheme}:turn.example.net>; rel=\"ice-server\"; username=\"viewer\"; \
                 credential=\"pass\"; credential-type=\"password\""
            )
        };
        assert_eq!(links, [expect("turn"), expect("turns")]);
    }
}

#[tokio::test]
async fn offers_that_cannot_be_served_are_told_why() {
    let (engine, registry) = engine_with(|config| config.sessions_max = 0);
    let offer = viewer::offer(&viewer::certificate());
    let check = async |id: &str, offer: &str, status: StatusCode, reason: &str| {
        let path = format!("/whep/{id}");
        let response = post(&engine, &path, "application/sdp", offer.to_owned()).await;
        assert_eq!(response.status(), status, "{id} {reason}");
        assert_eq!(response.headers()["lectern-reason"], reason);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        response
    };
    check("nobody", &offer, StatusCode::NOT_FOUND, "unknown").await;
    check("no.such.name", &offer, StatusCode::NOT_FOUND, "unknown").await;
    let early = engine.feed("early".parse().unwrap());
    let response = check("early", &offer, StatusCode::CONFLICT, "no-media").await;
    assert!(response.headers().contains_key("retry-after"));
    early.set_catalog(&catalog(0));
    check("early", &offer, StatusCode::CONFLICT, "no-media").await;

    let reordered = engine.feed("reordered".parse().unwrap());
    let mut with_b_frames = catalog(0);
    with_b_frames.video[0].reordered = true;
    reordered.set_catalog(&with_b_frames);
    check("reordered", &offer, StatusCode::NOT_ACCEPTABLE, "b-frames").await;

    let mut host = Host::new(&engine, "demo");
    host.push(1);
    check("demo", "", StatusCode::BAD_REQUEST, "malformed").await;
    check("demo", "v=0\r\nm=\u{0}\r\n", StatusCode::BAD_REQUEST, "malformed").await;
    let incomplete = offer.replace("a=fingerprint:", "a=x:");
    check("demo", &incomplete, StatusCode::UNPROCESSABLE_ENTITY, "incomplete").await;
    let two_ports = offer.replace("a=rtcp-mux\r\n", "");
    check("demo", &two_ports, StatusCode::UNPROCESSABLE_ENTITY, "no-rtcp-mux").await;
    let sends = offer.replace("recvonly", "sendonly");
    check("demo", &sends, StatusCode::NOT_ACCEPTABLE, "nothing").await;
    check("demo", &offer.replace("H264", "VP8"), StatusCode::NOT_ACCEPTABLE, "no-h264").await;
    let unbundled = offer.replace("a=group:BUNDLE 0 1\r\n", "");
    check("demo", &unbundled, StatusCode::UNPROCESSABLE_ENTITY, "no-bundle").await;
    let response = check("demo", &offer, StatusCode::SERVICE_UNAVAILABLE, "full").await;
    assert!(response.headers().contains_key("retry-after"));

    let wrong = post(&engine, "/whep/demo", "text/plain", offer).await;
    assert_eq!(wrong.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let huge = post(&engine, "/whep/demo", "application/sdp", "x".repeat(70_000)).await;
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(huge.headers()["lectern-reason"], "too-large");
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let engine = engine();
    let stalled = Body::from_stream(futures::stream::pending::<Result<&str, Infallible>>());
    let request = Request::post("/whep/demo").header("content-type", "application/sdp");
    let response = call(&engine, request.body(stalled).unwrap()).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(response.headers()["lectern-reason"], "slow");
}

pub(crate) async fn post(engine: &Engine, path: &str, kind: &str, body: String) -> Response<Body> {
    let request = Request::post(path).header("content-type", kind).body(Body::from(body)).unwrap();
    call(engine, request).await
}

pub(crate) async fn call(engine: &Engine, request: Request<Body>) -> Response<Body> {
    whep::routes(engine.clone()).oneshot(request).await.unwrap()
}
