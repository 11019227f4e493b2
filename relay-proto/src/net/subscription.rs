//! What a subscriber reads: a broadcast's catalogs, and its tracks group by group.
//!
//! Groups come in order, each from its first chunk. A joiner begins with the group that is current;
//! one that falls behind loses whole groups, never chunks out of the middle of one.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use moq_net::frame::Frame;
use moq_net::track::{Position, Subscription};
use moq_net::{group, track};

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Epoch, Error, RecordSubscription, SubscriberMetrics};
use crate::cmaf::{self, Chunk};
use crate::{BroadcastId, Catalog, GroupId, Timescale, TrackName};

/// How far newer media may be ahead of an unfinished group, in media time, before the group is given
/// up. The library's default of zero would give it up as soon as the next one begins.
const GROUP_AGE_MAX: Duration = Duration::from_secs(2);
/// How long the publisher may take to answer a subscription.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long all of an older group may take to arrive.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Which track goes first when the path to the origin is short of room.
///
/// Tracks of one broadcast have distinct priorities, because between equals the oldest subscription
/// drains first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub(super) u8);

impl Priority {
    const CATALOG: Self = Self(u8::MAX);
    /// Comments: after audio, before video.
    pub const COMMENTS: Self = Self(128);

    /// The `index`-th audio track of the catalog, from zero.
    pub fn audio(index: usize) -> Self {
        Self(224 - rank(index))
    }

    /// The `index`-th video rendition of the catalog, from zero, before it has had a [turn](Self::turn).
    pub fn video(index: usize) -> Self {
        Self(Self::VIDEO - rank(index).min(15))
    }

    const VIDEO: u8 = 48;

    /// Where video stands for one group. Between equals one gets all that there is and another nothing, for as
    /// long as the path is short of room; so broadcasts take turns, group by group, at going first. In one
    /// broadcast renditions stay in their order.
    fn turn(self, lot: u32, group: u32) -> Self {
        if self.0 > Self::VIDEO {
            return self;
        }
        // Mixed well (the finalizer of MurmurHash3), so that no two broadcasts go in step.
        let mut mixed = lot ^ group.wrapping_mul(0x9e37_79b1);
        for factor in [0x85eb_ca6b, 0xc2b2_ae35] {
            mixed = (mixed ^ (mixed >> 15)).wrapping_mul(factor);
        }
        let turn = (mixed >> 30) as u8;
        Self(self.0 + 16 * turn)
    }
}

/// A number of the broadcast's own (FNV-1a), by which it takes turns.
fn lot(id: &BroadcastId) -> u32 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    id.as_str().bytes().fold(0x811c_9dc5, mix)
}

/// An index as a step down in priority; catalogs list fewer than 64 tracks of a kind.
fn rank(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX).min(63)
}

/// A broadcast that the upstream publishes, for as long as it does.
#[derive(Clone)]
pub struct BroadcastSubscription {
    id: BroadcastId,
    epoch: Epoch,
    broadcast: moq_net::broadcast::Consumer,
    end: End,
    metrics: SubscriberMetrics,
}

impl BroadcastSubscription {
    pub(super) fn new(
        id: BroadcastId,
        epoch: Epoch,
        broadcast: moq_net::broadcast::Consumer,
        end: watch::Receiver<Option<Instant>>,
        metrics: SubscriberMetrics,
    ) -> Self {
        Self { id, epoch, broadcast, end: End(end), metrics }
    }

    /// How new the publication is that is read.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its public id.
    pub fn id(&self) -> &BroadcastId {
        &self.id
    }

    /// Its catalog, and every one that replaces it.
    pub async fn catalogs(&self) -> Result<CatalogSubscription, Error> {
        let groups = self.groups(TrackName::CATALOG, Priority::CATALOG).await?;
        let (end, metrics) = (self.end.clone(), self.metrics.clone());
        Ok(CatalogSubscription { groups, end, metrics, failed: false })
    }

    /// A track of CMAF chunks, in the timescale that the catalog states.
    pub async fn track(
        &self,
        name: &TrackName,
        timescale: Timescale,
        priority: Priority,
    ) -> Result<TrackSubscription, Error> {
        let groups = self.groups(name.as_str(), priority).await?;
        let track = self.broadcast.track(name.as_str()).map_err(|error| Error::from_moq(&error))?;
        Ok(TrackSubscription { reader: Reader::new(groups, track, priority, self), timescale })
    }

    /// Its comments as they are written, from a little before now on. A record that could not be had
    /// is left out.
    pub async fn comments(&self) -> Result<RecordSubscription, Error> {
        let mut end = self.end.clone();
        tokio::select! {
            biased;
            subscribed = RecordSubscription::open(&self.broadcast) => {
                Ok(subscribed?.until(self.end.clone()))
            }
            () = end.passed() => Err(Error::Closed),
        }
    }

    /// All chunks of a group that is over, if the upstream still has it.
    ///
    /// It yields to everything that is subscribed to: an origin sends what is fetched when nothing
    /// live of the same connection waits. To be used once the track's subscription has begun to arrive:
    /// one that begins on a connection that has only fetched begins with what was fetched. At most 8192 chunks and 32 MiB, as much as a group holds.
    pub async fn fetch(
        &self,
        name: &TrackName,
        timescale: Timescale,
        group: GroupId,
    ) -> Result<Vec<Chunk>, Error> {
        let from_moq = |error: moq_net::Error| {
            use moq_net::{Error as Moq, StreamError};
            match &error {
                Moq::NotFound | Moq::Stream(StreamError::NotFound) => Error::NoSuchGroup(group),
                Moq::Old | Moq::Evicted | Moq::Stream(StreamError::Old | StreamError::Evicted) => {
                    Error::GroupGone(group)
                }
                error => Error::from_moq(error),
            }
        };
        let track = self.broadcast.track(name.as_str()).map_err(from_moq)?;
        let fetching = async {
            // Priority zero, the default: less than any track's.
            let mut fetched = track.fetch_group(group.sequence(), None).await?;
            let mut payloads = Vec::new();
            while let Some(frame) = fetched.read_frame().await? {
                payloads.push(frame.payload);
            }
            Ok(payloads)
        };
        let mut end = self.end.clone();
        let payloads = tokio::select! {
            biased;
            payloads = fetching => payloads.map_err(from_moq)?,
            () = end.passed() => return Err(Error::Closed),
            () = tokio::time::sleep(FETCH_TIMEOUT) => return Err(Error::Timeout),
        };
        let chunks = payloads.into_iter().map(|payload| cmaf::read_chunk(payload, timescale));
        chunks.collect::<Result<_, _>>().map_err(|error| {
            tracing::debug!(track = %name, %group, %error, "fetched group cannot be read");
            self.metrics.malformed.inc();
            Error::GroupMalformed(group)
        })
    }

    /// Subscribes from the current group on. Older ones would be worth nothing to a joiner, so none
    /// is waited for; see [`Reader::begin`] for what comes after.
    async fn groups(&self, name: &str, priority: Priority) -> Result<track::Ordered, Error> {
        let from_moq = |error: moq_net::Error| match Error::from_moq(&error) {
            Error::NotFound => Error::NoSuchTrack(name.to_owned()),
            error => error,
        };
        let track = self.broadcast.track(name).map_err(from_moq)?;
        let wanted = Subscription::default().with_priority(priority.0);
        let mut end = self.end.clone();
        tokio::select! {
            biased;
            answer = track.subscribe(wanted) => Ok(answer.map_err(from_moq)?.ordered()),
            () = end.passed() => Err(Error::Closed),
            () = tokio::time::sleep(ANSWER_TIMEOUT) => Err(Error::Timeout),
        }
    }
}

/// When a broadcast that is gone has nothing more to be waited for.
#[derive(Clone)]
pub(super) struct End(watch::Receiver<Option<Instant>>);

impl End {
    pub(super) async fn passed(&mut self) {
        // An error means that the subscriber itself is gone, and with it the connection.
        let end = self.0.wait_for(Option::is_some).await.map_or(None, |end| *end);
        if let Some(end) = end {
            tokio::time::sleep_until(end).await;
        }
    }
}

/// The catalogs of a broadcast as they change.
pub struct CatalogSubscription {
    groups: track::Ordered,
    end: End,
    metrics: SubscriberMetrics,
    failed: bool,
}

impl CatalogSubscription {
    /// The next catalog; of several that wait, the newest. `None` once the broadcast is gone. After
    /// a catalog that cannot be read, later ones still come.
    pub async fn next(&mut self) -> Option<Result<Catalog, Error>> {
        while !self.failed {
            let groups = &mut self.groups;
            let newest = async {
                let Some(mut group) = groups.next_group().await? else { return Ok(None) };
                // A group without its frame was superseded, or cut off.
                Ok::<_, moq_net::Error>(Some(group.read_frame().await.ok().flatten()))
            };
            let newest = tokio::select! {
                biased;
                newest = newest => newest,
                () = self.end.passed() => Ok(None),
            };
            let frame = match newest {
                Ok(Some(Some(frame))) => frame,
                Ok(Some(None)) => continue,
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(Error::from_moq(&error)));
                }
            };
            let catalog = Catalog::from_json(&frame.payload);
            if catalog.is_err() {
                self.metrics.malformed.inc();
            }
            return Some(catalog.map_err(Error::from));
        }
        None
    }
}

/// What happens on a track of CMAF chunks.
#[derive(Debug)]
pub enum TrackEvent {
    /// The next chunk of the group.
    Chunk {
        /// The group.
        group: GroupId,
        /// Counts chunks of the group, from zero, without a gap.
        index_in_group: u64,
        /// The chunk.
        chunk: Chunk,
    },
    /// Nothing more of the group comes. It is complete, unless the network stalled between two of
    /// its chunks until newer media was two seconds ahead.
    GroupEnd(GroupId),
    /// The group was begun and a chunk of it was lost: nothing more of it comes. Groups that never
    /// began are simply absent.
    Skipped(GroupId),
}

/// A track of CMAF chunks.
pub struct TrackSubscription {
    reader: Reader,
    timescale: Timescale,
}

impl TrackSubscription {
    /// The next event; `None` once the track has ended or the broadcast is gone. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Result<TrackEvent, Error>> {
        let step = match self.reader.next().await? {
            Ok(step) => step,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(match step {
            Step::Payload { group, index, payload } => {
                match cmaf::read_chunk(payload, self.timescale) {
                    Ok(chunk) => TrackEvent::Chunk { group, index_in_group: index, chunk },
                    Err(error) => {
                        // What follows may need what this chunk would have held.
                        tracing::debug!(%group, index, %error, "group given up");
                        self.reader.metrics.malformed.inc();
                        self.reader.open = None;
                        TrackEvent::Skipped(group)
                    }
                }
            }
            Step::End(group) => TrackEvent::GroupEnd(group),
            Step::Skipped(group) => TrackEvent::Skipped(group),
        }))
    }
}

/// Walks the groups of a track in order and the payloads of each.
struct Reader {
    groups: track::Ordered,
    /// Whence the rest of a group is fetched when the way that it came by ends.
    track: track::Consumer,
    priority: Priority,
    /// What it was said to be last.
    said: Priority,
    lot: u32,
    end: End,
    metrics: SubscriberMetrics,
    joined: bool,
    failed: bool,
    open: Option<Open>,
}

struct Open {
    id: GroupId,
    group: group::Consumer,
    next_index: u64,
    /// Payloads to come that were read before.
    again: u64,
    /// By how many other ways it has gone on.
    resumed: u32,
    broken: Option<Broken>,
}

/// The way by which a group came has ended in the middle of it.
struct Broken {
    attempts: u32,
    next: Instant,
}

impl Open {
    fn new(id: GroupId, group: group::Consumer) -> Self {
        Self { id, group, next_index: 0, again: 0, resumed: 0, broken: None }
    }
}

/// How often the rest of a group is asked for by another way, and how long each attempt and the pause before
/// the next may take. In all it is less than [`GROUP_AGE_MAX`], after which nobody would want it.
const REST_ATTEMPTS_MAX: u32 = 4;
const REST_TIMEOUT: Duration = Duration::from_millis(400);
const REST_PAUSE: Duration = Duration::from_millis(50);
/// How often one group goes on by another way. Each reads it again from its beginning, and a network in which
/// so many end within a group has none.
const RESUMED_MAX: u32 = 8;

enum Step {
    Payload { group: GroupId, index: u64, payload: Bytes },
    End(GroupId),
    Skipped(GroupId),
}

impl Reader {
    fn new(
        groups: track::Ordered,
        track: track::Consumer,
        priority: Priority,
        of: &BroadcastSubscription,
    ) -> Self {
        let (end, metrics) = (of.end.clone(), of.metrics.clone());
        let (joined, failed, open) = (false, false, None);
        let lot = lot(&of.id);
        Self { groups, track, priority, said: priority, lot, end, metrics, joined, failed, open }
    }

    async fn next(&mut self) -> Option<Result<Step, Error>> {
        loop {
            let step = if let Some(open) = &mut self.open {
                if open.broken.is_some() {
                    self.rest().await
                } else {
                    tokio::select! {
                        biased;
                        read = open.group.read_frame() => self.read(read),
                        () = self.end.passed() => self.given_up(&moq_net::Error::Closed),
                    }
                }
            } else if self.failed {
                return None;
            } else {
                let group = tokio::select! {
                    biased;
                    group = self.groups.next_group() => group,
                    () = self.end.passed() => Ok(None),
                };
                match group {
                    Ok(group) => self.begin(group?),
                    Err(error) => {
                        self.failed = true;
                        return Some(Err(Error::from_moq(&error)));
                    }
                }
                continue;
            };
            if step.is_some() {
                return step.map(Ok);
            }
        }
    }

    /// What a read of the open group comes to.
    fn read(&mut self, read: Result<Option<Frame>, moq_net::Error>) -> Option<Step> {
        let open = self.open.as_mut()?;
        let group = open.id;
        match read {
            Ok(Some(_)) if open.again > 0 => {
                open.again -= 1;
                None
            }
            Ok(Some(frame)) => {
                let index = open.next_index;
                open.next_index += 1;
                self.metrics.chunks.inc();
                Some(Step::Payload { group, index, payload: frame.payload })
            }
            Ok(None) => {
                self.open = None;
                Some(Step::End(group))
            }
            Err(error) if is_broken_off(&error) && open.resumed < RESUMED_MAX => {
                tracing::debug!(%group, %error, "the way of a group broke off");
                open.broken = Some(Broken { attempts: 0, next: Instant::now() });
                None
            }
            Err(error) => self.given_up(&error),
        }
    }

    /// Asks for the rest of the open group by whatever way there is now. Cancelling it loses nothing.
    async fn rest(&mut self) -> Option<Step> {
        let open = self.open.as_mut()?;
        let broken = open.broken.as_mut()?;
        let sequence = open.id.sequence();
        let fetching = async {
            tokio::time::sleep_until(broken.next).await;
            tokio::time::timeout(REST_TIMEOUT, self.track.fetch_group(sequence, None)).await
        };
        let fetched = tokio::select! {
            biased;
            fetched = fetching => fetched,
            () = self.end.passed() => return self.given_up(&moq_net::Error::Closed),
        };
        match fetched {
            Ok(Ok(group)) => {
                (open.group, open.again, open.broken) = (group, open.next_index, None);
                open.resumed += 1;
                self.metrics.groups_resumed.inc();
                None
            }
            failed => {
                broken.attempts += 1;
                broken.next = Instant::now() + REST_PAUSE;
                let given_up = broken.attempts == REST_ATTEMPTS_MAX;
                let error = failed.map_or(moq_net::Error::Cancel, |failed| {
                    failed.err().unwrap_or(moq_net::Error::Cancel)
                });
                given_up.then(|| self.given_up(&error)).flatten()
            }
        }
    }

    fn given_up(&mut self, error: &moq_net::Error) -> Option<Step> {
        let group = self.open.take()?.id;
        tracing::debug!(%group, %error, "group given up");
        self.metrics.groups_skipped.inc();
        Some(Step::Skipped(group))
    }

    fn begin(&mut self, group: group::Consumer) {
        let priority = self.priority.turn(self.lot, group.sequence as u32);
        if !self.joined || self.said != priority {
            (self.joined, self.said) = (true, priority);
            // Joining asked for the current group alone. From here on groups may overlap: an
            // unfinished one is worth waiting for, but nothing before this one is.
            let wanted = Subscription::default()
                .with_priority(priority.0)
                .with_max_age(GROUP_AGE_MAX)
                .with_start(Position::group(group.sequence));
            // Fails only if the track has ended, after which nothing can be late.
            let _ = self.groups.update(wanted);
        }
        match GroupId::from_sequence(group.sequence) {
            Some(id) if group.index() == 0 => {
                self.open = Some(Open::new(id, group));
            }
            Some(id) => {
                tracing::debug!(group = %id, "group without its beginning");
                self.metrics.groups_skipped.inc();
            }
            None => {
                tracing::debug!(sequence = group.sequence, "group of no period");
                self.metrics.groups_ignored.inc();
            }
        }
    }
}

/// Whether a group ended because the way that it came by did, and not because it is too old.
fn is_broken_off(error: &moq_net::Error) -> bool {
    use moq_net::{Error as Moq, StreamError};
    matches!(
        error,
        Moq::NotFound
            | Moq::Stream(StreamError::NotFound)
            | Moq::Dropped
            | Moq::Transport(_)
            | Moq::Session(_)
    )
}
