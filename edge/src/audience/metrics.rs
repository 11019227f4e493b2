//! What is counted of those who watch.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntGauge, Registry};

use super::Viewers;
use super::roll::Beyond;

/// How many watch.
pub struct Metrics {
    /// In the order of [`Viewers::by_path`].
    viewers: [IntGauge; 3],
    /// In the order of [`Beyond`].
    uncounted: [IntCounter; Beyond::ALL.len()],
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let viewers = maker.gauges(
            "lectern_edge_viewers",
            "Viewers now, over all broadcasts: WebRTC sessions that are established, and by DASH and \
             HLS players that report or ask for media.",
            &["path"],
        )?;
        let uncounted = maker.counters(
            "lectern_edge_viewers_uncounted_total",
            "Reports and requests of players over HTTP that were not counted as viewers, by the limit \
             that was reached.",
            &["limit"],
        )?;
        Ok(Self {
            viewers: Viewers::PATHS.map(|path| viewers.with_label_values(&[path])),
            uncounted: Beyond::ALL.map(|limit| uncounted.with_label_values(&[limit])),
        })
    }

    pub(super) fn tell(&self, all: Viewers) {
        for (gauge, count) in self.viewers.iter().zip(all.by_path()) {
            gauge.set(count.into());
        }
    }

    pub(super) fn uncounted(&self, limit: Beyond) {
        self.uncounted[limit as usize].inc();
    }
}
