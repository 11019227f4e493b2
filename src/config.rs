//! The configuration: a TOML file, overridden by `LECTERN_*` variables, overridden by the command
//! line.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use figment::Figment;
use figment::error::Kind;
use figment::providers::{Env, Format as _, Toml};
use figment::value::UncasedStr;
use lectern_origin::config::{BroadcastConfig, Secret, ViewerKeyConfig};
use lectern_relay_proto::about::Visibility;
use serde::Deserialize;

use crate::cli::Role;

/// As public as the stream key of the demo.
pub(crate) const DEMO_MODERATOR_KEY: &str = "demo-moderator-key";

/// The whole configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What must outlive the process.
    pub(crate) data_dir: PathBuf,
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
            data_dir: "lectern-data".into(),
            origin: Default::default(),
            edge: Default::default(),
            broadcast: Vec::new(),
            viewer_key: Vec::new(),
        }
    }
}

impl Config {
    /// Loads the configuration for `role`.
    pub(crate) fn load(file: Option<&Path>, role: &Role) -> anyhow::Result<Self> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                bail!("there is no configuration file {}", file.display());
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Others of the prefix are not ours: Kubernetes sets LECTERN_PORT for a Service `lectern`.
        let ours = |key: &UncasedStr| {
            let key = key.as_str().to_ascii_lowercase();
            key == "data_dir" || key.starts_with("origin__") || key.starts_with("edge__")
        };
        let environment = Env::prefixed("LECTERN_").filter(ours).split("__");
        let mut config: Self =
            figment.merge(environment).extract().map_err(|errors| invalid(&errors))?;
        if let Some(data_dir) = role.data_dir() {
            config.data_dir.clone_from(data_dir);
        }
        config.hand_out_viewer_keys()?;
        if matches!(role, Role::All { demo: true, .. }) {
            config.provision_demo();
        }
        Ok(config)
    }

    /// Gives the keys to the broadcasts whose viewers need tokens.
    fn hand_out_viewer_keys(&mut self) -> anyhow::Result<()> {
        let keys = ViewerKeyConfig::all(&self.viewer_key)
            .map_err(|error| anyhow!("the configuration is not valid: viewer_key: {error}"))?;
        let wanting = self.broadcast.iter_mut();
        for broadcast in wanting.filter(|each| each.visibility == Visibility::Token) {
            if keys.is_empty() {
                let id = &broadcast.id;
                tracing::warn!(%id, "nobody can watch: its viewers need tokens; add a [[viewer_key]]");
            }
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

/// What is wrong with which key, and where that was set.
fn invalid(errors: &figment::Error) -> anyhow::Error {
    let all = errors.clone().into_iter().map(|error| {
        let set_in = error.metadata.as_ref().map(|metadata| match &metadata.source {
            Some(source) => source.to_string(),
            None => metadata.name.to_string(),
        });
        let key = Some(error.path.join(".")).filter(|key| !key.is_empty());
        let wrong = match &error.kind {
            Kind::UnknownField(_, known) => {
                format!("no such setting; there are {}", known.join(", "))
            }
            kind => kind.to_string().trim_end().to_owned(),
        };
        set_in.into_iter().chain(key).chain([wrong]).collect::<Vec<_>>().join(": ")
    });
    anyhow!("the configuration is not valid: {}", all.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    /// That of RFC 8032 §7.1.
    const VIEWER_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    use lectern_edge::demand::Prewarm;

    use super::*;

    fn load(toml: &str) -> anyhow::Result<Config> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("lectern.toml");
        std::fs::write(&file, toml).expect("write");
        Config::load(Some(&file), &Role::All { demo: true, data_dir: None })
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
            let error = format!("{:#}", load(toml).expect_err(toml));
            assert!(error.contains(expect), "{error}");
        };
        let broadcast = "[[broadcast]]\nid = \"a\"\nstream_key = \"k\"\n";
        check(&format!("{broadcast}starts_at = \"tomorrow\""), "2026-11-22T10:00:00+01:00");
        check(&format!("{broadcast}moderator_key = \"short\""), "16 to 64");
        check(&format!("{broadcast}title = \"\""), "1 to 120 characters");
        check("[origin]\nrmtp = \"0.0.0.0:1\"", "rmtp");
        check("[edge]\nhttp = \"nowhere\"", "lectern.toml: edge.http: invalid socket address");
        check("[edge]\nhttp_connections_max = 0", "edge.http_connections_max: ");
        check("[edge]\nwindow_fetch_mbps_max = 0", "edge.window_fetch_mbps_max: ");
        check("[edge]\nlinger_secs = 0", "edge.linger_secs: ");
        check("[edge]\nprewarm = [\"a/b\"]", "\"a/b\" is neither the id of a broadcast nor \"*\"");
        check("[edge]\nprewarm = [\"*\", \"a\"]", "stands alone");
        check("[[edge.ice_servers]]\nurl = \"turn:host\"", "no such setting; there are urls");
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
            let error = format!("{:#}", load(toml).expect_err(toml));
            assert!(!error.contains("271828"), "{error}");
        }
    }
}
