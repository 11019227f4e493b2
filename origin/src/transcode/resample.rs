//! Any AAC sample rate to the 48 kHz of Opus, with a delay that is known exactly.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::Error;

const OUTPUT_RATE: u32 = 48_000;

/// The resampler works in blocks of about this many per second. Longer blocks pass more of the
/// treble and hold the sound back for longer: at 44.1 kHz these are 588 samples in and 640 out,
/// which delays by 6.7 ms and is flat to 20 kHz.
const BLOCKS_PER_SECOND: u32 = 86;

/// A synchronous resampler: block by block its output is the input times the exact ratio of the
/// rates, so counting samples is keeping time.
pub(super) struct ToOpusRate {
    channels: usize,
    /// `None` if the input is at 48 kHz already.
    fft: Option<Fft<f32>>,
    /// Interleaved input of an unfinished block.
    pending: Vec<f32>,
    /// Interleaved output of one block.
    block: Vec<f32>,
}

impl ToOpusRate {
    pub(super) fn new(input_rate: u32, channels: usize) -> Result<Self, Error> {
        let mut fft = None;
        let mut block = Vec::new();
        if input_rate != OUTPUT_RATE {
            let made = Fft::new_custom(
                input_rate as usize,
                OUTPUT_RATE as usize,
                (input_rate / BLOCKS_PER_SECOND) as usize,
                1,
                channels,
                rubato::WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            )
            .map_err(|error| Error::codec("making the resampler", error))?;
            block = vec![0.0; made.output_frames_max() * channels];
            fft = Some(made);
        }
        Ok(Self { channels, fft, pending: Vec::new(), block })
    }

    /// By how many samples at 48 kHz the output lags the input: the middle of the filter, which
    /// stands on a whole input sample. (The library's own figure is half a sample off where a
    /// block has an odd number of samples.)
    pub(super) fn delay(&self) -> u32 {
        let Some(fft) = &self.fft else { return 0 };
        let (input, output) = (fft.fft_size_in(), fft.fft_size_out());
        ((input / 2 * output + input / 2) / input) as u32
    }

    /// Takes interleaved samples and appends what is finished to `out`.
    pub(super) fn push(&mut self, pcm: &[f32], out: &mut Vec<f32>) -> Result<(), Error> {
        let Some(fft) = &mut self.fft else {
            out.extend_from_slice(pcm);
            return Ok(());
        };
        self.pending.extend_from_slice(pcm);
        let mut used = 0;
        loop {
            let frames = fft.input_frames_next();
            let Some(input) = self.pending.get(used..used + frames * self.channels) else { break };
            let written = convert(fft, input, &mut self.block, self.channels)
                .map_err(|reason| Error::codec("resampling", reason))?;
            out.extend_from_slice(&self.block[..written * self.channels]);
            used += frames * self.channels;
        }
        self.pending.drain(..used);
        Ok(())
    }

    /// Forgets all sound, as before an unrelated piece of it.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
        if let Some(fft) = &mut self.fft {
            fft.reset();
        }
    }
}

/// Converts one block; returns the samples per channel that it made.
fn convert(
    fft: &mut Fft<f32>,
    input: &[f32],
    output: &mut [f32],
    channels: usize,
) -> Result<usize, String> {
    let output_frames = output.len() / channels;
    let input = InterleavedSlice::new(input, channels, input.len() / channels)
        .map_err(|error| error.to_string())?;
    let mut output = InterleavedSlice::new_mut(output, channels, output_frames)
        .map_err(|error| error.to_string())?;
    let (_, written) =
        fft.process_into_buffer(&input, &mut output, None).map_err(|error| error.to_string())?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A click must leave at the input's time plus exactly the stated delay, at every AAC rate.
    #[test]
    fn the_stated_delay_is_the_true_one() {
        for rate in [96_000, 88_200, 64_000, 44_100, 32_000, 24_000, 22_050, 16_000, 11_025, 8_000]
        {
            let mut resampler = ToOpusRate::new(rate, 1).expect("supported");
            let at = rate as usize; // one second in
            let mut input = vec![0.0; 2 * rate as usize];
            input[at] = 1.0;
            let mut out = Vec::new();
            for au in input.chunks(1024) {
                resampler.push(au, &mut out).expect("resamples");
            }
            let peak = out.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("sound").0;
            assert_eq!(peak as u32, 48_000 + resampler.delay(), "at {rate} Hz");
            assert!(resampler.delay() <= 480 * 2, "{} at {rate} Hz", resampler.delay());
        }
    }

    #[test]
    fn the_top_of_speech_and_music_passes() {
        let mut resampler = ToOpusRate::new(44_100, 1).expect("supported");
        let cutoff = resampler.fft.as_ref().expect("not 48 kHz").cutoff();
        assert!(cutoff * 22_050.0 > 19_000.0, "cutoff at {}", cutoff * 22_050.0);
        let mut out = Vec::new();
        resampler.push(&vec![0.0; 588 * 3 + 1], &mut out).expect("resamples");
        assert_eq!((out.len(), resampler.pending.len()), (640 * 3, 1));
    }
}
