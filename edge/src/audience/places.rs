//! Who counts as watching already where a host lets in no more than so many, and how many watch
//! elsewhere. Pure; what time it is comes as an argument.
//!
//! A viewer of ours is known by the random name that its player made and sends with what it asks for
//! first, of any path; a player of others by its address and kind of browser, as it is counted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;

use super::roll::{BROADCAST_MAX, EDGE_MAX};

/// For how long somebody who was let in, or reported, is taken to watch: our players report every ten
/// seconds, and another asks again within that.
const WATCHES_FOR: Duration = Duration::from_secs(30);
/// For how long what the origin said of other edges holds: it says so every half minute.
const ELSEWHERE_FOR: Duration = Duration::from_secs(75);

/// Those who watch, by broadcast.
#[derive(Debug, Default)]
pub(super) struct Places {
    rooms: HashMap<BroadcastId, Room>,
}

#[derive(Debug, Default)]
struct Room {
    viewers: HashMap<u64, Instant>,
    browsers: HashMap<u64, Instant>,
    elsewhere: Option<(u64, Instant)>,
}

/// Whom a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A player of ours, by its name, and its browser.
    Viewer(u64, u64),
    /// A player of others over HTTP, by its browser.
    Browser(u64),
    /// A player of others over WebRTC, of which each time is another.
    Anybody,
}

impl Places {
    /// Somebody watches, or is let in to.
    pub(super) fn seen(&mut self, id: &BroadcastId, who: Who, now: Instant) {
        let kept: usize = self.rooms.values().map(|room| room.viewers.len()).sum();
        let room = self.rooms.entry(id.clone()).or_default();
        let enter = |table: &mut HashMap<u64, Instant>, name, max| {
            if let Some(seen) = table.get_mut(&name) {
                *seen = now;
            } else if table.len() < max {
                table.insert(name, now);
            }
        };
        // Who finds no room here is let in as others are, while there are places.
        let max = if kept < EDGE_MAX { BROADCAST_MAX } else { 0 };
        match who {
            Who::Viewer(viewer, browser) => {
                enter(&mut room.viewers, viewer, max);
                enter(&mut room.browsers, browser, BROADCAST_MAX);
            }
            Who::Browser(browser) => enter(&mut room.browsers, browser, BROADCAST_MAX),
            Who::Anybody => {}
        }
    }

    /// A player of ours leaves.
    pub(super) fn left(&mut self, id: &BroadcastId, viewer: u64) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.viewers.remove(&viewer);
        }
    }

    /// So many watch at other edges.
    pub(super) fn elsewhere(&mut self, id: &BroadcastId, count: u64, now: Instant) {
        self.rooms.entry(id.clone()).or_default().elsewhere = Some((count, now));
    }

    /// How many watch at other edges, as far as is known.
    pub(super) fn count_elsewhere(&self, id: &BroadcastId, now: Instant) -> u64 {
        let said = self.rooms.get(id).and_then(|room| room.elsewhere);
        said.filter(|(_, at)| is_fresh(*at, now, ELSEWHERE_FOR)).map_or(0, |(count, _)| count)
    }

    /// Whether this one watches already.
    pub(super) fn knows(&self, id: &BroadcastId, who: Who, now: Instant) -> bool {
        let Some(room) = self.rooms.get(id) else { return false };
        let seen = match who {
            Who::Viewer(viewer, _) => room.viewers.get(&viewer),
            Who::Browser(browser) => room.browsers.get(&browser),
            Who::Anybody => None,
        };
        seen.is_some_and(|at| is_fresh(*at, now, WATCHES_FOR))
    }

    /// How many players of ours watch here, or are about to; as of the last [`Self::forget`].
    pub(super) fn viewers(&self, id: &BroadcastId) -> u64 {
        self.rooms.get(id).map_or(0, |room| room.viewers.len() as u64)
    }

    /// Forgets those who were not seen for a while.
    pub(super) fn forget(&mut self, now: Instant) {
        self.rooms.retain(|_, room| {
            for table in [&mut room.viewers, &mut room.browsers] {
                table.retain(|_, at| is_fresh(*at, now, WATCHES_FOR));
            }
            room.elsewhere = room.elsewhere.filter(|(_, at)| is_fresh(*at, now, ELSEWHERE_FOR));
            !(room.viewers.is_empty() && room.browsers.is_empty() && room.elsewhere.is_none())
        });
    }
}

fn is_fresh(at: Instant, now: Instant, for_so_long: Duration) -> bool {
    now.saturating_duration_since(at) < for_so_long
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_known_for_as_long_as_that_is_heard() {
        let (mut places, start) = (Places::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let id: BroadcastId = "talk".parse().unwrap();
        let (ours, other, browser) = (Who::Viewer(1, 7), Who::Viewer(2, 7), Who::Browser(7));
        places.seen(&id, ours, at(0));
        // What its path's player asks for has no name, and another viewer has another.
        assert_eq!(
            [ours, browser, other].map(|who| places.knows(&id, who, at(29))),
            [true, true, false]
        );
        assert!(!places.knows(&id, Who::Anybody, at(0)));
        places.seen(&id, ours, at(29));
        places.forget(at(58));
        assert!(places.knows(&id, ours, at(58)));
        assert_eq!(places.viewers(&id), 1);
        places.left(&id, 1);
        assert_eq!(places.viewers(&id), 0);
        places.forget(at(59));
        assert!(places.rooms.is_empty());
    }

    #[test]
    fn what_is_said_of_other_edges_holds_for_a_while() {
        let (mut places, start) = (Places::default(), Instant::now());
        let id: BroadcastId = "talk".parse().unwrap();
        places.elsewhere(&id, 40, start);
        assert_eq!(places.count_elsewhere(&id, start + Duration::from_secs(74)), 40);
        assert_eq!(places.count_elsewhere(&id, start + Duration::from_secs(75)), 0);
        places.forget(start + Duration::from_secs(75));
        assert!(places.rooms.is_empty());
    }

    #[test]
    fn memory_has_a_bound() {
        let (mut places, now) = (Places::default(), Instant::now());
        let ids: [BroadcastId; 2] = ["a", "b"].map(|id| id.parse().unwrap());
        for viewer in 0..BROADCAST_MAX as u64 + 10 {
            for id in &ids {
                places.seen(id, Who::Viewer(viewer, viewer), now);
            }
        }
        let kept: Vec<u64> = ids.iter().map(|id| places.viewers(id)).collect();
        assert!(kept.iter().sum::<u64>() as usize <= EDGE_MAX, "{kept:?}");
    }
}
