//! What travels between Lectern's origins and edges, and how.
//!
//! The media model ([`time`], [`frame`], [`catalog`], [`segment`]), what a broadcast is [`about`], and the CMAF reader and writer
//! ([`cmaf`]), and how far two clocks are apart ([`skew`]), are pure: no socket, no task, no clock. The relay itself ([`net`], feature `net`) is a
//! thin facade over Media over QUIC that speaks the words of this crate and lets no type of the
//! library beneath it leak out; what both roles count is made by [`metrics`], and the way of
//! a group is told as a [`trace`]. Requests over HTTP are known by their [`request`] ids.

pub mod about;
pub mod broadcast;
pub mod bucket;
pub mod catalog;
pub mod client;
pub mod cmaf;
pub mod comment;
pub mod datagram;
pub mod frame;
#[cfg(feature = "net")]
pub mod metrics;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod request;
pub mod segment;
pub mod skew;
pub mod time;
#[cfg(feature = "net")]
pub mod trace;

pub use about::About;
pub use broadcast::{BroadcastId, InvalidBroadcastId};
pub use catalog::{AudioTrack, Catalog, Period, PublisherState, TrackName, VideoTrack};
pub use frame::{Frame, GroupId};
pub use segment::SegmentGrid;
pub use time::{MediaTime, Timescale, UtcTime};
