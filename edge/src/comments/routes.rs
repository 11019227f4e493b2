//! `/live/{id}/comments` and what is below it.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, ORIGIN, RETRY_AFTER,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use lectern_relay_proto::request::Id;
use lectern_relay_proto::{BroadcastId, UtcTime};
use tracing::Instrument as _;

use super::rendition::{self, Place};
use super::room::Room;
use super::socket::{SETTLE_MAX, Viewer};
use super::{Comments, sidecar};
use crate::access::Grant;
use crate::access::carried::PROTOCOL;
use crate::client::Client;
use crate::demand::Watching;
use crate::live::{Directory, Live};
use crate::negotiation::{etag_of, matches_etag};
use crate::preflight::{READING, preflight};
use crate::server::Seat;

/// The longest message of a player's: several times what the longest comment takes.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// What a connection reads and writes at once: comments are short.
const BUFFER_BYTES: usize = 2 * 1024;
/// While a broadcast goes on, anybody may still write to any moment of it.
const SHORT: &str = "public, max-age=2";
/// What has left the window will not be there again.
const LONG_GONE: &str = "public, max-age=60";
const VTT: &str = "text/vtt; charset=utf-8";

struct Site {
    comments: Arc<Comments>,
    directory: Arc<Directory>,
    /// Sites whose pages may write, besides the edge's own, such as `https://example.org`.
    origins: Vec<String>,
}

/// The routes of comments.
pub fn routes(comments: Arc<Comments>, directory: Arc<Directory>, origins: Vec<String>) -> Router {
    Router::new()
        .route("/live/{id}/comments", get(read_along))
        .route("/live/{id}/comments/{file}", get(file).options(async || preflight(READING)))
        .route("/live/{id}/comments.vtt", get(webvtt).options(async || preflight(READING)))
        .with_state(Arc::new(Site { comments, directory, origins }))
}

/// What a connection has for as long as it lasts: that it counts as one, and wants the broadcast.
type Kept = (Option<Extension<Seat>>, Option<Extension<Arc<Watching>>>);

async fn read_along(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    client: Option<Extension<Client>>,
    kept: Kept,
    grant: Option<Extension<Grant>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(live) = id.parse().ok().and_then(|id| site.directory.get(&id)) else {
        return absent(&site);
    };
    let t0 = live.snapshot().map(|snapshot| snapshot.t0.as_millis()).filter(|t0| *t0 > 0);
    let (room, over) = site.comments.open(live.id());
    let unspecified = std::net::Ipv4Addr::UNSPECIFIED.into();
    let viewer = Viewer {
        comments: site.comments.clone(),
        room,
        client: client.map_or(unspecified, |Extension(Client(ip))| ip),
        allowed: may_write(&headers, &site.origins),
        t0,
        until: grant.map(|Extension(Grant { until })| until),
    };
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_upgrade(move |socket| {
            let viewers = site.comments.viewers.clone();
            // It goes on under the id of the request that it began with.
            let session = Id::current().unwrap_or_else(Id::fresh);
            let broadcast = &viewer.room.id;
            let span = tracing::info_span!("comments", %session, %broadcast);
            let serving = async move {
                viewer.serve(socket, over).await;
                drop(kept);
            };
            viewers.track_future(serving.instrument(span))
        })
}

async fn file(
    State(site): State<Arc<Site>>,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(place) = Place::parse(&file) {
        return site.subtitles(&id, place, &headers).await;
    }
    // One name for each file, or caches would keep it under many.
    let number = file.strip_suffix(".jsonl").and_then(|k| Some((k, k.parse::<u64>().ok()?)));
    let Some((_, k)) = number.filter(|(text, k)| **text == k.to_string()) else {
        let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
        return (StatusCode::NOT_FOUND, headers, "comments are in <number>.jsonl\n")
            .into_response();
    };
    site.file(&id, "application/jsonl", &headers, |room| {
        room.shown(|comment| comment.mt / sidecar::BUCKET_MS == k, sidecar::lines).into()
    })
    .await
}

async fn webvtt(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    site.file(&id, VTT, &headers, |room| room.webvtt(sidecar::webvtt)).await
}

impl Site {
    fn live(&self, id: &str) -> Option<Arc<Live>> {
        self.directory.get(&id.parse::<BroadcastId>().ok()?)
    }

    /// The comments that are shown in a segment.
    async fn subtitles(&self, id: &str, place: Place, request: &HeaderMap) -> Response {
        let snapshot = self.live(id).and_then(|live| live.snapshot());
        let Some(snapshot) = snapshot.filter(|snapshot| snapshot.comments) else {
            return absent(self);
        };
        let (status, cache) = match place.span(&snapshot, UtcTime::from(SystemTime::now())) {
            Ok(span) => {
                let render = |room: &Room| room.subtitles.get(room, place, span);
                return self.file(id, VTT, request, render).await;
            }
            Err(rendition::Absent::Gone) => (StatusCode::GONE, LONG_GONE),
            Err(rendition::Absent::Unknown) => (StatusCode::NOT_FOUND, "no-store"),
        };
        let headers = [(CACHE_CONTROL, cache), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
        (status, headers, "there is no such segment\n").into_response()
    }

    async fn file(
        &self,
        id: &str,
        content_type: &'static str,
        request: &HeaderMap,
        render: impl FnOnce(&Room) -> Bytes,
    ) -> Response {
        let Some(live) = self.live(id) else { return absent(self) };
        let (room, _) = self.comments.open(live.id());
        if self.comments.upward.is_some() {
            // Somebody may be the first to ask, whose answer is on its way.
            room.settle(SETTLE_MAX).await;
        }
        let text = render(&room);
        let etag = etag_of(&text);
        let headers = [
            (CONTENT_TYPE, content_type),
            // What is missing may come at any moment.
            (CACHE_CONTROL, if room.is_complete() { SHORT } else { "no-store" }),
            (ETAG, &etag),
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        if matches_etag(request, &etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, text).into_response()
    }
}

fn absent(site: &Site) -> Response {
    let no_store = (CACHE_CONTROL, "no-store");
    let anybody = (ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    if site.directory.is_informed() {
        return (StatusCode::NOT_FOUND, [no_store, anybody], "no such broadcast\n").into_response();
    }
    let later = [no_store, anybody, (RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, later, "upstream cannot be reached\n").into_response()
}

/// Whether a page of this origin may write (RFC 6455 §10.2): the edge's own, one that is listed, and
/// what is no page at all.
fn may_write(headers: &HeaderMap, origins: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if origins.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    matches!((own, host), (Some(own), Some(host)) if own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{HeaderValue, Request};
    use lectern_relay_proto::comment::{Comment, Settings};
    use prometheus::Registry;
    use tower::ServiceExt as _;

    use super::super::testing::comment;
    use super::*;
    use crate::audience::{self, Audience};
    use crate::timeline::testing::Script;
    use crate::timeline::{Config, PeriodLocator};

    #[test]
    fn only_pages_of_its_own_and_of_listed_sites_write() {
        let listed = ["https://uni.example/".to_owned()];
        let check = |origin: Option<&'static str>, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("live.example:8080"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(may_write(&headers, &listed), expected, "{origin:?}");
        };
        check(None, true);
        check(Some("http://live.example:8080"), true);
        check(Some("https://uni.example"), true);
        check(Some("https://live.example"), false);
        check(Some("https://uni.example.evil.test"), false);
        check(Some("null"), false);
        check(Some("evil://live.example:8080"), false);
    }

    #[tokio::test]
    async fn subtitles_are_kept_for_a_moment_and_what_is_not_there_is_not() {
        let config = Config { comments: true, ..Config::default() };
        let metrics = crate::live::Metrics::register(&Registry::new()).expect("registers");
        let directory = Directory::new(config, metrics);
        let live = directory.open("talk".parse().expect("an id")).expect("room for it");
        let now = UtcTime::from(SystemTime::now());
        let t0 = UtcTime::from_millis(now.as_millis() - 6_000);
        let script = Script::new(&[2_000; 3]);
        live.set_catalog(lectern_relay_proto::Catalog { t0, ..script.catalog() });
        for event in script.events() {
            match event.chunk {
                Some(chunk) => live.push(&event.track, event.group, chunk),
                None => live.end_group(&event.track, event.group),
            }
        }
        let metrics = super::super::Metrics::register(&Registry::new()).expect("registers");
        let audience = audience::Metrics::register(&Registry::new()).expect("registers");
        let comments = Comments::new(None, Audience::new(audience), metrics);
        let (room, _) = comments.open(live.id());
        let comment = Comment { mt: 1_000, ..comment(1, 1) };
        room.history(0, 1, vec![comment], true, Settings::default());
        let routes = routes(comments, directory, Vec::new());
        let get = async |file: &str, etag: &str| {
            let uri = format!("/live/talk/comments/{file}");
            let request = Request::builder().uri(uri).header("if-none-match", etag);
            let request = request.body(Body::empty()).expect("a request");
            let response = routes.clone().oneshot(request).await.expect("infallible");
            let header = |name| response.headers().get(name).map_or("", |v| v.to_str().unwrap());
            let [cache, kind] = [CACHE_CONTROL, CONTENT_TYPE].map(|name| header(name).to_owned());
            let (status, etag) = (response.status(), header(ETAG).to_owned());
            let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("short");
            (status, cache, kind, etag, String::from_utf8(body.to_vec()).expect("text"))
        };
        let at = |number: u64| format!("{}~{number}.vtt", PeriodLocator::new(t0, 0));
        let (status, cache, kind, etag, text) = get(&at(2), "").await;
        assert_eq!((status, cache.as_str(), kind.as_str()), (StatusCode::OK, SHORT, VTT));
        assert!(text.contains("\n00:00:04.000 --> 00:00:12.000\nAda: text 1\n"), "{text}");
        assert_eq!(get(&at(2), &etag).await.0, StatusCode::NOT_MODIFIED);
        let ahead = get(&at(9), "").await;
        assert_eq!((ahead.0, ahead.1.as_str()), (StatusCode::NOT_FOUND, "no-store"));
        let former = format!("{}~0.vtt", PeriodLocator::new(UtcTime::from_millis(0), 0));
        assert_eq!(get(&former, "").await.0, StatusCode::GONE);
        assert_eq!(get("2.vtt", "").await.0, StatusCode::NOT_FOUND);
    }
}
