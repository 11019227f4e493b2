//! The engine: what ties socket, workers, broadcasts and sessions together, and the calls that HTTP
//! and the upstream task make.

mod feed;
mod join;
mod restart;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use axum::http::HeaderValue;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::net::{PublicAddress, media_candidates};
use mio::Waker;
use rand::Rng as _;
use tokio::sync::watch;

use super::admission::{Admission, Limits};
use super::broadcast::Broadcast;
use super::dtls::Identity;
use super::ice_servers;
use super::mailbox::{Command, Mailbox};
use super::metrics::{Ended, Metrics};
use super::outbox::Outbox;
use super::registry::{Entry, Registry};
use super::socket::{Port, Receiver, Sending, Sorter};
use super::waiting::Lobby;
use super::worker::Worker;
use super::{Config, Error, PinError, SessionId};
use crate::throttle::Throttle;
pub use feed::Feed;

/// The WebRTC side of an edge. Cheap to clone; the last clone to go ends all sessions.
#[derive(Clone)]
pub struct Engine {
    running: Arc<Running>,
}

/// What feeds and sessions share.
struct Shared {
    config: Config,
    candidates: RwLock<Arc<[SocketAddr]>>,
    with_tcp: bool,
    /// What players are told of STUN and TURN servers.
    links: Vec<HeaderValue>,
    identity: Arc<Identity>,
    fingerprint: String,
    registry: Arc<Registry>,
    admission: Arc<Admission>,
    lobby: Lobby,
    full: Throttle,
    mailboxes: Arc<[Mailbox]>,
    metrics: Arc<Metrics>,
    broadcasts: Mutex<HashMap<BroadcastId, Arc<Broadcast>>>,
    /// Whether these are all that the upstream has.
    informed: AtomicBool,
    /// Nobody is let in any more.
    draining: AtomicBool,
    serial: AtomicU64,
    local_addr: SocketAddr,
}

struct Running {
    shared: Arc<Shared>,
    listener_stop: watch::Sender<bool>,
    receiver_stop: Waker,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Binds the port and starts the threads.
    pub fn start(config: Config, metrics: Metrics) -> Result<Self, Error> {
        let links = ice_servers::links(&config.ice_servers)?;
        let metrics = Arc::new(metrics);
        let crypto = rtc_crypto::default_provider().map_err(|_| Error::Crypto)?;
        let identity = Arc::new(Identity::generate().ok_or(Error::Crypto)?);
        let port = Port::bind(config.listen, config.tcp_connections_max, &metrics).map_err(
            |(protocol, source)| Error::Bind { protocol, listen: config.listen, source },
        )?;
        let Port { udp, tcp, local_addr } = port;
        let udp = Arc::new(udp);
        let candidates = media_candidates(&config.public_addresses, local_addr);
        if candidates.is_empty() {
            return Err(Error::NoAddress);
        }
        let workers = config.workers.max(1);
        let mailboxes: Arc<[Mailbox]> = (0..workers).map(|_| Mailbox::default()).collect();
        let registry = Arc::new(Registry::new(metrics.clone()));
        let admission = Admission::new(limits(&config), workers, metrics.clone(), Instant::now());
        let mut threads = Vec::new();
        for index in 0..workers {
            let sending = Sending::new(udp.clone(), tcp.as_ref(), metrics.clone());
            let outbox = Outbox::new(Box::new(sending));
            let (mailboxes, registry) = (mailboxes.clone(), registry.clone());
            let (metrics, crypto) = (metrics.clone(), crypto.clone());
            let worker = Worker::new(index, mailboxes, registry, metrics, crypto, outbox);
            threads.push(spawn(format!("whep-{index}"), move || worker.run())?);
        }
        let (listener_stop, stopped) = watch::channel(false);
        let sorter = Sorter {
            mailboxes: mailboxes.clone(),
            registry: registry.clone(),
            metrics: metrics.clone(),
        };
        let with_tcp = tcp.is_some();
        if let Some(listener) = tcp {
            let (sorter, stopped) = (sorter.clone(), stopped.clone());
            threads.push(spawn("whep-tcp".into(), move || {
                if let Err(error) = listener.run(sorter, stopped) {
                    tracing::error!(%error, "ICE-TCP ended: viewers without UDP cannot connect");
                }
            })?);
        }
        let (receiver, receiver_stop) = Receiver::new(udp, sorter).map_err(Error::Thread)?;
        threads.push(spawn("whep-receive".into(), move || {
            if let Err(error) = receiver.run() {
                tracing::error!(%error, "WebRTC receiver ended: no viewer can connect");
            }
        })?);
        tracing::info!(listen = %local_addr, ?candidates, tcp = with_tcp, workers, "WebRTC is up");
        let shared = Arc::new(Shared {
            config,
            candidates: RwLock::new(candidates.into()),
            with_tcp,
            links,
            fingerprint: identity.fingerprint(),
            identity,
            registry,
            admission: Arc::new(admission),
            lobby: Lobby::new(),
            full: Throttle::default(),
            mailboxes,
            metrics,
            broadcasts: Mutex::default(),
            informed: AtomicBool::new(true),
            draining: AtomicBool::new(false),
            serial: AtomicU64::new(1),
            local_addr,
        });
        Ok(Self { running: Arc::new(Running { shared, listener_stop, receiver_stop, threads }) })
    }

    /// The address that viewers' datagrams and connections come to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared().local_addr
    }

    /// Viewers are told these addresses from now on. Those who are there stay where they are.
    pub fn set_addresses(&self, addresses: &[PublicAddress]) {
        let told = media_candidates(addresses, self.local_addr());
        let shared = self.shared();
        *shared.candidates.write().unwrap_or_else(PoisonError::into_inner) = told.into();
    }

    /// What the engine counts.
    pub fn metrics(&self) -> &Metrics {
        &self.shared().metrics
    }

    /// The media side of a broadcast. From now on the broadcast is known to viewers.
    pub fn feed(&self, id: BroadcastId) -> Feed {
        let shared = self.shared().clone();
        let mut broadcasts = shared.swept_broadcasts();
        let broadcast = broadcasts.entry(id).or_insert_with_key(|id| {
            let key = shared.next();
            let (mailboxes, metrics) = (shared.mailboxes.clone(), shared.metrics.clone());
            let news = shared.lobby.news();
            Arc::new(Broadcast::new(id.clone(), key, mailboxes, metrics, news))
        });
        broadcast.attach();
        let broadcast = broadcast.clone();
        drop(broadcasts);
        Feed { broadcast, shared }
    }

    /// Says whether the upstream has said which broadcasts there are. It has, unless told otherwise.
    pub fn set_informed(&self, informed: bool) {
        self.shared().informed.store(informed, Ordering::Relaxed);
        self.shared().lobby.news().tell();
    }

    /// How many sessions of each broadcast are established.
    pub fn established(&self) -> Vec<(BroadcastId, u32)> {
        let broadcasts = self.shared().broadcasts();
        broadcasts
            .iter()
            .map(|(id, broadcast)| (id.clone(), broadcast.established.count()))
            .collect()
    }

    /// How many sessions of a broadcast there are, those included that are not established yet.
    pub fn watching(&self, id: &BroadcastId) -> u32 {
        self.shared().broadcasts().get(id).map_or(0, |broadcast| broadcast.watching())
    }

    /// By which the limits of viewers are changed while it runs.
    pub fn limiter(&self) -> Limiter {
        Limiter(self.shared().admission.clone())
    }

    /// Lets nobody in, nor wait any longer, since the edge is about to go.
    pub fn drain(&self) {
        self.shared().draining.store(true, Ordering::Relaxed);
        self.shared().lobby.close();
    }

    /// What players are told of STUN and TURN servers, as `Link` headers.
    pub(super) fn links(&self) -> &[HeaderValue] {
        &self.shared().links
    }

    /// Ends a session; `false` if there is none of that name in this broadcast, or not any more.
    pub fn close(&self, id: &BroadcastId, session: &SessionId) -> bool {
        let shared = self.shared();
        let Some(entry) = self.entry(id, session) else { return false };
        // From here on there is no such session for anybody else.
        let removed = shared.registry.remove(session, Ended::Deleted);
        let command = Command::Close(entry.route, Ended::Deleted);
        // Closing is never refused.
        drop(shared.mailboxes[entry.route.worker].command(command));
        removed
    }

    /// Gives a viewer this video rendition from its next keyframe on, whatever the link carries, or
    /// with `None` the one that suits the link. `line` is the m-line that the viewer means, by its
    /// index in the offer.
    pub fn pin(
        &self,
        id: &BroadcastId,
        session: &SessionId,
        line: Option<usize>,
        rendition: Option<&str>,
    ) -> Result<(), PinError> {
        let shared = self.shared();
        let entry = self.entry(id, session).ok_or(PinError::Session)?;
        if entry.video.is_none() || line.is_some_and(|line| entry.video != Some(line)) {
            return Err(PinError::Line);
        }
        let broadcast = shared.broadcasts().get(id).cloned().ok_or(PinError::Session)?;
        if rendition.is_some_and(|asked| !broadcast.has_rendition(asked)) {
            return Err(PinError::Rendition);
        }
        let command = Command::Pin(entry.route, rendition.map(str::to_owned));
        let posted = shared.mailboxes[entry.route.worker].command(command);
        posted.map_err(|_| PinError::Busy)
    }

    /// Ends a session at `until`: what its viewer may was not known when it began. `false` if that cannot be
    /// said to it now.
    pub(crate) fn end_at(&self, id: &BroadcastId, session: &SessionId, until: Instant) -> bool {
        let Some(entry) = self.entry(id, session) else { return false };
        let command = Command::EndAt(entry.route, until);
        self.shared().mailboxes[entry.route.worker].command(command).is_ok()
    }

    fn entry(&self, id: &BroadcastId, session: &SessionId) -> Option<Entry> {
        let entry = self.shared().registry.session(session)?;
        (entry.broadcast == id.as_str()).then_some(entry)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.mailboxes.iter().for_each(Mailbox::close);
        self.listener_stop.send_replace(true);
        if let Err(error) = self.receiver_stop.wake() {
            tracing::error!(%error, "the WebRTC receiver cannot be stopped");
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a WebRTC thread ended in a panic");
            }
        }
    }
}

impl Shared {
    fn next(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// What viewers are told, best first.
    fn candidates(&self) -> Arc<[SocketAddr]> {
        self.candidates.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The broadcasts, with those that nobody needs any more.
    fn broadcasts(&self) -> MutexGuard<'_, HashMap<BroadcastId, Arc<Broadcast>>> {
        self.broadcasts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same without them: those that lost their feed stay for the viewers that they have. It
    /// looks at every one, so it is for feeds, which come and go seldom, and not for viewers.
    fn swept_broadcasts(&self) -> MutexGuard<'_, HashMap<BroadcastId, Arc<Broadcast>>> {
        let mut broadcasts = self.broadcasts();
        broadcasts.retain(|_, broadcast| !broadcast.is_idle());
        broadcasts
    }
}

/// Changes how many viewers there may be. It does not keep the engine.
#[derive(Clone)]
pub struct Limiter(Arc<Admission>);

impl Limiter {
    /// From now on those of `config` are good for who comes: how many sessions there may be, how many
    /// unfinished ones, how fast they join, and how much is sent to them.
    pub fn set(&self, config: &Config) {
        self.0.set_limits(limits(config));
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        sessions_max: config.sessions_max,
        half_open_max: config.half_open_max,
        half_open_per_client_max: config.half_open_per_client_max,
        joins_per_sec_max: config.joins_per_sec(),
        egress_bps_max: config.egress_bps_max,
    }
}

/// A new entity tag, RFC 9110 §8.8.3.
fn new_etag() -> String {
    format!("\"{:016x}\"", rand::rng().random::<u64>())
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new().name(name).spawn(work).map_err(Error::Thread)
}
