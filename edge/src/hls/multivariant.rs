//! The multivariant playlist: what renditions there are (RFC 8216bis §4.4.6).

use std::fmt::Write as _;

use lectern_relay_proto::TrackName;

use super::{FILE, MediaPlaylist, VERSION, directory};
use crate::timeline::{Kind, PeriodView, Snapshot, TrackView};

/// The group that every variant takes its sound from.
const AUDIO_GROUP: &str = "audio";
/// The group of what viewers say, and where its playlist is.
const COMMENTS: &str = "comments";

/// The multivariant playlist; `None` while there is too little to describe, or a rendition of it has no
/// playlist.
///
/// It describes the newest period of which every track has come, or else what there is. Players read it
/// once: a rendition that a later take adds is for those who come later.
pub fn multivariant(snapshot: &Snapshot) -> Option<String> {
    let newest = || snapshot.periods.iter().rev();
    let main = |period: &&PeriodView| period.main().is_some_and(TrackView::is_playable);
    let all = |period: &&PeriodView| period.tracks.iter().all(TrackView::is_playable);
    let period =
        newest().find(|period| main(period) && all(period)).or_else(|| newest().find(main))?;
    if !renditions(period).all(|track| MediaPlaylist::new(snapshot, &track.name).is_some()) {
        return None;
    }
    let audio = sound(period);
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let comments = snapshot.comments;
    if comments {
        // In whatever languages they write; and nobody sees them who did not ask for them.
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"{COMMENTS}\",NAME=\"Comments\",DEFAULT=NO,\
             AUTOSELECT=NO,FORCED=NO,URI=\"{COMMENTS}/{FILE}\"",
        );
    }
    if videos(period).next().is_none() {
        variant(&mut text, audio?, None, comments);
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
    videos(period).for_each(|video| variant(&mut text, video, audio, comments));
    Some(text)
}

/// The track whose segments the comments are beside: the one that plays in every variant, or in the first.
pub fn beside_comments(snapshot: &Snapshot) -> Option<&TrackName> {
    let mut listed = snapshot.periods.iter().rev().filter_map(|period| renditions(period).next());
    listed
        .find(|track| MediaPlaylist::new(snapshot, &track.name).is_some())
        .map(|track| &track.name)
}

/// The tracks of a period that are listed.
pub(super) fn renditions(period: &PeriodView) -> impl Iterator<Item = &TrackView> {
    videos(period).chain(sound(period))
}

fn videos(period: &PeriodView) -> impl Iterator<Item = &TrackView> {
    let is_video = |track: &&TrackView| matches!(track.kind, Kind::Video { .. });
    period.tracks.iter().filter(|track| track.is_playable()).filter(is_video)
}

/// The sound to list: AAC, which every player of HLS has, or else what there is.
fn sound(period: &PeriodView) -> Option<&TrackView> {
    let is_sound = |track: &&TrackView| matches!(track.kind, Kind::Audio { .. });
    let sounds = || period.tracks.iter().filter(|track| track.is_playable()).filter(is_sound);
    sounds().find(|track| track.codec.starts_with("mp4a.")).or_else(|| sounds().next())
}

fn variant(text: &mut String, track: &TrackView, audio: Option<&TrackView>, comments: bool) {
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
    if comments {
        let _ = write!(text, ",SUBTITLES=\"{COMMENTS}\"");
    }
    let _ = writeln!(text, "\n{}/{FILE}", directory(&track.name));
}
