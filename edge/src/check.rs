//! What is wrong with an edge's configuration, told before anything starts. What is found here is what
//! [`Edge::start`](crate::Edge::start) would refuse, or would suffer from.

use lectern_relay_proto::net::check::{Checkup, Shown, is_server_name, upstreams};

use crate::config::{Config, HttpsError};
use crate::siblings::Siblings;
use crate::{Error, WORKERS_MAX, whep};

/// Looks at all of it but the ports. `beside` says that the origin is in the same process, and that how to
/// reach it is not the file's to say.
pub fn check(checkup: &mut Checkup, config: &Config, beside: bool) {
    https(checkup, config);
    if !beside {
        upstream(checkup, config);
    }
    relay(checkup, config);
    if config.workers > WORKERS_MAX {
        let wrong = format!("{}; at most {WORKERS_MAX}, or 0 for one per core", config.workers);
        checkup.refuse("edge.workers", wrong);
    }
    if let Err(error) = crate::window(config) {
        checkup.refuse("edge.window_secs", error);
    }
    if let Err(error @ Error::Prewarm { .. }) = crate::wanted(config) {
        checkup.refuse("edge.prewarm", format!("{error}: list fewer, or allow more"));
    }
    if let Err(error) = config.http_limits() {
        checkup.refuse("edge.trusted_proxies", error);
    }
    if let Err(error) = Siblings::new(config.siblings.clone()) {
        checkup.refuse("edge.siblings", error);
    }
    if let Err(error) = whep::check_ice_servers(&config.ice_servers) {
        checkup.refuse("edge.ice_servers", error);
    }
    if config.half_open_max == 0 || config.half_open_per_client_max == 0 {
        let key =
            if config.half_open_max == 0 { "half_open_max" } else { "half_open_per_client_max" };
        checkup
            .broken(format!("edge.{key}"), "0 lets nobody watch over WebRTC; give it at least 1");
    }
    if config.sessions_max == 0 {
        checkup.doubt("edge.sessions_max", "0: nobody watches over WebRTC");
    }
    if config.shared_cache && config.trusted_proxies.is_empty() {
        checkup.doubt(
            "edge.shared_cache",
            "it says that a CDN is in front, and edge.trusted_proxies names none: all viewers seem to come \
             from the CDN's addresses, and share one client's limits; name them there",
        );
    }
    let (key, addresses) = ("edge.media_addresses", &config.media_addresses);
    match &config.media_addresses_file {
        Some(_) if !addresses.is_empty() => {
            checkup.refuse(key, "edge.media_addresses_file says it too: take one of the two out");
        }
        Some(file) => {
            checkup.media_file("edge.media_addresses_file", config.media, file, "viewers")
        }
        None => checkup.media(key, config.media, addresses, "viewers"),
    }
}

fn https(checkup: &mut Checkup, config: &Config) {
    let certificate = ("edge.tls_certificate", &config.tls_certificate);
    let key = ("edge.tls_key", &config.tls_key);
    let both = checkup.both(certificate, key);
    if let Err(HttpsError::Nowhere) = config.https() {
        let wrong =
            "it is for edge.https, which is not set: say where it listens, such as 0.0.0.0:8443";
        checkup.refuse(certificate.0, wrong);
    }
    if let (true, Some(chain), Some(secret)) = (both, certificate.1, key.1) {
        checkup.identity((certificate.0, chain), (key.0, secret), Shown::ToOthers);
    }
}

fn upstream(checkup: &mut Checkup, config: &Config) {
    if let Err(error) = upstreams(&config.upstream) {
        let wrong =
            format!("{error}; write host:port, such as origin.example:4443, or a list of these");
        checkup.refuse("edge.upstream", wrong);
    }
    if let Some(authorities) = &config.upstream_ca {
        checkup.authorities(("edge.upstream_ca", authorities));
    }
    if let Some(name) = &config.upstream_name
        && !is_server_name(name)
    {
        let wrong = format!("{name:?} is neither a name nor an address, as certificates have them");
        checkup.refuse("edge.upstream_name", wrong);
    }
    let certificate = ("edge.upstream_certificate", &config.upstream_certificate);
    let key = ("edge.upstream_key", &config.upstream_key);
    if checkup.both(certificate, key)
        && let (Some(chain), Some(secret)) = (certificate.1, key.1)
    {
        checkup.identity((certificate.0, chain), (key.0, secret), Shown::ToUpstreams);
    }
    checkup.tokens(
        ("edge.relay_token", config.relay_token.is_some()),
        ("edge.relay_token_file", config.relay_token_file.as_deref()),
    );
}

fn relay(checkup: &mut Checkup, config: &Config) {
    let certificate = ("edge.relay_certificate", &config.relay_certificate);
    let key = ("edge.relay_key", &config.relay_key);
    let both = checkup.both(certificate, key);
    match (config.relay, certificate.1, key.1) {
        (Some(_), None, None) => checkup.refuse(
            certificate.0,
            "edge.relay needs it, and edge.relay_key: name PEM files, or leave edge.relay out",
        ),
        (None, Some(_), _) => {
            let wrong =
                "it is for edge.relay, which is not set: say where it listens, or leave it out";
            checkup.refuse(certificate.0, wrong);
        }
        (_, Some(chain), Some(secret)) if both => {
            checkup.identity((certificate.0, chain), (key.0, secret), Shown::ToOthers);
        }
        _ => {}
    }
    if let Some(authorities) = &config.relay_client_ca {
        checkup.authorities(("edge.relay_client_ca", authorities));
    }
    let open = config.relay_token.is_none()
        && config.relay_token_file.is_none()
        && config.relay_client_ca.is_none();
    if open && config.relay.is_some_and(|listen| !listen.ip().is_loopback()) {
        checkup.refuse(
            "edge.relay_token",
            "not set: whoever reaches edge.relay could watch every broadcast; set it, or \
             edge.relay_token_file, or edge.relay_client_ca, or listen on a loopback address",
        );
    }
}

#[cfg(test)]
mod tests {
    use lectern_relay_proto::net::check::Scope;

    use super::*;

    fn found(config: &Config, beside: bool) -> Vec<String> {
        let mut checkup = Checkup::new(Scope::here());
        check(&mut checkup, config, beside);
        checkup.into_faults().iter().map(ToString::to_string).collect()
    }

    /// One that is not looked at from outside.
    fn quiet() -> Config {
        Config { media: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
    }

    #[test]
    fn all_that_is_wrong_is_told_by_its_key() {
        assert_eq!(found(&quiet(), false), Vec::<String>::new());
        let check = |change: &dyn Fn(&mut Config), expect: &str| {
            let mut config = quiet();
            change(&mut config);
            let told = found(&config, false);
            assert!(told.iter().any(|line| line.starts_with(expect)), "{expect}: {told:?}");
        };
        let path = || Some("/nowhere".into());
        let port = || Some("127.0.0.1:0".parse().unwrap());
        check(&|c| c.tls_key = path(), "edge.tls_certificate: it is not set");
        check(
            &|c| (c.tls_key, c.tls_certificate) = (path(), path()),
            "edge.tls_certificate: it is for",
        );
        check(
            &|c| (c.https, c.tls_key, c.tls_certificate) = (port(), path(), path()),
            "edge.tls_certificate: /nowhere: No such file or directory (os error 2); create it",
        );
        check(&|c| c.upstream = vec!["origin".into()], "edge.upstream: upstream origin: no port");
        check(&|c| c.upstream = Vec::new(), "edge.upstream: ");
        check(&|c| c.upstream_ca = path(), "edge.upstream_ca: /nowhere");
        check(&|c| c.upstream_name = Some("a b".into()), "edge.upstream_name: \"a b\"");
        check(&|c| c.upstream_key = path(), "edge.upstream_certificate: it is not set");
        check(&|c| c.relay_token_file = path(), "edge.relay_token_file: /nowhere");
        check(&|c| c.relay = port(), "edge.relay_certificate: edge.relay needs it");
        check(
            &|c| (c.relay_key, c.relay_certificate) = (path(), path()),
            "edge.relay_certificate: it is for",
        );
        check(&|c| c.workers = 1_000, "edge.workers: 1000; at most 256");
        check(&|c| c.window_secs = 1, "edge.window_secs: ");
        check(&|c| c.trusted_proxies = vec!["x".into()], "edge.trusted_proxies: ");
        check(&|c| c.half_open_max = 0, "edge.half_open_max: 0 lets nobody");
        check(&|c| c.shared_cache = true, "edge.shared_cache: it says");
        let told = |c: &mut Config| {
            c.media = "0.0.0.0:0".parse().unwrap();
            c.media_addresses = vec!["10.1.2.3".parse().unwrap()];
        };
        check(&told, "edge.media_addresses: 10.1.2.3 is a private network's");
        check(&|c| c.media_addresses_file = path(), "edge.media_addresses_file: /nowhere: No such");
        let both = |c: &mut Config| {
            c.media_addresses = vec!["203.0.113.7".parse().unwrap()];
            c.media_addresses_file = path();
        };
        check(&both, "edge.media_addresses: edge.media_addresses_file says it too");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("addresses");
        std::fs::write(&file, "10.1.2.3\n").unwrap();
        let told = |c: &mut Config| {
            c.media = "0.0.0.0:0".parse().unwrap();
            c.media_addresses_file = Some(file.clone());
        };
        check(&told, "edge.media_addresses_file: 10.1.2.3 is a private network's");
    }

    #[test]
    fn beside_its_origin_an_edge_is_not_asked_how_to_reach_it() {
        let config = Config { upstream_ca: Some("/nowhere".into()), ..quiet() };
        assert_eq!(found(&config, true), Vec::<String>::new());
    }
}
