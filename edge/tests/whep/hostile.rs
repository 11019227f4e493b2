//! What strangers, and viewers who mean harm, may try: it costs at most their own session.

use lectern_edge::whep::OfferError;

use crate::host::{Host, engine_with, value};
use crate::viewer::{self, Viewer};

#[test]
fn another_certificate_than_the_offered_gets_no_media() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let other = viewer::certificate().fingerprint_str();
    let mine = viewer::certificate();
    let fingerprint = mine.fingerprint_str();
    let mut change = |offer: String| offer.replace(&fingerprint, &other);
    let mut viewer = Viewer::open_with(&engine, "demo", mine, &mut change).unwrap();
    viewer.pass_ice();
    viewer.shake_hands_in_vain(|| value(&registry, "lectern_webrtc_sessions_ended_total") == 1.0);
    assert!(viewer.video().is_empty());
}

#[test]
fn strangers_and_floods_harm_neither_a_handshake_nor_a_neighbour() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = Viewer::open(&engine, "demo").unwrap();
    neighbour.connect();
    neighbour.until("the start", |viewer| viewer.video().len() == 1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    let (ufrag, password) = (viewer.line("a=ice-ufrag:"), viewer.line("a=ice-pwd:"));

    // From an address that never passed ICE: all of it ends at the door.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let forged = [viewer.check(&ufrag, "guess"), viewer.check("nobody", &password)];
    let fragment = dtls(22, &[1, 0, 0x3e, 0x80, 0, 0, 0, 0, 1, 0, 0, 0]);
    for round in 0..2_000 {
        let datagram = match round % 4 {
            0 => &forged[0],
            1 => &forged[1],
            2 => &fragment,
            _ => &vec![0x80, 200, 0, 6, 1, 2, 3, 4],
        };
        stranger.send_to(datagram, viewer.server).unwrap();
    }

    // From the viewer's own address, in the middle of its handshake.
    viewer.pass_ice();
    for _ in 0..300 {
        viewer.send(&dtls(21, &[2, 40]));
        viewer.send(&fragment);
        viewer.send(&dtls(22, &[]));
        viewer.send(&[22; 40]);
        viewer.send(&[0x80, 201, 0, 1, 0, 0, 0, 1]);
        viewer.send(&[0x80, 96, 0, 1]);
    }
    viewer.shake_hands();
    viewer.until("the start", |viewer| viewer.video().len() == 1);

    // And once connected.
    for _ in 0..300 {
        viewer.send(&dtls(21, &[2, 40]));
        viewer.send(&[
            0x80, 201, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
        ]);
    }
    viewer.send_rtcp(&[0x81, 205, 0xff, 0xff, 0, 0, 0, 1]);
    viewer.send_rtcp(&[0x9f, 201, 0, 1, 0, 0, 0, 1]);
    host.push(1);
    viewer.until("the next frame", |viewer| viewer.video().len() == 2);
    neighbour.until("the next frame", |viewer| viewer.video().len() == 2);
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 2.0);
    assert!(value(&registry, "lectern_webrtc_bad_datagrams_total") > 0.0);
}

#[test]
fn a_flood_of_handshake_fragments_ends_only_its_own_session() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = Viewer::open(&engine, "demo").unwrap();
    neighbour.connect();
    let mut flooder = Viewer::open(&engine, "demo").unwrap();
    flooder.pass_ice();
    let fragment = dtls(22, &[1, 0, 0x3e, 0x80, 0, 0, 0, 0, 1, 0, 0, 1, 7]);
    flooder.until("the end of the session", |viewer| {
        (0..50).for_each(|_| viewer.send(&fragment));
        value(&registry, "lectern_webrtc_sessions_ended_total") == 1.0
    });
    host.push(1);
    neighbour.until("the next frame", |viewer| viewer.video().len() == 2);
}

#[test]
fn half_open_sessions_and_all_sessions_are_capped() {
    let (engine, _) = engine_with(|config| {
        config.half_open_max = 2;
        config.sessions_max = 3;
    });
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut first = Viewer::open(&engine, "demo").unwrap();
    let mut second = Viewer::open(&engine, "demo").unwrap();
    assert_eq!(Viewer::open(&engine, "demo").err(), Some(OfferError::Busy));
    first.connect();
    second.connect();
    // The edge's own half of the handshake may be done a moment later.
    let mut third = None;
    second.until("a place for a third", |_| {
        third = Viewer::open(&engine, "demo").ok();
        third.is_some()
    });
    assert_eq!(Viewer::open(&engine, "demo").err(), Some(OfferError::Full));
}

#[test]
fn an_address_that_another_session_claimed_is_the_viewers_again_with_its_next_check() {
    let (engine, _) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 1);
    // As a forged source address has it: a check of the thief's session from the viewer's address.
    let thief = Viewer::open(&engine, "demo").unwrap();
    let answered = viewer.checks_answered;
    viewer.send(&thief.check(&thief.line("a=ice-ufrag:"), &thief.line("a=ice-pwd:")));
    viewer.until("the thief's answer", |viewer| viewer.checks_answered > answered);
    viewer.pass_ice();
    let mut nack = vec![0x81, 205, 0, 3, 0, 0, 0, 1];
    nack.extend(viewer.video_ssrc().to_be_bytes());
    nack.extend(viewer.sequences[0].to_be_bytes());
    nack.extend([0, 0]);
    let before = viewer.sequences.len();
    viewer.until("the resent packet", |viewer| {
        viewer.send_rtcp(&nack);
        viewer.sequences.len() > before
    });
}

/// A plaintext DTLS record.
fn dtls(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}
