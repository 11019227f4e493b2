//! Broadcasts.

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{
    Changed, Conflict, Error, Stored, damaged, instant, keys, live, members, millis, number,
    number_of, parsed, truth,
};
use crate::broadcasts::BROADCASTS_MAX;
use crate::control::records::{Broadcast, MemberRole};
use crate::database::news::{News, Writer};

const COUNT: &str = "SELECT count(*) AS broadcasts FROM broadcasts";

macro_rules! columns {
    () => {
        "id, rev, about, moderator_key, attendance, blocked, created_ms, updated_ms"
    };
}

const ALL: &str = concat!("SELECT ", columns!(), " FROM broadcasts ORDER BY id");
const BY_ID: &str = concat!("SELECT ", columns!(), " FROM broadcasts WHERE id = $1");

const ADD: &str = "INSERT INTO broadcasts \
     (id, rev, about, moderator_key, attendance, blocked, created_ms, updated_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";

const SET: &str = "UPDATE broadcasts SET rev = rev + 1, about = $3, moderator_key = $4, \
     attendance = $5, blocked = $6, updated_ms = $7 WHERE id = $1 AND rev = $2";

const THERE: &str = "SELECT rev FROM broadcasts WHERE id = $1";

const REMOVE: &str = "DELETE FROM broadcasts WHERE id = $1 AND rev = $2";

/// What people said and who was there goes with the broadcast; in the order of what refers to what.
const REMOVE_WITH_IT: [&str; 9] = [
    "DELETE FROM members WHERE broadcast = $1",
    "DELETE FROM comment_votes WHERE broadcast = $1",
    "DELETE FROM comment_blocks WHERE broadcast = $1",
    "DELETE FROM comments WHERE broadcast = $1",
    "DELETE FROM comment_rooms WHERE broadcast = $1",
    "DELETE FROM attendance WHERE broadcast = $1",
    "DELETE FROM broadcast_stops WHERE broadcast = $1",
    "DELETE FROM live WHERE broadcast = $1",
    "DELETE FROM timelines WHERE id = $1",
];

const STOPPED: &str = "INSERT INTO broadcast_stops (broadcast, stopped_ms) VALUES ($1, $2) \
     ON CONFLICT (broadcast) DO UPDATE SET stopped_ms = excluded.stopped_ms";

const STOPS: &str = "SELECT broadcast, stopped_ms FROM broadcast_stops";

/// What people have left in a broadcast of this name that the configuration file once had: whoever makes
/// one of the same name now has no right to it.
const LEFT_OF_ANOTHER: [&str; 3] = [
    "SELECT 1 AS one FROM members WHERE broadcast = $1 LIMIT 1",
    "SELECT 1 AS one FROM comments WHERE broadcast = $1 LIMIT 1",
    "SELECT 1 AS one FROM attendance WHERE broadcast = $1 LIMIT 1",
];

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Stored>, Error> {
    let rows = sqlx::query(ALL).fetch_all(&mut *connection).await?;
    let mut keys = keys::all(connection).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        match broadcast(row) {
            Ok(broadcast) => {
                let its = keys.remove(broadcast.id.as_str()).unwrap_or_default();
                all.push((broadcast, its));
            }
            // Another version of this program may have written it. The others go on air without it.
            Err(error) => tracing::error!(%error, "a broadcast in the database is left out"),
        }
    }
    Ok(all)
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: &BroadcastId,
) -> Result<Option<Stored>, Error> {
    let row = sqlx::query(BY_ID).bind(id.as_str()).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((broadcast(&row)?, keys::opening(connection, id).await?)))
}

pub(super) async fn add(
    connection: &mut AnyConnection,
    writer: &Writer,
    broadcast: &Broadcast,
    host: &str,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let count = sqlx::query(COUNT).fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("broadcasts")? >= BROADCASTS_MAX as i64 {
        return Ok(Err(Conflict::Full));
    }
    let added = bind(sqlx::query(ADD), broadcast)?.bind(millis(broadcast.created_at.into()));
    let added = added.bind(millis(broadcast.updated_at.into()));
    if added.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Ok(Err(Conflict::Exists));
    }
    for statement in LEFT_OF_ANOTHER {
        let left = sqlx::query(statement).bind(broadcast.id.as_str());
        if left.fetch_optional(&mut *transaction).await?.is_some() {
            return Ok(Err(Conflict::Taken));
        }
    }
    members::put(&mut transaction, &broadcast.id, host, MemberRole::Host).await?;
    writer.tell(&mut transaction, &News::Broadcast(broadcast.id.clone())).await?;
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn set(connection: &mut AnyConnection, broadcast: &Broadcast) -> Changed<u64> {
    let set = bind(sqlx::query(SET), broadcast)?.bind(millis(broadcast.updated_at.into()));
    if set.execute(&mut *connection).await?.rows_affected() == 1 {
        return Ok(Ok(broadcast.rev + 1));
    }
    stale_or_missing(connection, &broadcast.id).await.map(Err)
}

pub(super) async fn remove(
    connection: &mut AnyConnection,
    writer: &Writer,
    id: &BroadcastId,
    rev: u64,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let removed = sqlx::query(REMOVE).bind(id.as_str()).bind(number_of(rev));
    if removed.execute(&mut *transaction).await?.rows_affected() == 0 {
        return stale_or_missing(&mut transaction, id).await.map(Err);
    }
    remove_with_it(&mut transaction, id).await?;
    writer.tell(&mut transaction, &News::Broadcast(id.clone())).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn stopped(
    connection: &mut AnyConnection,
    id: &BroadcastId,
    now: UtcTime,
) -> Result<(), Error> {
    let stopped = sqlx::query(STOPPED).bind(id.as_str()).bind(millis(now));
    stopped.execute(&mut *connection).await?;
    // An origin that has died with it says nothing more.
    live::forget(connection, id).await
}

pub(super) async fn stops(
    connection: &mut AnyConnection,
) -> Result<Vec<(BroadcastId, UtcTime)>, Error> {
    let rows = sqlx::query(STOPS).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((parsed(row, "broadcast")?, instant(row, "stopped_ms")?))).collect()
}

pub(super) async fn remove_what_is_left(
    connection: &mut AnyConnection,
    begin: &'static str,
    id: &BroadcastId,
) -> Result<(), Error> {
    let mut transaction = connection.begin_with(begin).await?;
    if sqlx::query(THERE).bind(id.as_str()).fetch_optional(&mut *transaction).await?.is_none() {
        remove_with_it(&mut transaction, id).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn remove_with_it(connection: &mut AnyConnection, id: &BroadcastId) -> Result<(), Error> {
    for statement in REMOVE_WITH_IT {
        sqlx::query(statement).bind(id.as_str()).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn stale_or_missing(
    connection: &mut AnyConnection,
    id: &BroadcastId,
) -> Result<Conflict, Error> {
    let there = sqlx::query(THERE).bind(id.as_str()).fetch_optional(connection).await?;
    Ok(if there.is_some() { Conflict::Stale } else { Conflict::Missing })
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

fn bind<'q>(query: Query<'q>, broadcast: &Broadcast) -> Result<Query<'q>, Error> {
    let about = serde_json::to_string(&broadcast.about).map_err(|error| damaged("about", error))?;
    let key = broadcast.moderator_key.clone().map(String::from);
    Ok(query
        .bind(broadcast.id.as_str().to_owned())
        .bind(number_of(broadcast.rev))
        .bind(about)
        .bind(key)
        .bind(i64::from(broadcast.attendance))
        .bind(i64::from(broadcast.blocked)))
}

fn broadcast(row: &AnyRow) -> Result<Broadcast, Error> {
    let about: String = row.try_get("about")?;
    Ok(Broadcast {
        id: parsed(row, "id")?,
        rev: number(row, "rev")?,
        about: serde_json::from_str(&about).map_err(|error| damaged("about", error))?,
        moderator_key: match row.try_get::<Option<String>, _>("moderator_key")? {
            // What stands there is a secret all the same.
            Some(key) => Some(key.try_into().map_err(|_| damaged("moderator_key", "…"))?),
            None => None,
        },
        attendance: truth(row, "attendance")?,
        blocked: truth(row, "blocked")?,
        created_at: instant(row, "created_ms")?.into(),
        updated_at: instant(row, "updated_ms")?.into(),
    })
}
