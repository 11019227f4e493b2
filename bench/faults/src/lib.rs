//! What viewers notice when something of a cluster fails: [`run`] does one [`fault::Fault`] to a cluster of its own
//! in network namespaces, and tells what viewers over WebRTC, LL-DASH and LL-HLS saw, and what became of
//! comments. `make bench-faults` does all of them; tests may do one.

mod balancer;
mod database;
mod disk;
mod encoder;
pub mod fault;
mod link;
mod network;
mod node;
pub mod options;
pub mod outcome;
mod run;
mod shim;
mod viewers;
mod world;

pub use run::{random, run};
