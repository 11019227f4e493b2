//! What an edge says of itself as a whole: how much it takes on, and whether it is about to stop.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntGauge, IntGaugeVec, Registry};

use crate::config::Config;

/// All clones say the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    limits: IntGaugeVec,
    pub(crate) draining: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            limits: maker.gauges(
                "lectern_edge_limit",
                "The most that this edge takes on, by the setting; egress in bits a second, where it is bounded.",
                &["limit"],
            )?,
            draining: maker.gauge(
                "lectern_edge_draining",
                "Whether this edge is about to stop, and tells players to go to another",
            )?,
        })
    }

    /// These are in force.
    pub(crate) fn limits(&self, config: &Config) {
        let whep = config.whep();
        let set = |name, limit: u64| {
            self.limits.with_label_values(&[name]).set(i64::try_from(limit).unwrap_or(i64::MAX));
        };
        set("sessions_max", whep.sessions_max as u64);
        set("half_open_max", whep.half_open_max as u64);
        set("joins_per_sec_max", whep.joins_per_sec().into());
        set("media_tcp_max", whep.tcp_connections_max as u64);
        set("http_connections_max", config.http_connections_max.get() as u64);
        set("broadcasts_max", config.broadcasts_max.get() as u64);
        match whep.egress_bps_max {
            Some(bps) => set("egress_bps_max", bps),
            // In vain where it was not there.
            None => drop(self.limits.remove_label_values(&["egress_bps_max"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_change_are_told_and_one_that_is_not_there_is_not() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let told = |config: &Config| {
            metrics.limits(config);
            prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
        };
        let bounded =
            Config { sessions_max: 7, egress_mbps_max: Some(3), workers: 2, ..Config::default() };
        let text = told(&bounded);
        for (limit, value) in
            [("sessions_max", 7), ("egress_bps_max", 3_000_000), ("joins_per_sec_max", 600)]
        {
            let line = format!("lectern_edge_limit{{limit=\"{limit}\"}} {value}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(!told(&Config::default()).contains("egress_bps_max"));
    }
}
