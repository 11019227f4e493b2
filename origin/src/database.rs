//! The database of this origin: an SQLite file of its own, or PostgreSQL, which several origins may share.
//! Both speak the same statements. Owns connections, how long anything may take, and the tables' versions;
//! what stands in them is [`crate::comments::store`]'s and [`crate::control::store`]'s. What several origins
//! tell each other of it is [`news`]'s.

pub mod news;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::{UtcTime, skew};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::sync::OnceCell;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::news::{Ear, Heard, Listener, OnOwner, Writer};
use self::server::Server;

/// How long to wait for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// How long one call may take with a connection at hand. More than a statement may take, so that a
/// database that works can say itself what is wrong.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(10);

/// A PostgreSQL's own clock in Unix milliseconds: one for all who write there.
pub(crate) const CLOCK_MS_POSTGRES: &str =
    "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// A database. Clones share the connections.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    server: Server,
    writer: Writer,
    ear: Ear,
    /// Set once the tables are as they are to be.
    ready: Arc<OnceCell<()>>,
    /// When it answered last, whatever it was asked.
    answered: Arc<Mutex<Option<Instant>>>,
}

/// Why nothing can be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database.
    #[error("the URL of the database {0}")]
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
    #[error("the database: {0}")]
    Query(#[from] sqlx::Error),
}

/// What comes of a call with a connection of a [`Database`], which has to end in time. No function that
/// takes a closure: of what such a one awaits the compiler cannot tell that it may be moved to another
/// thread.
macro_rules! call {
    ($database:expr, |$connection:ident| $call:expr) => {{
        let mut connection = $database.connection().await?;
        let $connection = &mut connection;
        let ended = tokio::time::timeout($crate::database::CALL_MAX, $call).await;
        $database.ended(connection, ended)
    }};
}
pub(crate) use call;

/// The file that the database at `url` is kept in; `None` if a server keeps it.
///
/// # Errors
/// If `url` names no database.
pub fn file_of(url: &str) -> Result<Option<PathBuf>, Error> {
    Server::parse(url).map(|server| server.file().map(Path::to_owned))
}

impl Database {
    /// The database at `url`, opened by [`Database::ready`] or with the first call. `url` is
    /// `sqlite:PATH`, where the file is made if there is none but its directory must exist, or
    /// `postgres://USER:PASSWORD@HOST/DATABASE`.
    ///
    /// SQLite syncs each transaction to disk before it counts as stored. PostgreSQL does so unless its
    /// operator has turned `synchronous_commit` off.
    pub fn new(url: &str) -> Result<Self, Error> {
        let server = Server::parse(url)?;
        let session = server.session();
        let pool = AnyPoolOptions::new()
            .max_connections(server.connections_max())
            .acquire_timeout(CONNECTION_WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move { sqlx::raw_sql(session).execute(connection).await.map(drop) })
            })
            .connect_lazy_with(server.options());
        let writer = Writer::new(server.begin(), server.is_remote());
        let (ear, ready, answered) = Default::default();
        Ok(Self { pool, server, writer, ear, ready, answered })
    }

    /// Opens the database, if it is not open, and brings its tables up to date.
    pub async fn ready(&self) -> Result<(), Error> {
        let server = self.server.clone();
        self.ready.get_or_try_init(|| migrate(server)).await.map(|_| ())
    }

    /// Whether it is there, as it has answered somebody within `since`, or does now.
    pub(crate) async fn answers(&self, since: Duration) -> Result<(), Error> {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.is_some_and(|at| at.elapsed() <= since) {
            return Ok(());
        }
        call!(self, |connection| async {
            sqlx::query("SELECT 1").execute(&mut **connection).await?;
            Ok::<_, Error>(())
        })
    }

    /// How far its clock is ahead of this machine's, in microseconds; `None` if it has none of its own, or took
    /// too long to say.
    pub(crate) async fn clock_offset_us(&self) -> Result<Option<i64>, Error> {
        let Some(sql) = self.server.clock() else { return Ok(None) };
        call!(self, |connection| async {
            let (asked, utc) = (Instant::now(), UtcTime::from(SystemTime::now()));
            let us: i64 = sqlx::query_scalar(sql).fetch_one(&mut **connection).await?;
            let theirs = UtcTime::from_micros(u64::try_from(us).unwrap_or(0));
            Ok::<_, Error>(skew::offset_us(utc, asked.elapsed(), theirs))
        })
    }

    /// Whether the database is one that may be away for a while, and back.
    pub fn is_remote(&self) -> bool {
        self.server.is_remote()
    }

    /// Lets go of the database, once the calls that are under way have ended.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a transaction that writes.
    pub(crate) fn begin_sql(&self) -> &'static str {
        self.writer.begin
    }

    /// The same, for whoever also tells other origins of it.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Hears from now on what other origins change, while somebody [listens](Database::listen).
    pub fn news(&self) -> Heard {
        self.ear.heard()
    }

    /// Listens to the other origins on this database, until `cancel`. Calls `on_owner` when another origin
    /// owns a broadcast.
    pub async fn listen(
        &self,
        on_owner: OnOwner,
        metrics: news::Metrics,
        cancel: CancellationToken,
    ) {
        // There are no others.
        let Some(options) = self.server.listener() else { return };
        let (writer, ear) = (self.writer.clone(), self.ear.clone());
        let listener = Listener { options, writer, ear, on_owner, metrics };
        cancel.run_until_cancelled(listener.run()).await;
    }

    pub(crate) async fn connection(&self) -> Result<PoolConnection<Any>, Error> {
        self.ready().await?;
        self.pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => self.timed_out(),
            error => error.into(),
        })
    }

    /// What a call on `connection` came to, which had to end in time.
    pub(crate) fn ended<T, E: From<Error>>(
        &self,
        mut connection: PoolConnection<Any>,
        ended: Result<Result<T, E>, Elapsed>,
    ) -> Result<T, E> {
        let ended = ended.unwrap_or_else(|_| Err(self.timed_out().into()));
        if ended.is_err() {
            // It may answer what nobody waits for any more, or be in a transaction that the database
            // has ended by itself, as SQLite does when the disk is full.
            connection.close_on_drop();
        } else {
            *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        ended
    }

    pub(crate) fn timed_out(&self) -> Error {
        Error::TimedOut { database: self.server.to_string() }
    }
}

async fn migrate(server: Server) -> Result<(), Error> {
    // On a thread of its own: of the migrator's future the compiler cannot tell that it may be moved to
    // another.
    let runtime = tokio::runtime::Handle::current();
    let migrating = tokio::task::spawn_blocking(move || {
        // A pool would try again until its time is up, and say no more than that.
        let migrated = runtime.block_on(async { timeout(CALL_MAX, server.migrate()).await });
        migrated.unwrap_or_else(|_| Err(Error::TimedOut { database: server.to_string() }))
    });
    // It ends in time, or panics.
    migrating.await.unwrap_or_else(|error| Err(sqlx::Error::Protocol(error.to_string()).into()))
}
