//! How fast, and how often the same, one may write. Pure: what time it is comes as an argument.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use lectern_relay_proto::bucket::{Bucket, Rate};
use lectern_relay_proto::comment::{Attempt, AuthorId, ClientId, Refusal};

/// What an author may write.
const AUTHOR: Rate = Rate { burst: 4, each: Duration::from_secs(2) };
/// For how many questions an author may vote: they are read faster than written.
const VOTES: Rate = Rate { burst: 10, each: Duration::from_millis(500) };
/// What all of a broadcast may: more than anybody reads.
const ROOM: Rate = Rate { burst: 600, each: Duration::from_millis(5) };
/// What its moderators may, whom a flood of others does not keep from ending it.
const MODERATORS: Rate = Rate { burst: 100, each: Duration::from_millis(50) };
/// What was written is not to be written again by the same author for so long.
const REPEATED_WITHIN: Duration = Duration::from_secs(30);
/// Attempts of an author's that are known again when they are sent again.
const ATTEMPTS_MAX: usize = 16;
/// Authors that are remembered. Each is for as long as it takes to be as good as new.
const AUTHORS_MAX: usize = 50_000;
const REMEMBERED: Duration = Duration::from_secs(60);

/// Who wrote what of late in one broadcast.
#[derive(Debug, Default)]
pub(super) struct Rules {
    authors: HashMap<AuthorId, Author>,
    room: Option<Bucket>,
    moderators: Option<Bucket>,
    pruned: Option<Instant>,
}

/// Refused, and when the same may be tried again.
pub(super) type Refused = (Refusal, Option<Duration>);

#[derive(Debug)]
struct Author {
    /// In the order of [`Pace`].
    paces: [Bucket; 2],
    seen: Instant,
    /// The newest last, and what each was for.
    attempts: VecDeque<(ClientId, For)>,
    texts: VecDeque<(Instant, ClientId, String)>,
}

/// What an attempt is for: the same name for something else is another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A comment.
    Post,
    /// The end of one.
    Delete(u64),
    /// A question.
    Vote(u64, bool),
    /// The answer whether this is a moderator, or what only they may do.
    Role,
}

/// What is counted apart.
#[derive(Clone, Copy)]
enum Pace {
    Writes,
    Votes,
}

impl Pace {
    fn rate(self) -> &'static Rate {
        match self {
            Self::Writes => &AUTHOR,
            Self::Votes => &VOTES,
        }
    }
}

impl Rules {
    /// Whether `text` may be written now. What was let through once is let through again under the same
    /// `client`: whether it was stored is not for these rules to know.
    pub(super) fn post(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        text: &str,
    ) -> Result<(), Refused> {
        self.check(now, attempt, Pace::Writes, For::Post, Some(text))
    }

    /// Whether something may be changed now.
    pub(super) fn change(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        what: For,
        moderator: bool,
    ) -> Result<(), Refused> {
        if moderator {
            return Self::take(&mut self.moderators, &MODERATORS, now);
        }
        self.check(now, attempt, Pace::Writes, what, None)
    }

    /// Whether a vote may be given, or taken back, now.
    pub(super) fn vote(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        id: u64,
        up: bool,
    ) -> Result<(), Refused> {
        self.check(now, attempt, Pace::Votes, For::Vote(id, up), None)
    }

    /// What was let through was not stored, for another reason: its writer may say the same again.
    pub(super) fn withdraw(&mut self, Attempt { author, client, .. }: &Attempt) {
        if let Some(known) = self.authors.get_mut(author) {
            known.attempts.retain(|(attempt, _)| attempt != client);
            known.texts.retain(|(_, attempt, _)| attempt != client);
        }
    }

    fn check(
        &mut self,
        now: Instant,
        Attempt { author, client, .. }: &Attempt,
        pace: Pace,
        what: For,
        text: Option<&str>,
    ) -> Result<(), Refused> {
        self.prune(now);
        if !self.authors.contains_key(author) && self.authors.len() >= AUTHORS_MAX {
            return Err((Refusal::Busy, Some(REMEMBERED)));
        }
        let known = self.authors.entry(author.clone()).or_insert_with(|| Author {
            paces: [Bucket::full(&AUTHOR, now), Bucket::full(&VOTES, now)],
            seen: now,
            attempts: VecDeque::new(),
            texts: VecDeque::new(),
        });
        known.seen = now;
        let attempt = (client.clone(), what);
        if known.attempts.contains(&attempt) {
            return Ok(());
        }
        known.texts.retain(|(at, ..)| now.duration_since(*at) < REPEATED_WITHIN);
        if text.is_some_and(|text| known.texts.iter().any(|(.., before)| same(before, text))) {
            return Err((Refusal::Repeated, None));
        }
        let own = &mut known.paces[pace as usize];
        own.ready(pace.rate(), now).map_err(|wait| (Refusal::TooFast, Some(wait)))?;
        Self::take(&mut self.room, &ROOM, now)?;
        own.take();
        known.attempts.push_back(attempt);
        if known.attempts.len() > ATTEMPTS_MAX {
            known.attempts.pop_front();
        }
        // No more than fit into the time, by the author's own pace.
        known.texts.extend(text.map(|text| (now, client.clone(), text.to_owned())));
        Ok(())
    }

    fn take(all: &mut Option<Bucket>, rate: &Rate, now: Instant) -> Result<(), Refused> {
        let all = all.get_or_insert_with(|| Bucket::full(rate, now));
        all.ready(rate, now).map_err(|_| (Refusal::Busy, Some(AUTHOR.each)))?;
        all.take();
        Ok(())
    }

    /// Forgets whom there is nothing to say of any more, now and then.
    fn prune(&mut self, now: Instant) {
        if self.pruned.is_some_and(|at| now.duration_since(at) < REMEMBERED / 4) {
            return;
        }
        self.pruned = Some(now);
        self.authors.retain(|_, author| now.duration_since(author.seen) < REMEMBERED);
    }
}

/// The same but for case, space and how often a sign stands in a row. Letters and digits count: 11 is
/// another answer than 1.
fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let mut chars: Vec<char> = text.to_lowercase().chars().collect();
        chars.retain(|c| !c.is_whitespace());
        chars.dedup_by(|a, b| a == b && !a.is_alphanumeric());
        chars
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(number: u64) -> AuthorId {
        format!("{number:016x}").try_into().expect("an id")
    }

    fn attempt(of: u64, number: usize) -> Attempt {
        let client = format!("c-{number}").try_into().expect("an id");
        Attempt { broadcast: "talk".parse().expect("an id"), author: author(of), client }
    }

    #[test]
    fn an_author_may_write_in_bursts_and_then_at_a_pace() {
        let (mut rules, start) = (Rules::default(), Instant::now());
        let mut number = 0;
        let mut post = |at_ms: u64| {
            number += 1;
            let now = start + Duration::from_millis(at_ms);
            rules.post(now, &attempt(1, number), &format!("text {number}"))
        };
        assert!((0..4).all(|_| post(0).is_ok()));
        assert_eq!(post(500), Err((Refusal::TooFast, Some(Duration::from_millis(1_500)))));
        assert_eq!(post(2_000), Ok(()));
        assert_eq!(post(2_000), Err((Refusal::TooFast, Some(Duration::from_secs(2)))));
        assert!((0..4).all(|_| post(60_000).is_ok()));
        assert!(post(60_000).is_err());
    }

    #[test]
    fn sending_again_is_no_writing() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(rules.post(now, &attempt(1, 1), "once"), Ok(()));
        }
        assert_eq!(rules.post(now, &attempt(1, 2), "once"), Err((Refusal::Repeated, None)));
    }

    #[test]
    fn what_was_not_stored_may_be_written_again() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        assert_eq!(rules.post(now, &attempt(1, 1), "once"), Ok(()));
        rules.withdraw(&attempt(1, 1));
        assert_eq!(rules.post(now, &attempt(1, 2), "once"), Ok(()));
        rules.withdraw(&attempt(1, 1));
        assert_eq!(rules.post(now, &attempt(1, 3), "once"), Err((Refusal::Repeated, None)));
    }

    #[test]
    fn the_same_in_other_clothes_is_the_same() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        assert_eq!(rules.post(now, &attempt(1, 1), "Buy it!"), Ok(()));
        let again = rules.post(now, &attempt(1, 2), " BUY  IT!!!!");
        assert_eq!(again, Err((Refusal::Repeated, None)));
        assert_eq!(rules.post(now, &attempt(2, 2), "Buy it!"), Ok(()));
        assert_eq!(rules.post(now, &attempt(2, 3), "1"), Ok(()));
        assert_eq!(rules.post(now, &attempt(2, 4), "11"), Ok(()));
        let later = now + REPEATED_WITHIN;
        assert_eq!(rules.post(later, &attempt(1, 3), "Buy it!"), Ok(()));
    }

    #[test]
    fn votes_have_a_pace_of_their_own_and_so_have_moderators() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        assert!((0..4).all(|n| rules.change(now, &attempt(1, n), For::Role, false).is_ok()));
        assert!(rules.change(now, &attempt(1, 4), For::Role, false).is_err());
        assert!((10..20).all(|n| rules.vote(now, &attempt(1, n), 7, true).is_ok()));
        assert!(rules.vote(now, &attempt(1, 10), 8, true).is_err());
        // However full the room is.
        assert!((2..10_000).any(|of| rules.post(now, &attempt(of, 1), "hello").is_err()));
        assert!((0..100).all(|n| rules.change(now, &attempt(1, n), For::Role, true).is_ok()));
        assert!(rules.change(now, &attempt(1, 1), For::Role, true).is_err());
    }

    #[test]
    fn a_flood_of_many_is_refused_and_passes() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        let mut post = |now, number| rules.post(now, &attempt(number, 1), "hello");
        let taken = (0..10_000).filter(|number| post(now, *number).is_ok()).count();
        assert_eq!(taken, ROOM.burst as usize);
        assert!(matches!(post(now, 10_001), Err((Refusal::Busy, Some(_)))));
        assert_eq!(post(now + Duration::from_secs(1), 10_002), Ok(()));
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let (mut rules, now) = (Rules::default(), Instant::now());
        for number in 0..AUTHORS_MAX as u64 + 10 {
            let _ = rules.post(now, &attempt(number, 1), "hello");
        }
        assert_eq!(rules.authors.len(), AUTHORS_MAX);
        let _ = rules.post(now + REMEMBERED, &attempt(1, 2), "again");
        assert_eq!(rules.authors.len(), 1);
    }
}
