//! An origin and an edge as processes, set up for a benchmark.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::EDGE_CORE;
use crate::options::Common;

/// The id of the broadcast that the servers are set up for.
pub const BROADCAST: &str = "bench";
/// And its stream key.
pub const KEY: &str = "bench";
/// How long a server may take to be ready.
pub const START_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Where the servers are.
#[derive(Clone, Debug)]
pub struct Place {
    /// The origin's address.
    pub origin: IpAddr,
    /// The edge's.
    pub edge: IpAddr,
    /// The network namespace that the edge is in, if another than ours.
    pub edge_namespace: Option<String>,
    /// The edge's UDP port; a free one if absent.
    pub media_port: Option<u16>,
}

impl Place {
    /// All on loopback.
    pub fn loopback() -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { origin: ip, edge: ip, edge_namespace: None, media_port: None }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    /// What the command line says: which program, lines for the edge's configuration, and whether to
    /// show what the servers log.
    pub options: &'a Common,
    /// Where the servers are to be.
    pub place: &'a Place,
    /// Numbers for the edge's configuration. The program to measure may be an older one, and a key
    /// that it does not know it refuses, so only what its help names is set, and what the command line
    /// names goes before.
    pub settings: &'a [(&'a str, usize)],
}

/// What runs. Dropping it ends the processes.
pub struct Servers {
    /// Where to publish.
    pub rtmp: SocketAddr,
    /// Where the edge serves viewers.
    pub http: SocketAddr,
    edge: Child,
    origin: Child,
    _dir: TempDir,
}

impl Servers {
    /// Starts both; returns once they say that they are ready.
    pub async fn start(client: &reqwest::Client, setup: &Setup<'_>) -> anyhow::Result<Self> {
        let Setup { options, place, settings } = setup;
        let dir = tempfile::tempdir()?;
        let [rtmp, relay, origin_ops] = ports(place.origin)?;
        // In its namespace nobody else has ports, and ours say nothing about it.
        let [http, media, edge_ops] = match place.edge_namespace {
            Some(_) => [8_080, 8_189, 9_091],
            None => ports(place.edge)?,
        };
        let media = place.media_port.unwrap_or(media);
        let data = dir.path().join("data");
        let config = dir.path().join("lectern.toml");
        let (origin_ports, edge_ports) = ([rtmp, relay, origin_ops], [http, media, edge_ops]);
        let bin = binary(options.bin.as_deref())?;
        let help = Command::new(&bin).arg("--help").kill_on_drop(true).output().await?;
        let known = known(&String::from_utf8_lossy(&help.stdout), settings, &options.edge);
        let mut text = config_text(place, &data, origin_ports, edge_ports);
        text += &known;
        options.edge.iter().for_each(|line| text += &format!("{line}\n"));
        std::fs::write(&config, text)?;

        let mut command = died_with_us(&[]);
        command.arg(&bin).arg("origin");
        // By the environment, which an older program passes over.
        command.env("LECTERN_ORIGIN__HTTP", SocketAddr::new(place.origin, 0).to_string());
        command.env("LECTERN_ORIGIN__MEDIA", SocketAddr::new(place.origin, 0).to_string());
        let mut origin = spawn(command, &config, options.verbose)?;
        ready(client, &mut origin, SocketAddr::new(place.origin, origin_ops), "origin").await?;

        let mut before = Vec::new();
        if let Some(namespace) = &place.edge_namespace {
            before.extend(["ip", "netns", "exec", namespace]);
        }
        let mut command = died_with_us(&before);
        command.args(["taskset", "-c", &EDGE_CORE.to_string()]).arg(&bin).arg("edge");
        let mut edge = spawn(command, &config, options.verbose)?;
        ready(client, &mut edge, SocketAddr::new(place.edge, edge_ops), "edge").await?;
        Ok(Self {
            rtmp: SocketAddr::new(place.origin, rtmp),
            http: SocketAddr::new(place.edge, http),
            edge,
            origin,
            _dir: dir,
        })
    }

    /// The edge's process.
    pub fn edge_pid(&self) -> anyhow::Result<u32> {
        self.edge.id().context("the edge has ended")
    }

    /// Ends both.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.edge.kill().await?;
        self.origin.kill().await?;
        Ok(())
    }
}

/// The client with which a benchmark asks its servers.
pub fn client() -> reqwest::Result<reqwest::Client> {
    // As it is built here the library brings no cryptography; what it has is not used on loopback.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(0)
        .no_proxy()
        .build()
}

/// The configuration of both roles.
fn config_text(
    place: &Place,
    data: &Path,
    [rtmp, relay, origin_ops]: [u16; 3],
    [http, media, edge_ops]: [u16; 3],
) -> String {
    let (origin, edge, certificate) = (place.origin, place.edge, data.join("relay/relay-cert.pem"));
    format!(
        "data_dir = {data:?}\n\
         [[broadcast]]\nid = \"{BROADCAST}\"\nstream_key = \"{KEY}\"\n\
         [origin]\nrtmp = \"{origin}:{rtmp}\"\nrelay = \"{origin}:{relay}\"\n\
         ops = \"{origin}:{origin_ops}\"\nrelay_token = \"bench\"\n\
         [edge]\nhttp = \"{edge}:{http}\"\nmedia = \"{edge}:{media}\"\nops = \"{edge}:{edge_ops}\"\n\
         upstream = \"{origin}:{relay}\"\nupstream_name = \"localhost\"\n\
         upstream_ca = {certificate:?}\nrelay_token = \"bench\"\nworkers = 1\n"
    )
}

/// Those of `settings` that the program's help names and `lines` do not set, as lines.
fn known(help: &str, settings: &[(&str, usize)], lines: &[String]) -> String {
    let names = |line: &str, key: &str| line.split('=').next().map(str::trim) == Some(key);
    let set = settings.iter().filter(|(key, _)| {
        help.lines().any(|line| names(line, key)) && !lines.iter().any(|line| names(line, key))
    });
    set.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// The program to measure.
pub fn binary(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = || Ok(std::env::current_exe()?.with_file_name("lectern"));
    let bin = given.map_or_else(beside, |bin| anyhow::Ok(bin.to_owned()))?;
    if !bin.is_file() {
        bail!("there is no {}: build it, or say --bin", bin.display());
    }
    Ok(bin)
}

/// A command that ends when this process does, however that ends.
pub fn died_with_us(before: &[&str]) -> Command {
    let mut words = before.iter().copied().chain(["setpriv", "--pdeathsig", "KILL"]);
    let mut command = Command::new(words.next().unwrap_or("setpriv"));
    command.args(words);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

fn spawn(mut command: Command, config: &Path, verbose: bool) -> anyhow::Result<Child> {
    command.arg("--config").arg(config);
    if verbose {
        command.args(["--log", "info"]).stdout(Stdio::from(std::io::stderr()));
    } else {
        command.args(["--log", "error"]).stdout(Stdio::null());
    }
    without_settings(&mut command);
    command.spawn().context("a server cannot be started (setpriv and taskset are of util-linux)")
}

/// Takes out of a command's environment what would set servers up: ours is for other servers.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LECTERN_") {
            command.env_remove(name);
        }
    }
}

async fn ready(
    client: &reqwest::Client,
    child: &mut Child,
    ops: SocketAddr,
    name: &str,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("the {name} ended: {status}");
        }
        let answer = client.get(format!("http://{ops}/readyz")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the {name} is not ready after {START_MAX:?}");
        }
        sleep(POLL).await;
    }
}

/// Ports that are free for TCP and UDP now.
pub fn ports<const N: usize>(ip: IpAddr) -> anyhow::Result<[u16; N]> {
    let mut held = Vec::new();
    while held.len() < N {
        let tcp = TcpListener::bind((ip, 0))?;
        let port = tcp.local_addr()?.port();
        if let Ok(udp) = UdpSocket::bind((ip, port)) {
            held.push((port, tcp, udp));
        }
    }
    let ports: Vec<u16> = held.iter().map(|(port, ..)| *port).collect();
    ports.try_into().ok().context("ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_program_knows_is_set_and_what_is_given_goes_first() {
        let help =
            "    sessions_max = 2000              WebRTC viewers\n    window_secs = 30    kept\n";
        let check = |given: &[&str], expect: &str| {
            let given: Vec<String> = given.iter().map(|line| (*line).to_owned()).collect();
            let settings = [("sessions_max", 70), ("half_open_max", 70), ("window_secs", 8)];
            assert_eq!(known(help, &settings, &given), expect);
        };
        check(&[], "sessions_max = 70\nwindow_secs = 8\n");
        check(&["sessions_max=5"], "window_secs = 8\n");
    }
}
