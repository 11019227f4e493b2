//! A take's sound: packets on a sample counter, the Opus that is made of AAC, and Opus as it came.

use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::{AudioTrack, Frame, MediaTime, Timescale, UtcTime, cmaf};

use super::opus::Opus;
use super::pacer::Pacer;
use crate::ingest::aac::AudioSpecificConfig;
use crate::package::Lane;
use crate::transcode::{self, AacToOpus};

/// Audio whose own sample count has drifted this far from the source's clock is set to it again.
/// Less is the rounding of RTMP's milliseconds and the encoder's own jitter.
const AUDIO_DRIFT_MAX: Duration = Duration::from_millis(100);
/// How long an access unit lasts, in ticks of the sample rate.
const AAC_FRAME_SAMPLES: u32 = transcode::SAMPLES_PER_AU as u32;

/// What the encoder's audio parameters set up.
pub(super) struct Audio {
    source: Source,
    /// Opus that is on its way out.
    pub(super) pacer: Pacer,
}

enum Source {
    Aac(Box<Aac>),
    Opus(Opus),
}

/// AAC, and what makes Opus of it.
struct Aac {
    config: AudioSpecificConfig,
    timescale: Timescale,
    transcoder: AacToOpus,
    next_ticks: Option<u64>,
}

/// What became of a packet.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// AAC, with its time on the sample counter.
    pub(super) aac: Option<Frame>,
    /// Whether it was left out, or cannot be heard.
    pub(super) dropped: bool,
}

impl Audio {
    /// AAC with these parameters.
    pub(super) fn aac(config: AudioSpecificConfig) -> Result<Self, transcode::Error> {
        let transcoder = AacToOpus::new(&config)?;
        let timescale = Timescale::new(config.sample_rate).unwrap_or(Timescale::OPUS);
        let source = Source::Aac(Box::new(Aac { config, timescale, transcoder, next_ticks: None }));
        Ok(Self { source, pacer: Pacer::default() })
    }

    /// Opus, decoded to so many channels.
    pub(super) fn opus(channels: u8) -> Self {
        Self { source: Source::Opus(Opus::new(channels)), pacer: Pacer::default() }
    }

    /// Whether this is AAC of just these parameters.
    pub(super) fn is_aac(&self, config: &AudioSpecificConfig) -> bool {
        matches!(&self.source, Source::Aac(aac) if aac.config.raw == config.raw)
    }

    /// Whether this is Opus decoded to so many channels.
    pub(super) fn is_opus(&self, channels: u8) -> bool {
        matches!(&self.source, Source::Opus(opus) if opus.channels() == channels)
    }

    /// Whether only part of what the encoder sends is decoded (HE-AAC).
    pub(super) fn core_only(&self) -> bool {
        matches!(&self.source, Source::Aac(aac) if aac.transcoder.core_only())
    }

    /// Takes a packet of the source, appends Opus to `opus`, and gives back AAC if that is what came.
    pub(super) fn push(
        &mut self,
        media_ms: u64,
        data: Bytes,
        arrived: UtcTime,
        opus: &mut Vec<Frame>,
    ) -> Pushed {
        match &mut self.source {
            Source::Aac(aac) => aac.push(media_ms, data, arrived, opus),
            Source::Opus(source) => {
                let taken = source.push(media_ms, data, arrived, opus);
                Pushed { aac: None, dropped: !taken }
            }
        }
    }

    /// How loud it was, of what was decoded since this was asked last.
    pub(super) fn poll_level(&mut self) -> Option<transcode::Level> {
        match &mut self.source {
            Source::Aac(aac) => aac.transcoder.poll_level(),
            // Opus is not decoded here.
            Source::Opus(_) => None,
        }
    }

    /// The tracks that it makes, Opus first. `bitrate` is the source's, if it is stated.
    pub(super) fn tracks(&self, bitrate: Option<u64>) -> Result<Vec<AudioTrack>, cmaf::Error> {
        match &self.source {
            Source::Aac(aac) => aac.tracks(bitrate),
            Source::Opus(opus) => Ok(vec![opus_track(opus.channels().into(), bitrate)?]),
        }
    }
}

impl Aac {
    fn push(
        &mut self,
        media_ms: u64,
        data: Bytes,
        arrived: UtcTime,
        opus: &mut Vec<Frame>,
    ) -> Pushed {
        let Some(frame) = self.frame(media_ms, data, arrived) else {
            return Pushed { aac: None, dropped: true };
        };
        let transcoded = self.transcoder.push(&frame, opus);
        if let Err(error) = &transcoded {
            tracing::debug!(%error, "audio frame concealed");
        }
        Pushed { aac: Some(frame), dropped: transcoded.is_err() }
    }

    /// An access unit with its time on the sample counter; `None` while the source repeats what it
    /// has already sent.
    fn frame(&mut self, media_ms: u64, data: Bytes, arrived: UtcTime) -> Option<Frame> {
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

    fn tracks(&self, bitrate: Option<u64>) -> Result<Vec<AudioTrack>, cmaf::Error> {
        let made = self.transcoder.output();
        let AudioSpecificConfig { raw, sample_rate, channels, .. } = &self.config;
        let channels = u32::from(*channels);
        let aac = AudioTrack {
            name: Lane::Aac.track(),
            codec: self.config.codec(),
            init: cmaf::aac_init(raw, *sample_rate, channels)?,
            description: raw.clone(),
            sample_rate: *sample_rate,
            channels,
            bitrate,
        };
        Ok(vec![opus_track(made.channels, Some(made.bitrate.into()))?, aac])
    }
}

fn opus_track(channels: u32, bitrate: Option<u64>) -> Result<AudioTrack, cmaf::Error> {
    Ok(AudioTrack {
        name: Lane::Opus.track(),
        codec: "opus".to_owned(),
        init: cmaf::opus_init(channels)?,
        description: Bytes::new(),
        sample_rate: Timescale::OPUS.hz(),
        channels,
        bitrate,
    })
}
