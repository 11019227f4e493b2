//! What SIGHUP does: reads the configuration again, and uses what can be used without a restart. A change of
//! anything else is refused by its key, and then nothing at all is changed. Files that the configuration names
//! are not its business: certificates and tokens are read again by themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lectern_origin::control::Refused as NotProvisioned;
use lectern_relay_proto::net::check::{Fault, Scope, Weight};
use tracing_subscriber::EnvFilter;

use crate::check;
use crate::cli::{self, Role};
use crate::config::{Config, Settings};
use crate::{descriptors, process};

/// The settings that can change while the process runs.
pub(crate) const LIVE: [&str; 13] = [
    BROADCAST,
    "edge.broadcasts_max",
    "edge.egress_mbps_max",
    "edge.half_open_max",
    "edge.half_open_per_client_max",
    "edge.http_connections_max",
    "edge.http_connections_per_client_max",
    "edge.joins_per_sec_max",
    "edge.sessions_max",
    "log",
    "origin.limits.connections_max",
    "origin.limits.connections_per_address_max",
    VIEWER_KEY,
];
/// Lists, which change as a whole.
const BROADCAST: &str = "broadcast";
const VIEWER_KEY: &str = "viewer_key";
/// How long the database may take to say what broadcasts there are besides.
const PROVISION_MAX: Duration = Duration::from_secs(15);

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
    /// The broadcasts that were read last may be in force in part.
    is_unfinished: bool,
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
        let (role, is_unfinished) = (role.clone(), false);
        Self { file, role, log, set_filter, settings, is_unfinished, metrics }
    }

    /// What the process says of itself.
    pub(crate) fn metrics(&self) -> &process::Metrics {
        &self.metrics
    }

    /// Reads the configuration, and changes `parts`, or nothing.
    pub(crate) async fn reload(&mut self, parts: &Parts) {
        let changed = self.read_and_use(parts).await;
        self.metrics.reloaded(changed.is_ok() && !self.is_unfinished);
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
                if self.is_unfinished {
                    tracing::error!(
                        "the configuration was read again: its broadcasts may be in force in part, which the \
                         next SIGHUP tries again, and nothing else of it is used"
                    );
                } else {
                    tracing::error!("the configuration was read again, and nothing of it is used");
                }
            }
        }
    }

    async fn read_and_use(&mut self, parts: &Parts) -> Result<BTreeSet<String>, Vec<Fault>> {
        let (file, role) = (self.file.clone(), self.role.clone());
        // A file that it names may be on a disk that hangs.
        let read = tokio::task::spawn_blocking(move || read(file.as_deref(), &role)).await;
        let broke_off = |error| vec![refused("configuration", format!("{error}"))];
        let (config, settings) = read.map_err(broke_off)??;
        let changed = changes(&self.settings, &settings, self.log.is_some())?;
        self.apply(&config, &changed, parts).await?;
        self.settings = settings;
        Ok(changed)
    }

    async fn apply(
        &mut self,
        config: &Config,
        changed: &BTreeSet<String>,
        parts: &Parts,
    ) -> Result<(), Vec<Fault>> {
        let log = self.log.as_ref().or(config.log.as_ref());
        let of_log = |error: anyhow::Error| vec![refused("log", format!("{error:#}"))];
        // First what may fail.
        let filter =
            cli::log_filter(log.map_or(cli::LOG_DEFAULT, String::as_str)).map_err(of_log)?;
        if let Some(origin) = &parts.origin
            && (self.is_unfinished
                || [BROADCAST, VIEWER_KEY].iter().any(|list| changed.contains(*list)))
        {
            let provisioned = origin.provision(config.broadcast.clone());
            let (unfinished, wrong) = match tokio::time::timeout(PROVISION_MAX, provisioned).await {
                Ok(Ok(())) => (false, None),
                Ok(Err(why @ NotProvisioned::Failed(_))) => (true, Some(why.to_string())),
                Ok(Err(why)) => (self.is_unfinished, Some(why.to_string())),
                Err(_) => (true, Some("the database takes too long".to_owned())),
            };
            self.is_unfinished = unfinished;
            if let Some(wrong) = wrong {
                return Err(vec![refused(BROADCAST, wrong)]);
            }
        }
        (self.set_filter)(filter).map_err(of_log)?;
        if let Some(origin) = &parts.origin {
            origin.set(&config.origin);
        }
        if let Some(edge) = &parts.edge {
            edge.set(&config.edge);
            // Says so if there are too few for what there may be now.
            descriptors::raise(Some(&config.edge));
        }
        Ok(())
    }
}

fn read(file: Option<&Path>, role: &Role) -> Result<(Config, Settings), Vec<Fault>> {
    let (config, settings) = Config::load(file, role)?;
    let faults = check::faults(&config, role, Scope::here());
    let refused = |fault: &Fault| fault.weight == Weight::Refused;
    let faults: Vec<_> = faults.into_iter().filter(refused).collect();
    if faults.is_empty() { Ok((config, settings)) } else { Err(faults) }
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

    #[tokio::test]
    async fn a_change_is_used_whole_or_not_at_all() {
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
            is_unfinished: false,
            metrics: process::Metrics::new().expect("metrics"),
        };
        let mut check = async |toml: &str, expect: Option<&str>| {
            write(toml);
            reloader.reload(&Parts::default()).await;
            let filters: Vec<String> = filters.lock().expect("filters").drain(..).collect();
            match expect {
                None => assert_eq!(filters, [""; 0], "{toml}"),
                Some(part) => assert!(filters.concat().contains(part), "{toml}: {filters:?}"),
            }
        };
        check(&format!("log = \"debug\"\n{media}"), Some("lectern_edge=debug")).await;
        check(&format!("log = \"trace\"\n{media}lobby = false"), None).await;
        check(&format!("log = \"trace\"\n{media}loby = false"), None).await;
        check(&format!("log = \"trace\"\n{media}workers = 1000"), None).await;
        check(&format!("log = \"not=a=filter\"\n{media}"), None).await;
        check(&format!("log = \"trace\"\n{media}"), Some("lectern_edge=trace")).await;
    }
}
