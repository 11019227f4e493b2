//! What becomes of media, and how a session ends.

use std::time::Duration;

use axum::http::StatusCode;
use lectern_origin::ingest::Tag;

use crate::publisher::Publisher;
use crate::support::{DEADLINE, Seen, Server, ask};

/// Media as it was sent, until so many pictures have come.
async fn pictures(server: &mut Server, publisher: &mut Publisher, count: usize) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut seen = 0;
    while seen < count {
        publisher.send(seen == 0, seen % 5 == 0).await;
        while let Some(tag) = server.tag_now() {
            seen += usize::from(matches!(tag, Tag::Video { .. }));
            tags.push(tag);
        }
    }
    tags
}

#[tokio::test]
async fn pictures_and_sound_come_as_they_were_sent() {
    let mut server = Server::start(2);
    let mut publisher = Publisher::new();
    publisher.publish(&server.router, "lecture").await;
    assert!(matches!(server.seen().await, Seen::Claimed));
    let tags = pictures(&mut server, &mut publisher, 20).await;
    let first = |wanted: fn(&Tag) -> bool| tags.iter().position(wanted).expect("there is one");
    assert!(
        first(|tag| matches!(tag, Tag::VideoConfig { .. }))
            < first(|tag| matches!(tag, Tag::Video { keyframe: true, .. }))
    );
    assert!(
        first(|tag| matches!(tag, Tag::OpusConfig { channels: 2 }))
            < first(|tag| matches!(tag, Tag::Audio { .. }))
    );
    let times = |wanted: fn(&Tag) -> bool| -> Vec<u32> {
        tags.iter().filter(|tag| wanted(tag)).filter_map(|tag| Some(tag.media()?.0)).collect()
    };
    let (video, audio) = (
        times(|tag| matches!(tag, Tag::Video { .. })),
        times(|tag| matches!(tag, Tag::Audio { .. })),
    );
    let steps = |times: &[u32]| -> Vec<u32> {
        times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect()
    };
    assert!(steps(&video).iter().all(|step| (37..=43).contains(step)), "{video:?}");
    assert!(steps(&audio).iter().all(|step| (18..=22).contains(step)), "{audio:?}");
    let apart = video[0].wrapping_sub(audio[0]).cast_signed();
    assert!(apart.abs() <= 20, "picture and sound began together: {apart} ms");
    assert_eq!(server.counted("lectern_whip_publishers", ""), 1.0);
    publisher.close().await;
    assert!(server.ended().await, "it said goodbye");
}

#[tokio::test]
async fn where_packets_are_lost_no_broken_picture_comes() {
    let mut server = Server::start(2);
    let mut publisher = Publisher::new();
    publisher.publish(&server.router, "lecture").await;
    assert!(matches!(server.seen().await, Seen::Claimed));
    publisher.loses_every = 23;
    let whole = tokio::time::timeout(DEADLINE, async {
        let (mut whole, mut resends_or_requests) = (0, 0);
        for number in 0..150 {
            let keyframe = number == 0 || publisher.keyframes_asked > 0;
            resends_or_requests += std::mem::take(&mut publisher.keyframes_asked);
            publisher.send(keyframe, true).await;
            while let Some(tag) = server.tag_now() {
                if let Tag::Video { data, .. } = tag {
                    // Length, two bytes of slice, what it was filled with.
                    assert_eq!(data.len(), 4 + 2 + 5_000);
                    assert!(data[6..].iter().all(|byte| *byte == 0x55));
                    whole += 1;
                }
            }
        }
        (whole, resends_or_requests)
    });
    let (whole, asked) = whole.await.expect("in time");
    assert!(
        whole > 75,
        "{whole} of 150 pictures, each of five packets, {asked} keyframes asked for"
    );
}

#[tokio::test]
async fn keyframes_are_asked_for() {
    let mut server = Server::start(1);
    let mut publisher = Publisher::new();
    publisher.publish(&server.router, "lecture").await;
    let asked = async {
        publisher.send(true, false).await;
        while publisher.keyframes_asked == 0 {
            publisher.send(false, false).await;
        }
    };
    let started = std::time::Instant::now();
    tokio::time::timeout(DEADLINE, asked).await.expect("in time");
    let after = started.elapsed();
    assert!(after > Duration::from_millis(1_000) && after < Duration::from_secs(4), "{after:?}");
    while !matches!(server.seen().await, Seen::Tag(Tag::Video { .. })) {}
}

#[tokio::test]
async fn a_newer_publisher_takes_over_and_the_older_one_is_told() {
    let mut server = Server::start(2);
    let (mut older, mut newer) = (Publisher::new(), Publisher::new());
    older.publish(&server.router, "lecture").await;
    older.send(true, false).await;
    newer.publish(&server.router, "lecture").await;
    let told = async {
        while older.connected {
            older.run(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, told).await.expect("told in time");
    let mut ended = Vec::new();
    let mut claimed = 0;
    while ended.is_empty() || claimed < 2 {
        match server.seen().await {
            Seen::Ended { clean } => ended.push(clean),
            Seen::Claimed => claimed += 1,
            Seen::Tag(_) => {}
        }
    }
    assert_eq!(ended, [false]);
    newer.send(true, false).await;
    while !matches!(server.seen().await, Seen::Tag(Tag::Video { .. })) {}
    let left = server.stop().await;
    assert!(left.iter().any(|seen| matches!(seen, Seen::Ended { clean: false })), "{left:?}");
}

#[tokio::test]
async fn a_stranger_on_the_port_disturbs_nobody() {
    let mut server = Server::start(1);
    let mut publisher = Publisher::new();
    publisher.publish(&server.router, "lecture").await;
    assert!(matches!(server.seen().await, Seen::Claimed));
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // Nothing, RTP, RTCP, an alert in plain text, a check with a name that nobody has.
    let mut check = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0, 6, 0, 8]);
    check.extend(b"abcd:efg");
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let junk: [&[u8]; 6] =
        [&[], &[0x80; 40], &[0x80, 200, 0, 6, 1, 1, 1, 1], &alert, &check, &[0xff; 2_000]];
    for _ in 0..200 {
        for bytes in junk {
            stranger.send_to(bytes, server.media).unwrap();
        }
    }
    // The same with the publisher's own address, as far as a stranger can forge it.
    for bytes in junk {
        publisher.send_raw(bytes, server.media);
    }
    let mut streams = [0x80; 40];
    for stream in 0..5_000_u32 {
        streams[8..12].copy_from_slice(&stream.to_be_bytes());
        publisher.send_raw(&streams, server.media);
        if stream % 100 == 0 {
            publisher.run(Duration::from_millis(1)).await;
        }
    }
    pictures(&mut server, &mut publisher, 5).await;
    assert!(server.counted("lectern_whip_dropped_total", "stranger") > 100.0);
    publisher.close().await;
    assert!(server.ended().await);
}

#[tokio::test]
async fn a_take_that_panics_ends_its_own_session_only() {
    let mut server = Server::start(2);
    let mut publisher = Publisher::new();
    let answer = publisher.publish(&server.router, "panics").await;
    assert!(matches!(server.seen().await, Seen::Claimed));
    publisher.send(true, false).await;
    assert!(!server.ended().await);
    let gone = async {
        let key = [("authorization", "Bearer panics")];
        while ask(&server.router, "DELETE", answer.header("location"), &key, "").await.status
            != StatusCode::NOT_FOUND
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, gone).await.expect("in time");
    let mut other = Publisher::new();
    other.publish(&server.router, "lecture").await;
    other.send(true, false).await;
    while !matches!(server.seen().await, Seen::Tag(Tag::Video { .. })) {}
}
