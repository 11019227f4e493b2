//! WHIP (RFC 9725): hosts publish by WebRTC, from a browser, OBS or GStreamer. `docs/whip.md` says what is
//! carried, what is re-encoded and what is refused.
//!
//! [`http`] takes offers; [`offer`] says what is in them; [`session`] is one publisher's WebRTC, a library's
//! behind a guard, and [`media`] makes tags of its packets, both pure. [`driver`] runs a session as a task,
//! [`socket`] is the one UDP port of all, [`registry`] knows who is where. Who may publish, and what
//! becomes of the tags, is [`Gate`]'s and [`Take`](crate::ingest::Take)'s, as with RTMP.

mod driver;
mod http;
pub(crate) mod media;
mod metrics;
mod offer;
mod registry;
mod session;
mod socket;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use lectern_relay_proto::net::{PublicAddress, media_candidates};
use lectern_relay_proto::request::Id;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use self::driver::Driver;
pub use self::metrics::Metrics;
use self::offer::{Offer, Video};
use self::registry::{Datagram, Entry, KeyDigest, MAILBOX_DATAGRAMS_MAX, Registry, SessionName};
use self::session::{Answered, Identity, Session};
use self::socket::{Buffers, Socket};
use crate::ingest::{Gate, Refusal};
use crate::transcode::video::{Codec, Reencoders};
use crate::wall;

/// How long the gate may think about a stream key: it looks in a database.
const CLAIM_MAX: Duration = Duration::from_secs(5);
/// How long sessions may take to say goodbye when the origin stops: each sends a few datagrams.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// How WHIP is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// All media, UDP. `[::]` is IPv4 as well.
    pub listen: SocketAddr,
    /// The addresses that publishers are told, best first, 16 at most. Empty: the address above if it is
    /// a specific one, or else all addresses of the machine.
    pub public_addresses: Vec<PublicAddress>,
    /// The most sessions at once. Each costs about 1 MB, and up to 6 MB while packets are missing.
    pub sessions_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv6Addr::UNSPECIFIED, 8190).into(),
            public_addresses: Vec::new(),
            sessions_max: 64,
        }
    }
}

/// Why WHIP could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The media port is taken or not allowed.
    #[error("origin.media: cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// There is no certificate for DTLS.
    #[error("no certificate could be made for WebRTC")]
    Certificate,
}

/// WHIP on a bound port.
pub struct Server<G> {
    shared: Arc<Shared<G>>,
    local_addr: SocketAddr,
}

/// What requests and sessions share.
struct Shared<G> {
    gate: Arc<G>,
    socket: Arc<Socket>,
    candidates: Vec<SocketAddr>,
    identity: Identity,
    registry: Arc<Registry>,
    reencoders: Option<Reencoders>,
    metrics: Arc<Metrics>,
    sessions: TaskTracker,
    /// Of all sessions.
    shutdown: CancellationToken,
}

/// Why a publisher is not let in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("send your stream key with the request: Authorization: Bearer <stream key>")]
    NoKey,
    #[error("no such session; it may be over")]
    NoSession,
    #[error("{0}")]
    Gate(#[from] Refusal),
    #[error("{0}")]
    Offer(#[from] offer::Error),
    #[error("{0}")]
    Unanswerable(#[from] session::Unanswerable),
    #[error("as many publish here as may at once; try again in a moment")]
    Full,
    #[error(
        "as many sources are re-encoded here as may be at once: choose H.264, which needs none of \
         that, or try again later"
    )]
    ReencodersBusy,
    #[error("something went wrong here, and is in the server's log")]
    Fault,
}

impl Refused {
    /// A short fixed name, for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::NoSession => "no_session",
            Self::Gate(Refusal::UnknownKey) => "unknown_key",
            Self::Gate(Refusal::Unavailable(_)) => "unavailable",
            Self::Gate(Refusal::Stopped(_)) => "stopped",
            Self::Gate(Refusal::Blocked) => "blocked",
            Self::Offer(offer::Error::Malformed(_)) | Self::Unanswerable(_) => "malformed",
            Self::Offer(offer::Error::Unsupported(_)) => "unsupported",
            Self::Offer(offer::Error::Codec(_)) => "codec",
            Self::Full => "full",
            Self::ReencodersBusy => "reencoders_busy",
            Self::Fault => "fault",
        }
    }
}

/// A session that was opened.
struct Publishing {
    session: SessionName,
    etag: String,
    answer: String,
}

impl<G: Gate> Server<G> {
    /// Binds the media port. Without `reencoders`, H.264 is all the video that is taken. It must be called
    /// within a runtime.
    pub fn bind(
        config: &Config,
        gate: Arc<G>,
        reencoders: Option<Reencoders>,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let bind_error = |error| Error::Bind(config.listen, error);
        let socket = Socket::bind(config.listen).map_err(bind_error)?;
        let local_addr = socket.local_addr().map_err(bind_error)?;
        let candidates = media_candidates(&config.public_addresses, local_addr);
        tracing::info!(listen = %local_addr, ?candidates, "WHIP is up");
        let shared = Shared {
            gate,
            socket: Arc::new(socket),
            candidates,
            identity: Identity::generate().ok_or(Error::Certificate)?,
            registry: Arc::new(Registry::new(config.sessions_max)),
            reencoders,
            metrics: Arc::new(metrics),
            sessions: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared), local_addr })
    }

    /// Where media is taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// `/whip` and what is under it. Sessions are served for as long as [`Self::run`] runs.
    pub fn routes(&self) -> Router {
        http::routes(self.shared.clone())
    }

    /// Serves until `cancel`, then tells every publisher.
    pub async fn run(self, cancel: CancellationToken) {
        let shared = self.shared;
        let mut buffers = Buffers::default();
        while let Some(received) = cancel.run_until_cancelled(shared.receive(&mut buffers)).await {
            if let Err(error) = received {
                // An ICMP answer to something sent earlier; the socket itself is fine.
                tracing::trace!(%error, "receive failed");
                shared.metrics.dropped.with_label_values(&["receive_error"]).inc();
            }
        }
        shared.shutdown.cancel();
        shared.sessions.close();
        let _ = tokio::time::timeout(FAREWELL_MAX, shared.sessions.wait()).await;
    }
}

impl<G: Gate> Shared<G> {
    async fn receive(&self, buffers: &mut Buffers) -> io::Result<()> {
        let take = |path, bytes: &[u8]| {
            let (at, arrived) = (Instant::now(), wall::now());
            let datagram = Datagram { path, bytes: bytes.to_vec(), at, arrived };
            if let Err(reason) = self.registry.post(datagram) {
                self.metrics.dropped.with_label_values(&[reason]).inc();
            }
        };
        self.socket.receive(buffers, take).await
    }

    /// Whether this key is known.
    async fn admit(&self, key: &str) -> Result<(), Refusal> {
        within(CLAIM_MAX, self.gate.admits(key)).await
    }

    /// Answers an offer and begins its session.
    async fn publish(
        self: Arc<Self>,
        key: String,
        offer: &str,
        peer: SocketAddr,
    ) -> Result<Publishing, Refused> {
        let offer = Offer::read(offer)?;
        let chosen = offer.choose(&self.reencodes())?;
        let mut place = self.registry.place().ok_or(Refused::Full)?;
        let reencoder = match (chosen.video.and_then(Video::to_reencode), &self.reencoders) {
            (Some(codec), Some(reencoders)) => {
                Some(reencoders.start(codec).ok_or(Refused::ReencodersBusy)?)
            }
            _ => None,
        };
        let (candidates, identity) = (self.candidates.clone(), self.identity.clone());
        let peer_ufrag = offer.ufrag.clone();
        // Some milliseconds of work on a stranger's text, which is not to hold up media, nor to take
        // anything with it if it panics.
        let answered = tokio::task::spawn_blocking(move || {
            Session::answer(&offer, chosen, &candidates, &identity, Instant::now())
        });
        let Answered { session, answer, ufrag } = answered.await.map_err(|error| {
            tracing::error!(%error, "an offer could not be answered");
            self.metrics.panics.inc();
            Refused::Fault
        })??;
        // Last, since it takes over from a publisher who is there.
        // Its id is not its name, which is a secret; the broadcast is the gate's to say.
        let (id, broadcast) = (Id::fresh(), tracing::field::Empty);
        let video = chosen.video.map(Video::name);
        let span = tracing::info_span!("whip", session = %id, broadcast, %peer, video);
        let claim = self.gate.claim(&key, peer).instrument(span.clone());
        let take = within(CLAIM_MAX, claim).await?;
        let name = SessionName::random().ok_or(Refused::Fault)?;
        let (mailbox, datagrams) = mpsc::channel(MAILBOX_DATAGRAMS_MAX);
        let stop = CancellationToken::new();
        let etag = http::etag(&ufrag);
        let entry =
            Entry { mailbox, stop: stop.clone(), key: KeyDigest::of(&key), peer_ufrag, ufrag };
        place.enter(name.clone(), entry);
        let driver = Driver {
            session,
            take,
            reencoder,
            place,
            datagrams,
            socket: self.socket.clone(),
            metrics: self.metrics.clone(),
            stop,
            shutdown: self.shutdown.clone(),
        };
        let shared = self.clone();
        self.sessions.spawn(async move { shared.watch(driver).await }.instrument(span));
        Ok(Publishing { session: name, etag, answer })
    }

    /// Runs a session, and counts how it ended. Its panic is its own.
    async fn watch(&self, driver: Driver<G::Take>) {
        let running = tokio::spawn(driver.run().in_current_span());
        match running.await {
            Ok(ended) => {
                self.metrics.ended.with_label_values(&[ended.reason()]).inc();
                tracing::info!("session ended: {ended}");
            }
            Err(error) if error.is_panic() => {
                self.metrics.panics.inc();
                tracing::error!("a WHIP session panicked and was closed; the others go on");
            }
            Err(_) => {}
        }
    }

    /// What is taken besides H.264.
    fn reencodes(&self) -> Vec<Video> {
        let codecs = self.reencoders.as_ref().map(Reencoders::codecs).unwrap_or_default();
        let can = |video: &Video| video.to_reencode().is_some_and(|codec| codecs.contains(&codec));
        [Video::Vp8, Video::Vp9, Video::Av1].into_iter().filter(can).collect()
    }
}

impl Video {
    /// What a re-encoder is told of it; nothing for what viewers are given as it is.
    fn to_reencode(self) -> Option<Codec> {
        match self {
            Self::H264 => None,
            Self::Vp8 => Some(Codec::Vp8),
            Self::Vp9 => Some(Codec::Vp9),
            Self::Av1 => Some(Codec::Av1),
        }
    }
}

/// What the gate says, if it says it in time.
async fn within<T>(
    most: Duration,
    asked: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::time::timeout(most, asked).await.unwrap_or_else(|_| {
        Err(Refusal::Unavailable("The server is busy; try again in a moment.".into()))
    })
}
