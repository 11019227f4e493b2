//! What every way in makes of what a publisher sends: tags, in the order in which they came, with the
//! publisher's own timestamps. Unwrapping and mapping those is the clock's.

use bytes::Bytes;

use super::aac;
use super::metadata::Metadata;

/// One tag, in words of the media model.
#[derive(Clone, Debug, PartialEq)]
pub enum Tag {
    /// What the encoder says of itself.
    Metadata(Metadata),
    /// The decoder configuration of the video that follows.
    VideoConfig {
        /// A valid AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3, stating NAL unit
        /// lengths of four bytes.
        avcc: Bytes,
    },
    /// The decoder configuration of the audio that follows.
    AudioConfig {
        /// AAC-LC, perhaps with HE-AAC extensions over it.
        asc: aac::AudioSpecificConfig,
    },
    /// The audio that follows is Opus, which needs no configuration.
    OpusConfig {
        /// One or two: what it is to be decoded to, whatever a packet has (RFC 6716 §2.1.2).
        channels: u8,
    },
    /// One coded picture.
    Video {
        /// Decode time: 32-bit milliseconds, which wrap and may start anywhere.
        timestamp_ms: u32,
        /// Presentation time minus decode time.
        composition_ms: i32,
        /// Whether decoding can begin here, as the encoder says.
        keyframe: bool,
        /// NAL units, each behind its length in four bytes, which was checked.
        data: Bytes,
    },
    /// One raw_data_block of AAC, or one packet of Opus, as the last configuration says.
    Audio {
        /// 32-bit milliseconds, on the clock of the video.
        timestamp_ms: u32,
        /// One raw_data_block, or one packet (RFC 6716 §3).
        data: Bytes,
    },
    /// No video follows under the last configuration.
    EndOfSequence,
}

impl Tag {
    /// The timestamp and the data of a tag that carries media.
    pub fn media(&self) -> Option<(u32, &Bytes)> {
        match self {
            Self::Video { timestamp_ms, data, .. } | Self::Audio { timestamp_ms, data } => {
                Some((*timestamp_ms, data))
            }
            Self::Metadata(_)
            | Self::VideoConfig { .. }
            | Self::AudioConfig { .. }
            | Self::OpusConfig { .. }
            | Self::EndOfSequence => None,
        }
    }
}
