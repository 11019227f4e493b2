//! RTP payloads of a frame, made once and shared by every viewer.
//!
//! H.264 by RFC 6184 in packetization mode 1, Opus by RFC 7587. Headers, sequence numbers and
//! encryption differ per viewer and are made elsewhere. Fragments of a NAL unit are equally long
//! but for the last, so that a frame leaves in one segmented send.

use bytes::Bytes;

use super::h264::{self, Parameters, nal};

/// The largest payload. With the RTP header (12), the extensions abs-capture-time and playout-delay
/// (20), the two bytes of RTX and the longest tag (16) a datagram stays within 1200 bytes, which
/// every path that carries QUIC carries.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1_150;
/// The largest frame that is packetized: as much as 50 Mb/s put into one picture of a second.
/// Anything larger is not a live stream that a browser could take.
pub(super) const FRAME_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Why a frame makes no packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It is larger than [`FRAME_BYTES_MAX`], or an Opus packet larger than a datagram.
    #[error("frame of {0} bytes is too large for RTP")]
    TooLarge(usize),
    /// It is not H.264.
    #[error(transparent)]
    H264(#[from] h264::Error),
    /// There is nothing in it to send.
    #[error("frame has nothing to send")]
    Empty,
}

/// The payloads of one frame, back to back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Payloads {
    bytes: Bytes,
    /// Where each payload ends in `bytes`.
    ends: Box<[u32]>,
}

impl Payloads {
    /// How many packets the frame takes; at least one.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all payloads.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The payload of packet `index`; `None` past the last.
    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.bytes.get(start..end)
    }
}

/// The payload of an Opus packet, RFC 7587 §4.2: the packet itself.
pub(super) fn opus(packet: &Bytes) -> Result<Payloads, Error> {
    if packet.is_empty() {
        return Err(Error::Empty);
    }
    if packet.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::TooLarge(packet.len()));
    }
    Ok(Payloads { bytes: packet.clone(), ends: Box::new([packet.len() as u32]) })
}

/// The payloads of an H.264 frame. `parameters` are put in front of a keyframe that lacks them.
///
/// Access unit delimiters and filler are left out: RTP's marker bit and timestamp say the former.
pub(super) fn h264(frame: &[u8], parameters: Option<&Parameters>) -> Result<Payloads, Error> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(Error::TooLarge(frame.len()));
    }
    let mut units = Vec::new();
    for unit in h264::nal_units(frame) {
        let unit = unit?;
        if !matches!(nal::kind(unit[0]), nal::AUD | nal::FILLER) {
            units.push(unit);
        }
    }
    if units.is_empty() {
        return Err(Error::Empty);
    }
    let has_sps = units.iter().any(|unit| nal::kind(unit[0]) == nal::SPS);
    let sets = parameters.filter(|_| !has_sps).map_or(&[][..], |parameters| &parameters.sets);
    let mut writer = Writer::with_capacity(frame.len());
    for unit in sets.iter().map(|set| &set[..]).chain(units) {
        writer.unit(unit);
    }
    Ok(writer.finish())
}

/// Lays payloads out one after another, gathering small NAL units into aggregation packets.
struct Writer {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Where the aggregation packet in the making starts, and how many units it holds.
    gathered: Option<(usize, usize)>,
}

impl Writer {
    fn with_capacity(frame: usize) -> Self {
        let packets = frame / PAYLOAD_BYTES_MAX + 4;
        let bytes = Vec::with_capacity(frame + packets * 4 + 256);
        Self { bytes, ends: Vec::with_capacity(packets), gathered: None }
    }

    fn unit(&mut self, unit: &[u8]) {
        if let Some((start, _)) = self.gathered
            && self.bytes.len() - start + 2 + unit.len() > PAYLOAD_BYTES_MAX
        {
            self.close_gathered();
        }
        if unit.len() > PAYLOAD_BYTES_MAX {
            self.fragments(unit);
        } else if unit.len() + 3 > PAYLOAD_BYTES_MAX {
            self.bytes.extend_from_slice(unit);
            self.end();
        } else {
            self.gather(unit);
        }
    }

    fn gather(&mut self, unit: &[u8]) {
        let (start, count) = self.gathered.unwrap_or_else(|| {
            self.bytes.push(nal::STAP_A);
            (self.bytes.len() - 1, 0)
        });
        // The aggregate takes the F bit of any unit and the highest NRI, RFC 6184 §5.7.
        let head = self.bytes[start];
        let importance = (head & 0x60).max(unit[0] & 0x60);
        self.bytes[start] = (head | unit[0]) & 0x80 | importance | nal::STAP_A;
        self.bytes.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(unit);
        self.gathered = Some((start, count + 1));
    }

    fn close_gathered(&mut self) {
        if let Some((start, count)) = self.gathered.take() {
            if count == 1 {
                // Alone it goes as it is: without the aggregate's byte and its length.
                self.bytes.drain(start..start + 3);
            }
            self.end();
        }
    }

    fn fragments(&mut self, unit: &[u8]) {
        self.close_gathered();
        let (first, body) = (unit[0], &unit[1..]);
        let count = body.len().div_ceil(PAYLOAD_BYTES_MAX - 2);
        let size = body.len().div_ceil(count);
        let last = body.len().div_ceil(size) - 1;
        for (index, part) in body.chunks(size).enumerate() {
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            self.bytes.push(first & 0xe0 | nal::FU_A);
            self.bytes.push(start | end | nal::kind(first));
            self.bytes.extend_from_slice(part);
            self.end();
        }
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    fn finish(mut self) -> Payloads {
        self.close_gathered();
        Payloads { bytes: self.bytes.into(), ends: self.ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(payloads: &Payloads) -> impl Iterator<Item = &[u8]> {
        (0..payloads.count()).filter_map(|index| payloads.get(index))
    }

    /// A receiver by the RFC's own words; returns the NAL units.
    fn depacketize(payloads: &Payloads) -> Vec<Vec<u8>> {
        let mut units = Vec::new();
        let mut fragment = Vec::new();
        for payload in all(payloads) {
            assert!(!payload.is_empty() && payload.len() <= PAYLOAD_BYTES_MAX);
            match nal::kind(payload[0]) {
                nal::STAP_A => {
                    let mut rest = &payload[1..];
                    while !rest.is_empty() {
                        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        units.push(rest[2..2 + length].to_vec());
                        rest = &rest[2 + length..];
                    }
                }
                nal::FU_A => {
                    let header = payload[1];
                    assert_eq!(header & 0x80 != 0, fragment.is_empty());
                    if header & 0x80 != 0 {
                        fragment.push(payload[0] & 0xe0 | header & 0x1f);
                    }
                    fragment.extend_from_slice(&payload[2..]);
                    if header & 0x40 != 0 {
                        units.push(std::mem::take(&mut fragment));
                    }
                }
                _ => units.push(payload.to_vec()),
            }
        }
        assert!(fragment.is_empty());
        units
    }

    fn frame(units: &[Vec<u8>]) -> Vec<u8> {
        let prefixed = |unit: &Vec<u8>| [&(unit.len() as u32).to_be_bytes(), &unit[..]].concat();
        units.iter().flat_map(prefixed).collect()
    }

    fn unit(first: u8, length: usize) -> Vec<u8> {
        let mut unit: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        unit[0] = first;
        unit
    }

    #[test]
    fn parameter_sets_go_before_a_keyframe_that_lacks_them_and_only_then() {
        let parameters =
            Parameters { profile: [0; 3], sets: vec![unit(0x67, 9).into(), unit(0x68, 4).into()] };
        let idr = unit(0x65, 5_000);
        let with = h264(&frame(&[unit(0x09, 2), idr.clone()]), Some(&parameters)).unwrap();
        assert_eq!(depacketize(&with), [unit(0x67, 9), unit(0x68, 4), idr.clone()]);
        assert_eq!(nal::kind(with.get(0).unwrap()[0]), nal::STAP_A);
        let own = [unit(0x67, 8), unit(0x68, 5), idr];
        let with = h264(&frame(&own), Some(&parameters)).unwrap();
        assert_eq!(depacketize(&with), own);
    }

    #[test]
    fn oversized_and_empty_frames_are_refused() {
        assert_eq!(h264(&[], None), Err(Error::Empty));
        let huge = vec![0; FRAME_BYTES_MAX + 1];
        assert_eq!(h264(&huge, None), Err(Error::TooLarge(huge.len())));
        assert_eq!(opus(&Bytes::from(vec![0; 2_000])), Err(Error::TooLarge(2_000)));
        assert_eq!(opus(&Bytes::new()), Err(Error::Empty));
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            units in prop::collection::vec((1u8..=6, 0u8..4, 2usize..9_000), 1..12),
        ) {
            let units: Vec<_> =
                units.into_iter().map(|(kind, nri, length)| unit(nri << 5 | kind, length)).collect();
            let payloads = h264(&frame(&units), None).unwrap();
            prop_assert_eq!(depacketize(&payloads), units);
        }

        #[test]
        fn fragments_are_equally_long_but_for_the_last(length in PAYLOAD_BYTES_MAX + 1..200_000) {
            let payloads = h264(&frame(&[unit(0x65, length)]), None).unwrap();
            let sizes: Vec<_> = all(&payloads).map(<[u8]>::len).collect();
            let (last, rest) = sizes.split_last().unwrap();
            prop_assert!(rest.iter().all(|size| *size == sizes[0]));
            prop_assert!(*last <= sizes[0]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(h264(&bytes, None));
        }
    }
}
