//! The HTTP routes of live broadcasts: status, manifest, media, time. Stock CORS for all of them.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
    RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::get;
use axum::{Json, Router};
use lectern_relay_proto::about::Links;
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::Serialize;

use super::directory::{Absent, Directory};
use super::document::Keep;
use super::lobby::{self, Lobby, Summary};
use super::media::{self, Asks};
use super::{Live, playlists};
use crate::audience::{Asked, Audience, HttpPath};
use crate::preflight::{READING, preflight};
use crate::requests::Kind;
use crate::siblings::REASON;
use crate::timeline::{self, Locator};
use crate::{dash, hls};

pub(super) const NO_STORE: &str = "no-store";
/// For answers that will soon be another.
pub(super) const SHORT: &str = "public, max-age=1";

/// The word for the player where the upstream has not said what there is.
const UNHEARD: &str = "unheard";
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
const ANY: HeaderValue = HeaderValue::from_static("*");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Date, ETag, Content-Range, Retry-After, Server-Timing, CMSD-Static, CMSD-Dynamic, Lectern-Reason",
);

/// The routes `/live`, `/live/{id}`, `/live/{id}/manifest.mpd`, `/live/{id}/index.m3u8`, the files of
/// tracks (see [`File::parse`]) and `/time`. Who asks for media is told to `audience`. Without `lobby`
/// there is no list.
pub fn routes(directory: Arc<Directory>, audience: Arc<Audience>, lobby: bool) -> Router {
    let list = lobby.then(|| Lobby::new(directory.clone(), audience.clone()));
    let list = match list {
        Some(list) => get(async move |request| list.respond(request)),
        None => get(lobby::none),
    };
    Router::new()
        .route("/time", get(time))
        .route("/live", list)
        .route("/live/{id}", get(status))
        .route("/live/{id}/manifest.mpd", get(manifest))
        .route("/live/{id}/index.m3u8", get(multivariant))
        .route("/live/{id}/comments/index.m3u8", get(comments))
        .route("/live/{id}/{track}/{file}", get(file))
        .route_layer(middleware::from_fn_with_state(audience, common))
        .with_state(directory)
}

/// What every response of these routes has, and the counting of viewers.
async fn common(
    State(audience): State<Arc<Audience>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let asked = asked(Kind::of(request.uri().path()));
    let asking = asked.and_then(|asked| audience.asking(&request, asked));
    let mut response = if request.method() == Method::OPTIONS {
        preflight(READING)
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(TIMING_ALLOW_ORIGIN, ANY);
    if let Some(asking) = asking {
        audience.asked(asking, response.status());
    }
    response
}

/// What a request says of who watches.
fn asked(kind: Kind) -> Option<Asked> {
    match kind {
        Kind::Manifest => Some(Asked::Manifest(HttpPath::Dash)),
        Kind::Playlist => Some(Asked::Manifest(HttpPath::Hls)),
        Kind::Segment => Some(Asked::Media(None)),
        Kind::Part => Some(Asked::Media(Some(HttpPath::Hls))),
        _ => None,
    }
}

/// The time, as DASH's UTCTiming `http-iso` wants it.
async fn time() -> Response<Body> {
    let now = dash::DateTime(UtcTime::from(SystemTime::now())).to_string();
    let mut response = Response::new(Body::from(now));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    response
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Links::is_empty")]
    links: Links,
    /// How many may watch at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    viewers_max: Option<u32>,
    /// Whether there is a manifest.
    ready: bool,
    /// Media time of the newest frame when the newest segment began or ended.
    edge_ms: Option<u64>,
    /// Media time from which on it can be watched over HTTP, and how far back that reaches at most.
    oldest_ms: Option<u64>,
    window_ms: u128,
    tracks: Vec<TrackStatus>,
    /// Other edges where it may be watched.
    edges: Vec<String>,
    /// This edge is about to stop: whoever can is to go to another.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
    /// No upstream can be reached: this is what was known, and another edge may know more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_off: bool,
}

/// A track of the current period.
#[derive(Serialize)]
struct TrackStatus {
    /// Of video, what a WebRTC viewer asks for as a rendition.
    name: String,
    codec: String,
    /// Pixels, of video.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    bitrate: Option<u64>,
    first_segment: Option<u64>,
    last_segment: Option<u64>,
}

/// Both are sent alike.
type Answered = Result<Response<Body>, Response<Body>>;

async fn status(State(directory): State<Arc<Directory>>, Path(id): Path<String>) -> Answered {
    let live = look(&directory, &id).map_err(refuse_absent)?;
    let (Some(summary), Some(snapshot), Some(about)) =
        (lobby::summary(&live), live.snapshot(), live.about())
    else {
        return Err(not_ready());
    };
    let edge = snapshot.current().and_then(|period| period.end());
    let tracks = snapshot.current().map(|period| period.tracks.iter()).into_iter().flatten();
    let size = |kind: &timeline::Kind| match kind {
        timeline::Kind::Video { width, height, .. } => Some((*width, *height)),
        timeline::Kind::Audio { .. } => None,
    };
    Ok(json(Status {
        summary,
        links: about.links.clone(),
        viewers_max: about.viewers_max,
        ready: snapshot.is_playable(),
        edge_ms: edge.map(|edge| edge.as_micros() / 1_000),
        oldest_ms: snapshot.oldest_start().map(|oldest| oldest.as_micros() / 1_000),
        window_ms: snapshot.window.as_millis(),
        edges: directory.siblings().addresses().map(str::to_owned).collect(),
        draining: directory.siblings().draining(),
        cut_off: !directory.is_informed(),
        tracks: tracks
            .map(|track| TrackStatus {
                name: track.name.to_string(),
                codec: track.codec.clone(),
                width: size(&track.kind).map(|(width, _)| width),
                height: size(&track.kind).map(|(_, height)| height),
                bitrate: track.bitrate,
                first_segment: track.segments.first().map(|segment| segment.number),
                last_segment: track.segments.last().map(|segment| segment.number),
            })
            .collect(),
    }))
}

async fn manifest(
    State(directory): State<Arc<Directory>>,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let (request, _) = request.into_parts();
    let asks = Asks::from(&request);
    let live = find(&directory, &id, &asks).await?;
    let manifest = live.once(&asks, Live::manifest).await.ok_or_else(not_ready)?;
    let (kind, metrics) = (Kind::Manifest, directory.metrics());
    Ok(manifest.document.respond(dash::CONTENT_TYPE, kind, Keep::Short, &asks, metrics))
}

async fn multivariant(
    State(directory): State<Arc<Directory>>,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let (request, _) = request.into_parts();
    let asks = Asks::from(&request);
    let live = find(&directory, &id, &asks).await?;
    Ok(playlists::multivariant(&live, &asks).await)
}

async fn comments(
    State(directory): State<Arc<Directory>>,
    Path(id): Path<String>,
    request: Request,
) -> Answered {
    let (request, _) = request.into_parts();
    let asks = Asks::from(&request);
    let live = find(&directory, &id, &asks).await?;
    Ok(playlists::comments(&live, request.uri.query(), &asks).await)
}

/// What there is of a track.
enum File {
    /// Over all periods.
    Playlist,
    /// In one period.
    Media(Media),
}

enum Media {
    Init,
    Segment(u64),
    Part(u64, usize),
}

impl File {
    /// Reads `index.m3u8`, `init.mp4`, `<n>.m4s` or `<n>.<p>.m4s`.
    fn parse(name: &str) -> Option<Self> {
        match name {
            hls::FILE => return Some(Self::Playlist),
            "init.mp4" => return Some(Self::Media(Media::Init)),
            _ => {}
        }
        let numbers = name.strip_suffix(".m4s")?;
        Some(Self::Media(match numbers.split_once('.') {
            None => Media::Segment(canonical(numbers)?),
            Some((number, part)) => {
                let part = u16::try_from(canonical(part)?).ok()?;
                Media::Part(canonical(number)?, part.into())
            }
        }))
    }
}

/// Decimal without sign or leading zeros: a file has one address.
pub(super) fn canonical(digits: &str) -> Option<u64> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let plain = digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit());
    (canonical && plain).then(|| digits.parse().ok()).flatten()
}

/// A file of a track.
async fn file(
    State(directory): State<Arc<Directory>>,
    Path((id, track, file)): Path<(String, String, String)>,
    request: Request,
) -> Answered {
    // A stranger's path is read before anything is looked up, and nothing of it is kept.
    let Some(file) = File::parse(&file) else {
        return Err(refusal(StatusCode::NOT_FOUND, SHORT, "no such file"));
    };
    let (request, _) = request.into_parts();
    let asks = Asks::from(&request);
    let no_track = || refusal(StatusCode::NOT_FOUND, SHORT, "no such track");
    Ok(match file {
        File::Playlist => {
            let track = timeline::unescaped(&track).ok_or_else(no_track)?;
            let live = find(&directory, &id, &asks).await?;
            playlists::media(&live, &track, request.uri.query(), &asks).await
        }
        File::Media(media) => {
            let locator = Locator::parse(&track).ok_or_else(no_track)?;
            let live = find(&directory, &id, &asks).await?;
            match media {
                Media::Init => media::init(&live, &locator, &asks).await,
                Media::Segment(number) => media::segment(&live, &locator, number, &asks).await,
                Media::Part(number, part) => {
                    media::part(&live, &locator, number, part, &asks).await
                }
            }
        }
    })
}

/// The broadcast that a path names, or what to answer.
async fn find(
    directory: &Directory,
    id: &str,
    asks: &Asks<'_>,
) -> Result<Arc<Live>, Response<Body>> {
    let absent = match id.parse::<BroadcastId>() {
        Ok(id) => match directory.find(&id, asks).await {
            Ok(live) => return Ok(live),
            Err(absent) => absent,
        },
        Err(_) => Absent::Unknown,
    };
    Err(refuse_absent(absent))
}

/// The same at once: whoever asks how a broadcast stands wants to hear that nobody knows.
fn look(directory: &Directory, id: &str) -> Result<Arc<Live>, Absent> {
    let id = id.parse::<BroadcastId>().map_err(|_| Absent::Unknown)?;
    directory.look(&id)
}

fn refuse_absent(absent: Absent) -> Response<Body> {
    let mut response = match absent {
        Absent::Unknown => refusal(StatusCode::NOT_FOUND, SHORT, "no such broadcast is live"),
        Absent::Unheard => {
            let reason = "this edge cannot reach its upstream, and does not know this broadcast";
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, NO_STORE, reason);
            response.headers_mut().insert(REASON, HeaderValue::from_static(UNHEARD));
            response
        }
    };
    retry_after(&mut response);
    response
}

pub(super) fn not_ready() -> Response<Body> {
    let reason = "the broadcast has not begun, or this edge is just joining it";
    let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, NO_STORE, reason);
    retry_after(&mut response);
    response
}

pub(super) fn retry_after(response: &mut Response<Body>) {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
}

/// An answer without media, and why.
pub(super) fn refusal(
    status: StatusCode,
    cache: &'static str,
    reason: &'static str,
) -> Response<Body> {
    let mut response = Response::new(Body::from(reason));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

fn json(value: impl Serialize) -> Response<Body> {
    let mut response = axum::response::IntoResponse::into_response(Json(value));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(SHORT));
    response
}
