//! Who creates demand, and for how long.

use lectern_relay_proto::about::Visibility;
use serde_json::json;

use super::*;

const SUBSCRIBED: &str = "lectern_edge_broadcasts_subscribed";

impl Edge {
    fn subscribed(&self) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == SUBSCRIBED);
        family.map_or(0.0, |family| family.get_metric()[0].get_gauge().get_value())
    }

    fn announce(&self, id: &str) {
        self.demand.announced(&id.parse().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_creates_no_demand_and_who_may_watch_does_on_every_route() {
    for (index, (method, path)) in routes_of("talk").into_iter().enumerate() {
        let edge = Edge::new(false);
        edge.announce("talk");
        let refused = edge.send(method, &path, &[]).await;
        assert_eq!(
            (refused.status(), edge.subscribed()),
            (StatusCode::UNAUTHORIZED, 0.0),
            "{path}"
        );
        let bearer = format!("Bearer {}", edge.token(json!({})));
        edge.send(method, &path, &[(AUTHORIZATION.as_str(), &bearer)]).await;
        // How it stands, and what viewers report.
        let about = path == "/live/talk" || path.ends_with("/experience");
        assert_eq!(edge.subscribed(), f64::from(u8::from(!about)), "{index} {method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_broadcast_more_than_may_be_is_refused_with_words_and_a_time() {
    let edge = Edge::new(false);
    edge.announce("open");
    for id in ["a", "b"] {
        edge.announce(id);
        edge.describe(id, Visibility::Public);
    }
    let watching = ["a", "b"].map(|id| edge.demand.interest(&id.parse().unwrap()).watching());
    for each in &watching {
        each.begin().await.unwrap();
    }
    let refused = edge.get("/live/open/manifest.mpd", &[]).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&refused, "lectern-reason"), "full");
    assert_eq!(header(&refused, "cache-control"), "no-store");
    assert!(header(&refused, "retry-after").parse::<u32>().unwrap() >= 5);
    // Whoever asks for what is there is answered.
    assert_eq!(edge.get("/live/a/manifest.mpd", &[]).await.status(), StatusCode::OK);
    assert_eq!(edge.get("/live/open", &[]).await.status(), StatusCode::OK);
    drop(watching);
    assert_eq!(edge.get("/live/open/manifest.mpd", &[]).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_asked_before_it_was_known_for_whom_it_is_is_the_first_who_wants_it() {
    let edge = Edge::new(false);
    edge.directory.set_informed(false);
    let asking = edge.get("/live/later/manifest.mpd", &[]);
    let unasked = edge.get("/live/secret/manifest.mpd", &[]);
    let (asking, unasked) = (std::pin::pin!(asking), std::pin::pin!(unasked));
    let telling = async {
        // As upstream does when it hears of one: first it is announced, and then described.
        for (id, visibility) in [("later", Visibility::Public), ("secret", Visibility::Token)] {
            edge.announce(id);
            edge.directory.open(id.parse().unwrap()).unwrap();
            tokio::task::yield_now().await;
            assert_eq!(edge.subscribed(), f64::from(u8::from(id == "secret")), "{id}");
            edge.describe(id, visibility);
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let (asked, refused, ()) = tokio::join!(asking, unasked, telling);
    // No media comes here.
    assert_eq!(asked.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(edge.subscribed(), 1.0);
}
