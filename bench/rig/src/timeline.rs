//! Which frame of the publisher's an RTP timestamp stands for, and when that frame was sent.
//!
//! A stamp in one frame anchors the count; its neighbours follow from their timestamps, which are a
//! frame apart. So the latency of every frame at every viewer is known, also at those that do not
//! decrypt, while stamps stay rare enough not to weigh.

use std::collections::VecDeque;

use crate::stamp::Stamp;

/// Frames that are remembered: a minute at 30 per second.
const FRAMES_MAX: usize = 1_800;
/// Ticks of a frame at 30 per second, RTP clock 90 kHz.
const FRAME_TICKS: i32 = 3_000;
/// How far from a whole number of frames a timestamp may be. RTMP's milliseconds are off by 45
/// ticks at most, and the origin's clock by a few of its own.
const TOLERANCE_TICKS: i32 = 600;

/// The publisher's frames.
#[derive(Debug, Default)]
pub struct Timeline {
    /// When frames `first`, `first + 1`, … were sent, in Unix microseconds.
    sent_us: VecDeque<u64>,
    first: u64,
    anchor: Option<(u32, u64)>,
    /// Stamps that say otherwise than the frames before.
    disagreements: u64,
}

impl Timeline {
    /// The publisher sends its next frame.
    pub fn send(&mut self, at_us: u64) {
        if self.sent_us.len() == FRAMES_MAX {
            self.sent_us.pop_front();
            self.first += 1;
        }
        self.sent_us.push_back(at_us);
    }

    /// The number of the next frame.
    pub fn next(&self) -> u64 {
        self.first + self.sent_us.len() as u64
    }

    /// A frame that was sent as it came said this of itself.
    pub fn learn(&mut self, timestamp: u32, stamp: Stamp) {
        let known = self.number(timestamp);
        if known.is_some_and(|known| known != stamp.number)
            || self.sent_us(stamp.number).is_some_and(|sent| sent != stamp.sent_us)
        {
            self.disagreements += 1;
        }
        self.anchor = Some((timestamp, stamp.number));
    }

    /// Stamps so far that did not fit.
    pub fn disagreements(&self) -> u64 {
        self.disagreements
    }

    /// The frame with this timestamp.
    pub fn number(&self, timestamp: u32) -> Option<u64> {
        let (anchor, number) = self.anchor?;
        let ticks = timestamp.wrapping_sub(anchor) as i32;
        let frames = (f64::from(ticks) / f64::from(FRAME_TICKS)).round() as i32;
        let off = ticks - frames * FRAME_TICKS;
        (off.abs() <= TOLERANCE_TICKS).then_some(number.checked_add_signed(frames.into())?)
    }

    /// When a frame was sent.
    pub fn sent_us(&self, number: u64) -> Option<u64> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.sent_us.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(frames: u64) -> Timeline {
        let mut timeline = Timeline::default();
        (0..frames).for_each(|n| timeline.send(1_000 + n * 33_333));
        timeline
    }

    #[test]
    fn neighbours_of_a_stamp_are_known_by_their_timestamps() {
        let mut timeline = timeline(100);
        assert_eq!(timeline.number(5), None);
        timeline.learn(u32::MAX - 2_999, Stamp { number: 50, sent_us: 1_000 + 50 * 33_333 });
        assert_eq!(timeline.number(0), Some(51));
        assert_eq!(timeline.number(3_040), Some(52));
        assert_eq!(timeline.number(u32::MAX - 8_999), Some(48));
        assert_eq!(timeline.number(1_500), None, "between two frames is neither");
        assert_eq!(timeline.sent_us(52), Some(1_000 + 52 * 33_333));
        assert_eq!(timeline.disagreements(), 0);
    }

    #[test]
    fn a_stamp_that_does_not_fit_is_counted() {
        let mut timeline = timeline(100);
        timeline.learn(0, Stamp { number: 50, sent_us: 1_000 + 50 * 33_333 });
        timeline.learn(3_000, Stamp { number: 53, sent_us: 1_000 + 53 * 33_333 });
        timeline.learn(6_000, Stamp { number: 54, sent_us: 1 });
        assert_eq!(timeline.disagreements(), 2);
    }

    #[test]
    fn old_frames_are_forgotten_and_numbers_go_on() {
        let timeline = timeline(2_000);
        assert_eq!(timeline.next(), 2_000);
        assert_eq!(timeline.sent_us(100), None);
        assert_eq!(timeline.sent_us(1_999), Some(1_000 + 1_999 * 33_333));
        assert_eq!(timeline.sent_us(2_000), None);
    }
}
