//! What programs present.

use std::time::Duration;

use lectern_relay_proto::UtcTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::accounts::{self, account};
use super::{Changed, Conflict, Error, Page, damaged, instant, maybe_instant, millis, one_row};
use crate::control::records::{Account, ApiToken, Scope};

/// Tokens of one account; a program needs one.
const PER_ACCOUNT_MAX: i64 = 100;
/// How exactly it is known when one was used last.
const USED_EACH: Duration = Duration::from_secs(300);

const COUNT: &str = "SELECT count(*) AS tokens FROM api_tokens WHERE account = $1";

const ADD: &str = "INSERT INTO api_tokens \
     (digest, id, account, name, scopes, hint, created_ms, expires_ms, used_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)";

const FIND: &str = concat!(
    "SELECT ",
    accounts::columns!(),
    ", api_tokens.id AS id, api_tokens.name AS name, scopes, hint, \
     api_tokens.created_ms AS created_ms, expires_ms, used_ms \
     FROM api_tokens JOIN accounts ON accounts.id = api_tokens.account \
     WHERE digest = $1 AND disabled = 0 AND (expires_ms IS NULL OR expires_ms > $2)"
);

const USED: &str = "UPDATE api_tokens SET used_ms = $2 \
     WHERE digest = $1 AND (used_ms IS NULL OR used_ms < $3)";

const LIST: &str = "SELECT id, account AS account_id, name, scopes, hint, created_ms, \
     expires_ms, used_ms FROM api_tokens WHERE account = $1 AND id > $2 ORDER BY id LIMIT $3";

const END_ALL: &str = "DELETE FROM api_tokens WHERE account = $1";

const REMOVE: &str = "DELETE FROM api_tokens WHERE account = $1 AND id = $2";

pub(super) async fn add(
    connection: &mut AnyConnection,
    begin: &'static str,
    digest: &str,
    token: &ApiToken,
) -> Changed {
    let mut transaction = connection.begin_with(begin).await?;
    let count =
        sqlx::query(COUNT).bind(token.account.as_str()).fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("tokens")? >= PER_ACCOUNT_MAX {
        return Ok(Err(Conflict::Full));
    }
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let add = sqlx::query(ADD)
        .bind(digest)
        .bind(token.id.as_str())
        .bind(token.account.as_str())
        .bind(token.name.as_str())
        .bind(scopes.join(" "))
        .bind(token.hint.as_str())
        .bind(millis(token.created_at.into()))
        .bind(token.expires_at.map(|at| millis(at.into())));
    add.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn find(
    connection: &mut AnyConnection,
    digest: &str,
    now: UtcTime,
) -> Result<Option<(ApiToken, Account)>, Error> {
    let row = sqlx::query(FIND).bind(digest).bind(millis(now));
    let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let found = (token(&row)?, account(&row)?);
    let before = millis(now).saturating_sub(USED_EACH.as_millis() as i64);
    if found.0.used_at.is_none_or(|at| millis(at.into()) < before) {
        let used = sqlx::query(USED).bind(digest).bind(millis(now)).bind(before);
        used.execute(connection).await?;
    }
    Ok(Some(found))
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    account: &str,
    page: Page<'_>,
) -> Result<Vec<ApiToken>, Error> {
    let rows = sqlx::query(LIST).bind(account).bind(page.after.unwrap_or_default());
    let rows = rows.bind(i64::from(page.limit)).fetch_all(connection).await?;
    rows.iter().map(token).collect()
}

pub(super) async fn end_all(connection: &mut AnyConnection, account: &str) -> Result<(), Error> {
    sqlx::query(END_ALL).bind(account).execute(connection).await?;
    Ok(())
}

pub(super) async fn remove(connection: &mut AnyConnection, account: &str, id: &str) -> Changed {
    let remove = sqlx::query(REMOVE).bind(account).bind(id);
    Ok(one_row(remove.execute(connection).await?.rows_affected()))
}

fn token(row: &AnyRow) -> Result<ApiToken, Error> {
    let scopes: String = row.try_get("scopes")?;
    let scope = |name: &str| {
        Scope::try_from(name.to_owned()).map_err(|_| damaged("scopes", scopes.as_str()))
    };
    Ok(ApiToken {
        id: row.try_get("id")?,
        account: row.try_get("account_id")?,
        name: super::parsed(row, "name")?,
        scopes: scopes.split_whitespace().map(scope).collect::<Result<_, _>>()?,
        hint: row.try_get("hint")?,
        created_at: instant(row, "created_ms")?.into(),
        expires_at: maybe_instant(row, "expires_ms")?.map(Into::into),
        used_at: maybe_instant(row, "used_ms")?.map(Into::into),
    })
}
