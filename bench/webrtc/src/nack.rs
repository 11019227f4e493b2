//! Which packets are missing, and when to ask for them: as Chromium's `NackRequester` does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Missing packets that are remembered; with more, the receiver asks for a keyframe instead.
const MISSING_MAX: usize = 1_000;
/// How often a packet is asked for.
const TRIES_MAX: u32 = 10;
/// From one request for a packet to the next. Chromium takes this for the round trip as long as
/// nobody tells it otherwise, and nobody tells a receiver that does not send.
const REPEAT: Duration = Duration::from_millis(100);

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// As expected, or after packets that are missing now.
    New,
    /// It had been missing.
    Recovered,
    /// Came before, or given up.
    Useless,
}

/// The packets that a receiver waits for.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    newest: Option<u64>,
    packets: BTreeMap<u64, Asked>,
    lost: u64,
    overflows: u64,
}

#[derive(Debug, Default)]
struct Asked {
    tries: u32,
    at: Option<Instant>,
}

impl Missing {
    /// A packet came.
    pub(crate) fn arrived(&mut self, number: u64) -> Arrival {
        let Some(newest) = self.newest else {
            self.newest = Some(number);
            return Arrival::New;
        };
        if number <= newest {
            let was_missing = self.packets.remove(&number).is_some();
            return if was_missing { Arrival::Recovered } else { Arrival::Useless };
        }
        self.newest = Some(number);
        let gap = (number - newest - 1) as usize;
        if self.packets.len() + gap > MISSING_MAX {
            self.lost += (self.packets.len() + gap) as u64;
            self.packets.clear();
            self.overflows += 1;
        } else {
            self.packets.extend((newest + 1..number).map(|missing| (missing, Asked::default())));
        }
        Arrival::New
    }

    /// The packet that a resend stands for: the latest one with this sequence number.
    pub(crate) fn number_of(&self, sequence: u16) -> Option<u64> {
        let newest = self.newest?;
        let back = (newest as u16).wrapping_sub(sequence);
        newest.checked_sub(back.into())
    }

    /// The packets to ask for now.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<u16> {
        let mut due = Vec::new();
        let before = self.packets.len();
        self.packets.retain(|number, asked| {
            if asked.at.is_some_and(|at| now < at + REPEAT) {
                return true;
            }
            if asked.tries == TRIES_MAX {
                return false;
            }
            asked.tries += 1;
            asked.at = Some(now);
            due.push(*number as u16);
            true
        });
        self.lost += (before - self.packets.len()) as u64;
        due
    }

    /// When [`Self::due`] is to be called again.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.packets.values().filter_map(|asked| Some(asked.at? + REPEAT)).min()
    }

    /// Packets given up so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// How often there was so much missing that only a keyframe helps.
    pub(crate) fn overflows(&self) -> u64 {
        self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_asked_for_at_once_and_again_until_it_is_filled() {
        let mut missing = Missing::default();
        let now = Instant::now();
        for number in [65_534, 65_535, 65_538] {
            assert_eq!(missing.arrived(number), Arrival::New);
        }
        assert_eq!(missing.due(now), [0, 1]);
        assert!(missing.due(now).is_empty());
        assert_eq!((missing.number_of(2), missing.number_of(65_535)), (Some(65_538), Some(65_535)));
        assert_eq!(missing.arrived(65_536), Arrival::Recovered);
        assert_eq!(missing.arrived(65_536), Arrival::Useless);
        assert_eq!(missing.wake(), Some(now + REPEAT));
        assert_eq!(missing.due(now + REPEAT), [1]);
        assert_eq!(missing.lost(), 0);
    }

    #[test]
    fn after_ten_tries_a_packet_is_lost() {
        let mut missing = Missing::default();
        let mut now = Instant::now();
        missing.arrived(1);
        missing.arrived(3);
        for _ in 0..TRIES_MAX {
            assert_eq!(missing.due(now), [2]);
            now += REPEAT;
        }
        assert!(missing.due(now).is_empty());
        assert_eq!((missing.lost(), missing.wake()), (1, None));
        assert_eq!(missing.arrived(2), Arrival::Useless);
    }

    #[test]
    fn too_large_a_gap_is_given_up_whole() {
        let mut missing = Missing::default();
        missing.arrived(1);
        missing.arrived(2_002);
        assert!(missing.due(Instant::now()).is_empty());
        assert_eq!((missing.lost(), missing.overflows()), (2_000, 1));
    }
}
