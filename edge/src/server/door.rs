//! Who is in: as many connections as configured, over all ports, and a share of them per client.
//!
//! A place is for one request at a time. A connection of HTTP/2 takes one more for each request beside
//! the first, as it would have taken a connection for it with HTTP/1.1: else its requests would
//! multiply what the limits mean by the streams of a connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::IntGauge;

use super::{Limits, Metrics};
use crate::client::{Proxies, Tally};

/// Counts who is in.
pub struct Door {
    max: AtomicUsize,
    per_client_max: AtomicUsize,
    pub(super) proxies: Proxies,
    pub(super) metrics: Metrics,
    inner: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    places: usize,
    by_client: Tally,
}

/// What takes a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guest {
    Connection,
    /// A request beside another on the same connection.
    Stream,
}

/// A place, free again when dropped.
pub(super) struct Place {
    door: Arc<Door>,
    peer: IpAddr,
    guest: Guest,
}

impl Door {
    /// Nobody is in.
    pub fn new(limits: Limits, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            max: limits.connections_max.into(),
            per_client_max: limits.connections_per_client_max.into(),
            proxies: limits.proxies,
            metrics,
            inner: Mutex::default(),
        })
    }

    /// From now on so many may be in, and so many of one client. Who is in stays.
    pub fn set(&self, max: usize, per_client_max: usize) {
        self.max.store(max, Ordering::Relaxed);
        self.per_client_max.store(per_client_max, Ordering::Relaxed);
    }

    /// A place for a guest from `peer`, or the limit that stands against it.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        guest: Guest,
    ) -> Result<Place, &'static str> {
        let inside = &mut *self.lock();
        let of_client = inside.by_client.of(peer);
        let full = inside.places >= self.max.load(Ordering::Relaxed);
        let per_client_max = self.per_client_max.load(Ordering::Relaxed);
        let greedy = of_client >= per_client_max && !self.proxies.trust(peer);
        let limit = match (full, greedy) {
            (true, _) => "all",
            (_, true) => "client",
            _ => {
                inside.places += 1;
                inside.by_client.add(peer);
                self.gauge(guest).inc();
                return Ok(Place { door: self.clone(), peer, guest });
            }
        };
        let refused = match guest {
            Guest::Connection => &self.metrics.refused,
            Guest::Stream => &self.metrics.streams_refused,
        };
        refused.with_label_values(&[limit]).inc();
        Err(limit)
    }

    fn gauge(&self, guest: Guest) -> &IntGauge {
        match guest {
            Guest::Connection => &self.metrics.connections,
            Guest::Stream => &self.metrics.streams,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        inside.places -= 1;
        inside.by_client.remove(self.peer);
        self.door.gauge(self.guest).dec();
    }
}
