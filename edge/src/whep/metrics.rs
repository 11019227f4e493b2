//! What the engine counts.

use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use super::resend::Resent;

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The viewer deleted it over HTTP.
    Deleted,
    /// The viewer closed the connection.
    Closed,
    /// Nothing valid was heard of the viewer for too long.
    Silent,
    /// The handshake was not done in time.
    HandshakeTimeout,
    /// The handshake failed, or took too many datagrams.
    HandshakeFailed,
    /// The certificate was not the one of the offer.
    Fingerprint,
    /// The broadcast ended.
    Over,
    /// The broadcast began anew with another `T0`, or with pictures that WebRTC cannot carry.
    Changed,
    /// The viewer's token has expired.
    Expired,
    /// The broadcast is for holders of a token from now on.
    Restricted,
    /// A fault of ours.
    Panic,
    /// The engine went away.
    Shutdown,
}

impl Ended {
    fn label(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::HandshakeFailed => "handshake-failed",
            Self::Fingerprint => "fingerprint",
            Self::Over => "broadcast-ended",
            Self::Changed => "broadcast-changed",
            Self::Expired => "token-expired",
            Self::Restricted => "restricted",
            Self::Panic => "panic",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Packets that viewers asked for again, by what came of it. Resolved once, since on a bad link
/// every viewer asks many times a second.
pub struct Nacks {
    /// Sent again.
    pub resent: IntCounter,
    /// Asked for twice within a round trip, or more than the stream may resend.
    pub damped: IntCounter,
    /// No longer kept, or never sent.
    pub gone: IntCounter,
}

impl Nacks {
    fn of(family: &IntCounterVec) -> Self {
        let outcome = |outcome| family.with_label_values(&[outcome]);
        Self { resent: outcome("resent"), damped: outcome("damped"), gone: outcome("gone") }
    }

    /// Counts what came of a request.
    pub(super) fn count(&self, resent: &Resent) {
        self.resent.inc_by(resent.sent.into());
        self.damped.inc_by(resent.damped.into());
        self.gone.inc_by(resent.gone.into());
    }
}

/// The metrics of the WebRTC engine.
pub struct Metrics {
    /// Sessions now, half-open ones included.
    pub sessions: IntGauge,
    /// Of these, those whose handshake is not done.
    pub half_open: IntGauge,
    /// Sessions that were answered.
    pub opened: IntCounter,
    established: IntCounterVec,
    refused: IntCounterVec,
    requests_refused: IntCounterVec,
    ended: IntCounterVec,
    /// Frames sent, once per viewer.
    pub frames: IntCounter,
    /// What was sent over UDP.
    pub udp: Sent,
    /// What was sent, or is kept to be sent, over TCP.
    pub tcp: Sent,
    /// TCP connections now, those included that belong to no session yet.
    pub tcp_connections: IntGauge,
    tcp_refused: IntCounterVec,
    tcp_closed: IntCounterVec,
    dropped: IntCounterVec,
    /// Packets that viewers asked for again.
    pub nacks: Nacks,
    /// Reports of picture loss and requests of a keyframe.
    pub keyframe_requests: IntCounterVec,
    switches: IntCounterVec,
    bad: IntCounterVec,
    send_errors: IntCounterVec,
    /// From a picture's arrival at the origin until the last viewer of a worker was sent it.
    pub frame_age: Histogram,
    /// From its arrival at this engine until the same.
    pub frame_wait: Histogram,
}

/// What was sent over one transport.
pub struct Sent {
    /// Packets of media, RTCP, DTLS and STUN.
    pub packets: IntCounter,
    /// Their bytes, without headers of the transport.
    pub bytes: IntCounter,
}

impl Sent {
    /// Counts a run of packets of `segment` bytes, the last of which may be shorter.
    pub(super) fn count(&self, contents: &[u8], segment: usize) {
        self.packets.inc_by(contents.len().div_ceil(segment.max(1)) as u64);
        self.bytes.inc_by(contents.len() as u64);
    }
}

impl Metrics {
    /// Makes and registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let family = |name: &str, help: &str, label: &str| maker.counters(name, help, &[label]);
        let packets =
            family("lectern_webrtc_packets_sent_total", "Packets sent to viewers", "transport")?;
        let bytes =
            family("lectern_webrtc_bytes_sent_total", "Bytes of packets sent", "transport")?;
        // Looked up once and not for each send.
        let sent = |transport: &str| Sent {
            packets: packets.with_label_values(&[transport]),
            bytes: bytes.with_label_values(&[transport]),
        };
        Ok(Self {
            sessions: maker
                .gauge("lectern_webrtc_sessions", "WebRTC sessions, half-open ones included")?,
            half_open: maker.gauge(
                "lectern_webrtc_sessions_half_open",
                "WebRTC sessions whose handshake is not done",
            )?,
            opened: maker.counter("lectern_webrtc_sessions_opened_total", "Offers answered")?,
            established: family(
                "lectern_webrtc_sessions_established_total",
                "Sessions whose DTLS handshake completed, by what it came over",
                "transport",
            )?,
            refused: family("lectern_webrtc_offers_refused_total", "Offers refused", "reason")?,
            requests_refused: maker.counters(
                "lectern_webrtc_requests_refused_total",
                "WHEP requests refused, those for offers included",
                &["method", "reason"],
            )?,
            ended: family("lectern_webrtc_sessions_ended_total", "Sessions ended", "reason")?,
            frames: maker
                .counter("lectern_webrtc_frames_sent_total", "Frames sent, once per viewer")?,
            udp: sent("udp"),
            tcp: sent("tcp"),
            tcp_connections: maker
                .gauge("lectern_webrtc_tcp_connections", "ICE-TCP connections that are open")?,
            tcp_refused: family(
                "lectern_webrtc_tcp_connections_refused_total",
                "ICE-TCP connections that were not taken",
                "reason",
            )?,
            tcp_closed: family(
                "lectern_webrtc_tcp_connections_closed_total",
                "ICE-TCP connections that have ended",
                "reason",
            )?,
            dropped: family(
                "lectern_webrtc_frames_dropped_total",
                "Frames that a viewer, a worker or the whole engine did not get",
                "reason",
            )?,
            nacks: Nacks::of(&family(
                "lectern_webrtc_nacks_total",
                "Packets that viewers asked for again",
                "outcome",
            )?),
            keyframe_requests: family(
                "lectern_webrtc_keyframe_requests_total",
                "Reports of picture loss and requests of a keyframe",
                "outcome",
            )?,
            switches: maker.counters(
                "lectern_webrtc_rendition_switches_total",
                "Viewers that went over to another video rendition",
                &["direction", "reason"],
            )?,
            bad: family(
                "lectern_webrtc_bad_datagrams_total",
                "Datagrams received that were not taken",
                "kind",
            )?,
            send_errors: family(
                "lectern_webrtc_send_errors_total",
                "Sends that the system did not take",
                "kind",
            )?,
            frame_age: maker.ages(
                "lectern_webrtc_frame_age_seconds",
                "From a live picture's arrival at the origin until a worker had sent it to its last \
                 viewer, once per worker",
            )?,
            frame_wait: maker.ages(
                "lectern_webrtc_frame_wait_seconds",
                "From a live frame's arrival at this engine until a worker had sent it to its last \
                 viewer, once per worker",
            )?,
        })
    }

    /// Counts an offer that was refused.
    pub fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// Counts a request that was refused, whatever it was for. Neither label may come from outside.
    pub fn request_refused(&self, method: &'static str, reason: &str) {
        self.requests_refused.with_label_values(&[method, reason]).inc();
    }

    /// Counts a session whose handshake was done.
    pub fn established(&self, over_tcp: bool) {
        let transport = if over_tcp { "tcp" } else { "udp" };
        self.established.with_label_values(&[transport]).inc();
    }

    /// Counts a TCP connection that was not taken.
    pub fn tcp_refused(&self, reason: &str) {
        self.tcp_refused.with_label_values(&[reason]).inc();
    }

    /// Counts the end of a TCP connection.
    pub fn tcp_closed(&self, reason: &str) {
        self.tcp_closed.with_label_values(&[reason]).inc();
    }

    /// Counts the end of a session.
    pub fn ended(&self, why: Ended) {
        self.ended.with_label_values(&[why.label()]).inc();
    }

    /// Counts frames that were dropped.
    pub fn dropped(&self, reason: &str, frames: u64) {
        if frames > 0 {
            self.dropped.with_label_values(&[reason]).inc_by(frames);
        }
    }

    /// Counts a viewer that went over to another rendition.
    pub fn switched(&self, up: bool, reason: &str) {
        let direction = if up { "up" } else { "down" };
        self.switches.with_label_values(&[direction, reason]).inc();
    }

    /// Counts a datagram that was not taken.
    pub fn bad(&self, kind: &str) {
        self.bad.with_label_values(&[kind]).inc();
    }

    /// Counts a send that failed.
    pub fn send_error(&self, kind: &str) {
        self.send_errors.with_label_values(&[kind]).inc();
    }
}
