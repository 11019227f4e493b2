//! What the ingest doctor says, as JSON has it.

use std::collections::BTreeMap;

use lectern_relay_proto::UtcTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::doctor::{Finding, HISTORY_POINTS_MAX, Point, Report, Severity, Value};
use crate::instant::Instant;

/// How a publisher does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Report)]
pub(super) struct ReportBody {
    figures: FiguresBody,
    /// A point for each second of the last five minutes, the newest last.
    history: Vec<PointBody>,
    /// What hurts viewers.
    findings: Vec<FindingBody>,
}

/// What a publisher sends now. What is not known, or not there, is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Figures)]
struct FiguresBody {
    /// What the encoder calls itself.
    encoder: Option<String>,
    /// RFC 6381.
    video_codec: Option<String>,
    video_profile: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    /// Pictures a second that came.
    frame_rate: Option<f64>,
    /// Pictures a second that the stream states.
    stated_frame_rate: Option<f64>,
    /// Bits a second.
    video_bps: Option<u64>,
    /// From the last keyframe but one to the last.
    keyframe_ms: Option<u32>,
    /// The longest of these.
    keyframe_ms_max: Option<u32>,
    /// RFC 6381.
    audio_codec: Option<String>,
    audio_profile: Option<String>,
    /// Bits a second.
    audio_bps: Option<u64>,
    sample_rate: Option<u32>,
    channels: Option<u8>,
    /// The loudest sample of the last second, decibels below full scale.
    peak_dbfs: Option<f32>,
    /// How loud the last second was.
    rms_dbfs: Option<f32>,
    /// How unevenly it arrives.
    jitter_ms: Option<u32>,
    /// How much later sound arrives than the picture of the same moment.
    av_offset_ms: Option<i32>,
    /// The picture is re-encoded here, and leaves up to so much later for it.
    reencoding_delay_ms: Option<u32>,
}

/// What arrived in a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Point)]
struct PointBody {
    at: Instant,
    video_bps: u64,
    audio_bps: u64,
    frame_rate: u32,
    jitter_ms: Option<u32>,
}

/// Something that hurts viewers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Finding)]
struct FindingBody {
    /// What it is, in a word that stays.
    code: String,
    severity: SeverityBody,
    since: Instant,
    /// What it is, in a few words.
    title: String,
    /// What viewers notice.
    detail: String,
    /// What to change.
    remedy: String,
    /// What the texts speak of, for who translates them.
    params: BTreeMap<String, ParamBody>,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Severity)]
enum SeverityBody {
    /// Viewers miss something of the lecture.
    Problem,
    /// Viewers notice.
    Warning,
    /// Some would be better off.
    Hint,
}

/// A number or a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FindingParam)]
enum ParamBody {
    Number(f64),
    Text(String),
}

impl ReportBody {
    /// The same, with so many of the newest points of the history.
    pub(super) fn newest(mut self, points: usize) -> Self {
        self.history.drain(..self.history.len().saturating_sub(points));
        self
    }

    /// How many problems and warnings there are.
    pub(super) fn serious(&self) -> u64 {
        let serious = |finding: &&FindingBody| finding.severity != SeverityBody::Hint;
        self.findings.iter().filter(serious).count() as u64
    }

    /// What `before` knows of the history that this one does not reach back to.
    pub(super) fn go_on_from(&mut self, before: Self) {
        let first = self.history.first().map(|point| point.at);
        let older = |point: &PointBody| first.is_none_or(|first| point.at < first);
        let mut history: Vec<_> = before.history.into_iter().filter(older).collect();
        history.append(&mut self.history);
        history.drain(..history.len().saturating_sub(HISTORY_POINTS_MAX));
        self.history = history;
    }

    /// The publisher is gone.
    pub(super) fn end(&mut self) {
        (self.figures, self.findings) = (FiguresBody::default(), Vec::new());
    }
}

impl From<Report> for ReportBody {
    fn from(report: Report) -> Self {
        let mut figures = FiguresBody {
            encoder: report.figures.encoder,
            jitter_ms: report.figures.jitter_ms,
            av_offset_ms: report.figures.av_offset_ms,
            reencoding_delay_ms: report.figures.reencoding_delay_ms,
            ..FiguresBody::default()
        };
        if let Some(video) = report.figures.video {
            figures.video_codec = Some(video.codec);
            figures.video_profile = Some(video.profile.to_owned());
            figures.width = Some(video.width);
            figures.height = Some(video.height);
            figures.frame_rate = video.frame_rate;
            figures.stated_frame_rate = video.stated_frame_rate;
            figures.video_bps = video.bitrate_bps;
            figures.keyframe_ms = video.keyframe_interval_ms;
            figures.keyframe_ms_max = video.keyframe_interval_longest_ms;
        }
        if let Some(audio) = report.figures.audio {
            figures.audio_codec = Some(audio.codec);
            figures.audio_profile = Some(audio.profile.to_owned());
            figures.audio_bps = audio.bitrate_bps;
            figures.sample_rate = Some(audio.sample_rate);
            figures.channels = Some(audio.channels);
            figures.peak_dbfs = audio.peak_dbfs;
            figures.rms_dbfs = audio.rms_dbfs;
        }
        Self {
            figures,
            history: report.history.iter().map(PointBody::from).collect(),
            findings: report.findings.into_iter().map(FindingBody::from).collect(),
        }
    }
}

impl From<&Point> for PointBody {
    fn from(point: &Point) -> Self {
        Self {
            at: UtcTime::from_millis(point.at_ms).into(),
            video_bps: point.video_bps,
            audio_bps: point.audio_bps,
            frame_rate: point.fps,
            jitter_ms: point.jitter_ms,
        }
    }
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let param = |value| match value {
            Value::Number(number) => ParamBody::Number(number),
            Value::Text(text) => ParamBody::Text(text.into_owned()),
        };
        Self {
            code: finding.code.to_owned(),
            severity: match finding.severity {
                Severity::Problem => SeverityBody::Problem,
                Severity::Warning => SeverityBody::Warning,
                Severity::Hint => SeverityBody::Hint,
            },
            since: UtcTime::from_millis(finding.since_ms).into(),
            title: finding.title,
            detail: finding.detail,
            remedy: finding.remedy,
            params: finding
                .params
                .into_iter()
                .map(|(name, value)| (name.to_owned(), param(value)))
                .collect(),
        }
    }
}
