//! Who is where: sessions by id, by ICE user name and by path.
//!
//! The HTTP side adds and removes sessions, the receiver looks up, workers enter the paths that
//! passed ICE. Nothing on the way of a frame touches it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SessionId;
use super::metrics::{Ended, Metrics};
use super::outbox::Path;
use super::socket::ConnectionId;

/// Parts of the table of paths, so that workers and the receiver rarely meet.
const SHARDS: usize = 16;

/// Where a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// Its worker.
    pub worker: usize,
    /// Its broadcast, by [`super::broadcast::Broadcast::key`].
    pub room: u64,
    /// Its number, never used twice.
    pub serial: u64,
}

/// An open session as the HTTP side knows it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it lives.
    pub route: Route,
    /// The playback id in its URL.
    pub broadcast: String,
    /// Names its ICE session, RFC 9725 §4.3.1.
    pub etag: String,
    /// Our user name fragment.
    pub ufrag: String,
    /// That of an ICE restart whose first check has not come.
    pub next_ufrag: Option<String>,
    /// The viewer's, of its newest ICE session.
    pub peer_ufrag: String,
    /// The m-line of its video, by its index.
    pub video: Option<usize>,
}

/// A new ICE session within a session.
pub(super) struct Restart {
    /// Its entity tag.
    pub etag: String,
    /// Our user name fragment.
    pub ufrag: String,
    /// The viewer's.
    pub peer_ufrag: String,
}

/// [`Path::source`].
type Source = (SocketAddr, Option<ConnectionId>);

/// The tables.
pub(super) struct Registry {
    sessions: Mutex<HashMap<SessionId, Entry>>,
    ufrags: Mutex<HashMap<String, Route>>,
    paths: [Mutex<HashMap<Source, Route>>; SHARDS],
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

impl Registry {
    /// Empty tables.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            sessions: Mutex::default(),
            ufrags: Mutex::default(),
            paths: Default::default(),
            hasher: RandomState::new(),
            metrics,
        }
    }

    /// Enters a session.
    pub(super) fn insert(&self, id: SessionId, entry: Entry) {
        let mut sessions = lock(&self.sessions);
        lock(&self.ufrags).insert(entry.ufrag.clone(), entry.route);
        sessions.insert(id, entry);
    }

    /// Gives a session the credentials of an ICE restart, beside those that it has. `tell` is how its
    /// worker learns of them, in the order in which they are entered here; if it fails, nothing has
    /// changed. `None` if there is no such session.
    pub(super) fn restart<E>(
        &self,
        id: &SessionId,
        restart: Restart,
        tell: impl FnOnce(Route) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let mut sessions = lock(&self.sessions);
        let entry = sessions.get_mut(id)?;
        if let Err(error) = tell(entry.route) {
            return Some(Err(error));
        }
        let Restart { etag, ufrag, peer_ufrag } = restart;
        let mut ufrags = lock(&self.ufrags);
        ufrags.insert(ufrag.clone(), entry.route);
        if let Some(replaced) = entry.next_ufrag.replace(ufrag) {
            ufrags.remove(&replaced);
        }
        entry.etag = etag;
        entry.peer_ufrag = peer_ufrag;
        Some(Ok(()))
    }

    /// The first check of an ICE restart came: the credentials before it are void.
    pub(super) fn renewed(&self, id: &SessionId, ufrag: &str) {
        let mut sessions = lock(&self.sessions);
        let Some(entry) = sessions.get_mut(id) else { return };
        // Otherwise the next restart is there already, whose first check will do this.
        if let Some(renewed) = entry.next_ufrag.take_if(|next| next == ufrag) {
            let void = std::mem::replace(&mut entry.ufrag, renewed);
            lock(&self.ufrags).remove(&void);
        }
    }

    /// The session with this id.
    pub(super) fn session(&self, id: &SessionId) -> Option<Entry> {
        lock(&self.sessions).get(id).cloned()
    }

    /// The session that a connectivity check is meant for.
    pub(super) fn by_ufrag(&self, ufrag: &str) -> Option<Route> {
        lock(&self.ufrags).get(ufrag).copied()
    }

    /// The session that a path belongs to.
    pub(super) fn by_path(&self, path: &Path) -> Option<Route> {
        let source = path.source();
        self.shard(&source).get(&source).copied()
    }

    /// A path passed ICE for a session, for the first time or once more. One that belonged to another
    /// now belongs to this: a browser that reloads the page may get the same port again. If that was
    /// somebody else's claim, the next check of the session that it was taken from takes it back.
    pub(super) fn add_path(&self, path: &Path, route: Route) {
        let source = path.source();
        self.shard(&source).insert(source, route);
    }

    /// A path does not belong to a session any more.
    pub(super) fn remove_path(&self, path: &Path, route: Route) {
        let source = path.source();
        let mut shard = self.shard(&source);
        if shard.get(&source) == Some(&route) {
            shard.remove(&source);
        }
    }

    /// Removes a session; the first to do so counts its end.
    pub(super) fn remove(&self, id: &SessionId, why: Ended) -> bool {
        let removed = self.withdraw(id);
        if removed {
            self.metrics.ended(why);
        }
        removed
    }

    /// Removes a session that nobody has been told of.
    pub(super) fn withdraw(&self, id: &SessionId) -> bool {
        let mut sessions = lock(&self.sessions);
        let Some(entry) = sessions.remove(id) else { return false };
        let mut ufrags = lock(&self.ufrags);
        for ufrag in entry.next_ufrag.iter().chain([&entry.ufrag]) {
            ufrags.remove(ufrag);
        }
        true
    }

    fn shard(&self, source: &Source) -> MutexGuard<'_, HashMap<Source, Route>> {
        let shard = self.hasher.hash_one(source) as usize % SHARDS;
        lock(&self.paths[shard])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
