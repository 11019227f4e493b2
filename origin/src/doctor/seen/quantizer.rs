//! How coarsely a picture is coded, as the header of its first slice says. It tells a picture that is
//! short of data from one in which there is little to be seen: both are small.

use std::panic::{AssertUnwindSafe, catch_unwind};

use h264_reader::Context;
use h264_reader::nal::slice::SliceHeader;
use h264_reader::nal::{Nal, RefNal};

/// Bytes of a slice that are read. Headers have about ten; those with tables of weights, some more.
const HEADER_BYTES_MAX: usize = 128;
/// NAL units looked at: the parameter sets, messages and delimiters before the first slice.
const NAL_UNITS_MAX: usize = 16;
/// ITU-T H.264 table 7-1: a slice of a picture that is not a keyframe.
const SLICE: u8 = 1;

/// `SliceQPY` (ITU-T H.264 §7.4.3) of the first slice of a picture: NAL units behind lengths of four
/// bytes. `None` if there is none that can be read.
pub(super) fn read(picture: &[u8], context: &Context) -> Option<i32> {
    let mut rest = picture;
    for _ in 0..NAL_UNITS_MAX {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let nal = after.get(..u32::from_be_bytes(*length) as usize)?;
        if nal.first()? & 0x1f == SLICE {
            return slice_quantizer(&nal[..nal.len().min(HEADER_BYTES_MAX)], context);
        }
        rest = &after[nal.len()..];
    }
    None
}

fn slice_quantizer(nal: &[u8], context: &Context) -> Option<i32> {
    // Unwind safety: the context is only read.
    catch_unwind(AssertUnwindSafe(|| {
        let nal = RefNal::new(nal, &[], false);
        let header = nal.header().ok()?;
        let read = SliceHeader::from_bits(context, &mut nal.rbsp_bits(), header, None);
        let (slice, _, pictures) = read.ok()?;
        Some(26 + pictures.pic_init_qp_minus26 + slice.slice_qp_delta)
    }))
    .ok()?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ingest::h264::{self, tests};

    fn context() -> Context {
        h264::context(&tests::record(&tests::SPS_HIGH_720P, 3)).expect("a record")
    }

    proptest! {
        #[test]
        fn no_picture_panics(mut picture in prop::collection::vec(any::<u8>(), 0..300), length in 0u8..255) {
            if let Some(head) = picture.first_chunk_mut::<5>() {
                *head = [0, 0, 0, length, 0x41];
            }
            let quantizer = read(&picture, &context());
            prop_assert!(quantizer.is_none_or(|quantizer| (-100..=51).contains(&quantizer)));
        }
    }

    #[test]
    fn what_holds_no_slice_says_nothing() {
        assert_eq!(read(&[], &context()), None);
        assert_eq!(read(&[0, 0, 0, 9, 0x41], &context()), None);
        assert_eq!(read(&[0, 0, 0, 2, 0x65, 0x88], &context()), None, "a keyframe");
    }
}
