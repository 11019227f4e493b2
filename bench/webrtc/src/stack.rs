//! An origin and an edge as processes, set up for the benchmark, with a publisher before them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::clip::Clip;
use crate::options::Bench;
use crate::publish::Publisher;
use crate::timeline::Timeline;
use crate::whep::Whep;

/// The core that the edge has for itself; all else is on the other.
pub(crate) const EDGE_CORE: usize = 0;
pub(crate) const CLIENT_CORE: usize = 1;
const KEY: &str = "bench";
/// How long a server may take to be ready.
const START_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Where the servers are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The origin's address.
    pub(crate) origin: IpAddr,
    /// The edge's.
    pub(crate) edge: IpAddr,
    /// The network namespace that the edge is in, if another than ours.
    pub(crate) edge_namespace: Option<String>,
    /// The edge's UDP port; a free one if absent.
    pub(crate) media_port: Option<u16>,
}

impl Place {
    /// All on loopback.
    pub(crate) fn loopback() -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { origin: ip, edge: ip, edge_namespace: None, media_port: None }
    }
}

/// What runs. Dropping it ends the processes.
pub(crate) struct Stack {
    pub(crate) whep: Whep,
    pub(crate) timeline: Arc<Mutex<Timeline>>,
    pub(crate) publisher: Publisher,
    edge: Child,
    origin: Child,
    _dir: TempDir,
}

impl Stack {
    /// Starts both and publishes; returns once the edge has media for viewers.
    pub(crate) async fn start(
        bench: &Bench,
        place: &Place,
        clip: Arc<Clip>,
        sessions: usize,
        stamp_every: u64,
    ) -> anyhow::Result<Self> {
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
        let bin = binary(bench)?;
        let help = Command::new(&bin).arg("--help").kill_on_drop(true).output().await?;
        let limits = limits(&String::from_utf8_lossy(&help.stdout), sessions, &bench.edge);
        let text = config_text(bench, place, &data, &limits, origin_ports, edge_ports);
        std::fs::write(&config, text)?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()?;

        let mut command = died_with_us(&[]);
        command.arg(&bin).arg("origin");
        let mut origin = spawn(command, &config, bench)?;
        ready(&client, &mut origin, SocketAddr::new(place.origin, origin_ops), "origin").await?;

        let mut before = Vec::new();
        if let Some(namespace) = &place.edge_namespace {
            before.extend(["ip", "netns", "exec", namespace]);
        }
        let mut command = died_with_us(&before);
        command.args(["taskset", "-c", &EDGE_CORE.to_string()]).arg(&bin).arg("edge");
        let mut edge = spawn(command, &config, bench)?;
        ready(&client, &mut edge, SocketAddr::new(place.edge, edge_ops), "edge").await?;

        let timeline = Arc::<Mutex<Timeline>>::default();
        let rtmp = SocketAddr::new(place.origin, rtmp);
        let publisher = Publisher::start(rtmp, KEY, clip, timeline.clone(), stamp_every)?;
        let whep = Whep::new(client, SocketAddr::new(place.edge, http))?;
        whep.wait_for_media(START_MAX).await?;
        Ok(Self { whep, timeline, publisher, edge, origin, _dir: dir })
    }

    /// The edge's process.
    pub(crate) fn edge_pid(&self) -> anyhow::Result<u32> {
        self.edge.id().context("the edge has ended")
    }

    /// Ends both.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.publisher);
        self.edge.kill().await?;
        self.origin.kill().await?;
        Ok(())
    }
}

/// The configuration of both roles.
fn config_text(
    bench: &Bench,
    place: &Place,
    data: &Path,
    limits: &str,
    [rtmp, relay, origin_ops]: [u16; 3],
    [http, media, edge_ops]: [u16; 3],
) -> String {
    let (origin, edge, certificate) = (place.origin, place.edge, data.join("relay/relay-cert.pem"));
    let mut text = format!(
        "data_dir = {data:?}\n\
         [[broadcast]]\nid = \"bench\"\nstream_key = \"{KEY}\"\n\
         [origin]\nrtmp = \"{origin}:{rtmp}\"\nrelay = \"{origin}:{relay}\"\n\
         ops = \"{origin}:{origin_ops}\"\n\
         [edge]\nhttp = \"{edge}:{http}\"\nmedia = \"{edge}:{media}\"\nops = \"{edge}:{edge_ops}\"\n\
         upstream = \"{origin}:{relay}\"\nupstream_name = \"localhost\"\n\
         upstream_ca = {certificate:?}\nworkers = 1\n"
    );
    text += limits;
    bench.edge.iter().for_each(|line| text += &format!("{line}\n"));
    text
}

/// Settings without which the edge would refuse viewers who all come from one address, or count
/// what LL-DASH keeps as theirs. The program to measure may be an older one, and a key that it does
/// not know it refuses, so only what its help names is set, and what `given` does not set otherwise.
fn limits(help: &str, sessions: usize, given: &[String]) -> String {
    let limits = [
        ("sessions_max", sessions),
        ("half_open_max", sessions),
        ("half_open_per_client_max", sessions),
        ("joins_per_sec_max", sessions),
        ("window_secs", 8),
    ];
    let names = |line: &str, key: &str| line.split('=').next().map(str::trim) == Some(key);
    let set = limits.into_iter().filter(|(key, _)| {
        help.lines().any(|line| names(line, key)) && !given.iter().any(|line| names(line, key))
    });
    set.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

/// The program to measure.
fn binary(bench: &Bench) -> anyhow::Result<PathBuf> {
    let beside = || Ok(std::env::current_exe()?.with_file_name("lectern"));
    let bin = bench.bin.clone().map_or_else(beside, anyhow::Ok)?;
    if !bin.is_file() {
        bail!("there is no {}: build it, or say --bin", bin.display());
    }
    Ok(bin)
}

/// A command that ends when this process does, however that ends.
pub(crate) fn died_with_us(before: &[&str]) -> Command {
    let mut words = before.iter().copied().chain(["setpriv", "--pdeathsig", "KILL"]);
    let mut command = Command::new(words.next().unwrap_or("setpriv"));
    command.args(words);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

fn spawn(mut command: Command, config: &Path, bench: &Bench) -> anyhow::Result<Child> {
    command.arg("--config").arg(config);
    if bench.verbose {
        command.args(["--log", "info"]).stdout(Stdio::from(std::io::stderr()));
    } else {
        command.args(["--log", "error"]).stdout(Stdio::null());
    }
    // The servers' own variables are for other servers.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LECTERN_") {
            command.env_remove(name);
        }
    }
    command.spawn().context("a server cannot be started (setpriv and taskset are of util-linux)")
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
fn ports<const N: usize>(ip: IpAddr) -> anyhow::Result<[u16; N]> {
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
            assert_eq!(limits(help, 70, &given), expect);
        };
        check(&[], "sessions_max = 70\nwindow_secs = 8\n");
        check(&["sessions_max=5"], "window_secs = 8\n");
    }
}
