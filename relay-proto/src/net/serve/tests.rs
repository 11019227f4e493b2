//! What a session can do that has been let in and is not an edge of ours.

mod peer;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moq_net::{Timestamp, origin, track};
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::{
    Announcement, EdgeLink, Epoch, Identity, Publisher, PublisherConfig, PublisherMetrics,
    RECORD_BYTES_MAX, Subscriber, SubscriberConfig, SubscriberMetrics, Token, Trust, transport,
};
use crate::{About, BroadcastId, Catalog, Period, PublisherState, SegmentGrid, UtcTime};

const PATIENCE: Duration = Duration::from_secs(30);

struct Cluster {
    identity: Identity,
    publisher: Publisher,
    edges: mpsc::Receiver<EdgeLink>,
    token: Token,
    registry: Registry,
}

fn cluster() -> Cluster {
    let identity = Identity::self_signed().expect("made");
    let registry = Registry::new();
    let metrics = PublisherMetrics::register(&registry).expect("registered");
    let (arrivals, edges) = mpsc::channel(8);
    let token: Token = "known".parse().expect("valid");
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let mut config = PublisherConfig::new(listen, identity.clone(), metrics);
    config.token = Some(token.clone().into());
    config.edges = Some(arrivals);
    let publisher = Publisher::bind(config).expect("bound");
    Cluster { identity, publisher, edges, token, registry }
}

/// A connection that nobody has spoken on.
async fn dial(cluster: &Cluster) -> quinn::Connection {
    let address = cluster.publisher.local_addr().expect("bound");
    let trust = Trust::Certificates(cluster.identity.certificate_pem().to_owned());
    let endpoint = transport::client(address, &trust, None).expect("an endpoint");
    endpoint.connect(address, "localhost").expect("dialled").await.expect("connected")
}

/// A session by the library alone: what it can announce, what it hears, and what runs it.
async fn session(
    cluster: &Cluster,
) -> (origin::Producer, origin::Consumer, (moq_net::Session, JoinSet<()>)) {
    let quic = dial(cluster).await;
    let mut tasks = JoinSet::new();
    let mut place = || {
        let (producer, driver) = origin::Producer::new(origin::Config::default());
        tasks.spawn(async move {
            moq_net::time::run(driver).await;
        });
        producer
    };
    let (up, down) = (place(), place());
    let heard = down.consume();
    let client = moq_net::Client::new()
        .with_versions(transport::versions())
        .with_path(cluster.token.request_path())
        .with_subscriber(down)
        .with_publisher(up.consume());
    let connection = web_transport_quinn::Session::raw(quic);
    let (session, driver) = client.connect(Instant::now(), connection).await.expect("let in");
    tasks.spawn(async move {
        moq_net::time::run(driver).await;
    });
    (up, heard, (session, tasks))
}

/// Of a broadcast to which nobody has published.
fn unbegun() -> Catalog {
    let grid = SegmentGrid::new(SegmentGrid::DURATION_MS_MIN);
    Catalog {
        t0: UtcTime::default(),
        state: PublisherState::Away,
        about: About::default(),
        period: Period { id: 0, take: 0, start_ms: 0, grid, sequence: 0 },
        video: Vec::new(),
        audio: Vec::new(),
    }
}

fn announce(up: &origin::Producer, path: &str) -> (moq_net::broadcast::Producer, track::Producer) {
    let broadcast = up.create_broadcast(path).expect("new");
    let track = broadcast.create_track("comments", track::Info::default()).expect("new");
    broadcast.announce(Default::default()).expect("announced");
    (broadcast, track)
}

fn subscriber(cluster: &Cluster) -> Subscriber {
    let config = SubscriberConfig {
        upstreams: vec![cluster.publisher.local_addr().expect("bound").to_string()],
        server_name: Some("localhost".into()),
        trust: Trust::Certificates(cluster.identity.certificate_pem().to_owned()),
        token: Some(cluster.token.clone().into()),
        identity: None,
        relay: None,
        metrics: SubscriberMetrics::register(&Registry::new()).expect("registered"),
    };
    Subscriber::start(config).expect("started")
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_cannot_publish_media() {
    let cluster = cluster();
    let id: BroadcastId = "room".parse().expect("valid");
    let (up, _heard, _session) = session(&cluster).await;
    // Newer than whatever an origin could announce.
    let forged = format!("live/room/{}.{:016x}.0", u64::MAX, u64::MAX);
    let _forged = announce(&up, &forged);
    let _other = announce(&up, "live/other/1.0000000000000001.0");
    let _nonsense = announce(&up, "origin/anything");

    let mut edge = subscriber(&cluster);
    let mut room = cluster.publisher.broadcast(&id, Epoch(7)).expect("new");
    room.set_catalog(&unbegun()).expect("announced");
    let Some(Announcement::Live(live)) = within(edge.next()).await else { panic!("gone") };
    assert_eq!((live.id(), live.epoch()), (&id, Epoch(7)));
    let more = tokio::time::timeout(Duration::from_millis(500), edge.next()).await;
    assert!(more.is_err(), "nobody hears of what an edge announces");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_says_too_much_is_heard_no_less_and_nobody_else_either() {
    let mut cluster = cluster();
    let mut room =
        cluster.publisher.broadcast(&"room".parse().expect("valid"), Epoch(7)).expect("new");
    room.set_catalog(&unbegun()).expect("announced");
    let (up, heard, _session) = session(&cluster).await;
    let mut announced = heard.announced();
    let path = within(announced.next()).await.expect("announced").prefix;
    let node = path.as_str().split('.').nth(1).expect("of ours").to_owned();
    // Names that nobody of ours takes, another origin's, and one that is in order.
    let _long = announce(&up, &format!("edge/{node}/{}", "x".repeat(65)));
    let _deep = announce(&up, &format!("edge/{node}/a/b"));
    let _elsewhere = announce(&up, "edge/0000000000000000/a");
    let (_broadcast, track) = announce(&up, &format!("edge/{node}/rude"));
    let write = |record: Bytes| {
        let mut group = track.append_group().expect("open");
        group.write_frame(Timestamp::now(), record).expect("written");
        group.finish().expect("finished");
    };
    let mut rude = within(cluster.edges.recv()).await.expect("a link");
    assert_eq!(rude.name, "rude");
    write(Bytes::from(vec![b'x'; RECORD_BYTES_MAX + 1]));
    write("and now something short".into());
    assert_eq!(within(rude.requests.recv()).await.expect("open"), "and now something short");

    let mut edge = subscriber(&cluster);
    let link = edge.take_link().expect("there is a token");
    let mut polite = within(cluster.edges.recv()).await.expect("a link");
    let sender = link.sender();
    let asked = async {
        while !sender.send(&"room".parse().expect("valid"), "hello".into()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(asked).await;
    assert_eq!(within(polite.requests.recv()).await.expect("open"), "hello");
}
