//! How often one may try to sign in. Pure: what time it is comes as an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::bucket::{Bucket, Rate};
use lectern_relay_proto::client::network;

/// Tries for one login from one client: somebody who tries what passwords they have.
const PAIR: Rate = Rate { burst: 6, each: Duration::from_secs(10) };
/// Tries for one login from anywhere: many guess together. Not so few that a stranger can keep its owner
/// out for long.
const LOGIN: Rate = Rate { burst: 30, each: Duration::from_secs(3) };
/// Tries from one client, by IPv4 address or IPv6 /64: a whole institution may be behind one.
const CLIENT: Rate = Rate { burst: 60, each: Duration::from_secs(2) };
/// Departures of one client to the OpenID provider, which has a throttle of its own for passwords.
const DEPARTURE: Rate = Rate { burst: 60, each: Duration::from_secs(1) };
/// What is remembered. Each is for as long as it takes to be as good as new; when there is no room,
/// nobody new may try.
const REMEMBERED_MAX: usize = 20_000;

/// Who has tried of late.
#[derive(Debug, Default)]
pub struct Throttle {
    tried: HashMap<Who, Bucket>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Pair(String, IpAddr),
    Login(String),
    Client(IpAddr),
    Departing(IpAddr),
}

impl Who {
    fn rate(&self) -> &'static Rate {
        match self {
            Self::Pair(..) => &PAIR,
            Self::Login(_) => &LOGIN,
            Self::Client(_) => &CLIENT,
            Self::Departing(_) => &DEPARTURE,
        }
    }
}

impl Throttle {
    /// Counts a try for `login` from `client`, or says when the next is due.
    pub fn attempt(&mut self, login: &str, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let (login, client) = (login.to_lowercase(), network(client));
        let all = [Who::Client(client), Who::Pair(login.clone(), client), Who::Login(login)];
        self.count(&all, now)
    }

    /// Counts a departure of `client` to the OpenID provider, or says when the next is due.
    pub fn departure(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        self.count(&[Who::Departing(network(client))], now)
    }

    fn count(&mut self, all: &[Who], now: Instant) -> Result<(), Duration> {
        if self.tried.len() + all.len() > REMEMBERED_MAX {
            self.tried.retain(|who, bucket| !bucket.is_rested(who.rate(), now));
            if self.tried.len() + all.len() > REMEMBERED_MAX {
                return Err(CLIENT.each);
            }
        }
        for who in all {
            let rate = who.rate();
            let bucket = self.tried.entry(who.clone()).or_insert_with(|| Bucket::full(rate, now));
            bucket.ready(rate, now)?;
        }
        for who in all {
            if let Some(bucket) = self.tried.get_mut(who) {
                bucket.take();
            }
        }
        Ok(())
    }

    /// `login` was let in from `client`: what was tried before is forgiven.
    pub fn succeeded(&mut self, login: &str, client: IpAddr) {
        self.tried.remove(&Who::Pair(login.to_lowercase(), network(client)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn guesses_are_few_and_others_are_not_kept_out() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let other: IpAddr = "192.0.2.2".parse().expect("an address");
        for _ in 0..PAIR.burst {
            assert_eq!(throttle.attempt("Ada", ONE, now), Ok(()));
        }
        assert!(throttle.attempt("ada", ONE, now).is_err());
        assert_eq!(throttle.attempt("ada", other, now), Ok(()), "the owner, elsewhere");
        assert_eq!(throttle.attempt("bob", ONE, now), Ok(()), "somebody else in the same house");
        assert_eq!(throttle.attempt("ada", ONE, now + PAIR.each), Ok(()), "after a while");
        throttle.succeeded("ada", ONE);
        assert_eq!(throttle.attempt("ada", ONE, now + PAIR.each), Ok(()));
    }

    #[test]
    fn many_who_guess_together_are_slowed_down() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let allowed = (0..=255u8)
            .filter(|n| throttle.attempt("ada", [198, 51, 100, *n].into(), now).is_ok())
            .count();
        assert_eq!(allowed, LOGIN.burst as usize);
        let allowed =
            (0..200).filter(|n| throttle.attempt(&format!("guess{n}"), ONE, now).is_ok()).count();
        assert_eq!(allowed, CLIENT.burst as usize);
    }

    #[test]
    fn departures_are_counted_by_themselves() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let other: IpAddr = "192.0.2.2".parse().expect("an address");
        let left = (0..200).filter(|_| throttle.departure(ONE, now).is_ok()).count();
        assert_eq!(left, DEPARTURE.burst as usize);
        assert_eq!(throttle.departure(other, now), Ok(()));
        assert_eq!(throttle.attempt("ada", ONE, now), Ok(()), "by password");
        assert_eq!(throttle.departure(ONE, now + DEPARTURE.each), Ok(()));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..REMEMBERED_MAX as u32 {
            let _ = throttle.attempt(&n.to_string(), n.to_be_bytes().into(), now);
        }
        assert!(throttle.tried.len() <= REMEMBERED_MAX);
        assert!(throttle.attempt("ada", ONE, now).is_err(), "full");
        let later = now + LOGIN.rest() + CLIENT.rest();
        assert_eq!(throttle.attempt("ada", ONE, later), Ok(()));
    }
}
