//! WebRTC to viewers: a WHEP endpoint (draft-ietf-wish-whep) and the engine that sends the media.
//!
//! One UDP port serves all viewers, and the TCP port of the same number those whose network blocks
//! UDP ([`socket`]). A frame is packetized once ([`packetize`]) and handed to the
//! workers ([`worker`]) that have viewers for it; per viewer only a header is written and the packet
//! sealed ([`srtp`]), and a frame leaves in one segmented send ([`outbox`]). The protocol logic
//! ([`session`] and what it is made of) has no socket and no clock.
//!
//! Time: RTP timestamps are media time since `T0`, without a random offset, in 90 kHz for video and
//! 48 kHz for audio. The answer says `T0` in the header `Lectern-T0` (Unix milliseconds), so a player
//! knows when the frame on screen was captured: `T0 + rtpTimestamp / 90000`, where the timestamp has
//! wrapped every 13 h 15 min. Only frames that a joiner gets from the cache carry a later timestamp
//! than their own, until the viewer is at the live edge.

mod admission;
mod answer;
mod bitrate;
mod broadcast;
mod choice;
mod cursor;
mod dtls;
mod engine;
mod established;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod h264;
mod history;
mod http;
mod ice;
mod ice_servers;
mod layer;
mod lineup;
mod link;
mod mailbox;
mod metrics;
mod outbox;
mod pace;
mod packetize;
mod playout;
mod quota;
mod registry;
mod renditions;
mod resend;
mod rtcp;
mod sdp;
mod sdpfrag;
mod session;
#[cfg(test)]
mod simulation;
mod socket;
mod srtp;
mod stream;
mod timers;
mod viewing;
mod waiting;
mod worker;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use lectern_relay_proto::UtcTime;
use rand::Rng as _;

pub use engine::{Engine, Feed, Limiter};
pub use http::routes;
pub use ice_servers::{Credential, IceServer, IceServerError, check as check_ice_servers};
pub use lectern_relay_proto::net::{NotPublic, PublicAddress};
pub use metrics::Metrics;
pub use playout::PlayoutDelay;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that all viewers' media goes through, UDP and TCP. `[::]` is IPv4 as well.
    pub listen: SocketAddr,
    /// The addresses that viewers are told, best first, 16 at most. Empty: the address above if it
    /// is a specific one, or else all addresses of the machine.
    pub public_addresses: Vec<PublicAddress>,
    /// The most TCP connections at once, each a file descriptor, 5 kB, and as much as 512 kB while
    /// its viewer reads too slowly; zero for no TCP. Half of them are for authenticated viewers.
    pub tcp_connections_max: usize,
    /// Threads that send. Each keeps 70 kB and references to the frames of its broadcasts.
    pub workers: usize,
    /// The most sessions at once, about 32 kB each.
    pub sessions_max: usize,
    /// The most sessions whose handshake is not done. Each lasts ten seconds at most.
    pub half_open_max: usize,
    /// The most of these that one client may have: an IPv4 address, or an IPv6 /64.
    pub half_open_per_client_max: usize,
    /// The most joins in a second; zero means [`Config::JOINS_PER_WORKER`] for each worker.
    pub joins_per_sec_max: u32,
    /// The most bits per second to all viewers together, by what their broadcasts are measured to
    /// take; resent packets are not in it. `None`: whatever the sessions take.
    pub egress_bps_max: Option<u64>,
    /// The STUN and TURN servers that players are told of.
    pub ice_servers: Vec<IceServer>,
    /// What players are told about how long to hold a picture back; `None` leaves it to them.
    pub playout_delay: Option<PlayoutDelay>,
}

impl Config {
    /// Joins that a worker is given in a second. A handshake costs 0.75 ms, so that they take less
    /// than a quarter of its thread.
    pub const JOINS_PER_WORKER: u32 = 300;

    /// How many may join in a second.
    pub fn joins_per_sec(&self) -> u32 {
        let workers = u32::try_from(self.workers.max(1)).unwrap_or(u32::MAX);
        match self.joins_per_sec_max {
            0 => Self::JOINS_PER_WORKER.saturating_mul(workers),
            configured => configured,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8_189)),
            public_addresses: Vec::new(),
            tcp_connections_max: 1_000,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            sessions_max: 5_000,
            half_open_max: 1_000,
            playout_delay: None,
            // A handshake is over in a fraction of a second: that many at once are a lecture hall
            // behind one address, and leave room for three more.
            half_open_per_client_max: 250,
            joins_per_sec_max: 0,
            egress_bps_max: None,
            ice_servers: Vec::new(),
        }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error("edge.media: cannot listen on {listen} ({protocol}): {source}")]
    Bind {
        /// UDP or TCP.
        protocol: &'static str,
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// There is no address to tell viewers.
    #[error("no address to announce to WebRTC viewers; configure a public address")]
    NoAddress,
    /// No certificate could be made.
    #[error("no certificate for DTLS could be made")]
    Crypto,
    /// A STUN or TURN server that players cannot be told of.
    #[error("edge.ice_servers: {0}")]
    IceServers(#[from] IceServerError),
    /// A thread could not be started.
    #[error("cannot start a thread for WebRTC: {0}")]
    Thread(io::Error),
}

/// Why an offer was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// No such broadcast here.
    #[error("no such broadcast")]
    Unknown,
    /// No such broadcast here, but the upstream has not said what there is. Come back.
    #[error("this edge cannot reach its upstream, and does not know this broadcast")]
    Unheard,
    /// This edge is about to stop. Try another.
    #[error("this edge is about to stop")]
    Draining,
    /// The broadcast has no media yet, or lost its upstream. Come back.
    #[error("the broadcast has no media yet")]
    NoMedia,
    /// Pictures are not shown in the order they are decoded.
    #[error("this encoder sends B-frames, which WebRTC cannot carry")]
    BFrames,
    /// The video is not H.264.
    #[error("the video of this broadcast is not H.264, which WebRTC viewers need")]
    Codec,
    /// The offer itself.
    #[error(transparent)]
    Offer(#[from] sdp::Error),
    /// The rendition that was asked for is not one of the broadcast, or one that cannot be sent.
    #[error("the broadcast has no such video rendition for WebRTC")]
    Rendition,
    /// As many sessions as configured. Try another edge, or later.
    #[error("this edge has as many WebRTC viewers as it may have")]
    Full,
    /// As much egress as configured. Try another edge, or later.
    #[error("this edge sends as much as it may")]
    Egress,
    /// More joins at once than this edge takes. Come back in a moment.
    #[error("too many viewers are joining at once")]
    Busy,
    /// More joins at once than one client may have under way. Come back in a moment.
    #[error("too many viewers are joining from your address at once")]
    ClientBusy,
    /// A fault of ours, which the log of panics tells more about.
    #[error("internal error")]
    Fault,
}

impl OfferError {
    /// A stable word for metrics and the `Lectern-Reason` header.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unheard => "unheard",
            Self::Draining => crate::siblings::DRAINING,
            Self::NoMedia => "no-media",
            Self::BFrames => "b-frames",
            Self::Codec => "codec",
            Self::Offer(error) => error.reason(),
            Self::Rendition => "rendition",
            Self::Full => "full",
            Self::Egress => "egress",
            Self::Busy => "busy",
            Self::ClientBusy => "client-busy",
            Self::Fault => "fault",
        }
    }
}

/// Why a viewer cannot be given the rendition that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// No such session here.
    #[error("no such session")]
    Session,
    /// The m-line is not the one that carries the video, or none does.
    #[error("the session has no video on this m-line")]
    Line,
    /// The broadcast does not have it, or it cannot be sent.
    #[error("the broadcast has no such video rendition for WebRTC")]
    Rendition,
    /// More requests at once than this edge takes. Come back in a moment.
    #[error("too many requests at once")]
    Busy,
}

impl PinError {
    /// A stable word for the `Lectern-Reason` header.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Session => "unknown",
            Self::Line => "media",
            Self::Rendition => "rendition",
            Self::Busy => "busy",
        }
    }
}

/// The secret name of a session, in the URL that its viewer was given.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    fn generate() -> Self {
        Self(format!("{:032x}", rand::rng().random::<u128>()))
    }

    /// The name as a URL gives it.
    pub fn from_url(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name as a URL takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    /// Whoever knows the name may end the session, so logs do not get it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// A viewer who wants in.
#[derive(Clone, Copy, Debug)]
pub struct Joiner<'a> {
    /// The offer's SDP.
    pub offer: &'a str,
    /// Where the request came from.
    pub client: IpAddr,
    /// The video rendition asked for, which the viewer then gets whatever its link carries, for as
    /// long as the broadcast has it. `None`: what suits the link.
    pub rendition: Option<&'a str>,
    /// When the viewer's right to watch ends, if it does; then its session does.
    pub until: Option<Instant>,
}

/// The answer to an offer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The session, for its URL.
    pub session: SessionId,
    /// The entity tag of its ICE session, quotes included.
    pub etag: String,
    /// The SDP.
    pub sdp: String,
    /// The instant that media time, and thus RTP timestamps, count from.
    pub t0: UtcTime,
}
