//! What of an AAC stream is decoded: its AAC-LC core.

use super::Error;
use crate::ingest::aac::AudioSpecificConfig;

/// Samples of one channel in an access unit of AAC-LC (ISO/IEC 14496-3, frameLengthFlag 0).
pub const SAMPLES_PER_AU: usize = 1024;

/// The AAC-LC core of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Samples per second.
    pub(super) sample_rate: u32,
    /// 1 or 2.
    pub(super) channels: usize,
    /// The stream also has spectral band replication (HE-AAC), which is left undecoded: the
    /// sound is complete but has nothing above half the core's rate.
    pub(super) core_only: bool,
}

impl Source {
    /// Refuses more channels than Opus carries to a WebRTC viewer.
    pub(super) fn new(config: &AudioSpecificConfig) -> Result<Self, Error> {
        match config.channels {
            channels @ (1 | 2) => Ok(Self {
                sample_rate: config.sample_rate,
                channels: channels.into(),
                core_only: config.sbr || config.ps,
            }),
            channels => Err(Error::Channels(channels)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(raw: &'static [u8]) -> Result<Source, Error> {
        Source::new(&AudioSpecificConfig::parse(raw.into()).expect("valid"))
    }

    #[test]
    fn what_encoders_send_is_decoded_by_its_core() {
        let check = |raw, sample_rate, channels, core_only| {
            let expect = Source { sample_rate, channels, core_only };
            assert_eq!(source(raw).expect("decodable"), expect, "{raw:x?}");
        };
        check(&[0x11, 0x90], 48_000, 2, false);
        check(&[0x12, 0x08], 44_100, 1, false);
        // HE-AAC, explicit: object type 5, core at 24 kHz, extension at 48 kHz, then AAC-LC.
        check(&[0x2b, 0x11, 0x88, 0x00], 24_000, 2, true);
        // Backward compatible: AAC-LC at 24 kHz, sync extension, SBR present.
        check(&[0x13, 0x10, 0x56, 0xe5, 0x98], 24_000, 2, true);
    }

    #[test]
    fn surround_is_refused_by_name() {
        let error = source(&[0x11, 0xb0]).expect_err("5.1").to_string();
        assert!(error.contains("6 channels") && error.contains("stereo"), "{error}");
    }
}
