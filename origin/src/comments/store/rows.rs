//! What stands in the tables, read back: nothing in them is believed to be as this program wrote it.

use lectern_relay_proto::comment::{AuthorId, Block, Comment, Marks, Settings, Whom};
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Error, Newest};

/// Of a comment, all that [`comment`] reads.
macro_rules! columns {
    () => {
        "id, seq, mt_ms, at_ms, user_name, author, text, rev, deleted, \
         moderator, question, votes, answered, pinned, held"
    };
}
pub(super) use columns;

/// Of a room, all that [`settings`] reads.
macro_rules! settings_columns {
    () => {
        "settings_rev, closed, approval, slow_ms"
    };
}
pub(super) use settings_columns;

pub(super) const CHANGES: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM comments WHERE broadcast = $1 AND seq > $2 ORDER BY seq LIMIT $3"
);

pub(super) const BY_ID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM comments WHERE broadcast = $1 AND id > $2 ORDER BY id LIMIT $3"
);

const NEWEST: &str =
    concat!("SELECT last_seq, ", settings_columns!(), " FROM comment_rooms WHERE broadcast = $1");

const BLOCKS: &str = "SELECT block, whom, user_name, until_ms FROM comment_blocks \
     WHERE broadcast = $1 AND (until_ms IS NULL OR until_ms > $2) ORDER BY block DESC LIMIT $3";

pub(super) async fn newest(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
) -> Result<Newest, Error> {
    let row = sqlx::query(NEWEST).bind(broadcast.as_str()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(Newest::default()) };
    let seq = number(broadcast, &row, "last_seq")?;
    Ok(Newest { seq, settings: settings(broadcast, &row)? })
}

pub(super) async fn comments(
    connection: &mut AnyConnection,
    select: &'static str,
    broadcast: &BroadcastId,
    after: u64,
    limit: u32,
) -> Result<Vec<Comment>, Error> {
    let rows = sqlx::query(select).bind(broadcast.as_str()).bind(clamp(after));
    let rows = rows.bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(|row| comment(broadcast, row)).collect()
}

pub(super) async fn blocks(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    at: UtcTime,
) -> Result<Vec<Block>, Error> {
    let rows = sqlx::query(BLOCKS).bind(broadcast.as_str()).bind(clamp(at.as_millis()));
    let rows = rows.bind(i64::from(Block::TOLD_MAX)).fetch_all(connection).await?;
    let block = |row: &AnyRow| {
        let whom: String = row.try_get("whom")?;
        let until: Option<i64> = row.try_get("until_ms")?;
        Ok(Block {
            block: number(broadcast, row, "block")?,
            whom: whom_of(&whom).ok_or_else(|| damaged(broadcast, "whom", &whom))?,
            user: row.try_get("user_name")?,
            until: until.map(|until| checked(broadcast, "until_ms", until)).transpose()?,
        })
    };
    rows.iter().map(block).collect()
}

/// As it stands in the tables.
pub(super) fn whom_as_str(whom: Whom) -> &'static str {
    match whom {
        Whom::Writer => "writer",
        Whom::Address => "address",
    }
}

fn whom_of(text: &str) -> Option<Whom> {
    [Whom::Writer, Whom::Address].into_iter().find(|whom| whom_as_str(*whom) == text)
}

pub(super) fn comment(broadcast: &BroadcastId, row: &AnyRow) -> Result<Comment, Error> {
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
        deleted: truth(broadcast, row, "deleted")?,
        marks: Marks {
            moderator: truth(broadcast, row, "moderator")?,
            question: truth(broadcast, row, "question")?,
            votes: number(broadcast, row, "votes")?,
            answered: truth(broadcast, row, "answered")?,
            pinned: truth(broadcast, row, "pinned")?,
            held: truth(broadcast, row, "held")?,
        },
    })
}

pub(super) fn settings(broadcast: &BroadcastId, row: &AnyRow) -> Result<Settings, Error> {
    Ok(Settings {
        rev: number(broadcast, row, "settings_rev")?,
        closed: truth(broadcast, row, "closed")?,
        approval: truth(broadcast, row, "approval")?,
        slow_ms: number(broadcast, row, "slow_ms")?,
        attendance: false,
    })
}

/// Databases count no further. A stranger's number beyond is as good as the last one: an error would
/// take others' comments of the same batch along.
pub(super) fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn number<T: TryFrom<i64>>(
    broadcast: &BroadcastId,
    row: &AnyRow,
    column: &'static str,
) -> Result<T, Error> {
    checked(broadcast, column, row.try_get(column)?)
}

fn truth(broadcast: &BroadcastId, row: &AnyRow, column: &'static str) -> Result<bool, Error> {
    Ok(number::<u8>(broadcast, row, column)? != 0)
}

pub(super) fn checked<T: TryFrom<i64>>(
    broadcast: &BroadcastId,
    column: &'static str,
    value: i64,
) -> Result<T, Error> {
    T::try_from(value).map_err(|_| damaged(broadcast, column, value))
}

fn damaged(broadcast: &BroadcastId, column: &'static str, value: impl ToString) -> Error {
    Error::Damaged { broadcast: broadcast.clone(), column, value: value.to_string() }
}
