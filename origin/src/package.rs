//! Frames to CMAF chunks in groups: where a broadcast is cut, decided once, here.
//!
//! A group begins at each video keyframe and audio is cut where video is, so every edge that reads
//! the groups makes the same segments. A period is one set of tracks on one segment grid. Pure:
//! time comes with the frames, output is drained by the caller.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::cmaf::{self, AAC_FRAMES_PER_CHUNK, Chunk};
use lectern_relay_proto::{Frame, GroupId, MediaTime, SegmentGrid, Timescale, TrackName, UtcTime};

/// Group length of a broadcast without video.
const AUDIO_ONLY_GROUP: Duration = Duration::from_secs(1);
/// RFC 7587 §4.2, as ours are.
const OPUS_FRAME_MS: u64 = 20;
/// Group starts that an audio track may lag behind. More means that it has stopped, and it then
/// goes on in a later group.
const PENDING_GROUPS_MAX: usize = 64;

/// Which of a period's tracks a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The video rendition of the host.
    Video,
    /// Opus, made from the host's AAC or as the host sent it.
    Opus,
    /// AAC as the host sent it.
    Aac,
}

impl Lane {
    /// The track that carries this lane.
    pub fn track(self) -> TrackName {
        let name = match self {
            Self::Video => TrackName::VIDEO_MAIN,
            Self::Opus => TrackName::AUDIO_OPUS,
            Self::Aac => TrackName::AUDIO_AAC,
        };
        TrackName::new(name).expect("constants are valid names")
    }
}

/// A chunk and where it belongs.
#[derive(Clone, Debug)]
pub struct Packaged {
    /// The track.
    pub lane: Lane,
    /// The group.
    pub group: GroupId,
    /// Decode time of the chunk's first frame.
    pub time: MediaTime,
    /// When its first frame reached the origin.
    pub arrived: UtcTime,
    /// `prft`, `moof` and `mdat`.
    pub bytes: Bytes,
}

/// What the packager did with a video frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was packaged.
    Taken,
    /// It came before the period's first keyframe and cannot be decoded.
    BeforeKeyframe,
    /// It is a keyframe that must begin a new period on this grid, since on the current one a
    /// segment number would be skipped. The caller begins it and offers the frame again.
    NeedsPeriod(SegmentGrid),
}

/// Packages one period.
#[derive(Debug)]
pub struct Packager {
    grid: SegmentGrid,
    has_video: bool,
    video_timing: VideoTiming,
    /// The newest group and its start.
    current: Option<(GroupId, MediaTime)>,
    longest_group: Duration,
    opus: AudioLane,
    aac: AudioLane,
    period: u32,
    sequence: u32,
}

/// An audio track's own place: it follows the group starts at its own pace.
#[derive(Debug)]
struct AudioLane {
    lane: Lane,
    frames_per_chunk: usize,
    at: Option<GroupId>,
    upcoming: VecDeque<(GroupId, MediaTime)>,
    held: Vec<Frame>,
}

/// Keeps decode times rising and knows the running cadence.
#[derive(Debug)]
struct VideoTiming {
    last: Option<Timed>,
    cadence_ticks: u32,
}

/// When the last frame was, and when it was said to be.
#[derive(Clone, Copy, Debug)]
struct Timed {
    real_ticks: u64,
    dts_ticks: u64,
    duration_ticks: u32,
}

impl Packager {
    /// A packager for period `period` on `grid`. `cadence` is the expected distance of video
    /// frames, used until two frames have been seen.
    pub fn new(period: u32, grid: SegmentGrid, has_video: bool, cadence: Duration) -> Self {
        let cadence_ticks = (cadence.as_secs_f64() * f64::from(Timescale::VIDEO.hz())) as u32;
        Self {
            grid,
            has_video,
            video_timing: VideoTiming { last: None, cadence_ticks },
            current: None,
            longest_group: Duration::ZERO,
            opus: AudioLane::new(Lane::Opus, 1),
            aac: AudioLane::new(Lane::Aac, AAC_FRAMES_PER_CHUNK),
            period,
            sequence: 0,
        }
    }

    /// Whether a group has begun, so that audio has a place to go to.
    pub fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// The number of the segment to which the newest group belongs.
    pub fn last_number(&self) -> Option<u64> {
        // The tracks do not begin a group at the same instant where there is no picture to begin it
        // with, and edges go by Opus: its frame may lie behind the next point of the grid.
        let (_, began) = self.current?;
        if self.has_video {
            return Some(self.grid.number(began));
        }
        let latest_ms = began.as_micros() / 1_000 + OPUS_FRAME_MS;
        Some(self.grid.number(MediaTime::from_millis(latest_ms)))
    }

    /// Packages one video frame. `frame.duration` is replaced by the running cadence.
    pub fn push_video(
        &mut self,
        mut frame: Frame,
        out: &mut Vec<Packaged>,
    ) -> Result<Verdict, cmaf::Error> {
        if frame.keyframe {
            if let Some(grid) = self.grid_needed_at(frame.dts) {
                return Ok(Verdict::NeedsPeriod(grid));
            }
            self.begin_group(frame.dts);
        }
        let Some((group, _)) = self.current else {
            return Ok(Verdict::BeforeKeyframe);
        };
        self.video_timing.apply(&mut frame);
        out.push(self.chunk(Lane::Video, group, &[frame])?);
        Ok(Verdict::Taken)
    }

    /// Packages one audio frame. Audio before the first group is dropped: there is no picture yet
    /// for it to belong to.
    pub fn push_audio(
        &mut self,
        lane: Lane,
        frame: Frame,
        out: &mut Vec<Packaged>,
    ) -> Result<(), cmaf::Error> {
        if !self.has_video {
            self.begin_audio_group_if_due(frame.dts);
        }
        let audio = match lane {
            Lane::Aac => &mut self.aac,
            Lane::Opus | Lane::Video => &mut self.opus,
        };
        let lane = audio.lane;
        for (group, frames) in audio.push(frame) {
            let packaged = self.chunk(lane, group, &frames)?;
            out.push(packaged);
        }
        Ok(())
    }

    /// Packages what is held back. Call it when the period ends.
    pub fn flush(&mut self, out: &mut Vec<Packaged>) -> Result<(), cmaf::Error> {
        let rest = [self.opus.take_held(), self.aac.take_held()];
        for (lane, group, frames) in rest.into_iter().flatten() {
            out.push(self.chunk(lane, group, &frames)?);
        }
        Ok(())
    }

    /// The grid that a new period must have if the group that begins at `start` would skip a
    /// segment number on this one, or has no index left.
    fn grid_needed_at(&mut self, start: MediaTime) -> Option<SegmentGrid> {
        let (group, began) = self.current?;
        self.longest_group = self.longest_group.max(start.saturating_since(began));
        let skips = self.grid.number(start) > self.grid.number(began) + 1;
        let full = group.index == GroupId::INDEX_MAX;
        let longest_ms = u64::try_from(self.longest_group.as_millis()).unwrap_or(u64::MAX);
        let wanted = SegmentGrid::covering(longest_ms);
        (skips || full).then(|| {
            if wanted.duration_ms() > self.grid.duration_ms() { wanted } else { self.grid }
        })
    }

    fn begin_group(&mut self, start: MediaTime) {
        let group = match self.current {
            Some((group, _)) => group.next(),
            None => GroupId { period: self.period, index: 0 },
        };
        self.current = Some((group, start));
        self.opus.announce(group, start);
        self.aac.announce(group, start);
    }

    fn begin_audio_group_if_due(&mut self, now: MediaTime) {
        let due = match self.current {
            Some((_, began)) => now.saturating_since(began) >= AUDIO_ONLY_GROUP,
            None => true,
        };
        if due {
            self.begin_group(now);
        }
    }

    fn chunk(
        &mut self,
        lane: Lane,
        group: GroupId,
        frames: &[Frame],
    ) -> Result<Packaged, cmaf::Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let chunk: Chunk = cmaf::write_chunk(self.sequence, frames)?;
        let first = &frames[0];
        Ok(Packaged { lane, group, time: first.dts, arrived: first.arrived, bytes: chunk.bytes })
    }
}

impl AudioLane {
    fn new(lane: Lane, frames_per_chunk: usize) -> Self {
        Self { lane, frames_per_chunk, at: None, upcoming: VecDeque::new(), held: Vec::new() }
    }

    fn announce(&mut self, group: GroupId, start: MediaTime) {
        if self.upcoming.len() == PENDING_GROUPS_MAX {
            self.at = self.upcoming.pop_front().map(|(group, _)| group);
        }
        self.upcoming.push_back((group, start));
    }

    /// Takes a frame and gives back the chunks that are now complete, at most two: what was held
    /// for the group before, and a full chunk.
    fn push(&mut self, frame: Frame) -> impl Iterator<Item = (GroupId, Vec<Frame>)> + use<> {
        let mut moved = None;
        while let Some((group, start)) = self.upcoming.front().copied() {
            if frame.dts < start {
                break;
            }
            self.upcoming.pop_front();
            let left = self.at.replace(group);
            if !self.held.is_empty() {
                moved = left.map(|left| (left, std::mem::take(&mut self.held)));
            }
        }
        let mut full = None;
        if let Some(group) = self.at {
            self.held.push(frame);
            if self.held.len() == self.frames_per_chunk {
                full = Some((group, std::mem::take(&mut self.held)));
            }
        }
        moved.into_iter().chain(full)
    }

    fn take_held(&mut self) -> Option<(Lane, GroupId, Vec<Frame>)> {
        let group = self.at?;
        let frames = std::mem::take(&mut self.held);
        (!frames.is_empty()).then_some((self.lane, group, frames))
    }
}

impl VideoTiming {
    /// Clamps a decode time that does not rise, moving the composition offset the other way so that
    /// the picture is still shown when it should be, and writes the running cadence as duration.
    ///
    /// A picture that comes late, because the encoder left some out, is decoded when it was due, shown
    /// when it should be, and lasts until the next is due: where the decode time leaps by more than
    /// twice the duration of the picture before, which was told too soon to know, players drop all
    /// pictures up to the next keyframe (Media Source Extensions §3.5.8, coded frame processing).
    fn apply(&mut self, frame: &mut Frame) {
        let (real, cadence) = (frame.dts.ticks, self.cadence_ticks);
        let mut late = 0;
        if let Some(last) = self.last {
            let due = last.dts_ticks + u64::from(last.duration_ticks);
            if real <= last.dts_ticks {
                frame.dts.ticks = last.dts_ticks + 1;
            } else if !frame.keyframe && real > due + u64::from(last.duration_ticks / 2) {
                late = u32::try_from(real - due).unwrap_or(u32::MAX);
                frame.dts.ticks = due;
            }
            let shift = real as i64 - frame.dts.ticks as i64;
            let shift = shift.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            frame.composition_offset = frame.composition_offset.saturating_add(shift);
            // Neither a pause nor a step back is a cadence.
            let step = u32::try_from(real.saturating_sub(last.real_ticks)).unwrap_or(u32::MAX);
            if (1..Timescale::VIDEO.hz()).contains(&step) {
                self.cadence_ticks = step;
            }
        }
        frame.duration = match late {
            0 => self.cadence_ticks,
            late => cadence.saturating_add(late),
        };
        self.last = Some(Timed {
            real_ticks: real.max(self.last.map_or(0, |last| last.real_ticks)),
            dts_ticks: frame.dts.ticks,
            duration_ticks: frame.duration,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CADENCE: Duration = Duration::from_millis(33);

    fn frame(ms: u64, timescale: Timescale, keyframe: bool) -> Frame {
        Frame {
            dts: MediaTime::from_millis(ms).rescale(timescale),
            composition_offset: 0,
            duration: timescale.hz() / 50,
            keyframe,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
            arrived: UtcTime::from_millis(1_795_000_000_000 + ms),
        }
    }

    fn video(ms: u64, keyframe: bool) -> Frame {
        frame(ms, Timescale::VIDEO, keyframe)
    }

    fn opus(ms: u64) -> Frame {
        frame(ms, Timescale::OPUS, true)
    }

    fn packager(has_video: bool) -> Packager {
        Packager::new(5, SegmentGrid::new(2_000), has_video, CADENCE)
    }

    fn group(index: u32) -> GroupId {
        GroupId { period: 5, index }
    }

    fn groups(out: &[Packaged], lane: Lane) -> Vec<(u64, u32)> {
        let of_lane = out.iter().filter(|packaged| packaged.lane == lane);
        of_lane.map(|packaged| (packaged.time.as_micros() / 1_000, packaged.group.index)).collect()
    }

    #[test]
    fn nothing_goes_out_before_the_first_keyframe() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        let verdict = packager.push_video(video(0, false), &mut out).expect("write");
        assert_eq!(verdict, Verdict::BeforeKeyframe);
        packager.push_audio(Lane::Opus, opus(0), &mut out).expect("write");
        assert!(out.is_empty());
    }

    #[test]
    fn audio_is_cut_where_video_is_whichever_comes_first() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        packager.push_video(video(0, true), &mut out).expect("write");
        packager.push_audio(Lane::Opus, opus(0), &mut out).expect("write");
        packager.push_video(video(1_000, true), &mut out).expect("write");
        for ms in [960, 980, 1_000, 1_020] {
            packager.push_audio(Lane::Opus, opus(ms), &mut out).expect("write");
        }
        let expect = [(0, 0), (960, 0), (980, 0), (1_000, 1), (1_020, 1)];
        assert_eq!(groups(&out, Lane::Opus), expect);
    }

    #[test]
    fn aac_chunks_never_cross_a_group() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        packager.push_video(video(0, true), &mut out).expect("write");
        packager.push_video(video(60, true), &mut out).expect("write");
        for ms in (0..140).step_by(20) {
            packager
                .push_audio(Lane::Aac, frame(ms, Timescale::OPUS, true), &mut out)
                .expect("write");
        }
        assert_eq!(groups(&out, Lane::Aac), [(0, 0)], "two wait for three more");
        packager.push_audio(Lane::Aac, frame(140, Timescale::OPUS, true), &mut out).expect("write");
        assert_eq!(groups(&out, Lane::Aac), [(0, 0), (60, 1)]);
        packager.push_audio(Lane::Aac, frame(160, Timescale::OPUS, true), &mut out).expect("write");
        packager.flush(&mut out).expect("write");
        assert_eq!(groups(&out, Lane::Aac), [(0, 0), (60, 1), (160, 1)]);
    }

    #[test]
    fn audio_alone_is_grouped_by_its_own_clock() {
        let (mut packager, mut out) = (packager(false), Vec::new());
        for ms in (0..2_100).step_by(20) {
            packager.push_audio(Lane::Opus, opus(ms), &mut out).expect("write");
        }
        assert_eq!(out.first().map(|packaged| packaged.group), Some(group(0)));
        assert_eq!(out.last().map(|packaged| packaged.group), Some(group(2)));
    }

    #[test]
    fn a_group_too_long_for_the_grid_asks_for_a_new_period_that_covers_it() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        packager.push_video(video(0, true), &mut out).expect("write");
        packager.push_video(video(4_000, false), &mut out).expect("write");
        let verdict = packager.push_video(video(8_334, true), &mut out).expect("write");
        assert_eq!(verdict, Verdict::NeedsPeriod(SegmentGrid::new(9_000)));
    }

    #[test]
    fn decode_times_rise_and_pictures_keep_their_moment() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        for (ms, keyframe) in [(100, true), (133, false), (120, false), (166, false)] {
            packager.push_video(video(ms, keyframe), &mut out).expect("write");
        }
        let read = |packaged: &Packaged| {
            let chunk =
                cmaf::read_chunk(packaged.bytes.clone(), Timescale::VIDEO).expect("own chunk");
            let frame = &chunk.frames[0];
            (frame.dts.ticks, frame.dts.ticks.strict_add_signed(frame.composition_offset.into()))
        };
        let times: Vec<_> = out.iter().map(read).collect();
        let expect = [(9_000, 9_000), (11_970, 11_970), (11_971, 10_800), (14_940, 14_940)];
        assert_eq!(times, expect);
    }

    #[test]
    fn where_an_encoder_leaves_pictures_out_decode_times_do_not_leap() {
        let (mut packager, mut out) = (packager(true), Vec::new());
        // Three are missing after 80 ms; then one comes every 80 ms instead of every 40.
        for ms in [0, 40, 80, 240, 280, 320, 400, 480, 560] {
            packager.push_video(video(ms, ms == 0), &mut out).expect("write");
        }
        packager.push_video(video(2_000, true), &mut out).expect("write");
        let frames: Vec<Frame> = out
            .iter()
            .flat_map(|packaged| {
                let bytes = packaged.bytes.clone();
                cmaf::read_chunk(bytes, Timescale::VIDEO).expect("own chunk").frames
            })
            .collect();
        let ms = |ticks: u64| ticks / 90;
        let shown = frames
            .iter()
            .map(|frame| ms(frame.dts.ticks.strict_add_signed(frame.composition_offset.into())));
        assert_eq!(shown.collect::<Vec<_>>(), [0, 40, 80, 240, 280, 320, 400, 480, 560, 2_000]);
        for pair in frames.windows(2).filter(|pair| !pair[1].keyframe) {
            let leap = pair[1].dts.ticks - pair[0].dts.ticks;
            assert!(leap <= 2 * u64::from(pair[0].duration), "{pair:?}");
        }
        let missed = &frames[3];
        assert_eq!((ms(missed.dts.ticks), ms(missed.duration.into())), (120, 160));
    }

    proptest! {
        #[test]
        fn whatever_the_keyframes_no_segment_number_is_skipped(
            lengths in prop::collection::vec(1u64..12_000, 1..40),
        ) {
            let (mut packager, mut out) = (packager(true), Vec::new());
            let (mut t, mut numbers) = (0, Vec::new());
            for length in lengths {
                if let Verdict::NeedsPeriod(grid) = packager.push_video(video(t, true), &mut out).expect("write") {
                    packager = Packager::new(6, grid, true, CADENCE);
                    numbers.clear();
                    let verdict = packager.push_video(video(t, true), &mut out).expect("write");
                    prop_assert_eq!(verdict, Verdict::Taken);
                }
                numbers.push(packager.grid.number(MediaTime::from_millis(t)));
                t += length;
            }
            prop_assert!(numbers.windows(2).all(|pair| pair[1] - pair[0] <= 1));
        }
    }
}
