//! Who has a part in a broadcast.

use lectern_relay_proto::BroadcastId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{Changed, Conflict, Error, Page, one_row, parsed};
use crate::control::records::{Member, MemberRole, Person};
use crate::database::news::{News, Writer};

/// Members of a broadcast.
const PER_BROADCAST_MAX: i64 = 200;

const COUNT: &str =
    "SELECT count(*) AS members FROM members WHERE broadcast = $1 AND account <> $2";

const PUT: &str = "INSERT INTO members (broadcast, account, role) VALUES ($1, $2, $3) \
     ON CONFLICT (broadcast, account) DO UPDATE SET role = excluded.role";

const LIST: &str = "SELECT id, login, name, members.role AS role \
     FROM members JOIN accounts ON accounts.id = members.account \
     WHERE broadcast = $1 AND id > $2 ORDER BY id LIMIT $3";

const PARTS: &str = "SELECT broadcast, role FROM members WHERE account = $1";

const REMOVE: &str = "DELETE FROM members WHERE broadcast = $1 AND account = $2";

pub(super) async fn put(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    account: &str,
    role: MemberRole,
) -> Result<(), sqlx::Error> {
    let put = sqlx::query(PUT).bind(broadcast.as_str()).bind(account).bind(role.as_str());
    put.execute(connection).await.map(drop)
}

pub(super) async fn set(
    connection: &mut AnyConnection,
    writer: &Writer,
    broadcast: &BroadcastId,
    account: &str,
    role: MemberRole,
) -> Changed {
    let mut transaction = connection.begin_with(writer.begin).await?;
    let count = sqlx::query(COUNT).bind(broadcast.as_str()).bind(account);
    let count = count.fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("members")? >= PER_BROADCAST_MAX {
        return Ok(Err(Conflict::Full));
    }
    match put(&mut transaction, broadcast, account, role).await {
        Ok(()) => {}
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
            return Ok(Err(Conflict::Missing));
        }
        Err(error) => return Err(error.into()),
    }
    writer.tell(&mut transaction, &News::Rights).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    page: Page<'_>,
) -> Result<Vec<Member>, Error> {
    let rows = sqlx::query(LIST).bind(broadcast.as_str()).bind(page.after.unwrap_or_default());
    let rows = rows.bind(i64::from(page.limit)).fetch_all(connection).await?;
    let member = |row: &AnyRow| {
        let (login, name) = (row.try_get("login")?, row.try_get("name")?);
        let account = Person { id: row.try_get("id")?, login, name };
        Ok(Member { account, role: parsed(row, "role")? })
    };
    rows.iter().map(member).collect()
}

pub(super) async fn parts(
    connection: &mut AnyConnection,
    account: &str,
) -> Result<Vec<(BroadcastId, MemberRole)>, Error> {
    let rows = sqlx::query(PARTS).bind(account).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((parsed(row, "broadcast")?, parsed(row, "role")?))).collect()
}

pub(super) async fn remove(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    account: &str,
) -> Changed {
    let remove = sqlx::query(REMOVE).bind(broadcast.as_str()).bind(account);
    Ok(one_row(remove.execute(connection).await?.rows_affected()))
}
