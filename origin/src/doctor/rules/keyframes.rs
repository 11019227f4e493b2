//! Keyframes: how far apart they are, and how evenly they come.

use std::collections::VecDeque;

use lectern_relay_proto::UtcTime;

use super::Rule;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::Picture;

/// Keyframes further apart than this are told of. Four seconds do no harm that was measured, and
/// half a second more is an encoder's idea of four. OBS left alone makes one every 8.3 s.
const APART_MS_MAX: u32 = 4_500;
/// Beyond this a segment, which holds ten seconds at the most, has no keyframe to begin with.
const SEGMENT_MS_MAX: u32 = 10_000;
/// So many intervals on end that are short enough: it was changed, and was no chance.
const NEAR_IN_A_ROW: u32 = 3;
/// Where no picture comes for longer, the encoder stood still, and its keyframes are not to blame.
const STEP_MS_MAX: i64 = 1_000;
/// Intervals that are compared.
const COMPARED: usize = 5;
/// An interval is odd if it differs from the mean by more than this share of it, and by more than
/// the longest time without a picture: a keyframe can come only with one.
const ODD_SHARE: f64 = 0.25;
/// Of those compared so many must be odd. A change of scene makes one or two.
const ODD_MIN: usize = 3;
/// Intervals shorter than this may be as odd as they like: nobody waits for a keyframe then.
const SHORT_MS: u32 = 1_000;

const REMEDY: &str = "In OBS: Settings › Output, set Output Mode to Advanced, and Keyframe Interval to \
    2 s. Then stop and start streaming. In ffmpeg, at 30 frames a second: -g 60.";

/// Measures from keyframe to keyframe.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Interval {
    /// The last keyframe, and the last picture.
    at_ms: Option<(i64, i64)>,
    /// Time since the last keyframe in which pictures came.
    coded_ms: u32,
    /// The longest time since then without a picture, and that before the last keyframe.
    step_ms: (u32, u32),
    /// The last one, whatever came in it.
    pub last_ms: Option<u32>,
    /// The longest one, whatever came in it.
    pub longest_ms: Option<u32>,
}

impl Interval {
    /// Takes the next picture; at a keyframe, the time in which pictures came since the one before.
    pub(in crate::doctor) fn picture(&mut self, picture: &Picture) -> Option<u32> {
        let now_ms = picture.at.media_ms;
        if let Some((_, before_ms)) = self.at_ms {
            let step = (now_ms - before_ms).clamp(0, STEP_MS_MAX);
            self.coded_ms = self.coded_ms.saturating_add(step as u32);
            self.step_ms.0 = self.step_ms.0.max(step as u32);
        }
        let Some((keyframe_ms, _)) = self.at_ms.filter(|_| !picture.keyframe) else {
            let before = self.at_ms.replace((now_ms, now_ms));
            let coded_ms = std::mem::take(&mut self.coded_ms);
            self.step_ms = (0, self.step_ms.0);
            return before.map(|(keyframe_ms, _)| {
                let whole = u32::try_from(now_ms - keyframe_ms).unwrap_or(0);
                self.last_ms = Some(whole);
                self.longest_ms = self.longest_ms.max(Some(whole));
                coded_ms
            });
        };
        self.at_ms = Some((keyframe_ms, now_ms));
        None
    }
}

/// Keyframes too far apart.
#[derive(Default)]
pub(super) struct Far {
    interval: Interval,
    /// The longest of late, in milliseconds.
    apart_ms: u32,
    near: u32,
    since: Option<UtcTime>,
}

impl Rule for Far {
    fn picture(&mut self, picture: &Picture) {
        let ended_ms = self.interval.picture(picture);
        let so_far_ms = ended_ms.unwrap_or(self.interval.coded_ms);
        if so_far_ms > APART_MS_MAX {
            self.since.get_or_insert(picture.at.arrived);
            self.near = 0;
            // What the last one was is said until the present one is longer.
            self.apart_ms =
                if ended_ms.is_some() { so_far_ms } else { self.apart_ms.max(so_far_ms) };
        } else if ended_ms.is_some() {
            self.near += 1;
            if self.near >= NEAR_IN_A_ROW {
                (self.since, self.apart_ms) = (None, 0);
            }
        }
    }

    fn finding(&self) -> Option<Finding> {
        let seconds = (f64::from(self.apart_ms) / 1_000.0).round();
        let too_far = self.apart_ms > SEGMENT_MS_MAX;
        let severity = if too_far { Severity::Problem } else { Severity::Warning };
        let title = format!("Your keyframes come only every {seconds} seconds");
        let detail = "Viewers wait longer for the first picture when they join or go back, and when a \
            piece of the picture is lost on the way, it stays broken for up to as long.";
        let finding =
            Finding::new(code::KEYFRAMES_FAR, severity, self.since?, [&title, detail, REMEDY]);
        Some(finding.with("seconds", seconds))
    }
}

/// Keyframes at uneven intervals.
#[derive(Default)]
pub(super) struct Irregular {
    interval: Interval,
    last_ms: VecDeque<u32>,
    /// The longest times without a picture in them.
    steps_ms: VecDeque<u32>,
    /// Intervals on end among which few are odd.
    even: usize,
    since: Option<UtcTime>,
}

impl Irregular {
    fn are_uneven(&self) -> bool {
        let mean = self.last_ms.iter().copied().map(f64::from).sum::<f64>() / COMPARED as f64;
        let gap = f64::from(self.steps_ms.iter().copied().max().unwrap_or(0));
        let is_odd = |ms: &&u32| (f64::from(**ms) - mean).abs() > gap.max(ODD_SHARE * mean);
        let longest = self.last_ms.iter().max().is_some_and(|ms| *ms > SHORT_MS);
        self.last_ms.len() == COMPARED
            && longest
            && self.last_ms.iter().filter(is_odd).count() >= ODD_MIN
    }

    fn bounds_s(&self) -> (f64, f64) {
        let seconds =
            |ms: Option<&u32>| (ms.map_or(0.0, |ms| f64::from(*ms)) / 100.0).round() / 10.0;
        (seconds(self.last_ms.iter().min()), seconds(self.last_ms.iter().max()))
    }
}

impl Rule for Irregular {
    fn picture(&mut self, picture: &Picture) {
        let Some(ended_ms) = self.interval.picture(picture) else { return };
        if ended_ms > APART_MS_MAX {
            // Told by the other rule; once it is mended, the long ones make no unevenness.
            (self.last_ms, self.steps_ms) = Default::default();
            return;
        }
        if self.last_ms.len() == COMPARED {
            self.last_ms.pop_front();
            self.steps_ms.pop_front();
        }
        self.last_ms.push_back(ended_ms);
        self.steps_ms.push_back(self.interval.step_ms.1);
        if self.are_uneven() {
            self.since.get_or_insert(picture.at.arrived);
            self.even = 0;
        } else {
            self.even += 1;
            if self.even >= COMPARED {
                self.since = None;
            }
        }
    }

    fn finding(&self) -> Option<Finding> {
        let since = self.since?;
        let (shortest, longest) = self.bounds_s();
        let title = format!("Your keyframes come unevenly, every {shortest} to {longest} seconds");
        let detail = "Each extra keyframe is a lump of data that makes the picture stutter on slow \
            connections. Viewers who watch over HTTP may see the comments late.";
        let remedy = "In OBS: Settings › Output, set Output Mode to Advanced, and Keyframe Interval to \
            2 s; with the x264 encoder write scenecut=0 into x264 Options. Then stop and start \
            streaming. In ffmpeg, at 30 frames a second: -g 60 -sc_threshold 0.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::KEYFRAMES_IRREGULAR, Severity::Hint, since, words);
        Some(finding.with("shortest_seconds", shortest).with("longest_seconds", longest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stream, picture};
    use super::*;

    fn with_keyframes<R: Rule>(rule: &mut R, from_s: i64, intervals_ms: &[i64]) {
        let mut at = from_s * 1_000;
        for interval in intervals_ms {
            for ms in (0..*interval).step_by(40) {
                rule.picture(&picture(at + ms, ms == 0));
            }
            at += interval;
        }
    }

    #[test]
    fn keyframes_that_obs_sets_by_itself_are_named_before_the_second_comes() {
        let mut rule = Far::default();
        with_keyframes(&mut rule, 0, &[4_480]);
        assert_eq!(rule.finding(), None);
        with_keyframes(&mut rule, 10, &[5_000]);
        let finding = rule.finding().expect("found");
        assert_eq!((finding.code, finding.severity), (code::KEYFRAMES_FAR, Severity::Warning));
        with_keyframes(&mut rule, 20, &[12_000]);
        assert_eq!(rule.finding().expect("found").severity, Severity::Problem);
        with_keyframes(&mut rule, 32, &[2_000; 3]);
        assert!(rule.finding().is_some());
        with_keyframes(&mut rule, 38, &[2_000; 2]);
        assert_eq!(rule.finding(), None, "three short ones on end");
    }

    #[test]
    fn an_encoder_that_stood_still_is_not_blamed_for_its_keyframes() {
        let mut rule = Far::default();
        with_keyframes(&mut rule, 0, &[2_000, 1_000]);
        for ms in (7_000..8_000).step_by(40) {
            rule.picture(&picture(ms, false));
        }
        rule.picture(&picture(8_000, true));
        assert_eq!(rule.finding(), None);
        assert_eq!(rule.interval.last_ms, Some(6_000), "and still the figures have it");
    }

    #[test]
    fn uneven_keyframes_are_told_from_a_change_of_scene() {
        let mut rule = Irregular::default();
        with_keyframes(&mut rule, 0, &[2_000, 2_000, 600, 2_000, 2_000, 2_000, 2_000, 840, 2_000]);
        assert_eq!(rule.finding(), None);
        with_keyframes(&mut rule, 100, &[1_000, 3_000, 400, 2_600, 1_200, 3_000]);
        let finding = rule.finding().expect("found");
        assert_eq!(finding.severity, Severity::Hint);
        with_keyframes(&mut rule, 200, &[2_000; 12]);
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn a_keyframe_with_every_change_in_quick_succession_is_even_enough() {
        let mut rule = Irregular::default();
        with_keyframes(&mut rule, 0, &[200, 800, 400, 160, 1_000, 320, 200]);
        assert_eq!(rule.finding(), None);
        Stream::at(30).seconds(60).pictures(|picture| rule.picture(&picture));
        assert_eq!(rule.finding(), None);
    }
}
