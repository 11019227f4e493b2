//! What a publisher sends, in figures, and the points of their history.

use std::collections::VecDeque;

use lectern_relay_proto::UtcTime;

use super::report::{AudioFigures, Figures, Point, VideoFigures};
use super::rules::keyframes::Interval;
use super::seen::{Flow, Second, Seen};
use crate::transcode::Level;

/// Seconds over which rates are averaged: a few, that they stand still enough to be read.
const AVERAGED_S: usize = 5;
/// What silence is called in decibels.
const SILENCE_DBFS: f32 = -100.0;

#[derive(Default)]
pub(super) struct Gauges {
    encoder: Option<String>,
    video: Option<VideoFigures>,
    audio: Option<AudioFigures>,
    interval: Interval,
    loudness: Loudness,
    jitter_ms: Option<u32>,
    av_offset_ms: Option<i32>,
}

/// The levels of a second.
#[derive(Default)]
struct Loudness {
    peak: f32,
    squares: f32,
    levels: u32,
}

impl Gauges {
    pub(super) fn seen(&mut self, seen: &Seen) {
        match seen {
            Seen::Encoder(name) => self.encoder = Some(name.clone()),
            Seen::VideoFormat(format) => {
                let sets = &format.parameters;
                self.video = Some(VideoFigures {
                    codec: sets.codec(),
                    profile: profile(sets.profile, sets.compatibility),
                    level: f64::from(sets.level) / 10.0,
                    width: sets.width,
                    height: sets.height,
                    stated_frame_rate: sets.frame_rate,
                    frame_rate: None,
                    bitrate_bps: None,
                    keyframe_interval_ms: None,
                    keyframe_interval_longest_ms: None,
                });
            }
            Seen::AudioFormat(format) => {
                self.audio = Some(AudioFigures {
                    codec: format.codec.clone(),
                    profile: format.profile,
                    sample_rate: format.sample_rate,
                    channels: format.channels,
                    bitrate_bps: None,
                    peak_dbfs: None,
                    rms_dbfs: None,
                });
            }
            Seen::Picture(picture) => {
                self.interval.picture(picture);
            }
            Seen::Sound(_) => {}
        }
    }

    pub(super) fn level(&mut self, level: Level) {
        let Loudness { peak, squares, levels } = &mut self.loudness;
        *peak = peak.max(level.peak);
        *squares += level.rms * level.rms;
        *levels += 1;
    }

    /// Ends a second.
    pub(super) fn second(&mut self, second: &Second) -> Point {
        let loudness = std::mem::take(&mut self.loudness);
        if let Some(audio) = &mut self.audio {
            let heard = loudness.levels > 0;
            let rms = (loudness.squares / loudness.levels as f32).sqrt();
            audio.peak_dbfs = heard.then(|| dbfs(loudness.peak));
            audio.rms_dbfs = heard.then(|| dbfs(rms));
        }
        self.jitter_ms = second.jitter_ms().and_then(|ms| u32::try_from(ms).ok());
        self.av_offset_ms = av_offset_ms(second).and_then(|ms| i32::try_from(ms).ok());
        Point {
            at_ms: second.at.as_millis(),
            video_bps: second.video.bytes * 8,
            audio_bps: second.audio.bytes * 8,
            fps: second.video.count,
            jitter_ms: self.jitter_ms,
        }
    }

    /// The figures of a take that began at `began`.
    pub(super) fn figures(&self, history: &VecDeque<Point>, began: UtcTime) -> Figures {
        let of_take = |point: &&Point| point.at_ms > began.as_millis();
        let points = history.iter().rev().take(AVERAGED_S).take_while(of_take);
        let (mut seconds, mut video_bits, mut audio_bits, mut pictures) = (0, 0, 0, 0);
        for point in points {
            seconds += 1;
            video_bits += point.video_bps;
            audio_bits += point.audio_bps;
            pictures += point.fps;
        }
        let video = self.video.clone().map(|video| VideoFigures {
            frame_rate: (seconds > 0).then(|| f64::from(pictures) / seconds as f64),
            bitrate_bps: video_bits.checked_div(seconds),
            keyframe_interval_ms: self.interval.last_ms,
            keyframe_interval_longest_ms: self.interval.longest_ms,
            ..video
        });
        let audio = self
            .audio
            .clone()
            .map(|audio| AudioFigures { bitrate_bps: audio_bits.checked_div(seconds), ..audio });
        let encoder = self.encoder.clone();
        let (jitter_ms, av_offset_ms) = (self.jitter_ms, self.av_offset_ms);
        Figures { encoder, video, audio, jitter_ms, av_offset_ms, reencoding_delay_ms: None }
    }
}

/// By how much sound came later than the picture of the same moment: the timeliest of each.
pub(super) fn av_offset_ms(second: &Second) -> Option<i64> {
    let least = |flow: &Flow| flow.lag_ms.map(|(least, _)| least);
    Some(least(&second.audio)? - least(&second.video)?)
}

/// To the tenth of a decibel.
fn dbfs(level: f32) -> f32 {
    ((200.0 * level.log10()).round() / 10.0).max(SILENCE_DBFS)
}

/// ITU-T H.264 annex A.2, by `profile_idc` and the constraint flags.
pub(super) fn profile(profile: u8, compatibility: u8) -> &'static str {
    match profile {
        66 if compatibility & 0x40 != 0 => "Constrained Baseline",
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        44 => "CAVLC 4:4:4 Intra",
        _ => "unknown",
    }
}
