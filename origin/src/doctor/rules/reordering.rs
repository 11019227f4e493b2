//! B-frames: pictures that are not shown in the order in which they are sent.

use lectern_relay_proto::UtcTime;

use super::Rule;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{Picture, VideoFormat};

/// Found as the take finds it for the catalog, and, like there, until the take ends: edges refuse
/// WebRTC for all of it.
#[derive(Default)]
pub(super) struct BFrames {
    last_shown_ms: Option<i64>,
    since: Option<UtcTime>,
}

impl Rule for BFrames {
    fn video_format(&mut self, format: &VideoFormat) {
        if format.parameters.reorder_frames_max.is_some_and(|frames| frames > 0) {
            self.since.get_or_insert(format.at);
        }
    }

    fn picture(&mut self, picture: &Picture) {
        let shown_ms = picture.at.media_ms + i64::from(picture.composition_ms);
        let in_order = self.last_shown_ms.is_none_or(|last| shown_ms > last);
        self.last_shown_ms = Some(shown_ms);
        if !in_order && !picture.keyframe {
            self.since.get_or_insert(picture.at.arrived);
        }
    }

    fn finding(&self) -> Option<Finding> {
        let words = [
            "Your video uses B-frames",
            "Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: they get \
             another version that is a second or more behind you.",
            "In OBS: Settings › Output, set Output Mode to Advanced, and B-Frames to 0; with the x264 \
             encoder, which does not show that, set Tune to zerolatency. Then stop and start streaming. \
             In ffmpeg: -bf 0.",
        ];
        Some(Finding::new(code::B_FRAMES, Severity::Problem, self.since?, words))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stream, format, picture};
    use super::*;

    #[test]
    fn pictures_out_of_order_are_noticed_and_remembered() {
        let mut rule = BFrames::default();
        let shown = [(0, 80), (40, 200), (80, 80), (120, 40)];
        for (ms, composition_ms) in shown {
            rule.picture(&Picture { composition_ms, ..picture(ms, ms == 0) });
        }
        let finding = rule.finding().expect("found");
        assert_eq!(finding.code, code::B_FRAMES);
        assert!(finding.remedy.contains("-bf 0"));
    }

    #[test]
    fn a_constant_delay_is_no_reordering() {
        let mut rule = BFrames::default();
        Stream::at(30).seconds(5).pictures(|picture| {
            rule.picture(&Picture { composition_ms: 80, ..picture });
        });
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn what_the_parameters_state_is_believed() {
        let mut rule = BFrames::default();
        let mut stated = format();
        stated.parameters.reorder_frames_max = None;
        rule.video_format(&stated);
        assert_eq!(rule.finding(), None, "there may be some, and there may be none");
        stated.parameters.reorder_frames_max = Some(2);
        rule.video_format(&stated);
        assert!(rule.finding().is_some());
    }
}
