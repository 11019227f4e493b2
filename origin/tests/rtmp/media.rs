//! What becomes of the media that an accepted encoder sends.

use std::time::SystemTime;

use lectern_origin::ingest::flv::Tag;
use lectern_relay_proto::UtcTime;
use rml_amf0::Amf0Value;

use crate::support::*;

/// A chunk with a full header on message stream 1.
fn chunk(id: u8, time: u32, length: usize, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut chunk = vec![id];
    chunk.extend_from_slice(&time.to_be_bytes()[1..]);
    chunk.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    chunk.push(kind);
    chunk.extend_from_slice(&1_u32.to_le_bytes());
    chunk.extend_from_slice(payload);
    chunk
}

#[tokio::test]
async fn audio_between_the_chunks_of_a_picture_arrives_beside_it() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    encoder.video(0, &video_config()).await;
    encoder.audio(0, &AUDIO_CONFIG).await;
    origin.tag().await;
    origin.tag().await;

    let picture = picture(true, 300);
    let audio = [0xaf, 1, 9, 9, 9];
    let interleaved = [
        chunk(10, 40, picture.len(), 9, &picture[..128]),
        chunk(11, 23, audio.len(), 8, &audio),
        [&[0xc0 | 10], &picture[128..256]].concat(),
        [&[0xc0 | 10], &picture[256..]].concat(),
    ];
    encoder.send_bytes(&interleaved.concat()).await;
    assert_eq!(
        origin.tag().await,
        Tag::Audio { timestamp_ms: 23, data: audio[2..].to_vec().into() }
    );
    let expect = Tag::Video {
        timestamp_ms: 40,
        composition_ms: 80,
        keyframe: true,
        data: picture[5..].to_vec().into(),
    };
    assert_eq!(origin.tag().await, expect);
}

#[tokio::test]
async fn tags_carry_the_instant_of_their_arrival() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    let before: UtcTime = SystemTime::now().into();
    encoder.audio(0, &AUDIO_CONFIG).await;
    let Seen::Tag { arrived, .. } = origin.seen().await else { panic!("a tag was expected") };
    assert!(before <= arrived && arrived <= SystemTime::now().into());
}

#[tokio::test]
async fn metadata_is_handed_on_and_unreadable_metadata_left_out() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    // A date, which the parser lacks.
    encoder.send_body(18, vec![2, 0, 1, b'x', 0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await;
    let properties = [("width".to_owned(), Amf0Value::Number(1280.0))];
    let on_meta_data =
        vec![text("@setDataFrame"), text("onMetaData"), Amf0Value::Object(properties.into())];
    encoder.send_body(18, rml_amf0::serialize(&on_meta_data).unwrap()).await;
    let Tag::Metadata(metadata) = origin.tag().await else { panic!("metadata was expected") };
    assert_eq!(metadata.width, Some(1280.0));
    assert_eq!(count(&origin.metrics.bad_input, "data"), 1);
}

#[tokio::test]
async fn a_picture_before_its_configuration_is_left_out_and_the_next_ones_taken() {
    let mut origin = Origin::start().await;
    let mut encoder = Encoder::publishing(&origin, "lecture").await;
    origin.seen().await;
    encoder.video(0, &picture(true, 50)).await;
    encoder.audio(0, &[0xaf, 1, 9]).await;
    encoder.video(0, &video_config()).await;
    encoder.video(40, &picture(true, 50)).await;
    assert!(matches!(origin.tag().await, Tag::VideoConfig { .. }));
    assert!(matches!(origin.tag().await, Tag::Video { timestamp_ms: 40, .. }));
    assert_eq!(count(&origin.metrics.bad_input, "video_before_config"), 1);
    assert_eq!(count(&origin.metrics.bad_input, "audio_before_config"), 1);
}

#[tokio::test]
async fn a_codec_that_cannot_be_served_is_refused_by_name() {
    let check = async |video: bool, body: &[u8], expect: &str, reason: &str| {
        let mut origin = Origin::start().await;
        let mut encoder = Encoder::publishing(&origin, "lecture").await;
        match video {
            true => encoder.video(0, body).await,
            false => encoder.audio(0, body).await,
        }
        // More of it is under way when the server decides; the words must arrive all the same.
        encoder.video(40, &picture(true, 100_000)).await;
        let (code, description) = encoder.status().await;
        assert_eq!(code, "NetStream.Publish.Failed");
        assert_eq!(description, expect);
        assert_eq!(count(&origin.metrics.bad_input, reason), 1);
        origin.seen().await;
        assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: false });
    };
    let hevc = b"\x90hvc1\x01\x02";
    check(true, hevc, "This encoder sends HEVC; choose H.264.", "unsupported_video").await;
    let mp3 = b"\x2f\xff\xfb";
    check(false, mp3, "This encoder sends MP3; choose AAC.", "unsupported_audio").await;
}
