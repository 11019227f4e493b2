//! What an operator can see of WHIP ingest. No label carries anything that a peer chose.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

/// Counters of all sessions together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Sessions that are there, connected or not.
    pub sessions: IntGauge,
    /// Of these, those that are connected.
    pub publishers: IntGauge,
    /// Requests to publish, by `result`.
    pub publishes: IntCounterVec,
    /// Sessions that ended, by `reason`.
    pub ended: IntCounterVec,
    /// Bytes of datagrams from publishers.
    pub received_bytes: IntCounter,
    /// Tags handed on, by `kind`.
    pub tags: IntCounterVec,
    /// Datagrams that were dropped, by `reason`.
    pub dropped: IntCounterVec,
    /// Pictures that were left out, by `reason`.
    pub pictures_left_out: IntCounterVec,
    /// Sessions whose task panicked.
    pub panics: IntCounter,
}

impl Metrics {
    /// Creates the metrics in `registry`. Fails if they are there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let by_label = |name: &str, help: &str, label: &str| maker.counters(name, help, &[label]);
        Ok(Self {
            sessions: maker.gauge("lectern_whip_sessions", "WHIP sessions open now")?,
            publishers: maker
                .gauge("lectern_whip_publishers", "Publishers connected by WHIP now")?,
            publishes: by_label(
                "lectern_whip_publishes_total",
                "Requests to publish by WHIP",
                "result",
            )?,
            ended: by_label(
                "lectern_whip_sessions_ended_total",
                "WHIP sessions that ended",
                "reason",
            )?,
            received_bytes: maker.counter(
                "lectern_whip_received_bytes_total",
                "Bytes of datagrams from WHIP publishers",
            )?,
            tags: by_label("lectern_whip_tags_total", "Tags received by WHIP", "kind")?,
            dropped: by_label(
                "lectern_whip_dropped_total",
                "Datagrams to the WHIP media port that were dropped",
                "reason",
            )?,
            pictures_left_out: by_label(
                "lectern_whip_pictures_left_out_total",
                "Pictures left out since packets were lost, or since they depend on such",
                "reason",
            )?,
            panics: maker.counter("lectern_whip_panics_total", "WHIP sessions ended by a panic")?,
        })
    }
}
