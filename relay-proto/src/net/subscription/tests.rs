//! What a subscriber makes of groups that no publisher of ours would send.

use std::net::Ipv4Addr;

use moq_net::group::Info;
use prometheus::Registry;

use super::*;
use crate::net::{
    Announcement, Identity, Publisher, PublisherConfig, PublisherMetrics, Subscriber,
    SubscriberConfig, Trust,
};
use crate::{Frame, MediaTime, UtcTime};

#[test]
fn audio_goes_before_comments_and_comments_before_video() {
    let mut priorities: Vec<Priority> = (0..16).map(Priority::audio).collect();
    priorities.push(Priority::COMMENTS);
    priorities.extend((0..16).map(Priority::video));
    assert!(priorities.is_sorted_by(|a, b| a > b));
    assert!(Priority::CATALOG > priorities[0]);
}

#[test]
fn broadcasts_take_turns_and_renditions_stay_in_order() {
    let ids = (0..32).map(|n| format!("talk-{n}").parse().expect("valid"));
    let lots: Vec<u32> = ids.map(|id: BroadcastId| lot(&id)).collect();
    for group in 0..64 {
        for &lot in &lots {
            let videos: Vec<_> = (0..16).map(|n| Priority::video(n).turn(lot, group)).collect();
            assert!(videos.is_sorted_by(|a, b| a > b));
            assert!(videos.iter().all(|video| *video < Priority::COMMENTS && video.0 > 32));
            assert_eq!(Priority::audio(0).turn(lot, group), Priority::audio(0));
        }
    }
    // Of any two, each goes before the other at times.
    for (n, &one) in lots.iter().enumerate() {
        for &other in &lots[..n] {
            let of = |lot, group| Priority::video(0).turn(lot, group);
            let before = |a, b| (0..64).any(|group| of(a, group) > of(b, group));
            assert!(before(one, other) && before(other, one), "{one} and {other}");
        }
    }
}

fn chunk(seconds: u64) -> (moq_net::Timestamp, Bytes) {
    let frame = Frame {
        dts: MediaTime::new(seconds * 90_000, Timescale::VIDEO),
        composition_offset: 0,
        duration: 3_000,
        keyframe: true,
        data: Bytes::from_static(b"picture"),
        arrived: UtcTime::from_millis(1),
    };
    let time = moq_net::Timestamp::from_secs(seconds).expect("in range");
    (time, cmaf::write_chunk(1, &[frame]).expect("valid").bytes)
}

fn begin(track: &track::Producer, sequence: u64, seconds: u64) -> group::Producer {
    let mut group = track.create_group(Info { sequence }).expect("new");
    let (time, chunk) = chunk(seconds);
    group.write_frame(time, chunk).expect("written");
    group
}

/// A publisher whose groups need not be as ours are, and what a subscriber makes of them.
async fn raw_track() -> (Publisher, impl Sized, track::Producer, Subscriber, TrackSubscription) {
    let identity = Identity::self_signed().expect("made");
    let metrics = PublisherMetrics::register(&Registry::new()).expect("registered");
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let config = PublisherConfig::new(listen, identity.clone(), metrics);
    let publisher = Publisher::bind(config).expect("bound");
    let broadcast =
        publisher.origin().create_broadcast("live/raw/0.0000000000000001.0").expect("new");
    let info = track::Info::default().with_timescale(moq_net::Timescale::MILLI);
    let track = broadcast.create_track("video/main", info).expect("new");
    broadcast.announce(Default::default()).expect("announced");

    let config = SubscriberConfig {
        upstreams: vec![publisher.local_addr().expect("bound").to_string()],
        relay: None,
        identity: None,
        server_name: Some("localhost".into()),
        trust: Trust::Certificates(identity.certificate_pem().into()),
        token: None,
        metrics: SubscriberMetrics::register(&Registry::new()).expect("registered"),
    };
    let mut subscriber = Subscriber::start(config).expect("started");
    let Some(Announcement::Live(live)) = subscriber.next().await else { panic!("live") };
    let name = TrackName::new(TrackName::VIDEO_MAIN).expect("valid");
    let subscribed = live.track(&name, Timescale::VIDEO, Priority::video(0));
    let subscribed = subscribed.await.expect("subscribed");
    (publisher, broadcast, track, subscriber, subscribed)
}

async fn next(track: &mut TrackSubscription) -> TrackEvent {
    let next = tokio::time::timeout(Duration::from_secs(30), track.next());
    next.await.expect("in time").expect("not ended").expect("no error")
}

#[tokio::test]
async fn an_unfinished_group_is_left_once_newer_media_is_two_seconds_ahead() {
    let (_publisher, _broadcast, track, _subscriber, mut subscribed) = raw_track().await;
    let id = |index| GroupId { period: 1, index };
    let stuck = begin(&track, id(0).sequence(), 0);
    let TrackEvent::Chunk { group, .. } = next(&mut subscribed).await else { panic!("chunk") };
    assert_eq!(group, id(0));

    // One second ahead, the unfinished group is still worth waiting for.
    let mut newer = begin(&track, id(1).sequence(), 1);
    let (time, late) = chunk(0);
    let mut stuck = stuck;
    stuck.write_frame(time, late).expect("written");
    let TrackEvent::Chunk { group, index_in_group, .. } = next(&mut subscribed).await else {
        panic!("chunk");
    };
    assert_eq!((group, index_in_group), (id(0), 1));

    for seconds in 2..=4 {
        let (time, chunk) = chunk(seconds);
        newer.write_frame(time, chunk).expect("written");
    }
    let left = next(&mut subscribed).await;
    assert!(
        matches!(left, TrackEvent::GroupEnd(group) | TrackEvent::Skipped(group) if group == id(0)),
        "{left:?}"
    );
    for index in 0..4 {
        let TrackEvent::Chunk { group, index_in_group, .. } = next(&mut subscribed).await else {
            panic!("chunk");
        };
        assert_eq!((group, index_in_group), (id(1), index));
    }
}

#[tokio::test]
async fn a_group_of_no_period_is_ignored_and_counted() {
    let (_publisher, _broadcast, track, _subscriber, mut subscribed) = raw_track().await;
    let first = GroupId { period: 1, index: 0 };
    let _first = begin(&track, first.sequence(), 0).finish();
    assert!(matches!(next(&mut subscribed).await, TrackEvent::Chunk { .. }));
    assert!(matches!(next(&mut subscribed).await, TrackEvent::GroupEnd(id) if id == first));
    let strange = begin(&track, 1 << 60, 1);
    strange.finish().expect("finished");
    track.finish().expect("finished");
    let end = tokio::time::timeout(Duration::from_secs(30), subscribed.next());
    assert!(end.await.expect("in time").is_none());
    assert_eq!(subscribed.reader.metrics.groups_ignored.get(), 1);
}
