//! A take's sound: access units on a sample counter, and the Opus that is made of them.

use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::{Frame, MediaTime, Timescale, UtcTime};

use super::pacer::Pacer;
use crate::ingest::aac::AudioSpecificConfig;
use crate::transcode::{self, AacToOpus};

/// Audio whose own sample count has drifted this far from the source's clock is set to it again.
/// Less is the rounding of RTMP's milliseconds and the encoder's own jitter.
const AUDIO_DRIFT_MAX: Duration = Duration::from_millis(100);
/// How long an access unit lasts, in ticks of the sample rate.
const AAC_FRAME_SAMPLES: u32 = transcode::SAMPLES_PER_AU as u32;

/// What the encoder's audio parameters set up.
pub(super) struct Audio {
    pub(super) config: AudioSpecificConfig,
    timescale: Timescale,
    pub(super) transcoder: AacToOpus,
    next_ticks: Option<u64>,
    /// Opus that is on its way out.
    pub(super) pacer: Pacer,
}

impl Audio {
    /// Sound with these parameters.
    pub(super) fn new(config: AudioSpecificConfig) -> Result<Self, transcode::Error> {
        let transcoder = AacToOpus::new(&config)?;
        let timescale = Timescale::new(config.sample_rate).unwrap_or(Timescale::OPUS);
        Ok(Self { config, timescale, transcoder, next_ticks: None, pacer: Pacer::default() })
    }

    /// An access unit with its time on the sample counter; `None` while the source repeats what it
    /// has already sent.
    pub(super) fn frame(&mut self, media_ms: u64, data: Bytes, arrived: UtcTime) -> Option<Frame> {
        let stated = MediaTime::from_millis(media_ms).rescale(self.timescale);
        let dts = match self.next_ticks.map(|ticks| MediaTime::new(ticks, self.timescale)) {
            Some(counted) if counted.saturating_since(stated) > AUDIO_DRIFT_MAX => return None,
            Some(counted) if stated.saturating_since(counted) <= AUDIO_DRIFT_MAX => counted,
            _ => stated,
        };
        self.next_ticks = Some(dts.ticks + u64::from(AAC_FRAME_SAMPLES));
        Some(Frame {
            dts,
            composition_offset: 0,
            duration: AAC_FRAME_SAMPLES,
            keyframe: true,
            data,
            arrived,
        })
    }
}
