//! The link between an edge and an origin: a track of records in each direction. Edges ask, origins answer.
//!
//! An edge announces `edge/<origin>/<name>` for each origin whose broadcasts it hears of; that origin, and no
//! other, reads it, and answers at `origin/<origin>/<name>`. Announcements travel through relays, so there
//! may be any number of these in between. A name is used once: what is left of a link that broke off is
//! nobody's. That an origin is there it says at `origin/<origin>/here`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moq_net::{announce, origin};
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::Error;
use super::path::Node;
use super::records::{self, RecordPublisher, RecordSubscription};
use super::subscription::ANSWER_TIMEOUT;
use crate::BroadcastId;

/// What edges publish under.
pub(super) const EDGE: &str = "edge";
/// What an origin answers its edges under.
const ORIGIN: &str = "origin";
/// And where it says that it is there, whatever it publishes.
const HERE: &str = "here";
/// Edges of one origin; further ones wait until one goes, out loud.
const EDGES_MAX: usize = 4_096;
/// Those that wait, in the order in which they came; further ones have to come again.
const WAITING_MAX: usize = 4_096;
/// Origins that an edge has links with; more are not asked.
const ORIGINS_MAX: usize = 64;
/// Pause before a link that could not be had is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Requests that wait for the origin, and answers that wait for the edge. When full, the sender's wait
/// with the relay.
const QUEUE_MAX: usize = 256;

/// An edge that is connected, as its origin sees it.
pub struct EdgeLink {
    /// Tells the connections of edges apart: another one each time.
    pub name: String,
    /// What it asks, in order; ends with the connection.
    pub requests: mpsc::Receiver<Bytes>,
    /// What it is answered.
    pub responses: RecordPublisher,
    /// Announced for as long as this lives.
    _broadcast: moq_net::broadcast::Producer,
}

impl EdgeLink {
    /// Hands over a link with each edge that wants one with `node`, for as long as it is announced among
    /// `peers`. Ends with whoever takes the links.
    pub(super) async fn serve(
        node: Node,
        peers: origin::Consumer,
        ours: origin::Producer,
        links: mpsc::Sender<Self>,
    ) {
        let mut edges: BTreeMap<String, AbortHandle> = BTreeMap::new();
        let mut waiting = VecDeque::new();
        let mut tasks = JoinSet::new();
        let mut announced = peers.announced();
        loop {
            let update = tokio::select! {
                () = links.closed() => return,
                Some(_) = tasks.join_next() => continue,
                update = announced.next() => update,
            };
            let Some(update) = update else { return };
            let Some(name) = name_at(EDGE, update.prefix.as_str(), node) else { continue };
            let listen =
                |name: String| Self::keep(node, name, peers.clone(), ours.clone(), links.clone());
            if update.kind.is_active() {
                if edges.contains_key(name) {
                    // Another way to the same edge.
                } else if edges.len() < EDGES_MAX {
                    edges.insert(name.to_owned(), tasks.spawn(listen(name.to_owned())));
                } else if waiting.len() < WAITING_MAX && !waiting.iter().any(|one| one == name) {
                    if waiting.is_empty() {
                        tracing::warn!("edges have to wait: {EDGES_MAX} are connected");
                    }
                    waiting.push_back(name.to_owned());
                }
            } else if let Some(task) = edges.remove(name) {
                task.abort();
                if let Some(next) = waiting.pop_front() {
                    edges.insert(next.clone(), tasks.spawn(listen(next)));
                }
            } else {
                waiting.retain(|one| one != name);
            }
        }
    }

    async fn keep(
        node: Node,
        name: String,
        peers: origin::Consumer,
        ours: origin::Producer,
        links: mpsc::Sender<Self>,
    ) {
        loop {
            match Self::open(node, &peers, &ours, &name).await {
                Ok((link, reading)) => {
                    // Once it ends the edge comes back under another name.
                    if links.send(link).await.is_ok() {
                        reading.await;
                    }
                    return;
                }
                Err(error) => tracing::debug!(edge = name, %error, "no link with the edge"),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn open(
        node: Node,
        peers: &origin::Consumer,
        ours: &origin::Producer,
        name: &str,
    ) -> Result<(Self, impl Future<Output = ()> + use<>), Error> {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        let reading = subscribe(peers, &path(EDGE, node, name)).await?.hand_on(sender);
        let (broadcast, responses) = announce(ours, &path(ORIGIN, node, name))?;
        let link = Self { name: name.to_owned(), requests, responses, _broadcast: broadcast };
        Ok((link, reading))
    }
}

/// The edge's end of its links with all origins that it hears of.
pub struct OriginLink {
    ways: Arc<Ways>,
    responses: mpsc::Receiver<Bytes>,
}

/// Sends requests; any number of them share the links.
#[derive(Clone)]
pub struct RequestSender(Arc<Ways>);

/// How requests go.
#[derive(Default)]
struct Ways {
    known: Mutex<Known>,
    /// An origin has answered, once.
    answered: watch::Sender<bool>,
}

#[derive(Default)]
struct Known {
    /// Those who listen.
    listening: BTreeMap<Node, RecordPublisher>,
    /// Who publishes which broadcast.
    publishers: BTreeMap<BroadcastId, Node>,
}

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OriginLink {
    /// A link with whatever origins announce themselves among what is `heard`, over `up`.
    pub(super) fn new(heard: origin::Consumer, up: origin::Producer) -> (Self, Asking) {
        let (sender, responses) = mpsc::channel(QUEUE_MAX);
        let ways = Arc::new(Ways::default());
        let asking = Asking {
            heard,
            up,
            ways: ways.clone(),
            responses: sender,
            origins: BTreeMap::new(),
            readers: JoinSet::new(),
        };
        (Self { ways, responses }, asking)
    }

    /// What requests are sent with.
    pub fn sender(&self) -> RequestSender {
        RequestSender(self.ways.clone())
    }

    /// The next answer, from whichever origin. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.responses.recv().await
    }
}

impl RequestSender {
    /// Sends a request about a broadcast, to the origin that publishes it, or to another if that does not
    /// listen: they share what they know. False if none does. Whether it arrives, only its answer says.
    pub fn send(&self, about: &BroadcastId, request: Bytes) -> bool {
        let mut known = self.0.lock();
        let Known { listening, publishers } = &mut *known;
        let publisher = publishers.get(about).copied();
        let publisher = publisher.filter(|node| listening.contains_key(node));
        let Some(node) = publisher.or_else(|| listening.keys().next().copied()) else {
            return false;
        };
        listening.get_mut(&node).is_some_and(|requests| requests.write(request).is_ok())
    }

    /// Sends a request to every origin that listens. False if none does.
    pub fn send_to_all(&self, request: &Bytes) -> bool {
        let mut known = self.0.lock();
        let sent = known.listening.values_mut().map(|origin| origin.write(request.clone()).is_ok());
        sent.fold(false, |any, sent| any | sent)
    }

    /// Whether any origin has ever listened, now and once one does: one that does not know us never will.
    pub fn answered(&self) -> watch::Receiver<bool> {
        self.0.answered.subscribe()
    }
}

/// Makes a link with each origin.
pub(super) struct Asking {
    heard: origin::Consumer,
    up: origin::Producer,
    ways: Arc<Ways>,
    responses: mpsc::Sender<Bytes>,
    origins: BTreeMap<Node, Asked>,
    readers: JoinSet<()>,
}

/// An origin that is asked to listen.
struct Asked {
    name: String,
    /// Until it listens.
    requests: Option<RecordPublisher>,
    reader: Option<AbortHandle>,
    _broadcast: moq_net::broadcast::Producer,
}

impl Asked {
    fn over(self) {
        if let Some(reader) = self.reader {
            reader.abort();
        }
    }
}

impl Asking {
    /// These origins publish something.
    pub(super) fn origins(&mut self, heard: &BTreeSet<Node>) {
        let gone: Vec<_> =
            self.origins.keys().copied().filter(|node| !heard.contains(node)).collect();
        gone.into_iter().for_each(|node| self.let_go(node));
        for &node in heard {
            if !self.origins.contains_key(&node) && self.origins.len() < ORIGINS_MAX {
                self.ask(node);
            }
        }
    }

    /// Who publishes a broadcast now, if anybody does.
    pub(super) fn published(&self, id: &BroadcastId, by: Option<Node>) {
        let publishers = &mut self.ways.lock().publishers;
        match by {
            Some(node) => publishers.insert(id.clone(), node),
            None => publishers.remove(id),
        };
    }

    /// An announcement, if it is about one of these links.
    pub(super) fn update(&mut self, update: &announce::Update) {
        let path = update.prefix.as_str();
        let mut asked = self.origins.iter_mut();
        let Some((&node, asked)) =
            asked.find(|(node, asked)| name_at(ORIGIN, path, **node) == Some(asked.name.as_str()))
        else {
            return;
        };
        if !update.kind.is_active() {
            self.let_go(node);
            self.ask(node);
        } else if let Some(requests) = asked.requests.take() {
            self.ways.lock().listening.insert(node, requests);
            let (heard, path) = (self.heard.clone(), path.to_owned());
            let (ways, responses) = (self.ways.clone(), self.responses.clone());
            let reader = async move {
                loop {
                    match subscribe(&heard, &path).await {
                        Ok(answers) => {
                            ways.answered.send_replace(true);
                            answers.hand_on(responses.clone()).await;
                        }
                        Err(Error::NotFound | Error::Closed) => return,
                        Err(error) => {
                            tracing::debug!(%error, "the origin's answers cannot be read")
                        }
                    }
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            };
            asked.reader = Some(self.readers.spawn(reader));
        }
        while self.readers.try_join_next().is_some() {}
    }

    fn ask(&mut self, node: Node) {
        let name = format!("{:016x}", rand::rng().random::<u64>());
        match announce(&self.up, &path(EDGE, node, &name)) {
            Ok((broadcast, requests)) => {
                let (requests, reader) = (Some(requests), None);
                self.origins.insert(node, Asked { name, requests, reader, _broadcast: broadcast });
            }
            // Only once the subscriber itself is gone.
            Err(error) => tracing::debug!(%error, "no origin can be asked"),
        }
    }

    fn let_go(&mut self, node: Node) {
        self.ways.lock().listening.remove(&node);
        if let Some(asked) = self.origins.remove(&node) {
            asked.over();
        }
    }
}

fn path(kind: &str, node: Node, name: &str) -> String {
    format!("{kind}/{node}/{name}")
}

/// The name of the link with `node` at `path`.
fn name_at<'a>(kind: &str, path: &'a str, node: Node) -> Option<&'a str> {
    let (of, name) = path.strip_prefix(kind)?.strip_prefix('/')?.split_once('/')?;
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (is_name && of.parse() == Ok(node)).then_some(name)
}

/// Says that an origin is there, for as long as what it gives back lives.
pub(super) fn appear(
    origin: &origin::Producer,
    node: Node,
) -> Result<moq_net::broadcast::Producer, Error> {
    let from_moq = |error: moq_net::Error| Error::from_moq(&error);
    let broadcast = origin.create_broadcast(path(ORIGIN, node, HERE)).map_err(from_moq)?;
    broadcast.announce(super::path::route()?).map_err(from_moq)?;
    Ok(broadcast)
}

/// The origin that says so in an announcement.
pub(super) fn appeared(update: &announce::Update) -> Option<Node> {
    let of = update.prefix.as_str().strip_prefix(ORIGIN)?.strip_prefix('/')?;
    of.strip_suffix(HERE)?.strip_suffix('/')?.parse().ok()
}

fn announce(
    origin: &origin::Producer,
    path: &str,
) -> Result<(moq_net::broadcast::Producer, RecordPublisher), Error> {
    let from_moq = |error: moq_net::Error| Error::from_moq(&error);
    let broadcast = origin.create_broadcast(path).map_err(from_moq)?;
    let track =
        broadcast.create_track(records::TRACK, RecordPublisher::info()).map_err(from_moq)?;
    broadcast.announce(super::path::route()?).map_err(from_moq)?;
    Ok((broadcast, RecordPublisher::new(track)))
}

async fn subscribe(from: &origin::Consumer, path: &str) -> Result<RecordSubscription, Error> {
    let broadcast = tokio::time::timeout(ANSWER_TIMEOUT, from.request_broadcast(path)).await;
    let broadcast = broadcast.map_err(|_| Error::Timeout)?;
    RecordSubscription::open(&broadcast.map_err(|error| Error::from_moq(&error))?).await
}
