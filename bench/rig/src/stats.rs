//! Quantiles of what was measured.

use serde::{Deserialize, Serialize};

/// Quantiles of a set of times, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many times there were.
    pub count: usize,
    /// The median.
    pub p50_ms: f64,
    /// What 95 % of them do not exceed.
    pub p95_ms: f64,
    /// What 99 % of them do not exceed.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Quantiles {
    /// Of times in microseconds, in any order. All zero if there are none.
    pub fn of_micros(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |q: f64| {
            // The nearest rank: the least time that a share `q` of them does not exceed.
            let rank = (q * times.len() as f64).ceil() as usize;
            times.get(rank.saturating_sub(1)).map_or(0.0, |time| *time as f64 / 1_000.0)
        };
        Self {
            count: times.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_nearest_rank() {
        let all = Quantiles::of_micros((1..=100).rev().map(|n| n * 1_000).collect());
        assert_eq!((all.count, all.p50_ms, all.p95_ms), (100, 50.0, 95.0));
        assert_eq!((all.p99_ms, all.max_ms), (99.0, 100.0));
        let one = Quantiles::of_micros(vec![1_500]);
        assert_eq!((one.p50_ms, one.max_ms), (1.5, 1.5));
        assert_eq!(Quantiles::of_micros(Vec::new()), Quantiles::default());
    }
}
