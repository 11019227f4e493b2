//! The `lectern` binary: parse the command line, load the configuration, run the role.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

mod cli;
mod config;
mod descriptors;
mod ops;
mod role;

fn main() -> ExitCode {
    match run(&cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it, in one line: without those causes that it names itself.
fn told(error: &anyhow::Error) -> String {
    let mut told = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn run(cli: &cli::Cli) -> anyhow::Result<()> {
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
    let done = runtime.block_on(role::run(cli.role.clone(), config));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || std::io::Error::other("permission denied");
        let check = |error: anyhow::Error, expect: &str| assert_eq!(told(&error), expect);
        check(
            anyhow::Error::new(cause()).context("cannot start"),
            "cannot start: permission denied",
        );
        let named = format!("cannot start: {}", cause());
        check(anyhow::Error::new(cause()).context(named), "cannot start: permission denied");
    }
}
