//! The receiver: what of a browser answers loss.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, REPAIR, Simulation};

/// A browser looks at its list of missing packets this often, and asks for each this many times.
pub(super) const NACK_TURN: Duration = Duration::from_millis(20);
const NACK_TRIES: u32 = 10;

/// What the receiver keeps, as `NackRequester` of libwebrtc does.
#[derive(Default)]
pub(super) struct Receiver {
    pub(super) newest: Option<u64>,
    /// When each missing packet was asked for last, and how often.
    pub(super) missing: BTreeMap<u64, (Duration, u32)>,
    pub(super) expected: u64,
    pub(super) received: u64,
    /// The middle of the last sender report's time, and when it came.
    pub(super) reported: Option<(u32, Duration)>,
}

impl Simulation {
    pub(super) fn receive(&mut self, datagram: &[u8]) {
        let ssrc = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
        let mut sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
        if ssrc == REPAIR {
            let packet = self.opener.decrypt_rtp(datagram).unwrap();
            let extension = packet[0] & 0x10 != 0;
            let at = if extension { 16 + 4 * usize::from(packet[15]) } else { 12 };
            sequence = u16::from_be_bytes([packet[at], packet[at + 1]]);
        } else {
            self.receiver.received += 1;
        }
        if self.arrived.insert(sequence) {
            let frame = &mut self.frames[self.by_sequence[&sequence]];
            frame.missing -= 1;
            if frame.missing == 0 {
                frame.whole = Some(self.now);
            }
        }
        let newest = self.receiver.newest.unwrap_or(u64::from(sequence) + (1 << 16));
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let index = newest.wrapping_add_signed(ahead.into());
        self.receiver.missing.remove(&index);
        if self.receiver.newest.is_none() {
            self.receiver.expected = 1;
            self.receiver.newest = Some(index);
        }
        if index > newest {
            self.receiver.expected += index - newest;
            self.receiver.newest = Some(index);
            for missing in newest + 1..index {
                self.receiver.missing.insert(missing, (self.now, 0));
            }
            if index > newest + 1 {
                self.nack(true);
            }
        }
    }

    /// Asks for what is missing: at once for what was just found to be, or for what has not come a
    /// round trip after it was asked for.
    pub(super) fn nack(&mut self, fresh: bool) {
        let now = self.now;
        let rtt = self.stage.nack_interval;
        let mut asked: Vec<u64> = Vec::new();
        self.receiver.missing.retain(|index, (at, tries)| {
            let due = if fresh { *tries == 0 } else { *tries > 0 && *at + rtt <= now };
            if due && *tries == NACK_TRIES {
                return false;
            }
            if due {
                (*at, *tries) = (now, *tries + 1);
                asked.push(*index);
            }
            true
        });
        let mut items: Vec<(u16, u16)> = Vec::new();
        let mut first = 0;
        for index in asked {
            match items.last_mut() {
                Some((_, following)) if index - first <= 16 => {
                    *following |= 1 << (index - first - 1)
                }
                _ => {
                    first = index;
                    items.push((index as u16, 0));
                }
            }
        }
        let bytes = 40 + 4 * items.len();
        if !items.is_empty()
            && let Some(at) = self.stage.up.pass(bytes, now, &mut self.random)
        {
            self.at(at, Event::Nack(items));
        }
    }

    pub(super) fn report(&mut self) {
        let Receiver { expected, received, reported, .. } = &mut self.receiver;
        let lost = expected.saturating_sub(*received);
        let fraction = (lost * 256 / (*expected).max(1)).min(255) as u8;
        (*expected, *received) = (0, 0);
        let Some((last_report, at)) = *reported else { return };
        let Some(since) = self.now.checked_sub(at) else { return };
        let delay = (since.as_secs_f64() * 65_536.0) as u32;
        if let Some(at) = self.stage.up.pass(80, self.now, &mut self.random) {
            self.at(at, Event::Report { fraction, last_report, delay });
        }
    }
}
