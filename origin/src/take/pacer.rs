//! Opus frames on an even clock.
//!
//! Encoders send sound in clumps, with the picture it belongs to, and 21 ms of AAC become 20 ms of
//! Opus: a frame comes anything up to 40 ms later than the timeliest one. A browser buffers such
//! sound by the worst of it, and then holds back the picture for lip sync. So the frames wait here
//! until all but the latest would have come, a wait that is shorter than what it spares the player.
//!
//! Pure: `now` is an argument, and the owner asks again at [`Pacer::due`].

use std::collections::VecDeque;
use std::time::Duration;

use lectern_relay_proto::{Frame, UtcTime};

/// Frames whose lateness is remembered: 2.5 s. Longer would keep a stall in mind for longer than it
/// matters, shorter would not see all of the beat between AAC and Opus frames (320 ms) often enough.
const WINDOW: usize = 128;
/// Of those, how many may come later than the frames are held for: one in twenty, as many as the
/// player's own buffer leaves out of account.
const LATER_MAX: usize = WINDOW / 20;
/// The longest that a frame is held. A source that is less even than this is left to the player.
const HOLD_MAX: Duration = Duration::from_millis(60);

/// Holds frames until they are due.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// In order, each with the instant at which it is due. Bounded by [`HOLD_MAX`]: frames are due
    /// within that of their arrival, and the owner takes those that are.
    held: VecDeque<(UtcTime, Frame)>,
    /// Arrival less capture, in microseconds, of the latest frames.
    lateness_us: VecDeque<i64>,
}

impl Pacer {
    /// Takes a frame that was captured at `captured`, by its media time, and came at `now`.
    pub(super) fn push(&mut self, frame: Frame, captured: UtcTime, now: UtcTime) {
        if self.lateness_us.len() == WINDOW {
            self.lateness_us.pop_front();
        }
        self.lateness_us.push_back(micros_between(captured, now));
        let hold_us = self.typical_us() - micros_between(captured, now);
        let hold = Duration::from_micros(u64::try_from(hold_us).unwrap_or(0)).min(HOLD_MAX);
        let after = self.held.back().map_or(now, |(due, _)| *due);
        self.held.push_back(((now + hold).max(after), frame));
    }

    /// The next frame that is due at `now`.
    pub(super) fn pop(&mut self, now: UtcTime) -> Option<Frame> {
        self.due().filter(|due| *due <= now)?;
        self.pop_any()
    }

    /// The next frame, due or not.
    pub(super) fn pop_any(&mut self) -> Option<Frame> {
        self.held.pop_front().map(|(_, frame)| frame)
    }

    /// When to ask again.
    pub(super) fn due(&self) -> Option<UtcTime> {
        self.held.front().map(|(due, _)| *due)
    }

    /// The lateness that all but the latest frames keep to.
    fn typical_us(&self) -> i64 {
        let mut sorted = [i64::MIN; WINDOW];
        for (slot, lateness) in sorted.iter_mut().zip(&self.lateness_us) {
            *slot = *lateness;
        }
        // Few frames leave the front of the array at the minimum, which does not move the top.
        sorted.sort_unstable();
        sorted[WINDOW - 1 - LATER_MAX.min(self.lateness_us.len() / 20)]
    }
}

fn micros_between(earlier: UtcTime, later: UtcTime) -> i64 {
    later.as_micros().cast_signed().wrapping_sub(earlier.as_micros().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lectern_relay_proto::{MediaTime, Timescale};

    const START_US: u64 = 1_795_000_000_000_000;
    const FRAME_US: u64 = 20_000;

    fn frame(number: u64) -> Frame {
        Frame {
            dts: MediaTime::new(number * 960, Timescale::OPUS),
            composition_offset: 0,
            duration: 960,
            keyframe: true,
            data: Default::default(),
            arrived: UtcTime::default(),
        }
    }

    /// How late each frame leaves that comes `late_us(number)` after its capture.
    fn leave(count: u64, late_us: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut pacer = Pacer::default();
        let mut left = Vec::new();
        let mut pop = |pacer: &mut Pacer, now: UtcTime| {
            while let Some(frame) = pacer.pop(now) {
                let captured = START_US + frame.dts.ticks / 960 * FRAME_US;
                left.push(now.as_micros() - captured);
            }
        };
        for number in 0..count {
            let captured = UtcTime::from_micros(START_US + number * FRAME_US);
            let now = captured + Duration::from_micros(late_us(number));
            while let Some(due) = pacer.due().filter(|due| *due < now) {
                pop(&mut pacer, due);
            }
            pacer.push(frame(number), captured, now);
            pop(&mut pacer, now);
        }
        while let Some(due) = pacer.due() {
            pop(&mut pacer, due);
        }
        assert_eq!(left.len() as u64, count);
        left
    }

    fn spread(left: &[u64]) -> u64 {
        left.iter().max().unwrap() - left.iter().min().unwrap()
    }

    #[test]
    fn clumps_leave_evenly() {
        // Sound that comes with the next of 30 pictures a second.
        let with_picture = |number: u64| (33_333 - (number * FRAME_US) % 33_333) % 33_333;
        let left = leave(600, with_picture);
        assert!(spread(&left[200..]) <= 2_000, "{}", spread(&left[200..]));
        assert!(left[200..].iter().all(|late| *late <= 33_333));
    }

    #[test]
    fn an_even_source_is_not_held() {
        assert!(leave(300, |_| 5_000).iter().all(|late| *late == 5_000));
    }

    #[test]
    fn one_late_frame_makes_no_other_late() {
        let left = leave(400, |number| if number == 200 { 15_000 } else { 0 });
        assert_eq!(left.iter().filter(|late| **late > 0).count(), 1);
    }

    #[test]
    fn no_frame_is_held_longer_than_stated_and_order_is_kept() {
        let left = leave(400, |number| if number % 10 == 0 { 900_000 } else { 0 });
        for (number, late) in left.iter().enumerate() {
            let came = if number % 10 == 0 { 900_000 } else { 0 };
            let before = number.checked_sub(1).map_or(0, |before| {
                (left[before] + before as u64 * FRAME_US).saturating_sub(number as u64 * FRAME_US)
            });
            assert!(*late <= came.max(before) + HOLD_MAX.as_micros() as u64, "frame {number}");
        }
    }
}
