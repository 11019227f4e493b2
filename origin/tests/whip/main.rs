//! WHIP as a publisher meets it: over HTTP, and over UDP with a WebRTC client that is not a browser.

mod http;
mod publisher;
mod publishing;
mod support;
