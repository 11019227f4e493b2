//! The payloads of one picture's packets to the picture as it is stored: H.264 (RFC 6184), VP8 (RFC
//! 7741), VP9 (RFC 9628), AV1 (RTP Payload Format for AV1 1.0), and Opus, which needs nothing.
//!
//! Pure, and without memory: a picture is made of its own packets and of nothing before, so that no
//! sender can have anything piled up here.

use bytes::{BufMut, Bytes, BytesMut};

use crate::ingest::bits::Bits;
use crate::ingest::flv::NAL_UNITS_MAX;

/// OBUs of one picture; encoders write one for each of at most 64 tiles, and some headers.
const OBUS_MAX: usize = 256;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    H264,
    Vp8,
    Vp9,
    Av1,
    Opus,
}

/// A coded picture, or a packet of sound.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Picture {
    /// H.264: NAL units behind lengths of four bytes, without parameter sets. AV1: OBUs that state
    /// their size. Else as the codec defines a frame.
    pub(super) data: Bytes,
    /// Whether decoding can begin here.
    pub(super) keyframe: bool,
    /// What a decoder must be set up for anew when it changes: H.264 leaves it to the parameter sets.
    pub(super) setup: Bytes,
    /// H.264: sequence and picture parameter sets.
    pub(super) sps: Vec<Bytes>,
    pub(super) pps: Vec<Bytes>,
}

/// Whether a picture from which decoding may begin begins with this packet, for certain.
pub(super) fn begins(format: Format, payload: &[u8]) -> bool {
    match format {
        Format::H264 => h264_begins(payload).unwrap_or(false),
        Format::Vp8 => payload.first().is_some_and(|head| head & 0x17 == 0x10),
        // The first packet of a frame, not predicted from another.
        Format::Vp9 => payload.first().is_some_and(|head| head & 0x48 == 0x08),
        // N: the first packet of a coded video sequence.
        Format::Av1 => payload.first().is_some_and(|head| head & 0x88 == 0x08),
        Format::Opus => !payload.is_empty(),
    }
}

/// The picture of these payloads, in order and complete; `None` if they do not make one.
pub(super) fn picture<'a>(
    format: Format,
    payloads: impl Iterator<Item = &'a [u8]>,
) -> Option<Picture> {
    match format {
        Format::H264 => h264(payloads),
        Format::Vp8 => vp8(payloads),
        Format::Vp9 => vp9(payloads),
        Format::Av1 => av1(payloads),
        Format::Opus => {
            let data = payloads.last().map(Bytes::copy_from_slice)?;
            Some(Picture { data, keyframe: true, ..Picture::default() })
        }
    }
}

/// NAL unit types, ITU-T H.264 table 7-1, and those of RFC 6184 §5.4.
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

fn h264_begins(payload: &[u8]) -> Option<bool> {
    let (head, body) = match payload.first()? & 0x1f {
        STAP_A => (*payload.get(3)? & 0x1f, payload.get(4..)?),
        FU_A => {
            let head = *payload.get(1)?;
            (if head & 0x80 != 0 { head & 0x1f } else { 0 }, payload.get(2..)?)
        }
        single => (single, &payload[1..]),
    };
    Some(match head {
        SPS | DELIMITER => true,
        // The slice with the first macroblock: ue(v) of zero is a one bit.
        IDR => body.first().is_some_and(|byte| byte & 0x80 != 0),
        _ => false,
    })
}

fn h264<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut picture = AccessUnit::default();
    let mut fragments: Option<Vec<u8>> = None;
    for payload in payloads {
        let head = *payload.first()?;
        let unit = head & 0x1f;
        if unit != FU_A && fragments.is_some() {
            return None;
        }
        match unit {
            STAP_A => {
                let mut rest = &payload[1..];
                // Zeros may pad it.
                while let Some((length, after)) = rest.split_first_chunk() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    if length == 0 {
                        break;
                    }
                    let (unit, after) = after.split_at_checked(length)?;
                    picture.add(unit)?;
                    rest = after;
                }
            }
            FU_A => {
                let (fragment, body) = (*payload.get(1)?, &payload[2..]);
                let (first, last) = (fragment & 0x80 != 0, fragment & 0x40 != 0);
                match &mut fragments {
                    None if first => {
                        fragments = Some([&[head & 0xe0 | fragment & 0x1f], body].concat());
                    }
                    Some(whole) if !first => whole.extend_from_slice(body),
                    _ => return None,
                }
                if last {
                    picture.add(&fragments.take()?)?;
                }
            }
            1..STAP_A => picture.add(payload)?,
            _ => return None,
        }
    }
    (fragments.is_none() && picture.units > 0).then(|| Picture {
        data: picture.data.freeze(),
        keyframe: picture.keyframe,
        sps: picture.sps,
        pps: picture.pps,
        setup: Bytes::new(),
    })
}

#[derive(Default)]
struct AccessUnit {
    data: BytesMut,
    units: usize,
    keyframe: bool,
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

impl AccessUnit {
    fn add(&mut self, unit: &[u8]) -> Option<()> {
        self.units += 1;
        if self.units > NAL_UNITS_MAX {
            return None;
        }
        match unit.first()? & 0x1f {
            SPS => self.sps.push(Bytes::copy_from_slice(unit)),
            PPS => self.pps.push(Bytes::copy_from_slice(unit)),
            DELIMITER | FILLER => {}
            kind => {
                self.keyframe |= kind == IDR;
                self.data.put_u32(u32::try_from(unit.len()).ok()?);
                self.data.put_slice(unit);
            }
        }
        Some(())
    }
}

/// RFC 7741 §4.2.
fn vp8<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut data = BytesMut::new();
    for payload in payloads {
        let mut bytes = payload.iter();
        let head = *bytes.next()?;
        if head & 0x80 != 0 {
            let extended = *bytes.next()?;
            if extended & 0x80 != 0 && *bytes.next()? & 0x80 != 0 {
                bytes.next()?;
            }
            if extended & 0x40 != 0 {
                bytes.next()?;
            }
            if extended & 0x30 != 0 {
                bytes.next()?;
            }
        }
        data.put_slice(bytes.as_slice());
    }
    // RFC 6386 §9.1: of a keyframe, three bytes, a start code, and its size.
    let keyframe = data.first()? & 1 == 0;
    let setup = match keyframe {
        true if data.get(3..6)? == [0x9d, 0x01, 0x2a] => Bytes::copy_from_slice(data.get(6..10)?),
        true => return None,
        false => Bytes::new(),
    };
    Some(Picture { data: data.freeze(), keyframe, setup, ..Picture::default() })
}

/// RFC 9628 §4.2. Pictures of several spatial layers are not taken: a decoder wants them marked in a
/// way that this is too small for, and no publisher was seen that sends them unasked.
fn vp9<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut data = BytesMut::new();
    for payload in payloads {
        let mut bytes = payload.iter();
        let head = *bytes.next()?;
        let has = |bit: u8| head & bit != 0;
        if has(0x80) && *bytes.next()? & 0x80 != 0 {
            bytes.next()?;
        }
        if has(0x20) {
            let layer = *bytes.next()?;
            if layer & 0x0e != 0 {
                return None;
            }
            if !has(0x10) {
                bytes.next()?;
            }
        }
        if has(0x10) && has(0x40) {
            let mut references = 1;
            while *bytes.next()? & 1 != 0 {
                references += 1;
                if references > 3 {
                    return None;
                }
            }
        }
        if has(0x02) {
            let structure = *bytes.next()?;
            if structure >> 5 != 0 {
                return None;
            }
            if structure & 0x10 != 0 {
                bytes.nth(3)?;
            }
            if structure & 0x08 != 0 {
                for _ in 0..*bytes.next()? {
                    for _ in 0..*bytes.next()? >> 2 & 0b11 {
                        bytes.next()?;
                    }
                }
            }
        }
        data.put_slice(bytes.as_slice());
    }
    let setup = vp9_setup(&data)?;
    let keyframe = !setup.is_empty();
    Some(Picture { data: data.freeze(), keyframe, setup, ..Picture::default() })
}

/// The size of a keyframe as its uncompressed header has it (VP9 Bitstream Specification §6.2); nothing
/// for another frame.
fn vp9_setup(data: &[u8]) -> Option<Bytes> {
    let mut bits = Bits::new(data);
    if bits.read(2)? != 2 {
        return None;
    }
    let profile = bits.read(1)? | bits.read(1)? << 1;
    let (shown_again, predicted) = (bits.read(1)? == 1, bits.read(1)? == 1);
    if shown_again || predicted {
        return Some(Bytes::new());
    }
    bits.read(2)?; // show_frame, error_resilient_mode
    if profile != 0 || bits.read(24)? != 0x49_83_42 {
        return None;
    }
    const RGB: u32 = 7;
    if bits.read(3)? == RGB {
        return None;
    }
    bits.read(1)?; // color_range
    Some(Bytes::copy_from_slice(&bits.read(32)?.to_be_bytes()))
}

/// OBU types, AV1 Bitstream Specification §6.2.2.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

fn av1<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Picture> {
    let mut picture = Picture::default();
    let mut data = BytesMut::new();
    let mut fragment: Option<Vec<u8>> = None;
    let mut obus = 0;
    for payload in payloads {
        let (head, mut rest) = payload.split_first()?;
        let (continues, to_be_continued) = (head & 0x80 != 0, head & 0x40 != 0);
        let count = usize::from(head >> 4 & 0b11);
        if continues != fragment.is_some() {
            return None;
        }
        let mut element = 0;
        while !rest.is_empty() {
            element += 1;
            obus += 1;
            if obus > OBUS_MAX {
                return None;
            }
            // The last of a stated number goes without its length.
            let length = if element == count { rest.len() } else { leb128(&mut rest)? };
            let (part, after) = rest.split_at_checked(length)?;
            rest = after;
            let mut obu = fragment.take().unwrap_or_default();
            obu.extend_from_slice(part);
            if rest.is_empty() && to_be_continued {
                fragment = Some(obu);
            } else {
                add_obu(&obu, &mut data, &mut picture)?;
            }
        }
        if count != 0 && element != count {
            return None;
        }
    }
    if fragment.is_some() || data.is_empty() {
        return None;
    }
    picture.keyframe = !picture.setup.is_empty();
    picture.data = data.freeze();
    Some(picture)
}

/// Appends an OBU with its size, as a file has it (§5.2), unless files leave it out.
fn add_obu(obu: &[u8], data: &mut BytesMut, picture: &mut Picture) -> Option<()> {
    let (head, mut rest) = obu.split_first()?;
    let kind = head >> 3 & 0x0f;
    let (extended, sized) = (head & 0x04 != 0, head & 0x02 != 0);
    let extension = if extended {
        let (extension, after) = rest.split_first()?;
        rest = after;
        Some(*extension)
    } else {
        None
    };
    if sized {
        let length = leb128(&mut rest)?;
        rest = rest.get(..length)?;
    }
    if matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
        return Some(());
    }
    if kind == SEQUENCE_HEADER {
        picture.setup = Bytes::copy_from_slice(rest);
    }
    data.put_u8(head | 0x02);
    data.extend(extension);
    let mut length = rest.len();
    loop {
        let more = length > 0x7f;
        data.put_u8(length as u8 & 0x7f | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    data.put_slice(rest);
    Some(())
}

/// §4.10.5, as far as any length here goes.
fn leb128(rest: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for at in 0..4 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn make(format: Format, payloads: &[&[u8]]) -> Option<Picture> {
        picture(format, payloads.iter().copied())
    }

    #[test]
    fn h264_of_all_three_kinds_of_packets() {
        // SPS and PPS together, a keyframe in fragments, then SEI alone.
        let payloads: [&[u8]; 5] = [
            &[0x78, 0, 3, 0x67, 0x42, 0xc0, 0, 2, 0x68, 0xce],
            &[0x7c, 0x85, 0x88, 1],
            &[0x7c, 0x05, 2],
            &[0x7c, 0x45, 3],
            &[0x06, 9],
        ];
        assert!(begins(Format::H264, payloads[0]));
        let picture = make(Format::H264, &payloads).expect("a picture");
        assert!(picture.keyframe);
        assert_eq!(picture.sps, [Bytes::from_static(&[0x67, 0x42, 0xc0])]);
        assert_eq!(picture.pps, [Bytes::from_static(&[0x68, 0xce])]);
        assert_eq!(picture.data[..], [0, 0, 0, 5, 0x65, 0x88, 1, 2, 3, 0, 0, 0, 2, 0x06, 9]);
    }

    #[test]
    fn h264_whose_fragments_do_not_fit_is_none() {
        let (first, middle, last): (&[u8], &[u8], &[u8]) =
            (&[0x7c, 0x85, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]);
        assert!(make(Format::H264, &[first, middle, last]).is_some());
        for broken in [&[first, middle][..], &[middle, last], &[first, &[0x41, 1], last], &[]] {
            assert_eq!(make(Format::H264, broken), None);
        }
        assert_eq!(make(Format::H264, &[&[0x78, 0, 9, 0x41]]), None);
        assert_eq!(make(Format::H264, &[&[0x5d]]), None, "FU-B is of another packetization mode");
    }

    #[test]
    fn a_slice_in_the_middle_of_a_keyframe_begins_none() {
        assert!(begins(Format::H264, &[0x65, 0x88]));
        assert!(begins(Format::H264, &[0x7c, 0x85, 0x88]));
        for payload in [&[0x65, 0x08][..], &[0x7c, 0x05, 0x88], &[0x41, 0x9a], &[0x78, 0, 2], &[]] {
            assert!(!begins(Format::H264, payload), "{payload:x?}");
        }
    }

    #[test]
    fn vp8_without_its_descriptors() {
        let key: &[u8] =
            &[0x90, 0xe0, 0x81, 0x23, 7, 8, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
        let picture = make(Format::Vp8, &[key, &[0, 0xaa]]).expect("a picture");
        assert!(picture.keyframe && begins(Format::Vp8, key));
        assert_eq!(picture.setup[..], [0x80, 0x02, 0xe0, 0x01]);
        assert_eq!(picture.data[10..], [0xaa]);
        let other = make(Format::Vp8, &[&[0x10, 0x11, 0x22]]).expect("a picture");
        assert!(!other.keyframe && other.setup.is_empty());
        assert_eq!(make(Format::Vp8, &[&[0x10, 0x10, 0, 0, 1, 2, 3]]), None, "no start code");
    }

    #[test]
    fn vp9_without_its_descriptors() {
        // A picture number of two bytes, a scalability structure of one layer; then a keyframe of 640 by
        // 360: marker, profile 0, shown, its code, BT.601, the size.
        let descriptor = [0x8a, 0x81, 0x23, 0x18, 2, 128, 1, 104, 1, 0x04, 1];
        let frame = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        let key = [&descriptor[..], &frame].concat();
        assert!(begins(Format::Vp9, &key));
        let picture = make(Format::Vp9, &[&key, &[0x84, 0x81, 0x23, 9]]).expect("a picture");
        assert!(picture.keyframe);
        assert_eq!(picture.setup[..], [0x02, 0x7f, 0x01, 0x67]);
        assert_eq!(picture.data[..], [&frame[..], &[9]].concat());
        let other = make(Format::Vp9, &[&[0xcc, 0x01, 0x86, 0]]).expect("a picture");
        assert!(!other.keyframe && !begins(Format::Vp9, &[0xcc, 0x01, 0x86, 0]));
        assert_eq!(make(Format::Vp9, &[&[0xac, 0x01, 0x02, 0, 0x82]]), None, "another layer");
    }

    #[test]
    fn av1_gets_its_sizes_back() {
        // A sequence header, and the first part of a frame; then its rest, stated to be all.
        let first: &[u8] = &[0x48, 3, 0x08, 0xaa, 0xbb, 3, 0x30, 1, 2];
        let second: &[u8] = &[0x90, 3, 4];
        assert!(begins(Format::Av1, first) && !begins(Format::Av1, second));
        let picture = make(Format::Av1, &[first, second]).expect("a picture");
        assert!(picture.keyframe);
        assert_eq!(picture.setup[..], [0xaa, 0xbb]);
        assert_eq!(picture.data[..], [0x0a, 2, 0xaa, 0xbb, 0x32, 4, 1, 2, 3, 4]);
        let long = [&[0x10, 0x30][..], &[7; 300]].concat();
        let other = make(Format::Av1, &[&long]).expect("a picture");
        assert_eq!((other.keyframe, &other.data[..3]), (false, &[0x32, 0xac, 0x02][..]));
        for broken in [&[first][..], &[second], &[first, &[0x10, 1]], &[&[0x10]], &[&[0x20, 9, 1]]]
        {
            assert_eq!(make(Format::Av1, broken), None, "{broken:x?}");
        }
    }

    proptest! {
        #[test]
        fn no_payloads_panic(payloads in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..60), 0..5,
        )) {
            for format in [Format::H264, Format::Vp8, Format::Vp9, Format::Av1, Format::Opus] {
                for payload in &payloads {
                    let _ = begins(format, payload);
                }
                let _ = picture(format, payloads.iter().map(Vec::as_slice));
            }
        }
    }
}
