//! H.264 as far as RTP needs it: NAL units of a frame, and the parameter sets of a track.
//!
//! Nothing here decodes; what a NAL unit means beyond its type is for the decoder.

use bytes::Bytes;

/// NAL unit types of ITU-T H.264 table 7-1.
pub(super) mod nal {
    /// Sequence parameter set.
    pub(crate) const SPS: u8 = 7;
    /// Access unit delimiter.
    pub(crate) const AUD: u8 = 9;
    /// Filler data.
    pub(crate) const FILLER: u8 = 12;
    /// RTP aggregation packet, RFC 6184 §5.7.1.
    pub(crate) const STAP_A: u8 = 24;
    /// RTP fragmentation unit, RFC 6184 §5.8.
    pub(crate) const FU_A: u8 = 28;

    /// The type of a NAL unit by its first byte.
    pub(crate) fn kind(first: u8) -> u8 {
        first & 0x1f
    }
}

/// The largest parameter set that is taken. Real ones are tens of bytes; a whole record must fit
/// the packet before each keyframe.
const PARAMETER_SET_BYTES_MAX: usize = 512;

/// Why bytes from the relay are not the H.264 that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// A NAL unit's length runs past the frame, or is zero.
    #[error("frame is not length-prefixed NAL units")]
    Frame,
    /// The AVCDecoderConfigurationRecord is cut short or of an unknown kind.
    #[error("decoder configuration is not an AVCDecoderConfigurationRecord")]
    Configuration,
    /// A parameter set of implausible size.
    #[error("parameter set of more than {PARAMETER_SET_BYTES_MAX} bytes")]
    ParameterSet,
}

/// The parameter sets of a track, from its AVCDecoderConfigurationRecord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    /// `profile_idc`, constraint flags and `level_idc`: what SDP calls `profile-level-id`.
    pub profile: [u8; 3],
    /// SPS then PPS, in the order of the record.
    pub sets: Vec<Bytes>,
}

impl Parameters {
    /// Reads an AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.1.
    pub(super) fn parse(record: &Bytes) -> Result<Self, Error> {
        let head = record.get(..6).ok_or(Error::Configuration)?;
        let length_size = head[4] & 3;
        if head[0] != 1 || length_size != 3 {
            return Err(Error::Configuration);
        }
        let profile = [head[1], head[2], head[3]];
        let mut sets = Vec::new();
        let mut at = read_sets(record, 6, usize::from(head[5] & 0x1f), &mut sets)?;
        let pps = *record.get(at).ok_or(Error::Configuration)?;
        at += 1;
        read_sets(record, at, usize::from(pps), &mut sets)?;
        if sets.is_empty() {
            return Err(Error::Configuration);
        }
        Ok(Self { profile, sets })
    }
}

fn read_sets(
    record: &Bytes,
    mut at: usize,
    count: usize,
    sets: &mut Vec<Bytes>,
) -> Result<usize, Error> {
    for _ in 0..count {
        let length = record.get(at..at + 2).ok_or(Error::Configuration)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        at += 2;
        if length == 0 || at + length > record.len() {
            return Err(Error::Configuration);
        }
        if length > PARAMETER_SET_BYTES_MAX {
            return Err(Error::ParameterSet);
        }
        sets.push(record.slice(at..at + length));
        at += length;
    }
    Ok(at)
}

/// The NAL units of a frame whose units stand behind four-byte lengths.
pub(super) fn nal_units(frame: &[u8]) -> impl Iterator<Item = Result<&[u8], Error>> {
    let mut rest = frame;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = (|| {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            if length == 0 { None } else { tail.split_at_checked(length) }
        })();
        match unit {
            Some((unit, tail)) => {
                rest = tail;
                Some(Ok(unit))
            }
            None => {
                rest = &[];
                Some(Err(Error::Frame))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parameter_sets_come_out_in_order() {
        let record = Bytes::from_static(&[
            1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3, 0xfd, 0xf8, 0xf8, 0,
        ]);
        let parameters = Parameters::parse(&record).unwrap();
        assert_eq!(parameters.profile, [0x64, 0, 0x1f]);
        assert_eq!(parameters.sets, [&[0x67, 1, 2][..], &[0x68, 3]]);
    }

    #[test]
    fn a_length_past_the_end_ends_the_frame_with_an_error() {
        let units: Vec<_> = nal_units(&[0, 0, 0, 1, 0x65, 0, 0, 0, 9, 1]).collect();
        assert_eq!(units, [Ok(&[0x65][..]), Err(Error::Frame)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            nal_units(&bytes).for_each(drop);
            drop(Parameters::parse(&bytes.into()));
        }
    }
}
