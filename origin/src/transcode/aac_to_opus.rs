//! The way of an access unit: placed in time, decoded, resampled, cut into 20 ms, encoded, dated.

use lectern_relay_proto::{Frame, MediaTime, Timescale, UtcTime};

use super::Error;
use super::decode::Decoder;
use super::level::{Level, Meter};
use super::opus_encode::{FRAME_SAMPLES, OpusEncoder, OpusFormat};
use super::resample::ToOpusRate;
use super::source::{SAMPLES_PER_AU, Source};
use super::timeline::{Step, Timeline};
use crate::ingest::aac::AudioSpecificConfig;

/// Turns the AAC of one broadcast into Opus.
///
/// Opus frames are exactly 20 ms apart for as long as the source's time is whole; the rules for
/// when it is not are those of the module `timeline`. A frame's time is the time of its sound:
/// what the encoder and the resampler delay is subtracted, since WebRTC and MSE players do not
/// trim a start. Frames from before time zero are not given out.
///
/// HE-AAC is decoded by its AAC-LC core: complete sound without the treble that spectral band
/// replication would add, which is better than none. [`Self::core_only`] tells, so that the host
/// can be told.
pub struct AacToOpus {
    source: Source,
    timeline: Timeline,
    decoder: Decoder,
    resampler: ToOpusRate,
    encoder: OpusEncoder,
    /// Decoded samples of one access unit, interleaved.
    pcm: Vec<f32>,
    /// Samples at 48 kHz of an unfinished Opus frame, interleaved.
    pending: Vec<f32>,
    /// Time of the first sound in `pending`, in samples at 48 kHz. Before zero while the delays
    /// of resampler and encoder have not passed.
    pending_at: i64,
    meter: Meter,
    counters: Counters,
}

/// What happened to the sound besides being transcoded. All of it since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Access units that could not be decoded and are silence.
    pub concealed: u64,
    /// Gaps in time that were filled with silence.
    pub gaps_filled: u64,
    /// Access units dropped because their time had been filled already.
    pub overlaps_dropped: u64,
    /// Leaps in time, after which the counter started anew.
    pub restarts: u64,
}

impl AacToOpus {
    /// A transcoder for the stream that `config` describes. Errors name what cannot be decoded.
    pub fn new(config: &AudioSpecificConfig) -> Result<Self, Error> {
        let source = Source::new(config)?;
        Ok(Self {
            source,
            timeline: Timeline::new(source.sample_rate),
            decoder: Decoder::new(source)?,
            resampler: ToOpusRate::new(source.sample_rate, source.channels)?,
            encoder: OpusEncoder::new(source.channels)?,
            pcm: Vec::with_capacity(SAMPLES_PER_AU * source.channels),
            pending: Vec::new(),
            pending_at: 0,
            meter: Meter::new(source.sample_rate, source.channels),
            counters: Counters::default(),
        })
    }

    /// What the Opus frames are.
    pub fn output(&self) -> OpusFormat {
        self.encoder.format()
    }

    /// Whether the source is HE-AAC, of which only the AAC-LC core is decoded.
    pub fn core_only(&self) -> bool {
        self.source.core_only
    }

    /// What happened besides transcoding, for metrics.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How loud the sound is that was decoded, in order; `None` once all was said.
    pub fn poll_level(&mut self) -> Option<Level> {
        self.meter.poll()
    }

    /// Takes one access unit and appends zero or more Opus frames to `out`: 960 ticks of
    /// [`Timescale::OPUS`] each, arrived when the access unit did that completed them.
    ///
    /// `frame.dts` may be in any timescale. After an error that [is transient]
    /// (Error::is_transient) silence stands for the access unit, `out` has what was completed, and
    /// the next can be pushed. Times in `out` go back only after `frame.dts` did, by over two seconds.
    pub fn push(&mut self, frame: &Frame, out: &mut Vec<Frame>) -> Result<(), Error> {
        let dts = samples_at(frame.dts, self.source.sample_rate);
        let mut silence = 0;
        match self.timeline.place(dts, SAMPLES_PER_AU) {
            Step::Append => {}
            Step::FillThenAppend(samples) => {
                self.counters.gaps_filled += 1;
                silence = samples;
            }
            Step::Drop => {
                self.counters.overlaps_dropped += 1;
                return Ok(());
            }
            Step::Start => self.start_at(frame.dts),
            Step::Restart => {
                self.counters.restarts += 1;
                self.finish(frame.arrived, out)?;
                self.start_at(frame.dts);
            }
        }
        let decoded = self.decoder.decode(&frame.data, &mut self.pcm);
        match &decoded {
            Err(error) if !error.is_transient() => return decoded,
            Err(_) => self.counters.concealed += 1,
            Ok(()) => self.meter.push(&self.pcm),
        }
        if silence > 0 {
            let silence = vec![0.0; silence * self.source.channels];
            self.resampler.push(&silence, &mut self.pending)?;
        }
        self.resampler.push(&self.pcm, &mut self.pending)?;
        self.encode_pending(frame.arrived, out)?;
        decoded
    }

    /// Begins anew: the next sample stands at `dts`.
    fn start_at(&mut self, dts: MediaTime) {
        self.pending.clear();
        self.resampler.reset();
        let delay = self.resampler.delay() + self.encoder.format().lookahead;
        self.pending_at = samples_at(dts, Timescale::OPUS.hz()) - i64::from(delay);
    }

    /// Gives out the sound so far, though it does not fill its last frame.
    fn finish(&mut self, arrived: UtcTime, out: &mut Vec<Frame>) -> Result<(), Error> {
        if !self.pending.is_empty() {
            self.pending.resize(FRAME_SAMPLES * self.source.channels, 0.0);
            self.encode_pending(arrived, out)?;
        }
        Ok(())
    }

    fn encode_pending(&mut self, arrived: UtcTime, out: &mut Vec<Frame>) -> Result<(), Error> {
        let mut used = 0;
        let length = FRAME_SAMPLES * self.source.channels;
        while let Some(pcm) = self.pending.get(used..used + length) {
            // Frames from before time zero are encoded all the same, for the encoder's memory.
            let data = self.encoder.encode(pcm)?;
            if let Ok(ticks) = u64::try_from(self.pending_at) {
                out.push(Frame {
                    dts: MediaTime::new(ticks, Timescale::OPUS),
                    composition_offset: 0,
                    duration: FRAME_SAMPLES as u32,
                    keyframe: true,
                    data,
                    arrived,
                });
            }
            self.pending_at += FRAME_SAMPLES as i64;
            used += length;
        }
        self.pending.drain(..used);
        Ok(())
    }
}

/// The sample that stands at `time`. Times that no broadcast reaches are held at a bound that
/// leaves room to count on.
fn samples_at(time: MediaTime, rate: u32) -> i64 {
    const BOUND: u64 = 1 << 60;
    let rate = Timescale::new(rate).unwrap_or(Timescale::OPUS);
    time.rescale(rate).ticks.min(BOUND) as i64
}
