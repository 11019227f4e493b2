//! Connections to upstreams: names to addresses, again and again, and to each address one connection that is
//! made anew whenever it ends. What is announced over them all comes together in one place, which
//! [`super::subscribe`] reads.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moq_net::origin;
use rand::Rng as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::paths::Paths;
use super::{Error, Identity, SubscriberMetrics, Tokens, Trust, transport};

/// The wait after the first failure; it doubles up to [`BACKOFF_MAX`], less a random half, so that
/// the edges of a restarted origin do not all come back at once.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait, and the one after a refused token.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long one address may take to answer. An address that has gone silent is found again within this
/// and the wait before the next attempt.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a name is resolved anew.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// The same while none of its addresses is connected.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);
/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are dialled; further ones are ignored, out loud.
const ADDRESSES_MAX: usize = 32;
/// A refusal arrives a round trip after the handshake; a session older than that and this margin was
/// accepted.
const ACCEPTED_AFTER: Duration = Duration::from_millis(250);

/// Whether origins can be reached, through whatever upstreams.
#[derive(Clone, Debug)]
pub enum Status {
    /// The first connections are being made.
    Connecting,
    /// Connected to at least one upstream by which an origin is heard of, and each other that is known has been tried.
    Connected,
    /// Connected to none such, and why; further attempts follow.
    Disconnected(Arc<Error>),
}

/// How one address is, or one name that has none.
#[derive(Clone, Debug)]
enum State {
    Untried,
    Connected,
    Failed(Arc<Error>),
}

/// What is known of all upstreams, and said of them together.
pub(super) struct Board {
    states: Mutex<BTreeMap<String, State>>,
    status: watch::Sender<Status>,
    /// Origins are heard of.
    heard: AtomicBool,
    /// A connection has ended.
    lost: Notify,
    metrics: SubscriberMetrics,
}

impl Board {
    pub(super) fn new(names: &[String], metrics: SubscriberMetrics) -> Arc<Self> {
        let states = names.iter().map(|name| (name.clone(), State::Untried)).collect();
        let status = watch::Sender::new(Status::Connecting);
        let (states, heard) = (Mutex::new(states), AtomicBool::new(false));
        Arc::new(Self { states, status, heard, lost: Notify::new(), metrics })
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Whether any origin is heard of, by whatever way.
    pub(super) fn heard(&self, any: bool) {
        let states = self.lock();
        if self.heard.swap(any, Ordering::Relaxed) != any {
            self.say(&states);
        }
    }

    fn set(&self, key: &str, state: State) {
        let mut states = self.lock();
        let former = states.insert(key.to_owned(), state);
        self.say(&states);
        if matches!(former, Some(State::Connected)) {
            self.lost.notify_waiters();
        }
    }

    fn is_connected(&self, mut keys: impl Iterator<Item = String>) -> bool {
        let states = self.lock();
        keys.any(|key| matches!(states.get(&key), Some(State::Connected)))
    }

    fn forget(&self, key: &str) {
        let mut states = self.lock();
        states.remove(key);
        self.say(&states);
    }

    fn say(&self, states: &BTreeMap<String, State>) {
        let connected = states.values().filter(|state| matches!(state, State::Connected)).count();
        let heard = self.heard.load(Ordering::Relaxed);
        self.metrics.connected.set(if heard { connected as i64 } else { 0 });
        self.status.send_if_modified(|status| {
            let next = match together(states.values(), matches!(status, Status::Connecting)) {
                Status::Connected if !heard => Status::Disconnected(Arc::new(Error::NoOrigin)),
                next => next,
            };
            let same = matches!(
                (&*status, &next),
                (Status::Connecting, Status::Connecting) | (Status::Connected, Status::Connected)
            );
            *status = next;
            !same
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said of upstreams that are in these states. Each has its chance `at_first`; later on one more says
/// nothing of those that are there.
fn together<'a>(states: impl Iterator<Item = &'a State>, at_first: bool) -> Status {
    let (mut untried, mut connected, mut failed) = (false, false, None);
    for state in states {
        match state {
            State::Untried => untried = true,
            State::Connected => connected = true,
            State::Failed(error) => failed = failed.or(Some(error.clone())),
        }
    }
    match failed {
        _ if untried && at_first => Status::Connecting,
        _ if connected => Status::Connected,
        Some(error) => Status::Disconnected(error),
        None => Status::Connecting,
    }
}

/// What connections are made with, and what comes over them.
pub(super) struct Dialler {
    /// The name in upstreams' certificates; the host that is dialled if `None`.
    pub(super) server_name: Option<String>,
    pub(super) trust: Trust,
    pub(super) token: Option<Tokens>,
    /// The certificate that is presented to those who want one.
    pub(super) identity: Option<Identity>,
    /// Where what upstreams announce comes together.
    pub(super) down: origin::Producer,
    /// What is announced to them.
    pub(super) up: Option<origin::Consumer>,
    pub(super) metrics: SubscriberMetrics,
    pub(super) board: Arc<Board>,
}

/// The host of `host:port`.
pub(super) fn host_of(upstream: &str) -> Result<&str, &'static str> {
    let (host, port) = upstream.rsplit_once(':').ok_or("no port")?;
    port.parse::<u16>().map_err(|_| "not a port")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(host).ok_or("no host")
}

impl Dialler {
    /// Stays connected to every address that `name` has.
    pub(super) async fn follow(self: Arc<Self>, name: String) {
        let mut addresses: BTreeMap<SocketAddr, watch::Sender<bool>> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let lost = self.board.lost.notified();
            let connected = self.board.is_connected(addresses.keys().map(|at| key(&name, *at)));
            match self.resolve(&name).await {
                Ok(found) => {
                    // An address of the other family may be another way to the same machine.
                    let also_others = !connected && !addresses.is_empty();
                    let first = found[0];
                    let wanted = |at: &SocketAddr| also_others || at.is_ipv4() == first.is_ipv4();
                    // One that is gone from the name is let go of once its connection ends.
                    addresses.retain(|address, known| {
                        known.send_replace(found.contains(address));
                        !known.is_closed()
                    });
                    for address in found.into_iter().filter(wanted) {
                        addresses.entry(address).or_insert_with(|| {
                            let (sender, wanted) = watch::channel(true);
                            self.board.set(&key(&name, address), State::Untried);
                            tasks.spawn(self.clone().stay(name.clone(), address, wanted));
                            sender
                        });
                    }
                    self.board.forget(&name);
                }
                // What it resolved to before is as good as ever.
                Err(error) if !addresses.is_empty() => {
                    tracing::warn!(upstream = name, %error, "not resolved anew");
                }
                Err(error) => {
                    tracing::warn!(upstream = name, %error, "upstream not resolved");
                    self.board.set(&name, State::Failed(Arc::new(error)));
                }
            }
            while tasks.try_join_next().is_some() {}
            let again = tokio::time::sleep(if connected { RESOLVE_EVERY } else { RESOLVE_AGAIN });
            // What took the place of one that has ended may have another address.
            tokio::select! {
                () = again => {}
                () = lost, if connected => {}
            }
        }
    }

    /// The addresses of a name, at least one, in the order that the system gives them (RFC 6724).
    async fn resolve(&self, name: &str) -> Result<Vec<SocketAddr>, Error> {
        let failed = |reason: String| Error::Upstream { upstream: name.to_owned(), reason };
        let looking_up = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host(name)).await;
        let found = looking_up.map_err(|_| failed("the name does not resolve in time".into()))?;
        let mut found: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
        if found.is_empty() {
            return Err(failed("the name has no address".into()));
        }
        if found.len() > ADDRESSES_MAX {
            tracing::warn!(upstream = name, "only {ADDRESSES_MAX} of its addresses are dialled");
            found.truncate(ADDRESSES_MAX);
        }
        Ok(found)
    }

    /// Stays connected to one address for as long as it is wanted.
    async fn stay(
        self: Arc<Self>,
        name: String,
        address: SocketAddr,
        wanted: watch::Receiver<bool>,
    ) {
        let key = key(&name, address);
        let mut backoff = BACKOFF_MIN;
        // What was wrong when it was last said.
        let mut said = String::new();
        while *wanted.borrow() {
            let mut accepted = false;
            let error = match self.connect(&name, address).await {
                Ok(connection) => {
                    let accept = || {
                        accepted = true;
                        tracing::info!(upstream = name, %address, "upstream connected");
                        self.board.set(&key, State::Connected);
                    };
                    connection.run(&self.metrics.paths, accept).await
                }
                Err(error) => error,
            };
            self.metrics.disconnects.inc();
            let why = error.to_string();
            if accepted {
                tracing::warn!(upstream = name, %address, %error, "upstream disconnected");
                // Also where the token was taken out: the next session is opened with a new one, if there is.
                (backoff, said) = (BACKOFF_MIN, String::new());
            } else {
                if why == said {
                    tracing::debug!(upstream = name, %address, %error, "still not connected");
                } else {
                    tracing::warn!(upstream = name, %address, %error, "upstream not connected");
                    said = why;
                }
                if matches!(error, Error::Refused | Error::Untrusted(_) | Error::NotAccepted(_)) {
                    backoff = BACKOFF_MAX;
                }
            }
            self.board.set(&key, State::Failed(Arc::new(error)));
            let jitter = rand::rng().random_range(0.5..=1.0);
            tokio::time::sleep(backoff.mul_f64(jitter)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        tracing::info!(upstream = name, %address, "no longer an address of the upstream");
        self.board.forget(&key);
    }

    async fn connect(&self, name: &str, address: SocketAddr) -> Result<Connection, Error> {
        let invalid = |reason: String| Error::Upstream { upstream: name.to_owned(), reason };
        let host = host_of(name).map_err(|reason| invalid(reason.to_owned()))?;
        let server_name = self.server_name.as_deref().unwrap_or(host);
        let identity = self.identity.as_ref().map(Identity::reread).transpose()?;
        let endpoint = transport::client(address, &self.trust, identity.as_ref())?;
        let dialled = endpoint.connect(address, server_name);
        let dialled = dialled.map_err(|error| invalid(error.to_string()))?;
        let connection = tokio::time::timeout(DIAL_TIMEOUT, async {
            let quic = dialled.await.map_err(|error| refused(&error))?;
            let mut client = moq_net::Client::new()
                .with_versions(transport::versions())
                .with_subscriber(self.down.clone());
            if let Some(token) = &self.token {
                client = client.with_path(token.presented().request_path());
            }
            if let Some(up) = &self.up {
                client = client.with_publisher(up.clone());
            }
            let connection = transport::session(quic.clone())?;
            let session = client.connect(Instant::now(), connection).await;
            let (session, driver) = session.map_err(|error| ended(quic.close_reason(), &error))?;
            Ok(Connection { quic, driver, _session: session })
        });
        connection.await.map_err(|_| Error::Timeout)?
    }
}

fn key(name: &str, address: SocketAddr) -> String {
    format!("{name} {address}")
}

type MoqDriver = moq_net::Driver<web_transport_quinn::Session>;

/// One connection to an upstream; dropping it closes it.
struct Connection {
    quic: quinn::Connection,
    driver: MoqDriver,
    _session: moq_net::Session,
}

impl Connection {
    /// Runs until it ends, and says why. Calls `accepted` once it is certain that we were let in.
    async fn run(self, paths: &Paths, mut accepted: impl FnMut()) -> Error {
        let Self { quic, driver, _session } = self;
        let _seen = paths.see(quic.clone());
        let acceptance = tokio::time::sleep(quic.rtt() * 2 + ACCEPTED_AFTER);
        // In a task of its own: what is received wakes nothing else.
        let mut driving = JoinSet::new();
        driving.spawn(drive(driver, quic));
        tokio::select! {
            ended = driving.join_next() => return why(ended),
            () = acceptance => accepted(),
        }
        why(driving.join_next().await)
    }
}

fn why(ended: Option<Result<Error, tokio::task::JoinError>>) -> Error {
    match ended {
        Some(Ok(error)) => error,
        Some(Err(panic)) => Error::Protocol(panic.to_string()),
        None => Error::Closed,
    }
}

/// Why a connection could not be made, or ended.
fn refused(error: &quinn::ConnectionError) -> Error {
    // What rustls says of a certificate: the TLS alerts bad_certificate to unknown_ca, decrypt_error if it bears
    // the name of a trusted one and not its key, and certificate_required; as RFC 9001 §4.8 numbers them.
    let untrusted = |code| matches!(u64::from(code), 0x12a..=0x12e | 0x130 | 0x133 | 0x174);
    match error {
        quinn::ConnectionError::TransportError(error) if untrusted(error.code) => {
            Error::Untrusted(error.reason.clone())
        }
        quinn::ConnectionError::ConnectionClosed(close) if untrusted(close.error_code) => {
            Error::NotAccepted(String::from_utf8_lossy(&close.reason).into_owned())
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
    ended(reason, &error)
}

/// Why a session ended, by what the peer said and what the library makes of it.
fn ended(reason: Option<quinn::ConnectionError>, error: &moq_net::Error) -> Error {
    let code = moq_net::SessionError::Unauthorized.to_code();
    // Where the library closed the connection before anybody could ask it, what the peer gave is left in
    // its text alone.
    let told = format!("(code {code})");
    let is_refusal = match (&reason, error) {
        (Some(quinn::ConnectionError::ApplicationClosed(close)), _) => {
            close.error_code == quinn::VarInt::from_u32(code)
        }
        (_, moq_net::Error::Transport(text)) => {
            text.contains("closed by peer") && text.ends_with(&told)
        }
        _ => false,
    };
    match reason {
        _ if is_refusal => Error::Refused,
        Some(reason) => refused(&reason),
        None => Error::from_moq(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_connected_once_each_upstream_was_tried_and_one_is_there() {
        let failed = || State::Failed(Arc::new(Error::Timeout));
        let check = |at_first: bool, states: &[State], expect: &str| {
            let said = match together(states.iter(), at_first) {
                Status::Connecting => "connecting",
                Status::Connected => "connected",
                Status::Disconnected(_) => "disconnected",
            };
            assert_eq!(said, expect, "{states:?}");
        };
        for at_first in [true, false] {
            check(at_first, &[], "connecting");
            check(at_first, &[State::Untried], "connecting");
            check(at_first, &[State::Connected, failed()], "connected");
            check(at_first, &[State::Connected], "connected");
            check(at_first, &[failed(), failed()], "disconnected");
        }
        check(true, &[State::Connected, State::Untried], "connecting");
        check(true, &[failed(), State::Untried], "connecting");
        // A name has one address more, and all that was there before is as it was.
        check(false, &[State::Connected, State::Untried], "connected");
        check(false, &[failed(), State::Untried], "disconnected");
    }

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        assert_eq!(host_of("origin.example:4443"), Ok("origin.example"));
        assert_eq!(host_of("[::1]:4443"), Ok("::1"));
        for wrong in ["origin.example", ":4443", "origin:", "origin:x", "origin:70000"] {
            assert!(host_of(wrong).is_err(), "{wrong}");
        }
    }
}
