//! One broadcast: its catalogs, which are always followed, and its media and comments, which are
//! subscribed to while it is wanted and let go of when it is not.

use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::net::{BroadcastSubscription, Error};
use lectern_relay_proto::{BroadcastId, Catalog, PublisherState, TrackName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::tracks::{Progress, RESUBSCRIBE_AFTER, WantedTrack, wanted_tracks};
use super::{Consumers, Fetcher};
use crate::comments::Comments;
use crate::demand::Wanted;
use crate::live::{DirectoryFull, Live};
use crate::whep::Feed;

/// How long viewers of a broadcast that is no longer announced are kept waiting for it.
const GONE_LINGER: Duration = Duration::from_secs(60);

/// A broadcast that has been announced.
pub(super) struct Broadcast {
    id: BroadcastId,
    pub(super) live: Arc<Live>,
    pub(super) feed: Feed,
    comments: Arc<Comments>,
    pub(super) catalog: watch::Sender<Option<Catalog>>,
    pub(super) progress: Progress,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) wanted: Wanted,
}

impl Broadcast {
    pub(super) fn open(
        id: BroadcastId,
        consumers: &Consumers,
        fetcher: &Arc<Fetcher>,
    ) -> Result<Self, DirectoryFull> {
        let live = consumers.directory.open(id.clone())?;
        let wanted = consumers.demand.announced(&id);
        Ok(Self {
            live,
            feed: consumers.engine.feed(id.clone()).wanted_by(wanted.interest()),
            comments: consumers.comments.clone(),
            id,
            catalog: watch::Sender::new(None),
            progress: Progress::default(),
            fetcher: fetcher.clone(),
            wanted,
        })
    }

    /// Follows one announcement until it is replaced by another, or has been gone for too long;
    /// then gives back the id to forget.
    pub(super) async fn follow(
        self: Arc<Self>,
        subscription: BroadcastSubscription,
        renewed: CancellationToken,
    ) -> Option<BroadcastId> {
        let following = async {
            self.progress.announced();
            // Of this announcement: what the one before listed may not be there any more.
            let (list, listed) = watch::channel(Vec::new());
            tokio::select! {
                () = self.follow_catalogs(&subscription, &list) => {}
                () = self.carry(&subscription, listed) => {}
            }
            self.say_away();
            let _ = tokio::time::timeout(GONE_LINGER, self.keep()).await;
        };
        renewed.run_until_cancelled(following).await?;
        self.feed.end();
        Some(self.id.clone())
    }

    /// Ends with the announcement. Whatever fails meanwhile is asked for again.
    async fn follow_catalogs(
        &self,
        subscription: &BroadcastSubscription,
        list: &watch::Sender<Vec<WantedTrack>>,
    ) {
        let mut said = false;
        while let Err(error) = self.take_catalogs(subscription, list).await {
            if matches!(error, Error::Closed) {
                return;
            }
            // Once: while the way there is cut it fails several times a second.
            if std::mem::replace(&mut said, true) {
                tracing::debug!(%error, "the catalog cannot be had");
            } else {
                tracing::warn!(%error, "the catalog was lost; asking again");
            }
            tokio::time::sleep(RESUBSCRIBE_AFTER).await;
        }
    }

    async fn take_catalogs(
        &self,
        subscription: &BroadcastSubscription,
        list: &watch::Sender<Vec<WantedTrack>>,
    ) -> Result<(), Error> {
        let mut catalogs = subscription.catalogs().await?;
        while let Some(catalog) = catalogs.next().await {
            match catalog {
                Ok(catalog) => {
                    tracing::debug!(period = catalog.period.id, state = ?catalog.state, "catalog");
                    let wanted = wanted_tracks(&catalog);
                    self.set_catalog(catalog);
                    list.send_replace(wanted);
                }
                Err(error @ Error::Catalog(_)) => {
                    tracing::warn!(%error, "waiting for the next catalog");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Subscribes to media and comments whenever they are wanted. Never ends.
    async fn carry(
        &self,
        subscription: &BroadcastSubscription,
        listed: watch::Receiver<Vec<WantedTrack>>,
    ) {
        let mut wanted = self.wanted.clone();
        loop {
            self.wanted.leave(|| self.empty());
            wanted.until(true).await;
            tracing::debug!("subscribing to media and comments");
            self.progress.begin();
            let heard = |track: &TrackName| self.progress.has_heard(track);
            // What fails of the comments ends nothing else.
            let commenting = async {
                self.comments.follow(subscription).await;
                std::future::pending().await
            };
            tokio::select! {
                () = wanted.until(false) => {}
                () = self.follow_tracks(subscription, listed.clone()) => {}
                () = self.fetcher.run(&self.live, subscription, heard, &self.progress.joined) => {}
                () = commenting => {}
            }
        }
    }

    /// Keeps what there is for as long as it is wanted, while nothing can be subscribed to. Never ends.
    async fn keep(&self) {
        let mut wanted = self.wanted.clone();
        loop {
            wanted.until(false).await;
            self.wanted.leave(|| self.empty());
            wanted.until(true).await;
        }
    }

    /// Lets go of all media and comments. What the broadcast is about, and for whom, stays known.
    fn empty(&self) {
        tracing::debug!("letting go of media and comments");
        self.progress.forget();
        self.live.empty(self.catalog().as_ref());
        self.feed.clear();
        self.comments.close(&self.id);
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
    pub(super) fn say_away(&self) {
        if let Some(catalog) =
            self.catalog().filter(|catalog| catalog.state == PublisherState::Live)
        {
            self.set_catalog(Catalog { state: PublisherState::Away, ..catalog });
        }
    }
}
