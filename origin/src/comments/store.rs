//! Where comments are kept: an SQLite file of this origin's own, or a PostgreSQL database that several
//! origins may share. Both speak the same statements.
//!
//! Owns the order of comments (`id`, `seq`), that a comment sent again is stored once, and that what
//! it reported as stored is still there after the process, or the machine, is gone. What may stand in
//! a comment is checked before; who may write, and how fast, is the caller's.

mod attendance;
mod room;
mod rows;

use std::time::Duration;

use lectern_relay_proto::comment::{
    Action, AddressId, Attempt, Attendee, Block, Comment, Post, Refusal, Settings,
};
use lectern_relay_proto::{BroadcastId, UtcTime};

use crate::database::{self, Database, call};

/// Where comments are kept. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    database: Database,
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
    /// The database does not do what it is asked to.
    #[error(transparent)]
    Database(#[from] database::Error),
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

impl Store {
    /// Keeps comments in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Where it keeps them.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What a broadcast has.
    pub async fn newest(&self, broadcast: &BroadcastId) -> Result<Newest, Error> {
        call!(self.database, |connection| rows::newest(connection, broadcast))
    }

    /// Applies all of `changes` in their order, or none of them, and says in the same order what came
    /// of each. After an error it is unknown whether they were stored: apply them again, and ask for
    /// [`Store::changes`], since what was stored is not [`Done::changed`] then.
    pub async fn apply(&self, changes: &[Change]) -> Result<Vec<Applied>, Error> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let writer = self.database.writer();
        call!(self.database, |connection| room::apply(connection, writer, changes))
    }

    /// The comments of `broadcast` that have changed since `after`, in the order of `seq`, at most
    /// `limit`.
    pub async fn changes(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Comment>, Error> {
        call!(self.database, |connection| rows::comments(
            connection,
            rows::CHANGES,
            broadcast,
            after,
            limit
        ))
    }

    /// The comments of `broadcast` behind number `after`, in the order of `id`, at most `limit`.
    pub async fn comments(
        &self,
        broadcast: &BroadcastId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Comment>, Error> {
        call!(self.database, |connection| rows::comments(
            connection,
            rows::BY_ID,
            broadcast,
            after,
            limit
        ))
    }

    /// Who may not write at `at`, the newest first, at most [`Block::TOLD_MAX`].
    pub async fn blocks(&self, broadcast: &BroadcastId, at: UtcTime) -> Result<Vec<Block>, Error> {
        call!(self.database, |connection| rows::blocks(connection, broadcast, at))
    }

    /// Notes that these were there at `at`. False if there is no room for another on the list.
    pub async fn attend(
        &self,
        broadcast: &BroadcastId,
        present: &[Attendee],
        at: UtcTime,
    ) -> Result<bool, Error> {
        let begin = self.database.begin_sql();
        call!(self.database, |connection| attendance::note(
            connection, begin, broadcast, present, at
        ))
    }

    /// Who was there, by when they came: at most `limit`, after the first `skip`.
    pub async fn attendance(
        &self,
        broadcast: &BroadcastId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Attendance>, Error> {
        call!(self.database, |connection| attendance::list(connection, broadcast, skip, limit))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}
