//! The origin over HTTP: what the host of a broadcast fetches from it, under `/api/v1`. `docs/comments.md`
//! has the routes.
//!
//! Whoever has the `moderator_key` of a broadcast may ask about it, and is answered in pieces as the store
//! reads them, so that a long evening costs no more memory than a short one.

mod csv;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::client::Tally;
use lectern_relay_proto::comment::{Comment, ModeratorKey};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::comments::store::{Error, Store};

/// Rows that are read from the store at once.
const PAGE: u32 = 500;
/// Files that are made at once. Whoever comes then waits, for so long at most.
const FILES_MAX: usize = 4;
const FILE_WAIT: Duration = Duration::from_secs(10);
/// Connections at once, and from one client, by IPv4 address or IPv6 /64: whoever has more waits in vain,
/// and nobody else does. Each brings one request, in so long and in so many bytes, and may last so long.
const CONNECTIONS_MAX: usize = 512;
const CONNECTIONS_PER_CLIENT_MAX: usize = 16;
const HEAD_MAX: Duration = Duration::from_secs(5);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// Pause after the system had no room for another.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long whoever fetches a file may take after the origin was asked to stop.
const FAREWELL_MAX: Duration = Duration::from_secs(5);

/// A bound port for the API.
pub struct Api {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
}

struct Site {
    store: Store,
    keys: HashMap<BroadcastId, Option<ModeratorKey>>,
    files: Arc<Semaphore>,
}

impl Api {
    /// Binds `listen`. Of each broadcast, `keys` has the key that opens it, if there is one. What is in
    /// `others` is served beside the API.
    pub async fn bind(
        listen: SocketAddr,
        store: Store,
        keys: HashMap<BroadcastId, Option<ModeratorKey>>,
        others: Router,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let site = Arc::new(Site { store, keys, files: Arc::new(Semaphore::new(FILES_MAX)) });
        let router = Router::new()
            .route("/api/v1/broadcasts/{id}/{file}", get(file))
            .fallback(async || problem(StatusCode::NOT_FOUND, "there is no such page"))
            .with_state(site)
            .merge(others);
        Ok(Self { listener, addr, router })
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
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the API was not accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            // Dropped, which closes it.
            let Some(share) = Share::take(&clients, peer.ip()) else { continue };
            let router = self.router.clone().layer(Extension(ConnectInfo(peer)));
            let service = TowerToHyperService::new(router);
            connections.spawn(async move {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
                http.keep_alive(false).max_buf_size(HEAD_BYTES_MAX);
                let serving = http.serve_connection(TokioIo::new(stream), service);
                // A file of the longest evening takes less, and whoever reads slower asks again.
                if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, serving).await {
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

/// What can be fetched of a broadcast.
#[derive(Clone, Copy)]
enum File {
    CommentsCsv,
    CommentsJson,
    AttendanceCsv,
}

impl File {
    fn named(name: &str) -> Option<Self> {
        match name {
            "comments.csv" => Some(Self::CommentsCsv),
            "comments.json" => Some(Self::CommentsJson),
            "attendance.csv" => Some(Self::AttendanceCsv),
            _ => None,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::CommentsCsv | Self::AttendanceCsv => "text/csv; charset=utf-8; header=present",
            Self::CommentsJson => "application/json",
        }
    }
}

async fn file(
    State(site): State<Arc<Site>>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    // Who does not know the key is not told which broadcasts there are.
    let id = id.parse().ok().filter(|id| site.is_opened(id, &headers));
    let Some(id) = id else { return unauthorized() };
    let Some(file) = File::named(&name) else {
        return problem(
            StatusCode::NOT_FOUND,
            "there are comments.csv, comments.json and attendance.csv",
        );
    };
    let permit = tokio::time::timeout(FILE_WAIT, site.files.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return problem(StatusCode::SERVICE_UNAVAILABLE, "too many files are being fetched");
    };
    let mut pieces = site.pieces(file, id.clone(), permit).boxed();
    // The first tells whether there is a store to read from; later there is no status to say it with.
    let first = match pieces.next().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => {
            tracing::error!(broadcast = %id, %error, "{name} cannot be read");
            return problem(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer");
        }
        None => Bytes::new(),
    };
    let attachment = format!("attachment; filename=\"{id}-{name}\"");
    let headers = [
        (CONTENT_TYPE, file.content_type()),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_DISPOSITION, &attachment),
    ];
    let body = Body::from_stream(stream::iter([Ok(first)]).chain(pieces));
    (headers, body).into_response()
}

impl Site {
    fn is_opened(&self, id: &BroadcastId, headers: &HeaderMap) -> bool {
        let Some(Some(key)) = self.keys.get(id) else { return false };
        let presented = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let presented = presented.and_then(|value| {
            let (scheme, credentials) = value.split_once(' ')?;
            let credentials = credentials.trim().to_owned();
            scheme.eq_ignore_ascii_case("bearer").then_some(credentials)
        });
        presented
            .and_then(|key| ModeratorKey::try_from(key).ok())
            .is_some_and(|presented| key.matches(&presented))
    }

    /// The file piece by piece, at least one.
    fn pieces(
        &self,
        file: File,
        id: BroadcastId,
        permit: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
        let place =
            Place { store: self.store.clone(), id, file, after: 0, any: false, _permit: permit };
        stream::try_unfold(Some(place), async |place| match place {
            Some(place) => place.next().await.map(Some),
            None => Ok(None),
        })
    }
}

/// How far a file has been made.
struct Place {
    store: Store,
    id: BroadcastId,
    file: File,
    /// The last comment, or how many rows.
    after: u64,
    /// Whether there is anything in it yet.
    any: bool,
    /// One of those that are made at once, for as long as this lives.
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// The next piece, and the place behind it unless that is the end.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), Error> {
        let first = self.after == 0;
        let (piece, rows) = match self.file {
            File::AttendanceCsv => {
                let skip = u32::try_from(self.after).unwrap_or(u32::MAX);
                let rows = self.store.attendance(&self.id, skip, PAGE).await?;
                self.after += rows.len() as u64;
                (csv::attendance(&rows, first), rows.len())
            }
            File::CommentsCsv | File::CommentsJson => {
                let mut comments = self.store.comments(&self.id, self.after, PAGE).await?;
                let rows = comments.len();
                self.after = comments.last().map_or(self.after, |last| last.id);
                comments.retain(|comment| !comment.deleted);
                let any = self.any;
                self.any |= !comments.is_empty();
                let piece = match self.file {
                    File::CommentsCsv => csv::comments(&comments, first),
                    _ => json(&comments, first, any, rows < PAGE as usize),
                };
                (piece, rows)
            }
        };
        Ok((piece.into(), (rows == PAGE as usize).then_some(self)))
    }
}

/// A piece of a list of comments, one in a line. `any`: some are in it already.
fn json(comments: &[Comment], first: bool, mut any: bool, last: bool) -> String {
    let mut text = if first { "[".to_owned() } else { String::new() };
    for comment in comments {
        text.push_str(if any { ",\n" } else { "\n" });
        any = true;
        text.push_str(&serde_json::to_string(comment).expect("plain"));
    }
    if last {
        text.push_str("\n]\n");
    }
    text
}

fn unauthorized() -> Response {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "no such broadcast, or not its moderator_key: send Authorization: Bearer <moderator_key>",
    );
    let challenge = axum::http::HeaderValue::from_static("Bearer realm=\"lectern\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

/// What is wrong (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    let headers = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}
