//! The answer to a viewer's offer, as text.
//!
//! A pure rendering of what [`super::sdp`] chose: ICE-lite, one transport for all, passive DTLS,
//! SSRCs and names signalled so that a player can tell streams apart without header extensions.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::sdp::{ABS_CAPTURE_TIME, Choice, Kind, Line, Offer, PLAYOUT_DELAY};

/// What of an answer is ours.
pub(super) struct Local<'a> {
    /// Names the session in the `o=` line.
    pub session: u64,
    /// Our ICE user name fragment.
    pub ufrag: &'a str,
    /// Our ICE password.
    pub password: &'a str,
    /// SHA-256 of our certificate.
    pub fingerprint: &'a str,
    /// Where viewers reach us, best first.
    pub candidates: &'a [SocketAddr],
    /// Whether there they also reach us over TCP.
    pub with_tcp: bool,
    /// The canonical name of the streams, RFC 3550 §6.5.1.
    pub cname: &'a str,
    /// The stream's SSRC by its kind.
    pub ssrc: [(Kind, u32); 2],
    /// The SSRC of the video's retransmissions.
    pub rtx_ssrc: u32,
    /// Whether playout-delay is wanted.
    pub playout_delay: bool,
}

/// Writes the answer.
pub(super) fn render(offer: &Offer, local: &Local<'_>) -> String {
    let mut out = String::with_capacity(2_048);
    let mids = offer.lines.iter().filter(|line| line.choice.is_some());
    let group: String = mids
        .filter_map(|line| line.mid.as_deref())
        .fold(String::new(), |group, mid| group + " " + mid);
    // Writing to a String cannot fail; `line!` keeps the lines readable.
    macro_rules! line {
        ($($text:tt)*) => {{ let _ = write!(out, $($text)*); out.push_str("\r\n"); }};
    }
    line!("v=0");
    line!("o=- {} 1 IN IP4 0.0.0.0", local.session);
    line!("s=-");
    line!("t=0 0");
    line!("a=ice-lite");
    if !group.is_empty() {
        line!("a=group:BUNDLE{group}");
    }
    line!("a=msid-semantic: WMS *");
    for media in &offer.lines {
        match &media.choice {
            Some(choice) => accept(&mut out, media, choice, local),
            None => decline(&mut out, media),
        }
    }
    out
}

fn decline(out: &mut String, media: &Line) {
    let _ = write!(out, "m={} 0 {} {}\r\n", media.media, media.protocol, media.format);
    out.push_str("c=IN IP4 0.0.0.0\r\na=inactive\r\n");
    if let Some(mid) = &media.mid {
        let _ = write!(out, "a=mid:{mid}\r\n");
    }
}

fn accept(out: &mut String, media: &Line, choice: &Choice, local: &Local<'_>) {
    macro_rules! line {
        ($($text:tt)*) => {{ let _ = write!(out, $($text)*); out.push_str("\r\n"); }};
    }
    let payload_type = choice.payload_type;
    let formats = choice.rtx.map_or(String::new(), |rtx| format!(" {rtx}"));
    line!("m={} 9 {} {payload_type}{formats}", media.media, media.protocol);
    line!("c=IN IP4 0.0.0.0");
    line!("a=rtcp:9 IN IP4 0.0.0.0");
    if let Some(mid) = &media.mid {
        line!("a=mid:{mid}");
    }
    line!("a=sendonly");
    line!("a=ice-ufrag:{}", local.ufrag);
    line!("a=ice-pwd:{}", local.password);
    line!("a=fingerprint:sha-256 {}", local.fingerprint);
    line!("a=setup:passive");
    line!("a=rtcp-mux");
    if choice.reduced_size {
        line!("a=rtcp-rsize");
    }
    match choice.kind {
        Kind::Video => {
            line!("a=rtpmap:{payload_type} H264/90000");
            if let Some(fmtp) = &choice.fmtp {
                line!("a=fmtp:{payload_type} {fmtp}");
            }
        }
        Kind::Audio => {
            line!("a=rtpmap:{payload_type} opus/48000/2");
            // What we send is stereo whenever the host's is; decoders play mono in it as well.
            line!("a=fmtp:{payload_type} minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1");
        }
    }
    for feedback in &choice.feedback {
        line!("a=rtcp-fb:{payload_type} {feedback}");
    }
    if let Some(rtx) = choice.rtx {
        line!("a=rtpmap:{rtx} rtx/90000");
        line!("a=fmtp:{rtx} apt={payload_type}");
    }
    if let Some(id) = choice.capture_id {
        line!("a=extmap:{id} {ABS_CAPTURE_TIME}");
    }
    if let Some(id) = choice.playout_id.filter(|_| local.playout_delay) {
        line!("a=extmap:{id} {PLAYOUT_DELAY}");
    }
    let track = match choice.kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
    };
    line!("a=msid:lectern {track}");
    for (_, ssrc) in local.ssrc.iter().filter(|(kind, _)| *kind == choice.kind) {
        let repair = choice.rtx.map(|_| local.rtx_ssrc);
        if let Some(repair) = repair {
            // RFC 5576 §4.2, and RFC 4588 §7 for what FID means here.
            line!("a=ssrc-group:FID {ssrc} {repair}");
        }
        for ssrc in std::iter::once(*ssrc).chain(repair) {
            line!("a=ssrc:{ssrc} cname:{}", local.cname);
            line!("a=ssrc:{ssrc} msid:lectern {track}");
        }
    }
    write_candidates(out, local.candidates, local.with_tcp);
}

/// Writes the candidates, best first, and that there are no more.
pub(super) fn write_candidates(out: &mut String, candidates: &[SocketAddr], with_tcp: bool) {
    macro_rules! line {
        ($($text:tt)*) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{}\r\n", format_args!($($text)*));
        };
    }
    for (index, address) in candidates.iter().enumerate() {
        let priority = priority(UDP_HOST, 65_535, index);
        let (foundation, ip, port) = (index + 1, address.ip(), address.port());
        line!("a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host");
    }
    for (index, address) in candidates.iter().filter(|_| with_tcp).enumerate() {
        let priority = priority(TCP_HOST, TCP_PASSIVE, index);
        let foundation = candidates.len() + index + 1;
        let (ip, port) = (address.ip(), address.port());
        line!("a=candidate:{foundation} 1 tcp {priority} {ip} {port} typ host tcptype passive");
    }
    out.push_str("a=end-of-candidates\r\n");
}

/// Type preferences, RFC 8445 §5.1.2.2. TCP is below all of UDP that a browser would gather, so that
/// it is chosen only where UDP fails (RFC 6544 §4.2); browsers give their own the same.
const UDP_HOST: u32 = 126;
const TCP_HOST: u32 = 90;
/// The highest local preference of a passive candidate: direction preference 4, RFC 6544 §4.2.
const TCP_PASSIVE: u32 = (4 << 13) | 0x1fff;

/// RFC 8445 §5.1.2.1 for component 1, in the order given.
fn priority(kind: u32, preference_max: u32, index: usize) -> u32 {
    let preference = preference_max.saturating_sub(index as u32);
    (kind << 24) + (preference << 8) + 255
}
