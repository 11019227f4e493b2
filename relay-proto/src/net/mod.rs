//! The relay: how broadcasts travel from an origin to its edges, as Media over QUIC.
//!
//! An origin is a [`Publisher`], a QUIC server; an edge is a [`Subscriber`], a client that finds its
//! way back by itself, and may be a server to other edges. This module owns connections, authorization and the order in which groups are
//! handed over. It speaks of broadcasts, tracks, groups and chunks; the MoQ library beneath is not in
//! any signature, so it can be changed. What the media means is the business of the modules around it.
//!
//! On the wire a broadcast is a path `live/<id>/<epoch>.<origin>.<number>`, another one with each publication
//! of it; of several, the one with the greatest [`Epoch`] is followed. A group's MoQ sequence is
//! [`GroupId::sequence`](crate::GroupId::sequence), and a chunk is one MoQ frame. An edge that has the
//! origin's token also publishes, as `edge/<origin>/<name>`, and is answered as `origin/<origin>/<name>`
//! ([`EdgeLink`], [`OriginLink`]).

mod addresses;
mod bounded;
pub mod check;
mod error;
mod follow;
mod link;
mod metrics;
mod path;
mod paths;
mod publish;
mod records;
mod renew;
mod serve;
mod subscribe;
mod subscription;
mod tls;
mod token;
mod tokens;
mod transport;
mod upstream;
mod vital;

pub use self::addresses::{AddressFile, NotPublic, PublicAddress, media_candidates};
pub use self::error::Error;
pub use self::follow::Announcement;
pub use self::link::{EdgeLink, OriginLink, RequestSender};
pub use self::metrics::{PublisherMetrics, SubscriberMetrics};
pub use self::path::Epoch;
pub use self::publish::{
    Announcer, BroadcastPublisher, Publisher, PublisherConfig, TrackPublisher,
};
pub use self::records::{Lost, RECORD_BYTES_MAX, RecordPublisher, RecordSubscription};
pub use self::subscribe::{RelayConfig, Subscriber, SubscriberConfig};
pub use self::subscription::{
    BroadcastSubscription, CatalogSubscription, Priority, TrackEvent, TrackSubscription,
};
pub use self::tls::{Identity, Trust};
pub use self::token::{InvalidToken, SecretText, Token};
pub use self::tokens::Tokens;
pub use self::upstream::Status;
