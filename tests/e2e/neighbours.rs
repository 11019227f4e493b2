//! Promise: one broadcast's trouble never reaches another.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stack::{AAC, AUDIO, DEADLINE, H264, Stack, VIDEO};

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_plays_on_while_others_are_attacked() {
    let stack = Stack::start().await;
    let _encoder = stack.publish("a-key", &format!("{VIDEO} {AUDIO} {H264} {AAC}"));
    stack.segments("a", 1).await;

    // A key that nobody has.
    let mut refused = stack.publish("wrong", &format!("{VIDEO} {H264}"));
    let status = tokio::time::timeout(DEADLINE, refused.wait()).await.expect("refused").unwrap();
    assert!(!status.success());
    let mut reason = String::new();
    refused.stderr.take().unwrap().read_to_string(&mut reason).await.unwrap();
    assert!(!reason.is_empty());

    // Encoders that change their minds, and vanish in the middle.
    for encode in ["-c:v libx264 -preset ultrafast -g 1", "-c:v libx264 -preset ultrafast -bf 3"] {
        let mut other = stack.publish("b-key", &format!("{VIDEO} {encode} -pix_fmt yuv420p"));
        let other_live = |status: &serde_json::Value| (status["state"] == "live").then_some(());
        stack.status_when("b", "b is not live", other_live).await;
        other.kill().await.unwrap();
    }

    // Strangers who send anything but RTMP.
    for garbage in [&[0u8; 4096][..], &[0xff; 4096], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stranger = TcpStream::connect(stack.rtmp).await.unwrap();
        stranger.write_all(garbage).await.unwrap();
        let _ = stranger.shutdown().await;
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(DEADLINE, stranger.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "the connection is closed");
    }

    let edge = |status: &serde_json::Value| status["edge_ms"].as_u64();
    let before = stack.status_when("a", "a is not live", edge).await;
    let later = Duration::from_secs(3).as_millis() as u64;
    let moved_on = |status: &serde_json::Value| edge(status).filter(|now| *now >= before + later);
    stack.status_when("a", "a stands still", moved_on).await;
    let manifest = stack.manifest("a").await;
    assert_eq!(manifest.matches("<Period ").count(), 1, "and nothing happened to it:\n{manifest}");
}
