//! What viewers answered who had to before they watched.

use std::collections::{BTreeMap, BTreeSet};

use lectern_relay_proto::BroadcastId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{Conflict, Error, damaged, instant, millis, number, number_of};
use crate::control::records::{NewRegistration, Registered, Registration};

/// Registrations of a broadcast: more than watch any one lecture.
pub(super) const ROWS_MAX: u64 = 100_000;
/// Forms that a broadcast has had, as far as their questions are known afterwards.
const FORMS_MAX: i64 = 1_000;

/// Nobody else registers for this broadcast until the transaction ends. Finds whether there is one.
const HOLD: &str = "UPDATE broadcasts SET rev = rev WHERE id = $1";

const LAST: &str =
    "SELECT COALESCE(MAX(number), 0) AS last FROM registrations WHERE broadcast = $1";

const FIND: &str =
    "SELECT number, registered_ms FROM registrations WHERE broadcast = $1 AND attempt = $2";

const ADD: &str = "INSERT INTO registrations \
     (broadcast, number, attempt, fields, answers, registered_ms) VALUES ($1, $2, $3, $4, $5, $6)";

const LIST: &str = "SELECT number, answers, registered_ms FROM registrations \
     WHERE broadcast = $1 AND number > $2 ORDER BY number LIMIT $3";

const FORMS: &str = "SELECT DISTINCT fields FROM registrations WHERE broadcast = $1 LIMIT $2";

pub(super) async fn add(
    connection: &mut AnyConnection,
    begin: &'static str,
    all: &[NewRegistration],
) -> Result<Vec<Result<Registered, Conflict>>, Error> {
    let mut transaction = connection.begin_with(begin).await?;
    // In one order, so that two origins do not each wait for what the other holds.
    let ids: BTreeSet<_> = all.iter().map(|each| each.broadcast.as_str()).collect();
    let mut last = BTreeMap::new();
    for id in ids {
        let held = sqlx::query(HOLD).bind(id).execute(&mut *transaction).await?;
        if held.rows_affected() == 1 {
            let row = sqlx::query(LAST).bind(id).fetch_one(&mut *transaction).await?;
            last.insert(id, number(&row, "last")?);
        }
    }
    let mut added = Vec::with_capacity(all.len());
    for each in all {
        let id = each.broadcast.as_str();
        added.push(match last.get_mut(id) {
            Some(last) => add_one(&mut transaction, each, last).await?,
            None => Err(Conflict::Missing),
        });
    }
    transaction.commit().await?;
    Ok(added)
}

async fn add_one(
    connection: &mut AnyConnection,
    new: &NewRegistration,
    last: &mut u64,
) -> Result<Result<Registered, Conflict>, Error> {
    let (id, attempt) = (new.broadcast.as_str(), new.attempt.as_str());
    let find = sqlx::query(FIND).bind(id).bind(attempt);
    if let Some(row) = find.fetch_optional(&mut *connection).await? {
        let registered_at = instant(&row, "registered_ms")?;
        return Ok(Ok(Registered { number: number(&row, "number")?, registered_at }));
    }
    if *last >= ROWS_MAX {
        return Ok(Err(Conflict::Full));
    }
    let answers = serde_json::to_string(&new.answers).map_err(|error| damaged("answers", error))?;
    let add = sqlx::query(ADD)
        .bind(id)
        .bind(number_of(*last + 1))
        .bind(attempt)
        .bind(new.fields.as_str())
        .bind(answers)
        .bind(millis(new.registered_at));
    add.execute(connection).await?;
    *last += 1;
    Ok(Ok(Registered { number: *last, registered_at: new.registered_at }))
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    after: u64,
    limit: u32,
) -> Result<Vec<Registration>, Error> {
    let rows = sqlx::query(LIST).bind(broadcast.as_str()).bind(number_of(after));
    let rows = rows.bind(i64::from(limit)).fetch_all(connection).await?;
    let registration = |row: &AnyRow| {
        let answers: String = row.try_get("answers")?;
        Ok(Registration {
            number: number(row, "number")?,
            answers: serde_json::from_str(&answers).map_err(|_| damaged("answers", &answers))?,
            registered_at: instant(row, "registered_ms")?,
        })
    };
    rows.iter().map(registration).collect()
}

/// Each question that was ever asked, by name.
pub(super) async fn fields(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
) -> Result<BTreeSet<String>, Error> {
    let rows = sqlx::query(FORMS).bind(broadcast.as_str()).bind(FORMS_MAX);
    let mut all = BTreeSet::new();
    for row in rows.fetch_all(connection).await? {
        let fields: String = row.try_get("fields")?;
        all.extend(fields.split_whitespace().map(str::to_owned));
    }
    Ok(all)
}
