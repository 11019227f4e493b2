//! How far the wall clock at the encoder's end is from `T0` plus media time, so that a player can
//! say how old a picture is.
//!
//! Media time follows the encoder's clock from where the take was anchored; the two part by as much
//! as the anchor was off, and by what the encoder's clock drifts. The least of (arrival at the
//! origin − media time) over a window tells: no frame arrives before it was taken.

use std::time::Duration;

use lectern_relay_proto::{Frame, UtcTime};

/// The least offset is looked for over at least this much media time, and twice as much at most.
/// A second holds several keyframes' worth of timely frames; drift takes minutes to show.
const WINDOW: Duration = Duration::from_secs(10);

/// The least offset of the current window and of the one before.
#[derive(Debug, Default)]
pub(super) struct CaptureClock {
    began: Option<UtcTime>,
    least_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl CaptureClock {
    /// Takes one frame of the main track.
    pub(super) fn observe(&mut self, t0: UtcTime, frame: &Frame) {
        let began = *self.began.get_or_insert(frame.arrived);
        if frame.arrived.saturating_since(began) >= WINDOW {
            self.before_ms = self.least_ms.take();
            self.began = Some(frame.arrived);
        }
        let due_ms = t0.as_millis().saturating_add(frame.dts.as_micros() / 1_000);
        let offset_ms = frame.arrived.as_millis().cast_signed() - due_ms.cast_signed();
        self.least_ms = Some(self.least_ms.map_or(offset_ms, |least| least.min(offset_ms)));
    }

    /// What to add to `T0` plus media time to get the UTC time of a picture, in milliseconds.
    pub(super) fn offset_ms(&self) -> i64 {
        self.least_ms.into_iter().chain(self.before_ms).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use lectern_relay_proto::{MediaTime, Timescale};

    use super::*;

    const T0_MS: u64 = 1_795_000_000_000;

    fn observe(clock: &mut CaptureClock, media_ms: u64, arrived_ms: u64) {
        let frame = Frame {
            dts: MediaTime::from_millis(media_ms).rescale(Timescale::VIDEO),
            composition_offset: 0,
            duration: 3_000,
            keyframe: false,
            data: Bytes::from_static(b"picture"),
            arrived: UtcTime::from_millis(T0_MS + arrived_ms),
        };
        clock.observe(UtcTime::from_millis(T0_MS), &frame);
    }

    #[test]
    fn the_timeliest_frame_tells_and_late_ones_do_not() {
        let mut clock = CaptureClock::default();
        assert_eq!(clock.offset_ms(), 0);
        for (media_ms, arrived_ms) in [(1_000, 1_080), (1_033, 1_053), (1_066, 1_400)] {
            observe(&mut clock, media_ms, arrived_ms);
        }
        assert_eq!(clock.offset_ms(), 20);
        observe(&mut clock, 1_500, 1_240);
        assert_eq!(clock.offset_ms(), -260, "media time may lead");
    }

    #[test]
    fn an_encoder_that_drifts_is_followed() {
        let mut clock = CaptureClock::default();
        // 10 ms lost per second.
        for n in 0..1_000u64 {
            observe(&mut clock, n * 99, n * 100);
        }
        let now = 999;
        assert!((now - 200..=now).contains(&clock.offset_ms()), "{}", clock.offset_ms());
    }
}
