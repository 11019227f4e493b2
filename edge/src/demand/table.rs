//! Which broadcasts are subscribed to, as who asks for them and when decides it. Pure: time comes in as
//! an argument, and what is to be done is drained with [`Table::next_change`].
//!
//! A broadcast is wanted while anybody holds it, for as long as the edge lingers after the last of them,
//! and for ever if it is to be warm. What is let go of is asked for again only once it has been emptied,
//! which [`Table::left`] says: who comes in between waits for that.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;

use super::Prewarm;

/// What the edge may hold.
#[derive(Clone, Debug)]
pub struct Config {
    /// For how long a broadcast stays after the last who wanted it.
    pub linger: Duration,
    /// The most that are subscribed to at once.
    pub subscribed_max: usize,
    /// What is subscribed to whoever watches.
    pub prewarm: Prewarm,
}

/// The broadcasts that are announced.
pub(super) struct Table {
    config: Config,
    entries: HashMap<BroadcastId, Entry>,
    changes: VecDeque<Change>,
}

struct Entry {
    /// Nobody follows it otherwise; then it is here for those alone who still hold it.
    announced: bool,
    pin: Pin,
    holders: u32,
    /// When the last of them let go.
    idle_since: Instant,
    state: State,
}

/// What keeps a broadcast that nobody holds, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pin {
    /// Nothing but the linger.
    None,
    /// All are to be warm.
    All,
    /// It is listed.
    Listed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Cold,
    /// Subscribed to since then, and nothing has come.
    Warming(Instant),
    Warm,
    /// Its media is being let go of; `again` if it has been asked for since.
    Leaving {
        again: bool,
    },
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Subscribe.
    Subscribe(BroadcastId),
    /// Let go, and empty what there is.
    LetGo {
        id: BroadcastId,
        /// Whether any media had come.
        had_media: bool,
    },
}

/// What came of asking for a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It is subscribed to, or is about to be. [`Table::release`] ends it.
    Here,
    /// The same, once what was before has been let go of.
    Soon,
    /// No such broadcast is announced: nothing is held.
    Unknown,
    /// As many are subscribed to as may be, and each is watched: nothing is held.
    NoRoom,
}

impl Entry {
    /// Whether it takes one of the places.
    fn is_subscribed(&self) -> bool {
        match self.state {
            State::Warming(_) | State::Warm => true,
            State::Leaving { again } => again,
            State::Cold => false,
        }
    }

    /// Whether it can be let go of for another.
    fn is_spare(&self) -> bool {
        self.holders == 0 && self.pin < Pin::Listed && self.is_due_to_leave()
    }

    /// Whether it can be let go of at all.
    fn is_due_to_leave(&self) -> bool {
        matches!(self.state, State::Warming(_) | State::Warm)
    }

    fn due(&self, linger: Duration) -> Option<Instant> {
        let lingers = self.holders == 0 && self.pin == Pin::None && self.is_due_to_leave();
        lingers.then(|| self.idle_since + linger)
    }
}

impl Table {
    /// Nothing is announced.
    pub(super) fn new(config: Config) -> Self {
        Self { config, entries: HashMap::new(), changes: VecDeque::new() }
    }

    /// What is to be done next.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// How many broadcasts are announced.
    pub(super) fn announced(&self) -> usize {
        self.entries.values().filter(|entry| entry.announced).count()
    }

    /// How many are subscribed to.
    pub(super) fn subscribed(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_subscribed()).count()
    }

    /// From now on so many are subscribed to at most: those that nobody holds go first, and those that are
    /// held go in their time.
    pub(super) fn set_max(&mut self, max: usize, now: Instant) {
        self.config.subscribed_max = max;
        while self.taken() > self.places() && self.let_go_of_a_spare() {}
        self.fill(now);
    }

    /// A broadcast is announced, or still is.
    pub(super) fn announce(&mut self, id: &BroadcastId, now: Instant) {
        let pin = match &self.config.prewarm {
            Prewarm::All => Pin::All,
            Prewarm::Listed(ids) if ids.contains(id) => Pin::Listed,
            Prewarm::Listed(_) => Pin::None,
        };
        let entry = self.entries.entry(id.clone()).or_insert_with(|| Entry {
            announced: false,
            pin,
            holders: 0,
            idle_since: now,
            state: State::Cold,
        });
        entry.announced = true;
        if entry.state != State::Cold {
            return;
        }
        // Those who hold it from before it was gone still want it.
        let held = entry.holders > 0;
        let room = match pin {
            Pin::Listed => true,
            _ if held => self.make_room(),
            Pin::All => self.has_room(),
            Pin::None => false,
        };
        if room {
            self.subscribe(id, now);
        }
    }

    /// A broadcast is not followed any more.
    pub(super) fn forget(&mut self, id: &BroadcastId, now: Instant) {
        self.leave(id);
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.announced = false;
        entry.state = State::Cold;
        if entry.holders == 0 {
            self.entries.remove(id);
        }
        self.fill(now);
    }

    /// Somebody wants a broadcast, until [`Self::release`].
    pub(super) fn hold(&mut self, id: &BroadcastId, now: Instant) -> Held {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.announced) else {
            return Held::Unknown;
        };
        match entry.state {
            State::Warming(_) | State::Warm => {
                entry.holders += 1;
                return Held::Here;
            }
            State::Leaving { again: true } => {
                entry.holders += 1;
                return Held::Soon;
            }
            State::Cold | State::Leaving { again: false } => {}
        }
        let has_place = entry.pin == Pin::Listed;
        if !has_place && !self.make_room() {
            return Held::NoRoom;
        }
        let Some(entry) = self.entries.get_mut(id) else { return Held::Unknown };
        entry.holders += 1;
        if let State::Leaving { again } = &mut entry.state {
            *again = true;
            return Held::Soon;
        }
        self.subscribe(id, now);
        Held::Here
    }

    /// Somebody who held it does not want it any more. Returns whether that was the last.
    pub(super) fn release(&mut self, id: &BroadcastId, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        entry.holders = entry.holders.saturating_sub(1);
        if entry.holders > 0 {
            return false;
        }
        entry.idle_since = now;
        if !entry.announced {
            self.entries.remove(id);
        }
        true
    }

    /// Media of it has come. How long after it was asked for, if it is the first since.
    pub(super) fn arrived(&mut self, id: &BroadcastId, now: Instant) -> Option<Duration> {
        let entry = self.entries.get_mut(id)?;
        let State::Warming(since) = entry.state else { return None };
        entry.state = State::Warm;
        Some(now.saturating_duration_since(since))
    }

    /// Since when it is subscribed to without that anything has come.
    pub(super) fn warming_since(&self, id: &BroadcastId) -> Option<Instant> {
        match self.entries.get(id)?.state {
            State::Warming(since) => Some(since),
            _ => None,
        }
    }

    /// Whether it is to be emptied now, and [`Self::left`] said then.
    pub(super) fn is_leaving(&self, id: &BroadcastId) -> bool {
        self.entries.get(id).is_some_and(|entry| matches!(entry.state, State::Leaving { .. }))
    }

    /// Nothing of it is here any more.
    pub(super) fn left(&mut self, id: &BroadcastId, now: Instant) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let State::Leaving { again } = entry.state else { return };
        entry.state = State::Cold;
        if again {
            self.subscribe(id, now);
        }
    }

    /// Lets go of what nobody has wanted for long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        let linger = self.config.linger;
        let is_over = |entry: &Entry| entry.due(linger).is_some_and(|due| due <= now);
        let over = self.entries.iter().filter(|(_, entry)| is_over(entry));
        let over: Vec<BroadcastId> = over.map(|(id, _)| id.clone()).collect();
        over.iter().for_each(|id| self.leave(id));
    }

    /// When [`Self::expire`] has something to do next. It never becomes earlier by what happens in
    /// between.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.due(self.config.linger)).min()
    }

    fn subscribe(&mut self, id: &BroadcastId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.state = State::Warming(now);
            // Who is to be warm is idle from the beginning.
            entry.idle_since = now;
            self.changes.push_back(Change::Subscribe(id.clone()));
        }
    }

    fn leave(&mut self, id: &BroadcastId) {
        let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.is_due_to_leave()) else {
            return;
        };
        let had_media = entry.state == State::Warm;
        entry.state = State::Leaving { again: false };
        self.changes.push_back(Change::LetGo { id: id.clone(), had_media });
    }

    /// How many places there are for what is not listed. Those of what is listed are taken whether or not it
    /// is announced.
    fn places(&self) -> usize {
        self.config.subscribed_max.saturating_sub(self.config.prewarm.reserved())
    }

    /// How many of these are taken.
    fn taken(&self) -> usize {
        let others = self.entries.values().filter(|entry| entry.pin < Pin::Listed);
        others.filter(|entry| entry.is_subscribed()).count()
    }

    fn free(&self) -> usize {
        self.places().saturating_sub(self.taken())
    }

    fn has_room(&self) -> bool {
        self.free() > 0
    }

    /// Whether there is a place for what is not listed, if need be that of the one that has been idle for longest; one that is
    /// to be warm goes only when no other does.
    fn make_room(&mut self) -> bool {
        self.has_room() || self.let_go_of_a_spare() && self.has_room()
    }

    fn let_go_of_a_spare(&mut self) -> bool {
        let spare = self.entries.iter().filter(|(_, entry)| entry.is_spare());
        let spare = spare.min_by_key(|(_, entry)| (entry.pin, entry.idle_since));
        let Some(id) = spare.map(|(id, _)| id.clone()) else { return false };
        self.leave(&id);
        true
    }

    /// Where all are to be warm, some that had no place may have one now.
    fn fill(&mut self, now: Instant) {
        if self.config.prewarm != Prewarm::All {
            return;
        }
        let free = self.free();
        let cold = self.entries.iter().filter(|(_, e)| e.announced && e.state == State::Cold);
        let some: Vec<BroadcastId> = cold.take(free).map(|(id, _)| id.clone()).collect();
        some.iter().for_each(|id| self.subscribe(id, now));
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
