//! Keeps the sound beside the picture while that is being re-encoded.
//!
//! A picture takes some milliseconds through ffmpeg, and seconds where ffmpeg has just been started on a
//! busy machine. Sound that went on meanwhile would be ahead of it, and a take whose messages lie seconds
//! apart takes that for a clock that jumps. So sound waits for as long as pictures of its time or before
//! are under way, and all leave with the instant at which they came. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use lectern_relay_proto::UtcTime;

use crate::ingest::Tag;

/// The longest that sound waits for a picture. One that takes longer is not coming.
const WAIT_MAX: Duration = Duration::from_secs(4);
/// How late a picture may be behind sound that has left: as far as picture and sound of one encoder may
/// lie apart.
const LATE_MS_MAX: i32 = 1_000;
/// Pictures under way that are remembered: twice what waits for ffmpeg.
const UNDER_WAY_MAX: usize = 2 * super::PICTURES_MAX;
/// Sound that waits, in packets: as much as comes in the longest wait, were each of 10 ms.
const SOUND_MAX: usize = 400;

/// The place where sound waits.
#[derive(Debug, Default)]
pub struct Interleave {
    under_way: VecDeque<(u32, UtcTime)>,
    /// What has no time goes behind the sound before it.
    sound: VecDeque<(Option<u32>, Tag, UtcTime)>,
    /// The newest sound that left.
    left_ms: Option<u32>,
    /// When what left last had come.
    left_arrived: Option<UtcTime>,
    /// Pictures up to the next keyframe depend on one that was left out.
    skipping: bool,
}

impl Interleave {
    /// A picture that was handed to the re-encoder.
    pub fn coded(&mut self, timestamp_ms: u32, arrived: UtcTime) {
        if self.under_way.len() == UNDER_WAY_MAX {
            self.under_way.pop_front();
        }
        self.under_way.push_back((timestamp_ms, arrived));
    }

    /// Sound, or what is said of it, that came at `arrived`.
    pub fn sound(&mut self, tag: Tag, arrived: UtcTime) {
        let timestamp_ms = tag.media().map(|(timestamp_ms, _)| timestamp_ms);
        self.sound.push_back((timestamp_ms, tag, arrived));
    }

    /// What the re-encoder made: it with the instant at which its source came, or `None` if it is too late
    /// for the sound.
    pub fn made(&mut self, tag: Tag, now: UtcTime) -> Option<(Tag, UtcTime)> {
        let Tag::Video { timestamp_ms, keyframe, .. } = tag else { return Some((tag, now)) };
        let source = self.under_way.iter().find(|(at, _)| *at == timestamp_ms);
        // One that was given up before it came has no instant of its own any more; `now` would be seconds
        // after that of the sound beside it, which a take would have to take for a clock that jumps.
        let arrived = source.map(|(_, arrived)| *arrived).or(self.left_arrived).unwrap_or(now);
        self.under_way.retain(|(at, _)| after(*at, timestamp_ms) > 0);
        let late = self.left_ms.is_some_and(|left| after(left, timestamp_ms) > LATE_MS_MAX);
        self.skipping = late || (self.skipping && !keyframe);
        if self.skipping {
            return None;
        }
        self.left_arrived = Some(arrived);
        Some((tag, arrived))
    }

    /// No picture that is under way will come.
    pub fn break_off(&mut self) {
        self.under_way.clear();
    }

    /// The next sound that need not wait any more.
    pub fn pop(&mut self, now: UtcTime) -> Option<(Tag, UtcTime)> {
        while self.under_way.front().is_some_and(|(_, arrived)| *arrived + WAIT_MAX <= now) {
            self.under_way.pop_front();
        }
        let (next_ms, ..) = self.sound.front()?;
        let comes_before = |at: u32| next_ms.is_some_and(|next_ms| after(at, next_ms) <= 0);
        let waits = self.under_way.iter().any(|(at, _)| comes_before(*at));
        if waits && self.sound.len() <= SOUND_MAX {
            return None;
        }
        let (timestamp_ms, tag, arrived) = self.sound.pop_front()?;
        self.left_ms = timestamp_ms.or(self.left_ms);
        self.left_arrived = Some(arrived);
        Some((tag, arrived))
    }

    /// When [`Self::pop`] may give something although no picture came.
    pub fn timeout(&self) -> Option<UtcTime> {
        self.sound.front()?;
        self.under_way.front().map(|(_, arrived)| *arrived + WAIT_MAX)
    }
}

/// By how much `a` comes after `b`, both on a clock that wraps.
fn after(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn at(ms: u64) -> UtcTime {
        UtcTime::from_millis(1_795_000_000_000 + ms)
    }

    fn sound(timestamp_ms: u32) -> Tag {
        Tag::Audio { timestamp_ms, data: Bytes::new() }
    }

    fn picture(timestamp_ms: u32, keyframe: bool) -> Tag {
        Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data: Bytes::new() }
    }

    fn popped(interleave: &mut Interleave, now: u64) -> Vec<u32> {
        let pop = || interleave.pop(at(now)).and_then(|(tag, _)| Some(tag.media()?.0));
        std::iter::from_fn(pop).collect()
    }

    #[test]
    fn sound_waits_for_the_picture_of_its_time_and_no_longer() {
        let mut interleave = Interleave::default();
        let start = u32::MAX - 30;
        let ms = |n: u32| start.wrapping_add(n);
        interleave.coded(ms(0), at(0));
        interleave.coded(ms(40), at(40));
        for n in [0, 20, 40, 60] {
            interleave.sound(sound(ms(n)), at(n.into()));
        }
        assert!(popped(&mut interleave, 60).is_empty());
        let made = interleave.made(picture(ms(0), true), at(70));
        assert_eq!(made, Some((picture(ms(0), true), at(0))), "with its own instant");
        assert_eq!(popped(&mut interleave, 70), [ms(0), ms(20)]);
        interleave.made(picture(ms(40), false), at(80));
        assert_eq!(popped(&mut interleave, 80), [ms(40), ms(60)]);
        // A still picture holds no sound up.
        interleave.sound(sound(ms(900)), at(900));
        assert_eq!(popped(&mut interleave, 900), [ms(900)]);
    }

    #[test]
    fn b_frames_are_under_way_in_another_order() {
        let mut interleave = Interleave::default();
        for ms in [0, 120, 40, 80] {
            interleave.coded(ms, at(ms.into()));
        }
        for ms in [0, 40, 80, 120] {
            interleave.sound(sound(ms), at(ms.into()));
        }
        interleave.made(picture(0, true), at(200));
        assert_eq!(popped(&mut interleave, 200), [0]);
        interleave.made(picture(40, false), at(200));
        interleave.made(picture(80, false), at(200));
        assert_eq!(popped(&mut interleave, 200), [40, 80]);
        interleave.made(picture(120, false), at(200));
        assert_eq!(popped(&mut interleave, 200), [120]);
    }

    #[test]
    fn a_picture_that_never_comes_holds_sound_up_for_a_bounded_time() {
        let mut interleave = Interleave::default();
        interleave.coded(0, at(0));
        interleave.sound(sound(10), at(10));
        assert_eq!(interleave.timeout(), Some(at(4_000)));
        assert!(popped(&mut interleave, 3_999).is_empty());
        assert_eq!(popped(&mut interleave, 4_000), [10]);
        assert_eq!(interleave.timeout(), None);
        let made = interleave.made(picture(0, true), at(4_500));
        assert_eq!(
            made,
            Some((picture(0, true), at(10))),
            "beside the sound, if it comes after all"
        );
        interleave.coded(20, at(4_000));
        interleave.sound(sound(30), at(4_000));
        interleave.break_off();
        assert_eq!(popped(&mut interleave, 4_000), [30]);
    }

    #[test]
    fn pictures_too_late_for_the_sound_are_left_out_up_to_a_keyframe_in_time() {
        let mut interleave = Interleave::default();
        interleave.sound(sound(5_000), at(5_000));
        assert_eq!(popped(&mut interleave, 5_000), [5_000]);
        assert!(interleave.made(picture(3_900, true), at(5_000)).is_none());
        assert!(interleave.made(picture(4_100, false), at(5_000)).is_none());
        assert!(interleave.made(picture(4_200, true), at(5_000)).is_some());
        assert!(interleave.made(picture(4_240, false), at(5_000)).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut interleave = Interleave::default();
        for n in 0..10_000 {
            interleave.coded(n, at(0));
            interleave.sound(sound(n), at(0));
            popped(&mut interleave, 0);
        }
        assert!(interleave.under_way.len() <= UNDER_WAY_MAX);
        assert!(interleave.sound.len() <= SOUND_MAX);
    }
}
