//! What an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) says of an AAC track. Decoding is the
//! transcoder's.

use bytes::Bytes;

use super::bits::Bits;

/// Longest configuration accepted. Those of encoders have two to seven bytes.
pub const CONFIG_BYTES_MAX: usize = 64;

/// Audio object types, §1.5.1.1.
const AAC_LC: u8 = 2;
const SBR: u8 = 5;
const PS: u8 = 29;
/// The escape to six more bits.
const OBJECT_TYPE_ESCAPE: u32 = 31;
/// The sampling frequency index that is followed by the frequency itself.
const FREQUENCY_EXPLICIT: u32 = 15;
/// Sampling frequencies by index, table 1.18.
const FREQUENCIES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Channels by configuration, table 1.19. Zero: stated in the stream, or reserved.
const CHANNELS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0];
/// The sync words of the extensions behind the core configuration, §1.6.5.
const SYNC_SBR: u32 = 0x2b7;
const SYNC_PS: u32 = 0x548;

/// An AAC-LC configuration, perhaps with HE-AAC extensions over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// The configuration as it came.
    pub raw: Bytes,
    /// The audio object type of the core coder: 2, AAC-LC.
    pub object_type: u8,
    /// Samples per second of the core coder; with SBR, half of what is heard.
    pub sample_rate: u32,
    /// Channels of the core coder; with PS, one where two are heard.
    pub channels: u8,
    /// Spectral band replication: HE-AAC. A plain AAC-LC decoder hears it dull.
    pub sbr: bool,
    /// Parametric stereo: HE-AAC v2. A plain AAC-LC decoder hears it dull and mono.
    pub ps: bool,
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends too early or is longer than [`CONFIG_BYTES_MAX`].
    #[error("AudioSpecificConfig of {0} bytes")]
    Length(usize),
    /// The core is not AAC-LC.
    #[error("AAC audio object type {0}; choose AAC-LC")]
    ObjectType(u8),
    /// A sampling frequency that no decoder has.
    #[error("AAC sampling frequency is not valid")]
    SampleRate,
    /// Channels are not stated, or reserved.
    #[error("AAC channel configuration {0}; choose mono or stereo")]
    Channels(u8),
    /// 960 samples a frame, or another rare variant of the core.
    #[error("AAC variant with short frames; choose AAC-LC with 1024 samples a frame")]
    Variant,
}

impl AudioSpecificConfig {
    /// Reads a configuration.
    pub fn parse(raw: Bytes) -> Result<Self, Error> {
        let length = Error::Length(raw.len());
        if raw.len() > CONFIG_BYTES_MAX {
            return Err(length);
        }
        let mut bits = Bits::new(&raw);
        let mut object_type = bits.object_type().ok_or(length)?;
        let sample_rate = bits.sample_rate().ok_or(length)??;
        let configuration = bits.read(4).ok_or(length)? as u8;
        let (mut sbr, mut ps) = (object_type == SBR || object_type == PS, object_type == PS);
        if sbr {
            // Explicit signalling: the rate that is heard, then the core's own type.
            bits.sample_rate().ok_or(length)??;
            object_type = bits.object_type().ok_or(length)?;
        }
        if object_type != AAC_LC {
            return Err(Error::ObjectType(object_type));
        }
        let channels = match CHANNELS[usize::from(configuration)] {
            0 => return Err(Error::Channels(configuration)),
            channels => channels,
        };
        // GASpecificConfig, §4.4.1: frameLengthFlag, dependsOnCoreCoder, extensionFlag.
        if bits.read(3).ok_or(length)? != 0 {
            return Err(Error::Variant);
        }
        // Implicit signalling stands behind the core, where old decoders do not look.
        if !sbr && bits.read(11) == Some(SYNC_SBR) && bits.object_type() == Some(SBR) {
            sbr = bits.read(1) == Some(1);
            if sbr && matches!(bits.sample_rate(), Some(Ok(_))) {
                ps = bits.read(11) == Some(SYNC_PS) && bits.read(1) == Some(1);
            }
        }
        Ok(Self { raw, object_type, sample_rate, channels, sbr, ps })
    }

    /// RFC 6381, such as `mp4a.40.2`: what the core coder is.
    pub fn codec(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

impl Bits<'_> {
    fn object_type(&mut self) -> Option<u8> {
        let object_type = match self.read(5)? {
            OBJECT_TYPE_ESCAPE => 32 + self.read(6)?,
            object_type => object_type,
        };
        u8::try_from(object_type).ok()
    }

    fn sample_rate(&mut self) -> Option<Result<u32, Error>> {
        let rate = match self.read(4)? {
            FREQUENCY_EXPLICIT => self.read(24)?,
            index => FREQUENCIES.get(index as usize).copied().unwrap_or(0),
        };
        Some(if (7_350..=96_000).contains(&rate) { Ok(rate) } else { Err(Error::SampleRate) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(raw: &[u8]) -> Result<AudioSpecificConfig, Error> {
        AudioSpecificConfig::parse(Bytes::copy_from_slice(raw))
    }

    fn facts(raw: &[u8]) -> (u32, u8, bool, bool) {
        let config = parse(raw).unwrap();
        assert_eq!(config.raw, raw);
        assert_eq!(config.codec(), "mp4a.40.2");
        (config.sample_rate, config.channels, config.sbr, config.ps)
    }

    #[test]
    fn aac_lc_states_its_rate_and_channels() {
        assert_eq!(facts(&[0x12, 0x10]), (44_100, 2, false, false));
        assert_eq!(facts(&[0x11, 0x88]), (48_000, 1, false, false));
        // A rate in full: 5 bits type, index 15, 24 bits, 4 bits channels, 3 bits core.
        assert_eq!(facts(&[0x17, 0x80, 0x56, 0x22, 0x08]), (44_100, 1, false, false));
    }

    #[test]
    fn he_aac_is_flagged_however_it_is_signalled() {
        // What libfdk writes for `aac_he` and `aac_he_v2` at 44.1 kHz.
        assert_eq!(facts(&[0x2b, 0x92, 0x08, 0x00]), (22_050, 2, true, false));
        assert_eq!(facts(&[0xeb, 0x8a, 0x08, 0x00]), (22_050, 1, true, true));
        assert_eq!(facts(&[0x13, 0x90, 0x56, 0xe5, 0xa5, 0x48, 0x00]), (22_050, 2, true, false));
        // What the ffmpeg encoder appends to say that there is none.
        assert_eq!(facts(&[0x12, 0x10, 0x56, 0xe5, 0x00]), (44_100, 2, false, false));
    }

    #[test]
    fn what_is_not_aac_lc_is_refused_by_name() {
        assert_eq!(parse(&[]), Err(Error::Length(0)));
        assert_eq!(parse(&[0x12]), Err(Error::Length(1)));
        assert_eq!(parse(&[0x12; CONFIG_BYTES_MAX + 1]), Err(Error::Length(65)));
        assert_eq!(parse(&[0x0a, 0x10]), Err(Error::ObjectType(1)));
        assert_eq!(parse(&[0xf8, 0xe8, 0x50, 0x00]), Err(Error::ObjectType(39)));
        assert_eq!(parse(&[0x16, 0x90]), Err(Error::SampleRate));
        assert_eq!(parse(&[0x12, 0x00]), Err(Error::Channels(0)));
        assert_eq!(parse(&[0x12, 0x14]), Err(Error::Variant));
    }

    proptest! {
        #[test]
        fn no_configuration_panics(raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&raw);
        }
    }
}
