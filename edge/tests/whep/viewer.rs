//! A small but whole WebRTC viewer on loopback: ICE checks, a DTLS client, SRTP, depacketizing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use lectern_edge::whep::{Answer, Engine, Joiner, OfferError};
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Getter as _, Message, Setter};
use rtc_stun::textattrs::TextAttribute;
use rtc_stun::xoraddr::XorMappedAddress;

use crate::link::Link;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A frame as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) video: bool,
    pub(crate) timestamp: u32,
    /// The NAL units, or the Opus packet alone.
    pub(crate) units: Vec<Vec<u8>>,
}

/// A viewer.
pub(crate) struct Viewer {
    pub(crate) link: Link,
    pub(crate) server: SocketAddr,
    pub(crate) answer: Answer,
    dtls: Dtls,
    inbound: Option<Context>,
    outbound: Option<Context>,
    /// Sequence numbers of the video, in the order of arrival.
    pub(crate) sequences: Vec<u16>,
    /// SSRC and sequence number of the retransmission packets, whose originals are among the above.
    pub(crate) repairs: Vec<(u32, u16)>,
    /// The header extensions of the packets that have some.
    pub(crate) extensions: Vec<Vec<u8>>,
    fragment: Vec<u8>,
    units: Vec<Vec<u8>>,
    pub(crate) frames: Vec<Received>,
    /// Compound RTCP packets.
    pub(crate) reports: Vec<Vec<u8>>,
    pub(crate) closed: bool,
    pub(crate) checks_answered: usize,
    /// Our own address as the engine saw it.
    pub(crate) mapped: Option<SocketAddr>,
}

/// An offer for H.264 with RTX, and Opus, with this certificate.
pub(crate) fn offer(certificate: &DtlsCertificate) -> String {
    let fingerprint = certificate.fingerprint_str();
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:view\r\na=ice-pwd:viewerviewerviewerviewer\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=recvonly\r\na=rtcp-mux\r\n"
    );
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\n{transport}a=mid:0\r\na=rtpmap:102 H264/90000\r\n\
         a=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\na=rtcp-fb:102 nack\r\n\
         a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n\
         a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=mid:1\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

pub(crate) fn certificate() -> DtlsCertificate {
    dimpl::certificate::generate_self_signed_certificate().unwrap()
}

fn ask(
    engine: &Engine,
    id: &str,
    offer: &str,
    rendition: Option<&str>,
) -> Result<Answer, OfferError> {
    let client = [127, 0, 0, 1].into();
    engine.open(&id.parse().unwrap(), &Joiner { offer, client, rendition, until: None })
}

impl Viewer {
    /// Posts an offer and makes ready to connect.
    pub(crate) fn open(engine: &Engine, id: &str) -> Result<Self, OfferError> {
        Self::open_with(engine, id, certificate(), &mut |offer| offer)
    }

    /// The same, with the offer changed on its way.
    pub(crate) fn open_with(
        engine: &Engine,
        id: &str,
        certificate: DtlsCertificate,
        change: &mut dyn FnMut(String) -> String,
    ) -> Result<Self, OfferError> {
        let server = engine.local_addr();
        Self::open_over(engine, id, Link::udp(server), server, certificate, change)
    }

    /// Posts an offer and makes ready to connect over TCP.
    pub(crate) fn open_tcp(engine: &Engine, id: &str) -> Result<Self, OfferError> {
        let server = engine.local_addr();
        Self::open_over(engine, id, Link::tcp(server), server, certificate(), &mut |offer| offer)
    }

    /// Posts an offer and makes ready to connect to `server` over `link`.
    pub(crate) fn open_over(
        engine: &Engine,
        id: &str,
        link: Link,
        server: SocketAddr,
        certificate: DtlsCertificate,
        change: &mut dyn FnMut(String) -> String,
    ) -> Result<Self, OfferError> {
        let answer = ask(engine, id, &change(offer(&certificate)), None)?;
        Ok(Self::answered(link, server, &certificate, answer))
    }

    /// Posts the offer of one who may watch until then, and makes ready to connect.
    pub(crate) fn open_until(
        engine: &Engine,
        id: &str,
        until: Instant,
    ) -> Result<Self, OfferError> {
        let (server, certificate) = (engine.local_addr(), certificate());
        let (offer, client) = (offer(&certificate), [127, 0, 0, 1].into());
        let joiner = Joiner { offer: &offer, client, rendition: None, until: Some(until) };
        let answer = engine.open(&id.parse().unwrap(), &joiner)?;
        Ok(Self::answered(Link::udp(server), server, &certificate, answer))
    }

    /// Posts an offer that asks for a rendition, and makes ready to connect.
    pub(crate) fn open_rendition(
        engine: &Engine,
        id: &str,
        rendition: &str,
    ) -> Result<Self, OfferError> {
        let (server, certificate) = (engine.local_addr(), certificate());
        let answer = ask(engine, id, &offer(&certificate), Some(rendition))?;
        Ok(Self::answered(Link::udp(server), server, &certificate, answer))
    }

    fn answered(
        link: Link,
        server: SocketAddr,
        certificate: &DtlsCertificate,
        answer: Answer,
    ) -> Self {
        Self {
            link,
            server,
            answer,
            dtls: client(certificate),
            inbound: None,
            outbound: None,
            sequences: Vec::new(),
            repairs: Vec::new(),
            extensions: Vec::new(),
            fragment: Vec::new(),
            units: Vec::new(),
            frames: Vec::new(),
            reports: Vec::new(),
            closed: false,
            checks_answered: 0,
            mapped: None,
        }
    }

    /// Goes through ICE and DTLS.
    pub(crate) fn connect(&mut self) {
        self.pass_ice();
        self.shake_hands();
    }

    /// Sends a check and waits for the answer.
    pub(crate) fn pass_ice(&mut self) {
        let check = self.check(&self.line("a=ice-ufrag:"), &self.line("a=ice-pwd:"));
        let before = self.checks_answered;
        self.send(&check);
        self.until("ICE", |viewer| viewer.checks_answered > before);
    }

    /// Runs the DTLS handshake until there are keys.
    pub(crate) fn shake_hands(&mut self) {
        self.dtls.handle_timeout(Instant::now()).unwrap();
        self.drain_dtls();
        self.until("DTLS", |viewer| viewer.inbound.is_some());
    }

    /// Runs the DTLS handshake until `done`.
    pub(crate) fn shake_hands_in_vain(&mut self, mut done: impl FnMut() -> bool) {
        self.dtls.handle_timeout(Instant::now()).unwrap();
        self.drain_dtls();
        self.until("the end of the session", |_| done());
        // The end came after anything that was sent, and loopback keeps the order.
        self.until("goodbye", |viewer| viewer.closed || viewer.inbound.is_none());
    }

    /// A check under these credentials, nominating.
    pub(crate) fn check(&self, ufrag: &str, password: &str) -> Vec<u8> {
        self.check_as(&format!("{ufrag}:view"), password)
    }

    /// A check under this whole user name, nominating.
    pub(crate) fn check_as(&self, username: &str, password: &str) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().unwrap();
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        message.new_transaction_id().unwrap();
        message.write_header();
        TextAttribute::new(ATTR_USERNAME, username.to_owned()).add_to(&mut message).unwrap();
        message.add(ATTR_USE_CANDIDATE, &[]);
        let password = password.to_owned();
        MessageIntegrity::new_short_term_integrity_with_provider(password, provider.crypto())
            .add_to(&mut message)
            .unwrap();
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    }

    /// The rest of the first line of the answer that begins like this.
    pub(crate) fn line(&self, start: &str) -> String {
        let mut lines = self.answer.sdp.lines();
        lines.find_map(|line| line.strip_prefix(start)).expect("in the answer").to_owned()
    }

    /// The SSRC of the video.
    pub(crate) fn video_ssrc(&self) -> u32 {
        self.line("a=ssrc:").split(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn send(&self, datagram: &[u8]) {
        self.link.send(datagram);
    }

    /// Sends RTCP under the session's keys.
    pub(crate) fn send_rtcp(&mut self, packet: &[u8]) {
        let sealed = self.outbound.as_mut().expect("connected").encrypt_rtcp(packet).unwrap();
        self.send(&sealed);
    }

    /// Receives until `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            self.turn();
        }
    }

    /// Receives what is there, or waits a moment for it.
    pub(crate) fn turn(&mut self) {
        let mut buffer = [0; 2_048];
        match self.link.receive(&mut buffer) {
            Ok(length) => self.take(&mut buffer[..length]),
            Err(_) => {
                self.dtls.handle_timeout(Instant::now()).unwrap();
                self.drain_dtls();
            }
        }
    }

    /// Video frames that arrived.
    pub(crate) fn video(&self) -> Vec<Received> {
        self.frames.iter().filter(|frame| frame.video).cloned().collect()
    }

    fn take(&mut self, datagram: &mut [u8]) {
        match datagram[0] {
            0..=3 => {
                self.checks_answered += 1;
                self.mapped = Some(mapped(datagram));
            }
            20..=63 => {
                self.dtls.handle_timeout(Instant::now()).unwrap();
                self.dtls.handle_packet(datagram).unwrap();
                self.drain_dtls();
            }
            _ => {
                let Some(inbound) = &mut self.inbound else { return };
                if (192..224).contains(&datagram[1]) {
                    self.reports.push(inbound.decrypt_rtcp(datagram).unwrap().to_vec());
                } else {
                    let packet = inbound.decrypt_rtp(datagram).unwrap();
                    self.take_rtp(packet.to_vec());
                }
            }
        }
    }

    fn take_rtp(&mut self, mut packet: Vec<u8>) {
        let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap());
        let mut start = 12;
        if packet[0] & 0x10 != 0 {
            let words = u16::from_be_bytes([packet[14], packet[15]]);
            start += 4 + usize::from(words) * 4;
            self.extensions.push(packet[16..start].to_vec());
        }
        if packet[1] & 0x7f == 103 {
            // RFC 4588 §4: the original's number is in front of its payload.
            let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            self.repairs.push((ssrc, u16::from_be_bytes([packet[2], packet[3]])));
            packet.copy_within(start..start + 2, 2);
            start += 2;
        }
        let payload = &packet[start..];
        if packet[1] & 0x7f == 111 {
            let units = vec![payload.to_vec()];
            self.frames.push(Received { video: false, timestamp, units });
            return;
        }
        self.sequences.push(u16::from_be_bytes([packet[2], packet[3]]));
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while !rest.is_empty() {
                    let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    self.units.push(rest[2..2 + length].to_vec());
                    rest = &rest[2 + length..];
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    self.fragment = vec![payload[0] & 0xe0 | payload[1] & 0x1f];
                }
                self.fragment.extend_from_slice(&payload[2..]);
                if payload[1] & 0x40 != 0 {
                    self.units.push(std::mem::take(&mut self.fragment));
                }
            }
            _ => self.units.push(payload.to_vec()),
        }
        if packet[1] & 0x80 != 0 {
            let units = std::mem::take(&mut self.units);
            self.frames.push(Received { video: true, timestamp, units });
        }
    }

    fn drain_dtls(&mut self) {
        let mut buffer = vec![0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => {
                    self.link.send(packet);
                }
                Output::KeyingMaterial(material, profile) => {
                    let (profile, key, salt) = match profile {
                        SrtpProfile::AEAD_AES_256_GCM => (ProtectionProfile::AeadAes256Gcm, 32, 12),
                        SrtpProfile::AEAD_AES_128_GCM => (ProtectionProfile::AeadAes128Gcm, 16, 12),
                        _ => (ProtectionProfile::Aes128CmHmacSha1_80, 16, 14),
                    };
                    let provider = rtc_crypto::default_provider().unwrap();
                    let context = |side: usize| {
                        let master = &material[side * key..][..key];
                        let salt = &material[2 * key + side * salt..][..salt];
                        Context::new(master, salt, profile, None, None, provider.crypto()).unwrap()
                    };
                    self.outbound = Some(context(0));
                    self.inbound = Some(context(1));
                }
                Output::CloseNotify => self.closed = true,
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
}

fn client(certificate: &DtlsCertificate) -> Dtls {
    let config = Arc::new(dimpl::Config::default());
    let mut dtls = Dtls::new_12(config, certificate.clone(), Instant::now());
    dtls.set_active(true);
    dtls
}

/// The XOR-MAPPED-ADDRESS of a check's answer.
fn mapped(answer: &[u8]) -> SocketAddr {
    let mut message = Message::new();
    message.unmarshal_binary(answer).unwrap();
    let mut address = XorMappedAddress::default();
    address.get_from(&message).unwrap();
    SocketAddr::new(address.ip, address.port)
}
