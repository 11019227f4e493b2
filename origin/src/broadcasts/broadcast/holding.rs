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
use crate::timelines::{Acquired, Lease, Timeline, Wish};
use crate::wall;

/// How often one who waits asks whether it may publish.
const WISH_EACH: Duration = Duration::from_secs(2);

impl Broadcast {
    /// Asks the database for the right to publish, and is told. Carried out to its end, also where nobody waits
    /// for it any more: nobody else would learn that it was granted.
    pub(in super::super) async fn acquire(self: &Arc<Self>, wish: Wish) -> Result<(), Refusal> {
        let this = self.clone();
        let acquiring = tokio::spawn(async move { this.acquire_now(wish).await });
        acquiring.await.unwrap_or_else(|_| Err(unavailable()))
    }

    async fn acquire_now(&self, wish: Wish) -> Result<(), Refusal> {
        if self.means.metrics.takes_live.get() == 0 {
            wall::settle();
        }
        let at = wall::now();
        let acquired = self.means.timelines.acquire(&self.id, wish, at).await;
        let mut state = self.lock();
        match acquired {
            Ok(Acquired::Ours(timeline)) => self.gain(&mut state, timeline),
            Ok(Acquired::LiveElsewhere(timeline)) => self.told(&mut state, Some(timeline)),
            Err(error) if state.lease.is_some() => {
                tracing::warn!(broadcast = %self.id, %error,
                    "a publisher is let in without the database: the broadcast was this server's last");
            }
            Err(error) => {
                tracing::error!(broadcast = %self.id, %error, "a publisher is refused: whose the \
                    broadcast is cannot be told");
                self.means.metrics.refused.with_label_values(&["database"]).inc();
                return Err(unavailable());
            }
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

    /// See [`Self::told`].
    pub(in super::super) fn read(&self, timeline: Option<Timeline>) {
        self.told(&mut self.lock(), timeline);
    }

    fn know(&self, state: &mut State, timeline: Option<Timeline>) {
        let t0_ms = timeline.as_ref().map_or(0, |timeline| timeline.t0().as_millis());
        self.t0_ms.store(t0_ms, Ordering::Relaxed);
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
            self.wish(state, at);
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
    fn wish(&self, state: &mut State, at: UtcTime) {
        if state.wished.is_none_or(|wished| at.saturating_since(wished) >= WISH_EACH) {
            state.wished = Some(at);
            self.means.chores.acquire(&self.id);
        }
    }

    /// Asks for what somebody has [wished](Self::wish) for.
    pub(in super::super) async fn acquire_wished(self: &Arc<Self>) {
        let waits = {
            let state = self.lock();
            state.lease.is_none() && state.succession.has_waiting()
        };
        if waits {
            // It was said why not, and it is asked again.
            let _ = self.acquire(Wish::UnlessLiveElsewhere).await;
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

    /// It was not, and is to be tried again.
    pub(in super::super) fn not_stored(&self) {
        if let Some(lease) = &mut self.lock().lease {
            lease.not_stored();
        }
    }

    /// What is to be stored as this process stops.
    pub(in super::super) fn give_back(&self) -> Option<Timeline> {
        let mut state = self.lock();
        self.end_take(&mut state, false);
        state.lease.take().map(Lease::give_back)
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
