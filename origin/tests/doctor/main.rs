//! Promise: what of a stream will hurt viewers is named within ten seconds of its cause, and a good
//! stream is left alone. Sources are made by ffmpeg and looked at in virtual time.

// What tests call may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod rtmp;
mod source;

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use lectern_origin::demo::pattern::Pattern;
use lectern_origin::doctor::{Severity, code};
use lectern_origin::ingest::aac::AudioSpecificConfig;
use lectern_origin::ingest::flv::{Demuxer, Tag};
use lectern_relay_proto::UtcTime;

use self::source::{AAC, Arrival, MOVING, Source, VOICE, X264, shift};

/// A good stream of half a minute, for what happens to it on the way.
static GOOD: LazyLock<Source> =
    LazyLock::new(|| Source::ffmpeg(&[MOVING, VOICE, X264, AAC, "-t 30"], &[]));

fn is_audio(arrival: &Arrival) -> bool {
    matches!(arrival.tag, Tag::Audio { .. })
}

/// What OBS sends when its keyframe interval and B-frames are set as they should be.
#[test]
fn a_good_stream_of_obs_is_left_alone() {
    let video = "-f lavfi -i testsrc2=size=1280x720:rate=30";
    let coded = "-c:v libx264 -preset superfast -threads 1 -profile:v high -bf 0 -g 60 -pix_fmt yuv420p \
        -b:v 2500k -maxrate 2500k -minrate 2500k -bufsize 2500k -x264-params nal-hrd=cbr:force-cfr=1";
    let source =
        Source::ffmpeg(&[video, VOICE, coded, "-c:a aac -ar 48000 -ac 2 -b:a 160k", "-t 20"], &[]);
    let examined = source.examine(0);
    examined.finds_nothing();
    let figures = examined.report.figures;
    let video = figures.video.unwrap();
    assert_eq!((video.width, video.height, video.profile), (1280, 720, "High"));
    assert_eq!(video.keyframe_interval_longest_ms, Some(2_000));
    let fps = video.frame_rate.unwrap();
    assert!((29.0..=31.0).contains(&fps), "{fps}");
    let bps = video.bitrate_bps.unwrap();
    assert!((2_200_000..2_800_000).contains(&bps), "{bps}");
    let audio = figures.audio.unwrap();
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
    let (peak, rms) = (audio.peak_dbfs.unwrap(), audio.rms_dbfs.unwrap());
    assert!((-20.0..-3.0).contains(&peak) && rms < peak - 2.0, "{peak} {rms}");
    assert!(
        figures.av_offset_ms.unwrap().abs() < 100,
        "{figures:?}",
        figures = figures.av_offset_ms
    );
}

/// Slides with a small moving picture that comes and goes; pictures only when something is new, and
/// not all of those.
#[test]
fn a_capture_of_a_web_conference_with_its_variable_rate_is_left_alone() {
    let scene = "smptebars=size=640x360:rate=30[slides];testsrc2=size=160x90:rate=30[face];\
        [slides][face]overlay=x=440:y=240:enable='lt(mod(t,20),12)',\
        select='gt(random(1),0.25+0.5*lt(mod(t,9),3))',mpdecimate=max=15";
    let coded = "-fps_mode vfr -c:v libx264 -preset ultrafast -threads 1 -bf 0 -profile:v high \
        -pix_fmt yuv420p -b:v 1500k -maxrate 1500k -bufsize 3000k -force_key_frames expr:gte(t,n_forced*2)";
    let voice = "-f lavfi -i sine=frequency=300:sample_rate=44100,tremolo=f=3:d=0.9";
    let aac = "-c:a aac -ac 1 -b:a 96k -t 45";
    let source = Source::ffmpeg(
        &[voice, "-f lavfi -i"],
        &[
            &[scene][..],
            &coded.split_whitespace().collect::<Vec<_>>(),
            &aac.split_whitespace().collect::<Vec<_>>(),
        ]
        .concat(),
    );
    let pictures: Vec<u64> = source
        .arrivals
        .iter()
        .filter(|arrival| !is_audio(arrival))
        .map(|arrival| arrival.at_ms)
        .collect();
    let (fastest, slowest) = (0..44)
        .map(|s| pictures.iter().filter(|ms| **ms / 1000 == s).count())
        .fold((0, usize::MAX), |(most, least), count| (most.max(count), least.min(count)));
    assert!(fastest > 18 && slowest < 8, "{fastest} {slowest}: the rate varies");
    source.examine(0).finds_nothing();
}

/// As `lectern all --demo` makes it.
#[test]
fn the_demo_pattern_is_left_alone() {
    let (fps, frames) = (30, 20 * 30);
    let mut pattern = Pattern::new(640, 360, fps).unwrap();
    let beep =
        "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.1):s=48000:c=stereo -shortest";
    let coded = "-fps_mode passthrough -c:v libx264 -preset superfast -tune zerolatency -threads 1 \
        -profile:v high -bf 0 -sc_threshold 0 -g 60 -b:v 1M -maxrate 1M -bufsize 500k";
    let raw = "-f rawvideo -pix_fmt yuv420p -s 640x360 -r 30 -i pipe:0";
    let source = Source::fed(&[raw, beep, coded, "-c:a aac -b:a 128k"], &[], |stdin| {
        for n in 0..frames {
            let now = UtcTime::from_millis(1_795_123_456_000 + n * 1000 / u64::from(fps));
            stdin.write_all(pattern.draw(n, now)).unwrap();
        }
    });
    source.examine(0).finds_nothing();
}

/// A film that ends in a slide: little data is needed, and few notice.
#[test]
fn a_picture_that_comes_to_rest_is_left_alone() {
    let scene = "-f lavfi -i testsrc2=size=640x360:rate=30:duration=15,noise=alls=16:allf=t,\
        tpad=stop_mode=clone:stop_duration=15";
    let coded = "-c:v libx264 -preset ultrafast -threads 1 -bf 0 -g 120 -pix_fmt yuv420p -crf 30 \
        -maxrate 4M -bufsize 4M -t 30";
    let source = Source::ffmpeg(&[scene, VOICE, coded, AAC], &[]);
    let bytes_in = |from_ms: u64| -> usize {
        let seconds =
            source.arrivals.iter().filter(|at| (from_ms..from_ms + 4_000).contains(&at.at_ms));
        seconds
            .filter(|at| !is_audio(at))
            .filter_map(|at| at.tag.media())
            .map(|(_, data)| data.len())
            .sum()
    };
    assert!(bytes_in(20_000) < bytes_in(8_000) / 3, "{} {}", bytes_in(20_000), bytes_in(8_000));
    source.examine(0).finds_nothing();
}

#[test]
fn b_frames() {
    let x264 = "-c:v libx264 -preset veryfast -threads 1 -bf 2 -g 60 -pix_fmt yuv420p";
    let source = Source::ffmpeg(&[MOVING, VOICE, x264, AAC, "-t 6"], &[]);
    source.examine(0).finds(code::B_FRAMES, 0, &[]);
}

#[test]
fn keyframes_far_apart() {
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, "-g 250 -t 10"], &[]);
    let examined = source.then(10_000, GOOD.clone()).examine(0).finds(code::KEYFRAMES_FAR, 0, &[]);
    examined.recovers(code::KEYFRAMES_FAR);
}

#[test]
fn keyframes_at_uneven_intervals() {
    let times = "-g 600 -force_key_frames 0.5,2.8,3.2,5.6,6,8.4,9,11.5 -t 12";
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, times], &[]);
    let examined = source.then(12_000, GOOD.clone()).examine(0);
    examined.finds(code::KEYFRAMES_IRREGULAR, 0, &[]).recovers(code::KEYFRAMES_IRREGULAR);
}

#[test]
fn a_frame_rate_that_collapses() {
    let slow = "-vf select=not(mod(n\\,5)) -fps_mode vfr -g 12 -t 12";
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, slow], &[]);
    let examined = GOOD.clone().then(16_000, source).then(28_000, GOOD.clone()).examine(0);
    examined.finds(code::FRAME_RATE_DROP, 16_000, &[]).recovers(code::FRAME_RATE_DROP);
}

#[test]
fn a_bitrate_that_collapses() {
    let noisy = "-f lavfi -i testsrc2=size=640x360:rate=30,noise=alls=8:allf=t";
    let coded = |kbps: u32, seconds: u32| {
        let rate = format!("-b:v {kbps}k -maxrate {kbps}k -bufsize {kbps}k -t {seconds}");
        Source::ffmpeg(&[noisy, VOICE, X264, AAC, &rate], &[])
    };
    let (good, bad) = (coded(2_500, 14), coded(250, 12));
    let examined = good.clone().then(14_000, bad).then(26_000, good).examine(0);
    examined.finds(code::BITRATE_DROP, 14_000, &[]).recovers(code::BITRATE_DROP);
}

#[test]
fn one_kind_alone() {
    let source = Source::ffmpeg(&[VOICE, AAC, "-t 8"], &[]);
    source.examine(0).finds(code::VIDEO_MISSING, 0, &[]);
    let source = Source::ffmpeg(&[MOVING, X264, "-t 8"], &[]);
    source.examine(0).finds(code::AUDIO_MISSING, 0, &[]);
}

#[test]
fn one_kind_that_stops() {
    let stopped = |at: &Arrival| (8_000..16_000).contains(&at.at_ms);
    let source = GOOD.clone().keep(|at| is_audio(at) || !stopped(at));
    let examined = source.examine(0).finds(code::VIDEO_STOPPED, 8_000, &[]);
    examined.recovers(code::VIDEO_STOPPED);
    let source = GOOD.clone().keep(|at| !is_audio(at) || !stopped(at));
    let examined = source.examine(0).finds(code::AUDIO_STOPPED, 8_000, &[]);
    examined.recovers(code::AUDIO_STOPPED);
}

#[test]
fn nothing_arrives() {
    let source = GOOD.clone().keep(|at| at.at_ms < 6_000);
    source.examine(10_000).finds(code::NOTHING_ARRIVES, 6_000, &[]);
}

#[test]
fn silence() {
    let muted = "-af volume=volume=0:enable='between(t\\,6\\,18)' -t 22";
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, muted], &[]);
    let examined = source.examine(0).finds(code::AUDIO_SILENT, 6_000, &[]);
    examined.recovers(code::AUDIO_SILENT);
}

#[test]
fn sound_that_is_cut_off() {
    // Whole numbers, which end at full scale, as those of a sound card do.
    let loud =
        "-af aformat=s16,volume=volume=15dB:precision=fixed:enable='between(t\\,5\\,12)' -t 26";
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, loud], &[]);
    let examined = source.examine(0).finds(code::AUDIO_CLIPPING, 5_000, &[]);
    examined.recovers(code::AUDIO_CLIPPING);
}

#[test]
fn sound_whose_clock_runs_off() {
    for factor in ["1.01", "0.995"] {
        let drifting = format!("-af asetpts=PTS*{factor} -t 14");
        let source = Source::ffmpeg(&[MOVING, VOICE, X264, AAC, &drifting], &[]);
        source.examine(0).finds(code::AUDIO_DRIFT, 0, &[]);
    }
}

#[test]
fn sound_that_comes_long_after_its_picture() {
    let source = GOOD.clone().map(|arrival| {
        if is_audio(arrival) {
            arrival.at_ms += 900;
        }
    });
    source.examine(0).finds(code::AV_APART, 0, &[]);
}

#[test]
fn a_clock_that_jumps() {
    for by_ms in [3_600_000, 0u32.wrapping_sub(7_000)] {
        let source = GOOD.clone().map(|arrival| {
            if arrival.at_ms >= 8_000 {
                shift(&mut arrival.tag, by_ms);
            }
        });
        source.examine(0).finds(code::CLOCK_JUMP, 8_000, &[]);
    }
}

#[test]
fn bursts_with_gaps_before_them() {
    let source = GOOD.clone().map(|arrival| {
        let ms = arrival.at_ms;
        if (6_000..15_000).contains(&ms) && ms % 3_000 < 1_000 {
            arrival.at_ms = ms / 3_000 * 3_000 + 1_000;
        }
    });
    let examined = source.examine(0).finds(code::ARRIVAL_JITTER, 6_000, &[]);
    examined.recovers(code::ARRIVAL_JITTER);
}

#[test]
fn a_stream_slower_or_faster_than_time() {
    let paced = |percent: u64| {
        GOOD.clone().keep(|at| at.at_ms < 20_000).map(move |arrival| {
            let since_ms = arrival.at_ms.saturating_sub(6_000);
            arrival.at_ms = arrival.at_ms.min(6_000) + since_ms * percent / 100;
        })
    };
    paced(107).examine(0).finds(code::ENCODER_SLOW, 6_000, &[]);
    paced(93).examine(0).finds(code::ENCODER_FAST, 6_000, &[]);
}

#[test]
fn a_file_that_is_sent_at_once() {
    let source = GOOD.clone().map(|arrival| arrival.at_ms /= 100);
    let examined = source.examine(60_000).finds(code::ENCODER_FAST, 0, &[]);
    assert!(!examined.report.live, "the take gave up");
    assert_eq!(examined.report.findings[0].code, code::ENCODER_FAST, "and it is still told why");
}

#[test]
fn what_viewers_cannot_play() {
    let coded =
        |arguments: &str| Source::ffmpeg(&[MOVING, VOICE, X264, AAC, arguments, "-t 3"], &[]);
    coded("-pix_fmt yuv422p -profile:v high422").examine(0).finds(code::VIDEO_PROFILE, 0, &[]);
    coded("-flags +ilme+ildct -x264-params tff=1").examine(0).finds(code::VIDEO_INTERLACED, 0, &[]);
    let large = coded("-s 2560x1440 -r 5 -g 10").examine(0);
    let large = large.finds(code::VIDEO_BEYOND_PHONES, 0, &[]);
    assert_eq!(large.report.findings[0].severity, Severity::Hint);
    let fast = Source::ffmpeg(
        &["-f lavfi -i testsrc2=size=160x90:rate=120", VOICE, X264, AAC, "-g 240 -t 8"],
        &[],
    );
    fast.examine(0).finds(code::VIDEO_BEYOND_PHONES, 0, &[]);
    coded("-ac 6").examine(0).finds(code::AUDIO_SURROUND, 0, &[]);
}

/// No free encoder makes it; the configuration is that of one which does.
#[test]
fn he_aac() {
    let asc = Bytes::from_static(&[0x2b, 0x11, 0x88, 0x00]);
    let asc = AudioSpecificConfig::parse(asc).unwrap();
    let source =
        Source::ffmpeg(&[MOVING, VOICE, X264, AAC, "-ar 24000 -t 5"], &[]).map(|arrival| {
            if let Tag::AudioConfig { asc: stated } = &mut arrival.tag {
                *stated = asc.clone();
            }
        });
    source.examine(0).finds(code::AUDIO_HE_AAC, 0, &[]);
}

#[test]
fn what_the_server_refuses() {
    let source = Source::ffmpeg(&[MOVING, VOICE, X264, "-c:a libmp3lame -ar 44100 -t 2"], &[]);
    let examined = source.examine(0).finds(code::AUDIO_REFUSED, 0, &[]);
    assert!(examined.report.findings[0].title.contains("MP3"));
    // Enhanced RTMP's sequence start of HEVC, which this machine's ffmpeg cannot put into FLV.
    let body = Bytes::from_static(&[0x90, b'h', b'v', b'c', b'1', 1]);
    let error = Demuxer::new().video(0, body).unwrap_err();
    let source = Source { arrivals: Vec::new(), refused: Some((error, 40)) };
    let examined = source.examine(0).finds(code::VIDEO_REFUSED, 0, &[]);
    assert!(examined.report.findings[0].title.contains("HEVC"));
}
