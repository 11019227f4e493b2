//! How both roles make what they count: one way to register, and one scale for ages.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Error, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, exponential_buckets,
};

/// The scale of ages: 50 µs is a hop on one machine, 10 s is as good as lost; a quarter between
/// buckets keeps quantiles honest to about a tenth.
const AGE_MIN_S: f64 = 50e-6;
const AGE_FACTOR: f64 = 1.25;
const AGE_BUCKETS: usize = 56;

/// Makes metrics that a registry exports. Each call fails if the registry has one of that name, or
/// if the name is none.
#[derive(Clone, Copy)]
pub struct Maker<'a>(pub &'a Registry);

impl Maker<'_> {
    /// A number that only grows.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.register(IntCounter::new(name, help)?)
    }

    /// One such number for each value of `labels`, none of which a stranger may choose.
    pub fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// Seconds that only grow, for each value of `labels`.
    pub fn seconds_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
        self.register(CounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A number that says how it is now.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.register(IntGauge::new(name, help)?)
    }

    /// One such number for each value of `labels`, none of which a stranger may choose.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// Seconds, as they are now.
    pub fn seconds(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.register(Gauge::new(name, help)?)
    }

    /// A distribution of ages, in seconds.
    pub fn ages(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        self.register(Histogram::with_opts(ages(name, help)?)?)
    }

    /// One such distribution for each value of `labels`.
    pub fn ages_by(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, Error> {
        self.register(HistogramVec::new(ages(name, help)?, labels)?)
    }

    fn register<M: Collector + Clone + 'static>(&self, metric: M) -> Result<M, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn ages(name: &str, help: &str) -> Result<HistogramOpts, Error> {
    let buckets = exponential_buckets(AGE_MIN_S, AGE_FACTOR, AGE_BUCKETS)?;
    Ok(HistogramOpts::new(name, help).buckets(buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_exported_and_ages_reach_ten_seconds() {
        let registry = Registry::new();
        let maker = Maker(&registry);
        maker.counter("one_total", "One").expect("made").inc();
        assert!(maker.gauge("one_total", "Another").is_err(), "a name is taken once");
        maker.ages("age_seconds", "Age").expect("made").observe(10.0);
        let families = registry.gather();
        let names: Vec<&str> = families.iter().map(|family| family.name()).collect();
        assert_eq!(names, ["age_seconds", "one_total"]);
        let buckets = &families[0].get_metric()[0].get_histogram().get_bucket().to_vec();
        let last =
            buckets.last().map(|bucket| (bucket.upper_bound() > 10.0, bucket.cumulative_count()));
        assert_eq!(last, Some((true, 1)));
    }
}
