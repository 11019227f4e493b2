//! How much one client, by its address, may send of something. What else tells clients apart costs nothing
//! to make up, and so does not stop who makes up a thousand. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::bucket::{Bucket, Rate};

use crate::client::network;

/// Clients that are remembered; each for as long as it takes to be as good as new.
const CLIENTS_MAX: usize = 65_536;

/// Who sent how much of late.
#[derive(Debug)]
pub(crate) struct Floods {
    rate: Rate,
    clients: HashMap<IpAddr, Bucket>,
}

impl Floods {
    /// Nobody has sent anything; each may at this rate.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, clients: HashMap::new() }
    }

    /// Whether this client may send now; otherwise after how long.
    pub(crate) fn admit(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let client = network(client);
        if !self.clients.contains_key(&client) && self.clients.len() >= CLIENTS_MAX {
            let rate = &self.rate;
            self.clients.retain(|_, bucket| !bucket.is_rested(rate, now));
            if self.clients.len() >= CLIENTS_MAX {
                return Err(self.rate.rest());
            }
        }
        let rate = &self.rate;
        let bucket = self.clients.entry(client).or_insert_with(|| Bucket::full(rate, now));
        bucket.ready(rate, now)?;
        bucket.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 60, each: Duration::from_millis(100) };

    #[test]
    fn one_client_may_write_what_a_hall_does_and_no_more() {
        let (mut floods, start) = (Floods::new(RATE), Instant::now());
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let admitted = (0..1_000).filter(|_| floods.admit(one, start).is_ok()).count();
        assert_eq!(admitted, RATE.burst as usize);
        assert_eq!(floods.admit(one, start), Err(RATE.each));
        assert_eq!(floods.admit(other, start), Ok(()));
        let later = start + RATE.each * 5;
        let admitted = (0..1_000).filter(|_| floods.admit(one, later).is_ok()).count();
        assert_eq!(admitted, 5);
    }

    #[test]
    fn memory_has_a_bound() {
        let (mut floods, now) = (Floods::new(RATE), Instant::now());
        for number in 0..u32::try_from(CLIENTS_MAX).expect("fits") {
            assert_eq!(floods.admit(IpAddr::V4(number.into()), now), Ok(()));
        }
        let next = IpAddr::V4(u32::MAX.into());
        assert!(floods.admit(next, now).is_err());
        assert_eq!(floods.admit(next, now + RATE.rest()), Ok(()));
    }
}
