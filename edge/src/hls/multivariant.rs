//! The multivariant playlist: what renditions there are (RFC 8216bis §4.4.6).

use std::fmt::Write as _;

use super::{FILE, VERSION, directory};
use crate::timeline::{Kind, PeriodView, Snapshot, TrackView};

/// The group that every variant takes its sound from.
const AUDIO_GROUP: &str = "audio";

/// The multivariant playlist; `None` while there is too little to describe.
///
/// It describes the newest period that can be played. Players read it once: a rendition that a later
/// take adds is for those who come later.
pub fn multivariant(snapshot: &Snapshot) -> Option<String> {
    if !snapshot.is_playable() {
        return None;
    }
    let described = |period: &&PeriodView| period.main().is_some_and(TrackView::is_playable);
    let period = snapshot.periods.iter().rev().find(described)?;
    let playable = || period.tracks.iter().filter(|track| track.is_playable());
    let audio = sound(period);
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let mut videos = playable().filter(|track| matches!(track.kind, Kind::Video { .. })).peekable();
    if videos.peek().is_none() {
        let Some(audio) = audio else { return Some(text) };
        variant(&mut text, audio, None);
        return Some(text);
    }
    if let Some(audio) = audio
        && let Kind::Audio { channels, .. } = audio.kind
    {
        let uri = directory(&audio.name);
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{AUDIO_GROUP}\",NAME=\"Audio\",DEFAULT=YES,\
             AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{uri}/{FILE}\"",
        );
    }
    videos.for_each(|video| variant(&mut text, video, audio));
    Some(text)
}

/// The sound to list: AAC, which every player of HLS has, or else what there is.
pub(super) fn sound(period: &PeriodView) -> Option<&TrackView> {
    let audio = || {
        let sounds = |track: &&TrackView| matches!(track.kind, Kind::Audio { .. });
        period.tracks.iter().filter(|track| track.is_playable()).filter(sounds)
    };
    audio().find(|track| track.codec.starts_with("mp4a.")).or_else(|| audio().next())
}

fn variant(text: &mut String, track: &TrackView, audio: Option<&TrackView>) {
    let bitrate = |track: &TrackView| track.bitrate.unwrap_or_default();
    let bandwidth = bitrate(track) + audio.map_or(0, bitrate);
    let _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{}", track.codec);
    if let Some(audio) = audio {
        let _ = write!(text, ",{}", audio.codec);
    }
    text.push('"');
    if let Kind::Video { width, height, framerate } = track.kind {
        let _ = write!(text, ",RESOLUTION={width}x{height}");
        if let Some(rate) = framerate.filter(|rate| (0.1..=1_000.0).contains(rate)) {
            let _ = write!(text, ",FRAME-RATE={rate:.3}");
        }
    }
    if audio.is_some() {
        let _ = write!(text, ",AUDIO=\"{AUDIO_GROUP}\"");
    }
    let _ = writeln!(text, "\n{}/{FILE}", directory(&track.name));
}
