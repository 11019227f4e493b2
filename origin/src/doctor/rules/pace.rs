//! Whether media comes as fast as time passes: slower, and viewers fall behind; faster, and it is not
//! live.

use std::collections::VecDeque;

use lectern_relay_proto::UtcTime;

use super::Rule;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{Moment, Picture, Second, Sound};
use crate::take::LEAD_MAX;

/// Seconds of which the timeliest is taken, so that bursts do not count.
const BLOCK_S: u32 = 2;
/// From block to block so much later, or earlier: three in a hundred.
const STEP_MS: i64 = 60;
/// So many steps on end. A stall that is made up for takes one up, and then down.
const STEPS: usize = 3;
/// So many blocks on end that are not a step further than all of those before: it is over.
const STEADY_BLOCKS: u32 = 2;
/// An encoder that has just begun is late with its first pictures and then catches up.
const START_S: u64 = 4;
/// Media that is not this much earlier than when the take began only catches up.
const EARLIER_MS: i64 = 150;
/// So far ahead of its first tag there is no doubt. The take gives up at [`LEAD_MAX`].
const LEAD_MS: i64 = LEAD_MAX.as_millis() as i64 - 2_000;

/// Media that falls behind the wall clock or runs ahead of it.
#[derive(Default)]
pub(super) struct Pace {
    /// The timeliest of the block, and the seconds in it.
    block: Option<i64>,
    seconds: u32,
    /// The timeliest of the last blocks, oldest first.
    blocks: VecDeque<i64>,
    /// The timeliest of the start.
    start: Option<i64>,
    first_lag_ms: Option<i64>,
    steady: u32,
    found: Option<(UtcTime, Way)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Slow,
    Fast,
}

impl Pace {
    fn moment(&mut self, at: &Moment) {
        let first = *self.first_lag_ms.get_or_insert(at.lag_ms);
        self.block = Some(self.block.map_or(at.lag_ms, |least| least.min(at.lag_ms)));
        if first - at.lag_ms > LEAD_MS {
            self.find(Way::Fast, at.arrived);
        }
    }

    fn find(&mut self, way: Way, at: UtcTime) {
        self.steady = 0;
        if self.found.is_none_or(|(_, before)| before != way) {
            self.found = Some((at, way));
        }
    }

    fn end_block(&mut self, least: i64, at: UtcTime) {
        if self.blocks.len() > STEPS {
            self.blocks.pop_front();
        }
        self.blocks.push_back(least);
        let steps = || self.blocks.iter().zip(self.blocks.iter().skip(1)).map(|(a, b)| b - a);
        let enough = self.blocks.len() > STEPS;
        let earlier = self.start.is_some_and(|start| least < start - EARLIER_MS);
        if enough && steps().all(|step| step >= STEP_MS) {
            self.find(Way::Slow, at);
        } else if enough && earlier && steps().all(|step| step <= -STEP_MS) {
            self.find(Way::Fast, at);
        } else if let (Some((_, way)), Some(oldest)) = (self.found, self.blocks.front()) {
            let further = match way {
                Way::Slow => least - oldest,
                Way::Fast => oldest - least,
            };
            self.steady = if further < STEP_MS { self.steady + 1 } else { 0 };
            self.found.take_if(|_| self.steady >= STEADY_BLOCKS);
        }
    }
}

impl Rule for Pace {
    fn picture(&mut self, picture: &Picture) {
        self.moment(&picture.at);
    }

    fn sound(&mut self, sound: &Sound) {
        self.moment(&sound.at);
    }

    fn second(&mut self, second: &Second) {
        if second.age.as_secs() <= START_S {
            self.start = self.start.min(self.block).or(self.block);
            self.block = None;
            return;
        }
        self.seconds += 1;
        if self.seconds >= BLOCK_S
            && let Some(least) = self.block.take()
        {
            self.seconds = 0;
            self.end_block(least, second.at);
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (since, way) = self.found?;
        let (code, words) = match way {
            Way::Slow => (
                code::ENCODER_SLOW,
                [
                    "Your stream falls further and further behind",
                    "Viewers see you later and later, and every now and then the picture jumps.",
                    "Your computer or your connection to the internet is too slow for what you send. In \
                 OBS: look at View › Stats. If frames are lost to encoding, choose a hardware encoder or, \
                 with x264, the CPU Usage Preset ultrafast under Settings › Output; if to the network, \
                 set a lower Bitrate there, and use a cable instead of Wi-Fi. In ffmpeg: -preset \
                 ultrafast, or a smaller -s and -b:v, until it says speed=1x.",
                ],
            ),
            Way::Fast => (
                code::ENCODER_FAST,
                [
                    "Your stream runs faster than time",
                    "Viewers see the picture stutter, and the connection is closed when it is too far ahead.",
                    "In OBS: stop and start streaming; if it comes back, set the same sample rate, best 48 \
                 kHz, for the microphone and under Settings › Audio. In ffmpeg: put -re before the input \
                 if it is a file.",
                ],
            ),
        };
        Some(Finding::new(code, Severity::Problem, since, words))
    }

    fn outlives_take(&self) -> bool {
        self.found.is_some_and(|(_, way)| way == Way::Fast)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{picture, second};
    use super::*;

    /// Seconds of media that come so late.
    fn run(rule: &mut Pace, seconds: std::ops::Range<u64>, lag_ms: impl Fn(u64) -> i64) {
        for n in seconds {
            for part in 0..10 {
                let ms = n * 1_000 + part * 100;
                let mut picture = picture(ms.cast_signed(), false);
                picture.at.lag_ms = lag_ms(ms);
                rule.picture(&picture);
            }
            rule.second(&second(n + 1));
        }
    }

    fn code(rule: &Pace) -> Option<&'static str> {
        rule.finding().map(|finding| finding.code)
    }

    #[test]
    fn media_that_falls_behind_is_named_within_ten_seconds() {
        let mut rule = Pace::default();
        run(&mut rule, 0..20, |_| 5);
        let slower = |ms: u64| (ms.cast_signed() - 20_000) / 20;
        run(&mut rule, 20..30, slower);
        assert_eq!(code(&rule), Some(code::ENCODER_SLOW));
        assert!(!rule.outlives_take());
        run(&mut rule, 30..50, |_| 500);
        assert_eq!(code(&rule), None);
    }

    #[test]
    fn media_that_runs_ahead_is_named_within_ten_seconds() {
        let mut rule = Pace::default();
        run(&mut rule, 0..20, |_| 5);
        run(&mut rule, 20..30, |ms| (20_000 - ms.cast_signed()) / 20);
        assert_eq!(code(&rule), Some(code::ENCODER_FAST));
        assert!(rule.outlives_take());
    }

    #[test]
    fn a_file_read_at_once_is_named_before_a_second_is_over() {
        let mut rule = Pace::default();
        for ms in (0..9_000).step_by(33) {
            let mut picture = picture(ms, false);
            picture.at.lag_ms = -ms;
            rule.picture(&picture);
        }
        assert_eq!(code(&rule), Some(code::ENCODER_FAST));
    }

    #[test]
    fn stalls_late_starts_and_bursts_are_none_of_it() {
        let mut rule = Pace::default();
        run(&mut rule, 0..10, |ms| 2_000 - (ms.min(6_000) / 3).cast_signed());
        run(&mut rule, 10..40, |ms| if ms % 7_000 < 1_000 { 1_500 } else { 3 });
        run(&mut rule, 40..60, |_| 4_000);
        assert_eq!(rule.finding(), None);
    }
}
