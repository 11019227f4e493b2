//! How loud decoded sound is, a tenth of a second at a time. What is too loud or too quiet is left
//! to the doctor.

use std::collections::VecDeque;

/// Levels a second.
const LEVELS_PER_SECOND: u32 = 10;
/// Levels that wait to be asked for: a take holds its first second back and then decodes it at once.
/// Beyond it the oldest is forgotten.
const WAITING_MAX: usize = 32;
/// Samples from here on stand at full scale. What was cut off there before it was coded comes out of
/// the decoder a little above or below, and the encoder of ffmpeg, which OBS uses too, makes such
/// sound softer by a twentieth, so that decoders have room.
const FULL_SCALE: f32 = 0.93;

/// How loud about 100 ms of sound are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The loudest sample of any channel, 0 to 1.
    pub peak: f32,
    /// The root of the mean square over all channels, 0 to 1.
    pub rms: f32,
    /// The share of samples that stand at full scale, 0 to 1.
    pub clipped: f32,
}

/// Measures sound as it is decoded.
#[derive(Debug)]
pub struct Meter {
    /// Samples of all channels that make a level.
    length: u32,
    samples: u32,
    peak: f32,
    squares: f32,
    full: u32,
    levels: VecDeque<Level>,
}

impl Meter {
    /// A meter for sound of `sample_rate` samples a second in `channels` channels.
    pub fn new(sample_rate: u32, channels: usize) -> Self {
        let channels = u32::try_from(channels).unwrap_or(u32::MAX);
        Self {
            length: (sample_rate / LEVELS_PER_SECOND).saturating_mul(channels).max(1),
            samples: 0,
            peak: 0.0,
            squares: 0.0,
            full: 0,
            levels: VecDeque::with_capacity(WAITING_MAX),
        }
    }

    /// Takes interleaved samples between -1 and 1.
    pub fn push(&mut self, pcm: &[f32]) {
        for sample in pcm {
            let loud = sample.abs();
            self.peak = self.peak.max(loud);
            self.squares += loud * loud;
            self.full += u32::from(loud >= FULL_SCALE);
        }
        self.samples += u32::try_from(pcm.len()).unwrap_or(u32::MAX);
        if self.samples < self.length {
            return;
        }
        let samples = self.samples as f32;
        if self.levels.len() == WAITING_MAX {
            self.levels.pop_front();
        }
        self.levels.push_back(Level {
            peak: self.peak,
            rms: (self.squares / samples).sqrt(),
            clipped: self.full as f32 / samples,
        });
        (self.samples, self.peak, self.squares, self.full) = (0, 0.0, 0.0, 0);
    }

    /// The oldest level that was not asked for yet.
    pub fn poll(&mut self) -> Option<Level> {
        self.levels.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(sample: impl Fn(usize) -> f32) -> Vec<Level> {
        let mut meter = Meter::new(48_000, 2);
        for unit in 0..10 {
            let pcm: Vec<f32> = (0..2048).map(|at| sample(unit * 2048 + at)).collect();
            meter.push(&pcm);
        }
        std::iter::from_fn(|| meter.poll()).collect()
    }

    #[test]
    fn a_level_says_how_loud_a_tenth_of_a_second_was() {
        assert_eq!(measure(|_| 0.0), vec![Level { peak: 0.0, rms: 0.0, clipped: 0.0 }; 2]);
        let square = measure(|at| if at % 4 < 2 { 0.5 } else { -0.5 });
        assert_eq!(square, vec![Level { peak: 0.5, rms: 0.5, clipped: 0.0 }; 2]);
        let cut = measure(|at| if at % 4 == 0 { -1.0 } else { 0.0 });
        assert_eq!(cut, vec![Level { peak: 1.0, rms: 0.5, clipped: 0.25 }; 2]);
    }

    #[test]
    fn levels_that_nobody_asks_for_do_not_pile_up() {
        let mut meter = Meter::new(8_000, 1);
        for _ in 0..1_000 {
            meter.push(&[0.1; 1024]);
        }
        assert_eq!(meter.levels.len(), WAITING_MAX);
    }
}
