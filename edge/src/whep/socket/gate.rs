//! What a TCP connection must do to stay: belong to a session, to one only, and not flood.
//!
//! A pure account of one connection; [`super::tcp`] asks it with every frame and now and then.

use std::time::{Duration, Instant};

use super::super::registry::Route;

/// A connection that belongs to no session is closed after this: a browser's first check comes with
/// the connection, and again every half second.
pub(super) const UNOWNED_MAX: Duration = Duration::from_secs(5);
/// Frames that a connection may send before it belongs to a session: ten seconds of checks.
pub(super) const STRANGE_MAX: u32 = 32;
/// Frames between two ticks that are read. A browser sends twenty a second; from one that sends more
/// nothing is read until the next tick, and TCP itself slows it down.
const FRAMES_PER_TICK: u32 = 100;
/// How often [`Gate::tick`] is due.
pub(super) const TICK: Duration = Duration::from_millis(500);

/// Why a connection ended, or was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The peer closed or reset it.
    Peer,
    /// It never belonged to a session.
    Unauthenticated,
    /// The session that it belonged to is over.
    Over,
    /// It went on sending without belonging to a session.
    Strange,
    /// It turned to another session than its own.
    Foreign,
    /// A frame was longer than any packet.
    Oversize,
    /// Its peer did not read what it was sent.
    Stalled,
}

impl Closed {
    /// For metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Unauthenticated => "unauthenticated",
            Self::Over => "session-over",
            Self::Strange => "strange",
            Self::Foreign => "foreign",
            Self::Oversize => "oversize",
            Self::Stalled => "stalled",
        }
    }

    /// Whether what was sent last should still reach the peer.
    pub(super) fn is_orderly(self) -> bool {
        matches!(self, Self::Peer | Self::Over)
    }
}

/// The account of one connection.
pub(super) struct Gate {
    /// When it was opened, or was last known to belong to a session.
    owned: Instant,
    ever_owned: bool,
    strange: u32,
    credit: u32,
}

impl Gate {
    /// A connection that was opened at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self { owned: now, ever_owned: false, strange: 0, credit: FRAMES_PER_TICK }
    }

    /// Whether more may be read before the next tick.
    pub(super) fn may_read(&self) -> bool {
        self.credit > 0
    }

    /// A frame came. `owner` is the session that the connection belongs to, `addressee` the one that
    /// the frame is for.
    pub(super) fn frame(
        &mut self,
        owner: Option<Route>,
        addressee: Option<Route>,
    ) -> Result<(), Closed> {
        self.credit = self.credit.saturating_sub(1);
        // A short session may begin and end between two ticks.
        self.ever_owned |= owner.is_some();
        match (owner, addressee) {
            // Another session's check has another ufrag: nobody multiplexes two on a connection.
            (Some(owner), Some(addressee)) if owner != addressee => Err(Closed::Foreign),
            (Some(_), _) => Ok(()),
            (None, _) => {
                self.strange += 1;
                if self.strange > STRANGE_MAX { Err(Closed::Strange) } else { Ok(()) }
            }
        }
    }

    /// Some time has passed.
    pub(super) fn tick(&mut self, owner: Option<Route>, now: Instant) -> Result<(), Closed> {
        self.credit = FRAMES_PER_TICK;
        if owner.is_some() {
            (self.owned, self.ever_owned, self.strange) = (now, true, 0);
        } else if now.duration_since(self.owned) >= UNOWNED_MAX {
            return Err(if self.ever_owned { Closed::Over } else { Closed::Unauthenticated });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(serial: u64) -> Option<Route> {
        Some(Route { worker: 0, room: 1, serial })
    }

    #[test]
    fn who_authenticates_in_time_stays_until_the_session_is_over() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        assert_eq!(gate.tick(None, start + UNOWNED_MAX / 2), Ok(()));
        assert_eq!(gate.frame(None, route(1)), Ok(()));
        let later = start + Duration::from_secs(3_600);
        assert_eq!(gate.tick(route(1), later), Ok(()));
        assert_eq!(gate.tick(None, later + UNOWNED_MAX / 2), Ok(()));
        assert_eq!(gate.tick(None, later + UNOWNED_MAX), Err(Closed::Over));
    }

    #[test]
    fn a_session_between_two_ticks_is_a_session() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        assert_eq!(gate.frame(route(1), route(1)), Ok(()));
        assert_eq!(gate.tick(None, start + UNOWNED_MAX), Err(Closed::Over));
    }

    #[test]
    fn who_does_not_is_closed_by_time_and_by_count() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        assert_eq!(gate.tick(None, start + UNOWNED_MAX), Err(Closed::Unauthenticated));
        let mut gate = Gate::new(start);
        let frames = (0..1_000).take_while(|_| gate.frame(None, None).is_ok()).count();
        assert_eq!(frames, STRANGE_MAX as usize);
    }

    #[test]
    fn a_connection_keeps_to_one_session() {
        let mut gate = Gate::new(Instant::now());
        assert_eq!(gate.frame(route(1), route(1)), Ok(()));
        // An unknown ufrag is a stale check, after an ICE restart for instance.
        assert_eq!(gate.frame(route(1), None), Ok(()));
        assert_eq!(gate.frame(route(1), route(2)), Err(Closed::Foreign));
    }

    #[test]
    fn a_flood_waits_for_the_next_tick() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        for _ in 0..FRAMES_PER_TICK {
            assert!(gate.may_read());
            gate.frame(route(1), route(1)).unwrap();
        }
        assert!(!gate.may_read());
        gate.tick(route(1), now + TICK).unwrap();
        assert!(gate.may_read());
    }
}
