//! The timelines of broadcasts, as all origins on one database share them: how far each has come, and which
//! process continues it. Owns the rows and how long may be waited for them; the rules are in [`lease`] and
//! [`silence`], and what a broadcast does with its lease is its own.
//!
//! Nothing that media waits for comes here: with a [`Lease`] takes and periods begin without the database.

mod lease;
mod rows;
mod silence;

use std::time::Duration;

use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::time::{Instant, timeout_at};

pub use self::lease::{Lease, PROGRESS_EACH, Process, RESERVED, Start, Timeline, UsedUp};
pub use self::silence::Silence;
use crate::database::{self, Database};

/// How long a publisher waits for the broadcast to be this process's, before it is sent away.
pub const ACQUIRE_MAX: Duration = Duration::from_secs(2);
/// How long reading may take.
const READ_MAX: Duration = Duration::from_secs(5);
/// How long storing may take: before others believe that an owner is gone there is time to try it again.
const STORE_MAX: Duration = Duration::from_secs(3);
/// Rows of one statement: as many as an origin has broadcasts. Each is up to nine values, of which
/// PostgreSQL takes 65,535, and SQLite 32,766.
const ROWS_MAX: usize = 1_000;

/// Where timelines are kept, for one process. Clones are the same process.
#[derive(Clone)]
pub struct Timelines {
    database: Database,
    process: Process,
}

/// Why a timeline cannot be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database does not do what it is asked to.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The database holds what this program never wrote.
    #[error("a timeline is damaged: its {column} is {value}")]
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

/// What came of the wish to continue a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is this process's.
    Ours(Timeline),
    /// Somebody publishes at another, whom a backup waits for.
    LiveElsewhere(Timeline),
}

/// Who wants to continue a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A publisher who takes over from whoever there is.
    Now,
    /// A backup, who waits for publishers of other processes too.
    UnlessLiveElsewhere,
    /// The same, where the other is believed to be gone unless it has said something [since](Silence).
    UnlessHeardOf,
}

/// What stands there of one broadcast; `None` where nothing does.
pub type Read = Result<Option<Timeline>, Error>;

/// What comes of a call with a connection of the database, which has to end by the deadline. As a macro for
/// the same reason as [`database::call`].
macro_rules! by {
    ($deadline:expr, $database:expr, |$connection:ident| $call:expr) => {{
        let (deadline, database) = ($deadline, &$database);
        let connection = timeout_at(deadline, database.connection()).await;
        let mut connection = connection.map_err(|_| database.timed_out())??;
        let $connection = &mut connection;
        let ended = timeout_at(deadline, $call).await;
        database.ended(connection, ended)
    }};
}

impl Timelines {
    /// Keeps them in `database`, as a process with a name of its own.
    pub fn new(database: Database) -> Self {
        Self { database, process: Process::random() }
    }

    /// This process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether other processes may continue what this one has begun, while it lives.
    pub fn is_shared(&self) -> bool {
        self.database.is_remote()
    }

    /// Makes a broadcast this process's, unless it is to be waited for; at `now`, by this machine's clock.
    /// `known` is what this process has heard of it last, or done itself, which the database may have lost. A
    /// damaged row is replaced by a new timeline. Ends within [`ACQUIRE_MAX`]; after an error it may be this
    /// process's all the same, as the row then says.
    pub async fn acquire(
        &self,
        id: &BroadcastId,
        wish: Wish,
        known: Option<Timeline>,
        now: UtcTime,
    ) -> Result<Acquired, Error> {
        let deadline = Instant::now() + ACQUIRE_MAX;
        let writer = self.database.writer();
        // A process of an earlier life that had this file for itself is gone, whatever it said last.
        let wish = if writer.is_shared() { wish } else { Wish::Now };
        by!(deadline, self.database, |connection| rows::acquire(
            connection,
            writer,
            id,
            &self.process,
            wish,
            known,
            now
        ))
    }

    /// What stands there of each of these, in their order.
    pub async fn read(&self, ids: &[BroadcastId]) -> Result<Vec<Read>, Error> {
        let mut read = Vec::with_capacity(ids.len());
        for ids in ids.chunks(ROWS_MAX) {
            read.extend(self.read_some(ids).await?);
        }
        Ok(read)
    }

    async fn read_some(&self, ids: &[BroadcastId]) -> Result<Vec<Read>, Error> {
        by!(Instant::now() + READ_MAX, self.database, |connection| rows::read(connection, ids))
    }

    /// Stores those of these that are still this process's; says which were, in their order.
    pub async fn store(&self, timelines: &[(BroadcastId, Timeline)]) -> Result<Vec<bool>, Error> {
        let mut stored = Vec::with_capacity(timelines.len());
        for timelines in timelines.chunks(ROWS_MAX) {
            stored.extend(self.store_some(timelines).await?);
        }
        Ok(stored)
    }

    async fn store_some(&self, timelines: &[(BroadcastId, Timeline)]) -> Result<Vec<bool>, Error> {
        let (writer, process) = (self.database.writer(), &self.process);
        by!(Instant::now() + STORE_MAX, self.database, |connection| rows::store(
            connection, writer, process, timelines
        ))
    }
}
