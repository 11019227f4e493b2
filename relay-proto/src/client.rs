//! Who is one client, by address, also behind proxies that are trusted, and how many of something each
//! has. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// What stands for a client: its IPv4 address, or the /64 that one subscriber of IPv6 has.
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// What stands for a line: its IPv4 address, or the /48 of IPv6 in which one subscriber may have up to 65,536
/// of what [`network`] takes for a client.
pub fn line(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// How many of something each client has; those who have none take no room.
#[derive(Debug, Default)]
pub struct Tally(HashMap<IpAddr, usize>);

impl Tally {
    /// How many the client at this address has.
    pub fn of(&self, client: IpAddr) -> usize {
        self.0.get(&network(client)).copied().unwrap_or(0)
    }

    /// One more.
    pub fn add(&mut self, client: IpAddr) {
        *self.0.entry(network(client)).or_default() += 1;
    }

    /// One less.
    pub fn remove(&mut self, client: IpAddr) {
        let client = network(client);
        if let Some(count) = self.0.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&client);
            }
        }
    }

    /// How many clients have any.
    pub fn clients(&self) -> usize {
        self.0.len()
    }
}

/// Entries of `X-Forwarded-For` that are read: more proxies than anybody has in a row.
const HOPS_MAX: usize = 16;

/// The address that a request comes from, as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

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

    /// Whom a request comes from that `peer` sent. Of its lines of `X-Forwarded-For` the entries are read from
    /// the end, where the nearest proxy wrote: what stands before the first address that is not a
    /// trusted proxy, anybody may have written.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> Client {
        let entries = forwarded_for.rev().flat_map(|line| line.rsplit(','));
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

    #[test]
    fn a_subscriber_is_one_client_whatever_address_of_its_network_it_takes() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8:0:1:ffff::2")));
        assert_ne!(network(ip("2001:db8:0:1::1")), network(ip("2001:db8:0:2::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
        assert_ne!(network(ip("192.0.2.1")), network(ip("192.0.2.2")));
    }

    #[test]
    fn a_tally_forgets_who_has_none() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut tally = Tally::default();
        tally.add(ip("2001:db8::1"));
        tally.add(ip("2001:db8::2"));
        tally.add(ip("192.0.2.1"));
        assert_eq!((tally.of(ip("2001:db8::3")), tally.clients()), (2, 2));
        tally.remove(ip("2001:db8::1"));
        tally.remove(ip("::ffff:192.0.2.1"));
        assert_eq!((tally.of(ip("2001:db8::1")), tally.clients()), (1, 1));
        tally.remove(ip("203.0.113.1"));
        assert_eq!(tally.clients(), 1);
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_about_the_hop_before_them() {
        let proxies = ["10.0.0.0/8".to_owned(), "2001:db8::1".to_owned()];
        let proxies = Proxies::parse(&proxies).unwrap();
        let check = |peer: &str, lines: &[&str], expect: &str| {
            let client = proxies.client(peer.parse().unwrap(), lines.iter().copied());
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
    fn what_is_not_a_network_is_named() {
        let error = Proxies::parse(&["10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/33"));
    }
}
