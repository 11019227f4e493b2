//! End to end on loopback: a real encoder, an origin, QUIC, an edge, HTTP. One file per promise.

#![allow(clippy::unwrap_used, missing_docs)]

mod access;
mod comments;
mod demand;
mod late_edge;
mod lip_sync;
mod mend;
mod neighbours;
mod outage;
mod registration;
mod restarts;
mod sample_rates;
mod stack;
mod tracks;
mod way;
