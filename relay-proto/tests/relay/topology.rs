//! Several origins, and edges that other edges have for their upstream.

use lectern_relay_proto::Timescale;
use lectern_relay_proto::net::{
    Announcement, BroadcastPublisher, BroadcastSubscription, EdgeLink, Epoch, Error, Identity,
    Publisher, PublisherMetrics, RelayConfig, Status, Subscriber, SubscriberConfig, TrackPublisher,
};
use prometheus::Registry;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

use crate::harness::*;

const TOKEN: &str = "the-token";

fn origin(identity: &Identity) -> (Publisher, mpsc::Receiver<EdgeLink>) {
    let (edges, arrivals) = mpsc::channel(8);
    let mut config = publisher_config(identity, 0);
    config.token = Some(TOKEN.parse().unwrap());
    config.edges = Some(edges);
    (Publisher::bind(config).unwrap(), arrivals)
}

fn of(identity: &Identity, upstreams: &[SocketAddr]) -> SubscriberConfig {
    let mut config = subscriber_config(identity, upstreams[0]);
    config.upstreams = upstreams.iter().map(SocketAddr::to_string).collect();
    config.token = Some(TOKEN.parse().unwrap());
    config
}

/// An edge that others may subscribe to, at `port`.
fn relay(identity: &Identity, upstreams: &[SocketAddr], port: u16) -> (Subscriber, SocketAddr) {
    let mut config = of(identity, upstreams);
    config.relay = Some(RelayConfig {
        listen: loopback(port),
        identity: identity.clone(),
        token: Some(TOKEN.parse().unwrap()),
        client_ca: None,
        sessions_max: 8,
        keep: Duration::from_secs(60),
        keep_bytes_max: 1 << 24,
        metrics: PublisherMetrics::register(&Registry::new()).unwrap(),
    });
    let subscriber = Subscriber::start(config).unwrap();
    let address = subscriber.relay_addr().unwrap();
    (subscriber, address)
}

fn publish(
    publisher: &Publisher,
    name_of: &str,
    epoch: u64,
) -> (BroadcastPublisher, TrackPublisher) {
    let mut room = publisher.broadcast(&id(name_of), Epoch(epoch)).unwrap();
    let track = room.track(&name("video/main"), Timescale::VIDEO).unwrap();
    room.set_catalog(&catalog(1_000, &["video/main"], &[])).unwrap();
    (room, track)
}

/// The next publication that is followed.
async fn followed(subscriber: &mut Subscriber) -> BroadcastSubscription {
    loop {
        if let Announcement::Live(live) = within(subscriber.next()).await.expect("runs") {
            return live;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_follows_whichever_origin_was_given_the_broadcast_last() {
    let identity = Identity::self_signed().unwrap();
    let ((a, _), (b, _)) = (origin(&identity), origin(&identity));
    let addresses = [a.local_addr().unwrap(), b.local_addr().unwrap()];
    let mut subscriber = Subscriber::start(of(&identity, &addresses)).unwrap();

    let (_idle, (_only, _other)) = (publish(&b, "room", 0), publish(&b, "only-at-b", 0));
    let (room_a, mut track_a) = publish(&a, "room", 10);
    let mut heard = Vec::new();
    while !(heard.contains(&("room".to_owned(), 10)) && heard.iter().any(|of| of.0 == "only-at-b"))
    {
        let live = followed(&mut subscriber).await;
        heard.push((live.id().to_string(), live.epoch().0));
    }
    // The encoder goes to the other origin; the first does not know yet, and goes on.
    let (room_b, mut track_b) = publish(&b, "room", 20);
    let live = followed(&mut subscriber).await;
    assert_eq!((live.id().clone(), live.epoch()), (id("room"), Epoch(20)));
    let mut after = video(&live).await;
    write_group(&mut track_a, group(1, 0), 0, 2);
    write_group(&mut track_b, group(2, 0), 0, 2);
    expect_group(&mut after, group(2, 0), 2).await;
    // And when that origin is gone, whoever had it before is there at once.
    drop((room_b, track_b));
    within(b.close()).await;
    loop {
        let live = followed(&mut subscriber).await;
        if *live.id() == id("room") {
            assert_eq!(live.epoch(), Epoch(10));
            break;
        }
    }
    drop((room_a, track_a));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_and_questions_pass_through_relays() {
    let identity = Identity::self_signed().unwrap();
    let (publisher, mut arrivals) = origin(&identity);
    let (_room, mut track) = publish(&publisher, "room", 7);
    write_group(&mut track, group(1, 0), 0, 3);
    let (_first, near) = relay(&identity, &[publisher.local_addr().unwrap()], 0);
    let (_second, far) = relay(&identity, &[near], 0);
    let mut edge = Subscriber::start(of(&identity, &[far])).unwrap();
    let mut link = edge.take_link().unwrap();

    let live = next_live(&mut edge).await;
    assert_eq!(live.epoch(), Epoch(7));
    let mut read = video(&live).await;
    expect_group(&mut read, group(1, 0), 3).await;
    write_group(&mut track, group(1, 1), 2_000, 3);
    expect_group(&mut read, group(1, 1), 3).await;
    // What is over can be had through them too.
    write_group(&mut track, group(1, 2), 4_000, 3);
    let main = name("video/main");
    let fetched = live.fetch(&main, Timescale::VIDEO, group(1, 0));
    assert_eq!(within(fetched).await.unwrap().len(), 3);

    // Each of the three edges has a link of its own; the farthest one's is told by what it asks.
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(within(arrivals.recv()).await.unwrap());
    }
    let sender = link.sender();
    let asked = async {
        while !sender.send(&id("room"), "who is there?".into()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(asked).await;
    let (first, rest) = links.split_at_mut(1);
    let (second, third) = rest.split_at_mut(1);
    let [first, second, third] = [&mut first[0], &mut second[0], &mut third[0]];
    let (request, responses) = within(async {
        tokio::select! {
            request = first.requests.recv() => (request, &mut first.responses),
            request = second.requests.recv() => (request, &mut second.responses),
            request = third.requests.recv() => (request, &mut third.responses),
        }
    })
    .await;
    assert_eq!(request.unwrap(), "who is there?");
    responses.write("we are".into()).unwrap();
    assert_eq!(within(link.next()).await.unwrap(), "we are");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_ends_is_passed_by_without_a_word() {
    let identity = Identity::self_signed().unwrap();
    let (publisher, _arrivals) = origin(&identity);
    let at = publisher.local_addr().unwrap();
    let (_room, mut track) = publish(&publisher, "room", 7);
    write_group(&mut track, group(1, 0), 0, 1);
    let (left, left_at) = relay(&identity, &[at], 0);
    let (right, right_at) = relay(&identity, &[at], 0);
    let mut edge = Subscriber::start(of(&identity, &[left_at, right_at])).unwrap();
    let live = next_live(&mut edge).await;
    let mut status = edge.status();
    within(status.wait_for(|status| matches!(status, Status::Connected))).await.unwrap();
    let mut read = video(&live).await;
    expect_group(&mut read, group(1, 0), 1).await;
    // Whichever it reads by, one of the two ends, and then it is the other that it reads by.
    let mut relays = vec![left, right];
    for index in 1..20 {
        if index == 10 {
            drop(relays.pop());
        }
        write_group(&mut track, group(1, index), u64::from(index) * 1_000, 1);
        expect_group(&mut read, group(1, index), 1).await;
    }
    let said = tokio::time::timeout(Duration::from_millis(100), edge.next()).await;
    assert!(said.is_err(), "nobody has to know");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_in_a_ring_do_not_go_round() {
    let identity = Identity::self_signed().unwrap();
    let (publisher, _arrivals) = origin(&identity);
    let at = publisher.local_addr().unwrap();
    // The second is not there yet when the first begins to dial it.
    let reserved = std::net::UdpSocket::bind(loopback(0)).unwrap();
    let second_at = reserved.local_addr().unwrap();
    drop(reserved);
    let (mut first, first_at) = relay(&identity, &[at, second_at], 0);
    let (mut second, _) = relay(&identity, &[first_at], second_at.port());
    let (room, mut track) = publish(&publisher, "room", 7);
    for subscriber in [&mut first, &mut second] {
        let live = followed(subscriber).await;
        let mut read = video(&live).await;
        write_group(&mut track, group(1, 0), 0, 1);
        assert_eq!(next_chunk(&mut read).await.0, group(1, 0));
    }
    // What has gone does not live on between the two.
    drop((room, track));
    for subscriber in [&mut first, &mut second] {
        assert_eq!(next_gone(subscriber).await, id("room"));
    }
}

/// Whether it says that no origin is heard of.
fn is_without_origin(status: &Status) -> bool {
    matches!(status, Status::Disconnected(error) if matches!(**error, Error::NoOrigin))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_says_that_the_one_before_it_has_lost_its_origins() {
    let identity = Identity::self_signed().unwrap();
    let (publisher, _edges) = origin(&identity);
    let at = publisher.local_addr().unwrap();
    let (_between, between) = relay(&identity, &[at], 0);
    let leaf = Subscriber::start(of(&identity, &[between])).unwrap();
    let mut status = leaf.status();
    // Though nothing is published.
    within(status.wait_for(|status| matches!(status, Status::Connected))).await.unwrap();
    within(publisher.close()).await;
    within(status.wait_for(is_without_origin)).await.unwrap();
    let publisher = Publisher::bind(publisher_config(&identity, at.port())).unwrap();
    within(status.wait_for(|status| matches!(status, Status::Connected))).await.unwrap();
    drop(publisher);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_has_itself_for_its_upstream_says_that_no_origin_is_there() {
    let identity = Identity::self_signed().unwrap();
    let free = std::net::UdpSocket::bind(loopback(0)).unwrap().local_addr().unwrap();
    let (edge, at) = relay(&identity, &[free], free.port());
    assert_eq!(at, free);
    within(edge.status().wait_for(is_without_origin)).await.unwrap();
}
