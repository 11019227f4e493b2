//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lectern_bench_rig::options::Common;

/// What a WebRTC viewer costs an edge that is pinned to one core, and what the viewer sees.
///
/// Starts an origin and an edge of its own, publishes to them, and watches with real WHEP, ICE, DTLS
/// and SRTP. The edge has core 0; origin, publisher and viewers share core 1.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) bench: Bench,
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What to measure.
#[derive(Clone, Debug, Args)]
pub(crate) struct Bench {
    /// How many viewers, one run each. Empty: no such runs.
    #[arg(long, value_delimiter = ',', default_value = "50,200,500,1000")]
    pub(crate) viewers: Vec<usize>,
    /// Seconds over which a run, and the floor beside it, are measured.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) seconds: u64,
    /// Per cent of the viewers that decrypt and depacketize; at least five of them do.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) full_percent: u64,
    /// Viewers that join per second in the runs.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=2000))]
    pub(crate) join_rate: u64,
    /// Frames from one stamp to the next. A stamp is an SEI of its own and costs a packet and a
    /// send, so that one in every frame would be measured too.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=240))]
    pub(crate) stamp_every: u64,
    /// Joins per second of the storm; 0 for no storm.
    #[arg(long, default_value_t = 200)]
    pub(crate) storm_rate: u64,
    /// Seconds that the storm lasts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) storm_seconds: u64,
    /// Viewers that are there already when the storm begins.
    #[arg(long, default_value_t = 200)]
    pub(crate) storm_onto: usize,
    /// Viewers of the run with loss; 0 for no such run. It needs root.
    #[arg(long, default_value_t = 20)]
    pub(crate) loss_viewers: usize,
    /// Seconds that the run with loss is measured.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) loss_seconds: u64,
    /// Per cent of datagrams lost, each way.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=50))]
    pub(crate) loss_percent: u64,
    /// Round trip of the run with loss, in milliseconds.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub(crate) loss_rtt_ms: u64,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Parts that the benchmark starts as processes of their own.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Part {
    /// Seals and sends as a file says, and nothing else.
    #[command(hide = true)]
    Floor {
        /// The file.
        plan: PathBuf,
    },
    /// The run with loss, from inside a network namespace.
    #[command(hide = true)]
    Lossy {
        /// The namespace that the edge is to be in.
        edge_namespace: String,
    },
}
