//! Manifests as they should read, each also held against the DASH schema where it is at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use lectern_relay_proto::{Catalog, MediaTime, PublisherState, UtcTime};

use super::*;
use crate::timeline::Timeline;
use crate::timeline::testing::{Event, Script, T0, feed, played, snapshot};

const NOW: UtcTime = UtcTime::from_millis(T0.as_millis() + 60_000);

/// Compares the manifest with `golden/<name>.mpd` (written anew if `LECTERN_BLESS` is set), and
/// validates it.
fn check(snapshot: &Snapshot, name: &str) {
    let manifest = render(snapshot, NOW);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/dash/golden/{name}.mpd"));
    if std::env::var_os("LECTERN_BLESS").is_some() {
        std::fs::write(&golden, &manifest).unwrap();
    }
    assert_eq!(manifest, std::fs::read_to_string(&golden).unwrap(), "{}", golden.display());
    validate(&golden);
}

/// Holds a manifest against the schema of ISO/IEC 23009-1, which is not ours to distribute: its
/// directory is `LECTERN_DASH_SCHEMA`, or `shared/schemas` beside the workspace.
fn validate(manifest: &Path) {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/schemas");
    let directory = std::env::var_os("LECTERN_DASH_SCHEMA").map_or_else(beside, PathBuf::from);
    let schema = directory.join("DASH-MPD-local.xsd");
    if !schema.exists() {
        eprintln!("not validated: no DASH schema (set LECTERN_DASH_SCHEMA)");
        return;
    }
    let xmllint = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg(manifest)
        .output();
    match xmllint {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => eprintln!("not validated: xmllint: {error}"),
    }
}

#[test]
fn a_regular_broadcast() {
    check(&snapshot(&[Script::new(&[2_000; 5])]), "regular");
}

#[test]
fn comments_are_subtitles_on_the_grid_of_the_media() {
    let regular = snapshot(&[Script::new(&[2_000; 5])]);
    check(&Snapshot { comments: true, ..(*regular).clone() }, "comments");
    let second =
        Script { period: 1, start_ms: 7_320, segment_ms: 3_000, ..Script::new(&[3_000; 2]) };
    let two = snapshot(&[Script::new(&[2_000; 3]), second]);
    check(&Snapshot { comments: true, ..(*two).clone() }, "comments_two_periods");
}

#[test]
fn irregular_groups_are_promised_as_early_as_they_come() {
    check(&snapshot(&[Script::new(&[2_000, 1_200, 1_600, 800, 2_000, 400])]), "irregular");
}

#[test]
fn a_new_take_is_a_new_period() {
    let second =
        Script { period: 1, start_ms: 7_320, segment_ms: 3_000, ..Script::new(&[3_000; 2]) };
    check(&snapshot(&[Script::new(&[2_000; 3]), second]), "two_periods");
}

#[test]
fn audio_alone() {
    let script = Script { has_video: false, ..Script::new(&[2_000; 3]) };
    check(&snapshot(&[script]), "audio_only");
}

/// The whole of a broadcast in a state other than live.
fn settled(state: PublisherState) -> std::sync::Arc<Snapshot> {
    let script = Script::new(&[2_000; 3]);
    let mut timeline = played(std::slice::from_ref(&script));
    timeline.set_catalog(&Catalog { state, ..script.catalog() });
    timeline.settle();
    timeline.snapshot().unwrap()
}

#[test]
fn an_ended_broadcast_has_an_end_and_no_updates() {
    check(&settled(PublisherState::Ended), "ended");
}

#[test]
fn while_the_encoder_is_away_the_period_stays_open_and_updates_go_on() {
    check(&settled(PublisherState::Away), "away");
}

#[test]
fn renditions_share_a_set_and_a_track_that_would_break_the_manifest_is_left_out() {
    let script = Script::new(&[2_000; 2]);
    let mut catalog = script.catalog();
    catalog.audio[0].codec = "opus\"/><x y='&".into();
    let mut small = catalog.video[0].clone();
    small.name = crate::timeline::testing::name("video/360p");
    (small.width, small.height, small.framerate) = (640, 360, Some(29.97));
    small.bitrate = Some(700_000);
    catalog.video.push(small.clone());
    let mut timeline = crate::timeline::Timeline::new(crate::timeline::Config::default());
    timeline.set_catalog(&catalog);
    for event in script.events() {
        crate::timeline::testing::feed(&mut timeline, &event);
        if event.track.as_str() == "video/main" {
            let event = crate::timeline::testing::Event { track: small.name.clone(), ..event };
            crate::timeline::testing::feed(&mut timeline, &event);
        }
    }
    check(&timeline.snapshot().unwrap(), "renditions");
}

#[test]
fn an_edge_that_joined_late_promises_only_what_it_holds() {
    let script = Script::new(&[2_000; 8]);
    let mut timeline = crate::timeline::Timeline::new(crate::timeline::Config::default());
    timeline.set_catalog(&script.catalog());
    for event in script.events().iter().filter(|event| event.group.index >= 3) {
        crate::timeline::testing::feed(&mut timeline, event);
    }
    let manifest = render(&timeline.snapshot().unwrap(), NOW);
    // It served from segment 4, at 8 s, and the newest begins at 14 s.
    assert!(manifest.contains("timeShiftBufferDepth=\"PT6S\""), "{manifest}");
    assert!(manifest.contains("startNumber=\"0\""), "the same in every edge: {manifest}");
}

#[test]
fn there_is_no_manifest_before_there_is_media() {
    let script = Script::new(&[2_000]);
    let mut timeline = crate::timeline::Timeline::new(crate::timeline::Config::default());
    timeline.set_catalog(&script.catalog());
    assert!(!timeline.snapshot().unwrap().is_playable());
    script.events().iter().for_each(|e| crate::timeline::testing::feed(&mut timeline, e));
    assert!(timeline.snapshot().unwrap().is_playable());
}

#[test]
fn players_hear_of_a_period_with_all_its_tracks_at_once() {
    let first = Script::new(&[2_000; 3]);
    let second = Script { period: 1, start_ms: 6_000, sequence: 3, ..Script::new(&[2_000, 2_000]) };
    let (pictures, sound): (Vec<Event>, Vec<Event>) =
        second.events().into_iter().partition(|event| event.track.is_video());
    let begun = |until_ms| {
        let mut timeline = played(std::slice::from_ref(&first));
        timeline.set_catalog(&second.catalog());
        pictures.iter().filter(|e| e.at_ms < until_ms).for_each(|e| feed(&mut timeline, e));
        timeline
    };
    let sets = |timeline: &mut Timeline| {
        let manifest = render(&timeline.snapshot().unwrap(), NOW);
        let (_, period) = manifest.split_once("<Period id=\"p1\"")?;
        Some(period.matches("<AdaptationSet").count())
    };
    let mut timeline = begun(6_500);
    assert_eq!(sets(&mut timeline), None, "its sound is a moment late");
    sound.iter().filter(|e| e.at_ms < 6_100).for_each(|e| feed(&mut timeline, e));
    assert_eq!(sets(&mut timeline), Some(3));
    // It has none, whatever the catalog says.
    assert_eq!(sets(&mut begun(7_900)), None);
    assert_eq!(sets(&mut begun(8_100)), Some(1));
}

/// Milliseconds after `T0` at which the manifest lets a player ask for segment `number`.
fn promised_ms(period: &PeriodView, number: u64) -> i128 {
    let d_ms = i128::from(period.info.grid.duration_ms());
    let nominal_end = i128::from(number - start_number(period) + 1) * d_ms;
    let start_ms = i128::from(period.info.start_ms);
    start_ms + nominal_end - availability_offset(period).as_millis() as i128
}

#[test]
fn with_regular_groups_no_segment_is_promised_before_its_first_chunk_exists() {
    for (start_ms, gop_ms) in [(0, 2_000), (7_320, 2_000), (999, 3_000), (61_500, 9_000)] {
        let script = Script {
            period: 1,
            start_ms,
            segment_ms: gop_ms,
            ..Script::new(&[u64::from(gop_ms); 3])
        };
        let snapshot = snapshot(&[script]);
        let period = snapshot.current().unwrap();
        for segment in &period.main().unwrap().segments {
            let piece_ms = segment.segment.tail().pieces[0].duration / 90;
            let exists_ms = segment.start.as_duration().as_millis() as i128 + i128::from(piece_ms);
            let promised_ms = promised_ms(period, segment.number);
            assert!(promised_ms >= exists_ms, "{promised_ms} {exists_ms} {start_ms} {gop_ms}");
            assert!(promised_ms <= exists_ms + 100, "nor needlessly late");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// With irregular groups a promise is never late, and what is promised is at least the next
    /// segment to begin, which the edge holds for as long as it may take.
    #[test]
    fn with_irregular_groups_what_is_promised_is_there_or_next(
        frames in proptest::collection::vec(1u64..=50, 4..24),
        start_ms in 0u64..9_000,
    ) {
        let gops: Vec<u64> = frames.iter().map(|frames| frames * 40).collect();
        let script = Script { start_ms: start_ms / 40 * 40, ..Script::new(&gops) };
        let snapshot = snapshot(&[script]);
        let period = snapshot.current().unwrap();
        let starts_ms: Vec<(u64, i128)> = period
            .main()
            .unwrap()
            .segments
            .iter()
            .map(|s| (s.number, s.start.as_duration().as_millis() as i128))
            .collect();
        let margin_ms = MARGIN.as_millis() as i128;
        for pair in starts_ms.windows(2) {
            let (number, start_ms) = pair[1];
            let promised_ms = promised_ms(period, number);
            proptest::prop_assert!(promised_ms <= start_ms + margin_ms + EARLY_MIN.as_millis() as i128);
            proptest::prop_assert!(promised_ms + 100 >= pair[0].1, "{} {:?}", promised_ms, pair);
            proptest::prop_assert!(start_ms - promised_ms <= 2_000 + 100);
        }
    }
}

#[test]
fn presentation_time_is_media_time_in_every_period() {
    let second = Script { period: 1, start_ms: 61_500, ..Script::new(&[2_000]) };
    let snapshot = snapshot(&[second]);
    let manifest = render(&snapshot, NOW);
    assert!(manifest.contains("start=\"PT61.5S\""), "{manifest}");
    let ticks = MediaTime::from_millis(61_500).rescale(lectern_relay_proto::Timescale::VIDEO).ticks;
    assert!(manifest.contains(&format!("presentationTimeOffset=\"{ticks}\"")), "{manifest}");
    assert!(manifest.contains("startNumber=\"31\""), "{manifest}");
}
