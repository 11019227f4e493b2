//! The edge's end of the relay: a QUIC client that stays connected and says what is live.
//!
//! One task owns the connection. It dials, follows announcements, and when the connection ends says
//! that everything is gone, waits a little and dials again. What is done with a broadcast is the
//! caller's business.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moq_net::origin;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::follow::{Announcement, Follower};
use super::records::{OriginLink, Uplink, Uplinks};
use super::{Error, SubscriberMetrics, Token, Trust, transport};

/// The wait after the first failure; it doubles up to [`BACKOFF_MAX`], less a random half, so that
/// the edges of a restarted origin do not all come back at once.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait, and the one after a refused token.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long one address may take to answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of the upstream's name that are tried in turn.
const ADDRESSES_MAX: usize = 8;
/// A refusal arrives a round trip after the handshake; a session older than that and this margin was
/// accepted.
const ACCEPTED_AFTER: Duration = Duration::from_millis(250);
/// Announcements that may wait for the caller. When full, the upstream's wait in its own cursor,
/// which keeps one per path.
const ANNOUNCEMENTS_MAX: usize = 64;
/// How long media that the caller did not read yet is kept, and how much of it over all broadcasts.
const KEEP: Duration = Duration::from_secs(4);
const CACHE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How a subscriber is set up.
#[derive(Clone, Debug)]
pub struct SubscriberConfig {
    /// The origin's relay, `host:port`. The name is resolved anew for each connection.
    pub upstream: String,
    /// The name in the origin's certificate; the upstream's host if `None`.
    pub server_name: Option<String>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// What is presented to the origin.
    pub token: Option<Token>,
    /// What it counts.
    pub metrics: SubscriberMetrics,
}

/// Whether the upstream is connected.
#[derive(Clone, Debug)]
pub enum Status {
    /// The first connection is being made.
    Connecting,
    /// Connected and accepted.
    Connected,
    /// Not connected, and why; another attempt follows.
    Disconnected(Arc<Error>),
}

/// Follows one upstream for as long as it lives.
pub struct Subscriber {
    announcements: mpsc::Receiver<Announcement>,
    status: watch::Receiver<Status>,
    link: Option<OriginLink>,
    /// Aborted on drop.
    _task: JoinSet<()>,
}

impl Subscriber {
    /// Starts to connect, from within a tokio runtime. Fails only on a configuration that can never
    /// work.
    pub fn start(config: SubscriberConfig) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::Upstream {
            upstream: config.upstream.clone(),
            reason: reason.to_owned(),
        };
        let (host, port) = config.upstream.rsplit_once(':').ok_or_else(|| invalid("no port"))?;
        port.parse::<u16>().map_err(|_| invalid("not a port"))?;
        let server_name = match &config.server_name {
            Some(name) => name.clone(),
            None => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        };
        config.trust.client_config()?;

        let (announce, announcements) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let (status_sender, status) = watch::channel(Status::Connecting);
        // An origin listens to none that did not present its token.
        let (link, uplinks) = match &config.token {
            None => (None, None),
            Some(_) => {
                let (link, uplinks) = OriginLink::new();
                (Some(link), Some(uplinks))
            }
        };
        let upstream = Upstream { config, server_name, announce, status: status_sender, uplinks };
        let mut task = JoinSet::new();
        task.spawn(upstream.run());
        Ok(Self { announcements, status, link, _task: task })
    }

    /// By which this edge can ask its origin for something; `None` without a token, and if it has
    /// been taken.
    pub fn take_link(&mut self) -> Option<OriginLink> {
        self.link.take()
    }

    /// Whether the upstream is connected, now and as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What becomes live and what goes, in order. Never ends while the subscriber lives. Cancelling
    /// it loses nothing.
    pub async fn next(&mut self) -> Option<Announcement> {
        self.announcements.recv().await
    }
}

type MoqDriver = moq_net::Driver<web_transport_quinn::Session>;

/// The task that owns the connection.
struct Upstream {
    config: SubscriberConfig,
    server_name: String,
    announce: mpsc::Sender<Announcement>,
    status: watch::Sender<Status>,
    uplinks: Option<Uplinks>,
}

impl Upstream {
    async fn run(self) {
        let mut backoff = BACKOFF_MIN;
        while !self.announce.is_closed() {
            let mut accepted = false;
            let error = match self.connect().await {
                Ok(connection) => self.follow(connection, &mut accepted).await,
                Err(error) => error,
            };
            self.config.metrics.connected.set(0);
            self.config.metrics.disconnects.inc();
            tracing::warn!(upstream = self.config.upstream, %error, "upstream disconnected");
            if accepted {
                backoff = BACKOFF_MIN;
            }
            if matches!(error, Error::Refused | Error::Untrusted(_)) {
                backoff = BACKOFF_MAX;
            }
            self.status.send_replace(Status::Disconnected(Arc::new(error)));
            let jitter = rand::rng().random_range(0.5..=1.0);
            tokio::time::sleep(backoff.mul_f64(jitter)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let upstream = &self.config.upstream;
        let failed = |reason: String| Error::Upstream { upstream: upstream.clone(), reason };
        let addresses = tokio::net::lookup_host(upstream).await;
        let addresses = addresses.map_err(|error| failed(error.to_string()))?;
        let mut last = failed("the name has no address".into());
        for address in addresses.take(ADDRESSES_MAX) {
            let endpoint = transport::client(address, &self.config.trust)?;
            let dialled = match endpoint.connect(address, &self.server_name) {
                Ok(dialled) => dialled,
                Err(error) => {
                    last = failed(error.to_string());
                    continue;
                }
            };
            match tokio::time::timeout(DIAL_TIMEOUT, dialled).await {
                Ok(Ok(connection)) => return self.handshake(connection).await,
                Ok(Err(error)) => last = refused(&error),
                Err(_) => last = Error::Timeout,
            }
        }
        Err(last)
    }

    async fn handshake(&self, connection: quinn::Connection) -> Result<Connection, Error> {
        let mut moq_config = origin::Config::default();
        moq_config.pool = moq_net::cache::Pool::new(
            moq_net::cache::Config::default().with_capacity(CACHE_BYTES_MAX).with_expiry(KEEP),
        );
        moq_config.cache_duration = KEEP;
        let (origin, origin_driver) = origin::Producer::new(moq_config);
        let announced = origin.consume().announced();
        let consumer = origin.consume();

        let quic = connection.clone();
        let client = moq_net::Client::new().with_versions(transport::versions());
        let mut client = client.with_subscriber(origin);
        if let Some(token) = &self.config.token {
            client = client.with_path(token.request_path());
        }
        let mut origins = JoinSet::new();
        let uplink = match &self.uplinks {
            None => None,
            Some(uplinks) => {
                let (up, up_driver) = origin::Producer::new(origin::Config::default());
                origins.spawn(async move {
                    moq_net::time::run(up_driver).await;
                });
                client = client.with_publisher(up.consume());
                Some(uplinks.open(&up)?)
            }
        };
        let connection = web_transport_quinn::Session::raw(connection);
        let session = client.connect(Instant::now(), connection).await;
        let (session, session_driver) = session.map_err(|error| Error::from_moq(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(drive(session_driver, quic.clone()));
        origins.spawn(async move {
            moq_net::time::run(origin_driver).await;
        });
        Ok(Connection { consumer, announced, quic, driver, uplink, _session: session, origins })
    }

    /// Follows announcements until the connection ends, and says why it did.
    async fn follow(&self, mut connection: Connection, accepted: &mut bool) -> Error {
        let (consumer, announce) = (connection.consumer.clone(), self.announce.clone());
        let mut follower = Follower::new(consumer, announce, self.config.metrics.clone());
        let mut announcing = true;
        let acceptance = tokio::time::sleep(connection.quic.rtt() * 2 + ACCEPTED_AFTER);
        tokio::pin!(acceptance);
        let error = loop {
            tokio::select! {
                biased;
                ended = connection.driver.join_next() => break match ended {
                    Some(Ok(error)) => error,
                    Some(Err(panic)) => Error::Protocol(panic.to_string()),
                    None => Error::Closed,
                },
                () = &mut acceptance, if !*accepted => self.accepted(accepted),
                update = connection.announced.next(), if announcing => match update {
                    Some(update) => {
                        self.accepted(accepted);
                        if connection.is_answer(&update) {
                            connection.listen(&update);
                        } else {
                            follower.update(&update).await;
                        }
                    }
                    // The session is ending, and its driver is about to say why.
                    None => announcing = false,
                },
            }
        };
        follower.end().await;
        error
    }

    fn accepted(&self, accepted: &mut bool) {
        if !std::mem::replace(accepted, true) {
            tracing::info!(upstream = self.config.upstream, "upstream connected");
            self.config.metrics.connected.set(1);
            self.status.send_replace(Status::Connected);
        }
    }
}

/// One connection to the upstream; dropping it closes it.
struct Connection {
    consumer: origin::Consumer,
    announced: moq_net::announce::Consumer,
    quic: quinn::Connection,
    /// The one task that runs the session; it ends with the connection and says why.
    driver: JoinSet<Error>,
    uplink: Option<Uplink>,
    _session: moq_net::Session,
    /// What keeps either direction's broadcasts, and what reads the origin's answers.
    origins: JoinSet<()>,
}

impl Connection {
    /// Whether the origin begins to answer this very connection.
    fn is_answer(&self, update: &moq_net::announce::Update) -> bool {
        let uplink = self.uplink.as_ref();
        update.kind.is_active()
            && uplink.is_some_and(|uplink| uplink.is_answered_at(update.prefix.as_str()))
    }

    fn listen(&mut self, update: &moq_net::announce::Update) {
        if let Some(uplink) = &mut self.uplink {
            let path = update.prefix.as_str().to_owned();
            self.origins.spawn(uplink.answered(self.consumer.clone(), path));
        }
    }
}

/// Why a connection could not be made.
fn refused(error: &quinn::ConnectionError) -> Error {
    // What rustls says of a certificate: the TLS alerts bad_certificate to unknown_ca, or decrypt_error
    // if it bears the name of a trusted one and not its key; as RFC 9001 §4.8 numbers them.
    let untrusted = |code| matches!(u64::from(code), 0x12a..=0x12e | 0x130 | 0x133);
    match error {
        quinn::ConnectionError::TransportError(error) if untrusted(error.code) => {
            Error::Untrusted(error.reason.clone())
        }
        error => Error::Connection(error.to_string()),
    }
}

/// Runs the session to its end and says why it ended.
///
/// The library closes the connection in its turn when the peer has, and thereby forgets the code
/// that the peer gave; so that is noted first, each time before the library runs.
async fn drive(driver: MoqDriver, quic: quinn::Connection) -> Error {
    let mut reason = None;
    let mut run = pin!(moq_net::time::run(driver));
    let error = poll_fn(|cx| {
        reason = reason.take().or_else(|| quic.close_reason());
        run.as_mut().poll(cx)
    })
    .await;
    let refused = quinn::VarInt::from_u32(moq_net::SessionError::Unauthorized.to_code());
    match reason {
        Some(quinn::ConnectionError::ApplicationClosed(close)) if close.error_code == refused => {
            Error::Refused
        }
        Some(reason) => Error::Connection(reason.to_string()),
        None => Error::from_moq(&error),
    }
}
