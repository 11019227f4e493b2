//! What the relay brings: parameter sets, and frames that are made into packets.

use bytes::Bytes;

use super::super::h264::{self, Parameters, nal};
use super::super::packetize::{self, PAYLOAD_BYTES_MAX, Payloads};
use super::script::Script;

/// A record and a frame: whatever makes packets makes packets that fit, and that say the same.
pub(super) fn h264(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(record) = script.bytes() else { return };
    let parameters = Parameters::parse(&Bytes::copy_from_slice(record)).ok();
    let frame = script.rest();
    if let Ok(payloads) = packetize::opus(&Bytes::copy_from_slice(frame)) {
        assert_eq!((payloads.count(), payloads.get(0)), (1, Some(frame)));
    }
    let Ok(payloads) = packetize::h264(frame, parameters.as_ref()) else { return };
    let units: Vec<&[u8]> = h264::nal_units(frame).map_while(Result::ok).collect();
    let has_sps = units.iter().any(|unit| nal::kind(unit[0]) == nal::SPS);
    let sets = parameters.iter().filter(|_| !has_sps).flat_map(|parameters| &parameters.sets);
    let sent = |unit: &&[u8]| !matches!(nal::kind(unit[0]), nal::AUD | nal::FILLER);
    let expected: Vec<&[u8]> =
        sets.map(|set| &set[..]).chain(units.into_iter().filter(sent)).collect();
    let received = depacketize(&payloads);
    // Units of these kinds are packets to a receiver, whoever made them.
    if expected.iter().all(|unit| nal::kind(unit[0]) < nal::STAP_A) {
        assert_eq!(
            received.as_deref(),
            Some(&expected.iter().map(|unit| unit.to_vec()).collect::<Vec<_>>()[..])
        );
    }
}

/// The NAL units of packets as RFC 6184 has a receiver put them together.
fn depacketize(payloads: &Payloads) -> Option<Vec<Vec<u8>>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut fragment: Option<Vec<u8>> = None;
    for index in 0..payloads.count() {
        let payload = payloads.get(index)?;
        assert!(!payload.is_empty() && payload.len() <= PAYLOAD_BYTES_MAX);
        match nal::kind(payload[0]) {
            nal::STAP_A => {
                let mut rest = &payload[1..];
                while let Some((length, after)) = rest.split_first_chunk() {
                    let (unit, after) =
                        after.split_at_checked(u16::from_be_bytes(*length).into())?;
                    units.push(unit.to_vec());
                    rest = after;
                }
            }
            nal::FU_A => {
                let header = *payload.get(1)?;
                if header & 0x80 != 0 {
                    fragment = Some(vec![payload[0] & 0xe0 | header & 0x1f]);
                }
                fragment.as_mut()?.extend_from_slice(&payload[2..]);
                if header & 0x40 != 0 {
                    units.push(fragment.take()?);
                }
            }
            _ => units.push(payload.to_vec()),
        }
    }
    fragment.is_none().then_some(units)
}
