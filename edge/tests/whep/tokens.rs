//! A session lasts no longer than its viewer's right to watch.

use std::time::{Duration, Instant};

use lectern_relay_proto::Catalog;
use lectern_relay_proto::about::{About, Visibility};

use crate::host::{Host, catalog, engine_with, value};
use crate::viewer::Viewer;

#[test]
fn who_watches_does_so_until_the_token_expires_and_neighbours_go_on() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(5);
    let began = Instant::now();
    let until = began + Duration::from_millis(1_500);
    let mut leaves = Viewer::open_until(&engine, "demo", until).unwrap();
    let mut stays = Viewer::open(&engine, "demo").unwrap();
    for viewer in [&mut leaves, &mut stays] {
        viewer.connect();
        viewer.until("the start", |viewer| viewer.video().len() == 5);
    }
    assert!(!leaves.closed);
    leaves.until("close_notify", |viewer| viewer.closed);
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    host.push(1);
    stays.until("a live frame", |viewer| viewer.video().len() == 6);
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 1.0);
}

#[test]
fn a_broadcast_that_is_for_holders_of_a_token_from_now_on_lets_go_of_all_once() {
    let (engine, _registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(5);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    let about = About { visibility: Visibility::Token, ..About::default() };
    host.feed.set_catalog(&Catalog { about: about.clone(), ..catalog(0) });
    viewer.until("close_notify", |viewer| viewer.closed);
    let mut returned = Viewer::open(&engine, "demo").unwrap();
    returned.connect();
    host.feed.set_catalog(&Catalog { about, ..catalog(0) });
    host.push(1);
    returned.until("a live frame", |viewer| !viewer.video().is_empty());
    assert!(!returned.closed);
}
