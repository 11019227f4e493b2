//! What can be wrong with what the relay delivers, each kind counted and none of them fatal.

/// Something that a publisher of ours, on a good network, does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A chunk of a group that is over, or of a period that has left the window.
    Late,
    /// A chunk that is there already: its decode time does not advance.
    Duplicate,
    /// A chunk of a track that the catalog does not list.
    UnknownTrack,
    /// A chunk whose segment's beginning was not seen: the price of joining in the middle.
    Unserved,
    /// More waits for its turn than a bound allows.
    Overflow,
    /// A chunk without frames, or a group that does not begin at a keyframe.
    Malformed,
    /// A group, or the rest of one, never arrived.
    LostGroup,
    /// A segment number was skipped.
    SkippedNumber,
    /// A group starts before the one ahead of it.
    Backward,
    /// A catalog older than the one in force.
    StaleCatalog,
    /// A catalog changed what must not change within a period: its start, grid, or a track's header.
    ChangedPeriod,
    /// A catalog with another `T0`: a new broadcast under the same id.
    Restarted,
}

impl Fault {
    /// Every kind, with its name as a metric label.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Late, "late"),
        (Self::Duplicate, "duplicate"),
        (Self::UnknownTrack, "unknown_track"),
        (Self::Unserved, "unserved"),
        (Self::Overflow, "overflow"),
        (Self::Malformed, "malformed"),
        (Self::LostGroup, "lost_group"),
        (Self::SkippedNumber, "skipped_number"),
        (Self::Backward, "backward"),
        (Self::StaleCatalog, "stale_catalog"),
        (Self::ChangedPeriod, "changed_period"),
        (Self::Restarted, "restarted"),
    ];
}

/// How often each [`Fault`] was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    /// Counts one.
    pub fn count(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    /// Counts `n`.
    pub fn add(&mut self, fault: Fault, n: u64) {
        self.0[fault as usize] += n;
    }

    /// How many of `fault`.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; Fault::ALL.len()]
    }
}
