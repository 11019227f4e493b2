//! Tags in the doctor's words: what of a picture or a sound the rules look at, with times that run on
//! whatever the source's clock does, and how much of each came in a second.

use std::time::Duration;

use bytes::Bytes;
use h264_reader::Context;
use lectern_relay_proto::UtcTime;

use crate::clock::{self, BACKWARD_JUMP_MS_MAX, FORWARD_JUMP_MS_MAX};
use crate::ingest::Tag;
use crate::ingest::aac::AudioSpecificConfig;
use crate::ingest::h264::{self, ParameterSets};
use crate::transcode::SAMPLES_PER_AU;

mod quantizer;

/// How often it is looked how coarsely a picture is coded.
const QUANTIZER_EVERY_MS: i64 = 200;

/// What a tag says.
pub(super) enum Seen {
    /// What the encoder calls itself.
    Encoder(String),
    VideoFormat(VideoFormat),
    AudioFormat(AudioFormat),
    Picture(Picture),
    Sound(Sound),
}

/// What follows is coded so.
pub(super) struct VideoFormat {
    pub at: UtcTime,
    pub parameters: ParameterSets,
}

/// What follows is coded so.
pub(super) struct AudioFormat {
    pub at: UtcTime,
    /// RFC 6381.
    pub codec: String,
    pub profile: &'static str,
    /// Only the core of HE-AAC is decoded.
    pub core_only: bool,
    pub sample_rate: u32,
    pub channels: u8,
}

/// When something was, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// By the source's clock, without its jumps: milliseconds since the first tag of the take.
    pub media_ms: i64,
    pub arrived: UtcTime,
    /// By how much it came later than the first tag of the take did, for its time.
    pub lag_ms: i64,
    /// The source's clock jumped here.
    pub jumped: bool,
}

/// A picture.
pub(super) struct Picture {
    pub at: Moment,
    /// Shown this much later than decoded.
    pub composition_ms: i32,
    pub keyframe: bool,
    pub bytes: usize,
    /// How coarsely it is coded, 0 to 51, of some pictures that are not keyframes.
    pub quantizer: Option<i32>,
}

/// A packet of sound.
pub(super) struct Sound {
    pub at: Moment,
    pub bytes: usize,
    /// How long its samples last, in microseconds.
    pub duration_us: i64,
}

/// Reads tags of one take.
#[derive(Default)]
pub(super) struct Reader {
    clock: SourceClock,
    avcc: Bytes,
    /// To read slices with.
    context: Option<Context>,
    quantizer_due_ms: i64,
    sample_rate: u32,
    opus: bool,
}

/// What packets of Opus last in every browser and encoder that sends them over WebRTC.
const OPUS_PACKET_US: i64 = 20_000;

impl Reader {
    /// What `tag` says; `None` if it is nothing new. The one place that knows of tags: a new kind of
    /// picture or sound is told to the rules here.
    pub(super) fn read(&mut self, tag: &Tag, arrived: UtcTime) -> Option<Seen> {
        match tag {
            Tag::Metadata(metadata) => metadata.encoder.clone().map(Seen::Encoder),
            Tag::VideoConfig { avcc } => self.read_video_format(avcc, arrived),
            Tag::AudioConfig { asc } => {
                (self.sample_rate, self.opus) = (asc.sample_rate, false);
                Some(Seen::AudioFormat(AudioFormat::aac(asc, arrived)))
            }
            Tag::OpusConfig { channels } => {
                self.opus = true;
                Some(Seen::AudioFormat(AudioFormat::opus(*channels, arrived)))
            }
            Tag::Video { timestamp_ms, composition_ms, keyframe, data } => {
                let at = self.clock.read(*timestamp_ms, arrived);
                let mut quantizer = None;
                if !keyframe && at.media_ms >= self.quantizer_due_ms {
                    self.quantizer_due_ms = at.media_ms + QUANTIZER_EVERY_MS;
                    quantizer = self.context.as_ref().and_then(|with| quantizer::read(data, with));
                }
                Some(Seen::Picture(Picture {
                    at,
                    composition_ms: *composition_ms,
                    keyframe: *keyframe,
                    bytes: data.len(),
                    quantizer,
                }))
            }
            Tag::Audio { timestamp_ms, data } => {
                let at = self.clock.read(*timestamp_ms, arrived);
                let duration_us = match i64::from(self.sample_rate) {
                    _ if self.opus => OPUS_PACKET_US,
                    0 => 0,
                    rate => SAMPLES_PER_AU as i64 * 1_000_000 / rate,
                };
                Some(Seen::Sound(Sound { at, bytes: data.len(), duration_us }))
            }
            Tag::EndOfSequence => None,
        }
    }

    fn read_video_format(&mut self, avcc: &Bytes, at: UtcTime) -> Option<Seen> {
        if *avcc == self.avcc {
            return None;
        }
        let parameters = ParameterSets::from_avcc(avcc).ok()?;
        self.avcc = avcc.clone();
        self.context = h264::context(avcc);
        Some(Seen::VideoFormat(VideoFormat { at, parameters }))
    }
}

impl AudioFormat {
    fn opus(channels: u8, at: UtcTime) -> Self {
        let (codec, sample_rate) = ("opus".to_owned(), 48_000);
        Self { at, codec, profile: "Opus", core_only: false, sample_rate, channels }
    }

    fn aac(config: &AudioSpecificConfig, at: UtcTime) -> Self {
        Self {
            at,
            codec: config.codec(),
            profile: match (config.sbr, config.ps) {
                (_, true) => "HE-AAC v2",
                (true, false) => "HE-AAC",
                (false, false) => "AAC-LC",
            },
            core_only: config.sbr || config.ps,
            sample_rate: config.sample_rate,
            channels: config.channels,
        }
    }
}

/// Times of a source that run on: a jump, as [`clock`] knows it, is as long as it took to arrive.
#[derive(Default)]
struct SourceClock {
    first: Option<UtcTime>,
    last: Option<(u32, Moment)>,
}

impl SourceClock {
    fn read(&mut self, raw: u32, arrived: UtcTime) -> Moment {
        let first = *self.first.get_or_insert(arrived);
        let (media_ms, jumped) = match self.last {
            None => (0, false),
            Some((before, last)) => {
                let step = clock::step(before, raw);
                let elapsed = clock::millis_between(last.arrived, arrived);
                let jumped = step < -BACKWARD_JUMP_MS_MAX || step - elapsed > FORWARD_JUMP_MS_MAX;
                (last.media_ms + if jumped { elapsed } else { step }, jumped)
            }
        };
        let lag_ms = clock::millis_between(first, arrived) - media_ms;
        let moment = Moment { media_ms, arrived, lag_ms, jumped };
        self.last = Some((raw, moment));
        moment
    }
}

/// What came in one second of arrival.
pub(super) struct Second {
    /// When it ended.
    pub at: UtcTime,
    /// How long the take had lasted then.
    pub age: Duration,
    pub video: Flow,
    pub audio: Flow,
}

/// What came of one kind in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub count: u32,
    pub bytes: u64,
    /// How much later than the take's first tag the timeliest and the latest came; `None` if none did.
    pub lag_ms: Option<(i64, i64)>,
    /// Whether any came in this take.
    pub seen: bool,
    /// Whole seconds without any, this one included.
    pub silent_s: u32,
}

impl Second {
    /// By how much the latest that came in it was later than the timeliest of its kind.
    pub(super) fn jitter_ms(&self) -> Option<i64> {
        let spread = |flow: &Flow| flow.lag_ms.map(|(least, most)| most - least);
        spread(&self.video).max(spread(&self.audio))
    }
}

/// Adds up what comes.
#[derive(Default)]
pub(super) struct Flows {
    video: Flow,
    audio: Flow,
}

impl Flows {
    pub(super) fn seen(&mut self, seen: &Seen) {
        let (flow, at, bytes) = match seen {
            Seen::Picture(picture) => (&mut self.video, &picture.at, picture.bytes),
            Seen::Sound(sound) => (&mut self.audio, &sound.at, sound.bytes),
            _ => return,
        };
        flow.count += 1;
        flow.bytes += bytes as u64;
        flow.seen = true;
        let (least, most) = flow.lag_ms.unwrap_or((at.lag_ms, at.lag_ms));
        flow.lag_ms = Some((least.min(at.lag_ms), most.max(at.lag_ms)));
    }

    /// What came of video and of audio since this was last asked.
    pub(super) fn end_second(&mut self) -> (Flow, Flow) {
        let end = |flow: &mut Flow| {
            flow.silent_s = if flow.count == 0 { flow.silent_s + 1 } else { 0 };
            let ended = *flow;
            *flow = Flow { seen: ended.seen, silent_s: ended.silent_s, ..Flow::default() };
            ended
        };
        (end(&mut self.video), end(&mut self.audio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0_MS: u64 = 1_795_000_000_000;

    fn read(clock: &mut SourceClock, raw: u32, arrived_ms: u64) -> (i64, i64, bool) {
        let moment = clock.read(raw, UtcTime::from_millis(T0_MS + arrived_ms));
        (moment.media_ms, moment.lag_ms, moment.jumped)
    }

    #[test]
    fn times_run_on_over_the_wrap_and_over_jumps() {
        let mut clock = SourceClock::default();
        assert_eq!(read(&mut clock, u32::MAX - 10, 0), (0, 0, false));
        assert_eq!(read(&mut clock, 22, 40), (33, 7, false));
        assert_eq!(read(&mut clock, 55, 66), (66, 0, false));
        assert_eq!(read(&mut clock, 900_000, 100), (100, 0, true));
        assert_eq!(read(&mut clock, 900_033, 133), (133, 0, false));
        assert_eq!(read(&mut clock, 10, 166), (166, 0, true));
    }

    #[test]
    fn a_second_says_what_came_in_it() {
        let mut flows = Flows::default();
        let mut clock = SourceClock::default();
        for (raw, arrived) in [(0, 0), (500, 520), (900, 905)] {
            let at = clock.read(raw, UtcTime::from_millis(T0_MS + arrived));
            flows.seen(&Seen::Sound(Sound { at, bytes: 100, duration_us: 21_333 }));
        }
        let (video, audio) = flows.end_second();
        assert!(!video.seen && audio.seen);
        assert_eq!((video.silent_s, audio.silent_s), (1, 0));
        assert_eq!((audio.count, audio.bytes, audio.lag_ms), (3, 300, Some((0, 20))));
        let (_, audio) = flows.end_second();
        assert_eq!((audio.count, audio.lag_ms, audio.silent_s), (0, None, 1));
        assert!(audio.seen);
    }
}
