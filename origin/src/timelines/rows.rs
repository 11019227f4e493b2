//! The rows of timelines, and the transactions over them.

use std::time::Duration;

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{Acquired, Changed, Error, Process, Read, Timeline, Wish};
use crate::database::news::{News, Writer};

/// By one clock for all, so that it can be said how long ago a row was written.
const CLOCK_POSTGRES: &str =
    "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms";
const CLOCK_SQLITE: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms";

macro_rules! columns {
    () => {
        "id, t0_ms, next_period, next_take, sequence, counting_since_ms, floor_ms, epoch, owner, \
         changed_at"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM timelines WHERE id = $1");

const CHANGED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM timelines WHERE changed_at >= $1 ORDER BY changed_at LIMIT $2"
);

/// Holds the row until the transaction ends, and makes one if there is none: of two that have never seen it,
/// one waits for the other.
const HOLD: &str = concat!(
    "INSERT INTO timelines (id, t0_ms, next_period, next_take, sequence, floor_ms, epoch, changed_at) \
     VALUES ($1, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id RETURNING ",
    columns!()
);

const SET: &str = "UPDATE timelines SET t0_ms = $2, next_period = $3, next_take = $4, sequence = $5, \
     counting_since_ms = $6, floor_ms = $7, epoch = $8, owner = $9, changed_at = $10 WHERE id = $1";

const STORE: &str = "UPDATE timelines SET t0_ms = $2, next_period = $3, next_take = $4, \
     sequence = $5, counting_since_ms = $6, floor_ms = $7, epoch = $8, owner = $9, changed_at = $10 \
     WHERE id = $1 AND epoch = $8 AND owner = $11";

pub(super) async fn acquire(
    connection: &mut AnyConnection,
    writer: &Writer,
    id: &BroadcastId,
    process: &Process,
    wish: Wish,
    now: UtcTime,
) -> Result<Acquired, Error> {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let row = sqlx::query(HOLD).bind(id.as_str()).fetch_one(&mut *transaction).await?;
    let clock_ms = clock(&mut transaction, writer.is_shared()).await?;
    let next = match timeline(&row) {
        // Made by the statement above.
        Ok(stored) if stored.epoch == 0 => Timeline::begin(process, now),
        Ok(stored) => {
            let ago = ago(clock_ms, &row)?;
            if wish == Wish::UnlessLiveElsewhere && stored.is_live_elsewhere(process, ago) {
                return Ok(Acquired::LiveElsewhere(stored));
            }
            stored.acquire(process, now, ago)
        }
        Err(error @ Error::Damaged { .. }) => {
            tracing::error!(broadcast = %id, %error, "its broadcast begins a new timeline");
            let epoch = number(&row, "epoch").unwrap_or(0);
            let begun = Timeline::begin(process, now);
            Timeline { epoch: begun.epoch.max(epoch.saturating_add(1)), ..begun }
        }
        Err(error) => return Err(error),
    };
    bind(sqlx::query(SET), id, &next, clock_ms).execute(&mut *transaction).await?;
    writer.tell(&mut transaction, &News::Owner(id.clone())).await?;
    transaction.commit().await?;
    Ok(Acquired::Ours(next))
}

pub(super) async fn read(
    connection: &mut AnyConnection,
    ids: &[BroadcastId],
) -> Result<Vec<Read>, Error> {
    let mut read = Vec::with_capacity(ids.len());
    for id in ids {
        let row = sqlx::query(BY_ID).bind(id.as_str()).fetch_optional(&mut *connection).await?;
        read.push(row.as_ref().map(timeline).transpose());
    }
    Ok(read)
}

pub(super) async fn changed(
    connection: &mut AnyConnection,
    since: i64,
    limit: i64,
) -> Result<(Vec<Changed>, i64), Error> {
    let rows = sqlx::query(CHANGED).bind(since).bind(limit).fetch_all(connection).await?;
    let (mut changed, mut last) = (Vec::with_capacity(rows.len()), since);
    for row in &rows {
        last = last.max(row.try_get("changed_at")?);
        match read_changed(row) {
            Ok(one) => changed.push(one),
            // Whoever publishes to it next makes it whole.
            Err(error) => tracing::debug!(%error, "a timeline is left out"),
        }
    }
    Ok((changed, last))
}

fn read_changed(row: &AnyRow) -> Result<Changed, Error> {
    let id: String = row.try_get("id")?;
    let id = id.parse().map_err(|_| damaged("id", &id))?;
    Ok(Changed { id, timeline: timeline(row)? })
}

pub(super) async fn store(
    connection: &mut AnyConnection,
    writer: &Writer,
    process: &Process,
    timelines: &[(BroadcastId, Timeline)],
) -> Result<Vec<bool>, Error> {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let clock_ms = clock(&mut transaction, writer.is_shared()).await?;
    let mut stored = vec![false; timelines.len()];
    // Always in the same order, so that two origins do not each wait for what the other holds.
    let mut order: Vec<_> = (0..timelines.len()).collect();
    order.sort_by_key(|at| &timelines[*at].0);
    for at in order {
        let (id, timeline) = &timelines[at];
        let store = bind(sqlx::query(STORE), id, timeline, clock_ms).bind(process.as_str());
        stored[at] = store.execute(&mut *transaction).await?.rows_affected() == 1;
    }
    transaction.commit().await?;
    Ok(stored)
}

async fn clock(connection: &mut AnyConnection, shared: bool) -> Result<i64, Error> {
    let clock = if shared { CLOCK_POSTGRES } else { CLOCK_SQLITE };
    Ok(sqlx::query(clock).fetch_one(connection).await?.try_get("now_ms")?)
}

/// How long ago a row was written.
fn ago(clock_ms: i64, row: &AnyRow) -> Result<Duration, Error> {
    let changed_at: i64 = row.try_get("changed_at")?;
    let ago_ms = clock_ms.saturating_sub(changed_at);
    Ok(Duration::from_millis(u64::try_from(ago_ms).unwrap_or(0)))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn bind<'q>(query: Query<'q>, id: &BroadcastId, timeline: &Timeline, clock_ms: i64) -> Query<'q> {
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
        .bind(clock_ms)
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
