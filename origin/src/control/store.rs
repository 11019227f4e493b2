//! What the control plane knows, in the database. What is written is checked before; here is who has
//! changed it meanwhile ([`Conflict`]), and that other origins are told. What stands in the tables is read back
//! by [`columns`].

mod accounts;
mod broadcasts;
mod columns;
mod keys;
mod live;
mod members;
mod registrations;
mod sessions;
mod tokens;
mod viewer_keys;
mod webhooks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::Connection as _;

use self::columns::{
    damaged, instant, maybe_instant, millis, number, number_of, one_row, parsed, truth,
};
pub use self::live::{Said, Saying};
pub use self::webhooks::{Due, Happened};
use super::records::{
    Account, ApiToken, Attempt, Broadcast, Delivery, Member, MemberRole, NewRegistration,
    Registered, Registration, Session, StreamKey, ViewerKey, Webhook,
};
use super::secret;
use crate::database::news::{Heard, News};
use crate::database::{self, Database, call};

/// Makes a change in a transaction of its own, and tells other origins of it in the same.
macro_rules! telling {
    ($database:expr, $news:expr, |$connection:ident| $change:expr) => {{
        let (writer, news) = ($database.writer(), $news);
        call!($database, |connection| async {
            let mut transaction = connection.begin_with(writer.begin).await?;
            let $connection = &mut *transaction;
            let changed = $change.await?;
            writer.tell(&mut transaction, &news).await?;
            transaction.commit().await?;
            Ok::<_, Error>(changed)
        })
    }};
}

/// Where the control plane keeps what it knows. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// Counts changes of what anybody may do, through this and its clones.
    rights: Arc<AtomicU64>,
}

/// Why nothing can be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not do what it is asked to.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The database holds what this program never wrote.
    #[error("a row is damaged: {column} is {value:?}")]
    Damaged {
        /// What of it.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Why something is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// There is one of this name already.
    Exists,
    /// There is none.
    Missing,
    /// It has changed since.
    Stale,
    /// Of one that had this name before, something is left that is not for everybody.
    Taken,
    /// There are as many as may be.
    Full,
    /// Nobody would be left who may manage accounts.
    LastAdmin,
}

/// While it lives, it is changing what somebody may do; counted at its end, however that comes.
struct RightsChange<'a>(&'a AtomicU64);

impl Drop for RightsChange<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A broadcast, with its keys that open it and the digest of each.
pub type Stored = (Broadcast, Vec<(String, StreamKey)>);

/// What came of a change.
pub type Changed<T = ()> = Result<Result<T, Conflict>, Error>;

/// How many of a list, and after which.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Behind this one, by its id.
    pub after: Option<&'a str>,
    /// At most.
    pub limit: u32,
}

impl Store {
    /// Keeps it in `database`.
    pub fn new(database: Database) -> Self {
        Self { database, rights: Arc::default() }
    }

    /// How often it has changed, through this and its clones, what anybody may do: who has looked before it
    /// was so much has to look again.
    pub fn rights(&self) -> u64 {
        self.rights.load(Ordering::Acquire)
    }

    /// It has changed through another origin.
    pub(super) fn rights_changed(&self) {
        drop(self.rights_change());
    }

    /// What other origins change, from now on.
    pub(super) fn news(&self) -> Heard {
        self.database.news()
    }

    fn rights_change(&self) -> RightsChange<'_> {
        RightsChange(&self.rights)
    }

    /// Whether there is anybody who could sign in.
    pub async fn has_accounts(&self) -> Result<bool, Error> {
        call!(self.database, |connection| accounts::any(connection))
    }

    /// Adds an account with what is kept of its password; if `first`, only where there is none yet.
    pub async fn add_account(
        &self,
        account: &Account,
        password: Option<&str>,
        first: bool,
    ) -> Changed {
        let writer = self.database.writer();
        call!(self.database, |connection| accounts::add(
            connection, writer, account, password, first
        ))
    }

    /// The account of this id.
    pub async fn account(&self, id: &str) -> Result<Option<Account>, Error> {
        call!(self.database, |connection| accounts::by_id(connection, id))
    }

    /// The account of this login, and what is kept of its password.
    pub async fn login(&self, login: &str) -> Result<Option<(Account, Option<String>)>, Error> {
        call!(self.database, |connection| accounts::by_login(connection, login))
    }

    /// The account of somebody at the OpenID provider.
    pub async fn oidc_account(&self, oidc: &str) -> Result<Option<Account>, Error> {
        call!(self.database, |connection| accounts::by_oidc(connection, oidc))
    }

    /// Accounts, by login.
    pub async fn accounts(&self, page: Page<'_>) -> Result<Vec<Account>, Error> {
        call!(self.database, |connection| accounts::list(connection, page))
    }

    /// Makes an account as given, if it is still as `account.rev` says; its sessions and tokens end if it is
    /// disabled.
    pub async fn set_account(&self, account: &Account) -> Changed<Account> {
        let _changing = self.rights_change();
        let writer = self.database.writer();
        call!(self.database, |connection| accounts::set(connection, writer, account))
    }

    /// Sets what is kept of a password, and ends all sessions but this one; without one, all tokens too.
    pub async fn set_password(&self, id: &str, password: &str, but: Option<&str>) -> Changed {
        let _changing = self.rights_change();
        let writer = self.database.writer();
        call!(self.database, |connection| accounts::set_password(
            connection, writer, id, password, but
        ))
    }

    /// Removes an account with its sessions and tokens, if it is still as `rev` says.
    pub async fn remove_account(&self, id: &str, rev: u64) -> Changed {
        let _changing = self.rights_change();
        let writer = self.database.writer();
        call!(self.database, |connection| accounts::remove(connection, writer, id, rev))
    }

    /// Notes that somebody signed in, and lets go of their oldest sessions beyond what one may have.
    pub async fn add_session(&self, digest: &str, session: &Session) -> Result<(), Error> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| sessions::add(connection, begin, digest, session))
    }

    /// The session of this digest, if it is not over at `now`, and whose it is.
    pub async fn session(
        &self,
        digest: &str,
        now: UtcTime,
    ) -> Result<Option<(Session, Account)>, Error> {
        call!(self.database, |connection| sessions::find(connection, digest, now))
    }

    /// The sessions of an account, the newest first.
    pub async fn sessions(&self, account: &str, now: UtcTime) -> Result<Vec<Session>, Error> {
        call!(self.database, |connection| sessions::list(connection, account, now))
    }

    /// Ends a session.
    pub async fn end_session(&self, digest: &str) -> Result<(), Error> {
        let _changing = self.rights_change();
        telling!(self.database, News::Rights, |connection| sessions::end(connection, digest))
    }

    /// Ends all sessions of an account but this one.
    pub async fn end_sessions(&self, account: &str, but: Option<&str>) -> Result<(), Error> {
        let _changing = self.rights_change();
        telling!(self.database, News::Rights, |connection| sessions::end_all(
            connection, account, but
        ))
    }

    /// Whether other origins write to the same database.
    pub fn is_shared(&self) -> bool {
        self.database.writer().is_shared()
    }

    /// Tells the others, as `origin`, how these are now; another that owns one by a later epoch keeps its word.
    pub async fn tell_live(&self, origin: &str, rows: &[Saying]) -> Result<(), Error> {
        for rows in rows.chunks(live::ROWS_MAX) {
            call!(self.database, |connection| live::tell(connection, origin, rows))?;
        }
        Ok(())
    }

    /// Takes back what was told as `origin` of these.
    pub async fn take_back_live(&self, origin: &str, these: &[BroadcastId]) -> Result<(), Error> {
        for these in these.chunks(live::ROWS_MAX) {
            call!(self.database, |connection| live::take_back(connection, origin, these))?;
        }
        Ok(())
    }

    /// What all origins have told.
    pub async fn live(&self) -> Result<Vec<Said>, Error> {
        call!(self.database, |connection| live::read(connection))
    }

    /// Lets go of sessions and tokens that are over.
    pub async fn sweep(&self, now: UtcTime) -> Result<(), Error> {
        call!(self.database, |connection| async {
            sessions::sweep(connection, now).await?;
            live::sweep(connection, now).await
        })
    }

    /// Adds a token.
    pub async fn add_token(&self, digest: &str, token: &ApiToken) -> Changed {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| tokens::add(connection, begin, digest, token))
    }

    /// The token of this digest, if it is not over at `now`, and whose it is.
    pub async fn token(
        &self,
        digest: &str,
        now: UtcTime,
    ) -> Result<Option<(ApiToken, Account)>, Error> {
        call!(self.database, |connection| tokens::find(connection, digest, now))
    }

    /// The tokens of an account, by id.
    pub async fn tokens(&self, account: &str, page: Page<'_>) -> Result<Vec<ApiToken>, Error> {
        call!(self.database, |connection| tokens::list(connection, account, page))
    }

    /// Removes a token of an account.
    pub async fn remove_token(&self, account: &str, id: &str) -> Changed {
        let _changing = self.rights_change();
        telling!(self.database, News::Rights, |connection| tokens::remove(connection, account, id))
    }

    /// All broadcasts, with the keys that open them.
    pub async fn broadcasts(&self) -> Result<Vec<Stored>, Error> {
        call!(self.database, |connection| broadcasts::all(connection))
    }

    /// The broadcast of this id, with the keys that open it.
    pub async fn broadcast(&self, id: &BroadcastId) -> Result<Option<Stored>, Error> {
        call!(self.database, |connection| broadcasts::by_id(connection, id))
    }

    /// Adds a broadcast, with `host` as its host.
    pub async fn add_broadcast(&self, broadcast: &Broadcast, host: &str) -> Changed {
        let _changing = self.rights_change();
        let writer = self.database.writer();
        call!(self.database, |connection| broadcasts::add(connection, writer, broadcast, host))
    }

    /// Makes a broadcast as given, if it is still as `broadcast.rev` says.
    pub async fn set_broadcast(&self, broadcast: &Broadcast) -> Changed<u64> {
        telling!(
            self.database,
            News::Broadcast(broadcast.id.clone()),
            |connection| broadcasts::set(connection, broadcast)
        )
    }

    /// Removes a broadcast, and all that was said in it, if it is still as `rev` says.
    pub async fn remove_broadcast(&self, id: &BroadcastId, rev: u64) -> Changed {
        let writer = self.database.writer();
        call!(self.database, |connection| broadcasts::remove(connection, writer, id, rev))
    }

    /// Notes that a broadcast was stopped, for other origins; where there are none, nobody has to know.
    pub async fn stopped(&self, id: &BroadcastId, now: UtcTime) -> Result<(), Error> {
        if !self.database.writer().is_shared() {
            return Ok(());
        }
        let news = News::Stopped(id.clone());
        telling!(self.database, news, |connection| broadcasts::stopped(connection, id, now))
    }

    /// When broadcasts were stopped last.
    pub async fn stops(&self) -> Result<Vec<(BroadcastId, UtcTime)>, Error> {
        call!(self.database, |connection| broadcasts::stops(connection))
    }

    /// Removes what people have left in a broadcast that is not there any more.
    pub async fn remove_what_is_left(&self, id: &BroadcastId) -> Result<(), Error> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| broadcasts::remove_what_is_left(connection, begin, id))
    }

    /// Adds a stream key.
    pub async fn add_key(&self, digest: &str, broadcast: &BroadcastId, key: &StreamKey) -> Changed {
        let writer = self.database.writer();
        call!(self.database, |connection| keys::add(connection, writer, digest, broadcast, key))
    }

    /// The keys of a broadcast, by id.
    pub async fn keys(
        &self,
        broadcast: &BroadcastId,
        page: Page<'_>,
    ) -> Result<Vec<StreamKey>, Error> {
        call!(self.database, |connection| keys::list(connection, broadcast, page))
    }

    /// Ends a key.
    pub async fn revoke_key(&self, broadcast: &BroadcastId, id: &str, now: UtcTime) -> Changed {
        telling!(self.database, News::Broadcast(broadcast.clone()), |connection| keys::revoke(
            connection, broadcast, id, now
        ))
    }

    /// Notes that somebody publishes with a key.
    pub async fn key_used(&self, id: &str, now: UtcTime) -> Result<(), Error> {
        call!(self.database, |connection| keys::used(connection, id, now))
    }

    /// Who has a part in a broadcast, by id of the account.
    pub async fn members(
        &self,
        broadcast: &BroadcastId,
        page: Page<'_>,
    ) -> Result<Vec<Member>, Error> {
        call!(self.database, |connection| members::list(connection, broadcast, page))
    }

    /// What part an account has in which broadcasts.
    pub async fn parts(&self, account: &str) -> Result<Vec<(BroadcastId, MemberRole)>, Error> {
        call!(self.database, |connection| members::parts(connection, account))
    }

    /// Gives an account a part in a broadcast.
    pub async fn set_member(
        &self,
        broadcast: &BroadcastId,
        account: &str,
        role: MemberRole,
    ) -> Changed {
        let _changing = self.rights_change();
        let writer = self.database.writer();
        call!(self.database, |connection| members::set(
            connection, writer, broadcast, account, role
        ))
    }

    /// Takes it away.
    pub async fn remove_member(&self, broadcast: &BroadcastId, account: &str) -> Changed {
        let _changing = self.rights_change();
        telling!(self.database, News::Rights, |connection| members::remove(
            connection, broadcast, account
        ))
    }

    /// The keys by which viewer tokens are signed, by their names, with the secret part of our own.
    pub async fn viewer_keys(&self) -> Result<Vec<(ViewerKey, Option<String>)>, Error> {
        call!(self.database, |connection| viewer_keys::all(connection))
    }

    /// Adds one.
    pub async fn add_viewer_key(&self, key: &ViewerKey, secret: Option<&str>) -> Changed {
        let writer = self.database.writer();
        call!(self.database, |connection| viewer_keys::add(connection, writer, key, secret))
    }

    /// Ends one.
    pub async fn retire_viewer_key(&self, kid: &str, now: UtcTime) -> Changed {
        telling!(self.database, News::ViewerKeys, |connection| viewer_keys::retire(
            connection, kid, now
        ))
    }

    /// Stores what viewers answered, all of it or nothing: once for each attempt, and no more of a broadcast
    /// than it may have ([`Conflict::Full`]).
    pub async fn register(
        &self,
        all: &[NewRegistration],
    ) -> Result<Vec<Result<Registered, Conflict>>, Error> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| registrations::add(connection, begin, all))
    }

    /// What viewers of a broadcast answered, behind this number.
    pub async fn registrations(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Registration>, Error> {
        call!(self.database, |connection| registrations::list(connection, broadcast, after, limit))
    }

    /// The names of all questions that were answered, or could have been.
    pub async fn registration_fields(
        &self,
        broadcast: &BroadcastId,
    ) -> Result<BTreeSet<String>, Error> {
        call!(self.database, |connection| registrations::fields(connection, broadcast))
    }

    /// Adds a webhook, whose messages `secret` signs.
    pub async fn add_webhook(&self, webhook: &Webhook, secret: &str) -> Changed {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| webhooks::add(connection, begin, webhook, secret))
    }

    /// The webhook of this id.
    pub async fn webhook(&self, id: &str) -> Result<Option<Webhook>, Error> {
        call!(self.database, |connection| webhooks::by_id(connection, id))
    }

    /// Webhooks, by id.
    pub async fn webhooks(&self, page: Page<'_>) -> Result<Vec<Webhook>, Error> {
        call!(self.database, |connection| webhooks::list(connection, page))
    }

    /// Makes a webhook as given, if it is still as `webhook.rev` says.
    pub async fn set_webhook(&self, webhook: &Webhook) -> Changed<Webhook> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| webhooks::set(connection, begin, webhook))
    }

    /// Removes a webhook with what it is to be told, if it is still as `rev` says.
    pub async fn remove_webhook(&self, id: &str, rev: u64) -> Changed {
        call!(self.database, |connection| webhooks::remove(connection, id, rev))
    }

    /// Queues what happened for all webhooks that want to hear of it; says how many of them have too much to
    /// hear already, and will not.
    pub async fn happened(&self, happened: &Happened) -> Result<u64, Error> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| webhooks::happened(
            connection,
            begin,
            happened,
            new_message
        ))
    }

    /// Queues something for one webhook alone.
    pub async fn tell(&self, webhook: &str, happened: &Happened) -> Changed {
        let (begin, name) = (self.database.begin_sql(), new_message());
        call!(self.database, |connection| webhooks::tell(
            connection, begin, webhook, happened, &name
        ))
    }

    /// What is to be told next to each webhook, whenever that is, the soonest first.
    pub async fn due(&self) -> Result<Vec<Due>, Error> {
        call!(self.database, |connection| webhooks::due(connection))
    }

    /// Takes what is due from whoever else would tell it, until `until`; whether that was in time.
    pub async fn claim(&self, delivery: &Delivery, until: UtcTime) -> Result<bool, Error> {
        call!(self.database, |connection| webhooks::claim(connection, delivery, until))
    }

    /// Notes what came of an attempt, and when the next one is; `gone` turns the webhook off.
    pub async fn attempted(
        &self,
        due: &Due,
        attempt: &Attempt,
        next: Option<UtcTime>,
        gone: bool,
    ) -> Result<(), Error> {
        let begin = self.database.begin_sql();
        let names = (due.webhook.id.as_str(), due.delivery.id.as_str());
        call!(self.database, |connection| webhooks::attempted(
            connection, begin, names, attempt, next, gone
        ))
    }

    /// What a webhook was told, the newest first, behind that of this time and name.
    pub async fn deliveries(
        &self,
        webhook: &str,
        after: Option<(UtcTime, &str)>,
        limit: u32,
    ) -> Result<Vec<Delivery>, Error> {
        call!(self.database, |connection| webhooks::deliveries(connection, webhook, after, limit))
    }
}

/// A name for something that is told.
fn new_message() -> String {
    format!("msg_{}", secret::id())
}
