//! RTCP, as much of it as a sender of media needs: a reader of feedback and a writer of reports.
//!
//! Our own reader, since this is what strangers send and a session must not fall over it: it makes
//! nothing but small values, allocates nothing, and ends at the first thing that does not fit.
//! RFC 3550 §6, RFC 4585 §6, RFC 5104 §4.3.1, and REMB (draft-alvestrand-rmcat-remb).

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const GENERIC_NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION_LAYER: u8 = 15;
/// Bytes of a report block.
const BLOCK: usize = 24;

/// One thing that the receiver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feedback {
    /// How one of our streams arrives.
    Report {
        /// The stream.
        ssrc: u32,
        /// Packets lost since the last report, in 1/256 of those expected.
        fraction_lost: u8,
        /// The middle of the NTP time of the last sender report, or zero.
        last_report: u32,
        /// Time since it arrived, in 1/65536 s.
        delay: u32,
    },
    /// Packets are missing: `first`, and those after it whose bits are set.
    Nack {
        /// The stream.
        ssrc: u32,
        /// A sequence number.
        first: u16,
        /// Bit i stands for `first + i + 1`.
        following: u16,
    },
    /// The picture cannot be decoded any more.
    PictureLoss {
        /// The stream.
        ssrc: u32,
    },
    /// A keyframe is asked for.
    KeyframeRequest {
        /// The stream.
        ssrc: u32,
    },
    /// What the receiver takes the link to carry, in bits per second.
    Bandwidth {
        /// Bits per second; saturates.
        bps: u64,
    },
    /// The receiver leaves.
    Bye,
}

/// Whether a datagram is RTCP and not RTP, by its second byte (RFC 5761 §4).
pub(super) fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Reads a compound packet and hands each item to `take`. `false` if its framing is broken; what
/// came before counts all the same, since the packet has authenticated.
pub(super) fn read(compound: &[u8], mut take: impl FnMut(Feedback)) -> bool {
    let mut rest = compound;
    while !rest.is_empty() {
        let Some((header, _)) = rest.split_first_chunk::<4>() else { return false };
        let length = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
        if header[0] >> 6 != 2 || length > rest.len() {
            return false;
        }
        let (packet, after) = rest.split_at(length);
        read_one(header[0] & 0x1f, header[1], &packet[4..], &mut take);
        rest = after;
    }
    true
}

fn read_one(count: u8, kind: u8, body: &[u8], take: &mut impl FnMut(Feedback)) {
    match (kind, count) {
        (RECEIVER_REPORT, _) => read_blocks(body.get(4..), count, take),
        // Sender's SSRC, then NTP and RTP time and two counters.
        (SENDER_REPORT, _) => read_blocks(body.get(24..), count, take),
        (BYE, _) => take(Feedback::Bye),
        (TRANSPORT_FEEDBACK, GENERIC_NACK) => {
            let (Some(ssrc), Some(items)) = (be32(body, 4), body.get(8..)) else { return };
            for item in items.chunks_exact(4) {
                let first = u16::from_be_bytes([item[0], item[1]]);
                let following = u16::from_be_bytes([item[2], item[3]]);
                take(Feedback::Nack { ssrc, first, following });
            }
        }
        (PAYLOAD_FEEDBACK, PLI) => {
            if let Some(ssrc) = be32(body, 4) {
                take(Feedback::PictureLoss { ssrc });
            }
        }
        (PAYLOAD_FEEDBACK, FIR) => {
            for item in body.get(8..).unwrap_or_default().chunks_exact(8) {
                if let Some(ssrc) = be32(item, 0) {
                    take(Feedback::KeyframeRequest { ssrc });
                }
            }
        }
        (PAYLOAD_FEEDBACK, APPLICATION_LAYER) => read_remb(body, take),
        _ => {}
    }
}

fn read_blocks(blocks: Option<&[u8]>, count: u8, take: &mut impl FnMut(Feedback)) {
    let blocks = blocks.unwrap_or_default().chunks_exact(BLOCK);
    for block in blocks.take(usize::from(count)) {
        if let (Some(ssrc), Some(fraction), Some(last_report), Some(delay)) =
            (be32(block, 0), block.get(4), be32(block, 16), be32(block, 20))
        {
            take(Feedback::Report { ssrc, fraction_lost: *fraction, last_report, delay });
        }
    }
}

fn read_remb(body: &[u8], take: &mut impl FnMut(Feedback)) {
    if body.get(8..12) != Some(b"REMB") {
        return;
    }
    if let Some(word) = be32(body, 12) {
        // Number of SSRCs in 8 bits, exponent in 6, mantissa in 18.
        let mantissa = u128::from(word & 0x3_ffff);
        let exponent = word >> 18 & 0x3f;
        let bps = u64::try_from(mantissa << exponent).unwrap_or(u64::MAX);
        take(Feedback::Bandwidth { bps });
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let word: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(word))
}

/// What a sender says of its stream, RFC 3550 §6.4.1.
pub(super) struct SenderReport {
    /// The stream.
    pub ssrc: u32,
    /// NTP time.
    pub ntp: u64,
    /// The RTP time of the same instant.
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// Appends a sender report without report blocks.
pub(super) fn write_sender_report(out: &mut Vec<u8>, report: &SenderReport) {
    out.extend_from_slice(&[0x80, SENDER_REPORT, 0, 6]);
    out.extend_from_slice(&report.ssrc.to_be_bytes());
    out.extend_from_slice(&report.ntp.to_be_bytes());
    for word in [report.timestamp, report.packets, report.octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// Appends the canonical name of each stream, RFC 3550 §6.5.1: the same name tells the receiver to
/// play them in step. `cname` is cut at 255 bytes.
pub(super) fn write_cname(out: &mut Vec<u8>, ssrcs: &[u32], cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    let start = out.len();
    out.extend_from_slice(&[0x80 | (ssrcs.len() as u8 & 0x1f), SOURCE_DESCRIPTION, 0, 0]);
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname);
        // At least one zero ends the chunk, then up to the next word.
        out.push(0);
        while !(out.len() - start).is_multiple_of(4) {
            out.push(0);
        }
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

/// Appends a receiver report without blocks: a compound must begin with a report, RFC 3550 §6.1.
pub(super) fn write_empty_report(out: &mut Vec<u8>, ssrc: u32) {
    out.extend_from_slice(&[0x80, RECEIVER_REPORT, 0, 1]);
    out.extend_from_slice(&ssrc.to_be_bytes());
}

/// Appends a BYE for the streams (at most 31), RFC 3550 §6.6.
pub(super) fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    out.extend_from_slice(&[0x80 | (ssrcs.len() as u8 & 0x1f), BYE, 0, ssrcs.len() as u8]);
    ssrcs.iter().for_each(|ssrc| out.extend_from_slice(&ssrc.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(compound: &[u8]) -> (bool, Vec<Feedback>) {
        let mut items = Vec::new();
        let whole = read(compound, |item| items.push(item));
        (whole, items)
    }

    #[test]
    fn a_browsers_compound_is_read() {
        let mut compound = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
        compound.extend([0, 0, 0, 9, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        compound.extend([0, 1, 0, 2, 0, 3, 0, 4]);
        compound.extend([0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 9, 0, 100, 0, 5]);
        compound.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]);
        compound.extend([0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]);
        compound.extend([0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]);
        compound.extend(*b"REMB\x01\x0b\xd0\x90\x00\x00\x00\x09");
        compound.extend([0x81, 203, 0, 1, 0, 0, 0, 1]);
        let expect = [
            Feedback::Report { ssrc: 9, fraction_lost: 64, last_report: 0x1_0002, delay: 0x3_0004 },
            Feedback::Nack { ssrc: 9, first: 100, following: 5 },
            Feedback::PictureLoss { ssrc: 9 },
            Feedback::KeyframeRequest { ssrc: 9 },
            Feedback::Bandwidth { bps: 0x3_d090 << 2 },
            Feedback::Bye,
        ];
        assert_eq!(all(&compound), (true, expect.to_vec()));
    }

    #[test]
    fn an_absurd_bandwidth_saturates() {
        let mut compound = vec![0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0];
        compound.extend(*b"REMB\x01\xff\xff\xff\x00\x00\x00\x09");
        assert_eq!(all(&compound).1, [Feedback::Bandwidth { bps: u64::MAX }]);
    }

    #[test]
    fn another_implementation_reads_what_is_written() {
        let mut out = Vec::new();
        let report = SenderReport { ssrc: 5, ntp: 1 << 40, timestamp: 7, packets: 8, octets: 9 };
        write_sender_report(&mut out, &report);
        write_cname(&mut out, &[5, 6], "lectern");
        write_bye(&mut out, &[5, 6]);
        let packets = rtc_rtcp::packet::unmarshal(&mut &out[..]).unwrap();
        assert_eq!(packets.len(), 3);
        assert!(all(&out).0);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_order(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            all(&bytes);
        }

        #[test]
        fn broken_bodies_end_in_order(
            count in 0u8..32, kind in 199u8..208, body in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let words = (body.len() / 4) as u16;
            let mut packet = vec![0x80 | count, kind];
            packet.extend(words.to_be_bytes());
            packet.extend(&body[..usize::from(words) * 4]);
            prop_assert!(all(&packet).0);
        }
    }
}
