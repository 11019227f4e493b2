//! A host and its engine: frames whose every byte is known.

use std::time::SystemTime;

use bytes::Bytes;
use lectern_edge::whep::{Config, Engine, Feed, Metrics};
use lectern_relay_proto::{
    About, AudioTrack, Catalog, Frame, GroupId, MediaTime, Period, PublisherState, SegmentGrid,
    Timescale, TrackName, UtcTime, VideoTrack,
};
use prometheus::Registry;

pub(crate) const T0_MS: u64 = 1_795_000_000_000;
pub(crate) const TICKS_PER_FRAME: u64 = 3_000;

pub(crate) fn engine_with(change: impl FnOnce(&mut Config)) -> (Engine, Registry) {
    let registry = Registry::new();
    let mut config =
        Config { listen: "127.0.0.1:0".parse().unwrap(), workers: 2, ..Config::default() };
    change(&mut config);
    (Engine::start(config, Metrics::register(&registry).unwrap()).unwrap(), registry)
}

pub(crate) fn engine() -> Engine {
    engine_with(|_| {}).0
}

pub(crate) fn parameter_sets(period: u32) -> [Vec<u8>; 2] {
    [vec![0x67, 0x42, 0xc0, 0x1f, period as u8], vec![0x68, 0xce, period as u8]]
}

/// A rendition with the parameter sets `sets`.
pub(crate) fn video_track(name: &str, sets: u32) -> VideoTrack {
    let [sps, pps] = parameter_sets(sets);
    let mut description = vec![1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, sps.len() as u8];
    description.extend(&sps);
    description.extend([1, 0, pps.len() as u8]);
    description.extend(&pps);
    VideoTrack {
        name: TrackName::new(name).unwrap(),
        codec: "avc1.42c01f".into(),
        init: Bytes::new(),
        description: description.into(),
        width: 1_280,
        height: 720,
        framerate: None,
        bitrate: None,
        reordered: false,
    }
}

pub(crate) fn catalog(period: u32) -> Catalog {
    Catalog {
        t0: UtcTime::from_millis(T0_MS),
        state: PublisherState::Live,
        about: About::default(),
        period: Period {
            id: period,
            take: period,
            start_ms: 0,
            grid: SegmentGrid::new(2_000),
            sequence: 0,
        },
        video: vec![video_track(TrackName::VIDEO_MAIN, period)],
        audio: vec![AudioTrack {
            name: TrackName::new(TrackName::AUDIO_OPUS).unwrap(),
            codec: "opus".into(),
            init: Bytes::new(),
            description: Bytes::new(),
            sample_rate: 48_000,
            channels: 2,
            bitrate: None,
        }],
    }
}

/// The one slice of frame `number`; keyframes are large.
pub(crate) fn slice(number: u64, keyframe: bool) -> Vec<u8> {
    let length = if keyframe { 30_000 } else { 500 + number as usize * 700 % 9_000 };
    let mut slice: Vec<u8> = (0..length).map(|at| (at as u64 * 31 + number) as u8).collect();
    slice[0] = if keyframe { 0x65 } else { 0x41 };
    slice
}

pub(crate) fn video_frame(number: u64, keyframe: bool) -> Frame {
    frame_of(number, keyframe, &slice(number, keyframe))
}

/// Frame `number` with this one slice.
pub(crate) fn frame_of(number: u64, keyframe: bool, slice: &[u8]) -> Frame {
    let data = [&(slice.len() as u32).to_be_bytes(), slice].concat();
    Frame {
        dts: MediaTime::new(number * TICKS_PER_FRAME, Timescale::VIDEO),
        composition_offset: 0,
        duration: TICKS_PER_FRAME as u32,
        keyframe,
        data: data.into(),
        arrived: SystemTime::now().into(),
    }
}

/// A host: frames with a keyframe every `gop`, one group each.
pub(crate) struct Host {
    pub(crate) feed: Feed,
    pub(crate) number: u64,
    pub(crate) gop: u64,
    pub(crate) period: u32,
}

impl Host {
    pub(crate) fn new(engine: &Engine, id: &str) -> Self {
        let feed = engine.feed(id.parse().unwrap());
        feed.set_catalog(&catalog(0));
        Self { feed, number: 0, gop: 30, period: 0 }
    }

    pub(crate) fn push(&mut self, frames: u64) {
        let track = TrackName::new(TrackName::VIDEO_MAIN).unwrap();
        for _ in 0..frames {
            let group = GroupId { period: self.period, index: (self.number / self.gop) as u32 };
            let keyframe = self.number.is_multiple_of(self.gop);
            self.feed.push_video(&track, group, &video_frame(self.number, keyframe));
            self.number += 1;
        }
    }

    pub(crate) fn push_audio(&self, number: u64) -> Bytes {
        let data = Bytes::from(vec![number as u8; 160]);
        let frame = Frame {
            dts: MediaTime::new(number * 960, Timescale::OPUS),
            composition_offset: 0,
            duration: 960,
            keyframe: true,
            data: data.clone(),
            arrived: SystemTime::now().into(),
        };
        self.feed.push_audio(GroupId { period: self.period, index: 0 }, &frame);
        data
    }
}

pub(crate) fn expected(number: u64, gop: u64, period: u32) -> Vec<Vec<u8>> {
    if number.is_multiple_of(gop) {
        let [sps, pps] = parameter_sets(period);
        vec![sps, pps, slice(number, true)]
    } else {
        vec![slice(number, false)]
    }
}

/// The sum of a metric over its labels.
pub(crate) fn value(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let of = families.iter().filter(|family| family.name() == name);
    let metrics = of.flat_map(|family| family.get_metric());
    metrics.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
}
