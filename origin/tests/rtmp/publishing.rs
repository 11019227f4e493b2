//! Who may publish, when media is taken, and how a publication ends.

use lectern_origin::ingest::flv::Tag;
use lectern_origin::ingest::rtmp::Config;
use rml_amf0::Amf0Value;
use rml_rtmp::messages::{RtmpMessage, UserControlEventType};
use rml_rtmp::time::RtmpTimestamp;

use crate::support::*;

#[tokio::test]
async fn an_unknown_key_is_refused_in_words_before_any_media() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.command("publish", Amf0Value::Null, vec![text("guess"), text("live")]).await;
    encoder.video(0, &video_config()).await;
    let (code, description) = encoder.status().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(description.contains("stream key is not known"), "{description}");
    assert!(!description.contains("guess"));
    drop(encoder);
    assert_eq!(count(&origin.metrics.publishes, "unknown_key"), 1);
    assert!(origin.saw_nothing_more());
}

#[tokio::test]
async fn a_refusal_for_another_reason_says_it() {
    let origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.command("publish", Amf0Value::Null, vec![text("busy"), text("live")]).await;
    let expect = ("NetStream.Publish.Failed".into(), "The origin is draining.".into());
    assert_eq!(encoder.status().await, expect);
}

#[tokio::test]
async fn a_missing_key_or_application_is_refused_in_words() {
    let origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.command("publish", Amf0Value::Null, vec![text("?a=b"), text("live")]).await;
    let (code, description) = encoder.status().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(description.contains("missing"), "{description}");
    encoder.closed().await;

    let mut encoder = Encoder::connect(&origin).await;
    let (_, information) = encoder.connect_app("").await;
    assert_eq!(property(&information, "code"), "NetConnection.Connect.Rejected");
    encoder.closed().await;
}

#[tokio::test]
async fn media_before_the_key_ends_the_connection() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.video(0, &video_config()).await;
    encoder.closed().await;
    assert_eq!(count(&origin.metrics.bad_input, "media_before_publish"), 1);
    assert!(origin.saw_nothing_more());
}

#[tokio::test]
async fn parameters_behind_the_key_are_left_out() {
    let mut origin = Origin::start().await;
    let _encoder = Encoder::publishing(&origin, "lecture?vhost=a&token=b").await;
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });
}

#[tokio::test]
async fn the_answer_to_connect_offers_enhanced_rtmp() {
    let origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    let (properties, information) = encoder.connect_app("live").await;
    assert_eq!(property(&information, "code"), "NetConnection.Connect.Success");
    let Amf0Value::Object(properties) = properties else { panic!("{properties:?}") };
    assert_eq!(properties["fourCcList"], Amf0Value::StrictArray(vec![text("avc1"), text("mp4a")]));
    assert_eq!(properties["capsEx"], Amf0Value::Number(0.0));
}

#[tokio::test]
async fn the_sequence_of_obs_is_answered_step_by_step() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.command("releaseStream", Amf0Value::Null, vec![text("lecture")]).await;
    encoder.answer().await;
    encoder.command("FCPublish", Amf0Value::Null, vec![text("lecture")]).await;
    encoder.answer().await;
    encoder.command("createStream", Amf0Value::Null, vec![]).await;
    assert_eq!(encoder.answer().await.1, Amf0Value::Number(1.0));
    encoder.command("_checkbw", Amf0Value::Null, vec![]).await;
    encoder.answer().await;
    encoder.command("somethingNobodyKnows", Amf0Value::Null, vec![]).await;
    assert_eq!(encoder.publish("lecture").await, "NetStream.Publish.Start");
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });

    encoder.audio(0, &AUDIO_CONFIG).await;
    assert!(matches!(origin.tag().await, Tag::AudioConfig { .. }));
    encoder.command("FCUnpublish", Amf0Value::Null, vec![text("lecture")]).await;
    encoder.command("deleteStream", Amf0Value::Null, vec![Amf0Value::Number(1.0)]).await;
    assert_eq!(encoder.status().await.0, "NetStream.Unpublish.Success");
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: true });
}

#[tokio::test]
async fn an_encoder_that_goes_away_has_not_ended_cleanly() {
    let mut origin = Origin::start().await;
    let encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    drop(encoder);
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
}

#[tokio::test]
async fn an_encoder_may_publish_again_on_the_same_connection() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    encoder.command("deleteStream", Amf0Value::Null, vec![Amf0Value::Number(9.0)]).await;
    encoder.command("closeStream", Amf0Value::Null, vec![]).await;
    assert_eq!(encoder.status().await.0, "NetStream.Unpublish.Success");
    assert_eq!(encoder.publish("lecture").await, "NetStream.Publish.Start");
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: true });
    assert_eq!(origin.seen().await, Seen::Claimed { take: 1 });
}

#[tokio::test]
async fn the_newest_publisher_wins_and_the_older_is_told() {
    let mut origin = Origin::start().await;
    let mut older = Encoder::publishing(&origin, "lecture").await;
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });
    let mut newer = Encoder::publishing(&origin, "lecture").await;
    assert_eq!(origin.seen().await, Seen::Claimed { take: 1 });
    let (code, description) = older.status().await;
    assert_eq!(code, "NetStream.Publish.BadName");
    assert!(description.contains("Another encoder took over"), "{description}");
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
    older.closed().await;
    newer.audio(0, &AUDIO_CONFIG).await;
    assert!(matches!(origin.seen().await, Seen::Tag { take: 1, .. }));
}

#[tokio::test]
async fn a_take_that_wants_no_more_ends_the_connection_with_its_reason() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "unacceptable").await;
    origin.seen().await;
    encoder.video(0, &video_config()).await;
    let expect = ("NetStream.Publish.Failed".into(), "Too wide a picture.".into());
    assert_eq!(encoder.status().await, expect);
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
}

#[tokio::test]
async fn playing_is_refused_and_publishing_still_possible() {
    let origin = Origin::start().await;
    let mut encoder = Encoder::connect(&origin).await;
    encoder.connect_app("live").await;
    encoder.command("play", Amf0Value::Null, vec![text("lecture")]).await;
    assert_eq!(encoder.status().await.0, "NetStream.Play.Failed");
    assert_eq!(encoder.publish("lecture").await, "NetStream.Publish.Start");
}

#[tokio::test]
async fn a_ping_is_answered_with_its_own_time() {
    let origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    let ping = |event_type| RtmpMessage::UserControl {
        event_type,
        stream_id: None,
        buffer_length: None,
        timestamp: Some(RtmpTimestamp::new(1234)),
    };
    encoder.send(ping(UserControlEventType::PingRequest), 0, 0).await;
    assert_eq!(encoder.receive().await, Some(ping(UserControlEventType::PingResponse)));
}

#[tokio::test]
async fn bytes_are_acknowledged_once_a_window() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    encoder.send(RtmpMessage::WindowAcknowledgement { size: 100_000 }, 0, 0).await;
    encoder.video(0, &video_config()).await;
    encoder.video(0, &picture(true, 150_000)).await;
    let Some(RtmpMessage::Acknowledgement { sequence_number }) = encoder.receive().await else {
        panic!("an acknowledgement was expected");
    };
    assert!((100_000..160_000).contains(&sequence_number), "{sequence_number}");
    origin.seen().await;
    origin.tag().await;
    origin.tag().await;
}

#[tokio::test]
async fn shutting_down_tells_every_encoder() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    origin.begin_shutdown();
    let (code, description) = encoder.status().await;
    assert_eq!(code, "NetStream.Publish.Failed");
    assert!(description.contains("restarting"), "{description}");
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
    drop(encoder);
    origin.shut_down().await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_and_counted() {
    let config = Config { connections_max: 1, connections_per_address_max: 1 };
    let origin = Origin::with_config(config).await;
    let _first = Encoder::connect(&origin).await;
    let mut second = tokio::net::TcpStream::connect(origin.address).await.unwrap();
    let read = within(tokio::io::AsyncReadExt::read(&mut second, &mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(count(&origin.metrics.connections_refused, "total"), 1);
    assert_eq!(origin.metrics.connections.get(), 1);
}
