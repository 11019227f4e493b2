//! Sound that cannot be heard, and sound that hurts.

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::{Hold, Recent};
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::Second;
use crate::transcode::Level;

/// -60 dBFS: the quietest room is louder through an open microphone.
const SILENT_PEAK_MAX: f32 = 0.001;
/// Who thinks, or shows something, is quiet for some seconds; noise gates then send true silence.
const SILENT_S: u32 = 8;
/// After this long it is no pause any more.
const LONG_SILENT_S: u32 = 60;

/// Sound in which nothing is to be heard.
pub(super) struct Silent {
    hold: Hold,
    /// In this second: whether there was any level, and any that is to be heard.
    measured: bool,
    heard: bool,
    ever_heard: bool,
    silent_s: u32,
}

impl Default for Silent {
    fn default() -> Self {
        let hold = Hold::new(SILENT_S, 1);
        Self { hold, measured: false, heard: false, ever_heard: false, silent_s: 0 }
    }
}

impl Rule for Silent {
    fn level(&mut self, level: &Level) {
        self.measured = true;
        self.heard |= level.peak > SILENT_PEAK_MAX;
    }

    fn second(&mut self, second: &Second) {
        let silent = self.measured.then_some(!self.heard);
        self.ever_heard |= self.heard;
        match silent {
            Some(true) => self.silent_s += 1,
            Some(false) => self.silent_s = 0,
            None => {}
        }
        self.hold.observe(silent, second.at);
        (self.measured, self.heard) = (false, false);
    }

    fn finding(&self) -> Option<Finding> {
        let since = self.hold.since()?;
        let pause = self.ever_heard && self.silent_s < LONG_SILENT_S;
        let severity = if pause { Severity::Warning } else { Severity::Problem };
        let words = [
            "Your sound is silent",
            "Viewers hear nothing at all, not even the room.",
            "See whether your microphone is switched on. In OBS: in the Audio Mixer its bar must move \
             when you speak, and the loudspeaker beside it must not be red (muted); choose the right \
             microphone under Settings › Audio. In ffmpeg: look at the audio input.",
        ];
        Some(Finding::new(code::AUDIO_SILENT, severity, since, words))
    }
}

/// A tenth of a second counts as cut off if this share of its samples stands at full scale. A voice
/// that just reaches it does so with one sample in a thousand; one that is 12 dB too loud, with one
/// in ten.
const CLIPPED_SHARE: f32 = 0.02;
/// So many tenths make a bad second: loud syllables, not one knock on the desk.
const CLIPPED_TENTHS: u32 = 2;
/// So many bad seconds of the last ones.
const BAD_S: u32 = 3;
const OF_S: u32 = 8;
/// Without any for this long it is over.
const GOOD_S: u32 = 10;

/// Sound that is cut off at full scale.
#[derive(Default)]
pub(super) struct Clipping {
    tenths: u32,
    recent: Recent,
    since: Option<UtcTime>,
}

impl Rule for Clipping {
    fn level(&mut self, level: &Level) {
        self.tenths += u32::from(level.clipped >= CLIPPED_SHARE);
    }

    fn second(&mut self, second: &Second) {
        self.recent.push(std::mem::take(&mut self.tenths) >= CLIPPED_TENTHS);
        if self.recent.count(OF_S) >= BAD_S {
            self.since.get_or_insert(second.at);
        } else if self.recent.count(GOOD_S) == 0 {
            self.since = None;
        }
    }

    fn finding(&self) -> Option<Finding> {
        let words = [
            "Your sound is too loud and distorts",
            "Viewers hear crackling and a harsh voice.",
            "Turn the microphone down where it comes into the computer (the gain at the microphone or \
             mixer, or the volume in the system's settings). In OBS: draw the slider in the Audio Mixer \
             to the left until the bar no longer reaches the red when you speak. In ffmpeg: \
             -af volume=-10dB, if the sound is not distorted before that.",
        ];
        Some(Finding::new(code::AUDIO_CLIPPING, Severity::Warning, self.since?, words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::second;
    use super::*;

    const SPEECH: Level = Level { peak: 0.4, rms: 0.1, clipped: 0.0 };
    const SILENCE: Level = Level { peak: 0.0, rms: 0.0, clipped: 0.0 };
    const CLIPPED: Level = Level { peak: 1.0, rms: 0.6, clipped: 0.05 };

    fn hear<R: Rule>(rule: &mut R, seconds: std::ops::Range<u64>, tenths: &[Level]) {
        for n in seconds {
            tenths.iter().for_each(|level| rule.level(level));
            rule.second(&second(n));
        }
    }

    #[test]
    fn silence_is_named_once_it_is_no_pause_for_breath() {
        let mut rule = Silent::default();
        hear(&mut rule, 0..5, &[SPEECH]);
        hear(&mut rule, 5..12, &[SILENCE]);
        assert_eq!(rule.finding(), None);
        hear(&mut rule, 12..13, &[SILENCE]);
        let finding = rule.finding().expect("found");
        assert_eq!((finding.code, finding.severity), (code::AUDIO_SILENT, Severity::Warning));
        hear(&mut rule, 13..70, &[SILENCE]);
        assert_eq!(rule.finding().expect("found").severity, Severity::Problem);
        hear(&mut rule, 70..71, &[SPEECH]);
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn a_microphone_that_was_never_on_is_a_problem_at_once() {
        let mut rule = Silent::default();
        hear(&mut rule, 0..8, &[SILENCE]);
        assert_eq!(rule.finding().expect("found").severity, Severity::Problem);
    }

    #[test]
    fn sound_that_is_not_decoded_is_not_called_silent() {
        let mut rule = Silent::default();
        hear(&mut rule, 0..30, &[]);
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn clipping_is_named_and_its_end_noticed() {
        let mut rule = Clipping::default();
        hear(&mut rule, 0..2, &[CLIPPED, CLIPPED, SPEECH]);
        hear(&mut rule, 2..9, &[SPEECH, CLIPPED, SPEECH]);
        assert_eq!(rule.finding(), None, "two seconds, then a knock in each");
        hear(&mut rule, 9..12, &[CLIPPED, SPEECH, CLIPPED]);
        assert_eq!(rule.finding().expect("found").code, code::AUDIO_CLIPPING);
        hear(&mut rule, 12..22, &[SPEECH]);
        assert_eq!(rule.finding(), None);
    }
}
