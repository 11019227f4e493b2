//! The edge's part of the configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use lectern_relay_proto::net::{Identity, PublisherMetrics, RelayConfig, Token, Tokens, Trust};
use prometheus::Registry;
use serde::{Deserialize, Deserializer};

use crate::client::{Proxies, ProxyError};
use crate::demand::{self, Prewarm};
use crate::server::{self, tls};
use crate::siblings::Sibling;
use crate::{Error, Upstream, timeline, whep};

/// Edges that may subscribe to this one; further ones are refused.
const RELAY_SESSIONS_MAX: usize = 256;
/// How long an edge that has siblings goes on for those who are there, if nothing is said.
const DRAIN_SECS: u32 = 15;

/// `[edge]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Pages, WHEP and LL-DASH, TCP.
    pub http: SocketAddr,
    /// The same over TLS, TCP: HTTP/2, or HTTP/1.1 to those who ask for it. Without it there is none.
    pub https: Option<SocketAddr>,
    /// PEM file of the certificate for `https` and those that vouch for it, its own first. It is
    /// read again when it changes. Without it, one for `localhost` is made, for development.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the certificate's key.
    pub tls_key: Option<PathBuf>,
    /// Where a certificate of the edge's own making is kept: the role's to say, and not the file's.
    #[serde(skip)]
    pub data_dir: Option<PathBuf>,
    /// All WebRTC media: a UDP port, and TCP of the same number where UDP is blocked. `[::]` is IPv4
    /// as well.
    pub media: SocketAddr,
    /// Addresses under which viewers reach the media port, each with a port if that is another one
    /// outside; without them, those of this machine.
    pub media_addresses: Vec<whep::PublicAddress>,
    /// A file with such addresses, one in a line, instead: what finds them writes it before the edge starts, as
    /// `lectern find-address` does, or beside it. It is read again when it changes.
    pub media_addresses_file: Option<PathBuf>,
    /// The most TCP connections to the media port, zero for none. Each is a file descriptor and
    /// about 5 kB, and up to 512 kB while its viewer reads too slowly.
    pub media_tcp_max: usize,
    /// Metrics and health, TCP.
    pub ops: SocketAddr,
    /// Relays to subscribe to, `host:port`, one or a list: origins, or edges with `relay`. Every address that
    /// a name has is dialled, and names are resolved anew every ten seconds; what is live where is learnt
    /// from what they announce.
    #[serde(deserialize_with = "one_or_more")]
    pub upstream: Vec<String>,
    /// PEM file of the certificates to trust for the upstream; without it, the system's.
    pub upstream_ca: Option<PathBuf>,
    /// The name that the upstream's certificate must bear, if it is not the host of `upstream`.
    pub upstream_name: Option<String>,
    /// What the upstream wants presented, and this edge of those that subscribe to it.
    pub relay_token: Option<Token>,
    /// A file with that, instead: a token in each line, of which the first is presented and all are accepted. It
    /// is read again when it changes.
    pub relay_token_file: Option<PathBuf>,
    /// PEM files of the certificate and key that this edge presents to upstreams that want to see one. They
    /// are read for each connection.
    pub upstream_certificate: Option<PathBuf>,
    /// See `upstream_certificate`.
    pub upstream_key: Option<PathBuf>,
    /// Where other edges may subscribe to what this one does, QUIC over UDP. Without it they may not.
    pub relay: Option<SocketAddr>,
    /// PEM files of the certificate chain and key for `relay`; it needs them.
    pub relay_certificate: Option<PathBuf>,
    /// See `relay_certificate`.
    pub relay_key: Option<PathBuf>,
    /// PEM file of the certificates of which one has to have signed that of an edge that subscribes here.
    /// Without it they need none.
    pub relay_client_ca: Option<PathBuf>,
    /// The most bytes of media that are kept for these edges, over all broadcasts.
    pub relay_window_bytes_max: u64,
    /// Threads that send media; zero means one per core. Each keeps 70 kB.
    pub workers: usize,
    /// The most HTTP connections at once; about 20 kB each, and a file descriptor.
    pub http_connections_max: NonZeroUsize,
    /// The most of these from one client (an IPv4 address, or an IPv6 /64). A viewer of LL-DASH has
    /// up to six.
    pub http_connections_per_client_max: NonZeroUsize,
    /// Reverse proxies, as addresses or networks. Of what they send, `X-Forwarded-For` says whom it
    /// comes from; of others it is not read.
    pub trusted_proxies: Vec<String>,
    /// Sites whose pages may write comments, such as `https://uni.example`, besides pages of the edge's
    /// own host and of its siblings. Pages of other sites may show the comments only.
    pub comment_origins: Vec<String>,
    /// Whether the lobby at `/` and the list of broadcasts behind it are there.
    pub lobby: bool,
    /// A CDN before this edge checks viewer tokens itself, so that it may keep the media of broadcasts
    /// that need them for all viewers. Without one, caches that several share must not.
    pub shared_cache: bool,
    /// Other edges of the same broadcasts, such as `https://edge2.example`: players go there when this
    /// one cannot be reached or is about to stop.
    pub siblings: Vec<Sibling>,
    /// Seconds for which this edge, once asked to stop, serves those who are there while it tells them to
    /// go to a sibling; it stops earlier when nobody is left. Players hear of it within ten. If it is not
    /// said: 15, and none without siblings.
    pub drain_secs: Option<u32>,
    /// The most WebRTC viewers at once; about 32 kB each. More are told to come back later.
    pub sessions_max: usize,
    /// How long WebRTC players may hold a picture back, as `min_ms` and `max_ms`. Without it they
    /// choose by the jitter that they see, which is best unless every viewer's network is known:
    /// zero for both saves some 7 ms and stutters as soon as packets come unevenly.
    pub playout_delay: Option<whep::PlayoutDelay>,
    /// The most WebRTC viewers at once whose handshake is not done, which takes a fraction of a
    /// second, or ten until it is given up.
    pub half_open_max: usize,
    /// The most of these from one client.
    pub half_open_per_client_max: usize,
    /// The most WebRTC viewers that join in a second, three quarters of them from one client; zero
    /// means 300 for each worker.
    pub joins_per_sec_max: u32,
    /// The most Mbit/s to WebRTC viewers. A viewer whose stream would go beyond it is told to come
    /// back later. Without it, what the network lets through: nothing here knows how much that is.
    pub egress_mbps_max: Option<u32>,
    /// STUN and TURN servers that players are told of; the edge itself needs none.
    pub ice_servers: Vec<whep::IceServer>,
    /// Broadcasts that are subscribed to as soon as they are announced, by their ids, or `["*"]` for as
    /// many as there is room for. Others are once somebody asks. Without it, none; or all where the
    /// origin is in the same process.
    pub prewarm: Option<Prewarm>,
    /// Seconds for which a broadcast stays subscribed to after the last who watched it, read its comments
    /// or asked for anything of it. Then its media goes from memory.
    pub linger_secs: NonZeroU32,
    /// The most broadcasts that are subscribed to at once; each takes what `window_bytes_max` says, and up
    /// to 16 MiB for each rendition that WebRTC viewers may have. One more has the place of one that
    /// nobody watches, or is refused for now.
    pub broadcasts_max: NonZeroUsize,
    /// Seconds that a viewer of LL-DASH can seek back; each costs the bitrate of all tracks, of every
    /// broadcast that is subscribed to. What was sent before this edge joined is fetched from the origin, as far as
    /// its `relay_window_secs` reach.
    pub window_secs: u32,
    /// The most bytes of media kept per broadcast, whatever the window.
    pub window_bytes_max: usize,
    /// The most Mbit/s at which such older media is fetched, over all broadcasts. Live
    /// media goes before it on the way, whatever this is. While it is fetched, the last six seconds of
    /// it take memory twice.
    pub window_fetch_mbps_max: NonZeroU32,
}

/// Keys about HTTPS that make no sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
    /// A certificate without its key, or the other way round.
    #[error("edge.tls_certificate and edge.tls_key go together")]
    OneOfTwo,
    /// A certificate and no port to show it on.
    #[error("edge.tls_certificate is for edge.https, which is not set")]
    Nowhere,
}

/// Keys about the port for other edges that make no sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    /// A port and nothing to show on it.
    #[error("edge.relay needs edge.relay_certificate and edge.relay_key")]
    NoIdentity,
    /// A certificate and no port to show it on.
    #[error("edge.relay_certificate and edge.relay_key are for edge.relay, which is not set")]
    Nowhere,
    /// A certificate without its key, or the other way round.
    #[error("edge.upstream_certificate and edge.upstream_key go together")]
    HalfAnIdentity,
    /// Two places for one thing.
    #[error("edge.relay_token and edge.relay_token_file: one of the two")]
    TwoTokens,
}

/// A list of text, or one text for a list of one.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "one `host:port`, or a list of them")]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }

    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

impl Default for Config {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let whep = whep::Config::default();
        Self {
            http: any(8080),
            https: None,
            tls_certificate: None,
            tls_key: None,
            data_dir: None,
            media: whep.listen,
            media_addresses: Vec::new(),
            media_addresses_file: None,
            media_tcp_max: whep.tcp_connections_max,
            ops: any(9091),
            upstream: vec!["localhost:4443".to_owned()],
            upstream_ca: None,
            upstream_name: None,
            relay: None,
            relay_certificate: None,
            relay_key: None,
            relay_client_ca: None,
            relay_token_file: None,
            upstream_certificate: None,
            upstream_key: None,
            relay_window_bytes_max: 512 << 20,
            relay_token: None,
            workers: 0,
            http_connections_max: const { NonZeroUsize::new(16_384).unwrap() },
            http_connections_per_client_max: const { NonZeroUsize::new(4_096).unwrap() },
            trusted_proxies: Vec::new(),
            comment_origins: Vec::new(),
            lobby: true,
            shared_cache: false,
            siblings: Vec::new(),
            drain_secs: None,
            sessions_max: whep.sessions_max,
            playout_delay: None,
            half_open_max: whep.half_open_max,
            half_open_per_client_max: whep.half_open_per_client_max,
            joins_per_sec_max: whep.joins_per_sec_max,
            egress_mbps_max: None,
            ice_servers: Vec::new(),
            prewarm: None,
            linger_secs: const { NonZeroU32::new(60).unwrap() },
            broadcasts_max: const { NonZeroUsize::new(256).unwrap() },
            window_secs: 120,
            window_bytes_max: timeline::Config::default().bytes_max,
            window_fetch_mbps_max: const { NonZeroU32::new(50).unwrap() },
        }
    }
}

impl Config {
    /// Sites whose pages may write comments: those that are named, and the siblings', since whoever came by one
    /// edge's page and was moved to another goes on writing.
    pub fn writing_origins(&self) -> Vec<String> {
        let siblings = self.siblings.iter().map(|sibling| sibling.origin().to_owned());
        self.comment_origins.iter().cloned().chain(siblings).collect()
    }

    /// How the WebRTC engine is set up.
    pub fn whep(&self) -> whep::Config {
        let default = whep::Config::default();
        whep::Config {
            listen: self.media,
            public_addresses: self.media_addresses.clone(),
            tcp_connections_max: self.media_tcp_max,
            workers: if self.workers == 0 { default.workers } else { self.workers },
            sessions_max: self.sessions_max,
            playout_delay: self.playout_delay,
            half_open_max: self.half_open_max,
            half_open_per_client_max: self.half_open_per_client_max,
            joins_per_sec_max: self.joins_per_sec_max,
            egress_bps_max: self.egress_mbps_max.map(|mbps| u64::from(mbps) * 1_000_000),
            ice_servers: self.ice_servers.clone(),
        }
    }

    /// Where HTTPS is served, if it is, and where its certificate comes from.
    pub fn https(&self) -> Result<Option<(SocketAddr, tls::Source)>, HttpsError> {
        let source = match (&self.tls_certificate, &self.tls_key) {
            (None, None) => tls::Source::Development(self.data_dir.clone()),
            (Some(_), Some(_)) if self.https.is_none() => return Err(HttpsError::Nowhere),
            (Some(certificate), Some(key)) => {
                tls::Source::Files { certificate: certificate.clone(), key: key.clone() }
            }
            _ => return Err(HttpsError::OneOfTwo),
        };
        Ok(self.https.map(|address| (address, source)))
    }

    /// Where to subscribe, and how to be let in.
    pub fn upstream(&self) -> Result<Upstream, Error> {
        let identity = match (&self.upstream_certificate, &self.upstream_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity::from_pem_files(certificate, key)?),
            _ => return Err(RelayError::HalfAnIdentity.into()),
        };
        Ok(Upstream {
            addresses: self.upstream.clone(),
            name: self.upstream_name.clone(),
            trust: self.upstream_ca.clone().map_or(Trust::System, Trust::File),
            token: self.tokens()?,
            identity,
        })
    }

    /// By what this edge and others know each other.
    fn tokens(&self) -> Result<Option<Tokens>, Error> {
        match (&self.relay_token, &self.relay_token_file) {
            (Some(_), Some(_)) => Err(RelayError::TwoTokens.into()),
            (token, None) => Ok(token.clone().map(Tokens::from)),
            (None, Some(file)) => Ok(Some(Tokens::from_file(file)?)),
        }
    }

    /// The port for other edges, if there is one; what it counts goes to `registry`.
    pub fn relay(&self, registry: &Registry) -> Result<Option<RelayConfig>, Error> {
        let (listen, certificate, key) =
            match (self.relay, &self.relay_certificate, &self.relay_key) {
                (None, None, None) => return Ok(None),
                (None, ..) => return Err(RelayError::Nowhere.into()),
                (Some(listen), Some(certificate), Some(key)) => (listen, certificate, key),
                _ => return Err(RelayError::NoIdentity.into()),
            };
        Ok(Some(RelayConfig {
            listen,
            identity: Identity::from_pem_files(certificate, key)?,
            token: self.tokens()?,
            client_ca: self.relay_client_ca.clone(),
            sessions_max: RELAY_SESSIONS_MAX,
            keep: Duration::from_secs(self.window_secs.into()),
            keep_bytes_max: self.relay_window_bytes_max,
            metrics: PublisherMetrics::register(registry)?,
        }))
    }

    /// How long those who are there are served once this edge is asked to stop.
    pub fn drain(&self) -> Duration {
        let unsaid = if self.siblings.is_empty() { 0 } else { DRAIN_SECS };
        Duration::from_secs(self.drain_secs.unwrap_or(unsaid).into())
    }

    /// How many HTTP connections there may be.
    pub fn http_limits(&self) -> Result<server::Limits, ProxyError> {
        Ok(server::Limits {
            connections_max: self.http_connections_max.get(),
            connections_per_client_max: self.http_connections_per_client_max.get(),
            proxies: Proxies::parse(&self.trusted_proxies)?,
        })
    }

    /// Which broadcasts are subscribed to, and for how long.
    pub fn demand(&self) -> demand::Config {
        demand::Config {
            linger: Duration::from_secs(self.linger_secs.get().into()),
            subscribed_max: self.broadcasts_max.get(),
            prewarm: self.prewarm.clone().unwrap_or_default(),
        }
    }

    /// How fast older media is fetched.
    pub fn window_fetch_bytes_per_sec(&self) -> u64 {
        u64::from(self.window_fetch_mbps_max.get()) * 1_000_000 / 8
    }

    /// How much each broadcast's timeline keeps.
    pub fn timeline(&self, comments: bool) -> timeline::Config {
        let window = Duration::from_secs(self.window_secs.into());
        timeline::Config { window, bytes_max: self.window_bytes_max, comments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_needs_its_key_and_a_port() {
        let check = |https: bool, certificate: bool, key: bool| {
            let config = Config {
                https: https.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8443))),
                tls_certificate: certificate.then(|| "c.pem".into()),
                tls_key: key.then(|| "k.pem".into()),
                ..Config::default()
            };
            config.https().map(|https| https.map(|(_, source)| source))
        };
        assert_eq!(check(false, false, false), Ok(None));
        assert_eq!(check(true, false, false), Ok(Some(tls::Source::Development(None))));
        let files = tls::Source::Files { certificate: "c.pem".into(), key: "k.pem".into() };
        assert_eq!(check(true, true, true), Ok(Some(files)));
        assert_eq!(check(true, true, false), Err(HttpsError::OneOfTwo));
        assert_eq!(check(false, false, true), Err(HttpsError::OneOfTwo));
        assert_eq!(check(false, true, true), Err(HttpsError::Nowhere));
    }

    #[test]
    fn who_was_moved_from_one_edge_to_another_may_go_on_writing() {
        let sibling = |address: &str| Sibling::try_from(address.to_owned()).expect("an address");
        let config = Config {
            comment_origins: vec!["https://uni.example".into()],
            siblings: vec![sibling("https://edge2.example:8443/behind/a/path")],
            ..Config::default()
        };
        assert_eq!(config.writing_origins(), ["https://uni.example", "https://edge2.example:8443"]);
    }
}
