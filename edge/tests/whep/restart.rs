//! ICE restarts and trickled candidates by PATCH, RFC 9725 §4.3.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use lectern_edge::whep::Engine;

use crate::host::{Host, engine, engine_with, value};
use crate::http::call;
use crate::link::Link;
use crate::viewer::Viewer;

const TYPE: &str = "application/trickle-ice-sdpfrag";
const CANDIDATES: &str = "m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\na=end-of-candidates\r\n";

fn restart(ufrag: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:againagainagainagainagain\r\n{CANDIDATES}")
}

async fn patch(
    engine: &Engine,
    session: &str,
    tag: Option<&str>,
    kind: &str,
    body: &str,
) -> Response<Body> {
    let mut request = Request::patch(format!("/whep/demo/{session}")).header("content-type", kind);
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    call(engine, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn text(response: Response<Body>) -> String {
    let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap();
    String::from_utf8(body.into()).unwrap()
}

#[tokio::test]
async fn a_viewer_moves_to_another_network_and_keeps_its_session() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 1);
    let session = viewer.answer.session.as_str().to_owned();
    let first_tag = viewer.answer.etag.clone();

    let answer = patch(&engine, &session, Some("*"), TYPE, &restart("again")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], TYPE);
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert_ne!(tag, first_tag);
    let fragment = text(answer).await;
    let line = |start: &str| {
        let mut lines = fragment.lines();
        lines.find_map(|line| line.strip_prefix(start)).expect("in the fragment").to_owned()
    };
    let (ufrag, password) = (line("a=ice-ufrag:"), line("a=ice-pwd:"));
    assert_ne!(ufrag, viewer.line("a=ice-ufrag:"));
    assert_eq!(line("a=candidate:1 1 udp "), viewer.line("a=candidate:1 1 udp "));

    // Until the new credentials are used, the old ones are good.
    viewer.pass_ice();
    // From another address, under the new ones.
    viewer.link = Link::udp(viewer.server);
    let before = viewer.checks_answered;
    viewer.send(&viewer.check_as(&format!("{ufrag}:again"), &password));
    viewer.until("the new check", |viewer| viewer.checks_answered == before + 1);
    // The media follows, under the same keys and in the same sequence.
    host.push(5);
    viewer.until("live frames", |viewer| viewer.video().len() == 6);
    assert!(viewer.sequences.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));

    // And the old ones are void: nobody is known by that name any more.
    let strangers = value(&registry, "lectern_webrtc_bad_datagrams_total");
    let (old, old_password) = (viewer.line("a=ice-ufrag:"), viewer.line("a=ice-pwd:"));
    viewer.send(&viewer.check(&old, &old_password));
    viewer.until("the old check to be turned away", |_| {
        value(&registry, "lectern_webrtc_bad_datagrams_total") == strangers + 1.0
    });
    assert_eq!(viewer.checks_answered, before + 1);

    let late = patch(&engine, &session, Some(&first_tag), TYPE, CANDIDATES).await;
    assert_eq!(late.status(), StatusCode::PRECONDITION_FAILED);
    let trickle = patch(&engine, &session, Some(&tag), TYPE, CANDIDATES).await;
    assert_eq!(trickle.status(), StatusCode::NO_CONTENT);
    assert_eq!(value(&registry, "lectern_webrtc_sessions_opened_total"), 1.0);
}

#[tokio::test]
async fn the_newest_of_several_restarts_counts() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    let session = viewer.answer.session.as_str().to_owned();
    let mut fragments = Vec::new();
    for round in 0..100 {
        let body = restart(&format!("round{round}"));
        let answer = patch(&engine, &session, Some("*"), TYPE, &body).await;
        fragments.push(text(answer).await);
    }
    let line = |fragment: &str, start: &str| {
        fragment.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned()
    };
    let username = |round: usize| {
        let ufrag = line(&fragments[round], "a=ice-ufrag:");
        (format!("{ufrag}:round{round}"), line(&fragments[round], "a=ice-pwd:"))
    };
    let before = viewer.checks_answered;
    for round in [0, 50, 98, 99] {
        let (username, password) = username(round);
        viewer.send(&viewer.check_as(&username, &password));
    }
    viewer.until("the newest", |viewer| viewer.checks_answered > before);
    // Loopback and the worker keep the order, so those before it have been looked at.
    assert_eq!(viewer.checks_answered, before + 1);
}

#[tokio::test]
async fn what_is_asked_of_a_session_must_fit_it() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let viewer = Viewer::open(&engine, "demo").unwrap();
    let (session, tag) = (viewer.answer.session.as_str(), &*viewer.answer.etag);
    let check = async |tag: Option<&str>, kind: &str, body: &str, expect: (u16, &str)| {
        let answer = patch(&engine, session, tag, kind, body).await;
        let reason = answer.headers().get("lectern-reason").map_or("", |r| r.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), reason), expect, "{tag:?} {body:?}");
    };
    check(Some(tag), TYPE, CANDIDATES, (204, "")).await;
    check(Some(&format!("\"other\", {tag}")), TYPE, CANDIDATES, (204, "")).await;
    check(Some(tag), TYPE, "a=ice-ufrag:view\r\na=ice-pwd:viewerviewerviewerviewer\r\n", (204, ""))
        .await;
    check(None, TYPE, CANDIDATES, (428, "if-match")).await;
    check(Some("\"other\""), TYPE, CANDIDATES, (412, "if-match")).await;
    check(Some(&format!("W/{tag}")), TYPE, CANDIDATES, (412, "if-match")).await;
    check(Some(tag), TYPE, &restart("again"), (422, "ice-restart")).await;
    check(Some("*"), TYPE, CANDIDATES, (422, "ice-restart")).await;
    check(Some("*"), TYPE, "a=ice-ufrag:again\r\n", (400, "malformed")).await;
    check(Some(tag), TYPE, "hello", (400, "malformed")).await;
    check(Some(tag), "application/sdp", CANDIDATES, (415, "type")).await;
    check(Some(tag), TYPE, &"a=x\r\n".repeat(20_000), (413, "too-large")).await;
    // None of it has changed anything.
    check(Some(tag), TYPE, CANDIDATES, (204, "")).await;
    assert!(engine.close(&"demo".parse().unwrap(), &viewer.answer.session));
    check(Some(tag), TYPE, CANDIDATES, (404, "unknown")).await;
    check(Some("*"), TYPE, &restart("again"), (404, "unknown")).await;
}
