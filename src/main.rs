//! The `lectern` binary: parse the command line, load the configuration and look at it, run the role.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use lectern_relay_proto::net::check::{Fault, Scope, Weight};

use crate::cli::{Command, Role};
use crate::config::Config;
use crate::reload::Reloader;
use crate::telemetry::Telemetry;

mod check;
mod cli;
mod config;
mod descriptors;
mod find_address;
mod log;
mod ops;
mod process;
mod reload;
mod role;
mod telemetry;

/// As sysexits.h has it: service managers can be told not to try again (RestartPreventExitStatus=78).
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let done = match &cli.command {
        Command::Run(role) => run(&cli, role),
        Command::CheckConfig(what) => check_config(&cli, what),
        Command::FindAddress(how) => find_address(how),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stopped::Refused(faults)) => {
            say(&faults);
            ExitCode::from(EX_CONFIG)
        }
        Err(Stopped::Failed(error)) => {
            let told = told(&error);
            eprintln!("error: {told}{}", remedy(&told));
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
    cli.log.as_deref().map(cli::log_filter).transpose().context("--log")?;
    let role = what.role();
    let (config, _) = Config::load(cli.config.as_deref(), &role).map_err(Stopped::Refused)?;
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

fn find_address(how: &find_address::FindAddress) -> Result<(), Stopped> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("cannot start the runtime")?.block_on(how.run())?)
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
    let log = cli.log.as_deref();
    let filter = log.map(cli::log_filter).transpose().context("--log, or LECTERN_LOG")?;
    let (config, settings) = Config::load(cli.config.as_deref(), role).map_err(Stopped::Refused)?;
    let faults = check::faults(&config, role, Scope::here());
    if faults.iter().any(|fault| fault.weight == Weight::Refused) {
        return Err(Stopped::Refused(faults));
    }
    let filter = match filter {
        Some(filter) => filter,
        None => cli::log_filter(config.log.as_deref().unwrap_or(cli::LOG_DEFAULT))?,
    };
    let set_filter = log::begin(filter, config.log_format);
    let metrics = process::Metrics::new().context("cannot count")?;
    let reloader = Reloader::new(cli, role, settings, set_filter, metrics.clone());
    check::log(&faults);
    descriptors::raise(role.has_edge().then_some(&config.edge));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(async {
        let telemetry = Telemetry::start(&config.telemetry, role, &metrics.spans)?;
        let done = role::run(role.clone(), config, reloader).await;
        telemetry.finish().await;
        done
    });
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    Ok(done?)
}

/// What to do about what the system said, where that is known.
fn remedy(told: &str) -> &'static str {
    let said = |text| told.contains("cannot listen on") && told.contains(text);
    if said("Address already in use") {
        "; another process listens there: give this one another port, or end the other"
    } else if said("Permission denied") {
        "; give it a port of 1024 or more, or the process CAP_NET_BIND_SERVICE"
    } else if said("Cannot assign requested address") {
        "; this machine has no such address: 0.0.0.0 and [::] are all that it has"
    } else if told.contains("No space left on device") {
        "; make room on the volume"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_is_said_where_it_is_known() {
        let in_use =
            "origin.rtmp: cannot listen on 0.0.0.0:1935: Address already in use (os error 98)";
        assert!(remedy(in_use).contains("another port"));
        let low = "edge.http: cannot listen on 0.0.0.0:80: Permission denied (os error 13)";
        assert!(remedy(low).contains("1024"));
        assert_eq!(remedy("the certificate: Permission denied (os error 13)"), "");
    }

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
