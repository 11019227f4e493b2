//! What is published arrives: in order, from the right place, or not at all.

use bytes::Bytes;
use lectern_relay_proto::net::{
    Epoch, Error, Identity, Priority, Publisher, PublisherConfig, Subscriber, TrackEvent,
};
use lectern_relay_proto::{Catalog, GroupId, MediaTime, PublisherState, Timescale};

use crate::harness::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_arrives_in_order_and_ends() {
    let (publisher, mut subscriber, _) = pair();
    let (mut broadcast, mut track) = broadcast(&publisher, "room");
    write_group(&mut track, group(1, 0), 0, 5);

    let live = next_live(&mut subscriber).await;
    assert_eq!(live.id(), &id("room"));
    let mut catalogs = within(live.catalogs()).await.unwrap();
    let first = within(catalogs.next()).await.unwrap().unwrap();
    assert_eq!(first, catalog(1_000, &["video/main"], &[]));

    let mut video = video(&live).await;
    expect_group(&mut video, group(1, 0), 5).await;
    write_group(&mut track, group(1, 1), 2_000, 3);
    assert!(matches!(next(&mut video).await, TrackEvent::GroupEnd(id) if id == group(1, 0)));
    expect_group(&mut video, group(1, 1), 3).await;

    let ended = Catalog { state: PublisherState::Ended, ..first };
    broadcast.set_catalog(&ended).unwrap();
    assert_eq!(within(catalogs.next()).await.unwrap().unwrap(), ended);

    drop(track);
    assert!(matches!(next(&mut video).await, TrackEvent::GroupEnd(id) if id == group(1, 1)));
    assert!(within(video.next()).await.is_none());
    drop(broadcast);
    assert_eq!(next_gone(&mut subscriber).await, id("room"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_tracks_arrive_each_in_order() {
    let (publisher, mut subscriber, _) = pair();
    let mut broadcast = publisher.broadcast(&id("room"), Epoch::IDLE).unwrap();
    let names = ["video/main", "audio/opus", "audio/aac"];
    let scales = [90_000, 48_000, 44_100].map(|hz| Timescale::new(hz).unwrap());
    let mut tracks: Vec<_> = names
        .iter()
        .zip(scales)
        .map(|(track, scale)| broadcast.track(&name(track), scale).unwrap())
        .collect();
    broadcast.set_catalog(&catalog(0, &names[..1], &names[1..])).unwrap();

    let live = next_live(&mut subscriber).await;
    let priorities = [Priority::video(0), Priority::audio(0), Priority::audio(1)];
    let mut subscriptions = Vec::new();
    for ((track, scale), priority) in names.iter().zip(scales).zip(priorities) {
        subscriptions.push(within(live.track(&name(track), scale, priority)).await.unwrap());
    }
    for index in 0..6 {
        for sample in 0..30_u64 {
            for (track, scale) in tracks.iter_mut().zip(scales) {
                let at = u64::from(index) * 30 + sample;
                let ticks = at * u64::from(scale.hz()) / 30;
                let (time, bytes) = chunk(ticks, scale, sample == 0, at.to_string().into_bytes());
                track.write(group(1, index), time, bytes).unwrap();
            }
        }
        for (subscription, scale) in subscriptions.iter_mut().zip(scales) {
            for sample in 0..30_u64 {
                let at = u64::from(index) * 30 + sample;
                match next(subscription).await {
                    TrackEvent::GroupEnd(_) => {
                        assert_eq!(sample, 0);
                        assert_eq!(next_chunk(subscription).await.2, at.to_string());
                    }
                    TrackEvent::Chunk { group: in_group, index_in_group, chunk } => {
                        assert_eq!((in_group, index_in_group), (group(1, index), sample));
                        let frame = &chunk.frames[0];
                        assert_eq!(frame.data, at.to_string());
                        assert_eq!(frame.dts.ticks, at * u64::from(scale.hz()) / 30);
                        assert_eq!(frame.dts.timescale, scale);
                    }
                    TrackEvent::Skipped(id) => panic!("{id} was skipped"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_joiner_begins_with_the_current_group_across_a_jump_of_period() {
    let (publisher, mut subscriber, identity) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    let mut early = video(&live).await;
    for (index, id) in [group(1, 7), group(1, 8), group(9, 0)].into_iter().enumerate() {
        write_group(&mut track, id, 500 * index as u64, 4);
        expect_group(&mut early, id, 4).await;
    }

    // All three groups are within two seconds; who joins now gets the current one alone.
    let mut late = video(&live).await;
    let address = publisher.local_addr().unwrap();
    let mut other = Subscriber::start(subscriber_config(&identity, address)).unwrap();
    let mut elsewhere = video(&next_live(&mut other).await).await;
    expect_group(&mut late, group(9, 0), 4).await;
    expect_group(&mut elsewhere, group(9, 0), 4).await;

    let last = group(GroupId::PERIOD_MAX, GroupId::INDEX_MAX);
    write_group(&mut track, last, 1_500, 4);
    for track in [&mut early, &mut late, &mut elsewhere] {
        expect_group(track, last, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_in_the_middle_of_a_group_gets_its_beginning() {
    let (publisher, mut subscriber, _) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    write_group(&mut track, group(3, 3), 0, 50);
    let live = next_live(&mut subscriber).await;
    let mut video = video(&live).await;
    expect_group(&mut video, group(3, 3), 50).await;
    let (time, bytes) = chunk(50 * 2_970, Timescale::VIDEO, false, b"and on".to_vec());
    track.write(group(3, 3), time, bytes).unwrap();
    assert_eq!(next_chunk(&mut video).await, (group(3, 3), 50, "and on".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_groups_are_fetched_whole_while_newer_ones_arrive() {
    let (publisher, mut subscriber, _) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    for index in 0..20 {
        write_group(&mut track, group(7, index), 2_000 * u64::from(index), 30);
    }
    let live = next_live(&mut subscriber).await;
    let main = name("video/main");
    let fetch = |id| live.fetch(&main, Timescale::VIDEO, id);
    let mut current = video(&live).await;
    expect_group(&mut current, group(7, 19), 30).await;
    for id in [group(7, 3), group(7, 18)] {
        let chunks = within(fetch(id)).await.unwrap();
        let data: Vec<String> = chunks
            .iter()
            .map(|chunk| String::from_utf8(chunk.frames[0].data.to_vec()).unwrap())
            .collect();
        assert_eq!(data, (0..30).map(|index| format!("{id} #{index}")).collect::<Vec<_>>());
    }
    // What was fetched is not taken for what comes next.
    write_group(&mut track, group(7, 20), 40_000, 30);
    expect_group(&mut current, group(7, 20), 30).await;
    let missing = |id| async move { within(fetch(id)).await.unwrap_err() };
    assert!(matches!(missing(group(6, 0)).await, Error::NoSuchGroup(id) if id == group(6, 0)));
    assert!(matches!(missing(group(7, 40)).await, Error::NoSuchGroup(_)));
    let other = name("audio/none");
    let fetched = within(live.fetch(&other, Timescale::VIDEO, group(7, 0))).await;
    assert!(matches!(fetched, Err(Error::NoSuchGroup(_) | Error::NotFound)), "{fetched:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_publisher_keeps_is_bounded_in_bytes() {
    let identity = Identity::self_signed().unwrap();
    let keep_bytes_max = 256 * 1024;
    let config = PublisherConfig { keep_bytes_max, ..publisher_config(&identity, 0) };
    let publisher = Publisher::bind(config).unwrap();
    let address = publisher.local_addr().unwrap();
    let mut subscriber = Subscriber::start(subscriber_config(&identity, address)).unwrap();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    for index in 0..100 {
        let ticks = u64::from(index) * 90_000;
        let (time, bytes) = chunk(ticks, Timescale::VIDEO, true, vec![0; 16 * 1024]);
        track.write(group(1, index), time, bytes).unwrap();
    }
    let live = next_live(&mut subscriber).await;
    let main = name("video/main");
    let fetch = |index| within(live.fetch(&main, Timescale::VIDEO, group(1, index)));
    assert!(matches!(fetch(0).await, Err(Error::NoSuchGroup(_))));
    assert_eq!(fetch(98).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_ends_with_its_broadcast() {
    let (publisher, mut subscriber, _) = pair();
    let (broadcast, mut track) = broadcast(&publisher, "room");
    write_group(&mut track, group(1, 0), 0, 3);
    let live = next_live(&mut subscriber).await;
    // The group is never finished, so there is no end to it.
    let main = name("video/main");
    let fetch = live.fetch(&main, Timescale::VIDEO, group(1, 0));
    let gone = async {
        drop((track, broadcast));
        next_gone(&mut subscriber).await
    };
    let (fetched, gone) = within(async { tokio::join!(fetch, gone) }).await;
    assert_eq!(gone, id("room"));
    assert!(!matches!(fetched, Err(Error::Timeout)), "{fetched:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_falls_behind_skips_to_newer_groups() {
    let (publisher, mut subscriber, _) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    let mut slow = video(&live).await;
    let mut prompt = video(&live).await;
    write_group(&mut track, group(1, 0), 0, 3);
    assert_eq!(next_chunk(&mut slow).await.0, group(1, 0));
    expect_group(&mut prompt, group(1, 0), 3).await;
    for index in 1..=20 {
        write_group(&mut track, group(1, index), 1_000 * u64::from(index), 3);
        expect_group(&mut prompt, group(1, index), 3).await;
    }
    // Only what is within two seconds of the newest frame is worth having, and the rest of the
    // group that it is in.
    let mut seen = Vec::new();
    while seen.last() != Some(&group(1, 20)) {
        if let TrackEvent::Chunk { group, .. } = next(&mut slow).await {
            seen.push(group);
        }
    }
    assert!(seen.is_sorted());
    let skipped_to = seen.iter().find(|id| id.index > 0).unwrap();
    assert!(skipped_to.index >= 17, "{skipped_to}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_broadcasts_play_at_once() {
    const BROADCASTS: usize = 60;
    let (publisher, mut subscriber, _) = pair();
    let names = ["video/main", "audio/opus", "audio/aac"];
    let mut published = Vec::new();
    for index in 0..BROADCASTS {
        let mut broadcast =
            publisher.broadcast(&id(&format!("room-{index}")), Epoch::IDLE).unwrap();
        let track = |track| broadcast.track(&name(track), Timescale::VIDEO).unwrap();
        let tracks = names.map(track);
        broadcast.set_catalog(&catalog(0, &names[..1], &names[1..])).unwrap();
        published.push((broadcast, tracks));
    }
    let (mut subscribed, mut held) = (Vec::new(), Vec::new());
    for _ in 0..BROADCASTS {
        let live = next_live(&mut subscriber).await;
        let mut catalogs = within(live.catalogs()).await.unwrap();
        within(catalogs.next()).await.unwrap().unwrap();
        for track in names {
            let track = name(track);
            let track = live.track(&track, Timescale::VIDEO, Priority::video(0));
            subscribed.push(within(track).await.unwrap());
        }
        held.push(catalogs);
    }
    // Catalogs stay subscribed, and every group is open until the next one begins: 240
    // subscriptions and 180 groups are in progress together.
    for index in 0..3 {
        for (_, tracks) in &mut published {
            for track in tracks {
                write_group(track, group(1, index), 1_000 * u64::from(index), 3);
            }
        }
        for track in &mut subscribed {
            expect_group(track, group(1, index), 3).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misuse_is_an_error_and_harms_nothing() {
    let (publisher, mut subscriber, _) = pair();
    let (mut room, mut track) = broadcast(&publisher, "room");
    assert!(matches!(publisher.broadcast(&id("room"), Epoch::IDLE), Err(Error::BroadcastExists)));
    let again = room.track(&name("video/main"), Timescale::VIDEO);
    assert!(matches!(again, Err(Error::TrackExists(_))));
    let unmade = catalog(0, &["video/other"], &[]);
    assert!(matches!(room.set_catalog(&unmade), Err(Error::NoSuchTrack(_))));

    write_group(&mut track, group(2, 0), 0, 1);
    let (time, bytes) = chunk(0, Timescale::VIDEO, true, b"late".to_vec());
    let back = track.write(group(1, 9), time, bytes);
    assert!(matches!(back, Err(Error::GroupOrder { .. })));

    let live = next_live(&mut subscriber).await;
    let other = name("video/other");
    let missing = live.track(&other, Timescale::VIDEO, Priority::video(1));
    let missing = within(missing).await.err();
    assert!(matches!(missing, Some(Error::NoSuchTrack(_))), "{missing:?}");
    expect_group(&mut video(&live).await, group(2, 0), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_not_cmaf_is_given_up_and_the_next_one_plays() {
    let (publisher, mut subscriber, _) = pair();
    let (_broadcast, mut track) = broadcast(&publisher, "room");
    let live = next_live(&mut subscriber).await;
    let mut video = video(&live).await;
    let time = MediaTime::new(0, Timescale::VIDEO);
    track.write(group(1, 0), time, Bytes::from_static(b"not a chunk")).unwrap();
    assert!(matches!(next(&mut video).await, TrackEvent::Skipped(id) if id == group(1, 0)));
    write_group(&mut track, group(1, 1), 1_000, 2);
    expect_group(&mut video, group(1, 1), 2).await;
}
