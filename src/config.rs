//! The configuration: a TOML file, overridden by `LECTERN_*` variables, overridden by the command
//! line.

#[cfg(test)]
mod reference;
mod written;

pub(crate) use self::written::Settings;

use std::path::{Path, PathBuf};

use lectern_origin::config::{BroadcastConfig, Secret, ViewerKeyConfig};
use lectern_relay_proto::about::Visibility;
use lectern_relay_proto::net::check::{Fault, Weight};
use serde::Deserialize;

use crate::cli::Role;
use crate::telemetry;

/// As public as the stream key of the demo.
pub(crate) const DEMO_MODERATOR_KEY: &str = "demo-moderator-key";

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object of JSON in each line.
    Json,
}

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What to log: a level, or a filter such as `info,lectern_edge=debug`. `--log` and `LECTERN_LOG` go before
    /// it; without any of them it is `info`.
    pub(crate) log: Option<String>,
    /// How it is written: `text` for people, or `json`, an object in each line.
    pub(crate) log_format: LogFormat,
    /// The directory for what must outlive the process; only an origin has such.
    pub(crate) data_dir: PathBuf,
    /// Traces, for an OpenTelemetry collector.
    pub(crate) telemetry: telemetry::Config,
    /// The origin's part.
    pub(crate) origin: lectern_origin::config::Config,
    /// The edge's part.
    pub(crate) edge: lectern_edge::config::Config,
    /// Broadcasts provisioned without the console.
    pub(crate) broadcast: Vec<BroadcastConfig>,
    /// Keys by which edges check the viewer tokens of these broadcasts.
    pub(crate) viewer_key: Vec<ViewerKeyConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: None,
            log_format: LogFormat::default(),
            data_dir: "lectern-data".into(),
            telemetry: Default::default(),
            origin: Default::default(),
            edge: Default::default(),
            broadcast: Vec::new(),
            viewer_key: Vec::new(),
        }
    }
}

impl Config {
    /// Loads the configuration for `role`, and says which settings are written.
    ///
    /// # Errors
    /// All that is wrong with it as it is written.
    pub(crate) fn load(file: Option<&Path>, role: &Role) -> Result<(Self, Settings), Vec<Fault>> {
        let refused = |key: &str, wrong: String| Fault {
            weight: Weight::Refused,
            key: key.to_owned(),
            wrong,
        };
        if let Some(file) = file.filter(|file| !file.is_file()) {
            let wrong = format!("there is no configuration file {}: name one", file.display());
            return Err(vec![refused("--config", wrong)]);
        }
        let (mut config, settings) = written::read(file)?;
        if let Some(data_dir) = role.data_dir() {
            config.data_dir.clone_from(data_dir);
        }
        config.hand_out_viewer_keys().map_err(|why| vec![refused("viewer_key", why)])?;
        if matches!(role, Role::All { demo: true, .. }) {
            config.provision_demo();
        }
        Ok((config, settings))
    }

    /// Gives the keys to the broadcasts whose viewers need tokens.
    fn hand_out_viewer_keys(&mut self) -> Result<(), String> {
        let keys = ViewerKeyConfig::all(&self.viewer_key).map_err(|error| error.to_string())?;
        let wanting = self.broadcast.iter_mut();
        for broadcast in wanting.filter(|each| each.visibility == Visibility::Token) {
            broadcast.viewer_keys = keys.clone();
        }
        Ok(())
    }

    fn provision_demo(&mut self) {
        let id = "demo".parse().expect("a valid id");
        if !self.broadcast.iter().any(|broadcast| broadcast.id == id) {
            let key = DEMO_MODERATOR_KEY.to_owned().try_into().expect("a key");
            self.broadcast.push(BroadcastConfig {
                moderator_key: Some(key),
                ..BroadcastConfig::new(id, Secret::new("demo"))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    /// That of RFC 8032 §7.1.
    const VIEWER_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    use lectern_edge::demand::Prewarm;

    use super::*;

    /// Or what is wrong, a line each.
    fn load(toml: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("lectern.toml");
        std::fs::write(&file, toml).expect("write");
        let loaded = Config::load(Some(&file), &Role::All { demo: true, data_dir: None });
        let told = |faults: Vec<Fault>| faults.iter().map(|fault| format!("{fault}\n")).collect();
        loaded.map(|(config, _)| config).map_err(told)
    }

    #[test]
    fn a_file_changes_what_it_names_and_the_demo_is_provisioned_once() {
        let config = load("[origin]\nrtmp = \"127.0.0.1:2000\"").expect("valid");
        assert_eq!(config.origin.rtmp.port(), 2000);
        assert_eq!(config.origin.relay.port(), 4443);
        assert_eq!(config.broadcast.len(), 1);
        let mapped = load("[edge]\nmedia_addresses = [\"192.0.2.1\", \"[2001:db8::1]:30189\"]");
        let told = mapped.expect("valid").edge.whep().public_addresses;
        assert_eq!(
            told.iter().map(|address| address.port).collect::<Vec<_>>(),
            [None, Some(30_189)]
        );
        let own = load("[[broadcast]]\nid = \"demo\"\nstream_key = \"s3cret\"").expect("valid");
        assert_eq!(own.broadcast[0].stream_key.expose(), "s3cret");
        assert!(!format!("{own:?}").contains("s3cret"), "no log shows a stream key");
    }

    #[test]
    fn limits_and_ice_servers_are_read() {
        let toml = "[edge]\negress_mbps_max = 800\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
            [[edge.ice_servers]]\nurls = [\"turn:host\"]\nusername = \"u\"\ncredential = \"s3cret\"";
        let config = load(toml).expect("valid");
        assert_eq!(config.edge.whep().egress_bps_max, Some(800_000_000));
        assert_eq!(config.edge.whep().ice_servers.len(), 1);
        assert!(!format!("{config:?}").contains("s3cret"), "no log shows a credential");
    }

    #[test]
    fn a_broadcast_says_what_it_is_about_and_only_those_with_tokens_get_the_keys() {
        let toml = format!(
            "[[viewer_key]]\nkid = \"2026\"\npublic_key = \"{}\"\n\
             [[broadcast]]\nid = \"a\"\nstream_key = \"k\"\nvisibility = \"token\"\n\
             description = \"Groups\"\ntopics = [\"algebra\"]\nlanguage = \"de\"\nviewers_max = 40\n\
             logo = \"https://uni.example/l.png\"\n\
             links = [{{title = \"Script\", url = \"https://uni.example/s.pdf\"}}]\n\
             [[broadcast]]\nid = \"b\"\nstream_key = \"l\"\nvisibility = \"unlisted\"",
            VIEWER_KEY
        );
        let config = load(&toml).expect("valid");
        let [a, b] = [0, 1].map(|at: usize| config.broadcast[at].about());
        assert_eq!((a.visibility, b.visibility), (Visibility::Token, Visibility::Unlisted));
        assert_eq!((a.viewer_keys.len(), b.viewer_keys.len()), (1, 0));
        assert_eq!(a.viewer_keys[0].kid.as_str(), "2026");
        assert_eq!((a.topics.len(), a.links.len(), a.viewers_max), (1, 1, Some(40)));
        assert_eq!(a.links[0].url.as_str(), "https://uni.example/s.pdf");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |toml: &str, expect: &str| {
            let error = load(toml).expect_err(toml);
            assert!(error.contains(expect), "{error}");
        };
        let broadcast = "[[broadcast]]\nid = \"a\"\nstream_key = \"k\"\n";
        check(&format!("{broadcast}starts_at = \"tomorrow\""), "2026-11-22T10:00:00+01:00");
        check(&format!("{broadcast}moderator_key = \"short\""), "16 to 64");
        check(&format!("{broadcast}title = \"\""), "1 to 120 characters");
        check("[origin]\nrmtp = \"0.0.0.0:1\"", "rmtp");
        check("[edge]\nhttp = \"nowhere\"", "edge.http: invalid socket address syntax (in ");
        check("[edge]\nhttp_connections_max = 0", "edge.http_connections_max: ");
        check("[edge]\nwindow_fetch_mbps_max = 0", "edge.window_fetch_mbps_max: ");
        check("[edge]\nlinger_secs = 0", "edge.linger_secs: ");
        check("[edge]\nprewarm = [\"a/b\"]", "\"a/b\" is neither the id of a broadcast nor \"*\"");
        check("[edge]\nprewarm = [\"*\", \"a\"]", "stands alone");
        check("[[edge.ice_servers]]\nurl = \"turn:host\"", "no such setting; did you mean urls?");
        check("[edge]\nmedia_addresses = [\"edge.example\"]", "no address that viewers can reach");
        check("[[broadcast]]\nid = \"a/b\"\nstream_key = \"x\"", "a-z A-Z 0-9");
        check("[[broadcast]]\nid = \"a\"", "stream_key");
        check(&format!("{broadcast}visibility = \"friends\""), "visibility");
        check(&format!("{broadcast}logo = \"http://a/b.png\""), "begins with https://");
        check(&format!("{broadcast}topics = [\"x\", \"X\"]"), "twice");
        check(&format!("{broadcast}links = [{{title = \"x\", href = \"y\"}}]"), "href");
        check("[[viewer_key]]\nkid = \"a\"\npublic_key = \"AAAA\"", "32 bytes");
        let key = format!("[[viewer_key]]\nkid = \"a\"\npublic_key = \"{}\"\n", VIEWER_KEY);
        check(&key.repeat(2), "viewer_key: \"a\" is there twice");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_each_in_a_line() {
        let toml = "nothing = 1\n[origin]\nrmtp = \"0.0.0.0:1\"\nrelay_window_secs = \"long\"\n\
                    [edge]\nhttp = \"nowhere\"\nwindowsecs = 4\n[[broadcast]]\nid = \"a\"";
        let told = load(toml).expect_err("wrong");
        let lines: Vec<_> = told.lines().collect();
        let mut starts: Vec<_> =
            lines.iter().filter_map(|line| line.split_once(": ").map(|(key, _)| key)).collect();
        starts.sort_unstable();
        let expect = [
            "broadcast.0",
            "edge.http",
            "edge.windowsecs",
            "nothing",
            "origin.relay_window_secs",
            "origin.rmtp",
        ];
        assert_eq!(starts, expect, "{told}");
        assert!(
            told.contains("edge.windowsecs: no such setting; did you mean window_secs?"),
            "{told}"
        );
        let broken = load("[[broadcast]]\nstream_key = \"s3cret").expect_err("no TOML");
        assert_eq!(broken.lines().count(), 1, "{broken}");
        assert!(broken.contains("line 2") && !broken.contains("s3cret"), "{broken}");
    }

    #[test]
    fn nothing_is_warm_unless_the_file_or_the_role_says_so() {
        let prewarm = |toml: &str| load(toml).expect("valid").edge.prewarm;
        assert_eq!(prewarm(""), None);
        assert_eq!(prewarm("[edge]\nprewarm = []"), Some(Prewarm::default()));
        assert_eq!(prewarm("[edge]\nprewarm = [\"*\"]"), Some(Prewarm::All));
        let listed = load("[edge]\nprewarm = [\"a\", \"b\"]").expect("valid").edge.demand();
        assert_eq!((listed.prewarm.reserved(), listed.subscribed_max), (2, 256));
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_repeated() {
        for toml in [
            "[[broadcast]]\nid = \"a\"\nstream_key = 271828",
            "[origin]\nrelay_token = 271828",
            "[origin]\nrelay_token = \"271828 and spaces\"",
        ] {
            let error = load(toml).expect_err(toml);
            assert!(!error.contains("271828"), "{error}");
        }
    }
}
