//! `/live/{id}/comments` and what is below it.

use std::sync::Arc;

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
use lectern_relay_proto::BroadcastId;

use super::room::Room;
use super::socket::Viewer;
use super::{Comments, sidecar};
use crate::client::Client;
use crate::live::Directory;
use crate::negotiation::{etag_of, matches_etag};
use crate::server::Seat;

/// The longest message of a player's: several times what the longest comment takes.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// What a connection reads and writes at once: comments are short.
const BUFFER_BYTES: usize = 2 * 1024;
/// While a broadcast goes on, anybody may still write to any moment of it.
const SHORT: &str = "public, max-age=2";

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
        .route("/live/{id}/comments/{file}", get(bucket))
        .route("/live/{id}/comments.vtt", get(webvtt))
        .with_state(Arc::new(Site { comments, directory, origins }))
}

async fn read_along(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    client: Option<Extension<Client>>,
    seat: Option<Extension<Seat>>,
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
    };
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_upgrade(move |socket| {
            let viewers = site.comments.viewers.clone();
            viewers.track_future(async move {
                viewer.serve(socket, over).await;
                // The connection counts as one for as long as it lasts.
                drop(seat);
            })
        })
}

async fn bucket(
    State(site): State<Arc<Site>>,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
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
}

async fn webvtt(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    site.file(&id, "text/vtt; charset=utf-8", &headers, |room| room.webvtt(sidecar::webvtt))
}

impl Site {
    fn file(
        &self,
        id: &str,
        content_type: &'static str,
        request: &HeaderMap,
        render: impl FnOnce(&Room) -> Bytes,
    ) -> Response {
        let id: Option<BroadcastId> = id.parse().ok();
        let Some(live) = id.and_then(|id| self.directory.get(&id)) else { return absent(self) };
        let (room, _) = self.comments.open(live.id());
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
    use axum::http::HeaderValue;

    use super::*;

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
}
