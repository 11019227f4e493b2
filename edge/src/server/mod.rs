//! The HTTP listeners: as many connections as configured, a share of them for each client, and none
//! that may be slow for ever. What is served is the router's.
//!
//! This module accepts; [`door`] counts who is in, [`tls`] owns the certificate, [`connection`]
//! learns what a connection speaks and drives HTTP/1.1, [`http2`] drives HTTP/2, and [`pace`] says
//! how slowly a reader may read. `axum::serve` has neither bounds nor a time for a request to arrive
//! in.

mod connection;
mod door;
mod http2;
mod metrics;
mod pace;
pub mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{Request, Response, StatusCode, Version};
use axum::response::IntoResponse as _;
use hyper::body::{Body as HttpBody, Bytes};
use lectern_relay_proto::request::identified;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

pub use self::door::Door;
use self::door::{Guest, Place};
pub use self::metrics::Metrics;
use crate::client::{Proxies, Secured, client_of, secured_by};
use crate::requests::Kind;
use crate::throttle::Throttle;

/// How long a request's head may take to arrive, and how long a connection may rest between two
/// requests: longer than between two segments, so that a viewer of LL-DASH keeps its connections.
const HEAD_MAX: Duration = Duration::from_secs(20);
/// What a connection may buffer of a request's head, which is a few hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Pause after the system refused to give us a connection, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct Limits {
    /// At once, over all ports; each costs about 20 kB, and over TLS twice that. Requests at once on
    /// a connection of HTTP/2 count as one each.
    pub connections_max: usize,
    /// Of these, those of one client; trusted proxies, which stand for many, may have all.
    pub connections_per_client_max: usize,
    /// The proxies whose word is taken on who a client is.
    pub proxies: Proxies,
}

/// The ports.
pub struct Listeners {
    /// HTTP/1.1, and HTTP/2 to those who know beforehand (RFC 9113 §3.3).
    pub http: TcpListener,
    /// The same over TLS, and which of them by ALPN.
    pub https: Option<(TcpListener, tls::Identity)>,
}

/// Serves `router` to those who come in by `door`, until `cancel`, and then what has been asked for by then.
pub async fn serve(
    listeners: Listeners,
    router: Router,
    door: Arc<Door>,
    cancel: CancellationToken,
) {
    let (reloads, expiry) = (door.metrics.reloads.clone(), door.metrics.expiry.clone());
    let site = Arc::new(Site { router, door });
    let plain = accept(listeners.http, None, site.clone(), cancel.clone());
    match listeners.https {
        None => plain.await,
        Some((listener, identity)) => {
            let secured = accept(listener, Some(identity.acceptor()), site, cancel.clone());
            tokio::join!(plain, secured, identity.follow_files(reloads, expiry, cancel));
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    cancel: CancellationToken,
) {
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
        match site.visit(peer, tls.is_some()) {
            Ok(visit) => {
                connections.spawn(connection::serve(stream, tls.clone(), visit, cancel.clone()));
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

/// A connection's place among those that there may be, as a request extension: whoever takes the
/// connection over keeps it.
#[derive(Clone)]
pub struct Seat {
    _place: Arc<Place>,
}

/// What is served, and to how many.
struct Site {
    router: Router,
    door: Arc<Door>,
}

/// A connection's right to ask, and whom it comes from.
#[derive(Clone)]
struct Visit {
    site: Arc<Site>,
    peer: IpAddr,
    /// It is over TLS.
    secure: bool,
    _place: Arc<Place>,
}

impl Site {
    /// Lets a connection from `peer` in, or says which limit stands against it.
    fn visit(self: &Arc<Self>, peer: SocketAddr, secure: bool) -> Result<Visit, &'static str> {
        let peer = peer.ip();
        let place = Arc::new(self.door.enter(peer, Guest::Connection)?);
        Ok(Visit { site: self.clone(), peer, secure, _place: place })
    }
}

impl Visit {
    fn metrics(&self) -> &Metrics {
        &self.site.door.metrics
    }

    /// A place for a request beside others.
    fn beside(&self) -> Result<Place, &'static str> {
        self.site.door.enter(self.peer, Guest::Stream)
    }

    /// The router's answer.
    fn answer<B>(
        &self,
        mut request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + Send + use<B>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let proxies = &self.site.door.proxies;
        let client = client_of(proxies, self.peer, request.headers());
        let secure = self.secure || secured_by(proxies, self.peer, request.headers());
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(Secured(secure));
        request.extensions_mut().insert(Seat { _place: self._place.clone() });
        // RFC 9112 §3.2: exactly one, or 400.
        let hosts = request.headers().get_all(HOST).iter().count();
        let unaddressed = request.version() == Version::HTTP_11 && hosts != 1;
        let (kind, began) = (Kind::of(request.uri().path()), Instant::now());
        let site = self.site.clone();
        identified(request, move |request| {
            let answer = site.router.clone().call(request);
            async move {
                let answer = match unaddressed {
                    true => {
                        (StatusCode::BAD_REQUEST, "a request has one Host header\n").into_response()
                    }
                    false => answer.await.unwrap_or_else(|never| match never {}),
                };
                site.door.metrics.requests.answered(kind, answer.status(), began.elapsed());
                answer
            }
        })
    }
}

/// Why a connection did not end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A handshake, a preface or the head of a request did not come in time.
    Slow,
    /// TLS was not agreed on.
    Handshake,
    /// The reader did not read.
    Stalled,
    /// What came was not HTTP, or beyond its bounds.
    Malformed,
    /// The peer left in the middle of a request.
    Incomplete,
    /// Requests were taken back, or frames sent, faster than anybody needs.
    Flood,
    /// The answer broke off.
    Answer,
    /// The network failed, or the peer hung up.
    Transport,
}

impl Cut {
    fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Handshake => "handshake",
            Self::Stalled => "stalled",
            Self::Malformed => "malformed",
            Self::Incomplete => "incomplete",
            Self::Flood => "flood",
            Self::Answer => "answer",
            Self::Transport => "transport",
        }
    }
}

/// Whether accepting failed for a connection that is no more, and not for us.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
