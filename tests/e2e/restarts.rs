//! Promise: encoder and origin may come and go; the timeline goes on, as one more period.

use serde_json::Value;

use crate::stack::{AAC, AUDIO, H264, Stack, VIDEO};

fn period_count(manifest: &str) -> usize {
    manifest.matches("<Period ").count()
}

fn start_time(manifest: &str) -> &str {
    let rest = manifest.split("availabilityStartTime=\"").nth(1).unwrap();
    rest.split('"').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_survives_the_encoder_and_the_origin() {
    let mut stack = Stack::start().await;
    let live = |status: &Value| (status["state"] == "live").then_some(());
    let away = |status: &Value| (status["state"] == "away").then_some(());
    let source = format!("{VIDEO} {AUDIO} {H264} {AAC}");

    let mut encoder = stack.publish("a-key", &source);
    stack.segments("a", 1).await;
    let first = stack.manifest("a").await;
    assert_eq!(period_count(&first), 1);

    // Killed: no goodbye.
    encoder.kill().await.unwrap();
    stack.status_when("a", "the loss of the encoder is not noticed", away).await;
    let encoder = stack.publish("a-key", &source);
    stack.status_when("a", "the encoder is not back", live).await;
    stack.segments("a", 1).await;
    let second = stack.manifest("a").await;
    assert_eq!((period_count(&second), start_time(&second)), (2, start_time(&first)));

    stack.restart_origin().await;
    drop(encoder);
    stack.status_when("a", "the loss of the origin is not noticed", away).await;
    let _encoder = stack.publish("a-key", &source);
    stack.status_when("a", "the origin is not back", live).await;
    stack.segments("a", 1).await;
    let third = stack.manifest("a").await;
    assert_eq!((period_count(&third), start_time(&third)), (3, start_time(&first)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_publisher_wins() {
    let stack = Stack::start().await;
    let source = format!("{VIDEO} {H264}");
    let mut older = stack.publish("a-key", &source);
    stack.segments("a", 1).await;
    let _newer = stack.publish("a-key", &source);
    let ended = tokio::time::timeout(crate::stack::DEADLINE, older.wait()).await;
    assert!(!ended.expect("the older one is told").unwrap().success());
    stack.manifest_when("a", |manifest| period_count(manifest) == 2).await;
}
