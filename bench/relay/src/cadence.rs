//! When an encoder has something to write: frames, packets of sound and comments, each at its own pace.

use std::time::Duration;

use crate::plan::{AUDIO_HZ, Kind, Kinds, VIDEO_HZ};

/// What is due at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) kind: Kind,
    /// Counts those of its kind, from zero.
    pub(crate) number: u64,
}

/// Everything that is due, in order and without end.
pub(crate) struct Cadence {
    hz: Kinds<u64>,
    next: Kinds<u64>,
}

impl Cadence {
    pub(crate) fn new(comments_hz: u64) -> Self {
        Self { hz: [VIDEO_HZ, AUDIO_HZ, comments_hz], next: [0; 3] }
    }

    pub(crate) fn next(&mut self) -> Due {
        let due = |kind: Kind| {
            let (hz, number) = (self.hz[kind as usize], self.next[kind as usize]);
            let at = (number * 1_000_000).checked_div(hz).unwrap_or(u64::MAX);
            Due { at: Duration::from_micros(at), kind, number }
        };
        let [video, audio, comments] = Kind::ALL.map(due);
        // Of those that are due at once, the first: pictures are cut before their sound.
        let earlier = |a: Due, b: Due| if b.at < a.at { b } else { a };
        let next = earlier(earlier(video, audio), comments);
        self.next[next.kind as usize] += 1;
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_its_pace() {
        let mut cadence = Cadence::new(5);
        let mut counts = [0; 3];
        let mut before = Duration::ZERO;
        loop {
            let due = cadence.next();
            assert!(due.at >= before);
            before = due.at;
            if due.at >= Duration::from_secs(10) {
                break;
            }
            assert_eq!(due.number, counts[due.kind as usize]);
            counts[due.kind as usize] += 1;
        }
        assert_eq!(counts, [300, 500, 50]);
    }

    #[test]
    fn without_comments_none_is_due() {
        let mut cadence = Cadence::new(0);
        assert!((0..1_000).all(|_| cadence.next().kind != Kind::Comments));
    }
}
