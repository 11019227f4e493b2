//! The WebRTC engine from outside: a whole viewer against a running engine. [`hostile`] has what
//! strangers may try, [`http`] the routes, [`waiting`] and [`restart`] two of their promises,
//! [`networks`] and [`tcp`] the ways to get here, [`limits`] what an edge takes on,
//! [`renditions`] the choice of a video rendition, [`tokens`] how long one may watch, and [`traced`] what is
//! told of it in traces.

// Beside the tests themselves there are only their tools here.
#![allow(clippy::unwrap_used)]

mod host;
mod hostile;
mod http;
mod limits;
mod link;
mod networks;
mod renditions;
mod restart;
mod tcp;
mod tokens;
mod traced;
mod viewer;
mod waiting;

use host::{Host, T0_MS, TICKS_PER_FRAME, catalog, engine, engine_with, expected, value};
use lectern_edge::whep::{self, OfferError};
use lectern_relay_proto::Catalog;
use viewer::Viewer;

pub(crate) fn assert_continuous(sequences: &[u16]) {
    for pair in sequences.windows(2) {
        assert_eq!(pair[1], pair[0].wrapping_add(1), "a gap in the sequence numbers");
    }
}

#[test]
fn a_joiner_gets_the_cached_group_and_then_every_frame_as_it_was() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(40);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    assert_eq!(viewer.answer.t0.as_millis(), T0_MS);
    viewer.connect();
    viewer.until("the cached group", |viewer| viewer.video().len() == 10);
    host.push(10);
    viewer.until("live frames", |viewer| viewer.video().len() == 20);
    for (frame, number) in viewer.video().iter().zip(30..) {
        assert_eq!(frame.units, expected(number, 30, 0), "frame {number}");
    }
    assert_continuous(&viewer.sequences);
}

#[test]
fn live_timestamps_are_media_time_and_never_go_back() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the keyframe", |viewer| viewer.video().len() == 1);
    // The keyframe carries the live clock; a second later in media time that is long past.
    host.number += 3_000;
    host.gop = 3_001;
    host.push(5);
    viewer.until("live frames", |viewer| viewer.video().len() == 6);
    let stamps: Vec<u32> = viewer.video().iter().map(|frame| frame.timestamp).collect();
    let live: Vec<u32> = (3_001..3_006).map(|n| n * TICKS_PER_FRAME as u32).collect();
    assert_eq!(stamps[1..], live);
    assert!(stamps[0] < stamps[1]);
}

#[test]
fn a_new_period_goes_on_in_the_same_session_with_its_own_parameter_sets() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(5);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    // The frames of the new period overtake its catalog.
    host.number = 30;
    host.period = 1;
    host.push(3);
    host.feed.set_catalog(&catalog(1));
    host.push(2);
    viewer.until("the new period", |viewer| viewer.video().len() == 10);
    let video = viewer.video();
    assert_eq!(video[4].units, expected(4, 30, 0));
    for (frame, number) in video[5..].iter().zip(30..) {
        assert_eq!(frame.units, expected(number, 30, 1), "frame {number}");
    }
    assert_continuous(&viewer.sequences);
}

#[test]
fn audio_is_live_from_the_start_and_reports_tie_it_to_the_video() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(2);
    host.push_audio(0);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    let packet = host.push_audio(7);
    viewer.until("audio", |viewer| viewer.frames.iter().any(|frame| !frame.video));
    let audio = viewer.frames.iter().find(|frame| !frame.video).unwrap();
    assert_eq!((&audio.units[0], audio.timestamp), (&packet.to_vec(), 7 * 960));
    viewer.until("reports", |viewer| viewer.reports.len() >= 2);
    for compound in &viewer.reports {
        let packets = rtc_rtcp::packet::unmarshal(&mut &compound[..]).unwrap();
        let kinds: Vec<u8> =
            packets.iter().map(|packet| packet.header().packet_type as u8).collect();
        assert_eq!((kinds[0], kinds[kinds.len() - 1]), (200, 202));
    }
}

#[test]
fn lost_packets_are_sent_again_and_a_lost_picture_starts_over() {
    check_repair(&mut |offer| offer, true);
}

#[test]
fn a_viewer_without_rtx_gets_the_same_packets_again() {
    check_repair(&mut |offer| offer.replace("apt=102", "apt=99"), false);
}

fn check_repair(change: &mut dyn FnMut(String) -> String, rtx: bool) {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(5);
    let certificate = viewer::certificate();
    let mut viewer = Viewer::open_with(&engine, "demo", certificate, change).unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 5);
    let (ssrc, lost) = (viewer.video_ssrc(), viewer.sequences[1]);
    let before = viewer.sequences.len();
    let mut nack = vec![0x81, 205, 0, 3, 0, 0, 0, 1];
    nack.extend(ssrc.to_be_bytes());
    nack.extend(lost.to_be_bytes());
    nack.extend([0, 1]);
    viewer.send_rtcp(&nack);
    viewer.until("the resent packets", |viewer| viewer.sequences.len() == before + 2);
    assert_eq!(viewer.sequences[before..], [lost, lost.wrapping_add(1)]);
    assert_eq!(viewer.answer.sdp.contains("a=ssrc-group:FID"), rtx);
    if rtx {
        let repair = viewer.line(&format!("a=ssrc-group:FID {ssrc} ")).parse().unwrap();
        let [(first, one), (second, other)] = viewer.repairs[..] else { panic!("two repairs") };
        assert_eq!((first, second, other), (repair, repair, one.wrapping_add(1)));
    } else {
        assert!(viewer.repairs.is_empty());
    }
    // A report soon after the start may still be about the start, so it is asked again until the
    // engine takes it for a new one.
    let mut pli = vec![0x81, 206, 0, 2, 0, 0, 0, 1];
    pli.extend(ssrc.to_be_bytes());
    viewer.until("the keyframe again", |viewer| {
        viewer.send_rtcp(&pli);
        viewer.video().iter().filter(|frame| frame.units.len() == 3).count() == 2
    });
    assert!(value(&registry, "lectern_webrtc_nacks_total") >= 2.0);
}

#[test]
fn playout_delay_is_sent_if_the_operator_wants_it_and_not_by_itself() {
    for wanted in [None, Some(whep::PlayoutDelay::new(0, 200).unwrap())] {
        let (engine, _) = engine_with(|config| config.playout_delay = wanted);
        let mut host = Host::new(&engine, "demo");
        host.push(2);
        let mut viewer = Viewer::open(&engine, "demo").unwrap();
        viewer.connect();
        viewer.until("the start", |viewer| viewer.video().len() == 2);
        let said = viewer.extensions.iter().any(|words| words[..4] == [5 << 4 | 2, 0, 0, 20]);
        assert_eq!(said, wanted.is_some());
        let signalled = viewer.answer.sdp.contains("rtp-hdrext/playout-delay");
        assert_eq!(signalled, wanted.is_some());
    }
}

#[test]
fn the_end_of_a_broadcast_is_said_to_its_viewers_and_to_no_others() {
    let (engine, registry) = engine_with(|_| {});
    let mut over = Host::new(&engine, "over");
    let mut on = Host::new(&engine, "on");
    over.push(1);
    on.push(1);
    let mut leaves = Viewer::open(&engine, "over").unwrap();
    let mut stays = Viewer::open(&engine, "on").unwrap();
    leaves.connect();
    stays.connect();
    let established = |id: &str| {
        let sessions = engine.established();
        sessions.into_iter().find(|(of, _)| of.as_str() == id).map(|(_, count)| count)
    };
    stays.until("both to be established", |_| {
        (established("over"), established("on")) == (Some(1), Some(1))
    });
    over.feed.end();
    leaves.until("close_notify", |viewer| viewer.closed);
    on.push(1);
    stays.until("a frame", |viewer| viewer.video().len() == 2);
    assert!(!stays.closed);
    drop(over);
    stays.until("the other to be gone", |_| value(&registry, "lectern_webrtc_sessions") == 1.0);
    stays.until("its broadcast to be unknown", |_| {
        Viewer::open(&engine, "over").err() == Some(OfferError::Unknown)
    });
    assert_eq!(established("on"), Some(1));
}

#[test]
fn a_feed_that_comes_back_finds_its_viewers() {
    let engine = engine();
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 1);
    let next = host.number;
    drop(host);
    let mut host = Host::new(&engine, "demo");
    host.number = next;
    host.push(1);
    viewer.until("the next frame", |viewer| viewer.video().len() == 2);
    assert_continuous(&viewer.sequences);
}

#[test]
fn live_frames_are_timed_and_cached_ones_are_not() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(10);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the cached group", |viewer| viewer.video().len() == 10);
    assert_eq!(engine.metrics().frame_age.get_sample_count(), 0);
    host.push(3);
    viewer.until("live frames", |viewer| viewer.video().len() == 13);
    drop((engine, host)); // The threads have ended, so all is counted.
    let family = registry.gather().into_iter();
    let mut ages = family.filter(|family| family.name() == "lectern_webrtc_frame_age_seconds");
    let histogram = ages.next().unwrap();
    assert_eq!(histogram.get_metric()[0].get_histogram().get_sample_count(), 3);
}

#[test]
fn a_session_that_is_deleted_says_goodbye_and_leaves_nothing_behind() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    let established = || engine.established().into_iter().map(|(_, count)| count).sum::<u32>();
    assert_eq!(established(), 0, "half-open is not established");
    viewer.connect();
    viewer.until("the session", |_| established() == 1);
    assert!(engine.close(&"demo".parse().unwrap(), &viewer.answer.session));
    viewer.until("close_notify", |viewer| viewer.closed);
    viewer.until("the end", |_| value(&registry, "lectern_webrtc_sessions") == 0.0);
    assert_eq!(established(), 0);
}

#[test]
fn a_viewer_who_came_for_sound_alone_is_let_go_when_there_is_a_picture() {
    let engine = engine();
    let feed = engine.feed("demo".parse().unwrap());
    let mut host = Host { feed, number: 0, gop: 1, period: 0 };
    let sound = |period| Catalog { video: vec![], ..catalog(period) };
    host.feed.set_catalog(&sound(0));
    host.push_audio(1);
    let mut early = Viewer::open(&engine, "demo").unwrap();
    early.connect();
    host.feed.set_catalog(&catalog(1));
    early.until("close_notify", |viewer| viewer.closed);
    // Who came for both stays when the picture goes and comes again.
    host.period = 1;
    host.push(1);
    let mut late = Viewer::open(&engine, "demo").unwrap();
    late.connect();
    late.until("the start", |viewer| viewer.video().len() == 1);
    host.feed.set_catalog(&sound(2));
    host.feed.set_catalog(&catalog(3));
    host.period = 3;
    host.push(1);
    late.until("the next picture", |viewer| viewer.video().len() == 2);
    assert!(!late.closed);
}
