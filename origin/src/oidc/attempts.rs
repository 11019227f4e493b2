//! Who is away at the provider, and what is needed when they come back. Pure: what time it is comes as an
//! argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::client::line;

use crate::control::secret;

/// For how long somebody may be away: they look for a password, or have to set a second factor up.
pub(super) const AWAY_MAX: Duration = Duration::from_secs(600);
/// How many may be away at once. One more, and of whichever client has most, the oldest is forgotten: who
/// floods, floods themselves.
const ATTEMPTS_MAX: usize = 1_024;

/// What was begun.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// What the ID token must repeat.
    pub(super) nonce: String,
    /// What the code is good for together with.
    pub(super) verifier: String,
    /// Where in the console it ends.
    pub(super) to: String,
    /// The account that is to be signed in to so from now on.
    pub(super) link: Option<String>,
}

/// All of them, by the digest of their `state`.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<String, Away>);

#[derive(Debug)]
struct Away {
    attempt: Attempt,
    /// The digest of what the browser is known by.
    browser: String,
    client: IpAddr,
    since: Instant,
}

impl Attempts {
    /// Notes what a browser has begun.
    pub(super) fn add(
        &mut self,
        state: &str,
        browser: &str,
        client: IpAddr,
        attempt: Attempt,
        now: Instant,
    ) {
        self.forget(now);
        if self.0.len() >= ATTEMPTS_MAX {
            self.make_room();
        }
        let (browser, client) = (secret::digest(browser), line(client));
        self.0.insert(secret::digest(state), Away { attempt, browser, client, since: now });
    }

    /// What `browser` has begun under this state, once. Who else comes with it takes nothing away.
    pub(super) fn take(&mut self, state: &str, browser: &str, now: Instant) -> Option<Attempt> {
        self.forget(now);
        let (state, browser) = (secret::digest(state), secret::digest(browser));
        let begun_there = self.0.get(&state).is_some_and(|away| away.browser == browser);
        if begun_there { self.0.remove(&state).map(|away| away.attempt) } else { None }
    }

    /// Whether this is the name of a browser that has begun something.
    pub(super) fn knows(&self, browser: &str, now: Instant) -> bool {
        let browser = secret::digest(browser);
        self.0.values().any(|away| away.browser == browser && !away.is_over(now))
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, away| !away.is_over(now));
    }

    fn make_room(&mut self) {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for away in self.0.values() {
            *counts.entry(away.client).or_default() += 1;
        }
        let Some(most) = counts.values().copied().max() else { return };
        let heaviest = self.0.iter().filter(|(_, away)| counts.get(&away.client) == Some(&most));
        let oldest = heaviest.min_by_key(|(_, away)| away.since).map(|(state, _)| state.clone());
        if let Some(state) = oldest {
            self.0.remove(&state);
        }
    }
}

impl Away {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= AWAY_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn attempt(to: &str) -> Attempt {
        Attempt { nonce: "n".into(), verifier: "v".into(), to: to.into(), link: None }
    }

    #[test]
    fn it_is_finished_once_by_the_browser_that_began_it_and_in_time() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        attempts.add("state", "browser", ONE, attempt("/a"), now);
        attempts.add("late", "browser", ONE, attempt("/b"), now);
        assert!(attempts.knows("browser", now) && !attempts.knows("other", now));
        assert!(attempts.take("state", "other", now).is_none(), "another browser");
        assert!(attempts.take("state", "", now).is_none(), "no cookie");
        assert!(attempts.take("other", "browser", now).is_none(), "another state");
        assert_eq!(attempts.take("state", "browser", now).expect("its own").to, "/a");
        assert!(attempts.take("state", "browser", now).is_none(), "again");
        assert!(!attempts.knows("browser", now + AWAY_MAX));
        assert!(attempts.take("late", "browser", now + AWAY_MAX).is_none(), "too late");
    }

    #[test]
    fn who_floods_floods_themselves() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        attempts.add("mine", "me", OTHER, attempt("/"), now);
        for n in 0..2 * ATTEMPTS_MAX as u64 {
            let at = now + Duration::from_millis(n);
            attempts.add(&format!("state {n}"), "flood", ONE, attempt("/"), at);
        }
        assert_eq!(attempts.0.len(), ATTEMPTS_MAX);
        let later = now + Duration::from_secs(60);
        assert!(attempts.take("state 0", "flood", later).is_none(), "its oldest is forgotten");
        let newest = format!("state {}", 2 * ATTEMPTS_MAX - 1);
        assert!(attempts.take(&newest, "flood", later).is_some());
        assert!(attempts.take("mine", "me", later).is_some(), "nobody else's is");
    }
}
