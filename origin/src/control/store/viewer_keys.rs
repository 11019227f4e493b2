//! By which viewer tokens are signed.

use lectern_relay_proto::UtcTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{Changed, Conflict, Error, instant, maybe_instant, millis, one_row, parsed};
use crate::control::records::{KeySource, ViewerKey};
use crate::database::news::{News, Writer};

/// Keys in force: as many as an edge takes for one broadcast.
const IN_FORCE_MAX: i64 = 16;
/// Retired ones that are remembered, so that no name stands for two keys soon.
const RETIRED_MAX: i64 = 64;

const COUNT: &str = "SELECT count(*) AS keys FROM viewer_keys WHERE retired_ms IS NULL";

const FORGET: &str = "DELETE FROM viewer_keys WHERE retired_ms IS NOT NULL AND kid NOT IN \
     (SELECT kid FROM viewer_keys WHERE retired_ms IS NOT NULL ORDER BY retired_ms DESC LIMIT $1)";

const ADD: &str = "INSERT INTO viewer_keys (kid, public_key, secret_key, created_ms, retired_ms) \
     VALUES ($1, $2, $3, $4, NULL) ON CONFLICT DO NOTHING";

const ALL: &str =
    "SELECT kid, public_key, secret_key, created_ms, retired_ms FROM viewer_keys ORDER BY kid";

const RETIRE: &str = "UPDATE viewer_keys SET retired_ms = $2 \
     WHERE kid = $1 AND retired_ms IS NULL";

pub(super) async fn add(
    connection: &mut AnyConnection,
    writer: &Writer,
    key: &ViewerKey,
    secret: Option<&str>,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let count = sqlx::query(COUNT).fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("keys")? >= IN_FORCE_MAX {
        return Ok(Err(Conflict::Full));
    }
    sqlx::query(FORGET).bind(RETIRED_MAX).execute(&mut *transaction).await?;
    let add = sqlx::query(ADD)
        .bind(key.kid.as_str())
        .bind(String::from(key.public_key))
        .bind(secret)
        .bind(millis(key.created_at.into()));
    let added = add.execute(&mut *transaction).await?.rows_affected();
    writer.tell(&mut transaction, &News::ViewerKeys).await?;
    transaction.commit().await?;
    Ok(if added == 1 { Ok(()) } else { Err(Conflict::Exists) })
}

pub(super) async fn all(
    connection: &mut AnyConnection,
) -> Result<Vec<(ViewerKey, Option<String>)>, Error> {
    let rows = sqlx::query(ALL).fetch_all(connection).await?;
    let key = |row: &AnyRow| {
        let secret: Option<String> = row.try_get("secret_key")?;
        let retired_at = maybe_instant(row, "retired_ms")?;
        let source = if secret.is_some() { KeySource::Own } else { KeySource::Imported };
        let key = ViewerKey {
            kid: parsed(row, "kid")?,
            public_key: parsed(row, "public_key")?,
            created_at: instant(row, "created_ms")?.into(),
            retired_at: retired_at.map(Into::into),
            source,
        };
        Ok((key, secret))
    };
    rows.iter().map(key).collect()
}

pub(super) async fn retire(connection: &mut AnyConnection, kid: &str, now: UtcTime) -> Changed {
    let retire = sqlx::query(RETIRE).bind(kid).bind(millis(now));
    Ok(one_row(retire.execute(connection).await?.rows_affected()))
}
