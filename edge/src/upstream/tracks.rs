//! The media of one broadcast: each track that its catalogs list, and what becomes of every chunk.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lectern_relay_proto::cmaf::Chunk;
use lectern_relay_proto::net::{BroadcastSubscription, Priority, TrackEvent, TrackSubscription};
use lectern_relay_proto::{Catalog, GroupId, Timescale, TrackName, trace};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backfill::Hole;
use super::broadcast::Broadcast;
use crate::traced::{Arrival, Receiving};

/// Groups that are reported lost at once. A longer hole is an outage, after which the timeline begins
/// anew with the next segment.
const LOST_GROUPS_MAX: u32 = 16;
/// How long media waits for the catalog of its period. The catalog travels at a higher priority.
const CATALOG_WAIT: Duration = Duration::from_secs(5);
/// Pause before subscribing again to a track that ended while the catalog still lists it.
pub(super) const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);

/// What has come of the tracks.
#[derive(Default)]
pub(super) struct Progress {
    /// The newest group of each, over all subscriptions to it.
    newest: Mutex<HashMap<TrackName, Newest>>,
    /// Those that have arrived over the current subscription. What is fetched on a connection before
    /// a track's subscription arrives would be taken for live.
    heard: Mutex<HashSet<TrackName>>,
    /// The newest group of each when all was let go of. The relay's client keeps it for half a minute and
    /// begins with it whoever subscribes again, long after it was live.
    stale: Mutex<HashMap<TrackName, GroupId>>,
    /// Wakes the fetcher: a track has come that may miss what was before.
    pub(super) joined: Notify,
}

/// The newest group of a track.
#[derive(Clone, Copy)]
struct Newest {
    group: GroupId,
    /// Whether it ended, and not just its subscription.
    whole: bool,
}

impl Progress {
    /// The broadcast is announced anew: nothing has come over this announcement.
    pub(super) fn announced(&self) {
        self.stale().clear();
    }

    /// Tracks are subscribed to anew.
    pub(super) fn begin(&self) {
        self.heard().clear();
    }

    /// What came is not here any more, so that nothing is missing of it.
    pub(super) fn forget(&self) {
        self.heard().clear();
        let newest = std::mem::take(&mut *self.newest());
        self.stale().extend(newest.into_iter().map(|(name, newest)| (name, newest.group)));
    }

    /// Whether a group is what was left of a track when it was let go of, or is older.
    fn is_stale(&self, name: &TrackName, group: GroupId) -> bool {
        let stale = self.stale();
        stale.get(name).is_some_and(|last| last.period == group.period && group <= *last)
    }

    fn stale(&self) -> MutexGuard<'_, HashMap<TrackName, GroupId>> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a track has arrived.
    pub(super) fn has_heard(&self, track: &TrackName) -> bool {
        self.heard().contains(track)
    }

    fn heard(&self) -> MutexGuard<'_, HashSet<TrackName>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self) -> MutexGuard<'_, HashMap<TrackName, Newest>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the group of a track that arrives; returns the one before.
    fn note(&self, name: &TrackName, group: GroupId) -> Option<Newest> {
        self.newest().insert(name.clone(), Newest { group, whole: false })
    }

    fn note_whole(&self, name: &TrackName, group: GroupId) {
        if let Some(newest) = self.newest().get_mut(name).filter(|newest| newest.group == group) {
            newest.whole = true;
        }
    }
}

impl Broadcast {
    /// Subscribes to every track that is `listed`, for as long as it is polled.
    pub(super) async fn follow_tracks(
        &self,
        subscription: &BroadcastSubscription,
        mut listed: watch::Receiver<Vec<WantedTrack>>,
    ) {
        let mut followed: HashMap<TrackName, FollowedTrack> = HashMap::new();
        let mut tracks = FuturesUnordered::new();
        loop {
            let wanted = listed.borrow_and_update().clone();
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
            loop {
                tokio::select! {
                    Some(()) = tracks.next() => {}
                    changed = listed.changed() => match changed {
                        Ok(()) => break,
                        // Nothing more is listed: the announcement is about to end.
                        Err(_) => std::future::pending().await,
                    },
                }
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
        // The group that arrives, if it is traced; whatever ends it, it is told then.
        let mut traced: Option<Receiving> = None;
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
                Ok(
                    TrackEvent::Chunk { group, .. }
                    | TrackEvent::GroupEnd(group)
                    | TrackEvent::Skipped(group),
                ) if period.is_none() && self.progress.is_stale(name, group) => {}
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
                    let before = self.progress.note(name, group);
                    if before.is_none_or(|before| before.group != group) {
                        traced = self.traced(name, group, &chunk);
                    } else if let Some(traced) = &mut traced {
                        traced.more();
                    }
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
                        self.progress.heard().insert(name.clone());
                        self.progress.joined.notify_one();
                        self.wanted.arrived();
                    }
                }
                Ok(TrackEvent::GroupEnd(group)) => {
                    traced = None;
                    self.progress.note_whole(name, group);
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

    /// A group begins: what is told of it if it is traced.
    fn traced(&self, name: &TrackName, group: GroupId, chunk: &Chunk) -> Option<Receiving> {
        trace::tracer()?;
        let t0 = self.catalog.borrow().as_ref()?.t0;
        let begins = chunk.frames.first()?.dts;
        let arrival = Arrival::of(self.live.id(), t0, name, group, begins)?;
        self.live.arrived(arrival.clone());
        Some(Receiving::new(arrival))
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
}

/// A track that is being followed, until this is dropped.
struct FollowedTrack {
    timescale: Timescale,
    _guard: DropGuard,
}

/// A track to subscribe to.
#[derive(Clone)]
pub(super) struct WantedTrack {
    name: TrackName,
    timescale: Timescale,
    priority: Priority,
}

/// Every track of the catalog, audio before video, each kind in the catalog's order.
pub(super) fn wanted_tracks(catalog: &Catalog) -> Vec<WantedTrack> {
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
    use super::*;

    #[test]
    fn what_was_left_when_all_was_let_go_of_is_not_taken_for_live() {
        let (progress, track) = (Progress::default(), TrackName::new("video/main").unwrap());
        let group = |period, index| GroupId { period, index };
        progress.note(&track, group(1, 7));
        assert!(!progress.is_stale(&track, group(1, 7)), "it is live");
        progress.forget();
        let stale = |period, index| progress.is_stale(&track, group(period, index));
        assert_eq!([stale(1, 6), stale(1, 7), stale(1, 8)], [true, true, false]);
        // Those of another origin's are counted anew.
        assert_eq!([stale(0, 0), stale(2, 0)], [false, false]);
        assert!(progress.note(&track, group(1, 8)).is_none(), "nothing is missing before it");
        progress.announced();
        assert!(!stale(1, 7));
    }
}
