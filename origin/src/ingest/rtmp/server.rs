//! Accepts RTMP connections and gives each its own task and span. Limits and the answer to a panic
//! live here; what is said on a connection is the connection's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use lectern_relay_proto::request::Id;
use prometheus::IntGauge;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::connection::{self, Ended};
use super::metrics::Metrics;
use crate::ingest::Gate;

/// How long accepting pauses when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Limits of the server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections at one time. One that does not publish costs up to 300 KiB of memory; one that
    /// does, at worst 9 MiB, usually as much as its largest picture.
    pub connections_max: usize,
    /// Connections at one time from one IPv4 address, or one /64 of IPv6: a lecture hall's
    /// encoders may share an address.
    pub connections_per_address_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { connections_max: 512, connections_per_address_max: 32 }
    }
}

/// Accepts connections on one listener.
pub struct Server<G> {
    listener: TcpListener,
    gate: Arc<G>,
    metrics: Arc<Metrics>,
    slots: Arc<Slots>,
}

impl<G: Gate> Server<G> {
    /// A server for a bound listener.
    pub fn new(listener: TcpListener, gate: Arc<G>, config: Config, metrics: Metrics) -> Self {
        let open = metrics.connections.clone();
        let slots = Arc::new(Slots { config: config.into(), open, by_address: Mutex::default() });
        Self { listener, gate, metrics: Arc::new(metrics), slots }
    }

    /// By which its limits are changed while it runs.
    pub fn limiter(&self) -> Limiter {
        Limiter(self.slots.clone())
    }

    /// Serves until `shutdown` is cancelled, then tells every encoder and waits for the farewells,
    /// two seconds at most.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, peer)) => self.admit(&mut connections, socket, peer, &shutdown),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept RTMP connections");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(result) = connections.join_next() => self.note_panic(result),
                () = shutdown.cancelled() => break,
            }
        }
        while let Some(result) = connections.join_next().await {
            self.note_panic(result);
        }
    }

    fn admit(
        &self,
        connections: &mut JoinSet<()>,
        socket: TcpStream,
        peer: SocketAddr,
        shutdown: &CancellationToken,
    ) {
        let slot = match Slots::take(&self.slots, peer.ip()) {
            Ok(slot) => slot,
            Err(full) => {
                self.metrics.connections_refused.with_label_values(&[full]).inc();
                tracing::debug!(%peer, full, "RTMP connection refused");
                return;
            }
        };
        // Answers are small and awaited.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let (gate, metrics) = (self.gate.clone(), self.metrics.clone());
        let shutdown = shutdown.clone();
        let serve = async move {
            let _slot = slot;
            let ended = connection::run(socket, peer, &*gate, &metrics, shutdown).await;
            metrics.connections_ended.with_label_values(&[ended.reason()]).inc();
            match ended {
                // What port scans and health checks do.
                Ended::ByEncoder => tracing::debug!("{ended}"),
                _ => tracing::info!("connection ended: {ended}"),
            }
        };
        let (session, broadcast) = (Id::fresh(), tracing::field::Empty);
        connections
            .spawn(serve.instrument(tracing::info_span!("rtmp", %session, broadcast, %peer)));
    }

    fn note_panic(&self, result: Result<(), JoinError>) {
        if let Err(error) = result
            && error.is_panic()
        {
            self.metrics.panics.inc();
            tracing::error!("an RTMP connection panicked and was closed; the others go on");
        }
    }
}

/// Counts connections, in all and by address.
struct Slots {
    config: RwLock<Config>,
    open: IntGauge,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place in the count.
struct Slot {
    slots: Arc<Slots>,
    address: IpAddr,
}

/// Changes the limits of a server.
#[derive(Clone)]
pub struct Limiter(Arc<Slots>);

impl Limiter {
    /// From now on these are good. Who is connected stays.
    pub fn set(&self, config: Config) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }
}

impl Slots {
    /// A place for a connection from `ip`, or which limit is reached.
    fn take(slots: &Arc<Self>, ip: IpAddr) -> Result<Slot, &'static str> {
        let address = network(ip);
        let config = slots.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut by_address = slots.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.values().sum::<usize>() >= config.connections_max {
            return Err("total");
        }
        let count = by_address.entry(address).or_default();
        if *count >= config.connections_per_address_max {
            return Err("address");
        }
        *count += 1;
        slots.open.inc();
        Ok(Slot { slots: slots.clone(), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.open.dec();
        let mut by_address = self.slots.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// What one host can choose addresses from: itself in IPv4, its /64 in IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(connections_max: usize, connections_per_address_max: usize) -> Arc<Slots> {
        let open = IntGauge::new("open", "open").unwrap();
        let config = Config { connections_max, connections_per_address_max };
        Arc::new(Slots { config: config.into(), open, by_address: Mutex::default() })
    }

    fn take(slots: &Arc<Slots>, ip: &str) -> Result<Slot, &'static str> {
        Slots::take(slots, ip.parse().unwrap())
    }

    #[test]
    fn one_address_cannot_take_every_slot() {
        let slots = slots(3, 2);
        let first = take(&slots, "192.0.2.1").unwrap();
        let _second = take(&slots, "::ffff:192.0.2.1").unwrap();
        assert_eq!(take(&slots, "192.0.2.1").err(), Some("address"));
        let _other = take(&slots, "192.0.2.2").unwrap();
        assert_eq!(take(&slots, "192.0.2.3").err(), Some("total"));
        assert_eq!(slots.open.get(), 3);
        drop(first);
        assert!(take(&slots, "192.0.2.3").is_ok());
        assert_eq!(slots.open.get(), 2);
    }

    #[test]
    fn limits_that_change_are_for_those_who_come() {
        let slots = slots(1, 1);
        let _first = take(&slots, "192.0.2.1").unwrap();
        assert_eq!(take(&slots, "192.0.2.2").err(), Some("total"));
        Limiter(slots.clone()).set(Config { connections_max: 2, connections_per_address_max: 1 });
        let _second = take(&slots, "192.0.2.2").unwrap();
        Limiter(slots.clone()).set(Config { connections_max: 1, connections_per_address_max: 1 });
        assert_eq!(take(&slots, "192.0.2.3").err(), Some("total"));
        assert_eq!(slots.open.get(), 2, "nobody is sent away");
    }

    #[test]
    fn a_64_of_ipv6_counts_as_one_address() {
        let slots = slots(9, 1);
        let _slot = take(&slots, "2001:db8::1").unwrap();
        assert_eq!(take(&slots, "2001:db8::2").err(), Some("address"));
        assert!(take(&slots, "2001:db8:0:1::1").is_ok());
    }
}
