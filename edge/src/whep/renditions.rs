//! The video renditions of a broadcast as viewers can be given them: what the catalog says of each,
//! and its frames.
//!
//! A rendition has a **slot** while its broadcast lists it, by which frames, histories and packets
//! name it. The serials of a slot are never used twice, whatever rendition has it.

use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::TrackName;

use super::history::{History, Unit};

/// The most renditions of a broadcast that viewers can be given, best first; with what a history
/// holds at most, 128 MiB of frames. A ladder for people has five or six.
pub(super) const RENDITIONS_MAX: usize = 8;
/// A rendition whose newest frame is older by this much than the last but one of another has
/// stopped, and nobody is left waiting for it. Not than the last: where frames are seconds apart, one
/// rendition's comes before the other's.
const STALLED: Duration = Duration::from_secs(2);

/// A rendition that the catalog lists and WebRTC can carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its slot, below [`RENDITIONS_MAX`].
    pub slot: u8,
    /// Its track.
    pub name: TrackName,
    /// Bits per second, where the publisher states it.
    pub bitrate: Option<u64>,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Listed {
    /// What viewers call it: its track without `video/`.
    pub(super) fn id(&self) -> &str {
        let name = self.name.as_str();
        name.strip_prefix("video/").unwrap_or(name)
    }

    /// Whether a viewer means this one.
    pub(super) fn is(&self, asked: &str) -> bool {
        self.id() == asked || self.name.as_str() == asked
    }
}

/// A rendition that frames come of, as one step of the ladder that a viewer goes up and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// Its slot.
    pub slot: u8,
    /// What it takes, in bits per second: measured, or stated until it can be.
    pub bps: Option<u64>,
}

/// The renditions and their frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Renditions {
    listing: Arc<[Listed]>,
    histories: [History; RENDITIONS_MAX],
}

impl Renditions {
    /// These renditions, best first, and the frames of every slot.
    pub(super) fn new(listing: Arc<[Listed]>, histories: [History; RENDITIONS_MAX]) -> Self {
        Self { listing, histories }
    }

    /// What the catalog lists, best first.
    pub(super) fn listing(&self) -> &[Listed] {
        &self.listing
    }

    /// The catalog lists others now. The frames of those it does not list any more are let go.
    pub(super) fn list(&mut self, listing: Arc<[Listed]>) {
        for (slot, history) in self.histories.iter_mut().enumerate() {
            if !listing.iter().any(|listed| usize::from(listed.slot) == slot) {
                history.clear();
            }
        }
        self.listing = listing;
    }

    /// The frames of every slot.
    pub(super) fn histories(&self) -> &[History] {
        &self.histories
    }

    /// The frames of a slot.
    pub(super) fn history(&self, slot: u8) -> &History {
        &self.histories[usize::from(slot) % RENDITIONS_MAX]
    }

    /// The same, to add to.
    pub(super) fn history_mut(&mut self, slot: u8) -> &mut History {
        &mut self.histories[usize::from(slot) % RENDITIONS_MAX]
    }

    /// The slot of the rendition that a viewer asks for.
    pub(super) fn slot(&self, asked: &str) -> Option<u8> {
        self.listing.iter().find(|listed| listed.is(asked)).map(|listed| listed.slot)
    }

    /// Whether a slot is listed before another one, which makes it the better rendition.
    pub(super) fn is_better(&self, slot: u8, than: u8) -> bool {
        let place = |slot| self.listing.iter().position(|listed| listed.slot == slot);
        place(slot).is_some_and(|place_of| place(than).is_none_or(|than| place_of < than))
    }

    /// The renditions that frames come of, best first.
    pub(super) fn ladder(&self) -> Vec<Rung> {
        let last_but_one = |listed: &Listed| {
            let history = self.history(listed.slot);
            let before = history.newest()?.serial.checked_sub(1)?;
            history.get(before).map(|unit| unit.pushed)
        };
        let latest = self.listing.iter().filter_map(last_but_one).max();
        let flows = |listed: &&Listed| {
            let newest = self.history(listed.slot).newest().map(|unit| unit.pushed);
            newest.is_some_and(|newest| latest.is_none_or(|latest| newest + STALLED > latest))
        };
        let rung = |listed: &Listed| {
            let bps = self.history(listed.slot).bitrate().or(listed.bitrate);
            Rung { slot: listed.slot, bps }
        };
        self.listing.iter().filter(flows).map(rung).collect()
    }

    /// The newest keyframe of a slot.
    pub(super) fn newest_key(&self, slot: u8) -> Option<&Arc<Unit>> {
        self.history(slot).newest_key()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::whep::history::tests::unit;

    /// A listing of the renditions of these names, in slots counted from zero.
    pub(in crate::whep) fn listing(names: &[&str]) -> Arc<[Listed]> {
        let listed = |(slot, name): (usize, &&str)| Listed {
            slot: slot as u8,
            name: TrackName::new(format!("video/{name}")).unwrap(),
            bitrate: None,
            width: 1_280,
            height: 720,
        };
        names.iter().enumerate().map(listed).collect()
    }

    #[test]
    fn a_rendition_that_stopped_is_no_step_of_the_ladder() {
        let mut renditions = Renditions::new(listing(&["hd", "sd"]), Default::default());
        renditions.history_mut(1).push(unit(0, 0, true, 100));
        assert_eq!(renditions.ladder(), [Rung { slot: 1, bps: None }]);
        renditions.history_mut(0).push(unit(0, 0, true, 100));
        assert_eq!(renditions.ladder().len(), 2);
        for serial in 1..3 {
            assert_eq!(renditions.ladder().len(), 2);
            let mut later = unit(serial, serial * 3_000, false, 100);
            Arc::get_mut(&mut later).unwrap().pushed += STALLED;
            renditions.history_mut(0).push(later);
        }
        assert_eq!(renditions.ladder(), [Rung { slot: 0, bps: None }]);
    }

    #[test]
    fn what_the_catalog_lists_no_more_takes_no_memory() {
        let mut renditions = Renditions::new(listing(&["hd", "sd"]), Default::default());
        renditions.history_mut(0).push(unit(0, 0, true, 100));
        renditions.history_mut(1).push(unit(0, 0, true, 100));
        renditions.list(listing(&["hd"]));
        assert!(renditions.newest_key(0).is_some() && renditions.newest_key(1).is_none());
        assert_eq!((renditions.slot("video/hd"), renditions.slot("sd")), (Some(0), None));
    }
}
