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
/// What an origin has told that is silent for so long is not shown any more.
const KEPT: Duration = Duration::from_secs(600);
/// Seconds of its history that an origin tells each time: more than lie between two, for one that is late.
const POINTS_TOLD: usize = 10;

/// What other origins say of broadcasts that they have on air. On SQLite there are none.
pub struct Elsewhere {
    control: Arc<Control>,
    /// By which others know this process.
    name: String,
    others: RwLock<Others>,
}

/// What they have told, this origin among them: what it has lost is shown as it was until its next owner tells.
#[derive(Default)]
struct Others(HashMap<BroadcastId, Heard>);

/// What one has told of a broadcast last.
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
        Self { control, name, others: RwLock::default() }
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
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        others.0.get(id).map(|heard| make(&heard.live))
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

    /// Tells how those are that are this origin's now, and takes back what it has told of those that are over.
    /// What has gone over to another is that one's to replace.
    async fn tell(&self, told: &mut BTreeSet<BroadcastId>) -> Result<(), store::Error> {
        let (broadcasts, store) = (self.control.broadcasts(), self.control.store());
        let mut rows = Vec::new();
        for (broadcast, epoch, status) in broadcasts.own_now() {
            if let Some(live) = self.of(&broadcast, &status, POINTS_TOLD) {
                let said = serde_json::to_string(&live).expect("plain");
                rows.push(Saying { broadcast, epoch, said });
            }
        }
        let now: BTreeSet<_> = rows.iter().map(|row| row.broadcast.clone()).collect();
        // Also if nobody answers that it is written.
        told.extend(now.iter().cloned());
        store.tell_live(&self.name, &rows).await?;
        let is_over = |id: &&BroadcastId| {
            broadcasts.owned_by(id).is_some() || broadcasts.status(id).is_none()
        };
        let over: Vec<_> = told.difference(&now).filter(is_over).cloned().collect();
        store.take_back_live(&self.name, &over).await?;
        *told = now;
        Ok(())
    }

    async fn keep_hearing(&self) {
        let mut tick = every_two_seconds();
        loop {
            tick.tick().await;
            let asked = Instant::now();
            let read = self.control.store().live().await;
            let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(rows) => others.hear(rows, asked, Instant::now()),
                // Until it can be read again they are shown as they were: nobody is believed gone for that.
                Err(error) => {
                    others.cannot_be_heard();
                    tracing::debug!(%error, "what other origins have on air cannot be read");
                }
            }
        }
    }
}

impl Others {
    /// This is what all say, asked for and answered at these moments.
    fn hear(&mut self, rows: Vec<Said>, asked: Instant, answered: Instant) {
        let mut before = std::mem::take(&mut self.0);
        for row in rows {
            let (broadcast, age) = (row.broadcast.clone(), row.age);
            let before = before.remove(&broadcast);
            if age >= KEPT && before.as_ref().is_none_or(|before| before.silence.is_long()) {
                continue;
            }
            let Some(mut now) = Heard::of(row, before) else { continue };
            now.silence.read(asked, answered);
            if now.silence.is_long() {
                now.live.fall_silent(ago(age));
            }
            self.0.insert(broadcast, now);
        }
    }

    /// Nothing can be read: it is nobody's silence.
    fn cannot_be_heard(&mut self) {
        self.0.values_mut().for_each(|heard| heard.silence = Silence::default());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::records::BroadcastState;

    const SAID: &str = r#"{
        "state": "live", "since": "2026-11-22T10:00:00Z",
        "publisher": {"protocol": "rtmp", "key": "k", "since": "2026-11-22T10:00:00Z"},
        "standby": false, "viewers": {"total": 3, "by_path": {}, "by_edge": []},
        "report": {"figures": {}, "history": [], "findings": []}, "later": true
    }"#;

    struct Rig {
        others: Others,
        began: Instant,
    }

    impl Rig {
        /// At so many seconds the row is read, which was written so many before.
        fn hear(&mut self, secs: u64, told_ms: i64, age_secs: u64) -> Option<BroadcastState> {
            let at = self.began + Duration::from_secs(secs);
            let row = Said {
                broadcast: "talk".parse().expect("an id"),
                origin: "other".to_owned(),
                told_ms,
                age: Duration::from_secs(age_secs),
                said: SAID.to_owned(),
            };
            self.others.hear(vec![row], at, at);
            self.others.0.values().next().map(|heard| heard.live.summary().state)
        }
    }

    fn rig() -> Rig {
        Rig { others: Others::default(), began: Instant::now() }
    }

    #[test]
    fn an_origin_that_tells_nothing_new_has_gone_and_is_forgotten() {
        let mut rig = rig();
        assert_eq!(rig.hear(0, 1, 1), Some(BroadcastState::Live));
        assert_eq!(rig.hear(2, 2, 1), Some(BroadcastState::Live));
        for secs in [4, 6] {
            assert_eq!(rig.hear(secs, 2, secs - 1), Some(BroadcastState::Live));
        }
        assert_eq!(rig.hear(8, 2, 7), Some(BroadcastState::Away));
        assert_eq!(rig.others.0.values().next().map(|heard| heard.live.summary().viewers), Some(0));
        assert_eq!(rig.hear(10, 3, 1), Some(BroadcastState::Live), "it is back");
        for secs in [12, 14, 16] {
            rig.hear(secs, 3, secs - 9);
        }
        assert_eq!(rig.hear(611, 3, 602), None);
        assert_eq!(rig.hear(613, 3, 604), None, "nor is it heard for the first time");
    }

    #[test]
    fn a_database_that_was_away_says_nothing_of_anybody() {
        let mut rig = rig();
        rig.hear(0, 1, 1);
        for _ in 0..400 {
            rig.others.cannot_be_heard();
        }
        for (secs, age) in [(800, 801), (802, 803), (804, 805)] {
            assert_eq!(rig.hear(secs, 1, age), Some(BroadcastState::Live), "at {secs}");
        }
        assert_eq!(rig.hear(807, 1, 808), Some(BroadcastState::Away));
        assert_eq!(rig.hear(809, 2, 1), Some(BroadcastState::Live));
    }

    #[test]
    fn who_was_gone_before_is_away_at_first_sight() {
        let mut rig = rig();
        assert_eq!(rig.hear(0, 1, 30), Some(BroadcastState::Away));
        assert_eq!(rig.hear(2, 2, 1), Some(BroadcastState::Live));
    }
}
