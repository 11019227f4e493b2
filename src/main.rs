//! The `lectern` binary: parse the command line, load the configuration, run the role.

use anyhow::Context as _;
use clap::Parser as _;

mod cli;
mod config;
mod descriptors;
mod ops;
mod role;

fn main() -> anyhow::Result<()> {
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(cli.log_filter()?)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout()))
        .init();
    let config = config::Config::load(cli.config.as_deref(), &cli.role)?;
    descriptors::raise(cli.role.has_edge().then_some(&config.edge));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(role::run(cli.role, config));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}
