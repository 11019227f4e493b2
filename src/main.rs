//! The `lectern` binary: parse the command line, load the configuration and look at it, run the role.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use lectern_relay_proto::net::check::{Fault, Scope, Weight};

use crate::cli::{Command, Role};
use crate::config::Config;

mod check;
mod cli;
mod config;
mod descriptors;
mod ops;
mod role;

/// As sysexits.h has it: service managers can be told not to try again (RestartPreventExitStatus=78).
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match &cli.command {
        Command::Run(role) => run(&cli, role),
        Command::CheckConfig(what) => check_config(&cli, what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Refused(faults)) => {
            say(&faults);
            ExitCode::from(EX_CONFIG)
        }
        Err(Stopped::Failed(error)) => {
            eprintln!("error: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// Why the process ended before it was told to.
enum Stopped {
    /// The configuration is wrong, and will be until somebody changes it.
    Refused(Vec<Fault>),
    /// Something else, which may be otherwise the next time.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Tells faults, one in a line.
fn say(faults: &[Fault]) {
    for fault in faults {
        let weight = match fault.weight {
            Weight::Refused | Weight::Broken => "error",
            Weight::Doubtful => "warning",
        };
        eprintln!("{weight}: {fault}");
    }
}

fn check_config(cli: &cli::Cli, what: &cli::CheckConfig) -> Result<(), Stopped> {
    cli.log_filter()?;
    let role = what.role();
    let config = Config::load(cli.config.as_deref(), &role).map_err(Stopped::Refused)?;
    let scope = Scope { machine: !what.settings_only, names: what.names.clone(), ..Scope::here() };
    let faults = check::faults(&config, &role, scope);
    if faults.iter().any(|fault| fault.weight > Weight::Doubtful) {
        return Err(Stopped::Refused(faults));
    }
    say(&faults);
    println!("the configuration is valid; `lectern {role}` would listen on");
    for listener in check::listeners(&config, &role) {
        println!("  {listener}");
    }
    Ok(())
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

fn run(cli: &cli::Cli, role: &Role) -> Result<(), Stopped> {
    tracing_subscriber::fmt()
        .with_env_filter(cli.log_filter()?)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout()))
        .init();
    let config = Config::load(cli.config.as_deref(), role).map_err(Stopped::Refused)?;
    let faults = check::faults(&config, role, Scope::here());
    if faults.iter().any(|fault| fault.weight == Weight::Refused) {
        return Err(Stopped::Refused(faults));
    }
    check::log(&faults);
    descriptors::raise(role.has_edge().then_some(&config.edge));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(role::run(role.clone(), config));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(done?)
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
