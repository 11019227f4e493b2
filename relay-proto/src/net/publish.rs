//! The origin's end of the relay: a QUIC server that announces broadcasts and serves their tracks.
//!
//! It only gives: nothing that a session says can write into its broadcasts. What an edge that has
//! presented the token asks for is handed to the owner as an [`EdgeLink`]; a stranger's announcements
//! lead nowhere. Which frames make a group, and when a catalog changes, is the packager's business;
//! reconnecting is the subscriber's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moq_net::{cache, group, origin, track};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

use super::path::Publication;
use super::records::{self, EdgeLink, RecordPublisher};
use super::{Epoch, Error, Identity, PublisherMetrics, Token, transport};
use crate::{BroadcastId, Catalog, GroupId, MediaTime, Timescale, TrackName};

/// How long a stranger may take from the first packet to a valid token.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes that may be in progress; further ones are refused, established sessions never.
const HANDSHAKES_MAX: usize = 64;
/// From this many handshakes on, a stranger first proves its address (RFC 9000 §8.1.2).
const HANDSHAKES_UNVALIDATED_MAX: usize = 16;
/// How long media can be fetched if nothing else is said: the window that edges show by default.
const KEEP: Duration = Duration::from_secs(120);
/// The most bytes of it, over all broadcasts.
const KEEP_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How long closing waits for peers to be told, and for the port to be free.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Where the catalog stands between subscriptions: before everything, being small and rare.
const CATALOG_PRIORITY: u8 = u8::MAX;

/// How a publisher is set up.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// What it presents to subscribers.
    pub identity: Identity,
    /// What a subscriber must present. `None` serves anybody who can reach the port.
    pub token: Option<Token>,
    /// Sessions that may be open; further ones are refused. Each may cost 10 MB when its path stalls.
    pub sessions_max: usize,
    /// How long a group can be fetched after its end: for edges that join late, and for what they
    /// missed. It is let go within half of this again, so each broadcast costs one and a half times
    /// its bitrate for this long. The current group of each track is always kept.
    pub keep: Duration,
    /// The most bytes of media kept so, over all broadcasts. When it is reached, each track lets go
    /// of its oldest groups as it writes new ones.
    pub keep_bytes_max: u64,
    /// Where edges are announced that have presented the token and have something to ask. Without a
    /// token nobody has.
    pub edges: Option<mpsc::Sender<EdgeLink>>,
    /// What it counts.
    pub metrics: PublisherMetrics,
}

impl PublisherConfig {
    /// A publisher for anybody, with room for 256 sessions, two minutes and 512 MiB of media.
    pub fn new(listen: SocketAddr, identity: Identity, metrics: PublisherMetrics) -> Self {
        let (keep, keep_bytes_max) = (KEEP, KEEP_BYTES_MAX);
        Self {
            listen,
            identity,
            token: None,
            sessions_max: 256,
            keep,
            keep_bytes_max,
            edges: None,
            metrics,
        }
    }
}

/// A running QUIC server. Dropping it closes all sessions.
pub struct Publisher {
    endpoint: quinn::Endpoint,
    announcer: Announcer,
    /// Aborted on drop.
    tasks: JoinSet<()>,
    /// What the endpoint runs; it owns the socket.
    transport: TaskTracker,
}

/// Begins broadcasts of a [`Publisher`]. Once that is closed, nobody hears of them.
#[derive(Clone)]
pub struct Announcer {
    origin: origin::Producer,
    /// What is being published.
    claimed: Claimed,
    keep: Duration,
}

impl Publisher {
    /// Listens, from within a tokio runtime.
    pub fn bind(config: PublisherConfig) -> Result<Self, Error> {
        let transport = TaskTracker::new();
        let endpoint = transport::server(config.listen, &config.identity, transport.clone())?;
        let mut moq_config = origin::Config::default();
        moq_config.pool = cache::Pool::new(
            cache::Config::default().with_capacity(config.keep_bytes_max).with_expiry(config.keep),
        );
        moq_config.cache_duration = config.keep;
        let keep = config.keep;
        let (origin, driver) = origin::Producer::new(moq_config);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            moq_net::time::run(driver).await;
        });
        tasks.spawn(accept(endpoint.clone(), origin.clone(), config));
        let announcer = Announcer { origin, claimed: Arc::default(), keep };
        Ok(Self { endpoint, announcer, tasks, transport })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.endpoint.local_addr().map_err(|error| Error::Connection(error.to_string()))
    }

    /// What begins broadcasts.
    pub fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// See [`Announcer::broadcast`].
    pub fn broadcast(&self, id: &BroadcastId, epoch: Epoch) -> Result<BroadcastPublisher, Error> {
        self.announcer.broadcast(id, epoch)
    }

    /// Closes all sessions and waits until their peers have been told and the port is free.
    pub async fn close(mut self) {
        let transport = self.transport.clone();
        transport.close();
        let closing = async {
            self.endpoint.close(quinn::VarInt::from_u32(0), b"closing");
            self.endpoint.wait_idle().await;
            self.tasks.shutdown().await;
            drop(self);
            transport.wait().await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::warn!("relay sessions did not end in time; the port may still be in use");
        }
    }

    /// Where broadcasts of another shape than ours can be published, to see what subscribers do.
    #[cfg(test)]
    pub(super) fn origin(&self) -> &origin::Producer {
        &self.announcer.origin
    }
}

impl Announcer {
    /// Begins a publication of a broadcast. Subscribers hear of it with its first catalog, and follow it
    /// unless there is one with a greater `epoch`.
    pub fn broadcast(&self, id: &BroadcastId, epoch: Epoch) -> Result<BroadcastPublisher, Error> {
        let claim = Claim::new(&self.claimed, id, epoch).ok_or(Error::BroadcastExists)?;
        let path = Publication::new(epoch).path(id);
        let broadcast = self.origin.create_broadcast(path).map_err(from_moq)?;
        let info = track::Info::default().with_max_age(self.keep).with_priority(CATALOG_PRIORITY);
        let catalog = broadcast.create_track(TrackName::CATALOG, info).map_err(from_moq)?;
        let (tracks, keep) = (BTreeSet::new(), self.keep);
        let announced = false;
        Ok(BroadcastPublisher { broadcast, catalog, tracks, keep, announced, _claim: claim })
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.endpoint.close(quinn::VarInt::from_u32(0), b"closing");
    }
}

/// A broadcast that is being published: announced from its first catalog until this is dropped.
pub struct BroadcastPublisher {
    broadcast: moq_net::broadcast::Producer,
    catalog: track::Producer,
    tracks: BTreeSet<TrackName>,
    keep: Duration,
    announced: bool,
    _claim: Claim,
}

impl BroadcastPublisher {
    /// Publishes `catalog`, and with the first one announces the broadcast. Every track that it
    /// lists must have been made with [`Self::track`], so that nobody asks for one in vain.
    pub fn set_catalog(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let video = catalog.video.iter().map(|track| &track.name);
        let mut listed = video.chain(catalog.audio.iter().map(|track| &track.name));
        if let Some(name) = listed.find(|name| !self.tracks.contains(name)) {
            return Err(Error::NoSuchTrack(name.to_string()));
        }
        let mut group = self.catalog.append_group().map_err(from_moq)?;
        group.write_frame(moq_net::Timestamp::now(), catalog.to_json()).map_err(from_moq)?;
        group.finish().map_err(from_moq)?;
        if !self.announced {
            // With a first hop of its own it is known for the same by whatever way it comes, so that a
            // subscriber goes on with it by another when a relay in between ends.
            let mut hops = moq_net::Hops::new();
            hops.push(moq_net::Hop::random())
                .map_err(|error| Error::Protocol(error.to_string()))?;
            let route = origin::Route::default().with_hops(hops);
            self.broadcast.announce(route).map_err(from_moq)?;
            self.announced = true;
        }
        Ok(())
    }

    /// Makes a track. It exists for subscribers at once, and is listed by the next catalog.
    pub fn track(
        &mut self,
        name: &TrackName,
        timescale: Timescale,
    ) -> Result<TrackPublisher, Error> {
        let ticks = moq_net::Timescale::new(timescale.hz().into()).map_err(|_| Error::Time)?;
        let info = track::Info::default().with_timescale(ticks).with_max_age(self.keep);
        let track = match self.broadcast.create_track(name.as_str(), info) {
            Err(moq_net::Error::Duplicate) => return Err(Error::TrackExists(name.clone())),
            track => track.map_err(from_moq)?,
        };
        self.tracks.insert(name.clone());
        Ok(TrackPublisher::new(track))
    }

    /// Makes the track of the broadcast's comments, which no catalog lists. Only once.
    pub fn comments(&mut self) -> Result<RecordPublisher, Error> {
        let track = self.broadcast.create_track(records::TRACK, RecordPublisher::info());
        Ok(RecordPublisher::new(track.map_err(from_moq)?))
    }
}

impl Drop for BroadcastPublisher {
    fn drop(&mut self) {
        // Fails only if the track is gone, and then there is nothing left to end.
        let _ = self.catalog.finish();
        self.broadcast.close();
    }
}

/// The writing end of a track. Dropping it ends the track.
pub struct TrackPublisher {
    track: track::Producer,
    open: Option<group::Producer>,
    last: Option<GroupId>,
}

impl TrackPublisher {
    pub(super) fn new(track: track::Producer) -> Self {
        Self { track, open: None, last: None }
    }

    /// Adds `chunk`, whose first frame is at `time`, to `group`.
    ///
    /// Another group than before ends the one before it. Groups may be left out; going back is an
    /// error. A full group (8192 chunks or 32 MiB) is lost to all subscribers, and takes no more.
    pub fn write(&mut self, group: GroupId, time: MediaTime, chunk: Bytes) -> Result<(), Error> {
        let scale = u64::from(time.timescale.hz());
        let time = moq_net::Timestamp::from_scale(time.ticks, scale).map_err(|_| Error::Time)?;
        match self.last {
            Some(current) if group < current => {
                return Err(Error::GroupOrder { wanted: group, current });
            }
            Some(current) if group == current => {}
            _ => self.begin(group)?,
        }
        let open = self.open.as_mut().ok_or(Error::GroupFull(group))?;
        match open.write_frame(time, chunk) {
            Ok(()) => Ok(()),
            Err(moq_net::Error::GroupTooLarge | moq_net::Error::FrameTooLarge) => {
                self.open = None;
                Err(Error::GroupFull(group))
            }
            Err(moq_net::Error::TimestampMismatch) => Err(Error::Time),
            Err(error) => Err(from_moq(error)),
        }
    }

    /// Ends the open group before the next one begins, so that subscribers need not wait for it.
    pub fn finish_group(&mut self) -> Result<(), Error> {
        match self.open.take() {
            Some(group) => group.finish().map_err(from_moq),
            None => Ok(()),
        }
    }

    fn begin(&mut self, group: GroupId) -> Result<(), Error> {
        self.finish_group()?;
        let info = group::Info { sequence: group.sequence() };
        self.open = Some(self.track.create_group(info).map_err(from_moq)?);
        self.last = Some(group);
        Ok(())
    }
}

impl Drop for TrackPublisher {
    fn drop(&mut self) {
        // Both fail only if the broadcast is gone, and then there is nobody left to tell.
        let _ = self.finish_group();
        let _ = self.track.finish();
    }
}

/// What is being published, so that an origin never competes with itself.
type Claimed = Arc<Mutex<BTreeSet<(BroadcastId, Epoch)>>>;

/// The place of one publication among those that live.
struct Claim {
    claimed: Claimed,
    of: (BroadcastId, Epoch),
}

impl Claim {
    fn new(claimed: &Claimed, id: &BroadcastId, epoch: Epoch) -> Option<Self> {
        let of = (id.clone(), epoch);
        let new = claimed.lock().unwrap_or_else(PoisonError::into_inner).insert(of.clone());
        new.then(|| Self { claimed: claimed.clone(), of })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.of);
    }
}

/// Takes in sessions until the endpoint closes. Each runs in a task of its own: what a stranger's
/// bytes do to one, a panic included, does not reach the others.
async fn accept(endpoint: quinn::Endpoint, origin: origin::Producer, config: PublisherConfig) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let sessions = Arc::new(Semaphore::new(config.sessions_max));
    let mut tasks = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => incoming,
                None => return,
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "relay session panicked");
                    config.metrics.refused.with_label_values(&["panic"]).inc();
                }
                continue;
            }
        };
        let pending = HANDSHAKES_MAX - handshakes.available_permits();
        if pending >= HANDSHAKES_UNVALIDATED_MAX && incoming.may_retry() {
            // Fails only for an address that has been validated, which `may_retry` rules out.
            let _ = incoming.retry();
            continue;
        }
        let Ok(handshake) = handshakes.clone().try_acquire_owned() else {
            config.metrics.refused.with_label_values(&["busy"]).inc();
            incoming.refuse();
            continue;
        };
        let session = Session {
            remote: incoming.remote_address(),
            origin: origin.clone(),
            token: config.token.clone(),
            edges: config.edges.clone(),
            sessions: sessions.clone(),
            metrics: config.metrics.clone(),
        };
        tasks.spawn(async move {
            let admitted = tokio::time::timeout(HANDSHAKE_TIMEOUT, session.admit(incoming)).await;
            drop(handshake);
            match admitted {
                Ok(Some(admitted)) => session.serve(admitted).await,
                Ok(None) => {}
                Err(_) => session.refused("timeout"),
            }
        });
    }
}

/// What one session needs while it is let in and served.
struct Session {
    remote: SocketAddr,
    origin: origin::Producer,
    token: Option<Token>,
    edges: Option<mpsc::Sender<EdgeLink>>,
    sessions: Arc<Semaphore>,
    metrics: PublisherMetrics,
}

type MoqDriver = moq_net::Driver<web_transport_quinn::Session>;

/// A session that has been let in.
struct Admitted {
    session: moq_net::Session,
    driver: MoqDriver,
    /// What the peer announces, and what runs it; only of one that presented the token.
    peer: Option<(origin::Consumer, origin::Driver)>,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Session {
    /// From the first packet to a session that may subscribe; `None` if it may not.
    async fn admit(&self, incoming: quinn::Incoming) -> Option<Admitted> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::debug!(remote = %self.remote, %error, "relay handshake failed");
            self.refused("handshake");
        };
        let connection = incoming.await.map_err(|error| failed(&error)).ok()?;
        let connection = web_transport_quinn::Session::raw(connection);
        let server = moq_net::Server::new().with_versions(transport::versions());
        let handshake = server.accept_request(Instant::now(), connection).await;
        let handshake = handshake.map_err(|error| failed(&error)).ok()?;

        let wanted = self.token.as_ref();
        if wanted.is_some_and(|token| !token.is_presented_by(handshake.path())) {
            tracing::info!(remote = %self.remote, "relay session refused: wrong token or none");
            self.refused("token");
            handshake.close(moq_net::Error::Unauthorized);
            return None;
        }
        let Ok(permit) = self.sessions.clone().try_acquire_owned() else {
            tracing::warn!(remote = %self.remote, "relay session refused: too many are open");
            self.refused("sessions");
            handshake.close(moq_net::Error::GoingAway);
            return None;
        };
        let mut handshake = handshake.with_publisher(self.origin.consume());
        // Without a subscriber side the peer's own announcements lead nowhere.
        let peer = (self.token.is_some() && self.edges.is_some()).then(|| {
            let (peer, driver) = origin::Producer::new(origin::Config::default());
            let announced = peer.consume();
            (peer, announced, driver)
        });
        let peer = match peer {
            None => None,
            Some((peer, announced, driver)) => {
                handshake = handshake.with_subscriber(peer);
                Some((announced, driver))
            }
        };
        let (session, driver) = handshake.ok().await.map_err(|error| failed(&error)).ok()?;
        Some(Admitted { session, driver, peer, _permit: permit })
    }

    async fn serve(&self, admitted: Admitted) {
        tracing::info!(remote = %self.remote, "edge connected");
        let _open = Gauge::new(&self.metrics.sessions);
        let Admitted { session, driver, peer, _permit } = admitted;
        let mut asking = JoinSet::new();
        if let (Some((peer, peer_driver)), Some(edges)) = (peer, self.edges.clone()) {
            asking.spawn(async move {
                moq_net::time::run(peer_driver).await;
            });
            asking.spawn(EdgeLink::serve(peer, self.origin.clone(), edges));
        }
        let reason = moq_net::time::run(driver).await;
        drop(session);
        tracing::info!(remote = %self.remote, %reason, "edge disconnected");
    }

    fn refused(&self, reason: &str) {
        self.metrics.refused.with_label_values(&[reason]).inc();
    }
}

/// Counts one while it lives, whatever ends it.
struct Gauge(prometheus::IntGauge);

impl Gauge {
    fn new(gauge: &prometheus::IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn from_moq(error: moq_net::Error) -> Error {
    Error::from_moq(&error)
}
