//! One publisher connection: its tags become frames on the broadcast's timeline, its tracks are
//! gathered into periods, and chunks come out.
//!
//! Pure: the arrival instant comes with each tag, and what is to be published is drained.

mod audio;
mod opus;
mod pacer;

use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::{
    About, Catalog, Frame, MediaTime, Period, PublisherState, SegmentGrid, Timescale, UtcTime,
    VideoTrack, cmaf,
};

use self::audio::Audio;
use crate::clock::TakeClock;
use crate::ingest::aac::AudioSpecificConfig;
use crate::ingest::flv::Metadata;
use crate::ingest::h264::{self, ParameterSets};
use crate::ingest::{Order, Tag};
use crate::package::{Lane, Packaged, Packager, Verdict};
use crate::transcode::Level;

/// How long a take waits for its second track before it goes on with one. Encoders send both
/// headers at once; the slowest seen took half a second.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// How long it waits at the least: long enough for an encoder that has just started to catch up, so
/// that its clock is anchored by messages that are on time.
const SETTLE: Duration = Duration::from_millis(300);
/// Frames held while tracks are gathered: twice a second of 60 fps video and AAC.
const GATHER_FRAMES_MAX: usize = 256;
/// The same in bytes, for a stranger's idea of a frame.
const GATHER_BYTES_MAX: usize = 16 << 20;
/// How far the encoder may run ahead of the wall clock. One that keeps a second or two ready does no
/// harm; one that reads a file as fast as it can would fill the timeline with the future.
pub(crate) const LEAD_MAX: Duration = Duration::from_secs(10);
/// Cadence assumed until the encoder states one or two frames have come.
const CADENCE_DEFAULT: Duration = Duration::from_nanos(33_333_333);
/// What a take wants published, in order.
#[derive(Debug)]
pub enum Output {
    /// A new period begins, or something about the current one became known.
    Catalog(Box<Catalog>),
    /// A chunk of the current period.
    Chunk(Packaged),
}

/// What was left out of the broadcast, by reason. The owner counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Video before the first keyframe, or before its parameter sets.
    pub undecodable: u64,
    /// Audio that could not be decoded, or whose track is not in the period.
    pub audio: u64,
    /// The source's clock jumped.
    pub clock_jumps: u64,
}

/// Why a take cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The encoder's parameters cannot be written as CMAF.
    #[error("this stream cannot be packaged: {0}")]
    Package(#[from] cmaf::Error),
    /// Frames come faster than time passes.
    #[error("the encoder sends faster than real time; read files at their own pace (ffmpeg: -re)")]
    TooFast,
    /// The video's parameter sets cannot be understood.
    #[error(transparent)]
    Parameters(#[from] h264::Error),
}

/// Where the take before this one left off.
#[derive(Clone, Copy, Debug)]
pub struct Continuation {
    /// The id of the first period.
    pub next_period: u32,
    /// The media sequence number of its first segment.
    pub next_sequence: u64,
    /// The grid of its segments.
    pub grid: SegmentGrid,
    /// No frame lies before this media time, in milliseconds.
    pub floor_ms: u64,
}

/// One publisher connection's media.
pub struct Take {
    t0: UtcTime,
    take: u32,
    next_period: u32,
    /// What the next period's first segment is counted as.
    next_sequence: u64,
    clock: TakeClock,
    grid: SegmentGrid,
    metadata: Metadata,
    video: Option<Video>,
    audio: Option<Audio>,
    phase: Phase,
    catalog: Option<Catalog>,
    end_ms: u64,
    dropped: Dropped,
    opus: Vec<Frame>,
    packaged: Vec<Packaged>,
}

struct Video {
    avcc: Bytes,
    parameters: ParameterSets,
    order: Order,
}

enum Phase {
    /// Waiting to learn which tracks there are.
    Gathering { held: Vec<(Tag, UtcTime)>, held_bytes: usize, since: Option<UtcTime> },
    /// Publishing. `stale`: the tracks changed and the next keyframe begins a new period.
    Running { packager: Box<Packager>, stale: bool },
}

impl Take {
    /// Take number `take` of a broadcast that counts from `t0`. It goes on as `from` says.
    pub fn new(t0: UtcTime, take: u32, from: Continuation) -> Self {
        let Continuation { next_period, next_sequence, grid, floor_ms } = from;
        Self {
            t0,
            take,
            next_period,
            next_sequence,
            clock: TakeClock::new(t0, floor_ms),
            grid,
            metadata: Metadata::default(),
            video: None,
            audio: None,
            phase: Phase::gathering(),
            catalog: None,
            end_ms: floor_ms,
            dropped: Dropped::default(),
            opus: Vec::new(),
            packaged: Vec::new(),
        }
    }

    /// The grid of the newest period: the next take begins with it.
    pub fn grid(&self) -> SegmentGrid {
        self.grid
    }

    /// The media sequence number that the first segment of the next period will have.
    pub fn next_sequence(&self) -> u64 {
        let packaged = match &self.phase {
            Phase::Running { packager, .. } => packager.last_number(),
            Phase::Gathering { .. } => None,
        };
        match (&self.catalog, packaged) {
            (Some(catalog), Some(last)) => catalog.period.sequence_of(last) + 1,
            _ => self.next_sequence,
        }
    }

    /// Where the next take may begin, in media milliseconds.
    pub fn end_ms(&self) -> u64 {
        self.end_ms
    }

    /// What was dropped since this was last asked.
    pub fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// How loud the sound is, in order; `None` once all was said.
    pub fn poll_level(&mut self) -> Option<Level> {
        self.audio.as_mut()?.poll_level()
    }

    /// Takes one tag whose last byte arrived at `arrived`.
    pub fn push(&mut self, tag: Tag, arrived: UtcTime, out: &mut Vec<Output>) -> Result<(), Error> {
        match tag {
            Tag::Metadata(metadata) => self.metadata = metadata,
            Tag::VideoConfig { avcc } => self.set_video(avcc)?,
            Tag::AudioConfig { asc } => self.set_audio(asc),
            Tag::OpusConfig { channels } => self.set_opus(channels),
            tag @ (Tag::Video { .. } | Tag::Audio { .. }) => {
                if matches!(self.phase, Phase::Gathering { .. }) {
                    self.gather(tag, arrived, out)?;
                } else {
                    self.push_media(tag, arrived, out)?;
                }
            }
            Tag::EndOfSequence => {}
        }
        Ok(())
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<UtcTime> {
        self.audio.as_ref()?.pacer.due()
    }

    /// Publishes what is due at `now`.
    pub fn handle_timeout(&mut self, now: UtcTime, out: &mut Vec<Output>) -> Result<(), Error> {
        while let Some(frame) = self.audio.as_mut().and_then(|audio| audio.pacer.pop(now)) {
            self.package(Lane::Opus, frame, out)?;
        }
        Ok(())
    }

    /// Publishes what is held back and says that the encoder is gone; `clean` if it said goodbye.
    pub fn end(&mut self, clean: bool, out: &mut Vec<Output>) -> Result<(), Error> {
        if matches!(self.phase, Phase::Gathering { .. }) {
            self.stop_gathering(out)?;
        }
        self.release_audio()?;
        if let Phase::Running { packager, .. } = &mut self.phase {
            packager.flush(&mut self.packaged)?;
            self.drain(out);
        }
        if let Some(catalog) = &mut self.catalog {
            catalog.state = if clean { PublisherState::Ended } else { PublisherState::Away };
            out.push(Output::Catalog(Box::new(catalog.clone())));
        }
        Ok(())
    }

    /// Holds media until it is known which tracks there are and what time it is.
    fn gather(&mut self, tag: Tag, now: UtcTime, out: &mut Vec<Output>) -> Result<(), Error> {
        let complete = self.is_lineup_complete();
        let Phase::Gathering { held, held_bytes, since } = &mut self.phase else { return Ok(()) };
        let waited = now.saturating_since(*since.get_or_insert(now));
        *held_bytes += tag.media().map_or(0, |(_, data)| data.len());
        held.push((tag, now));
        let full = held.len() >= GATHER_FRAMES_MAX || *held_bytes >= GATHER_BYTES_MAX;
        if full || waited >= GATHER_MAX || (complete && waited >= SETTLE) {
            self.stop_gathering(out)?;
        }
        Ok(())
    }

    fn stop_gathering(&mut self, out: &mut Vec<Output>) -> Result<(), Error> {
        let packager = self.new_packager();
        let gathered = std::mem::replace(&mut self.phase, Phase::Running { packager, stale: true });
        let Phase::Gathering { held, .. } = gathered else { return Ok(()) };
        let timestamps = held.iter().filter_map(|(tag, arrived)| Some((tag.media()?.0, *arrived)));
        self.clock.settle(timestamps);
        for (tag, arrived) in held {
            self.push_media(tag, arrived, out)?;
        }
        Ok(())
    }

    fn push_media(
        &mut self,
        tag: Tag,
        arrived: UtcTime,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        match tag {
            Tag::Video { timestamp_ms, composition_ms, keyframe, data } => {
                let media_ms = self.map(timestamp_ms, arrived)?;
                let shown_ms = media_ms.cast_signed() + i64::from(composition_ms);
                self.notice_reordering(shown_ms, keyframe, out);
                let frame = Frame {
                    dts: MediaTime::from_millis(media_ms).rescale(Timescale::VIDEO),
                    composition_offset: composition_ms.saturating_mul(90),
                    duration: 0,
                    keyframe,
                    data,
                    arrived,
                };
                self.push_video(frame, out)
            }
            Tag::Audio { timestamp_ms, data } => {
                let media_ms = self.map(timestamp_ms, arrived)?;
                self.push_audio(media_ms, data, arrived, out)
            }
            Tag::Metadata(_)
            | Tag::VideoConfig { .. }
            | Tag::AudioConfig { .. }
            | Tag::OpusConfig { .. }
            | Tag::EndOfSequence => Ok(()),
        }
    }

    fn map(&mut self, timestamp_ms: u32, arrived: UtcTime) -> Result<u64, Error> {
        let mapped = self.clock.map(timestamp_ms, arrived);
        if mapped.reanchored {
            self.dropped.clock_jumps += 1;
            tracing::info!(
                timestamp_ms,
                media_ms = mapped.media_ms,
                "the encoder's clock jumped; the timeline goes on with the wall clock"
            );
        }
        if Duration::from_millis(mapped.ahead_ms) > LEAD_MAX {
            return Err(Error::TooFast);
        }
        self.end_ms = self.end_ms.max(mapped.media_ms);
        Ok(mapped.media_ms)
    }

    fn set_video(&mut self, avcc: Bytes) -> Result<(), Error> {
        if self.video.as_ref().is_some_and(|video| video.avcc == avcc) {
            return Ok(());
        }
        let parameters = ParameterSets::from_avcc(&avcc)?;
        tracing::info!(codec = %parameters.codec(), width = parameters.width,
            height = parameters.height, "video parameters");
        let order = Order::stated(&parameters);
        self.video = Some(Video { avcc, parameters, order });
        self.tracks_changed();
        Ok(())
    }

    fn set_audio(&mut self, config: AudioSpecificConfig) {
        if self.audio.as_ref().is_some_and(|audio| audio.is_aac(&config)) {
            return;
        }
        let (sample_rate, channels) = (config.sample_rate, config.channels);
        match Audio::aac(config) {
            Ok(audio) => {
                tracing::info!(sample_rate, channels, "audio parameters");
                if audio.core_only() {
                    tracing::warn!(
                        "the encoder sends HE-AAC, of which only the core is decoded: it \
                        sounds dull; set the encoder to AAC-LC"
                    );
                }
                self.audio = Some(audio);
            }
            Err(error) => {
                tracing::warn!(%error, "this audio cannot be carried; the broadcast goes on without");
                self.audio = None;
            }
        }
        self.tracks_changed();
    }

    fn set_opus(&mut self, channels: u8) {
        if self.audio.as_ref().is_some_and(|audio| audio.is_opus(channels)) {
            return;
        }
        tracing::info!(channels, "audio parameters: Opus");
        self.audio = Some(Audio::opus(channels));
        self.tracks_changed();
    }

    fn tracks_changed(&mut self) {
        if let Phase::Running { stale, .. } = &mut self.phase {
            *stale = true;
        }
    }

    fn push_video(&mut self, frame: Frame, out: &mut Vec<Output>) -> Result<(), Error> {
        if self.video.is_none() {
            self.dropped.undecodable += 1;
            return Ok(());
        }
        self.package(Lane::Video, frame, out)
    }

    fn push_audio(
        &mut self,
        media_ms: u64,
        data: Bytes,
        arrived: UtcTime,
        out: &mut Vec<Output>,
    ) -> Result<(), Error> {
        let Some(audio) = &mut self.audio else {
            self.dropped.audio += 1;
            return Ok(());
        };
        let mut opus = std::mem::take(&mut self.opus);
        let pushed = audio.push(media_ms, data, arrived, &mut opus);
        self.dropped.audio += u64::from(pushed.dropped);
        for frame in opus.drain(..) {
            let captured = self.t0 + frame.dts.as_duration();
            audio.pacer.push(frame, captured, arrived);
        }
        self.opus = opus;
        if let Some(frame) = pushed.aac {
            self.package(Lane::Aac, frame, out)?;
        }
        self.handle_timeout(arrived, out)
    }

    /// Packages the sound of the period that ends, so that nothing of it is left to the next.
    fn release_audio(&mut self) -> Result<(), Error> {
        let (Some(audio), Phase::Running { packager, .. }) = (&mut self.audio, &mut self.phase)
        else {
            return Ok(());
        };
        while let Some(frame) = audio.pacer.pop_any() {
            if packager.has_begun() {
                packager.push_audio(Lane::Opus, frame, &mut self.packaged)?;
            }
        }
        Ok(())
    }

    /// Whether every track that can be expected has shown its parameters. An encoder that announces
    /// one kind and says nothing of the other does not send the other; if it does after all, the
    /// late track begins a period.
    fn is_lineup_complete(&self) -> bool {
        let Metadata { has_video, has_audio, .. } = self.metadata;
        let one_only = |this: Option<bool>, other: Option<bool>| {
            other == Some(false) || (this == Some(true) && other.is_none())
        };
        match (&self.video, &self.audio) {
            (Some(_), Some(_)) => true,
            (Some(_), None) => one_only(has_video, has_audio),
            (None, Some(_)) => one_only(has_audio, has_video),
            (None, None) => false,
        }
    }

    fn package(&mut self, lane: Lane, frame: Frame, out: &mut Vec<Output>) -> Result<(), Error> {
        let may_begin_period = if self.video.is_some() {
            lane == Lane::Video && frame.keyframe
        } else {
            lane != Lane::Video
        };
        if may_begin_period && matches!(self.phase, Phase::Running { stale: true, .. }) {
            self.begin_period(frame.dts, out)?;
        }
        let Phase::Running { packager, stale } = &mut self.phase else { return Ok(()) };
        if *stale && (!packager.has_begun() || lane != Lane::Opus) {
            // Parameters changed: these frames need the header of the period to come. Opus does not.
            match lane {
                Lane::Video => self.dropped.undecodable += 1,
                Lane::Aac | Lane::Opus => self.dropped.audio += u64::from(packager.has_begun()),
            }
            return Ok(());
        }
        if lane != Lane::Video {
            packager.push_audio(lane, frame, &mut self.packaged)?;
        } else {
            match packager.push_video(frame.clone(), &mut self.packaged)? {
                Verdict::Taken => {}
                Verdict::BeforeKeyframe => self.dropped.undecodable += 1,
                Verdict::NeedsPeriod(grid) => {
                    self.grid = grid;
                    self.begin_period(frame.dts, out)?;
                    if let Phase::Running { packager, .. } = &mut self.phase {
                        packager.push_video(frame, &mut self.packaged)?;
                    }
                }
            }
        }
        self.drain(out);
        Ok(())
    }

    fn begin_period(&mut self, start: MediaTime, out: &mut Vec<Output>) -> Result<(), Error> {
        self.release_audio()?;
        if let Phase::Running { packager, .. } = &mut self.phase {
            packager.flush(&mut self.packaged)?;
        }
        self.drain(out);
        self.next_sequence = self.next_sequence();
        let packager = self.new_packager();
        let catalog = self.describe(start)?;
        let period = catalog.period;
        tracing::info!(
            period = period.id,
            start_ms = period.start_ms,
            segment_duration_ms = period.grid.duration_ms(),
            "a period begins"
        );
        self.next_period += 1;
        self.catalog = Some(catalog.clone());
        self.phase = Phase::Running { packager, stale: false };
        out.push(Output::Catalog(Box::new(catalog)));
        Ok(())
    }

    fn new_packager(&self) -> Box<Packager> {
        let has_video = self.video.is_some();
        let cadence =
            self.framerate().map_or(CADENCE_DEFAULT, |fps| Duration::from_secs_f64(1.0 / fps));
        Box::new(Packager::new(self.next_period, self.grid, has_video, cadence))
    }

    fn framerate(&self) -> Option<f64> {
        let stated = self.video.as_ref().and_then(|video| video.parameters.frame_rate);
        stated.or(self.metadata.framerate).filter(|fps| (1.0..=240.0).contains(fps))
    }

    fn describe(&mut self, start: MediaTime) -> Result<Catalog, Error> {
        let mut video = Vec::new();
        if let Some(Video { avcc, parameters, order }) = &self.video {
            video.push(VideoTrack {
                name: Lane::Video.track(),
                codec: parameters.codec(),
                init: cmaf::avc_init(avcc, parameters.width, parameters.height)?,
                description: avcc.clone(),
                width: parameters.width,
                height: parameters.height,
                framerate: self.framerate(),
                bitrate: stated_bitrate(self.metadata.videodatarate),
                reordered: order.is_changed(),
            });
        }
        let bitrate = stated_bitrate(self.metadata.audiodatarate);
        let audio = self.audio.as_ref().map(|audio| audio.tracks(bitrate)).transpose()?;
        let audio = audio.unwrap_or_default();
        let mut period = Period {
            id: self.next_period,
            take: self.take,
            start_ms: start.as_micros() / 1_000,
            grid: self.grid,
            sequence: self.next_sequence,
        };
        // The millisecond before `start` may lie on the other side of a grid point.
        let rounded = self.grid.number(start) - period.first_number();
        period.sequence = period.sequence.saturating_sub(rounded);
        let about = About::default();
        Ok(Catalog { t0: self.t0, state: PublisherState::Live, about, period, video, audio })
    }

    /// What the parameter sets do not say, the frames do: the first picture that is not shown in
    /// the order of decoding tells, and viewers on WebRTC must know.
    fn notice_reordering(&mut self, shown_ms: i64, keyframe: bool, out: &mut Vec<Output>) {
        let proves = |video: &mut Video| video.order.picture(shown_ms, keyframe);
        if !self.video.as_mut().is_some_and(proves) {
            return;
        }
        tracing::warn!(
            "the encoder sends B-frames: WebRTC cannot carry them and viewers will watch \
            over HTTP, a second later; set B-frames to 0 in the encoder"
        );
        if let Some(catalog) = &mut self.catalog {
            catalog.video.iter_mut().for_each(|track| track.reordered = true);
            out.push(Output::Catalog(Box::new(catalog.clone())));
        }
    }

    fn drain(&mut self, out: &mut Vec<Output>) {
        out.extend(self.packaged.drain(..).map(Output::Chunk));
    }
}

impl Phase {
    fn gathering() -> Self {
        Self::Gathering { held: Vec::new(), held_bytes: 0, since: None }
    }
}

/// `onMetaData` states kilobits per second, and some encoders state nonsense.
fn stated_bitrate(kbps: Option<f64>) -> Option<u64> {
    kbps.filter(|kbps| (1.0..1_000_000.0).contains(kbps)).map(|kbps| (kbps * 1_000.0) as u64)
}

#[cfg(test)]
mod tests;
