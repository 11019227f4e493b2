//! The broadcasts of the configuration file: there from the start, and made what the file says when it is read
//! again. What nobody changed in it goes on untouched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lectern_relay_proto::{BroadcastId, UtcTime};

use super::changes::carried_out;
use super::records::Broadcast;
use super::{Control, Directory, Error, Listed};
use crate::broadcasts::{self, BROADCASTS_MAX, Broadcasts, Key, Spec};
use crate::comments::Rooms;
use crate::config::BroadcastConfig;

/// What the one key of a broadcast from the configuration file is called.
pub(super) const FILE_KEY: &str = "config";

/// Why what the file says now is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// One of this name was made in the console.
    #[error(
        "{0} is a broadcast that was made in the console: remove it there first, or take another id"
    )]
    Taken(BroadcastId),
    /// A stream key is one that was made in the console.
    #[error("the stream key of {0} opens {1} already: take another one")]
    KeyTaken(BroadcastId, BroadcastId),
    /// With those of the database there are too many.
    #[error(
        "with those of the console there would be {0} broadcasts, and an origin announces \
         {BROADCASTS_MAX} at most"
    )]
    TooMany(usize),
    /// Something that is only found while it is carried out; the rest is.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// A broadcast as the file has it.
struct Wanted {
    spec: Spec,
    key: Key,
}

impl Wanted {
    fn of(config: &BroadcastConfig) -> Self {
        let digest = broadcasts::key_digest(config.stream_key.expose());
        let key = Key { id: FILE_KEY.into(), digest, backup: false };
        Self { spec: Spec::from(config), key }
    }

    fn listed(&self) -> Arc<Listed> {
        let spec = &self.spec;
        let broadcast = Broadcast {
            id: spec.id.clone(),
            rev: 0,
            about: spec.about.clone(),
            moderator_key: spec.moderator_key.clone(),
            attendance: spec.attendance,
            blocked: false,
            created_at: UtcTime::default().into(),
            updated_at: UtcTime::default().into(),
        };
        Arc::new(Listed { broadcast, provisioned: true })
    }

    async fn open(self, broadcasts: &Broadcasts, rooms: &Rooms) -> Result<Arc<Listed>, Error> {
        let listed = self.listed();
        let room = broadcasts.open(self.spec, &[self.key])?;
        rooms.open(listed.broadcast.id.clone(), room).await;
        Ok(listed)
    }
}

/// Begins those that there are at the start.
pub(super) async fn open_all(
    configs: &[BroadcastConfig],
    broadcasts: &Broadcasts,
    rooms: &Rooms,
) -> Result<Directory, Error> {
    let mut directory = Directory::default();
    for config in configs {
        if config.stream_key.expose().is_empty() {
            return Err(broadcasts::Error::EmptyKey(config.id.clone()).into());
        }
        let listed = Wanted::of(config).open(broadcasts, rooms).await?;
        directory.broadcasts.insert(config.id.clone(), listed);
    }
    Ok(directory)
}

impl Control {
    /// Makes the broadcasts of the file what it says now, each of which has a name and a key of its own. New ones
    /// begin; those that are gone end, with whoever publishes to them, and what was said in them stays in the
    /// database; of the others whoever publishes goes on, unless the key is another. What can be refused is
    /// before anything is changed.
    pub async fn provision(self: &Arc<Self>, configs: Vec<BroadcastConfig>) -> Result<(), Refused> {
        let this = self.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        let carrying_out = carried_out(async move {
            let _changing = this.changing.lock().await;
            let wanted = configs.iter().map(|config| (config.id.clone(), Wanted::of(config)));
            let provisioned = this.provision_all(wanted.collect()).await;
            // In vain if nobody waits for it any more.
            let _ = tell.send(provisioned);
            Ok(())
        });
        carrying_out.await?;
        told.await.unwrap_or(Err(Error::BrokeOff.into()))
    }

    async fn provision_all(
        &self,
        mut wanted: BTreeMap<BroadcastId, Wanted>,
    ) -> Result<(), Refused> {
        self.fits(&wanted)?;
        let before: BTreeSet<_> =
            self.provisioned().map(|listed| listed.broadcast.id.clone()).collect();
        // First the keys that are gone, which another may have from now on.
        for id in &before {
            let kept = wanted.get(id).map(|wanted| wanted.key.clone());
            let opens = |key: &Key| self.broadcasts.opened_by_key(&key.digest).as_ref() == Some(id);
            let kept: Vec<_> = kept.into_iter().filter(opens).collect();
            self.broadcasts.set_keys(id, &kept);
        }
        for id in &before {
            match wanted.remove(id) {
                Some(wanted) => self.change_to(wanted).await?,
                None => self.end(id).await,
            }
        }
        for (id, wanted) in wanted {
            let listed = wanted.open(&self.broadcasts, &self.rooms).await?;
            self.write(|directory| directory.broadcasts.insert(id.clone(), listed));
            self.broadcasts.signal(&id);
        }
        Ok(())
    }

    fn provisioned(&self) -> impl Iterator<Item = Arc<Listed>> + use<> {
        self.all().into_iter().filter(|listed| listed.provisioned)
    }

    /// Whether they have room beside those of the database.
    fn fits(&self, wanted: &BTreeMap<BroadcastId, Wanted>) -> Result<(), Refused> {
        let all = self.all();
        let others = all.iter().filter(|listed| !listed.provisioned);
        let others: BTreeSet<_> = others.map(|listed| &listed.broadcast.id).collect();
        let count = others.len() + wanted.len();
        if count > BROADCASTS_MAX {
            return Err(Refused::TooMany(count));
        }
        for (id, Wanted { key, .. }) in wanted {
            if others.contains(id) {
                return Err(Refused::Taken(id.clone()));
            }
            let opened = self.broadcasts.opened_by_key(&key.digest);
            if let Some(other) = opened.filter(|other| others.contains(other)) {
                return Err(Refused::KeyTaken(id.clone(), other));
            }
        }
        Ok(())
    }

    async fn change_to(&self, wanted: Wanted) -> Result<(), Error> {
        let (listed, id) = (wanted.listed(), wanted.spec.id.clone());
        self.broadcasts.set_keys(&id, &[wanted.key]);
        let Spec { moderator_key, attendance, about, .. } = wanted.spec;
        self.rooms.set(id.clone(), moderator_key, attendance).await;
        if self.get(&id).is_none_or(|former| former.broadcast.about != about) {
            self.broadcasts.set_about(&id, about)?;
        }
        self.write(|directory| directory.broadcasts.insert(id.clone(), listed));
        self.broadcasts.signal(&id);
        Ok(())
    }

    /// Ends one that the file has no more. One of the same name in the database, which it hid, is there again.
    async fn end(&self, id: &BroadcastId) {
        self.write(|directory| directory.broadcasts.remove(id));
        self.rooms.close(id.clone()).await;
        self.broadcasts.close(id);
        self.broadcasts.signal(id);
        let hidden = match self.store.broadcast(id).await {
            // What was said in it stays, in case it comes again.
            Ok(None) => return,
            Ok(hidden) => self.accord(id, hidden).await.map(drop),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = hidden {
            tracing::warn!(broadcast = %id, %error, "whether the console has one of this name is not known before a restart");
        }
    }
}
