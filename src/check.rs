//! Whether a configuration can be started with, and where it would listen: for `lectern check-config`, and at
//! each start, before any port is opened. What is wrong with a role's settings is the role's to say; what
//! concerns the process as a whole is said here.

use std::fmt;
use std::net::SocketAddr;

use lectern_relay_proto::about::Visibility;
use lectern_relay_proto::net::check::{Checkup, Fault, Scope, Weight};

use crate::cli::{Role, log_filter};
use crate::config::Config;

/// All that is wrong with `config` for `role`, as far as `scope` says.
pub(crate) fn faults(config: &Config, role: &Role, scope: Scope) -> Vec<Fault> {
    let mut checkup = Checkup::new(scope);
    if let Some(Err(error)) = config.log.as_deref().map(log_filter) {
        checkup.refuse("log", error);
    }
    config.telemetry.check(&mut checkup);
    let beside = matches!(role, Role::All { .. });
    if role.has_origin() {
        let (broadcasts, data_dir) = (&config.broadcast, &config.data_dir);
        let origin = &config.origin;
        lectern_origin::check::check(&mut checkup, origin, broadcasts, data_dir, beside);
        viewer_keys(&mut checkup, config);
        if let (true, Some(certificate)) = (beside, &origin.relay_certificate) {
            // By this name the edge of the same process reaches it.
            checkup.named(("origin.relay_certificate", certificate), "localhost");
        }
    }
    if role.has_edge() {
        lectern_edge::check::check(&mut checkup, &config.edge, beside);
    }
    ports(&mut checkup, &listeners(config, role));
    checkup.into_faults()
}

/// Those who cannot watch because no key is there that could let them in.
fn viewer_keys(checkup: &mut Checkup, config: &Config) {
    let needing = |(_, broadcast): &(usize, &lectern_origin::config::BroadcastConfig)| {
        broadcast.visibility == Visibility::Token && broadcast.viewer_keys.is_empty()
    };
    for (index, broadcast) in config.broadcast.iter().enumerate().filter(needing) {
        let wrong = format!(
            "nobody can watch {}: its viewers need tokens, and no [[viewer_key]] is there to check them with; \
             add one",
            broadcast.id
        );
        checkup.doubt(format!("broadcast.{index}.visibility"), wrong);
    }
}

/// A port that is opened.
pub(crate) struct Listener {
    /// Which setting says where.
    key: &'static str,
    protocol: Protocol,
    at: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        write!(f, "{:<13} {protocol} {}", self.key, self.at)
    }
}

/// Where `role` listens.
pub(crate) fn listeners(config: &Config, role: &Role) -> Vec<Listener> {
    use Protocol::{Tcp, Udp};
    let (origin, edge) = (&config.origin, &config.edge);
    let mut all = Vec::new();
    let mut listen = |key, protocol, at| all.push(Listener { key, protocol, at });
    if role.has_origin() {
        listen("origin.rtmp", Tcp, origin.rtmp);
        listen("origin.http", Tcp, origin.http);
        listen("origin.relay", Udp, origin.relay);
        listen("origin.media", Udp, origin.media);
        listen("origin.ops", Tcp, origin.ops);
    }
    if role.has_edge() {
        listen("edge.http", Tcp, edge.http);
        if let Some(https) = edge.https {
            listen("edge.https", Tcp, https);
        }
        listen("edge.media", Udp, edge.media);
        if edge.media_tcp_max > 0 {
            listen("edge.media", Tcp, edge.media);
        }
        if let Some(relay) = edge.relay {
            listen("edge.relay", Udp, relay);
        }
        listen("edge.ops", Tcp, edge.ops);
    }
    all
}

/// Ports that two settings want.
fn ports(checkup: &mut Checkup, all: &[Listener]) {
    for (index, listener) in all.iter().enumerate() {
        let (ip, port) = (listener.at.ip(), listener.at.port());
        // Port 0 is any that is free.
        let same = all[..index].iter().find(|other| {
            let overlap =
                other.at.ip() == ip || other.at.ip().is_unspecified() || ip.is_unspecified();
            port != 0 && other.at.port() == port && other.protocol == listener.protocol && overlap
        });
        if let Some(other) = same {
            let wrong = format!(
                "{} is where {} listens ({}): give one of the two another port",
                listener.at, other.key, other.at
            );
            checkup.refuse(listener.key, wrong);
        }
    }
}

/// Writes what is wrong to the log of a process that goes on all the same.
pub(crate) fn log(faults: &[Fault]) {
    for fault in faults {
        match fault.weight {
            Weight::Doubtful => tracing::warn!("{fault}"),
            Weight::Broken | Weight::Refused => tracing::error!("{fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Role = Role::All { demo: false, data_dir: None };

    fn found(change: impl Fn(&mut Config), role: &Role) -> Vec<String> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut config = Config { data_dir: dir.path().into(), ..Config::default() };
        change(&mut config);
        let scope = Scope { machine: false, ..Scope::here() };
        faults(&config, role, scope).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_of_both_roles_are_well_together() {
        assert_eq!(found(|_| {}, &ALL), Vec::<String>::new());
        assert_eq!(found(|_| {}, &Role::Edge), Vec::<String>::new());
        let told: Vec<_> =
            listeners(&Config::default(), &Role::Edge).iter().map(ToString::to_string).collect();
        let expect = [
            "edge.http     TCP 0.0.0.0:8080",
            "edge.media    UDP [::]:8189",
            "edge.media    TCP [::]:8189",
            "edge.ops      TCP 0.0.0.0:9091",
        ];
        assert_eq!(told, expect);
    }

    #[test]
    fn a_port_is_given_once_for_each_protocol_and_address() {
        let at = |text: &str| text.parse().expect("an address");
        let told = found(|config| config.edge.ops = at("127.0.0.1:8080"), &ALL);
        let expect = "edge.ops: 127.0.0.1:8080 is where edge.http listens (0.0.0.0:8080): give one of the \
                      two another port";
        assert_eq!(told, [expect]);
        assert_eq!(found(|config| config.edge.ops = at("0.0.0.0:9090"), &Role::Edge), [""; 0]);
        let apart = |config: &mut Config| {
            (config.edge.http, config.edge.ops) = (at("127.0.0.1:80"), at("127.0.0.2:80"));
            (config.origin.relay, config.origin.rtmp) = (at("0.0.0.0:7"), at("0.0.0.0:7"));
            (config.origin.ops, config.origin.http) = (at("127.0.0.1:0"), at("127.0.0.1:0"));
        };
        assert_eq!(found(apart, &ALL), [""; 0]);
    }
}
