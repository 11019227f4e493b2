//! What a timeline can serve at one moment: immutable, shared, and all that a manifest needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::{MediaTime, Period, PublisherState, Timescale, TrackName, UtcTime};

use super::segment::{Part, Segment};

/// A timeline at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What media time counts from.
    pub t0: UtcTime,
    /// Whether an encoder is publishing.
    pub state: PublisherState,
    /// How far back a viewer may seek.
    pub window: Duration,
    /// Whether manifests list what viewers say as subtitles. The same for as long as the edge runs, and
    /// whether or not anybody has said anything: players read only once which renditions there are.
    pub comments: bool,
    /// Oldest first; the last one is current.
    pub periods: Vec<PeriodView>,
}

/// A period and what there is of it.
#[derive(Clone, Debug)]
pub struct PeriodView {
    /// As the catalog has it.
    pub info: Period,
    /// The main track first, then the rest of the video, then audio, each in catalog order.
    pub tracks: Vec<TrackView>,
    /// The number of the newest segment that any track has, or that its first group would be in.
    pub last_number: Option<u64>,
    /// By how much, at most, a segment of the main track began before its nominal time: the period
    /// start plus whole segment durations.
    pub early: Duration,
}

/// A track of a period.
#[derive(Clone, Debug)]
pub struct TrackView {
    /// Its name.
    pub name: TrackName,
    /// Its place in a URL, see [`super::Locator`].
    pub locator: Arc<str>,
    /// What is in it.
    pub kind: Kind,
    /// RFC 6381.
    pub codec: String,
    /// The CMAF header.
    pub init: Bytes,
    /// Ticks per second of its media.
    pub timescale: Timescale,
    /// Bits per second, stated or measured over whole segments; `None` before either.
    pub bitrate: Option<u64>,
    /// Whether segments before the first are being fetched from upstream.
    pub older_to_come: bool,
    /// The longest chunk seen, in ticks of the timescale; zero before the first.
    pub chunk_ticks_max: u32,
    /// The longest that a part may be.
    pub part_target: Duration,
    /// Oldest first, numbers without gaps unless the publisher broke its promise; only the last
    /// one may be in progress.
    pub segments: Vec<SegmentView>,
}

/// What a track carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Pictures.
    Video {
        /// Coded size in pixels.
        width: u32,
        /// Coded size in pixels.
        height: u32,
        /// Frames per second, where the encoder states it.
        framerate: Option<f64>,
    },
    /// Sound.
    Audio {
        /// Samples per second.
        sample_rate: u32,
        /// Channels.
        channels: u32,
    },
}

impl Kind {
    /// `video` or `audio`, as MIME types and metrics have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
        }
    }
}

/// A segment, as it was when the snapshot was taken.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// Its number.
    pub number: u64,
    /// Decode time of its first frame.
    pub start: MediaTime,
    /// Where its last frame ends; for a segment in progress, where it ended at that moment.
    pub end: MediaTime,
    /// Whether it will not change again.
    pub complete: bool,
    /// Something is missing in the middle.
    pub damaged: bool,
    /// The parts that were complete.
    pub parts: Arc<Vec<Part>>,
    /// The media.
    pub segment: Arc<Segment>,
}

impl Snapshot {
    /// The current period.
    pub fn current(&self) -> Option<&PeriodView> {
        self.periods.last()
    }

    /// The period with this id.
    pub fn period(&self, id: u32) -> Option<&PeriodView> {
        self.periods.iter().find(|period| period.info.id == id)
    }

    /// Whether there is enough to describe: the main track of some period has a segment, and every
    /// track that has one has a bit rate.
    pub fn is_playable(&self) -> bool {
        let tracks = || self.periods.iter().flat_map(|period| &period.tracks);
        let started = |track: &&TrackView| !track.segments.is_empty();
        let main_whole = self.periods.iter().filter_map(PeriodView::main).any(|main| {
            main.segments.iter().any(|segment| segment.complete) && main.bitrate.is_some()
        });
        // Until a segment is whole, a track without media may only be late.
        let all_started = self.current().is_some_and(|period| {
            !period.tracks.is_empty()
                && period
                    .tracks
                    .iter()
                    .all(|track| !track.segments.is_empty() && track.bitrate.is_some())
        });
        all_started || (main_whole && tracks().filter(started).any(|track| track.bitrate.is_some()))
    }

    /// Media time of the oldest frame that is whole in the main track.
    pub fn start(&self) -> Option<MediaTime> {
        self.periods.iter().find_map(|p| p.main()?.segments.first()).map(|s| s.start)
    }

    /// Media time at which the oldest segment of the main track begins.
    pub fn oldest_start(&self) -> Option<MediaTime> {
        self.periods.iter().find_map(|p| p.main()?.segments.first()).map(|s| s.start)
    }

    /// Media time at which the newest segment of the main track begins.
    pub fn newest_start(&self) -> Option<MediaTime> {
        self.periods.iter().rev().find_map(|p| p.main()?.segments.last()).map(|s| s.start)
    }
}

impl PeriodView {
    /// The track whose groups number the segments.
    pub fn main(&self) -> Option<&TrackView> {
        self.tracks.first()
    }

    /// The track of this name.
    pub fn track(&self, name: &TrackName) -> Option<&TrackView> {
        self.tracks.iter().find(|track| track.name == *name)
    }

    /// How long a segment is by the grid.
    pub fn grid_duration(&self) -> Duration {
        Duration::from_millis(self.info.grid.duration_ms().into())
    }

    /// Where segment `number` begins by the grid; its media begins with the first keyframe near there.
    pub fn nominal_start(&self, number: u64) -> MediaTime {
        let before = number.saturating_sub(self.info.first_number());
        let ms = before.saturating_mul(self.info.grid.duration_ms().into());
        MediaTime::from_millis(ms.saturating_add(self.info.start_ms))
    }

    /// Where its media ends so far, in the longest of its tracks.
    pub fn end(&self) -> Option<MediaTime> {
        self.tracks.iter().filter_map(|track| Some(track.segments.last()?.end)).max()
    }
}

impl TrackView {
    /// Whether it has something to play and can be described. A codec string that is not one (RFC
    /// 6381 §3.1) would make a whole manifest invalid.
    pub fn is_playable(&self) -> bool {
        let codec_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let named = !self.codec.is_empty() && self.codec.bytes().all(codec_ok);
        named && !self.segments.is_empty() && self.bitrate.is_some()
    }

    /// The segment of this number.
    pub fn segment(&self, number: u64) -> Option<&Arc<Segment>> {
        let at = self.segments.binary_search_by_key(&number, |view| view.number).ok()?;
        self.segments.get(at).map(|view| &view.segment)
    }
}
