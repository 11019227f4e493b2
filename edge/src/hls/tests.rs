//! Playlists as they should read.

use std::path::Path;

use lectern_relay_proto::{Catalog, PublisherState};

use super::*;
use crate::timeline::testing::{Event, Script, feed, name, played, snapshot};
use crate::timeline::{Config, Snapshot, Timeline};

/// Compares a playlist with `golden/<name>.m3u8` (written anew if `LECTERN_BLESS` is set).
fn check(playlist: &str, name: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/hls/golden/{name}.m3u8"));
    if std::env::var_os("LECTERN_BLESS").is_some() {
        std::fs::write(&golden, playlist).unwrap();
    }
    assert_eq!(playlist, std::fs::read_to_string(&golden).unwrap(), "{}", golden.display());
}

fn media(snapshot: &Snapshot, track: &str) -> String {
    MediaPlaylist::new(snapshot, &name(track)).unwrap().render()
}

fn regular() -> std::sync::Arc<Snapshot> {
    snapshot(&[Script::new(&[2_000, 2_000, 2_000, 600])])
}

/// The whole of a broadcast in a state other than live.
fn settled(state: PublisherState) -> std::sync::Arc<Snapshot> {
    let script = Script::new(&[2_000, 1_000]);
    let mut timeline = played(std::slice::from_ref(&script));
    timeline.set_catalog(&Catalog { state, ..script.catalog() });
    timeline.settle();
    timeline.snapshot().unwrap()
}

#[test]
fn every_rendition_is_listed_with_what_a_player_chooses_by() {
    check(&multivariant(&regular()).unwrap(), "multivariant");
}

/// The same broadcast at an edge that has comments.
fn with_comments(snapshot: &Snapshot) -> Snapshot {
    Snapshot { comments: true, ..snapshot.clone() }
}

fn comments(snapshot: &Snapshot) -> String {
    let track = beside_comments(snapshot).unwrap();
    MediaPlaylist::new(snapshot, track).unwrap().render_comments()
}

#[test]
fn comments_are_subtitles_of_every_variant_that_nobody_sees_unasked() {
    check(&multivariant(&with_comments(&regular())).unwrap(), "multivariant_comments");
    let sound = snapshot(&[Script { has_video: false, ..Script::new(&[2_000; 3]) }]);
    let playlist = multivariant(&with_comments(&sound)).unwrap();
    assert!(playlist.contains(",SUBTITLES=\"comments\"\n"), "{playlist}");
}

#[test]
fn comments_have_the_segments_of_the_media_also_the_one_in_progress() {
    check(&comments(&with_comments(&regular())), "comments");
    let ended = comments(&with_comments(&settled(PublisherState::Ended)));
    assert!(ended.ends_with("~1.vtt\n#EXT-X-ENDLIST\n"), "{ended}");
    assert!(!ended.contains("SERVER-CONTROL"), "{ended}");
}

#[test]
fn comments_follow_the_grid_through_a_new_take() {
    let second = Script {
        period: 2,
        start_ms: 7_320,
        segment_ms: 3_000,
        sequence: 3,
        ..Script::new(&[2_800, 2_900, 3_000])
    };
    let snapshot = snapshot(&[Script::new(&[2_000; 3]), second]);
    check(&comments(&with_comments(&snapshot)), "comments_two_periods");
}

#[test]
fn segments_parts_and_what_comes_next() {
    check(&media(&regular(), TrackName::VIDEO_MAIN), "regular_video");
    check(&media(&regular(), TrackName::AUDIO_AAC), "regular_audio");
}

#[test]
fn a_segment_as_long_as_the_grid_is_followed_by_the_next() {
    let script = Script::new(&[2_000, 2_000]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    // All but the end of the last group, which comes with the next.
    script.events().iter().filter(|e| e.chunk.is_some() || e.group.index == 0).for_each(|event| {
        feed(&mut timeline, event);
    });
    let playlist = media(&timeline.snapshot().unwrap(), TrackName::AUDIO_OPUS);
    let hint = playlist.lines().find(|line| line.starts_with("#EXT-X-PRELOAD-HINT")).unwrap();
    assert!(hint.ends_with("/2.0.m4s\""), "{hint}");
}

#[test]
fn a_new_take_is_a_discontinuity_and_the_sequence_goes_on() {
    let second = Script {
        period: 1,
        start_ms: 7_320,
        segment_ms: 3_000,
        sequence: 3,
        ..Script::new(&[3_000; 2])
    };
    let snapshot = snapshot(&[Script::new(&[2_000; 3]), second]);
    check(&media(&snapshot, TrackName::VIDEO_MAIN), "two_periods");
}

#[test]
fn a_take_whose_sequence_does_not_follow_begins_the_playlist_anew() {
    let second =
        Script { period: 4, start_ms: 61_320, sequence: 37, ..Script::new(&[2_000, 2_000]) };
    let snapshot = snapshot(&[Script::new(&[2_000; 3]), second]);
    let playlist = media(&snapshot, TrackName::VIDEO_MAIN);
    // With what is missing as a gap.
    assert!(playlist.contains("#EXT-X-MEDIA-SEQUENCE:36\n"), "{playlist}");
    assert!(playlist.contains("#EXT-X-DISCONTINUITY-SEQUENCE:4\n"), "{playlist}");
    assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-GAP\n#EXTINF:2.00000,\n").count(), 1, "{playlist}");
}

#[test]
fn a_track_that_fell_silent_before_the_end_of_a_take_goes_on_in_the_next() {
    // The sound of the third segment never came.
    let first = Script::new(&[2_000; 3]);
    let second = Script { period: 1, start_ms: 7_320, sequence: 3, ..Script::new(&[2_000; 2]) };
    let mut timeline = Timeline::new(Config::default());
    for script in [&first, &second] {
        timeline.set_catalog(&script.catalog());
        let silent = |event: &&Event| {
            event.track.as_str() == TrackName::AUDIO_AAC
                && event.group.period == 0
                && event.group.index == 2
        };
        script.events().iter().filter(|e| !silent(e)).for_each(|e| feed(&mut timeline, e));
    }
    let playlist = media(&timeline.snapshot().unwrap(), TrackName::AUDIO_AAC);
    let expect = "0/1.m4s\n#EXT-X-GAP\n#EXTINF:2.00000,\n../audio-aac~tot3j7~0/2.m4s\n\
                  #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"../audio-aac~tot3j7~1/init.mp4\"\n";
    assert!(playlist.contains(expect), "{playlist}");
    assert!(playlist.contains("#EXT-X-MEDIA-SEQUENCE:0\n"), "{playlist}");
}

#[test]
fn a_take_that_does_not_follow_is_there_with_its_first_part() {
    let first = Script::new(&[2_000; 3]);
    let second =
        Script { period: 4, start_ms: 61_320, sequence: 37, ..Script::new(&[2_000, 2_000]) };
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&first.catalog());
    // The origin was killed in the middle of a segment, whose end nobody will send.
    let sent = |event: &&Event| event.at_ms < first.start_ms + 5_000;
    first.events().iter().filter(sent).for_each(|event| feed(&mut timeline, event));
    timeline.set_catalog(&second.catalog());
    let begun = |event: &&Event| event.at_ms < 62_000;
    second.events().iter().filter(begun).for_each(|event| feed(&mut timeline, event));
    let playlist = media(&timeline.snapshot().unwrap(), TrackName::VIDEO_MAIN);
    assert!(playlist.contains("#EXT-X-MEDIA-SEQUENCE:36\n"), "{playlist}");
    let expect = "/init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:";
    assert!(playlist.contains(expect), "{playlist}");
    assert!(playlist.contains("#EXT-X-GAP\n") && playlist.contains("#EXT-X-PART:"), "{playlist}");
    assert!(!playlist.contains("~0/"), "{playlist}");
}

#[test]
fn a_period_without_a_stated_bitrate_is_listed_as_it_comes() {
    let first = Script::new(&[2_000; 2]);
    let second = Script { period: 1, start_ms: 4_000, sequence: 2, ..Script::new(&[2_000; 2]) };
    let mut timeline = Timeline::new(Config::default());
    for script in [&first, &second] {
        let mut catalog = script.catalog();
        catalog.video.iter_mut().for_each(|track| track.bitrate = None);
        timeline.set_catalog(&catalog);
        let begun = |event: &&Event| event.at_ms < 5_000;
        script.events().iter().filter(begun).for_each(|event| feed(&mut timeline, event));
    }
    let playlist = media(&timeline.snapshot().unwrap(), TrackName::VIDEO_MAIN);
    assert!(playlist.contains("video-main~tot3j7~1/2.1.m4s"), "{playlist}");
}

#[test]
fn a_segment_longer_than_the_grid_foresees_raises_the_target() {
    let script = Script::new(&[2_000, 2_000, 8_000]);
    let mut timeline = played(std::slice::from_ref(&script));
    timeline.set_catalog(&Catalog { state: PublisherState::Away, ..script.catalog() });
    timeline.settle();
    let playlist = media(&timeline.snapshot().unwrap(), TrackName::VIDEO_MAIN);
    assert!(playlist.contains("#EXT-X-TARGETDURATION:8\n"), "{playlist}");
}

#[test]
fn audio_alone_is_a_rendition_of_its_own() {
    let script = Script { has_video: false, ..Script::new(&[2_000; 3]) };
    let snapshot = snapshot(&[script]);
    check(&multivariant(&snapshot).unwrap(), "audio_only");
    assert!(!media(&snapshot, TrackName::AUDIO_AAC).contains("RENDITION-REPORT"));
}

#[test]
fn an_ended_broadcast_is_said_to_have_ended() {
    check(&media(&settled(PublisherState::Ended), TrackName::VIDEO_MAIN), "ended");
}

#[test]
fn while_the_encoder_is_away_nothing_is_promised() {
    let playlist = media(&settled(PublisherState::Away), TrackName::VIDEO_MAIN);
    assert!(!playlist.contains("PRELOAD-HINT") && !playlist.contains("ENDLIST"), "{playlist}");
    assert!(playlist.contains("CAN-BLOCK-RELOAD"), "{playlist}");
}

#[test]
fn a_segment_that_was_lost_is_a_gap() {
    let script = Script::new(&[1_000; 8]);
    let mut timeline = Timeline::new(Config::default());
    timeline.set_catalog(&script.catalog());
    let lost =
        |event: &&Event| event.track.as_str() == TrackName::VIDEO_MAIN && event.group.index == 2;
    for event in script.events().iter().filter(|event| !lost(event)) {
        feed(&mut timeline, event);
        if event.track.as_str() == TrackName::VIDEO_MAIN && event.group.index == 3 {
            let group = lectern_relay_proto::GroupId { period: 0, index: 2 };
            timeline.lose_group(&event.track, group);
        }
    }
    check(&media(&timeline.snapshot().unwrap(), TrackName::VIDEO_MAIN), "gap");
}

#[test]
fn a_delta_update_leaves_out_what_a_player_has() {
    let snapshot = snapshot(&[Script::new(&[2_000; 30])]);
    let track = name(TrackName::VIDEO_MAIN);
    let playlist = MediaPlaylist::new(&snapshot, &track).unwrap();
    let (full, delta) = (playlist.render(), playlist.render_delta());
    let skipped = |line: &&str| line.starts_with("#EXT-X-SKIP:SKIPPED-SEGMENTS=");
    let line = delta.lines().find(skipped).expect("a skip");
    let skipped: usize = line.rsplit('=').next().unwrap().parse().unwrap();
    let segments = |text: &str| text.lines().filter(|line| line.starts_with("#EXTINF")).count();
    assert_eq!(segments(&delta) + skipped, segments(&full));
    assert!(skipped > 0 && segments(&delta) >= 12);
    // What is left is as it was.
    let tail = |text: &str| text.lines().rev().take(60).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(tail(&full), tail(&delta));
    let short = crate::timeline::testing::snapshot(&[Script::new(&[2_000; 4])]);
    let playlist = MediaPlaylist::new(&short, &track).unwrap();
    assert_eq!(playlist.render_delta(), playlist.render());
}

#[test]
fn what_two_edges_say_of_a_segment_is_the_same_wherever_they_joined() {
    let script = Script::new(&[1_800, 1_960, 1_400, 2_000, 1_640, 1_720, 1_000]);
    let whole = media(&snapshot(std::slice::from_ref(&script)), TrackName::VIDEO_MAIN);
    let mut late = Timeline::new(Config::default());
    late.set_catalog(&script.catalog());
    script.events().iter().filter(|event| event.group.index >= 2).for_each(|event| {
        feed(&mut late, event);
    });
    let late = media(&late.snapshot().unwrap(), TrackName::VIDEO_MAIN);
    let first = late.lines().find(|line| line.starts_with("#EXT-X-PART:")).unwrap();
    let from = |text: &str| text[text.find(first).unwrap()..].to_owned();
    assert_eq!(from(&late), from(&whole));
    let sequence = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with("#EXT-X-MEDIA-SEQUENCE")).unwrap();
        line.rsplit(':').next().unwrap().parse().unwrap()
    };
    let before = whole[..whole.find(first).unwrap()].matches("#EXTINF").count();
    assert_eq!(sequence(&late), sequence(&whole) + before as u64);
}

#[test]
fn what_was_fetched_later_is_left_out_of_a_playlist_that_was_read() {
    let snapshot = snapshot(&[Script::new(&[2_000; 5])]);
    let track = name(TrackName::VIDEO_MAIN);
    let playlist = MediaPlaylist::new(&snapshot, &track).unwrap();
    assert_eq!(playlist.first(), 0);
    let text = playlist.starting_at(2).render();
    assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:2\n") && !text.contains("/1.m4s"), "{text}");
}

#[test]
fn parts_are_the_segment_cut_up() {
    let snapshot = regular();
    for track in &snapshot.current().unwrap().tracks {
        for view in track.segments.iter().filter(|view| view.complete) {
            let tail = view.segment.tail();
            let parts: Vec<u8> = tail.parts.iter().flat_map(|part| part.bytes.to_vec()).collect();
            assert_eq!(parts, tail.whole, "{} {}", track.name, view.number);
        }
    }
}
