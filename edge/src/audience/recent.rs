//! Who asked within this second already. Players of LL-HLS ask ten times a second, and who watches is
//! counted by the second: without a lock or an allocation, most requests end here.

use std::sync::atomic::{AtomicU64, Ordering};

/// Askers that are remembered, 8 bytes each: twice as many as connections by default. Of more than that
/// some may pass more often; nobody is held back for another.
const ASKERS: usize = 32_768;
/// So many share a set, which is looked through: a cache line of them.
const WAYS: usize = 8;
/// The lower bits of a word are the second in which it was written, the others say by whom.
const SECOND_BITS: u32 = 20;
const SECONDS: u64 = (1 << SECOND_BITS) - 1;

/// Askers, and the second in which each asked last.
pub(super) struct Recent(Box<[Set]>);

#[derive(Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

impl Recent {
    /// Nobody asked.
    pub(super) fn new() -> Self {
        Self((0..ASKERS / WAYS).map(|_| Set::default()).collect())
    }

    /// Whether this is the first time within `second`, as far as is remembered. `asker` is a digest.
    pub(super) fn is_first(&self, asker: u64, second: u64) -> bool {
        // One more, since nothing is written where nobody was.
        let second = (second + 1) & SECONDS;
        let word = (asker & !SECONDS) | second;
        let Set(ways) = &self.0[asker as usize % self.0.len()];
        // The place of one who did not ask in this second; otherwise anybody's.
        let mut place = (asker >> SECOND_BITS) as usize % WAYS;
        for (way, known) in ways.iter().enumerate() {
            match known.load(Ordering::Relaxed) {
                known if known == word => return false,
                known if known & SECONDS != second => place = way,
                _ => {}
            }
        }
        ways[place].store(word, Ordering::Relaxed);
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
        let firsts = [0, 0, 1, 1].map(|second| recent.is_first(one, second));
        assert_eq!(firsts, [true, false, true, false]);
        assert!(recent.is_first(other, 1));
        // As many of one set as it has room for, and one more.
        let sharer = |number: u64| one ^ (number << 40);
        let firsts =
            |second| (0..8).filter(|number| recent.is_first(sharer(*number), second)).count();
        assert_eq!([firsts(2), firsts(2)], [8, 0]);
        assert!(recent.is_first(sharer(8), 2));
        assert_eq!([firsts(3), firsts(3)], [8, 0]);
    }

    #[test]
    fn as_many_as_connections_hardly_ever_pass_twice() {
        let recent = Recent::new();
        let asker = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let firsts = || (0..16_384).filter(|number| recent.is_first(asker(*number), 7)).count();
        assert_eq!(firsts(), 16_384);
        let again = firsts();
        assert!(again < 16_384 / 20, "{again}");
    }
}
