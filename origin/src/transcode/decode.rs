//! One AAC access unit to samples, whatever its bytes.
//!
//! The decoder is symphonia's. What this adds: a panic inside it costs one access unit, and what
//! leaves is always [`SAMPLES_PER_AU`] samples per channel, finite, between -1 and 1.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia_codec_aac::AacDecoder;
use symphonia_core::audio::{Channels, layouts};
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;
use symphonia_core::units::{Duration, Timestamp};

use super::Error;
use super::source::{SAMPLES_PER_AU, Source};

/// An access unit has at most 6144 bits per channel (ISO/IEC 13818-7 §8.2.2.3). Twice that for two
/// channels leaves room for fill elements; beyond it the decoder's time is not worth spending.
const AU_BYTES_MAX: usize = 4 * 6144 / 8;

pub(super) struct Decoder {
    source: Source,
    aac: AacDecoder,
}

impl Decoder {
    pub(super) fn new(source: Source) -> Result<Self, Error> {
        Ok(Self { source, aac: open(source)? })
    }

    /// Decodes into `pcm`, interleaved, replacing what it held. On an error `pcm` is silence, of
    /// the same length, and the next access unit may be tried.
    pub(super) fn decode(&mut self, au: &[u8], pcm: &mut Vec<f32>) -> Result<(), Error> {
        let result = self.try_decode(au, pcm);
        if result.is_err() {
            pcm.clear();
            pcm.resize(SAMPLES_PER_AU * self.source.channels, 0.0);
        }
        result
    }

    fn try_decode(&mut self, au: &[u8], pcm: &mut Vec<f32>) -> Result<(), Error> {
        if au.is_empty() || au.len() > AU_BYTES_MAX {
            return Err(Error::Broken(format!("it has {} bytes", au.len())));
        }
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(SAMPLES_PER_AU as u64), au);
        // Unwind safety: after a panic the decoder is replaced and `pcm` overwritten.
        let aac = &mut self.aac;
        let decoded = catch_unwind(AssertUnwindSafe(|| match aac.decode_ref(&packet) {
            Ok(samples) => {
                samples.copy_to_vec_interleaved::<f32>(pcm);
                Ok(())
            }
            Err(error) => Err(Error::Broken(error.to_string())),
        }));
        match decoded {
            Ok(result) => result?,
            Err(_) => {
                self.aac = open(self.source)?;
                return Err(Error::Panicked);
            }
        }
        if pcm.len() != SAMPLES_PER_AU * self.source.channels {
            return Err(Error::Broken(format!("it decodes to {} samples", pcm.len())));
        }
        // Garbage may decode to anything, NaN included, which would stay in every filter behind.
        for sample in pcm.iter_mut() {
            *sample = if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        }
        Ok(())
    }
}

/// Opens a decoder for the AAC-LC core, whatever extensions the config announces.
fn open(source: Source) -> Result<AacDecoder, Error> {
    let channels: Channels = if source.channels == 1 {
        layouts::CHANNEL_LAYOUT_MONO
    } else {
        layouts::CHANNEL_LAYOUT_STEREO
    };
    let mut params = AudioCodecParameters::new();
    params.for_codec(CODEC_ID_AAC).with_sample_rate(source.sample_rate).with_channels(channels);
    AacDecoder::try_new(&params, &AudioDecoderOptions::default())
        .map_err(|error| Error::codec("opening the AAC decoder", error))
}
