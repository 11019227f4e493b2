//! What is known of the link to a viewer, from what the viewer reports.
//!
//! Pure figures: a session feeds them, the start's pace ([`super::pace::speed`]) and the choice of
//! a rendition read them. Three things speak of a link's rate, and each has its limits. REMB is the
//! receiver's own estimate, which falls when delay grows, but seldom is far above what it receives.
//! Loss beyond what radio links have at random says that no more got through than did. And what
//! went through unharmed says only that the link carries as much.

use std::time::{Duration, Instant};

/// Older reports say nothing of now. Receivers report every second or so; three that are lost are a
/// link in trouble, of which nothing is known.
const RECENT: Duration = Duration::from_secs(5);
/// Loss above this means that more is sent than the link carries, as GCC has it
/// (draft-ietf-rmcat-gcc §6): radio links lose less at random.
const LOSS_FULL: f64 = 0.10;
/// And below this that it carries what is sent.
const LOSS_CLEAN: f64 = 0.02;
/// Figures over less time or fewer packets than these are chance.
const WINDOW_MIN: Duration = Duration::from_millis(100);
const WINDOW_PACKETS_MIN: u32 = 40;
/// What a round trip may take longer than the shortest before it counts as a queue that builds up.
const QUEUE_MAX: Duration = Duration::from_millis(150);
/// And what beside persistent loss is the sign of a full one, even of a small queue's.
const QUEUE_FULL: Duration = Duration::from_millis(30);

/// What is known of a link.
#[derive(Debug, Default)]
pub(super) struct Link {
    remb: Option<(u64, Instant)>,
    /// What got through when too much was lost.
    full: Option<(u64, Instant)>,
    /// What was sent when nothing was lost or late.
    carried: Option<(u64, Instant)>,
    loss: f64,
    rtt: Option<Duration>,
    rtt_min: Option<Duration>,
    window: Window,
}

/// What was sent since the link was last judged.
#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    bytes: u64,
    packets: u32,
    missing: u32,
}

impl Link {
    /// Media was sent.
    pub(super) fn sent(&mut self, bytes: usize, packets: usize, now: Instant) {
        self.window.since.get_or_insert(now);
        self.window.bytes += bytes as u64;
        self.window.packets = self.window.packets.saturating_add(packets as u32);
    }

    /// The receiver takes the link to carry `bps` bits per second (REMB).
    pub(super) fn bandwidth(&mut self, bps: u64, now: Instant) {
        self.remb = Some((bps, now));
    }

    /// A report says that `fraction` in 256 of the packets were lost since the last one.
    pub(super) fn lost(&mut self, fraction: u8, now: Instant) {
        let lost = f64::from(fraction) / 256.0;
        // Half of the new and half of the old: three reports tell a trend, one does not.
        self.loss += (lost - self.loss) / 2.0;
        // One bad second is a keyframe that overflowed a short queue: on average the link had room.
        let persistent = self.loss > LOSS_FULL;
        self.judge(if persistent { lost } else { lost.min(LOSS_FULL) }, now);
    }

    /// The receiver asked for `packets` packets for the first time, while it was sent what is cached
    /// without a pause. Then that is as good as a report, and comes a second earlier. At the live
    /// edge it only tells of a short queue.
    pub(super) fn missing(&mut self, packets: u32, now: Instant) {
        let window = &mut self.window;
        window.missing = window.missing.saturating_add(packets);
        if window.packets >= WINDOW_PACKETS_MIN {
            let lost = f64::from(window.missing.min(window.packets)) / f64::from(window.packets);
            if lost > LOSS_FULL {
                self.judge(lost, now);
            }
        }
    }

    /// A round trip was measured.
    pub(super) fn round_trip(&mut self, rtt: Duration) {
        self.rtt = Some(rtt);
        self.rtt_min = Some(self.rtt_min.map_or(rtt, |min| min.min(rtt)));
    }

    /// The bits per second that the link is believed to carry at most; `None` if nothing recent
    /// says so.
    pub(super) fn estimate(&self, now: Instant) -> Option<u64> {
        let estimates = [recent(self.remb, now), recent(self.full, now)];
        estimates.into_iter().flatten().min()
    }

    /// The bits per second that it carried lately without loss or delay; it may well carry more.
    pub(super) fn carried(&self, now: Instant) -> Option<u64> {
        recent(self.carried, now)
    }

    /// The part of the packets that is lost, by the last few reports.
    pub(super) fn loss(&self) -> f64 {
        self.loss
    }

    /// Whether the link persistently carries less than is sent: report after report tells of loss,
    /// and there is a queue before it. Loss alone may be a radio link's, which resends repair.
    pub(super) fn is_full(&self) -> bool {
        let queued = self.rtt.zip(self.rtt_min).is_some_and(|(rtt, min)| rtt > min + QUEUE_FULL);
        self.loss > LOSS_FULL && queued
    }

    fn judge(&mut self, lost: f64, now: Instant) {
        let Some(since) = self.window.since else { return };
        let span = now.saturating_duration_since(since);
        if span < WINDOW_MIN {
            return;
        }
        let bits = self.window.bytes as f64 * 8.0;
        let rate = bits / span.as_secs_f64();
        let queued = self.rtt.zip(self.rtt_min).is_some_and(|(rtt, min)| rtt > min + QUEUE_MAX);
        if lost > LOSS_FULL {
            self.full = Some(((rate * (1.0 - lost)) as u64, now));
            self.carried = None;
        } else if lost <= LOSS_CLEAN && !queued {
            let rate = rate as u64;
            self.carried = Some((rate, now));
            self.full = self.full.filter(|(full, _)| *full > rate);
        }
        self.window = Window { since: Some(now), ..Window::default() };
    }
}

fn recent(figure: Option<(u64, Instant)>, now: Instant) -> Option<u64> {
    let (bps, at) = figure?;
    (now.saturating_duration_since(at) <= RECENT).then_some(bps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second in which `bps` bits were sent, and the report on it.
    fn second(link: &mut Link, now: &mut Instant, bps: usize, lost: f64) {
        link.sent(bps / 8, bps / 8 / 1_000, *now);
        *now += Duration::from_secs(1);
        link.lost((lost * 256.0) as u8, *now);
    }

    #[test]
    fn nothing_is_known_at_first_and_again_after_silence() {
        let (mut link, now) = (Link::default(), Instant::now());
        assert_eq!((link.estimate(now), link.carried(now)), (None, None));
        link.bandwidth(3_000_000, now);
        assert_eq!(link.estimate(now + RECENT), Some(3_000_000));
        assert_eq!(link.estimate(now + RECENT + Duration::from_millis(1)), None);
    }

    #[test]
    fn loss_beyond_chance_limits_the_estimate_until_more_gets_through() {
        let (mut link, mut now) = (Link::default(), Instant::now());
        link.sent(1, 1, now);
        second(&mut link, &mut now, 4_000_000, 0.05);
        assert_eq!(link.estimate(now), None, "5 % is chance");
        link.bandwidth(3_500_000, now);
        second(&mut link, &mut now, 4_000_000, 0.25);
        assert_eq!(link.estimate(now), Some(3_000_000));
        second(&mut link, &mut now, 2_000_000, 0.0);
        assert_eq!((link.estimate(now), link.carried(now)), (Some(3_000_000), Some(2_000_000)));
        second(&mut link, &mut now, 3_200_000, 0.0);
        assert_eq!(link.estimate(now), Some(3_500_000), "now only REMB limits it");
    }

    #[test]
    fn requests_for_missing_packets_tell_before_the_report_does() {
        let (mut link, start) = (Link::default(), Instant::now());
        link.sent(100_000, 100, start);
        let now = start + Duration::from_millis(200);
        link.missing(5, now);
        assert_eq!(link.estimate(now), None);
        link.missing(45, now);
        assert_eq!(link.estimate(now), Some(2_000_000));
    }

    #[test]
    fn a_queue_that_builds_up_is_no_room() {
        let (mut link, mut now) = (Link::default(), Instant::now());
        link.round_trip(Duration::from_millis(40));
        link.round_trip(Duration::from_millis(240));
        second(&mut link, &mut now, 4_000_000, 0.0);
        assert_eq!(link.carried(now), None);
        link.round_trip(Duration::from_millis(60));
        second(&mut link, &mut now, 4_000_000, 0.0);
        assert_eq!(link.carried(now), Some(4_000_000));
    }

    #[test]
    fn loss_is_smoothed() {
        let (mut link, mut now) = (Link::default(), Instant::now());
        for _ in 0..10 {
            second(&mut link, &mut now, 1_000_000, 0.25);
        }
        assert!((link.loss() - 0.25).abs() < 0.01);
        second(&mut link, &mut now, 1_000_000, 0.0);
        assert!((link.loss() - 0.125).abs() < 0.01);
    }
}
