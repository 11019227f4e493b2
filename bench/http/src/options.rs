//! The command line.

use clap::Parser;
use lectern_bench_rig::options::Common;

/// What an edge serves over HTTP from one core, beside nginx that serves the same bytes as files.
///
/// Starts an origin, an edge and an nginx of its own and publishes 2.5 Mb/s of 720p30. Edge and nginx
/// have core 0, one after the other is loaded; origin, publisher and the load share core 1.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Bench {
    /// Seconds for which each server is asked for each object, in each round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// Rounds, in each of which both servers have their turn. The median is shown.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=50))]
    pub(crate) rounds: u64,
    /// Connections over which objects are asked for, one request after the other.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=4000))]
    pub(crate) connections: u64,
    /// Only these objects: segment, part, mpd, multivariant, playlist.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Clients that wait for the next part in a blocking playlist reload; 0 for no such run.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=4000))]
    pub(crate) waiting: u64,
    /// Seconds for which they do.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=45))]
    pub(crate) reload_seconds: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}
