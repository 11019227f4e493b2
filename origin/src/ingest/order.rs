//! Whether pictures are shown in the order in which they are sent: what the parameter sets say of it, and
//! what the pictures themselves prove. The take, the doctor and whoever mends it ask the same question here.

use super::h264::ParameterSets;

/// What is known of the order of one stream's pictures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    changed: bool,
    /// When the last picture is shown, in milliseconds.
    last_shown_ms: Option<i64>,
}

impl Order {
    /// What the parameter sets state, which is believed.
    pub fn stated(sets: &ParameterSets) -> Self {
        let changed = sets.reorder_frames_max.is_some_and(|frames| frames > 0);
        Self { changed, last_shown_ms: None }
    }

    /// Takes the next picture in the order of decoding, with when it is shown on a clock that does not
    /// wrap. Whether it is the first that proves that pictures are shown in another order.
    pub fn picture(&mut self, shown_ms: i64, keyframe: bool) -> bool {
        let in_order = keyframe || self.last_shown_ms.is_none_or(|last| shown_ms > last);
        self.last_shown_ms = Some(shown_ms);
        let proves = !in_order && !self.changed;
        self.changed |= proves;
        proves
    }

    /// The clock began anew: the next picture proves nothing.
    pub fn break_off(&mut self) {
        self.last_shown_ms = None;
    }

    /// Whether pictures are shown in another order than they are sent in: there are B-frames.
    pub fn is_changed(self) -> bool {
        self.changed
    }
}
