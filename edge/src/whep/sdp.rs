//! The viewer's offer: what of it we can serve, or why nothing.
//!
//! Parsing is `rtc_sdp`; the choice of lines, codecs and extensions is here (RFC 9429 §5.10,
//! RFC 8829 for the rules of an answer, RFC 6184 §8.2.2 for H.264). Writing the answer is
//! [`super::answer`]'s.

use std::io::Cursor;

use rtc_sdp::description::common::Attribute;
use rtc_sdp::description::media::MediaDescription;
use rtc_sdp::description::session::SessionDescription;

/// The largest offer that is read; a browser's is about 10 kB.
pub(super) const OFFER_BYTES_MAX: usize = 64 * 1024;
/// The most m-lines; a viewer needs two.
const LINES_MAX: usize = 16;
/// The longest text of an offer that we repeat in the answer.
const ECHO_BYTES_MAX: usize = 256;
/// The payload types of RTP, RFC 3550 §5.1.
const PAYLOAD_TYPES: usize = 128;
/// The name of the capture time extension.
pub(super) const ABS_CAPTURE_TIME: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
/// The name of the playout delay extension.
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// Why an offer cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not SDP, or more of it than anybody needs.
    #[error("the offer is malformed: {0}")]
    Malformed(&'static str),
    /// It is SDP, and lacks what every WebRTC offer has.
    #[error("the offer is not one that WebRTC can work with: {0}")]
    Incomplete(&'static str),
    /// The lines that we would send on are not in one BUNDLE group.
    #[error("the offer does not BUNDLE its media; one transport carries all here")]
    NoBundle,
    /// RTCP would need a port of its own.
    #[error("the offer does not have rtcp-mux")]
    NoRtcpMux,
    /// A video line without H.264 in packetization mode 1.
    #[error("the offer has no H.264 with packetization-mode=1, which is what this broadcast is in")]
    NoH264,
    /// Nothing of the broadcast can be sent on any line.
    #[error("the offer asks to receive nothing that this broadcast has")]
    Nothing,
}

impl Error {
    /// A stable word for metrics and the `Lectern-Reason` header.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Incomplete(_) => "incomplete",
            Self::NoBundle => "no-bundle",
            Self::NoRtcpMux => "no-rtcp-mux",
            Self::NoH264 => "no-h264",
            Self::Nothing => "nothing",
        }
    }
}

/// What the broadcast can send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// H.264 video, and its `profile-level-id`.
    pub video: Option<[u8; 3]>,
    /// Opus audio.
    pub audio: bool,
}

/// Which of our streams a line carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// H.264.
    Video,
    /// Opus.
    Audio,
}

/// An offer, with the choice of what to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The viewer's ICE user name fragment.
    pub ufrag: String,
    /// SHA-256 of the viewer's certificate.
    pub fingerprint: [u8; 32],
    /// Every m-line, in order; an answer must have them all.
    pub lines: Vec<Line>,
}

/// An m-line of the offer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// `audio`, `video`, `application`.
    pub media: String,
    /// The transport, such as `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The first format, for a line that is declined.
    pub format: String,
    /// The identification tag.
    pub mid: Option<String>,
    /// What we send on it; `None` to decline.
    pub choice: Option<Choice>,
}

/// What is sent on a line, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// Which stream.
    pub kind: Kind,
    /// The offer's payload type.
    pub payload_type: u8,
    /// The offer's format parameters.
    pub fmtp: Option<String>,
    /// The feedback that we take, of what is offered.
    pub feedback: Vec<&'static str>,
    /// The id of abs-capture-time.
    pub capture_id: Option<u8>,
    /// The id of playout-delay, for video.
    pub playout_id: Option<u8>,
    /// The payload type of video's retransmissions, if RTX is offered and lost packets reported.
    pub rtx: Option<u8>,
    /// Whether RTCP may come in parts.
    pub reduced_size: bool,
}

impl Offer {
    /// The index of the line that carries a stream.
    pub(super) fn line(&self, kind: Kind) -> Option<usize> {
        let carries = |line: &Line| line.choice.as_ref().is_some_and(|choice| choice.kind == kind);
        self.lines.iter().position(carries)
    }

    /// What is chosen for a stream.
    pub(super) fn choice(&self, kind: Kind) -> Option<&Choice> {
        self.lines.iter().filter_map(|line| line.choice.as_ref()).find(|choice| choice.kind == kind)
    }
}

/// Reads an offer and chooses what to send of `wanted`.
pub(super) fn negotiate(offer: &str, wanted: &Wanted) -> Result<Offer, Error> {
    if offer.len() > OFFER_BYTES_MAX {
        return Err(Error::Malformed("too long"));
    }
    let session = SessionDescription::unmarshal(&mut Cursor::new(offer.as_bytes()))
        .map_err(|_| Error::Malformed("not SDP"))?;
    if session.media_descriptions.len() > LINES_MAX {
        return Err(Error::Malformed("too many m-lines"));
    }
    let mut lines = Vec::new();
    let mut remaining = *wanted;
    for media in &session.media_descriptions {
        lines.push(read_line(media, &mut remaining)?);
    }
    check_bundle(&session, &lines)?;
    let chosen = |(line, _): &(&Line, &MediaDescription)| line.choice.is_some();
    let mut transports = lines.iter().zip(&session.media_descriptions).filter(chosen);
    let Some((_, first)) = transports.next() else { return Err(Error::Nothing) };
    if !first.has_attribute("rtcp-mux")
        || transports.any(|(_, media)| !media.has_attribute("rtcp-mux"))
    {
        return Err(Error::NoRtcpMux);
    }
    // With BUNDLE the first line's transport is everybody's.
    let find = |key| value(&first.attributes, key).or_else(|| value(&session.attributes, key));
    let ufrag = find("ice-ufrag").filter(|ufrag| is_ice_text(ufrag, 4));
    let ufrag = ufrag.ok_or(Error::Incomplete("no usable ice-ufrag"))?;
    find("ice-pwd").filter(|pwd| is_ice_text(pwd, 22)).ok_or(Error::Incomplete("no ice-pwd"))?;
    if !matches!(find("setup"), None | Some("actpass" | "active")) {
        return Err(Error::Incomplete("setup must be actpass or active"));
    }
    let fingerprint = all(&first.attributes, "fingerprint")
        .chain(all(&session.attributes, "fingerprint"))
        .find_map(read_fingerprint)
        .ok_or(Error::Incomplete("no sha-256 fingerprint"))?;
    Ok(Offer { ufrag: ufrag.to_owned(), fingerprint, lines })
}

fn read_line(media: &MediaDescription, remaining: &mut Wanted) -> Result<Line, Error> {
    let name = &media.media_name;
    let protocol = name.protos.join("/");
    let format = name.formats.first().cloned().unwrap_or_default();
    let mid = value(&media.attributes, "mid").map(str::to_owned);
    let echoed = [&name.media, &protocol, &format].into_iter().chain(mid.as_ref());
    if !{ echoed }.all(|text| is_token(text)) {
        return Err(Error::Malformed("an m-line that is not printable"));
    }
    // RFC 8829 §5.2.1: a port of zero is a line that was stopped, unless bundle-only.
    let stopped = name.port.value == 0 && !media.has_attribute("bundle-only");
    let receives = !media.has_attribute("sendonly") && !media.has_attribute("inactive");
    let choice = if stopped || !receives || !protocol.ends_with("RTP/SAVPF") {
        None
    } else {
        match (name.media.as_str(), remaining.video, remaining.audio) {
            ("video", Some(profile), _) => {
                remaining.video = None;
                Some(choose_h264(media, profile).ok_or(Error::NoH264)?)
            }
            ("audio", _, true) => {
                let choice = choose_opus(media);
                remaining.audio &= choice.is_none();
                choice
            }
            _ => None,
        }
    };
    Ok(Line { media: name.media.clone(), protocol, format, mid, choice })
}

/// The payload type whose profile is that of the broadcast; else constrained baseline, which all
/// must decode, and whose decoders in practice decode the others too; else any in mode 1.
fn choose_h264(media: &MediaDescription, profile: [u8; 3]) -> Option<Choice> {
    let wanted = Profile::of(profile);
    let offered = codecs(media).filter(|codec| codec.is("H264", 90_000)).filter_map(|codec| {
        let fmtp = codec.fmtp?;
        (parameter(fmtp, "packetization-mode") == Some("1")).then(|| {
            let profile = parameter(fmtp, "profile-level-id").and_then(read_profile);
            // Without one it is baseline, RFC 6184 §8.1.
            let profile = Profile::of(profile.unwrap_or([0x42, 0, 0x0a]));
            (codec, profile)
        })
    });
    let rank = |profile: Profile| match profile {
        _ if profile == wanted => 0,
        Profile::ConstrainedBaseline => 1,
        _ => 2,
    };
    let (codec, _) = offered.min_by_key(|(_, profile)| rank(*profile))?;
    const FEEDBACK: [&str; 4] = ["nack", "nack pli", "ccm fir", "goog-remb"];
    Some(choice(media, &codec, Kind::Video, &FEEDBACK))
}

fn choose_opus(media: &MediaDescription) -> Option<Choice> {
    let codec = codecs(media).find(|codec| codec.is("opus", 48_000))?;
    Some(choice(media, &codec, Kind::Audio, &["nack"]))
}

fn choice(
    media: &MediaDescription,
    codec: &Codec<'_>,
    kind: Kind,
    feedback: &[&'static str],
) -> Choice {
    let payload_type = codec.payload_type;
    let offers = |wanted: &str| {
        all(&media.attributes, "rtcp-fb").any(|line| {
            line.split_once(' ').is_some_and(|(format, what)| {
                what == wanted && (format == "*" || format.parse() == Ok(payload_type))
            })
        })
    };
    let feedback: Vec<_> = feedback.iter().copied().filter(|wanted| offers(wanted)).collect();
    let video = kind == Kind::Video;
    let rtx = codecs(media).find(|rtx| rtx.is("rtx", codec.clock_hz) && rtx.repairs(payload_type));
    Choice {
        kind,
        payload_type,
        fmtp: codec.fmtp.filter(|fmtp| is_printable(fmtp)).map(str::to_owned),
        rtx: rtx.filter(|_| video && feedback.contains(&"nack")).map(|rtx| rtx.payload_type),
        feedback,
        capture_id: extension(media, ABS_CAPTURE_TIME),
        playout_id: extension(media, PLAYOUT_DELAY).filter(|_| video),
        reduced_size: media.has_attribute("rtcp-rsize"),
    }
}

/// The profiles that differ for a decoder, RFC 6184 §8.1 table 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
    Other(u8),
}

impl Profile {
    fn of([idc, flags, _]: [u8; 3]) -> Self {
        match (idc, flags & 0x40 != 0) {
            (0x42, true) => Self::ConstrainedBaseline,
            (0x42, false) => Self::Baseline,
            (0x4d, true) if flags & 0x80 != 0 => Self::ConstrainedBaseline,
            (0x4d, _) => Self::Main,
            (0x64, _) if flags & 0x0c == 0x0c => Self::ConstrainedHigh,
            (0x64, _) => Self::High,
            (other, _) => Self::Other(other),
        }
    }
}

struct Codec<'a> {
    payload_type: u8,
    name: &'a str,
    clock_hz: u32,
    fmtp: Option<&'a str>,
}

impl Codec<'_> {
    fn is(&self, name: &str, clock_hz: u32) -> bool {
        self.name.eq_ignore_ascii_case(name) && self.clock_hz == clock_hz
    }

    /// Whether its format parameters tie it to `payload_type`, RFC 4588 §8.1.
    fn repairs(&self, payload_type: u8) -> bool {
        let apt = self.fmtp.and_then(|fmtp| parameter(fmtp, "apt"));
        self.payload_type != payload_type
            && apt.and_then(|apt| apt.parse().ok()) == Some(payload_type)
    }
}

/// The codecs of a line, in the order of its formats, each once.
///
/// In one pass over the attributes and one over the formats: a stranger may send thousands of both,
/// and to look for each of one among the other takes tens of milliseconds.
fn codecs(media: &MediaDescription) -> impl Iterator<Item = Codec<'_>> {
    let of = |key: &'static str| {
        let mut values = [None; PAYLOAD_TYPES];
        for (format, value) in all(&media.attributes, key).filter_map(|line| line.split_once(' ')) {
            if let Some(first) = payload_type(format).and_then(|at| values.get_mut(at)) {
                first.get_or_insert(value.trim());
            }
        }
        values
    };
    let (mut maps, fmtps) = (of("rtpmap"), of("fmtp"));
    media.media_name.formats.iter().filter_map(move |format| {
        let at = payload_type(format)?;
        let mut map = maps.get_mut(at)?.take()?.split('/');
        let name = map.next()?;
        let clock_hz = map.next()?.parse().ok()?;
        let payload_type = u8::try_from(at).ok()?;
        Some(Codec { payload_type, name, clock_hz, fmtp: fmtps.get(at).copied().flatten() })
    })
}

fn payload_type(format: &str) -> Option<usize> {
    format.parse().ok().filter(|at| *at < PAYLOAD_TYPES)
}

fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|item| item.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn read_profile(text: &str) -> Option<[u8; 3]> {
    let number = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 6)?;
    let [_, profile @ ..] = number.to_be_bytes();
    Some(profile)
}

/// The id that the offer gives an extension, if it fits the one-byte form (RFC 8285 §4.2).
fn extension(media: &MediaDescription, uri: &str) -> Option<u8> {
    all(&media.attributes, "extmap").find_map(|line| {
        let mut words = line.split(' ');
        let id = words.next()?.split('/').next()?.parse().ok()?;
        (words.next() == Some(uri) && (1..=14).contains(&id)).then_some(id)
    })
}

/// RFC 9143: the lines that we send on must be in one group.
fn check_bundle(session: &SessionDescription, lines: &[Line]) -> Result<(), Error> {
    let chosen: Vec<_> = lines.iter().filter(|line| line.choice.is_some()).collect();
    if chosen.len() < 2 {
        return Ok(());
    }
    let bundled = |line: &&Line| {
        let mid = line.mid.as_deref();
        let mut groups = all(&session.attributes, "group");
        mid.is_some_and(|mid| {
            groups.any(|group| {
                let mut words = group.split(' ');
                words.next() == Some("BUNDLE") && words.any(|word| word == mid)
            })
        })
    };
    if chosen.iter().all(bundled) { Ok(()) } else { Err(Error::NoBundle) }
}

fn read_fingerprint(line: &str) -> Option<[u8; 32]> {
    let (algorithm, hex) = line.split_once(' ')?;
    if !algorithm.eq_ignore_ascii_case("sha-256") {
        return None;
    }
    let mut bytes = [0; 32];
    let mut pairs = hex.trim().split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(pairs.next()?, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

fn all<'a>(attributes: &'a [Attribute], key: &'static str) -> impl Iterator<Item = &'a str> {
    attributes.iter().filter(move |a| a.key == key).filter_map(|a| a.value.as_deref())
}

fn value<'a>(attributes: &'a [Attribute], key: &'static str) -> Option<&'a str> {
    all(attributes, key).next().map(str::trim)
}

/// Characters of RFC 8839 §5.4, in a length between `min` and 256.
pub(super) fn is_ice_text(text: &str, min: usize) -> bool {
    let ice_char = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    (min..=256).contains(&text.len()) && text.bytes().all(ice_char)
}

fn is_token(text: &str) -> bool {
    (1..=ECHO_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Whether text of a stranger may be repeated in an answer.
pub(super) fn is_printable(text: &str) -> bool {
    text.len() <= ECHO_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

#[cfg(test)]
#[path = "sdp_tests.rs"]
mod tests;
