//! How picture and sound are coded: what viewers' devices do not play, or not all of them.

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::Hold;
use crate::doctor::code;
use crate::doctor::figures;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{AudioFormat, Second, VideoFormat};

/// `profile_idc` that every browser plays: Baseline, Main, High.
const PROFILES_PLAYED: [u8; 3] = [66, 77, 100];
/// 1080p, whose lines are coded in whole macroblocks, upright or not: what phones decode in hardware.
const PIXELS_MAX: u32 = 1920 * 1088;
/// 60 frames a second, counted in seconds that do not begin with a picture.
const FRAME_RATE_MAX: u32 = 62;
/// The most that can be heard over WebRTC.
const CHANNELS_MAX: u8 = 2;

/// An H.264 profile that browsers do not play.
#[derive(Default)]
pub(super) struct Profile(Option<(UtcTime, &'static str)>);

impl Rule for Profile {
    fn video_format(&mut self, format: &VideoFormat) {
        let sets = &format.parameters;
        let played = PROFILES_PLAYED.contains(&sets.profile);
        self.0 = (!played).then(|| (format.at, figures::profile(sets.profile, sets.compatibility)));
    }

    fn finding(&self) -> Option<Finding> {
        let (since, profile) = self.0?;
        let title = format!("Your video's H.264 profile, {profile}, cannot be played everywhere");
        let detail = "Most viewers hear you and see nothing: browsers and phones play the profiles \
            Baseline, Main and High only.";
        let remedy = "In OBS: Settings › Output, set Output Mode to Advanced, and Profile to high; and \
            Settings › Advanced, set Color Format to NV12. Then stop and start streaming. In ffmpeg: \
            -pix_fmt yuv420p -profile:v high.";
        let finding =
            Finding::new(code::VIDEO_PROFILE, Severity::Problem, since, [&title, detail, remedy]);
        Some(finding.with_text("profile", profile))
    }
}

/// Interlaced video.
#[derive(Default)]
pub(super) struct Interlaced(Option<UtcTime>);

impl Rule for Interlaced {
    fn video_format(&mut self, format: &VideoFormat) {
        self.0 = format.parameters.interlaced.then_some(format.at);
    }

    fn finding(&self) -> Option<Finding> {
        let words = [
            "Your video is interlaced",
            "Some viewers see combs at the edges of whatever moves, others no picture at all: browsers \
             and phones are made for whole pictures.",
            "Set the camera or capture device to a progressive format, such as 1080p instead of 1080i. \
             In OBS: right-click the source, Deinterlacing › Yadif. In ffmpeg: -vf yadif, and no \
             -flags +ilme+ildct. In a hardware encoder: set it to progressive.",
        ];
        Some(Finding::new(code::VIDEO_INTERLACED, Severity::Warning, self.0?, words))
    }
}

/// More than phones play.
pub(super) struct BeyondPhones {
    /// Since when the picture is too large, and its size.
    size: Option<(UtcTime, u32, u32)>,
    fast: Hold,
    fps: u32,
}

impl Default for BeyondPhones {
    fn default() -> Self {
        Self { size: None, fast: Hold::new(5, 5), fps: 0 }
    }
}

impl Rule for BeyondPhones {
    fn video_format(&mut self, format: &VideoFormat) {
        let sets = &format.parameters;
        let large = sets.width.saturating_mul(sets.height) > PIXELS_MAX;
        self.size = large.then_some((format.at, sets.width, sets.height));
    }

    fn second(&mut self, second: &Second) {
        self.fps = second.video.count;
        self.fast.observe(Some(self.fps > FRAME_RATE_MAX), second.at);
    }

    fn finding(&self) -> Option<Finding> {
        let detail = "Phones and older computers may stutter, grow hot, or show no picture.";
        let remedy = "In OBS: Settings › Video, set Output (Scaled) Resolution to 1920x1080 or less, and \
            Common FPS Values to 30 or 60. In ffmpeg: -s 1920x1080 -r 30.";
        let (since, title) = match (self.size, self.fast.since()) {
            (Some((since, width, height)), _) => {
                (since, format!("Your picture, {width}x{height}, is larger than phones can play"))
            }
            (None, Some(since)) => (
                since,
                format!(
                    "Your video, at {} frames a second, is faster than phones can play",
                    self.fps
                ),
            ),
            (None, None) => return None,
        };
        let words = [title.as_str(), detail, remedy];
        let mut finding = Finding::new(code::VIDEO_BEYOND_PHONES, Severity::Hint, since, words);
        if let Some((_, width, height)) = self.size {
            finding = finding.with("width", width.into()).with("height", height.into());
        }
        Some(finding.with("fps", self.fps.into()))
    }
}

/// HE-AAC, of which viewers hear only the core.
#[derive(Default)]
pub(super) struct HeAac(Option<(UtcTime, &'static str)>);

impl Rule for HeAac {
    fn audio_format(&mut self, format: &AudioFormat) {
        self.0 = format.core_only.then_some((format.at, format.profile));
    }

    fn finding(&self) -> Option<Finding> {
        let (since, profile) = self.0?;
        let title = format!("Your sound is coded as {profile}");
        let detail = "Viewers over WebRTC hear it dull, as through a wall, since only its lower half can \
            be carried there.";
        let remedy = "Set the encoder's audio to AAC-LC, often called just AAC, at 96 kbit/s or more. In \
            OBS: Settings › Output, set Output Mode to Advanced, and on the tab Audio the bitrate to 128 \
            or more. In ffmpeg: -c:a aac -b:a 128k, without -profile:a.";
        let finding =
            Finding::new(code::AUDIO_HE_AAC, Severity::Warning, since, [&title, detail, remedy]);
        Some(finding.with_text("profile", profile))
    }
}

/// More channels than can be carried.
#[derive(Default)]
pub(super) struct Surround(Option<(UtcTime, u8)>);

impl Rule for Surround {
    fn audio_format(&mut self, format: &AudioFormat) {
        self.0 = (format.channels > CHANNELS_MAX).then_some((format.at, format.channels));
    }

    fn finding(&self) -> Option<Finding> {
        let (since, channels) = self.0?;
        let title = format!("Your sound has {channels} channels, which cannot be carried");
        let detail = "Viewers see you and hear nothing.";
        let remedy = "In OBS: Settings › Audio, set Channels to Stereo. Then stop and start streaming. In \
            ffmpeg: -ac 2.";
        let finding =
            Finding::new(code::AUDIO_SURROUND, Severity::Problem, since, [&title, detail, remedy]);
        Some(finding.with("channels", channels.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{aac, format, second};
    use super::*;
    use crate::ingest::h264::ParameterSets;

    fn check_video<R: Rule + Default>(change: impl Fn(&mut ParameterSets), code: &'static str) {
        let mut rule = R::default();
        rule.video_format(&format());
        assert_eq!(rule.finding(), None);
        let mut changed = format();
        change(&mut changed.parameters);
        rule.video_format(&changed);
        assert_eq!(rule.finding().expect("found").code, code);
        rule.video_format(&format());
        assert_eq!(rule.finding(), None, "it was mended");
    }

    fn check_audio<R: Rule + Default>(change: impl Fn(&mut AudioFormat), code: &'static str) {
        let mut rule = R::default();
        rule.audio_format(&aac());
        assert_eq!(rule.finding(), None);
        let mut changed = aac();
        change(&mut changed);
        rule.audio_format(&changed);
        assert_eq!(rule.finding().expect("found").code, code);
    }

    #[test]
    fn what_devices_do_not_play_is_named() {
        check_video::<Profile>(|sets| sets.profile = 122, code::VIDEO_PROFILE);
        check_video::<Interlaced>(|sets| sets.interlaced = true, code::VIDEO_INTERLACED);
        let large = |sets: &mut ParameterSets| (sets.width, sets.height) = (3_840, 2_160);
        check_video::<BeyondPhones>(large, code::VIDEO_BEYOND_PHONES);
        check_audio::<HeAac>(|format| format.core_only = true, code::AUDIO_HE_AAC);
        check_audio::<Surround>(|format| format.channels = 6, code::AUDIO_SURROUND);
    }

    #[test]
    fn full_hd_at_sixty_is_fine_upright_too_and_more_is_told() {
        let mut rule = BeyondPhones::default();
        let mut upright = format();
        (upright.parameters.width, upright.parameters.height) = (1_080, 1_920);
        rule.video_format(&upright);
        let mut run = |fps| {
            for n in 0..5 {
                let mut second = second(n);
                second.video.count = fps;
                rule.second(&second);
            }
            rule.finding()
        };
        assert_eq!(run(61), None);
        assert!(run(120).expect("found").title.contains("120 frames"));
        assert_eq!(run(60), None);
    }
}
