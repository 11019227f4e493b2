//! Offers and fragments of SDP, and that the answers to them are well formed.

use std::io::Cursor;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use rtc_sdp::description::session::SessionDescription;

use super::super::answer::{self, Local};
use super::super::ice::Credentials;
use super::super::sdp::{self, Kind, Wanted};
use super::super::sdpfrag::Fragment;

const CANDIDATE: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 8_189);
/// An answer repeats of each m-line what identifies it, and adds a few kilobytes of its own.
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// An offer: what is answered is answered in whole lines, which another reader reads as well.
pub(super) fn offer(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let video = [None, Some([0x42, 0xc0, 0x1f]), Some([0x64, 0, 0x28])][usize::from(what % 3)];
    let wanted = Wanted { video, audio: what & 0x80 == 0 };
    let Ok(offer) = sdp::negotiate(text, &wanted) else { return };
    assert!(sdp::is_ice_text(&offer.ufrag, 4));
    for choice in offer.lines.iter().filter_map(|line| line.choice.as_ref()) {
        let mut ids = choice.capture_id.into_iter().chain(choice.playout_id);
        assert!(ids.all(|id| (1..=14).contains(&id)));
        assert!(choice.payload_type < 128 && choice.rtx != Some(choice.payload_type));
    }
    assert!(offer.line(Kind::Video).is_none() || wanted.video.is_some());
    assert!(offer.line(Kind::Audio).is_none() || wanted.audio);
    let local = Local {
        session: 7,
        ufrag: "ufrag",
        password: "password",
        fingerprint: "AA:BB",
        candidates: &[CANDIDATE],
        with_tcp: true,
        cname: "name",
        ssrc: [(Kind::Video, 11), (Kind::Audio, 22)],
        rtx_ssrc: 12,
        playout_delay: true,
    };
    let answer = answer::render(&offer, &local);
    assert!(answer.len() <= ANSWER_BYTES_MAX, "{} bytes", answer.len());
    check_lines(&answer);
    let parsed = SessionDescription::unmarshal(&mut Cursor::new(answer.as_bytes()));
    let parsed = parsed.expect("an answer is SDP");
    assert_eq!(parsed.media_descriptions.len(), offer.lines.len());
}

/// A fragment: what is answered is answered in whole lines.
pub(super) fn fragment(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(fragment) = Fragment::parse(text) else { return };
    assert!(fragment.ufrag.is_none_or(|ufrag| sdp::is_ice_text(ufrag, 4)));
    let local = Credentials { ufrag: "ours".into(), password: "secret".into() };
    let answer = fragment.answer(&local, &[CANDIDATE], true);
    assert!(answer.len() <= 2_048, "{} bytes", answer.len());
    check_lines(&answer);
}

/// Nothing of a stranger's text may begin a line of its own.
fn check_lines(answer: &str) {
    assert!(answer.ends_with("\r\n"));
    for line in answer.split_terminator("\r\n") {
        assert!(line.as_bytes().get(1) == Some(&b'='), "{line:?}");
        assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{line:?}");
    }
}
