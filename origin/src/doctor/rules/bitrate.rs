//! A bitrate that collapses: the network has less room than the encoder was set to.

use std::collections::VecDeque;

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::median;
use super::media_second::{MediaSeconds, Taken};
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::Picture;

/// Seconds that are looked at together, so that a keyframe more or less does not count.
const WINDOW_S: usize = 4;
/// Seconds by which it is known what is usual.
const USUAL_S: usize = 60;
/// As many at the least.
const USUAL_S_MIN: usize = 8;
/// Below this share of the usual bitrate it is told; above the other it is told no more.
const LOW: f64 = 0.4;
const HIGH: f64 = 0.6;
/// A picture that comes to rest needs little and is coded finely; one that is short of data is coded
/// more coarsely. Six steps of the quantizer are half the data; at this many it is told, at fewer it is
/// told no more.
const COARSER_MIN: f64 = 5.0;
const COARSER_GONE: f64 = 3.0;

/// Far less data in the picture, which looks the worse for it.
#[derive(Default)]
pub(super) struct Drop {
    seconds: MediaSeconds,
    window: VecDeque<Taken>,
    usual: VecDeque<Taken>,
    low: Option<Low>,
}

struct Low {
    since: UtcTime,
    usual_kbps: f64,
    usual_quantizer: f64,
    kbps: f64,
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
        let kbps = kbps(&sum) / self.window.len() as f64;
        // Without it nothing is certain, and what was said stands.
        let Some(quantizer) = sum.quantizer() else { return };
        match &mut self.low {
            Some(low) => {
                low.kbps = kbps;
                let recovered = kbps > HIGH * low.usual_kbps;
                if recovered || quantizer < low.usual_quantizer + COARSER_GONE {
                    self.low = None;
                }
            }
            None => {
                let Some((usual_kbps, usual_quantizer)) = self.usually() else { return };
                if kbps < LOW * usual_kbps && quantizer >= usual_quantizer + COARSER_MIN {
                    self.low = Some(Low { since: at, usual_kbps, usual_quantizer, kbps });
                }
            }
        }
    }

    /// The usual bitrate, and how coarsely pictures are usually coded.
    fn usually(&self) -> Option<(f64, f64)> {
        if self.usual.len() < USUAL_S_MIN {
            return None;
        }
        let mut sorted = [0.0; USUAL_S];
        let mut count = 0;
        for (slot, taken) in sorted.iter_mut().zip(&self.usual) {
            *slot = kbps(taken);
            count += 1;
        }
        let usual_kbps = median(&mut sorted[..count])?;
        count = 0;
        for quantizer in self.usual.iter().filter_map(Taken::quantizer) {
            sorted[count] = quantizer;
            count += 1;
        }
        Some((usual_kbps, median(&mut sorted[..count])?))
    }
}

fn kbps(taken: &Taken) -> f64 {
    taken.bytes as f64 * 8.0 / 1_000.0
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
        let low = self.low.as_ref()?;
        let (usual, now) = (low.usual_kbps.round(), low.kbps.round());
        let title = format!("Your video has dropped from {usual} to {now} kbit/s");
        let detail = "Viewers see a blurred or blocky picture; small writing cannot be read.";
        let remedy = "Your connection to the internet has become too slow for what you send. Use a \
            cable instead of Wi-Fi, and stop other uploads. In OBS: set a Bitrate under Settings › \
            Output that your connection carries all the time. In ffmpeg: a smaller -b:v and -maxrate.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::BITRATE_DROP, Severity::Warning, low.since, words);
        Some(finding.with("usual_kbps", usual).with("kbps", now))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Stream;
    use super::*;

    fn coded(picture: Picture, bytes: usize, quantizer: i32) -> Picture {
        Picture { bytes, quantizer: Some(quantizer), ..picture }
    }

    #[test]
    fn less_data_and_coarser_pictures_are_named_and_their_end_noticed() {
        let mut rule = Drop::default();
        let mut good = Stream::at(30).seconds(20);
        good = good.pictures(|picture| rule.picture(&coded(picture, 10_000, 24)));
        let mut bad = good.seconds(7);
        bad = bad.pictures(|picture| rule.picture(&coded(picture, 1_500, 36)));
        let finding = rule.finding().expect("found");
        assert!(finding.title.contains("from 2400 to 360"), "{}", finding.title);
        bad.seconds(6).pictures(|picture| rule.picture(&coded(picture, 9_000, 25)));
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn a_picture_at_rest_needs_little_and_lacks_nothing() {
        let mut rule = Drop::default();
        let stream = Stream::at(30).seconds(20);
        let stream = stream.pictures(|picture| rule.picture(&coded(picture, 10_000, 24)));
        stream.seconds(30).pictures(|picture| rule.picture(&coded(picture, 300, 20)));
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn where_it_is_not_known_how_coarse_pictures_are_nothing_is_said() {
        let mut rule = Drop::default();
        let stream = Stream::at(30).seconds(20).pictures(|picture| rule.picture(&picture));
        stream.seconds(20).pictures(|picture| rule.picture(&Picture { bytes: 1, ..picture }));
        assert_eq!(rule.finding(), None);
    }
}
