//! RTMP ingest: chunks, messages, the publishing session, and the server that drives it.

pub mod amf;
pub mod chunk;
mod connection;
mod message;
mod metrics;
mod reply;
pub mod server;
pub mod session;

pub use metrics::Metrics;
pub use server::Limiter;
pub use server::{Config, Server};
