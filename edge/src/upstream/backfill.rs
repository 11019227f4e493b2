//! Fetches from upstream what this edge missed: what was sent before it joined, so that a new edge
//! serves the segment in progress at its join and the window behind it, and what was sent while its
//! connection was gone.
//!
//! Which groups are missing before a join is the timeline's business. Here is how they are fetched without being in
//! the way of live media: a few at a time and no faster than a rate, for all broadcasts of the edge
//! together. Upstream sends them when nothing live of the same connection waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::net::{BroadcastSubscription, Error};
use lectern_relay_proto::{GroupId, Timescale, TrackName};
use prometheus::{IntCounter, IntCounterVec, Registry};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::live::Live;
use crate::timeline::Missing;

/// The most groups that are being fetched at once, over all broadcasts. Each may be 32 MiB, as much
/// as a relay lets a group have.
const FETCHES_MAX: usize = 4;
/// The most groups that a broadcast asks for before it looks again at what is missing.
const BATCH_MAX: usize = 12;
/// How often a group is asked for that did not arrive in time, or not whole.
const ATTEMPTS_MAX: u32 = 2;

/// What an operator can count of it.
#[derive(Clone)]
pub struct Metrics {
    groups: IntCounter,
    bytes: IntCounter,
    failed: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            groups: maker.counter(
                "lectern_edge_backfill_groups_total",
                "Groups fetched from upstream that this edge had missed.",
            )?,
            bytes: maker
                .counter("lectern_edge_backfill_bytes_total", "Bytes of media in these groups.")?,
            failed: maker.counters(
                "lectern_edge_backfill_failed_total",
                "Attempts to fetch such a group that failed, by reason.",
                &["reason"],
            )?,
        })
    }
}

/// What all broadcasts of an edge share while they fetch.
pub struct Fetcher {
    slots: Semaphore,
    pace: Pace,
    metrics: Metrics,
}

impl Fetcher {
    /// Fetches at most `bytes_per_sec`, which is not zero.
    pub fn new(bytes_per_sec: u64, metrics: Metrics) -> Self {
        let pace = Pace { bytes_per_sec: bytes_per_sec.max(1), free: Mutex::new(None) };
        Self { slots: Semaphore::new(FETCHES_MAX), pace, metrics }
    }

    /// Fetches what `live` is missing of the tracks that are `heard`, and again whenever `woken`.
    /// Never ends by itself; once the broadcast is gone there is nothing to be had.
    pub(super) async fn run(
        &self,
        live: &Live,
        subscription: &BroadcastSubscription,
        heard: impl Fn(&TrackName) -> bool,
        woken: &Notify,
    ) {
        loop {
            woken.notified().await;
            loop {
                let mut missing = live.missing(BATCH_MAX);
                missing.retain(|missing| heard(&missing.track));
                if missing.is_empty() {
                    break;
                }
                if let Err(Error::Closed | Error::Connection(_)) =
                    self.batch(live, subscription, missing).await
                {
                    // Whoever follows the broadcast after this subscription goes on.
                    break;
                }
            }
        }
    }

    /// Fetches these groups; they are handed over in their order, whichever comes first.
    async fn batch(
        &self,
        live: &Live,
        subscription: &BroadcastSubscription,
        missing: Vec<Missing>,
    ) -> Result<(), Error> {
        let fetches = missing.into_iter().map(|missing| async {
            let fetched = self.fetch(subscription, &missing).await;
            (missing, fetched)
        });
        let mut fetches = futures::stream::iter(fetches).buffered(FETCHES_MAX);
        while let Some((missing, fetched)) = fetches.next().await {
            match fetched {
                Ok(chunks) => live.push_older(&missing.track, missing.group, chunks),
                Err(error @ (Error::Closed | Error::Connection(_))) => return Err(error),
                Err(error) => {
                    tracing::debug!(track = %missing.track, %error, "nothing older to be had");
                    live.no_older(&missing.track, missing.group);
                }
            }
        }
        Ok(())
    }

    /// All chunks of one group, in its turn.
    pub(super) async fn fetch(
        &self,
        subscription: &BroadcastSubscription,
        missing: &Missing,
    ) -> Result<Vec<Chunk>, Error> {
        let Missing { track, timescale, group } = missing;
        let mut attempts = 1;
        loop {
            // Fails only if the semaphore is closed, which it never is.
            let _slot = self.slots.acquire().await.map_err(|_| Error::Closed)?;
            self.pace.turn().await;
            match subscription.fetch(track, *timescale, *group).await {
                Ok(chunks) => {
                    let bytes = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
                    self.pace.spend(bytes);
                    self.metrics.groups.inc();
                    self.metrics.bytes.inc_by(bytes);
                    return Ok(chunks);
                }
                Err(error) => {
                    self.metrics.failed.with_label_values(&[reason(&error)]).inc();
                    let passing = matches!(error, Error::Timeout | Error::Protocol(_));
                    if !passing || attempts == ATTEMPTS_MAX {
                        return Err(error);
                    }
                    attempts += 1;
                }
            }
        }
    }
}

/// Groups of a track that were sent while this edge could not hear them.
pub(super) struct Hole {
    pub(super) track: TrackName,
    pub(super) timescale: Timescale,
    /// The first may be here in part.
    pub(super) first: GroupId,
    /// The one that arrives after them.
    pub(super) end: GroupId,
}

impl Hole {
    /// The most groups of one: more are an outage after which the timeline begins anew. What arrives
    /// waits for them, and no longer than a few seconds.
    const GROUPS_MAX: u32 = 128;

    /// What is missing between a group that ended, if it is `whole`, and one that begins; `None` if
    /// nothing is, or too much.
    pub(super) fn between(
        track: &TrackName,
        timescale: Timescale,
        last: GroupId,
        whole: bool,
        next: GroupId,
    ) -> Option<Self> {
        let first = if whole { last.next() } else { last };
        let groups = next.index.checked_sub(first.index)?;
        let mendable = first.period == next.period && (1..=Self::GROUPS_MAX).contains(&groups);
        mendable.then(|| Self { track: track.clone(), timescale, first, end: next })
    }
}

impl Fetcher {
    /// Fills a hole, oldest group first: what comes after waits in the timeline meanwhile.
    pub(super) async fn mend(&self, live: &Live, subscription: &BroadcastSubscription, hole: Hole) {
        for index in hole.first.index..hole.end.index {
            let (track, timescale) = (hole.track.clone(), hole.timescale);
            let group = GroupId { index, ..hole.first };
            let missing = Missing { track, timescale, group };
            match self.fetch(subscription, &missing).await {
                Ok(chunks) => {
                    live.push_fetched(&missing.track, group, chunks);
                    live.end_group(&missing.track, group);
                }
                Err(error) => {
                    tracing::debug!(track = %missing.track, %error, "a hole stays");
                    live.lose_group(&missing.track, group);
                }
            }
        }
    }
}

/// The label of a failure.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::NoSuchGroup(_) => "no_such_group",
        Error::GroupGone(_) => "gone",
        Error::GroupMalformed(_) => "malformed",
        Error::Timeout => "timeout",
        Error::Closed | Error::Connection(_) => "closed",
        _ => "other",
    }
}

/// Spreads what is fetched over time.
struct Pace {
    bytes_per_sec: u64,
    /// When the bytes spent so far are paid for.
    free: Mutex<Option<Instant>>,
}

impl Pace {
    async fn turn(&self) {
        let free = *self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(free) = free {
            tokio::time::sleep_until(free).await;
        }
    }

    fn spend(&self, bytes: u64) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let from = free.map_or_else(Instant::now, |free| free.max(Instant::now()));
        *free = Some(from + cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_taken_once() {
        let registry = Registry::new();
        Metrics::register(&registry).unwrap();
        assert!(Metrics::register(&registry).is_err());
    }

    #[test]
    fn a_hole_is_what_was_sent_between_two_groups_of_a_period() {
        let track = TrackName::new("video/main").unwrap();
        let group = |period, index| GroupId { period, index };
        let check = |last, whole, next, expect: Option<std::ops::Range<u32>>| {
            let hole = Hole::between(&track, Timescale::VIDEO, last, whole, next);
            assert_eq!(hole.map(|hole| hole.first.index..hole.end.index), expect);
        };
        check(group(1, 4), true, group(1, 5), None);
        check(group(1, 4), false, group(1, 5), Some(4..5));
        check(group(1, 4), true, group(1, 8), Some(5..8));
        check(group(1, 4), false, group(1, 4), None);
        check(group(1, 4), true, group(2, 8), None);
        check(group(1, 4), true, group(1, 1), None);
        check(group(1, 4), true, group(1, 4_000), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_fetched_is_spread_over_time() {
        let began = Instant::now();
        let pace = Pace { bytes_per_sec: 1_000, free: Mutex::new(None) };
        pace.turn().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        pace.spend(500);
        pace.spend(1_000);
        pace.turn().await;
        assert_eq!(began.elapsed().as_millis(), 1_500);
    }
}
