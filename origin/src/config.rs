//! The origin's part of the configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use lectern_relay_proto::about::Title;
use lectern_relay_proto::about::{
    About, Description, Invalid, Kid, Language, Limited, Line, Link, Links, PublicKey, SecureUrl,
    Topics, ViewerKey, ViewerKeys, Visibility, WebUrl,
};
use lectern_relay_proto::comment::ModeratorKey;
use lectern_relay_proto::net::{self, PublicAddress, Token};
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::Deserialize;

use crate::ingest::rtmp;
use crate::instant::Instant;
use crate::metrics::NAMED_MAX;
use crate::{oidc, whip};

/// `[origin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where RTMP is accepted, TCP.
    pub rtmp: SocketAddr,
    /// Where edges subscribe, QUIC over UDP.
    pub relay: SocketAddr,
    /// The console, the API and WHIP, TCP.
    pub http: SocketAddr,
    /// Proxies whose `X-Forwarded-For` is believed: addresses, or networks such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
    /// Networks that are not public and that webhooks may reach all the same, over HTTP too: addresses, or
    /// networks such as `10.0.0.0/8`.
    pub webhook_networks: Vec<String>,
    /// What the id of a broadcast is appended to for viewers, such as `https://edge.example/watch/`: hosts
    /// are given links made of it.
    pub watch_url: String,
    /// Media of publishers by WHIP, UDP. `[::]` is IPv4 as well.
    pub media: SocketAddr,
    /// Addresses under which publishers reach the media port, each with a port if that is another one
    /// outside; without them, those of this machine.
    pub media_addresses: Vec<PublicAddress>,
    /// The most publishers by WHIP at once. Each costs about 1 MB, and up to 6 MB while packets are
    /// missing.
    pub whip_sessions_max: usize,
    /// The `ffmpeg` that re-encodes what viewers cannot be given; without it, the one on the PATH.
    pub ffmpeg: Option<PathBuf>,
    /// Whether anything is re-encoded. Without, only H.264 is taken by WHIP, and B-frames that come by RTMP
    /// keep viewers from WebRTC.
    pub reencode: bool,
    /// The most sources that are re-encoded at once. Each takes a core or so at 720p.
    pub reencoders_max: usize,
    /// Metrics and health, TCP.
    pub ops: SocketAddr,
    /// The most broadcasts that metrics name, each a handful of series. Further ones are counted together,
    /// without a name; all are, if it is 0.
    pub metrics_broadcasts_max: usize,
    /// What an edge must present to subscribe. Without it, its file or `relay_client_ca` the relay has to listen
    /// on a loopback address; nobody may publish to it either way.
    pub relay_token: Option<Token>,
    /// A file with that, instead: a token in each line, of which the first is presented and all are accepted. It
    /// is read again when it changes.
    pub relay_token_file: Option<PathBuf>,
    /// PEM file of the certificates of which one has to have signed an edge's. Without it edges need none.
    pub relay_client_ca: Option<PathBuf>,
    /// PEM files of the relay's certificate chain and key; without them a certificate is made on
    /// first start and kept in the data directory.
    pub relay_certificate: Option<PathBuf>,
    /// See `relay_certificate`.
    pub relay_key: Option<PathBuf>,
    /// Seconds of media that edges can fetch: what an edge that has just started shows of the time
    /// before. Each live broadcast costs up to one and a half times its bitrate for this long. Edges
    /// show no more than this of what they were not there for.
    pub relay_window_secs: u32,
    /// The most bytes of media kept so, over all broadcasts. When it is reached, the oldest goes first.
    pub relay_window_bytes_max: u64,
    /// Where accounts, broadcasts and comments are kept: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/NAME`, which several
    /// origins may share. Without it, `lectern.db` in the data directory.
    pub database: Option<Secret>,
    /// Who vouches for people who sign in, besides their passwords.
    pub oidc: Option<oidc::Config>,
    /// How many encoders may be connected.
    pub limits: rtmp::Config,
}

impl Default for Config {
    fn default() -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            rtmp: any(1935),
            relay: any(4443),
            http: any(8088),
            trusted_proxies: Vec::new(),
            webhook_networks: Vec::new(),
            watch_url: "/watch/".to_owned(),
            media: whip::Config::default().listen,
            media_addresses: Vec::new(),
            whip_sessions_max: whip::Config::default().sessions_max,
            ffmpeg: None,
            reencode: true,
            reencoders_max: 2,
            ops: any(9090),
            metrics_broadcasts_max: NAMED_MAX,
            relay_token: None,
            relay_token_file: None,
            relay_client_ca: None,
            relay_certificate: None,
            relay_key: None,
            relay_window_secs: 120,
            relay_window_bytes_max: 512 << 20,
            database: None,
            oidc: None,
            limits: rtmp::Config::default(),
        }
    }
}

impl Config {
    /// The URL of the database of comments.
    pub fn database(&self, data_dir: &Path) -> Secret {
        let own = || Secret::new(format!("sqlite:{}", data_dir.join("lectern.db").display()));
        self.database.clone().unwrap_or_else(own)
    }

    /// How WHIP is set up.
    pub fn whip(&self) -> whip::Config {
        whip::Config {
            listen: self.media,
            public_addresses: self.media_addresses.clone(),
            sessions_max: self.whip_sessions_max,
        }
    }
}

/// `[[broadcast]]`: a broadcast provisioned by the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BroadcastConfig {
    /// The public playback id.
    pub id: BroadcastId,
    /// The host's secret to publish.
    pub stream_key: Secret,
    /// What viewers read above it, 1 to 120 characters in one line.
    #[serde(default)]
    pub title: Option<Title>,
    /// When it is to begin, such as `2026-11-22T10:00:00+01:00` (RFC 3339): who comes before is told.
    #[serde(default)]
    pub starts_at: Option<Instant>,
    /// Who has this is a moderator of the comments, by `/watch/<id>#moderate=<key>`; 16 to 64 of
    /// `a-z A-Z 0-9 - _`. Without it, nobody is.
    #[serde(default)]
    pub moderator_key: Option<ModeratorKey>,
    /// Whether a list is kept of who attends, of those viewers who want to be on it.
    #[serde(default)]
    pub attendance: bool,
    /// What it is about: 1 to 2000 characters of plain text.
    #[serde(default)]
    pub description: Option<Description>,
    /// What the lobby finds it by: at most 10, of 1 to 40 characters.
    #[serde(default)]
    pub topics: Topics,
    /// In which language it is, as BCP 47 names it.
    #[serde(default)]
    pub language: Option<Language>,
    /// A picture of the host's, `https://…`. Viewers' browsers fetch it from there.
    #[serde(default)]
    pub logo: Option<SecureUrl>,
    /// What belongs to it elsewhere, at most 8 with a `title` and a `url`.
    #[serde(default)]
    pub links: LinksConfig,
    /// `public`: everybody, and the lobby lists it; `unlisted`: whoever has the link; `token`: whoever
    /// has a viewer token that the key of a `[[viewer_key]]` signed.
    #[serde(default)]
    pub visibility: Visibility,
    /// How many may watch at once, on all edges and paths; those who watch stay when it is lowered.
    #[serde(default)]
    pub viewers_max: Option<u32>,
    /// The keys of the file's `[[viewer_key]]`, which whoever reads the file gives to each broadcast
    /// that needs them.
    #[serde(skip)]
    pub viewer_keys: ViewerKeys,
}

impl BroadcastConfig {
    /// A public broadcast of which nothing else is said.
    pub fn new(id: BroadcastId, stream_key: Secret) -> Self {
        Self {
            id,
            stream_key,
            title: None,
            starts_at: None,
            moderator_key: None,
            attendance: false,
            description: None,
            topics: Topics::default(),
            language: None,
            logo: None,
            links: LinksConfig::default(),
            visibility: Visibility::default(),
            viewers_max: None,
            viewer_keys: ViewerKeys::default(),
        }
    }

    /// What edges and viewers are told of it. Keys are for broadcasts that need them.
    pub fn about(&self) -> About {
        let keys = match self.visibility {
            Visibility::Token => self.viewer_keys.clone(),
            Visibility::Public | Visibility::Unlisted => ViewerKeys::default(),
        };
        About {
            title: self.title.clone(),
            starts_at: self.starts_at.map(UtcTime::from),
            description: self.description.clone(),
            topics: self.topics.clone(),
            language: self.language.clone(),
            logo: self.logo.clone(),
            links: self.links.0.clone(),
            visibility: self.visibility,
            viewer_keys: keys,
            viewers_max: self.viewers_max,
            registration: None,
        }
    }
}

/// `[[viewer_key]]`: a key by which edges check the viewer tokens of the file's broadcasts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewerKeyConfig {
    /// Its name, which tokens carry: 1 to 64 of `a-z A-Z 0-9 - _`.
    pub kid: Kid,
    /// The Ed25519 public key, 32 bytes in base64url.
    pub public_key: PublicKey,
}

impl ViewerKeyConfig {
    /// All of a file's.
    pub fn all(keys: &[Self]) -> Result<ViewerKeys, Invalid> {
        let key = |key: &Self| ViewerKey { kid: key.kid.clone(), public_key: key.public_key };
        keys.iter().map(key).collect::<Vec<_>>().try_into()
    }
}

/// See [`BroadcastConfig::links`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<LinkConfig>")]
pub struct LinksConfig(pub Links);

/// A link as the file has it, where an unknown key is a mistake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkConfig {
    /// What it is called, 1 to 120 characters.
    title: Line<120>,
    /// Where it leads, `https://…` or `http://…`.
    url: WebUrl,
}

impl TryFrom<Vec<LinkConfig>> for LinksConfig {
    type Error = Invalid;

    fn try_from(links: Vec<LinkConfig>) -> Result<Self, Invalid> {
        let links = links.into_iter().map(|LinkConfig { title, url }| Link { title, url });
        Limited::try_from(links.collect::<Vec<_>>()).map(Self)
    }
}

/// A stream key, or a URL with a password in it, which no log line shows.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "net::SecretText")]
pub struct Secret(String);

impl From<net::SecretText> for Secret {
    fn from(text: net::SecretText) -> Self {
        Self(text.0)
    }
}

impl Secret {
    /// Wraps `secret`.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
