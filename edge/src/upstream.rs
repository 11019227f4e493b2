//! From the relay into this edge: follows announcements, subscribes to every track of every
//! broadcast, and hands each chunk to the timeline (LL-DASH) and to the WebRTC feed.
//!
//! A broadcast that is no longer announced stays for a while with its viewers attached: an origin
//! that restarts comes back within seconds, and nobody should have to reload. What was sent before
//! this edge joined is fetched by [`backfill`].

mod backfill;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lectern_relay_proto::net::{
    Announcement, BroadcastSubscription, Error, Priority, Status, Subscriber, TrackEvent,
    TrackSubscription,
};
use lectern_relay_proto::{BroadcastId, Catalog, GroupId, PublisherState, Timescale, TrackName};
use tokio::sync::{Notify, watch};
use tokio::task::{self, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::comments::Comments;
use crate::live::{Directory, DirectoryFull, Live};
use crate::whep::{Engine, Feed};
use backfill::Hole;
pub use backfill::{Fetcher, Metrics};

/// How long viewers of a broadcast that is no longer announced are kept waiting for it.
const GONE_LINGER: Duration = Duration::from_secs(60);
/// Groups that are reported lost at once. A longer hole is an outage, after which the timeline begins
/// anew with the next segment.
const LOST_GROUPS_MAX: u32 = 16;
/// How long media waits for the catalog of its period. The catalog travels at a higher priority.
const CATALOG_WAIT: Duration = Duration::from_secs(5);
/// How long after the connection everything that is announced has been. Announcements are a few bytes
/// each and come in one go.
const INFORMED_AFTER: Duration = Duration::from_millis(500);
/// Pause before subscribing again to a track that ended while the catalog still lists it.
const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);

/// Where what comes from upstream goes.
pub struct Consumers {
    /// Media over HTTP.
    pub directory: Arc<Directory>,
    /// Media over WebRTC.
    pub engine: Engine,
    /// Comments.
    pub comments: Arc<Comments>,
}

/// Follows the relay until `cancel`.
pub async fn run(
    mut subscriber: Subscriber,
    consumers: Consumers,
    fetcher: Fetcher,
    cancel: CancellationToken,
) {
    let Consumers { directory, engine, comments } = consumers;
    let fetcher = Arc::new(fetcher);
    let mut broadcasts: HashMap<BroadcastId, Followed> = HashMap::new();
    let mut tasks = JoinSet::new();
    let informing = inform(subscriber.status(), |informed| {
        directory.set_informed(informed);
        engine.set_informed(informed);
    });
    tokio::pin!(informing);
    loop {
        let announcement = tokio::select! {
            () = cancel.cancelled() => return,
            () = &mut informing => return,
            Some(ended) = tasks.join_next_with_id() => {
                let_go(&mut broadcasts, &directory, &comments, ended);
                continue;
            }
            announcement = subscriber.next() => announcement,
        };
        match announcement {
            None => return,
            Some(Announcement::Gone(id)) => {
                if let Some(followed) = broadcasts.get(&id) {
                    tracing::info!(broadcast = %id, "broadcast is no longer announced");
                    followed.broadcast.say_away();
                }
            }
            Some(Announcement::Live(subscription)) => {
                let id = subscription.id().clone();
                let broadcast = match broadcasts.get(&id) {
                    Some(followed) => followed.broadcast.clone(),
                    None => {
                        match Broadcast::open(id.clone(), &directory, &engine, &comments, &fetcher)
                        {
                            Ok(broadcast) => Arc::new(broadcast),
                            Err(full) => {
                                tracing::warn!(broadcast = %id, error = %full, "not carried");
                                continue;
                            }
                        }
                    }
                };
                tracing::info!(broadcast = %id, "broadcast announced");
                let renewed = CancellationToken::new();
                let span = tracing::info_span!("broadcast", broadcast = %id);
                let follow = broadcast.clone().follow(subscription, renewed.clone());
                let task = tasks.spawn(follow.instrument(span)).id();
                let current = Followed { broadcast, task, _renewed: renewed.drop_guard() };
                // Ends the subscription to the announcement before this one.
                broadcasts.insert(id, current);
            }
        }
    }
}

/// Says whether this edge has heard of all that the upstream has: a moment after each connection to
/// it. Ends with the subscriber.
async fn inform(mut status: watch::Receiver<Status>, say: impl Fn(bool)) {
    loop {
        let connected = matches!(*status.borrow_and_update(), Status::Connected);
        say(false);
        if connected {
            match tokio::time::timeout(INFORMED_AFTER, status.changed()).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return,
                Err(_) => say(true),
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// A broadcast and the task that follows its newest announcement; dropping it ends the task.
struct Followed {
    broadcast: Arc<Broadcast>,
    task: task::Id,
    _renewed: DropGuard,
}

/// Drops a broadcast whose task has waited for it in vain, unless it has been announced again since.
/// A panic costs a broadcast its subscription, which the next announcement renews.
fn let_go(
    broadcasts: &mut HashMap<BroadcastId, Followed>,
    directory: &Directory,
    comments: &Comments,
    ended: Result<(task::Id, Option<BroadcastId>), task::JoinError>,
) {
    let (task, id) = match ended {
        Ok((task, Some(id))) => (task, id),
        Ok((_, None)) => return,
        Err(error) => {
            tracing::error!(%error, "a broadcast's subscription failed");
            return;
        }
    };
    if broadcasts.get(&id).is_some_and(|followed| followed.task == task) {
        broadcasts.remove(&id);
        directory.close(&id);
        comments.close(&id);
        tracing::info!(broadcast = %id, "broadcast let go");
    }
}

struct Broadcast {
    id: BroadcastId,
    live: Arc<Live>,
    feed: Feed,
    comments: Arc<Comments>,
    catalog: watch::Sender<Option<Catalog>>,
    /// The newest group of each track, over all subscriptions to it.
    newest: Mutex<HashMap<TrackName, Newest>>,
    fetcher: Arc<Fetcher>,
    /// Tracks that have arrived over the current announcement. What is fetched on a connection before
    /// its subscription arrives would be taken for live.
    heard: Mutex<HashSet<TrackName>>,
    /// Wakes the fetcher: a track has come that may miss what was before.
    joined: Notify,
}

/// The newest group of a track.
#[derive(Clone, Copy)]
struct Newest {
    group: GroupId,
    /// Whether it ended, and not just its subscription.
    whole: bool,
}

impl Broadcast {
    fn open(
        id: BroadcastId,
        directory: &Directory,
        engine: &Engine,
        comments: &Arc<Comments>,
        fetcher: &Arc<Fetcher>,
    ) -> Result<Self, DirectoryFull> {
        Ok(Self {
            live: directory.open(id.clone())?,
            feed: engine.feed(id.clone()),
            comments: comments.clone(),
            id,
            catalog: watch::Sender::new(None),
            newest: Mutex::default(),
            fetcher: fetcher.clone(),
            heard: Mutex::default(),
            joined: Notify::new(),
        })
    }

    /// Follows one announcement until it is replaced by another, or has been gone for too long;
    /// then gives back the id to forget.
    async fn follow(
        self: Arc<Self>,
        subscription: BroadcastSubscription,
        renewed: CancellationToken,
    ) -> Option<BroadcastId> {
        let following = async {
            // Whatever fails while the broadcast is announced is asked for again.
            let subscribing = async {
                while let Err(error) = self.subscribe(&subscription).await {
                    if matches!(error, Error::Closed) {
                        break;
                    }
                    tracing::warn!(%error, "the catalog was lost; asking again");
                    tokio::time::sleep(RESUBSCRIBE_AFTER).await;
                }
            };
            // Comments end with the announcement, and what fails of them ends nothing else.
            let commenting = async {
                self.comments.follow(&subscription).await;
                std::future::pending().await
            };
            self.heard().clear();
            let heard = |track: &TrackName| self.heard().contains(track);
            tokio::select! {
                () = subscribing => {}
                () = self.fetcher.run(&self.live, &subscription, heard, &self.joined) => {}
                () = commenting => {}
            }
            self.say_away();
            tokio::time::sleep(GONE_LINGER).await;
        };
        renewed.run_until_cancelled(following).await?;
        self.feed.end();
        Some(self.id.clone())
    }

    async fn subscribe(&self, subscription: &BroadcastSubscription) -> Result<(), Error> {
        let mut catalogs = subscription.catalogs().await?;
        let mut followed: HashMap<TrackName, FollowedTrack> = HashMap::new();
        let mut tracks = FuturesUnordered::new();
        loop {
            let catalog = tokio::select! {
                Some(()) = tracks.next() => continue,
                catalog = catalogs.next() => match catalog {
                    None => return Ok(()),
                    Some(Ok(catalog)) => catalog,
                    Some(Err(error @ Error::Catalog(_))) => {
                        tracing::warn!(%error, "waiting for the next catalog");
                        continue;
                    }
                    Some(Err(error)) => return Err(error),
                },
            };
            tracing::debug!(period = catalog.period.id, state = ?catalog.state, "catalog");
            let wanted = wanted_tracks(&catalog);
            self.set_catalog(catalog);
            for track in wanted {
                let same = |followed: &FollowedTrack| followed.timescale == track.timescale;
                if followed.get(&track.name).is_some_and(same) {
                    continue;
                }
                // A track in another timescale is read anew; dropping the entry ends the old one.
                let ended = CancellationToken::new();
                let guard = ended.clone().drop_guard();
                let entry = FollowedTrack { timescale: track.timescale, _guard: guard };
                followed.insert(track.name.clone(), entry);
                tracks.push(async move {
                    ended.run_until_cancelled(self.follow_track(subscription, track)).await;
                });
            }
        }
    }

    async fn follow_track(&self, subscription: &BroadcastSubscription, wanted: WantedTrack) {
        let WantedTrack { name, timescale, priority } = &wanted;
        loop {
            match subscription.track(name, *timescale, *priority).await {
                Ok(track) => self.receive(subscription, &wanted, track).await,
                Err(error) => tracing::debug!(%error, track = %name, "track not available"),
            }
            // It ended while its broadcast did not: the publisher is about to replace it, or to go.
            tokio::time::sleep(RESUBSCRIBE_AFTER).await;
        }
    }

    async fn receive(
        &self,
        subscription: &BroadcastSubscription,
        wanted: &WantedTrack,
        mut track: TrackSubscription,
    ) {
        let WantedTrack { name, timescale, .. } = wanted;
        let mut period = None;
        let is_video = name.is_video();
        // A group that did not arrive whole is lost if the track goes on; if it does not, the rest may
        // be fetched from whoever carries it next.
        let mut broken = None;
        let mut mending = FuturesUnordered::new();
        loop {
            let event = tokio::select! {
                biased;
                event = track.next() => event,
                Some(()) = mending.next() => continue,
            };
            let Some(event) = event else { return };
            if let Some(group) = broken.take().filter(|_| event.is_ok()) {
                tracing::warn!(track = %name, %group, "group did not arrive whole in time; skipped");
                self.live.lose_group(name, group);
            }
            match event {
                Ok(TrackEvent::Chunk { group, chunk, .. }) => {
                    let joining = period != Some(group.period);
                    if joining {
                        match self.timescale_in(group.period, name).await {
                            Some(now) if now == *timescale => {}
                            // The chunk was read in the timescale of a period before. Whoever
                            // follows the track in the new one begins with this group.
                            Some(_) => return,
                            None => continue,
                        }
                    }
                    let before = self.note(name, group);
                    let gap = before.filter(|before| before.group.period == group.period);
                    if let Some(Newest { group: last, whole }) = gap.filter(|_| period.is_none())
                        && let Some(hole) = Hole::between(name, *timescale, last, whole, group)
                    {
                        mending.push(self.fetcher.mend(&self.live, subscription, hole));
                    } else if let Some(Newest { group: last, .. }) = gap {
                        self.report_absent_groups(name, last, group);
                    }
                    period = Some(group.period);
                    for frame in &chunk.frames {
                        if is_video {
                            self.feed.push_video(name, group, frame);
                        } else if name.as_str() == TrackName::AUDIO_OPUS {
                            self.feed.push_audio(group, frame);
                        }
                    }
                    self.live.push(name, group, chunk);
                    if joining {
                        self.heard().insert(name.clone());
                        self.joined.notify_one();
                    }
                }
                Ok(TrackEvent::GroupEnd(group)) => {
                    self.note_whole(name, group);
                    self.live.end_group(name, group);
                }
                Ok(TrackEvent::Skipped(group)) => broken = Some(group),
                Err(error) => {
                    tracing::warn!(%error, track = %name, "track ended");
                    return;
                }
            }
        }
    }

    fn heard(&self) -> MutexGuard<'_, HashSet<TrackName>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the group of a track that arrives; returns the one before.
    fn note(&self, name: &TrackName, group: GroupId) -> Option<Newest> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(name.clone(), Newest { group, whole: false })
    }

    fn note_whole(&self, name: &TrackName, group: GroupId) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = newest.get_mut(name).filter(|newest| newest.group == group) {
            newest.whole = true;
        }
    }

    /// Groups come in order, so what was passed over never comes: nobody should wait for it. In
    /// video it was lost. An audio track has no group where video's are shorter than its chunks.
    fn report_absent_groups(&self, name: &TrackName, before: GroupId, group: GroupId) {
        let first = before.index.saturating_add(1).max(group.index.saturating_sub(LOST_GROUPS_MAX));
        for index in first..group.index {
            let absent = GroupId { index, ..group };
            if name.is_video() {
                self.live.lose_group(name, absent);
            } else {
                self.live.end_group(name, absent);
            }
        }
    }

    /// The timescale of a track in a period: media may be ahead of the catalog that describes it,
    /// and waits for it here. `None` if that catalog does not come, or does not list the track.
    async fn timescale_in(&self, period: u32, name: &TrackName) -> Option<Timescale> {
        let mut catalogs = self.catalog.subscribe();
        let described = |catalog: &Option<Catalog>| {
            catalog.as_ref().is_some_and(|catalog| catalog.period.id >= period)
        };
        let wait = tokio::time::timeout(CATALOG_WAIT, catalogs.wait_for(described));
        let catalog = wait.await.ok()?.ok()?;
        let mut tracks = wanted_tracks(catalog.as_ref()?).into_iter();
        tracks.find(|track| track.name == *name).map(|track| track.timescale)
    }

    fn catalog(&self) -> Option<Catalog> {
        self.catalog.borrow().clone()
    }

    fn set_catalog(&self, catalog: Catalog) {
        let was_open = self.live.about().is_some_and(|about| !about.needs_token());
        // First where it is decided who may watch.
        self.live.set_catalog(catalog.clone());
        self.feed.set_catalog(&catalog);
        if was_open && catalog.about.needs_token() {
            self.comments.part(&self.id);
        }
        self.catalog.send_replace(Some(catalog));
    }

    /// Tells viewers that nobody is publishing, as far as this edge can see.
    fn say_away(&self) {
        if let Some(catalog) =
            self.catalog().filter(|catalog| catalog.state == PublisherState::Live)
        {
            self.set_catalog(Catalog { state: PublisherState::Away, ..catalog });
        }
    }
}

/// A track that is being followed, until this is dropped.
struct FollowedTrack {
    timescale: Timescale,
    _guard: DropGuard,
}

struct WantedTrack {
    name: TrackName,
    timescale: Timescale,
    priority: Priority,
}

/// Every track of the catalog, audio before video, each kind in the catalog's order.
fn wanted_tracks(catalog: &Catalog) -> Vec<WantedTrack> {
    let audio = catalog.audio.iter().enumerate().filter_map(|(index, track)| {
        let timescale = Timescale::new(track.sample_rate)?;
        Some(WantedTrack { name: track.name.clone(), timescale, priority: Priority::audio(index) })
    });
    let video = catalog.video.iter().enumerate().map(|(index, track)| WantedTrack {
        name: track.name.clone(),
        timescale: Timescale::VIDEO,
        priority: Priority::video(index),
    });
    audio.chain(video).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_has_been_heard_a_moment_after_each_connection() {
        let informed = Arc::new(AtomicBool::new(true));
        let (status, follow) = watch::channel(Status::Connecting);
        let said = informed.clone();
        let informing = tokio::spawn(inform(follow, move |now| said.store(now, Relaxed)));
        let after = async |ms| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            informed.load(Relaxed)
        };
        let lost = || Status::Disconnected(Arc::new(Error::Timeout));
        assert!(!after(10_000).await, "it connects");
        status.send_replace(Status::Connected);
        assert!(!after(400).await, "announcements are under way");
        assert!(after(200).await);
        status.send_replace(lost());
        assert!(!after(1).await);
        assert!(!after(10_000).await);
        // A connection that is lost at once has said nothing.
        status.send_replace(Status::Connected);
        assert!(!after(300).await);
        status.send_replace(lost());
        assert!(!after(10_000).await);
        status.send_replace(Status::Connected);
        assert!(after(600).await);
        drop(status);
        informing.await.unwrap();
    }
}
