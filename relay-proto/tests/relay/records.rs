//! Records in both directions: what edges ask, what they are answered, and comments for everybody.

use bytes::Bytes;
use lectern_relay_proto::net::{
    BroadcastPublisher, EdgeLink, Identity, OriginLink, Publisher, RECORD_BYTES_MAX, Subscriber,
    TrackPublisher,
};
use tokio::sync::mpsc;

use crate::harness::*;

const TOKEN: &str = "the-token";

/// An origin that listens, with a broadcast: edges turn to those whose broadcasts they hear of.
fn listening(identity: &Identity, port: u16) -> (Origin, mpsc::Receiver<EdgeLink>) {
    let (edges, arrivals) = mpsc::channel(8);
    let mut config = publisher_config(identity, port);
    config.token = Some(TOKEN.parse().unwrap());
    config.edges = Some(edges);
    let publisher = Publisher::bind(config).unwrap();
    let room = broadcast(&publisher, "room");
    (Origin { publisher, _room: room }, arrivals)
}

struct Origin {
    publisher: Publisher,
    _room: (BroadcastPublisher, TrackPublisher),
}

fn edge(identity: &Identity, publisher: &Publisher) -> (Subscriber, OriginLink) {
    let mut config = subscriber_config(identity, publisher.local_addr().unwrap());
    config.token = Some(TOKEN.parse().unwrap());
    let mut subscriber = Subscriber::start(config).unwrap();
    let link = subscriber.take_link().expect("there is a token");
    (subscriber, link)
}

/// Sends as soon as an origin is there.
async fn send(link: &OriginLink, request: &str) {
    let sender = link.sender();
    let sent = async {
        while !sender.send(&id("room"), Bytes::copy_from_slice(request.as_bytes())) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(sent).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_edge_asks_and_is_answered_for_itself() {
    let identity = Identity::self_signed().unwrap();
    let (origin, mut arrivals) = listening(&identity, 0);
    let mut edges = Vec::new();
    for name in ["a", "b", "c"] {
        let (subscriber, link) = edge(&identity, &origin.publisher);
        let arrived = within(arrivals.recv()).await.expect("runs");
        edges.push((name, subscriber, link, arrived));
    }
    // More than a group holds, so that what follows a full one is seen too.
    for (name, _, link, _) in &edges {
        for number in 0..700 {
            send(link, &format!("{name} asks {number}")).await;
        }
    }
    for (name, _, link, arrived) in &mut edges {
        for number in 0..700 {
            let request = within(arrived.requests.recv()).await.expect("connected");
            assert_eq!(request, format!("{name} asks {number}"));
            arrived.responses.write(format!("{name} is told {number}").into()).unwrap();
        }
        for number in 0..700 {
            let answer = within(link.next()).await.expect("connected");
            assert_eq!(answer, format!("{name} is told {number}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_outlives_the_origin() {
    let identity = Identity::self_signed().unwrap();
    let (origin, mut arrivals) = listening(&identity, 0);
    let (_subscriber, mut link) = edge(&identity, &origin.publisher);
    let first = within(arrivals.recv()).await.expect("runs");
    let port = origin.publisher.local_addr().unwrap().port();
    drop(first);
    within(origin.publisher.close()).await;

    let (_origin, mut arrivals) = listening(&identity, port);
    let mut again = within(arrivals.recv()).await.expect("runs");
    send(&link, "still here?").await;
    assert_eq!(within(again.requests.recv()).await.expect("connected"), "still here?");
    again.responses.write("yes".into()).unwrap();
    assert_eq!(within(link.next()).await.expect("connected"), "yes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_asks_without_a_token() {
    let (publisher, mut subscriber, identity) = pair();
    assert!(subscriber.take_link().is_none());
    drop(publisher);

    // An edge that has one, and an origin that does not look at it.
    let (edges, mut arrivals) = mpsc::channel(8);
    let mut config = publisher_config(&identity, 0);
    config.edges = Some(edges);
    let publisher = Publisher::bind(config).unwrap();
    let (mut subscriber, link) = edge(&identity, &publisher);
    let (_broadcast, _track) = broadcast(&publisher, "room");
    next_live(&mut subscriber).await;
    assert!(!link.sender().send(&id("room"), "anybody?".into()));
    assert!(arrivals.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comments_come_in_order_to_all() {
    let (publisher, mut subscriber, _) = pair();
    let (mut room, _track) = broadcast(&publisher, "room");
    let mut comments = room.comments().unwrap();
    comments.write("before anybody".into()).unwrap();
    let live = next_live(&mut subscriber).await;
    let mut heard = within(live.comments()).await.unwrap();
    assert_eq!(within(heard.next()).await, Some(Ok("before anybody".into())));
    for number in 0..600 {
        comments.write(format!("comment {number}").into()).unwrap();
    }
    for number in 0..600 {
        assert_eq!(within(heard.next()).await, Some(Ok(format!("comment {number}").into())));
    }
    // More bytes than a group may have, in records that are as long as they may be.
    let long = Bytes::from(vec![b'x'; RECORD_BYTES_MAX]);
    for _ in 0..64 {
        comments.write(long.clone()).unwrap();
        assert_eq!(within(heard.next()).await, Some(Ok(long.clone())));
    }
    drop((comments, room));
    assert!(within(heard.next()).await.is_none());
}
