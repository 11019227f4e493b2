//! Made-up broadcasts for the tests of this crate: what a publisher of ours would send, as events.

use bytes::Bytes;
use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::{
    About, AudioTrack, Catalog, Frame, GroupId, MediaTime, Period, PublisherState, SegmentGrid,
    Timescale, TrackName, UtcTime, VideoTrack,
};

use super::{Config, Snapshot, Timeline};

/// `T0` of every made-up broadcast.
pub(crate) const T0: UtcTime = UtcTime::from_millis(1_795_187_491_007);
/// 25 frames per second.
const FRAME_MS: u64 = 40;
const AUDIO_FRAME_MS: u64 = 20;
const AUDIO_CHUNK_MS: u64 = 100;

/// A stretch of a broadcast with these groups.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) period: u32,
    pub(crate) start_ms: u64,
    pub(crate) segment_ms: u32,
    pub(crate) sequence: u64,
    pub(crate) gops_ms: Vec<u64>,
    pub(crate) has_video: bool,
}

/// Something that the relay delivers.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) track: TrackName,
    pub(crate) group: GroupId,
    /// `None`: the group is whole.
    pub(crate) chunk: Option<Chunk>,
    /// When it leaves the publisher, in media milliseconds.
    pub(crate) at_ms: u64,
}

pub(crate) fn name(name: &str) -> TrackName {
    TrackName::new(name).unwrap()
}

impl Script {
    /// The first period, in segments of two seconds.
    pub(crate) fn new(gops_ms: &[u64]) -> Self {
        Self {
            period: 0,
            start_ms: 0,
            segment_ms: 2_000,
            sequence: 0,
            gops_ms: gops_ms.into(),
            has_video: true,
        }
    }

    pub(crate) fn catalog(&self) -> Catalog {
        let audio = |track: &str, codec: &str| AudioTrack {
            name: name(track),
            codec: codec.into(),
            init: Bytes::from(format!("init {track}")),
            description: Bytes::new(),
            sample_rate: 48_000,
            channels: 2,
            bitrate: Some(128_000),
        };
        let video = VideoTrack {
            name: name(TrackName::VIDEO_MAIN),
            codec: "avc1.64001f".into(),
            init: Bytes::from_static(b"init video/main"),
            description: Bytes::new(),
            width: 1280,
            height: 720,
            framerate: Some(25.0),
            bitrate: Some(2_500_000),
            reordered: false,
        };
        Catalog {
            t0: T0,
            state: PublisherState::Live,
            about: About::default(),
            period: Period {
                id: self.period,
                take: self.period,
                start_ms: self.start_ms,
                grid: SegmentGrid::new(self.segment_ms),
                sequence: self.sequence,
            },
            video: if self.has_video { vec![video] } else { vec![] },
            audio: vec![
                audio(TrackName::AUDIO_OPUS, "opus"),
                audio(TrackName::AUDIO_AAC, "mp4a.40.2"),
            ],
        }
    }

    /// Everything in the order that it would be published.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.has_video {
            let video = name(TrackName::VIDEO_MAIN);
            self.track(&video, Timescale::VIDEO, FRAME_MS, FRAME_MS, &mut events);
        }
        for track in [TrackName::AUDIO_OPUS, TrackName::AUDIO_AAC] {
            let track = name(track);
            self.track(&track, Timescale::OPUS, AUDIO_FRAME_MS, AUDIO_CHUNK_MS, &mut events);
        }
        events.sort_by_key(|event| event.at_ms);
        events
    }

    fn track(
        &self,
        track: &TrackName,
        timescale: Timescale,
        frame_ms: u64,
        chunk_ms: u64,
        events: &mut Vec<Event>,
    ) {
        let mut start_ms = self.start_ms;
        for (index, gop_ms) in self.gops_ms.iter().enumerate() {
            let group = GroupId { period: self.period, index: index as u32 };
            let end_ms = start_ms + gop_ms;
            let mut at_ms = start_ms;
            while at_ms < end_ms {
                let to_ms = (at_ms + chunk_ms).min(end_ms);
                let frames = (at_ms..to_ms).step_by(frame_ms as usize).map(|ms| Frame {
                    dts: MediaTime::from_millis(ms).rescale(timescale),
                    composition_offset: 0,
                    duration: (u64::from(timescale.hz()) * frame_ms / 1_000) as u32,
                    keyframe: ms == start_ms || track.as_str().starts_with("audio/"),
                    data: Bytes::new(),
                    arrived: UtcTime::from_millis(T0.as_millis() + ms),
                });
                let bytes = Bytes::from(format!("<{track} {group} {at_ms}>"));
                let chunk = Chunk { bytes, frames: frames.collect() };
                let track = track.clone();
                events.push(Event { track, group, chunk: Some(chunk), at_ms });
                at_ms = to_ms;
            }
            events.push(Event { track: track.clone(), group, chunk: None, at_ms: end_ms });
            start_ms = end_ms;
        }
    }
}

/// Feeds one event.
pub(crate) fn feed(timeline: &mut Timeline, event: &Event) {
    match &event.chunk {
        Some(chunk) => timeline.push(&event.track, event.group, chunk.clone()),
        None => timeline.end_group(&event.track, event.group),
    }
}

/// The timeline of these periods, all of them delivered.
pub(crate) fn played(scripts: &[Script]) -> Timeline {
    let mut timeline = Timeline::new(Config::default());
    for script in scripts {
        timeline.set_catalog(&script.catalog());
        script.events().iter().for_each(|event| feed(&mut timeline, event));
    }
    timeline
}

/// Its snapshot.
pub(crate) fn snapshot(scripts: &[Script]) -> std::sync::Arc<Snapshot> {
    played(scripts).snapshot().unwrap()
}
