//! A cluster to do things to: PostgreSQL, origins, edges and the encoder, each in its place, and what stands
//! between them. What is done to it is [`crate::run`]'s.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use lectern_bench_rig::servers::{START_MAX, binary};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::balancer::{Source, balance};
use crate::database;
use crate::disk::{Disk, unmount_below};
use crate::encoder::Encoder;
use crate::link::{Delay, carry};
use crate::network::{EDGES, Network, ORIGINS, Place, RELAY_PORT, link_address};
use crate::node::{Node, Program};
use crate::options::Options;
use crate::shim::{self, Shim};
use crate::viewers::Viewers;

/// The broadcast that is watched.
pub(crate) const BROADCAST: &str = "talk";
/// Who may read all of its comments at an origin.
pub(crate) const MODERATOR_KEY: &str = "the-key-of-a-moderator";
const STREAM_KEY: &str = "key";
const RTMP_PORT: u16 = 1_935;
const API_PORT: u16 = 8_088;
const HTTP_PORT: u16 = 8_080;
const ORIGIN_OPS: u16 = 9_090;
const EDGE_OPS: u16 = 9_091;
/// Room for what a node keeps, and not for much more.
const ORIGIN_DISK_MB: u32 = 32;
const DATABASE_DISK_MB: u32 = 192;
/// What the directories of a run are called, before the number of its process.
const DIRECTORY: &str = "lectern-faults-";
const POLL: Duration = Duration::from_millis(100);

/// The cluster. Dropping it ends all of it, viewers first.
pub(crate) struct World {
    pub(crate) viewers: Viewers,
    pub(crate) encoder: Encoder,
    pub(crate) source: Source,
    pub(crate) delay: Delay,
    pub(crate) database: Node,
    pub(crate) origins: Vec<Node>,
    pub(crate) edges: Vec<Node>,
    pub(crate) database_disk: Disk,
    pub(crate) origin_disks: Vec<Disk>,
    pub(crate) network: Network,
    /// Ends what runs on threads of its own.
    over: CancellationToken,
    threads: Vec<std::thread::JoinHandle<Option<()>>>,
    logs: Option<PathBuf>,
    dir: TempDir,
}

impl World {
    /// Starts all of it, and returns once everybody watches.
    pub(crate) async fn start(options: &Options, run: &str) -> anyhow::Result<Self> {
        sweep();
        let dir = tempfile::Builder::new()
            .prefix(&format!("{DIRECTORY}{}-", std::process::id()))
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()?;
        let network = Network::make(options.origins)?;
        let library = shim::compile(dir.path())?;
        let bin = binary(options.common.bin.as_deref())?;
        let bin = std::path::absolute(bin)?.into_os_string().into_string();
        let bin = bin.ok().context("a path that is not UTF-8")?;
        let new = |name: &str, place: Place, user, words| {
            anyhow::Ok(Node::new(
                Program {
                    name: name.to_owned(),
                    namespace: network.at(place)?.name().to_owned(),
                    user,
                    words,
                    log: dir.path().join(format!("{name}.log")),
                },
                Shim::new(&library, dir.path(), name)?,
            ))
        };

        let database_disk = Disk::make(dir.path().join("database"), DATABASE_DISK_MB)?;
        let words = database::make(database_disk.path())?;
        let user = Some(database::user()?);
        let database = new("database", Place::Database, user, words)?;

        certificate(dir.path())?;
        let (mut origins, mut origin_disks, mut edges) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..options.origins {
            let name = format!("origin-{}", n + 1);
            let disk = Disk::make(dir.path().join(&name), ORIGIN_DISK_MB)?;
            let config = dir.path().join(format!("{name}.toml"));
            std::fs::write(&config, origin_config(dir.path(), disk.path()))?;
            origin_disks.push(disk);
            origins.push(new(&name, Place::Origin(n), None, words_of(&bin, "origin", &config))?);
        }
        for n in 0..EDGES {
            let name = format!("edge-{}", n + 1);
            let config = dir.path().join(format!("{name}.toml"));
            std::fs::write(&config, edge_config(dir.path(), n, &options.common.edge))?;
            edges.push(new(&name, Place::Edge(n), None, words_of(&bin, "edge", &config))?);
        }

        let over = CancellationToken::new();
        let (source, delay) = (Source::default(), Delay::default());
        let threads = vec![
            links(&network, options.origins, &delay, &over)?,
            balancer(&network, options.origins, &source, &over)?,
        ];
        let viewers = Viewers::start(network.at(Place::Viewers)?, options.viewers)?;
        let url = format!("rtmp://127.0.0.1:{RTMP_PORT}/live/{STREAM_KEY}");
        let studio = network.at(Place::Encoder)?.name().to_owned();
        let encoder = Encoder::start(&studio, url, dir.path().join("encoder.log"));
        encoder.run(false);
        let logs = options.logs.as_ref().map(|logs| logs.join(run));
        let mut world = Self {
            viewers,
            encoder,
            source,
            delay,
            database,
            origins,
            edges,
            database_disk,
            origin_disks,
            network,
            over,
            threads,
            logs,
            dir,
        };
        world.begin().await?;
        Ok(world)
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        self.start_database().await?;
        for n in 0..self.origins.len() {
            self.start_origin(n).await?;
        }
        for n in 0..self.edges.len() {
            self.start_edge(n).await?;
        }
        self.encoder.run(true);
        self.viewers.watch(&(0..EDGES).map(base).collect::<Vec<_>>())?;
        let settled = self.viewers.settle(START_MAX * 2).await;
        settled.map_err(|without| anyhow::anyhow!("no picture on {without} in the beginning"))
    }

    /// Starts the database, and returns once it answers.
    pub(crate) async fn start_database(&mut self) -> anyhow::Result<()> {
        let address = SocketAddr::from((Place::Database.address(), 5_432));
        let deadline = Instant::now() + START_MAX;
        loop {
            // What was killed may still hold what the next needs, so that it ends at once.
            if self.database.has_ended() {
                self.database.start()?;
            }
            let answers = async move { tokio::net::TcpStream::connect(address).await.is_ok() };
            if self.viewers.run(answers).await? {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the database does not answer: {}", self.database.last_words());
            }
            sleep(POLL).await;
        }
    }

    /// Starts an origin, and returns once it is ready.
    pub(crate) async fn start_origin(&mut self, n: usize) -> anyhow::Result<()> {
        self.origins[n].start()?;
        ready(&self.viewers, &mut self.origins[n], Place::Origin(n), ORIGIN_OPS).await
    }

    /// Starts an edge, and returns once it is ready.
    pub(crate) async fn start_edge(&mut self, n: usize) -> anyhow::Result<()> {
        self.edges[n].start()?;
        ready(&self.viewers, &mut self.edges[n], Place::Edge(n), EDGE_OPS).await
    }

    /// The origin that the encoder is at.
    pub(crate) fn origin(&self) -> usize {
        self.source.origin().unwrap_or(0)
    }

    /// Where an origin that runs is asked.
    pub(crate) fn api(&self) -> String {
        let running = self.origins.iter().position(|origin| origin.pid().is_some()).unwrap_or(0);
        format!("http://{}:{API_PORT}", Place::Origin(running).address())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.over.cancel();
        for thread in self.threads.drain(..) {
            // What it had to say it has said.
            let _ = thread.join();
        }
        let Some(logs) = &self.logs else { return };
        let kept = std::fs::create_dir_all(logs).and_then(|()| std::fs::read_dir(self.dir.path()));
        for file in kept.into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|end| end == "log" || end == "toml") {
                // Logs that cannot be kept are no reason to fail.
                let _ = std::fs::copy(&path, logs.join(file.file_name()));
            }
        }
    }
}

/// Where an edge serves viewers.
fn base(n: usize) -> String {
    format!("http://{}:{HTTP_PORT}", Place::Edge(n).address())
}

fn words_of(bin: &str, role: &str, config: &Path) -> Vec<String> {
    let config = config.to_string_lossy().into_owned();
    [bin, role, "--config", &config].map(str::to_owned).into()
}

/// Removes what runs left behind that were killed.
fn sweep() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(DIRECTORY).and_then(|rest| rest.split('-').next());
        let pid = pid.and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid: u32| !lectern_bench_rig::namespace::is_alive(pid)) {
            unmount_below(&entry.path());
            // What stays does no harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// One certificate for all origins, for the name by which edges know them.
fn certificate(dir: &Path) -> anyhow::Result<()> {
    let made = rcgen::generate_simple_self_signed([ORIGINS.to_owned()])?;
    std::fs::write(dir.join("relay.pem"), made.cert.pem())?;
    Ok(std::fs::write(dir.join("relay-key.pem"), made.signing_key.serialize_pem())?)
}

fn origin_config(dir: &Path, data: &Path) -> String {
    let database = database::url();
    format!(
        "data_dir = {data:?}\n\
         [[broadcast]]\nid = \"{BROADCAST}\"\nstream_key = \"{STREAM_KEY}\"\n\
         moderator_key = \"{MODERATOR_KEY}\"\n\
         [origin]\nrtmp = \"0.0.0.0:{RTMP_PORT}\"\nrelay = \"0.0.0.0:{RELAY_PORT}\"\n\
         http = \"0.0.0.0:{API_PORT}\"\nmedia = \"0.0.0.0:8190\"\nops = \"0.0.0.0:{ORIGIN_OPS}\"\n\
         relay_certificate = {:?}\nrelay_key = {:?}\nrelay_token = \"faults\"\n\
         database = \"{database}\"\n",
        dir.join("relay.pem"),
        dir.join("relay-key.pem"),
    )
}

fn edge_config(dir: &Path, n: usize, lines: &[String]) -> String {
    let siblings = (0..EDGES).filter(|other| *other != n).map(base);
    let siblings: Vec<String> = siblings.collect();
    let mut text = format!(
        "[edge]\nhttp = \"0.0.0.0:{HTTP_PORT}\"\nmedia = \"0.0.0.0:8189\"\n\
         ops = \"0.0.0.0:{EDGE_OPS}\"\nupstream = \"{ORIGINS}:{RELAY_PORT}\"\n\
         upstream_name = \"{ORIGINS}\"\nupstream_ca = {:?}\nrelay_token = \"faults\"\n\
         siblings = {siblings:?}\n",
        dir.join("relay.pem"),
    );
    lines.iter().for_each(|line| text += &format!("{line}\n"));
    text
}

/// What stands between edges and origins, on a thread of its own.
fn links(
    network: &Network,
    origins: usize,
    delay: &Delay,
    over: &CancellationToken,
) -> anyhow::Result<std::thread::JoinHandle<Option<()>>> {
    let (delay, over) = (delay.clone(), over.clone());
    network.at(Place::Links)?.thread(move || {
        on_its_own(&over, async move {
            let carried = (0..origins).map(|n| {
                let here = SocketAddr::from((link_address(n), RELAY_PORT));
                carry(
                    here,
                    SocketAddr::from((Place::Origin(n).address(), RELAY_PORT)),
                    delay.clone(),
                )
            });
            futures::future::try_join_all(carried).await.map(drop)
        });
    })
}

/// What the encoder publishes to, likewise.
fn balancer(
    network: &Network,
    origins: usize,
    source: &Source,
    over: &CancellationToken,
) -> anyhow::Result<std::thread::JoinHandle<Option<()>>> {
    let (source, over) = (source.clone(), over.clone());
    network.at(Place::Encoder)?.thread(move || {
        on_its_own(&over, async move {
            let listener = TcpListener::bind(("127.0.0.1", RTMP_PORT)).await?;
            let origins =
                (0..origins).map(|n| SocketAddr::from((Place::Origin(n).address(), RTMP_PORT)));
            balance(listener, origins.collect(), source).await
        });
    })
}

/// Runs something on this thread until it is told to end.
fn on_its_own(over: &CancellationToken, job: impl Future<Output = anyhow::Result<()>>) {
    let done = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = done
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(over.run_until_cancelled(job)).unwrap_or(Ok(())));
    if let Err(error) = done {
        eprintln!("a part of the network broke: {error:#}");
    }
}

async fn ready(viewers: &Viewers, node: &mut Node, place: Place, ops: u16) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    let url = format!("http://{}/readyz", SocketAddr::new(IpAddr::V4(place.address()), ops));
    loop {
        if node.has_ended() {
            bail!("{} has ended: {}", node.name(), node.last_words());
        }
        let asked = viewers.client().get(&url).send();
        let answer = viewers.run(asked).await?;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{} is not ready: {}", node.name(), node.last_words());
        }
        sleep(POLL).await;
    }
}
