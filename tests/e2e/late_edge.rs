//! Promise: an edge that starts late serves what was before it, the same bytes as one that was there.

use serde_json::Value;

use crate::stack::{AAC, H264, Stack, representations};

/// An encoder in a hurry. The origin lets go of one that is ten seconds ahead of the clock.
const VIDEO: &str = "-readrate 1.3 -f lavfi -i testsrc2=size=320x180:rate=25";
const AUDIO: &str = "-readrate 1.3 -f lavfi -i sine=frequency=440:sample_rate=44100";
/// Segments of two seconds that are over when the second edge starts.
const SEGMENTS: u64 = 11;

/// First and last segment of each track.
fn held(status: &Value) -> Option<Vec<(u64, u64)>> {
    let tracks = status["tracks"].as_array().filter(|tracks| tracks.len() == 3)?;
    let held =
        |track: &Value| Some((track["first_segment"].as_u64()?, track["last_segment"].as_u64()?));
    tracks.iter().map(held).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_starts_late_serves_what_was_before_it() {
    let early = Stack::start().await;
    let source = format!("{VIDEO} {AUDIO} {H264} {AAC}");
    let _encoder = early.publish("a-key", &source);
    early.segments("a", SEGMENTS).await;

    let late = early.another_edge().await;
    let first: Vec<u64> = {
        let status = early.status_when("a", "a is not live", held).await;
        status.into_iter().map(|(first, _)| first).collect()
    };
    let has_all = |status: &Value| {
        let held = held(status)?;
        let all = held
            .iter()
            .zip(&first)
            .all(|((from, to), first)| from == first && *to >= first + SEGMENTS);
        all.then_some(held)
    };
    let held = late.status_when("a", "the late edge does not have it all", has_all).await;

    let manifest = late.manifest("a").await;
    let locators = representations(&manifest);
    assert_eq!(locators.len(), held.len());
    for (locator, (first, last)) in locators.iter().zip(held) {
        // The last one is in progress, and is read to its end from both.
        for number in first..=last {
            let path = format!("/live/a/{locator}/{number}.m4s");
            let (early, late) = tokio::join!(early.get(&path), late.get(&path));
            assert_eq!((early.status().as_u16(), late.status().as_u16()), (200, 200), "{path}");
            assert_eq!(early.headers()["etag"], late.headers()["etag"]);
            let (early, late) = tokio::join!(early.bytes(), late.bytes());
            assert!(early.unwrap() == late.unwrap(), "{path} differs");
        }
    }
}
