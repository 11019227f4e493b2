//! The whole receive path of a video stream: decrypt, unwrap resends, assemble frames, ask for what
//! is missing, and say what the link seems to carry. About as Chromium does it.

use std::time::{Duration, Instant};

use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};

use crate::frames::{Assembler, Packet};
use crate::nack::{Arrival, Missing};
use crate::rtp::Header;
use crate::sdp::Stream;
use crate::tally::Tally;
use crate::transport::Keys;
use crate::viewer::{Ended, seal_rtcp};

/// How often the estimate is sent: Chromium does so about three times a second.
const ESTIMATE_INTERVAL: Duration = Duration::from_millis(333);
/// The estimate never exceeds this multiple of what arrives, and nothing here delays packets, so
/// that it is what Chromium's would come to.
const ESTIMATE_OVER_RATE: f64 = 1.5;
const ESTIMATE_MIN_BPS: f64 = 300_000.0;
/// From one keyframe request to the next.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// What came of a packet.
pub(crate) struct Taken {
    /// It was of the stream itself and new, and counts in reports.
    pub(crate) counts: bool,
}

/// The first frame that was whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) arrived_us: u64,
    pub(crate) keyframe: bool,
}

/// The receiver of one viewer's video.
pub(crate) struct Receiver {
    ssrc: u32,
    stream: Stream,
    frames: Assembler,
    missing: Missing,
    lost_before: u64,
    overflows_before: u64,
    /// A keyframe is wanted, and when it was last asked for.
    wants_key: bool,
    asked_for_key: Option<Instant>,
    first: Option<First>,
    estimate_at: Option<Instant>,
    bytes: u64,
}

impl Receiver {
    /// A receiver of `stream`; it reports as `ssrc`.
    pub(crate) fn new(ssrc: u32, stream: Stream) -> Self {
        Self {
            ssrc,
            stream,
            frames: Assembler::new(),
            missing: Missing::default(),
            lost_before: 0,
            overflows_before: 0,
            wants_key: false,
            asked_for_key: None,
            first: None,
            estimate_at: None,
            bytes: 0,
        }
    }

    pub(crate) fn first_frame(&self) -> Option<First> {
        self.first
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn wake(&self) -> Option<Instant> {
        [self.missing.wake(), self.estimate_at].into_iter().flatten().min()
    }

    /// Takes a packet. `number` is its sequence number without end, unless it is a resend.
    pub(crate) fn take(
        &mut self,
        datagram: &[u8],
        header: Header,
        number: u64,
        arrived_us: u64,
        keys: &mut Keys,
        tally: &mut Tally,
    ) -> Taken {
        let ignored = Taken { counts: false };
        let is_resend = Some(header.ssrc) == self.stream.rtx_ssrc;
        if !is_resend && header.ssrc != self.stream.ssrc {
            tally.strange += 1;
            return ignored;
        }
        let Ok(packet) = keys.inbound.decrypt_rtp(datagram) else {
            tally.strange += 1;
            return ignored;
        };
        self.bytes += datagram.len() as u64;
        let mut payload = &packet[header.length..];
        let number = if is_resend {
            tally.resends += 1;
            // RFC 4588 §4: the original sequence number, then the payload. Without them it is
            // padding that probes the link.
            let Some((original, rest)) = payload.split_first_chunk::<2>() else { return ignored };
            payload = rest;
            match self.missing.number_of(u16::from_be_bytes(*original)) {
                Some(number) if !payload.is_empty() => number,
                _ => return ignored,
            }
        } else {
            number
        };
        let arrival = self.missing.arrived(number);
        match arrival {
            Arrival::New => {}
            Arrival::Recovered => tally.recovered += 1,
            Arrival::Useless => {
                tally.useless += 1;
                return ignored;
            }
        }
        let first = &mut self.first;
        let packet = Packet {
            number,
            timestamp: header.timestamp,
            marker: header.marker,
            arrived_us,
            payload: payload.to_vec(),
        };
        self.frames.insert(packet, |frame| {
            let Some(contents) = frame.contents else {
                tally.malformed += 1;
                return;
            };
            let (timestamp, arrived_us) = (frame.timestamp, frame.arrived_us);
            first.get_or_insert(First { arrived_us, keyframe: contents.keyframe });
            tally.video_frames += 1;
            tally.ended.push(Ended { timestamp, arrived_us, stamp: contents.stamp });
        });
        Taken { counts: !is_resend && arrival == Arrival::New }
    }

    /// Asks for what is missing, as far as it is time to.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        keys: &mut Keys,
        tally: &mut Tally,
        out: &mut Vec<Vec<u8>>,
    ) {
        let due = self.missing.due(now);
        if !due.is_empty() {
            tally.nacked += due.len() as u64;
            let nacks = nack_pairs_from_sequence_numbers(&due);
            let (sender_ssrc, media_ssrc) = (self.ssrc, self.stream.ssrc);
            seal_rtcp(
                &[Box::new(TransportLayerNack { sender_ssrc, media_ssrc, nacks })],
                keys,
                out,
            );
        }
        let (lost, overflows) = (self.missing.lost(), self.missing.overflows());
        tally.lost += lost - self.lost_before;
        self.wants_key |= lost > self.lost_before || overflows > self.overflows_before;
        (self.lost_before, self.overflows_before) = (lost, overflows);
        let may = self.asked_for_key.is_none_or(|at| now >= at + KEYFRAME_REQUEST_INTERVAL);
        if self.wants_key && may {
            self.wants_key = false;
            self.asked_for_key = Some(now);
            tally.keyframe_requests += 1;
            let (sender_ssrc, media_ssrc) = (self.ssrc, self.stream.ssrc);
            seal_rtcp(&[Box::new(PictureLossIndication { sender_ssrc, media_ssrc })], keys, out);
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        keys: &mut Keys,
        tally: &mut Tally,
        out: &mut Vec<Vec<u8>>,
    ) {
        self.ask(now, keys, tally, out);
        let Some(at) = self.estimate_at else {
            self.estimate_at = Some(now + ESTIMATE_INTERVAL);
            return;
        };
        if now < at {
            return;
        }
        let since = (now - at + ESTIMATE_INTERVAL).as_secs_f64();
        let rate_bps = std::mem::take(&mut self.bytes) as f64 * 8.0 / since;
        self.estimate_at = Some(now + ESTIMATE_INTERVAL);
        let estimate = ReceiverEstimatedMaximumBitrate {
            sender_ssrc: self.ssrc,
            bitrate: (rate_bps * ESTIMATE_OVER_RATE).max(ESTIMATE_MIN_BPS) as f32,
            ssrcs: vec![self.stream.ssrc],
        };
        seal_rtcp(&[Box::new(estimate)], keys, out);
    }
}
