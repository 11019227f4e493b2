//! How the tests of this folder listen: plain AAC decoding, and when beeps begin.

use bytes::Bytes;
use symphonia_codec_aac::AacDecoder;
use symphonia_core::audio::layouts;
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;
use symphonia_core::units::{Duration, Timestamp};

/// The first channel of AAC-LC access units, 1024 samples each.
pub(crate) fn decode_aac(units: &[Bytes], rate: u32, channels: usize) -> Vec<f32> {
    let layout = match channels {
        1 => layouts::CHANNEL_LAYOUT_MONO,
        _ => layouts::CHANNEL_LAYOUT_STEREO,
    };
    let mut params = AudioCodecParameters::new();
    params.for_codec(CODEC_ID_AAC).with_sample_rate(rate).with_channels(layout);
    let mut decoder = AacDecoder::try_new(&params, &AudioDecoderOptions::default()).unwrap();
    let mut pcm = Vec::new();
    for unit in units {
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::new(1024), unit);
        let mut samples = Vec::new();
        decoder.decode_ref(&packet).unwrap().copy_to_vec_interleaved::<f32>(&mut samples);
        pcm.extend(samples.iter().step_by(channels));
    }
    pcm
}

/// When sound begins after at least 0.3 s without, in seconds from the first sample.
pub(crate) fn onsets(pcm: &[f32], rate: u32) -> Vec<f64> {
    let threshold = pcm.iter().fold(0.0_f32, |peak, x| peak.max(x.abs())) * 0.1;
    let mut quiet = 0;
    let mut onsets = Vec::new();
    for (at, sample) in pcm.iter().enumerate() {
        if sample.abs() < threshold {
            quiet += 1;
            continue;
        }
        if f64::from(quiet) > 0.3 * f64::from(rate) {
            onsets.push(at as f64 / f64::from(rate));
        }
        quiet = 0;
    }
    onsets
}
