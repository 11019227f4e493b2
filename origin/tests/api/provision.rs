//! The configuration file, read again while an origin runs.

use axum::http::StatusCode;
use lectern_origin::config::{BroadcastConfig, Secret};
use serde_json::json;

use crate::site::{Site, Who};

fn broadcast(id: &str, key: &str) -> BroadcastConfig {
    BroadcastConfig::new(id.parse().expect("an id"), Secret::new(key))
}

fn titled(id: &str, key: &str, title: &str) -> BroadcastConfig {
    let title = Some(title.to_owned().try_into().expect("a title"));
    BroadcastConfig { title, ..broadcast(id, key) }
}

pub(crate) async fn what_the_file_adds_begins_what_it_drops_ends_and_the_rest_goes_on(
    mut site: Site,
) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    let host = site.publish("file-key").await;
    let file = vec![titled("provisioned", "file-key", "Algebra"), broadcast("second", "key-2")];
    site.provision(file).await.expect("fits");
    let told = site.get(ada, "/broadcasts/provisioned").await.body;
    assert_eq!((&told["title"], &told["source"]), (&json!("Algebra"), &json!("config")));
    assert!(site.is_on_air("provisioned"), "who publishes to it goes on");
    assert!(site.opens("key-2").await);

    // Each has the other's key now, which ends whoever came with their own.
    let file = vec![broadcast("provisioned", "key-2"), broadcast("second", "file-key")];
    site.provision(file).await.expect("fits");
    assert!(!site.is_on_air("provisioned"));
    drop(host);
    let _other = site.publish("file-key").await;
    assert!(site.is_on_air("second"));

    site.provision(vec![broadcast("second", "file-key")]).await.expect("fits");
    assert!(site.is_on_air("second") && !site.opens("key-2").await);
    assert_eq!(site.get(ada, "/broadcasts/provisioned").await.status, StatusCode::NOT_FOUND);
    // And it may come again, once who published to it has gone.
    site.provision(vec![broadcast("provisioned", "key-2")]).await.expect("fits");
    assert!(site.opens("key-2").await && !site.opens("file-key").await);
}

pub(crate) async fn what_the_console_has_the_file_does_not_take(mut site: Site) {
    let ada = site.admin().await;
    let ada = Who::Cookie(&ada);
    site.post(ada, "/broadcasts", json!({"id": "a"})).await;
    let made = site.post(ada, "/broadcasts/a/keys", json!({})).await;
    let key = made.body["key"].as_str().expect("the key");
    let kept = || broadcast("provisioned", "file-key");
    for (other, expect) in [
        (broadcast("a", "key-2"), "a is a broadcast that was made in the console"),
        (broadcast("b", key), "the stream key of b opens a already"),
    ] {
        let why = site.provision(vec![kept(), other]).await.expect_err("refused");
        assert!(why.starts_with(expect) && !why.contains(key), "{why}");
        assert!(site.opens("file-key").await && !site.opens("key-2").await, "nothing is changed");
    }
}
