//! What the media of a session promises: parameter sets before pictures, nothing undecodable, keyframes
//! in time.

use super::*;
use crate::ingest::h264::ParameterSets;
use crate::ingest::h264::tests::{SPS_BASELINE_180P, SPS_HIGH_720P};

const PPS: [u8; 4] = [0x68, 0xee, 0x3c, 0x80];

struct Rig {
    media: Media,
    start: Instant,
    number: u64,
    made: Vec<Made>,
    asked: Vec<u64>,
}

impl Rig {
    fn new(video: Video) -> Self {
        Self {
            media: Media::new(Chosen { video: Some(video), audio: true }),
            start: Instant::now(),
            number: 0,
            made: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// One picture in one packet that comes at `ms`, when it was captured.
    fn picture(&mut self, ms: u64, payload: &[u8]) {
        self.number += 1;
        self.media.push(Received {
            kind: Kind::Video,
            number: self.number,
            ticks: ms * 90,
            marker: true,
            payload: payload.into(),
        });
        self.run(ms);
    }

    fn run(&mut self, ms: u64) {
        let now = self.start + Duration::from_millis(ms);
        self.media.drain(now, UtcTime::from_millis(5_000 + ms), &mut self.made);
        if self.media.asks_for_keyframe(now) {
            self.asked.push(ms);
        }
    }

    fn keyframe(&mut self, ms: u64, sps: &[u8]) {
        let mut packet = vec![0x78];
        for unit in [sps, &PPS, &[0x65, 0x88, 0x80]] {
            packet.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            packet.extend_from_slice(unit);
        }
        self.picture(ms, &packet);
    }

    fn take(&mut self) -> Vec<Made> {
        std::mem::take(&mut self.made)
    }
}

fn video(timestamp_ms: u32, keyframe: bool, data: &'static [u8]) -> Made {
    let data = Bytes::from_static(data);
    Made::Tag(Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data })
}

#[test]
fn parameter_sets_come_before_the_pictures_and_again_when_they_change() {
    let mut rig = Rig::new(Video::H264);
    rig.keyframe(0, &SPS_BASELINE_180P);
    rig.picture(33, &[0x41, 0x9a]);
    rig.keyframe(66, &SPS_BASELINE_180P);
    let made = rig.take();
    let [Made::Tag(Tag::VideoConfig { avcc }), rest @ ..] = &made[..] else { panic!("{made:?}") };
    assert_eq!(ParameterSets::from_avcc(avcc).expect("valid").width, 320);
    let expect = [
        video(5_000, true, &[0, 0, 0, 3, 0x65, 0x88, 0x80]),
        video(5_033, false, &[0, 0, 0, 2, 0x41, 0x9a]),
        video(5_066, true, &[0, 0, 0, 3, 0x65, 0x88, 0x80]),
    ];
    assert_eq!(rest, expect);
    rig.keyframe(100, &SPS_HIGH_720P);
    let made = rig.take();
    let [Made::Tag(Tag::VideoConfig { avcc }), _] = &made[..] else { panic!("{made:?}") };
    assert_eq!(ParameterSets::from_avcc(avcc).expect("valid").width, 1280);
}

#[test]
fn what_depends_on_a_lost_picture_is_left_out_and_a_keyframe_asked_for_at_once() {
    let mut rig = Rig::new(Video::H264);
    rig.keyframe(0, &SPS_BASELINE_180P);
    rig.take();
    rig.number += 1;
    for ms in (33..400).step_by(33) {
        rig.picture(ms, &[0x41, 0x9a]);
    }
    assert_eq!(rig.take(), []);
    assert_eq!(rig.asked.len(), 1);
    assert!(rig.asked[0] >= 33 + 250 && rig.asked[0] < 400, "{:?}", rig.asked);
    rig.run(rig.asked[0] + 400);
    assert_eq!(rig.asked.len(), 2, "and again");
    rig.keyframe(900, &SPS_BASELINE_180P);
    assert_eq!(rig.take().len(), 1);
    rig.run(1_400);
    assert_eq!(rig.asked.len(), 2);
    assert_eq!(rig.media.take_left().lost, 1);
}

#[test]
fn keyframes_are_asked_for_on_a_grid_whatever_the_answer_takes() {
    let mut rig = Rig::new(Video::H264);
    rig.keyframe(0, &SPS_BASELINE_180P);
    let mut answer = None;
    for ms in 1..60_000 {
        let before = rig.asked.len();
        rig.run(ms);
        if rig.asked.len() > before {
            answer = Some(ms + 70);
        }
        if answer == Some(ms) {
            rig.keyframe(ms, &SPS_BASELINE_180P);
        }
    }
    let expect: Vec<_> = (0..30).map(|n| 1_500 + n * 2_000).collect();
    assert_eq!(rig.asked, expect);
}

#[test]
fn a_keyframe_out_of_turn_makes_no_group_longer() {
    // As where a browser changes the size of its picture.
    for odd in (100..4_000).step_by(300) {
        let mut rig = Rig::new(Video::H264);
        let mut keyframes = vec![0];
        rig.keyframe(0, &SPS_BASELINE_180P);
        let mut answer = None;
        for ms in 1..12_000 {
            let before = rig.asked.len();
            rig.run(ms);
            if rig.asked.len() > before {
                answer = Some(ms + 30);
            }
            if answer == Some(ms) || ms == odd {
                rig.keyframe(ms, &SPS_BASELINE_180P);
                keyframes.push(ms);
            }
        }
        let longest = keyframes.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(2_000), "{odd}: {keyframes:?}");
    }
}

#[test]
fn what_viewers_cannot_be_given_goes_to_be_re_encoded() {
    let mut rig = Rig::new(Video::Vp8);
    rig.picture(0, &[0x10, 0x11]);
    rig.picture(33, &[0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0xe0, 1]);
    rig.picture(66, &[0x10, 0x11]);
    let made = rig.take();
    let coded: Vec<_> = made
        .iter()
        .map(|made| match made {
            Made::Coded(coded) => (coded.timestamp_ms, coded.keyframe, coded.setup.len()),
            Made::Tag(_) => panic!("{made:?}"),
        })
        .collect();
    assert_eq!(coded, [(5_033, true, 4), (5_066, false, 0)]);
    assert!(rig.asked.is_empty());
}

#[test]
fn a_publisher_that_begins_in_the_middle_is_asked_for_a_keyframe() {
    let mut rig = Rig::new(Video::H264);
    for ms in (0..1_000).step_by(50) {
        rig.picture(ms, &[0x41, 0x9a]);
    }
    assert_eq!(rig.take(), []);
    assert_eq!(rig.asked, [400, 800]);
}

#[test]
fn sound_is_described_once_and_goes_on_its_way() {
    let mut rig = Rig::new(Video::H264);
    for number in 0..3 {
        rig.media.push(Received {
            kind: Kind::Audio,
            number,
            ticks: number * 960,
            marker: false,
            payload: [0xfc, 1].into(),
        });
        rig.run(number * 20);
    }
    let data = Bytes::from_static(&[0xfc, 1]);
    let sound = |timestamp_ms| Made::Tag(Tag::Audio { timestamp_ms, data: data.clone() });
    let expect =
        [Made::Tag(Tag::OpusConfig { channels: 2 }), sound(5_000), sound(5_020), sound(5_040)];
    assert_eq!(rig.take(), expect);
}
