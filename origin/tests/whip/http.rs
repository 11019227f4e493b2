//! What HTTP answers: to publishers in words that help, to everybody else nothing of use.

use std::time::Duration;

use axum::http::StatusCode;

use crate::publisher::Publisher;
use crate::support::{Answer, Seen, Server, ask};

const SDP: (&str, &str) = ("content-type", "application/sdp");
const SDPFRAG: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");
const KEY: (&str, &str) = ("authorization", "Bearer lecture");

async fn post(server: &Server, headers: &[(&str, &str)], body: String) -> Answer {
    ask(&server.router, "POST", "/whip", headers, body).await
}

fn offer() -> String {
    Publisher::new().offer
}

#[tokio::test]
async fn an_offer_is_answered_as_rfc_9725_wants_it() {
    let mut server = Server::start(4);
    let answer = post(&server, &[SDP, KEY], offer()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/sdp");
    assert!(answer.header("location").starts_with("/whip/"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let exposed = answer.header("access-control-expose-headers");
    assert!(exposed.contains("Location") && exposed.contains("ETag"), "{exposed}");
    assert!(matches!(server.seen().await, Seen::Claimed));
    let port = format!(" {} typ host", server.media.port());
    for said in ["a=ice-lite", "a=setup:passive", "a=recvonly", "H264/90000", "opus/48000/2", &port]
    {
        assert!(answer.body.contains(said), "{said} is not in {}", answer.body);
    }
    // A publisher turns its pictures itself, since viewers could not be told how.
    assert!(!answer.body.contains("video-orientation") && !answer.body.contains("VP8"));
    // Of every kind that there is, one line.
    assert_eq!(answer.body.matches("\nm=").count(), 2);
}

#[tokio::test]
async fn pages_of_any_site_may_ask() {
    let server = Server::start(1);
    for (path, accept, methods) in
        [("/whip", "accept-post", "POST"), ("/whip/x", "accept-patch", "DELETE")]
    {
        let answer = ask(&server.router, "OPTIONS", path, &[], "").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert!(answer.header("access-control-allow-headers").contains("Authorization"));
        assert!(answer.header("access-control-allow-methods").contains(methods));
        assert!(answer.header(accept).starts_with("application/"));
        assert_eq!(answer.header("access-control-allow-credentials"), "", "no cookies");
    }
    let answer = ask(&server.router, "GET", "/whip", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.header("allow").contains("POST"));
}

#[tokio::test]
async fn who_has_no_key_is_told_so_before_anything_is_read() {
    let server = Server::start(1);
    for headers in [
        &[SDP][..],
        &[SDP, ("authorization", "Basic bGVjdHVyZQ==")],
        &[SDP, ("authorization", "Bearer ")],
    ] {
        let answer = post(&server, headers, "not read".into()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert!(answer.detail().contains("Authorization: Bearer"));
    }
    let wrong = ("authorization", "Bearer letcure");
    let answer = post(&server, &[SDP, wrong], offer()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.detail().contains("stream key is not known"));
    let answer = post(&server, &[SDP, ("authorization", "Bearer busy")], offer()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.header("retry-after").is_empty() && answer.detail().contains("draining"));
    assert!(server.stop().await.is_empty(), "nothing was claimed");
}

#[tokio::test]
async fn what_is_no_offer_claims_nothing() {
    let server = Server::start(1);
    let good = offer();
    let check = async |headers: &[(&str, &str)], body: String, status: StatusCode, says: &str| {
        let answer = post(&server, headers, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.detail().contains(says), "{says}: {answer:?}");
    };
    let json = ("content-type", "application/json");
    check(&[json, KEY], good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/sdp").await;
    check(&[KEY], good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/sdp").await;
    let huge = format!("{good}{}", "a=x:y\r\n".repeat(20_000));
    check(&[SDP, KEY], huge, StatusCode::PAYLOAD_TOO_LARGE, "64 KiB").await;
    check(&[SDP, KEY], "hello".into(), StatusCode::BAD_REQUEST, "not an SDP offer").await;
    check(&[SDP, KEY], String::new(), StatusCode::BAD_REQUEST, "ice-ufrag").await;
    check(&[SDP, KEY], "v=0\r\n".repeat(2), StatusCode::BAD_REQUEST, "ice-ufrag").await;
    let listening = good.replace("a=sendonly", "a=recvonly");
    check(&[SDP, KEY], listening, StatusCode::UNPROCESSABLE_ENTITY, "sendonly").await;
    let old = good.replace("H264/90000", "VP8/90000");
    check(&[SDP, KEY], old, StatusCode::NOT_ACCEPTABLE, "choose H.264").await;
    // Passes for an offer here, and not with the library.
    let odd = good.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 nonsense ");
    check(&[SDP, KEY], odd, StatusCode::UNPROCESSABLE_ENTITY, "cannot be answered").await;
    assert!(server.stop().await.is_empty(), "nothing was claimed");
}

#[tokio::test]
async fn places_are_few_and_free_again() {
    let mut server = Server::start(1);
    let first = post(&server, &[SDP, KEY], offer()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let second = post(&server, &[SDP, KEY], offer()).await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!second.header("retry-after").is_empty());
    assert!(matches!(server.seen().await, Seen::Claimed));
    let ended = ask(&server.router, "DELETE", first.header("location"), &[KEY], "").await;
    assert_eq!(ended.status, StatusCode::OK);
    assert!(server.ended().await, "as the publisher wanted");
    let freed = async {
        while post(&server, &[SDP, KEY], offer()).await.status != StatusCode::CREATED {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::DEADLINE, freed).await.expect("in time");
}

#[tokio::test]
async fn nobody_ends_what_is_not_theirs() {
    let mut server = Server::start(2);
    let published = post(&server, &[SDP, KEY], offer()).await;
    assert!(matches!(server.seen().await, Seen::Claimed));
    let session = published.header("location");
    let forged = format!("/whip/{}", "0".repeat(32));
    let other = ("authorization", "Bearer panics");
    for (path, headers, status) in [
        (session, &[][..], StatusCode::UNAUTHORIZED),
        (session, &[other], StatusCode::NOT_FOUND),
        (&forged, &[KEY], StatusCode::NOT_FOUND),
        ("/whip/..%2f..", &[KEY], StatusCode::NOT_FOUND),
    ] {
        let answer = ask(&server.router, "DELETE", path, headers, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.detail().is_empty());
    }
    assert_eq!(ask(&server.router, "DELETE", session, &[KEY], "").await.status, StatusCode::OK);
    let again = ask(&server.router, "DELETE", session, &[KEY], "").await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(server.ended().await);
}

#[tokio::test]
async fn candidates_are_welcome_and_a_restart_is_not() {
    let server = Server::start(1);
    let offer = offer();
    let ours = offer.lines().find(|line| line.starts_with("a=ice-ufrag:")).expect("an ufrag");
    let published = post(&server, &[SDP, KEY], offer.clone()).await;
    let (session, etag) = (published.header("location"), published.header("etag"));
    let candidates =
        format!("{ours}\r\na=ice-pwd:0123456789012345678901\r\na=end-of-candidates\r\n");
    let restart = candidates.replace(ours, "a=ice-ufrag:other");
    let (mine, any) = (("if-match", etag), ("if-match", "*"));
    for (headers, body, status) in [
        (&[SDPFRAG, KEY, mine][..], &candidates, StatusCode::NO_CONTENT),
        (&[SDPFRAG, KEY], &candidates, StatusCode::PRECONDITION_REQUIRED),
        (&[SDPFRAG, KEY, ("if-match", "\"x\"")], &candidates, StatusCode::PRECONDITION_FAILED),
        (&[SDPFRAG, KEY, mine], &restart, StatusCode::UNPROCESSABLE_ENTITY),
        (&[SDPFRAG, KEY, any], &restart, StatusCode::UNPROCESSABLE_ENTITY),
        (&[SDP, KEY, mine], &candidates, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[SDPFRAG, mine], &candidates, StatusCode::UNAUTHORIZED),
    ] {
        let answer = ask(&server.router, "PATCH", session, headers, body.clone()).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}
