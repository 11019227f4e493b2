//! Streams for the tests of rules.

use std::time::Duration;

use lectern_relay_proto::UtcTime;

use super::super::seen::{AudioFormat, Flow, Moment, Picture, Second, Sound, VideoFormat};
use crate::ingest::h264::{ParameterSets, tests};

/// When the tests begin.
pub(super) const T0: UtcTime = UtcTime::from_millis(1_795_000_000_000);

pub(super) fn at(media_ms: i64) -> Moment {
    let arrived = T0 + Duration::from_millis(media_ms.unsigned_abs());
    Moment { media_ms, arrived, lag_ms: 0, jumped: false }
}

pub(super) fn picture(media_ms: i64, keyframe: bool) -> Picture {
    Picture { at: at(media_ms), composition_ms: 0, keyframe, bytes: 8_000, quantizer: None }
}

pub(super) fn sound(media_ms: i64) -> Sound {
    Sound { at: at(media_ms), bytes: 340, duration_us: 21_333 }
}

/// The end of second `n`, in which a healthy stream came.
pub(super) fn second(n: u64) -> Second {
    let flow = |count| Flow { count, bytes: 1, lag_ms: Some((0, 10)), seen: true, silent_s: 0 };
    let age = Duration::from_secs(n);
    Second { at: T0 + age, age, video: flow(30), audio: flow(47) }
}

pub(super) fn format() -> VideoFormat {
    let parameters = ParameterSets::from_avcc(&tests::record(&tests::SPS_HIGH_720P, 3));
    VideoFormat { at: T0, parameters: parameters.expect("a record") }
}

pub(super) fn aac() -> AudioFormat {
    AudioFormat {
        at: T0,
        codec: "mp4a.40.2".to_owned(),
        profile: "AAC-LC",
        core_only: false,
        sample_rate: 48_000,
        channels: 2,
    }
}

/// Pictures at a steady rate, with a keyframe every two seconds.
pub(super) struct Stream {
    from_ms: i64,
    fps: i64,
    seconds: i64,
}

impl Stream {
    pub(super) fn at(fps: i64) -> Self {
        Self { from_ms: 0, fps, seconds: 1 }
    }

    pub(super) fn then_at(self, fps: i64) -> Self {
        Self { fps, ..self }
    }

    pub(super) fn seconds(self, seconds: i64) -> Self {
        Self { seconds, ..self }
    }

    /// Makes them, and stands behind the last.
    pub(super) fn pictures(self, mut take: impl FnMut(Picture)) -> Self {
        for n in 0..self.seconds * self.fps {
            take(picture(self.from_ms + n * 1_000 / self.fps, n % (2 * self.fps) == 0));
        }
        Self { from_ms: self.from_ms + self.seconds * 1_000, ..self }
    }
}
