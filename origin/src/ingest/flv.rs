//! Reads the bodies of FLV tags, as RTMP carries them, into the [`Tag`]s that the origin knows:
//! legacy H.264 and AAC tags (Video File Format 10, annex E) and their Enhanced RTMP v2 forms.
//! Timestamps pass through as they come; unwrapping them is the clock's.

pub mod container;

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub use super::metadata::Metadata;
pub use super::tag::Tag;
use super::{aac, h264};

/// NAL units in one picture. Encoders slice a picture into at most a few dozen.
pub const NAL_UNITS_MAX: usize = 1024;

/// What this server cannot serve to viewers, in words for the host whose encoder sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// Video other than H.264.
    #[error("this encoder sends {0}; choose H.264")]
    Video(&'static str),
    /// Audio other than AAC.
    #[error("this encoder sends {0}; choose AAC")]
    Audio(&'static str),
    /// AAC other than AAC-LC in mono or stereo and their like.
    #[error("this encoder sends {0}")]
    Aac(aac::Error),
    /// Several tracks over one connection.
    #[error("this encoder sends several tracks at once; choose a single one")]
    Multitrack,
    /// An extension of Enhanced RTMP that the answer to `connect` did not offer.
    #[error("this encoder uses an RTMP extension that was not offered to it")]
    Extension,
}

/// Why a tag was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing that the encoder goes on to send can be served.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The video configuration cannot be used, so no picture can be decoded.
    #[error("the video configuration cannot be used: {0}")]
    VideoConfig(h264::Error),
    /// The tag's header is cut short or not valid.
    #[error("tag header is cut short or not valid")]
    Malformed,
    /// The NAL unit lengths of a picture do not add up to its size.
    #[error("NAL unit lengths do not fit the picture")]
    NalLengths,
    /// More than [`NAL_UNITS_MAX`] NAL units in a picture.
    #[error("more than {NAL_UNITS_MAX} NAL units in a picture")]
    TooManyNalUnits,
    /// A picture before its configuration.
    #[error("video before its sequence header")]
    VideoBeforeConfig,
    /// Audio before its configuration.
    #[error("audio before its sequence header")]
    AudioBeforeConfig,
}

impl Error {
    /// Whether the encoder has to be told, since nothing that follows can be used. Otherwise this
    /// tag is lost and the next may be good.
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Unsupported(_) | Self::VideoConfig(_))
    }

    /// A short fixed name, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unsupported(Unsupported::Video(_)) => "unsupported_video",
            Self::Unsupported(Unsupported::Audio(_) | Unsupported::Aac(_)) => "unsupported_audio",
            Self::Unsupported(_) => "unsupported_extension",
            Self::VideoConfig(_) => "video_config",
            Self::Malformed => "tag_malformed",
            Self::NalLengths | Self::TooManyNalUnits => "nal_units",
            Self::VideoBeforeConfig => "video_before_config",
            Self::AudioBeforeConfig => "audio_before_config",
        }
    }
}

/// Reads the tags of one publisher; remembers what its configurations said.
#[derive(Debug, Default)]
pub struct Demuxer {
    /// Bytes of each NAL unit's length in the pictures that come.
    nal_length_bytes: Option<u8>,
    audio_configured: bool,
}

/// What an Enhanced RTMP tag carries; audio and video number it alike.
enum PacketType {
    SequenceStart,
    CodedFrames,
    SequenceEnd,
    /// Video only: coded frames without a composition time.
    CodedFramesX,
    /// Colour or channel layout, which the bitstream repeats.
    Metadata,
}

impl PacketType {
    /// Enhanced RTMP v2, `VideoPacketType` and `AudioPacketType`.
    fn new(value: u8) -> Result<Self, Unsupported> {
        Ok(match value {
            0 => Self::SequenceStart,
            1 => Self::CodedFrames,
            2 => Self::SequenceEnd,
            3 => Self::CodedFramesX,
            4 => Self::Metadata,
            6 => return Err(Unsupported::Multitrack),
            _ => return Err(Unsupported::Extension),
        })
    }
}

impl Demuxer {
    /// A demuxer that has seen no configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the body of a video tag. `None` for a tag that says nothing a player needs.
    pub fn video(&mut self, timestamp_ms: u32, mut body: Bytes) -> Result<Option<Tag>, Error> {
        const KEYFRAME: u8 = 1;
        const COMMAND: u8 = 5;
        const AVC: u8 = 7;
        let Some(head) = take_u8(&mut body) else {
            return Ok(None); // Sent by some encoders as a sign of life.
        };
        let enhanced = head & 0x80 != 0;
        let frame_type = head >> 4 & 0b111;
        if frame_type == COMMAND {
            return Ok(None);
        }
        let keyframe = frame_type == KEYFRAME;
        let (packet_type, has_composition) = if enhanced {
            let packet_type = enhanced_video(head & 0x0f, &mut body)?;
            let has_composition = matches!(packet_type, PacketType::CodedFrames);
            (packet_type, has_composition)
        } else {
            if head & 0x0f != AVC {
                return Err(Unsupported::Video(legacy_video(head & 0x0f)).into());
            }
            let packet_type = match take_u8(&mut body).ok_or(Error::Malformed)? {
                0 => PacketType::SequenceStart,
                1 => PacketType::CodedFrames,
                2 => PacketType::SequenceEnd,
                _ => return Err(Error::Malformed),
            };
            let has_composition = !matches!(packet_type, PacketType::SequenceEnd);
            (packet_type, has_composition)
        };
        let composition_ms = match has_composition {
            true => take_i24(&mut body).ok_or(Error::Malformed)?,
            false => 0,
        };
        match packet_type {
            PacketType::SequenceStart => self.video_config(body).map(Some),
            PacketType::CodedFrames | PacketType::CodedFramesX => {
                let length_bytes = self.nal_length_bytes.ok_or(Error::VideoBeforeConfig)?;
                let data = nal_units(body, usize::from(length_bytes))?;
                Ok(Some(Tag::Video { timestamp_ms, composition_ms, keyframe, data }))
            }
            PacketType::SequenceEnd => Ok(Some(Tag::EndOfSequence)),
            PacketType::Metadata => Ok(None),
        }
    }

    /// Reads the body of an audio tag. `None` for a tag that says nothing a player needs.
    pub fn audio(&mut self, timestamp_ms: u32, mut body: Bytes) -> Result<Option<Tag>, Error> {
        const AAC: u8 = 10;
        const ENHANCED: u8 = 9;
        let Some(head) = take_u8(&mut body) else {
            return Ok(None); // Sent by some encoders while muted.
        };
        let packet_type = match head >> 4 {
            ENHANCED => enhanced_audio(head & 0x0f, &mut body)?,
            AAC => match take_u8(&mut body).ok_or(Error::Malformed)? {
                0 => PacketType::SequenceStart,
                1 => PacketType::CodedFrames,
                _ => return Err(Error::Malformed),
            },
            format => return Err(Unsupported::Audio(legacy_audio(format)).into()),
        };
        match packet_type {
            PacketType::SequenceStart => {
                let asc = aac::AudioSpecificConfig::parse(body).map_err(Unsupported::Aac)?;
                self.audio_configured = true;
                Ok(Some(Tag::AudioConfig { asc }))
            }
            PacketType::CodedFrames if !self.audio_configured => Err(Error::AudioBeforeConfig),
            PacketType::CodedFrames if body.is_empty() => Ok(None),
            PacketType::CodedFrames => Ok(Some(Tag::Audio { timestamp_ms, data: body })),
            PacketType::SequenceEnd | PacketType::Metadata => Ok(None),
            PacketType::CodedFramesX => Err(Unsupported::Extension.into()),
        }
    }

    fn video_config(&mut self, avcc: Bytes) -> Result<Tag, Error> {
        let sets = h264::ParameterSets::from_avcc(&avcc).map_err(Error::VideoConfig)?;
        self.nal_length_bytes = Some(sets.nal_length_bytes);
        if sets.nal_length_bytes == 4 {
            return Ok(Tag::VideoConfig { avcc });
        }
        // Pictures are rewritten to lengths of four bytes, so the record has to say so.
        let mut rewritten = BytesMut::from(&avcc[..]);
        rewritten[4] |= 0b11;
        Ok(Tag::VideoConfig { avcc: rewritten.freeze() })
    }
}

/// Checks the NAL unit lengths of a picture, and widens them to four bytes.
fn nal_units(data: Bytes, length_bytes: usize) -> Result<Bytes, Error> {
    let mut rest = &data[..];
    let mut count = 0;
    while !rest.is_empty() {
        let length = nal_length(&mut rest, length_bytes).ok_or(Error::NalLengths)?;
        if length == 0 || length > rest.len() {
            return Err(Error::NalLengths);
        }
        rest.advance(length);
        count += 1;
        if count > NAL_UNITS_MAX {
            return Err(Error::TooManyNalUnits);
        }
    }
    if count == 0 {
        return Err(Error::NalLengths);
    }
    if length_bytes == 4 {
        return Ok(data);
    }
    let mut widened = BytesMut::with_capacity(data.len() + count * (4 - length_bytes));
    let mut rest = &data[..];
    while let Some(length) = nal_length(&mut rest, length_bytes) {
        widened.put_u32(length as u32);
        widened.put_slice(&rest[..length]);
        rest.advance(length);
    }
    Ok(widened.freeze())
}

fn nal_length(rest: &mut &[u8], length_bytes: usize) -> Option<usize> {
    let (length, after) = rest.split_at_checked(length_bytes)?;
    *rest = after;
    Some(length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

/// Reads the FourCC of an enhanced video tag.
fn enhanced_video(packet_type: u8, body: &mut Bytes) -> Result<PacketType, Error> {
    let packet_type = PacketType::new(packet_type)?;
    match &take_four_cc(body)? {
        b"avc1" => Ok(packet_type),
        b"hvc1" | b"hev1" => Err(Unsupported::Video("HEVC").into()),
        b"av01" => Err(Unsupported::Video("AV1").into()),
        b"vp09" => Err(Unsupported::Video("VP9").into()),
        b"vp08" => Err(Unsupported::Video("VP8").into()),
        b"vvc1" => Err(Unsupported::Video("VVC").into()),
        _ => Err(Unsupported::Video("a video codec unknown here").into()),
    }
}

/// Reads the FourCC of an enhanced audio tag.
fn enhanced_audio(packet_type: u8, body: &mut Bytes) -> Result<PacketType, Error> {
    let packet_type = match packet_type {
        5 => return Err(Unsupported::Multitrack.into()),
        other => PacketType::new(other)?,
    };
    match &take_four_cc(body)? {
        b"mp4a" => Ok(packet_type),
        b"Opus" => Err(Unsupported::Audio("Opus").into()),
        b".mp3" => Err(Unsupported::Audio("MP3").into()),
        b"ac-3" => Err(Unsupported::Audio("AC-3").into()),
        b"ec-3" => Err(Unsupported::Audio("E-AC-3").into()),
        b"fLaC" => Err(Unsupported::Audio("FLAC").into()),
        _ => Err(Unsupported::Audio("an audio codec unknown here").into()),
    }
}

/// Video File Format 10, §E.4.3.1, and what encoders added to it.
fn legacy_video(codec_id: u8) -> &'static str {
    match codec_id {
        2 => "Sorenson H.263",
        3 | 6 => "Screen Video",
        4 | 5 => "VP6",
        12 => "HEVC",
        13 => "AV1",
        _ => "a video codec unknown here",
    }
}

/// Video File Format 10, §E.4.2.1.
fn legacy_audio(format: u8) -> &'static str {
    match format {
        0 | 3 => "uncompressed audio",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 | 8 => "G.711",
        11 => "Speex",
        13 => "Opus",
        _ => "an audio codec unknown here",
    }
}

fn take_u8(body: &mut Bytes) -> Option<u8> {
    body.try_get_u8().ok()
}

fn take_i24(body: &mut Bytes) -> Option<i32> {
    let (high, low) = (body.try_get_i8().ok()?, body.try_get_u16().ok()?);
    Some(i32::from(high) << 16 | i32::from(low))
}

fn take_four_cc(body: &mut Bytes) -> Result<[u8; 4], Error> {
    body.try_get_u32().map(u32::to_be_bytes).map_err(|_| Error::Malformed)
}

#[cfg(test)]
mod tests;
