//! What a stream needs to send packets again: which packets were sent, which of them were sent
//! again just now, and how much may be sent twice.
//!
//! The budget has no clock: it grows with what is sent for the first time, so it follows the
//! bitrate by itself. A request that the budget refuses is not queued. A receiver that still needs
//! the packet asks again after a round trip, and that paces the rest.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames of which packets can be sent again: the two seconds below at 60 per second, and the start
/// of a group of ten seconds, most of which goes out within one.
const FRAMES_MAX: usize = 512;
/// How long packets of a frame can be sent again, in seconds of the RTP clock. A receiver asks ten
/// times at most, a round trip apart, and after that its picture has moved on.
const KEPT_SECS: u32 = 2;
/// Of what is sent for the first time, this part may be sent again: one in `2^2`. Loss of 5 % each
/// way takes 5.5 %, loss of 15 % takes 18 %. A link that drops because it is full gets a quarter
/// more at worst, not a multiple.
const SHARE_SHIFT: u32 = 2;
/// The same on a link that is full: there whatever is sent again displaces something else, and one
/// in `2^5` is what random loss of 3 % takes.
const SHARE_SHIFT_FULL: u32 = 5;
/// And of what was sent in the last second or two this part may be sent again at once: one in
/// `2^4`. That is more than twice what 5 % takes of a keyframe, and less than the queue of a link
/// that carries the stream.
const BURST_SHIFT: u32 = 4;
/// But this much always may: twenty packets, three times what 5 % takes of a keyframe of 150 kB.
/// Without it a stream of slides, which is all keyframe, could not be repaired.
const BURST_BYTES_MIN: u32 = 24 * 1024;
/// Round trips under this are not believed when duplicate requests are told apart.
const RTT_MIN: Duration = Duration::from_millis(20);
/// The round trip until something says better.
const RTT_INITIAL: Duration = Duration::from_millis(100);
/// And the longest that a report can make us believe.
const RTT_MAX: Duration = Duration::from_secs(1);
/// Packets whose last resend is remembered, by their index modulo this. One that displaces another
/// may at worst be sent twice, and the budget holds all the same.
const SLOTS: usize = 256;

/// A frame that was sent, so that its packets can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// The packet index of its first packet.
    pub first: u64,
    /// Its serial in the history.
    pub serial: u64,
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// How many packets it took.
    pub count: u16,
    /// The slot of its rendition, whose history that is.
    pub rendition: u8,
    /// Whether its first packet carries abs-capture-time.
    pub with_capture: bool,
}

/// The frames that were sent last.
#[derive(Debug, Default)]
pub(super) struct Log {
    frames: VecDeque<Sent>,
}

impl Log {
    /// Adds the newest frame, of a clock with `clock_hz` ticks per second, and forgets those that
    /// nobody can need any more.
    pub(super) fn push(&mut self, sent: Sent, clock_hz: u32) {
        let kept = clock_hz * KEPT_SECS;
        while self.frames.front().is_some_and(|front| {
            // Timestamps follow the live clock even of frames that are sent late.
            sent.timestamp.wrapping_sub(front.timestamp) > kept || self.frames.len() >= FRAMES_MAX
        }) {
            self.frames.pop_front();
        }
        self.frames.push_back(sent);
    }

    /// The frame that the packet with this index belongs to.
    pub(super) fn find(&self, index: u64) -> Option<Sent> {
        let at = self.frames.partition_point(|sent| sent.first <= index).checked_sub(1)?;
        let sent = self.frames[at];
        (index < sent.first + u64::from(sent.count)).then_some(sent)
    }
}

/// What came of a request to send packets again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resent {
    /// Packets sent again.
    pub sent: u32,
    /// Left out: asked for twice within a round trip, or more than the stream may resend.
    pub damped: u32,
    /// Left out: no longer kept, or never sent.
    pub gone: u32,
    /// Packets that were asked for the first time: what the link lost of the first sending.
    pub lost: u32,
}

/// Decides which packets may be sent again now.
#[derive(Debug)]
pub(super) struct Damper {
    rtt: Duration,
    /// Whether the link is full.
    full: bool,
    /// Bytes that may be sent again.
    budget: u32,
    recent: Recent,
    /// Made when the first request comes; most viewers on a good link never make one.
    slots: Vec<Slot>,
    /// What the times in the slots count from.
    epoch: Option<Instant>,
}

/// When a packet was last sent again, or as long ago as a round trip if it never was.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The low bits of the packet's index and one, so that zero is nobody's.
    key: u32,
    at_ms: u32,
}

/// Bytes sent in the last one to two seconds of the RTP clock.
#[derive(Debug, Default)]
struct Recent {
    since: u64,
    bytes: u32,
    before: u32,
}

impl Recent {
    fn add(&mut self, bytes: u32, ticks: u64, clock_hz: u32) {
        let passed = ticks.saturating_sub(self.since);
        if passed >= u64::from(clock_hz) {
            self.before = if passed < 2 * u64::from(clock_hz) { self.bytes } else { 0 };
            self.bytes = 0;
            self.since = ticks;
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Damper {
    /// A damper that knows nothing of the link.
    pub(super) fn new() -> Self {
        Self {
            rtt: RTT_INITIAL,
            full: false,
            budget: BURST_BYTES_MIN,
            recent: Recent::default(),
            slots: Vec::new(),
            epoch: None,
        }
    }

    /// The round trip that the receiver's requests take, as measured.
    pub(super) fn set_round_trip(&mut self, rtt: Duration) {
        self.rtt = rtt.clamp(RTT_MIN, RTT_MAX);
    }

    /// Whether the link persistently carries less than is sent.
    pub(super) fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// A frame of `bytes` bytes was sent for the first time, at `ticks` of a clock with `clock_hz`.
    pub(super) fn sent(&mut self, bytes: u32, ticks: u64, clock_hz: u32) {
        self.recent.add(bytes, ticks, clock_hz);
        let recent = self.recent.bytes.saturating_add(self.recent.before);
        let (share, least) = match self.full {
            false => (SHARE_SHIFT, BURST_BYTES_MIN),
            true => (SHARE_SHIFT_FULL, 0),
        };
        let most = (recent >> BURST_SHIFT).max(least);
        self.budget = self.budget.saturating_add(bytes >> share).min(most);
    }

    /// Whether the packet was asked for before, as far as is remembered.
    pub(super) fn knows(&self, index: u64) -> bool {
        self.slots.get(index as usize % SLOTS).is_some_and(|slot| slot.key == key(index))
    }

    /// Whether the packet of `bytes` bytes may be sent again at `now`; if so, it counts as sent.
    pub(super) fn admit(&mut self, index: u64, bytes: u32, now: Instant) -> bool {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS];
        }
        let epoch = *self.epoch.get_or_insert(now);
        let now_ms = now.saturating_duration_since(epoch).as_millis() as u32;
        let slot = &mut self.slots[index as usize % SLOTS];
        // A receiver that repeats itself after a round trip is heard a little early whenever the
        // way got shorter meanwhile. Three quarters tell its repetition from a duplicate.
        let recent_ms = (self.rtt.as_millis() * 3 / 4) as u32;
        let again = slot.key == key(index) && now_ms.wrapping_sub(slot.at_ms) < recent_ms;
        if again {
            return false;
        }
        if self.budget < bytes {
            // Remembered, so that it is not taken for another loss, but not as sent.
            *slot = Slot { key: key(index), at_ms: now_ms.wrapping_sub(recent_ms) };
            return false;
        }
        *slot = Slot { key: key(index), at_ms: now_ms };
        self.budget -= bytes;
        true
    }
}

fn key(index: u64) -> u32 {
    (index as u32).wrapping_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(first: u64, count: u16, timestamp: u32) -> Sent {
        Sent { first, serial: first, timestamp, count, rendition: 0, with_capture: false }
    }

    #[test]
    fn the_log_finds_the_frame_of_a_packet_and_forgets_the_old_ones() {
        let mut log = Log::default();
        let start = u32::MAX - 90_000;
        for frame in 0..100 {
            log.push(sent(u64::from(frame) * 3, 3, start.wrapping_add(frame * 3_000)), 90_000);
        }
        assert_eq!(log.find(299).unwrap().first, 297);
        assert_eq!(log.find(300), None);
        assert_eq!(log.find(3 * 39).unwrap().first, 3 * 39);
        assert_eq!(log.find(3 * 39 - 1), None, "more than two seconds ago");
        for frame in 0..2_000 {
            log.push(sent(1_000 + frame, 1, start.wrapping_add(300_001)), 90_000);
        }
        assert_eq!(log.frames.len(), FRAMES_MAX);
    }

    #[test]
    fn what_may_be_sent_again_is_a_share_of_what_was_sent() {
        let check = |frame_bytes: u32, seconds: u32| {
            let mut damper = Damper::new();
            let (mut now, mut again) = (Instant::now(), 0);
            for frame in 0..seconds * 30 {
                damper.sent(frame_bytes, u64::from(frame) * 3_000, 90_000);
                now += Duration::from_millis(33);
                // Asks for everything, always.
                for packet in 0..100 {
                    let index = u64::from(frame) * 100 + packet;
                    again += if damper.admit(index, 1_150, now) { 1_150 } else { 0 };
                }
            }
            let share = f64::from(again) / f64::from(frame_bytes * seconds * 30);
            assert!((0.20..0.30).contains(&share), "{frame_bytes}: {share}");
        };
        check(2_000, 60);
        check(10_000, 20);
        check(50_000, 20);
    }

    #[test]
    fn a_pause_does_not_save_up_a_burst() {
        let mut damper = Damper::new();
        let now = Instant::now();
        for frame in 0..300 {
            damper.sent(10_000, frame * 3_000, 90_000);
        }
        let burst = (0..1_000).filter(|index| damper.admit(*index, 1_000, now)).count();
        // A 16th of one to two seconds at 300 kB per second.
        assert!((18..=38).contains(&burst), "{burst}");
    }

    #[test]
    fn a_packet_is_sent_again_once_per_round_trip() {
        let mut damper = Damper::new();
        damper.set_round_trip(Duration::from_millis(200));
        let now = Instant::now();
        assert!(!damper.knows(7));
        assert!(damper.admit(7, 100, now) && damper.knows(7));
        assert!(!damper.admit(7, 100, now + Duration::from_millis(149)));
        assert!(damper.admit(8, 100, now + Duration::from_millis(149)));
        assert!(damper.admit(7, 100, now + Duration::from_millis(150)));
        // Another one takes its slot, which is not mistaken for it.
        assert!(!damper.knows(7 + SLOTS as u64));
    }
}
