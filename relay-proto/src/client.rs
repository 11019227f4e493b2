//! Who is one client, by address, and how many of something each has. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

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
}
