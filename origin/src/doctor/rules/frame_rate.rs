//! A frame rate that collapses: the computer has more to do than it can.

use std::collections::VecDeque;

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::median;
use super::media_second::{MediaSeconds, Taken};
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::Picture;

/// Seconds on end that must be low: fewer, and one hiccup is a collapse; more, and the host learns of
/// it late.
const WINDOW_S: usize = 3;
/// Seconds by which it is known what is usual.
const USUAL_S: usize = 60;
/// As many at the least.
const USUAL_S_MIN: usize = 8;
/// Below this share of the usual rate it is told; above the other it is told no more.
const LOW: f64 = 0.5;
const HIGH: f64 = 0.7;
/// A rate is steady if so many of the usual seconds come within so much of the median. A capture with a
/// variable rate sends a picture when there is something new: that it sends few is no fault.
const STEADY_SHARE: f64 = 0.8;
const STEADY_WITHIN: f64 = 0.15;
/// Where pictures became few because little moves, those that come are small. They must have this
/// share of the usual size.
const SIZE_SHARE: f64 = 0.5;

/// Pictures a second far below what they were.
#[derive(Default)]
pub(super) struct Drop {
    seconds: MediaSeconds,
    window: VecDeque<Taken>,
    usual: VecDeque<Taken>,
    /// Since when, the usual rate, and the present one.
    low: Option<(UtcTime, f64, f64)>,
}

impl Drop {
    fn second(&mut self, taken: Taken, at: UtcTime) {
        if self.window.len() == WINDOW_S
            && let Some(oldest) = self.window.pop_front()
            && self.low.is_none()
        {
            if self.usual.len() == USUAL_S {
                self.usual.pop_front();
            }
            self.usual.push_back(oldest);
        }
        self.window.push_back(taken);
        let mut sum = Taken::default();
        self.window.iter().for_each(|taken| sum.add(taken));
        let rate = f64::from(sum.pictures) / self.window.len() as f64;
        match &mut self.low {
            Some((_, usual, _)) if rate > HIGH * *usual => self.low = None,
            Some((_, _, now)) => *now = rate,
            None => {
                let Some(usual) = self.usual_rate() else { return };
                let is_low =
                    |taken: &Taken| taken.pictures > 0 && f64::from(taken.pictures) < LOW * usual;
                let full = self.window.len() == WINDOW_S;
                if full && self.window.iter().all(is_low) && self.are_whole(&sum) {
                    self.low = Some((at, usual, rate));
                }
            }
        }
    }

    /// The rate that is usual, if it is steady.
    fn usual_rate(&self) -> Option<f64> {
        let mut sorted = [0.0; USUAL_S];
        let sorted = &mut sorted[..self.usual.len()];
        for (rate, taken) in sorted.iter_mut().zip(&self.usual) {
            *rate = f64::from(taken.pictures);
        }
        let usual = median(sorted).filter(|_| sorted.len() >= USUAL_S_MIN)?;
        let near = sorted.iter().filter(|rate| (**rate - usual).abs() <= STEADY_WITHIN * usual);
        (near.count() as f64 >= STEADY_SHARE * sorted.len() as f64).then_some(usual)
    }

    /// Whether pictures are about as large as usual: something moves in them.
    fn are_whole(&self, window: &Taken) -> bool {
        let mut usual = Taken::default();
        self.usual.iter().for_each(|taken| usual.add(taken));
        let size = |taken: &Taken| taken.bytes as f64 / f64::from(taken.pictures.max(1));
        size(window) >= SIZE_SHARE * size(&usual)
    }
}

impl Rule for Drop {
    fn picture(&mut self, picture: &Picture) {
        let Some((taken, empty)) = self.seconds.push(picture) else { return };
        self.second(taken, picture.at.arrived);
        for _ in 0..empty.min(WINDOW_S as u32) {
            self.second(Taken::default(), picture.at.arrived);
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (since, usual, now) = self.low?;
        let (usual, now) = (usual.round(), now.round());
        let title = format!("Your video has dropped from {usual} to {now} frames a second");
        let detail = "Viewers see the picture stutter; what you say goes on.";
        let remedy = "Your computer has too much to do. Close other programs. In OBS: look at View › \
            Stats; under Settings › Video choose a smaller Output (Scaled) Resolution or 30 FPS, and \
            under Settings › Output a hardware encoder or, with x264, the CPU Usage Preset ultrafast. \
            In ffmpeg: -preset ultrafast or a smaller -s.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::FRAME_RATE_DROP, Severity::Warning, since, words);
        Some(finding.with("usual_fps", usual).with("fps", now))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stream;
    use super::*;

    #[test]
    fn a_collapse_is_named_and_its_end_noticed() {
        let mut rule = Drop::default();
        let mut stream = Stream::at(30).seconds(20).pictures(|picture| rule.picture(&picture));
        assert_eq!(rule.finding(), None);
        stream = stream.then_at(8).seconds(6).pictures(|picture| rule.picture(&picture));
        let finding = rule.finding().expect("found");
        assert!(finding.title.contains("from 30 to 8"), "{}", finding.title);
        stream.then_at(30).seconds(6).pictures(|picture| rule.picture(&picture));
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn a_variable_rate_is_no_collapse() {
        let mut rule = Drop::default();
        let mut stream = Stream::at(30);
        for fps in [30, 12, 25, 5, 30, 8, 14, 30, 6, 4, 28].into_iter().cycle().take(66) {
            stream = stream.then_at(fps).seconds(2).pictures(|picture| rule.picture(&picture));
            assert_eq!(rule.finding(), None);
        }
    }

    #[test]
    fn a_picture_that_comes_to_rest_is_no_collapse() {
        let mut rule = Drop::default();
        let stream = Stream::at(30).seconds(30).pictures(|picture| rule.picture(&picture));
        stream.then_at(5).seconds(20).pictures(|picture| {
            rule.picture(&Picture { bytes: picture.bytes / 10, ..picture });
        });
        assert_eq!(rule.finding(), None);
    }
}
