//! How many bits per second a track costs each of its viewers, measured as the frames pass: for the
//! egress of the edge, which wants the wire's figure over whole groups and through pauses. What a
//! link must carry from one moment to the next is [`super::history::History::bitrate`].

use std::time::Duration;

use super::packetize::Payloads;

/// What one measurement spans, in media time: a keyframe or two, so that the result is a rate.
const WINDOW: Duration = Duration::from_secs(4);
/// IPv4, UDP, the RTP header with an extension, and the tag: what each packet costs beside its
/// payload.
const PACKET_BYTES: usize = 20 + 8 + 12 + 16 + 16;

/// The measurement of one track.
#[derive(Default)]
pub(super) struct Meter {
    /// Where the window under way began, and the bytes in it.
    window: Option<(Duration, usize)>,
    /// The last two windows, so that one between two keyframes does not pass for the whole.
    measured_bps: [Option<u64>; 2],
}

impl Meter {
    /// Takes a frame, by its media time since `T0`.
    pub(super) fn push(&mut self, at: Duration, payloads: &Payloads) {
        let bytes = payloads.bytes() + payloads.count() * PACKET_BYTES;
        let Some((began, so_far)) = &mut self.window else {
            self.window = Some((at, bytes));
            return;
        };
        let span = at.checked_sub(*began);
        match span {
            Some(span) if span < WINDOW => *so_far += bytes,
            // Longer than two is a pause in it, or another encoder: the rate is not that low.
            Some(span) if span < WINDOW * 2 => {
                let bits = u64::try_from(*so_far * 8).unwrap_or(u64::MAX);
                let bps = bits.saturating_mul(1_000) / (span.as_millis() as u64).max(1);
                self.measured_bps = [Some(bps), self.measured_bps[0]];
                self.window = Some((at, bytes));
            }
            _ => self.window = Some((at, bytes)),
        }
    }

    /// The rate, once a window is full.
    pub(super) fn bps(&self) -> Option<u64> {
        self.measured_bps.into_iter().flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whep::packetize;
    use bytes::Bytes;

    fn packets(from_ms: u64, until_ms: u64, bytes: usize, meter: &mut Meter) {
        let payloads = packetize::opus(&Bytes::from(vec![0; bytes])).unwrap();
        for ms in (from_ms..until_ms).step_by(20) {
            meter.push(Duration::from_millis(ms), &payloads);
        }
    }

    #[test]
    fn the_rate_is_that_of_the_wire_and_a_pause_does_not_lower_it() {
        let mut meter = Meter::default();
        packets(0, 4_000, 428, &mut meter);
        assert_eq!(meter.bps(), None);
        packets(4_000, 5_000, 428, &mut meter);
        // 500 bytes fifty times a second.
        assert_eq!(meter.bps(), Some(200_000));
        packets(60_000, 61_000, 428, &mut meter);
        assert_eq!(meter.bps(), Some(200_000));
        // Twice as much from now on; the larger of the last two windows counts.
        packets(61_000, 90_000, 928, &mut meter);
        assert_eq!(meter.bps(), Some(400_000));
        packets(90_000, 110_000, 428, &mut meter);
        assert_eq!(meter.bps(), Some(200_000));
    }
}
