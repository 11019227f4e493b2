//! Stream keys.

use std::collections::HashMap;

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{Changed, Conflict, Error, Page, instant, maybe_instant, millis, one_row, truth};
use crate::control::records::{KeyUse, StreamKey};
use crate::database::news::{News, Writer};

/// Keys of a broadcast that open it; a revoked one makes room.
const PER_BROADCAST_MAX: i64 = 50;
/// Revoked keys of a broadcast that are remembered, the newest.
const REVOKED_MAX: i64 = 50;

macro_rules! columns {
    () => {
        "id, digest, broadcast, label, backup, hint, created_ms, used_ms, revoked_ms"
    };
}

const COUNT: &str =
    "SELECT count(*) AS keys FROM stream_keys WHERE broadcast = $1 AND revoked_ms IS NULL";

const ADD: &str = "INSERT INTO stream_keys \
     (id, digest, broadcast, label, backup, hint, created_ms, used_ms, revoked_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL)";

const FORGET: &str = "DELETE FROM stream_keys WHERE broadcast = $1 AND revoked_ms IS NOT NULL AND \
     id NOT IN (SELECT id FROM stream_keys WHERE broadcast = $1 AND revoked_ms IS NOT NULL \
     ORDER BY revoked_ms DESC LIMIT $2)";

const ALL: &str = concat!("SELECT ", columns!(), " FROM stream_keys WHERE revoked_ms IS NULL");

const OPENING: &str =
    concat!("SELECT ", columns!(), " FROM stream_keys WHERE broadcast = $1 AND revoked_ms IS NULL");

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM stream_keys WHERE broadcast = $1 AND id > $2 ORDER BY id LIMIT $3"
);

const REVOKE: &str = "UPDATE stream_keys SET revoked_ms = $3 \
     WHERE broadcast = $1 AND id = $2 AND revoked_ms IS NULL";

const USED: &str = "UPDATE stream_keys SET used_ms = $2 WHERE id = $1";

pub(super) async fn all(
    connection: &mut AnyConnection,
) -> Result<HashMap<String, Vec<(String, StreamKey)>>, Error> {
    let mut all: HashMap<String, Vec<_>> = HashMap::new();
    for row in sqlx::query(ALL).fetch_all(connection).await? {
        let entry = (row.try_get("digest")?, key(&row)?);
        all.entry(row.try_get("broadcast")?).or_default().push(entry);
    }
    Ok(all)
}

/// Those of a broadcast that open it.
pub(super) async fn opening(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
) -> Result<Vec<(String, StreamKey)>, Error> {
    let rows = sqlx::query(OPENING).bind(broadcast.as_str()).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("digest")?, key(row)?))).collect()
}

pub(super) async fn add(
    connection: &mut AnyConnection,
    writer: &Writer,
    digest: &str,
    broadcast: &BroadcastId,
    key: &StreamKey,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let count = sqlx::query(COUNT).bind(broadcast.as_str()).fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("keys")? >= PER_BROADCAST_MAX {
        return Ok(Err(Conflict::Full));
    }
    let add = sqlx::query(ADD)
        .bind(key.id.as_str())
        .bind(digest)
        .bind(broadcast.as_str())
        .bind(key.label.as_str())
        .bind(i64::from(key.usage == KeyUse::Backup))
        .bind(key.hint.as_str())
        .bind(millis(key.created_at.into()));
    match add.execute(&mut *transaction).await {
        Ok(_) => {}
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            return Ok(Err(Conflict::Missing));
        }
        Err(error) => return Err(error.into()),
    }
    let forget = sqlx::query(FORGET).bind(broadcast.as_str()).bind(REVOKED_MAX);
    forget.execute(&mut *transaction).await?;
    writer.tell(&mut transaction, &News::Broadcast(broadcast.clone())).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    page: Page<'_>,
) -> Result<Vec<StreamKey>, Error> {
    let rows = sqlx::query(LIST).bind(broadcast.as_str()).bind(page.after.unwrap_or_default());
    let rows = rows.bind(i64::from(page.limit)).fetch_all(connection).await?;
    rows.iter().map(key).collect()
}

pub(super) async fn revoke(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    id: &str,
    now: UtcTime,
) -> Changed {
    let revoke = sqlx::query(REVOKE).bind(broadcast.as_str()).bind(id).bind(millis(now));
    Ok(one_row(revoke.execute(connection).await?.rows_affected()))
}

pub(super) async fn used(
    connection: &mut AnyConnection,
    id: &str,
    now: UtcTime,
) -> Result<(), Error> {
    sqlx::query(USED).bind(id).bind(millis(now)).execute(connection).await?;
    Ok(())
}

fn key(row: &AnyRow) -> Result<StreamKey, Error> {
    Ok(StreamKey {
        id: row.try_get("id")?,
        label: row.try_get("label")?,
        usage: if truth(row, "backup")? { KeyUse::Backup } else { KeyUse::Primary },
        hint: row.try_get("hint")?,
        created_at: instant(row, "created_ms")?.into(),
        used_at: maybe_instant(row, "used_ms")?.map(Into::into),
        revoked_at: maybe_instant(row, "revoked_ms")?.map(Into::into),
    })
}
