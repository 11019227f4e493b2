//! Why the relay could not do what was asked.

use std::path::PathBuf;

use crate::{GroupId, TrackName};

/// Why the relay could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file with a certificate, key, tokens or addresses cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of tokens holds what is no token.
    #[error("{}: {reason}", path.display())]
    Tokens {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of addresses holds what is none.
    #[error("{}: {reason}", path.display())]
    Addresses {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate, key or set of trusted roots is not usable.
    #[error("TLS: {0}")]
    Tls(String),
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anybody who can reach the port could subscribe to everything.
    #[error(
        "{0} would be open to anybody: set relay_token or relay_token_file, or relay_client_ca, or listen on a \
         loopback address"
    )]
    Open(std::net::SocketAddr),
    /// The upstream's name does not resolve, or not to an address that can be dialled.
    #[error("upstream {upstream}: {reason}")]
    Upstream {
        /// `host:port` as configured.
        upstream: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The upstream's certificate, or the lack of one to trust. Trying again will not help before either
    /// is changed.
    #[error(
        "the upstream's certificate is not trusted ({0}); see edge.upstream_ca and edge.upstream_name"
    )]
    Untrusted(String),
    /// The upstream wants a certificate, or another than ours.
    #[error(
        "the upstream does not accept our certificate, or the lack of one ({0}); see \
         edge.upstream_certificate"
    )]
    NotAccepted(String),
    /// Upstreams are connected, and none of them knows of an origin.
    #[error(
        "it is connected and knows of no origin: it is an edge that has lost its own upstream, or this edge itself"
    )]
    NoOrigin,
    /// The connection failed or ended.
    #[error("connection: {0}")]
    Connection(String),
    /// The upstream refused our token. Trying again with the same one will not help.
    #[error(
        "the upstream refused our token, or wants one and there is none; see edge.relay_token_file"
    )]
    Refused,
    /// The publisher, broadcast or track is gone.
    #[error("closed")]
    Closed,
    /// The other side did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// A broadcast of this id is being published here in the same epoch.
    #[error("a broadcast of this id is already published in this epoch")]
    BroadcastExists,
    /// A track of this name is being published.
    #[error("track {0} is already published")]
    TrackExists(TrackName),
    /// The broadcast has no such track.
    #[error("the broadcast has no track {0}")]
    NoSuchTrack(String),
    /// The upstream has nothing under this name.
    #[error("not found")]
    NotFound,
    /// The upstream has no such group: it was never there, or is no longer.
    #[error("the upstream does not have group {0}")]
    NoSuchGroup(GroupId),
    /// The upstream let go of the group while it was being fetched.
    #[error("group {0} was let go of while it was being fetched")]
    GroupGone(GroupId),
    /// The group has a chunk that cannot be read.
    #[error("group {0} cannot be read")]
    GroupMalformed(GroupId),
    /// The group is before the one that is being written.
    #[error("group {wanted} is before {current}, which is being written")]
    GroupOrder {
        /// The group asked for.
        wanted: GroupId,
        /// The group that is open, or was the last.
        current: GroupId,
    },
    /// The group has more chunks or bytes than a relay keeps; nothing more can be added to it.
    #[error("group {0} is full; begin another")]
    GroupFull(GroupId),
    /// A time that the relay's 62-bit timestamps cannot hold.
    #[error("time is out of range")]
    Time,
    /// What arrived is not a catalog of ours.
    #[error(transparent)]
    Catalog(#[from] crate::catalog::CatalogError),
    /// The library beneath refused, for a reason that callers cannot act on.
    #[error("relay: {0}")]
    Protocol(String),
}

impl Error {
    /// The library's errors in words of ours, where there is no closer context.
    pub(super) fn from_moq(error: &moq_net::Error) -> Self {
        match error {
            moq_net::Error::Unauthorized
            | moq_net::Error::Session(moq_net::SessionError::Unauthorized) => Self::Refused,
            moq_net::Error::Closed | moq_net::Error::Dropped | moq_net::Error::Cancel => {
                Self::Closed
            }
            moq_net::Error::NotFound
            | moq_net::Error::Unroutable
            | moq_net::Error::Stream(moq_net::StreamError::NotFound) => Self::NotFound,
            moq_net::Error::Transport(_) | moq_net::Error::Session(_) => {
                Self::Connection(error.to_string())
            }
            other => Self::Protocol(other.to_string()),
        }
    }
}
