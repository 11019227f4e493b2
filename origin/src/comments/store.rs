//! Where comments are kept: an SQLite file of this origin's own, or a PostgreSQL database that several
//! origins may share. Both speak the same statements.
//!
//! Owns the order of comments (`id`, `seq`), that a comment sent again is stored once, and that what
//! it reported as stored is still there after the process, or the machine, is gone. What may stand in
//! a comment is checked before; who may write, and how fast, is the caller's.

mod database;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::comment::{AuthorId, ClientId, Comment, Post};
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Row};
use tokio::sync::OnceCell;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use self::database::Database;

/// How long to wait for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// How long one call may take with a connection at hand. More than a statement may take, so that a
/// database that works can say itself what is wrong.
const CALL_MAX: Duration = Duration::from_secs(10);

/// Takes the room's row for this transaction, and makes it if there is none.
const HOLD_ROOM: &str = "INSERT INTO comment_rooms (broadcast, last_id, last_seq) VALUES ($1, 0, 0) \
     ON CONFLICT (broadcast) DO UPDATE SET last_id = comment_rooms.last_id \
     RETURNING last_id, last_seq";

const SAVE_ROOM: &str = "UPDATE comment_rooms SET last_id = $2, last_seq = $3 WHERE broadcast = $1";

const POST: &str = "INSERT INTO comments \
     (broadcast, id, seq, client, mt_ms, at_ms, user_name, author, text, rev, deleted) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0) \
     ON CONFLICT (broadcast, author, client) DO NOTHING";

const FIND_CLIENT: &str =
    "SELECT id FROM comments WHERE broadcast = $1 AND author = $2 AND client = $3";

const DELETE: &str = "UPDATE comments SET text = '', deleted = 1, rev = rev + 1, seq = $4 \
     WHERE broadcast = $1 AND id = $2 AND author = $3 AND deleted = 0 \
     RETURNING id, seq, mt_ms, at_ms, user_name, author, text, rev, deleted";

const NEWEST: &str = "SELECT last_seq FROM comment_rooms WHERE broadcast = $1";

const FIND_OWN: &str = "SELECT id FROM comments WHERE broadcast = $1 AND id = $2 AND author = $3";

const CHANGES: &str = "SELECT id, seq, mt_ms, at_ms, user_name, author, text, rev, deleted FROM comments \
     WHERE broadcast = $1 AND seq > $2 ORDER BY seq LIMIT $3";

/// Where comments are kept. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    pool: AnyPool,
    database: Database,
    /// Set once the tables are as they are to be.
    ready: Arc<OnceCell<()>>,
}

/// What is to happen to a broadcast's comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody wrote something.
    Post {
        /// What.
        post: Post,
        /// Its media time, ms since T0, whatever the post says of it.
        mt: u64,
        /// When it was taken in.
        at: UtcTime,
    },
    /// Somebody takes back what they wrote.
    Delete {
        /// The broadcast.
        broadcast: BroadcastId,
        /// This attempt. A comment can be deleted once, whatever the attempt is called.
        client: ClientId,
        /// Which comment.
        id: u64,
        /// Who says so.
        author: AuthorId,
    },
}

/// What came of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// This is the comment's newest form, which nobody has seen yet.
    Changed(Comment),
    /// It was stored, or deleted, before, perhaps by another origin; nothing has changed.
    Already {
        /// The comment.
        id: u64,
    },
    /// There is no such comment of this author's; nothing has changed.
    NotYours,
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

/// What a broadcast has, as of the transaction that holds it.
struct Room {
    last_id: i64,
    last_seq: i64,
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

    /// The newest change of a broadcast's comments; zero if there is none.
    pub async fn newest(&self, broadcast: &BroadcastId) -> Result<u64, Error> {
        let mut connection = self.connection().await?;
        let ended = timeout(CALL_MAX, newest(&mut connection, broadcast)).await;
        self.ended(connection, ended)
    }

    /// Applies all of `changes` in their order, or none of them, and says in the same order what came
    /// of each. After an error it is unknown whether they were stored: apply them again, and ask for
    /// [`Store::changes`], since those that were stored are [`Applied::Already`] then.
    pub async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let begin = self.database.begin();
        let mut connection = self.connection().await?;
        let ended = timeout(CALL_MAX, apply(&mut connection, begin, changes)).await;
        self.ended(connection, ended)
    }

    /// The comments of `broadcast` that have changed since `after`, in the order of `seq`, at most
    /// `limit`.
    pub async fn changes(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Comment>, Error> {
        let mut connection = self.connection().await?;
        let ended = timeout(CALL_MAX, changes(&mut connection, broadcast, after, limit)).await;
        self.ended(connection, ended)
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

async fn apply(
    connection: &mut AnyConnection,
    begin: &'static str,
    changes: &[Change],
) -> Result<Vec<Applied>, Error> {
    let mut transaction = connection.begin_with(begin).await?;
    // In the order of their names, so that no two origins wait for one another.
    let broadcasts: BTreeSet<&BroadcastId> = changes.iter().map(Change::broadcast).collect();
    let mut rooms = BTreeMap::new();
    for broadcast in broadcasts {
        let row = sqlx::query(HOLD_ROOM).bind(broadcast.as_str());
        let row = row.fetch_one(&mut *transaction).await?;
        let room = Room { last_id: row.try_get("last_id")?, last_seq: row.try_get("last_seq")? };
        rooms.insert(broadcast, room);
    }
    let mut applied = Vec::with_capacity(changes.len());
    for change in changes {
        let room = rooms.get_mut(change.broadcast()).expect("held above");
        applied.push(match change {
            Change::Post { post, mt, at } => room.post(&mut transaction, post, *mt, *at).await?,
            Change::Delete { broadcast, id, author, client: _ } => {
                room.delete(&mut transaction, broadcast, *id, author).await?
            }
        });
    }
    for (broadcast, room) in rooms {
        let save = sqlx::query(SAVE_ROOM).bind(broadcast.as_str());
        save.bind(room.last_id).bind(room.last_seq).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(applied)
}

async fn newest(connection: &mut AnyConnection, broadcast: &BroadcastId) -> Result<u64, Error> {
    let row = sqlx::query(NEWEST).bind(broadcast.as_str()).fetch_optional(connection).await?;
    row.map_or(Ok(0), |row| number(broadcast, &row, "last_seq"))
}

async fn changes(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    after: u64,
    limit: u32,
) -> Result<Vec<Comment>, Error> {
    let rows = sqlx::query(CHANGES).bind(broadcast.as_str()).bind(clamp(after));
    let rows = rows.bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(|row| comment(broadcast, row)).collect()
}

impl Room {
    async fn post(
        &mut self,
        connection: &mut AnyConnection,
        post: &Post,
        mt: u64,
        at: UtcTime,
    ) -> Result<Applied, Error> {
        let broadcast = &post.broadcast;
        let (id, seq) = (self.last_id + 1, self.last_seq + 1);
        let (mt, at) = (clamp(mt), clamp(at.as_millis()));
        let insert = sqlx::query(POST)
            .bind(broadcast.as_str())
            .bind(id)
            .bind(seq)
            .bind(post.client.as_str())
            .bind(mt)
            .bind(at)
            .bind(post.user.as_str())
            .bind(post.author.as_str())
            .bind(post.text.as_str());
        if insert.execute(&mut *connection).await?.rows_affected() == 0 {
            let find = sqlx::query(FIND_CLIENT).bind(broadcast.as_str());
            let find = find.bind(post.author.as_str()).bind(post.client.as_str());
            let row = find.fetch_one(connection).await?;
            return Ok(Applied::Already { id: number(broadcast, &row, "id")? });
        }
        (self.last_id, self.last_seq) = (id, seq);
        Ok(Applied::Changed(Comment {
            id: checked(broadcast, "id", id)?,
            seq: checked(broadcast, "seq", seq)?,
            mt: checked(broadcast, "mt_ms", mt)?,
            at: UtcTime::from_millis(checked(broadcast, "at_ms", at)?),
            user: post.user.as_str().to_owned(),
            author: post.author.clone(),
            text: post.text.as_str().to_owned(),
            rev: 0,
            deleted: false,
        }))
    }

    async fn delete(
        &mut self,
        connection: &mut AnyConnection,
        broadcast: &BroadcastId,
        id: u64,
        author: &AuthorId,
    ) -> Result<Applied, Error> {
        let seq = self.last_seq + 1;
        let delete = sqlx::query(DELETE).bind(broadcast.as_str()).bind(clamp(id));
        let delete = delete.bind(author.as_str()).bind(seq);
        if let Some(row) = delete.fetch_optional(&mut *connection).await? {
            self.last_seq = seq;
            return Ok(Applied::Changed(comment(broadcast, &row)?));
        }
        let find = sqlx::query(FIND_OWN).bind(broadcast.as_str()).bind(clamp(id));
        Ok(match find.bind(author.as_str()).fetch_optional(connection).await? {
            Some(_) => Applied::Already { id },
            None => Applied::NotYours,
        })
    }
}

impl Change {
    fn broadcast(&self) -> &BroadcastId {
        match self {
            Self::Post { post, .. } => &post.broadcast,
            Self::Delete { broadcast, .. } => broadcast,
        }
    }
}

/// Databases count no further. A stranger's number beyond is as good as the last one: an error would
/// take others' comments of the same batch along.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn comment(broadcast: &BroadcastId, row: &AnyRow) -> Result<Comment, Error> {
    let author: String = row.try_get("author")?;
    let damaged = |_| damaged(broadcast, "author", &author);
    Ok(Comment {
        id: number(broadcast, row, "id")?,
        seq: number(broadcast, row, "seq")?,
        mt: number(broadcast, row, "mt_ms")?,
        at: UtcTime::from_millis(number(broadcast, row, "at_ms")?),
        user: row.try_get("user_name")?,
        author: AuthorId::try_from(author.clone()).map_err(damaged)?,
        text: row.try_get("text")?,
        rev: number(broadcast, row, "rev")?,
        deleted: number::<u8>(broadcast, row, "deleted")? != 0,
    })
}

fn number<T: TryFrom<i64>>(
    broadcast: &BroadcastId,
    row: &AnyRow,
    column: &'static str,
) -> Result<T, Error> {
    checked(broadcast, column, row.try_get(column)?)
}

fn checked<T: TryFrom<i64>>(
    broadcast: &BroadcastId,
    column: &'static str,
    value: i64,
) -> Result<T, Error> {
    T::try_from(value).map_err(|_| damaged(broadcast, column, value))
}

fn damaged(broadcast: &BroadcastId, column: &'static str, value: impl ToString) -> Error {
    Error::Damaged { broadcast: broadcast.clone(), column, value: value.to_string() }
}
