//! Origin and edge ends of the relay over real QUIC on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod foreign;
mod harness;
mod media;
mod records;
mod sessions;
mod topology;
mod trust;
