//! The other edges of the same broadcasts, and whether this one is about to go: what players are told
//! so that they are elsewhere in time. Who tells them is each protocol's.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderName, Uri};
use serde::Deserialize;

/// The most edges that players are told of: more than any of them tries, and they travel with every
/// status and every page.
const SIBLINGS_MAX: usize = 32;

/// The header with the word for the player. Beside an answer that is not a refusal it is a hint.
pub(crate) const REASON: HeaderName = HeaderName::from_static("lectern-reason");
/// The word for an edge that takes nobody in any more and lets those go who have somewhere to go.
pub(crate) const DRAINING: &str = "draining";

/// Another edge: where its pages, WHEP and media are, such as `https://edge2.example`. It may have a
/// path, as behind a proxy; it has no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sibling(String);

/// Not the address of an edge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the address of an edge, such as \"https://edge2.example\"")]
pub struct SiblingError(String);

impl TryFrom<String> for Sibling {
    type Error = SiblingError;

    fn try_from(text: String) -> Result<Self, SiblingError> {
        let trimmed = text.trim_end_matches('/');
        let known = trimmed.parse::<Uri>().ok().is_some_and(|uri| {
            let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
            // It is written into headers, where other characters have a meaning.
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]".contains(&b);
            scheme && uri.host().is_some_and(|host| !host.is_empty()) && trimmed.bytes().all(plain)
        });
        if known { Ok(Self(trimmed.to_owned())) } else { Err(SiblingError(text)) }
    }
}

impl Sibling {
    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |at| at + 3);
        let end = self.0[host..].find('/').map_or(self.0.len(), |at| host + at);
        &self.0[..end]
    }
}

/// What players are told of this edge and the others.
#[derive(Debug, Default)]
pub struct Siblings {
    edges: Vec<Sibling>,
    draining: AtomicBool,
}

/// More siblings than players are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("edge.siblings has {0} edges, and players are told of {SIBLINGS_MAX} at most")]
pub struct TooMany(usize);

impl Siblings {
    /// This edge and these.
    pub fn new(edges: Vec<Sibling>) -> Result<Self, TooMany> {
        match edges.len() {
            0..=SIBLINGS_MAX => Ok(Self { edges, draining: AtomicBool::new(false) }),
            count => Err(TooMany(count)),
        }
    }

    /// Their addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.edges.iter().map(|edge| edge.0.as_str())
    }

    /// What a page of this edge may fetch from besides itself, as a Content-Security-Policy has it:
    /// with a leading space, or nothing.
    pub(crate) fn sources(&self) -> String {
        self.edges.iter().map(|edge| format!(" {}", edge.origin())).collect()
    }

    /// The same over WebSockets.
    pub(crate) fn socket_sources(&self) -> String {
        self.sources().replace(" http", " ws")
    }

    /// From now on, and to its end, this edge is about to go.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_an_origin_and_perhaps_a_path() {
        for (text, address, origin) in [
            ("https://edge2.example", "https://edge2.example", "https://edge2.example"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            (
                "https://[2001:db8::1]:8443",
                "https://[2001:db8::1]:8443",
                "https://[2001:db8::1]:8443",
            ),
            ("https://uni.example/live-2/", "https://uni.example/live-2", "https://uni.example"),
        ] {
            let edge = Sibling::try_from(text.to_owned()).unwrap();
            assert_eq!((edge.0.as_str(), edge.origin()), (address, origin));
        }
        for text in [
            "",
            "edge2.example",
            "/live",
            "ftp://edge2.example",
            "https://",
            "https://a;b",
            "https://a, https://b",
            "https://a?x",
            "https://me@a",
            "https://a b",
            "https://a#b",
        ] {
            assert!(Sibling::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn pages_may_fetch_from_all_of_them() {
        let edge = |text: &str| Sibling::try_from(text.to_owned()).unwrap();
        let siblings = Siblings::new(vec![edge("https://a.example/x"), edge("http://b:8080")]);
        let siblings = siblings.unwrap();
        assert_eq!(siblings.sources(), " https://a.example http://b:8080");
        assert_eq!(siblings.socket_sources(), " wss://a.example ws://b:8080");
        assert_eq!(Siblings::default().sources(), "");
        assert_eq!(Siblings::new(vec![edge("http://b"); 33]).unwrap_err(), TooMany(33));
    }
}
