//! One direction of a bad path, as arithmetic: when a datagram that is sent now arrives, if it does. It has
//! neither socket nor clock; [`crate::proxy`] has both.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// How bad a path is, each way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Path {
    /// Added to each datagram.
    pub(crate) delay: Duration,
    /// Of a hundred datagrams, how many are lost, at random.
    pub(crate) loss_percent: f64,
    /// What the randomness begins with.
    pub(crate) seed: u64,
    /// How many bytes of UDP payload a second it carries; all of them if `None`.
    pub(crate) bytes_per_sec: Option<u64>,
    /// How long a datagram may wait for its turn; one that would have to wait longer is dropped.
    pub(crate) queue_max: Duration,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It is lost by chance.
    Lost,
    /// The queue is full.
    Dropped,
}

/// One direction of a path.
pub(crate) struct Link {
    path: Path,
    random: StdRng,
    /// When all that is queued has been sent.
    free: Option<Instant>,
}

impl Link {
    /// `direction` has the two of one path lose different datagrams.
    pub(crate) fn new(path: Path, direction: u64) -> Self {
        let random = StdRng::seed_from_u64(path.seed.wrapping_mul(2).wrapping_add(direction));
        Self { path, random, free: None }
    }

    /// A datagram of `bytes` is sent at `now`, which never goes back.
    pub(crate) fn send(&mut self, now: Instant, bytes: usize) -> Fate {
        if self.random.random::<f64>() * 100.0 < self.path.loss_percent {
            return Fate::Lost;
        }
        let Some(rate) = self.path.bytes_per_sec else {
            return Fate::Arrives(now + self.path.delay);
        };
        let begins = self.free.map_or(now, |free| free.max(now));
        if begins - now > self.path.queue_max {
            return Fate::Dropped;
        }
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate.max(1));
        let ends = begins + takes;
        self.free = Some(ends);
        Fate::Arrives(ends + self.path.delay)
    }
}

/// Datagrams on their way, in the order in which they arrive.
pub(crate) struct InFlight<T> {
    waiting: VecDeque<(Instant, T)>,
    max: usize,
}

impl<T> InFlight<T> {
    /// With room for `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self { waiting: VecDeque::new(), max }
    }

    /// Puts one behind all others; false if there is no room.
    pub(crate) fn push(&mut self, arrives: Instant, of: T) -> bool {
        let room = self.waiting.len() < self.max;
        if room {
            self.waiting.push_back((arrives, of));
        }
        room
    }

    /// When the next one arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.front().map(|(arrives, _)| *arrives)
    }

    /// One that has arrived by `now`.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<T> {
        (self.next()? <= now).then(|| self.waiting.pop_front()).flatten().map(|(_, of)| of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: Path = Path {
        delay: Duration::from_millis(20),
        loss_percent: 0.0,
        seed: 1,
        bytes_per_sec: None,
        queue_max: Duration::from_millis(100),
    };

    #[test]
    fn a_share_is_lost_and_the_rest_is_delayed() {
        let now = Instant::now();
        let mut link = Link::new(Path { loss_percent: 2.0, ..PATH }, 0);
        let fates: Vec<_> = (0..100_000).map(|_| link.send(now, 1_200)).collect();
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        let arrives = Fate::Arrives(now + PATH.delay);
        assert!(fates.iter().all(|fate| [Fate::Lost, arrives].contains(fate)));
        let again: Vec<_> = {
            let mut link = Link::new(Path { loss_percent: 2.0, ..PATH }, 0);
            (0..100_000).map(|_| link.send(now, 1_200)).collect()
        };
        assert_eq!(fates, again, "the same seed is the same path");
    }

    #[test]
    fn a_bottleneck_carries_its_rate_and_holds_no_more_than_its_queue() {
        let start = Instant::now();
        let mut link = Link::new(Path { bytes_per_sec: Some(100_000), ..PATH }, 0);
        // Twice what it carries, for ten seconds.
        let mut carried = 0;
        for ms in 0..2_000 {
            let now = start + Duration::from_millis(5 * ms);
            match link.send(now, 1_000) {
                Fate::Arrives(at) => {
                    carried += 1_000;
                    let waited = at - now;
                    assert!(waited <= PATH.delay + PATH.queue_max + Duration::from_millis(10));
                }
                Fate::Dropped => {}
                Fate::Lost => panic!("nothing is lost by chance"),
            }
        }
        assert!((1_000_000..1_020_000).contains(&carried), "{carried}");
        // After a rest it is as good as new.
        let later = start + Duration::from_secs(60);
        let expected = later + PATH.delay + Duration::from_millis(10);
        assert_eq!(link.send(later, 1_000), Fate::Arrives(expected));
    }

    #[test]
    fn what_is_on_its_way_arrives_in_order_and_has_a_bound() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut on_its_way = InFlight::new(2);
        assert!(on_its_way.push(at(5), "a") && on_its_way.push(at(7), "b"));
        assert!(!on_its_way.push(at(8), "c"));
        assert_eq!(on_its_way.arrived(at(4)), None);
        assert_eq!(on_its_way.next(), Some(at(5)));
        assert_eq!(on_its_way.arrived(at(7)), Some("a"));
        assert_eq!(on_its_way.arrived(at(7)), Some("b"));
        assert_eq!(on_its_way.arrived(at(7)), None);
    }
}
