//! An encoder whose clock jumps.

use lectern_relay_proto::UtcTime;

use super::Rule;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{Moment, Picture, Second, Sound};

/// A jump is over when it happens: it is told for this long, so that the host can read of it.
const TOLD_S: u64 = 60;
/// Picture and sound do not jump with the same message: within this time they are one jump.
const ONE_JUMP_S: u64 = 2;

/// Jumps as the take's clock knows them. It goes on with the wall clock after each.
#[derive(Default)]
pub(super) struct ClockJump {
    first: Option<UtcTime>,
    last: Option<UtcTime>,
    jumps: u32,
}

impl ClockJump {
    fn moment(&mut self, at: &Moment) {
        if !at.jumped {
            return;
        }
        let since_last = self.last.map(|last| at.arrived.saturating_since(last).as_secs());
        if since_last.is_none_or(|seconds| seconds >= ONE_JUMP_S) {
            self.jumps += 1;
        }
        self.first.get_or_insert(at.arrived);
        self.last = Some(at.arrived);
    }
}

impl Rule for ClockJump {
    fn picture(&mut self, picture: &Picture) {
        self.moment(&picture.at);
    }

    fn sound(&mut self, sound: &Sound) {
        self.moment(&sound.at);
    }

    fn second(&mut self, second: &Second) {
        let over = |last: UtcTime| second.at.saturating_since(last).as_secs() >= TOLD_S;
        if self.last.is_some_and(over) {
            *self = Self::default();
        }
    }

    fn finding(&self) -> Option<Finding> {
        let title = match self.jumps {
            1 => "Your encoder's clock has jumped".to_owned(),
            jumps => format!("Your encoder's clock has jumped {jumps} times"),
        };
        let detail = "Viewers saw the picture stop for a moment or something cut out, and lips and voice \
            may not match since.";
        let remedy = "In OBS: stop and start streaming; if it comes back, close OBS and open it again. In \
            ffmpeg: encode what you pass on (not -c copy) if it is a file that begins anew or somebody \
            else's stream, or put -fflags +genpts before the input.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::CLOCK_JUMP, Severity::Warning, self.first?, words);
        Some(finding.with("jumps", f64::from(self.jumps)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{picture, second, sound};
    use super::*;

    #[test]
    fn jumps_are_counted_once_for_picture_and_sound_and_forgotten_after_a_minute() {
        let mut rule = ClockJump::default();
        let mut jumped = picture(5_000, false);
        jumped.at.jumped = true;
        rule.picture(&jumped);
        let mut late = sound(5_020);
        late.at.jumped = true;
        rule.sound(&late);
        assert_eq!(rule.finding().expect("found").title, "Your encoder's clock has jumped");
        let mut again = picture(20_000, false);
        again.at.jumped = true;
        rule.picture(&again);
        assert!(rule.finding().expect("found").title.contains("2 times"));
        rule.second(&second(79));
        assert!(rule.finding().is_some());
        rule.second(&second(80));
        assert_eq!(rule.finding(), None);
    }
}
