//! Takes media from hosts and hands it to the rest of the origin, in words that no protocol owns:
//! a [`Gate`] decides who may publish, a [`Take`] receives the tags of one publisher. What becomes
//! of them (clock, transcoding, packaging) is left to whoever implements the two.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use lectern_relay_proto::UtcTime;
use tokio_util::sync::CancellationToken;

pub mod aac;
pub(crate) mod bits;
pub mod flv;
pub mod h264;
pub(crate) mod live;
mod metadata;
pub mod opus;
mod order;
pub mod rtmp;
mod tag;

pub use order::Order;
pub use tag::Tag;

/// Decides who may publish, and takes what they send.
pub trait Gate: Send + Sync + 'static {
    /// What receives the tags of one publisher.
    type Take: Take;

    /// Whether whoever has this key may publish. Asked before work is done for a stranger, and changes
    /// nothing: a publisher who is there stays. Without a look-up of its own, a gate finds out with
    /// [`Self::claim`].
    fn admits(&self, _stream_key: &str) -> impl Future<Output = Result<(), Refusal>> + Send {
        std::future::ready(Ok(()))
    }

    /// Called before a byte of media is accepted. An error is told to the encoder.
    ///
    /// The key is to be compared in constant time, and not to be logged.
    fn claim(
        &self,
        stream_key: &str,
        peer: SocketAddr,
    ) -> impl Future<Output = Result<Self::Take, Refusal>> + Send;
}

/// Receives the tags of one publisher: one connection within a broadcast.
pub trait Take: Send + 'static {
    /// One tag, with the instant at which its last byte was read from the socket. Called on the
    /// connection's task, so it must not block. An error ends the connection.
    fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), TakeError>;

    /// The publisher was told that what it sends cannot be taken, for a reason
    /// [that is fatal](flv::Error::is_fatal); the end follows.
    fn refused(&mut self, _error: &flv::Error, _at: UtcTime) {}

    /// When [`Self::handle_timeout`] is due; asked after every call.
    fn poll_timeout(&self) -> Option<UtcTime>;

    /// Does what is due at `now`. An error ends the connection.
    fn handle_timeout(&mut self, now: UtcTime) -> Result<(), TakeError>;

    /// Completes when [`Self::handle_ready`] has something to do that no tag and no timeout brings about.
    /// Nothing is lost if it is dropped before.
    fn ready(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Does what is ready at `now`. An error ends the connection.
    fn handle_ready(&mut self, _now: UtcTime) -> Result<(), TakeError> {
        Ok(())
    }

    /// Cancelled once a newer publisher has taken over, or it is over for another reason: the publisher is
    /// told why, and closed. Asked for once, right after the claim.
    fn superseded(&self) -> CancellationToken;

    /// Why it was cancelled, where it is not that a newer publisher has taken over.
    fn why_over(&self) -> Option<TakeError> {
        None
    }

    /// No tag follows. `clean` if the encoder said that it ends; otherwise it just went away, was
    /// superseded, or was stopped. Called exactly once, even when the connection's task panics.
    fn end(self, clean: bool);
}

/// Why a publisher is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No broadcast has this stream key.
    #[error("This stream key is not known. Copy it again from your console.")]
    UnknownKey,
    /// The key may be good, but nothing can be published now; a sentence for the host says why.
    #[error("{0}")]
    Unavailable(String),
    /// The host has stopped the broadcast, for so long.
    #[error(
        "This broadcast was stopped. It can be started again in {} seconds.",
        .0.as_secs() + 1
    )]
    Stopped(Duration),
    /// The host lets nobody publish.
    #[error("This broadcast is blocked. Unblock it in the console first.")]
    Blocked,
}

/// Why a take wants no more tags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// The media cannot be served; a sentence for the host says why and what to change.
    #[error("{0}")]
    Unacceptable(String),
    /// The broadcast was ended by the host, elsewhere.
    #[error("The broadcast has been ended.")]
    Ended,
    /// The broadcast goes on at another server of this site, where an encoder of its host's has connected.
    #[error("Another server has taken over this broadcast: an encoder has connected to it there.")]
    Elsewhere,
}
