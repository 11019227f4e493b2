//! AAC in, Opus out: once per broadcast, in process, on exact timestamps. Video that viewers cannot be
//! given is [`video`]'s, by ffmpeg.
//!
//! WebRTC carries Opus and RTMP brings AAC, so every broadcast with AAC passes through here.
//! [`AacToOpus`] is pure: access units in, Opus frames out, no task and no clock. Its parts are
//! [`source`] (what of the stream is decoded), [`decode`] (one access unit to samples, whatever its
//! bytes), [`level`] (how loud they are), [`timeline`] (when they stand for), [`resample`] (any rate to
//! 48 kHz) and [`opus_encode`]. Counting errors, and deciding when a broadcast is better off without audio,
//! is left to the caller.

mod aac_to_opus;
mod decode;
mod level;
mod opus_encode;
mod resample;
mod source;
mod timeline;
pub mod video;

pub use aac_to_opus::{AacToOpus, Counters};
pub use level::{Level, Meter};
pub use opus_encode::{FRAME_SAMPLES, OpusFormat};
pub use source::SAMPLES_PER_AU;

/// Why audio cannot be transcoded, or what was wrong with one access unit of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More channels than WebRTC viewers can be sent.
    #[error("AAC of {0} channels is not supported; set the encoder to mono or stereo")]
    Channels(u8),
    /// The access unit could not be decoded. Silence of the same length stands for it; go on.
    #[error("an AAC frame could not be decoded: {0}")]
    Broken(String),
    /// The decoder panicked on the access unit and was made anew. Silence stands for the unit; go on.
    #[error("the AAC decoder panicked on a frame and was restarted")]
    Panicked,
    /// A codec could not be set up or run; this transcoder is of no further use.
    #[error("{step} failed: {reason}")]
    Codec {
        /// What was being done.
        step: &'static str,
        /// What the library says of it.
        reason: String,
    },
}

impl Error {
    /// Whether it cost one access unit only, and the transcoder can go on.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Panicked)
    }

    fn codec(step: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Codec { step, reason: reason.to_string() }
    }
}
