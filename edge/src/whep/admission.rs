//! Who may join, and when: places for sessions, a share of the unfinished ones for each client, and
//! the pace at which handshakes begin.
//!
//! One lock, taken once per join and once when a session is established or over; no frame and no
//! datagram comes here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::OfferError;
use super::metrics::Metrics;
use crate::client::network;

/// Joins that may begin at once after a quiet time, in time at the permitted pace.
const BURST: Duration = Duration::from_secs(1);
/// What one client may take of the pace, as a fraction: a campus behind one address joins almost as
/// fast as the edge allows, and there is always some left for others.
const CLIENT_SHARE: (u64, u64) = (3, 4);

/// How many may join.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Sessions at once.
    pub sessions_max: usize,
    /// Of these, sessions whose handshake is not done.
    pub half_open_max: usize,
    /// Of these, those of one client.
    pub half_open_per_client_max: usize,
    /// Joins in a second.
    pub joins_per_sec_max: u32,
    /// Bits in a second to all of them.
    pub egress_bps_max: Option<u64>,
}

impl Limits {
    fn per_client(&self) -> u32 {
        let (part, whole) = CLIENT_SHARE;
        let share = u64::from(self.joins_per_sec_max) * part / whole;
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }
}

/// The gate that every join goes through.
pub(super) struct Admission {
    limits: RwLock<Limits>,
    metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
}

struct Inner {
    sessions: usize,
    half_open: usize,
    per_worker: Box<[usize]>,
    pace: Pace,
    clients: HashMap<IpAddr, Client>,
    /// Above this many, clients that are at rest are forgotten.
    clients_sweep: usize,
}

struct Client {
    half_open: usize,
    pace: Pace,
}

/// The right to one session; gives it back when dropped.
pub(super) struct Permit {
    admission: Arc<Admission>,
    worker: usize,
    /// The client, while its handshake is not done.
    half_open: Option<IpAddr>,
}

impl Admission {
    /// The gate to `workers` workers.
    pub(super) fn new(limits: Limits, workers: usize, metrics: Arc<Metrics>, now: Instant) -> Self {
        // Remembered are those who joined within the last burst, or are about to: half-open, or
        // waiting in the lobby, which has bounds of its own. So the table hardly outgrows this.
        let joins = usize::try_from(limits.joins_per_sec_max).unwrap_or(usize::MAX);
        let inner = Inner {
            sessions: 0,
            half_open: 0,
            per_worker: vec![0; workers].into(),
            pace: Pace::new(limits.joins_per_sec_max, now),
            clients: HashMap::new(),
            clients_sweep: limits.half_open_max.saturating_add(joins.saturating_mul(2)),
        };
        Self { limits: limits.into(), metrics, inner: Mutex::new(inner) }
    }

    /// Those in force.
    pub(super) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are good. Who is in stays, and so does who has been given a turn.
    pub(super) fn set_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        let mut inner = self.lock();
        inner.pace.set(limits.joins_per_sec_max);
        inner.clients.values_mut().for_each(|client| client.pace.set(limits.per_client()));
    }

    /// Gives `client` a turn to join now, if it and the edge have one.
    pub(super) fn turn(&self, client: IpAddr, now: Instant) -> Result<(), OfferError> {
        let (limits, inner) = (self.limits(), &mut *self.lock());
        // Looked at first, so that no more clients are remembered than turns were given.
        if inner.pace.free(now) > now {
            return Err(OfferError::Busy);
        }
        let known = inner.client(client, &limits, now);
        if known.pace.free(now) > now {
            return Err(OfferError::ClientBusy);
        }
        known.pace.take(now);
        inner.pace.take(now);
        Ok(())
    }

    /// Gives `client` the next of its turns, no later than `until`: the time to ask for
    /// [`Self::edge_turn`] at. Not before, or one client's crowd would stand in the way of all.
    pub(super) fn client_turn(
        &self,
        client: IpAddr,
        now: Instant,
        until: Instant,
    ) -> Result<Instant, OfferError> {
        let (limits, inner) = (self.limits(), &mut *self.lock());
        let known = inner.client(client, &limits, now);
        known.pace.take_by(now, until).ok_or(OfferError::ClientBusy)
    }

    /// Gives the next of the edge's turns, no later than `until`: the time to join at. Turns are as
    /// far apart as the pace asks, so that a crowd that waited for the same moment is let in one
    /// after the other.
    pub(super) fn edge_turn(&self, now: Instant, until: Instant) -> Result<Instant, OfferError> {
        self.lock().pace.take_by(now, until).ok_or(OfferError::Busy)
    }

    /// Takes a place for a session that has yet to shake hands, on the worker with the fewest.
    pub(super) fn permit(self: &Arc<Self>, client: IpAddr) -> Result<Permit, OfferError> {
        let (limits, inner) = (self.limits(), &mut *self.lock());
        let key = network(client);
        if inner.sessions >= limits.sessions_max {
            return Err(OfferError::Full);
        }
        if inner.half_open >= limits.half_open_max {
            return Err(OfferError::Busy);
        }
        let known = inner.client(client, &limits, Instant::now());
        if known.half_open >= limits.half_open_per_client_max {
            return Err(OfferError::ClientBusy);
        }
        known.half_open += 1;
        inner.half_open += 1;
        inner.sessions += 1;
        let fewest = inner.per_worker.iter().enumerate().min_by_key(|(_, sessions)| **sessions);
        let worker = fewest.map_or(0, |(worker, _)| worker);
        inner.per_worker[worker] += 1;
        self.metrics.sessions.inc();
        self.metrics.half_open.inc();
        Ok(Permit { admission: self.clone(), worker, half_open: Some(key) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The worker that the session is for.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// The handshake is done.
    pub(super) fn established(&mut self) {
        if let Some(client) = self.half_open.take() {
            self.admission.lock().no_longer_half_open(client);
            self.admission.metrics.half_open.dec();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.admission.lock();
        if let Some(client) = self.half_open.take() {
            inner.no_longer_half_open(client);
            self.admission.metrics.half_open.dec();
        }
        inner.sessions -= 1;
        inner.per_worker[self.worker] -= 1;
        self.admission.metrics.sessions.dec();
    }
}

impl Inner {
    /// What is remembered of a client.
    fn client(&mut self, client: IpAddr, limits: &Limits, now: Instant) -> &mut Client {
        if self.clients.len() >= self.clients_sweep {
            self.clients.retain(|_, known| known.half_open > 0 || !known.pace.is_at_rest(now));
        }
        let new = || Client { half_open: 0, pace: Pace::new(limits.per_client(), now) };
        self.clients.entry(network(client)).or_insert_with(new)
    }

    fn no_longer_half_open(&mut self, client: IpAddr) {
        self.half_open -= 1;
        if let Some(known) = self.clients.get_mut(&client) {
            known.half_open -= 1;
        }
    }
}

/// A pace (the generic cell rate algorithm): turns `interval` apart, [`BURST`] of them at once.
#[derive(Clone)]
struct Pace {
    interval: Duration,
    /// When the last turn given out would be over, had there been no burst.
    due: Instant,
}

impl Pace {
    fn new(per_sec: u32, now: Instant) -> Self {
        let mut pace = Self { interval: Duration::ZERO, due: now };
        pace.set(per_sec);
        pace
    }

    /// From now on turns are so many in a second.
    fn set(&mut self, per_sec: u32) {
        self.interval = Duration::from_secs(1) / per_sec.max(1);
    }

    /// When there is a turn.
    fn free(&self, now: Instant) -> Instant {
        // One turn is always within the burst, however slow the pace.
        let burst = BURST.saturating_sub(self.interval);
        now.max(self.due.checked_sub(burst).unwrap_or(now))
    }

    /// Takes the next turn, unless it is later than `until`.
    fn take_by(&mut self, now: Instant, until: Instant) -> Option<Instant> {
        let at = self.free(now);
        (at <= until).then(|| self.take(now))?;
        Some(at)
    }

    fn take(&mut self, now: Instant) {
        self.due = self.due.max(now) + self.interval;
    }

    /// Whether nothing is known of it that a new one would not say.
    fn is_at_rest(&self, now: Instant) -> bool {
        self.due <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::Registry;

    const LIMITS: Limits = Limits {
        sessions_max: 100,
        half_open_max: 8,
        half_open_per_client_max: 3,
        joins_per_sec_max: 100,
        egress_bps_max: None,
    };

    fn admission(limits: Limits) -> (Arc<Admission>, Instant) {
        let now = Instant::now();
        let metrics = Metrics::register(&Registry::new()).unwrap();
        (Arc::new(Admission::new(limits, 2, Arc::new(metrics), now)), now)
    }

    fn client(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn joins_begin_no_faster_than_the_pace_once_the_burst_is_used() {
        let (admission, start) = admission(LIMITS);
        let mut joined = 0;
        for ms in 0..10_000_u32 {
            let now = start + Duration::from_millis(ms.into());
            joined += usize::from(admission.turn(client(ms), now).is_ok());
            assert!(joined <= 100 + ms as usize / 10 + 1, "{joined} after {ms} ms");
        }
        assert_eq!(joined, 100 + 999);
    }

    #[test]
    fn one_client_cannot_use_up_the_pace() {
        let (admission, now) = admission(LIMITS);
        let greedy = (0..1_000).filter(|_| admission.turn(client(1), now).is_ok()).count();
        assert_eq!(greedy, 75);
        assert_eq!(admission.turn(client(1), now), Err(OfferError::ClientBusy));
        assert_eq!(admission.turn(client(2), now), Ok(()));
    }

    #[test]
    fn a_waiting_crowd_gets_turns_one_after_the_other() {
        let (admission, now) = admission(LIMITS);
        let until = now + Duration::from_secs(5);
        let turns: Vec<_> =
            (0..1_000).filter_map(|_| admission.edge_turn(now, until).ok()).collect();
        assert_eq!(turns.iter().filter(|at| **at == now).count(), 100);
        let spread = turns.windows(2).skip(99).all(|pair| pair[1] - pair[0] == LIMITS.interval());
        assert!(spread);
        assert_eq!(turns.len(), 600, "the rest would have waited in vain and is told so");
    }

    #[test]
    fn one_clients_crowd_waits_for_itself_and_for_nobody_else() {
        let (admission, now) = admission(LIMITS);
        let until = now + Duration::from_secs(30);
        let crowd: Vec<_> =
            (0..2_000).map(|_| admission.client_turn(client(1), now, until).unwrap()).collect();
        assert!(*crowd.last().unwrap() > now + Duration::from_secs(25));
        // Each asks the edge when its time has come. Somebody else always finds a turn.
        for (n, at) in crowd.into_iter().enumerate() {
            assert_eq!(admission.edge_turn(at, until), Ok(at));
            if n % 4 == 0 {
                assert_eq!(admission.turn(client(2 + n as u32), at), Ok(()), "{n}");
            }
        }
        assert!(admission.client_turn(client(1), now, now).is_err());
    }

    #[test]
    fn limits_that_change_are_for_those_who_come() {
        let (admission, _) = admission(Limits { sessions_max: 1, ..LIMITS });
        let _first = admission.permit(client(1)).unwrap();
        assert_eq!(admission.permit(client(2)).err(), Some(OfferError::Full));
        admission.set_limits(Limits { sessions_max: 2, ..LIMITS });
        let _second = admission.permit(client(2)).unwrap();
        admission.set_limits(Limits { sessions_max: 1, ..LIMITS });
        assert_eq!(admission.permit(client(3)).err(), Some(OfferError::Full));
        assert_eq!(admission.lock().sessions, 2, "nobody is sent away");
    }

    #[test]
    fn a_pace_that_changes_is_for_those_who_come() {
        let (admission, now) = admission(LIMITS);
        let joined = || (0..1_000).filter(|n| admission.turn(client(*n), now).is_ok()).count();
        assert_eq!(joined(), 100);
        admission.set_limits(Limits { joins_per_sec_max: 10, ..LIMITS });
        assert_eq!(joined(), 0);
        let later = now + Duration::from_secs(10);
        let joined = (0..1_000).filter(|n| admission.turn(client(*n), later).is_ok()).count();
        assert_eq!(joined, 10);
    }

    #[test]
    fn half_open_sessions_are_shared_between_clients_and_come_back() {
        let (admission, _) = admission(LIMITS);
        let mut held: Vec<_> = (0..3).map(|_| admission.permit(client(1)).unwrap()).collect();
        assert_eq!(admission.permit(client(1)).err(), Some(OfferError::ClientBusy));
        held.extend((0..5).map(|n| admission.permit(client(2 + n / 3)).unwrap()));
        assert_eq!(admission.permit(client(9)).err(), Some(OfferError::Busy));
        held[0].established();
        held[0].established();
        assert_eq!(admission.permit(client(2)).err(), Some(OfferError::ClientBusy));
        held.push(admission.permit(client(1)).unwrap());
        drop(held);
        let inner = admission.lock();
        assert_eq!((inner.sessions, inner.half_open), (0, 0));
        assert_eq!(*inner.per_worker, [0, 0]);
    }

    #[test]
    fn clients_at_rest_are_forgotten() {
        let (admission, mut now) = admission(LIMITS);
        for n in 0..5_000 {
            now += Duration::from_millis(10);
            admission.turn(client(n), now).unwrap();
            assert!(admission.lock().clients.len() <= 8 + 200);
        }
    }

    impl Limits {
        fn interval(&self) -> Duration {
            Duration::from_secs(1) / self.joins_per_sec_max
        }
    }
}
