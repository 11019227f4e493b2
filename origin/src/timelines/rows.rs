//! The rows of timelines, and the transactions over them.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::{Acquired, Error, Process, Read, Timeline, Wish};
use crate::database::CLOCK_MS_POSTGRES;
use crate::database::news::{News, Writer};

/// In milliseconds, by one clock for all, so that it can be said how long ago a row was written.
const CLOCK_SQLITE: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

macro_rules! columns {
    () => {
        "id, t0_ms, next_period, next_take, sequence, counting_since_ms, floor_ms, epoch, owner, \
         changed_at"
    };
}

/// Holds the row until the transaction ends, and makes one if there is none: of two that have never seen it,
/// one waits for the other.
const HOLD: &str = concat!(
    "INSERT INTO timelines (id, t0_ms, next_period, next_take, sequence, floor_ms, epoch, changed_at) \
     VALUES ($1, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id RETURNING ",
    columns!()
);

const SET: &str = "UPDATE timelines SET t0_ms = $2, next_period = $3, next_take = $4, sequence = $5, \
     counting_since_ms = $6, floor_ms = $7, epoch = $8, owner = $9, changed_at = $10 WHERE id = $1";

/// What [`store`] sets each row to.
const NEW: [(&str, &str); 9] = [
    ("id", "TEXT"),
    ("t0_ms", "BIGINT"),
    ("next_period", "BIGINT"),
    ("next_take", "BIGINT"),
    ("sequence", "BIGINT"),
    ("counting_since_ms", "BIGINT"),
    ("floor_ms", "BIGINT"),
    ("epoch", "BIGINT"),
    ("owner", "TEXT"),
];

pub(super) async fn acquire(
    connection: &mut AnyConnection,
    writer: &Writer,
    id: &BroadcastId,
    process: &Process,
    wish: Wish,
    known: Option<Timeline>,
    now: UtcTime,
) -> Result<Acquired, Error> {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let row = sqlx::query(HOLD).bind(id.as_str()).fetch_one(&mut *transaction).await?;
    let clock_ms = clock(&mut transaction, writer.is_shared()).await?;
    let next = match timeline(&row) {
        // Made by the statement above.
        Ok(stored) if stored.epoch == 0 && known.is_none() => Timeline::begin(process, now),
        Ok(stored) => {
            let is_silent = wish == Wish::UnlessHeardOf;
            if wish != Wish::Now && stored.waits(known.as_ref(), process, is_silent) {
                return Ok(Acquired::LiveElsewhere(stored));
            }
            if known.as_ref().is_some_and(|known| known.epoch > stored.epoch) {
                tracing::warn!(broadcast = %id, "the database has lost whose it was; it goes on as \
                    this server knows it");
            }
            stored.acquire(known, process, now, ago(clock_ms, &row)?)
        }
        Err(error @ Error::Damaged { .. }) => {
            tracing::error!(broadcast = %id, %error, "its broadcast begins a new timeline");
            let known = known.map_or(0, |known| known.epoch);
            let epoch = number(&row, "epoch").unwrap_or(0).max(known);
            let begun = Timeline::begin(process, now);
            Timeline { epoch: begun.epoch.max(epoch.saturating_add(1)), ..begun }
        }
        Err(error) => return Err(error),
    };
    let set = bind_timeline(sqlx::query(SET), id, &next).bind(clock_ms);
    set.execute(&mut *transaction).await?;
    writer.tell(&mut transaction, &News::Owner(id.clone())).await?;
    transaction.commit().await?;
    Ok(Acquired::Ours(next))
}

/// One statement for all: each is a way to the database and back.
pub(super) async fn read(
    connection: &mut AnyConnection,
    ids: &[BroadcastId],
) -> Result<Vec<Read>, Error> {
    let these: Vec<_> = (1..=ids.len()).map(|at| format!("${at}")).collect();
    let sql = format!(
        concat!("SELECT ", columns!(), " FROM timelines WHERE id IN ({})"),
        these.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for id in ids {
        query = query.bind(id.as_str());
    }
    let rows = query.fetch_all(connection).await?;
    let mut by_id = HashMap::with_capacity(rows.len());
    for row in &rows {
        by_id.insert(row.try_get::<String, _>("id")?, timeline(row));
    }
    Ok(ids.iter().map(|id| by_id.remove(id.as_str()).transpose()).collect())
}

/// Stores those that are this process's by what is stored, or by an epoch that the database has lost.
pub(super) async fn store(
    connection: &mut AnyConnection,
    writer: &Writer,
    process: &Process,
    timelines: &[(BroadcastId, Timeline)],
) -> Result<Vec<bool>, Error> {
    let mut query = sqlx::query(AssertSqlSafe(store_sql(timelines.len(), writer.is_shared())))
        .persistent(false);
    for (id, timeline) in timelines {
        query = bind_timeline(query, id, timeline);
    }
    let rows = query.bind(process.as_str()).fetch_all(connection).await?;
    let stored: HashSet<String> =
        rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    Ok(timelines.iter().map(|(id, _)| stored.contains(id.as_str())).collect())
}

/// The statement that stores so many rows, and says which: their [columns](NEW) one after the other, then
/// the process.
fn store_sql(rows: usize, is_shared: bool) -> String {
    let names = NEW.map(|(name, _)| name).join(", ");
    let set = NEW.map(|(name, _)| format!("{name} = new.{name}"))[1..].join(", ");
    let mut sql = format!("WITH new ({names}) AS (VALUES ");
    for row in 0..rows {
        let values: Vec<_> = (1..)
            .zip(NEW)
            .map(|(at, (_, kind))| format!("CAST(${} AS {kind})", row * NEW.len() + at))
            .collect();
        let comma = if row == 0 { "" } else { ", " };
        let _ = write!(sql, "{comma}({})", values.join(", "));
    }
    let (clock, process) = (clock_sql(is_shared), rows * NEW.len() + 1);
    let _ = write!(
        sql,
        ") UPDATE timelines SET {set}, changed_at = {clock} FROM new WHERE timelines.id = new.id \
         AND (timelines.epoch < new.epoch OR (timelines.epoch = new.epoch AND timelines.owner = \
         ${process})) RETURNING timelines.id AS id"
    );
    sql
}

async fn clock(connection: &mut AnyConnection, is_shared: bool) -> Result<i64, Error> {
    let sql = format!("SELECT {} AS now_ms", clock_sql(is_shared));
    Ok(sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await?.try_get("now_ms")?)
}

fn clock_sql(is_shared: bool) -> &'static str {
    if is_shared { CLOCK_MS_POSTGRES } else { CLOCK_SQLITE }
}

/// How long ago a row was written.
fn ago(clock_ms: i64, row: &AnyRow) -> Result<Duration, Error> {
    let changed_at: i64 = row.try_get("changed_at")?;
    let ago_ms = clock_ms.saturating_sub(changed_at);
    Ok(Duration::from_millis(u64::try_from(ago_ms).unwrap_or(0)))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

/// In the order of [`NEW`].
fn bind_timeline<'q>(query: Query<'q>, id: &BroadcastId, timeline: &Timeline) -> Query<'q> {
    query
        .bind(id.as_str().to_owned())
        .bind(number_of(timeline.t0_ms))
        .bind(i64::from(timeline.next_period))
        .bind(i64::from(timeline.next_take))
        .bind(number_of(timeline.sequence))
        .bind(timeline.counting_since_ms.map(number_of))
        .bind(number_of(timeline.floor_ms))
        .bind(number_of(timeline.epoch))
        .bind(timeline.owner.as_ref().map(|owner| owner.as_str().to_owned()))
}

fn timeline(row: &AnyRow) -> Result<Timeline, Error> {
    let owner: Option<String> = row.try_get("owner").map_err(|error| damaged("owner", error))?;
    let counting: Option<i64> =
        row.try_get("counting_since_ms").map_err(|error| damaged("counting_since_ms", error))?;
    let counting_since_ms = counting.map(|ms| unsigned("counting_since_ms", ms)).transpose()?;
    Ok(Timeline {
        t0_ms: number(row, "t0_ms")?,
        next_period: small(row, "next_period")?,
        next_take: small(row, "next_take")?,
        sequence: number(row, "sequence")?,
        counting_since_ms,
        floor_ms: number(row, "floor_ms")?,
        epoch: number(row, "epoch")?,
        owner: owner.as_deref().map(Process::named),
    })
}

fn small(row: &AnyRow, column: &'static str) -> Result<u32, Error> {
    let number = number(row, column)?;
    u32::try_from(number).map_err(|_| damaged(column, number))
}

fn number(row: &AnyRow, column: &'static str) -> Result<u64, Error> {
    // SQLite keeps what it is given, also text.
    let number: i64 = row.try_get(column).map_err(|error| damaged(column, error))?;
    unsigned(column, number)
}

fn unsigned(column: &'static str, number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| damaged(column, number))
}

/// Databases count no further.
fn number_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn damaged(column: &'static str, value: impl ToString) -> Error {
    Error::Damaged { column, value: value.to_string() }
}
