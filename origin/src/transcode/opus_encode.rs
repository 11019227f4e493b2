//! 48 kHz samples to Opus packets of 20 ms.

use bytes::Bytes;
use opus::{Application, Bitrate, Encoder};

use super::Error;

/// Samples per channel of an Opus frame: 20 ms at 48 kHz, what every WebRTC stack expects.
pub const FRAME_SAMPLES: usize = 960;

/// Bits per second. Opus is held to be transparent from about 96 kb/s in stereo; the rest is
/// margin for music, and costs a twentieth of the video.
const BITRATE_STEREO: u32 = 128_000;
const BITRATE_MONO: u32 = 72_000;

/// The most that the encoder can do, since it runs once per broadcast: 0.47 ms per 20 ms of stereo
/// were measured on a busy core, 2.3% of it, against 0.30 ms at complexity 5.
const COMPLEXITY: i32 = 10;

/// The largest Opus frame (RFC 6716 §3.2.1), plus the byte that says what it is.
const PACKET_BYTES_MAX: usize = 1276;

/// What the encoder makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusFormat {
    /// 1 or 2.
    pub channels: u32,
    /// Samples at 48 kHz by which a decoder's output lags the encoder's input. Frame times
    /// already account for it; it is the pre-skip that `dOps` asks for (RFC 7845 §4.2).
    pub lookahead: u32,
    /// Bits per second, on average.
    pub bitrate: u32,
}

pub(super) struct OpusEncoder {
    encoder: Encoder,
    format: OpusFormat,
    packet: Vec<u8>,
}

impl OpusEncoder {
    pub(super) fn new(channels: usize) -> Result<Self, Error> {
        let mono = channels == 1;
        let layout = if mono { opus::Channels::Mono } else { opus::Channels::Stereo };
        let bitrate = if mono { BITRATE_MONO } else { BITRATE_STEREO };
        let make = || {
            let mut encoder = Encoder::new(48_000, layout, Application::Audio)?;
            encoder.set_bitrate(Bitrate::Bits(bitrate as i32))?;
            // Constrained: a packet may grow, but not so that it delays the next on a thin link.
            encoder.set_vbr(true)?;
            encoder.set_vbr_constraint(true)?;
            encoder.set_complexity(COMPLEXITY)?;
            let lookahead = encoder.get_lookahead()? as u32;
            Ok((encoder, lookahead))
        };
        let (encoder, lookahead) =
            make().map_err(|error: opus::Error| Error::codec("making the Opus encoder", error))?;
        let format = OpusFormat { channels: channels as u32, lookahead, bitrate };
        Ok(Self { encoder, format, packet: vec![0; PACKET_BYTES_MAX] })
    }

    pub(super) fn format(&self) -> OpusFormat {
        self.format
    }

    /// Encodes exactly [`FRAME_SAMPLES`] samples per channel, interleaved.
    pub(super) fn encode(&mut self, pcm: &[f32]) -> Result<Bytes, Error> {
        let size = self
            .encoder
            .encode_float(pcm, &mut self.packet)
            .map_err(|error| Error::codec("encoding Opus", error))?;
        Ok(Bytes::copy_from_slice(&self.packet[..size]))
    }
}
