//! The rules: each watches for one cause, and says a finding for as long as it is sure of it.
//!
//! A rule hears of every picture and sound and of the end of every second; it is asked for its
//! finding once a second. How long a cause must last before it is told, and for how long it must be
//! gone before it is not told any more, stands in each rule; [`hold`] counts that.

mod arrival;
mod audio_clock;
mod audio_level;
mod bitrate;
mod clock_jump;
mod format;
mod frame_rate;
mod hold;
pub(super) mod keyframes;
mod media_second;
mod pace;
mod presence;
mod reordering;

use super::report::Finding;
use super::seen::{AudioFormat, Picture, Second, Sound, VideoFormat};
use crate::mend::Mending;
use crate::transcode::Level;

/// One cause that hurts viewers.
pub(super) trait Rule: Send {
    fn video_format(&mut self, _: &VideoFormat) {}
    fn audio_format(&mut self, _: &AudioFormat) {}
    fn picture(&mut self, _: &Picture) {}
    fn sound(&mut self, _: &Sound) {}
    fn level(&mut self, _: &Level) {}
    /// What becomes of the picture here is another thing than before.
    fn mending(&mut self, _: Mending) {}
    /// A second of arrival is over.
    fn second(&mut self, _: &Second) {}

    /// What is wrong now.
    fn finding(&self) -> Option<Finding>;

    /// Whether the finding is why the take ended, and is told until an encoder does better.
    fn outlives_take(&self) -> bool {
        false
    }
}

/// All rules, for a new take. What is worst for viewers comes first.
pub(super) fn all() -> Vec<Box<dyn Rule>> {
    use presence::Presence;
    vec![
        Box::<presence::Nothing>::default(),
        Box::new(Presence::video()),
        Box::new(Presence::audio()),
        Box::<pace::Pace>::default(),
        Box::<format::Profile>::default(),
        Box::<format::Surround>::default(),
        Box::<reordering::BFrames>::default(),
        Box::<keyframes::Far>::default(),
        Box::<frame_rate::Drop>::default(),
        Box::<bitrate::Drop>::default(),
        Box::<audio_level::Silent>::default(),
        Box::<audio_level::Clipping>::default(),
        Box::<audio_clock::Drift>::default(),
        Box::<audio_clock::Apart>::default(),
        Box::<clock_jump::ClockJump>::default(),
        Box::<arrival::Jitter>::default(),
        Box::<format::Interlaced>::default(),
        Box::<format::HeAac>::default(),
        Box::<keyframes::Irregular>::default(),
        Box::<format::BeyondPhones>::default(),
    ]
}

#[cfg(test)]
mod testing;
