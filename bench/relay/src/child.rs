//! Nodes as their starter sees them: processes that are told what to be, whose processor time and memory
//! are looked at from outside, and that end with this one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lectern_bench_rig::proc::{self, Busy};
use lectern_bench_rig::servers::died_with_us;
use lectern_bench_rig::unix_us;
use serde::Serialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};

use crate::plan::{Order, Plan, Proxied, Published, Said, TAIL_US, Watched};

/// How long a node may take to say that it is there.
const READY_MAX: Duration = Duration::from_secs(25);
/// How long all that is watched may take to begin.
const WATCHING_MAX: Duration = Duration::from_secs(30);
/// How long a node may take to add up what it saw, after the last of it.
const REPORT_MAX: Duration = Duration::from_secs(30);
/// From the order to count to the beginning of the window.
const LEAD: Duration = Duration::from_millis(500);

/// A node that runs. Dropping it ends it.
pub(crate) struct Node {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    address: Option<SocketAddr>,
    /// Memory before there was anything to do.
    rss_kb_idle: u64,
}

/// What all nodes of a run have.
pub(crate) struct Site {
    dir: TempDir,
    verbose: bool,
}

/// What a node used in the window.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Usage {
    /// Of one core.
    pub(crate) cpu_percent: f64,
    /// At its end, and before there was anything to do.
    pub(crate) rss_kb: u64,
    pub(crate) rss_kb_idle: u64,
}

impl Usage {
    /// Memory of one of `broadcasts`, in bytes.
    pub(crate) fn bytes_each(&self, broadcasts: usize) -> f64 {
        let more = self.rss_kb.saturating_sub(self.rss_kb_idle) as f64 * 1_024.0;
        more / broadcasts.max(1) as f64
    }
}

/// How the machine was in the window.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Machine {
    /// Of all cores, whoever kept them busy.
    pub(crate) busy_percent: f64,
    /// The part of it that the nodes are.
    pub(crate) ours_percent: f64,
    /// Datagrams for which a socket had no room.
    pub(crate) udp_drops: u64,
}

/// What was measured.
pub(crate) struct Counted {
    pub(crate) usage: Vec<Usage>,
    pub(crate) said: Vec<Said>,
    pub(crate) machine: Machine,
}

impl Site {
    pub(crate) fn new(verbose: bool) -> anyhow::Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, verbose })
    }

    /// Where all nodes find their identity.
    pub(crate) fn identity(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a node and waits until it is there.
    pub(crate) async fn start(&self, plan: Plan) -> anyhow::Result<Node> {
        let mut command = died_with_us(&[]);
        command.arg(std::env::current_exe()?);
        if self.verbose {
            command.arg("--verbose");
        }
        command.arg("node").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("a node cannot be started")?;
        let input = child.stdin.take().context("a node without standard input")?;
        let output = child.stdout.take().context("a node without standard output")?;
        let lines = BufReader::new(output).lines();
        let mut node = Node { child, input, lines, address: None, rss_kb_idle: 0 };
        node.tell(&plan).await?;
        let Said::Ready(address) = node.hear(READY_MAX).await? else {
            bail!("a node began with something else than being there");
        };
        node.address = address;
        node.rss_kb_idle = proc::rss_kb(node.pid()?)?;
        Ok(node)
    }
}

impl Node {
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        self.address.context("the node has no address")
    }

    /// Has an origin begin to publish.
    pub(crate) async fn begin(&mut self) -> anyhow::Result<()> {
        self.tell(&Order::Begin).await
    }

    /// Waits until all has begun that it watches; false if it does not in time.
    pub(crate) async fn is_watching(&mut self) -> anyhow::Result<bool> {
        match timeout(WATCHING_MAX, self.line()).await {
            Err(_) => Ok(false),
            Ok(said) => match said? {
                Said::Watching => Ok(true),
                said => bail!("instead of watching a node said {said:?}"),
            },
        }
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a node has ended")
    }

    async fn tell(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.input.write_all(&line).await?)
    }

    async fn hear(&mut self, limit: Duration) -> anyhow::Result<Said> {
        timeout(limit, self.line()).await.context("a node does not answer")?
    }

    /// The next thing it says. Cancelling it loses nothing.
    async fn line(&mut self) -> anyhow::Result<Said> {
        let line = self.lines.next_line().await?.context("a node has ended")?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Has all `nodes` count for as long.
pub(crate) async fn count(nodes: &mut [&mut Node], window: Duration) -> anyhow::Result<Counted> {
    let from_us = unix_us() + LEAD.as_micros() as u64;
    let until_us = from_us + window.as_micros() as u64;
    for node in &mut *nodes {
        node.tell(&Order::Count { from_us, until_us }).await?;
    }
    sleep(Duration::from_micros(from_us.saturating_sub(unix_us()))).await;
    let cores = std::thread::available_parallelism()?.get();
    let cpu: Vec<_> = nodes.iter().map(|node| proc::cpu(node.pid()?)).collect::<Result<_, _>>()?;
    let busy: Vec<_> = (0..cores).map(Busy::now).collect::<Result<_, _>>()?;
    let drops = proc::udp_drops()?;
    let began_us = unix_us();

    sleep(Duration::from_micros(until_us.saturating_sub(unix_us()))).await;
    let seconds = (unix_us() - began_us) as f64 / 1e6;
    let mut usage = Vec::new();
    for (node, before) in nodes.iter().zip(cpu) {
        let used = proc::cpu(node.pid()?)?.saturating_sub(before);
        usage.push(Usage {
            cpu_percent: used.as_secs_f64() * 100.0 / seconds,
            rss_kb: proc::rss_kb(node.pid()?)?,
            rss_kb_idle: node.rss_kb_idle,
        });
    }
    let ours = usage.iter().map(|usage| usage.cpu_percent).sum::<f64>();
    let mut machine = Machine {
        udp_drops: proc::udp_drops()? - drops,
        ours_percent: ours / cores as f64,
        busy_percent: 0.0,
    };
    for (core, before) in busy.iter().enumerate() {
        machine.busy_percent += Busy::now(core)?.percent_since(before) / cores as f64;
    }
    let mut said = Vec::new();
    for node in &mut *nodes {
        let limit = Duration::from_micros(TAIL_US) + REPORT_MAX;
        // One that was given up waiting for may still say that it is there.
        said.push(match node.hear(limit).await? {
            Said::Watching => node.hear(limit).await?,
            said => said,
        });
    }
    Ok(Counted { usage, said, machine })
}

impl Counted {
    pub(crate) fn published(&self) -> anyhow::Result<&Published> {
        let published = self.said.iter().find_map(|said| match said {
            Said::Published(published) => Some(published),
            _ => None,
        });
        published.context("nobody published")
    }

    /// By each that watched, in the order of the nodes.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &Watched> {
        self.said.iter().filter_map(|said| match said {
            Said::Watched(watched) => Some(watched),
            _ => None,
        })
    }

    pub(crate) fn proxied(&self) -> Option<Proxied> {
        self.said.iter().find_map(|said| match said {
            Said::Proxied(proxied) => Some(*proxied),
            _ => None,
        })
    }
}
