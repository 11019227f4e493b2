//! The command line.

use std::path::PathBuf;

use clap::Parser;
use lectern_bench_rig::options::Common;

use crate::fault::Fault;
use crate::network::ORIGINS_MAX;

/// What viewers notice when something of a cluster fails.
///
/// Starts PostgreSQL, origins and edges in network namespaces, publishes by ffmpeg through a load balancer, and
/// watches over WebRTC, LL-DASH and LL-HLS while comments are written and read. Needs root, iproute2, nftables,
/// ffmpeg, a C compiler and PostgreSQL's server. The exit code is 1 if a comment was lost, or a
/// viewer would have had to reload.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// Which faults, one by one, each in a cluster of its own; all of them when absent.
    pub faults: Vec<Fault>,
    /// Then so many at random, one after the other in one cluster.
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub random: usize,
    /// What those at random are drawn by; it is printed, and drawn itself when absent.
    #[arg(long)]
    pub seed: Option<u64>,
    /// How long a fault lasts, where that is not its own affair.
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// Origins on one database.
    #[arg(long, default_value_t = ORIGINS_MAX, value_parser = origins)]
    pub origins: usize,
    /// Viewers by each path; what the worst of them sees is told.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub viewers: u16,
    /// A directory that keeps what the nodes said.
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Which `lectern`, and how edges are set up.
    #[command(flatten)]
    pub common: Common,
}

impl Default for Options {
    fn default() -> Self {
        Self::parse_from(["faults"])
    }
}

fn origins(text: &str) -> Result<usize, String> {
    let within = text.parse().ok().filter(|count| (1..=ORIGINS_MAX).contains(count));
    within.ok_or_else(|| format!("from 1 to {ORIGINS_MAX}"))
}
