use proptest::prelude::*;

use super::*;
use crate::ingest::h264::tests::{SPS_HIGH_720P, record};

fn config_tag(length_size_minus_one: u8) -> Vec<u8> {
    [&[0x17, 0, 0, 0, 0], &record(&SPS_HIGH_720P, length_size_minus_one)[..]].concat()
}

fn video(demuxer: &mut Demuxer, body: &[u8]) -> Result<Option<Tag>, Error> {
    demuxer.video(40, Bytes::copy_from_slice(body))
}

fn audio(demuxer: &mut Demuxer, body: &[u8]) -> Result<Option<Tag>, Error> {
    demuxer.audio(23, Bytes::copy_from_slice(body))
}

/// A demuxer that has seen both configurations.
fn configured(length_size_minus_one: u8) -> Demuxer {
    let mut demuxer = Demuxer::new();
    video(&mut demuxer, &config_tag(length_size_minus_one)).unwrap();
    audio(&mut demuxer, &[0xaf, 0, 0x12, 0x10]).unwrap();
    demuxer
}

fn picture(composition_ms: i32, keyframe: bool, data: &[u8]) -> Result<Option<Tag>, Error> {
    let data = Bytes::copy_from_slice(data);
    Ok(Some(Tag::Video { timestamp_ms: 40, composition_ms, keyframe, data }))
}

#[test]
fn legacy_h264_tags_are_read() {
    let mut demuxer = configured(3);
    let body = [0x17, 1, 0, 0, 80, 0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x06];
    assert_eq!(video(&mut demuxer, &body), picture(80, true, &body[5..]));
    let negative = [0x27, 1, 0xff, 0xff, 0xfe, 0, 0, 0, 1, 0x41];
    assert_eq!(video(&mut demuxer, &negative), picture(-2, false, &negative[5..]));
    assert_eq!(video(&mut demuxer, &[0x17, 2, 0, 0, 0]), Ok(Some(Tag::EndOfSequence)));
    assert_eq!(video(&mut demuxer, &[0x57, 0]), Ok(None), "a command frame");
    assert_eq!(video(&mut demuxer, &[]), Ok(None), "a sign of life");
}

#[test]
fn enhanced_h264_tags_are_read() {
    let mut demuxer = Demuxer::new();
    let avcc = record(&SPS_HIGH_720P, 3);
    let start = [b"\x90avc1", &avcc[..]].concat();
    let expect = Tag::VideoConfig { avcc: avcc.into() };
    assert_eq!(video(&mut demuxer, &start), Ok(Some(expect)));
    let nal = [0, 0, 0, 1, 0x65];
    let frames = [&b"\x91avc1\x00\x00\x50"[..], &nal].concat();
    assert_eq!(video(&mut demuxer, &frames), picture(80, true, &nal));
    let frames_x = [&b"\xa3avc1"[..], &nal].concat();
    assert_eq!(video(&mut demuxer, &frames_x), picture(0, false, &nal));
    assert_eq!(video(&mut demuxer, b"\x94avc1\x02\x00"), Ok(None), "colour information");
    assert_eq!(video(&mut demuxer, b"\x92avc1"), Ok(Some(Tag::EndOfSequence)));
}

#[test]
fn aac_tags_are_read_in_both_forms() {
    for (config, frame) in [
        (&[0xaf, 0, 0x12, 0x10][..], &[0xaf, 1, 7, 8][..]),
        (b"\x90mp4a\x12\x10", b"\x91mp4a\x07\x08"),
    ] {
        let mut demuxer = Demuxer::new();
        let Ok(Some(Tag::AudioConfig { asc })) = audio(&mut demuxer, config) else {
            panic!("a configuration was expected");
        };
        assert_eq!((asc.sample_rate, asc.channels), (44_100, 2));
        let expect = Tag::Audio { timestamp_ms: 23, data: Bytes::from_static(&[7, 8]) };
        assert_eq!(audio(&mut demuxer, frame), Ok(Some(expect)));
        assert_eq!(audio(&mut demuxer, &frame[..frame.len() - 2]), Ok(None), "an empty frame");
    }
}

#[test]
fn short_nal_lengths_are_widened_with_the_record_that_states_them() {
    let mut demuxer = Demuxer::new();
    let Ok(Some(Tag::VideoConfig { avcc })) = video(&mut demuxer, &config_tag(1)) else {
        panic!("a configuration was expected");
    };
    assert_eq!(avcc, record(&SPS_HIGH_720P, 3));
    let two = [0x17, 1, 0, 0, 0, 0, 2, 0x65, 1, 0, 1, 0x06];
    let widened = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x06];
    assert_eq!(video(&mut demuxer, &two), picture(0, true, &widened));

    let one = [0x17, 1, 0, 0, 0, 2, 0x65, 1, 1, 0x06];
    assert_eq!(video(&mut configured(0), &one), picture(0, true, &widened));
}

#[test]
fn nal_lengths_have_to_add_up() {
    let check = |data: &[u8], expect| {
        let body = [&[0x17, 1, 0, 0, 0], data].concat();
        assert_eq!(video(&mut configured(3), &body), Err(expect), "{data:02x?}");
    };
    check(&[], Error::NalLengths);
    check(&[0, 0, 0], Error::NalLengths);
    check(&[0, 0, 0, 2, 0x65], Error::NalLengths);
    check(&[0xff, 0xff, 0xff, 0xff, 0x65], Error::NalLengths);
    check(&[0, 0, 0, 0], Error::NalLengths);
    check(&[0, 0, 0, 1, 0x65, 0], Error::NalLengths);
    check(&[0, 0, 0, 1, 0x65].repeat(NAL_UNITS_MAX + 1), Error::TooManyNalUnits);
}

#[test]
fn media_before_its_configuration_is_named_and_not_fatal() {
    let mut demuxer = Demuxer::new();
    let before = video(&mut demuxer, &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65]).unwrap_err();
    assert_eq!(before, Error::VideoBeforeConfig);
    assert!(!before.is_fatal());
    assert_eq!(audio(&mut demuxer, &[0xaf, 1, 7]), Err(Error::AudioBeforeConfig));
}

#[test]
fn what_cannot_be_served_is_named_to_the_host() {
    let video_says = |body: &[u8], words: &str| {
        let error = video(&mut Demuxer::new(), body).unwrap_err();
        assert_eq!(error.to_string(), words);
        assert!(error.is_fatal());
    };
    video_says(b"\x90hvc1", "this encoder sends HEVC; choose H.264");
    video_says(b"\x1c\x00", "this encoder sends HEVC; choose H.264");
    video_says(b"\x91av01", "this encoder sends AV1; choose H.264");
    video_says(b"\x91vp09", "this encoder sends VP9; choose H.264");
    video_says(b"\x12", "this encoder sends Sorenson H.263; choose H.264");
    video_says(b"\x96\x00avc1", "this encoder sends several tracks at once; choose a single one");
    video_says(
        &[0x17, 0, 0, 0, 0, 9],
        "the video configuration cannot be used: \
        AVCDecoderConfigurationRecord is malformed",
    );
    let audio_says = |body: &[u8], words: &str| {
        let error = audio(&mut Demuxer::new(), body).unwrap_err();
        assert_eq!(error.to_string(), words);
        assert!(error.is_fatal());
    };
    audio_says(&[0x2f], "this encoder sends MP3; choose AAC");
    audio_says(&[0xbf], "this encoder sends Speex; choose AAC");
    audio_says(b"\x90Opus", "this encoder sends Opus; choose AAC");
    audio_says(&[0x95], "this encoder sends several tracks at once; choose a single one");
    audio_says(&[0xaf, 0, 0x0a, 0x10], "this encoder sends AAC audio object type 1; choose AAC-LC");
}

#[test]
fn a_tag_cut_anywhere_in_its_header_is_malformed_and_not_fatal() {
    for body in [&b"\x91avc1\x00\x00"[..], b"\x17\x01\x00\x00"] {
        for end in 1..body.len() {
            let error = video(&mut configured(3), &body[..end]).unwrap_err();
            assert_eq!(error, Error::Malformed, "{end}");
        }
    }
    assert_eq!(audio(&mut configured(3), b"\xaf"), Err(Error::Malformed));
    assert_eq!(audio(&mut configured(3), b"\x91mp"), Err(Error::Malformed));
}

proptest! {
    #[test]
    fn no_tag_panics_and_every_picture_adds_up(
        head in prop::sample::select(vec![
            &b"\x17\x01\x00\x00\x00"[..], b"\x91avc1\x00\x00\x00", b"\xa3avc1", b"\xaf\x01", b"",
        ]),
        rest in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..200),
        length_size_minus_one in prop::sample::select(vec![0, 1, 3_u8]),
    ) {
        let body = [head, &rest].concat();
        let mut demuxer = configured(length_size_minus_one);
        let _ = audio(&mut demuxer, &body);
        if let Ok(Some(Tag::Video { data, .. })) = video(&mut demuxer, &body) {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let length = rest.get_u32() as usize;
                prop_assert!(length > 0);
                rest.advance(length);
            }
        }
    }
}
