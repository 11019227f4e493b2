//! What SIGHUP does: reads the configuration again, and uses what can be used without a restart. A change of
//! anything else is refused by its key, and then nothing at all is changed. Files that the configuration names
//! are not its business: certificates and tokens are read again by themselves.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lectern_relay_proto::net::check::{Fault, Scope, Weight};
use tracing_subscriber::EnvFilter;

use crate::check;
use crate::cli::{self, Role};
use crate::config::{Config, Settings};
use crate::process;

/// The settings that can change while the process runs.
pub(crate) const LIVE: [&str; 6] = [
    "edge.half_open_max",
    "edge.half_open_per_client_max",
    "edge.sessions_max",
    "log",
    "origin.limits.connections_max",
    "origin.limits.connections_per_address_max",
];

/// Gives the log another filter.
pub(crate) type SetFilter = Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>;

/// Reads the configuration again.
pub(crate) struct Reloader {
    file: Option<PathBuf>,
    role: Role,
    /// What the command line or the environment says of the log, which goes before the file.
    log: Option<String>,
    set_filter: SetFilter,
    /// As the process runs now.
    settings: Settings,
    metrics: process::Metrics,
}

/// What can be changed in the parts that run.
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) origin: Option<lectern_origin::Limiter>,
    pub(crate) edge: Option<lectern_edge::Limiter>,
}

impl Reloader {
    /// For a process that runs with `settings`.
    pub(crate) fn new(
        cli: &cli::Cli,
        role: &Role,
        settings: Settings,
        set_filter: SetFilter,
        metrics: process::Metrics,
    ) -> Self {
        let (file, log) = (cli.config.clone(), cli.log.clone());
        Self { file, role: role.clone(), log, set_filter, settings, metrics }
    }

    /// What the process says of itself.
    pub(crate) fn metrics(&self) -> &process::Metrics {
        &self.metrics
    }

    /// Reads the configuration, and changes `parts`, or nothing.
    pub(crate) fn reload(&mut self, parts: &Parts) {
        let changed = self.read().and_then(|(config, settings)| {
            let changed = changes(&self.settings, &settings, self.log.is_some())?;
            self.apply(&config, parts)?;
            self.settings = settings;
            Ok(changed)
        });
        self.metrics.reloaded(changed.is_ok());
        match changed {
            Ok(changed) if changed.is_empty() => {
                tracing::info!(
                    "the configuration is as it was; files that it names are read again anyway"
                );
            }
            Ok(changed) => {
                let keys: Vec<_> = changed.into_iter().collect();
                tracing::info!(?keys, "the configuration was read again");
            }
            Err(faults) => {
                for fault in faults {
                    tracing::error!("{fault}");
                }
                tracing::error!("the configuration was read again, and nothing of it is used");
            }
        }
    }

    fn read(&self) -> Result<(Config, Settings), Vec<Fault>> {
        let (config, settings) = Config::load(self.file.as_deref(), &self.role)?;
        let faults = check::faults(&config, &self.role, Scope::here());
        let refused = |fault: &Fault| fault.weight == Weight::Refused;
        let faults: Vec<_> = faults.into_iter().filter(refused).collect();
        if faults.is_empty() { Ok((config, settings)) } else { Err(faults) }
    }

    fn apply(&self, config: &Config, parts: &Parts) -> Result<(), Vec<Fault>> {
        let log = self.log.as_ref().or(config.log.as_ref());
        // First what may fail, and is the last that can.
        let set = cli::log_filter(log.map_or(cli::LOG_DEFAULT, String::as_str));
        set.and_then(|filter| (self.set_filter)(filter))
            .map_err(|error| vec![refused("log", format!("{error:#}"))])?;
        if let Some(origin) = &parts.origin {
            origin.set(&config.origin);
        }
        if let Some(edge) = &parts.edge {
            edge.set(&config.edge);
        }
        Ok(())
    }
}

fn refused(key: &str, wrong: impl Into<String>) -> Fault {
    Fault { weight: Weight::Refused, key: key.to_owned(), wrong: wrong.into() }
}

/// Which settings are written otherwise than before, if each of them can change while the process runs.
fn changes(
    before: &Settings,
    now: &Settings,
    log_told: bool,
) -> Result<BTreeSet<String>, Vec<Fault>> {
    let changed = now.differing(before);
    let live = |key: &&String| LIVE.contains(&key.as_str());
    let mut faults: Vec<_> = changed
        .iter()
        .filter(|key| !live(key))
        .map(|key| refused(key, "it is written otherwise than at the start: needs a restart"))
        .collect();
    if log_told && changed.contains("log") {
        let wrong = "--log or LECTERN_LOG goes before it: leave that out, which needs a restart";
        faults.push(refused("log", wrong));
    }
    if faults.is_empty() { Ok(changed) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Arc, Mutex};

    use super::*;

    fn settings(toml: &str) -> Settings {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("lectern.toml");
        fs::write(&file, toml).expect("write");
        Config::load(Some(&file), &Role::Edge).expect("valid").1
    }

    #[test]
    fn what_can_change_is_named_and_all_else_is_refused_by_its_key() {
        let before = settings("log = \"info\"\n[edge]\nsessions_max = 5\nhttp = \"127.0.0.1:1\"");
        assert_eq!(changes(&before, &before, true), Ok(BTreeSet::new()));
        let now = settings("log = \"debug\"\n[edge]\nhttp = \"127.0.0.1:1\"");
        let expect = ["edge.sessions_max", "log"].map(str::to_owned).into();
        assert_eq!(changes(&before, &now, false), Ok(expect));
        let told = |now: &str, log_told| -> Vec<String> {
            let refused = changes(&before, &settings(now), log_told).expect_err("refused");
            refused.iter().map(|fault| fault.key.clone()).collect()
        };
        let other =
            "log = \"info\"\n[edge]\nsessions_max = 6\nhttp = \"127.0.0.1:2\"\nlobby = false";
        assert_eq!(told(other, false), ["edge.http", "edge.lobby"]);
        assert_eq!(
            told("log = \"debug\"\n[edge]\nsessions_max = 5\nhttp = \"127.0.0.1:1\"", true),
            ["log"]
        );
    }

    #[test]
    fn a_change_is_used_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("lectern.toml");
        let write = |toml: &str| fs::write(&file, toml).expect("write");
        let media = "[edge]\nmedia = \"127.0.0.1:0\"\n";
        write(&format!("log = \"info\"\n{media}"));
        let filters = Arc::new(Mutex::new(Vec::new()));
        let set = filters.clone();
        let mut reloader = Reloader {
            file: Some(file.clone()),
            role: Role::Edge,
            log: None,
            set_filter: Box::new(move |filter| {
                set.lock().expect("filters").push(filter.to_string());
                Ok(())
            }),
            settings: Config::load(Some(&file), &Role::Edge).expect("valid").1,
            metrics: process::Metrics::new().expect("metrics"),
        };
        let mut check = |toml: &str, expect: Option<&str>| {
            write(toml);
            reloader.reload(&Parts::default());
            let filters: Vec<String> = filters.lock().expect("filters").drain(..).collect();
            match expect {
                None => assert_eq!(filters, [""; 0], "{toml}"),
                Some(part) => assert!(filters.concat().contains(part), "{toml}: {filters:?}"),
            }
        };
        check(&format!("log = \"debug\"\n{media}"), Some("lectern_edge=debug"));
        check(&format!("log = \"trace\"\n{media}lobby = false"), None);
        check(&format!("log = \"trace\"\n{media}loby = false"), None);
        check(&format!("log = \"trace\"\n{media}workers = 1000"), None);
        check(&format!("log = \"not=a=filter\"\n{media}"), None);
        check(&format!("log = \"trace\"\n{media}"), Some("lectern_edge=trace"));
    }
}
