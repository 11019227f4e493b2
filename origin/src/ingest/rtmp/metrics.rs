//! What an operator can see of RTMP ingest. No label carries anything that a peer chose.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

/// Counters of all RTMP connections together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Connections open now.
    pub connections: IntGauge,
    /// Encoders publishing now.
    pub publishers: IntGauge,
    /// Connections closed at once, by `reason`: `total` or `address` is at its limit.
    pub connections_refused: IntCounterVec,
    /// Connections that ended, by `reason`.
    pub connections_ended: IntCounterVec,
    /// Requests to publish, by `result`.
    pub publishes: IntCounterVec,
    /// Bytes read from encoders.
    pub received_bytes: IntCounter,
    /// Tags handed on, by `kind`.
    pub tags: IntCounterVec,
    /// What was left out or ended a connection, by `reason`.
    pub bad_input: IntCounterVec,
    /// Connections whose task panicked.
    pub panics: IntCounter,
}

impl Metrics {
    /// Creates the metrics in `registry`. Fails if they are there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let by_label = |name: &str, help: &str, label: &str| maker.counters(name, help, &[label]);
        Ok(Self {
            connections: maker.gauge("lectern_rtmp_connections", "RTMP connections open now")?,
            publishers: maker
                .gauge("lectern_rtmp_publishers", "Encoders publishing over RTMP now")?,
            connections_refused: by_label(
                "lectern_rtmp_connections_refused_total",
                "RTMP connections closed at once because a limit was reached",
                "reason",
            )?,
            connections_ended: by_label(
                "lectern_rtmp_connections_ended_total",
                "RTMP connections that ended",
                "reason",
            )?,
            publishes: by_label(
                "lectern_rtmp_publishes_total",
                "Requests to publish over RTMP",
                "result",
            )?,
            received_bytes: maker
                .counter("lectern_rtmp_received_bytes_total", "Bytes read from RTMP encoders")?,
            tags: by_label("lectern_rtmp_tags_total", "Tags received over RTMP", "kind")?,
            bad_input: by_label(
                "lectern_rtmp_bad_input_total",
                "RTMP input that was left out or ended a connection",
                "reason",
            )?,
            panics: maker
                .counter("lectern_rtmp_panics_total", "RTMP connections ended by a panic")?,
        })
    }
}
