//! The origin's end of the relay: it announces broadcasts and writes their tracks.
//!
//! It only gives: nothing that a session says can write into its broadcasts. What an edge that has
//! presented the token asks for is handed to the owner as an [`EdgeLink`]; a stranger's announcements
//! lead nowhere. Sessions are [`super::serve`]'s. Which frames make a group, and when a catalog changes, is the packager's business;
//! reconnecting is the subscriber's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moq_net::{group, origin, track};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::link::{self, EdgeLink};
use super::path::{self, Node, Publication};
use super::records::{self, RecordPublisher};
use super::serve::{Doors, Server, cache, links};
use super::{Epoch, Error, Identity, PublisherMetrics, Tokens, vital};
use crate::{BroadcastId, Catalog, GroupId, MediaTime, Timescale, TrackName};

/// How long media can be fetched if nothing else is said: the window that edges show by default.
const KEEP: Duration = Duration::from_secs(120);
/// The most bytes of it, over all broadcasts.
const KEEP_BYTES_MAX: u64 = 512 * 1024 * 1024;
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
    pub token: Option<Tokens>,
    /// PEM file of the certificates of which one has to have signed a subscriber's; read again when it
    /// changes. `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// Sessions that may be open; further ones are refused. Each may cost 10 MB when its path stalls, and
    /// some hundred if it means to.
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
            client_ca: None,
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
    server: Server,
    announcer: Announcer,
    /// Says that this origin is there.
    _here: moq_net::broadcast::Producer,
    /// Aborted on drop.
    tasks: JoinSet<()>,
}

/// Begins broadcasts of a [`Publisher`]. Once that is closed, nobody hears of them.
#[derive(Clone)]
pub struct Announcer {
    origin: origin::Producer,
    node: Node,
    /// What is being published.
    claimed: Claimed,
    /// How many there have been.
    count: Arc<AtomicU64>,
    keep: Duration,
}

impl Publisher {
    /// Listens, from within a tokio runtime.
    pub fn bind(config: PublisherConfig) -> Result<Self, Error> {
        let PublisherConfig {
            listen, identity, token, client_ca, sessions_max, keep, metrics, ..
        } = config;
        let mut tasks = JoinSet::new();
        let origin = vital::broadcasts(&mut tasks, cache(keep, config.keep_bytes_max));
        let node = Node::random();
        let here = link::appear(&origin, node)?;
        // Who has not presented a token is not listened to.
        let take = config.edges.filter(|_| token.is_some()).map(|edges| {
            let peers = vital::broadcasts(&mut tasks, links());
            let serving = EdgeLink::serve(node, peers.consume(), origin.clone(), edges);
            vital::spawn(&mut tasks, "the link to edges", serving);
            peers
        });
        let doors = Doors { give: origin.consume(), take, token, client_ca, sessions_max, metrics };
        let server = Server::bind(listen, &identity, doors)?;
        let announcer =
            Announcer { origin, node, claimed: Arc::default(), count: Arc::default(), keep };
        Ok(Self { server, announcer, _here: here, tasks })
    }

    /// The address that it listens on.
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.server.local_addr()
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
        self.server.close().await;
        self.tasks.shutdown().await;
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
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = Publication { epoch, origin: self.node, number }.path(id);
        let broadcast = self.origin.create_broadcast(path).map_err(from_moq)?;
        let info = track::Info::default().with_max_age(self.keep).with_priority(CATALOG_PRIORITY);
        let catalog = broadcast.create_track(TrackName::CATALOG, info).map_err(from_moq)?;
        let (tracks, keep) = (BTreeSet::new(), self.keep);
        let announced = false;
        Ok(BroadcastPublisher { broadcast, catalog, tracks, keep, announced, _claim: claim })
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
            self.broadcast.announce(path::route()?).map_err(from_moq)?;
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

fn from_moq(error: moq_net::Error) -> Error {
    Error::from_moq(&error)
}
