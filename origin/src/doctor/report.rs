//! What a doctor says: figures, their history, findings. All of it is served as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lectern_relay_proto::UtcTime;
use serde::Serialize;

/// Points of the history: five minutes of seconds.
pub const HISTORY_POINTS_MAX: usize = 300;

/// How a broadcast's publisher does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// When this was so, in UTC milliseconds.
    pub at_ms: u64,
    /// Whether a publisher is there.
    pub live: bool,
    /// Since when, in UTC milliseconds.
    pub take_since_ms: Option<u64>,
    /// What it sends now; empty without a publisher.
    pub figures: Figures,
    /// One point a second while a publisher was there, oldest first, [`HISTORY_POINTS_MAX`] at most.
    pub history: Vec<Point>,
    /// What will hurt viewers, in the order of the rules; each code once.
    pub findings: Vec<Finding>,
}

/// What a publisher sends. Absent: not known yet, or not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// What the encoder calls itself.
    pub encoder: Option<String>,
    /// The picture.
    pub video: Option<VideoFigures>,
    /// The sound.
    pub audio: Option<AudioFigures>,
    /// By how much what arrived in the last second came later than the timeliest of it, in milliseconds.
    pub jitter_ms: Option<u32>,
    /// By how much sound arrives later than the picture of the same moment, in milliseconds.
    pub av_offset_ms: Option<i32>,
    /// The picture is re-encoded here, and leaves up to so many milliseconds later for it; `None` if it is not.
    pub reencoding_delay_ms: Option<u32>,
}

/// See [`Figures::video`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoFigures {
    /// RFC 6381, such as `avc1.64001f`.
    pub codec: String,
    /// Such as `High`.
    pub profile: &'static str,
    /// Such as 3.1.
    pub level: f64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second that the stream states; of a variable rate the highest.
    pub stated_frame_rate: Option<f64>,
    /// Pictures a second that came in the last seconds.
    pub frame_rate: Option<f64>,
    /// Bits a second that came in the last seconds.
    pub bitrate_bps: Option<u64>,
    /// From the last keyframe but one to the last, in milliseconds.
    pub keyframe_interval_ms: Option<u32>,
    /// The longest such interval of the take, in milliseconds.
    pub keyframe_interval_longest_ms: Option<u32>,
}

/// See [`Figures::audio`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AudioFigures {
    /// RFC 6381, such as `mp4a.40.2`.
    pub codec: String,
    /// Such as `AAC-LC`.
    pub profile: &'static str,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// Bits a second that came in the last seconds.
    pub bitrate_bps: Option<u64>,
    /// The loudest sample of the last second, in decibels below full scale; -100 for silence.
    pub peak_dbfs: Option<f32>,
    /// How loud the last second was on average, in decibels below full scale.
    pub rms_dbfs: Option<f32>,
}

/// What arrived in one second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// When the second ended, in UTC milliseconds.
    pub at_ms: u64,
    /// Bits of video.
    pub video_bps: u64,
    /// Bits of audio.
    pub audio_bps: u64,
    /// Pictures.
    pub fps: u32,
    /// As [`Figures::jitter_ms`].
    pub jitter_ms: Option<u32>,
}

/// Something that will hurt viewers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// One of [`super::code`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Since when it is so, in UTC milliseconds.
    pub since_ms: u64,
    /// What the texts speak of, for who translates them.
    pub params: BTreeMap<&'static str, Value>,
    /// What it is, in a few words.
    pub title: String,
    /// What viewers notice.
    pub detail: String,
    /// What to change.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Some viewers, or some devices, would be better off.
    Hint,
    /// Viewers notice.
    Warning,
    /// Viewers miss something of the lecture.
    Problem,
}

/// A value that a text speaks of.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// In the unit that the name of the parameter ends with.
    Number(f64),
    /// A name, such as that of a codec.
    Text(Cow<'static, str>),
}

impl Finding {
    /// A finding in these words: what it is, what viewers notice, what to change.
    pub(super) fn new(
        code: &'static str,
        severity: Severity,
        since: UtcTime,
        words: [&str; 3],
    ) -> Self {
        let [title, detail, remedy] = words.map(str::to_owned);
        let (since_ms, params) = (since.as_millis(), BTreeMap::new());
        Self { code, severity, since_ms, params, title, detail, remedy }
    }

    /// The same, saying what number its texts speak of.
    pub(super) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.params.insert(name, Value::Number(value));
        self
    }

    /// The same, saying what name its texts speak of.
    pub(super) fn with_text(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.params.insert(name, Value::Text(value.into()));
        self
    }
}
