//! What is wrong with an origin's configuration, told before anything starts. What is found here is what
//! [`Origin::start`](crate::Origin::start) would refuse, or would suffer from.

use std::collections::HashMap;
use std::path::Path;

use lectern_relay_proto::client::Proxies;
use lectern_relay_proto::net::check::{Checkup, Shown};

use crate::broadcasts::BROADCASTS_MAX;
use crate::config::{BroadcastConfig, Config};
use crate::{database, webhooks};

/// Looks at all of it but the ports. `beside` says that the one edge is in the same process.
pub fn check(
    checkup: &mut Checkup,
    config: &Config,
    provisioned: &[BroadcastConfig],
    data_dir: &Path,
    beside: bool,
) {
    relay(checkup, config, beside);
    checkup.directory("data_dir", data_dir, "set another (data_dir, --data-dir, LECTERN_DATA_DIR)");
    if let Some(url) = &config.database {
        match database::file_of(url.expose()) {
            Err(error) => checkup.refuse(
                "origin.database",
                format!("{error}; it is sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME"),
            ),
            Ok(Some(file)) => {
                // Next to it the database keeps its journal.
                let dir = file.parent().unwrap_or(Path::new("."));
                checkup.directory("origin.database", dir, "name a file elsewhere");
            }
            Ok(None) => {}
        }
    }
    if let Err(error) = Proxies::parse(&config.trusted_proxies) {
        checkup.refuse("origin.trusted_proxies", error);
    }
    if let Err(error) = webhooks::Networks::parse(&config.webhook_networks) {
        checkup.refuse("origin.webhook_networks", error);
    }
    checkup.media("origin.media_addresses", config.media, &config.media_addresses, "publishers");
    if let Some(ffmpeg) = &config.ffmpeg
        && config.reencode
        && checkup.sees_machine()
        && !ffmpeg.is_file()
    {
        let wrong = format!(
            "there is no {}: nothing is re-encoded; install ffmpeg, name it where it is, or set \
             origin.reencode to false",
            ffmpeg.display()
        );
        checkup.broken("origin.ffmpeg", wrong);
    }
    let limits = &config.limits;
    for (key, most) in [
        ("origin.limits.connections_max", limits.connections_max),
        ("origin.limits.connections_per_address_max", limits.connections_per_address_max),
    ] {
        if most == 0 {
            checkup.broken(key, "0 lets no encoder in; give it at least 1");
        }
    }
    broadcasts(checkup, provisioned);
}

fn relay(checkup: &mut Checkup, config: &Config, beside: bool) {
    let certificate = ("origin.relay_certificate", &config.relay_certificate);
    let key = ("origin.relay_key", &config.relay_key);
    if checkup.both(certificate, key)
        && let (Some(chain), Some(secret)) = (certificate.1, key.1)
    {
        let pair = ((certificate.0, chain.as_path()), (key.0, secret.as_path()));
        checkup.identity(pair.0, pair.1, Shown::ToOthers);
    }
    checkup.tokens(
        ("origin.relay_token", config.relay_token.is_some()),
        ("origin.relay_token_file", config.relay_token_file.as_deref()),
    );
    if let Some(authorities) = &config.relay_client_ca {
        checkup.authorities(("origin.relay_client_ca", authorities));
        if beside {
            checkup.refuse(
                "origin.relay_client_ca",
                "it is for edges elsewhere, and in `all` the edge has no certificate: leave it out, or run \
                 `lectern origin` and `lectern edge`",
            );
        }
    }
    let open = config.relay_token.is_none()
        && config.relay_token_file.is_none()
        && config.relay_client_ca.is_none();
    // In `all` there is always a token.
    if open && !beside && !config.relay.ip().is_loopback() {
        checkup.refuse(
            "origin.relay_token",
            "not set: whoever reaches origin.relay could watch every broadcast; set it, or \
             origin.relay_token_file, here and on the edges, or origin.relay_client_ca, or listen on a \
             loopback address",
        );
    }
}

fn broadcasts(checkup: &mut Checkup, provisioned: &[BroadcastConfig]) {
    if provisioned.len() > BROADCASTS_MAX {
        let count = provisioned.len();
        checkup.refuse(
            "broadcast",
            format!("there are {count}, and an origin announces {BROADCASTS_MAX}: leave some out"),
        );
    }
    let (mut ids, mut keys) = (HashMap::new(), HashMap::new());
    for (index, broadcast) in provisioned.iter().enumerate() {
        let key = |setting: &str| format!("broadcast.{index}.{setting}");
        let (id, secret) = (&broadcast.id, broadcast.stream_key.expose());
        if secret.is_empty() {
            checkup.refuse(key("stream_key"), format!("that of {id} is empty: write one"));
        } else if let Some(other) = keys.insert(secret, id) {
            let wrong = format!("{id} has that of {other}: each needs its own");
            checkup.refuse(key("stream_key"), wrong);
        }
        if ids.insert(id, ()).is_some() {
            checkup
                .refuse(key("id"), format!("{id} is there twice: name one of the two otherwise"));
        }
    }
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::net::check::{Fault, Scope, Weight};

    use super::*;
    use crate::config::Secret;

    fn found(config: &Config, provisioned: &[BroadcastConfig], beside: bool) -> Vec<Fault> {
        let mut checkup = Checkup::new(Scope::here());
        let dir = tempfile::tempdir().unwrap();
        check(&mut checkup, config, provisioned, dir.path(), beside);
        checkup.into_faults()
    }

    /// One that is not looked at from outside.
    fn quiet() -> Config {
        Config { media: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
    }

    #[test]
    fn what_is_not_set_is_well_but_for_who_may_subscribe() {
        assert_eq!(found(&quiet(), &[], true), []);
        let told = found(&quiet(), &[], false);
        assert_eq!((told.len(), told[0].weight), (1, Weight::Refused));
        assert!(told[0].to_string().starts_with("origin.relay_token: not set"), "{told:?}");
    }

    #[test]
    fn all_that_is_wrong_is_told_by_its_key() {
        let check = |change: &dyn Fn(&mut Config), expect: &str| {
            let mut config = quiet();
            change(&mut config);
            let told: Vec<_> = found(&config, &[], true).iter().map(ToString::to_string).collect();
            assert!(told.iter().any(|line| line.starts_with(expect)), "{expect}: {told:?}");
        };
        let secret = |text: &str| Some(Secret::new(text));
        check(&|c| c.database = secret("mysql://x"), "origin.database: the URL of the database");
        check(&|c| c.database = secret("sqlite:/proc/nothing/a.db"), "origin.database: /proc");
        check(&|c| c.trusted_proxies = vec!["x".into()], "origin.trusted_proxies: ");
        check(&|c| c.webhook_networks = vec!["x".into()], "origin.webhook_networks: ");
        check(&|c| c.ffmpeg = Some("/nowhere".into()), "origin.ffmpeg: there is no /nowhere");
        check(&|c| c.limits.connections_max = 0, "origin.limits.connections_max: 0 lets no");
        check(&|c| c.relay_key = Some("/x".into()), "origin.relay_certificate: it is not set");
        check(&|c| c.relay_client_ca = Some("/x".into()), "origin.relay_client_ca: it is for");
    }

    #[test]
    fn broadcasts_have_names_and_keys_of_their_own() {
        let broadcast =
            |id: &str, key: &str| BroadcastConfig::new(id.parse().unwrap(), Secret::new(key));
        let all = [broadcast("a", "s3cret"), broadcast("a", "s3cret"), broadcast("b", "")];
        let told: Vec<_> = found(&quiet(), &all, true).iter().map(ToString::to_string).collect();
        let expect = ["broadcast.1.stream_key: ", "broadcast.1.id: ", "broadcast.2.stream_key: "];
        assert_eq!(told.len(), expect.len());
        assert!(told.iter().zip(expect).all(|(line, start)| line.starts_with(start)), "{told:?}");
        assert!(!told.concat().contains("s3cret"), "no line shows a key");
    }
}
