//! Where comments are kept: an SQLite file of this origin's own, or a PostgreSQL database that several
//! origins may share. Both speak the same statements.
//!
//! Owns the order of comments (`id`, `seq`), that a comment sent again is stored once, and that what
//! it reported as stored is still there after the process, or the machine, is gone. What may stand in
//! a comment is checked before; who may write, and how fast, is the caller's.

mod attendance;
mod database;
mod room;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::comment::{
    Action, AddressId, Attempt, Attendee, Block, Comment, Post, Refusal, Settings,
};
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::sync::OnceCell;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use self::database::Database;

/// How long to wait for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// How long one call may take with a connection at hand. More than a statement may take, so that a
/// database that works can say itself what is wrong.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Where comments are kept. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    database: Database,
    /// Set once the tables are as they are to be.
    ready: Arc<OnceCell<()>>,
}

/// What is to happen to a broadcast's comments.
#[derive(Clone, Debug)]
pub enum Change {
    /// Somebody wrote something.
    Post {
        /// What.
        post: Post,
        /// Its media time, ms since T0, whatever the post says of it.
        mt: u64,
        /// When it was taken in.
        at: UtcTime,
        /// A moderator wrote it, whom no setting keeps from it.
        moderator: bool,
    },
    /// Somebody takes back what they wrote, or a moderator what somebody did.
    Delete {
        /// Who. A comment can be deleted once, whatever the attempt is called.
        attempt: Attempt,
        /// Which comment.
        id: u64,
        /// Whoever wrote it.
        moderator: bool,
    },
    /// Somebody wants a question answered, or does not any more.
    Vote {
        /// Who.
        attempt: Attempt,
        /// Where they are.
        address: AddressId,
        /// Which comment.
        id: u64,
        /// Whether they want it.
        up: bool,
        /// When it was taken in.
        at: UtcTime,
    },
    /// A moderator puts the room in order.
    Moderate {
        /// Who.
        attempt: Attempt,
        /// How; [`Action::Blocks`] changes nothing.
        action: Action,
        /// When it was taken in.
        at: UtcTime,
    },
    /// Votes that nobody has been told of make changes of their questions, for [`TALLY_MAX`] at once.
    Tally {
        /// The broadcast.
        broadcast: BroadcastId,
    },
}

/// What came of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is as was asked.
    Done(Done),
    /// It is not, and when the same may be tried again. Nothing has changed.
    Refused(Refusal, Option<Duration>),
}

/// What is so now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The comment; 0 if it was about none.
    pub id: u64,
    /// It waits for a moderator.
    pub held: bool,
    /// The newest form of what nobody has seen so yet, in the order of `seq`. None, if it was so before,
    /// perhaps by another origin.
    pub changed: Vec<Comment>,
    /// What is in force from now on, if that has changed.
    pub settings: Option<Settings>,
}

/// Of how many questions votes are told at once.
pub const TALLY_MAX: usize = 100;

/// What a broadcast has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// The newest change of its comments; zero if there is none.
    pub seq: u64,
    /// What is in force, but for the list of attendance, which is no business of this.
    pub settings: Settings,
}

/// From when to when somebody was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// Who, as in their comments.
    pub author: String,
    /// The name that they gave last.
    pub user: String,
    /// When they came.
    pub joined: UtcTime,
    /// When they were last seen.
    pub seen: UtcTime,
}

/// Why comments cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database.
    #[error("the URL of the database of comments {0}")]
    Url(String),
    /// The database is not there, or does not let us in.
    #[error("cannot open {database}: {source}")]
    Open {
        /// Which, without the password.
        database: String,
        /// Why.
        source: sqlx::Error,
    },
    /// Its tables are of a version that this program does not know, or cannot be changed.
    #[error("cannot bring the tables of {database} up to date: {source}")]
    Migrate {
        /// Which, without the password.
        database: String,
        /// Why.
        source: MigrateError,
    },
    /// Nothing is known of what was to be stored; the same may be asked again.
    #[error("{database} does not answer")]
    TimedOut {
        /// Which, without the password.
        database: String,
    },
    /// As [`Error::TimedOut`], but there was an answer.
    #[error("the database of comments: {0}")]
    Query(#[from] sqlx::Error),
    /// The database holds what this program never wrote.
    #[error("a comment of broadcast {broadcast} is damaged: its {column} is {value}")]
    Damaged {
        /// The broadcast.
        broadcast: BroadcastId,
        /// What of it.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

/// What comes of a call with a connection, which has to end in time. No function that takes a closure: of
/// what such a one awaits the compiler cannot tell that it may be moved to another thread.
macro_rules! call {
    ($store:ident, |$connection:ident| $call:expr) => {{
        let mut connection = $store.connection().await?;
        let $connection = &mut connection;
        let ended = timeout(CALL_MAX, $call).await;
        $store.ended(connection, ended)
    }};
}

impl Store {
    /// The database at `url`, opened by [`Store::ready`] or with the first call. `url` is `sqlite:PATH`, where the file is
    /// made if there is none but its directory must exist, or `postgres://USER:PASSWORD@HOST/DATABASE`.
    ///
    /// SQLite syncs each batch to disk before it counts as stored. PostgreSQL does so unless its
    /// operator has turned `synchronous_commit` off.
    pub fn new(url: &str) -> Result<Self, Error> {
        let database = Database::parse(url)?;
        let session = database.session();
        let pool = AnyPoolOptions::new()
            .max_connections(database.connections_max())
            .acquire_timeout(CONNECTION_WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move { sqlx::raw_sql(session).execute(connection).await.map(drop) })
            })
            .connect_lazy_with(database.options());
        Ok(Self { pool, database, ready: Arc::default() })
    }

    /// Opens the database, if it is not open, and brings its tables up to date.
    pub async fn ready(&self) -> Result<(), Error> {
        let database = self.database.clone();
        self.ready.get_or_try_init(|| migrate(database)).await.map(|_| ())
    }

    /// Whether the database is one that may be away for a while, and back.
    pub fn is_remote(&self) -> bool {
        self.database.is_remote()
    }

    /// What a broadcast has.
    pub async fn newest(&self, broadcast: &BroadcastId) -> Result<Newest, Error> {
        call!(self, |connection| rows::newest(connection, broadcast))
    }

    /// Applies all of `changes` in their order, or none of them, and says in the same order what came
    /// of each. After an error it is unknown whether they were stored: apply them again, and ask for
    /// [`Store::changes`], since what was stored is not [`Done::changed`] then.
    pub async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let begin = self.database.begin();
        call!(self, |connection| room::apply(connection, begin, changes))
    }

    /// The comments of `broadcast` that have changed since `after`, in the order of `seq`, at most
    /// `limit`.
    pub async fn changes(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Comment>, Error> {
        call!(self, |connection| rows::comments(connection, rows::CHANGES, broadcast, after, limit))
    }

    /// The comments of `broadcast` behind number `after`, in the order of `id`, at most `limit`.
    pub async fn comments(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Comment>, Error> {
        call!(self, |connection| rows::comments(connection, rows::BY_ID, broadcast, after, limit))
    }

    /// Who may not write at `at`, the newest first, at most [`Block::TOLD_MAX`].
    pub async fn blocks(&self, broadcast: &BroadcastId, at: UtcTime) -> Result<Vec<Block>, Error> {
        call!(self, |connection| rows::blocks(connection, broadcast, at))
    }

    /// Notes that these were there at `at`. False if there is no room for another on the list.
    pub async fn attend(
        &self,
        broadcast: &BroadcastId,
        present: &[Attendee],
        at: UtcTime,
    ) -> Result<bool, Error> {
        let begin = self.database.begin();
        call!(self, |connection| attendance::note(connection, begin, broadcast, present, at))
    }

    /// Who was there, by when they came: at most `limit`, after the first `skip`.
    pub async fn attendance(
        &self,
        broadcast: &BroadcastId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Attendance>, Error> {
        call!(self, |connection| attendance::list(connection, broadcast, skip, limit))
    }

    /// Lets go of the database, once the calls that are under way have ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn connection(&self) -> Result<PoolConnection<Any>, Error> {
        self.ready().await?;
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => self.timed_out(),
            error => error.into(),
        })
    }

    /// What a call on `connection` came to, which had to end in time.
    fn ended<T>(
        &self,
        mut connection: PoolConnection<Any>,
        ended: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Error> {
        let ended = ended.unwrap_or_else(|_| Err(self.timed_out()));
        if ended.is_err() {
            // It may answer what nobody waits for any more, or be in a transaction that the database
            // has ended by itself, as SQLite does when the disk is full.
            connection.close_on_drop();
        }
        ended
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut { database: self.database.to_string() }
    }
}

async fn migrate(database: Database) -> Result<(), Error> {
    // On a thread of its own: of the migrator's future the compiler cannot tell that it may be moved to
    // another.
    let runtime = tokio::runtime::Handle::current();
    let migrating = tokio::task::spawn_blocking(move || {
        // A pool would try again until its time is up, and say no more than that.
        let migrated = runtime.block_on(async { timeout(CALL_MAX, database.migrate()).await });
        migrated.unwrap_or_else(|_| Err(Error::TimedOut { database: database.to_string() }))
    });
    // It ends in time, or panics.
    migrating.await.unwrap_or_else(|error| Err(sqlx::Error::Protocol(error.to_string()).into()))
}
