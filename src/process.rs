//! What the process says of itself, beside what its roles count: which program it is, what it takes of the
//! machine, and whether it runs as its configuration says now.

use prometheus::process_collector::ProcessCollector;
use prometheus::{Error, IntGauge, IntGaugeVec, Opts, Registry};

use crate::telemetry;

/// The version, and the commit that it was built from.
pub(crate) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("LECTERN_COMMIT"), ")");

/// What every role's port exports. Clones are the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    build: IntGaugeVec,
    reloaded: IntGauge,
    /// What becomes of spans.
    pub(crate) spans: telemetry::Metrics,
}

impl Metrics {
    /// Of this program, which has just read its configuration.
    pub(crate) fn new() -> Result<Self, Error> {
        let build = Opts::new("lectern_build_info", "1, for the program that runs");
        let build = IntGaugeVec::new(build, &["version", "commit"])?;
        let labels = [env!("CARGO_PKG_VERSION"), env!("LECTERN_COMMIT")];
        build.with_label_values(&labels).set(1);
        let reloaded = IntGauge::new(
            "lectern_config_last_reload_successful",
            "Whether the process runs with its configuration as it was when it was last told to read it",
        )?;
        reloaded.set(1);
        Ok(Self { build, reloaded, spans: telemetry::Metrics::new()? })
    }

    /// Exports them in `registry` too.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), Error> {
        registry.register(Box::new(self.build.clone()))?;
        registry.register(Box::new(self.reloaded.clone()))?;
        self.spans.register(registry)?;
        registry.register(Box::new(ProcessCollector::for_self()))
    }

    /// The configuration was read again, and is used or not.
    pub(crate) fn reloaded(&self, successful: bool) {
        self.reloaded.set(successful.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_says_what_runs_and_what_it_takes() {
        let metrics = Metrics::new().expect("metrics");
        for registry in [Registry::new(), Registry::new()] {
            metrics.register(&registry).expect("registered");
            let families = registry.gather();
            let names: Vec<_> = families.iter().map(|family| family.name()).collect();
            for name in ["lectern_build_info", "process_open_fds", "process_resident_memory_bytes"]
            {
                assert!(names.contains(&name), "{names:?}");
            }
        }
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")) && VERSION.ends_with(')'));
    }
}
