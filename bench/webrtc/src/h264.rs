//! What the RTP payloads of one frame hold, RFC 6184: single NAL units, STAP-A and FU-A.

use lectern_bench_rig::stamp::Stamp;

const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const AUD: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What a frame is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// It can be decoded by itself.
    pub(crate) keyframe: bool,
    /// What it says of itself.
    pub(crate) stamp: Option<Stamp>,
    /// NAL units.
    pub(crate) units: usize,
}

/// Reads the payloads of a frame, in order. `None` if they do not make whole NAL units.
pub(crate) fn read<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Option<Contents> {
    let mut contents = Contents::default();
    let mut fragmented = false;
    for payload in payloads {
        let kind = payload.first()? & 0x1f;
        if kind == FU_A {
            let header = *payload.get(1)?;
            let (start, end) = (header & 0x80 != 0, header & 0x40 != 0);
            if start == fragmented || payload.len() < 3 {
                return None;
            }
            fragmented = !end;
            if start {
                contents.units += 1;
                contents.keyframe |= header & 0x1f == IDR;
            }
            continue;
        }
        if fragmented {
            return None;
        }
        match kind {
            STAP_A => {
                let mut rest = &payload[1..];
                while !rest.is_empty() {
                    let (size, after) = rest.split_first_chunk::<2>()?;
                    let (unit, after) = after.split_at_checked(u16::from_be_bytes(*size).into())?;
                    contents.take(unit)?;
                    rest = after;
                }
            }
            _ => contents.take(payload)?,
        }
    }
    (!fragmented && contents.units > 0).then_some(contents)
}

/// Whether a frame begins with this payload, whatever came before: some units only ever come first.
pub(crate) fn begins_frame(payload: &[u8]) -> bool {
    let kind = |at: usize| payload.get(at).map(|head| head & 0x1f);
    let first = if kind(0) == Some(STAP_A) { kind(3) } else { kind(0) };
    matches!(first, Some(SEI | SPS | AUD))
}

impl Contents {
    fn take(&mut self, unit: &[u8]) -> Option<()> {
        self.units += 1;
        self.keyframe |= unit.first()? & 0x1f == IDR;
        if let Some(stamp) = Stamp::read(unit) {
            self.stamp = Some(stamp);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(payloads: &[&[u8]], expect: Option<(bool, bool, usize)>) {
        let contents = read(payloads.iter().copied());
        let got = contents.map(|c| (c.keyframe, c.stamp.is_some(), c.units));
        assert_eq!(got, expect, "{payloads:?}");
    }

    #[test]
    fn frames_are_read_as_they_are_sent() {
        let stamp = Stamp { number: 3, sent_us: 4 }.write();
        let mut gathered = vec![STAP_A, 0, 2, 0x67, 1, 0, stamp.len() as u8];
        gathered.extend(&stamp);
        let fragments: [&[u8]; 3] = [&[0x7c, 0x85, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3]];
        check(&[&gathered, fragments[0], fragments[1], fragments[2]], Some((true, true, 3)));
        check(&[&stamp, &[0x41, 9]], Some((false, true, 2)));
        check(&[&[0x41, 9]], Some((false, false, 1)));
        assert!(begins_frame(&gathered) && begins_frame(&stamp) && !begins_frame(fragments[0]));
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        check(&[&[0x7c, 0x85, 1]], None);
        check(&[&[0x7c, 0x45, 1]], None);
        check(&[&[0x7c, 0x85, 1], &[0x41, 1]], None);
        check(&[&[0x7c, 0x85, 1], &[0x7c, 0x85, 1]], None);
        check(&[&[STAP_A, 0, 9, 0x41]], None);
        check(&[&[]], None);
        check(&[], None);
    }

    proptest! {
        #[test]
        fn any_payloads_end_in_order(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6),
        ) {
            read(payloads.iter().map(Vec::as_slice));
        }
    }
}
