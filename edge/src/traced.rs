//! Groups that are traced, at this edge: when they came, and who was sent them first.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use lectern_relay_proto::trace::{self, GroupTrace, Stage};
use lectern_relay_proto::{BroadcastId, GroupId, MediaTime, TrackName, UtcTime};

/// Of how many traced groups of a broadcast it is known whether anybody was sent them over HTTP; of older ones
/// it is not told any more.
const ARRIVALS_MAX: usize = 64;

/// A group that is traced, from its first chunk on.
#[derive(Debug)]
pub(crate) struct Arrival {
    trace: GroupTrace,
    /// Decode time of its first frame.
    begins: MediaTime,
    received: UtcTime,
    /// By which stages it has been served, a bit each.
    served: AtomicU8,
}

impl Arrival {
    /// Group `group` of a track begins, of a broadcast that began at `t0`. `None` if it is not traced.
    pub(crate) fn of(
        broadcast: &BroadcastId,
        t0: UtcTime,
        track: &TrackName,
        group: GroupId,
        begins: MediaTime,
    ) -> Option<Arc<Self>> {
        let trace = trace::tracer()?.group(broadcast, t0, track, group)?;
        Some(Arc::new(Self { trace, begins, received: now(), served: AtomicU8::new(0) }))
    }

    /// Somebody was sent the beginning of it; the first time is told.
    pub(crate) fn served(&self, by: Stage) {
        let bit = 1 << by as u8;
        if self.served.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            self.trace.tell(by, self.received, now());
        }
    }
}

/// A traced group while it arrives. Dropping it tells.
pub(crate) struct Receiving {
    arrival: Arc<Arrival>,
    last: UtcTime,
}

impl Receiving {
    pub(crate) fn new(arrival: Arc<Arrival>) -> Self {
        Self { last: arrival.received, arrival }
    }

    /// More of it came.
    pub(crate) fn more(&mut self) {
        self.last = now();
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.arrival.trace.tell(Stage::Edge, self.arrival.received, self.last);
    }
}

/// The newest traced groups of a broadcast.
#[derive(Default)]
pub(crate) struct Arrivals(Mutex<VecDeque<Arc<Arrival>>>);

impl Arrivals {
    pub(crate) fn note(&self, arrival: Arc<Arrival>) {
        let mut arrivals = self.lock();
        if arrivals.len() == ARRIVALS_MAX {
            arrivals.pop_front();
        }
        arrivals.push_back(arrival);
    }

    /// Somebody was sent what of a track of a period begins in `span`.
    pub(crate) fn served(
        &self,
        (track, period): (&TrackName, u32),
        span: RangeInclusive<MediaTime>,
        by: Stage,
    ) {
        if trace::tracer().is_none() {
            return;
        }
        let is_in = |arrival: &&Arc<Arrival>| {
            span.contains(&arrival.begins)
                && arrival.trace.group().period == period
                && arrival.trace.track() == track
        };
        self.lock().iter().filter(is_in).for_each(|arrival| arrival.served(by));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Arrival>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> UtcTime {
    UtcTime::from(SystemTime::now())
}
