//! Whether a broadcast is this process's to publish: how that is gained, what is said while it is not, and how
//! it is lost to another.
//!
//! A process that holds it publishes at the epoch of its lease; one that does not announces it as away, so
//! that edges know what it is about even when its owner dies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lectern_relay_proto::net::Epoch;
use lectern_relay_proto::{About, Catalog, Period, PublisherState, SegmentGrid, UtcTime};

use super::publication::Publication;
use super::{Broadcast, State};
use crate::ingest::Refusal;
use crate::take::Take;
use crate::timelines::{self, Acquired, Lease, Process, Silence, Timeline, Wish};
use crate::wall;

/// How often one who waits asks whether it may publish.
const WISH_EACH: Duration = Duration::from_secs(2);

impl Broadcast {
    /// Asks the database for the right to publish, for a publisher who is to be let in.
    pub(in super::super) async fn acquire(self: &Arc<Self>, wish: Wish) -> Result<(), Refusal> {
        self.ask(wish).await.map_err(|error| {
            tracing::error!(broadcast = %self.id, %error, "a publisher is refused: whose the \
                broadcast is cannot be told");
            self.means.metrics.refused.with_label_values(&["database"]).inc();
            unavailable()
        })
    }

    /// Asks, and is told. Carried out to its end, also where nobody waits for it any more: nobody else would
    /// learn that it was granted.
    async fn ask(self: &Arc<Self>, wish: Wish) -> Result<(), String> {
        let this = self.clone();
        let asking = tokio::spawn(async move { this.ask_now(wish).await });
        let asked = asking.await.map_err(|panic| panic.to_string())?;
        asked.map_err(|error| error.to_string())
    }

    async fn ask_now(&self, wish: Wish) -> Result<(), timelines::Error> {
        if self.means.metrics.takes_live.get() == 0 {
            wall::settle();
        }
        let at = wall::now();
        let (known, is_silent) = {
            let state = self.lock();
            (state.timeline().cloned(), state.silence.is_long())
        };
        let wish = match wish {
            Wish::UnlessLiveElsewhere if is_silent => Wish::UnlessHeardOf,
            wish => wish,
        };
        let acquired = self.means.timelines.acquire(&self.id, wish, known, at).await;
        let mut state = self.lock();
        match acquired {
            Ok(Acquired::Ours(timeline)) => self.gain(&mut state, timeline),
            Ok(Acquired::LiveElsewhere(timeline)) => self.told(&mut state, Some(timeline)),
            Err(error) if state.lease.is_some() => {
                tracing::warn!(broadcast = %self.id, %error,
                    "a publisher is let in without the database: the broadcast was this server's last");
            }
            Err(error) => return Err(error),
        }
        if self.means.metrics.takes_live.get() == 0
            && let Some(timeline) = state.lease.as_ref().map(Lease::timeline)
        {
            wall::reach(timeline.t0() + Duration::from_millis(timeline.floor_ms()));
        }
        Ok(())
    }

    fn gain(&self, state: &mut State, timeline: Timeline) {
        let epoch = timeline.epoch();
        // It has been lost again, and that was heard of first.
        if state.stored.as_ref().is_some_and(|stored| stored.epoch() > epoch) {
            return;
        }
        let mut lease = Lease::new(timeline.clone());
        if let Some(held) = state.lease.as_ref() {
            if held.timeline().epoch() == epoch {
                return;
            }
            // Somebody else had it for a while, and numbers of ours are not ours any more.
            self.end_take(state, false);
            let former = state.lease.as_ref().map(Lease::timeline);
            if let Some(former) = former.filter(|former| former.t0() == timeline.t0()) {
                lease.reach(former.floor_ms());
            }
        }
        tracing::info!(broadcast = %self.id, epoch = epoch.0, "the broadcast is this server's");
        self.means.metrics.owned.with_label_values(&["gained"]).inc();
        self.know(state, Some(timeline));
        state.lease = Some(lease);
    }

    /// What the database says; perhaps a while ago.
    pub(super) fn told(&self, state: &mut State, timeline: Option<Timeline>) {
        if let (Some(stored), Some(timeline)) = (&state.stored, &timeline)
            && timeline.epoch() < stored.epoch()
        {
            return;
        }
        if let Some(lease) = &state.lease {
            let Some(timeline) = &timeline else { return };
            // Where it is of a greater epoch, that is being granted right now.
            if lease.timeline().owner() == timeline.owner() {
                return;
            }
            self.lose(state);
        }
        self.know(state, timeline);
        self.idle(state);
    }

    /// The database says at `now` that what this process stored is not its own to store, and this is what
    /// stands there.
    pub(in super::super) fn told_not_ours(&self, timeline: Option<Timeline>) {
        let mut state = self.lock();
        if timeline.is_none() && state.lease.is_some() {
            tracing::error!(broadcast = %self.id, "its timeline is gone from the database; the next \
                publisher begins another");
            self.lose(&mut state);
        }
        self.told(&mut state, timeline);
    }

    /// See [`Self::told`]. It was asked for at `asked`.
    pub(in super::super) fn read(&self, timeline: Option<Timeline>, asked: Instant) {
        let mut state = self.lock();
        state.is_damaged = false;
        self.told(&mut state, timeline);
        state.silence.read(asked, Instant::now());
    }

    /// What the database says is damaged.
    pub(in super::super) fn damaged(&self, error: &timelines::Error) {
        if !std::mem::replace(&mut self.lock().is_damaged, true) {
            tracing::error!(broadcast = %self.id, %error, "it is not announced");
        }
        self.not_read();
    }

    /// The database does not say anything.
    pub(in super::super) fn not_read(&self) {
        self.lock().silence = Silence::default();
    }

    fn know(&self, state: &mut State, timeline: Option<Timeline>) {
        let t0_ms = timeline.as_ref().map_or(0, |timeline| timeline.t0().as_millis());
        self.t0_ms.store(t0_ms, Ordering::Relaxed);
        if state.stored != timeline {
            state.silence = Silence::default();
        }
        (state.stored, state.is_read) = (timeline, true);
    }

    /// Ends whoever publishes: another process may.
    fn lose(&self, state: &mut State) {
        self.end_take(state, false);
        state.lease = None;
        if state.succession.lose(wall::now()) {
            state.succession.note_takeover(Instant::now());
            tracing::warn!(broadcast = %self.id, "another server has taken over from the publisher");
        }
        self.means.metrics.owned.with_label_values(&["lost"]).inc();
        self.means.signals.changed(&self.id);
    }

    /// Says what there is to be said of a broadcast that is not this process's.
    fn idle(&self, state: &mut State) {
        if state.lease.is_some() || !state.is_read {
            return;
        }
        let catalog = idle_catalog(state.stored.as_ref(), state.about.clone());
        let said = if state.publication.epoch() != Epoch::IDLE {
            Publication::begin(&self.means.relay, &self.id, Epoch::IDLE)
                .and_then(|(next, comments)| self.go_over(state, next, comments, &catalog))
        } else if !state.announced || catalog != state.catalog {
            self.set_catalog(state, &catalog)
        } else {
            Ok(())
        };
        if let Err(error) = said {
            tracing::error!(broadcast = %self.id, %error, "it is not announced");
        }
    }

    /// Puts whoever waits on air with what came at `at`, or asks for the right to.
    pub(super) fn change_over(&self, state: &mut State, at: UtcTime) {
        if state.lease.is_none() {
            self.wish(state, Instant::now());
            return;
        }
        self.end_take(state, false);
        match state.succession.change_over(at) {
            Some(true) => tracing::warn!("the backup publisher goes on air"),
            Some(false) => tracing::info!("the primary publisher is on air again"),
            None => {}
        }
        self.means.metrics.takeovers.inc();
        self.means.signals.changed(&self.id);
    }

    /// One who waits could publish if this process may: it is asked for, but not too often.
    fn wish(&self, state: &mut State, now: Instant) {
        let since = state.wished.map(|wished| now.saturating_duration_since(wished));
        if since.is_none_or(|since| since >= WISH_EACH) {
            state.wished = Some(now);
            self.means.chores.acquire(&self.id);
        }
    }

    /// Asks for what somebody has [wished](Self::wish) for, unless what was just read says that it is to wait.
    pub(in super::super) async fn acquire_wished(self: &Arc<Self>) {
        if !self.lock().lets_waiting_in(self.means.timelines.process()) {
            return;
        }
        if let Err(error) = self.ask(Wish::UnlessLiveElsewhere).await {
            tracing::warn!(broadcast = %self.id, %error, "a publisher waits on: whose the broadcast is \
                cannot be told");
        }
    }

    /// What is to be stored; with `progress`, also how far media has come.
    pub(in super::super) fn to_store(&self, progress: bool) -> Option<Timeline> {
        let mut state = self.lock();
        let end_ms = state.take.as_ref().map(Take::end_ms);
        let lease = state.lease.as_mut()?;
        if let Some(end_ms) = end_ms {
            lease.reach(end_ms);
        }
        lease.to_store(progress)
    }

    /// That was stored.
    pub(in super::super) fn stored(&self, timeline: &Timeline) {
        if let Some(lease) = &mut self.lock().lease {
            lease.stored(timeline);
        }
    }

    /// What is to be stored as this process stops.
    pub(in super::super) fn give_back(&self) -> Option<Timeline> {
        let mut state = self.lock();
        self.end_take(&mut state, false);
        state.lease.take().map(Lease::give_back)
    }
}

impl State {
    /// Whether one who waits may go on air if this process may publish, and that can be asked for.
    fn lets_waiting_in(&self, process: &Process) -> bool {
        let is_live = self.stored.as_ref().is_some_and(|stored| stored.is_live_elsewhere(process));
        let may_be_ours = !is_live || self.silence.is_long();
        self.lease.is_none() && self.succession.has_waiting() && may_be_ours
    }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable(
        "The server's database does not answer, so it is not certain that nobody else publishes \
         here. Try again in a moment."
            .to_owned(),
    )
}

/// What is said of a broadcast by a process to which nobody publishes.
pub(super) fn idle_catalog(timeline: Option<&Timeline>, about: About) -> Catalog {
    let (period, take) = timeline.map_or((0, 0), Timeline::newest);
    Catalog {
        t0: timeline.map_or_else(UtcTime::default, Timeline::t0),
        state: PublisherState::Away,
        about,
        period: Period {
            id: period,
            take,
            start_ms: 0,
            grid: SegmentGrid::new(SegmentGrid::DURATION_MS_MIN),
            sequence: 0,
        },
        video: Vec::new(),
        audio: Vec::new(),
    }
}
