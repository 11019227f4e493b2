//! How a broadcast's timeline goes on from one process to the next: what each may use without asking, and
//! where the next one begins if it was never told where the former stopped. Pure: clocks are arguments, and
//! what is to be stored is drained.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::net::Epoch;
use lectern_relay_proto::{GroupId, SegmentGrid, UtcTime};

use crate::take::LEAD_MAX;

/// Ids of periods, and numbers of takes, that an owner may use beyond those which are stored as used: while
/// the database is away an encoder may come back so often. Whoever continues begins behind them.
pub const RESERVED: u32 = 32;
/// How often it is stored how far media has come, where another process may have to continue it.
pub const PROGRESS_EACH: Duration = Duration::from_secs(2);
/// How far media may have come since, for all that anybody else can know: that long, and what a transaction
/// takes.
const UNSAID_MAX: Duration = Duration::from_secs(3);
/// A process, by a random name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process(Arc<str>);

impl Process {
    /// A name that no other process has.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()).into())
    }

    /// The process that is called so.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// What it is called.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A broadcast's timeline: how it began, how far it has come, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The UTC instant that media time counts from, in milliseconds.
    pub(super) t0_ms: u64,
    /// The first period's id that is not known to be used.
    pub(super) next_period: u32,
    /// The first take's number that is not known to be used.
    pub(super) next_take: u32,
    /// The media sequence number that the next period's first segment has; or, while a period goes
    /// on, that its own first segment has.
    pub(super) sequence: u64,
    /// Since when a period goes on, in media milliseconds, and segments are counted that are not
    /// stored.
    pub(super) counting_since_ms: Option<u64>,
    /// How far media has come, in milliseconds.
    pub(super) floor_ms: u64,
    /// Rises with each owner.
    pub(super) epoch: u64,
    /// Who continues it; nobody, if its last owner left it in order.
    pub(super) owner: Option<Process>,
}

impl Timeline {
    /// How long before its first message a timeline begins. The first picture was taken before it
    /// arrived, and the encoder that sent it was still starting: nothing may lie before zero.
    const LEAD_IN_MS: u64 = 1_000;

    /// The timeline of a broadcast to which `process` is about to publish for the first time.
    pub fn begin(process: &Process, now: UtcTime) -> Self {
        Self {
            t0_ms: now.as_millis().saturating_sub(Self::LEAD_IN_MS),
            next_period: 0,
            next_take: 0,
            sequence: 0,
            counting_since_ms: None,
            floor_ms: 0,
            epoch: now.as_millis().max(1),
            owner: Some(process.clone()),
        }
    }

    /// What `process` continues at `now`, where this is what is stored since `stored_ago`, and `known` is what
    /// the process has heard, or done, last. Its own it continues as it is.
    pub fn acquire(
        self,
        known: Option<Self>,
        process: &Process,
        now: UtcTime,
        stored_ago: Duration,
    ) -> Self {
        let (last, is_stored) = self.or_known(known);
        if last.owner.as_ref() == Some(process) {
            return last;
        }
        let epoch = now.as_millis().max(last.epoch.saturating_add(1));
        let mut next =
            Self { counting_since_ms: None, epoch, owner: Some(process.clone()), ..last.clone() };
        // Whoever left it in order has said how far it came. Another may go on without hearing of us, or may
        // have ended in the middle of it; where nothing went on, that may have begun without being stored.
        if last.owner.is_some() {
            next.next_period = last.next_period.saturating_add(RESERVED);
            next.next_take = last.next_take.saturating_add(RESERVED);
            // Periods of which nobody was told may have had a segment or two each.
            let counted = last.sequence_since(last.counting_since_ms.unwrap_or(last.floor_ms), now);
            next.sequence = counted.saturating_add(2 * u64::from(RESERVED));
            let unsaid = if is_stored { stored_ago.min(UNSAID_MAX) } else { UNSAID_MAX };
            next.floor_ms =
                last.floor_ms.saturating_add(u64::try_from(unsaid.as_millis()).unwrap_or(u64::MAX));
        }
        let full = next.next_period > GroupId::PERIOD_MAX - RESERVED;
        if full { Self { epoch, ..Self::begin(process, now) } } else { next }
    }

    /// The newer of what is stored and what a process knows, with the greater of each number, and whether that
    /// is what is stored: a database that was replaced by its replica may have lost what it had said, and who
    /// owns a broadcast by an epoch of before owns nothing.
    fn or_known(self, known: Option<Self>) -> (Self, bool) {
        let Some(known) = known else { return (self, true) };
        let came = |it: &Self| (it.epoch, it.next_take, it.next_period, it.floor_ms);
        let is_stored = came(&self) >= came(&known);
        let (newer, older) = if is_stored { (self, known) } else { (known, self) };
        if newer.t0_ms != older.t0_ms {
            return (newer, is_stored);
        }
        let greatest = Self {
            next_period: newer.next_period.max(older.next_period),
            next_take: newer.next_take.max(older.next_take),
            sequence: newer.sequence.max(older.sequence),
            floor_ms: newer.floor_ms.max(older.floor_ms),
            ..newer
        };
        (greatest, is_stored)
    }

    /// Whether `process`, which knows `known`, has to wait for another that publishes, for all that this says,
    /// which is stored. Not if it `is_silent`, and has said nothing since either.
    pub fn waits(&self, known: Option<&Self>, process: &Process, is_silent: bool) -> bool {
        let (last, _) = self.clone().or_known(known.cloned());
        last.is_live_elsewhere(process) && !(is_silent && known == Some(&last))
    }

    /// Whether a process other than `process` publishes, if it has not gone since without a word.
    pub fn is_live_elsewhere(&self, process: &Process) -> bool {
        let elsewhere = self.owner.as_ref().is_some_and(|owner| owner != process);
        elsewhere && self.counting_since_ms.is_some()
    }

    /// The media sequence number of the first segment after `now`. If a process ended without saying
    /// how far it had come, one that it cannot have reached: no number may ever be given twice.
    fn next_sequence(&self, now: UtcTime) -> u64 {
        let since_ms = self.counting_since_ms;
        since_ms.map_or(self.sequence, |since_ms| self.sequence_since(since_ms, now))
    }

    /// The same where segments may have been counted since `since_ms`.
    fn sequence_since(&self, since_ms: u64, now: UtcTime) -> u64 {
        let began_ms = self.t0_ms.saturating_add(since_ms);
        let went_on_ms = now.as_millis().saturating_sub(began_ms);
        // Media may be ahead of the clock.
        let went_on_ms = went_on_ms.saturating_add(LEAD_MAX.as_millis() as u64);
        let segments_max = went_on_ms / u64::from(SegmentGrid::DURATION_MS_MIN) + 2;
        self.sequence.saturating_add(segments_max)
    }

    /// The UTC instant that media time counts from.
    pub fn t0(&self) -> UtcTime {
        UtcTime::from_millis(self.t0_ms)
    }

    /// As publications of its owner have it.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    /// Who continues it.
    pub fn owner(&self) -> Option<&Process> {
        self.owner.as_ref()
    }

    /// How far media has come, in milliseconds.
    pub fn floor_ms(&self) -> u64 {
        self.floor_ms
    }

    /// Whether media has ever come.
    pub fn has_begun(&self) -> bool {
        self.floor_ms > 0
    }

    /// The newest period that may have been used, and the newest take.
    pub fn newest(&self) -> (u32, u32) {
        (self.next_period.saturating_sub(1), self.next_take.saturating_sub(1))
    }
}

/// What a process has used up that it had reserved: the database was away all the while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database has been away for so long that nothing is left of what this server had reserved \
     for the broadcast"
)]
pub struct UsedUp;

/// A process's hold on a timeline: with it takes and periods begin without the database.
#[derive(Clone, Debug)]
pub struct Lease {
    timeline: Timeline,
    /// As it is stored: what lies [`RESERVED`] beyond may be another's.
    stored: Timeline,
}

/// Where a take begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its number.
    pub take: u32,
    /// The id of its first period.
    pub next_period: u32,
    /// The media sequence number of that period's first segment.
    pub next_sequence: u64,
    /// No frame lies before this media time, in milliseconds.
    pub floor_ms: u64,
}

impl Lease {
    /// On a timeline that is stored as this process's.
    pub fn new(timeline: Timeline) -> Self {
        Self { stored: timeline.clone(), timeline }
    }

    /// What is held.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// A take begins at `now`.
    pub fn begin_take(&mut self, now: UtcTime) -> Result<Start, UsedUp> {
        let Timeline { next_take, next_period, floor_ms, .. } = self.timeline;
        let takes_end = self.stored.next_take.saturating_add(RESERVED);
        if next_take >= takes_end || next_period >= self.periods_end() {
            return Err(UsedUp);
        }
        self.timeline.next_take += 1;
        let next_sequence = self.timeline.next_sequence(now);
        Ok(Start { take: next_take, next_period, next_sequence, floor_ms })
    }

    /// Period `id` begins at `start_ms` with segment `sequence`; said again of the same one, nothing
    /// happens. Returns whether it is another.
    pub fn begin_period(&mut self, id: u32, sequence: u64, start_ms: u64) -> Result<bool, UsedUp> {
        if id < self.timeline.next_period {
            return Ok(false);
        }
        if id >= self.periods_end() {
            return Err(UsedUp);
        }
        self.timeline.next_period = id + 1;
        self.timeline.sequence = sequence;
        self.timeline.counting_since_ms = Some(start_ms);
        self.reach(start_ms);
        Ok(true)
    }

    fn periods_end(&self) -> u32 {
        self.stored.next_period.saturating_add(RESERVED)
    }

    /// Media has come so far.
    pub fn reach(&mut self, end_ms: u64) {
        self.timeline.floor_ms = self.timeline.floor_ms.max(end_ms);
    }

    /// The take has ended: the next may begin at `floor_ms`, and its first period with segment
    /// `next_sequence`.
    pub fn end_take(&mut self, next_sequence: u64, floor_ms: u64) {
        self.reach(floor_ms);
        self.timeline.sequence = next_sequence;
        self.timeline.counting_since_ms = None;
    }

    /// What is to be stored, if anything: all that has changed, and with `progress` how far media came.
    pub fn to_store(&self, progress: bool) -> Option<Timeline> {
        let floor_ms = if progress { self.stored.floor_ms } else { self.timeline.floor_ms };
        let due = self.timeline != Timeline { floor_ms, ..self.stored.clone() };
        due.then(|| self.timeline.clone())
    }

    /// What [`Self::to_store`] gave out was stored.
    pub fn stored(&mut self, timeline: &Timeline) {
        if timeline.epoch == self.timeline.epoch {
            self.stored = timeline.clone();
        }
    }

    /// What is to be stored where this process is about to stop, and everything was left in order.
    pub fn give_back(self) -> Timeline {
        let owner = self.timeline.owner.filter(|_| self.timeline.counting_since_ms.is_some());
        Timeline { owner, ..self.timeline }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0_MS: u64 = 1_795_000_000_000;

    fn at(media_ms: u64) -> UtcTime {
        UtcTime::from_millis(T0_MS + media_ms)
    }

    fn process(name: &str) -> Process {
        Process::named(name)
    }

    fn begun() -> Timeline {
        Timeline::begin(&process("a"), at(Timeline::LEAD_IN_MS))
    }

    const AT_ONCE: Duration = Duration::ZERO;

    #[test]
    fn what_a_process_has_it_keeps_and_another_gets_a_greater_epoch() {
        let timeline = begun();
        assert_eq!(timeline.clone().acquire(None, &process("a"), at(9_000), AT_ONCE), timeline);
        let taken = timeline.clone().acquire(None, &process("b"), at(9_000), AT_ONCE);
        assert_eq!(taken.t0(), timeline.t0());
        assert_eq!(taken.owner, Some(process("b")));
        assert_eq!(taken.epoch, T0_MS + 9_000);
        // With a clock that is behind it is greater all the same.
        let back = taken.clone().acquire(None, &process("a"), at(8_000), AT_ONCE);
        assert_eq!(back.epoch, taken.epoch + 1);
    }

    #[test]
    fn no_period_and_no_take_is_two_processes_whatever_was_stored() {
        let stored = begun();
        let mut a = Lease::new(stored.clone());
        // The database is away: nothing is stored.
        let mut used = Vec::new();
        while let Ok(start) = a.begin_take(at(2_000)) {
            assert_eq!(a.begin_period(start.next_period, 0, 2_000), Ok(true));
            assert_eq!(a.begin_period(start.next_period, 0, 2_000), Ok(false), "the same");
            used.push(start.next_period);
        }
        assert_eq!(used.len(), RESERVED as usize);
        assert_eq!(a.begin_period(RESERVED, 0, 2_000), Err(UsedUp));
        let b = stored.acquire(None, &process("b"), at(3_000), AT_ONCE);
        let start = Lease::new(b).begin_take(at(3_000)).expect("reserved");
        assert!(used.iter().all(|id| *id < start.next_period));
        assert_eq!(start.take, RESERVED);
        // Once it is stored, more is reserved.
        let timeline = a.to_store(false).expect("changed");
        a.stored(&timeline);
        assert!(a.begin_take(at(4_000)).is_ok());
    }

    #[test]
    fn what_was_left_in_order_goes_on_without_a_gap() {
        let mut lease = Lease::new(begun());
        let start = lease.begin_take(at(2_000)).expect("reserved");
        lease.begin_period(start.next_period, 0, 2_000).expect("reserved");
        lease.end_take(7, 15_000);
        let stored = lease.give_back();
        assert_eq!(stored.owner, None);
        let next = stored.acquire(None, &process("b"), at(20_000), AT_ONCE);
        let start = Lease::new(next).begin_take(at(20_000)).expect("reserved");
        let expect = Start { take: 1, next_period: 1, next_sequence: 7, floor_ms: 15_000 };
        assert_eq!(start, expect);
    }

    #[test]
    fn no_number_is_given_twice_where_one_went_on_that_could_store_nothing() {
        let mut a = Lease::new(begun());
        a.begin_take(at(2_000)).expect("reserved");
        a.begin_period(0, 0, 2_000).expect("reserved");
        a.end_take(7, 15_000);
        let stored = a.to_store(false).expect("changed");
        // The encoder is back, the database is not; five minutes later another takes over.
        let start = a.begin_take(at(16_000)).expect("reserved");
        a.begin_period(start.next_period, start.next_sequence, 16_000).expect("reserved");
        let segments = (300_000 / u64::from(SegmentGrid::DURATION_MS_MIN)) + 1;
        a.end_take(start.next_sequence + segments, 316_000);
        let b = stored.acquire(None, &process("b"), at(316_000), Duration::from_secs(300));
        let next = Lease::new(b).begin_take(at(317_000)).expect("reserved");
        assert!(next.next_sequence >= 7 + segments, "{next:?}");
        assert!(next.next_period > start.next_period && next.take > start.take);
        assert_eq!(next.floor_ms, 18_000, "as far as it may have come unsaid");
    }

    #[test]
    fn a_database_that_lost_the_newest_owner_gives_its_numbers_to_nobody() {
        let b_had = Lease::new(Timeline::begin(&process("b"), at(1_000)));
        let replica = b_had.timeline().clone();
        let granted = replica.clone().acquire(None, &process("a"), at(9_000), AT_ONCE);
        let mut a = Lease::new(granted.clone());
        let start = a.begin_take(at(9_000)).expect("reserved");
        a.begin_period(start.next_period, start.next_sequence, 9_000).expect("reserved");
        // Whoever owned it before has heard of the other.
        let again =
            replica.clone().acquire(Some(granted.clone()), &process("b"), at(20_000), AT_ONCE);
        assert!(again.epoch > granted.epoch && again.owner == Some(process("b")));
        let next = Lease::new(again).begin_take(at(20_000)).expect("reserved");
        assert!(next.next_period >= start.next_period + RESERVED && next.take > start.take);
        assert!(next.next_sequence > start.next_sequence);
        assert!(next.floor_ms >= granted.floor_ms);
        // Who owns it goes on, and a third that takes over from it knows no less.
        let known = Some(a.timeline().clone());
        assert_eq!(
            &replica.clone().acquire(known.clone(), &process("a"), at(9_500), AT_ONCE),
            a.timeline()
        );
        assert!(replica.waits(known.as_ref(), &process("b"), false), "whoever is live, is");
        // So it is if only what it did last is lost.
        let third = granted.clone().acquire(known, &process("c"), at(9_500), AT_ONCE);
        assert_eq!(third.next_period, start.next_period + 1 + RESERVED);
        // Another timeline has its own numbers.
        let other = Timeline { t0_ms: T0_MS + 8_500, epoch: granted.epoch + 1, ..begun() };
        let taken = other.acquire(Some(granted), &process("c"), at(9_500), AT_ONCE);
        assert_eq!((taken.t0(), taken.next_period), (at(8_500), RESERVED));
    }

    #[test]
    fn no_sequence_number_is_given_twice_even_after_a_crash() {
        let mut timeline = begun();
        assert_eq!(timeline.next_sequence(at(5_000)), 0);
        (timeline.sequence, timeline.counting_since_ms) = (0, Some(1_000));
        // Ten seconds later there can be six segments, the one in progress counted, and five more of an
        // encoder that is as far ahead as it may be.
        assert_eq!(timeline.next_sequence(at(11_000)), 12);
        (timeline.sequence, timeline.counting_since_ms) = (5, None);
        assert_eq!(timeline.next_sequence(at(600_000)), 5);
        // Nothing tells of a clock that was set back; what is stored is gone beyond all the same.
        (timeline.sequence, timeline.counting_since_ms) = (5, Some(700_000));
        assert_eq!(timeline.next_sequence(at(0)), 12);
        let taken = timeline.acquire(None, &process("b"), at(0), AT_ONCE);
        assert_eq!((taken.sequence, taken.counting_since_ms), (12 + 2 * u64::from(RESERVED), None));
    }

    #[test]
    fn media_goes_on_behind_what_the_former_owner_may_have_sent_since() {
        let mut lease = Lease::new(begun());
        lease.begin_period(0, 0, 2_000).expect("reserved");
        lease.reach(60_000);
        let stored = lease.to_store(false).expect("the period");
        assert_eq!(lease.to_store(false), Some(stored.clone()), "until it is stored");
        lease.stored(&stored);
        lease.reach(61_000);
        assert_eq!(lease.to_store(false), None);
        let stored = lease.to_store(true).expect("went on");
        lease.stored(&stored);
        assert_eq!(lease.to_store(true), None, "no further");
        for (stored_ago_ms, floor_ms) in [(0, 61_000), (1_500, 62_500), (3_600_000, 64_000)] {
            let ago = Duration::from_millis(stored_ago_ms);
            // Its own clock is half a second behind: media time does not run back for that.
            let taken =
                stored.clone().acquire(None, &process("b"), at(60_500 + stored_ago_ms), ago);
            assert_eq!(taken.floor_ms, floor_ms);
        }
    }

    #[test]
    fn who_waits_takes_over_from_one_that_says_nothing_more() {
        let mut lease = Lease::new(begun());
        let (own, other) = (process("a"), process("b"));
        let waits = |stored: &Timeline, known: &Timeline, is_silent| {
            stored.waits(Some(known), &other, is_silent)
        };
        let idle = lease.timeline().clone();
        assert!(!waits(&idle, &idle, false), "nobody publishes");
        lease.begin_period(0, 0, 2_000).expect("reserved");
        let live = lease.timeline().clone();
        assert!(waits(&live, &live, false) && live.waits(None, &other, false));
        assert!(!live.waits(Some(&live), &own, false));
        assert!(!waits(&live, &live, true));
        // It has said something at the last moment.
        lease.reach(3_000);
        assert!(waits(lease.timeline(), &live, true));
        lease.end_take(1, 3_000);
        assert!(!waits(lease.timeline(), &live, false));
    }

    #[test]
    fn where_all_ids_are_used_a_new_timeline_begins() {
        let used = Timeline { next_period: GroupId::PERIOD_MAX - RESERVED, ..begun() };
        let next = used.acquire(None, &process("b"), at(50_000), AT_ONCE);
        assert_eq!((next.next_period, next.epoch), (0, T0_MS + 50_000));
        assert_eq!(next.t0(), at(49_000));
    }
}
