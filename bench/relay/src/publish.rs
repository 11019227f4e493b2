//! A node that is an origin and its encoders: broadcasts of chunks as the packager writes them, each stamped
//! with the time at which it is written.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::unix_us;
use lectern_relay_proto::net::{
    Announcer, BroadcastPublisher, Epoch, Identity, Publisher, PublisherConfig, PublisherMetrics,
    RecordPublisher, TrackPublisher,
};
use lectern_relay_proto::{
    About, AudioTrack, Catalog, Frame, GroupId, MediaTime, Period, PublisherState, SegmentGrid,
    Timescale, TrackName, UtcTime, VideoTrack, cmaf,
};
use prometheus::Registry;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cadence::{Cadence, Due};
use crate::plan::{
    self, AUDIO_BYTES, AUDIO_HZ, COMMENT_BYTES, GROUP_MS, Kind, Kinds, Publish, Published,
    VIDEO_BYTES, VIDEO_HZ, Window,
};

/// How late writing was is said of one thing in so many.
const SAMPLED: u64 = 8;

/// The origin of all broadcasts.
pub(crate) struct Origin {
    pub(crate) publisher: Publisher,
    plan: Publish,
    counted: Vec<Arc<Mutex<Counted>>>,
    /// Aborted on drop.
    encoders: JoinSet<anyhow::Result<()>>,
    /// What is announced and has no media.
    quiet: Vec<BroadcastPublisher>,
}

#[derive(Default)]
struct Counted {
    written: Kinds<u64>,
    late_us: Vec<u64>,
}

impl Origin {
    pub(crate) fn bind(plan: Publish) -> anyhow::Result<Self> {
        let identity = Identity::load_or_create(&plan.identity)?;
        let metrics = PublisherMetrics::register(&Registry::new())?;
        let mut config = PublisherConfig::new((Ipv4Addr::LOCALHOST, 0).into(), identity, metrics);
        config.keep = Duration::from_secs(plan.keep.secs);
        config.keep_bytes_max = plan.keep.bytes_max;
        let publisher = Publisher::bind(config)?;
        let (counted, encoders, quiet) = (Vec::new(), JoinSet::new(), Vec::new());
        Ok(Self { publisher, plan, counted, encoders, quiet })
    }

    /// Announces all broadcasts and begins to write.
    pub(crate) fn begin(&mut self, window: &Arc<Window>) -> anyhow::Result<()> {
        let first = Instant::now();
        for number in 0..self.plan.announced {
            let encoder = Encoder::new(self.publisher.announcer(), number, self.plan.comments_hz)?;
            if number >= self.plan.live {
                self.quiet.push(encoder.room);
                continue;
            }
            let counted = Arc::<Mutex<Counted>>::default();
            self.counted.push(counted.clone());
            // Groups begin one after the other and not all at once.
            let offset = Duration::from_millis(GROUP_MS) * number as u32 / self.plan.live as u32;
            let encoding = encoder.encode(first + offset, window.clone(), counted);
            self.encoders.spawn(encoding);
        }
        Ok(())
    }

    /// Waits until an encoder fails, which none should.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        match self.encoders.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) => anyhow::anyhow!("an encoder ended"),
            Some(Err(error)) => error.into(),
            None => std::future::pending().await,
        }
    }

    pub(crate) fn report(&self) -> Published {
        let mut published = Published::default();
        let mut late_us = Vec::new();
        for counted in &self.counted {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            published.written.push(counted.written);
            late_us.append(&mut counted.late_us);
        }
        published.late = Quantiles::of_micros(late_us);
        published
    }
}

/// One broadcast being written.
struct Encoder {
    room: BroadcastPublisher,
    video: TrackPublisher,
    audio: TrackPublisher,
    comments: RecordPublisher,
    comments_hz: u64,
    picture: Bytes,
    packet: Bytes,
}

impl Encoder {
    fn new(announcer: &Announcer, number: usize, comments_hz: u64) -> anyhow::Result<Self> {
        let mut room = announcer.broadcast(&plan::name(number).parse()?, Epoch(1))?;
        let video = room.track(&TrackName::new(TrackName::VIDEO_MAIN)?, Timescale::VIDEO)?;
        let audio = room.track(&TrackName::new(TrackName::AUDIO_OPUS)?, Timescale::OPUS)?;
        let comments = room.comments()?;
        room.set_catalog(&catalog()?)?;
        let picture = Bytes::from(vec![0x5a; VIDEO_BYTES]);
        let packet = Bytes::from(vec![0x5a; AUDIO_BYTES]);
        Ok(Self { room, video, audio, comments, comments_hz, picture, packet })
    }

    /// Writes in real time, for ever.
    async fn encode(
        mut self,
        first: Instant,
        window: Arc<Window>,
        counted: Arc<Mutex<Counted>>,
    ) -> anyhow::Result<()> {
        let mut cadence = Cadence::new(self.comments_hz);
        loop {
            let due = cadence.next();
            sleep_until(first + due.at).await;
            let late = (first + due.at).elapsed();
            let now_us = unix_us();
            self.write(due, now_us)?;
            if window.counts(now_us) {
                let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                counted.written[due.kind as usize] += 1;
                if due.number.is_multiple_of(SAMPLED) {
                    counted.late_us.push(late.as_micros() as u64);
                }
            }
        }
    }

    fn write(&mut self, due: Due, now_us: u64) -> anyhow::Result<()> {
        let Due { at, kind, number } = due;
        let (timescale, hz, data) = match kind {
            Kind::Video => (Timescale::VIDEO, VIDEO_HZ, &self.picture),
            Kind::Audio => (Timescale::OPUS, AUDIO_HZ, &self.packet),
            Kind::Comments => return Ok(self.comments.write(comment(now_us))?),
        };
        let duration = timescale.hz() / hz as u32;
        let dts = MediaTime::new(number * u64::from(duration), timescale);
        // Sound is cut where the picture is, by the time at which each is due.
        let index = at.as_millis() as u64 / GROUP_MS;
        let group = GroupId { period: 1, index: index as u32 };
        let frames_per_group = VIDEO_HZ * GROUP_MS / 1_000;
        let frame = Frame {
            dts,
            composition_offset: 0,
            duration,
            keyframe: kind == Kind::Audio || number % frames_per_group == 0,
            data: data.clone(),
            arrived: UtcTime::from_micros(now_us),
        };
        let chunk = cmaf::write_chunk(number as u32, &[frame])?.bytes;
        let track = if kind == Kind::Video { &mut self.video } else { &mut self.audio };
        Ok(track.write(group, dts, chunk)?)
    }
}

/// A record that says when it was written.
fn comment(now_us: u64) -> Bytes {
    let mut record = now_us.to_be_bytes().to_vec();
    record.resize(COMMENT_BYTES, b' ');
    record.into()
}

/// When a record was written; `None` if it is not one of ours.
pub(crate) fn stamp_of(record: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*record.first_chunk()?))
}

/// What the tracks are. The headers are as long as real ones; nobody reads them here.
fn catalog() -> anyhow::Result<Catalog> {
    let header = Bytes::from(vec![0; 700]);
    Ok(Catalog {
        t0: UtcTime::from_millis(unix_us() / 1_000),
        state: PublisherState::Live,
        about: About::default(),
        period: Period {
            id: 1,
            take: 1,
            start_ms: 0,
            grid: SegmentGrid::new(GROUP_MS as u32),
            sequence: 0,
        },
        video: vec![VideoTrack {
            name: TrackName::new(TrackName::VIDEO_MAIN)?,
            codec: "avc1.64001f".into(),
            init: header.clone(),
            description: Bytes::new(),
            width: 1280,
            height: 720,
            framerate: Some(VIDEO_HZ as f64),
            bitrate: Some(8 * VIDEO_HZ * VIDEO_BYTES as u64),
            reordered: false,
        }],
        audio: vec![AudioTrack {
            name: TrackName::new(TrackName::AUDIO_OPUS)?,
            codec: "opus".into(),
            init: header,
            description: Bytes::new(),
            sample_rate: Timescale::OPUS.hz(),
            channels: 2,
            bitrate: Some(8 * AUDIO_HZ * AUDIO_BYTES as u64),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_says_when_it_was_written() {
        assert_eq!(stamp_of(&comment(1_795_123_456_789_012)), Some(1_795_123_456_789_012));
        assert_eq!(stamp_of(b"short"), None);
    }
}
