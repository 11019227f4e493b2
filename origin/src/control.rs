//! The control plane: which broadcasts there are and who may do what with them. What is written down is
//! [`store`]'s; here is what follows from it, for the relay, for the comments and for edges. How it is
//! asked is [`crate::api`]'s.
//!
//! All broadcasts are also in memory: those of the configuration file, which nobody changes here, and those
//! of the database, which are changed there first.

pub mod password;
pub mod records;
pub mod secret;
pub mod store;
pub mod throttle;
pub mod viewer_token;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::about::ViewerKeys;
use lectern_relay_proto::comment::ModeratorKey;
use lectern_relay_proto::{About, BroadcastId, UtcTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::password::Passwords;
use self::records::{Broadcast, KeySource, KeyUse, StreamKey, ViewerKey};
use self::store::{Changed, Conflict, Store, Stored};
use self::throttle::Throttle;
use crate::broadcasts::{self, Broadcasts, Key, Spec, Status};
use crate::comments::Rooms;
use crate::config::BroadcastConfig;

/// When to try again to read what there is.
const LOAD_AGAIN: Duration = Duration::from_secs(2);
/// How often sessions that are over are let go of.
const SWEEP_EACH: Duration = Duration::from_secs(3_600);
/// A name is not given again for so long after it was removed: edges show what was in it for three minutes
/// at most, and must not show it as another's.
const NAME_HELD: Duration = Duration::from_secs(180);
/// What the one key of a broadcast from the configuration file is called.
const FILE_KEY: &str = "config";

/// Which broadcasts there are, and who may do what.
pub struct Control {
    store: Store,
    broadcasts: Arc<Broadcasts>,
    rooms: Rooms,
    directory: RwLock<Directory>,
    /// Held by whoever changes something, so that the directory and the database agree.
    changing: tokio::sync::Mutex<()>,
    /// Of which it is not known whether they do.
    unsure: Mutex<BTreeSet<BroadcastId>>,
    unsure_of_more: Notify,
    /// Names that were removed, and when.
    removed: Mutex<HashMap<BroadcastId, Instant>>,
    passwords: Passwords,
    throttle: Mutex<Throttle>,
    setup: watch::Sender<Option<String>>,
}

#[derive(Default)]
struct Directory {
    broadcasts: BTreeMap<BroadcastId, Arc<Listed>>,
    viewer_keys: ViewerKeys,
    /// Whether those of the database are in it.
    loaded: bool,
}

/// A broadcast that there is.
#[derive(Debug)]
pub struct Listed {
    /// What is known of it; of one from the configuration file, as far as the file says.
    pub broadcast: Broadcast,
    /// Whether the configuration file provisions it: nobody changes it here.
    pub provisioned: bool,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not fit what there is.
    #[error("it does not fit what there is: {0:?}")]
    Conflict(Conflict),
    /// The broadcast stands in the configuration file.
    #[error("this broadcast stands in the origin's configuration file, and is changed there")]
    Provisioned,
    /// The database does not do what it is asked to, or what is in it is not known yet.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// What is in the database is not known yet.
    #[error("the database has not been read yet")]
    NotLoaded,
    /// A broadcast of this name was removed, and is not forgotten everywhere.
    #[error(
        "a broadcast of this id was removed a moment ago: take another id, or wait {} minutes",
        NAME_HELD.as_secs() / 60
    )]
    NameHeld,
    /// Nothing can be announced.
    #[error(transparent)]
    Broadcasts(#[from] broadcasts::Error),
    /// A fault of this program: the change may have been made, or not.
    #[error("the change broke off")]
    BrokeOff,
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl Control {
    /// Announces what the configuration file provisions. What is in the database follows with
    /// [`Control::load`].
    pub async fn new(
        store: Store,
        broadcasts: Arc<Broadcasts>,
        rooms: Rooms,
        provisioned: &[BroadcastConfig],
    ) -> Result<Self, Error> {
        let mut directory = Directory::default();
        for config in provisioned {
            let secret = config.stream_key.expose();
            if secret.is_empty() {
                return Err(broadcasts::Error::EmptyKey(config.id.clone()).into());
            }
            let digest = broadcasts::key_digest(secret);
            let key = Key { id: FILE_KEY.into(), digest, backup: false };
            let spec = Spec::from(config);
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
            let room = broadcasts.open(spec, &[key])?;
            rooms.open(broadcast.id.clone(), room).await;
            let listed = Listed { broadcast, provisioned: true };
            directory.broadcasts.insert(listed.broadcast.id.clone(), Arc::new(listed));
        }
        Ok(Self {
            store,
            broadcasts,
            rooms,
            directory: RwLock::new(directory),
            changing: tokio::sync::Mutex::default(),
            unsure: Mutex::default(),
            unsure_of_more: Notify::new(),
            removed: Mutex::default(),
            passwords: Passwords::default(),
            throttle: Mutex::default(),
            setup: watch::Sender::default(),
        })
    }

    /// Announces what is in the database, and makes a token for the first account if there is none.
    pub async fn load(&self) -> Result<(), store::Error> {
        let _changing = self.changing.lock().await;
        let all = self.store.broadcasts().await?;
        let mut viewer_keys = self.store.viewer_keys().await?;
        if all.iter().any(|(broadcast, _)| broadcast.about.form().is_some())
            && !viewer_keys.iter().any(|(key, _)| signs(key))
        {
            // Edges are to know it before anybody registers.
            let key = viewer_token::SigningKey::generate();
            let added = self.store.add_viewer_key(&key.public(now()), Some(&key.secret())).await?;
            if let Err(conflict) = added {
                tracing::error!(?conflict, "nobody can register: there is no key to sign with");
            }
            viewer_keys = self.store.viewer_keys().await?;
        }
        let viewer_keys = in_force(&viewer_keys);
        let set_up = self.store.has_accounts().await?;
        self.write(|directory| directory.viewer_keys = viewer_keys);
        for (broadcast, keys) in all {
            let id = broadcast.id.clone();
            if self.get(&id).is_some_and(|listed| listed.provisioned) {
                tracing::warn!(broadcast = %id, "the configuration file hides one of the same name in the database");
                continue;
            }
            if let Err(error) = self.accord(&id, Some((broadcast, keys))).await {
                tracing::error!(broadcast = %id, %error, "it cannot be announced; trying again");
                self.is_unsure_of(id);
            }
        }
        self.write(|directory| directory.loaded = true);
        if !set_up {
            self.setup.send_replace(Some(secret::generate("")));
        }
        Ok(())
    }

    /// Notes what happens, until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&self) {
        while !self.read().loaded {
            tokio::time::sleep(LOAD_AGAIN).await;
            if let Err(error) = self.load().await {
                tracing::warn!(%error, "the broadcasts of the database cannot be read");
            }
        }
        let mut signals = self.broadcasts.signals();
        let mut sweep = tokio::time::interval(SWEEP_EACH);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = HashMap::new();
        loop {
            tokio::select! {
                signal = signals.recv() => match signal {
                    Ok(id) => self.note_key(&id, &mut noted).await,
                    // When a key was used last is not worth more.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = self.unsure_of_more.notified() => self.make_sure().await,
                _ = sweep.tick() => {
                    if let Err(error) = self.store.sweep(now()).await {
                        tracing::warn!(%error, "sessions that are over cannot be let go of");
                    }
                }
            }
        }
    }

    /// Notes with which key somebody has begun to publish.
    async fn note_key(&self, id: &BroadcastId, noted: &mut HashMap<BroadcastId, UtcTime>) {
        let publisher = self.broadcasts.status(id).and_then(|status| status.publisher);
        let Some(publisher) = publisher.filter(|publisher| &*publisher.key != FILE_KEY) else {
            noted.remove(id);
            return;
        };
        if noted.insert(id.clone(), publisher.since) == Some(publisher.since) {
            return;
        }
        if let Err(error) = self.store.key_used(&publisher.key, publisher.since).await {
            tracing::warn!(broadcast = %id, %error, "when its key was used is not noted");
        }
    }

    /// Where everything is written down.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How the broadcasts are.
    pub fn broadcasts(&self) -> &Broadcasts {
        &self.broadcasts
    }

    /// Hashes passwords, and checks them.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// How often one may try to sign in.
    pub fn throttle(&self) -> MutexGuard<'_, Throttle> {
        lock(&self.throttle)
    }

    /// What makes the first account, while there is none.
    pub fn setup_token(&self) -> Option<String> {
        self.setup.borrow().clone()
    }

    /// The same, now and once it is known whether there is an account.
    pub fn setup_tokens(&self) -> watch::Receiver<Option<String>> {
        self.setup.subscribe()
    }

    /// There is an account now.
    pub fn is_set_up(&self) {
        self.setup.send_replace(None);
    }

    /// The broadcast of this id.
    pub fn get(&self, id: &BroadcastId) -> Option<Arc<Listed>> {
        self.read().broadcasts.get(id).cloned()
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Arc<Listed>> {
        self.read().broadcasts.values().cloned().collect()
    }

    /// How a broadcast is.
    pub fn status(&self, id: &BroadcastId) -> Option<Status> {
        self.broadcasts.status(id)
    }

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
    async fn concluded<T>(
        &self,
        id: &BroadcastId,
        changed: Changed<T>,
    ) -> Result<Arc<Listed>, Error> {
        let known = match self.store.broadcast(id).await {
            Ok(stored) => self.accord(id, stored).await,
            Err(error) => Err(error.into()),
        };
        if known.is_err() {
            self.is_unsure_of(id.clone());
        }
        changed??;
        known?.ok_or_else(|| Conflict::Missing.into())
    }

    fn is_unsure_of(&self, id: BroadcastId) {
        lock(&self.unsure).insert(id);
        self.unsure_of_more.notify_one();
    }

    fn is_held(&self, id: &BroadcastId) -> bool {
        let mut removed = lock(&self.removed);
        removed.retain(|_, at| at.elapsed() < NAME_HELD);
        removed.contains_key(id)
    }

    /// Brings into accord what could not be.
    async fn make_sure(&self) {
        let unsure = std::mem::take(&mut *lock(&self.unsure));
        let mut still = false;
        for id in unsure {
            let concluded = {
                let _changing = self.changing.lock().await;
                self.concluded(&id, Ok(Ok(()))).await
            };
            match concluded {
                Ok(_) | Err(Error::Conflict(_)) => {}
                Err(error) => {
                    still = true;
                    tracing::warn!(broadcast = %id, %error, "it is not known how it stands in the database; trying again");
                }
            }
        }
        if still {
            tokio::time::sleep(LOAD_AGAIN).await;
        }
    }

    /// Makes a broadcast what the database says: there or not, about this, with these keys.
    async fn accord(
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

    /// Adds a key for viewer tokens, and tells edges of it.
    pub async fn add_viewer_key(
        self: &Arc<Self>,
        key: ViewerKey,
        secret: Option<String>,
    ) -> Result<(), Error> {
        let this = self.clone();
        let adding = async move {
            let _changing = this.change().await?;
            let added = this.store.add_viewer_key(&key, secret.as_deref()).await;
            let told = this.tell_viewer_keys().await;
            added??;
            told
        };
        carried_out(adding).await
    }

    /// Ends a key for viewer tokens: edges refuse what it signed.
    pub async fn retire_viewer_key(self: &Arc<Self>, kid: &str) -> Result<(), Error> {
        let (this, kid) = (self.clone(), kid.to_owned());
        let retiring = async move {
            let _changing = this.change().await?;
            let retired = this.store.retire_viewer_key(&kid, now()).await;
            // Also if it was not there any more: edges may not know.
            let told = this.tell_viewer_keys().await;
            retired??;
            told?;
            // Edges are to know the next one before anybody registers.
            let all = this.all();
            match all.iter().find(|listed| listed.broadcast.about.form().is_some()) {
                Some(listed) => this.prepare(&listed.broadcast.about).await,
                None => Ok(()),
            }
        };
        carried_out(retiring).await
    }

    /// A key of our own that signs viewer tokens, the newest; made if there is none.
    pub async fn signing_key(self: &Arc<Self>) -> Result<viewer_token::SigningKey, Error> {
        if let Some(key) = self.newest_own_key().await? {
            return Ok(key);
        }
        let this = self.clone();
        let making = async move {
            let _changing = this.change().await?;
            this.signing_key_held().await
        };
        carried_out(making).await
    }

    /// The same for whoever holds [`Control::changing`].
    async fn signing_key_held(&self) -> Result<viewer_token::SigningKey, Error> {
        if let Some(key) = self.newest_own_key().await? {
            return Ok(key);
        }
        let key = viewer_token::SigningKey::generate();
        self.store.add_viewer_key(&key.public(now()), Some(&key.secret())).await??;
        self.tell_viewer_keys().await?;
        Ok(key)
    }

    /// Makes the key by which those who register are let in, if there is none. The caller holds
    /// [`Control::changing`].
    async fn prepare(&self, about: &About) -> Result<(), Error> {
        match about.form() {
            Some(_) => self.signing_key_held().await.map(drop),
            None => Ok(()),
        }
    }

    async fn newest_own_key(&self) -> Result<Option<viewer_token::SigningKey>, Error> {
        let keys = self.store.viewer_keys().await?;
        let own = keys.into_iter().filter(|(key, _)| signs(key));
        let newest = own.max_by_key(|(key, _)| key.created_at);
        Ok(newest.and_then(|(key, secret)| viewer_token::SigningKey::parse(key.kid, &secret?)))
    }

    async fn tell_viewer_keys(&self) -> Result<(), Error> {
        let keys = in_force(&self.store.viewer_keys().await?);
        self.write(|directory| directory.viewer_keys = keys.clone());
        let mut all_told = Ok(());
        for listed in self.all().iter().filter(|listed| !listed.provisioned) {
            let Broadcast { id, about, .. } = &listed.broadcast;
            if about.needs_token() {
                // One that cannot be told now does not keep the others from it.
                all_told = all_told.and(self.broadcasts.set_about(id, told(about, &keys)));
            }
        }
        Ok(all_told?)
    }

    fn viewer_keys(&self) -> ViewerKeys {
        self.read().viewer_keys.clone()
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

    async fn change(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        let guard = self.changing.lock().await;
        if self.read().loaded { Ok(guard) } else { Err(Error::NotLoaded) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        change(&mut self.directory.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Carries a change out to its end, also where nobody waits for it any more: one that is half made would
/// stay so.
async fn carried_out<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or(Err(Error::BrokeOff))
}

/// A moderator key that nobody has.
pub fn new_moderator_key() -> ModeratorKey {
    secret::generate("").try_into().expect("43 of a-z A-Z 0-9 - _")
}

fn now() -> UtcTime {
    SystemTime::now().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What edges are told: with the keys for viewer tokens, where one needs one.
fn told(about: &About, viewer_keys: &ViewerKeys) -> About {
    let viewer_keys = if about.needs_token() { viewer_keys.clone() } else { ViewerKeys::default() };
    About { viewer_keys, ..about.clone() }
}

/// Whether tokens are signed with it here.
fn signs(key: &ViewerKey) -> bool {
    key.retired_at.is_none() && key.source == KeySource::Own
}

fn in_force(keys: &[(ViewerKey, Option<String>)]) -> ViewerKeys {
    let keys = keys.iter().filter(|(key, _)| key.retired_at.is_none());
    let keys = keys.map(|(key, _)| lectern_relay_proto::about::ViewerKey {
        kid: key.kid.clone(),
        public_key: key.public_key,
    });
    // The database has no more than fit, and none twice.
    ViewerKeys::try_from(keys.collect::<Vec<_>>()).unwrap_or_default()
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
