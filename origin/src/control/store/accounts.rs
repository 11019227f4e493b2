//! Accounts.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{
    Changed, Conflict, Error, Page, instant, maybe_instant, millis, number, number_of, one_row,
    parsed, sessions, tokens, truth,
};
use crate::control::records::{Account, Role};
use crate::database::news::{News, Writer};

/// More than any institution's hosts; a flood of sign-ins at the OpenID provider ends here.
const ACCOUNTS_MAX: i64 = 10_000;

/// Of an account, all that [`account`] reads.
macro_rules! columns {
    () => {
        "accounts.id AS account_id, accounts.rev AS account_rev, login, accounts.name AS \
         account_name, role, disabled, password, oidc, accounts.created_ms AS account_created_ms, \
         signed_in_ms"
    };
}
pub(super) use columns;

const COUNT: &str = "SELECT count(*) AS accounts FROM accounts";

const ADD: &str = "INSERT INTO accounts \
     (id, rev, login, name, role, disabled, password, oidc, created_ms, signed_in_ms) \
     VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, NULL) ON CONFLICT DO NOTHING";

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE id = $1");
const BY_LOGIN: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE login = $1");
const BY_OIDC: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE oidc = $1");
const LIST: &str =
    concat!("SELECT ", columns!(), " FROM accounts WHERE login > $1 ORDER BY login LIMIT $2");

const SET: &str = "UPDATE accounts SET rev = rev + 1, name = $3, role = $4, disabled = $5, \
     oidc = $6 WHERE id = $1 AND rev = $2";

const SET_PASSWORD: &str = "UPDATE accounts SET rev = rev + 1, password = $2 WHERE id = $1";

const REMOVE: &str = "DELETE FROM accounts WHERE id = $1 AND rev = $2";

const OTHER_ADMINS: &str = "SELECT count(*) AS accounts FROM accounts \
     WHERE role = 'admin' AND disabled = 0 AND id <> $1 \
     AND (password IS NOT NULL OR oidc IS NOT NULL)";

pub(super) async fn any(connection: &mut AnyConnection) -> Result<bool, Error> {
    Ok(count(connection).await? > 0)
}

async fn count(connection: &mut AnyConnection) -> Result<i64, Error> {
    Ok(sqlx::query(COUNT).fetch_one(connection).await?.try_get("accounts")?)
}

pub(super) async fn add(
    connection: &mut AnyConnection,
    writer: &Writer,
    account: &Account,
    password: Option<&str>,
    first: bool,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let count = count(&mut transaction).await?;
    if first && count > 0 {
        return Ok(Err(Conflict::Exists));
    }
    if count >= ACCOUNTS_MAX {
        return Ok(Err(Conflict::Full));
    }
    let added = sqlx::query(ADD)
        .bind(account.id.as_str())
        .bind(account.login.as_str())
        .bind(account.name.as_str())
        .bind(account.role.as_str())
        .bind(i64::from(account.disabled))
        .bind(password)
        .bind(account.oidc.as_deref())
        .bind(millis(account.created_at.into()));
    let added = added.execute(&mut *transaction).await?.rows_affected();
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(if added == 1 { Ok(()) } else { Err(Conflict::Exists) })
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: &str,
) -> Result<Option<Account>, Error> {
    sqlx::query(BY_ID).bind(id).fetch_optional(connection).await?.as_ref().map(account).transpose()
}

pub(super) async fn by_login(
    connection: &mut AnyConnection,
    login: &str,
) -> Result<Option<(Account, Option<String>)>, Error> {
    let row = sqlx::query(BY_LOGIN).bind(login).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((account(&row)?, row.try_get("password")?)))
}

pub(super) async fn by_oidc(
    connection: &mut AnyConnection,
    oidc: &str,
) -> Result<Option<Account>, Error> {
    let row = sqlx::query(BY_OIDC).bind(oidc).fetch_optional(connection).await?;
    row.as_ref().map(account).transpose()
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    page: Page<'_>,
) -> Result<Vec<Account>, Error> {
    let rows = sqlx::query(LIST).bind(page.after.unwrap_or_default()).bind(i64::from(page.limit));
    rows.fetch_all(connection).await?.iter().map(account).collect()
}

pub(super) async fn set(
    connection: &mut AnyConnection,
    writer: &Writer,
    wanted: &Account,
) -> Changed<Account> {
    let mut transaction = connection.begin_with(writer.begin).await?;
    if (wanted.disabled || wanted.role != Role::Admin)
        && let Err(conflict) = admin_left(&mut transaction, &wanted.id).await?
    {
        return Ok(Err(conflict));
    }
    let set = sqlx::query(SET)
        .bind(wanted.id.as_str())
        .bind(number_of(wanted.rev))
        .bind(wanted.name.as_str())
        .bind(wanted.role.as_str())
        .bind(i64::from(wanted.disabled))
        .bind(wanted.oidc.as_deref());
    let set = set.execute(&mut *transaction).await?.rows_affected();
    let now = by_id(&mut transaction, &wanted.id).await?;
    let Some(now) = now else { return Ok(Err(Conflict::Missing)) };
    if set == 0 {
        return Ok(Err(Conflict::Stale));
    }
    if now.disabled {
        sessions::end_all(&mut transaction, &now.id, None).await?;
        tokens::end_all(&mut transaction, &now.id).await?;
    }
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(Ok(now))
}

/// Whether somebody may manage accounts when `id` does not any more.
async fn admin_left(connection: &mut AnyConnection, id: &str) -> Changed {
    let Some(account) = by_id(connection, id).await? else { return Ok(Err(Conflict::Missing)) };
    if account.role != Role::Admin || account.disabled {
        return Ok(Ok(()));
    }
    let others = sqlx::query(OTHER_ADMINS).bind(id).fetch_one(connection).await?;
    let others: i64 = others.try_get("accounts")?;
    Ok(if others > 0 { Ok(()) } else { Err(Conflict::LastAdmin) })
}

pub(super) async fn set_password(
    connection: &mut AnyConnection,
    writer: &Writer,
    id: &str,
    password: &str,
    but: Option<&str>,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let set = sqlx::query(SET_PASSWORD).bind(id).bind(password);
    let set = set.execute(&mut *transaction).await?.rows_affected();
    sessions::end_all(&mut transaction, id, but).await?;
    if but.is_none() {
        tokens::end_all(&mut transaction, id).await?;
    }
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(one_row(set))
}

pub(super) async fn remove(
    connection: &mut AnyConnection,
    writer: &Writer,
    id: &str,
    rev: u64,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    if let Err(conflict) = admin_left(&mut transaction, id).await? {
        return Ok(Err(conflict));
    }
    let removed = sqlx::query(REMOVE).bind(id).bind(number_of(rev));
    let removed = removed.execute(&mut *transaction).await?.rows_affected();
    if removed == 0 {
        return Ok(Err(Conflict::Stale));
    }
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) fn account(row: &AnyRow) -> Result<Account, Error> {
    let password: Option<String> = row.try_get("password")?;
    Ok(Account {
        id: row.try_get("account_id")?,
        rev: number(row, "account_rev")?,
        login: parsed(row, "login")?,
        name: parsed(row, "account_name")?,
        role: parsed(row, "role")?,
        disabled: truth(row, "disabled")?,
        has_password: password.is_some(),
        oidc: row.try_get("oidc")?,
        created_at: instant(row, "account_created_ms")?.into(),
        signed_in_at: maybe_instant(row, "signed_in_ms")?.map(Into::into),
    })
}
