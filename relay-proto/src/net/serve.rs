//! The relay's port: a QUIC server that lets sessions in and serves them what there is. An origin has one,
//! and so has an edge that other edges have for their upstream.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moq_net::{Pattern, Patterns, cache, origin};
use prometheus::IntGauge;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::link::EDGE;
use super::paths::Seen;
use super::renew::{self, Look};
use super::{Error, Identity, PublisherMetrics, Token, Tokens, bounded, check, transport, vital};
use crate::client::Tally;
use crate::request::Id;

/// How long a stranger may take from the first packet to a valid token.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes that may be in progress; further ones are refused, established sessions never.
const HANDSHAKES_MAX: usize = 64;
/// Of these, those of one address.
const HANDSHAKES_OF_ONE_MAX: usize = 16;
/// From this many handshakes on, a stranger first proves its address (RFC 9000 §8.1.2).
const HANDSHAKES_UNVALIDATED_MAX: usize = 16;
/// What is kept of what edges and origins say to each other, all of them together.
const RECORDS_KEEP: Duration = Duration::from_secs(10);
const RECORDS_BYTES_MAX: u64 = 64 << 20;
/// How long closing waits for peers to be told, and for the port to be free.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is kept of media for those who fetch it: for `keep`, and over all broadcasts no more than
/// `bytes_max`.
pub(super) fn cache(keep: Duration, bytes_max: u64) -> origin::Config {
    let mut config = origin::Config::default();
    config.pool =
        cache::Pool::new(cache::Config::default().with_capacity(bytes_max).with_expiry(keep));
    config.cache_duration = keep;
    config
}

/// The same for what edges and origins say to each other, which is read as it comes: it is theirs how much
/// they send.
pub(super) fn links() -> origin::Config {
    cache(RECORDS_KEEP, RECORDS_BYTES_MAX)
}

/// Whom sessions are with.
pub(super) struct Doors {
    /// What they are given.
    pub(super) give: origin::Consumer,
    /// Where what they announce as edges goes; it has to be nowhere where it could be taken for media.
    pub(super) take: Option<origin::Producer>,
    /// What they have to present. `None` lets in anybody whose certificate will do.
    pub(super) token: Option<Tokens>,
    /// Who has to have signed their certificates, PEM; read again when it changes. `None` asks for none; without
    /// a token either, the port has to be on loopback.
    pub(super) client_ca: Option<PathBuf>,
    /// How many may be open.
    pub(super) sessions_max: usize,
    pub(super) metrics: PublisherMetrics,
}

/// A running QUIC server. Dropping it closes all sessions.
pub(super) struct Server {
    endpoint: quinn::Endpoint,
    /// Aborted on drop.
    tasks: JoinSet<()>,
    /// What the endpoint runs; it owns the socket.
    transport: TaskTracker,
}

impl Server {
    /// Listens, from within a tokio runtime.
    pub(super) fn bind(
        listen: SocketAddr,
        identity: &Identity,
        mut doors: Doors,
    ) -> Result<Self, Error> {
        let open = doors.token.is_none() && doors.client_ca.is_none();
        if open && !listen.ip().is_loopback() {
            return Err(Error::Open(listen));
        }
        let transport = TaskTracker::new();
        let expiry = doors.metrics.certificate_expiry.clone();
        let shown = Shown::read(identity, doors.client_ca.as_deref(), expiry)?;
        let endpoint = transport::server(listen, shown.config()?, transport.clone())?;
        if let Some(take) = doors.take.take() {
            let protocol = |error: &dyn std::fmt::Display| Error::Protocol(error.to_string());
            let edges = Pattern::subtree(EDGE).map_err(|error| protocol(&error))?;
            let scoped = take.scope("", &Patterns::from(edges));
            doors.take = Some(scoped.map_err(|error| protocol(&error))?);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(renew::follow(shown.renewing(endpoint.clone(), doors.client_ca.clone())));
        tasks.extend(doors.token.clone().map(Tokens::follow));
        vital::spawn(&mut tasks, "the relay's port", accept(endpoint.clone(), Arc::new(doors)));
        Ok(Self { endpoint, tasks, transport })
    }

    /// The address that it listens on.
    pub(super) fn local_addr(&self) -> Result<SocketAddr, Error> {
        self.endpoint.local_addr().map_err(|error| Error::Connection(error.to_string()))
    }

    /// Closes all sessions and waits until their peers have been told and the port is free.
    pub(super) async fn close(mut self) {
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
}

impl Drop for Server {
    fn drop(&mut self) {
        self.endpoint.close(quinn::VarInt::from_u32(0), b"closing");
    }
}

/// What the port presents and whom it wants to see.
struct Shown {
    identity: Identity,
    client_ca: Option<String>,
    expiry: IntGauge,
}

impl Shown {
    fn read(
        identity: &Identity,
        client_ca: Option<&Path>,
        expiry: IntGauge,
    ) -> Result<Self, Error> {
        let client_ca = client_ca.map(renew::read).transpose()?;
        Ok(Self { identity: identity.clone(), client_ca, expiry })
    }

    /// What new connections see from now on.
    fn config(&self) -> Result<quinn::ServerConfig, Error> {
        let config = transport::server_config(&self.identity, self.client_ca.as_deref())?;
        let expires = self.identity.first().as_ref().and_then(check::expiry);
        self.expiry.set(expires.unwrap_or_default());
        Ok(config)
    }

    /// Shows new connections what the files hold, whenever that has changed.
    fn renewing(
        mut self,
        endpoint: quinn::Endpoint,
        client_ca: Option<PathBuf>,
    ) -> impl FnMut() -> Look {
        move || {
            let renewed = self.identity.reread();
            let now = renewed.and_then(|identity| {
                Self::read(&identity, client_ca.as_deref(), self.expiry.clone())
            });
            match now {
                Ok(now) if now.identity.is(&self.identity) && now.client_ca == self.client_ca => {
                    Look::Same
                }
                Ok(now) => match now.config() {
                    Ok(config) => {
                        endpoint.set_server_config(Some(config));
                        tracing::info!("the relay's certificate, or whom it trusts, has changed");
                        self = now;
                        Look::Changed
                    }
                    Err(error) => Look::Failed(error),
                },
                Err(error) => Look::Failed(error),
            }
        }
    }
}

/// Takes in sessions until the endpoint closes. Each runs in a task of its own: what a stranger's
/// bytes do to one, a panic included, does not reach the others.
async fn accept(endpoint: quinn::Endpoint, doors: Arc<Doors>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let strangers = Arc::<Mutex<Tally>>::default();
    let sessions = Arc::new(Semaphore::new(doors.sessions_max));
    let port = Arc::<bounded::Port>::default();
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
                    doors.metrics.refused.with_label_values(&["panic"]).inc();
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
        let (remote, doors) = (incoming.remote_address(), doors.clone());
        let place = Place::take(&strangers, remote.ip());
        let handshake = handshakes.clone().try_acquire_owned().ok().zip(place);
        let Some(handshake) = handshake else {
            doors.metrics.refused.with_label_values(&["busy"]).inc();
            incoming.refuse();
            continue;
        };
        let session = Session { remote, doors, sessions: sessions.clone(), port: port.clone() };
        let span = tracing::info_span!("relay", session = %Id::fresh(), %remote);
        let serving = async move {
            let admitted = tokio::time::timeout(HANDSHAKE_TIMEOUT, session.admit(incoming)).await;
            drop(handshake);
            match admitted {
                Ok(Some(admitted)) => session.serve(admitted).await,
                Ok(None) => {}
                Err(_) => session.refused("timeout"),
            }
        };
        tasks.spawn(serving.instrument(span));
    }
}

/// A handshake that an address has in progress; dropping it ends that.
struct Place {
    strangers: Arc<Mutex<Tally>>,
    address: IpAddr,
}

impl Place {
    /// `None` if the address has as many as one may have.
    fn take(strangers: &Arc<Mutex<Tally>>, address: IpAddr) -> Option<Self> {
        let mut tally = strangers.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.of(address) < HANDSHAKES_OF_ONE_MAX).then(|| {
            tally.add(address);
            Self { strangers: strangers.clone(), address }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner).remove(self.address);
    }
}

/// What one session needs while it is let in and served.
struct Session {
    remote: SocketAddr,
    doors: Arc<Doors>,
    sessions: Arc<Semaphore>,
    port: Arc<bounded::Port>,
}

type MoqDriver = moq_net::Driver<bounded::Session>;

/// A session that has been let in.
struct Admitted {
    session: moq_net::Session,
    driver: MoqDriver,
    /// By which it was let in.
    token: Option<Token>,
    _seen: Seen,
    _permit: tokio::sync::OwnedSemaphorePermit,
}

impl Session {
    /// From the first packet to a session that may subscribe; `None` if it may not.
    async fn admit(&self, incoming: quinn::Incoming) -> Option<Admitted> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::debug!(%error, "relay handshake failed");
            self.refused("handshake");
        };
        let connection = incoming.await.map_err(|error| failed(&error)).ok()?;
        let seen = self.doors.metrics.paths.see(connection.clone());
        let connection = transport::session(connection).map_err(|error| failed(&error)).ok()?;
        let refused = self.doors.metrics.refused.clone();
        let connection = bounded::Session::new(connection, self.remote, self.port.clone(), refused);
        let server = moq_net::Server::new().with_versions(transport::versions());
        let handshake = server.accept_request(Instant::now(), connection).await;
        let handshake = handshake.map_err(|error| failed(&error)).ok()?;

        let wanted = self.doors.token.as_ref();
        let token = wanted.and_then(|good| good.presented_by(handshake.path()));
        if wanted.is_some() && token.is_none() {
            tracing::info!("relay session refused: wrong token or none");
            self.refused("token");
            handshake.close(moq_net::Error::Unauthorized);
            return None;
        }
        let Ok(permit) = self.sessions.clone().try_acquire_owned() else {
            tracing::warn!("relay session refused: too many are open");
            self.refused("sessions");
            handshake.close(moq_net::Error::GoingAway);
            return None;
        };
        let mut handshake = handshake.with_publisher(self.doors.give.clone());
        // Without a subscriber side the peer's own announcements lead nowhere.
        if let Some(take) = &self.doors.take {
            handshake = handshake.with_subscriber(take.clone());
        }
        let (session, driver) = handshake.ok().await.map_err(|error| failed(&error)).ok()?;
        Some(Admitted { session, driver, token, _seen: seen, _permit: permit })
    }

    async fn serve(&self, admitted: Admitted) {
        tracing::info!("edge connected");
        let _open = Gauge::new(&self.doors.metrics.sessions);
        let Admitted { session, driver, token, _seen, _permit } = admitted;
        let revoked = async {
            match (&self.doors.token, &token) {
                (Some(good), Some(token)) => good.revoked(token).await,
                _ => std::future::pending().await,
            }
        };
        let mut driving = pin!(moq_net::time::run(driver));
        let reason = tokio::select! {
            reason = &mut driving => reason,
            () = revoked => {
                self.refused("revoked");
                // The driver tells the edge why.
                session.abort(moq_net::Error::Unauthorized);
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, driving).await;
                moq_net::Error::Unauthorized
            }
        };
        drop(session);
        tracing::info!(%reason, "edge disconnected");
    }

    fn refused(&self, reason: &str) {
        self.doors.metrics.refused.with_label_values(&[reason]).inc();
    }
}

/// Counts one while it lives, whatever ends it.
struct Gauge(IntGauge);

impl Gauge {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}
