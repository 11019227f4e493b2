//! Who asked within this second already. Players of LL-HLS ask ten times a second, and who watches is
//! counted by the second: without a lock or an allocation, most requests end here.

use std::sync::atomic::{AtomicU64, Ordering};

/// One for each asker, 8 bytes; twice as many as connections by default. Of two who share one, both
/// may pass several times in a second, and nobody is held back for another.
const SLOTS: usize = 32_768;
/// The lower bits of a slot are the second in which it was written, the others say by whom.
const SECOND_BITS: u32 = 20;

/// Askers, and the second in which each asked last.
pub(super) struct Recent(Box<[AtomicU64]>);

impl Recent {
    /// Nobody asked.
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether this is the first time within `second`, as far as is remembered. `asker` is a digest.
    pub(super) fn is_first(&self, asker: u64, second: u64) -> bool {
        let mask = (1 << SECOND_BITS) - 1;
        // One more, since nothing is written where nobody was.
        let word = (asker & !mask) | ((second + 1) & mask);
        let slot = &self.0[asker as usize % SLOTS];
        // Looked at first: a write takes the line from the other cores.
        if slot.load(Ordering::Relaxed) == word {
            return false;
        }
        slot.store(word, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_and_nobody_for_another() {
        let recent = Recent::new();
        let (one, other) = (0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210);
        assert_eq!(
            [0, 0, 1, 1].map(|second| recent.is_first(one, second)),
            [true, false].repeat(2)[..]
        );
        assert!(recent.is_first(other, 1));
        // The same slot, but not the same asker.
        let sharer = one ^ (1 << 40);
        assert!(recent.is_first(sharer, 1));
        assert!(recent.is_first(one, 1));
    }
}
