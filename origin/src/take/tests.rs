//! What a take promises: tracks are gathered, periods begin when they must, and nothing an encoder
//! may legally send stops it.

use super::*;
use crate::ingest::h264::tests::{SPS_BASELINE_180P, SPS_HIGH_720P, record};

const T0_MS: u64 = 1_795_000_000_000;

struct Rig {
    take: Take,
    out: Vec<Output>,
}

impl Rig {
    fn new() -> Self {
        let grid = SegmentGrid::new(2_000);
        let from = Continuation { next_period: 7, next_sequence: 40, grid, floor_ms: 0 };
        Self { take: Take::new(UtcTime::from_millis(T0_MS), 3, from), out: Vec::new() }
    }

    fn push_at(&mut self, arrived_ms: u64, tag: Tag) {
        let arrived = UtcTime::from_millis(T0_MS + arrived_ms);
        self.take.push(tag, arrived, &mut self.out).expect("packaged");
    }

    /// A picture and the sound of its 40 ms, as an encoder sends them: arriving when they are due.
    fn run(&mut self, from_ms: u32, to_ms: u32, keyframe_every_ms: u32) {
        for ms in (from_ms..to_ms).step_by(40) {
            self.push_at(ms.into(), video(ms, ms % keyframe_every_ms == 0));
            self.push_at(ms.into(), audio(ms));
            self.push_at(ms.into(), audio(ms + 21));
        }
    }

    fn catalogs(&self) -> Vec<&Catalog> {
        let mut catalogs = Vec::new();
        for output in &self.out {
            if let Output::Catalog(catalog) = output {
                catalogs.push(&**catalog);
            }
        }
        catalogs
    }

    fn chunks(&self, lane: Lane) -> Vec<&Packaged> {
        let mut chunks = Vec::new();
        for output in &self.out {
            if let Output::Chunk(chunk) = output {
                chunks.push(chunk);
            }
        }
        chunks.retain(|chunk| chunk.lane == lane);
        chunks
    }
}

fn video_config(sps: &[u8]) -> Tag {
    Tag::VideoConfig { avcc: record(sps, 3).into() }
}

/// AAC-LC, 48 kHz, stereo.
fn audio_config() -> Tag {
    let raw = Bytes::from_static(&[0x11, 0x90]);
    Tag::AudioConfig { asc: AudioSpecificConfig::parse(raw).expect("valid") }
}

fn video(timestamp_ms: u32, keyframe: bool) -> Tag {
    let data = Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x88]);
    Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data }
}

/// An access unit that no decoder understands: it becomes silence, which takes as long.
fn audio(timestamp_ms: u32) -> Tag {
    Tag::Audio { timestamp_ms, data: Bytes::from_static(&[0xff; 8]) }
}

#[test]
fn both_tracks_are_in_the_first_catalog_whichever_header_comes_first() {
    for swap in [false, true] {
        let mut rig = Rig::new();
        let mut headers =
            [(video_config(&SPS_HIGH_720P), video(0, true)), (audio_config(), audio(0))];
        if swap {
            headers.reverse();
        }
        for (header, first) in headers {
            rig.push_at(0, header);
            rig.push_at(0, first);
        }
        rig.run(40, 1_000, 2_000);
        let catalogs = rig.catalogs();
        assert_eq!(catalogs.len(), 1);
        assert_eq!((catalogs[0].period.id, catalogs[0].period.take), (7, 3));
        assert_eq!((catalogs[0].video[0].width, catalogs[0].video[0].height), (1280, 720));
        let names: Vec<_> = catalogs[0].audio.iter().map(|track| track.name.as_str()).collect();
        assert_eq!(names, ["audio/opus", "audio/aac"]);
        assert_eq!(rig.chunks(Lane::Video)[0].time, MediaTime::from_millis(0), "nothing was lost");
        assert!(!rig.chunks(Lane::Opus).is_empty());
        assert!(!rig.chunks(Lane::Aac).is_empty());
    }
}

#[test]
fn opus_is_carried_as_it_comes_and_stands_alone() {
    let mut rig = Rig::new();
    let packet = Bytes::from_static(&[0xfc, 1, 2, 3]);
    let sound = |ms| Tag::Audio { timestamp_ms: ms, data: packet.clone() };
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, Tag::OpusConfig { channels: 2 });
    for ms in (0..2_000).step_by(20) {
        if ms % 40 == 0 {
            rig.push_at(ms.into(), video(ms, ms == 0));
        }
        rig.push_at(ms.into(), sound(ms));
    }
    // Said again, as with every new connection of a publisher: nothing changed.
    rig.push_at(2_000, Tag::OpusConfig { channels: 2 });
    let catalogs = rig.catalogs();
    assert_eq!(catalogs.len(), 1);
    let names: Vec<_> = catalogs[0].audio.iter().map(|track| track.name.as_str()).collect();
    assert_eq!(names, ["audio/opus"]);
    assert_eq!(catalogs[0].audio[0].channels, 2);
    assert!(rig.chunks(Lane::Aac).is_empty());
    let chunks = rig.chunks(Lane::Opus);
    assert!(chunks.len() > 90, "{}", chunks.len());
    for chunk in chunks {
        let read = cmaf::read_chunk(chunk.bytes.clone(), Timescale::OPUS).expect("own chunk");
        assert_eq!(read.frames[0].data, packet);
    }
}

#[test]
fn a_broadcast_with_one_track_begins_once_the_other_can_no_longer_be_expected() {
    let mut stated = Rig::new();
    stated.push_at(0, Tag::Metadata(Metadata { has_audio: Some(false), ..Metadata::default() }));
    stated.push_at(0, video_config(&SPS_HIGH_720P));
    stated.push_at(0, video(0, true));
    stated.push_at(300, video(300, false));
    assert_eq!(stated.catalogs().len(), 1, "the encoder said that there is no audio");

    let mut waited = Rig::new();
    waited.push_at(0, audio_config());
    for ms in (0..990).step_by(21) {
        waited.push_at(ms, audio(ms as u32));
    }
    assert!(waited.catalogs().is_empty());
    waited.push_at(1_000, audio(1_000));
    let catalogs = waited.catalogs();
    assert_eq!((catalogs[0].video.len(), catalogs[0].audio.len()), (0, 2));
    assert!(waited.chunks(Lane::Opus).len() >= 45, "what was held is published");
}

#[test]
fn a_track_that_comes_late_begins_a_period_at_the_next_keyframe() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    for ms in (0..3_000u32).step_by(40) {
        rig.push_at(ms.into(), video(ms, ms % 2_000 == 0));
    }
    rig.push_at(3_000, audio_config());
    rig.run(3_000, 4_200, 2_000);
    let catalogs = rig.catalogs();
    let described: Vec<_> =
        catalogs.iter().map(|catalog| (catalog.period.start_ms, catalog.audio.len())).collect();
    assert_eq!(described, [(0, 0), (4_000, 2)]);
}

#[test]
fn new_parameters_begin_a_period_and_repeated_ones_do_not() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, audio_config());
    rig.run(0, 2_000, 2_000);
    rig.push_at(2_000, video_config(&SPS_HIGH_720P));
    rig.run(2_000, 4_000, 2_000);
    assert_eq!(rig.catalogs().len(), 1);
    rig.push_at(4_000, video_config(&SPS_BASELINE_180P));
    rig.run(4_000, 5_000, 2_000);
    let catalogs = rig.catalogs();
    assert_eq!(catalogs.len(), 2);
    assert_eq!((catalogs[1].period.id, catalogs[1].video[0].width), (8, 320));
    let last = rig.chunks(Lane::Video);
    assert!(last.iter().any(|chunk| chunk.group.period == 8 && chunk.group.index == 0));
}

#[test]
fn long_groups_begin_a_period_whose_grid_covers_them() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, audio_config());
    rig.run(0, 18_000, 8_000);
    let grids: Vec<_> =
        rig.catalogs().iter().map(|catalog| catalog.period.grid.duration_ms()).collect();
    assert_eq!(grids, [2_000, 8_000]);
    assert_eq!(rig.take.grid().duration_ms(), 8_000, "the next take begins with it");
}

#[test]
fn segments_are_counted_on_over_periods_and_takes() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, audio_config());
    rig.run(0, 6_040, 2_000);
    // Segments 0 to 3 on a grid of two seconds; then one that covers groups of five.
    rig.run(6_040, 17_040, 5_500);
    let periods: Vec<_> = rig.catalogs().iter().map(|catalog| catalog.period).collect();
    assert_eq!((periods.len(), periods[0].sequence), (2, 40));
    let sequences = |period: &Period| {
        let mut groups = rig.chunks(Lane::Video);
        groups.retain(|chunk| chunk.group.period == period.id);
        groups.dedup_by_key(|chunk| chunk.group);
        let mut sequences: Vec<_> =
            groups.iter().map(|chunk| period.sequence_of(period.grid.number(chunk.time))).collect();
        sequences.dedup();
        sequences
    };
    let mut all = sequences(&periods[0]);
    all.extend(sequences(&periods[1]));
    let end = 40 + all.len() as u64;
    assert_eq!(all, (40..end).collect::<Vec<_>>(), "none is skipped and none given twice");
    assert_eq!(rig.take.next_sequence(), end);
}

#[test]
fn viewers_learn_of_b_frames_from_the_first_that_is_shown_out_of_order() {
    let mut rig = Rig::new();
    rig.push_at(0, Tag::Metadata(Metadata { has_audio: Some(false), ..Metadata::default() }));
    rig.push_at(0, video_config(&SPS_BASELINE_180P));
    rig.push_at(0, video(0, true));
    let picture = |timestamp_ms, composition_ms| Tag::Video {
        timestamp_ms,
        composition_ms,
        keyframe: false,
        data: Bytes::from_static(&[0, 0, 0, 1, 0x41]),
    };
    // All pictures shown 80 ms after they are decoded: later, but in order.
    for ms in (40..480).step_by(40) {
        rig.push_at(ms.into(), picture(ms, 80));
    }
    assert_eq!(rig.catalogs().len(), 1);
    rig.push_at(480, picture(480, 0));
    let reordered: Vec<_> =
        rig.catalogs().iter().map(|catalog| catalog.video[0].reordered).collect();
    assert_eq!(reordered, [false, true]);
    // Another configuration, such as that of the same source mended, is judged by its own pictures.
    let mut other = SPS_BASELINE_180P;
    other[3] += 1;
    rig.push_at(520, video_config(&other));
    rig.push_at(520, video(520, true));
    assert!(!rig.catalogs().last().expect("a period").video[0].reordered);
}

#[test]
fn frames_without_a_header_are_dropped_and_counted() {
    let mut rig = Rig::new();
    rig.push_at(0, video(0, true));
    rig.push_at(0, audio(0));
    rig.push_at(1_000, video(1_000, true));
    assert!(rig.out.is_empty());
    let expect = Dropped { undecodable: 2, audio: 1, clock_jumps: 0 };
    assert_eq!(rig.take.take_dropped(), expect);
}

#[test]
fn a_jump_of_the_source_leaves_the_timeline_whole() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, audio_config());
    rig.run(0, 2_000, 1_000);
    for n in 0..50u32 {
        let arrived = 2_000 + u64::from(n) * 40;
        rig.push_at(arrived, video(900_000 + n * 40, n % 25 == 0));
        rig.push_at(arrived, audio(900_000 + n * 40));
    }
    assert_eq!(rig.take.take_dropped().clock_jumps, 1);
    let times: Vec<_> = rig.chunks(Lane::Video).iter().map(|chunk| chunk.time).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(times.last().map(|time| time.as_micros()), Some(3_960_000));
}

#[test]
fn the_end_publishes_what_was_held_and_says_how_it_ended() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    rig.push_at(0, audio_config());
    rig.run(0, 440, 2_000);
    let before = rig.chunks(Lane::Aac).len();
    rig.take.end(true, &mut rig.out).expect("packaged");
    assert_eq!(rig.chunks(Lane::Aac).len(), before + 1);
    assert_eq!(rig.catalogs().last().map(|catalog| catalog.state), Some(PublisherState::Ended));
}

#[test]
fn an_encoder_faster_than_time_is_told_so() {
    let mut rig = Rig::new();
    rig.push_at(0, video_config(&SPS_HIGH_720P));
    let arrived = |n: u64| UtcTime::from_millis(T0_MS + n);
    let pushed = (0..2_000u32).try_for_each(|n| {
        rig.take.push(video(n * 33, n % 30 == 0), arrived(n.into()), &mut rig.out)
    });
    let error = pushed.expect_err("66 s of video in 2 s").to_string();
    assert!(error.contains("real time"), "{error}");
}
