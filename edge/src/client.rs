//! Whom a request comes from, and whether over TLS: the peer of the connection, or, behind proxies that the
//! operator trusts, what they say.

use std::net::IpAddr;

use axum::http::HeaderMap;
pub use lectern_relay_proto::client::{Client, Proxies, ProxyError};
pub(crate) use lectern_relay_proto::client::{Tally, network};

/// Whether a request came over TLS, to this edge or to a proxy that the operator trusts, as a request
/// extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured(pub bool);

/// Whom a request with these headers comes from that `peer` sent.
pub(crate) fn client_of(proxies: &Proxies, peer: IpAddr, headers: &HeaderMap) -> Client {
    let lines = headers.get_all("x-forwarded-for").iter();
    proxies.client(peer, lines.filter_map(|line| line.to_str().ok()))
}

/// Whether a request that `peer` sent came over TLS to it, as far as it is believed.
pub(crate) fn secured_by(proxies: &Proxies, peer: IpAddr, headers: &HeaderMap) -> bool {
    let said = headers.get("x-forwarded-proto").and_then(|said| said.to_str().ok());
    said.is_some_and(|said| said.trim().eq_ignore_ascii_case("https")) && proxies.trust(peer)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_trusted_proxies_say_that_it_was_tls() {
        let proxies = Proxies::parse(&["10.0.0.1".to_owned()]).unwrap();
        let mut headers = HeaderMap::new();
        let said = |headers: &HeaderMap| {
            ["10.0.0.1", "10.0.0.2"]
                .map(|peer| secured_by(&proxies, peer.parse().unwrap(), headers))
        };
        assert_eq!(said(&headers), [false, false]);
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(said(&headers), [true, false]);
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        assert_eq!(said(&headers), [false, false]);
    }
}
