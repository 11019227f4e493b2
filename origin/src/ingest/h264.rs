//! What an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3) says of an H.264 track: size,
//! codec string, frame rate, reordering. The parameter sets are read by `h264-reader`, behind
//! bounds and a catch of our own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{BufMut, Bytes, BytesMut};
use h264_reader::Context;
use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::pps::PicParameterSet;
use h264_reader::nal::sps::{FrameMbsFlags, PicOrderCntType, SeqParameterSet};
use h264_reader::nal::{Nal, RefNal};

/// Longest record accepted. Those of encoders have about fifty bytes.
pub const RECORD_BYTES_MAX: usize = 4096;
/// Longest sequence parameter set that is read; only scaling lists make one longer than 100 bytes.
pub const SPS_BYTES_MAX: usize = 256;
/// Width and height between which a picture is believed.
pub const DIMENSIONS: std::ops::RangeInclusive<u32> = 16..=8192;
/// Frame rates that a clock in the stream may state and be believed.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 1.0..=240.0;
/// Level 6.2. Encoders often state a lower level than their picture size has; the size is what
/// counts, so the parameter set is read as if it stated the highest.
const LEVEL_IDC_MAX: u8 = 62;

/// `profile_idc` of High, ITU-T H.264 §A.2.4.
const PROFILE_HIGH: u8 = 100;

/// What the first sequence parameter set of a track says; the others are checked to be readable.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSets {
    /// Pixels, after cropping.
    pub width: u32,
    /// Pixels, after cropping.
    pub height: u32,
    /// `profile_idc`: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// The constraint flags, as the codec string carries them.
    pub compatibility: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// Frames per second, where the track states its clock. Of a stream with variable frame rate
    /// it is the highest.
    pub frame_rate: Option<f64>,
    /// How many pictures may precede another in decoding and follow it in output; `None` if the
    /// track does not say, in which case there may be some.
    pub reorder_frames_max: Option<u32>,
    /// Whether pictures may be coded as two interleaved fields.
    pub interlaced: bool,
    /// Bytes of each NAL unit's length: 1, 2 or 4.
    pub nal_length_bytes: u8,
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than [`RECORD_BYTES_MAX`].
    #[error("AVCDecoderConfigurationRecord of {0} bytes; at most {RECORD_BYTES_MAX} are read")]
    TooLarge(usize),
    /// It ends too early, or has another version.
    #[error("AVCDecoderConfigurationRecord is malformed")]
    Malformed,
    /// Without a sequence and a picture parameter set nothing can be decoded.
    #[error("AVCDecoderConfigurationRecord lacks parameter sets")]
    ParameterSetsMissing,
    /// A sequence parameter set is longer than [`SPS_BYTES_MAX`].
    #[error("sequence parameter set of {0} bytes; at most {SPS_BYTES_MAX} are read")]
    SpsTooLarge(usize),
    /// A sequence parameter set cannot be read.
    #[error("sequence parameter set is not valid")]
    Sps,
    /// A picture of a size outside [`DIMENSIONS`].
    #[error("picture of {0}x{1} pixels; each side has to be 16 to 8192")]
    Dimensions(u32, u32),
}

impl ParameterSets {
    /// Reads a record.
    pub fn from_avcc(record: &[u8]) -> Result<Self, Error> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge(record.len()));
        }
        // A truncated record makes the reader index past its end.
        catch_unwind(AssertUnwindSafe(|| read(record))).unwrap_or(Err(Error::Malformed))
    }

    /// RFC 6381 §3.4, such as `avc1.64001f`.
    pub fn codec(&self) -> String {
        format!("avc1.{:02x}{:02x}{:02x}", self.profile, self.compatibility, self.level)
    }

    /// Whether pictures may be shown in another order than they are decoded (B-frames).
    pub fn may_reorder(&self) -> bool {
        self.reorder_frames_max != Some(0)
    }
}

/// The record of a stream that has its parameter sets among its pictures, with NAL unit lengths of four
/// bytes; `None` if they are not the kind, or do not fit. What they say is read by
/// [`ParameterSets::from_avcc`].
pub fn record(sequence: &[Bytes], picture: &[Bytes]) -> Option<Bytes> {
    /// Both counts have fewer bits than a byte.
    const SETS_MAX: usize = 31;
    let (Some(first), 1..=SETS_MAX, 1..=SETS_MAX) =
        (sequence.first(), sequence.len(), picture.len())
    else {
        return None;
    };
    let [_, profile, compatibility, level] = *first.first_chunk()?;
    let mut record = BytesMut::new();
    record.put_slice(&[1, profile, compatibility, level, 0xff, 0xe0 | sequence.len() as u8]);
    let put = |record: &mut BytesMut, set: &Bytes| {
        record.put_u16(u16::try_from(set.len()).ok()?);
        record.put_slice(set);
        (record.len() <= RECORD_BYTES_MAX).then_some(())
    };
    for set in sequence {
        put(&mut record, set)?;
    }
    record.put_u8(picture.len() as u8);
    for set in picture {
        put(&mut record, set)?;
    }
    // §5.3.3.1.2 wants the sampling of High and those above it; in High itself there is one only.
    if profile == PROFILE_HIGH {
        record.put_slice(&[0xfc | 1, 0xf8, 0xf8, 0]);
    }
    Some(record.freeze())
}

fn read(record: &[u8]) -> Result<ParameterSets, Error> {
    let avcc = AvcDecoderConfigurationRecord::try_from(record).map_err(|_| Error::Malformed)?;
    let nal_length_bytes = match avcc.length_size_minus_one() {
        2 => return Err(Error::Malformed), // Reserved, §5.3.3.1.2.
        minus_one => minus_one + 1,
    };
    let mut first = None;
    for sps in avcc.sequence_parameter_sets() {
        let sps = read_sps(sps.map_err(|_| Error::Malformed)?)?;
        let (width, height) = sps.pixel_dimensions().map_err(|_| Error::Sps)?;
        if !DIMENSIONS.contains(&width) || !DIMENSIONS.contains(&height) {
            return Err(Error::Dimensions(width, height));
        }
        first.get_or_insert((sps, width, height));
    }
    let mut pictures = 0;
    for pps in avcc.picture_parameter_sets() {
        pps.map_err(|_| Error::Malformed)?;
        pictures += 1;
    }
    let (sps, width, height) = match first {
        Some(first) if pictures > 0 => first,
        _ => return Err(Error::ParameterSetsMissing),
    };
    Ok(ParameterSets {
        width,
        height,
        profile: record[1],
        compatibility: record[2],
        level: record[3],
        frame_rate: sps.fps().filter(|rate| FRAME_RATES.contains(rate)),
        reorder_frames_max: reorder_frames_max(&sps),
        interlaced: matches!(sps.frame_mbs_flags, FrameMbsFlags::Fields { .. }),
        nal_length_bytes,
    })
}

/// What the slices of a track are to be read with; `None` if its record is not one.
pub(crate) fn context(record: &[u8]) -> Option<Context> {
    if record.len() > RECORD_BYTES_MAX {
        return None;
    }
    catch_unwind(AssertUnwindSafe(|| {
        let avcc = AvcDecoderConfigurationRecord::try_from(record).ok()?;
        let mut context = Context::new();
        for sps in avcc.sequence_parameter_sets() {
            context.put_seq_param_set(read_sps(sps.ok()?).ok()?);
        }
        for pps in avcc.picture_parameter_sets() {
            let bits = RefNal::new(pps.ok()?, &[], true).rbsp_bits();
            context.put_pic_param_set(PicParameterSet::from_bits(&context, bits).ok()?);
        }
        Some(context)
    }))
    .unwrap_or_default()
}

fn read_sps(nal: &[u8]) -> Result<SeqParameterSet, Error> {
    if nal.len() > SPS_BYTES_MAX {
        return Err(Error::SpsTooLarge(nal.len()));
    }
    // Header, profile_idc, constraint flags, level_idc (ITU-T H.264 §7.3.2.1.1).
    let mut nal = nal.to_vec();
    *nal.get_mut(3).ok_or(Error::Sps)? = LEVEL_IDC_MAX;
    SeqParameterSet::from_bits(RefNal::new(&nal, &[], true).rbsp_bits()).map_err(|_| Error::Sps)
}

/// ITU-T H.264 §E.2.1, `max_num_reorder_frames`, and what makes reordering impossible without it.
fn reorder_frames_max(sps: &SeqParameterSet) -> Option<u32> {
    let vui = sps.vui_parameters.as_ref();
    let stated = vui.and_then(|vui| vui.bitstream_restrictions.as_ref());
    match stated {
        Some(restrictions) => Some(restrictions.max_num_reorder_frames),
        // Baseline has no B slices; picture order count type 2 means output in decoding order.
        None if sps.profile_idc == h264_reader::nal::sps::ProfileIdc::from(66) => Some(0),
        None if matches!(sps.pic_order_cnt, PicOrderCntType::TypeTwo) => Some(0),
        None => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record around one sequence and one picture parameter set.
    pub(crate) fn record(sps: &[u8], length_size_minus_one: u8) -> Vec<u8> {
        let mut record = vec![1, sps[1], sps[2], sps[3], 0xfc | length_size_minus_one, 0xe1];
        record.extend_from_slice(&(sps.len() as u16).to_be_bytes());
        record.extend_from_slice(sps);
        record.extend_from_slice(&[1, 0, 4, 0x68, 0xee, 0x3c, 0x80]);
        record
    }

    /// x264, High 3.1, 1280x720 at 25 frames a second, two B-frames.
    pub(crate) const SPS_HIGH_720P: [u8; 26] = [
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x19, 0x60,
    ];
    /// x264, Constrained Baseline, 320x180: cropped from 192 lines.
    pub(crate) const SPS_BASELINE_180P: [u8; 25] = [
        0x67, 0x42, 0xc0, 0x0c, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80,
    ];

    #[test]
    fn the_facts_of_a_track_are_read() {
        let sets = ParameterSets::from_avcc(&record(&SPS_HIGH_720P, 3)).unwrap();
        assert_eq!((sets.width, sets.height), (1280, 720));
        assert_eq!(sets.codec(), "avc1.64001f");
        assert_eq!(sets.frame_rate, Some(25.0));
        assert!(sets.may_reorder());
        assert_eq!(sets.nal_length_bytes, 4);

        let sets = ParameterSets::from_avcc(&record(&SPS_BASELINE_180P, 1)).unwrap();
        assert_eq!((sets.width, sets.height), (320, 180));
        assert_eq!(sets.codec(), "avc1.42c00c");
        assert!(!sets.may_reorder());
        assert_eq!(sets.nal_length_bytes, 2);
    }

    #[test]
    fn a_record_is_made_of_sets_that_came_with_the_pictures() {
        let pps = [Bytes::from_static(&[0x68, 0xee, 0x3c, 0x80])];
        for (sps, extra) in [(&SPS_BASELINE_180P[..], 0), (&SPS_HIGH_720P, 4)] {
            let sps = Bytes::copy_from_slice(sps);
            let made = super::record(std::slice::from_ref(&sps), &pps).expect("a record");
            assert_eq!(made[..made.len() - extra], record(&sps, 3));
            let sets = ParameterSets::from_avcc(&made).expect("valid");
            assert_eq!((sets.profile, sets.nal_length_bytes), (sps[1], 4));
        }
        let sps = [Bytes::from_static(&SPS_BASELINE_180P)];
        let long = [Bytes::from_static(&[0; 5_000])];
        let many = vec![sps[0].clone(); 32];
        assert_eq!(super::record(&sps, &[]), None);
        assert_eq!(super::record(&[], &pps), None);
        assert_eq!(super::record(&sps, &long), None);
        assert_eq!(super::record(&many, &pps), None);
        assert_eq!(super::record(&[Bytes::from_static(&[0x67])], &pps), None);
    }

    #[test]
    fn a_level_too_low_for_the_picture_is_forgiven_and_repeated() {
        let mut sps = SPS_HIGH_720P;
        sps[3] = 10;
        let sets = ParameterSets::from_avcc(&record(&sps, 3)).unwrap();
        assert_eq!((sets.width, sets.level), (1280, 10));
    }

    #[test]
    fn records_that_decode_to_nothing_are_refused_by_name() {
        let check = |record: &[u8], expect| {
            assert_eq!(ParameterSets::from_avcc(record), Err(expect));
        };
        check(&[], Error::Malformed);
        check(&[0; RECORD_BYTES_MAX + 1], Error::TooLarge(RECORD_BYTES_MAX + 1));
        check(&[1, 0x64, 0, 0x1f, 0xff, 0xe0, 0], Error::ParameterSetsMissing);
        check(&record(&SPS_HIGH_720P, 2), Error::Malformed);
        let mut long = SPS_HIGH_720P.to_vec();
        long.resize(SPS_BYTES_MAX + 1, 0x80);
        check(&record(&long, 3), Error::SpsTooLarge(SPS_BYTES_MAX + 1));
        let whole = record(&SPS_HIGH_720P, 3);
        let mut no_pps = whole.clone();
        let pps_count = whole.len() - 7;
        no_pps[pps_count] = 0;
        no_pps.truncate(pps_count + 1);
        check(&no_pps, Error::ParameterSetsMissing);
        for end in 0..whole.len() {
            assert!(ParameterSets::from_avcc(&whole[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn an_empty_parameter_set_at_the_end_is_refused() {
        let record = [1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0, 0];
        assert!(ParameterSets::from_avcc(&record).is_err());
    }

    proptest! {
        #[test]
        fn no_record_panics(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut mutated = record(&SPS_HIGH_720P, 3);
            for (index, byte) in flips {
                let at = index.index(mutated.len());
                mutated[at] = byte;
            }
            for record in [&mutated[..], &noise, &record(&[&SPS_HIGH_720P[..4], &noise].concat(), 3)] {
                if let Ok(sets) = ParameterSets::from_avcc(record) {
                    prop_assert!(DIMENSIONS.contains(&sets.width));
                    prop_assert!(DIMENSIONS.contains(&sets.height));
                }
            }
        }
    }
}
