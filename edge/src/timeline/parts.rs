//! Where a segment is cut into parts (RFC 8216bis §4.4.4.9), as a pure function of the catalog and of
//! the chunks, so that part `p` of segment `n` is the same bytes at every edge.
//!
//! A part is closed as soon as another chunk like its last one would make it longer than the part
//! target: whoever waits for it gets it without waiting for the frame after it. A part must last 85 %
//! of the target at least, unless it is the last of its segment.

use std::time::Duration;

use lectern_relay_proto::cmaf::AAC_FRAMES_PER_CHUNK;
use lectern_relay_proto::{MediaTime, Timescale};

use super::segment::Piece;
use super::snapshot::Kind;

/// The part target, as far as the cadence of the track allows. Players stay three of them behind the
/// newest part, so it is short; shorter ones than this would be a single chunk of AAC. Two of those
/// (213 ms at 48 kHz, 232 ms at 44.1 kHz) and the whole frames that fit at 20, 24, 25, 30, 50 and
/// 60 Hz all last 85 % of it.
const TARGET: Duration = Duration::from_millis(250);
/// RTMP counts milliseconds, so that six frames at 24 Hz may take 252 of them.
const ROUNDING: Duration = Duration::from_millis(3);
/// ISO/IEC 14496-3 §4.5.1.1.
const AAC_FRAME_SAMPLES: usize = 1_024;
/// What a part must last, in hundredths of the target.
const SHARE_MIN: u64 = 85;

/// The longest part of a track that carries `kind` (EXT-X-PART-INF's PART-TARGET).
pub(super) fn target(kind: &Kind) -> Duration {
    let (chunk_rate, rounding) = match kind {
        Kind::Video { framerate, .. } => (*framerate, ROUNDING),
        // Of AAC; the chunks of Opus are shorter, and fit any target.
        Kind::Audio { sample_rate, .. } => {
            let samples = AAC_FRAMES_PER_CHUNK * AAC_FRAME_SAMPLES;
            (Some(f64::from(*sample_rate) / samples as f64), Duration::ZERO)
        }
    };
    let usual = TARGET + rounding;
    // At 10 or 15 Hz, or at 32 kHz, no whole number of chunks comes close enough to it.
    let Some(rate) = chunk_rate.filter(|rate| (0.1..=1_000.0).contains(rate)) else {
        return usual;
    };
    let shortest = TARGET.as_secs_f64() * SHARE_MIN as f64 / 100.0;
    let chunks = (shortest * rate - 1e-6).ceil().max(1.0);
    let needed_ms = (chunks / rate * 1e3).ceil() as u64;
    usual.max(Duration::from_millis(needed_ms) + rounding)
}

/// Cuts the segments of one track.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cutter {
    target: Duration,
    timescale: Timescale,
}

/// Where a part ends around a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Before it.
    pub(super) before: bool,
    /// After it.
    pub(super) after: bool,
}

impl Cutter {
    /// For a track with parts of at most `target`.
    pub(super) fn new(target: Duration, timescale: Timescale) -> Self {
        Self { target, timescale }
    }

    /// What `next` means for the part that consists of `open` so far.
    pub(super) fn cut(&self, open: &[Piece], next: &Piece) -> Cut {
        let start = open.first().map_or(next.start, |first| first.start);
        let with_next = next.end_ticks().saturating_sub(start.ticks);
        let before = !open.is_empty() && self.is_too_long(with_next);
        let length = if before { u64::from(next.duration) } else { with_next };
        Cut { before, after: self.is_too_long(length.saturating_add(u64::from(next.duration))) }
    }

    fn is_too_long(&self, ticks: u64) -> bool {
        MediaTime::new(ticks, self.timescale).as_duration() > self.target
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lengths(timescale: Timescale, target: Duration, durations: &[u32]) -> Vec<Duration> {
        let cutter = Cutter::new(target, timescale);
        let (mut parts, mut open, mut at) = (Vec::new(), Vec::<Piece>::new(), 0);
        let length = |open: &[Piece]| {
            let ticks = open.iter().map(|piece| u64::from(piece.duration)).sum();
            MediaTime::new(ticks, timescale).as_duration()
        };
        for &duration in durations {
            let start = MediaTime::new(at, timescale);
            at += u64::from(duration);
            let piece = Piece { bytes: Bytes::new(), start, duration, independent: false };
            let cut = cutter.cut(&open, &piece);
            if cut.before {
                parts.push(length(&std::mem::take(&mut open)));
            }
            open.push(piece);
            if cut.after {
                parts.push(length(&std::mem::take(&mut open)));
            }
        }
        parts
    }

    #[test]
    fn parts_are_within_the_target_and_at_least_85_percent_of_it_at_every_usual_cadence() {
        for rate in [5u32, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 120] {
            let kind = Kind::Video { width: 2, height: 2, framerate: Some(f64::from(rate)) };
            let target = target(&kind);
            // Milliseconds, rounded as RTMP does.
            let at = |frame: u32| u64::from(frame) * 1_000 / u64::from(rate);
            let durations: Vec<u32> =
                (0..rate * 20).map(|frame| (at(frame + 1) - at(frame)) as u32 * 90).collect();
            let parts = lengths(Timescale::VIDEO, target, &durations);
            assert!(parts.len() > 30, "{rate}: {parts:?}");
            for part in parts {
                assert!(part <= target, "{rate} Hz: {part:?} of {target:?}");
                let share = part.as_secs_f64() / target.as_secs_f64();
                // The milliseconds that rounding takes from a part, and those it adds to the target.
                assert!(share > 0.83, "{rate} Hz: {part:?} of {target:?}");
            }
        }
        for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000]
        {
            let timescale = Timescale::new(rate).unwrap();
            let kind = Kind::Audio { sample_rate: rate, channels: 2 };
            let chunk = (AAC_FRAMES_PER_CHUNK * AAC_FRAME_SAMPLES) as u32;
            let parts = lengths(timescale, target(&kind), &[chunk; 100]);
            assert!(parts.len() >= 25, "{rate}: {parts:?}");
            for part in parts {
                let share = part.as_secs_f64() / target(&kind).as_secs_f64();
                assert!((0.85..=1.0).contains(&share), "{rate}: {part:?}");
            }
        }
    }

    #[test]
    fn a_chunk_that_comes_late_is_not_waited_for() {
        // The fourth frame lasts a second: it is a part of its own.
        let parts = lengths(Timescale::VIDEO, TARGET, &[3_000, 3_000, 3_000, 90_000, 3_000]);
        assert_eq!(parts, [Duration::from_millis(100), Duration::from_secs(1)]);
    }
}
