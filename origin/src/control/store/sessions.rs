//! Who is signed in where.

use std::time::Duration;

use lectern_relay_proto::UtcTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::accounts::{self, account};
use super::{Error, instant, millis};
use crate::control::records::{Account, Session};

/// A session ends when it was not used for so long: a console that is left open uses it.
const IDLE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// And in any case after so long.
pub(super) const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How exactly it is known when one was used last.
const SEEN_EACH: Duration = Duration::from_secs(300);
/// Sessions of one account; who signs in once more ends the oldest.
const PER_ACCOUNT_MAX: i64 = 20;

const ADD: &str = "INSERT INTO sessions (digest, id, account, agent, created_ms, seen_ms) \
     VALUES ($1, $2, $3, $4, $5, $5)";

const SIGNED_IN: &str = "UPDATE accounts SET signed_in_ms = $2 WHERE id = $1";

const KEEP_NEWEST: &str = "DELETE FROM sessions WHERE account = $1 AND digest NOT IN \
     (SELECT digest FROM sessions WHERE account = $1 ORDER BY created_ms DESC LIMIT $2)";

const FIND: &str = concat!(
    "SELECT ",
    accounts::columns!(),
    ", sessions.id AS id, agent, sessions.created_ms AS created_ms, seen_ms \
     FROM sessions JOIN accounts ON accounts.id = sessions.account \
     WHERE digest = $1 AND disabled = 0 AND sessions.created_ms > $2 AND seen_ms > $3"
);

const SEEN: &str = "UPDATE sessions SET seen_ms = $2 WHERE digest = $1 AND seen_ms < $3";

const LIST: &str = "SELECT id, account AS account_id, agent, created_ms, seen_ms FROM sessions \
     WHERE account = $1 AND created_ms > $2 AND seen_ms > $3 ORDER BY created_ms DESC";

const END: &str = "DELETE FROM sessions WHERE digest = $1";
const END_ALL: &str = "DELETE FROM sessions WHERE account = $1 AND digest <> $2";
const SWEEP: &str = "DELETE FROM sessions WHERE created_ms <= $1 OR seen_ms <= $2";
const SWEEP_TOKENS: &str = "DELETE FROM api_tokens WHERE expires_ms <= $1";

pub(super) async fn add(
    connection: &mut AnyConnection,
    begin: &'static str,
    digest: &str,
    session: &Session,
) -> Result<(), Error> {
    let mut transaction = connection.begin_with(begin).await?;
    let at_ms = millis(session.created_at.into());
    let add = sqlx::query(ADD).bind(digest).bind(session.id.as_str());
    let add = add.bind(session.account.as_str()).bind(session.agent.as_str()).bind(at_ms);
    add.execute(&mut *transaction).await?;
    let signed_in = sqlx::query(SIGNED_IN).bind(session.account.as_str()).bind(at_ms);
    signed_in.execute(&mut *transaction).await?;
    let keep = sqlx::query(KEEP_NEWEST).bind(session.account.as_str()).bind(PER_ACCOUNT_MAX);
    keep.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn find(
    connection: &mut AnyConnection,
    digest: &str,
    now: UtcTime,
) -> Result<Option<(Session, Account)>, Error> {
    let (made, seen) = since(now);
    let row = sqlx::query(FIND).bind(digest).bind(made).bind(seen);
    let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let found = (session(&row)?, account(&row)?);
    let before = millis(now).saturating_sub(SEEN_EACH.as_millis() as i64);
    if millis(found.0.seen_at.into()) < before {
        let seen = sqlx::query(SEEN).bind(digest).bind(millis(now)).bind(before);
        seen.execute(connection).await?;
    }
    Ok(Some(found))
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    account: &str,
    now: UtcTime,
) -> Result<Vec<Session>, Error> {
    let (made, seen) = since(now);
    let rows = sqlx::query(LIST).bind(account).bind(made).bind(seen);
    rows.fetch_all(connection).await?.iter().map(session).collect()
}

pub(super) async fn end(connection: &mut AnyConnection, digest: &str) -> Result<(), Error> {
    sqlx::query(END).bind(digest).execute(connection).await?;
    Ok(())
}

pub(super) async fn end_all(
    connection: &mut AnyConnection,
    account: &str,
    but: Option<&str>,
) -> Result<(), Error> {
    let end = sqlx::query(END_ALL).bind(account).bind(but.unwrap_or_default());
    end.execute(connection).await?;
    Ok(())
}

pub(super) async fn sweep(connection: &mut AnyConnection, now: UtcTime) -> Result<(), Error> {
    let (made, seen) = since(now);
    sqlx::query(SWEEP).bind(made).bind(seen).execute(&mut *connection).await?;
    sqlx::query(SWEEP_TOKENS).bind(millis(now)).execute(connection).await?;
    Ok(())
}

/// Since when a session must have been made, and seen.
fn since(now: UtcTime) -> (i64, i64) {
    let before = |age: Duration| millis(now).saturating_sub(age.as_millis() as i64);
    (before(AGE_MAX), before(IDLE_MAX))
}

fn session(row: &AnyRow) -> Result<Session, Error> {
    Ok(Session {
        id: row.try_get("id")?,
        account: row.try_get("account_id")?,
        agent: row.try_get("agent")?,
        created_at: instant(row, "created_ms")?.into(),
        seen_at: instant(row, "seen_ms")?.into(),
    })
}
