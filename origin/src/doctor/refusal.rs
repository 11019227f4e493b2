//! Why an encoder was sent away, in words of its host.

use lectern_relay_proto::UtcTime;

use super::code;
use super::report::{Finding, Severity};
use crate::ingest::aac;
use crate::ingest::flv::{Error, Unsupported};

const NOTHING_SEEN: &str = "Viewers see and hear nothing: the stream was not accepted.";
const CHOOSE_H264: &str = "In OBS: Settings › Output, set Output Mode to Advanced, and Video Encoder to one \
    with H.264 in its name, or x264. In ffmpeg: -c:v libx264.";
const CHOOSE_AAC: &str = "In OBS: Settings › Output, set Output Mode to Advanced, and Audio Encoder to AAC. In \
    ffmpeg: -c:a aac -ac 2.";

/// What is said of `error`, which sent the encoder away at `now`.
pub(super) fn finding(error: Error, now: UtcTime) -> Finding {
    let make = |code, title: String, remedy| {
        Finding::new(code, Severity::Problem, now, [&title, NOTHING_SEEN, remedy])
    };
    match error {
        Error::Unsupported(Unsupported::Video(codec)) => {
            let title = format!("Your encoder sends {codec}, not H.264");
            make(code::VIDEO_REFUSED, title, CHOOSE_H264).with_text("codec", codec)
        }
        Error::Unsupported(Unsupported::Audio(codec)) => {
            let title = format!("Your encoder sends {codec}, not AAC");
            make(code::AUDIO_REFUSED, title, CHOOSE_AAC).with_text("codec", codec)
        }
        Error::Unsupported(Unsupported::Aac(error)) => {
            let variant = aac_variant(error);
            let title = format!("Your encoder sends {variant}, not AAC-LC");
            make(code::AUDIO_REFUSED, title, CHOOSE_AAC).with_text("codec", variant)
        }
        Error::Unsupported(Unsupported::Multitrack) => make(
            code::ENCODER_REFUSED,
            "Your encoder sends several pictures or sounds at once".to_owned(),
            "In OBS: untick Enable Multitrack Video under Settings › Stream, and choose one Audio Track \
             under Settings › Output. In ffmpeg: -map one video and one audio stream.",
        ),
        Error::VideoConfig(error) => {
            let title = format!("Your video's description cannot be used: {error}");
            make(code::VIDEO_REFUSED, title, CHOOSE_H264).with_text("codec", "H.264")
        }
        _ => make(
            code::ENCODER_REFUSED,
            "Your encoder sends in a way that is not understood here".to_owned(),
            "Choose plain RTMP with H.264 and AAC. In OBS: set Service to Custom under Settings › Stream. \
             In ffmpeg: -f flv.",
        ),
    }
}

fn aac_variant(error: aac::Error) -> String {
    match error {
        aac::Error::ObjectType(object_type) => format!("AAC of type {object_type}"),
        aac::Error::Channels(0) => "AAC with an unusual layout of channels".to_owned(),
        aac::Error::Channels(channels) => format!("AAC with channel configuration {channels}"),
        aac::Error::SampleRate => "AAC with an invalid sample rate".to_owned(),
        aac::Error::Variant => "AAC with short frames".to_owned(),
        aac::Error::Length(_) => "a damaged description of AAC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::h264;

    #[test]
    fn each_refusal_says_what_came_and_what_to_choose() {
        let check = |error: Error, code, title: &str| {
            let finding = finding(error, UtcTime::from_millis(7));
            assert_eq!((finding.code, finding.title.as_str()), (code, title));
            assert!(finding.remedy.contains("In OBS") && finding.remedy.contains("In ffmpeg"));
            assert_eq!(finding.since_ms, 7);
        };
        let video = Unsupported::Video("HEVC").into();
        check(video, code::VIDEO_REFUSED, "Your encoder sends HEVC, not H.264");
        let audio = Unsupported::Audio("MP3").into();
        check(audio, code::AUDIO_REFUSED, "Your encoder sends MP3, not AAC");
        let ltp = Unsupported::Aac(aac::Error::ObjectType(4)).into();
        check(ltp, code::AUDIO_REFUSED, "Your encoder sends AAC of type 4, not AAC-LC");
        let several = Unsupported::Multitrack.into();
        let title = "Your encoder sends several pictures or sounds at once";
        check(several, code::ENCODER_REFUSED, title);
        let config = Error::VideoConfig(h264::Error::Dimensions(8, 8));
        let title = "Your video's description cannot be used: picture of 8x8 pixels; each side has to \
            be 16 to 8192";
        check(config, code::VIDEO_REFUSED, title);
    }
}
