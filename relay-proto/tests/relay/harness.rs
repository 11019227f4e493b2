//! What the tests of the relay share: a publisher and a subscriber on loopback, chunks to send, and
//! waits with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::net::{
    Announcement, BroadcastPublisher, BroadcastSubscription, Epoch, Identity, Priority, Publisher,
    PublisherConfig, PublisherMetrics, Subscriber, SubscriberConfig, SubscriberMetrics, TrackEvent,
    TrackPublisher, TrackSubscription, Trust,
};
use lectern_relay_proto::{
    About, AudioTrack, BroadcastId, Catalog, Frame, GroupId, MediaTime, Period, PublisherState,
    SegmentGrid, Timescale, TrackName, UtcTime, VideoTrack, cmaf,
};
use prometheus::Registry;

/// No wait in here is longer than this; none is that long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(30);

#[track_caller]
pub(crate) fn within<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let done = tokio::time::timeout(DEADLINE, future).await;
        done.unwrap_or_else(|_| panic!("not in time: {caller}"))
    }
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn publisher_config(identity: &Identity, port: u16) -> PublisherConfig {
    let metrics = PublisherMetrics::register(&Registry::new()).unwrap();
    PublisherConfig::new(loopback(port), identity.clone(), metrics)
}

pub(crate) fn subscriber_config(identity: &Identity, address: SocketAddr) -> SubscriberConfig {
    SubscriberConfig {
        upstreams: vec![address.to_string()],
        relay: None,
        identity: None,
        server_name: Some("localhost".into()),
        trust: Trust::Certificates(identity.certificate_pem().into()),
        token: None,
        metrics: SubscriberMetrics::register(&Registry::new()).unwrap(),
    }
}

/// A publisher and one subscriber of it.
pub(crate) fn pair() -> (Publisher, Subscriber, Identity) {
    let identity = Identity::self_signed().unwrap();
    let publisher = Publisher::bind(publisher_config(&identity, 0)).unwrap();
    let address = publisher.local_addr().unwrap();
    let subscriber = Subscriber::start(subscriber_config(&identity, address)).unwrap();
    (publisher, subscriber, identity)
}

pub(crate) fn id(name: &str) -> BroadcastId {
    name.parse().unwrap()
}

pub(crate) fn name(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

pub(crate) fn group(period: u32, index: u32) -> GroupId {
    GroupId { period, index }
}

pub(crate) fn catalog(t0_ms: u64, video: &[&str], audio: &[&str]) -> Catalog {
    let video_track = |track: &&str| VideoTrack {
        name: name(track),
        codec: "avc1.64001f".into(),
        init: Bytes::from_static(b"init"),
        description: Bytes::new(),
        width: 1280,
        height: 720,
        framerate: None,
        bitrate: None,
        reordered: false,
    };
    let audio_track = |track: &&str| AudioTrack {
        name: name(track),
        codec: "opus".into(),
        init: Bytes::from_static(b"init"),
        description: Bytes::new(),
        sample_rate: 48_000,
        channels: 2,
        bitrate: None,
    };
    Catalog {
        t0: UtcTime::from_millis(t0_ms),
        state: PublisherState::Live,
        about: About::default(),
        period: Period { id: 1, take: 1, start_ms: 0, grid: SegmentGrid::new(2_000), sequence: 0 },
        video: video.iter().map(video_track).collect(),
        audio: audio.iter().map(audio_track).collect(),
    }
}

/// A chunk of one frame that says when it is.
pub(crate) fn chunk(
    ticks: u64,
    timescale: Timescale,
    keyframe: bool,
    data: Vec<u8>,
) -> (MediaTime, Bytes) {
    let dts = MediaTime::new(ticks, timescale);
    let frame = Frame {
        dts,
        composition_offset: 0,
        duration: timescale.hz() / 30,
        keyframe,
        data: data.into(),
        arrived: UtcTime::from_millis(1_795_000_000_000),
    };
    (dts, cmaf::write_chunk(1, &[frame]).unwrap().bytes)
}

/// Writes one group of `count` chunks that begins at `start_ms`, 33 ms apart.
pub(crate) fn write_group(track: &mut TrackPublisher, id: GroupId, start_ms: u64, count: u64) {
    for index in 0..count {
        let ticks = (start_ms + 33 * index) * 90;
        let data = format!("{id} #{index}").into_bytes();
        let (time, bytes) = chunk(ticks, Timescale::VIDEO, index == 0, data);
        track.write(id, time, bytes).unwrap();
    }
}

pub(crate) fn broadcast(
    publisher: &Publisher,
    broadcast: &str,
) -> (BroadcastPublisher, TrackPublisher) {
    let mut broadcast = publisher.broadcast(&id(broadcast), Epoch::IDLE).unwrap();
    let track = broadcast.track(&name("video/main"), Timescale::VIDEO).unwrap();
    broadcast.set_catalog(&catalog(1_000, &["video/main"], &[])).unwrap();
    (broadcast, track)
}

pub(crate) async fn next_live(subscriber: &mut Subscriber) -> BroadcastSubscription {
    match within(subscriber.next()).await.expect("runs") {
        Announcement::Live(broadcast) => broadcast,
        Announcement::Gone(id) => panic!("{id} is gone"),
    }
}

pub(crate) async fn next_gone(subscriber: &mut Subscriber) -> BroadcastId {
    match within(subscriber.next()).await.expect("runs") {
        Announcement::Gone(id) => id,
        Announcement::Live(broadcast) => panic!("{} is live", broadcast.id()),
    }
}

pub(crate) async fn video(broadcast: &BroadcastSubscription) -> TrackSubscription {
    let track = name("video/main");
    let subscribed = broadcast.track(&track, Timescale::VIDEO, Priority::video(0));
    within(subscribed).await.expect("subscribed")
}

pub(crate) async fn next(track: &mut TrackSubscription) -> TrackEvent {
    within(track.next()).await.expect("not ended").expect("no error")
}

/// The next chunk, as (group, index, payload); ends of groups are passed over.
pub(crate) async fn next_chunk(track: &mut TrackSubscription) -> (GroupId, u64, String) {
    loop {
        match next(track).await {
            TrackEvent::Chunk { group, index_in_group, chunk } => {
                let data = String::from_utf8(chunk.frames[0].data.to_vec()).unwrap();
                return (group, index_in_group, data);
            }
            TrackEvent::GroupEnd(_) => {}
            TrackEvent::Skipped(group) => panic!("{group} was skipped"),
        }
    }
}

pub(crate) async fn expect_group(track: &mut TrackSubscription, id: GroupId, chunks: u64) {
    for index in 0..chunks {
        let expected = (id, index, format!("{id} #{index}"));
        assert_eq!(next_chunk(track).await, expected);
    }
}
