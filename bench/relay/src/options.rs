//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// What a hop of the relay adds and costs, and what arrives over a path that is bad.
///
/// Origins, relays and edges are processes of their own on loopback, and speak to each other as the
/// product's do. Each broadcast is 30 pictures of 10 kB and 50 packets of 200 bytes of sound a second.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Bench {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,
    /// The most hops after which a broadcast is watched.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=8))]
    pub(crate) hops: u64,
    /// Seconds for which hops are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) hop_seconds: u64,
    /// How many broadcasts go through one relay, one run each, fewest first. After one that breaks, the
    /// number at which it does is looked for.
    #[arg(long, value_delimiter = ',', default_value = "1,50,500",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) broadcasts: Vec<u16>,
    /// Seconds for which each run is measured that is about cost.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) seconds: u64,
    /// How many broadcasts go through a relay that keeps a window of them for others.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) window_broadcasts: u16,
    /// How long that window is, in seconds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(5..=600))]
    pub(crate) window_secs: u64,
    /// How many broadcasts are announced, of which few are watched.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=4000))]
    pub(crate) announced: u16,
    /// How many of them are watched; as many again have media and nobody who watches.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) watched: u16,
    /// Seconds for which each bad path is measured.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub(crate) path_seconds: u64,
    /// Of a hundred datagrams, how many a lossy path loses, each way.
    #[arg(long, default_value_t = 2.0, value_parser = per_cent)]
    pub(crate) loss_percent: f64,
    /// Round trip of a lossy path, in milliseconds.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub(crate) loss_rtt_ms: u64,
    /// How many broadcasts share a path that is too narrow.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) narrow_broadcasts: u16,
    /// How much of what they are it carries, per cent.
    #[arg(long, default_value_t = 60.0, value_parser = per_cent)]
    pub(crate) narrow_percent: f64,
    /// What datagrams are lost by; shown, so that a run can be had again.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Writes the results to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Shows what nodes log.
    #[arg(long)]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Bench {
    /// Whether a part is to be run.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// What each hop adds.
    Hops,
    /// What broadcasts cost, and how many of them go through.
    Cost,
    /// What a window costs that is kept for others.
    Window,
    /// What broadcasts cost that nobody watches.
    Announced,
    /// What arrives over a path with loss.
    Loss,
    /// What arrives over a path that is too narrow.
    Narrow,
}

/// What the benchmark starts as processes of their own.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Role {
    /// A node, which is told on its standard input what to be.
    #[command(hide = true)]
    Node,
}

fn per_cent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (0.0..=100.0).contains(&value).then_some(value).ok_or_else(|| "not 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Bench::command().debug_assert();
        let bench = Bench::parse_from(["bench", "--only", "loss,narrow"]);
        assert!(bench.has(Part::Narrow) && !bench.has(Part::Hops));
        assert_eq!(bench.broadcasts, [1, 50, 500]);
        assert!(per_cent("101").is_err() && per_cent("nan").is_err());
    }
}
