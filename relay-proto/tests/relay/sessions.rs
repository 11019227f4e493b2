//! Who may connect, what becomes of connections, and what is said of broadcasts that come and go.

use lectern_relay_proto::Timescale;
use lectern_relay_proto::net::{
    Announcement, BroadcastSubscription, Epoch, Error, Identity, Publisher, PublisherMetrics,
    Status, Subscriber,
};
use prometheus::Registry;
use rand::RngCore as _;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_publisher_is_found_again() {
    let (publisher, mut subscriber, identity) = pair();
    let (room, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    let mut before = video(&live).await;
    write_group(&mut track, group(5, 0), 0, 2);
    expect_group(&mut before, group(5, 0), 2).await;

    let port = publisher.local_addr().unwrap().port();
    let mut status = subscriber.status();
    within(publisher.close()).await;
    drop((room, track));
    assert_eq!(next_gone(&mut subscriber).await, id("room"));
    while within(before.next()).await.is_some_and(|event| event.is_ok()) {}
    within(status.wait_for(|status| matches!(status, Status::Disconnected(_)))).await.unwrap();

    // The new one starts over at an earlier group, and that is what is heard.
    // Closed means that the port is free.
    let publisher = Publisher::bind(publisher_config(&identity, port)).unwrap();
    let (_room, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    within(status.wait_for(|status| matches!(status, Status::Connected))).await.unwrap();
    let mut after = video(&live).await;
    write_group(&mut track, group(1, 0), 0, 2);
    expect_group(&mut after, group(1, 0), 2).await;
}

/// The next that is live, whether or not the one before is said to be gone first: the next may have begun
/// before that is heard.
async fn next_renewed(subscriber: &mut Subscriber) -> BroadcastSubscription {
    loop {
        match within(subscriber.next()).await.expect("runs") {
            Announcement::Live(broadcast) => return broadcast,
            Announcement::Gone(gone) => assert_eq!(gone, id("room")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_begins_again_is_a_new_one() {
    let (publisher, mut subscriber, _) = pair();
    for round in 0..20 {
        let (room, mut track) = broadcast(&publisher, "room");
        write_group(&mut track, group(50 - round, 0), 0, 2);
        let live = next_renewed(&mut subscriber).await;
        let mut video = video(&live).await;
        expect_group(&mut video, group(50 - round, 0), 2).await;
        // The next one begins at once, so that the retraction may never be seen on its own.
        drop((room, track));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_publication_is_followed() {
    let (publisher, mut subscriber, _) = pair();
    let publish = |epoch, period| {
        let mut room = publisher.broadcast(&id("room"), Epoch(epoch)).unwrap();
        let mut track = room.track(&name("video/main"), Timescale::VIDEO).unwrap();
        room.set_catalog(&catalog(1_000, &["video/main"], &[])).unwrap();
        write_group(&mut track, group(period, 0), 0, 2);
        (room, track)
    };
    let read = async |live: &BroadcastSubscription, period| {
        expect_group(&mut video(live).await, group(period, 0), 2).await;
    };
    let idle = publish(0, 1);
    let live = next_live(&mut subscriber).await;
    assert_eq!(live.epoch(), Epoch::IDLE);
    read(&live, 1).await;
    let second = publish(20, 2);
    let live = next_live(&mut subscriber).await;
    assert_eq!(live.epoch(), Epoch(20));
    read(&live, 2).await;
    // One that is older is announced, and nobody turns to it before it is the newest there is.
    let first = publish(10, 3);
    let third = publish(30, 4);
    let live = next_live(&mut subscriber).await;
    assert_eq!(live.epoch(), Epoch(30));
    read(&live, 4).await;
    drop(third);
    let live = next_live(&mut subscriber).await;
    assert_eq!(live.epoch(), Epoch(20));
    read(&live, 2).await;
    drop(second);
    let live = next_live(&mut subscriber).await;
    assert_eq!(live.epoch(), Epoch(10));
    read(&live, 3).await;
    drop(first);
    let live = next_live(&mut subscriber).await;
    read(&live, 1).await;
    drop(idle);
    assert_eq!(next_gone(&mut subscriber).await, id("room"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_token_opens_the_relay() {
    let identity = Identity::self_signed().unwrap();
    let registry = Registry::new();
    let mut config = publisher_config(&identity, 0);
    config.metrics = PublisherMetrics::register(&registry).unwrap();
    config.token = Some("the-right-one".parse().unwrap());
    let publisher = Publisher::bind(config).unwrap();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    write_group(&mut track, group(1, 0), 0, 2);

    let with = |token: Option<&str>| {
        let mut config = subscriber_config(&identity, publisher.local_addr().unwrap());
        config.token = token.map(|token| token.parse().unwrap());
        Subscriber::start(config).unwrap()
    };
    for token in [None, Some("the-wrong-one"), Some("the-right-on"), Some("the-right-one.")] {
        let mut subscriber = with(token);
        let mut status = subscriber.status();
        let refused = |status: &Status| match status {
            Status::Connecting => false,
            Status::Connected => panic!("accepted {token:?}"),
            Status::Disconnected(error) => {
                assert!(matches!(**error, Error::Refused), "{error}");
                true
            }
        };
        tokio::select! {
            () = async { within(status.wait_for(refused)).await.unwrap(); } => {}
            _ = subscriber.next() => panic!("{token:?} hears what is live"),
        }
    }
    let refused = registry.gather().iter().any(|family| {
        family.name() == "lectern_relay_refused_total"
            && family.get_metric()[0].get_counter().get_value() >= 4.0
    });
    assert!(refused, "refusals are counted");

    let mut subscriber = with(Some("the-right-one"));
    let live = next_live(&mut subscriber).await;
    expect_group(&mut video(&live).await, group(1, 0), 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untrusted_origin_is_not_believed() {
    let (publisher, _, _) = pair();
    let other = Identity::self_signed().unwrap();
    let config = subscriber_config(&other, publisher.local_addr().unwrap());
    let subscriber = Subscriber::start(config).unwrap();
    let mut status = subscriber.status();
    let untrusted = |status: &Status| match status {
        Status::Disconnected(error) => {
            assert!(matches!(**error, Error::Untrusted(_)), "{error}");
            assert!(error.to_string().contains("upstream_ca"), "{error}");
            true
        }
        _ => false,
    };
    within(status.wait_for(untrusted)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_bounded() {
    let identity = Identity::self_signed().unwrap();
    let mut config = publisher_config(&identity, 0);
    config.sessions_max = 2;
    let publisher = Publisher::bind(config).unwrap();
    let _broadcast = broadcast(&publisher, "room");
    let start = || {
        let config = subscriber_config(&identity, publisher.local_addr().unwrap());
        Subscriber::start(config).unwrap()
    };
    let mut first = start();
    next_live(&mut first).await;
    let mut second = start();
    next_live(&mut second).await;

    let mut third = start();
    let mut status = third.status();
    let ended = |status: &Status| matches!(status, Status::Disconnected(_));
    within(status.wait_for(ended)).await.unwrap();
    drop(first);
    next_live(&mut third).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_disturbs_nobody() {
    let (publisher, mut subscriber, _) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    let mut video = video(&live).await;
    let target = publisher.local_addr().unwrap();
    let flood = tokio::task::spawn_blocking(move || {
        let socket = std::net::UdpSocket::bind(loopback(0)).unwrap();
        let mut rng = rand::rng();
        let mut datagram = [0; 1_200];
        for round in 0..20_000 {
            rng.fill_bytes(&mut datagram);
            // One in two claims to be the first packet of a QUIC connection.
            if round % 2 == 0 {
                datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            }
            let len = if round % 4 < 3 { datagram.len() } else { round % 64 };
            // A full socket buffer is part of the exercise.
            let _ = socket.send_to(&datagram[..len], target);
        }
    });
    let mut index = 0;
    while !flood.is_finished() || index < 10 {
        write_group(&mut track, group(1, index), 1_000 * u64::from(index), 3);
        expect_group(&mut video, group(1, index), 3).await;
        index += 1;
    }
    flood.await.unwrap();
}
