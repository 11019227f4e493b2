//! When samples stand for: a counter that starts at the first frame's time and listens to later
//! times only when they tell of a real break.
//!
//! RTMP rounds times to the millisecond, while 1024 samples at 44.1 kHz last 23.22 ms. Trusting
//! each time would put jitter into every frame; trusting the counter puts none. Only when the two
//! disagree by more than [`DRIFT_MAX_MS`] has something happened, and then:
//!
//! - time jumped ahead by up to [`REPAIR_MAX_MS`]: the gap is filled with silence;
//! - time fell behind by up to [`REPAIR_MAX_MS`]: frames are dropped until time has caught up,
//!   since their moment has been filled already;
//! - more than that, either way: this is another stretch of time, and the counter starts anew.

/// Less than this is rounding, jitter and slow clocks. Lip sync suffers from about 100 ms on.
pub(super) const DRIFT_MAX_MS: i64 = 100;
/// Longer gaps are not filled: a source that was away for seconds would come back as a burst of
/// silence that every viewer has to swallow.
pub(super) const REPAIR_MAX_MS: i64 = 2_000;

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first frame: begin at its time, then append it.
    Start,
    /// Append it.
    Append,
    /// Append this many samples of silence, then the frame.
    FillThenAppend(usize),
    /// Its time has been filled already.
    Drop,
    /// Begin anew at the frame's time, then append it.
    Restart,
}

/// Where the next sample belongs, in ticks of the sample rate.
pub(super) struct Timeline {
    rate: i64,
    /// `None` until the first frame.
    next: Option<i64>,
    /// Frames are being dropped until their times catch up.
    dropping: bool,
}

impl Timeline {
    pub(super) fn new(sample_rate: u32) -> Self {
        Self { rate: i64::from(sample_rate), next: None, dropping: false }
    }

    /// Places a frame of `samples` samples that claims to begin at `dts`, in samples.
    pub(super) fn place(&mut self, dts: i64, samples: usize) -> Step {
        let samples = samples as i64;
        let Some(next) = self.next else {
            self.next = Some(dts + samples);
            return Step::Start;
        };
        let drift = dts - next;
        if drift.abs() > self.rate * REPAIR_MAX_MS / 1000 {
            self.dropping = false;
            self.next = Some(dts + samples);
            return Step::Restart;
        }
        // Once dropping, go on until the frame fits, and not only until the drift is bearable.
        self.dropping = drift < -self.limit(samples);
        if self.dropping {
            return Step::Drop;
        }
        if drift > self.rate * DRIFT_MAX_MS / 1000 {
            self.next = Some(dts + samples);
            return Step::FillThenAppend(drift as usize);
        }
        self.next = Some(next + samples);
        Step::Append
    }

    /// How far behind a frame may be, in samples, without being dropped.
    fn limit(&self, samples: i64) -> i64 {
        if self.dropping { samples / 2 } else { self.rate * DRIFT_MAX_MS / 1000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 44_100;
    const AU: usize = 1024;

    fn ms(ms: i64) -> i64 {
        ms * i64::from(RATE) / 1000
    }

    /// A timeline that has seen ten frames from time zero, and the time of the eleventh.
    fn running() -> (Timeline, i64) {
        let mut timeline = Timeline::new(RATE);
        assert_eq!(timeline.place(0, AU), Step::Start);
        for n in 1..10 {
            assert_eq!(timeline.place(n * AU as i64, AU), Step::Append);
        }
        (timeline, 10 * AU as i64)
    }

    #[test]
    fn small_disagreement_changes_nothing() {
        for drift in [-100, -99, -1, 1, 99, 100] {
            let (mut timeline, next) = running();
            assert_eq!(timeline.place(next + ms(drift), AU), Step::Append);
            assert_eq!(timeline.place(next + AU as i64, AU), Step::Append);
            assert_eq!(timeline.next, Some(next + 2 * AU as i64));
        }
    }

    #[test]
    fn a_gap_is_filled_to_the_sample() {
        let (mut timeline, next) = running();
        let gap = ms(200);
        assert_eq!(timeline.place(next + gap, AU), Step::FillThenAppend(gap as usize));
        assert_eq!(timeline.place(next + gap + AU as i64, AU), Step::Append);
    }

    #[test]
    fn an_overlap_is_dropped_until_time_has_caught_up() {
        let (mut timeline, next) = running();
        let mut dts = next - ms(200);
        let mut dropped = 0;
        while timeline.place(dts, AU) == Step::Drop {
            dts += AU as i64;
            dropped += 1;
        }
        assert_eq!(dropped, 9, "200 ms are 8.6 frames");
        assert!((dts - next).abs() <= AU as i64 / 2, "continues where it left off");
        assert_eq!(timeline.next, Some(next + AU as i64));
    }

    #[test]
    fn a_leap_begins_anew() {
        for leap in [ms(2_001) + 1, -ms(2_001) - 1, i64::from(u32::MAX)] {
            let (mut timeline, next) = running();
            assert_eq!(timeline.place(next + leap, AU), Step::Restart);
            assert_eq!(timeline.next, Some(next + leap + AU as i64));
        }
    }

    #[test]
    fn slow_clock_drift_is_followed_in_steps_that_stay_in_bounds() {
        // An encoder whose audio clock runs 0.1% slow against its timestamps, for ten minutes.
        let (mut timeline, start) = running();
        let mut filled = 0;
        for n in 0..26_000 {
            let dts = start + n * AU as i64 + n * AU as i64 / 1000;
            match timeline.place(dts, AU) {
                Step::Append => {}
                Step::FillThenAppend(samples) => {
                    assert!(samples as i64 <= ms(102), "{samples}");
                    filled += 1;
                }
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(filled, 6, "600 ms of drift");
    }
}
