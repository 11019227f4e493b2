//! The media side of a broadcast: frames in, packets out to the workers that have viewers for them.
//!
//! A frame is packetized here once. The history kept here is what a worker's own copy starts from,
//! and what it catches up from when its mailbox was full.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lectern_relay_proto::{
    BroadcastId, Catalog, Frame, GroupId, MediaTime, PublisherState, Timescale, TrackName, UtcTime,
    trace,
};

use super::bitrate::Meter;
use super::established::Established;
use super::history::{History, Unit};
use super::lineup::{Lineup, Refused};
use super::mailbox::{Command, Mailbox, Post};
use super::metrics::{Ended, Metrics};
use super::packetize::{self, Payloads};
use super::renditions::{RENDITIONS_MAX, Renditions};
use super::sdp::{Kind, Wanted};
use super::waiting::News;
use crate::demand::{Interest, Watching};
use crate::traced::Arrival;

/// Video frames of all renditions that are held while the catalog of their period is on its way: it
/// overtakes them or follows within a round trip of the relay. Past this the period's start is lost.
const HELD_FRAMES_MAX: usize = 120;
/// And their bytes.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a viewer of video, and of audio, is taken to cost until it has been measured: full HD of a
/// lecture, and Opus with its headers.
const BITRATE_ASSUMED_BPS: [u64; 2] = [4_000_000, 150_000];

/// A broadcast that this edge knows.
pub(super) struct Broadcast {
    /// Its playback id.
    pub id: BroadcastId,
    /// Its number within the engine.
    pub key: u64,
    mailboxes: Arc<[Mailbox]>,
    metrics: Arc<Metrics>,
    news: News,
    /// Its viewers whose handshake is done.
    pub established: Established,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    catalog: Option<Described>,
    /// What has been described since T0, all of it: nobody who came since then can have joined for more.
    ever: Wanted,
    lineup: Lineup,
    /// Renditions by slot.
    video: [Track; RENDITIONS_MAX],
    audio: Track,
    held: VecDeque<(TrackName, GroupId, Frame)>,
    held_bytes: usize,
    /// Viewers by worker.
    viewers: Vec<usize>,
    /// By which they want the broadcast, and that they do while there is any.
    interest: Option<Interest>,
    watching: Option<Arc<Watching>>,
    feeds: usize,
    /// Whether nobody watches without a viewer token, as of the newest catalog.
    needs_token: bool,
}

/// What the catalog says that a viewer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    /// The instant that media time counts from.
    pub t0: UtcTime,
    /// What can be sent.
    pub wanted: Wanted,
    /// There is video, and none of it can be sent: pictures are not shown in the order they are
    /// decoded.
    pub reordered: bool,
    /// There is video, and none of it can be sent: it is in another codec.
    pub foreign_video: bool,
}

#[derive(Default)]
struct Track {
    history: History,
    serial: u64,
    group: Option<GroupId>,
    /// A keyframe came since the last break.
    decodable: bool,
    bitrate: Meter,
}

/// What a broadcast takes of the edge's egress.
pub(super) struct Egress {
    /// One viewer.
    pub per_viewer: u64,
    /// All that there are.
    pub in_all: u64,
}

/// The frames of a broadcast: what a worker starts from, and then keeps up to date for itself.
pub(super) struct Snapshot {
    /// Video frames.
    pub video: Renditions,
    /// Audio frames.
    pub audio: History,
}

impl Broadcast {
    /// A broadcast without media.
    pub(super) fn new(
        id: BroadcastId,
        key: u64,
        mailboxes: Arc<[Mailbox]>,
        metrics: Arc<Metrics>,
        news: News,
    ) -> Self {
        let inner = Inner { viewers: vec![0; mailboxes.len()], ..Inner::default() };
        let established = Established::default();
        Self { id, key, mailboxes, metrics, news, established, inner: Mutex::new(inner) }
    }

    /// What the catalog says, once there is media too.
    pub(super) fn described(&self) -> Option<Described> {
        let inner = self.lock();
        let described = inner.catalog?;
        let has_frames = |slot: u8| inner.video[usize::from(slot)].history.newest().is_some();
        let video = inner.lineup.listing().iter().any(|listed| has_frames(listed.slot));
        let audio = inner.audio.history.newest().is_some();
        let refused = described.reordered || described.foreign_video;
        let has_media = match described.wanted.video {
            Some(_) => video,
            None => described.wanted.audio && audio,
        };
        (has_media || refused).then_some(described)
    }

    /// A session of `worker` begins: from now on the worker gets every frame.
    pub(super) fn enter(&self, worker: usize) {
        let mut inner = self.lock();
        inner.viewers[worker] += 1;
        inner.watch();
    }

    /// A session of `worker` is over.
    pub(super) fn leave(&self, worker: usize) {
        let mut inner = self.lock();
        inner.viewers[worker] = inner.viewers[worker].saturating_sub(1);
        let last = if inner.has_viewers() { None } else { inner.watching.take() };
        drop(inner);
        drop(last);
    }

    /// By which viewers say that they want the broadcast, from now on.
    pub(super) fn set_interest(&self, interest: Interest) {
        let mut inner = self.lock();
        inner.interest = Some(interest);
        let former = inner.watching.take();
        inner.watch();
        drop(inner);
        drop(former);
    }

    /// How many viewers there are, those included whose handshake is not done.
    pub(super) fn watching(&self) -> u32 {
        let viewers = self.lock().viewers.iter().sum::<usize>();
        u32::try_from(viewers).unwrap_or(u32::MAX)
    }

    /// What one more viewer costs, and how many there are, both in bits per second and on the wire.
    pub(super) fn egress_bps(&self) -> Egress {
        let inner = self.lock();
        let wanted = inner.catalog.map(|described| described.wanted).unwrap_or_default();
        let [video_assumed, audio_assumed] = BITRATE_ASSUMED_BPS;
        let rate = |track: &Track, assumed| track.bitrate.bps().unwrap_or(assumed);
        // Any viewer may have the richest rendition.
        let listed = inner.lineup.listing().iter().map(|listed| usize::from(listed.slot));
        let richest = listed.map(|slot| rate(&inner.video[slot], video_assumed)).max();
        let audio = wanted.audio.then(|| rate(&inner.audio, audio_assumed));
        let per_viewer = richest.into_iter().chain(audio).sum();
        let viewers = inner.viewers.iter().map(|viewers| *viewers as u64).sum::<u64>();
        Egress { per_viewer, in_all: viewers.saturating_mul(per_viewer) }
    }

    /// The frames kept now. Frames that come later are posted.
    pub(super) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        let histories = std::array::from_fn(|slot| inner.video[slot].history.clone());
        let video = Renditions::new(inner.lineup.listing().clone(), histories);
        Snapshot { video, audio: inner.audio.history.clone() }
    }

    /// The frames of one track that are kept now.
    pub(super) fn history(&self, kind: Kind, slot: u8) -> History {
        let inner = self.lock();
        match kind {
            Kind::Video => inner.video[usize::from(slot)].history.clone(),
            Kind::Audio => inner.audio.history.clone(),
        }
    }

    /// Whether the broadcast lists a rendition that a viewer asks for.
    pub(super) fn has_rendition(&self, asked: &str) -> bool {
        self.lock().lineup.listing().iter().any(|listed| listed.is(asked))
    }

    /// A feed begins.
    pub(super) fn attach(&self) {
        self.lock().feeds += 1;
    }

    /// A feed is gone; `true` if nobody needs the broadcast any more.
    pub(super) fn detach(&self) -> bool {
        let mut inner = self.lock();
        inner.feeds = inner.feeds.saturating_sub(1);
        inner.is_idle()
    }

    /// Whether there is neither feed nor viewer.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    /// Takes what the catalog says. Viewers go on through a new period; they are sent away only if
    /// time itself began anew, or if what follows cannot be sent.
    pub(super) fn set_catalog(&self, catalog: &Catalog) {
        let mut inner = self.lock();
        let anew = inner.catalog.is_some_and(|before| before.t0 != catalog.t0);
        if anew {
            inner.clear();
            inner.lineup.clear();
            inner.ever = Wanted::default();
        }
        let new_period = inner.lineup.newest() != Some(catalog.period.id);
        let listing = inner.lineup.set(catalog);
        for (track, why) in listing.refused.iter().filter(|_| new_period) {
            tracing::warn!(broadcast = %self.id, %track, %why, "rendition not sent by WebRTC");
        }
        if listing.beyond > 0 && new_period {
            let beyond = listing.beyond;
            tracing::warn!(broadcast = %self.id, beyond, "more renditions than WebRTC viewers get");
        }
        let none = listing.profile.is_none() && !catalog.video.is_empty();
        let first = listing.refused.first().map(|(_, why)| *why);
        let reordered = none && first == Some(Refused::Reordered);
        let described = Described {
            t0: catalog.t0,
            wanted: Wanted {
                video: listing.profile,
                audio: catalog.audio.iter().any(|track| track.codec == "opus"),
            },
            reordered,
            foreign_video: none && !reordered,
        };
        // A session has no place for what there was none of when it was agreed on.
        let (ever, now) = (inner.ever, described.wanted);
        let more = (now.video.is_some() && ever.video.is_none()) || (now.audio && !ever.audio);
        inner.ever = Wanted { video: ever.video.or(now.video), audio: ever.audio || now.audio };
        inner.catalog = Some(described);
        inner.let_go(&listing.reassigned);
        let before = std::mem::replace(&mut inner.needs_token, catalog.about.needs_token());
        if inner.needs_token && !before {
            // Whoever has a token comes back with it.
            self.close_viewers(&inner, Ended::Restricted);
        }
        if anew || none || (more && ever != Wanted::default()) {
            self.close_viewers(&inner, Ended::Changed);
        } else if listing.changed {
            self.post_listing(&inner);
        }
        if catalog.state == PublisherState::Ended {
            self.close_viewers(&inner, Ended::Over);
            inner.clear();
        }
        inner.held_bytes = 0;
        for (track, group, frame) in std::mem::take(&mut inner.held) {
            self.take_video(&mut inner, &track, group, &frame);
        }
        self.news.tell();
    }

    /// Takes a video frame.
    pub(super) fn push_video(&self, track: &TrackName, group: GroupId, frame: &Frame) {
        self.take_video(&mut self.lock(), track, group, frame);
    }

    /// Takes an Opus packet.
    pub(super) fn push_audio(&self, group: GroupId, frame: &Frame) {
        let inner = &mut *self.lock();
        let Some(described) = inner.catalog else { return };
        let made = packetize::opus(&frame.data);
        self.publish(inner, described, (Kind::Audio, 0), group, frame, made);
    }

    /// Forgets the media; viewers stay.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Ends all sessions.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        self.close_viewers(&inner, Ended::Over);
        inner.clear();
        inner.catalog = None;
        inner.ever = Wanted::default();
    }

    fn take_video(&self, inner: &mut Inner, track: &TrackName, group: GroupId, frame: &Frame) {
        let newest = inner.lineup.newest();
        if newest.is_none_or(|newest| group.period > newest) {
            self.hold(inner, track, group, frame);
            return;
        }
        let Some(described) = inner.catalog else { return };
        let slot = inner.lineup.slot(track);
        let known =
            slot.and_then(|slot| Some((slot, inner.lineup.parameters(group.period, slot)?)));
        let Some((slot, parameters)) = known else {
            self.metrics.dropped("not-sendable", 1);
            return;
        };
        let parameters = frame.keyframe.then_some(parameters);
        let made = packetize::h264(&frame.data, parameters);
        self.publish(inner, described, (Kind::Video, slot), group, frame, made);
    }

    fn hold(&self, inner: &mut Inner, track: &TrackName, group: GroupId, frame: &Frame) {
        inner.held_bytes += frame.data.len();
        inner.held.push_back((track.clone(), group, frame.clone()));
        if inner.held.len() > HELD_FRAMES_MAX || inner.held_bytes > HELD_BYTES_MAX {
            self.metrics.dropped("no-catalog", inner.held.len() as u64);
            inner.held.clear();
            inner.held_bytes = 0;
        }
    }

    fn publish(
        &self,
        inner: &mut Inner,
        described: Described,
        (kind, slot): (Kind, u8),
        group: GroupId,
        frame: &Frame,
        made: Result<Payloads, packetize::Error>,
    ) {
        let lineup = &inner.lineup;
        let traced = || {
            trace::tracer()?;
            let name = match kind {
                Kind::Video => lineup.name(slot)?.clone(),
                Kind::Audio => TrackName::new(TrackName::AUDIO_OPUS).ok()?,
            };
            Arrival::of(&self.id, described.t0, &name, group, frame.dts)
        };
        let (track, timescale) = match kind {
            Kind::Video => (&mut inner.video[usize::from(slot)], Timescale::VIDEO),
            Kind::Audio => (&mut inner.audio, Timescale::OPUS),
        };
        let payloads = match made {
            Ok(payloads) => payloads,
            Err(error) => {
                tracing::debug!(broadcast = %self.id, %error, "frame dropped");
                self.metrics.dropped("malformed", 1);
                // What follows depends on it, up to the next keyframe.
                track.decodable = false;
                return;
            }
        };
        if track.group.is_some_and(|current| group < current) {
            self.metrics.dropped("late", 1);
            return;
        }
        track.decodable |= frame.keyframe;
        let begins = track.group.replace(group) != Some(group);
        if begins {
            track.decodable = frame.keyframe;
        }
        if !track.decodable {
            self.metrics.dropped("no-keyframe", 1);
            return;
        }
        let ticks = frame.dts.ticks.saturating_add_signed(i64::from(frame.composition_offset));
        let media = MediaTime::new(ticks, frame.dts.timescale).rescale(timescale);
        let unit = Arc::new(Unit {
            serial: track.serial,
            rendition: slot,
            ticks: media.ticks,
            clock_hz: timescale.hz(),
            keyframe: frame.keyframe,
            arrived: frame.arrived,
            captured: described.t0 + media.as_duration(),
            pushed: Instant::now(),
            traced: if begins { traced() } else { None },
            payloads,
        });
        track.serial += 1;
        track.bitrate.push(media.as_duration(), &unit.payloads);
        let first = track.history.newest().is_none();
        track.history.push(unit.clone());
        if first {
            self.news.tell();
        }
        for (mailbox, viewers) in self.mailboxes.iter().zip(&inner.viewers) {
            let post = Post { room: self.key, kind, unit: unit.clone() };
            if *viewers > 0 && !mailbox.post(post) {
                self.metrics.dropped("worker-full", 1);
            }
        }
    }

    /// Has every worker with viewers do something that is never refused: closing is not, and a
    /// listing changes with a period, which is rare.
    fn command_workers(&self, inner: &Inner, command: impl Fn() -> Command) {
        for (mailbox, viewers) in self.mailboxes.iter().zip(&inner.viewers) {
            if *viewers > 0 {
                drop(mailbox.command(command()));
            }
        }
    }

    fn post_listing(&self, inner: &Inner) {
        let listing = inner.lineup.listing();
        self.command_workers(inner, || Command::List(self.key, listing.clone()));
    }

    fn close_viewers(&self, inner: &Inner, why: Ended) {
        self.command_workers(inner, || Command::CloseAll(self.key, why));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_idle(&self) -> bool {
        self.feeds == 0 && !self.has_viewers()
    }

    fn has_viewers(&self) -> bool {
        self.viewers.iter().any(|viewers| *viewers > 0)
    }

    /// Says that the broadcast is wanted if it has viewers, and has not been said yet.
    fn watch(&mut self) {
        if self.watching.is_some() || !self.has_viewers() {
            return;
        }
        let watching = self.interest.as_ref().map(Interest::watching);
        // Whoever asked for the session wants it as well, so that there is room.
        self.watching = watching.filter(|watching| watching.begin_now().is_ok());
    }

    fn clear(&mut self) {
        self.video.iter_mut().for_each(Track::clear);
        self.audio.clear();
        self.held.clear();
        self.held_bytes = 0;
    }

    /// Lets go of the frames of renditions that are gone, and of those before a slot passed on.
    fn let_go(&mut self, reassigned: &[u8]) {
        for (slot, track) in (0..).zip(&mut self.video) {
            if reassigned.contains(&slot) {
                track.clear();
                track.bitrate = Meter::default();
                // The gap in serials tells workers that what they kept does not go on.
                track.serial += 1;
            } else if !self.lineup.knows(slot) {
                track.clear();
            }
        }
    }
}

impl Track {
    fn clear(&mut self) {
        self.history.clear();
        self.group = None;
        self.decodable = false;
    }
}
