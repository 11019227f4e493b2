//! How broadcasts are that other origins on the same database have on air. Only the origin that takes a publisher
//! in knows how it does and, from edges, who watches; a host's console is wherever a load balancer has sent it. So
//! each origin tells every two seconds how those are that are its own (decision 28), and shows what others told.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::broadcasts::Summary;
use super::live::LiveBody;
use super::report::ReportBody;
use crate::broadcasts::Status;
use crate::control::Control;
use crate::control::store::{self, Said, Saying};
use crate::timelines::Silence;
use crate::wall;

/// How often each origin tells, and looks.
const TELL_EACH: Duration = Duration::from_secs(2);
/// Of one who was silent for so long before it was first heard it is believed that it is gone; see also [`Silence`].
const SILENT_AT_FIRST: Duration = Duration::from_secs(6);
/// Seconds of its history that an origin tells each time: more than lie between two, for one that is late.
const POINTS_TOLD: usize = 10;

/// What other origins say of broadcasts that they have on air. On SQLite there are none.
pub struct Elsewhere {
    control: Arc<Control>,
    /// By which others know this process.
    name: String,
    heard: RwLock<HashMap<BroadcastId, Heard>>,
}

/// What another has told of a broadcast last.
struct Heard {
    origin: String,
    told_ms: i64,
    /// Since it has told that.
    silence: Silence,
    live: LiveBody,
}

impl Elsewhere {
    /// What is to be told and shown of the broadcasts of `control`, by way of its database.
    pub fn new(control: Arc<Control>) -> Self {
        let name = format!("{:016x}", rand::random::<u64>());
        Self { control, name, heard: RwLock::default() }
    }

    /// Tells and reads until `cancel`. What it has told stays: before long it is that their encoders are away,
    /// unless another origin has them.
    pub async fn run(&self, cancel: CancellationToken) {
        if self.control.store().is_shared() {
            // Who is told does not wait for who is heard: others believe gone who says nothing.
            let both = async { tokio::join!(self.keep_telling(), self.keep_hearing()) };
            cancel.run_until_cancelled(both).await;
        }
    }

    /// How a broadcast is, in short; `None` if there is no such broadcast.
    pub(super) fn summary(&self, id: &BroadcastId) -> Option<Summary> {
        let own = self.own(id)?;
        Some(self.heard(id, LiveBody::summary).unwrap_or_else(|| Summary::from(&own)))
    }

    /// How a broadcast is, with so many of the newest points of its history; `None` if there is no such
    /// broadcast.
    pub(super) fn live(&self, id: &BroadcastId, points: usize) -> Option<LiveBody> {
        let own = self.own(id)?;
        let Some(mut live) = self.heard(id, |live| live.clone().newest(points)) else {
            return self.of(id, &own, points);
        };
        // Who stands by does so at the origin that they have reached.
        live.standby |= own.standby;
        Some(live)
    }

    /// How it is as far as this origin knows. What it had on air and lost to another is none of its own.
    fn own(&self, id: &BroadcastId) -> Option<Status> {
        let status = self.control.status(id)?;
        let is_own = self.control.broadcasts().owned_by(id).is_some();
        Some(Status { since: status.since.filter(|_| is_own), ..status })
    }

    fn of(&self, id: &BroadcastId, status: &Status, points: usize) -> Option<LiveBody> {
        let report = ReportBody::from(self.control.broadcasts().report(id)?);
        Some(LiveBody::of(status, report).newest(points))
    }

    /// What is made of what another tells of a broadcast that is not this origin's.
    fn heard<T>(&self, id: &BroadcastId, make: impl FnOnce(&LiveBody) -> T) -> Option<T> {
        if self.control.broadcasts().owned_by(id).is_some() {
            return None;
        }
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner);
        heard.get(id).map(|heard| make(&heard.live))
    }

    async fn keep_telling(&self) {
        let (mut tick, mut told) = (every_two_seconds(), BTreeSet::new());
        loop {
            tick.tick().await;
            // That the database is away is said by whoever it matters more to.
            if let Err(error) = self.tell(&mut told).await {
                tracing::debug!(%error, "other origins are not told what is on air here");
            }
        }
    }

    /// Tells how those are that are this origin's now, and takes back what it has told of others.
    async fn tell(&self, told: &mut BTreeSet<BroadcastId>) -> Result<(), store::Error> {
        let mut rows = Vec::new();
        for (broadcast, epoch, status) in self.control.broadcasts().own_now() {
            if let Some(live) = self.of(&broadcast, &status, POINTS_TOLD) {
                let said = serde_json::to_string(&live).expect("plain");
                rows.push(Saying { broadcast, epoch, said });
            }
        }
        let store = self.control.store();
        store.tell_live(&self.name, &rows).await?;
        let now: BTreeSet<_> = rows.into_iter().map(|row| row.broadcast).collect();
        if told.iter().any(|id| !now.contains(id)) {
            store.take_back_live(&self.name, &now).await?;
        }
        *told = now;
        Ok(())
    }

    async fn keep_hearing(&self) {
        let mut tick = every_two_seconds();
        loop {
            tick.tick().await;
            let asked = Instant::now();
            match self.control.store().live_elsewhere(&self.name).await {
                Ok(rows) => self.hear(rows, asked, Instant::now()),
                // Until it can be read again it is shown as it was: nobody is believed gone for that.
                Err(error) => {
                    tracing::debug!(%error, "what other origins have on air cannot be read");
                }
            }
        }
    }

    /// This is what all others say, asked for and answered at these moments.
    fn hear(&self, rows: Vec<Said>, asked: Instant, answered: Instant) {
        let mut heard = self.heard.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *heard);
        for row in rows {
            let (broadcast, gone_at) = (row.broadcast.clone(), ago(row.age));
            let Some(mut now) = Heard::of(row, before.remove(&broadcast)) else { continue };
            now.silence.read(asked, answered);
            if now.silence.is_long() {
                now.live.fall_silent(gone_at);
            }
            heard.insert(broadcast, now);
        }
    }
}

impl Heard {
    /// What is heard now, after `before`; `None` if it is not understood: a later version may say it otherwise.
    fn of(row: Said, before: Option<Self>) -> Option<Self> {
        let Said { broadcast, origin, told_ms, age, said } = row;
        let is_new = |before: &Self| (before.told_ms, &before.origin) != (told_ms, &origin);
        if before.as_ref().is_some_and(|before| !is_new(before)) {
            return before;
        }
        let mut live: LiveBody = serde_json::from_str(&said)
            .inspect_err(|error| {
                tracing::debug!(%broadcast, %error, "what another origin says of it is not understood");
            })
            .ok()?;
        match before {
            Some(before) => live.report.go_on_from(before.live.report),
            None if age >= SILENT_AT_FIRST => live.fall_silent(ago(age)),
            None => {}
        }
        Some(Self { origin, told_ms, silence: Silence::default(), live })
    }
}

fn ago(age: Duration) -> UtcTime {
    UtcTime::from_millis(wall::now().as_millis().saturating_sub(age.as_millis() as u64))
}

fn every_two_seconds() -> tokio::time::Interval {
    let mut tick = interval(TELL_EACH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
