//! The beep: sound on the pattern's sample clock.

use std::f32::consts::TAU;

/// Samples per second.
pub(super) const SAMPLE_RATE: u32 = 48_000;
/// Both carry the same sound.
pub(super) const CHANNELS: usize = 2;

const BEEP_HZ: f32 = 1_000.0;
/// 100 ms, as long as the flash.
const BEEP_SAMPLES: u64 = SAMPLE_RATE as u64 / 10;
const PEAK: f32 = 0.25;
/// 1 ms at either end takes the click out of the beep, and leaves its start sharp enough to
/// measure by.
const RAMP_SAMPLES: u64 = SAMPLE_RATE as u64 / 1000;

/// Appends samples `from` up to `to` of the sound, counted from frame 0, as interleaved
/// little-endian 32-bit floats.
pub(super) fn append(from: u64, to: u64, bytes: &mut Vec<u8>) {
    for at in from..to {
        let sample = sample(at).to_le_bytes();
        for _ in 0..CHANNELS {
            bytes.extend_from_slice(&sample);
        }
    }
}

fn sample(at: u64) -> f32 {
    let at = at % u64::from(SAMPLE_RATE);
    if at >= BEEP_SAMPLES {
        return 0.0;
    }
    let ramp = at.min(BEEP_SAMPLES - at).min(RAMP_SAMPLES) as f32 / RAMP_SAMPLES as f32;
    PEAK * ramp * (TAU * BEEP_HZ * at as f32 / SAMPLE_RATE as f32).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beep_begins_within_a_millisecond_of_the_second_and_lasts_100_ms() {
        let rate = u64::from(SAMPLE_RATE);
        for second in [0, 7] {
            let loud: Vec<u64> =
                (0..rate).filter(|n| sample(second * rate + n).abs() > PEAK / 10.0).collect();
            assert!(loud[0] < rate / 1000, "{}", loud[0]);
            assert!((rate * 99 / 1000..rate / 10).contains(loud.last().unwrap()));
        }
    }
}
