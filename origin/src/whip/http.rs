//! WHIP over HTTP (RFC 9725).
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /whip` with `application/sdp` and `Authorization: Bearer <stream key>` | 201, the answer, `Location`, `ETag` |
//! | | 401 no key, or one that is not known; 400, 406, 422 offer; 408, 413, 415; 503 with `Retry-After` |
//! | `DELETE /whip/{session}` with the same key | 200, or 404 if it is over already |
//! | `PATCH /whip/{session}` with `application/trickle-ice-sdpfrag` | 204 candidates, of which a lite agent needs none; 412, 428 by `If-Match`; 422 an ICE restart, which is not done here |
//! | `OPTIONS` on either | 204, and what CORS asks for |
//! | anything else | 405 with `Allow` |
//!
//! Every refusal is a problem (RFC 9457) whose `detail` is a sentence for people.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use axum::{Extension, Router};
use lectern_relay_proto::client::Client;

use super::offer::{self, OFFER_BYTES_MAX};
use super::registry::{Entry, KeyDigest, SessionName};
use super::{Publishing, Refused, Shared};
use crate::ingest::{Gate, Refusal};

/// How long a body may take: 64 KiB over the slowest of links.
const BODY_MAX: Duration = Duration::from_secs(10);
/// Seconds after which to come back: places are free again when somebody leaves.
const RETRY_AFTER_S: u32 = 10;
const SDP: &str = "application/sdp";
const SDPFRAG: &str = "application/trickle-ice-sdpfrag";

/// The routes of WHIP.
pub(super) fn routes<G: Gate>(shared: Arc<Shared<G>>) -> Router {
    Router::new()
        .route(
            "/whip",
            post(publish::<G>)
                .options(async || options("accept-post", SDP, "POST, OPTIONS"))
                .fallback(async || no_method("POST")),
        )
        .route(
            "/whip/{session}",
            patch(update::<G>)
                .delete(end::<G>)
                .options(async || options("accept-patch", SDPFRAG, "PATCH, DELETE, OPTIONS"))
                .fallback(async || no_method("PATCH or DELETE")),
        )
        .layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
        .layer(map_response(allow_any_origin))
        .with_state(shared)
}

async fn publish<G: Gate>(
    State(shared): State<Arc<Shared<G>>>,
    peer: Option<Extension<Client>>,
    request: Request,
) -> Result<Response, Response> {
    // Without a server before it, as in tests, all requests are of one client.
    let ip = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Extension(Client(ip))| ip);
    let peer = SocketAddr::from((ip, 0));
    let refused = |refused: Refused| {
        shared.metrics.publishes.with_label_values(&[refused.reason()]).inc();
        tracing::info!(%peer, "publisher refused by WHIP: {refused}");
        refused.into_response()
    };
    let key = bearer(request.headers()).ok_or_else(|| refused(Refused::NoKey))?;
    shared.admit(&key).await.map_err(|refusal| refused(refusal.into()))?;
    let offer = read_text(request, SDP).await.inspect_err(|_| {
        shared.metrics.publishes.with_label_values(&["malformed"]).inc();
    })?;
    let Publishing { session, etag, answer } =
        shared.clone().publish(key, &offer, peer).await.map_err(refused)?;
    shared.metrics.publishes.with_label_values(&["accepted"]).inc();
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, format!("/whip/{}", session.as_str())),
        (header::ETAG, etag),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer).into_response())
}

/// RFC 9725 §4.2. The entity tag does not matter here.
async fn end<G: Gate>(
    State(shared): State<Arc<Shared<G>>>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let entry = find(&shared, &session, &headers).map_err(IntoResponse::into_response)?;
    entry.stop.cancel();
    Ok(StatusCode::OK.into_response())
}

/// RFC 9725 §4.3.
async fn update<G: Gate>(
    State(shared): State<Arc<Shared<G>>>,
    Path(session): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let entry = find(&shared, &session, request.headers());
    let entry = entry.map_err(IntoResponse::into_response)?;
    let condition = request.headers().get(header::IF_MATCH).cloned();
    let fragment = read_text(request, SDPFRAG).await?;
    let etag = etag(&entry.ufrag);
    let condition = condition.as_ref().map(HeaderValue::as_bytes);
    match condition {
        None => {
            return Err(problem(
                StatusCode::PRECONDITION_REQUIRED,
                "send If-Match with the session's ETag",
            ));
        }
        Some(b"*") => {}
        Some(tag) if tag != etag.as_bytes() => {
            return Err(problem(StatusCode::PRECONDITION_FAILED, "this is not the session's ETag"));
        }
        Some(_) => {}
    }
    let ufrag = fragment.lines().find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:"));
    if condition == Some(b"*") || ufrag.is_some_and(|ufrag| ufrag != entry.peer_ufrag) {
        return Err(problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "ICE is not restarted here: publish anew with another POST, which takes over",
        ));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session, if the request has its key.
fn find<G: Gate>(shared: &Shared<G>, session: &str, headers: &HeaderMap) -> Result<Entry, Refused> {
    let key = bearer(headers).ok_or(Refused::NoKey)?;
    let entry = shared.registry.get(&SessionName::from_url(session));
    // Who has another key is told no more than who made the name up.
    let theirs = |entry: &Entry| entry.key == KeyDigest::of(&key) && !entry.stop.is_cancelled();
    entry.filter(theirs).ok_or(Refused::NoSession)
}

/// Of a session by our ICE credentials, which it keeps for life.
pub(super) fn etag(ufrag: &str) -> String {
    format!("\"{}\"", ufrag.replace(['"', '\\'], ""))
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then(|| key.to_owned())
}

/// The body of a request of the type `wanted`, which must be there in time.
async fn read_text(request: Request, wanted: &'static str) -> Result<String, Response> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let is_wanted = given
        .and_then(|given| given.split(';').next())
        .is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted));
    if !is_wanted {
        let text = format!("send it as {wanted}");
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text));
    }
    let body = tokio::time::timeout(BODY_MAX, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| {
        problem(StatusCode::REQUEST_TIMEOUT, "the rest of the request did not come in time")
    })?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("the body is larger than {} KiB", OFFER_BYTES_MAX / 1024);
            problem(StatusCode::PAYLOAD_TOO_LARGE, &text)
        }
        _ => problem(StatusCode::BAD_REQUEST, "the body cannot be read"),
    })?;
    String::from_utf8(body.into())
        .map_err(|_| problem(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NoKey | Self::Gate(Refusal::UnknownKey) => StatusCode::UNAUTHORIZED,
            Self::NoSession => StatusCode::NOT_FOUND,
            Self::Offer(offer::Error::Malformed(_)) => StatusCode::BAD_REQUEST,
            Self::Offer(offer::Error::Unsupported(_)) | Self::Unanswerable(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Offer(offer::Error::Codec(_)) => StatusCode::NOT_ACCEPTABLE,
            Self::Gate(Refusal::Blocked) => StatusCode::FORBIDDEN,
            Self::Gate(Refusal::Unavailable(_) | Refusal::Stopped(_))
            | Self::Full
            | Self::ReencodersBusy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = self.reason().replace('_', "-");
        let mut response = coded(status, Some(&code), &self.to_string());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"lectern\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let secs = match &self {
                Self::Gate(Refusal::Stopped(left)) => left.as_secs() + 1,
                _ => RETRY_AFTER_S.into(),
            };
            headers.insert(header::RETRY_AFTER, secs.into());
        }
        response
    }
}

/// What is wrong (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Response {
    coded(status, None, detail)
}

/// The same with a word that stays, for programs.
fn coded(status: StatusCode, code: Option<&str>, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let mut body =
        serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    if let Some(code) = code {
        body["code"] = code.into();
    }
    let headers =
        [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

/// A method that has no meaning here. The router adds `Allow`.
fn no_method(methods: &str) -> Response {
    problem(StatusCode::METHOD_NOT_ALLOWED, &format!("this address takes {methods}"))
}

/// What a resource takes: bodies of this type, by the header that says so, and these methods.
fn options(accept: &'static str, body: &'static str, methods: &'static str) -> Response {
    let headers = [
        (HeaderName::from_static(accept), body),
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Pages of other sites may publish: who has the key says so, and nothing here is told by cookies.
async fn allow_any_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match");
    set(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "Location, ETag, Accept-Post, Accept-Patch, Allow, Retry-After, WWW-Authenticate",
    );
    set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}
