//! What does not come, or comes no more: picture, sound, or both.

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::Hold;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{Flow, Second};

/// Seconds for which one kind may be missing while the other comes. Encoders that begin send both
/// within one; a segment without pictures leaves players over HTTP waiting.
const MISSING_S: u32 = 4;
/// Seconds for which it must come again.
const BACK_S: u32 = 2;
/// Seconds for which nothing at all may come: networks stand still for two now and then.
const NOTHING_S: u32 = 4;

/// Picture or sound that is not there while the other is.
pub(super) struct Presence {
    video: bool,
    seen: bool,
    hold: Hold,
}

impl Presence {
    pub(super) fn video() -> Self {
        Self { video: true, seen: false, hold: Hold::new(MISSING_S, BACK_S) }
    }

    pub(super) fn audio() -> Self {
        Self { video: false, ..Self::video() }
    }

    fn words(&self) -> (&'static str, Severity, [&'static str; 3]) {
        match (self.video, self.seen) {
            (true, false) => (
                code::VIDEO_MISSING,
                Severity::Warning,
                [
                    "There is no picture, only sound",
                    "Viewers hear you and see nothing.",
                    "If you meant to send a picture: in OBS, see whether the preview shows one, then stop \
                 and start streaming. In ffmpeg: give it a video input, and no -vn.",
                ],
            ),
            (true, true) => (
                code::VIDEO_STOPPED,
                Severity::Problem,
                [
                    "The picture has stopped",
                    "Viewers hear you and see a picture that stands still, or the player waits.",
                    "In OBS: see whether the preview still moves, then stop and start streaming; if it \
                 comes back, choose another Video Encoder under Settings › Output. In ffmpeg: look at \
                 what it says about its video input.",
                ],
            ),
            (false, false) => (
                code::AUDIO_MISSING,
                Severity::Problem,
                [
                    "There is no sound, only a picture",
                    "Viewers see you and hear nothing.",
                    "In OBS: choose your microphone under Settings › Audio as Mic/Auxiliary Audio. In \
                 ffmpeg: give it an audio input and -c:a aac, and no -an.",
                ],
            ),
            (false, true) => (
                code::AUDIO_STOPPED,
                Severity::Problem,
                [
                    "The sound has stopped",
                    "Viewers see you and hear nothing any more, or the player waits.",
                    "In OBS: see whether your microphone is still plugged in and its bar in the Audio Mixer \
                 moves, then stop and start streaming. In ffmpeg: look at what it says about its audio \
                 input.",
                ],
            ),
        }
    }
}

impl Rule for Presence {
    fn second(&mut self, second: &Second) {
        let (own, other) = match self.video {
            true => (&second.video, &second.audio),
            false => (&second.audio, &second.video),
        };
        self.seen = own.seen;
        // Where the other is missing too, this is not about one of them.
        let bad = if own.count > 0 { Some(false) } else { (other.count > 0).then_some(true) };
        self.hold.observe(bad, second.at);
    }

    fn finding(&self) -> Option<Finding> {
        let (code, severity, words) = self.words();
        Some(Finding::new(code, severity, self.hold.since()?, words))
    }
}

/// A connection over which nothing comes.
pub(super) struct Nothing {
    hold: Hold,
}

impl Default for Nothing {
    fn default() -> Self {
        Self { hold: Hold::new(NOTHING_S, 1) }
    }
}

impl Rule for Nothing {
    fn second(&mut self, second: &Second) {
        let none = |flow: &Flow| flow.count == 0;
        self.hold.observe(Some(none(&second.video) && none(&second.audio)), second.at);
    }

    fn finding(&self) -> Option<Finding> {
        let since: UtcTime = self.hold.since()?;
        let words = [
            "Nothing arrives from your encoder",
            "The picture stands still and there is no sound.",
            "Look at your connection to the internet. In OBS: if the square at the bottom of the window \
             is red, stop and start streaming. In ffmpeg: see whether it still counts frames, and start \
             it again.",
        ];
        Some(Finding::new(code::NOTHING_ARRIVES, Severity::Problem, since, words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn second(n: u64, video: u32, audio: u32, seen: bool) -> Second {
        let mut second = testing::second(n);
        (second.video.count, second.audio.count) = (video, audio);
        (second.video.seen, second.audio.seen) = (video > 0 || seen, audio > 0 || seen);
        second
    }

    fn code(rule: &impl Rule) -> Option<&'static str> {
        rule.finding().map(|finding| finding.code)
    }

    #[test]
    fn what_never_came_and_what_stopped_are_told_apart() {
        for (mut rule, missing, stopped) in [
            (Presence::video(), code::VIDEO_MISSING, code::VIDEO_STOPPED),
            (Presence::audio(), code::AUDIO_MISSING, code::AUDIO_STOPPED),
        ] {
            let (own, other) = if rule.video { ((30, 0), (0, 47)) } else { ((0, 47), (30, 0)) };
            (1..4).for_each(|n| rule.second(&second(n, other.0, other.1, false)));
            assert_eq!(code(&rule), None);
            rule.second(&second(4, other.0, other.1, false));
            assert_eq!(code(&rule), Some(missing));
            (5..7).for_each(|n| rule.second(&second(n, own.0, own.1, true)));
            assert_eq!(code(&rule), None);
            (7..11).for_each(|n| rule.second(&second(n, other.0, other.1, true)));
            assert_eq!(code(&rule), Some(stopped));
        }
    }

    #[test]
    fn a_network_that_stands_still_is_not_blamed_on_picture_or_sound() {
        let (mut nothing, mut video) = (Nothing::default(), Presence::video());
        for n in 1..10 {
            nothing.second(&second(n, 0, 0, true));
            video.second(&second(n, 0, 0, true));
            assert_eq!(nothing.finding().is_some(), n >= 4, "second {n}");
            assert_eq!(video.finding(), None);
        }
        nothing.second(&second(10, 30, 0, true));
        assert_eq!(nothing.finding(), None);
    }
}
