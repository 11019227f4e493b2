//! Changes of rooms, in one transaction that holds each of them: numbers are given without a gap, and what
//! a moderator has settled holds for the very next comment, whichever origin takes it in.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use lectern_relay_proto::comment::{
    Action, AddressId, Attempt, AuthorId, Comment, Marks, Post, Refusal, Settings, Whom,
};
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::rows::{self, checked, clamp, columns, comment, number, settings_columns, whom_as_str};
use super::{Applied, Change, Done, Error, TALLY_MAX};
use crate::database::news::{News, Writer};

/// Who may be blocked in one room; more than a moderator ever names.
const BLOCKS_MAX: i64 = 1_000;
/// When to try again what there was no room for.
const FULL_AGAIN: Duration = Duration::from_secs(60);

/// Takes the room's row for this transaction, and makes it if there is none.
pub(super) const HOLD: &str = concat!(
    "INSERT INTO comment_rooms (broadcast, last_id, last_seq) VALUES ($1, 0, 0) \
     ON CONFLICT (broadcast) DO UPDATE SET last_id = comment_rooms.last_id \
     RETURNING last_id, last_seq, last_block, ",
    settings_columns!()
);

const SAVE: &str = "UPDATE comment_rooms SET last_id = $2, last_seq = $3, last_block = $4, \
     settings_rev = $5, closed = $6, approval = $7, slow_ms = $8 WHERE broadcast = $1";

const POST: &str = "INSERT INTO comments \
     (broadcast, id, seq, client, mt_ms, at_ms, user_name, author, text, rev, deleted, \
      address, moderator, question, held) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11, $12, $13) \
     ON CONFLICT (broadcast, author, client) DO NOTHING";

const FIND_ATTEMPT: &str =
    "SELECT id, held FROM comments WHERE broadcast = $1 AND author = $2 AND client = $3";

/// Changes a comment that is as the second argument says, and tells it with all its votes.
macro_rules! change {
    ($set:literal, $which:literal) => {
        concat!(
            "UPDATE comments SET seq = $3, votes_told = votes, ",
            $set,
            " WHERE broadcast = $1 AND id = $2 AND deleted = 0 AND ",
            $which,
            " RETURNING ",
            columns!()
        )
    };
}

const DELETE: &str =
    change!("rev = rev + 1, text = '', deleted = 1, pinned = 0", "(author = $4 OR $4 = '')");
const APPROVE: &str = change!("rev = rev + 1, held = 0", "held = 1");
const PIN: &str = change!("rev = rev + 1, pinned = 1", "pinned = 0 AND held = 0");
const UNPIN: &str = change!("rev = rev + 1, pinned = 0", "pinned = 1");
const ANSWER: &str =
    change!("rev = rev + 1, answered = 1", "answered = 0 AND question = 1 AND held = 0");
const REOPEN: &str = change!("rev = rev + 1, answered = 0", "answered = 1 AND question = 1");
const TELL_VOTES: &str = change!("rev = rev", "votes <> votes_told");

const FIND: &str = "SELECT author, address, user_name, deleted, question, held FROM comments \
     WHERE broadcast = $1 AND id = $2";

const PINNED: &str = "SELECT id FROM comments WHERE broadcast = $1 AND pinned = 1";

const UNTOLD: &str = "SELECT id FROM comments WHERE broadcast = $1 AND votes <> votes_told \
     AND deleted = 0 ORDER BY id LIMIT $2";

const VOTE: &str = "INSERT INTO comment_votes (broadcast, id, author) VALUES ($1, $2, $3) \
     ON CONFLICT (broadcast, id, author) DO NOTHING";

const UNVOTE: &str = "DELETE FROM comment_votes WHERE broadcast = $1 AND id = $2 AND author = $3";

const COUNT_VOTE: &str = "UPDATE comments SET votes = votes + $3 WHERE broadcast = $1 AND id = $2";

const BLOCKED: &str = "SELECT block FROM comment_blocks WHERE broadcast = $1 \
     AND ((whom = 'writer' AND value = $2) OR (whom = 'address' AND value = $3)) \
     AND (until_ms IS NULL OR until_ms > $4) LIMIT 1";

const NEWEST_OF: &str =
    "SELECT MAX(at_ms) AS newest_ms FROM comments WHERE broadcast = $1 AND author = $2";

const FORGET_BLOCKS: &str = "DELETE FROM comment_blocks WHERE broadcast = $1 AND until_ms <= $2";

const COUNT_BLOCKS: &str = "SELECT count(*) AS blocks FROM comment_blocks WHERE broadcast = $1";

const BLOCK: &str = "INSERT INTO comment_blocks \
     (broadcast, block, whom, value, user_name, until_ms) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (broadcast, whom, value) DO UPDATE SET until_ms = EXCLUDED.until_ms";

const UNBLOCK: &str = "DELETE FROM comment_blocks WHERE broadcast = $1 AND block = $2";

/// What a broadcast has, as of the transaction that holds it.
struct Room<'a> {
    connection: &'a mut AnyConnection,
    broadcast: &'a BroadcastId,
    counts: &'a mut Counts,
}

struct Counts {
    last_id: i64,
    last_seq: i64,
    last_block: i64,
    settings: Settings,
}

/// Applies all of `changes` in their order, or none. Other origins are told of rooms in which there is something
/// that everybody is to see.
pub(super) async fn apply(
    connection: &mut AnyConnection,
    writer: &Writer,
    changes: &[Change],
) -> Result<Vec<Applied>, Error> {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let mut rooms = BTreeMap::new();
    // Always in the same order, so that two origins do not each wait for what the other holds.
    for broadcast in changes.iter().map(Change::broadcast).collect::<BTreeSet<_>>() {
        let row = sqlx::query(HOLD).bind(broadcast.as_str()).fetch_one(&mut *transaction).await?;
        rooms.insert(broadcast, Counts::read(broadcast, &row)?);
    }
    let mut applied = Vec::with_capacity(changes.len());
    for change in changes {
        let broadcast = change.broadcast();
        let counts = rooms.get_mut(broadcast).expect("held above");
        let mut room = Room { connection: &mut transaction, broadcast, counts };
        applied.push(room.apply(change).await?);
    }
    for (broadcast, counts) in rooms {
        counts.save(broadcast).execute(&mut *transaction).await?;
    }
    let seen = changes.iter().zip(&applied).filter(|(_, applied)| applied.is_seen());
    for broadcast in seen.map(|(change, _)| change.broadcast()).collect::<BTreeSet<_>>() {
        writer.tell(&mut transaction, &News::Comment(broadcast.clone())).await?;
    }
    transaction.commit().await?;
    Ok(applied)
}

impl Counts {
    fn read(broadcast: &BroadcastId, row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            last_id: row.try_get("last_id")?,
            last_seq: row.try_get("last_seq")?,
            last_block: row.try_get("last_block")?,
            settings: rows::settings(broadcast, row)?,
        })
    }

    fn save<'q>(
        &self,
        broadcast: &'q BroadcastId,
    ) -> sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments> {
        let Settings { rev, closed, approval, slow_ms, attendance: _ } = self.settings;
        sqlx::query(SAVE)
            .bind(broadcast.as_str())
            .bind(self.last_id)
            .bind(self.last_seq)
            .bind(self.last_block)
            .bind(clamp(rev))
            .bind(i32::from(closed))
            .bind(i32::from(approval))
            .bind(i64::from(slow_ms))
    }
}

impl Room<'_> {
    async fn apply(&mut self, change: &Change) -> Result<Applied, Error> {
        match change {
            Change::Post { post, mt, at, moderator } => self.post(post, *mt, *at, *moderator).await,
            Change::Delete { attempt, id, moderator } => {
                self.delete(&attempt.author, *id, *moderator).await
            }
            Change::Vote { attempt, address, id, up, at } => {
                self.vote(attempt, address, *id, *up, *at).await
            }
            Change::Moderate { action, at, attempt: _ } => self.moderate(action, *at).await,
            Change::Tally { .. } => self.tally().await,
        }
    }

    async fn post(
        &mut self,
        post: &Post,
        mt: u64,
        at: UtcTime,
        moderator: bool,
    ) -> Result<Applied, Error> {
        let Attempt { author, client, .. } = &post.attempt;
        if !moderator && let Some(refused) = self.keeps_out(author, &post.address, at).await? {
            // What was let in before is no less stored for that.
            return Ok(self.find_attempt(&post.attempt).await?.unwrap_or(refused));
        }
        let (id, seq) = (self.counts.last_id + 1, self.counts.last_seq + 1);
        let held = self.counts.settings.approval && !moderator;
        let (mt, at) = (clamp(mt), clamp(at.as_millis()));
        let insert = sqlx::query(POST)
            .bind(self.broadcast.as_str())
            .bind(id)
            .bind(seq)
            .bind(client.as_str())
            .bind(mt)
            .bind(at)
            .bind(post.user.as_str())
            .bind(author.as_str())
            .bind(post.text.as_str())
            .bind(post.address.as_str())
            .bind(i32::from(moderator))
            .bind(i32::from(post.question))
            .bind(i32::from(held));
        if insert.execute(&mut *self.connection).await?.rows_affected() == 0 {
            let found = self.find_attempt(&post.attempt).await?;
            return found.ok_or_else(|| sqlx::Error::RowNotFound.into());
        }
        (self.counts.last_id, self.counts.last_seq) = (id, seq);
        let comment = Comment {
            id: checked(self.broadcast, "id", id)?,
            seq: checked(self.broadcast, "seq", seq)?,
            mt: checked(self.broadcast, "mt_ms", mt)?,
            at: UtcTime::from_millis(checked(self.broadcast, "at_ms", at)?),
            user: post.user.as_str().to_owned(),
            author: author.clone(),
            text: post.text.as_str().to_owned(),
            rev: 0,
            deleted: false,
            marks: Marks { moderator, question: post.question, held, ..Marks::default() },
        };
        Ok(done(comment.id, held, vec![comment]))
    }

    /// Why this writer may not write now, if so.
    async fn keeps_out(
        &mut self,
        author: &AuthorId,
        address: &AddressId,
        at: UtcTime,
    ) -> Result<Option<Applied>, Error> {
        if self.is_blocked(author, address, at).await? {
            return Ok(Some(Applied::Refused(Refusal::Blocked, None)));
        }
        if self.counts.settings.closed {
            return Ok(Some(Applied::Refused(Refusal::Closed, None)));
        }
        let slow_ms = u64::from(self.counts.settings.slow_ms);
        if slow_ms == 0 {
            return Ok(None);
        }
        let newest = sqlx::query(NEWEST_OF).bind(self.broadcast.as_str()).bind(author.as_str());
        let newest = newest.fetch_one(&mut *self.connection).await?;
        let Some(newest_ms) = newest.try_get::<Option<i64>, _>("newest_ms")? else {
            return Ok(None);
        };
        let newest_ms: u64 = checked(self.broadcast, "at_ms", newest_ms)?;
        let wait_ms = (newest_ms + slow_ms).saturating_sub(at.as_millis()).min(slow_ms);
        let refused = Applied::Refused(Refusal::SlowMode, Some(Duration::from_millis(wait_ms)));
        Ok((wait_ms > 0).then_some(refused))
    }

    async fn is_blocked(
        &mut self,
        author: &AuthorId,
        address: &AddressId,
        at: UtcTime,
    ) -> Result<bool, Error> {
        let blocked = sqlx::query(BLOCKED).bind(self.broadcast.as_str()).bind(author.as_str());
        let blocked = blocked.bind(address.as_str()).bind(clamp(at.as_millis()));
        Ok(blocked.fetch_optional(&mut *self.connection).await?.is_some())
    }

    async fn find_attempt(&mut self, attempt: &Attempt) -> Result<Option<Applied>, Error> {
        let find = sqlx::query(FIND_ATTEMPT).bind(self.broadcast.as_str());
        let find = find.bind(attempt.author.as_str()).bind(attempt.client.as_str());
        let Some(row) = find.fetch_optional(&mut *self.connection).await? else {
            return Ok(None);
        };
        let held = number::<u8>(self.broadcast, &row, "held")? != 0;
        Ok(Some(done(number(self.broadcast, &row, "id")?, held, Vec::new())))
    }

    async fn delete(
        &mut self,
        author: &AuthorId,
        id: u64,
        moderator: bool,
    ) -> Result<Applied, Error> {
        let whose = if moderator { "" } else { author.as_str() };
        let seq = self.counts.last_seq + 1;
        let delete = sqlx::query(DELETE).bind(self.broadcast.as_str()).bind(clamp(id)).bind(seq);
        if let Some(row) = delete.bind(whose).fetch_optional(&mut *self.connection).await? {
            self.counts.last_seq = seq;
            return Ok(done(id, false, vec![comment(self.broadcast, &row)?]));
        }
        Ok(match self.find(id).await? {
            Some(found) if moderator || found.author == author.as_str() => {
                done(id, false, Vec::new())
            }
            _ if moderator => Applied::Refused(Refusal::UnknownComment, None),
            _ => Applied::Refused(Refusal::NotYours, None),
        })
    }

    async fn vote(
        &mut self,
        attempt: &Attempt,
        address: &AddressId,
        id: u64,
        up: bool,
        at: UtcTime,
    ) -> Result<Applied, Error> {
        let open = |found: &Found| found.question && !found.deleted && !found.held;
        if self.find(id).await?.filter(open).is_none() {
            return Ok(Applied::Refused(Refusal::UnknownComment, None));
        }
        if self.is_blocked(&attempt.author, address, at).await? {
            return Ok(Applied::Refused(Refusal::Blocked, None));
        }
        let vote = sqlx::query(if up { VOTE } else { UNVOTE }).bind(self.broadcast.as_str());
        let vote = vote.bind(clamp(id)).bind(attempt.author.as_str());
        if vote.execute(&mut *self.connection).await?.rows_affected() > 0 {
            let count = sqlx::query(COUNT_VOTE).bind(self.broadcast.as_str()).bind(clamp(id));
            count.bind(if up { 1_i64 } else { -1 }).execute(&mut *self.connection).await?;
        }
        Ok(done(id, false, Vec::new()))
    }

    async fn moderate(&mut self, action: &Action, at: UtcTime) -> Result<Applied, Error> {
        match *action {
            Action::Approve { id } => self.change(APPROVE, id, |_| true).await,
            Action::Pin { id } => self.pin(id).await,
            Action::Unpin { id } => self.change(UNPIN, id, |_| true).await,
            Action::Answer { id } => {
                self.change(ANSWER, id, |found| found.question && !found.held).await
            }
            Action::Reopen { id } => self.change(REOPEN, id, |found| found.question).await,
            Action::Block { id, whom, minutes } => self.block(id, whom, minutes, at).await,
            Action::Unblock { block } => {
                let unblock = sqlx::query(UNBLOCK).bind(self.broadcast.as_str());
                unblock.bind(clamp(block)).execute(&mut *self.connection).await?;
                Ok(done(0, false, Vec::new()))
            }
            Action::Blocks => Ok(done(0, false, Vec::new())),
            Action::Settings { closed, approval, slow_ms } => {
                let slow_ms = slow_ms.min(Settings::SLOW_MS_MAX);
                let former = &self.counts.settings;
                let settings = Settings { closed, approval, slow_ms, ..former.clone() };
                let mut done = Done::default();
                if settings != *former {
                    self.counts.settings = Settings { rev: former.rev + 1, ..settings };
                    done.settings = Some(self.counts.settings.clone());
                }
                Ok(Applied::Done(done))
            }
        }
    }

    /// Changes a comment by `update`; none that is so already, and none that is gone or not `fit`.
    async fn change(
        &mut self,
        update: &'static str,
        id: u64,
        fit: impl Fn(&Found) -> bool,
    ) -> Result<Applied, Error> {
        if let Some(changed) = self.update(update, id).await? {
            return Ok(done(id, changed.marks.held, vec![changed]));
        }
        let found = self.find(id).await?.filter(|found| !found.deleted && fit(found));
        Ok(match found {
            Some(found) => done(id, found.held, Vec::new()),
            None => Applied::Refused(Refusal::UnknownComment, None),
        })
    }

    async fn pin(&mut self, id: u64) -> Result<Applied, Error> {
        let former = sqlx::query(PINNED).bind(self.broadcast.as_str());
        let former = former.fetch_all(&mut *self.connection).await?;
        let pinned = self.change(PIN, id, |found| !found.held).await?;
        let Applied::Done(mut done) = pinned else { return Ok(pinned) };
        for row in former {
            let former = number(self.broadcast, &row, "id")?;
            if former != id {
                done.changed.extend(self.update(UNPIN, former).await?);
            }
        }
        Ok(Applied::Done(done))
    }

    async fn tally(&mut self) -> Result<Applied, Error> {
        let untold = sqlx::query(UNTOLD).bind(self.broadcast.as_str()).bind(TALLY_MAX as i64);
        let untold = untold.fetch_all(&mut *self.connection).await?;
        let mut done = Done::default();
        for row in untold {
            let id = number(self.broadcast, &row, "id")?;
            done.changed.extend(self.update(TELL_VOTES, id).await?);
        }
        Ok(Applied::Done(done))
    }

    /// The comment that `update` changed, with a number of its own.
    async fn update(&mut self, update: &'static str, id: u64) -> Result<Option<Comment>, Error> {
        let seq = self.counts.last_seq + 1;
        let update = sqlx::query(update).bind(self.broadcast.as_str()).bind(clamp(id)).bind(seq);
        let Some(row) = update.fetch_optional(&mut *self.connection).await? else {
            return Ok(None);
        };
        self.counts.last_seq = seq;
        comment(self.broadcast, &row).map(Some)
    }

    async fn block(
        &mut self,
        id: u64,
        whom: Whom,
        minutes: Option<NonZeroU32>,
        at: UtcTime,
    ) -> Result<Applied, Error> {
        let unknown = Applied::Refused(Refusal::UnknownComment, None);
        let Some(found) = self.find(id).await? else { return Ok(unknown) };
        let value = match whom {
            Whom::Writer => found.author,
            Whom::Address => found.address,
        };
        if value.is_empty() {
            return Ok(unknown);
        }
        let at_ms = at.as_millis();
        let forget = sqlx::query(FORGET_BLOCKS).bind(self.broadcast.as_str());
        forget.bind(clamp(at_ms)).execute(&mut *self.connection).await?;
        let count = sqlx::query(COUNT_BLOCKS).bind(self.broadcast.as_str());
        let count = count.fetch_one(&mut *self.connection).await?;
        if count.try_get::<i64, _>("blocks")? >= BLOCKS_MAX {
            return Ok(Applied::Refused(Refusal::Busy, Some(FULL_AGAIN)));
        }
        self.counts.last_block += 1;
        let until = minutes.map(|minutes| clamp(at_ms + u64::from(minutes.get()) * 60_000));
        let block = sqlx::query(BLOCK)
            .bind(self.broadcast.as_str())
            .bind(self.counts.last_block)
            .bind(whom_as_str(whom))
            .bind(value)
            .bind(found.user)
            .bind(until);
        block.execute(&mut *self.connection).await?;
        Ok(done(id, false, Vec::new()))
    }

    async fn find(&mut self, id: u64) -> Result<Option<Found>, Error> {
        let find = sqlx::query(FIND).bind(self.broadcast.as_str()).bind(clamp(id));
        let Some(row) = find.fetch_optional(&mut *self.connection).await? else {
            return Ok(None);
        };
        let truth = |column| number::<u8>(self.broadcast, &row, column).map(|truth| truth != 0);
        Ok(Some(Found {
            author: row.try_get("author")?,
            address: row.try_get("address")?,
            user: row.try_get("user_name")?,
            deleted: truth("deleted")?,
            question: truth("question")?,
            held: truth("held")?,
        }))
    }
}

/// What decides what may be done with a comment.
struct Found {
    author: String,
    address: String,
    user: String,
    deleted: bool,
    question: bool,
    held: bool,
}

fn done(id: u64, held: bool, changed: Vec<Comment>) -> Applied {
    Applied::Done(Done { id, held, changed, settings: None })
}

impl Applied {
    /// Whether it changes what everybody sees.
    fn is_seen(&self) -> bool {
        match self {
            Self::Done(done) => !done.changed.is_empty() || done.settings.is_some(),
            Self::Refused(..) => false,
        }
    }
}

impl Change {
    fn broadcast(&self) -> &BroadcastId {
        match self {
            Self::Post { post, .. } => &post.attempt.broadcast,
            Self::Delete { attempt, .. }
            | Self::Vote { attempt, .. }
            | Self::Moderate { attempt, .. } => &attempt.broadcast,
            Self::Tally { broadcast } => broadcast,
        }
    }
}
