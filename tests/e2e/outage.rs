//! Promise: what an edge could not hear while its way to the origin was gone, it has once it is back.

use serde_json::Value;

use crate::stack::{AAC, AUDIO, H264, Stack, VIDEO, representations};
use crate::way::Way;

/// The last segment of the track that has the fewest.
fn last(status: &Value) -> Option<u64> {
    let tracks = status["tracks"].as_array().filter(|tracks| tracks.len() == 3)?;
    let lasts: Option<Vec<u64>> =
        tracks.iter().map(|track| track["last_segment"].as_u64()).collect();
    lasts?.into_iter().min()
}

/// The last segment, once the broadcast is as wanted.
fn in_state(wanted: &'static str) -> impl Fn(&Value) -> Option<u64> {
    move |status| last(status).filter(|_| status["state"] == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_fetches_what_was_sent_while_its_connection_was_gone() {
    let near = Stack::start().await;
    let way = Way::to(near.relay).await;
    let far = near.another_edge_by(way.address).await;
    let _encoder = near.publish("a-key", &format!("{VIDEO} {AUDIO} {H264} {AAC}"));
    let status = far.segments("a", 1).await;
    let first = status["tracks"][0]["first_segment"].as_u64().unwrap();

    way.cut(true);
    let lost = far.status_when("a", "the loss is not noticed", in_state("away")).await;
    way.cut(false);
    far.status_when("a", "the edge is not back", in_state("live")).await;
    // The outage is as long as a segment, and one more is in progress at either end of it.
    let through = |status: &Value| last(status).filter(|last| *last >= lost + 3);
    let last = far.status_when("a", "the edge does not go on", through).await;

    let manifest = far.manifest("a").await;
    for locator in representations(&manifest) {
        let mut cut_short = 0;
        for number in first..last {
            let path = format!("/live/a/{locator}/{number}.m4s");
            let (near, far) = tokio::join!(near.get(&path), far.get(&path));
            assert_eq!((near.status().as_u16(), far.status().as_u16()), (200, 200), "{path}");
            // Only the one in progress when the connection went may have been given up meanwhile,
            // and then no cache keeps it.
            if !far.headers().contains_key("etag") {
                cut_short += 1;
                continue;
            }
            let (near, far) = tokio::join!(near.bytes(), far.bytes());
            assert!(near.unwrap() == far.unwrap(), "{path} differs");
        }
        assert!(cut_short <= 1, "{locator}: {cut_short} segments are damaged");
    }
}
