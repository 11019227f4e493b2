//! When each session of a worker is to be looked at next.
//!
//! One instant per session and no more, whatever its timers do, so the table is bounded by the
//! sessions. A session keeps a note of its entry, by which it is found again.

use std::collections::BTreeSet;
use std::time::Instant;

use super::registry::Route;

/// Instant, room and serial.
type Entry = (Instant, u64, u64);

/// The timers of a worker.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<Entry>);

impl Timers {
    /// Has the session at `route` looked at by `at`. `note` is its entry so far: an earlier one stays
    /// and finds nothing to do, which costs less than moving it each time that a report comes.
    pub(super) fn set(&mut self, route: Route, note: &mut Option<Instant>, at: Instant) {
        if note.is_none_or(|noted| at < noted) {
            self.remove(route, note);
            *note = Some(at);
            self.0.insert(entry(route, at));
        }
    }

    /// Forgets a session.
    pub(super) fn remove(&mut self, route: Route, note: &mut Option<Instant>) {
        if let Some(at) = note.take() {
            self.0.remove(&entry(route, at));
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, ..)| *at)
    }

    /// A session that is due at `now`, by room and serial; its entry is used up.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(u64, u64)> {
        self.next().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, room, serial)| (room, serial))
    }
}

fn entry(Route { room, serial, .. }: Route, at: Instant) -> Entry {
    (at, room, serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_session_has_one_entry_however_often_its_timers_change() {
        let (mut timers, start) = (Timers::default(), Instant::now());
        let route = |serial| Route { worker: 0, room: 7, serial };
        let mut notes = [None, None];
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            // Turn by turn something soon, and the end of its patience.
            let wait = Duration::from_millis(if ms % 2 == 0 { 1 } else { 15_000 });
            for (serial, note) in (0..).zip(&mut notes) {
                timers.set(route(serial), note, now + wait);
            }
            while let Some((_, serial)) = timers.pop(now) {
                notes[serial as usize] = None;
            }
            assert!(timers.0.len() <= 2);
        }
        for (serial, note) in (0..).zip(&mut notes) {
            timers.remove(route(serial), note);
        }
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn the_earliest_comes_first_and_none_before_its_time() {
        let (mut timers, start) = (Timers::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let route = |serial| Route { worker: 0, room: 7, serial };
        let mut notes = [None; 3];
        for (serial, (note, ms)) in notes.iter_mut().zip([30, 10, 20]).enumerate() {
            timers.set(route(serial as u64), note, at(ms));
        }
        timers.set(route(0), &mut notes[0], at(5));
        timers.set(route(1), &mut notes[1], at(15));
        assert_eq!(timers.pop(at(4)), None);
        let order: Vec<u64> = std::iter::from_fn(|| timers.pop(at(20)).map(|(_, s)| s)).collect();
        assert_eq!(order, [0, 1, 2]);
    }
}
