//! The command line.

use clap::Parser;
use lectern_bench_rig::options::Common;

/// What thousands of viewers who read along cost an edge, and how soon they read what is written.
///
/// Starts an origin and an edge of its own. The edge has core 0; the origin, its database and all viewers
/// share core 1.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Bench {
    /// Viewers who read along.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    pub(crate) readers: u64,
    /// Comments a second, of writers each of whom writes one every 2.5 seconds.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=180))]
    pub(crate) rate: u64,
    /// Seconds for which they write.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=120))]
    pub(crate) seconds: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}
