//! How often one may try to sign in. Pure: what time it is comes as an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::bucket::{Bucket, Rate};
use lectern_relay_proto::client::{line, network};

/// Tries for one login from one client: somebody who tries what passwords they have.
const PAIR: Rate = Rate { burst: 6, each: Duration::from_secs(10) };
/// Tries for one login from anywhere: many guess together. Not so few that a stranger can keep its owner
/// out for long.
const LOGIN: Rate = Rate { burst: 30, each: Duration::from_secs(3) };
/// Tries from one client, by IPv4 address or IPv6 /64: a whole institution may be behind one.
const CLIENT: Rate = Rate { burst: 60, each: Duration::from_secs(2) };
/// Tries from one IPv6 /48, of which a single line has up to 65,536 networks to come from.
const LINE: Rate = Rate { burst: 240, each: Duration::from_millis(500) };
/// Departures of one line to the OpenID provider, which has a throttle of its own for passwords.
const DEPARTURE: Rate = Rate { burst: 60, each: Duration::from_secs(1) };
/// What is remembered. Each is for as long as it takes to be as good as new; when there is no room,
/// nobody new may try.
const REMEMBERED_MAX: usize = 20_000;
/// Who was let in from where, that is remembered: guesses from elsewhere do not keep them out.
const KNOWN_MAX: usize = 10_000;

/// Who has tried of late.
#[derive(Debug, Default)]
pub struct Throttle {
    tried: HashMap<Who, Bucket>,
    /// When it was last.
    known: HashMap<(String, IpAddr), Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Who {
    Pair(String, IpAddr),
    Login(String),
    Client(IpAddr),
    Line(IpAddr),
    Departing(IpAddr),
}

impl Who {
    fn rate(&self) -> &'static Rate {
        match self {
            Self::Pair(..) => &PAIR,
            Self::Login(_) => &LOGIN,
            Self::Client(_) => &CLIENT,
            Self::Line(_) => &LINE,
            Self::Departing(_) => &DEPARTURE,
        }
    }
}

impl Throttle {
    /// Counts a try for `login` from `client`, or says when the next is due. Without a login, whoever tries
    /// is all that counts.
    pub fn attempt(&mut self, login: &str, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let (login, client) = (login.to_lowercase(), network(client));
        let known = self.known.contains_key(&(login.clone(), client));
        let mut all = vec![Who::Client(client)];
        if client.is_ipv6() {
            all.push(Who::Line(line(client)));
        }
        if !login.is_empty() {
            all.push(Who::Pair(login.clone(), client));
            // Whoever was let in from there before is not one of those who guess together.
            all.extend((!known).then_some(Who::Login(login)));
        }
        self.count(&all, known, now)
    }

    /// Counts a departure of `client` to the OpenID provider, or says when the next is due.
    pub fn departure(&mut self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        self.count(&[Who::Departing(line(client))], false, now)
    }

    fn count(&mut self, all: &[Who], known: bool, now: Instant) -> Result<(), Duration> {
        if !known && self.tried.len() + all.len() > REMEMBERED_MAX {
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
    pub fn succeeded(&mut self, login: &str, client: IpAddr, now: Instant) {
        let pair = (login.to_lowercase(), network(client));
        self.tried.remove(&Who::Pair(pair.0.clone(), pair.1));
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&pair) {
            let longest_ago = self.known.iter().min_by_key(|(_, at)| **at);
            if let Some(longest_ago) = longest_ago.map(|(pair, _)| pair.clone()) {
                self.known.remove(&longest_ago);
            }
        }
        self.known.insert(pair, now);
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
        throttle.succeeded("ada", ONE, now);
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
    fn who_was_let_in_before_is_not_kept_out_by_those_who_guess() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        throttle.succeeded("ada", ONE, now);
        for n in 0..=u8::MAX {
            let _ = throttle.attempt("ada", [198, 51, 100, n].into(), now);
        }
        let elsewhere: IpAddr = "192.0.2.9".parse().expect("an address");
        assert!(throttle.attempt("ada", elsewhere, now).is_err());
        assert_eq!(throttle.attempt("Ada", ONE, now), Ok(()));
        for n in 0..REMEMBERED_MAX as u32 {
            let _ = throttle.attempt(&n.to_string(), n.to_be_bytes().into(), now);
        }
        assert_eq!(throttle.attempt("ada", ONE, now), Ok(()), "however much there is to remember");
        for n in 0..2 * KNOWN_MAX {
            throttle.succeeded(&n.to_string(), ONE, now);
        }
        assert!(throttle.known.len() <= KNOWN_MAX);
    }

    #[test]
    fn one_line_is_one_however_many_networks_it_has() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let from = |n: u16| IpAddr::from([0x2001, 0xdb8, 7, n, 0, 0, 0, 1]);
        let allowed = (0..1_000)
            .filter(|n| throttle.attempt(&format!("guess{n}"), from(*n), now).is_ok())
            .count();
        assert_eq!(allowed, LINE.burst as usize);
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
