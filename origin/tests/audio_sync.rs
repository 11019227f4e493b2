//! Promise: the sound of a broadcast is heard in Opus when it was said in AAC, whatever the sample
//! rate, the rounding of its times and the state of its bytes.

// What tests call may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod sound;

use std::process::{Command, Stdio};

use bytes::Bytes;
use lectern_origin::ingest::aac::AudioSpecificConfig;
use lectern_origin::transcode::{AacToOpus, Error, FRAME_SAMPLES};
use lectern_relay_proto::{Frame, MediaTime, Timescale, UtcTime};

const SECONDS: u32 = 6;
/// Where broadcasts of these tests begin: late enough that no delay leads to before zero.
const START_S: u64 = 5;

/// AAC of 1 kHz beeps, 100 ms long, that begin at exact seconds.
struct Source {
    rate: u32,
    channels: usize,
    asc: Vec<u8>,
    units: Vec<Bytes>,
}

impl Source {
    fn beeps(rate: u32, channels: usize) -> Self {
        let beep = "0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.1)";
        let expression = vec![beep; channels].join("|");
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i"])
            .arg(format!("aevalsrc='{expression}':s={rate}:d={SECONDS}"))
            .args(["-c:a", "aac", "-b:a", "128k", "-f", "adts", "-"])
            .stderr(Stdio::inherit())
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success());
        Self::from_adts(&output.stdout, rate, channels)
    }

    /// ADTS, ISO/IEC 14496-3 §1.A.3.2: a header of seven bytes before each access unit.
    fn from_adts(mut adts: &[u8], rate: u32, channels: usize) -> Self {
        let (profile, index) = (adts[2] >> 6, adts[2] >> 2 & 15);
        let object = profile + 1;
        let asc = vec![object << 3 | index >> 1, index << 7 | (channels as u8) << 3];
        let mut units = Vec::new();
        while adts.len() >= 7 {
            assert_eq!((adts[0], adts[1] & 0xf1), (0xff, 0xf1), "sync, and no CRC");
            let size =
                (adts[3] as usize & 3) << 11 | (adts[4] as usize) << 3 | adts[5] as usize >> 5;
            units.push(Bytes::copy_from_slice(&adts[7..size]));
            adts = &adts[size..];
        }
        Self { rate, channels, asc, units }
    }

    fn transcoder(&self) -> AacToOpus {
        let config = AudioSpecificConfig::parse(self.asc.clone().into()).unwrap();
        AacToOpus::new(&config).unwrap()
    }

    fn timescale(&self) -> Timescale {
        Timescale::new(self.rate).unwrap()
    }

    /// The time of access unit `n`, in samples.
    fn dts(&self, n: usize) -> u64 {
        START_S * u64::from(self.rate) + n as u64 * 1024
    }

    fn frame(&self, n: usize, dts: u64) -> Frame {
        Frame {
            dts: MediaTime::new(dts, self.timescale()),
            composition_offset: 0,
            duration: 1024,
            keyframe: true,
            data: self.units[n].clone(),
            arrived: UtcTime::from_millis(1_000_000 + n as u64),
        }
    }

    /// Frames on exact times.
    fn frames(&self) -> Vec<Frame> {
        (0..self.units.len()).map(|n| self.frame(n, self.dts(n))).collect()
    }

    /// When beeps begin, in seconds, as the plain AAC decoder has it.
    fn onsets(&self) -> Vec<f64> {
        let pcm = sound::decode_aac(&self.units, self.rate, self.channels);
        sound::onsets(&pcm, self.rate).iter().map(|s| s + START_S as f64).collect()
    }
}

/// The sound of Opus frames, first channel, with silence where frames are missing, from the time
/// of the first.
fn decode_opus(frames: &[Frame], channels: usize) -> Vec<f32> {
    let layout = if channels == 1 { opus::Channels::Mono } else { opus::Channels::Stereo };
    let mut decoder = opus::Decoder::new(48_000, layout).unwrap();
    let mut pcm = Vec::new();
    for frame in frames {
        pcm.resize((frame.dts.ticks - frames[0].dts.ticks) as usize, 0.0);
        let mut samples = vec![0.0; FRAME_SAMPLES * channels];
        assert_eq!(decoder.decode_float(&frame.data, &mut samples, false).unwrap(), FRAME_SAMPLES);
        pcm.extend(samples.iter().step_by(channels));
    }
    pcm
}

fn opus_onsets(frames: &[Frame], channels: usize) -> Vec<f64> {
    let start = frames[0].dts.as_secs_f64();
    sound::onsets(&decode_opus(frames, channels), 48_000).iter().map(|s| s + start).collect()
}

fn transcode(source: &Source, frames: &[Frame]) -> (AacToOpus, Vec<Frame>) {
    let mut transcoder = source.transcoder();
    let mut out = Vec::new();
    for frame in frames {
        transcoder.push(frame, &mut out).unwrap();
    }
    (transcoder, out)
}

fn assert_evenly_spaced(frames: &[Frame]) {
    for pair in frames.windows(2) {
        assert_eq!(pair[1].dts.ticks - pair[0].dts.ticks, 960);
        assert_eq!(pair[0].duration, 960);
        assert_eq!(pair[0].dts.timescale, Timescale::OPUS);
    }
}

#[test]
fn beeps_are_heard_when_they_were_made() {
    for (rate, channels) in [(48_000, 2), (44_100, 2), (44_100, 1), (32_000, 2), (22_050, 1)] {
        let source = Source::beeps(rate, channels);
        let (transcoder, opus) = transcode(&source, &source.frames());
        assert_eq!(transcoder.output().channels as usize, channels);
        assert_evenly_spaced(&opus);

        // The first access unit is the encoder's priming: sound begins 1024 samples later.
        let priming = 1024.0 / f64::from(rate);
        let (aac, opus) = (source.onsets(), opus_onsets(&opus, channels));
        assert_eq!(opus.len(), aac.len(), "{rate} Hz");
        assert!(opus.len() >= SECONDS as usize - 1);
        for (aac, opus) in aac.iter().zip(&opus) {
            let against_aac_ms = (opus - aac) * 1000.0;
            let true_s = (aac - priming).round() + priming;
            let against_truth_ms = (opus - true_s) * 1000.0;
            assert!(against_aac_ms.abs() <= 5.0, "{rate} Hz: {against_aac_ms} ms after AAC");
            assert!(against_truth_ms.abs() <= 20.0, "{rate} Hz: {against_truth_ms} ms late");
        }
    }
}

#[test]
fn times_rounded_to_milliseconds_put_no_jitter_into_the_output() {
    for rate in [48_000, 44_100] {
        let source = Source::beeps(rate, 1);
        let rounded: Vec<Frame> = (0..source.units.len())
            .map(|n| {
                let ms = source.dts(n) * 1000 / u64::from(rate);
                let dts = MediaTime::from_millis(ms).rescale(source.timescale());
                source.frame(n, dts.ticks)
            })
            .collect();
        let (transcoder, opus) = transcode(&source, &rounded);
        assert_evenly_spaced(&opus);
        assert_eq!(transcoder.counters(), Default::default());
        assert_eq!(opus, transcode(&source, &source.frames()).1, "the very same frames");
    }
}

#[test]
fn an_opus_frame_arrived_with_the_access_unit_that_completed_it() {
    let source = Source::beeps(48_000, 1);
    let mut transcoder = source.transcoder();
    for frame in source.frames() {
        let mut out = Vec::new();
        transcoder.push(&frame, &mut out).unwrap();
        assert!(out.len() <= 2);
        assert!(out.iter().all(|opus| opus.arrived == frame.arrived));
    }
}

#[test]
fn nothing_is_given_a_time_before_zero() {
    let source = Source::beeps(44_100, 1);
    let frames: Vec<Frame> = (0..20).map(|n| source.frame(n, n as u64 * 1024)).collect();
    let (_, opus) = transcode(&source, &frames);
    let delay = 320 + 312;
    assert_eq!(opus[0].dts.ticks, 960 - delay, "the frame at -{delay} is not given out");
    assert_evenly_spaced(&opus);
}

#[test]
fn a_gap_of_200_ms_is_silence_and_time_holds_behind_it() {
    let source = Source::beeps(44_100, 1);
    let gap = u64::from(source.rate) / 5;
    let shift = |n: usize| if n >= 100 { gap } else { 0 };
    let frames: Vec<Frame> =
        (0..source.units.len()).map(|n| source.frame(n, source.dts(n) + shift(n))).collect();
    let (transcoder, opus) = transcode(&source, &frames);
    assert_eq!(transcoder.counters().gaps_filled, 1);
    assert_evenly_spaced(&opus);
    let break_s = frames[100].dts.as_secs_f64() - 0.2;
    for (aac, opus) in source.onsets().iter().zip(opus_onsets(&opus, 1)) {
        let expect = if *aac > break_s { aac + 0.2 } else { *aac };
        assert!((opus - expect).abs() < 0.005, "beep at {opus}, expected {expect}");
    }
}

#[test]
fn an_overlap_of_200_ms_is_dropped_and_time_holds_behind_it() {
    let source = Source::beeps(44_100, 1);
    let overlap = u64::from(source.rate) / 5;
    let shift = |n: usize| if n >= 100 { overlap } else { 0 };
    let frames: Vec<Frame> =
        (0..source.units.len()).map(|n| source.frame(n, source.dts(n) - shift(n))).collect();
    let (transcoder, opus) = transcode(&source, &frames);
    assert_eq!(transcoder.counters().overlaps_dropped, 9);
    assert_evenly_spaced(&opus);
    let beeps = opus_onsets(&opus, 1);
    // Within half an access unit: what is left of the overlap when dropping ends.
    let last = source.onsets().last().unwrap() - 0.2;
    assert!((beeps.last().unwrap() - last).abs() < 0.0125 + 0.005);
}

#[test]
fn a_leap_of_ten_seconds_begins_anew_at_the_new_time() {
    for (from_s, to_s) in [(20, 30), (20, 10)] {
        let source = Source::beeps(44_100, 1);
        let rate = u64::from(source.rate);
        let base = |n: usize| if n >= 100 { to_s } else { from_s };
        let frames: Vec<Frame> = (0..source.units.len())
            .map(|n| source.frame(n, base(n) * rate + n as u64 * 1024))
            .collect();
        let (transcoder, opus) = transcode(&source, &frames);
        assert_eq!(transcoder.counters().restarts, 1);
        let cut = opus.windows(2).position(|w| w[1].dts.ticks != w[0].dts.ticks + 960).unwrap();
        let (before, after) = opus.split_at(cut + 1);
        assert_evenly_spaced(before);
        assert_evenly_spaced(after);
        let first =
            MediaTime::new(frames[100].dts.ticks, source.timescale()).rescale(Timescale::OPUS);
        assert_eq!(after[0].dts.ticks, first.ticks - 320 - 312);
    }
}

#[test]
fn broken_access_units_cost_themselves_and_time_holds() {
    let source = Source::beeps(44_100, 2);
    let mut frames = source.frames();
    let mut seed = 1_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as u8
    };
    // Every way to be broken, in the second between the beeps at 2 and 3 s.
    for (n, frame) in frames.iter_mut().enumerate().take(125).skip(95) {
        let unit = &source.units[n];
        frame.data = match n % 5 {
            0 => Bytes::new(),
            1 => unit.slice(..unit.len() / 2),
            2 => (0..200).map(|_| random()).collect(),
            3 => unit.iter().map(|byte| if random() < 16 { !byte } else { *byte }).collect(),
            _ => Bytes::from(vec![0xff; 20_000]),
        };
    }
    let mut transcoder = source.transcoder();
    let (mut out, mut errors) = (Vec::new(), 0);
    for frame in &frames {
        if let Err(error) = transcoder.push(frame, &mut out) {
            assert!(error.is_transient(), "{error}");
            errors += 1;
        }
    }
    assert!(errors >= 12, "empty and oversized units at the least: {errors}");
    assert_eq!(transcoder.counters().concealed, errors);
    assert_evenly_spaced(&out);
    let last = *opus_onsets(&out, 2).last().unwrap();
    assert!((last - source.onsets().last().unwrap()).abs() < 0.005);
}

#[test]
fn any_bytes_at_all_leave_a_working_transcoder() {
    let source = Source::beeps(48_000, 2);
    let mut transcoder = source.transcoder();
    let mut seed = 7_u64;
    let mut out = Vec::new();
    for n in 0..5_000_u64 {
        let mut data = vec![0; (seed % 400) as usize];
        for byte in &mut data {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (seed >> 33) as u8;
        }
        let mut frame = source.frame(0, n * 1024);
        frame.data = data.into();
        match transcoder.push(&frame, &mut out) {
            Ok(()) | Err(Error::Broken(_) | Error::Panicked) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_evenly_spaced(&out);
    assert_eq!(out.len(), 5_000 * 1024 / 960 - 1, "one was before zero");
    assert!(decode_opus(&out, 2).iter().all(|sample| sample.is_finite()));
}
