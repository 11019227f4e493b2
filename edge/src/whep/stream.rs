//! One RTP stream to one viewer: sequence numbers, timestamps, sender reports, and resending.
//!
//! Which frame goes when is decided elsewhere, and what may be sent again by [`super::resend`]. With
//! RTX (RFC 4588) a resent packet goes as a packet of a stream of its own, so that the receiver's
//! figures of loss stay true. Without it, it is the same packet again, byte for byte: sealing other
//! contents under a sequence number that was used would give away the key.

use std::time::{Duration, Instant};

use lectern_relay_proto::UtcTime;

use super::PlayoutDelay;
use super::history::{History, Unit};
use super::outbox::{Outbox, Path};
use super::packetize::PAYLOAD_BYTES_MAX;
use super::resend::{Damper, Log, Resent, Sent};
use super::rtcp;
use super::srtp::{self, Sealer};

/// RTP header without extension, RFC 3550 §5.1.
const HEADER: usize = 12;
/// Header, and an extension block of four words: one-byte form, nine bytes of abs-capture-time, four
/// of playout-delay, padding.
const HEADER_MAX: usize = HEADER + 4 + 16;
/// The original sequence number, which an RTX packet has in front of its payload, RFC 4588 §4.
const OSN: usize = 2;
/// How often the receiver is told what time it is at the source, and again when a frame was captured.
/// abs-capture-time asks for it at least once a second; in between the receiver interpolates.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What the answer fixed for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    /// The stream's SSRC.
    pub ssrc: u32,
    /// The payload type of the answer.
    pub payload_type: u8,
    /// The id of the abs-capture-time extension, 1–14, if negotiated.
    pub capture_id: Option<u8>,
    /// Where resent packets go, if the viewer takes RTX.
    pub rtx: Option<Rtx>,
    /// The playout-delay extension, if the operator wants it and the viewer takes it.
    pub playout: Option<Playout>,
}

/// The retransmission stream of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rtx {
    /// Its SSRC.
    pub ssrc: u32,
    /// Its payload type.
    pub payload_type: u8,
}

/// The playout-delay extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Playout {
    /// Its id, 1–14.
    pub id: u8,
    /// What it says.
    pub delay: PlayoutDelay,
}

/// How packets get to the viewer.
pub(super) struct Way<'a> {
    /// What seals them.
    pub sealer: &'a Sealer,
    /// Where they go.
    pub path: Path,
    /// What they leave through.
    pub outbox: &'a mut Outbox,
}

impl Way<'_> {
    fn seal(
        &mut self,
        ssrc: u32,
        index: u64,
        header: &[u8],
        payload: &[u8],
    ) -> Result<(), srtp::Error> {
        let sealer = self.sealer;
        self.outbox.packet(self.path, |out| sealer.seal_rtp(ssrc, index, header, payload, out))
    }
}

/// The sender's state of one stream.
pub(super) struct Stream {
    setup: Setup,
    /// Rollover counter and sequence number of the next packet.
    index: u64,
    /// The same of the retransmission stream, which counts by itself.
    rtx_index: u64,
    /// The RTP time of the last frame, in ticks since `T0`.
    ticks: Option<u64>,
    packets: u32,
    octets: u32,
    sent: Log,
    damper: Damper,
    reported: Option<(Instant, u32)>,
    captured: Option<Instant>,
}

impl Stream {
    /// A stream that starts with sequence number `sequence`, and its retransmission stream too. It
    /// should be random and is taken below 2^15, so that a receiver that misses the first packets
    /// does not guess a rollover (RFC 3711 §3.3.1).
    pub(super) fn new(setup: Setup, sequence: u16) -> Self {
        let index = u64::from(sequence & 0x7fff);
        Self {
            setup,
            index,
            rtx_index: index,
            ticks: None,
            packets: 0,
            octets: 0,
            sent: Log::default(),
            damper: Damper::new(),
            reported: None,
            captured: None,
        }
    }

    /// The stream's SSRC.
    pub(super) fn ssrc(&self) -> u32 {
        self.setup.ssrc
    }

    /// Sends a frame with RTP time `ticks`, or just after the last frame's if that is not later.
    pub(super) fn send(
        &mut self,
        unit: &Unit,
        ticks: u64,
        now: Instant,
        way: &mut Way<'_>,
    ) -> Result<(), srtp::Error> {
        let ticks = self.ticks.map_or(ticks, |last| ticks.max(last + 1));
        // A frame that is sent late carries another timestamp than its own, which makes what the
        // receiver interpolates wrong until it is told again.
        let rewritten = ticks != unit.ticks;
        let due = self.captured.is_none_or(|at| now.duration_since(at) >= REPORT_INTERVAL);
        let with_capture = self.setup.capture_id.is_some() && (rewritten || due);
        if with_capture {
            self.captured = (!rewritten).then_some(now);
        }
        self.ticks = Some(ticks);
        let count = unit.payloads.count();
        let sent = Sent {
            first: self.index,
            rendition: unit.rendition,
            serial: unit.serial,
            timestamp: ticks as u32,
            with_capture,
            count: u16::try_from(count).unwrap_or(u16::MAX),
        };
        self.index += count as u64;
        for packet in 0..count {
            self.write(&sent, packet, unit, way)?;
        }
        way.outbox.flush();
        self.packets = self.packets.wrapping_add(count as u32);
        self.octets = self.octets.wrapping_add(unit.payloads.bytes() as u32);
        self.sent.push(sent, unit.clock_hz);
        self.damper.sent(unit.payloads.bytes() as u32, ticks, unit.clock_hz);
        Ok(())
    }

    fn write(
        &self,
        sent: &Sent,
        packet: usize,
        unit: &Unit,
        way: &mut Way<'_>,
    ) -> Result<(), srtp::Error> {
        let Some(payload) = unit.payloads.get(packet) else { return Ok(()) };
        let index = sent.first + packet as u64;
        let Setup { ssrc, payload_type, .. } = self.setup;
        let (header, length) = self.header(sent, packet, unit, payload_type, ssrc, index);
        way.seal(ssrc, index, &header[..length], payload)
    }

    /// The same packet as one of the retransmission stream, RFC 4588 §4: everything of its header
    /// is the original's but payload type, SSRC and sequence number.
    fn write_rtx(
        &mut self,
        rtx: Rtx,
        sent: &Sent,
        packet: usize,
        unit: &Unit,
        way: &mut Way<'_>,
    ) -> Result<(), srtp::Error> {
        let Some(payload) = unit.payloads.get(packet) else { return Ok(()) };
        let original = (sent.first + packet as u64) as u16;
        // A number is used up whatever comes of it: none must ever seal two packets.
        let index = self.rtx_index;
        self.rtx_index += 1;
        let Rtx { ssrc, payload_type } = rtx;
        let (header, length) = self.header(sent, packet, unit, payload_type, ssrc, index);
        let mut numbered = [0; OSN + PAYLOAD_BYTES_MAX];
        let numbered = numbered.get_mut(..OSN + payload.len()).ok_or(srtp::Error::Seal)?;
        numbered[..OSN].copy_from_slice(&original.to_be_bytes());
        numbered[OSN..].copy_from_slice(payload);
        way.seal(ssrc, index, &header[..length], numbered)
    }

    /// The header of a packet, and its length.
    fn header(
        &self,
        sent: &Sent,
        packet: usize,
        unit: &Unit,
        payload_type: u8,
        ssrc: u32,
        index: u64,
    ) -> ([u8; HEADER_MAX], usize) {
        let video = unit.clock_hz == 90_000;
        // The marker ends a video frame (RFC 6184 §5.1); in audio it would mean a talk spurt.
        let marker = video && packet + 1 == unit.payloads.count();
        let mut header = [0; HEADER_MAX];
        header[0] = 0x80;
        header[1] = payload_type | if marker { 0x80 } else { 0 };
        header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        header[4..8].copy_from_slice(&sent.timestamp.to_be_bytes());
        header[8..12].copy_from_slice(&ssrc.to_be_bytes());
        // Extensions in the one-byte form, RFC 8285 §4.2, after the four bytes that announce them.
        let start = HEADER + 4;
        let mut end = start;
        if packet == 0 {
            if let Some(id) = self.setup.capture_id.filter(|_| sent.with_capture) {
                // The NTP time of capture in eight bytes.
                header[end] = id << 4 | 7;
                header[end + 1..end + 9].copy_from_slice(&unit.captured.to_ntp().to_be_bytes());
                end += 9;
            }
            // A receiver keeps to it until it is told otherwise, so keyframes are often enough.
            if let Some(Playout { id, delay }) = self.setup.playout.filter(|_| unit.keyframe) {
                header[end] = id << 4 | 2;
                header[end + 1..end + 4].copy_from_slice(&delay.to_wire());
                end += 4;
            }
        }
        if end == start {
            return (header, HEADER);
        }
        let words = (end - start).div_ceil(4);
        header[0] |= 0x10;
        header[HEADER..start].copy_from_slice(&[0xbe, 0xde, 0, words as u8]);
        (header, start + 4 * words)
    }

    /// Whether a sender report is due.
    pub(super) fn is_report_due(&self, now: Instant) -> bool {
        let due = |(at, _)| now.duration_since(at) >= REPORT_INTERVAL;
        self.packets > 0 && self.reported.is_none_or(due)
    }

    /// A sender report for the compound `report`, if one is due: `live` is the media time that is
    /// live now in ticks of `clock_hz`, `t0` the instant it counts from.
    pub(super) fn report(
        &mut self,
        live: u64,
        clock_hz: u32,
        t0: UtcTime,
        now: Instant,
        report: &mut Vec<u8>,
    ) -> bool {
        if !self.is_report_due(now) {
            return false;
        }
        let micros = u128::from(live) * 1_000_000 / u128::from(clock_hz);
        let at = t0 + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let ntp = at.to_ntp();
        rtcp::write_sender_report(
            report,
            &rtcp::SenderReport {
                ssrc: self.setup.ssrc,
                ntp,
                timestamp: live as u32,
                packets: self.packets,
                octets: self.octets,
            },
        );
        self.reported = Some((now, (ntp >> 16) as u32));
        true
    }

    /// Learns the round trip from a receiver's report on the last sender report, RFC 3550 §6.4.1.
    pub(super) fn reported(
        &mut self,
        last_report: u32,
        delay: u32,
        now: Instant,
    ) -> Option<Duration> {
        if let Some((at, ntp)) = self.reported
            && ntp == last_report
            && last_report != 0
        {
            let delay = Duration::from_micros((u64::from(delay) * 1_000_000) >> 16);
            let rtt = now.duration_since(at).saturating_sub(delay);
            self.damper.set_round_trip(rtt);
            return Some(rtt);
        }
        None
    }

    /// Tells whether the link persistently carries less than is sent.
    pub(super) fn set_full(&mut self, full: bool) {
        self.damper.set_full(full);
    }

    /// Tells the round trip before the first report does.
    pub(super) fn set_round_trip(&mut self, rtt: Duration) {
        self.damper.set_round_trip(rtt);
    }

    /// Sends the packets again that a NACK asks for, RFC 4585 §6.2.1: `first`, and those after it
    /// whose bits are set. `histories` are by slot: a viewer may have been sent several renditions.
    /// They are gathered in the outbox, for the caller to flush.
    pub(super) fn resend(
        &mut self,
        first: u16,
        following: u16,
        histories: &[History],
        now: Instant,
        way: &mut Way<'_>,
    ) -> Resent {
        let mut resent = Resent::default();
        let more = (0..16).filter(|bit| following & (1 << bit) != 0).map(|bit| bit + 1);
        for offset in std::iter::once(0).chain(more) {
            let sequence = first.wrapping_add(offset);
            let index = self.index_of(sequence);
            let found = self.sent.find(index).and_then(|sent| {
                let unit = histories.get(usize::from(sent.rendition))?.get(sent.serial)?;
                let packet = usize::try_from(index - sent.first).ok()?;
                Some((sent, unit, packet, unit.payloads.get(packet)?.len()))
            });
            let Some((sent, unit, packet, bytes)) = found else {
                resent.gone += 1;
                continue;
            };
            resent.lost += u32::from(!self.damper.knows(index));
            if !self.damper.admit(index, bytes as u32, now) {
                resent.damped += 1;
                continue;
            }
            let written = match self.setup.rtx {
                Some(rtx) => self.write_rtx(rtx, &sent, packet, unit, way),
                None => self.write(&sent, packet, unit, way),
            };
            resent.sent += u32::from(written.is_ok());
        }
        resent
    }

    /// The packet index that a sequence number stands for: the latest one already sent.
    fn index_of(&self, sequence: u16) -> u64 {
        let back = (self.index as u16).wrapping_sub(sequence);
        let back = if back == 0 { 1 << 16 } else { u64::from(back) };
        self.index.saturating_sub(back)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
