//! Which broadcasts are there, by what is announced: of several publications of one, the newest is followed,
//! whichever way it comes. Connections are made and kept by [`super::upstream`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use moq_net::{announce, origin};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::path::{Node, Publication};
use super::{BroadcastSubscription, SubscriberMetrics};
use crate::BroadcastId;

/// How long an announcement may take to become a broadcast that can be subscribed to.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long after a publication's end its readers wait for what was on the way. The end travels on a
/// stream of its own and may overtake the last chunks.
const TAIL: Duration = Duration::from_secs(1);
/// Broadcasts that are followed at once; further ones are ignored, out loud.
const BROADCASTS_MAX: usize = 4_096;
/// Publications of one broadcast, an origin each, that are known at once; the oldest are forgotten.
const PUBLICATIONS_MAX: usize = 64;

/// What is live upstream.
pub enum Announcement {
    /// A broadcast can be subscribed to. If it is followed already, this is a newer publication of it, and
    /// the one before ends.
    Live(BroadcastSubscription),
    /// Nobody publishes it any more, or nobody who does can be reached. If it comes back, it is as a new one.
    Gone(BroadcastId),
}

/// Follows what is announced.
pub(super) struct Follower {
    consumer: origin::Consumer,
    announce: mpsc::Sender<Announcement>,
    metrics: SubscriberMetrics,
    broadcasts: BTreeMap<BroadcastId, Announced>,
    /// Who publishes anything, and how many publications.
    counts: BTreeMap<Node, usize>,
    origins: BTreeSet<Node>,
}

/// A broadcast that somebody announces.
#[derive(Default)]
struct Announced {
    publications: BTreeSet<Publication>,
    followed: Option<Followed>,
}

/// What the caller knows of.
struct Followed {
    publication: Publication,
    /// Tells its readers when to stop waiting.
    end: watch::Sender<Option<Instant>>,
}

impl Followed {
    fn end(self) {
        self.end.send_replace(Some(Instant::now() + TAIL));
    }
}

impl Follower {
    /// Of what `consumer` can reach; it is told to `announce`.
    pub(super) fn new(
        consumer: origin::Consumer,
        announce: mpsc::Sender<Announcement>,
        metrics: SubscriberMetrics,
    ) -> Self {
        let (broadcasts, counts, origins) = Default::default();
        Self { consumer, announce, metrics, broadcasts, counts, origins }
    }

    /// One announcement, or the end of one; gives back of which broadcast it was.
    pub(super) async fn update(&mut self, update: &announce::Update) -> Option<BroadcastId> {
        let (id, publication) = Publication::at(update.prefix.as_str())?;
        if !update.kind.is_active() {
            if self
                .broadcasts
                .get_mut(&id)
                .is_some_and(|known| known.publications.remove(&publication))
            {
                self.count(publication, false);
                self.settle(id.clone()).await;
            }
            return Some(id);
        }
        if !self.broadcasts.contains_key(&id) && self.broadcasts.len() >= BROADCASTS_MAX {
            tracing::warn!(broadcast = %id, "ignored: {BROADCASTS_MAX} broadcasts are followed");
            return Some(id);
        }
        let known = self.broadcasts.entry(id.clone()).or_default();
        if known.publications.insert(publication) {
            let over = known.publications.len() > PUBLICATIONS_MAX;
            let oldest = over.then(|| known.publications.pop_first()).flatten();
            self.count(publication, true);
            if let Some(oldest) = oldest {
                tracing::warn!(broadcast = %id, "more than {PUBLICATIONS_MAX} origins announce it");
                self.count(oldest, false);
            }
        }
        self.settle(id.clone()).await;
        Some(id)
    }

    /// Whose publication of a broadcast is followed.
    pub(super) fn publisher(&self, id: &BroadcastId) -> Option<Node> {
        let followed = self.broadcasts.get(id)?.followed.as_ref()?;
        Some(followed.publication.origin)
    }

    /// Who publishes anything.
    pub(super) fn origins(&self) -> &BTreeSet<Node> {
        &self.origins
    }

    fn count(&mut self, publication: Publication, announced: bool) {
        let count = self.counts.entry(publication.origin).or_default();
        *count = if announced { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.counts.remove(&publication.origin);
            self.origins.remove(&publication.origin);
        } else {
            self.origins.insert(publication.origin);
        }
    }

    /// Follows the newest publication of a broadcast.
    async fn settle(&mut self, id: BroadcastId) {
        let Some(known) = self.broadcasts.get_mut(&id) else { return };
        let Some(newest) = known.publications.last().copied() else {
            let followed = known.followed.take();
            self.broadcasts.remove(&id);
            if let Some(followed) = followed {
                followed.end();
                self.say(Announcement::Gone(id)).await;
            }
            return;
        };
        if known.followed.as_ref().is_some_and(|followed| followed.publication == newest) {
            return;
        }
        let request = self.consumer.request_broadcast(newest.path(&id));
        match tokio::time::timeout(RESOLVE_TIMEOUT, request).await {
            Ok(Ok(broadcast)) => {
                let (end, ends) = watch::channel(None);
                let followed = Followed { publication: newest, end };
                if let Some(former) = known.followed.replace(followed) {
                    let gone = former.publication > newest;
                    let what =
                        if gone { "it has ended; one before it" } else { "a newer publication" };
                    tracing::info!(broadcast = %id, publication = %newest, "{what} is followed");
                    former.end();
                }
                let (epoch, metrics) = (newest.epoch, self.metrics.clone());
                let subscription = BroadcastSubscription::new(id, epoch, broadcast, ends, metrics);
                self.say(Announcement::Live(subscription)).await;
            }
            // Retracted in the meantime; the retraction is the next update.
            Ok(Err(error)) => tracing::debug!(broadcast = %id, %error, "publication went away"),
            Err(_) => {
                tracing::warn!(broadcast = %id, "upstream announced it and does not serve it");
            }
        }
    }

    async fn say(&self, announcement: Announcement) {
        // The receiver goes only with the subscriber, whose drop ends this task too.
        let _ = self.announce.send(announcement).await;
    }
}
