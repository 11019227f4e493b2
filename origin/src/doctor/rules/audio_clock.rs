//! The sound's clock: against its own samples, and against the picture's.

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::Hold;
use crate::doctor::code;
use crate::doctor::figures::av_offset_ms;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::{AudioFormat, Second, Sound};

/// How long samples are compared with their times before it is said by how much they differ.
const COMPARED_US: i64 = 3_000_000;
/// Samples and times that differ by this share, twice on end, drift. The take sets its count right
/// whenever it is a tenth of a second off, so viewers hear a gap or a cut every half minute.
const DRIFT_MIN: f64 = 0.003;
/// At less than this it is over.
const DRIFT_GONE: f64 = 0.001;
/// Times that leap by more are those of a gap, and not of a clock.
const LEAP_US: i64 = 50_000;

/// Sound with more or fewer samples than its times have room for.
#[derive(Default)]
pub(super) struct Drift {
    line: Line,
    before: Option<f64>,
    drift: Option<(UtcTime, f64)>,
}

/// A line through how far times are ahead of samples: the sums of least squares.
#[derive(Default)]
struct Line {
    /// The time of the first packet, and how long the samples since then last.
    first_ms: Option<i64>,
    counted_us: i64,
    last_ahead_us: i64,
    points: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Line {
    /// Takes the next packet; once enough came, the slope.
    fn push(&mut self, sound: &Sound) -> Option<f64> {
        let first_ms = *self.first_ms.get_or_insert(sound.at.media_ms);
        let since_us = (sound.at.media_ms - first_ms).saturating_mul(1_000);
        let ahead_us = since_us.saturating_sub(self.counted_us);
        if ahead_us.saturating_sub(self.last_ahead_us).saturating_abs() > LEAP_US {
            *self = Self::default();
            return None;
        }
        self.last_ahead_us = ahead_us;
        let (x, y) = (self.counted_us as f64, ahead_us as f64);
        self.points += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.counted_us += sound.duration_us;
        if self.counted_us < COMPARED_US {
            return None;
        }
        let spread = self.points * self.xx - self.x * self.x;
        let slope = (self.points * self.xy - self.x * self.y) / spread;
        *self = Self::default();
        slope.is_finite().then_some(slope)
    }
}

impl Rule for Drift {
    fn audio_format(&mut self, _: &AudioFormat) {
        self.line = Line::default();
    }

    fn sound(&mut self, sound: &Sound) {
        let Some(slope) = self.line.push(sound) else { return };
        let before = self.before.replace(slope);
        let Some(before) = before else { return };
        let both_beyond = slope.abs().min(before.abs()) >= DRIFT_MIN && slope * before > 0.0;
        match &mut self.drift {
            Some(_) if slope.abs().max(before.abs()) < DRIFT_GONE => self.drift = None,
            Some((_, now)) => *now = slope,
            None if both_beyond => self.drift = Some((sound.at.arrived, slope)),
            None => {}
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (since, slope) = self.drift?;
        let percent = (slope.abs() * 1_000.0).round() / 10.0;
        let title = format!("Your sound's clock is off by {percent} %");
        let detail = "Viewers hear small gaps or cuts in the sound again and again, and lips and voice \
            part for moments.";
        let remedy = "Set the same sample rate everywhere, best 48 kHz: in the system's settings of the \
            microphone and, in OBS, under Settings › Audio; then stop and start streaming. In ffmpeg: \
            -af aresample=async=1000, and no filter that changes the times of the sound alone.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::AUDIO_DRIFT, Severity::Warning, since, words);
        Some(finding.with("percent", percent))
    }
}

/// Sound and picture of one moment that arrive this far apart make players hold one of them back, and
/// run dry of the other.
const APART_MS_MAX: i64 = 500;
/// At less than this it is over.
const TOGETHER_MS: i64 = 300;
/// For so many seconds on end. Encoders begin with one kind and are apart for a moment.
const APART_S: u32 = 5;
/// Seconds over which the timeliest of each kind is looked for: a keyframe is late for its size.
const TIMELIEST_S: usize = 4;

/// Sound and picture that arrive far apart.
pub(super) struct Apart {
    hold: Hold,
    recent: [Option<i64>; TIMELIEST_S],
    next: usize,
    offset_ms: i64,
}

impl Default for Apart {
    fn default() -> Self {
        let hold = Hold::new(APART_S, APART_S);
        Self { hold, recent: [None; TIMELIEST_S], next: 0, offset_ms: 0 }
    }
}

impl Rule for Apart {
    fn second(&mut self, second: &Second) {
        let Some(offset_ms) = av_offset_ms(second) else { return };
        self.recent[self.next] = Some(offset_ms);
        self.next = (self.next + 1) % TIMELIEST_S;
        // The nearest of the last seconds: a stall of one kind is another matter.
        let nearest = self.recent.iter().flatten().min_by_key(|ms| ms.abs());
        self.offset_ms = nearest.copied().unwrap_or(offset_ms);
        let bound = if self.hold.since().is_some() { TOGETHER_MS } else { APART_MS_MAX };
        self.hold.observe(Some(self.offset_ms.abs() > bound), second.at);
    }

    fn finding(&self) -> Option<Finding> {
        let since = self.hold.since()?;
        let seconds = (self.offset_ms.abs() as f64 / 100.0).round() / 10.0;
        let late = if self.offset_ms > 0 { "sound" } else { "picture" };
        let title = format!("Your {late} arrives {seconds} s late");
        let detail = "The player waits for it, so viewers are that much further behind you, or lips and \
            voice do not match.";
        let remedy = "In OBS: set Sync Offset to 0 under Edit › Advanced Audio Properties, and the same \
            sample rate, best 48 kHz, for the microphone and under Settings › Audio; then stop and start \
            streaming. In ffmpeg: no -itsoffset, and -thread_queue_size 512 before each live input.";
        let finding =
            Finding::new(code::AV_APART, Severity::Warning, since, [&title, detail, remedy]);
        Some(finding.with("seconds", seconds).with_text("late", late))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    /// Packets of 1024 samples at 48 kHz, whose times run `1 + drift` times as fast.
    fn hear(rule: &mut Drift, packets: std::ops::Range<i64>, drift: f64, jitter_ms: i64) {
        for n in packets {
            let ms = (n as f64 * 21.333 * (1.0 + drift)).round() as i64;
            rule.sound(&testing::sound(ms + n * 7 % (jitter_ms + 1)));
        }
    }

    #[test]
    fn a_clock_that_runs_off_is_named_within_seconds_and_its_end_noticed() {
        for drift in [0.01, -0.01, 0.005] {
            let mut rule = Drift::default();
            hear(&mut rule, 0..430, drift, 0);
            let finding = rule.finding().expect("found within ten seconds");
            assert!(
                finding.title.contains(&format!("{} %", drift.abs() * 100.0)),
                "{}",
                finding.title
            );
            hear(&mut rule, 430..1_000, 0.0, 0);
            assert_eq!(rule.finding(), None);
        }
    }

    #[test]
    fn rounding_jitter_slow_clocks_and_gaps_are_no_drift() {
        for (drift, jitter_ms) in [(0.0, 0), (0.0, 20), (0.000_2, 10), (0.001, 3)] {
            let mut rule = Drift::default();
            hear(&mut rule, 0..3_000, drift, jitter_ms);
            assert_eq!(rule.finding(), None, "{drift} {jitter_ms}");
        }
        let mut rule = Drift::default();
        for n in 0..1_000 {
            rule.sound(&testing::sound(n * 64 / 3 + n / 100 * 200));
        }
        assert_eq!(rule.finding(), None, "a gap of 200 ms every two seconds");
    }

    fn second(n: u64, audio_lag_ms: i64) -> Second {
        let mut second = testing::second(n);
        second.audio.lag_ms = Some((audio_lag_ms, audio_lag_ms + 10));
        second
    }

    #[test]
    fn sound_that_comes_late_is_named_and_its_end_noticed() {
        for (offset_ms, late) in [(900, "sound"), (-900, "picture")] {
            let mut rule = Apart::default();
            (0..8).for_each(|n| rule.second(&second(n, 60)));
            (8..16).for_each(|n| rule.second(&second(n, offset_ms)));
            let finding = rule.finding().expect("found");
            assert_eq!(finding.title, format!("Your {late} arrives 0.9 s late"));
            (16..24).for_each(|n| rule.second(&second(n, 250)));
            assert_eq!(rule.finding(), None);
        }
    }

    #[test]
    fn a_stall_of_one_kind_is_not_apart() {
        let mut rule = Apart::default();
        (0..60).for_each(|n| rule.second(&second(n, if n % 4 < 2 { 2_000 } else { 40 })));
        assert_eq!(rule.finding(), None);
    }
}
