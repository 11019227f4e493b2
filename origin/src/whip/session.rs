//! One publisher's WebRTC session around the library's, pure like it: datagrams and the time come in;
//! datagrams, media and the end come out.
//!
//! What a stranger could do to the library is kept from it here: only so many addresses, only so many
//! streams, and no DTLS that a client has no reason to send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::datagram;
use str0m::change::SdpOffer;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::SenderInfo;
use str0m::rtp::{Extension, ExtensionMap, RtpPacket, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Output as RtcOutput, Rtc, RtcConfig};

use super::media::{Kind, Left, Made, Media, Received};
use super::offer::{Chosen, Offer, Video};

/// From the answer until media may flow. Handshakes take a fraction of a second; ten of them pass where
/// packets are lost.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// A publisher of whom nothing authentic was heard for so long is gone. Browsers check the way every
/// five seconds at the least (RFC 7675 §5.1).
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// Addresses that a publisher may send from at once: a few interfaces in two address families. One more
/// takes the place of the one that was silent for longest.
const PATHS_MAX: usize = 8;
/// Addresses in all. Each leaves something behind in the library.
const PATHS_EVER_MAX: usize = 64;
/// Streams that are looked at besides those that the offer names, which is for publishers who name none.
/// Each leaves something behind in the library, whoever sent it.
const STREAMS_MAX: usize = 16;
/// STUN success responses (RFC 8489 §5): whom we send one has passed a check.
const CHECK_PASSED: [u8; 2] = [0x01, 0x01];
/// Level 5.2 (ITU-T H.264 table A-1): all that a publisher's own limits allow.
const LEVEL: u32 = 0x34;
/// Profiles and constraints that are taken, RFC 6184 §8.1, first what every encoder has: Constrained
/// Baseline and Baseline, Main, Constrained High and High.
const PROFILES: [u32; 5] = [0x42e0, 0x4200, 0x4d00, 0x640c, 0x6400];

/// What all sessions share.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Identity {
    /// A new self-signed certificate; `None` if there is no randomness for it.
    pub(super) fn generate() -> Option<Self> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        Some(Self { crypto, certificate })
    }
}

/// What a session wants done.
#[derive(Debug)]
pub(super) enum Output {
    /// A datagram for this address.
    Send(SocketAddr, Vec<u8>),
    /// This address has passed a check: what comes from it is for this session.
    Passed(SocketAddr),
    /// This address is not the session's any more.
    Left(SocketAddr),
    /// Media.
    Made(Made),
    /// The handshake is done.
    Connected,
    /// Nothing follows.
    Ended(Ended),
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    #[error("the publisher ended it")]
    ByPublisher,
    #[error("the publisher did not connect: UDP may be blocked on its way to origin.media")]
    NotConnected,
    #[error("nothing was heard of the publisher any more")]
    Silent,
    #[error("WebRTC failed: {0}")]
    Failed(String),
}

/// Why an offer was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the offer cannot be answered: {0}")]
pub(super) struct Unanswerable(String);

/// A session.
pub(super) struct Session {
    rtc: Rtc,
    media: Media,
    /// Ours that the publisher was told.
    candidates: Vec<SocketAddr>,
    /// By payload type.
    kinds: Vec<(Pt, Kind)>,
    /// The stream of each kind, by who sent first.
    video: Option<Ssrc>,
    audio: Option<Ssrc>,
    /// Those that the offer named, and others that have been seen.
    named: Vec<u32>,
    others: Vec<u32>,
    /// Addresses that have passed a check, and when they were last heard.
    paths: Vec<(SocketAddr, Instant)>,
    /// Addresses that checks came from.
    sources: Vec<SocketAddr>,
    reports: [Option<SenderInfo>; 2],
    connected: bool,
    created: Instant,
    heard: Instant,
    timeout: Instant,
    ended: bool,
    made: Vec<Made>,
}

/// An answered offer.
pub(super) struct Answered {
    pub(super) session: Session,
    pub(super) answer: String,
    /// Ours, by which connectivity checks name the session.
    pub(super) ufrag: String,
}

impl Session {
    /// Answers an offer. Work of some milliseconds, which the library does on a stranger's text.
    pub(super) fn answer(
        offer: &Offer,
        chosen: Chosen,
        candidates: &[SocketAddr],
        identity: &Identity,
        now: Instant,
    ) -> Result<Answered, Unanswerable> {
        let refused = |error: &dyn std::fmt::Display| Unanswerable(error.to_string());
        let sdp = SdpOffer::from_sdp_string(&offer.sdp).map_err(|error| refused(&error))?;
        let mut rtc = config(chosen, identity).build(now);
        for address in candidates {
            let candidate = Candidate::host(*address, "udp").map_err(|error| refused(&error))?;
            rtc.add_local_candidate(candidate);
        }
        let answer = rtc.sdp_api().accept_offer(sdp).map_err(|error| refused(&error))?;
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let kinds = rtc.codec_config().params().iter().map(|params| {
            let kind = if params.spec().codec.is_audio() { Kind::Audio } else { Kind::Video };
            (params.pt(), kind)
        });
        let kinds = kinds.collect();
        let session = Self {
            rtc,
            media: Media::new(chosen),
            candidates: candidates.to_vec(),
            kinds,
            video: None,
            audio: None,
            named: offer.streams.clone(),
            others: Vec::new(),
            paths: Vec::new(),
            sources: Vec::new(),
            reports: [None; 2],
            connected: false,
            created: now,
            heard: now,
            timeout: now,
            ended: false,
            made: Vec::new(),
        };
        let answer = with_start_bitrate(&answer.to_sdp_string());
        Ok(Answered { session, answer, ufrag })
    }

    /// Takes a datagram from `source`. What is not for the library is dropped.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        arrived: UtcTime,
        source: SocketAddr,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) {
        if self.ended || !self.may_pass(source, bytes) {
            return;
        }
        // A lite agent answers from wherever it was asked; the library wants it to be an address that
        // it knows.
        let same_family = |candidate: &&SocketAddr| candidate.is_ipv4() == source.is_ipv4();
        let Some(destination) = self.candidates.iter().find(same_family).copied() else { return };
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, bytes) else { return };
        if let Err(error) = self.rtc.handle_input(Input::Receive(now, receive)) {
            self.end(Ended::Failed(error.to_string()), out);
            return;
        }
        self.drive(now, arrived, out);
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        let gone =
            if self.connected { self.heard + SILENCE_MAX } else { self.created + CONNECT_MAX };
        let media = self.media.timeout().filter(|_| self.connected);
        media.into_iter().chain([self.timeout, gone]).min().unwrap_or(gone)
    }

    /// Does what is due at `now`.
    pub(super) fn handle_timeout(&mut self, now: Instant, arrived: UtcTime, out: &mut Vec<Output>) {
        if self.ended {
            return;
        }
        if self.connected && now >= self.heard + SILENCE_MAX {
            self.end(Ended::Silent, out);
        } else if !self.connected && now >= self.created + CONNECT_MAX {
            self.end(Ended::NotConnected, out);
        } else if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
            self.end(Ended::Failed(error.to_string()), out);
        } else {
            self.drive(now, arrived, out);
        }
    }

    /// Where what was made of the picture was not taken: it goes on with a keyframe.
    pub(super) fn break_off(&mut self) {
        self.media.break_off();
    }

    /// What was left out since this was last asked.
    pub(super) fn take_left(&mut self) -> Left {
        self.media.take_left()
    }

    /// Says goodbye: what is sent now tells the publisher that it is over.
    pub(super) fn close(&mut self, out: &mut Vec<Output>) {
        // Bounded: a few packets of each kind.
        const LAST_WORDS_MAX: usize = 16;
        if self.rtc.close().is_err() {
            return;
        }
        for _ in 0..LAST_WORDS_MAX {
            match self.rtc.poll_output() {
                Ok(RtcOutput::Transmit(transmit)) => {
                    out.push(Output::Send(transmit.destination, transmit.contents.into()));
                }
                Ok(RtcOutput::Event(_)) => {}
                Ok(RtcOutput::Timeout(_)) | Err(_) => return,
            }
        }
    }

    /// Whether a datagram is one that the library may see.
    fn may_pass(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        /// A header of RTP, or a report of RTCP (RFC 3550 §5.1, §6.4).
        const RTP_HEADER: usize = 12;
        if datagram::is_stun(bytes) {
            let known = self.sources.contains(&source);
            if !known && self.sources.len() < PATHS_EVER_MAX {
                self.sources.push(source);
            }
            return known || self.sources.contains(&source);
        }
        if !self.paths.iter().any(|(path, _)| *path == source) {
            return false;
        }
        if datagram::is_dtls(bytes) {
            return datagram::is_from_dtls_client(bytes);
        }
        let Some(header) = bytes.first_chunk::<RTP_HEADER>() else { return false };
        // RFC 5761 §4: RTCP has types that no RTP here has. It makes no streams.
        if (192..=223).contains(&header[1]) {
            return true;
        }
        let stream = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        if self.named.contains(&stream) || self.others.contains(&stream) {
            return true;
        }
        let room = self.others.len() < STREAMS_MAX;
        if room {
            self.others.push(stream);
        }
        room
    }

    /// Does what the library wants until it wants nothing before some time.
    fn drive(&mut self, now: Instant, arrived: UtcTime, out: &mut Vec<Output>) {
        self.poll(now, out);
        self.media.drain(now, arrived, &mut self.made);
        out.extend(self.made.drain(..).map(Output::Made));
        if !self.ended && self.connected && self.media.asks_for_keyframe(now) {
            if let Some(ssrc) = self.video
                && let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc)
            {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            // The request goes out when the library is next driven.
            if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
                self.end(Ended::Failed(error.to_string()), out);
                return;
            }
            self.poll(now, out);
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Output>) {
        while !self.ended {
            match self.rtc.poll_output() {
                Ok(RtcOutput::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(RtcOutput::Transmit(transmit)) => {
                    let contents: Vec<u8> = transmit.contents.into();
                    if contents.starts_with(&CHECK_PASSED) {
                        self.passed(transmit.destination, now, out);
                    }
                    out.push(Output::Send(transmit.destination, contents));
                }
                Ok(RtcOutput::Event(event)) => self.handle_event(event, now, out),
                Err(error) => self.end(Ended::Failed(error.to_string()), out),
            }
        }
    }

    fn handle_event(&mut self, event: Event, now: Instant, out: &mut Vec<Output>) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.heard = now;
                out.push(Output::Connected);
            }
            Event::RtpPacket(packet) => self.handle_packet(packet, now),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.end(Ended::Silent, out);
            }
            Event::Closed => self.end(Ended::ByPublisher, out),
            _ => {}
        }
    }

    fn handle_packet(&mut self, packet: RtpPacket, now: Instant) {
        self.heard = now;
        let RtpPacket { header, seq_no, time, payload, last_sender_info, .. } = packet;
        let kind = self.kinds.iter().find(|(payload_type, _)| *payload_type == header.payload_type);
        let Some((_, kind)) = kind.copied() else { return };
        let stream = match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        };
        if *stream.get_or_insert(header.ssrc) != header.ssrc {
            return;
        }
        if let Some(report) = last_sender_info {
            self.handle_report(kind, report);
        }
        self.media.push(Received {
            kind,
            number: *seq_no,
            ticks: time.numer(),
            marker: header.marker,
            payload,
        });
    }

    fn handle_report(&mut self, kind: Kind, report: SenderInfo) {
        let last = &mut self.reports[kind as usize];
        let same = |last: &SenderInfo| {
            last.ntp_time == report.ntp_time && last.rtp_time.numer() == report.rtp_time.numer()
        };
        if last.as_ref().is_some_and(same) {
            return;
        }
        *last = Some(report);
        let sender = report.ntp_time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let sender_us = i64::try_from(sender.as_micros()).unwrap_or(i64::MAX);
        tracing::trace!(?kind, sender_us, ticks = report.rtp_time.numer(), "sender report");
        self.media.report(kind, report.rtp_time.numer(), sender_us);
    }

    /// An address has passed a check.
    fn passed(&mut self, path: SocketAddr, now: Instant, out: &mut Vec<Output>) {
        self.heard = now;
        if let Some((_, heard)) = self.paths.iter_mut().find(|(known, _)| *known == path) {
            *heard = now;
            return;
        }
        if self.paths.len() == PATHS_MAX
            && let Some(oldest) = (0..PATHS_MAX).min_by_key(|at| self.paths[*at].1)
        {
            let (left, _) = self.paths.swap_remove(oldest);
            out.push(Output::Left(left));
        }
        self.paths.push((path, now));
        out.push(Output::Passed(path));
    }

    fn end(&mut self, ended: Ended, out: &mut Vec<Output>) {
        self.ended = true;
        out.push(Output::Ended(ended));
    }
}

/// The answer with the bitrate at which browsers made of WebRTC's own sources begin, kbit/s: at their
/// default of 300 they send a quarter of the picture's width and height, and take half a minute to send
/// all of it. Others do not know the parameter, and pass over it.
fn with_start_bitrate(answer: &str) -> String {
    const PARAMETER: &str = "x-google-start-bitrate=1000";
    let mut out = String::with_capacity(answer.len() + 256);
    let mut is_video = false;
    for line in answer.lines() {
        out.push_str(line);
        if line.starts_with("m=") {
            is_video = line.starts_with("m=video");
        } else if let Some(map) = line.strip_prefix("a=rtpmap:")
            && let Some((payload_type, codec)) = map.split_once(' ')
            && is_video
            && !codec.starts_with("rtx/")
        {
            let named = format!("a=fmtp:{payload_type} ");
            if !answer.lines().any(|line| line.starts_with(&named)) {
                out.push_str(&format!("\r\n{named}{PARAMETER}"));
            }
        } else if line.starts_with("a=fmtp:") && is_video && !line.contains(" apt=") {
            out.push_str(&format!(";{PARAMETER}"));
        }
        out.push_str("\r\n");
    }
    out
}

/// What is offered of our side. Not the orientation of a picture, which viewers cannot be told: a
/// publisher turns its pictures then.
fn config(chosen: Chosen, identity: &Identity) -> RtcConfig {
    let mut extensions = ExtensionMap::empty();
    extensions.set(3, Extension::TransportSequenceNumber);
    extensions.set(4, Extension::RtpMid);
    let mut config = RtcConfig::new()
        .set_crypto_provider(identity.crypto.clone())
        .set_dtls_cert(identity.certificate.clone())
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .set_extension_map(extensions)
        .clear_codecs();
    let codecs = config.codec_config();
    if chosen.audio {
        let format = FormatParams {
            min_p_time: Some(10),
            use_inband_fec: Some(true),
            stereo: Some(true),
            ..FormatParams::default()
        };
        let rate = Frequency::FORTY_EIGHT_KHZ;
        codecs.add_config(111.into(), None, Codec::Opus, rate, Some(2), format);
    }
    match chosen.video {
        Some(Video::H264) => {
            for (at, profile) in (0_u8..).zip(PROFILES) {
                let payload_type = 100 + 2 * at;
                let resend = Some((payload_type + 1).into());
                codecs.add_h264(payload_type.into(), resend, true, profile << 8 | LEVEL);
            }
        }
        Some(Video::Vp8) => codecs.enable_vp8(true),
        Some(Video::Vp9) => codecs.enable_vp9(true),
        Some(Video::Av1) => codecs.enable_av1(true),
        None => {}
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_of_the_picture_and_nothing_else_gets_a_start_bitrate() {
        let answer = "v=0\r\nm=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 stereo=1\r\n\
            m=video 9 X 96 97 98\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\n\
            a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 H264/90000\r\n\
            a=fmtp:98 packetization-mode=1\r\n";
        let expect = answer
            .replace("VP8/90000\r\n", "VP8/90000\r\na=fmtp:96 x-google-start-bitrate=1000\r\n")
            .replace("mode=1\r\n", "mode=1;x-google-start-bitrate=1000\r\n");
        assert_eq!(with_start_bitrate(answer), expect);
    }
}
