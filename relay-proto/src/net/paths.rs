//! How the ways between nodes are: round trips and packets lost, of the connections that are open and of
//! those that were. Connections are asked when somebody reads the metrics, and not before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Error, Gauge, IntCounter, Registry};

/// The connections of one side: those to upstreams, or those from edges. Clones are the same.
#[derive(Clone)]
pub(super) struct Paths(Arc<Inner>);

struct Inner {
    /// The longest of the open connections.
    rtt: Gauge,
    sent: IntCounter,
    lost: IntCounter,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// With what of each is counted already.
    connections: BTreeMap<u64, (quinn::Connection, Counted)>,
}

/// Packets of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    sent: u64,
    lost: u64,
}

/// A connection that is looked at for as long as this lives.
pub(super) struct Seen {
    paths: Paths,
    key: u64,
}

impl Paths {
    /// Those of `side`, such as `upstream`: a part of the metrics' names, and what it is called.
    pub(super) fn register(registry: &Registry, side: &str, whose: &str) -> Result<Self, Error> {
        let name = |what: &str| format!("lectern_{side}_{what}");
        let inner = Inner {
            rtt: Gauge::new(
                name("path_round_trip_seconds"),
                format!("The longest round trip of {whose} that are open, smoothed"),
            )?,
            sent: IntCounter::new(
                name("path_packets_sent_total"),
                format!("QUIC packets sent over {whose}"),
            )?,
            lost: IntCounter::new(
                name("path_packets_lost_total"),
                format!("Of the QUIC packets sent over {whose}, those that were lost"),
            )?,
            open: Mutex::default(),
        };
        let paths = Self(Arc::new(inner));
        registry.register(Box::new(paths.clone()))?;
        Ok(paths)
    }

    /// Looks at `connection` too. Whoever holds what is returned holds the connection open.
    pub(super) fn see(&self, connection: quinn::Connection) -> Seen {
        let mut open = self.lock();
        let key = open.next;
        open.next += 1;
        open.connections.insert(key, (connection, Counted::default()));
        Seen { paths: self.clone(), key }
    }

    fn count(&self, connection: &quinn::Connection, counted: &mut Counted) {
        let path = connection.stats().path;
        let now = Counted { sent: path.sent_packets, lost: path.lost_packets };
        let more = now.since(*counted);
        self.0.sent.inc_by(more.sent);
        self.0.lost.inc_by(more.lost);
        *counted = now;
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What came to it. A connection that has moved to another path begins to count anew.
    fn since(self, before: Self) -> Self {
        let more = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        Self { sent: more(self.sent, before.sent), lost: more(self.lost, before.lost) }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let seen = self.paths.lock().connections.remove(&self.key);
        if let Some((connection, mut counted)) = seen {
            self.paths.count(&connection, &mut counted);
        }
    }
}

impl Collector for Paths {
    fn desc(&self) -> Vec<&Desc> {
        [self.0.rtt.desc(), self.0.sent.desc(), self.0.lost.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut longest = 0.0_f64;
        for (connection, counted) in self.lock().connections.values_mut() {
            self.count(connection, counted);
            longest = longest.max(connection.rtt().as_secs_f64());
        }
        self.0.rtt.set(longest);
        [self.0.rtt.collect(), self.0.sent.collect(), self.0.lost.collect()].concat()
    }
}

impl std::fmt::Debug for Paths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Paths(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_been_counted_is_not_counted_again() {
        let at = |sent, lost| Counted { sent, lost };
        assert_eq!(at(10, 2).since(at(4, 2)), at(6, 0));
        assert_eq!(at(3, 1).since(at(40, 1)), at(3, 0), "on another path");
    }

    #[test]
    fn each_side_has_its_own() {
        let registry = Registry::new();
        Paths::register(&registry, "upstream", "connections").expect("registered");
        Paths::register(&registry, "relay", "connections").expect("registered");
        let families = registry.gather();
        let names: Vec<_> = families.iter().map(|family| family.name()).collect();
        assert_eq!(names.len(), 6);
        assert!(names.contains(&"lectern_relay_path_packets_lost_total"), "{names:?}");
    }
}
