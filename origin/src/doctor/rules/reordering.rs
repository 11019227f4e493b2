//! B-frames: pictures that are not shown in the order in which they are sent.

use lectern_relay_proto::UtcTime;

use super::Rule;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{Picture, VideoFormat};
use crate::ingest::Order;
use crate::mend::Mending;

const REMEDY: &str = "In OBS: Settings › Output, set Output Mode to Advanced, and B-Frames to 0; with the \
    x264 encoder, which does not show that, set Tune to zerolatency. Then stop and start streaming. In \
    ffmpeg: -bf 0.";

/// Found as the take finds it for the catalog, and, like there, until the parameters change: edges refuse
/// WebRTC for all of it, unless it is mended here.
#[derive(Default)]
pub(super) struct BFrames {
    order: Order,
    since: Option<UtcTime>,
    mending: Mending,
}

impl Rule for BFrames {
    fn video_format(&mut self, format: &VideoFormat) {
        self.order = Order::stated(&format.parameters);
        match self.order.is_changed() {
            true => _ = self.since.get_or_insert(format.at),
            false => self.since = None,
        }
    }

    fn picture(&mut self, picture: &Picture) {
        let shown_ms = picture.at.media_ms + i64::from(picture.composition_ms);
        if self.order.picture(shown_ms, picture.keyframe) {
            self.since = Some(picture.at.arrived);
        }
    }

    fn mending(&mut self, mending: Mending) {
        self.mending = mending;
    }

    fn finding(&self) -> Option<Finding> {
        let since = self.since?;
        let make = |severity, title, detail: &str| {
            Finding::new(code::B_FRAMES, severity, since, [title, detail, REMEDY])
        };
        const TITLE: &str = "Your video uses B-frames";
        const BEHIND: &str = "Viewers cannot watch in the fastest way, WebRTC, which cannot carry B-frames: \
            they get another version that is a second or more behind you.";
        match self.mending {
            Mending::Off => Some(make(Severity::Problem, TITLE, BEHIND)),
            // It will be known in a moment how that goes.
            Mending::Starting => None,
            Mending::Running { delay_ms } => {
                let detail = format!(
                    "This server re-encodes your picture, so that viewers can watch in the fastest way, \
                     WebRTC, which cannot carry B-frames. It costs about {delay_ms} ms of delay, some \
                     quality, and much of the server's processor."
                );
                let title = "Your video uses B-frames, and is re-encoded here";
                let finding = make(Severity::Hint, title, &detail).with_text("mending", "here");
                Some(finding.with("delay_ms", delay_ms.into()))
            }
            Mending::Impossible(why) => {
                let detail = format!("{BEHIND} It cannot be mended here: {why}.");
                let finding = make(Severity::Problem, TITLE, &detail);
                Some(finding.with_text("mending", why.name()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stream, format, picture};
    use super::*;
    use crate::mend::Why;

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
    fn what_is_mended_is_a_hint_and_what_cannot_be_says_why() {
        let mut rule = BFrames::default();
        let mut stated = format();
        stated.parameters.reorder_frames_max = Some(2);
        rule.video_format(&stated);
        rule.mending(Mending::Starting);
        assert_eq!(rule.finding(), None);
        rule.mending(Mending::Running { delay_ms: 120 });
        let finding = rule.finding().expect("found");
        assert_eq!((finding.code, finding.severity), (code::B_FRAMES, Severity::Hint));
        assert!(finding.detail.contains("120 ms") && finding.remedy.contains("B-Frames to 0"));
        rule.mending(Mending::Impossible(Why::Busy));
        let finding = rule.finding().expect("found");
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.detail.contains("as many broadcasts as it may"), "{}", finding.detail);
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
