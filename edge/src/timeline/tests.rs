//! What the timeline promises, on made-up broadcasts in every order that a relay may deliver them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::testing::{Event, Script, T0, feed, name, played, snapshot};
use super::*;
use lectern_relay_proto::SegmentGrid;

/// Number, chunks and completeness of a track's segments.
fn text(snapshot: &Snapshot, period: u32, track: &str) -> Vec<(u64, String, bool)> {
    let Some(track) = snapshot.period(period).and_then(|p| p.track(&name(track))) else {
        return vec![];
    };
    let text = |view: &SegmentView| {
        let tail = view.segment.tail();
        let bytes: Vec<u8> = tail.pieces.iter().flat_map(|p| p.bytes.to_vec()).collect();
        if view.complete {
            assert_eq!(tail.whole, bytes);
        }
        (view.number, String::from_utf8(bytes).unwrap(), view.complete)
    };
    track.segments.iter().map(text).collect()
}

fn numbers(snapshot: &Snapshot, track: &str) -> Vec<u64> {
    let periods = snapshot.periods.iter();
    periods.flat_map(|p| text(snapshot, p.info.id, track)).map(|(number, ..)| number).collect()
}

const VIDEO: &str = TrackName::VIDEO_MAIN;
const OPUS: &str = TrackName::AUDIO_OPUS;

#[test]
fn segments_are_runs_of_groups_and_audio_is_cut_where_video_is() {
    let snapshot = snapshot(&[Script::new(&[1_000, 1_000, 1_000, 2_000])]);
    // Groups at 0, 1, 2 and 3 s are nearest to 0, 2 (rounding up), 2 and 4 s.
    for track in [VIDEO, OPUS, TrackName::AUDIO_AAC] {
        let segments = text(&snapshot, 0, track);
        assert_eq!(segments.len(), 3, "{track}");
        assert!(segments[0].1.starts_with(&format!("<{track} 0/0 0>")));
        assert!(segments[1].1.starts_with(&format!("<{track} 0/1 1000>")));
        assert!(segments[1].1.contains(&format!("<{track} 0/2 2000>")));
        assert!(segments[2].1.starts_with(&format!("<{track} 0/3 3000>")));
        assert_eq!(segments.iter().map(|s| s.2).collect::<Vec<_>>(), [true, true, false]);
    }
}

#[test]
fn an_edge_that_joins_within_a_segment_serves_from_the_next() {
    let script = Script::new(&[1_000; 6]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    // Group 2 is the second of segment 1.
    for event in script.events().iter().filter(|event| event.group.index >= 2) {
        feed(&mut timeline, event);
    }
    // Upstream has nothing older.
    backfill(&mut timeline, &script, GroupId { period: 0, index: 2 });
    assert!(timeline.take_faults().of(Fault::Unserved) > 0);
    let snapshot = timeline.snapshot().unwrap();
    assert_eq!(numbers(&snapshot, VIDEO), [2, 3]);
    assert_eq!(numbers(&snapshot, OPUS), [2, 3]);
}

/// Fetches one batch of what is missing at the front from an upstream that has the groups from
/// `oldest` on; `false` if nothing is.
fn backfill_once(timeline: &mut Timeline, script: &Script, oldest: GroupId) -> bool {
    let missing = timeline.missing(6);
    for missing in &missing {
        let of_it = |event: &Event| event.track == missing.track && event.group == missing.group;
        let events = script.events().into_iter().filter(of_it);
        let chunks: Vec<Chunk> = events.filter_map(|event| event.chunk).collect();
        if missing.group < oldest || chunks.is_empty() {
            timeline.no_older(&missing.track, missing.group);
        } else {
            timeline.push_older(&missing.track, missing.group, chunks);
        }
    }
    !missing.is_empty()
}

/// The same until nothing is missing.
fn backfill(timeline: &mut Timeline, script: &Script, oldest: GroupId) {
    while backfill_once(timeline, script, oldest) {}
}

/// A timeline that joined with group `join` when `at_ms` of the script had been published.
fn joined(config: Config, script: &Script, join: u32, at_ms: u64) -> Timeline {
    let mut timeline = Timeline::new(config);
    timeline.set_catalog(&script.catalog());
    let events = script.events().into_iter();
    for event in events.filter(|e| e.group.index >= join && e.at_ms < at_ms) {
        feed(&mut timeline, &event);
    }
    timeline
}

const ALL: GroupId = GroupId { period: 0, index: 0 };

#[test]
fn the_segment_in_progress_at_the_join_is_served_once_its_beginning_was_fetched() {
    let script = Script::new(&[1_000; 7]);
    // Group 4, at 4 s, is the second of segment 2, which begins at 3 s; half of it has come.
    let mut timeline = joined(Config::default(), &script, 4, 4_500);
    assert_eq!(numbers(&timeline.snapshot().unwrap(), VIDEO), [0u64; 0]);
    assert!(timeline.snapshot().unwrap().current().unwrap().main().unwrap().older_to_come);
    backfill(&mut timeline, &script, ALL);
    let snapshot = timeline.snapshot().unwrap();
    for track in [VIDEO, OPUS] {
        let segments = text(&snapshot, 0, track);
        let (number, bytes, complete) = segments.last().unwrap();
        assert_eq!((*number, *complete), (2, false), "{track}");
        assert!(bytes.starts_with(&format!("<{track} 0/3 3000>")), "{bytes}");
        assert!(bytes.contains(&format!("<{track} 0/4 4400>")), "{bytes}");
    }
    for event in script.events().iter().filter(|event| event.at_ms >= 4_500) {
        feed(&mut timeline, event);
    }
    let (got, expect) = (timeline.snapshot().unwrap(), self::snapshot(&[script]));
    for track in [VIDEO, OPUS, TrackName::AUDIO_AAC] {
        assert_eq!(text(&got, 0, track), text(&expect, 0, track));
        assert!(!got.current().unwrap().track(&name(track)).unwrap().older_to_come);
    }
    assert!(timeline.take_faults().is_empty());
}

#[test]
fn what_is_missing_is_asked_for_newest_first_and_video_before_its_audio() {
    let script = Script::new(&[2_000; 10]);
    let mut timeline = joined(Config::default(), &script, 6, 13_000);
    let asked = timeline.missing(5);
    let asked: Vec<(&str, u32)> =
        asked.iter().map(|missing| (missing.track.as_str(), missing.group.index)).collect();
    let aac = TrackName::AUDIO_AAC;
    assert_eq!(asked, [(VIDEO, 5), (OPUS, 5), (aac, 5), (VIDEO, 4), (OPUS, 4)]);
}

#[test]
fn nothing_before_the_window_is_asked_for() {
    let script = Script::new(&[2_000; 40]);
    let window = Duration::from_secs(20);
    let config = Config { window, ..Config::default() };
    let mut timeline = joined(config, &script, 38, 78_000);
    backfill(&mut timeline, &script, ALL);
    // 78 s have come: the window begins at 58 s, in segment 29.
    let kept = numbers(&timeline.snapshot().unwrap(), VIDEO);
    assert!((29..=30).contains(&kept[0]) && kept.last() == Some(&38), "{kept:?}");
    for event in script.events().iter().filter(|event| event.at_ms >= 78_000) {
        feed(&mut timeline, event);
    }
    assert!(timeline.missing(6).is_empty(), "the window moves on and asks for nothing again");
}

#[test]
fn older_media_never_pushes_out_newer() {
    let script = Script::new(&[2_000; 20]);
    let of_all = |script: &Script| -> usize {
        script.events().iter().filter_map(|e| Some(e.chunk.as_ref()?.bytes.len())).sum()
    };
    let config = Config { bytes_max: of_all(&script) / 2, ..Config::default() };
    let mut timeline = joined(config, &script, 15, 40_000);
    let before = numbers(&timeline.snapshot().unwrap(), VIDEO);
    backfill(&mut timeline, &script, ALL);
    let after = numbers(&timeline.snapshot().unwrap(), VIDEO);
    assert!(after.ends_with(&before) && after.len() > before.len(), "{before:?} {after:?}");
    assert!(after.len() < 12, "{after:?}");
    assert!(timeline.missing(6).is_empty());
}

#[test]
fn a_group_that_the_main_track_lost_leaves_no_audio_in_the_wrong_segment() {
    let script = Script::new(&[1_000; 8]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let lost = |event: &Event| event.track.as_str() == VIDEO && event.group.index == 3;
    for event in script.events().iter().filter(|e| e.group.index >= 2 && !lost(e)) {
        feed(&mut timeline, event);
        if event.track.as_str() == VIDEO && event.group.index == 4 {
            timeline.lose_group(&event.track, GroupId { period: 0, index: 3 });
        }
    }
    backfill(&mut timeline, &script, ALL);
    let (got, expect) = (timeline.snapshot().unwrap(), snapshot(&[script]));
    let expect = text(&expect, 0, OPUS);
    for (view, (number, bytes, _)) in
        got.current().unwrap().track(&name(OPUS)).unwrap().segments.iter().zip(text(&got, 0, OPUS))
    {
        let whole = &expect.iter().find(|(other, ..)| *other == number).unwrap().1;
        assert!(&bytes == whole || view.segment.tail().damaged, "{number}");
        assert!(whole.starts_with(&bytes), "{number}");
    }
}

#[test]
fn audio_waits_for_the_number_of_its_group() {
    let script = Script::new(&[2_000, 2_000]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let (video, audio): (Vec<_>, Vec<_>) =
        script.events().into_iter().partition(|event| event.track.as_str() == VIDEO);
    for event in audio.iter().filter(|event| event.group.index == 0) {
        feed(&mut timeline, event);
    }
    assert_eq!(numbers(&timeline.snapshot().unwrap(), OPUS), [0u64; 0]);
    video.iter().for_each(|event| feed(&mut timeline, event));
    assert_eq!(numbers(&timeline.snapshot().unwrap(), OPUS), [0]);
    audio.iter().filter(|e| e.group.index == 1).for_each(|event| feed(&mut timeline, event));
    assert_eq!(text(&timeline.snapshot().unwrap(), 0, OPUS), text(&snapshot(&[script]), 0, OPUS));
}

#[test]
fn media_may_arrive_before_its_catalog() {
    let first = Script::new(&[2_000; 2]);
    let second = Script { period: 1, start_ms: 7_000, ..Script::new(&[2_000; 2]) };
    let mut timeline = Timeline::new(Config::default());
    for event in first.events() {
        feed(&mut timeline, &event);
    }
    assert!(timeline.snapshot().is_none());
    timeline.set_catalog(&first.catalog());
    for event in second.events() {
        feed(&mut timeline, &event);
    }
    timeline.set_catalog(&second.catalog());
    let (held, expect) = (timeline.snapshot().unwrap(), snapshot(&[first, second]));
    for track in [VIDEO, OPUS] {
        assert_eq!(text(&held, 0, track), text(&expect, 0, track));
        assert_eq!(text(&held, 1, track), text(&expect, 1, track));
    }
    assert!(timeline.take_faults().is_empty());
}

#[test]
fn what_comes_for_a_period_without_a_catalog_is_bounded() {
    let mut timeline = Timeline::new(Config::default());
    let script = Script::new(&[2_000]);
    let event = script.events().into_iter().next().unwrap();
    for period in 1..10_000 {
        let group = GroupId { period, index: 0 };
        timeline.push(&event.track, group, event.chunk.clone().unwrap());
    }
    assert_eq!(timeline.take_faults().of(Fault::Overflow), 10_000 - 1 - 2_048);
}

#[test]
fn a_period_that_another_follows_is_completed_track_by_track() {
    let first = Script::new(&[2_000; 2]);
    let second = Script { period: 1, start_ms: 4_000, segment_ms: 3_000, ..Script::new(&[3_000]) };
    let snapshot = snapshot(&[first, second]);
    assert!(text(&snapshot, 0, VIDEO).iter().all(|(.., complete)| *complete));
    assert!(text(&snapshot, 0, OPUS).iter().all(|(.., complete)| *complete));
    // 4 s is nearest to 3 s on the new grid.
    assert_eq!(text(&snapshot, 1, VIDEO)[0].0, 1);
    assert!(!text(&snapshot, 1, VIDEO)[0].2);
}

#[test]
fn an_ended_broadcast_settles_whole() {
    let script = Script::new(&[2_000; 2]);
    let mut timeline = played(std::slice::from_ref(&script));
    timeline.settle();
    assert!(!text(&timeline.snapshot().unwrap(), 0, VIDEO)[1].2, "still live");
    timeline.set_catalog(&Catalog { state: PublisherState::Ended, ..script.catalog() });
    timeline.settle();
    let snapshot = timeline.snapshot().unwrap();
    let last = snapshot.current().unwrap().main().unwrap().segments.last().unwrap();
    assert!(last.complete && !last.segment.tail().damaged);
    assert!(timeline.take_faults().is_empty());
}

#[test]
fn a_lost_group_damages_its_segment_and_no_other() {
    let script = Script::new(&[1_000; 8]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let lost = |event: &&Event| event.track.as_str() == VIDEO && event.group.index == 2;
    for event in script.events().iter().filter(|event| !lost(event)) {
        feed(&mut timeline, event);
        if event.track.as_str() == VIDEO && event.group.index == 3 {
            timeline.lose_group(&event.track, GroupId { period: 0, index: 2 });
        }
    }
    assert!(timeline.take_faults().of(Fault::LostGroup) > 0);
    let snapshot = timeline.snapshot().unwrap();
    let damaged = |track: &str| -> BTreeMap<u64, bool> {
        let track = snapshot.current().unwrap().track(&name(track)).unwrap();
        track.segments.iter().map(|s| (s.number, s.segment.tail().damaged)).collect()
    };
    // Whether group 3 begins segment 2 cannot be known without group 2, so it is not served.
    assert_eq!(damaged(VIDEO), BTreeMap::from([(0, false), (1, true), (3, false), (4, false)]));
    assert!(damaged(OPUS)[&1]);
}

#[test]
fn a_group_that_never_ends_is_given_up_within_bounds() {
    let script = Script::new(&[2_000; 4]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let ends = |event: &&Event| {
        event.track.as_str() == VIDEO && event.group.index == 0 && event.chunk.is_none()
    };
    for event in script.events().iter().filter(|event| !ends(event)) {
        feed(&mut timeline, event);
    }
    assert_eq!(numbers(&timeline.snapshot().unwrap(), VIDEO), [0, 1, 2, 3]);
    assert!(timeline.take_faults().of(Fault::LostGroup) > 0);
}

#[test]
fn a_group_that_outran_the_one_an_edge_joins_with_is_not_lost() {
    // The edge joins with the second group; the third comes first.
    let check = |gops: [u64; 3], expect: &[u64]| {
        let script = Script::new(&gops);
        let mut timeline = Timeline::new(Config::default());
        timeline.set_catalog(&script.catalog());
        let joined = script.events().into_iter().filter(|event| event.group.index > 0);
        let (third, second): (Vec<_>, Vec<_>) = joined.partition(|event| event.group.index == 2);
        let (early, rest) = third.split_at(9);
        early.iter().chain(&second).chain(rest).for_each(|event| feed(&mut timeline, event));
        let snapshot = timeline.snapshot().unwrap();
        assert_eq!(numbers(&snapshot, VIDEO), expect, "{gops:?}");
        assert_eq!(numbers(&snapshot, OPUS), expect, "{gops:?}");
        assert_eq!(timeline.take_faults().of(Fault::LostGroup), 0);
    };
    // The third begins at 3 s, and segment 2 with it; the second, at 2.92 s, is of segment 1.
    check([2_920, 80, 2_000], &[2]);
    // Both are of segment 1, which began before the edge joined.
    check([1_900, 80, 1_000], &[]);
}

#[test]
fn late_and_duplicate_chunks_are_dropped_and_counted() {
    let script = Script::new(&[2_000; 3]);
    let expect = snapshot(std::slice::from_ref(&script));
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let events = script.events();
    for event in &events {
        feed(&mut timeline, event);
        if event.chunk.is_some() {
            feed(&mut timeline, event);
        }
    }
    feed(&mut timeline, &events[0]);
    let faults = timeline.take_faults();
    assert!(faults.of(Fault::Duplicate) > 100, "{faults:?}");
    assert_eq!(faults.of(Fault::Late), 1);
    let snapshot = timeline.snapshot().unwrap();
    assert_eq!(text(&snapshot, 0, VIDEO), text(&expect, 0, VIDEO));
}

#[test]
fn the_window_is_bounded_in_time_and_readers_of_what_leaves_are_told() {
    let script = Script::new(&[2_000; 60]);
    let window = Duration::from_secs(30);
    let mut timeline = Timeline::new(Config { window, ..Config::default() });
    timeline.set_catalog(&script.catalog());
    let mut first = None;
    for event in script.events() {
        feed(&mut timeline, &event);
        first = first.or_else(|| {
            let snapshot = timeline.snapshot()?;
            Some(snapshot.current()?.main()?.segments.first()?.segment.clone())
        });
    }
    // 120 s in all; 30 s of window and two segments, and the one in progress.
    let snapshot = timeline.snapshot().unwrap();
    assert_eq!(numbers(&snapshot, VIDEO), (42..60).collect::<Vec<_>>());
    assert_eq!(first.unwrap().tail().state, State::Gone);
}

#[test]
fn the_window_is_bounded_in_bytes() {
    let script = Script::new(&[2_000; 10]);
    let bytes = |script: &Script| -> usize {
        script.events().iter().filter_map(|e| Some(e.chunk.as_ref()?.bytes.len())).sum()
    };
    let bytes_max = bytes(&script) / 2;
    let mut timeline = Timeline::new(Config { bytes_max, ..Config::default() });
    timeline.set_catalog(&script.catalog());
    script.events().iter().for_each(|event| feed(&mut timeline, event));
    let kept = numbers(&timeline.snapshot().unwrap(), VIDEO);
    assert!(kept.len() < 7 && kept.last() == Some(&9), "{kept:?}");

    // A segment that never ends, because no keyframe comes.
    let script = Script { segment_ms: 10_000, ..Script::new(&[600_000]) };
    timeline.set_catalog(&Catalog { t0: UtcTime::from_millis(1), ..script.catalog() });
    script.events().iter().for_each(|event| feed(&mut timeline, event));
    assert!(timeline.take_faults().of(Fault::Overflow) > 0);
    assert_eq!(numbers(&timeline.snapshot().unwrap(), VIDEO), [0u64; 0]);
}

#[test]
fn another_t0_is_another_broadcast() {
    let script = Script::new(&[2_000; 2]);
    let mut timeline = played(std::slice::from_ref(&script));
    let t0 = T0 + Duration::from_secs(60);
    timeline.set_catalog(&Catalog { t0, ..script.catalog() });
    let snapshot = timeline.snapshot().unwrap();
    assert_eq!((snapshot.t0, numbers(&snapshot, VIDEO)), (t0, vec![]));
    assert_eq!(timeline.take_faults().of(Fault::Restarted), 1);
}

#[test]
fn a_catalog_of_a_former_period_is_not_believed() {
    let second = Script { period: 1, start_ms: 4_000, ..Script::new(&[2_000]) };
    let mut timeline = played(std::slice::from_ref(&second));
    timeline.set_catalog(&Script::new(&[]).catalog());
    assert_eq!(timeline.snapshot().unwrap().current().unwrap().info.id, 1);
    assert_eq!(timeline.take_faults().of(Fault::StaleCatalog), 1);
}

/// GOPs that a grid of two seconds allows, in whole audio and video frames.
fn gops() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((1u64..=50).prop_map(|frames| frames * 40), 4..24)
}

/// What an edge hears that joins with group `join`. Each group of each track is a stream of its own:
/// in order within, and late by its own lag.
fn raced(script: &Script, join: u32, lags: &[usize]) -> Vec<Event> {
    let joined = script.events().into_iter().filter(|event| event.group.index >= join);
    let late = joined.enumerate().map(|(at, event)| {
        let stream = event.group.index as usize + event.track.as_str().len();
        (at + lags[stream % lags.len()], event)
    });
    let mut events: Vec<(usize, Event)> = late.collect();
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn a_track_of_which_all_was_fetched_waits_for_the_main_track_to_fetch_its_own() {
    let script = Script::new(&[1_920, 1_000, 1_640, 200, 240, 40]);
    let oldest = GroupId { period: 0, index: 2 };
    let (video, audio): (Vec<Event>, Vec<Event>) = script
        .events()
        .into_iter()
        .filter(|event| event.group.index == 5)
        .partition(|event| event.track.as_str() == VIDEO);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    audio.iter().for_each(|event| feed(&mut timeline, event));
    backfill(&mut timeline, &script, oldest);
    video.iter().for_each(|event| feed(&mut timeline, event));
    backfill(&mut timeline, &script, oldest);
    let snapshot = timeline.snapshot().unwrap();
    for track in [VIDEO, OPUS, TrackName::AUDIO_AAC] {
        assert_eq!(numbers(&snapshot, track), [2, 3], "{track}");
    }
}

#[test]
fn what_never_shows_where_a_segment_begins_is_given_up_with_the_rest() {
    let script = Script::new(&[80, 200, 1_720, 320, 680, 960, 200, 1_880]);
    let oldest = GroupId { period: 0, index: 5 };
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    raced(&script, 5, &[0]).iter().for_each(|event| feed(&mut timeline, event));
    backfill(&mut timeline, &script, oldest);
    let snapshot = timeline.snapshot().unwrap();
    for track in &snapshot.current().unwrap().tracks {
        assert!(!track.older_to_come, "{}", track.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_number_is_skipped_and_there_is_no_gap_or_overlap(gops in gops(), start_ms in 0u64..9_000) {
        let script = Script { start_ms: start_ms / 40 * 40, ..Script::new(&gops) };
        let mut timeline = played(std::slice::from_ref(&script));
        prop_assert!(timeline.take_faults().is_empty());
        let snapshot = timeline.snapshot().unwrap();
        for track in &snapshot.current().unwrap().tracks {
            let mut all = String::new();
            for pair in track.segments.windows(2) {
                prop_assert_eq!(pair[0].number + 1, pair[1].number);
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for (_, bytes, _) in text(&snapshot, 0, track.name.as_str()) {
                all.push_str(&bytes);
            }
            let sent: String = script
                .events()
                .iter()
                .filter(|event| event.track == track.name)
                .filter_map(|event| Some(std::str::from_utf8(&event.chunk.as_ref()?.bytes).unwrap().to_owned()))
                .collect();
            prop_assert_eq!(all, sent);
        }
        let tracks = &snapshot.current().unwrap().tracks;
        for track in tracks {
            let starts = |t: &TrackView| t.segments.iter().map(|s| s.start).collect::<Vec<_>>();
            prop_assert_eq!(starts(track), starts(&tracks[0]));
        }
    }

    #[test]
    fn edges_agree_wherever_they_joined_and_however_groups_raced(
        gops in gops(),
        join in 0u32..12,
        lags in prop::collection::vec(0usize..12, 3),
    ) {
        let script = Script::new(&gops);
        let expect = snapshot(std::slice::from_ref(&script));
        let mut timeline = Timeline::new(Config::default());
        timeline.set_catalog(&script.catalog());
        raced(&script, join, &lags).iter().for_each(|event| feed(&mut timeline, event));
        let got = timeline.snapshot().unwrap();
        for track in [VIDEO, OPUS, TrackName::AUDIO_AAC] {
            let expect: BTreeMap<u64, (String, bool)> =
                text(&expect, 0, track).into_iter().map(|(n, text, done)| (n, (text, done))).collect();
            let segments = text(&got, 0, track);
            for (number, bytes, complete) in &segments {
                prop_assert_eq!(&expect[number], &(bytes.clone(), *complete), "{} {}", track, number);
            }
            // Serving begins with the first segment that begins after the join.
            let joined: u64 = script.gops_ms.iter().take(join as usize).sum();
            let due = expect.keys().filter(|n| **n > SegmentGrid::new(2_000).number(MediaTime::from_millis(joined)));
            if (join as usize) < gops.len() {
                prop_assert!(due.clone().count() <= segments.len(), "{} {:?}", track, segments.len());
            }
        }
    }

    #[test]
    fn an_edge_that_was_backfilled_is_as_one_that_was_there_from_the_start(
        gops in gops(),
        join in 0u32..12,
        oldest in 0u32..12,
        lags in prop::collection::vec(0usize..12, 3),
        fetches in prop::collection::vec(any::<bool>(), 64),
    ) {
        let script = Script::new(&gops);
        let expect = snapshot(std::slice::from_ref(&script));
        let oldest = GroupId { period: 0, index: oldest.min(join) };
        let mut timeline = Timeline::new(Config::default());
        timeline.set_catalog(&script.catalog());
        let events = raced(&script, join, &lags);
        // Older groups come at any moment between those that arrive.
        for (at, event) in events.iter().enumerate() {
            feed(&mut timeline, event);
            if fetches[at % fetches.len()] {
                backfill_once(&mut timeline, &script, oldest);
            }
        }
        backfill(&mut timeline, &script, oldest);
        prop_assert_eq!(timeline.take_faults().of(Fault::LostGroup), 0);
        let got = timeline.snapshot().unwrap();
        for track in [VIDEO, OPUS, TrackName::AUDIO_AAC] {
            let (got, expect) = (text(&got, 0, track), text(&expect, 0, track));
            if (join as usize) < gops.len() {
                // Of the oldest group there is, only index 0 is known to begin a segment.
                let oldest_ms: u64 = gops.iter().take(oldest.index as usize).sum();
                let first = SegmentGrid::new(2_000).number(MediaTime::from_millis(oldest_ms));
                let due = expect.iter().filter(|(n, ..)| *n > first || oldest.index == 0);
                prop_assert_eq!(&got, &due.cloned().collect::<Vec<_>>(), "{}", track);
            }
        }
        prop_assert!(got.periods.iter().flat_map(|p| &p.tracks).all(|t| !t.older_to_come));
        prop_assert!(got.periods.iter().flat_map(|p| &p.tracks).flat_map(|t| &t.segments)
            .all(|s| !s.segment.tail().damaged));
    }
}
