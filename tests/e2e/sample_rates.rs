//! Promise: the next encoder may sound another sample rate, and everything goes on.

use crate::stack::{AAC, H264, Stack, VIDEO};

#[tokio::test(flavor = "multi_thread")]
async fn each_take_is_served_in_its_own_sample_rate() {
    let stack = Stack::start().await;
    for (take, rate) in [44_100, 8_000, 48_000].into_iter().enumerate() {
        let audio = format!("-re -f lavfi -i sine=frequency=440:sample_rate={rate}");
        let mut encoder = stack.publish("a-key", &format!("{VIDEO} {audio} {H264} {AAC}"));
        let aac = format!(r#"<SegmentTemplate timescale="{rate}""#);
        stack
            .manifest_when("a", |manifest| {
                manifest.matches("<Period ").count() == take + 1 && manifest.contains(&aac)
            })
            .await;
        // All tracks have segments, and none is in another time.
        let status = stack.segments("a", 1).await;
        let last = |track: usize| status["tracks"][track]["last_segment"].as_u64().unwrap();
        assert!(last(0).abs_diff(last(2)) <= 1, "{status}");
        encoder.kill().await.unwrap();
    }
}
