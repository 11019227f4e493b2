//! What a publisher's SDP offer says, as far as it decides what is answered: which codecs it has, whether
//! it brings what can be published, and who it is to ICE.
//!
//! The library reads what is left of it: candidates, which a lite agent has no use for, and what would
//! have the publisher send several layers of one picture are taken out.

use std::fmt::Write as _;

/// The longest offer. Browsers send 6 to 12 kB.
pub(super) const OFFER_BYTES_MAX: usize = 64 * 1024;
/// Lines of it, and the longest of them. A browser's have 200, of 200 bytes.
const LINES_MAX: usize = 1_000;
const LINE_BYTES_MAX: usize = 4_096;
/// Codecs of one m-line that are looked at. Browsers offer up to fifty.
const PAYLOAD_TYPES_MAX: usize = 128;
/// Streams that an offer may name: sound, picture, and resends of each.
const STREAMS_MAX: usize = 8;
/// RFC 8839 §5.4: the length of what names an ICE session, and of its password.
const UFRAG_BYTES: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 22..=256;

/// A video codec that WebRTC publishers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Video {
    /// In packetization mode 1, which viewers are given as it is.
    H264,
    Vp8,
    Vp9,
    Av1,
}

/// An offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// What the library is to read.
    pub(super) sdp: String,
    /// The user name fragment of the publisher's ICE agent.
    pub(super) ufrag: String,
    /// Streams that it names, by their synchronization source.
    pub(super) streams: Vec<u32>,
    /// Whether a picture is offered, and in which of these codecs, the publisher's favourite first.
    pub(super) video: Option<Vec<Video>>,
    /// Whether sound is offered, and whether as Opus.
    pub(super) audio: Option<bool>,
}

/// Why an offer cannot be answered; a sentence for whoever wrote the page, or set up the encoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("this is not an SDP offer of WebRTC: {0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Unsupported(&'static str),
    #[error("{0}")]
    Codec(String),
}

/// What will be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) video: Option<Video>,
    pub(super) audio: bool,
}

/// One m-line.
#[derive(Default)]
struct Section<'a> {
    kind: &'a str,
    payload_types: Vec<&'a str>,
    /// Payload type and codec, as `96 VP8/90000`.
    codecs: Vec<(&'a str, &'a str)>,
    /// Payload type and its parameters.
    parameters: Vec<(&'a str, &'a str)>,
    sends: bool,
    rejected: bool,
}

impl Offer {
    /// Reads an offer.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let mut sdp = String::with_capacity(text.len());
        let mut sections: Vec<Section<'_>> = Vec::new();
        let (mut ufrag, mut password, mut fingerprint) = (None, false, false);
        // Said for the whole session unless a section says otherwise (RFC 8866 §6.7).
        let mut sends = true;
        let mut streams = Vec::new();
        for (number, line) in text.lines().filter(|line| !line.is_empty()).enumerate() {
            if number >= LINES_MAX || line.len() > LINE_BYTES_MAX {
                return Err(Error::Malformed("it is longer than any that a browser writes"));
            }
            if number == 0 && line != "v=0" {
                return Err(Error::Malformed("it does not begin with v=0"));
            }
            if !line.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte >= 0x80) {
                return Err(Error::Malformed("it has characters that SDP does not know"));
            }
            let (name, value) = match line.split_once('=') {
                Some(("a", attribute)) => attribute.split_once(':').unwrap_or((attribute, "")),
                Some(("m", media)) => {
                    sections.push(Section { sends, ..Section::read(media) });
                    ("", "")
                }
                Some(_) => ("", ""),
                None => return Err(Error::Malformed("it has a line without =")),
            };
            match name {
                "ice-ufrag" => ufrag = ufrag.or(Some(value)),
                "ice-pwd" => password |= PASSWORD_BYTES.contains(&value.len()),
                "fingerprint" => fingerprint = true,
                "sendonly" | "sendrecv" | "recvonly" | "inactive" => {
                    let here = sections.last_mut().map_or(&mut sends, |section| &mut section.sends);
                    *here = name.starts_with("send");
                }
                "rtpmap" | "fmtp" => {
                    if let (Some(section), Some(mapped)) =
                        (sections.last_mut(), value.split_once(' '))
                    {
                        section.describe(name, mapped);
                    }
                }
                // RFC 5576 §4.1: `a=ssrc:1234 cname:…`.
                "ssrc" => {
                    let stream = value.split(' ').next().and_then(|stream| stream.parse().ok());
                    if let Some(stream) = stream
                        && streams.len() < STREAMS_MAX
                        && !streams.contains(&stream)
                    {
                        streams.push(stream);
                    }
                }
                "candidate" | "end-of-candidates" | "simulcast" | "rid" => continue,
                _ => {}
            }
            // Writing to a String cannot fail.
            let _ = write!(sdp, "{line}\r\n");
        }
        let ufrag = ufrag.filter(|ufrag| UFRAG_BYTES.contains(&ufrag.len()));
        let (Some(ufrag), true) = (ufrag, password) else {
            return Err(Error::Malformed("it has no ice-ufrag and ice-pwd"));
        };
        if !fingerprint {
            return Err(Error::Malformed("it has no fingerprint of a certificate"));
        }
        let section = |kind: &'static str| -> Result<_, Error> {
            let mut of_kind = sections.iter().filter(|section| section.kind == kind);
            let first = of_kind.next();
            if of_kind.next().is_some() {
                return Err(Error::Unsupported(
                    "send one picture and one sound: this offer has several tracks of a kind",
                ));
            }
            Ok(first.filter(|section| !section.rejected))
        };
        let (video, audio) = (section("video")?, section("audio")?);
        if sections.iter().any(|section| !["video", "audio"].contains(&section.kind)) {
            return Err(Error::Unsupported(
                "only audio and video can be published: leave data channels out of the offer",
            ));
        }
        let sending = [video, audio].into_iter().flatten();
        if !sending.clone().all(|section| section.sends) || sending.count() == 0 {
            return Err(Error::Unsupported(
                "a publisher sends: add its tracks with the direction sendonly before the offer \
                 is made",
            ));
        }
        Ok(Self {
            sdp,
            ufrag: ufrag.to_owned(),
            streams,
            video: video.map(Section::video_codecs),
            audio: audio.map(Section::has_opus),
        })
    }

    /// What is published of it. What viewers are given as it is comes first; where nothing of the kind
    /// is offered, what is in `reencodes`.
    pub(super) fn choose(&self, reencodes: &[Video]) -> Result<Chosen, Error> {
        let video = match &self.video {
            None => None,
            Some(offered) if offered.contains(&Video::H264) => Some(Video::H264),
            Some(offered) => match offered.iter().find(|codec| reencodes.contains(codec)) {
                Some(codec) => Some(*codec),
                None => return Err(Error::Codec(no_video(offered))),
            },
        };
        if self.audio == Some(false) {
            return Err(Error::Codec(
                "the sound of WebRTC viewers is Opus: choose Opus in the encoder".to_owned(),
            ));
        }
        Ok(Chosen { video, audio: self.audio.is_some() })
    }
}

fn no_video(offered: &[Video]) -> String {
    if offered.is_empty() {
        return "this offer has no video codec that can be published: choose H.264 with \
                packetization-mode=1"
            .to_owned();
    }
    let names: Vec<_> = offered.iter().map(|codec| codec.name()).collect();
    format!(
        "viewers are given H.264, and this offer has {} only, which this server does not re-encode: \
         choose H.264 in the encoder, or a browser that has it",
        names.join(", ")
    )
}

impl Video {
    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
        }
    }
}

impl<'a> Section<'a> {
    /// `video 9 UDP/TLS/RTP/SAVPF 96 97`.
    fn read(media: &'a str) -> Self {
        let mut words = media.split_ascii_whitespace();
        let (kind, port) = (words.next().unwrap_or_default(), words.next());
        let payload_types = words.skip(1).take(PAYLOAD_TYPES_MAX).collect();
        Self { kind, payload_types, rejected: port == Some("0"), ..Self::default() }
    }

    fn describe(&mut self, name: &str, mapped: (&'a str, &'a str)) {
        let list = if name == "rtpmap" { &mut self.codecs } else { &mut self.parameters };
        if list.len() < PAYLOAD_TYPES_MAX {
            list.push(mapped);
        }
    }

    fn codec(&self, payload_type: &str) -> Option<&'a str> {
        self.codecs.iter().find(|(mapped, _)| *mapped == payload_type).map(|(_, codec)| *codec)
    }

    fn parameter(&self, payload_type: &str, name: &str) -> Option<&'a str> {
        let (_, all) = self.parameters.iter().find(|(mapped, _)| *mapped == payload_type)?;
        all.split(';')
            .find_map(|one| one.trim().split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
    }

    fn video_codecs(&self) -> Vec<Video> {
        let mut offered = Vec::new();
        for payload_type in &self.payload_types {
            let codec = self.codec(payload_type).unwrap_or_default().to_ascii_lowercase();
            let codec = match codec.as_str() {
                "h264/90000" if self.is_h264_for_viewers(payload_type) => Video::H264,
                "vp8/90000" => Video::Vp8,
                // Of others, more than 8 bits, little is known to decode in real time.
                "vp9/90000" if self.parameter(payload_type, "profile-id").unwrap_or("0") == "0" => {
                    Video::Vp9
                }
                "av1/90000" if self.parameter(payload_type, "profile").unwrap_or("0") == "0" => {
                    Video::Av1
                }
                _ => continue,
            };
            if !offered.contains(&codec) {
                offered.push(codec);
            }
        }
        offered
    }

    /// Baseline, Main or High (RFC 6184 §8.1) in packets that may be fragments.
    fn is_h264_for_viewers(&self, payload_type: &str) -> bool {
        let profile = self.parameter(payload_type, "profile-level-id").unwrap_or("42");
        let carried = ["42", "4d", "64"];
        self.parameter(payload_type, "packetization-mode") == Some("1")
            && profile.get(..2).is_some_and(|idc| carried.contains(&&*idc.to_ascii_lowercase()))
    }

    fn has_opus(&self) -> bool {
        self.payload_types.iter().filter_map(|payload_type| self.codec(payload_type)).any(|codec| {
            codec.get(..11).is_some_and(|name| name.eq_ignore_ascii_case("opus/48000/"))
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-256 00:11\r\na=setup:actpass\r\n";
    const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=sendonly\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";

    fn video(codecs: &[(&str, &str)]) -> String {
        let types: Vec<_> = (96..).take(codecs.len()).map(|n: u8| n.to_string()).collect();
        let mut text =
            format!("m=video 9 UDP/TLS/RTP/SAVPF {}\r\na=mid:1\r\na=sendonly\r\n", types.join(" "));
        for (payload_type, (codec, parameters)) in types.iter().zip(codecs) {
            let _ = write!(text, "a=rtpmap:{payload_type} {codec}/90000\r\n");
            if !parameters.is_empty() {
                let _ = write!(text, "a=fmtp:{payload_type} {parameters}\r\n");
            }
        }
        text
    }

    const ALL: &[Video] = &[Video::Vp8, Video::Vp9, Video::Av1];
    const BASELINE: (&str, &str) =
        ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");

    fn chosen(codecs: &[(&str, &str)], reencodes: &[Video]) -> Result<Option<Video>, Error> {
        let offer = Offer::read(&format!("{HEAD}{AUDIO}{}", video(codecs)))?;
        offer.choose(reencodes).map(|chosen| chosen.video)
    }

    #[test]
    fn h264_is_chosen_wherever_it_stands() {
        let all = [("VP8", ""), ("rtx", "apt=96"), BASELINE, ("AV1", "")];
        assert_eq!(chosen(&all, ALL), Ok(Some(Video::H264)));
        assert_eq!(chosen(&all, &[]), Ok(Some(Video::H264)));
    }

    #[test]
    fn what_viewers_cannot_be_given_is_re_encoded_or_refused_by_name() {
        let others = [("AV1", ""), ("VP8", "")];
        assert_eq!(chosen(&others, ALL), Ok(Some(Video::Av1)));
        assert_eq!(chosen(&others, &[Video::Vp8]), Ok(Some(Video::Vp8)));
        let refused = chosen(&others, &[Video::Vp9]).expect_err("refused").to_string();
        assert!(refused.contains("AV1, VP8") && refused.contains("choose H.264"), "{refused}");
    }

    #[test]
    fn h264_that_viewers_cannot_decode_is_not_h264() {
        let single = ("H264", "packetization-mode=0;profile-level-id=42e01f");
        let deep = ("H264", "packetization-mode=1;profile-level-id=f4001f");
        for codec in [single, deep, ("H264", ""), ("H265", ""), ("VP9", "profile-id=2")] {
            assert!(matches!(chosen(&[codec], ALL), Err(Error::Codec(_))), "{codec:?}");
        }
        for profile in ["42001f", "4D0032", "640c1f"] {
            let parameters = format!("packetization-mode=1; profile-level-id={profile}");
            assert_eq!(chosen(&[("h264", &parameters)], &[]), Ok(Some(Video::H264)));
        }
    }

    #[test]
    fn one_kind_is_enough_and_it_must_be_sent() {
        let sound = Offer::read(&format!("{HEAD}{AUDIO}")).expect("an offer");
        assert_eq!(sound.choose(&[]), Ok(Chosen { video: None, audio: true }));
        let listens = AUDIO.replace("sendonly", "recvonly");
        assert!(matches!(Offer::read(&format!("{HEAD}{listens}")), Err(Error::Unsupported(_))));
        assert!(matches!(Offer::read(HEAD), Err(Error::Unsupported(_))));
        let telephone = AUDIO.replace("opus/48000/2", "G722/8000");
        let offer = Offer::read(&format!("{HEAD}{telephone}")).expect("an offer");
        assert!(matches!(offer.choose(ALL), Err(Error::Codec(_))));
    }

    #[test]
    fn several_tracks_of_a_kind_and_data_channels_are_refused() {
        let check = |text: String| {
            assert!(matches!(Offer::read(&text), Err(Error::Unsupported(_))), "{text}");
        };
        check(format!("{HEAD}{AUDIO}{AUDIO}"));
        check(format!("{HEAD}{AUDIO}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    }

    #[test]
    fn what_is_no_offer_is_said_to_be_none() {
        let whole = format!("{HEAD}{AUDIO}");
        for text in ["", "hello", "v=0\r\nhello", "{\"type\":\"offer\"}"] {
            assert!(matches!(Offer::read(text), Err(Error::Malformed(_))), "{text}");
        }
        for gone in [
            "a=ice-ufrag:abcd\r\n",
            "a=ice-pwd:0123456789012345678901\r\n",
            "a=fingerprint:sha-256 00:11\r\n",
        ] {
            let text = whole.replace(gone, "");
            assert!(matches!(Offer::read(&text), Err(Error::Malformed(_))), "{gone}");
        }
        assert!(Offer::read(&format!("{whole}a=x:\u{1}\r\n")).is_err());
        assert!(Offer::read(&format!("{whole}{}", "a=x\r\n".repeat(LINES_MAX))).is_err());
    }

    #[test]
    fn the_library_sees_neither_candidates_nor_layers() {
        let layers = "a=rid:h send\r\na=simulcast:send h;l\r\n";
        let offer = Offer::read(&format!("{HEAD}{AUDIO}{layers}")).expect("an offer");
        for gone in ["candidate", "rid", "simulcast"] {
            assert!(!offer.sdp.contains(gone), "{}", offer.sdp);
        }
        assert!(offer.sdp.contains("a=rtpmap:111 opus/48000/2\r\n"));
        assert_eq!(offer.ufrag, "abcd");
    }

    #[test]
    fn streams_are_known_by_their_names() {
        let named = "a=ssrc-group:FID 7 8\r\na=ssrc:7 cname:x\r\na=ssrc:7 msid:y\r\na=ssrc:8\r\na=ssrc:x\r\n";
        let offer = Offer::read(&format!("{HEAD}{AUDIO}{named}")).expect("an offer");
        assert_eq!(offer.streams, [7, 8]);
    }

    proptest! {
        #[test]
        fn no_offer_panics(lines in prop::collection::vec(
            prop_oneof![
                Just(HEAD.to_owned()), Just(AUDIO.to_owned()), Just(video(&[BASELINE])),
                "[vma]=[a-z0-9:;=/ -]{0,40}\r\n", "\\PC{0,60}\r\n",
            ], 0..8,
        )) {
            if let Ok(offer) = Offer::read(&lines.concat()) {
                let _ = offer.choose(ALL);
            }
        }
    }
}
