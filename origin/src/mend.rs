//! Mends a source that viewers over WebRTC cannot be given: where its pictures are shown in another order
//! than they are sent in (B-frames), they go through a re-encoder on their way from the ingest to the take,
//! and the sound beside them untouched.
//!
//! Tags with the instant of their arrival go in and come out, so neither side knows of it. Whoever has it
//! says what time it is, and awaits [`Mend::ready`]; ffmpeg is [`transcode::video`](crate::transcode::video)'s.
//! Where it cannot be done the source goes on as it is: see [`Why`].

mod health;

use std::time::Duration;

use bytes::Bytes;
use lectern_relay_proto::UtcTime;

use self::health::Health;
use crate::clock;
use crate::ingest::h264::ParameterSets;
use crate::ingest::{Order, Tag};
use crate::transcode::video::{Codec, Coded, Interleave, Reencoded, Reencoder, Reencoders};

/// For how long the first pictures of a source are held whose parameter sets do not say whether there are
/// B-frames: those of an encoder that uses them show it by the fifth. The take holds as much in any case.
const HOLD_MAX: Duration = Duration::from_millis(300);
/// A re-encoder that has had pictures for so long and made none is given up: it may say nothing for ever.
const SILENT_MAX: Duration = Duration::from_secs(5);
/// What is held meanwhile, in tags and in bytes; with more, it goes on as it is.
const HELD_MAX: usize = 128;
const HELD_BYTES_MAX: usize = 8 << 20;

/// What becomes of a source's picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mending {
    /// It goes on as it is: nothing is wrong with it, or nothing is re-encoded here.
    #[default]
    Off,
    /// It is about to be re-encoded.
    Starting,
    /// It is re-encoded.
    Running {
        /// By how much the latest pictures of a second leave later than they came, in milliseconds.
        delay_ms: u32,
    },
    /// It goes on as it is, though it should not.
    Impossible(Why),
}

/// Why a source is not mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// As many sources are re-encoded as may be; it is tried again with every keyframe.
    #[error("this server re-encodes as many broadcasts as it may")]
    Busy,
    /// ffmpeg ended twice within a minute, or made nothing of what it had for seconds. It is not tried again before the publisher connects anew.
    #[error("the re-encoder of this server fails")]
    Fails,
    /// ffmpeg is too slow, for good. It is not tried again before the publisher connects anew.
    #[error("this server is too slow to re-encode it")]
    Slow,
}

impl Why {
    /// A short fixed name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Fails => "fails",
            Self::Slow => "slow",
        }
    }
}

/// Pictures that were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The re-encoder was behind, had just been started anew, or was given up: up to the next keyframe.
    pub behind: u64,
    /// Made too late for the sound that had left.
    pub late: u64,
}

/// Tags that go on, each with the instant at which its source came.
pub type Out = Vec<(Tag, UtcTime)>;

/// One publisher's.
#[derive(Debug)]
pub struct Mend {
    /// `None`: nothing is mended.
    reencoders: Option<Reencoders>,
    /// The configuration of the source that came last, and the one that the take has.
    avcc: Bytes,
    told: Bytes,
    order: Order,
    clock: SourceClock,
    phase: Phase,
    interleave: Interleave,
    health: Health,
    /// Since when the re-encoder has pictures and has made none.
    handed: Option<UtcTime>,
    /// The re-encoder was given up.
    never: Option<Why>,
    /// There was no place at the last keyframe.
    busy: bool,
    /// What the re-encoder said that was not handled yet.
    made: Option<Reencoded>,
    left: Left,
}

#[derive(Debug)]
enum Phase {
    /// Until it is known whether there are B-frames.
    Holding { held: Out, bytes: usize, since: Option<UtcTime> },
    /// Everything goes on. `broken`: pictures only from the next keyframe on.
    AsIs { broken: bool },
    /// Pictures go through ffmpeg.
    Running { reencoder: Box<Reencoder>, resume: Resume },
}

/// How a re-encoder that broke off goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resume {
    /// It takes pictures.
    Takes,
    /// It takes none yet.
    Waits,
    /// It takes the next keyframe.
    AtKeyframe,
}

/// The source's timestamps, unwrapped.
#[derive(Debug, Default)]
struct SourceClock {
    last: Option<(u32, UtcTime)>,
    ms: i64,
}

impl Mend {
    /// Mends by one of `reencoders`; without them, nothing.
    pub fn new(reencoders: Option<Reencoders>) -> Self {
        Self {
            reencoders: reencoders.filter(|can| can.codecs().contains(&Codec::H264)),
            avcc: Bytes::new(),
            told: Bytes::new(),
            order: Order::default(),
            clock: SourceClock::default(),
            phase: Phase::AsIs { broken: false },
            interleave: Interleave::default(),
            health: Health::default(),
            handed: None,
            never: None,
            busy: false,
            made: None,
            left: Left::default(),
        }
    }

    /// Lets go of everything, as if nothing had come.
    pub fn stop(&mut self) {
        *self = Self::new(self.reencoders.take());
    }

    /// Takes a tag that came at `arrived`.
    pub fn push(&mut self, tag: Tag, arrived: UtcTime, out: &mut Out) {
        if self.reencoders.is_none() {
            out.push((tag, arrived));
            return;
        }
        match tag {
            Tag::VideoConfig { avcc } => self.configure(avcc, arrived, out),
            Tag::Video { timestamp_ms, composition_ms, keyframe, .. } => {
                self.look(timestamp_ms, composition_ms, keyframe, arrived);
                self.dispatch(tag, arrived, out);
            }
            _ => self.dispatch(tag, arrived, out),
        }
    }

    /// Completes when the re-encoder has something to hand on. Nothing is lost if this is dropped before.
    pub async fn ready(&mut self) {
        match &mut self.phase {
            _ if self.made.is_some() => {}
            Phase::Running { reencoder, .. } => {
                // It never ends by itself; one that panicked has failed.
                self.made = Some(reencoder.next().await.unwrap_or(Reencoded::BrokeOff));
            }
            Phase::Holding { .. } | Phase::AsIs { .. } => std::future::pending().await,
        }
    }

    /// Hands on what is [ready](Self::ready) at `now`.
    pub fn handle_ready(&mut self, now: UtcTime, out: &mut Out) {
        let Some(made) = self.made.take() else { return };
        let Phase::Running { resume, .. } = &mut self.phase else { return };
        match made {
            Reencoded::Tag(tag) => {
                let is_picture = matches!(tag, Tag::Video { .. });
                if is_picture {
                    self.handed = None;
                }
                match self.interleave.made(tag, now) {
                    Some((tag, arrived)) => {
                        if is_picture {
                            self.health.made(now.saturating_since(arrived), now);
                        }
                        out.push((tag, arrived));
                    }
                    None => self.left.late += 1,
                }
            }
            Reencoded::BrokeOff => {
                *resume = Resume::Waits;
                self.handed = None;
                self.interleave.break_off();
                self.health.failed(now);
            }
            Reencoded::NeedsKeyframe => *resume = Resume::AtKeyframe,
        }
        self.release_sound(now, out);
        self.give_up_if_hopeless(now, out);
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn timeout(&self) -> Option<UtcTime> {
        let silent = self.handed.map(|since| since + SILENT_MAX);
        self.interleave.timeout().into_iter().chain(silent).min()
    }

    /// Hands on sound that has waited for long enough, and gives up a re-encoder that makes nothing.
    pub fn handle_timeout(&mut self, now: UtcTime, out: &mut Out) {
        self.release_sound(now, out);
        if self.handed.is_some_and(|since| now.saturating_since(since) >= SILENT_MAX) {
            self.health.silent();
            self.give_up_if_hopeless(now, out);
        }
    }

    /// Hands on what is held, since no tag follows. What ffmpeg has is lost: a tenth of a second.
    pub fn end(&mut self, now: UtcTime, out: &mut Out) {
        self.release_held(out);
        self.go_as_is(now, out);
    }

    /// What becomes of the picture.
    pub fn state(&self) -> Mending {
        match (&self.phase, self.never) {
            (_, Some(why)) if self.order.is_changed() => Mending::Impossible(why),
            (Phase::Running { .. }, _) => match self.health.delay_ms() {
                Some(delay_ms) => Mending::Running { delay_ms },
                None => Mending::Starting,
            },
            _ if self.wants() && self.busy => Mending::Impossible(Why::Busy),
            _ if self.wants() => Mending::Starting,
            _ => Mending::Off,
        }
    }

    /// What was left out since this was last asked.
    pub fn take_left(&mut self) -> Left {
        std::mem::take(&mut self.left)
    }

    /// Whether pictures are to be re-encoded.
    fn wants(&self) -> bool {
        self.order.is_changed() && self.never.is_none() && self.reencoders.is_some()
    }

    /// Takes a configuration of the source. One that repeats itself says nothing.
    fn configure(&mut self, avcc: Bytes, arrived: UtcTime, out: &mut Out) {
        if avcc == self.avcc {
            return;
        }
        self.release_held(out);
        let first = std::mem::replace(&mut self.avcc, avcc).is_empty();
        self.clock = SourceClock::default();
        let sets = ParameterSets::from_avcc(&self.avcc).ok();
        let undecided = sets.as_ref().is_none_or(|sets| sets.reorder_frames_max.is_none());
        if undecided && matches!(self.phase, Phase::Running { .. }) {
            // It reordered pictures before, and most likely goes on.
            return;
        }
        self.order = sets.as_ref().map(Order::stated).unwrap_or_default();
        match &self.phase {
            Phase::AsIs { .. } if first && undecided => {
                self.phase = Phase::Holding { held: Vec::new(), bytes: 0, since: None };
            }
            // The take hears of it only if pictures of it follow: see [`Self::begin_group`].
            Phase::AsIs { .. } if !self.wants() => self.tell(arrived, out),
            _ => {}
        }
    }

    /// Looks at the order of a picture.
    fn look(&mut self, timestamp_ms: u32, composition_ms: i32, keyframe: bool, arrived: UtcTime) {
        let (decoded_ms, jumped) = self.clock.read(timestamp_ms, arrived);
        if jumped {
            self.order.break_off();
            // ffmpeg begins anew with a keyframe of the new times.
            if let Phase::Running { resume: resume @ Resume::Takes, .. } = &mut self.phase {
                *resume = Resume::AtKeyframe;
            }
        }
        if self.order.picture(decoded_ms + i64::from(composition_ms), keyframe) {
            tracing::info!("the encoder sends B-frames");
        }
    }

    fn dispatch(&mut self, tag: Tag, arrived: UtcTime, out: &mut Out) {
        if let Phase::Holding { held, bytes, since } = &mut self.phase {
            let is_picture = matches!(tag, Tag::Video { .. });
            *bytes += tag.media().map_or(0, |(_, data)| data.len());
            held.push((tag, arrived));
            if is_picture {
                since.get_or_insert(arrived);
            }
            let waited = since.is_some_and(|since| arrived.saturating_since(since) >= HOLD_MAX);
            let full = held.len() >= HELD_MAX || *bytes >= HELD_BYTES_MAX;
            if waited || full || self.order.is_changed() {
                self.release_held(out);
            }
            return;
        }
        if let Tag::Video { keyframe: true, .. } = tag {
            self.begin_group(arrived, out);
        }
        match (&mut self.phase, tag) {
            (Phase::Running { .. }, tag @ Tag::Video { .. }) => self.reencode(tag, arrived, out),
            (
                Phase::Running { .. },
                tag @ (Tag::Audio { .. } | Tag::AudioConfig { .. } | Tag::OpusConfig { .. }),
            ) => {
                self.interleave.sound(tag, arrived);
                self.release_sound(arrived, out);
            }
            (Phase::AsIs { broken }, Tag::Video { keyframe, .. }) if *broken && !keyframe => {
                self.left.behind += 1;
            }
            (_, tag) => out.push((tag, arrived)),
        }
    }

    /// Ends the holding: what was held goes the way that is known by now.
    fn release_held(&mut self, out: &mut Out) {
        if !matches!(self.phase, Phase::Holding { .. }) {
            return;
        }
        let as_is = Phase::AsIs { broken: false };
        let Phase::Holding { held, .. } = std::mem::replace(&mut self.phase, as_is) else { return };
        if let Some((_, arrived)) = held.first().filter(|_| !self.wants()) {
            self.tell(*arrived, out);
        }
        for (tag, arrived) in held {
            self.dispatch(tag, arrived, out);
        }
    }

    /// A keyframe follows, at which one may go from the source to the re-encoder and back.
    fn begin_group(&mut self, now: UtcTime, out: &mut Out) {
        match &self.phase {
            Phase::AsIs { .. } if self.wants() => {
                let reencoders = self.reencoders.as_ref();
                match reencoders.and_then(|reencoders| reencoders.start(Codec::H264)) {
                    Some(reencoder) => {
                        tracing::info!("the picture is re-encoded from here on: it has B-frames");
                        (self.busy, self.told) = (false, Bytes::new());
                        self.health = Health::default();
                        let reencoder = Box::new(reencoder);
                        self.phase = Phase::Running { reencoder, resume: Resume::Takes };
                    }
                    None => {
                        if !std::mem::replace(&mut self.busy, true) {
                            tracing::warn!(
                                "the picture has B-frames, and is not re-encoded: {}",
                                Why::Busy
                            );
                        }
                        self.tell(now, out);
                    }
                }
            }
            Phase::Running { .. } if !self.wants() => {
                tracing::info!("the picture is not re-encoded any more: it needs not be");
                self.go_as_is(now, out);
                self.tell(now, out);
            }
            _ => self.tell_if_as_is(now, out),
        }
        if let Phase::AsIs { broken } = &mut self.phase {
            *broken = false;
        }
    }

    fn tell_if_as_is(&mut self, now: UtcTime, out: &mut Out) {
        if matches!(self.phase, Phase::AsIs { .. }) {
            self.tell(now, out);
        }
    }

    /// Hands on the configuration of the source, if the take has another one.
    fn tell(&mut self, now: UtcTime, out: &mut Out) {
        if self.told != self.avcc {
            self.told = self.avcc.clone();
            out.push((Tag::VideoConfig { avcc: self.avcc.clone() }, now));
        }
    }

    fn reencode(&mut self, tag: Tag, arrived: UtcTime, out: &mut Out) {
        let Phase::Running { reencoder, resume } = &mut self.phase else { return };
        let Tag::Video { timestamp_ms, composition_ms, keyframe, data } = tag else { return };
        if keyframe && *resume == Resume::AtKeyframe {
            *resume = Resume::Takes;
        }
        if *resume != Resume::Takes {
            self.left.behind += 1;
            return;
        }
        let setup = if keyframe { self.avcc.clone() } else { Bytes::new() };
        let timestamp_ms = timestamp_ms.wrapping_add_signed(composition_ms);
        let was_behind = reencoder.is_behind();
        if reencoder.push(Coded { timestamp_ms, keyframe, setup, data }) {
            self.interleave.coded(timestamp_ms, arrived);
            self.handed.get_or_insert(arrived);
            return;
        }
        self.left.behind += 1;
        if !was_behind {
            self.health.fell_behind(arrived);
            self.give_up_if_hopeless(arrived, out);
        }
    }

    fn release_sound(&mut self, now: UtcTime, out: &mut Out) {
        while let Some(sound) = self.interleave.pop(now) {
            out.push(sound);
        }
    }

    fn give_up_if_hopeless(&mut self, now: UtcTime, out: &mut Out) {
        let Some(why) = self.health.hopeless() else { return };
        tracing::warn!("the picture has B-frames, and is not re-encoded any more: {why}");
        self.never = Some(why);
        self.go_as_is(now, out);
    }

    /// Lets go of the re-encoder and of what it has: the source follows from its next keyframe on.
    fn go_as_is(&mut self, now: UtcTime, out: &mut Out) {
        if matches!(self.phase, Phase::Running { .. }) {
            self.phase = Phase::AsIs { broken: true };
        }
        (self.made, self.handed) = (None, None);
        self.interleave.break_off();
        self.release_sound(now, out);
    }
}

impl SourceClock {
    /// The time of a picture on a clock that does not wrap, and whether the source's jumped, by the rules of
    /// the take's.
    fn read(&mut self, timestamp_ms: u32, arrived: UtcTime) -> (i64, bool) {
        let (step, elapsed) = self.last.map_or((0, 0), |(last, before)| {
            (clock::step(last, timestamp_ms), clock::millis_between(before, arrived))
        });
        self.last = Some((timestamp_ms, arrived));
        self.ms += step;
        let jumped =
            step < -clock::BACKWARD_JUMP_MS_MAX || step - elapsed > clock::FORWARD_JUMP_MS_MAX;
        (self.ms, jumped)
    }
}

#[cfg(test)]
mod tests;
