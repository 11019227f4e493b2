//! Whom a request comes from: the peer of the connection, or, behind proxies that the operator
//! trusts, the address that they say.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;
pub(crate) use lectern_relay_proto::client::{Tally, network};

/// Entries of `X-Forwarded-For` that are read: more proxies than anybody has in a row.
const HOPS_MAX: usize = 16;

/// The address that a request comes from, as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// Whether a request came over TLS, to this edge or to a proxy that the operator trusts, as a request
/// extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured(pub bool);

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// An entry that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct ProxyError(String);

impl Proxies {
    /// Reads addresses and networks.
    pub fn parse(entries: &[String]) -> Result<Self, ProxyError> {
        let read = |entry: &String| {
            let net = entry.parse::<IpNet>().ok();
            let net = net.or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from));
            net.ok_or_else(|| ProxyError(entry.clone()))
        };
        entries.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is one of them.
    pub fn trust(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// Whether a request that `peer` sent came over TLS to it, as far as it is believed.
    pub fn secured(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let said = headers.get("x-forwarded-proto").and_then(|said| said.to_str().ok());
        said.is_some_and(|said| said.trim().eq_ignore_ascii_case("https")) && self.trust(peer)
    }

    /// Whom a request comes from that `peer` sent. Of `X-Forwarded-For` the entries are read from
    /// the end, where the nearest proxy wrote: what stands before the first address that is not a
    /// trusted proxy, anybody may have written.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let lines = headers.get_all("x-forwarded-for").into_iter().rev();
        let entries = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.rsplit(','));
        let mut client = peer;
        for entry in entries.take(HOPS_MAX) {
            if !self.trust(client) {
                break;
            }
            match entry.trim().parse() {
                Ok(ip) => client = ip,
                Err(_) => break,
            }
        }
        Client(client.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_about_the_hop_before_them() {
        let proxies = ["10.0.0.0/8".to_owned(), "2001:db8::1".to_owned()];
        let proxies = Proxies::parse(&proxies).unwrap();
        let check = |peer: &str, lines: &[&str], expect: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            }
            let client = proxies.client(peer.parse().unwrap(), &headers);
            assert_eq!(client, Client(expect.parse().unwrap()), "{peer} {lines:?}");
        };
        check("192.0.2.1", &["198.51.100.1"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.2.3.4"], "198.51.100.1");
        check("2001:db8::1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1, nonsense"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1, 10.2.3.4:80"], "10.0.0.1");
    }

    #[test]
    fn only_trusted_proxies_say_that_it_was_tls() {
        let proxies = Proxies::parse(&["10.0.0.1".to_owned()]).unwrap();
        let mut headers = HeaderMap::new();
        let said = |headers: &HeaderMap| {
            ["10.0.0.1", "10.0.0.2"].map(|peer| proxies.secured(peer.parse().unwrap(), headers))
        };
        assert_eq!(said(&headers), [false, false]);
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(said(&headers), [true, false]);
        headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
        assert_eq!(said(&headers), [false, false]);
    }

    #[test]
    fn what_is_not_a_network_is_named() {
        let error = Proxies::parse(&["10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/33"));
    }
}
