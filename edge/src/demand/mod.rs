//! Which broadcasts this edge subscribes to: those that somebody wants, for a while after the last who
//! did, and those that are to be warm (decision 26).
//!
//! [`table`] decides, without a clock; here are the lock and the clock around it, and what stands for
//! somebody who wants a broadcast ([`Watching`]). [`crate::access`] makes one for each request that may
//! be answered, [`crate::whep`] for sessions, and [`crate::upstream`] does what comes of it.

mod kept;
mod metrics;
mod prewarm;
mod table;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lectern_relay_proto::BroadcastId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::table::{Change, Held, Table};
use crate::throttle::Throttle;
pub(crate) use kept::keep;
pub use metrics::Metrics;
pub use prewarm::{Prewarm, PrewarmError};
pub use table::Config;

/// How long whoever asks waits for what is being let go of just then, which takes no longer than to
/// empty a few tables.
const LEAVE_MAX: Duration = Duration::from_secs(1);
/// How long an offer waits for the first picture of a broadcast that it woke, though its player did not
/// ask to be held: many round trips to the origin.
const WARM_UP_MAX: Duration = Duration::from_secs(3);
/// Between two lines of the log that say there is no room.
const FULL_SAID_EACH: Duration = Duration::from_secs(60);

/// As many broadcasts are subscribed to as may be, and each of them is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this edge carries as many broadcasts as it may, and each of them is watched")]
pub struct NoRoom;

/// What is wanted of an edge.
pub struct Demand {
    state: Mutex<State>,
    /// Wakes the one that lets go of what nobody wants, when it has nothing to wait for.
    idle: Notify,
    full: Throttle,
    metrics: Metrics,
}

struct State {
    table: Table,
    /// Whether each broadcast that is followed is wanted.
    signals: HashMap<BroadcastId, watch::Sender<bool>>,
    /// Somebody waits for the next that is due.
    armed: bool,
}

impl Demand {
    /// Nothing is announced, and nobody has asked.
    pub fn new(config: Config, metrics: Metrics) -> Arc<Self> {
        let table = Table::new(config);
        let state = State { table, signals: HashMap::new(), armed: false };
        let full = Throttle::every(FULL_SAID_EACH);
        Arc::new(Self { state: Mutex::new(state), idle: Notify::new(), full, metrics })
    }

    /// From now on so many broadcasts are subscribed to at most. What is watched stays.
    pub(crate) fn set_max(&self, max: usize) {
        let mut state = self.lock();
        state.table.set_max(max, now());
        self.carry_out(&mut state);
    }

    /// Lets go of what nobody wants any more when it is time to, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let due = {
                let mut state = self.lock();
                state.table.expire(now());
                self.carry_out(&mut state);
                let due = state.table.next_due();
                state.armed = due.is_some();
                due
            };
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => self.idle.notified().await,
            }
        }
    }

    /// A broadcast is announced. What is returned says from then on whether it is wanted.
    pub(crate) fn announced(self: &Arc<Self>, id: &BroadcastId) -> Wanted {
        let mut state = self.lock();
        let signal = state.signals.entry(id.clone()).or_insert_with(|| watch::Sender::new(false));
        let wanted = signal.subscribe();
        state.table.announce(id, now());
        self.carry_out(&mut state);
        self.metrics.announced(state.table.announced());
        Wanted { interest: self.interest(id), wanted }
    }

    /// A broadcast is not followed any more.
    pub(crate) fn forget(&self, id: &BroadcastId) {
        let mut state = self.lock();
        state.table.forget(id, now());
        self.carry_out(&mut state);
        state.signals.remove(id);
        self.metrics.announced(state.table.announced());
    }

    /// By which somebody can want a broadcast.
    pub(crate) fn interest(self: &Arc<Self>, id: &BroadcastId) -> Interest {
        Interest { demand: self.clone(), id: id.clone() }
    }

    fn hold(&self, id: &BroadcastId) -> Held {
        let held = {
            let mut state = self.lock();
            let held = state.table.hold(id, now());
            self.carry_out(&mut state);
            held
        };
        if held == Held::NoRoom {
            self.metrics.refused();
            if let Some(others) = self.full.pass(now()) {
                tracing::warn!(broadcast = %id, others, "refused: {NoRoom}; see edge.broadcasts_max");
            }
        }
        held
    }

    fn release(&self, id: &BroadcastId) {
        let mut state = self.lock();
        let idle = state.table.release(id, now());
        if idle && !state.armed {
            self.idle.notify_one();
        }
    }

    /// Does what the table wants done.
    fn carry_out(&self, state: &mut State) {
        let mut changed = false;
        while let Some(change) = state.table.next_change() {
            changed = true;
            let (id, wanted) = match &change {
                Change::Subscribe(id) => (id, true),
                Change::LetGo { id, had_media } => {
                    if !had_media {
                        self.metrics.warmed_in_vain();
                    }
                    (id, false)
                }
            };
            if let Some(signal) = state.signals.get(id) {
                signal.send_replace(wanted);
            }
        }
        if changed {
            self.metrics.subscribed(state.table.subscribed());
            if !state.armed {
                self.idle.notify_one();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a broadcast is wanted, for the one that subscribes to it.
#[derive(Clone)]
pub(crate) struct Wanted {
    interest: Interest,
    wanted: watch::Receiver<bool>,
}

impl Wanted {
    /// Waits until it is wanted, or until it is not; for ever once it is forgotten.
    pub(crate) async fn until(&mut self, wanted: bool) {
        if self.wanted.wait_for(|now| *now == wanted).await.is_err() {
            std::future::pending().await
        }
    }

    /// Media of it has come.
    pub(crate) fn arrived(&self) {
        let Interest { demand, id } = &self.interest;
        let after = demand.lock().table.arrived(id, now());
        if let Some(after) = after {
            demand.metrics.warmed(after);
        }
    }

    /// Has `empty` let go of what there is, if that is to be.
    pub(crate) fn leave(&self, empty: impl FnOnce()) {
        let Interest { demand, id } = &self.interest;
        if !demand.lock().table.is_leaving(id) {
            return;
        }
        // Not under the lock: whoever is told may ask for something.
        empty();
        let mut state = demand.lock();
        state.table.left(id, now());
        demand.carry_out(&mut state);
    }

    /// By which sessions can want it.
    pub(crate) fn interest(&self) -> Interest {
        self.interest.clone()
    }
}

/// A broadcast that somebody could want.
#[derive(Clone)]
pub(crate) struct Interest {
    demand: Arc<Demand>,
    id: BroadcastId,
}

impl Interest {
    /// Somebody who does not want it yet.
    pub(crate) fn watching(&self) -> Arc<Watching> {
        Arc::new(Watching { interest: self.clone(), begun: AtomicBool::new(false) })
    }
}

/// Somebody who wants a broadcast, once [`Self::begin`] has said so and for as long as this lives.
pub(crate) struct Watching {
    interest: Interest,
    begun: AtomicBool,
}

impl Watching {
    /// From now on the broadcast is wanted; nothing else is said by it if none of that id is announced.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(crate) async fn begin(&self) -> Result<(), NoRoom> {
        if !self.begin_now()? {
            let Interest { demand, id } = &self.interest;
            let signal = demand.lock().signals.get(id).map(watch::Sender::subscribe);
            if let Some(mut signal) = signal {
                // In vain if whoever is to empty it does not; then what there is will do.
                let emptied = signal.wait_for(|wanted| *wanted);
                let _ = tokio::time::timeout(LEAVE_MAX, emptied).await;
            }
        }
        Ok(())
    }

    /// The same for whoever need not wait until what was before has been let go of. Returns whether that
    /// is so.
    pub(crate) fn begin_now(&self) -> Result<bool, NoRoom> {
        if self.begun.load(Ordering::Acquire) {
            return Ok(true);
        }
        let held = self.interest.demand.hold(&self.interest.id);
        match held {
            Held::Unknown => return Ok(true),
            Held::NoRoom => return Err(NoRoom),
            Held::Here | Held::Soon => {}
        }
        if self.begun.swap(true, Ordering::AcqRel) {
            // Somebody was faster, and one is enough.
            self.interest.demand.release(&self.interest.id);
        }
        Ok(held == Held::Here)
    }

    /// For how long its first picture is worth waiting for; zero if it has come, or was not asked for.
    pub(crate) fn warms_up_within(&self) -> Duration {
        let Interest { demand, id } = &self.interest;
        let since = demand.lock().table.warming_since(id);
        let left = since.map(|since| (since + WARM_UP_MAX).saturating_duration_since(now()));
        left.unwrap_or_default()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if *self.begun.get_mut() {
            self.interest.demand.release(&self.interest.id);
        }
    }
}

/// Tokio's clock, which tests can move on.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests;
