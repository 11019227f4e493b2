//! Who watches over HTTP: what viewers' players report, and what other players ask for, within bounds.
//! Pure; what time it is comes as an argument, and whom something comes from as digests.

use std::collections::hash_map::{Entry, HashMap};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;

use super::{Asked, HttpPath};

/// A player that has said nothing for so long has gone without saying so. They report every ten
/// seconds, so one report may be lost.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(25);
/// For how long one that said that it leaves is remembered: a report that it sent before may come
/// after, over another connection.
pub(super) const OVERTAKEN_MAX: Duration = Duration::from_secs(5);
/// A player that does not report, and has asked for no media for so long, has gone. Segments are ten
/// seconds long at most.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(15);
/// For how long it asks before it counts: as long as our own player tries a path before it plays, and
/// so reports, or gives the path up (`FIRST_FRAME_MS` of its ladder). Nor does it count who looks once.
pub(super) const TRIAL: Duration = Duration::from_secs(12);

/// The most that are kept over all broadcasts, of those who report and of those who ask each; about
/// 150 bytes each. A viewer of ours without a CDN is one of either.
pub(super) const EDGE_MAX: usize = 65_536;
/// The most of these for one broadcast: those that the edge takes the reports of ten seconds from.
pub(super) const BROADCAST_MAX: usize = 50_000;
/// The most viewers of a broadcast that one client (an IPv4 address, or an IPv6 /64) reports: a
/// lecture hall behind one address. Their names are random, and cost nothing to make up.
pub(super) const REPORTERS_PER_CLIENT_MAX: u32 = 500;
/// The most that it may ask as: browsers of different makes and versions behind one address.
pub(super) const ASKERS_PER_CLIENT_MAX: u32 = 100;

/// Whom something comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Address and kind of browser.
    pub browser: u64,
    /// The client as bounds have it.
    pub client: u64,
}

/// What a viewer's player says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Its random name.
    pub viewer: u64,
    /// Which of its reports this is.
    pub number: u32,
    /// What it plays over HTTP; `None` if it plays by WebRTC, or nothing any more.
    pub on: Option<HttpPath>,
}

/// The bound that a viewer would have been beyond; the label `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    Client,
    Broadcast,
    Edge,
}

impl Beyond {
    /// In the order of their declaration.
    pub(super) const ALL: [&str; 3] = ["client", "broadcast", "edge"];
}

/// Viewers by path, in the order of [`HttpPath`].
pub(super) type ByPath = [u32; 2];

/// Those who watch, by broadcast.
#[derive(Debug, Default)]
pub(super) struct Roll {
    rooms: HashMap<BroadcastId, Room>,
}

#[derive(Debug, Default)]
struct Room {
    reporters: HashMap<u64, Reporter>,
    reporters_by_client: Shares,
    /// How many reporters there are of a browser on a path: its requests are theirs.
    covered: HashMap<(u64, HttpPath), u32>,
    askers: HashMap<u64, Asker>,
    askers_by_client: Shares,
}

#[derive(Debug)]
struct Reporter {
    from: Source,
    number: u32,
    on: Option<HttpPath>,
    said: Instant,
}

#[derive(Debug)]
struct Asker {
    client: u64,
    /// What it asked for a manifest of last: a segment is the same for either path.
    path: HttpPath,
    /// When it asked for anything.
    seen: Instant,
    /// Its requests for media, in the order of [`HttpPath`].
    media: [Option<Run>; 2],
}

/// Requests none of which came long after the one before.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Instant,
    last: Instant,
}

impl Roll {
    /// A player reports. Of a viewer who did not watch and does not, nothing is kept.
    pub(super) fn said(
        &mut self,
        id: &BroadcastId,
        from: Source,
        said: Said,
        now: Instant,
    ) -> Result<(), Beyond> {
        let Said { viewer, number, on } = said;
        if let Some(room) = self.rooms.get_mut(id)
            && let Some(known) = room.reporters.get_mut(&viewer)
        {
            if number <= known.number {
                return Ok(());
            }
            if known.from == from {
                let before = std::mem::replace(&mut known.on, on);
                (known.number, known.said) = (number, now);
                if before != on {
                    room.uncover(from.browser, before);
                    room.cover(from.browser, on);
                }
                return Ok(());
            }
            // It went over to another network, whose bound now stands for it.
            room.forget(viewer);
        }
        if on.is_none() {
            return Ok(());
        }
        self.has_place(id, |room| room.reporters.len())?;
        let room = self.rooms.entry(id.clone()).or_default();
        room.reporters_by_client.add(from.client, REPORTERS_PER_CLIENT_MAX)?;
        room.reporters.insert(viewer, Reporter { from, number, on, said: now });
        room.cover(from.browser, on);
        Ok(())
    }

    /// Somebody was given what it asked for.
    pub(super) fn asked(
        &mut self,
        id: &BroadcastId,
        from: Source,
        asked: Asked,
        now: Instant,
    ) -> Result<(), Beyond> {
        let known = self.rooms.get(id).is_some_and(|room| room.askers.contains_key(&from.browser));
        if !known {
            // Without it nobody can tell by what path a segment is played.
            let Some(path) = asked.path() else { return Ok(()) };
            self.has_place(id, |room| room.askers.len())?;
            let room = self.rooms.entry(id.clone()).or_default();
            room.askers_by_client.add(from.client, ASKERS_PER_CLIENT_MAX)?;
            let asker = Asker { client: from.client, path, seen: now, media: [None; 2] };
            room.askers.insert(from.browser, asker);
        }
        let Some(room) = self.rooms.get_mut(id) else { return Ok(()) };
        let Some(asker) = room.askers.get_mut(&from.browser) else { return Ok(()) };
        asker.seen = now;
        asker.path = asked.path().unwrap_or(asker.path);
        if asked.is_media() && !room.covered.contains_key(&(from.browser, asker.path)) {
            let run = &mut asker.media[asker.path as usize];
            let going_on = run.filter(|run| !run.is_over(now));
            *run = Some(Run { first: going_on.map_or(now, |run| run.first), last: now });
        }
        Ok(())
    }

    /// Forgets those who have gone, and counts those who have not.
    pub(super) fn count(&mut self, now: Instant) -> impl Iterator<Item = (&BroadcastId, ByPath)> {
        self.rooms.retain(|_, room| {
            room.forget_those_gone(now);
            !(room.reporters.is_empty() && room.askers.is_empty())
        });
        self.rooms.iter().map(move |(id, room)| (id, room.count(now)))
    }

    /// Whether one more may be kept of those that `kept` counts in a room.
    fn has_place(&self, id: &BroadcastId, kept: impl Fn(&Room) -> usize) -> Result<(), Beyond> {
        if self.rooms.get(id).map_or(0, &kept) >= BROADCAST_MAX {
            return Err(Beyond::Broadcast);
        }
        match self.rooms.values().map(kept).sum::<usize>() >= EDGE_MAX {
            true => Err(Beyond::Edge),
            false => Ok(()),
        }
    }
}

impl Room {
    fn count(&self, now: Instant) -> ByPath {
        let mut count = ByPath::default();
        for path in self.reporters.values().filter_map(|reporter| reporter.on) {
            count[path as usize] += 1;
        }
        for asker in self.askers.values() {
            for (count, run) in count.iter_mut().zip(&asker.media) {
                *count += u32::from(run.is_some_and(|run| run.counts(now)));
            }
        }
        count
    }

    fn forget_those_gone(&mut self, now: Instant) {
        let gone = |(viewer, known): (&u64, &Reporter)| {
            let kept = if known.on.is_some() { SILENCE_MAX } else { OVERTAKEN_MAX };
            (now.saturating_duration_since(known.said) >= kept).then_some(*viewer)
        };
        let gone: Vec<u64> = self.reporters.iter().filter_map(gone).collect();
        gone.into_iter().for_each(|viewer| self.forget(viewer));
        self.askers.retain(|_, asker| {
            let stays = now.saturating_duration_since(asker.seen) < QUIET_MAX;
            if !stays {
                self.askers_by_client.remove(asker.client);
            }
            stays
        });
    }

    fn forget(&mut self, viewer: u64) {
        let Some(known) = self.reporters.remove(&viewer) else { return };
        self.reporters_by_client.remove(known.from.client);
        self.uncover(known.from.browser, known.on);
    }

    /// What this browser asked for on a path was for a viewer who reports, and so is what follows. It
    /// begins anew after that: what a viewer who left asked for is nobody else's.
    fn cover(&mut self, browser: u64, on: Option<HttpPath>) {
        let Some(path) = on else { return };
        *self.covered.entry((browser, path)).or_default() += 1;
        if let Some(asker) = self.askers.get_mut(&browser) {
            asker.media[path as usize] = None;
        }
    }

    fn uncover(&mut self, browser: u64, on: Option<HttpPath>) {
        let Some(path) = on else { return };
        if let Entry::Occupied(mut covered) = self.covered.entry((browser, path)) {
            *covered.get_mut() -= 1;
            if *covered.get() == 0 {
                covered.remove();
            }
        }
    }
}

impl Run {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= QUIET_MAX
    }

    /// Whether this is somebody who watches.
    fn counts(&self, now: Instant) -> bool {
        !self.is_over(now) && self.last.saturating_duration_since(self.first) >= TRIAL
    }
}

/// How much each client has taken; those who have taken nothing take no room.
#[derive(Debug, Default)]
struct Shares(HashMap<u64, u32>);

impl Shares {
    fn add(&mut self, client: u64, max: u32) -> Result<(), Beyond> {
        let taken = self.0.entry(client).or_default();
        if *taken >= max {
            return Err(Beyond::Client);
        }
        *taken += 1;
        Ok(())
    }

    fn remove(&mut self, client: u64) {
        if let Entry::Occupied(mut taken) = self.0.entry(client) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[cfg(test)]
#[path = "roll_tests.rs"]
mod tests;
