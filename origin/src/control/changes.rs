//! Changes of broadcasts and of the keys that open them. Each is made in the database first and carried out to
//! its end whoever still waits for it; and whatever came of it, memory is then made what the database says.

use std::sync::Arc;
use std::time::Instant;

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::about::ViewerKeys;
use tokio::sync::MutexGuard;

use super::records::{Broadcast, KeyUse, StreamKey};
use super::signing::told;
use super::store::{Changed, Conflict, Stored};
use super::{Control, Error, Listed, NAME_HELD, lock, now};
use crate::broadcasts::{self, Key, Spec};
use crate::database::news::News;

impl Control {
    /// Makes a broadcast, with this account as its host.
    pub async fn add(
        self: &Arc<Self>,
        broadcast: Broadcast,
        host: &str,
    ) -> Result<Arc<Listed>, Error> {
        let (this, host, id) = (self.clone(), host.to_owned(), broadcast.id.clone());
        let adding = async move {
            let _changing = this.change().await?;
            if this.get(&id).is_some() {
                return Err(Conflict::Exists.into());
            }
            if this.is_held(&id) {
                return Err(Error::NameHeld);
            }
            this.prepare(&broadcast.about).await?;
            // First here, where there may be no room for it; a name that is in the database alone is not.
            let room = this.broadcasts.open(spec(&broadcast, &this.viewer_keys()), &[])?;
            this.rooms.open(id.clone(), room).await;
            let added = this.store.add_broadcast(&broadcast, &host).await;
            this.concluded(&id, added).await
        };
        carried_out(adding).await
    }

    /// Makes a broadcast as given, if it is still as `broadcast.rev` says.
    pub async fn set(self: &Arc<Self>, broadcast: Broadcast) -> Result<Arc<Listed>, Error> {
        let (this, id) = (self.clone(), broadcast.id.clone());
        let setting = async move {
            let _changing = this.change().await?;
            this.changeable(&id)?;
            this.prepare(&broadcast.about).await?;
            let set = this.store.set_broadcast(&broadcast).await;
            this.concluded(&id, set).await
        };
        carried_out(setting).await
    }

    /// A broadcast as the database has it, if it has changed so often.
    pub async fn version(
        self: &Arc<Self>,
        id: &BroadcastId,
        rev: u64,
    ) -> Result<Arc<Listed>, Error> {
        let listed = self.get(id).ok_or(Conflict::Missing)?;
        if listed.provisioned {
            return Err(Error::Provisioned);
        }
        if listed.broadcast.rev == rev {
            return Ok(listed);
        }
        let (this, id) = (self.clone(), id.clone());
        let listed = carried_out(async move {
            let _changing = this.change().await?;
            this.concluded(&id, Ok(Ok(()))).await
        });
        let listed = listed.await?;
        if listed.broadcast.rev == rev { Ok(listed) } else { Err(Conflict::Stale.into()) }
    }

    /// Changes a broadcast whatever version it is of.
    pub async fn update(
        self: &Arc<Self>,
        id: &BroadcastId,
        change: impl FnOnce(&mut Broadcast) + Send + 'static,
    ) -> Result<Arc<Listed>, Error> {
        let (this, id) = (self.clone(), id.clone());
        let updating = async move {
            let _changing = this.change().await?;
            this.changeable(&id)?;
            // Not as it is here: another origin may have changed it.
            let stored = this.store.broadcast(&id).await?;
            let (mut broadcast, _) = stored.ok_or(Conflict::Missing)?;
            change(&mut broadcast);
            broadcast.updated_at = now().into();
            let set = this.store.set_broadcast(&broadcast).await;
            this.concluded(&id, set).await
        };
        carried_out(updating).await
    }

    /// Ends whoever publishes to a broadcast, at whichever origin, and lets nobody come back for half a minute.
    pub async fn stop(self: &Arc<Self>, id: &BroadcastId) -> Result<(), Error> {
        // First, and also where others cannot be told.
        self.broadcasts.stop(id);
        let (this, id) = (self.clone(), id.clone());
        carried_out(async move { Ok(this.store.stopped(&id, now()).await?) }).await
    }

    /// Removes a broadcast with all that was said in it, if it is still as `rev` says.
    pub async fn remove(self: &Arc<Self>, id: &BroadcastId, rev: u64) -> Result<(), Error> {
        let (this, id) = (self.clone(), id.clone());
        let removing = async move {
            let _changing = this.change().await?;
            this.changeable(&id)?;
            let removed = this.store.remove_broadcast(&id, rev).await;
            if matches!(removed, Ok(Ok(()))) {
                lock(&this.removed).insert(id.clone(), Instant::now());
            }
            match this.concluded(&id, removed).await {
                // It is not there, as was wanted.
                Err(Error::Conflict(Conflict::Missing)) if this.is_held(&id) => Ok(()),
                Err(error) => Err(error),
                Ok(_) => Ok(()),
            }
        };
        carried_out(removing).await
    }

    /// Makes a stream key, of which `secret` opens the broadcast.
    pub async fn add_key(
        self: &Arc<Self>,
        id: &BroadcastId,
        key: StreamKey,
        secret: &str,
    ) -> Result<(), Error> {
        let (this, id) = (self.clone(), id.clone());
        let digest = hex(&broadcasts::key_digest(secret));
        let adding = async move {
            let _changing = this.change().await?;
            this.changeable(&id)?;
            let added = this.store.add_key(&digest, &id, &key).await;
            this.concluded(&id, added).await.map(drop)
        };
        carried_out(adding).await
    }

    /// Ends a stream key, and whoever publishes with it.
    pub async fn revoke_key(self: &Arc<Self>, id: &BroadcastId, key: &str) -> Result<(), Error> {
        let (this, id, key) = (self.clone(), id.clone(), key.to_owned());
        let revoking = async move {
            let _changing = this.change().await?;
            this.changeable(&id)?;
            let revoked = this.store.revoke_key(&id, &key, now()).await;
            this.concluded(&id, revoked).await.map(drop)
        };
        carried_out(revoking).await
    }

    /// What came of a change that was tried, once memory is as the database says; it may have been made
    /// although the database said nothing to it.
    pub(super) async fn concluded<T>(
        &self,
        id: &BroadcastId,
        changed: Changed<T>,
    ) -> Result<Arc<Listed>, Error> {
        let known = match self.store.broadcast(id).await {
            Ok(stored) => self.accord(id, stored).await,
            Err(error) => Err(error.into()),
        };
        if known.is_err() {
            self.is_unsure(News::Broadcast(id.clone()));
        }
        changed??;
        known?.ok_or_else(|| Conflict::Missing.into())
    }

    fn is_held(&self, id: &BroadcastId) -> bool {
        let mut removed = lock(&self.removed);
        removed.retain(|_, at| at.elapsed() < NAME_HELD);
        removed.contains_key(id)
    }

    /// Makes a broadcast what the database says: there or not, about this, with these keys.
    pub(super) async fn accord(
        &self,
        id: &BroadcastId,
        stored: Option<Stored>,
    ) -> Result<Option<Arc<Listed>>, Error> {
        let Some((broadcast, keys)) = stored else {
            self.write(|directory| directory.broadcasts.remove(id));
            self.rooms.close(id.clone()).await;
            self.broadcasts.close(id);
            self.broadcasts.signal(id);
            // What was said while it was removed.
            self.store.remove_what_is_left(id).await?;
            return Ok(None);
        };
        let keys: Vec<_> = keys.iter().filter_map(|(digest, key)| key_of(digest, key)).collect();
        if self.broadcasts.status(id).is_none() {
            let room = self.broadcasts.open(spec(&broadcast, &self.viewer_keys()), &keys)?;
            self.rooms.open(id.clone(), room).await;
        } else {
            self.broadcasts.set_keys(id, &keys);
            self.broadcasts.block(id, broadcast.blocked);
            let attendance = broadcast.attendance;
            self.rooms.set(id.clone(), broadcast.moderator_key.clone(), attendance).await;
            self.broadcasts.set_about(id, told(&broadcast.about, &self.viewer_keys()))?;
        }
        Ok(Some(self.list(broadcast)))
    }
    fn changeable(&self, id: &BroadcastId) -> Result<Arc<Listed>, Error> {
        let listed = self.get(id).ok_or(Conflict::Missing)?;
        if listed.provisioned { Err(Error::Provisioned) } else { Ok(listed) }
    }

    fn list(&self, broadcast: Broadcast) -> Arc<Listed> {
        let listed = Arc::new(Listed { broadcast, provisioned: false });
        let id = listed.broadcast.id.clone();
        self.write(|directory| directory.broadcasts.insert(id.clone(), listed.clone()));
        self.broadcasts.signal(&id);
        listed
    }

    pub(super) async fn change(&self) -> Result<MutexGuard<'_, ()>, Error> {
        let guard = self.changing.lock().await;
        if self.read().loaded { Ok(guard) } else { Err(Error::NotLoaded) }
    }
}

/// Carries a change out to its end, also where nobody waits for it any more: one that is half made would
/// stay so.
pub(super) async fn carried_out<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or(Err(Error::BrokeOff))
}

fn spec(broadcast: &Broadcast, viewer_keys: &ViewerKeys) -> Spec {
    Spec {
        id: broadcast.id.clone(),
        about: told(&broadcast.about, viewer_keys),
        moderator_key: broadcast.moderator_key.clone(),
        attendance: broadcast.attendance,
        blocked: broadcast.blocked,
    }
}

fn key_of(digest: &str, key: &StreamKey) -> Option<Key> {
    let backup = key.usage == KeyUse::Backup;
    Some(Key { id: key.id.as_str().into(), digest: unhex(digest)?, backup })
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<broadcasts::KeyDigest> {
    let mut digest = broadcasts::KeyDigest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}
