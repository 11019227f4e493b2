//! Who was there, and from when to when, of those who wanted to be on the list.

use std::time::Duration;

use lectern_relay_proto::comment::Attendee;
use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::rows::{clamp, number};
use super::{Attendance, Error};

/// Who has not been seen for so long was away: several times the pause between two words of an edge, and
/// more than the restart of one.
const AWAY_AFTER: Duration = Duration::from_secs(95);
/// Rows of a broadcast: a great lecture's audience, each of whom comes and goes ten times.
const ROWS_MAX: i64 = 200_000;

const COUNT: &str = "SELECT count(*) AS rows_there FROM attendance WHERE broadcast = $1";

const SEEN: &str = "UPDATE attendance SET seen_ms = $4, user_name = $3 \
     WHERE broadcast = $1 AND author = $2 AND seen_ms >= $5";

const JOINED: &str = "INSERT INTO attendance (broadcast, author, user_name, joined_ms, seen_ms) \
     VALUES ($1, $2, $3, $4, $4) \
     ON CONFLICT (broadcast, author, joined_ms) DO UPDATE SET seen_ms = attendance.seen_ms";

const LIST: &str = "SELECT author, user_name, joined_ms, seen_ms FROM attendance \
     WHERE broadcast = $1 ORDER BY joined_ms, author LIMIT $2 OFFSET $3";

pub(super) async fn note(
    connection: &mut AnyConnection,
    begin: &'static str,
    broadcast: &BroadcastId,
    present: &[Attendee],
    at: UtcTime,
) -> Result<bool, Error> {
    let mut transaction = connection.begin_with(begin).await?;
    // One at a time for each broadcast: two that do not see each other would each note the same arrival.
    let hold = sqlx::query(super::room::HOLD).bind(broadcast.as_str());
    hold.fetch_one(&mut *transaction).await?;
    let count = sqlx::query(COUNT).bind(broadcast.as_str()).fetch_one(&mut *transaction).await?;
    let mut room = ROWS_MAX - count.try_get::<i64, _>("rows_there")?;
    let at_ms = clamp(at.as_millis());
    let since_ms = at_ms - AWAY_AFTER.as_millis() as i64;
    let mut all = true;
    // In one order, so that two origins do not each wait for what the other holds.
    let mut present: Vec<_> = present.iter().collect();
    present.sort_by_key(|attendee| &attendee.author);
    for Attendee { author, user } in present {
        let bind = |sql| {
            let query = sqlx::query(sql).bind(broadcast.as_str()).bind(author.as_str());
            query.bind(user.as_str()).bind(at_ms)
        };
        let seen = bind(SEEN).bind(since_ms).execute(&mut *transaction).await?;
        if seen.rows_affected() > 0 {
            continue;
        }
        if room <= 0 {
            all = false;
            continue;
        }
        room -= 1;
        bind(JOINED).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(all)
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    broadcast: &BroadcastId,
    skip: u32,
    limit: u32,
) -> Result<Vec<Attendance>, Error> {
    let rows = sqlx::query(LIST).bind(broadcast.as_str()).bind(i64::from(limit));
    let rows = rows.bind(i64::from(skip)).fetch_all(connection).await?;
    let attendance = |row: &AnyRow| {
        Ok(Attendance {
            author: row.try_get("author")?,
            user: row.try_get("user_name")?,
            joined: UtcTime::from_millis(number(broadcast, row, "joined_ms")?),
            seen: UtcTime::from_millis(number(broadcast, row, "seen_ms")?),
        })
    };
    rows.iter().map(attendance).collect()
}
