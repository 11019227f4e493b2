//! Source timestamps to media time, for one take.
//!
//! RTMP counts 32-bit milliseconds that may start anywhere, wrap after 49.7 days and jump when the
//! host switches scenes. Media time must do none of that: it follows the source's clock frame by
//! frame, and the wall clock whenever it jumps or falls behind for good. A source that runs ahead
//! cannot be followed: viewers ask by the wall clock for what has long been and gone.

use std::time::Duration;

use lectern_relay_proto::UtcTime;

/// How far the source may run ahead of the wall clock from one message to the next before it counts
/// as a jump. Encoders that caught up after a stall send bursts, but not ones of three seconds.
pub(crate) const FORWARD_JUMP_MS_MAX: i64 = 3_000;
/// How far it may step back. Audio and video share the clock and differ by up to a second when an
/// encoder starts.
pub(crate) const BACKWARD_JUMP_MS_MAX: i64 = 1_500;
/// A source that stays this far behind the wall clock for a whole [`LAG_WINDOW`] has lost time for
/// good: a capture that stood still, not a network that was slow.
const LAG_MS_MAX: i64 = 1_000;
const LAG_WINDOW: Duration = Duration::from_secs(10);

/// Maps the timestamps of one take.
#[derive(Debug)]
pub struct TakeClock {
    /// `T0` of the broadcast.
    t0: UtcTime,
    /// The earliest media time that an anchor may choose, in milliseconds: the latest that was
    /// used, so that a jump never leads back over what viewers have seen.
    floor_ms: i64,
    last: Option<Last>,
    /// Media time minus source time; `None` until the take is anchored.
    offset_ms: Option<i64>,
    /// How far ahead of the wall clock the take began, because what was shown before reaches so far.
    lead_ms: i64,
    lag_min_ms: i64,
    lag_window_began: UtcTime,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    raw: u32,
    source_ms: i64,
    arrived: UtcTime,
}

/// What [`TakeClock::map`] made of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Media time in milliseconds after `T0`. May lie before the take's first frame by as much as
    /// audio and video differ; never negative.
    pub media_ms: u64,
    /// Whether the source's clock jumped here and was anchored to the wall clock anew.
    pub reanchored: bool,
    /// How far the source has run ahead of the wall clock since it was anchored, in milliseconds.
    pub ahead_ms: u64,
}

impl TakeClock {
    /// A clock for a take whose first frame must not come before `floor_ms` of media time: where
    /// the take before it ended.
    pub fn new(t0: UtcTime, floor_ms: u64) -> Self {
        Self {
            t0,
            floor_ms: i64::try_from(floor_ms).unwrap_or(i64::MAX),
            last: None,
            offset_ms: None,
            lead_ms: 0,
            lag_min_ms: i64::MAX,
            lag_window_began: UtcTime::default(),
        }
    }

    /// Anchors the take by its first messages, given as RTMP timestamp and arrival: by the timeliest
    /// of them, since an encoder that has just started is late with its first pictures and then
    /// catches up. Without this the first message mapped is the anchor.
    pub fn settle(&mut self, first: impl Iterator<Item = (u32, UtcTime)>) {
        let mut raw_before = None;
        let mut source_ms = 0;
        let mut offset_ms = i64::MAX;
        for (raw, arrived) in first {
            source_ms += raw_before.map_or(i64::from(raw), |before| step(before, raw));
            raw_before = Some(raw);
            offset_ms = offset_ms.min(self.wall_ms(arrived) - source_ms);
            self.lag_window_began = arrived;
        }
        if raw_before.is_some() {
            self.offset_ms = Some(offset_ms);
        }
    }

    /// The media time of a message with RTMP timestamp `raw` that arrived at `arrived`.
    pub fn map(&mut self, raw: u32, arrived: UtcTime) -> Mapped {
        let (source_ms, jumped) = match self.last {
            None => (i64::from(raw), false),
            Some(last) => {
                let step = step(last.raw, raw);
                let elapsed = millis_between(last.arrived, arrived);
                let jumped = step < -BACKWARD_JUMP_MS_MAX || step - elapsed > FORWARD_JUMP_MS_MAX;
                (last.source_ms + step, jumped)
            }
        };
        let wall_ms = self.wall_ms(arrived);
        let anchored = self.offset_ms;
        let kept =
            anchored.filter(|offset| !jumped && !self.lags(wall_ms - source_ms - offset, arrived));
        let reanchored = self.last.is_some() && kept.is_none();
        let offset_ms = kept.unwrap_or_else(|| {
            self.lag_min_ms = i64::MAX;
            self.lag_window_began = arrived;
            wall_ms - source_ms
        });
        // The first message, and every anchor, must not lead back over what has been shown.
        let offset_ms = if self.last.is_none() || reanchored {
            self.lead_ms = (self.floor_ms - wall_ms).max(0);
            offset_ms.max(self.floor_ms - source_ms)
        } else {
            offset_ms
        };
        self.offset_ms = Some(offset_ms);
        self.last = Some(Last { raw, source_ms, arrived });
        self.floor_ms = self.floor_ms.max(source_ms + offset_ms);
        let media_ms = u64::try_from(source_ms + offset_ms).unwrap_or(0);
        let ahead_ms = source_ms + offset_ms - wall_ms - self.lead_ms;
        Mapped { media_ms, reanchored, ahead_ms: u64::try_from(ahead_ms).unwrap_or(0) }
    }

    /// Whether even the timeliest message of the last window came too late.
    fn lags(&mut self, lag_ms: i64, arrived: UtcTime) -> bool {
        self.lag_min_ms = self.lag_min_ms.min(lag_ms);
        if arrived.saturating_since(self.lag_window_began) < LAG_WINDOW {
            return false;
        }
        let lags = self.lag_min_ms > LAG_MS_MAX;
        self.lag_min_ms = i64::MAX;
        self.lag_window_began = arrived;
        lags
    }

    fn wall_ms(&self, at: UtcTime) -> i64 {
        millis_between(self.t0, at)
    }
}

/// From one RTMP timestamp to the next: serial number arithmetic, RTMP 1.0 §5.1.
pub(crate) fn step(before: u32, raw: u32) -> i64 {
    i64::from(raw.wrapping_sub(before).cast_signed())
}

pub(crate) fn millis_between(from: UtcTime, to: UtcTime) -> i64 {
    let ms = |time: UtcTime| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    ms(to) - ms(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0_MS: u64 = 1_795_000_000_000;

    fn clock(floor_ms: u64) -> TakeClock {
        TakeClock::new(UtcTime::from_millis(T0_MS), floor_ms)
    }

    fn at(ms: u64) -> UtcTime {
        UtcTime::from_millis(T0_MS + ms)
    }

    #[test]
    fn the_first_frame_is_anchored_to_the_wall_clock_and_the_source_leads_from_there() {
        let mut clock = clock(0);
        assert_eq!(clock.map(777_000, at(5_000)).media_ms, 5_000);
        assert_eq!(clock.map(777_033, at(5_040)).media_ms, 5_033);
        assert_eq!(clock.map(777_020, at(5_041)).media_ms, 5_020, "audio may lie a little behind");
    }

    #[test]
    fn an_encoder_that_starts_late_is_anchored_by_its_timeliest_message() {
        let mut clock = clock(0);
        let first = [(500, at(1_300)), (533, at(1_310)), (566, at(1_316)), (600, at(1_350))];
        clock.settle(first.into_iter());
        let mapped = first.map(|(raw, arrived)| clock.map(raw, arrived).media_ms);
        assert_eq!(mapped, [1_250, 1_283, 1_316, 1_350], "and none lies ahead of the wall clock");
    }

    #[test]
    fn what_an_encoder_had_piled_up_before_it_connected_does_not_move_the_anchor() {
        let mut clock = clock(0);
        let first = (0..60u32).map(|n| (n * 33, at(2_000 + u64::from(n))));
        clock.settle(first.clone());
        let mapped: Vec<_> = first.map(|(raw, arrived)| clock.map(raw, arrived)).collect();
        assert!(mapped.iter().all(|mapped| !mapped.reanchored));
        assert_eq!(mapped[59].media_ms, 2_059, "the newest is the timeliest");
    }

    #[test]
    fn a_take_never_begins_before_the_last_one_ended() {
        assert_eq!(clock(9_000).map(0, at(8_500)).media_ms, 9_000);
    }

    #[test]
    fn who_begins_where_the_last_one_ended_has_not_run_ahead() {
        let mut clock = clock(90_000);
        let mut ahead = |raw, arrived| clock.map(raw, at(arrived)).ahead_ms;
        assert_eq!(ahead(0, 60_000), 0);
        assert_eq!(ahead(2_000, 62_000), 0);
        assert_eq!(ahead(4_500, 62_500), 2_000, "by its own doing");
    }

    #[test]
    fn thirty_two_bits_wrap_without_a_trace() {
        let mut clock = clock(0);
        clock.map(u32::MAX - 10, at(0));
        assert_eq!(clock.map(22, at(33)), Mapped { media_ms: 33, reanchored: false, ahead_ms: 0 });
    }

    #[test]
    fn a_jump_of_the_source_goes_on_where_the_wall_clock_is() {
        for jump in [500_000u32, 90_000] {
            let mut clock = clock(0);
            clock.map(100_000, at(0));
            clock.map(100_033, at(33));
            assert_eq!(
                clock.map(jump, at(66)),
                Mapped { media_ms: 66, reanchored: true, ahead_ms: 0 }
            );
            assert_eq!(
                clock.map(jump + 33, at(99)),
                Mapped { media_ms: 99, reanchored: false, ahead_ms: 0 }
            );
        }
    }

    #[test]
    fn a_stall_that_the_source_counted_is_no_jump() {
        let mut clock = clock(0);
        clock.map(0, at(0));
        assert_eq!(
            clock.map(8_000, at(8_000)),
            Mapped { media_ms: 8_000, reanchored: false, ahead_ms: 0 }
        );
    }

    #[test]
    fn a_burst_after_a_network_stall_keeps_its_times() {
        let mut clock = clock(0);
        clock.map(0, at(0));
        for n in 1..=150u32 {
            let mapped = clock.map(n * 33, at(5_000));
            assert_eq!(
                mapped,
                Mapped { media_ms: u64::from(n) * 33, reanchored: false, ahead_ms: 0 }
            );
        }
    }

    #[test]
    fn a_source_that_lost_time_for_good_is_brought_back() {
        let mut clock = clock(0);
        clock.map(0, at(0));
        // The capture stood still for four seconds and then went on where it was.
        let mapped: Vec<_> =
            (1..=400u32).map(|n| clock.map(n * 33, at(4_000 + u64::from(n) * 33))).collect();
        assert_eq!(mapped.iter().filter(|mapped| mapped.reanchored).count(), 1);
        assert_eq!(mapped[399].media_ms, 4_000 + 400 * 33);
    }
}
