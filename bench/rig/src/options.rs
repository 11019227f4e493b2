//! What every load benchmark can be told on its command line.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

/// Which `lectern` to measure, how it is set up, and where results go.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// A line for the edge's configuration, such as `window_secs=30`. May be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub edge: Vec<String>,
    /// The `lectern` to measure; the one beside this program when absent.
    #[arg(long, value_name = "FILE", env = "LECTERN_BIN")]
    pub bin: Option<PathBuf>,
    /// Writes the results to a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Shows what the servers log.
    #[arg(long)]
    pub verbose: bool,
}

impl Common {
    /// Writes `results` to the file that was named, if one was.
    pub fn write(&self, results: &impl Serialize) -> anyhow::Result<()> {
        let Some(file) = &self.json else { return Ok(()) };
        let json = serde_json::to_vec_pretty(results)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))
    }
}
