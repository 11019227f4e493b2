//! A peer that keeps to moq-lite-06 no more than it likes, and what becomes of it.

use moq_net::announce;

use super::*;
use crate::{GroupId, MediaTime, Timescale, TrackName};

/// A connection without the library.
struct Peer {
    quic: quinn::Connection,
    /// What is open stays so.
    streams: Vec<(quinn::SendStream, quinn::RecvStream)>,
}

impl Peer {
    async fn connect(cluster: &Cluster) -> Self {
        let quic = dial(cluster).await;
        let path = cluster.token.request_path();
        // SETUP with one parameter, the path.
        let setup = [&[1, 2][..], &string(&path)].concat();
        let mut stream = quic.open_uni().await.expect("open");
        stream.write_all(&[vec![1], string_of(&setup)].concat()).await.expect("written");
        stream.finish().expect("open");
        Self { quic, streams: Vec::new() }
    }

    async fn ask(&mut self, request: &[u8]) {
        // Not if it has been ended meanwhile, which is what the test waits for.
        let Ok((mut send, recv)) = self.quic.open_bi().await else { return };
        if send.write_all(request).await.is_ok() {
            self.streams.push((send, recv));
        }
    }

    async fn reason(&self) -> String {
        match within(self.quic.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                String::from_utf8_lossy(&close.reason).into_owned()
            }
            other => panic!("not closed by the publisher: {other}"),
        }
    }
}

fn number(value: usize) -> Vec<u8> {
    (value as u32 | 0x8000_0000).to_be_bytes().to_vec()
}

fn string_of(bytes: &[u8]) -> Vec<u8> {
    [&number(bytes.len())[..], bytes].concat()
}

fn string(text: &str) -> Vec<u8> {
    string_of(text.as_bytes())
}

/// To all of a track that is still kept, for as long as it is kept.
fn subscribe(id: usize, path: &str, track: &str) -> Vec<u8> {
    let ends = [number(1 << 29), vec![0, 0, 0, 0]].concat();
    let body = [number(id), string(path), string(track), vec![7], ends].concat();
    [vec![2], string_of(&body)].concat()
}

/// A broadcast with a track of so many groups, and its path.
async fn room(cluster: &Cluster, groups: u32) -> (impl Sized + use<>, String) {
    let mut room =
        cluster.publisher.broadcast(&"room".parse().expect("valid"), Epoch(7)).expect("new");
    let name = TrackName::new("video/main").expect("valid");
    let mut track = room.track(&name, Timescale::VIDEO).expect("new");
    for index in 0..groups {
        let time = MediaTime::new(u64::from(index) * 90, Timescale::VIDEO);
        let group = GroupId { period: 1, index };
        track.write(group, time, Bytes::from_static(b"a chunk")).expect("written");
    }
    room.set_catalog(&unbegun()).expect("announced");
    let (_up, heard, _session) = session(cluster).await;
    let mut announced = heard.announced();
    let announce::Update { prefix, .. } = within(announced.next()).await.expect("announced");
    ((room, track), prefix.as_str().to_owned())
}

/// How many sessions have been ended for `reason`.
fn refused(cluster: &Cluster, reason: &str) -> u64 {
    let families = cluster.registry.gather();
    let refused = families.iter().find(|family| family.name() == "lectern_relay_refused_total");
    let metrics = refused.map(|family| family.get_metric()).unwrap_or_default();
    let of = metrics.iter().find(|metric| metric.get_label()[0].value() == reason);
    of.map_or(0, |metric| metric.get_counter().get_value() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_long_ends_the_session_that_sends_it() {
    let cluster = cluster();
    let mut peer = Peer::connect(&cluster).await;
    let most = 64 << 20;
    peer.ask(&[vec![2], number(most)].concat()).await;
    let reason = peer.reason().await;
    assert_eq!(reason, format!("a control message of {most} bytes, and 4096 are taken"));
    assert_eq!(refused(&cluster, "message"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_is_not_subscribed_to_without_end() {
    let cluster = cluster();
    let (_room, path) = room(&cluster, 3).await;
    let mut peer = Peer::connect(&cluster).await;
    for id in 0..100 {
        peer.ask(&subscribe(id, &path, "video/main")).await;
        let mut group = within(peer.quic.accept_uni()).await.expect("served");
        let _ = group.stop(quinn::VarInt::from_u32(0));
        // One that has ended does not count.
        if id >= 4 {
            let (mut send, mut recv) = peer.streams.remove(0);
            send.finish().expect("open");
            within(recv.read_to_end(1_024)).await.expect("ended");
        }
    }
    assert_eq!(peer.quic.close_reason(), None);
    for id in 100..110 {
        peer.ask(&subscribe(id, &path, "video/main")).await;
    }
    assert_eq!(peer.reason().await, "more than 8 subscriptions to one track");
    assert_eq!(refused(&cluster, "subscriptions"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_not_kept_waiting_for() {
    let cluster = cluster();
    let (_room, path) = room(&cluster, 3_000).await;
    let mut peer = Peer::connect(&cluster).await;
    for id in 0..8 {
        peer.ask(&subscribe(id, &path, "video/main")).await;
    }
    assert_eq!(peer.reason().await, "more than 16384 groups asked for and not taken");
    assert_eq!(refused(&cluster, "groups"), 1);
    // The next is served as if nothing had been.
    let mut next = Peer::connect(&cluster).await;
    next.ask(&subscribe(0, &path, "video/main")).await;
    let mut group = within(next.quic.accept_uni()).await.expect("served");
    let first = within(group.read_chunk(1_024, true)).await.expect("open").expect("not empty");
    assert!(!first.bytes.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_announces_the_most_goes_and_nobody_else() {
    let cluster = cluster();
    let announce_all = |up: &origin::Producer, names: std::ops::Range<u32>| -> Vec<_> {
        names.map(|name| announce(up, &format!("edge/elsewhere/{name}"))).collect()
    };
    let (polite, _heard, mut polite_session) = session(&cluster).await;
    let _polite = announce_all(&polite, 0..1_000);
    let (rude, _heard, _rude_session) = session(&cluster).await;
    let mut announced = announce_all(&rude, 1_000..4_000);
    // What is no longer announced does not count.
    for name in 4_000..4_200 {
        announced.remove(0);
        announced.extend(announce_all(&rude, name..name + 1));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(refused(&cluster, "announcements"), 0);
    announced.extend(announce_all(&rude, 5_000..5_100));
    let ended = async {
        while refused(&cluster, "announcements") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(ended).await;
    // There is room again, and whoever announced less is still there to use it.
    let _more = announce_all(&polite, 6_000..6_100);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(refused(&cluster, "announcements"), 1);
    assert!(polite_session.1.try_join_next().is_none(), "the other session has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_has_an_end_each() {
    let cluster = cluster();
    let (_room, path) = room(&cluster, 1).await;
    let interest = [vec![1], string_of(&string("live"))].concat();
    // Of a group that is not over yet.
    let group = number(GroupId { period: 1, index: 0 }.sequence() as usize);
    let fetch = [string(&path), string("video/main"), vec![0], group, vec![0, 0]].concat();
    let fetch = [vec![3], string_of(&fetch)].concat();
    for (request, max, reason) in [(interest, 16, "interests"), (fetch, 2_048, "fetches")] {
        let mut peer = Peer::connect(&cluster).await;
        for _ in 0..=max {
            peer.ask(&request).await;
        }
        assert!(peer.reason().await.starts_with(&format!("more than {max} ")), "{reason}");
        assert_eq!(refused(&cluster, reason), 1);
    }
    let mut peer = Peer::connect(&cluster).await;
    // However the path is spelled.
    let spellings =
        [path.clone(), format!("/{path}"), format!("{path}//"), path.replace('/', "//")];
    for (id, spelling) in spellings.iter().cycle().take(9).enumerate() {
        peer.ask(&subscribe(id, spelling, "video/main")).await;
    }
    assert_eq!(peer.reason().await, "more than 8 subscriptions to one track");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_records_is_not_kept_at_any_length() {
    let mut cluster = cluster();
    let (_room, path) = room(&cluster, 1).await;
    let node = path.split('.').nth(1).expect("of ours");
    let (up, _heard, _session) = session(&cluster).await;
    let (_broadcast, track) = announce(&up, &format!("edge/{node}/rude"));
    let _rude = within(cluster.edges.recv()).await.expect("a link");
    let mut group = track.append_group().expect("open");
    for _ in 0..5 {
        group.write_frame(Timestamp::now(), Bytes::from(vec![b'x'; 1 << 20])).expect("written");
    }
    let ended = async {
        while refused(&cluster, "records") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(ended).await;
}
