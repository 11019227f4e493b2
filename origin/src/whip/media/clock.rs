//! One clock for picture and sound, whose RTP timestamps each count on their own.
//!
//! A sender report says what both show at one instant of the sender's clock (RFC 3550 §6.4.1), which
//! brings them together exactly. Until there is one of each, the packet that was on its way for the
//! shortest time stands for it: picture and sound go the same way. What a report then corrects is taken
//! up gradually, so that neither leaps. Pure.

use std::time::Duration;

use lectern_relay_proto::UtcTime;

/// How fast a correction is taken up, of the time that passes: sound that is filled or left out by this
/// is one packet in 400 ms, at the start and never after.
const SLEW_PERCENT: i64 = 5;
/// A correction smaller than this is the reports' own noise.
const NOISE: i64 = micros(Duration::from_millis(3));
/// A correction larger than this is another stretch of time, and taken at once.
const LEAP: i64 = micros(Duration::from_secs(1));

/// Which of a publisher's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Counted at 90 kHz.
    Video,
    /// Counted at 48 kHz.
    Audio,
}

/// Maps the RTP timestamps of both.
#[derive(Debug, Default)]
pub(super) struct Clock {
    video: Stream,
    audio: Stream,
    /// Our clock minus the sender's, in microseconds, from the first report.
    base: Option<i64>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Our clock minus the stream's, in microseconds: as used, and as it should be.
    offset: Option<i64>,
    target: Option<i64>,
    /// The sender's clock minus the stream's, by the latest report.
    reported: Option<i64>,
    last_us: i64,
}

impl Kind {
    fn micros(self, ticks: u64) -> i64 {
        let hz = match self {
            Self::Video => 90_000,
            Self::Audio => 48_000,
        };
        let us = i128::from(ticks) * 1_000_000 / hz;
        // Far beyond any broadcast, and far from where sums overflow.
        us.min(1 << 60) as i64
    }
}

impl Clock {
    /// A sender report: the stream showed `ticks` when the sender's clock showed `sender`, in
    /// microseconds since any instant.
    pub(super) fn report(&mut self, kind: Kind, ticks: u64, sender_us: i64) {
        let base = self.base;
        let stream = self.stream(kind);
        let reported = sender_us.wrapping_sub(kind.micros(ticks));
        stream.reported = Some(reported);
        // The stream that is reported first stays where it is, and the other comes to it.
        let base = base.or(stream.target.map(|target| target.wrapping_sub(reported)));
        if let Some(base) = base {
            stream.target = Some(base.wrapping_add(reported));
        }
        self.base = base;
    }

    /// The instant of a timestamp on a clock of milliseconds that wraps, and starts anywhere.
    pub(super) fn map(&mut self, kind: Kind, ticks: u64, arrived: UtcTime) -> u32 {
        let base = self.base;
        let us = kind.micros(ticks);
        let seen = arrived.as_micros().cast_signed().wrapping_sub(us);
        let stream = self.stream(kind);
        let target = match (base, stream.reported) {
            (Some(base), Some(reported)) => base.wrapping_add(reported),
            // The least that the way has taken, so far.
            _ => stream.target.map_or(seen, |target| target.min(seen)),
        };
        stream.target = Some(target);
        let offset = stream.slewed(target, us);
        stream.offset = Some(offset);
        stream.last_us = us.max(stream.last_us);
        let ms = us.wrapping_add(offset).div_euclid(1_000);
        if base.is_none()
            && let Some(reported) = self.stream(kind).reported
        {
            // Reported before its first packet came.
            self.base = Some(target.wrapping_sub(reported));
        }
        ms as u32
    }

    fn stream(&mut self, kind: Kind) -> &mut Stream {
        match kind {
            Kind::Video => &mut self.video,
            Kind::Audio => &mut self.audio,
        }
    }
}

impl Stream {
    fn slewed(&self, target: i64, us: i64) -> i64 {
        let Some(offset) = self.offset else { return target };
        let wrong = target.wrapping_sub(offset);
        if wrong.saturating_abs() > LEAP {
            return target;
        }
        if wrong.abs() <= NOISE {
            return offset;
        }
        let most = (us - self.last_us).clamp(0, LEAP) * SLEW_PERCENT / 100;
        offset.wrapping_add(wrong.clamp(-most, most))
    }
}

const fn micros(duration: Duration) -> i64 {
    duration.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = 1_795_000_000_000;

    fn at(ms: u64) -> UtcTime {
        UtcTime::from_millis(START_MS + ms)
    }

    /// Picture and sound of one instant, each captured every 20 ms: how far apart the clock has them at
    /// the end, in ms, if sound takes `late_ms` longer on its way.
    fn apart(reports: bool, late_ms: u64) -> i64 {
        let mut clock = Clock::default();
        let mut apart = 0;
        for n in 0..500_u64 {
            let ms = n * 20;
            // Random offsets, RFC 3550 §5.1.
            let (video, audio) = (7_000_000 + ms * 90, 3_000_000_000 + ms * 48);
            if reports && n == 50 {
                clock.report(Kind::Video, video, 55_000_000 + ms as i64 * 1_000);
            }
            if reports && n == 100 {
                clock.report(Kind::Audio, audio, 55_000_000 + ms as i64 * 1_000);
            }
            let picture = clock.map(Kind::Video, video, at(ms + 30));
            let sound = clock.map(Kind::Audio, audio, at(ms + 30 + late_ms));
            apart = i64::from(sound.wrapping_sub(picture).cast_signed());
        }
        apart
    }

    #[test]
    fn without_reports_what_came_soonest_counts() {
        assert_eq!(apart(false, 0), 0);
        assert_eq!(apart(false, 80), 80);
    }

    #[test]
    fn reports_bring_both_together() {
        assert!(apart(true, 80).abs() <= 3, "{}", apart(true, 80));
        assert!(apart(true, 700).abs() <= 300, "slowly: {}", apart(true, 700));
    }

    #[test]
    fn a_correction_is_taken_up_without_a_leap() {
        let mut clock = Clock::default();
        let mut last = None;
        for n in 0..1_000_u64 {
            let ms = n * 20;
            if n == 100 {
                clock.report(Kind::Video, ms * 90, 1_000);
                clock.report(Kind::Audio, ms * 48, 1_000 + 200_000);
            }
            clock.map(Kind::Video, ms * 90, at(ms));
            let sound = clock.map(Kind::Audio, ms * 48, at(ms));
            if let Some(last) = last {
                let step = sound.wrapping_sub(last);
                assert!((19..=21).contains(&step), "{step} ms after {n}");
            }
            last = Some(sound);
        }
    }

    #[test]
    fn a_packet_that_was_late_does_not_hold_the_clock_back() {
        let mut clock = Clock::default();
        clock.map(Kind::Audio, 0, at(500));
        let mut mapped = 0;
        for n in 1..500_u64 {
            mapped = clock.map(Kind::Audio, n * 960, at(n * 20 + 10));
        }
        let expect = ((START_MS + 499 * 20 + 10) & u64::from(u32::MAX)) as u32;
        assert!(mapped.abs_diff(expect) <= 4, "{mapped} {expect}");
    }

    #[test]
    fn numbers_beyond_any_broadcast_do_no_harm() {
        let mut clock = Clock::default();
        clock.report(Kind::Video, u64::MAX, i64::MIN);
        clock.map(Kind::Video, u64::MAX, UtcTime::default());
        clock.report(Kind::Video, 0, i64::MAX);
        clock.report(Kind::Audio, 0, i64::MIN);
        clock.map(Kind::Audio, 0, at(0));
        clock.map(Kind::Video, 0, at(0));
    }
}
