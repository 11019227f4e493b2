//! WHIP as a publisher meets it: over HTTP, and over UDP with a WebRTC client that is not a browser.

// Here a failed unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod http;
mod publisher;
mod publishing;
mod support;
