//! The HTTP listener: as many connections as configured, a share of them for each client, and none
//! that may be slow for ever. What is served is the router's.
//!
//! `axum::serve` has neither bounds nor a time for a request to arrive in.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounterVec, IntGauge, Registry};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use crate::client::{Proxies, Tally};
use crate::throttle::Throttle;

/// How long a request's head may take to arrive, and how long a connection may rest between two
/// requests: longer than between two segments, so that a viewer of LL-DASH keeps its connections.
const HEAD_MAX: Duration = Duration::from_secs(20);
/// How long a reader may leave what it was sent unread or unacknowledged (`TCP_USER_TIMEOUT`, which
/// counts a closed window too), as whoever asks and never reads would hold the connection for ever.
/// No link on which anybody watches stands still for so long.
const STALL_MAX: Duration = Duration::from_secs(30);
/// What the system may hold of an answer that the network is not ready for. Otherwise it would take
/// whole segments, megabytes for each of thousands of connections whose readers never read.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// What a connection may buffer of a request: heads are a few hundred bytes.
const BUFFER_BYTES_MAX: usize = 16 * 1024;
/// Pause after the system refused to give us a connection, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// At once; each costs about 20 kB.
    pub connections_max: usize,
    /// Of these, those of one client; trusted proxies, which stand for many, may have all.
    pub connections_per_client_max: usize,
    /// The proxies whose word is taken on who a client is.
    pub proxies: Proxies,
}

/// What is counted.
pub struct Metrics {
    connections: IntGauge,
    refused: IntCounterVec,
    cut: IntCounterVec,
}

impl Metrics {
    /// Makes and registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let help = "HTTP connections that were closed at once, by the limit that was reached";
        Ok(Self {
            connections: maker.gauge("lectern_http_connections", "HTTP connections")?,
            refused: maker.counters("lectern_http_connections_refused_total", help, &["limit"])?,
            cut: maker.counters(
                "lectern_http_connections_cut_total",
                "HTTP connections that did not end in order, by what was wrong with them",
                &["reason"],
            )?,
        })
    }
}

/// Serves `router` until `cancel`, and then what has been asked for by then.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    metrics: Metrics,
    cancel: CancellationToken,
) {
    let door = Arc::new(Door { limits, metrics, inner: Mutex::default() });
    let refusals = Throttle::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            // Whoever is done is let go of here, so that the set holds only what there is.
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, "cannot accept HTTP connections");
                let pause = tokio::time::sleep(ACCEPT_PAUSE);
                cancel.run_until_cancelled(pause).await;
                continue;
            }
        };
        match door.enter(peer.ip()) {
            Ok(place) => {
                connections.spawn(connection(stream, peer, router.clone(), place, cancel.clone()));
            }
            Err(limit) => {
                if let Some(others) = refusals.pass(Instant::now()) {
                    tracing::warn!(limit, others, "HTTP connections are refused");
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    place: Place,
    cancel: CancellationToken,
) {
    if let Err(error) = set_up(&stream) {
        tracing::debug!(%error, "an HTTP connection is as the system made it");
    }
    let proxies = &place.door.limits.proxies;
    let service = service_fn(move |mut request: Request<Incoming>| {
        let client = proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(client);
        let answer = router.clone().call(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = cancel.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "HTTP connection ended");
        let reason = match &error {
            // The head of a request did not come in time.
            error if error.is_timeout() => "slow",
            error if error.is_parse() => "malformed",
            error if error.is_incomplete_message() => "incomplete",
            error if error.is_user() || error.is_body_write_aborted() => "answer",
            _ => "transport",
        };
        place.door.metrics.cut.with_label_values(&[reason]).inc();
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    // A chunk of media is sent when it is there, not when a packet is full.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.set_tcp_user_timeout(Some(STALL_MAX))
}

/// Counts who is in.
struct Door {
    limits: Limits,
    metrics: Metrics,
    inner: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    connections: usize,
    by_client: Tally,
}

/// A connection's place; free again when dropped.
struct Place {
    door: Arc<Door>,
    peer: IpAddr,
}

impl Door {
    /// A place for a connection from `peer`, or the limit that stands against it.
    fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Place, &'static str> {
        let inside = &mut *self.lock();
        let limits = &self.limits;
        let of_client = inside.by_client.of(peer);
        let full = inside.connections >= limits.connections_max;
        let greedy = of_client >= limits.connections_per_client_max && !limits.proxies.trust(peer);
        let limit = match (full, greedy) {
            (true, _) => "all",
            (_, true) => "client",
            _ => {
                inside.connections += 1;
                inside.by_client.add(peer);
                self.metrics.connections.inc();
                return Ok(Place { door: self.clone(), peer });
            }
        };
        self.metrics.refused.with_label_values(&[limit]).inc();
        Err(limit)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.door.lock();
        inside.connections -= 1;
        inside.by_client.remove(self.peer);
        self.door.metrics.connections.dec();
    }
}

/// Whether accepting failed for a connection that is no more, and not for us.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    // How long that is in fact is the system's to see to, and too long for a test.
    #[tokio::test]
    async fn the_system_is_told_how_much_and_how_long_a_reader_may_leave_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        set_up(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(STALL_MAX));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
        assert!(stream.nodelay().unwrap());
    }
}
