//! How broadcasts are that other origins on the same database have on air. Only the origin that takes a publisher
//! in knows how it does and, from edges, who watches; a host's console is wherever a load balancer has sent it. So
//! each origin tells every two seconds how those are that are its own ([decision 28]), and shows what others told.
//!
//! [decision 28]: ../../../docs/decisions/0028-how-origins-hear-of-each-other.md

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lectern_relay_proto::{BroadcastId, UtcTime};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::broadcasts::Summary;
use super::live::LiveBody;
use super::report::ReportBody;
use crate::broadcasts::Status;
use crate::control::Control;
use crate::database::{self, Database};
use crate::wall;

/// How often each origin tells, and looks.
const TELL_EACH: Duration = Duration::from_secs(2);
/// An origin that has said nothing for so long is believed gone: its encoders have to come back somewhere.
const SILENT_AFTER: Duration = Duration::from_secs(6);
/// For so long it is shown that it had them.
const KEPT: Duration = Duration::from_secs(600);
/// What was read is good for so long where the database is away.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// Seconds of its history that an origin tells each time: more than lie between two, for one that is late.
const POINTS_TOLD: usize = 10;
/// Rows of one statement, of two values and one for all.
const ROWS_MAX: usize = 1_000;
/// Between two times of letting go of what nobody tells any more.
const SWEEP_EACH: u32 = 30;

/// What other origins say of broadcasts that they have on air. On SQLite there are none.
pub struct Elsewhere {
    control: Arc<Control>,
    database: Database,
    /// By which others know this process.
    name: String,
    told: RwLock<Told>,
}

#[derive(Default)]
struct Told {
    /// When it was read.
    at: Option<Instant>,
    by_broadcast: HashMap<BroadcastId, LiveBody>,
}

/// What another has told of a broadcast.
struct Row {
    broadcast: BroadcastId,
    age: Duration,
    live: LiveBody,
}

impl Elsewhere {
    /// What is to be told and shown of the broadcasts of `control`, by way of `database`.
    pub fn new(control: Arc<Control>, database: Database) -> Self {
        let name = format!("{:016x}", rand::random::<u64>());
        Self { control, database, name, told: RwLock::default() }
    }

    /// Tells and reads until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        if !self.database.is_remote() {
            return;
        }
        // What it has told stays, and is that their encoders are away before long, unless another has them.
        cancel.run_until_cancelled(self.keep_up()).await;
    }

    /// How a broadcast is, in short; `None` if there is no such broadcast.
    pub(super) fn summary(&self, id: &BroadcastId) -> Option<Summary> {
        let own = self.control.status(id)?;
        Some(self.told(id, |live| live.summary()).unwrap_or_else(|| Summary::from(&own)))
    }

    /// How a broadcast is, with so many of the newest points of its history; `None` if there is no such
    /// broadcast.
    pub(super) fn live(&self, id: &BroadcastId, points: usize) -> Option<LiveBody> {
        let own = self.control.status(id)?;
        let Some(mut live) = self.told(id, |live| live.clone().newest(points)) else {
            return own_live(&self.control, id, &own, points);
        };
        // Who stands by does so at the origin that they have reached.
        live.standby |= own.standby;
        Some(live)
    }

    /// What is made of what another tells of a broadcast that is not this origin's.
    fn told<T>(&self, id: &BroadcastId, make: impl FnOnce(&LiveBody) -> T) -> Option<T> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.at.filter(|at| at.elapsed() < GOOD_FOR)?;
        let live = told.by_broadcast.get(id)?;
        (!self.control.broadcasts().owns(id)).then(|| make(live))
    }

    async fn keep_up(&self) {
        let mut tick = interval(TELL_EACH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut rounds, mut before) = (0_u32, BTreeSet::new());
        loop {
            tick.tick().await;
            // That the database is away is said by whoever it matters more to.
            if let Err(error) = self.tell(&mut before).await {
                tracing::debug!(%error, "other origins are not told what is on air here");
            }
            match self.read().await {
                Ok(rows) => self.take(rows, wall::now()),
                Err(error) => {
                    tracing::debug!(%error, "what other origins have on air cannot be read");
                }
            }
            rounds = rounds.wrapping_add(1);
            if rounds % SWEEP_EACH == 0
                && let Err(error) = self.sweep().await
            {
                tracing::debug!(%error, "what nobody has on air any more is not let go of");
            }
        }
    }

    /// Tells how those are that are this origin's now, and takes back what was told `before` of others.
    async fn tell(&self, before: &mut BTreeSet<BroadcastId>) -> Result<(), database::Error> {
        let mut rows = Vec::new();
        for (id, status) in self.control.broadcasts().own_now() {
            if let Some(live) = own_live(&self.control, &id, &status, POINTS_TOLD) {
                rows.push((id, serde_json::to_string(&live).expect("plain")));
            }
        }
        let now: BTreeSet<_> = rows.iter().map(|(id, _)| id.clone()).collect();
        for rows in rows.chunks(ROWS_MAX) {
            database::call!(self.database, |connection| tell(connection, &self.name, rows))?;
        }
        if before.iter().any(|id| !now.contains(id)) {
            self.tell_no_more(&now).await?;
        }
        *before = now;
        Ok(())
    }

    /// Takes back what was told of all but these.
    async fn tell_no_more(&self, but: &BTreeSet<BroadcastId>) -> Result<(), database::Error> {
        database::call!(self.database, |connection| take_back(connection, &self.name, but))
    }

    async fn read(&self) -> Result<Vec<Row>, database::Error> {
        database::call!(self.database, |connection| read(connection, &self.name))
    }

    async fn sweep(&self) -> Result<(), database::Error> {
        database::call!(self.database, |connection| sweep(connection))
    }

    /// This is what all others tell.
    fn take(&self, rows: Vec<Row>, now: UtcTime) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut told.by_broadcast);
        for Row { broadcast, age, mut live } in rows {
            if let Some(before) = before.remove(&broadcast) {
                live.report.go_on_from(before.report);
            }
            if age >= SILENT_AFTER {
                live.fall_silent(UtcTime::from_millis(
                    now.as_millis().saturating_sub(age.as_millis() as u64),
                ));
            }
            told.by_broadcast.insert(broadcast, live);
        }
        told.at = Some(Instant::now());
    }
}

fn own_live(
    control: &Control,
    id: &BroadcastId,
    status: &Status,
    points: usize,
) -> Option<LiveBody> {
    let report = ReportBody::from(control.broadcasts().report(id)?);
    Some(LiveBody::of(status, report).newest(points))
}

async fn tell(
    connection: &mut AnyConnection,
    name: &str,
    rows: &[(BroadcastId, String)],
) -> Result<(), database::Error> {
    let clock = database::CLOCK_MS_POSTGRES;
    let values: Vec<_> = (0..rows.len())
        .map(|row| format!("(${}, $1, {clock}, ${})", 2 * row + 2, 2 * row + 3))
        .collect();
    let sql = format!(
        "INSERT INTO live (broadcast, origin, told_ms, said) VALUES {} ON CONFLICT (broadcast) DO UPDATE \
         SET origin = EXCLUDED.origin, told_ms = EXCLUDED.told_ms, said = EXCLUDED.said",
        values.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(name);
    for (id, said) in rows {
        query = query.bind(id.as_str()).bind(said);
    }
    query.execute(connection).await?;
    Ok(())
}

async fn take_back(
    connection: &mut AnyConnection,
    name: &str,
    but: &BTreeSet<BroadcastId>,
) -> Result<(), database::Error> {
    let kept: Vec<_> = (0..but.len()).map(|at| format!("${}", at + 2)).collect();
    let mut sql = "DELETE FROM live WHERE origin = $1".to_owned();
    if !kept.is_empty() {
        sql = format!("{sql} AND broadcast NOT IN ({})", kept.join(", "));
    }
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false).bind(name);
    for id in but {
        query = query.bind(id.as_str());
    }
    query.execute(connection).await?;
    Ok(())
}

async fn read(connection: &mut AnyConnection, name: &str) -> Result<Vec<Row>, database::Error> {
    let clock = database::CLOCK_MS_POSTGRES;
    let sql = format!(
        "SELECT broadcast, said, {clock} - told_ms AS age_ms FROM live WHERE origin <> $1 AND told_ms > {clock} - $2"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(KEPT.as_millis() as i64);
    let mut rows = Vec::new();
    for row in query.fetch_all(connection).await? {
        let broadcast: String = row.try_get("broadcast")?;
        let said: String = row.try_get("said")?;
        let age_ms: i64 = row.try_get("age_ms")?;
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        // Of a later version it may be something else.
        match (broadcast.parse(), serde_json::from_str(&said)) {
            (Ok(broadcast), Ok(live)) => rows.push(Row { broadcast, age, live }),
            _ => tracing::debug!(broadcast, "what another origin says of it is not understood"),
        }
    }
    Ok(rows)
}

async fn sweep(connection: &mut AnyConnection) -> Result<(), database::Error> {
    let clock = database::CLOCK_MS_POSTGRES;
    let sql = format!("DELETE FROM live WHERE told_ms <= {clock} - $1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(KEPT.as_millis() as i64);
    query.execute(connection).await?;
    Ok(())
}
