//! The origin's part of the configuration file.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lectern_relay_proto::comment::ModeratorKey;
use lectern_relay_proto::net::{self, PublicAddress, Token};
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ingest::rtmp;
use crate::whip;

/// `[origin]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where RTMP is accepted, TCP.
    pub rtmp: SocketAddr,
    /// Where edges subscribe, QUIC over UDP.
    pub relay: SocketAddr,
    /// The API, TCP: files for the host of a broadcast, and WHIP.
    pub http: SocketAddr,
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
    /// Whether anything is re-encoded. Without, only H.264 is taken by WHIP.
    pub reencode: bool,
    /// The most sources that are re-encoded at once. Each takes a core or so at 720p.
    pub reencoders_max: usize,
    /// Metrics and health, TCP.
    pub ops: SocketAddr,
    /// What an edge must present to subscribe. Without it anyone who reaches the relay port may
    /// watch every broadcast; nobody may publish to it either way.
    pub relay_token: Option<Token>,
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
    /// Where comments are kept: `sqlite:PATH`, or `postgres://USER:PASSWORD@HOST/NAME`, which several
    /// origins may share. Without it, `lectern.db` in the data directory.
    pub database: Option<Secret>,
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
            media: whip::Config::default().listen,
            media_addresses: Vec::new(),
            whip_sessions_max: whip::Config::default().sessions_max,
            ffmpeg: None,
            reencode: true,
            reencoders_max: 2,
            ops: any(9090),
            relay_token: None,
            relay_certificate: None,
            relay_key: None,
            relay_window_secs: 120,
            relay_window_bytes_max: 512 << 20,
            database: None,
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
}

/// See [`BroadcastConfig::title`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Title(String);

impl TryFrom<String> for Title {
    type Error = &'static str;

    fn try_from(title: String) -> Result<Self, Self::Error> {
        let title = title.trim();
        let fits = (1..=120).contains(&title.chars().count());
        if fits && !title.chars().any(char::is_control) {
            Ok(Self(title.to_owned()))
        } else {
            Err("a title is 1 to 120 characters in one line")
        }
    }
}

impl From<Title> for String {
    fn from(title: Title) -> Self {
        title.0
    }
}

/// An instant that people write down (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Instant(UtcTime);

impl TryFrom<String> for Instant {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "an instant is written like 2026-11-22T10:00:00+01:00";
        let at = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| wrong)?;
        let ms = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| wrong)?;
        Ok(Self(UtcTime::from_millis(ms)))
    }
}

impl From<Instant> for UtcTime {
    fn from(at: Instant) -> Self {
        at.0
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
