//! What the fuzzer calls: one entry for each thing in this crate that reads a stranger's bytes for
//! WebRTC, and for viewer tokens, which are read before anything else is.
//!
//! An entry takes any bytes and returns; what must hold it asserts. The fuzzer (`bench/fuzz`) looks
//! for bytes that make one fail, and the tests replay those that were kept (`tests/corpus.rs`), so
//! both see the same. Nothing of this is in a build without the feature `fuzzing`.

mod dtls;
mod ice;
mod media;
mod peer;
pub(super) mod script;
mod sdp;
mod session;
mod srtp;

use super::{http, rtcp, socket};

/// An entry.
pub type Entry = fn(&[u8]);

/// Every entry, by the name of its target and corpus.
pub const TARGETS: [(&str, Entry); 13] = [
    ("sdp", sdp::offer),
    ("sdpfrag", sdp::fragment),
    ("ice", ice::checks),
    ("dtls", dtls::handshake),
    ("rtcp", feedback),
    ("srtcp", srtp::records),
    ("framing", socket::fuzzing::framing),
    ("gate", socket::fuzzing::gate),
    ("http", http::fuzzing::headers),
    ("ice_servers", http::fuzzing::ice_servers),
    ("h264", media::h264),
    ("session", session::datagrams),
    ("token", crate::access::fuzzing::token),
];

/// Runs the entry of a target; for the fuzzer's own binaries, whose targets are all in the table.
pub fn run(target: &str, bytes: &[u8]) {
    let entry = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, entry) = entry.expect("the target is in the table");
    entry(bytes);
}

/// A compound of RTCP: it is read to its end, and says no more than fits into it.
fn feedback(bytes: &[u8]) {
    let mut items = 0;
    let whole = rtcp::read(bytes, |_| items += 1);
    // The shortest item takes a word.
    assert!(items <= bytes.len() / 4);
    if whole {
        assert!(bytes.len().is_multiple_of(4));
    }
}
