//! What the doctor promises whatever the rules: findings come and go once each, time may do what it
//! likes, and nothing grows.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ingest::aac::AudioSpecificConfig;
use crate::ingest::flv::Unsupported;
use crate::ingest::h264::tests::{SPS_BASELINE_180P, record};

const T0: UtcTime = UtcTime::from_millis(1_795_000_000_000);

fn at(ms: u64) -> UtcTime {
    T0 + Duration::from_millis(ms)
}

fn configs() -> [Tag; 2] {
    let asc = AudioSpecificConfig::parse(Bytes::from_static(&[0x11, 0x90])).expect("valid");
    [Tag::VideoConfig { avcc: record(&SPS_BASELINE_180P, 3).into() }, Tag::AudioConfig { asc }]
}

fn picture(ms: u64, keyframe: bool) -> Tag {
    let data = Bytes::from_static(&[0, 0, 0, 2, 0x41, 0x88]);
    Tag::Video { timestamp_ms: ms as u32, composition_ms: 0, keyframe, data }
}

fn sound(ms: u64) -> Tag {
    Tag::Audio { timestamp_ms: ms as u32, data: Bytes::from_static(&[0x21; 100]) }
}

/// A healthy stream that arrives when it is due, from one instant of media time to another.
fn run(doctor: &mut Doctor, from_ms: u64, to_ms: u64) {
    for n in from_ms / 40..to_ms / 40 {
        doctor.tag(&picture(n * 40, n % 50 == 0), at(n * 40));
        for unit in (n * 15).div_ceil(8)..((n + 1) * 15).div_ceil(8) {
            doctor.tag(&sound(unit * 64 / 3), at(n * 40));
        }
    }
}

fn begin() -> Doctor {
    let mut doctor = Doctor::new();
    doctor.begin(T0);
    configs().iter().for_each(|tag| doctor.tag(tag, T0));
    doctor
}

fn codes(doctor: &mut Doctor, now: UtcTime) -> Vec<&'static str> {
    doctor.report(now).findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_healthy_stream_is_measured_and_found_healthy() {
    let mut doctor = begin();
    run(&mut doctor, 0, 400_000);
    let report = doctor.report(at(400_000));
    assert_eq!(report.findings, []);
    assert_eq!(doctor.poll_change(), None);
    assert!(report.live);
    assert_eq!(report.history.len(), HISTORY_POINTS_MAX);
    let last = report.history.last().expect("points");
    assert_eq!((last.at_ms, last.fps), (at(400_000).as_millis(), 25));
    let video = report.figures.video.expect("seen");
    assert_eq!((video.codec.as_str(), video.profile), ("avc1.42c00c", "Constrained Baseline"));
    assert_eq!((video.width, video.height, video.level), (320, 180, 1.2));
    assert_eq!((video.frame_rate, video.bitrate_bps), (Some(25.0), Some(1_200)));
    assert_eq!(video.keyframe_interval_ms, Some(2_000));
    let audio = report.figures.audio.expect("seen");
    assert_eq!((audio.sample_rate, audio.channels, audio.profile), (48_000, 2, "AAC-LC"));
    assert_eq!(audio.peak_dbfs, None, "nobody decoded it");
}

#[test]
fn a_report_is_json_in_names_that_stay() {
    let mut doctor = begin();
    run(&mut doctor, 0, 3_200);
    doctor.level(Level { peak: 0.5, rms: 0.1, clipped: 0.0 });
    run(&mut doctor, 3_200, 4_000);
    doctor.refused(&Unsupported::Video("HEVC").into(), at(4_000));
    let json = serde_json::to_value(doctor.report(at(4_000))).expect("serialized");
    assert_eq!(json["figures"]["audio"]["peak_dbfs"], -6.0);
    assert_eq!(json["history"][0]["fps"], 25);
    let finding = &json["findings"][0];
    assert_eq!(finding["code"], "video-refused");
    assert_eq!(finding["severity"], "problem");
    assert_eq!(finding["params"]["codec"], "HEVC");
    assert_eq!(finding["since_ms"], at(4_000).as_millis());
}

#[test]
fn a_finding_appears_once_and_goes_once() {
    let mut doctor = begin();
    run(&mut doctor, 0, 5_000);
    // The sound stays away for ten seconds.
    for n in 125..375 {
        doctor.tag(&picture(n * 40, n % 50 == 0), at(n * 40));
    }
    run(&mut doctor, 15_000, 30_000);
    let changes: Vec<_> = std::iter::from_fn(|| doctor.poll_change()).collect();
    let [Change::Appeared(appeared), Change::Gone(gone)] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((appeared.code, gone.code), (code::AUDIO_STOPPED, code::AUDIO_STOPPED));
    assert_eq!(appeared.since_ms, at(6_000).as_millis());
}

#[test]
fn silence_is_noticed_by_the_clock() {
    let mut doctor = begin();
    run(&mut doctor, 0, 2_000);
    while let Some(due) = doctor.poll_timeout().filter(|due| *due <= at(7_000)) {
        doctor.handle_timeout(due);
    }
    assert_eq!(codes(&mut doctor, at(7_000)), [code::NOTHING_ARRIVES]);
    doctor.end(at(7_100));
    assert_eq!(codes(&mut doctor, at(7_200)), [""; 0]);
    assert_eq!(doctor.poll_timeout(), None);
    assert!(!doctor.report(at(7_200)).live);
}

#[test]
fn who_was_refused_is_told_until_it_goes_well() {
    let mut doctor = Doctor::new();
    let hevc = flv::Error::from(Unsupported::Video("HEVC"));
    for attempt in 0..5 {
        let now = at(attempt * 3_000);
        doctor.begin(now);
        doctor.refused(&hevc, now);
        doctor.end(now);
    }
    let appeared = std::iter::from_fn(|| doctor.poll_change()).count();
    assert_eq!(appeared, 1, "however often it tries");
    assert_eq!(doctor.report(at(20_000)).findings[0].since_ms, T0.as_millis());

    let mut mended = Doctor { refusal: doctor.refusal.clone(), ..begin() };
    run(&mut mended, 0, 4_000);
    assert_eq!(codes(&mut mended, at(4_000)), [code::VIDEO_REFUSED]);
    run(&mut mended, 4_000, 20_000);
    assert_eq!(codes(&mut mended, at(20_000)), [""; 0]);

    assert_eq!(codes(&mut doctor, at(500_000)), [code::VIDEO_REFUSED]);
    assert_eq!(codes(&mut doctor, at(620_000)), [""; 0], "nobody came back");
}

#[test]
fn a_file_that_is_read_at_once_is_told_after_the_take() {
    let mut doctor = begin();
    for n in 0..300 {
        doctor.tag(&picture(n * 40, n % 50 == 0), at(n / 2));
    }
    doctor.end(at(150));
    assert_eq!(codes(&mut doctor, at(200)), [code::ENCODER_FAST]);
}

#[test]
fn a_wall_clock_that_is_set_costs_nothing() {
    let mut doctor = begin();
    run(&mut doctor, 0, 10_000);
    for now in [at(90_000_000), at(10_000), UtcTime::default()] {
        doctor.handle_timeout(now);
        assert!(doctor.poll_timeout().is_some_and(|due| due <= now + 3 * SECOND && due > now));
    }
    assert!(doctor.history.len() <= HISTORY_POINTS_MAX);
}

#[test]
fn every_finding_is_documented() {
    let documentation = include_str!("../../../docs/doctor.md");
    for code in code::ALL {
        assert!(documentation.contains(&format!("`{code}`")), "docs/doctor.md lacks {code}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_and_whenever_nothing_panics_or_grows(
        tags in prop::collection::vec((0u8..4, any::<u32>(), any::<i32>(), prop::option::of(any::<u64>())), 1..200)
    ) {
        let mut doctor = begin();
        let mut now = T0;
        for (kind, number, other, set_us) in tags {
            now = set_us.map_or(now + Duration::from_millis(number.into()), UtcTime::from_micros);
            let data = Bytes::from_static(&[0, 0, 0, 2, 0x41, 0x88]);
            let keyframe = other % 3 == 0;
            match kind {
                0 => doctor.handle_timeout(now),
                1 => doctor.level(Level { peak: 1.0, rms: f32::NAN, clipped: 1.0 }),
                2 => doctor.tag(&Tag::Audio { timestamp_ms: number, data }, now),
                _ => doctor.tag(
                    &Tag::Video { timestamp_ms: number, composition_ms: other, keyframe, data },
                    now,
                ),
            }
        }
        let report = doctor.report(now);
        prop_assert!(report.history.len() <= HISTORY_POINTS_MAX);
        prop_assert!(report.findings.len() <= code::ALL.len());
        prop_assert!(serde_json::to_string(&report).is_ok());
    }
}
