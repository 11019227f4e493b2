//! What the load benchmarks share: their [`options`], [`servers`] to measure, the [`clip`] that [`publish`] sends them
//! in real time, what the system says of processes ([`proc`]),
//! [`namespace`]s of the network, how a benchmark ends ([`run`]), and how figures are made and shown.

pub mod clip;
pub mod namespace;
pub mod options;
pub mod proc;
pub mod publish;
pub mod run;
pub mod servers;
pub mod stamp;
pub mod stats;
pub mod table;
pub mod timeline;

use std::time::{SystemTime, UNIX_EPOCH};

/// The core that the edge has for itself; all else is on the other.
pub const EDGE_CORE: usize = 0;
/// The core of all else.
pub const CLIENT_CORE: usize = 1;

/// Unix time in microseconds.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
