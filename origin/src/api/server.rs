//! The origin's own HTTP port: who is let in, and for how long.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lectern_relay_proto::client::{Client, Proxies, Tally};
use lectern_relay_proto::request::identified;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Connections at once, and from one client, by IPv4 address or IPv6 /64: whoever has more waits in vain,
/// and nobody else does. Each request comes in so long and so many bytes, and a connection may last so long:
/// browsers open another without anybody noticing.
const CONNECTIONS_MAX: usize = 1_024;
const CONNECTIONS_PER_CLIENT_MAX: usize = 64;
const HEAD_MAX: Duration = Duration::from_secs(15);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const CONNECTION_MAX: Duration = Duration::from_secs(600);
/// Pause after the system had no room for another.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long whoever fetches something may take after the origin was asked to stop.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// A bound port.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    proxies: Arc<Proxies>,
}

impl Server {
    /// Binds `listen`, to serve `router`; `proxies` are believed about whom they serve.
    pub async fn bind(
        listen: SocketAddr,
        router: Router,
        proxies: Proxies,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr, router, proxies: Arc::new(proxies) })
    }

    /// Where it is served.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `cancel`.
    pub async fn run(self, cancel: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let (connections, clients) = (TaskTracker::new(), Clients::default());
        loop {
            // Whoever comes when all places are taken waits with the kernel.
            let accepting = async {
                let place = places.clone().acquire_owned().await;
                (self.listener.accept().await, place)
            };
            let Some((accepted, place)) = cancel.run_until_cancelled(accepting).await else {
                break;
            };
            let (stream, client) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            // A proxy has the connections of many.
            let share = if self.proxies.trust(client) {
                None
            } else {
                // Dropped, which closes it.
                let Some(share) = Share::take(&clients, client) else { continue };
                Some(share)
            };
            let (router, proxies) = (self.router.clone(), self.proxies.clone());
            let service = service_fn(move |mut request: Request<Incoming>| {
                let lines = request.headers().get_all("x-forwarded-for").iter();
                let lines = lines.filter_map(|line| line.to_str().ok());
                let client: Client = proxies.client(client, lines);
                request.extensions_mut().insert(client);
                let router = router.clone();
                async move {
                    let answer = identified(request, |request| {
                        router
                            .oneshot(request)
                            .map(|answer| answer.unwrap_or_else(|never| match never {}))
                    });
                    Ok::<_, Infallible>(answer.await)
                }
            });
            let stopping = cancel.clone();
            connections.spawn(async move {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
                http.max_buf_size(HEAD_BYTES_MAX);
                let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
                let ended = async {
                    tokio::select! {
                        ended = serving.as_mut() => return ended,
                        () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
                    }
                    serving.await
                };
                // A file of the longest evening takes less, and whoever reads slower asks again.
                if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, ended).await {
                    tracing::debug!(%error, "a connection to the API broke off");
                }
                drop((place, share));
            });
        }
        connections.close();
        let _ = tokio::time::timeout(FAREWELL_MAX, connections.wait()).await;
    }
}

/// How many connections each client has.
type Clients = Arc<Mutex<Tally>>;

/// One of a client's connections, for as long as it lives.
struct Share {
    clients: Clients,
    client: IpAddr,
}

impl Share {
    fn take(clients: &Clients, client: IpAddr) -> Option<Self> {
        let mut tally = clients.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.of(client) >= CONNECTIONS_PER_CLIENT_MAX {
            return None;
        }
        tally.add(client);
        Some(Self { clients: clients.clone(), client })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).remove(self.client);
    }
}
