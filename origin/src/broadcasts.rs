//! The broadcasts of this origin: which there are, and which stream key opens which. What happens in one
//! is [`broadcast`]'s.
//!
//! A broadcast is announced once the database has said how far it has come, with or without an encoder, and
//! outlives every take. Which process may publish to it is between it and the database ([`owner`]).

mod broadcast;
mod owner;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use aws_lc_rs::digest;
use lectern_relay_proto::comment::ModeratorKey;
use lectern_relay_proto::net::{Announcer, Epoch};
use lectern_relay_proto::{About, BroadcastId};
use tokio::sync::broadcast as signals;

use self::broadcast::{Broadcast, Means};
pub use self::broadcast::{Publishing, Status, TakeHandle};
use self::owner::Chores;
use crate::comments::Room;
use crate::config::BroadcastConfig;
use crate::doctor;
use crate::ingest::{self, Refusal, TakeError};
use crate::metrics::Metrics;
use crate::timelines::Timelines;
use crate::transcode::video::Reencoders;
use crate::wall;

/// Broadcasts of one origin. Each is announced to every edge, whether anybody publishes or not.
pub const BROADCASTS_MAX: usize = 1_000;
/// Changes that a listener may be behind before it is told that it missed some.
const SIGNALS_MAX: usize = 1_024;

/// All broadcasts of this origin.
pub struct Broadcasts {
    means: Means,
    registry: RwLock<Registry>,
}

#[derive(Default)]
struct Registry {
    by_id: BTreeMap<BroadcastId, Arc<Broadcast>>,
    /// By the digest of the stream key, so that the time of a look-up says nothing about the keys.
    by_key: HashMap<KeyDigest, (Arc<Broadcast>, Grant)>,
}

/// SHA-256 of a stream key, which has too much chance in it to be guessed from that.
pub type KeyDigest = [u8; digest::SHA256_OUTPUT_LEN];

/// What a broadcast is to be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its public id.
    pub id: BroadcastId,
    /// For people.
    pub about: About,
    /// Who has this is a moderator of its comments.
    pub moderator_key: Option<ModeratorKey>,
    /// Whether a list is kept of who attends.
    pub attendance: bool,
    /// Nobody may publish.
    pub blocked: bool,
}

impl From<&BroadcastConfig> for Spec {
    fn from(config: &BroadcastConfig) -> Self {
        Self {
            id: config.id.clone(),
            about: config.about(),
            moderator_key: config.moderator_key.clone(),
            attendance: config.attendance,
            blocked: false,
        }
    }
}

/// A stream key's name and rank.
#[derive(Clone, Debug)]
pub struct Key {
    /// What it is called where the key itself may not be seen.
    pub id: Arc<str>,
    /// Of the key itself.
    pub digest: KeyDigest,
    /// Whether its publisher waits for those with other keys to fall silent.
    pub backup: bool,
}

/// How somebody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RTMP or Enhanced RTMP.
    Rtmp,
    /// WebRTC (RFC 9725).
    Whip,
}

/// What a key gives its publisher.
#[derive(Clone, Debug)]
struct Grant {
    key: Arc<str>,
    backup: bool,
    protocol: Protocol,
}

/// Says of which broadcast something has changed: whether media arrives, or who sends it.
#[derive(Clone)]
struct Signals(signals::Sender<BroadcastId>);

impl Signals {
    fn changed(&self, id: &BroadcastId) {
        // Nobody has to listen.
        let _ = self.0.send(id.clone());
    }
}

/// Why a broadcast cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one of this id.
    #[error("two broadcasts are named {0}")]
    DuplicateId(BroadcastId),
    /// Two have the same stream key.
    #[error("broadcast {0} has a stream key that another one already has")]
    DuplicateKey(BroadcastId),
    /// A stream key is empty.
    #[error("broadcast {0} has an empty stream key")]
    EmptyKey(BroadcastId),
    /// There are too many.
    #[error("there are {BROADCASTS_MAX} broadcasts, which is as many as an origin announces")]
    TooMany,
    /// The relay refused the broadcast.
    #[error(transparent)]
    Relay(#[from] lectern_relay_proto::net::Error),
}

impl Broadcasts {
    /// No broadcasts yet, to be announced on `relay`.
    pub fn new(relay: Announcer, timelines: Timelines, metrics: Metrics) -> Self {
        let signals = Signals(signals::Sender::new(SIGNALS_MAX));
        let (chores, reencoders) = (Chores::default(), None);
        let means = Means { relay, timelines, metrics, signals, chores, reencoders };
        Self { means, registry: RwLock::default() }
    }

    /// The same, where pictures over RTMP that WebRTC cannot carry are [mended](crate::mend).
    pub fn mending_by(self, reencoders: Option<Reencoders>) -> Self {
        Self { means: Means { reencoders, ..self.means }, ..self }
    }

    /// Begins a broadcast, to which one can publish with any of `keys` and which can be commented on in
    /// the room. It is [announced](Self::announce) once the database has told of it.
    pub fn open(&self, spec: Spec, keys: &[Key]) -> Result<Room, Error> {
        let mut registry = self.write();
        let id = spec.id.clone();
        if registry.by_id.contains_key(&id) {
            return Err(Error::DuplicateId(id));
        }
        if registry.by_id.len() >= BROADCASTS_MAX {
            return Err(Error::TooMany);
        }
        if keys.iter().any(|key| registry.by_key.contains_key(&key.digest)) {
            return Err(Error::DuplicateKey(id));
        }
        let (broadcast, room) = Broadcast::open(spec, &self.means)?;
        let broadcast = Arc::new(broadcast);
        self.means.chores.read(&id);
        registry.by_id.insert(id, broadcast.clone());
        for key in keys {
            registry.by_key.insert(key.digest, (broadcast.clone(), Grant::of(key)));
        }
        Ok(room)
    }

    /// Ends a broadcast, and whoever publishes to it; edges are told that it is gone.
    pub fn close(&self, id: &BroadcastId) {
        let mut registry = self.write();
        if let Some(broadcast) = registry.by_id.remove(id) {
            registry.by_key.retain(|_, (of, _)| !Arc::ptr_eq(of, &broadcast));
            broadcast.stop();
        }
    }

    /// Lets one publish to a broadcast with these keys and no others; whoever publishes with another is
    /// ended. Does nothing where there is no such broadcast.
    pub fn set_keys(&self, id: &BroadcastId, keys: &[Key]) {
        let mut registry = self.write();
        let Some(broadcast) = registry.by_id.get(id).cloned() else { return };
        let mut ended = Vec::new();
        registry.by_key.retain(|digest, (of, grant)| {
            let stays =
                !Arc::ptr_eq(of, &broadcast) || keys.iter().any(|key| key.digest == *digest);
            if !stays {
                ended.push(grant.key.clone());
            }
            stays
        });
        for key in keys {
            // One that opens another broadcast goes on doing so.
            let known = registry.by_key.entry(key.digest);
            known.or_insert_with(|| (broadcast.clone(), Grant::of(key)));
        }
        ended.iter().for_each(|key| broadcast.revoke(key));
    }

    /// What a broadcast is about from now on.
    pub fn set_about(&self, id: &BroadcastId, about: About) -> Result<(), Error> {
        self.get(id).map_or(Ok(()), |broadcast| broadcast.set_about(about))
    }

    /// Ends whoever publishes to a broadcast, and lets nobody come back for half a minute.
    pub fn stop(&self, id: &BroadcastId) {
        if let Some(broadcast) = self.get(id) {
            broadcast.stop();
        }
    }

    /// Lets nobody publish to a broadcast, or everybody again who has a key.
    pub fn block(&self, id: &BroadcastId, blocked: bool) {
        if let Some(broadcast) = self.get(id) {
            broadcast.block(blocked);
        }
    }

    /// How a broadcast is; `None` if there is none.
    pub fn status(&self, id: &BroadcastId) -> Option<Status> {
        self.get(id).map(|broadcast| broadcast.status())
    }

    /// By which this process may publish to a broadcast; `None` if it may not.
    pub fn owned_by(&self, id: &BroadcastId) -> Option<Epoch> {
        self.get(id)?.owned_by()
    }

    /// How those are of which only this process can say how they are now: it has them on air, waits for their
    /// encoder, or knows why that was sent away.
    pub fn own_now(&self) -> Vec<(BroadcastId, Epoch, Status)> {
        let all = self.all().into_iter();
        all.filter_map(|(id, broadcast)| Some((id, broadcast.owned_by()?, broadcast.status())))
            .filter(|(_, _, status)| status.is_of_now())
            .collect()
    }

    /// What the doctor says at `now` of what is published to a broadcast; `None` if there is no such
    /// broadcast.
    pub fn report(&self, id: &BroadcastId) -> Option<doctor::Report> {
        self.get(id).map(|broadcast| broadcast.report(wall::now()))
    }

    /// What the doctor finds in what is published to a broadcast; nothing if there is no such broadcast.
    pub fn findings(&self, id: &BroadcastId) -> Vec<doctor::Finding> {
        self.get(id).map(|broadcast| broadcast.findings()).unwrap_or_default()
    }

    /// Says to all who listen that something about a broadcast has changed.
    pub fn signal(&self, id: &BroadcastId) {
        self.means.signals.changed(id);
    }

    /// Hears from now on of which broadcasts something has changed: the [`Status`], or what they are to be.
    pub fn signals(&self) -> signals::Receiver<BroadcastId> {
        self.means.signals.0.subscribe()
    }

    /// Who is let in with `stream_key` publishes over `protocol`. Answers within
    /// [`ACQUIRE_MAX`](crate::timelines::ACQUIRE_MAX), or twice that if two claims meet.
    pub async fn claim(&self, stream_key: &str, protocol: Protocol) -> Result<TakeHandle, Refusal> {
        let digest = key_digest(stream_key);
        // Between being granted and being used it may be lost again, once.
        for _ in 0..2 {
            let (broadcast, grant) = self.opened_by(&self.registry(), &digest, protocol)?;
            if let Some(wish) = broadcast.needs(&grant)? {
                broadcast.acquire(wish).await?;
            }
            // Held until it is on air: a key that is revoked meanwhile ends it then.
            let registry = self.registry();
            let (broadcast, grant) = self.opened_by(&registry, &digest, protocol)?;
            if let Some(handle) = broadcast.claim(&grant)? {
                // Of the session that it is for.
                tracing::Span::current()
                    .record("broadcast", tracing::field::display(broadcast.id()));
                return Ok(handle);
            }
        }
        self.means.metrics.refused.with_label_values(&["elsewhere"]).inc();
        Err(Refusal::Unavailable(TakeError::Elsewhere.to_string()))
    }

    /// The broadcast that a stream key opens, by its digest.
    pub(crate) fn opened_by_key(&self, digest: &KeyDigest) -> Option<BroadcastId> {
        self.registry().by_key.get(digest).map(|(broadcast, _)| broadcast.id.clone())
    }

    fn opened_by(
        &self,
        registry: &Registry,
        digest: &KeyDigest,
        protocol: Protocol,
    ) -> Result<(Arc<Broadcast>, Grant), Refusal> {
        let Some((broadcast, grant)) = registry.by_key.get(digest) else {
            self.means.metrics.refused.with_label_values(&["unknown_key"]).inc();
            return Err(Refusal::UnknownKey);
        };
        Ok((broadcast.clone(), Grant { protocol, ..grant.clone() }))
    }

    fn get(&self, id: &BroadcastId) -> Option<Arc<Broadcast>> {
        self.registry().by_id.get(id).cloned()
    }

    fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Registry> {
        self.registry.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    fn of(key: &Key) -> Self {
        Self { key: key.id.clone(), backup: key.backup, protocol: Protocol::Rtmp }
    }
}

/// As publishers over RTMP meet it.
impl ingest::Gate for Broadcasts {
    type Take = TakeHandle;

    async fn admits(&self, stream_key: &str) -> Result<(), Refusal> {
        let known = self.registry().by_key.contains_key(&key_digest(stream_key));
        if !known {
            self.means.metrics.refused.with_label_values(&["unknown_key"]).inc();
        }
        known.then_some(()).ok_or(Refusal::UnknownKey)
    }

    async fn claim(&self, stream_key: &str, _peer: SocketAddr) -> Result<TakeHandle, Refusal> {
        Broadcasts::claim(self, stream_key, Protocol::Rtmp).await
    }
}

/// As publishers by WHIP meet it.
pub struct OverWhip(pub Arc<Broadcasts>);

impl ingest::Gate for OverWhip {
    type Take = TakeHandle;

    async fn admits(&self, stream_key: &str) -> Result<(), Refusal> {
        self.0.admits(stream_key).await
    }

    async fn claim(&self, stream_key: &str, _peer: SocketAddr) -> Result<TakeHandle, Refusal> {
        self.0.claim(stream_key, Protocol::Whip).await
    }
}

/// See [`KeyDigest`].
pub fn key_digest(key: &str) -> KeyDigest {
    let digest = digest::digest(&digest::SHA256, key.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 is 32 bytes")
}
