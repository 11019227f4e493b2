//! Offers and their answers, above all the one that Chromium makes.

use super::*;
use crate::whep::answer::{self, Local};
use proptest::prelude::*;

/// What Chromium 156 offers for `recvonly` video and audio with abs-capture-time asked for.
const CHROMIUM: &str = include_str!("chromium_offer.sdp");
const HIGH: Wanted = Wanted { video: Some([0x64, 0, 0x1f]), audio: true };

fn answer(offer: &Offer) -> String {
    answer::render(
        offer,
        &Local {
            session: 7,
            ufrag: "ufrag",
            password: "password",
            fingerprint: "AA:BB",
            candidates: &["192.0.2.1:8189".parse().unwrap(), "[2001:db8::1]:8189".parse().unwrap()],
            with_tcp: true,
            cname: "name",
            ssrc: [(Kind::Video, 11), (Kind::Audio, 22)],
            rtx_ssrc: 12,
            playout_delay: false,
        },
    )
}

#[test]
fn chromium_gets_h264_and_opus_with_what_it_offered() {
    let offer = negotiate(CHROMIUM, &HIGH).unwrap();
    let video = offer.choice(Kind::Video).unwrap();
    assert!(video.fmtp.as_ref().unwrap().contains("packetization-mode=1"));
    assert_eq!(video.feedback, ["nack", "nack pli", "ccm fir", "goog-remb"]);
    assert_eq!(video.capture_id, Some(13));
    assert_eq!((video.payload_type, video.rtx), (108, Some(109)));
    let audio = offer.choice(Kind::Audio).unwrap();
    assert_eq!(audio.rtx, None);
    assert_eq!(audio.payload_type, 111);
    let sdp = answer(&offer);
    let parsed = SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes())).unwrap();
    assert_eq!(parsed.media_descriptions.len(), 2);
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0 1",
        "a=setup:passive",
        "a=sendonly",
        "a=candidate:1 1 udp 2130706431 192.0.2.1 8189 typ host",
        "a=candidate:2 1 udp 2130706175 2001:db8::1 8189 typ host",
        "a=candidate:3 1 tcp 1520435199 192.0.2.1 8189 typ host tcptype passive",
        "a=candidate:4 1 tcp 1520434943 2001:db8::1 8189 typ host tcptype passive",
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
        "a=rtpmap:109 rtx/90000",
        "a=fmtp:109 apt=108",
        "a=ssrc-group:FID 11 12",
        "a=ssrc:11 cname:name",
        "a=ssrc:12 cname:name",
        "a=ssrc:22 msid:lectern audio",
    ] {
        assert!(sdp.contains(&format!("{line}\r\n")), "{line} is missing in\n{sdp}");
    }
}

#[test]
fn the_profile_of_the_broadcast_is_matched_or_else_one_that_decodes_it() {
    let check = |profile, expect: &str| {
        let wanted = Wanted { video: Some(profile), audio: false };
        let offer = negotiate(CHROMIUM, &wanted).unwrap();
        let fmtp = offer.choice(Kind::Video).unwrap().fmtp.clone().unwrap();
        assert!(fmtp.contains(expect), "{fmtp}");
    };
    check([0x42, 0xc0, 0x1f], "profile-level-id=42e01f");
    check([0x42, 0x00, 0x1f], "profile-level-id=42001f");
    check([0x4d, 0x40, 0x1f], "profile-level-id=4d001f");
    // This Chromium offers no High, so constrained baseline stands in for it.
    check([0x64, 0x00, 0x1f], "profile-level-id=42e01f");
}

#[test]
fn lines_without_a_stream_are_declined_in_place() {
    let video_only = Wanted { audio: false, ..HIGH };
    let sdp = answer(&negotiate(CHROMIUM, &video_only).unwrap());
    assert!(sdp.contains("a=group:BUNDLE 0\r\n"));
    let at = sdp.find("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n").expect("declined");
    assert!(sdp[at..].contains("a=inactive\r\na=mid:1\r\n"));
    let audio_only = Wanted { video: None, audio: true };
    let sdp = answer(&negotiate(CHROMIUM, &audio_only).unwrap());
    assert!(sdp.contains("m=video 0 ") && sdp.contains("a=group:BUNDLE 1\r\n"));
}

#[test]
fn offers_that_cannot_work_are_refused_with_the_reason() {
    let check = |offer: String, expect| assert_eq!(negotiate(&offer, &HIGH), Err(expect));
    check(String::new(), Error::Malformed("not SDP"));
    check(CHROMIUM.replace("H264/", "H263/"), Error::NoH264);
    check(CHROMIUM.replace("packetization-mode=1", "packetization-mode=0"), Error::NoH264);
    check(CHROMIUM.replace("a=group:BUNDLE 0 1\r\n", ""), Error::NoBundle);
    check(CHROMIUM.replace("a=rtcp-mux\r\n", ""), Error::NoRtcpMux);
    check(CHROMIUM.replace("a=recvonly", "a=sendonly"), Error::Nothing);
    check(
        CHROMIUM.replace("actpass", "passive"),
        Error::Incomplete("setup must be actpass or active"),
    );
    check(CHROMIUM.replace("sha-256", "sha-1"), Error::Incomplete("no sha-256 fingerprint"));
    check(CHROMIUM.replace("a=ice-ufrag:", "a=x:"), Error::Incomplete("no usable ice-ufrag"));
    let lines = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n".repeat(LINES_MAX);
    check(CHROMIUM.to_owned() + &lines, Error::Malformed("too many m-lines"));
    check(" ".repeat(OFFER_BYTES_MAX + 1), Error::Malformed("too long"));
}

#[test]
fn retransmissions_go_as_rtx_only_if_it_is_offered_for_the_chosen_format_with_nack() {
    let check = |offer: String, expect| {
        let offer = negotiate(&offer, &HIGH).unwrap();
        assert_eq!(offer.choice(Kind::Video).unwrap().rtx, expect);
        assert_eq!(answer(&offer).contains("ssrc-group"), expect.is_some());
    };
    check(CHROMIUM.to_owned(), Some(109));
    check(CHROMIUM.replace("apt=108", "apt=110"), None);
    check(CHROMIUM.replace("apt=108", "rtx-time=3000; apt=108"), Some(109));
    check(CHROMIUM.replace("a=rtpmap:109 rtx/90000", "a=rtpmap:109 rtx/8000"), None);
    check(CHROMIUM.replace("a=rtcp-fb:108 nack\r\n", ""), None);
    check(CHROMIUM.replace("a=fmtp:109 apt=108", "a=fmtp:109 apt=109"), None);
}

#[test]
fn extension_ids_that_need_the_two_byte_form_are_not_taken() {
    let offer = CHROMIUM.replace("a=extmap:13 ", "a=extmap:15 ");
    let offer = negotiate(&offer, &HIGH).unwrap();
    assert_eq!(offer.choice(Kind::Video).unwrap().capture_id, None);
}

#[test]
fn many_formats_and_attributes_are_read_in_one_pass() {
    use rtc_sdp::description::media::MediaName;
    // Far more than an offer may have, so that looking for each of one among the other would take
    // minutes.
    let formats = (0..300_000).map(|n| (n % 200).to_string()).collect();
    let media_name = MediaName { media: "video".into(), formats, ..MediaName::default() };
    let map = |n| Attribute::new("rtpmap".into(), Some(format!("{n} H264/90000")));
    let attributes = (100..300_000).rev().map(map).collect();
    let media = MediaDescription { media_name, attributes, ..MediaDescription::default() };
    let began = std::time::Instant::now();
    let found: Vec<u8> = codecs(&media).map(|codec| codec.payload_type).collect();
    assert_eq!(found, (100..128).collect::<Vec<u8>>(), "each once, in the order of the formats");
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn a_mangled_offer_is_answered_or_refused_in_order(
        cuts in prop::collection::vec((0usize..12_000, 0usize..40, any::<u8>()), 1..6),
    ) {
        let mut bytes = CHROMIUM.as_bytes().to_vec();
        for (at, length, byte) in cuts {
            let at = at % bytes.len();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, [byte]);
        }
        if let Ok(offer) = negotiate(&String::from_utf8_lossy(&bytes), &HIGH) {
            let sdp = answer(&offer);
            prop_assert!(sdp.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
        }
    }
}
