//! The broadcasts that this edge holds, and whether there may be others.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use lectern_relay_proto::BroadcastId;
use tokio::sync::{Semaphore, watch};

use super::media::Asks;
use super::metrics::Metrics;
use super::{HELD_MAX, Live, hold};
use crate::siblings::Siblings;
use crate::timeline::{Config, Timeline};

/// The most broadcasts at once. One that nobody watches is its catalog, a few kilobytes and one of the
/// 4,096 streams that a relay lets an edge have, so half of these stay for media; how many of them have
/// that is [`crate::demand`]'s to bound.
const BROADCASTS_MAX: usize = 2_048;

/// The edge holds [`BROADCASTS_MAX`] broadcasts and takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this edge holds {BROADCASTS_MAX} broadcasts already")]
pub struct DirectoryFull;

/// Why there is no broadcast of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// The upstream has none.
    Unknown,
    /// The upstream has not said, or cannot be reached.
    Unheard,
}

/// Broadcasts by id.
pub struct Directory {
    config: Config,
    metrics: Arc<Metrics>,
    broadcasts: RwLock<BTreeMap<BroadcastId, Arc<Live>>>,
    /// Whether the upstream has said which broadcasts there are; sent as well when one is opened.
    informed: watch::Sender<bool>,
    held: Semaphore,
    siblings: Arc<Siblings>,
}

impl Directory {
    /// An empty directory whose broadcasts keep what `config` says. The upstream has not been heard.
    pub fn new(config: Config, metrics: Metrics) -> Arc<Self> {
        Self::beside(Arc::default(), config, metrics)
    }

    /// The same of an edge that is not alone.
    pub fn beside(siblings: Arc<Siblings>, config: Config, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            siblings,
            config,
            metrics: Arc::new(metrics),
            broadcasts: RwLock::default(),
            informed: watch::Sender::new(false),
            held: Semaphore::new(HELD_MAX),
        })
    }

    /// Says whether what is open here is all that the upstream has.
    pub fn set_informed(&self, informed: bool) {
        self.informed.send_replace(informed);
    }

    /// Whether it is.
    pub(crate) fn is_informed(&self) -> bool {
        *self.informed.borrow()
    }

    /// The broadcast `id`, new if it was not open.
    pub fn open(&self, id: BroadcastId) -> Result<Arc<Live>, DirectoryFull> {
        let mut broadcasts = self.broadcasts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = broadcasts.get(&id) {
            return Ok(live.clone());
        }
        if broadcasts.len() >= BROADCASTS_MAX {
            return Err(DirectoryFull);
        }
        let live = Live::new(id.clone(), Timeline::new(self.config), self.metrics.clone());
        broadcasts.insert(id, live.clone());
        drop(broadcasts);
        self.informed.send_modify(|_| {});
        Ok(live)
    }

    /// Drops the broadcast `id`; its readers stop.
    pub fn close(&self, id: &BroadcastId) {
        let mut broadcasts = self.broadcasts.write().unwrap_or_else(PoisonError::into_inner);
        let closed = broadcasts.remove(id);
        drop(broadcasts);
        if let Some(live) = closed {
            live.close();
        }
    }

    /// The broadcast `id`, if it is open.
    pub fn get(&self, id: &BroadcastId) -> Option<Arc<Live>> {
        let broadcasts = self.broadcasts.read().unwrap_or_else(PoisonError::into_inner);
        broadcasts.get(id).cloned()
    }

    /// The same for a request, which is held for a while if this edge cannot know: viewers of an edge
    /// that was restarted ask before it has heard its upstream, and many players take the first 404 for
    /// the end.
    pub(super) async fn find(
        &self,
        id: &BroadcastId,
        asks: &Asks<'_>,
    ) -> Result<Arc<Live>, Absent> {
        if let Some(answer) = self.answer(id, self.is_informed()) {
            return answer;
        }
        let Some(_held) = hold(&self.held, &self.metrics) else { return Err(Absent::Unheard) };
        let mut news = self.informed.subscribe();
        let heard = async {
            loop {
                let informed = *news.borrow_and_update();
                if let Some(answer) = self.answer(id, informed) {
                    return answer;
                }
                if news.changed().await.is_err() {
                    return Err(Absent::Unheard);
                }
            }
        };
        tokio::time::timeout_at(asks.held_until(), heard).await.unwrap_or(Err(Absent::Unheard))
    }

    /// The same at once.
    pub(super) fn look(&self, id: &BroadcastId) -> Result<Arc<Live>, Absent> {
        self.answer(id, self.is_informed()).unwrap_or(Err(Absent::Unheard))
    }

    /// What is to be said of `id`, if that is known.
    fn answer(&self, id: &BroadcastId, informed: bool) -> Option<Result<Arc<Live>, Absent>> {
        match self.get(id) {
            Some(live) => Some(Ok(live)),
            None => informed.then_some(Err(Absent::Unknown)),
        }
    }

    /// Waits until it is known for whom `id` is; for ever if that will not be.
    pub(crate) async fn described(&self, id: &BroadcastId) {
        let mut news = self.informed.subscribe();
        loop {
            news.mark_unchanged();
            if let Some(live) = self.get(id) {
                let mut follow = live.follow();
                while live.about().is_none() && follow.changed().await.is_ok() {}
                return;
            }
            if news.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Every open broadcast, by id.
    pub fn list(&self) -> Vec<Arc<Live>> {
        let broadcasts = self.broadcasts.read().unwrap_or_else(PoisonError::into_inner);
        broadcasts.values().cloned().collect()
    }

    /// What players are told of other edges, and of this one's end.
    pub(crate) fn siblings(&self) -> &Siblings {
        &self.siblings
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
