//! The control plane: which broadcasts there are and who may do what with them. What is written down is
//! [`store`]'s; here is what follows from it, for the relay, for the comments and for edges: [`changes`] of
//! broadcasts, [what other origins change](following), and by whose [signatures](signing) viewers are let in.
//! How it is asked is [`crate::api`]'s.
//!
//! All broadcasts are also in memory: those of the configuration file, which nobody changes here, and those
//! of the database, which are changed there first. Those of the file are [`provision`]'s.

mod changes;
mod following;
pub mod password;
mod provision;
pub mod records;
pub mod secret;
mod signing;
pub mod store;
pub mod throttle;
pub mod viewer_token;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::about::ViewerKeys;
use lectern_relay_proto::comment::ModeratorKey;
use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::following::ToFollow;
use self::password::Passwords;
use self::provision::FILE_KEY;
pub use self::provision::Refused;
use self::records::Broadcast;
use self::signing::{in_force, signs};
use self::store::{Conflict, Store};
use self::throttle::Throttle;
use crate::broadcasts::{self, Broadcasts, Status};
use crate::comments::Rooms;
use crate::config::BroadcastConfig;
use crate::database::news::{Heard, News};
use crate::seldom::warn_seldom;

/// When to try again to read what there is.
const LOAD_AGAIN: Duration = Duration::from_secs(2);
/// How often sessions that are over are let go of.
const SWEEP_EACH: Duration = Duration::from_secs(3_600);
/// A name is not given again for so long after it was removed: edges show what was in it for three minutes
/// at most, and must not show it as another's.
const NAME_HELD: Duration = Duration::from_secs(180);

/// Which broadcasts there are, and who may do what.
pub struct Control {
    store: Store,
    broadcasts: Arc<Broadcasts>,
    rooms: Rooms,
    directory: RwLock<Directory>,
    /// Held by whoever changes something, so that the directory and the database agree.
    changing: tokio::sync::Mutex<()>,
    /// Of what it is not known whether they do.
    unsure: Mutex<ToFollow>,
    unsure_of_more: Notify,
    /// What other origins change, until it is [served](Control::run).
    news: Mutex<Option<Heard>>,
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
        let directory = provision::open_all(provisioned, &broadcasts, &rooms).await?;
        // From now on, so that nothing is missed between what is read first and what is heard.
        let news = Mutex::new(Some(store.news()));
        Ok(Self {
            store,
            news,
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

    /// Makes memory what the database says, whatever was known before: announces what is there, lets go of what
    /// is not, and makes a token for the first account if there is none.
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
        self.let_go_of_others(&all).await;
        let first = !self.read().loaded;
        for (broadcast, keys) in all {
            let id = broadcast.id.clone();
            if self.get(&id).is_some_and(|listed| listed.provisioned) {
                if first {
                    tracing::warn!(broadcast = %id, "the configuration file hides one of the same name in the database");
                }
                continue;
            }
            if let Err(error) = self.accord(&id, Some((broadcast, keys))).await {
                tracing::error!(broadcast = %id, %error, "it cannot be announced; trying again");
                self.is_unsure(News::Broadcast(id));
            }
        }
        self.write(|directory| directory.loaded = true);
        if set_up {
            self.is_set_up();
        } else if self.setup_token().is_none() {
            self.setup.send_replace(Some(secret::generate("")));
        }
        Ok(())
    }

    /// Notes what happens, and follows what other origins change, until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&self) {
        while !self.read().loaded {
            tokio::time::sleep(LOAD_AGAIN).await;
            if let Err(error) = self.load().await {
                warn_seldom!(%error, "the broadcasts of the database cannot be read");
            }
        }
        let Some(mut news) = lock(&self.news).take() else { return };
        let mut signals = self.broadcasts.signals();
        let mut again = None;
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
                told = news.next() => {
                    let mut all = ToFollow::from(told);
                    while let Some(more) = news.try_next() {
                        all.note(more);
                    }
                    self.follow(all).await;
                }
                () = self.unsure_of_more.notified() => {
                    again.get_or_insert_with(tokio::time::Instant::now);
                }
                () = tokio::time::sleep_until(again.unwrap_or_else(tokio::time::Instant::now)),
                    if again.is_some() =>
                {
                    let sure = self.make_sure().await;
                    again = (!sure).then(|| tokio::time::Instant::now() + LOAD_AGAIN);
                }
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

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        change(&mut self.directory.write().unwrap_or_else(PoisonError::into_inner))
    }
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
