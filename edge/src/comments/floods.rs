//! How much one client, by its address, may write. Writers are told apart by secrets that cost nothing
//! to make up, so their own pace (the origin's to keep) does not stop who makes up a thousand. Pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::bucket::{Bucket, Rate};

use crate::client::network;

/// What a client may write: a lecture hall behind one address.
const RATE: Rate = Rate { burst: 60, each: Duration::from_millis(100) };
/// Clients that are remembered; each for as long as it takes to be as good as new.
const CLIENTS_MAX: usize = 65_536;

/// Who wrote how much of late.
#[derive(Debug, Default)]
pub(super) struct Floods {
    clients: HashMap<IpAddr, Bucket>,
}

impl Floods {
    /// Whether this client may write now; otherwise after how long.
    pub(super) fn admit(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let client = network(client);
        if !self.clients.contains_key(&client) && self.clients.len() >= CLIENTS_MAX {
            self.clients.retain(|_, bucket| !bucket.is_rested(&RATE, now));
            if self.clients.len() >= CLIENTS_MAX {
                return Err(RATE.rest());
            }
        }
        let full = || Bucket::full(&RATE, now);
        let bucket = self.clients.entry(client).or_insert_with(full);
        bucket.ready(&RATE, now)?;
        bucket.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_may_write_what_a_hall_does_and_no_more() {
        let (mut floods, start) = (Floods::default(), Instant::now());
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
        let (mut floods, now) = (Floods::default(), Instant::now());
        for number in 0..u32::try_from(CLIENTS_MAX).expect("fits") {
            assert_eq!(floods.admit(IpAddr::V4(number.into()), now), Ok(()));
        }
        let next = IpAddr::V4(u32::MAX.into());
        assert!(floods.admit(next, now).is_err());
        assert_eq!(floods.admit(next, now + RATE.rest()), Ok(()));
    }
}
