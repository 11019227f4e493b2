//! What broadcasts and the database have to tell each other of who publishes what: a driver that does it beside
//! media. What is stored waits for nothing that is read, nor for who wants to publish: others believe an owner
//! gone that says nothing. What comes of it is each broadcast's own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::Broadcasts;
use super::broadcast::Broadcast;
use crate::seldom::warn_seldom;
use crate::timelines::{Error, PROGRESS_EACH};

/// How often it is looked up whose all broadcasts are, besides being told.
const LOOK_EACH: Duration = Duration::from_secs(5);
/// How long a process that stops tries to say how far it came. Without it, others begin a good way behind.
const GIVE_BACK_MAX: Duration = Duration::from_secs(3);

/// What is to be done, by broadcast: at most one of each kind for each that there is. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Chores(Arc<Inner>);

#[derive(Default)]
struct Inner {
    to_store: Notify,
    to_read: Notify,
    to_acquire: Notify,
    wanted: Mutex<Wanted>,
}

#[derive(Default)]
struct Wanted {
    read: BTreeSet<BroadcastId>,
    acquire: BTreeSet<BroadcastId>,
}

impl Chores {
    /// Something is to be stored: whoever has it is asked.
    pub(super) fn store(&self) {
        self.0.to_store.notify_one();
    }

    /// The row of a broadcast is to be read.
    pub(super) fn read(&self, id: &BroadcastId) {
        self.change(|wanted| wanted.read.insert(id.clone()));
        self.0.to_read.notify_one();
    }

    /// A publisher who waits may go on air if the broadcast is this process's, or becomes it.
    pub(super) fn acquire(&self, id: &BroadcastId) {
        self.change(|wanted| wanted.acquire.insert(id.clone()));
        self.0.to_acquire.notify_one();
    }

    fn change<T>(&self, change: impl FnOnce(&mut Wanted) -> T) -> T {
        change(&mut self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Broadcasts {
    /// Another process may publish to a broadcast now: it is looked up at once. To be called with news of
    /// kind `owner`.
    pub fn owner_changed(&self, id: &BroadcastId) {
        if self.get(id).is_some() {
            self.means.chores.read(id);
        }
    }

    /// The same of all broadcasts, where news may have been missed.
    pub fn owners_may_have_changed(&self) {
        self.all().iter().for_each(|(id, _)| self.means.chores.read(id));
    }

    /// Looks up all broadcasts whose timeline is not known yet, and announces them.
    pub async fn announce(&self) {
        self.read().await;
    }

    /// Keeps up with the database, until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        let keep_up = async {
            tokio::join!(self.keep_stored(), self.keep_read(), self.keep_acquired());
        };
        cancel.run_until_cancelled(keep_up).await;
    }

    async fn keep_stored(&self) {
        let is_shared = self.means.timelines.is_shared();
        let mut again = every(PROGRESS_EACH);
        loop {
            tokio::select! {
                () = self.means.chores.0.to_store.notified() => self.store(false).await,
                // What could not be stored before is tried again with it.
                _ = again.tick() => self.store(is_shared).await,
            }
        }
    }

    async fn keep_read(&self) {
        let is_shared = self.means.timelines.is_shared();
        let [mut again, mut look] = [PROGRESS_EACH, LOOK_EACH].map(every);
        loop {
            tokio::select! {
                () = self.means.chores.0.to_read.notified() => self.read().await,
                _ = again.tick() => self.read().await,
                _ = look.tick(), if is_shared => self.look().await,
            }
        }
    }

    async fn keep_acquired(&self) {
        loop {
            self.means.chores.0.to_acquire.notified().await;
            self.acquire().await;
        }
    }

    /// Says how far all have come, once nobody publishes any more: so the next process goes on right there.
    pub async fn give_back(&self) {
        let timelines: Vec<_> = self
            .all()
            .into_iter()
            .filter_map(|(id, broadcast)| Some((id, broadcast.give_back()?)))
            .collect();
        let stored = timeout(GIVE_BACK_MAX, self.means.timelines.store(&timelines)).await;
        match stored {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "how far the broadcasts came is not stored"),
            Err(_) => {
                tracing::warn!("how far the broadcasts came is not stored: it takes too long")
            }
        }
    }

    async fn read(&self) {
        let ids = self.means.chores.change(|wanted| std::mem::take(&mut wanted.read));
        if ids.is_empty() {
            return;
        }
        let ids: Vec<_> = ids.into_iter().collect();
        if let Err(error) = self.look_up(&ids).await {
            warn_seldom!(%error, "whose the broadcasts are cannot be read; trying again");
            self.means.chores.change(|wanted| wanted.read.extend(ids));
        }
    }

    /// Looks all broadcasts up, as often as that is done anyway.
    async fn look(&self) {
        let ids: Vec<_> = self.all().into_iter().map(|(id, _)| id).collect();
        if let Err(error) = self.look_up(&ids).await {
            tracing::debug!(%error, "whose the broadcasts are cannot be read");
        }
    }

    /// Tells these broadcasts what the database says of them.
    async fn look_up(&self, ids: &[BroadcastId]) -> Result<(), Error> {
        let asked = Instant::now();
        let rows = match self.means.timelines.read(ids).await {
            Ok(rows) => rows,
            Err(error) => {
                ids.iter().for_each(|id| self.with(id, Broadcast::not_read));
                return Err(error);
            }
        };
        for (id, row) in ids.iter().zip(rows) {
            match row {
                Ok(timeline) => self.with(id, |broadcast| broadcast.read(timeline, asked)),
                // Whoever publishes to it next makes it whole.
                Err(error) => self.with(id, |broadcast| broadcast.damaged(&error)),
            }
        }
        Ok(())
    }

    async fn store(&self, progress: bool) {
        let (mut broadcasts, mut timelines) = (Vec::new(), Vec::new());
        for (id, broadcast) in self.all() {
            if let Some(timeline) = broadcast.to_store(progress) {
                broadcasts.push(broadcast);
                timelines.push((id, timeline));
            }
        }
        let stored = match self.means.timelines.store(&timelines).await {
            Ok(stored) => stored,
            Err(error) => {
                // Media goes on with what is reserved.
                warn_seldom!(%error, "how far the broadcasts came is not stored; trying again");
                return;
            }
        };
        let mut lost = Vec::new();
        for ((broadcast, (id, timeline)), is_stored) in
            broadcasts.into_iter().zip(&timelines).zip(stored)
        {
            if is_stored {
                broadcast.stored(timeline);
            } else {
                lost.push((id.clone(), broadcast));
            }
        }
        if !lost.is_empty() {
            self.find_lost(lost).await;
        }
    }

    /// What these wanted to store is not theirs to store.
    async fn find_lost(&self, lost: Vec<(BroadcastId, Arc<Broadcast>)>) {
        let (ids, broadcasts): (Vec<_>, Vec<_>) = lost.into_iter().unzip();
        let rows = match self.means.timelines.read(&ids).await {
            Ok(rows) => rows,
            Err(error) => {
                warn_seldom!(%error, "whose the broadcasts are cannot be read; trying again");
                return;
            }
        };
        for ((id, broadcast), row) in ids.iter().zip(broadcasts).zip(rows) {
            match row {
                Ok(timeline) => broadcast.told_not_ours(timeline),
                Err(error) => {
                    tracing::warn!(broadcast = %id, %error, "whose the broadcast is cannot be read");
                }
            }
        }
    }

    async fn acquire(&self) {
        let ids = self.means.chores.change(|wanted| std::mem::take(&mut wanted.acquire));
        let ids: Vec<_> = ids.into_iter().collect();
        // Who waits holds no row that its owner wants to store; and asks again.
        if let Err(error) = self.look_up(&ids).await {
            tracing::debug!(%error, "a publisher waits on: whose the broadcast is cannot be read");
            return;
        }
        for id in ids {
            if let Some(broadcast) = self.get(&id) {
                broadcast.acquire_wished().await;
            }
        }
    }

    pub(super) fn all(&self) -> Vec<(BroadcastId, Arc<Broadcast>)> {
        let registry = self.registry();
        registry.by_id.iter().map(|(id, broadcast)| (id.clone(), broadcast.clone())).collect()
    }

    fn with(&self, id: &BroadcastId, work: impl FnOnce(&Broadcast)) {
        if let Some(broadcast) = self.get(id) {
            work(&broadcast);
        }
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
