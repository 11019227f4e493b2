//! What an operator can count of it.

use std::time::Duration;

use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, IntCounter, IntGauge, Registry};

/// Counters of what is wanted.
pub struct Metrics {
    announced: IntGauge,
    subscribed: IntGauge,
    media: IntCounter,
    nothing: IntCounter,
    refused: IntCounter,
    took: Histogram,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let warm_ups = maker.counters(
            "lectern_edge_warm_ups_total",
            "Broadcasts that were asked for and not subscribed to, by outcome: media came, nothing came \
             until they were let go of, or there was no room and the request was refused.",
            &["outcome"],
        )?;
        Ok(Self {
            announced: maker.gauge(
                "lectern_edge_broadcasts_announced",
                "Broadcasts that the upstream announces, of which the catalog is followed.",
            )?,
            subscribed: maker.gauge(
                "lectern_edge_broadcasts_subscribed",
                "Of these, those whose media and comments are subscribed to.",
            )?,
            media: warm_ups.with_label_values(&["media"]),
            nothing: warm_ups.with_label_values(&["nothing"]),
            refused: warm_ups.with_label_values(&["refused"]),
            took: maker.ages(
                "lectern_edge_warm_up_seconds",
                "Time from a broadcast's being asked for to its first media.",
            )?,
        })
    }

    pub(super) fn announced(&self, count: usize) {
        self.announced.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn subscribed(&self, count: usize) {
        self.subscribed.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(super) fn warmed(&self, after: Duration) {
        self.media.inc();
        self.took.observe(after.as_secs_f64());
    }

    pub(super) fn warmed_in_vain(&self) {
        self.nothing.inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }
}
