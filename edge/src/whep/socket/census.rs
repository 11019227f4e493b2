//! How many TCP connections there may be, and from where.
//!
//! A connection waits until a check on it has authenticated. Those that wait are the ones that
//! strangers can make, so they may be at most half of all, and a client may have half of those:
//! whoever fills them keeps other newcomers from TCP for a while, and takes nothing from those who
//! watch. How many a client may have in all is not bounded here but by its sessions: a whole
//! campus behind one address with UDP blocked is what TCP is for.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::Tally;

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are as many as there may be.
    Full,
    /// As many as may wait do so.
    Waiting,
    /// As many as may wait of one client do so.
    Address,
}

/// Counts the connections.
pub(super) struct Census {
    max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    all: usize,
    waiting: usize,
    waiting_from: Tally,
}

/// The right to one connection; gives it back when dropped.
pub(super) struct Place {
    census: Arc<Census>,
    /// Where from, while it waits.
    waiting: Option<IpAddr>,
}

impl Census {
    /// For `max` connections.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, counts: Mutex::default() })
    }

    /// Takes a place for a connection from `ip`.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Place, Refused> {
        let mut counts = self.lock();
        if counts.all >= self.max {
            return Err(Refused::Full);
        }
        if counts.waiting >= (self.max / 2).max(1) {
            return Err(Refused::Waiting);
        }
        if counts.waiting_from.of(ip) >= (self.max / 4).max(1) {
            return Err(Refused::Address);
        }
        counts.all += 1;
        counts.waiting += 1;
        counts.waiting_from.add(ip);
        Ok(Place { census: self.clone(), waiting: Some(ip) })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A check has authenticated: the connection waits no more.
    pub(super) fn authenticated(&mut self) {
        if let Some(from) = self.waiting.take() {
            let mut counts = self.census.lock();
            counts.waiting -= 1;
            counts.waiting_from.remove(from);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.authenticated();
        self.census.lock().all -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(census: &Arc<Census>, ip: &str) -> Result<Place, Refused> {
        census.admit(ip.parse().unwrap())
    }

    #[test]
    fn those_that_wait_are_bounded_and_those_that_authenticated_have_room() {
        let census = Census::new(8);
        let mut watching: Vec<Place> =
            (0..2).map(|_| admit(&census, "192.0.2.1").unwrap()).collect();
        // The same address as a dual-stack socket says it.
        assert_eq!(admit(&census, "::ffff:192.0.2.1").err(), Some(Refused::Address));
        let strangers = ["2001:db8::1", "2001:db8::2"].map(|ip| admit(&census, ip).unwrap());
        assert_eq!(admit(&census, "192.0.2.2").err(), Some(Refused::Waiting));
        watching.iter_mut().for_each(Place::authenticated);
        // Those who watch take nothing from those who wait, and may be as many as there are places.
        for _ in 0..4 {
            let mut place = admit(&census, "192.0.2.1").unwrap();
            place.authenticated();
            watching.push(place);
        }
        assert_eq!(admit(&census, "192.0.2.1").err(), Some(Refused::Full));
        drop(strangers);
        assert!(admit(&census, "192.0.2.1").is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let census = Census::new(8);
        let _held = ["2001:db8::1", "2001:db8::ffff:1"].map(|ip| admit(&census, ip).unwrap());
        assert_eq!(admit(&census, "2001:db8::3").err(), Some(Refused::Address));
        assert!(admit(&census, "2001:db8:0:1::3").is_ok());
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let census = Census::new(100);
        let mut places: Vec<Place> =
            (0..20).map(|n| admit(&census, &format!("192.0.2.{n}")).unwrap()).collect();
        places.iter_mut().step_by(2).for_each(Place::authenticated);
        drop(places);
        let counts = census.lock();
        assert_eq!((counts.all, counts.waiting, counts.waiting_from.clients()), (0, 0, 0));
    }
}
