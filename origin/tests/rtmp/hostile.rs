//! What strangers may send, and what it must not do.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// Sends what is hostile, and looks whether the server closes, counts, and lives.
async fn check(reason: &str, publishing: bool, attack: impl AsyncFnOnce(&mut Encoder)) {
    let origin = Origin::start().await;
    let mut neighbour = Encoder::publishing(&origin, "seminar").await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    if publishing {
        encoder.publish("lecture").await;
    }
    attack(&mut encoder).await;
    encoder.closed().await;
    assert_eq!(count(&origin.metrics.bad_input, reason), 1, "{reason}");
    assert_eq!(origin.metrics.panics.get(), 0);
    neighbour.command("FCUnpublish", rml_amf0::Amf0Value::Null, vec![]).await;
    assert_eq!(neighbour.status().await.0, "NetStream.Unpublish.Success");
}

#[tokio::test]
async fn bodies_that_break_the_parser_end_one_connection() {
    const COMMAND: u8 = 20;
    const DATA: u8 = 18;
    let arrays = [0x0a, 0, 0, 0, 1].repeat(13_000);
    check("message_body", false, async |encoder| encoder.send_body(COMMAND, arrays).await).await;
    let objects = [3, 0, 1, b'a'].repeat(16_000);
    check("message_body", false, async |encoder| encoder.send_body(COMMAND, objects).await).await;
    let end = b"\x02\x00\x0d@setDataFrame\x09".to_vec();
    check("message_body", false, async |encoder| encoder.send_body(COMMAND, end).await).await;
    let nothing = vec![5];
    check("message_body", false, async |encoder| encoder.send_body(COMMAND, nothing).await).await;
    let arrays = [0x0a, 0, 0, 0, 1].repeat(13_000);
    check("message_body", true, async |encoder| encoder.send_body(DATA, arrays).await).await;
    // Nested twenty thousand deep, it is too long to be looked at.
    let arrays = [0x0a, 0, 0, 0, 1].repeat(20_000);
    check("chunk_stream", false, async |encoder| encoder.send_body(COMMAND, arrays).await).await;
}

#[tokio::test]
async fn an_empty_command_ends_one_connection() {
    // The serializer writes nothing for an empty body, so its header is written here.
    let empty = [9, 0, 0, 0, 0, 0, 0, 20, 1, 0, 0, 0];
    check("message_body", false, async |encoder| encoder.send_bytes(&empty).await).await;
}

#[tokio::test]
async fn a_data_frame_that_ends_at_once_is_left_out() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    encoder.send_body(18, b"\x02\x00\x0d@setDataFrame\x09".to_vec()).await;
    encoder.audio(0, &AUDIO_CONFIG).await;
    origin.tag().await;
    assert_eq!(count(&origin.metrics.bad_input, "data"), 1);
    assert_eq!(origin.metrics.panics.get(), 0);
}

#[tokio::test]
async fn an_oversized_message_ends_one_connection_by_its_header() {
    let header = [9, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
    check("chunk_stream", true, async |encoder| encoder.send_bytes(&header).await).await;
}

#[tokio::test]
async fn too_many_chunk_streams_end_one_connection() {
    let streams: Vec<u8> =
        (0..100).flat_map(|id| [0, id, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, 0, 7]).collect();
    check("chunk_stream", false, async |encoder| encoder.send_bytes(&streams).await).await;
}

#[tokio::test]
async fn what_is_not_rtmp_is_closed_and_counted() {
    let origin = Origin::start().await;
    for (at, garbage) in
        [b"GET / HTTP/1.1\r\n\r\n", &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..]]
            .iter()
            .enumerate()
    {
        let mut socket = TcpStream::connect(origin.address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        let _ = within(socket.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"");
        assert_eq!(count(&origin.metrics.bad_input, "handshake"), at as u64 + 1);
    }
}

#[tokio::test]
async fn a_connection_cut_anywhere_leaves_nothing_behind() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    encoder.video(0, &video_config()).await;
    origin.tag().await;
    encoder.send_bytes(&[9, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0, 0x17, 1]).await;
    drop(encoder);
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
    let metrics = origin.metrics.clone();
    origin.shut_down().await;
    assert_eq!(metrics.connections.get(), 0);
    assert_eq!(metrics.publishers.get(), 0);
    assert_eq!(count(&metrics.connections_ended, "by_encoder"), 1);
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_its_take_is_told() {
    let mut origin = Origin::start().await;
    let mut neighbour = Encoder::publishing(&origin, "lecture").await;
    let mut encoder = Encoder::publishing(&origin, "panics").await;
    origin.seen().await;
    origin.seen().await;
    encoder.audio(0, &AUDIO_CONFIG).await;
    encoder.closed().await;
    assert_eq!(origin.seen().await, Seen::Ended { take: 1, clean: false });
    neighbour.audio(0, &AUDIO_CONFIG).await;
    assert!(matches!(origin.seen().await, Seen::Tag { take: 0, .. }));
    let metrics = origin.metrics.clone();
    drop(neighbour);
    origin.shut_down().await;
    assert_eq!(metrics.panics.get(), 1);
    assert_eq!(metrics.connections.get(), 0);
}

#[tokio::test]
async fn an_encoder_that_does_not_read_its_answers_is_closed() {
    let mut origin = Origin::start().await;
    let encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    // Pings without end, whose answers nobody reads: first the sockets fill, then our bound.
    let (_unread, mut writer) = encoder.socket.into_split();
    let ping = [2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 1];
    let pings = ping.repeat(4096);
    within(async { while writer.write_all(&pings).await.is_ok() {} }).await;
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
    let metrics = origin.metrics.clone();
    origin.shut_down().await;
    assert_eq!(count(&metrics.connections_ended, "not_reading"), 1);
}
