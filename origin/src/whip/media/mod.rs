//! The media of one session: RTP packets in, tags out, and when to ask for a keyframe. Pure: what the
//! library decrypted comes in, with the time.
//!
//! [`assemble`] puts packets in order and makes pictures of them with [`depacketize`]; [`clock`] has
//! picture and sound on one timeline.

mod assemble;
mod clock;
mod depacketize;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lectern_relay_proto::UtcTime;

use self::assemble::{Assembler, Packet, Unit};
use self::clock::Clock;
pub(super) use self::clock::Kind;
use self::depacketize::{Format, Picture};
use super::offer::{Chosen, Video};
use crate::ingest::{Tag, h264};
use crate::transcode::video::Coded;

/// Browsers send a keyframe when asked to, and else hardly ever. This often viewers can join, and a
/// segment begins. Counted from the first one and not from the last, so that groups are as long as the
/// grid of segments wants them although an answer takes its time.
const KEYFRAME_EVERY: Duration = Duration::from_secs(2);
/// From the first keyframe to the second that is asked for. A broadcast's first picture lies where one
/// segment of two seconds ends and the next begins, and those that follow are asked for here, and not two
/// seconds after it each, so that a few milliseconds more or less put none on the other side.
const KEYFRAME_SECOND: Duration = Duration::from_millis(1_500);
/// Where the picture cannot go on without one, it is asked for again after this long.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// Browsers send packets of one or two channels as they like, and all of them can be decoded to two.
const OPUS_CHANNELS: u8 = 2;

/// What the packets made.
#[derive(Debug, PartialEq)]
pub(super) enum Made {
    /// For the take as it is.
    Tag(Tag),
    /// A picture to be re-encoded.
    Coded(Coded),
}

/// What was left out since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Pictures of which packets were lost, or that could not be read.
    pub(super) lost: u64,
    /// Pictures that depended on them.
    pub(super) undecodable: u64,
}

/// A packet as the library gives it out.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) kind: Kind,
    /// Sequence number and timestamp, extended so that they do not wrap.
    pub(super) number: u64,
    pub(super) ticks: u64,
    pub(super) marker: bool,
    pub(super) payload: Arc<[u8]>,
}

/// Both streams of a session.
#[derive(Debug)]
pub(super) struct Media {
    video: Option<VideoStream>,
    audio: Option<AudioStream>,
    clock: Clock,
    left: Left,
}

#[derive(Debug)]
struct VideoStream {
    codec: Video,
    assembler: Assembler,
    /// Nothing can be decoded before the next keyframe.
    broken: bool,
    /// Whether any packet has come, so that there is somebody to ask.
    begun: bool,
    /// When the next keyframe is asked for in turn.
    due: Option<Instant>,
    asked: Option<Instant>,
    keyframe: Option<Instant>,
    /// H.264: what came with the pictures, and the record that was made of it.
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
    avcc: Bytes,
}

#[derive(Debug)]
struct AudioStream {
    assembler: Assembler,
    described: bool,
}

impl Media {
    /// The media of a session in which this was agreed upon.
    pub(super) fn new(chosen: Chosen) -> Self {
        let audio = AudioStream { assembler: Assembler::new(Format::Opus), described: false };
        Self {
            video: chosen.video.map(VideoStream::new),
            audio: chosen.audio.then_some(audio),
            clock: Clock::default(),
            left: Left::default(),
        }
    }

    /// Takes a packet.
    pub(super) fn push(&mut self, received: Received) {
        let Received { kind, number, ticks, marker, payload } = received;
        let packet = Packet { number, ticks, marker, payload };
        match (kind, &mut self.video, &mut self.audio) {
            (Kind::Video, Some(video), _) => {
                video.begun = true;
                video.assembler.push(packet);
            }
            (Kind::Audio, _, Some(audio)) => audio.assembler.push(packet),
            _ => {}
        }
    }

    /// A sender report: the stream showed `ticks` when the sender's clock showed `sender_us`.
    pub(super) fn report(&mut self, kind: Kind, ticks: u64, sender_us: i64) {
        self.clock.report(kind, ticks, sender_us);
    }

    /// What is whole at `now`, which is `arrived` on the wall clock.
    pub(super) fn drain(&mut self, now: Instant, arrived: UtcTime, out: &mut Vec<Made>) {
        if let Some(audio) = &mut self.audio {
            while let Some(unit) = audio.assembler.pop(now) {
                let Unit::Whole(ticks, packet) = unit else { continue };
                if !audio.described {
                    audio.described = true;
                    out.push(Made::Tag(Tag::OpusConfig { channels: OPUS_CHANNELS }));
                }
                let timestamp_ms = self.clock.map(Kind::Audio, ticks, arrived);
                out.push(Made::Tag(Tag::Audio { timestamp_ms, data: packet.data }));
            }
        }
        if let Some(video) = &mut self.video {
            while let Some(unit) = video.assembler.pop(now) {
                match unit {
                    Unit::Lost => {
                        self.left.lost += 1;
                        video.broken = true;
                    }
                    Unit::Whole(ticks, picture) => {
                        if !video.accepts(&picture, now) {
                            self.left.undecodable += 1;
                            continue;
                        }
                        let timestamp_ms = self.clock.map(Kind::Video, ticks, arrived);
                        video.make(picture, timestamp_ms, out);
                    }
                }
            }
        }
    }

    /// Where the picture cannot go on: what was made of it was not taken.
    pub(super) fn break_off(&mut self) {
        if let Some(video) = &mut self.video {
            video.broken = true;
        }
    }

    /// Whether the publisher is to be asked for a keyframe now. It is taken as asked then.
    pub(super) fn asks_for_keyframe(&mut self, now: Instant) -> bool {
        self.video.as_mut().is_some_and(|video| video.asks(now))
    }

    /// When [`Self::drain`] or [`Self::asks_for_keyframe`] may have something to say.
    pub(super) fn timeout(&self) -> Option<Instant> {
        let audio = self.audio.as_ref().and_then(|audio| audio.assembler.timeout());
        let video = self.video.as_ref().and_then(VideoStream::timeout);
        [audio, video].into_iter().flatten().min()
    }

    /// What was left out since this was last asked.
    pub(super) fn take_left(&mut self) -> Left {
        std::mem::take(&mut self.left)
    }
}

impl VideoStream {
    fn new(codec: Video) -> Self {
        let format = match codec {
            Video::H264 => Format::H264,
            Video::Vp8 => Format::Vp8,
            Video::Vp9 => Format::Vp9,
            Video::Av1 => Format::Av1,
        };
        Self {
            codec,
            assembler: Assembler::new(format),
            broken: true,
            begun: false,
            due: None,
            asked: None,
            keyframe: None,
            sps: Vec::new(),
            pps: Vec::new(),
            avcc: Bytes::new(),
        }
    }

    /// Whether a picture can be decoded.
    fn accepts(&mut self, picture: &Picture, now: Instant) -> bool {
        if picture.keyframe {
            self.broken = false;
            self.keyframe = Some(now);
            // Where it is re-encoded, ffmpeg makes them.
            if self.codec == Video::H264 {
                self.due.get_or_insert(now + KEYFRAME_SECOND);
            }
        }
        !self.broken
    }

    fn make(&mut self, picture: Picture, timestamp_ms: u32, out: &mut Vec<Made>) {
        let Picture { data, keyframe, setup, sps, pps } = picture;
        if self.codec != Video::H264 {
            out.push(Made::Coded(Coded { timestamp_ms, keyframe, setup, data }));
            return;
        }
        if !sps.is_empty() {
            self.sps = sps;
        }
        if !pps.is_empty() {
            self.pps = pps;
        }
        if keyframe
            && let Some(avcc) = h264::record(&self.sps, &self.pps)
            && avcc != self.avcc
        {
            self.avcc = avcc.clone();
            out.push(Made::Tag(Tag::VideoConfig { avcc }));
        }
        if !data.is_empty() {
            out.push(Made::Tag(Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data }));
        }
    }

    fn asks(&mut self, now: Instant) -> bool {
        if !self.begun {
            return false;
        }
        if self.keyframe.is_none() && self.asked.is_none() {
            // Publishers begin with one, which is on its way.
            self.asked = Some(now);
            return false;
        }
        let young = |then: Option<Instant>, age| {
            then.is_some_and(|then| now.saturating_duration_since(then) < age)
        };
        let due = self.due.filter(|due| *due <= now);
        if let Some(due) = due {
            // Steps that were missed, as by a machine that slept, are not made up for.
            let missed = now.duration_since(due).as_nanos() / KEYFRAME_EVERY.as_nanos();
            let steps = u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1);
            self.due = Some(due + KEYFRAME_EVERY.saturating_mul(steps));
        }
        // In turn even if there just was one, out of turn: two groups that are short do no harm, and one
        // that is long may skip a segment.
        let needed = self.broken || due.is_some();
        let asks = needed && !young(self.asked, ASK_AGAIN);
        if asks {
            self.asked = Some(now);
        }
        asks
    }

    fn timeout(&self) -> Option<Instant> {
        let asks = match self.asked {
            _ if !self.begun => None,
            Some(asked) if self.broken => Some(asked + ASK_AGAIN),
            _ => self.due,
        };
        [self.assembler.timeout(), asks].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
