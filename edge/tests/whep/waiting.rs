//! `Prefer: wait`: a player is answered when there is something to see, and need not ask again.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures::future::join_all;
use lectern_edge::whep::Engine;

use crate::host::{Host, catalog, engine, engine_with};
use crate::http::{call, post};
use crate::viewer;

/// A request that the edge is asked to hold.
fn held(
    engine: &Engine,
    path: &str,
    seconds: u32,
    offer: String,
) -> impl Future<Output = Response<Body>> {
    let request = Request::post(path)
        .header("content-type", "application/sdp")
        .header("prefer", format!("wait={seconds}"))
        .body(Body::from(offer))
        .unwrap();
    let engine = engine.clone();
    async move { call(&engine, request).await }
}

fn offer() -> String {
    viewer::offer(&viewer::certificate())
}

#[tokio::test]
async fn the_answer_comes_with_the_first_picture() {
    let engine = engine();
    // Known, and without a catalog; then with one, and still without media.
    let early = engine.feed("demo".parse().unwrap());
    let mut waiting = Box::pin(held(&engine, "/whep/demo", 20, offer()));
    assert!(matches!(futures::poll!(&mut waiting), Poll::Pending));
    early.set_catalog(&catalog(0));
    assert!(matches!(futures::poll!(&mut waiting), Poll::Pending));
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let answer = tokio::time::timeout(viewer::PATIENCE, waiting).await.expect("woken");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["preference-applied"], "wait=20");
}

#[tokio::test]
async fn an_edge_that_has_not_heard_its_upstream_calls_nothing_unknown() {
    let engine = engine();
    engine.set_informed(false);
    let answer = held(&engine, "/whep/demo", 0, offer()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["lectern-reason"], "unheard");
    assert!(answer.headers().contains_key("retry-after"));
    let mut hopeful = Box::pin(held(&engine, "/whep/demo", 20, offer()));
    let mut hopeless = Box::pin(held(&engine, "/whep/other", 20, offer()));
    assert!(matches!(futures::poll!(&mut hopeful), Poll::Pending));
    assert!(matches!(futures::poll!(&mut hopeless), Poll::Pending));
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let answer = tokio::time::timeout(viewer::PATIENCE, hopeful).await.expect("woken");
    assert_eq!(answer.status(), StatusCode::CREATED);
    engine.set_informed(true);
    let answer = tokio::time::timeout(viewer::PATIENCE, hopeless).await.expect("woken");
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_in_vain_is_told_when_to_come_back_and_nobody_waits_for_long() {
    let engine = engine();
    let _early = engine.feed("demo".parse().unwrap());
    for (seconds, applied) in [(3, 3), (3_600, 30)] {
        let began = tokio::time::Instant::now();
        let answer = held(&engine, "/whep/demo", seconds, offer()).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        assert_eq!(answer.headers()["preference-applied"], format!("wait={applied}"));
        assert!(answer.headers().contains_key("retry-after"));
        let waited = began.elapsed();
        assert!(waited.as_secs_f64().round() as u64 == applied, "{waited:?} for {applied} s");
    }
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_not_waited_for() {
    let engine = engine();
    let mut answer = Box::pin(held(&engine, "/whep/nobody", 20, offer()));
    let Poll::Ready(answer) = futures::poll!(&mut answer) else { panic!("it waits") };
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert!(!answer.headers().contains_key("preference-applied"));
}

#[tokio::test]
async fn a_crowd_that_waited_is_let_in_at_the_pace_of_the_edge() {
    let (engine, _) = engine_with(|config| config.joins_per_sec_max = 20);
    let _early = engine.feed("demo".parse().unwrap());
    let mut crowd: Vec<_> =
        (0..25).map(|_| Box::pin(held(&engine, "/whep/demo", 20, offer()))).collect();
    for viewer in &mut crowd {
        assert!(matches!(futures::poll!(viewer), Poll::Pending));
    }
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut at_once = 0;
    let mut later = Vec::new();
    for mut viewer in crowd {
        match futures::poll!(&mut viewer) {
            Poll::Ready(answer) => at_once += usize::from(answer.status() == StatusCode::CREATED),
            Poll::Pending => later.push(viewer),
        }
    }
    // One client has three quarters of the pace, and a second's worth of it at once.
    assert!((15..25).contains(&at_once), "{at_once} at once");
    // The client's turns are taken for now: who would not wait is told to come back.
    let impatient = post(&engine, "/whep/demo", "application/sdp", offer()).await;
    assert_eq!(impatient.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(impatient.headers().contains_key("retry-after"));
    let answers = tokio::time::timeout(viewer::PATIENCE, join_all(later)).await.expect("turns");
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::CREATED));
}

#[tokio::test]
async fn those_who_wait_take_a_bounded_room() {
    let engine = engine();
    let _early = engine.feed("demo".parse().unwrap());
    let large = "x".repeat(60 * 1024);
    let mut waiting = Vec::new();
    let refused = loop {
        let mut viewer = Box::pin(held(&engine, "/whep/demo", 20, large.clone()));
        match futures::poll!(&mut viewer) {
            Poll::Pending => waiting.push(viewer),
            Poll::Ready(answer) => break answer,
        }
        assert!(waiting.len() < 1_000, "the room has no end");
    };
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert!(!refused.headers().contains_key("preference-applied"));
    // Whoever gives up makes room.
    waiting.pop();
    let mut next = Box::pin(held(&engine, "/whep/demo", 20, large));
    assert!(matches!(futures::poll!(&mut next), Poll::Pending));
}

#[tokio::test]
async fn an_edge_that_goes_away_lets_nobody_wait() {
    let engine = engine();
    let _early = engine.feed("demo".parse().unwrap());
    let mut waiting = Box::pin(held(&engine, "/whep/demo", 20, offer()));
    assert!(matches!(futures::poll!(&mut waiting), Poll::Pending));
    engine.drain();
    let answer = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("woken");
    // Those who waited and those who come are sent on alike.
    let late = held(&engine, "/whep/demo", 20, offer()).await;
    for answer in [answer, late] {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()["lectern-reason"], "draining");
        assert!(answer.headers().contains_key("retry-after"));
    }
}
