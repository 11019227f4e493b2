//! What the relay counts, for operators.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

use super::paths::Paths;
use crate::metrics::Maker;

/// Counters of a publisher.
#[derive(Clone, Debug)]
pub struct PublisherMetrics {
    /// Subscriber sessions that are open.
    pub(super) sessions: IntGauge,
    /// Sessions that were not accepted, by reason.
    pub(super) refused: IntCounterVec,
    /// When the certificate that is shown expires.
    pub(super) certificate_expiry: IntGauge,
    /// The sessions' connections.
    pub(super) paths: Paths,
}

impl PublisherMetrics {
    /// Counters that `registry` exports.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let refused = "Relay sessions refused, by reason";
        Ok(Self {
            sessions: maker.gauge("lectern_relay_sessions", "Edges connected to this node")?,
            refused: maker.counters("lectern_relay_refused_total", refused, &["reason"])?,
            certificate_expiry: maker.gauge(
                "lectern_relay_certificate_expiry_timestamp_seconds",
                "When the certificate that the relay's port shows expires, Unix time; 0 if that is not known",
            )?,
            paths: Paths::register(registry, "relay", "connections from edges")?,
        })
    }
}

/// Counters of a subscriber.
#[derive(Clone, Debug)]
pub struct SubscriberMetrics {
    /// Connections to upstreams; 0 while no origin is heard of by them.
    pub(super) connected: IntGauge,
    /// Attempts to connect that failed, and connections that ended.
    pub(super) disconnects: IntCounter,
    /// Chunks handed over.
    pub(super) chunks: IntCounter,
    /// Groups given up before their end.
    pub(super) groups_skipped: IntCounter,
    /// Groups whose rest came by another way than their beginning.
    pub(super) groups_resumed: IntCounter,
    /// Groups with a sequence that no publisher of ours can have chosen.
    pub(super) groups_ignored: IntCounter,
    /// Chunks and catalogs that could not be read.
    pub(super) malformed: IntCounter,
    /// The connections to upstreams.
    pub(super) paths: Paths,
}

impl SubscriberMetrics {
    /// Counters that `registry` exports.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            connected: maker.gauge(
                "lectern_upstream_connected",
                "Connections to upstreams, while an origin is heard of by them",
            )?,
            disconnects: maker.counter(
                "lectern_upstream_disconnects_total",
                "Connections to the upstream that failed or ended",
            )?,
            chunks: maker.counter("lectern_upstream_chunks_total", "Chunks received")?,
            groups_skipped: maker.counter(
                "lectern_upstream_groups_skipped_total",
                "Groups given up because newer media was too far ahead",
            )?,
            groups_resumed: maker.counter(
                "lectern_upstream_groups_resumed_total",
                "Groups whose rest was fetched by another way when the first broke off",
            )?,
            groups_ignored: maker.counter(
                "lectern_upstream_groups_ignored_total",
                "Groups ignored because their sequence is not a period and an index",
            )?,
            malformed: maker.counter(
                "lectern_upstream_malformed_total",
                "Chunks and catalogs that could not be read",
            )?,
            paths: Paths::register(registry, "upstream", "connections to upstreams")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_distinct() {
        let registry = Registry::new();
        PublisherMetrics::register(&registry).expect("registered");
        SubscriberMetrics::register(&registry).expect("registered");
        assert!(SubscriberMetrics::register(&registry).is_err());
    }
}
