//! What the origin counts beyond ingest: takes, periods, drops, and the age of what it publishes.

mod ingest;

use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

pub use self::ingest::{Ingest, IngestOf};

/// Broadcasts that metrics name, unless something else is said.
pub(crate) const NAMED_MAX: usize = 100;

/// The origin's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Publisher connections that began to send media.
    pub takes: IntCounter,
    /// Publisher connections that send media now.
    pub takes_live: IntGauge,
    /// Takes that another publisher put an end to.
    pub takeovers: IntCounter,
    /// Publish attempts refused, by reason.
    pub refused: IntCounterVec,
    /// Periods begun.
    pub periods: IntCounter,
    /// Broadcasts that became this origin's to publish, or another's, by which.
    pub owned: IntCounterVec,
    /// Frames left out, by reason.
    pub dropped: IntCounterVec,
    /// Broadcasts that the doctor finds something in, by its code.
    pub findings: IntGaugeVec,
    /// From the arrival of a video frame's last byte to its chunk being handed to the relay.
    pub publish_age: Histogram,
    /// What publishers send, for each broadcast.
    pub ingest: Ingest,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Self::register_naming(registry, NAMED_MAX)
    }

    /// The same, which name so many broadcasts at most.
    pub fn register_naming(
        registry: &Registry,
        named_max: usize,
    ) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            takes: maker.counter(
                "lectern_origin_takes_total",
                "Publisher connections that began to send media.",
            )?,
            takes_live: maker.gauge(
                "lectern_origin_takes_live",
                "Publisher connections that send media now.",
            )?,
            takeovers: maker.counter(
                "lectern_origin_takeovers_total",
                "Takes that another publisher put an end to.",
            )?,
            refused: maker.counters(
                "lectern_origin_publish_refused_total",
                "Publish attempts refused, by reason.",
                &["reason"],
            )?,
            periods: maker.counter("lectern_origin_periods_total", "Periods begun.")?,
            owned: maker.counters(
                "lectern_origin_ownership_changes_total",
                "Broadcasts that became this origin's to publish (gained), or another's (lost).",
                &["change"],
            )?,
            dropped: maker.counters(
                "lectern_origin_dropped_total",
                "Frames left out of broadcasts, by reason.",
                &["reason"],
            )?,
            findings: maker.gauges(
                "lectern_origin_findings",
                "Broadcasts in which the doctor finds something that hurts viewers, by its code.",
                &["code"],
            )?,
            ingest: Ingest::register(registry, named_max)?,
            publish_age: maker.ages(
                "lectern_origin_publish_age_seconds",
                "From the arrival of a video frame's last byte to its chunk being handed to the relay.",
            )?,
        })
    }
}
