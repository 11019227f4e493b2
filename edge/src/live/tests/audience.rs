//! What requests for media say of who watches.

use super::*;

const MANIFEST: &str = "/live/talk/manifest.mpd";
const PLAYLIST: &str = "/live/talk/video-main/index.m3u8";

impl Edge {
    /// What a player of this name asks for, once a second for so long.
    async fn watch(&self, secs: u64, asks: &[(&str, &[&str])]) {
        for _ in 0..secs {
            for (agent, paths) in asks {
                for path in *paths {
                    self.send(Method::GET, path, &[("user-agent", agent)]).await;
                }
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    fn watching(&self) -> [u32; 2] {
        self.audience.count([]);
        let counts = self.audience.counts(self.live.id());
        assert_eq!(counts.webrtc, 0);
        [counts.dash, counts.hls]
    }
}

#[tokio::test(start_paused = true)]
async fn players_of_others_are_counted_by_the_media_that_they_get() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    let (segment, part, later) = (video("0.m4s"), video("1.0.m4s"), video("99.m4s"));
    let dash: &[&str] = &[MANIFEST, &segment];
    let asks: &[(&str, &[&str])] = &[
        ("shaka", dash),
        ("dash.js", dash),
        ("vlc", &[PLAYLIST, &segment]),
        ("hls.js", &[PLAYLIST, &part]),
        // These get no media.
        ("a monitor", &[MANIFEST, PLAYLIST]),
        ("too early", &[MANIFEST, &later]),
        ("a stranger", &[&segment]),
    ];
    edge.watch(12, asks).await;
    assert_eq!(edge.watching(), [0, 0], "it takes a while to tell a viewer");
    edge.watch(1, asks).await;
    assert_eq!(edge.watching(), [2, 2]);
    edge.watch(14, &asks[1..3]).await;
    assert_eq!(edge.watching(), [1, 1], "who asks no more has gone");
    let head = edge.send(Method::HEAD, &segment, &[("user-agent", "vlc")]).await;
    assert_eq!(head.status, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(14)).await;
    assert_eq!(edge.watching(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_player_that_has_the_manifest_already_watches_all_the_same() {
    let edge = Edge::at(Script::new(&[2_000; 4]), 5_000);
    let etag = edge.get(MANIFEST).await.header("etag").to_owned();
    for _ in 0..13 {
        let headers = [("user-agent", "dash.js"), ("if-none-match", &*etag)];
        let manifest = edge.send(Method::GET, MANIFEST, &headers).await;
        assert_eq!(manifest.status, StatusCode::NOT_MODIFIED);
        let range = [("user-agent", "dash.js"), ("range", "bytes=0-3")];
        let segment = edge.send(Method::GET, &video("0.m4s"), &range).await;
        assert_eq!(segment.status, StatusCode::PARTIAL_CONTENT);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(edge.watching(), [1, 0]);
}
