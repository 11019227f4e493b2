//! Whether the owner of a broadcast is believed to be gone by those who wait for it, as they see it who read
//! what it stores. What they do then is theirs. Pure: clocks are arguments.

use std::time::{Duration, Instant};

/// An owner who has said nothing of its progress for so long is believed to be gone by those who wait for
/// it: three times that it should have.
const SILENT: Duration = Duration::from_secs(6);
/// Of the time between two looks so much counts as silence: more is no sign of an owner that is gone, but of
/// one who looks that was held up.
const SILENT_BETWEEN_MAX: Duration = Duration::from_secs(5);

/// For how long the owner of a broadcast has said nothing of its progress, as one sees it who reads what is
/// stored again and again. Only time in which that could be read counts: what the owner could not store
/// either is not its silence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silence {
    lasts: Duration,
    /// When it was read last; nothing, if another thing stood there then, or it could not be read.
    answered: Option<Instant>,
}

impl Silence {
    /// It was read again, and nothing new stood there: asked for at `asked`, answered at `answered`.
    pub fn read(&mut self, asked: Instant, answered: Instant) {
        if let Some(before) = self.answered {
            self.lasts += asked.saturating_duration_since(before).min(SILENT_BETWEEN_MAX);
        }
        self.answered = Some(answered);
    }

    /// Whether the owner is believed to be gone.
    pub fn is_long(&self) -> bool {
        self.lasts >= SILENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_silent_while_others_can_read_that_it_is() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let read = |reads: &[(u64, u64)]| {
            let mut silence = Silence::default();
            reads.iter().for_each(|(asked, answered)| silence.read(at(*asked), at(*answered)));
            silence.is_long()
        };
        assert!(!read(&[(0, 10), (2_000, 2_010), (4_000, 4_010), (6_000, 6_010)]));
        assert!(read(&[(0, 10), (2_000, 2_000), (4_000, 4_000), (6_010, 6_020)]));
        // A database that stands still says nothing of anybody.
        assert!(!read(&[(0, 10), (2_000, 6_900), (6_900, 6_910), (8_900, 8_910)]));
        // Nor does it say for how long somebody who looks was held up.
        assert!(!read(&[(0, 10), (3_600_000, 3_600_010)]));
    }
}
