//! How broadcasts are that an origin has on air, for the other origins on the same PostgreSQL: a row each, of its
//! owner of the highest epoch. What it says is JSON, which is the API's.

use std::time::Duration;

use lectern_relay_proto::net::Epoch;
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{Error, millis, number_of, parsed};
use crate::database::CLOCK_MS_POSTGRES;

/// Rows of one statement, of three values each and one for all.
pub(super) const ROWS_MAX: usize = 1_000;
/// A row that has stood for so long is nobody's any more.
const SWEPT_AFTER: Duration = Duration::from_secs(3_600);

const SWEEP: &str = "DELETE FROM live WHERE told_ms <= $1";
const FORGET: &str = "DELETE FROM live WHERE broadcast = $1";

/// What this origin says of a broadcast that it owns.
pub struct Saying {
    /// Which.
    pub broadcast: BroadcastId,
    /// By which it owns it.
    pub epoch: Epoch,
    /// JSON.
    pub said: String,
}

/// What an origin has said.
pub struct Said {
    /// Of which broadcast.
    pub broadcast: BroadcastId,
    /// Who: a name for each process.
    pub origin: String,
    /// When, by the database's clock: another each time.
    pub told_ms: i64,
    /// How long ago, by the same clock.
    pub age: Duration,
    /// JSON.
    pub said: String,
}

pub(super) async fn tell(
    connection: &mut AnyConnection,
    origin: &str,
    rows: &[Saying],
) -> Result<(), Error> {
    let values: Vec<_> = (0..rows.len())
        .map(|row| {
            format!(
                "(${}, ${}, $1, {CLOCK_MS_POSTGRES}, ${})",
                3 * row + 2,
                3 * row + 3,
                3 * row + 4
            )
        })
        .collect();
    let sql = format!(
        "INSERT INTO live (broadcast, epoch, origin, told_ms, said) VALUES {} \
         ON CONFLICT (broadcast) DO UPDATE SET epoch = EXCLUDED.epoch, origin = EXCLUDED.origin, \
         told_ms = EXCLUDED.told_ms, said = EXCLUDED.said WHERE live.epoch <= EXCLUDED.epoch",
        values.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(origin);
    for Saying { broadcast, epoch, said } in rows {
        query = query.bind(broadcast.as_str()).bind(number_of(epoch.0)).bind(said);
    }
    query.execute(connection).await?;
    Ok(())
}

/// Takes back what this origin has said of these.
pub(super) async fn take_back(
    connection: &mut AnyConnection,
    origin: &str,
    these: &[BroadcastId],
) -> Result<(), Error> {
    let these_sql: Vec<_> = (0..these.len()).map(|at| format!("${}", at + 2)).collect();
    let these_sql = these_sql.join(", ");
    let sql = format!("DELETE FROM live WHERE origin = $1 AND broadcast IN ({these_sql})");
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(origin);
    for broadcast in these {
        query = query.bind(broadcast.as_str());
    }
    query.execute(connection).await?;
    Ok(())
}

/// What all have said.
pub(super) async fn read(connection: &mut AnyConnection) -> Result<Vec<Said>, Error> {
    let sql = format!(
        "SELECT broadcast, origin, told_ms, {CLOCK_MS_POSTGRES} - told_ms AS age_ms, said FROM live"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await?;
    let said = rows.iter().map(|row| {
        let age_ms: i64 = row.try_get("age_ms")?;
        Ok(Said {
            broadcast: parsed(row, "broadcast")?,
            origin: row.try_get("origin")?,
            told_ms: row.try_get("told_ms")?,
            age: Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)),
            said: row.try_get("said")?,
        })
    });
    said.collect()
}

/// Lets go of what was said of a broadcast, by whomever: an origin that lives says it again if it is so.
pub(super) async fn forget(connection: &mut AnyConnection, id: &BroadcastId) -> Result<(), Error> {
    sqlx::query(FORGET).bind(id.as_str()).execute(connection).await?;
    Ok(())
}

/// Lets go of what nobody says any more.
pub(super) async fn sweep(connection: &mut AnyConnection, now: UtcTime) -> Result<(), Error> {
    let before = millis(now).saturating_sub(SWEPT_AFTER.as_millis() as i64);
    sqlx::query(SWEEP).bind(before).execute(connection).await?;
    Ok(())
}
