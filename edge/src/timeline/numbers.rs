//! The numbers of the groups of a period, as the main track teaches them and the others follow.

use std::collections::BTreeMap;

use lectern_relay_proto::{MediaTime, SegmentGrid};

/// The most groups remembered: two minutes of a stream in which every frame is a group. A track that
/// lags further behind the main one is treated as if its groups had been lost.
const GROUPS_MAX: usize = 4_096;

/// The segment number of each group of a period that is still of interest.
pub(super) struct Numbers {
    grid: SegmentGrid,
    by_index: BTreeMap<u32, u64>,
}

/// What is known of a group's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It belongs to segment `number`, and certainly is the first of it if `begins`.
    Number { number: u64, begins: bool },
    /// The main track has not come to it.
    NotYet,
    /// The main track has passed it by.
    Never,
}

impl Numbers {
    pub(super) fn new(grid: SegmentGrid) -> Self {
        Self { grid, by_index: BTreeMap::new() }
    }

    /// The main track has begun group `index` at `start`. Called in the order of the groups.
    /// Returns whether a number was skipped since the group before.
    pub(super) fn learn(&mut self, index: u32, start: MediaTime) -> bool {
        let number = self.at(start);
        let before = index.checked_sub(1).and_then(|before| self.by_index.get(&before));
        let skipped = before.is_some_and(|before| number > before.saturating_add(1));
        self.by_index.insert(index, number);
        if self.by_index.len() > GROUPS_MAX {
            self.by_index.pop_first();
        }
        skipped
    }

    /// The main track has a group `index`, before all that it has begun. Returns `false` if there are
    /// too many to remember.
    pub(super) fn learn_older(&mut self, index: u32, start: MediaTime) -> bool {
        if self.by_index.len() >= GROUPS_MAX {
            return false;
        }
        self.by_index.insert(index, self.at(start));
        true
    }

    /// The number of a group of the main track that begins at `start`.
    pub(super) fn at(&self, start: MediaTime) -> u64 {
        self.grid.number(start)
    }

    pub(super) fn of(&self, index: u32) -> Known {
        let Some(&number) = self.by_index.get(&index) else {
            let passed = self.by_index.last_key_value().is_some_and(|(&last, _)| last > index);
            return if passed { Known::Never } else { Known::NotYet };
        };
        let before = index.checked_sub(1).map(|before| self.by_index.get(&before));
        let begins = match before {
            None => true,
            Some(before) => before.is_some_and(|&before| before != number),
        };
        Known::Number { number, begins }
    }

    /// The number of the newest group.
    pub(super) fn last(&self) -> Option<u64> {
        self.by_index.last_key_value().map(|(_, &number)| number)
    }

    /// The index of the newest group.
    pub(super) fn last_index(&self) -> Option<u32> {
        self.by_index.last_key_value().map(|(&index, _)| index)
    }
}
