//! WHEP over HTTP (draft-ietf-wish-whep; RFC 9725 for what it shares with WHIP).
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /whep/{id}` with `application/sdp` | 201, the answer, `Location`, `ETag`, `Lectern-T0`, `Link` |
//! | | 404 unknown broadcast; 409 no media yet, 503 full, about to stop, or nothing heard of the upstream, each with `Retry-After`; 429 too much from one address; 400, 406, 422 offer; 408, 413, 415 |
//! | the same with `?rendition=<name>` | pins a video rendition; 404 if there is none of that name |
//! | `POST /whep/{id}/{session}/layer` | see [`super::layer`] |
//! | `DELETE /whep/{id}/{session}` | 200, or 404 if it is over already |
//! | `PATCH /whep/{id}/{session}` with `application/trickle-ice-sdpfrag` | see [`patch`] |
//! | `OPTIONS` on either | 204, and what CORS asks for |
//! | anything else | 405 with `Allow` |
//!
//! A POST with `Prefer: wait=N` (RFC 7240 §4.3) to a broadcast without media is held for up to
//! `N` seconds, [`WAIT_MAX`] at most; players need not poll. What was held has `Preference-Applied`.
//! One that nobody watched before is held for its first picture in any case, for a few seconds.
//!
//! Every refusal is plain text for people and has `Lectern-Reason` for the player.

#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod patch;
mod prefer;
mod refusal;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post};
use axum::{Extension, Router};
use lectern_relay_proto::BroadcastId;
use serde::Deserialize;
use tokio::time::Instant;

use super::sdp::{self, OFFER_BYTES_MAX};
use super::{Engine, Joiner, OfferError, SessionId, layer};
use crate::access::Grant;
use crate::client::Client;
use crate::demand::Watching;
pub(super) use refusal::{no_method, no_session, refuse};

/// The longest that an offer is held: shorter than what proxies usually grant an answer.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a body may take: 64 KiB over the slowest of links.
const BODY_MAX: Duration = Duration::from_secs(10);
const T0: HeaderName = HeaderName::from_static("lectern-t0");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The routes of WHEP.
pub fn routes(engine: Engine) -> Router {
    Router::new()
        .route(
            "/whep/{id}",
            post(offer).options(options_offer).fallback(async || no_method("POST")),
        )
        .route(
            "/whep/{id}/{session}",
            patch(patch::update)
                .delete(end)
                .options(options_session)
                .fallback(async || no_method("PATCH or DELETE")),
        )
        .route(
            "/whep/{id}/{session}/layer",
            post(layer::select).options(layer::options).fallback(async || no_method("POST")),
        )
        .layer(DefaultBodyLimit::max(OFFER_BYTES_MAX))
        .layer(map_response(allow_any_origin))
        .layer(from_fn_with_state(engine.clone(), count_refusal))
        .with_state(engine)
}

/// What an offer's URL may ask for.
#[derive(Deserialize)]
struct Asked {
    /// A video rendition by its name, as the status of the broadcast lists it.
    rendition: Option<String>,
}

async fn offer(
    State(engine): State<Engine>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    client: Option<Extension<Client>>,
    grant: Option<Extension<Grant>>,
    watching: Option<Extension<Arc<Watching>>>,
    request: Request,
) -> Result<Response, Response> {
    let wait = prefer::wait(request.headers()).map(|wait| wait.min(WAIT_MAX));
    let offer = read_text(request, "application/sdp").await?;
    let id: BroadcastId = id.parse().map_err(|_| OfferError::Unknown.into_response())?;
    // Without a server before it, as in tests, all requests are of one client.
    let client = client.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Client(ip))| ip);
    let began = Instant::now();
    let until = grant.map(|Extension(Grant { until })| until);
    let joiner = Joiner { offer: &offer, client, rendition: asked.rendition.as_deref(), until };
    // Whoever woke the broadcast has its first picture a round trip later, and need not come back for it.
    let warm_up = watching.map(|Extension(watching)| watching.warms_up_within());
    let patience = wait.unwrap_or_default().max(warm_up.unwrap_or_default());
    let opened = engine.open_within(&id, &joiner, patience).await;
    let applied = wait.filter(|wait| opened.is_ok() || began.elapsed() >= *wait);
    let mut response = match opened {
        Ok(answer) => {
            let location = format!("/whep/{id}/{}", answer.session.as_str());
            let headers = [
                (header::CONTENT_TYPE, "application/sdp".to_owned()),
                (header::LINK, layer::link(&location)),
                (header::LOCATION, location),
                (header::ETAG, answer.etag),
                (header::CACHE_CONTROL, "no-store".to_owned()),
                (T0, answer.t0.as_millis().to_string()),
            ];
            let mut response = (StatusCode::CREATED, headers, answer.sdp).into_response();
            add_links(&mut response, &engine);
            response
        }
        Err(error) => {
            tracing::debug!(broadcast = %id, %error, "offer refused");
            error.into_response()
        }
    };
    if let Some(wait) = applied
        && let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        response.headers_mut().insert(PREFERENCE_APPLIED, value);
    }
    Ok(response)
}

/// RFC 9725 §4.2. The entity tag does not matter here, §4.3.1; and who asks twice is told that the
/// session is over, which is what was asked for.
async fn end(
    State(engine): State<Engine>,
    Path((id, session)): Path<(String, String)>,
) -> Response {
    let closed = id.parse().is_ok_and(|id| engine.close(&id, &SessionId::from_url(&session)));
    if closed { StatusCode::OK.into_response() } else { no_session() }
}

async fn options_offer(State(engine): State<Engine>) -> Response {
    let mut response = options("accept-post", "application/sdp", "POST, OPTIONS");
    add_links(&mut response, &engine);
    response
}

async fn options_session() -> Response {
    options("accept-patch", patch::TYPE, "PATCH, DELETE, OPTIONS")
}

/// What a resource takes: bodies of this type, by the header that says so, and these methods.
pub(super) fn options(accept: &'static str, body: &'static str, methods: &'static str) -> Response {
    let headers = [
        (HeaderName::from_static(accept), body),
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Tells of STUN and TURN servers, RFC 9725 §4.6.
fn add_links(response: &mut Response, engine: &Engine) {
    for link in engine.links() {
        response.headers_mut().append(header::LINK, link.clone());
    }
}

/// Players may be embedded anywhere, and nothing here is told apart by cookies.
async fn allow_any_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    set(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "Authorization, Content-Type, If-Match, Lectern-Viewer, Prefer",
    );
    set(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "Location, ETag, Link, Accept-Post, Accept-Patch, Allow, Preference-Applied, Retry-After, \
         Lectern-T0, Lectern-Reason",
    );
    set(header::ACCESS_CONTROL_MAX_AGE, "86400");
    response
}

/// Counts what is refused, here or before any of our own handlers saw it.
async fn count_refusal(State(engine): State<Engine>, request: Request, next: Next) -> Response {
    let method = match *request.method() {
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        // Anybody may think of a method.
        _ => "other",
    };
    let response = next.run(request).await;
    if !response.status().is_success() {
        let reason =
            response.headers().get(refusal::REASON).and_then(|reason| reason.to_str().ok());
        engine.metrics().request_refused(method, reason.unwrap_or("malformed"));
    }
    response
}

/// The body of a request of the type `wanted`, which must be there in time.
pub(super) async fn read_text(request: Request, wanted: &'static str) -> Result<String, Response> {
    if !is_type(request.headers(), wanted) {
        let text = format!("send it as {wanted}");
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "type", &text));
    }
    let body = tokio::time::timeout(BODY_MAX, Bytes::from_request(request, &())).await;
    let body = body.map_err(|_| {
        refuse(StatusCode::REQUEST_TIMEOUT, "slow", "the rest of the request did not come in time")
    })?;
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("the body is larger than {} KiB", OFFER_BYTES_MAX / 1024);
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "too-large", &text)
        }
        _ => refuse(StatusCode::BAD_REQUEST, "malformed", "the body cannot be read"),
    })?;
    String::from_utf8(body.into())
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, "malformed", "the body is not UTF-8"))
}

pub(super) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    given.is_some_and(|given| {
        given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted))
    })
}
