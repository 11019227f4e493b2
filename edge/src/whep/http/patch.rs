//! `PATCH` on a session: candidates, and ICE restarts (RFC 9725 §4.3).
//!
//! | `If-Match` | Fragment | Answer |
//! |---|---|---|
//! | the session's `ETag` | candidates of its ICE session | 204: a lite agent learns addresses from checks |
//! | | other credentials | 422: that would be a restart |
//! | `*` | new credentials | 200, our new credentials and candidates, a new `ETag` |
//! | | none | 422 |
//! | another tag | | 412 |
//! | none | | 428 |
//!
//! Before any of these: 404 no such session, 415 another type, 400 not a fragment.

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::refusal::{no_session, refuse};
use super::{Engine, SessionId, read_text};
use crate::whep::sdpfrag::Fragment;

/// What it takes and gives.
pub(super) const TYPE: &str = "application/trickle-ice-sdpfrag";

pub(super) async fn update(
    State(engine): State<Engine>,
    Path((id, session)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Response> {
    let id = id.parse().map_err(|_| no_session())?;
    let session = SessionId::from_url(&session);
    // Before a stranger's body is read, and once more after that took its time.
    engine.ice(&id, &session).ok_or_else(no_session)?;
    let condition = Condition::of(request.headers());
    let text = read_text(request, TYPE).await?;
    let fragment = Fragment::parse(&text)
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, "malformed", &error.to_string()))?;
    let ice = engine.ice(&id, &session).ok_or_else(no_session)?;
    match condition {
        Condition::None => Err(refuse(
            StatusCode::PRECONDITION_REQUIRED,
            "if-match",
            "send If-Match with the session's ETag, or with * to restart ICE",
        )),
        Condition::Tags(tags) if !tags.contains(&ice.etag) => Err(refuse(
            StatusCode::PRECONDITION_FAILED,
            "if-match",
            "this is not the session's ETag any more; ICE was restarted since",
        )),
        Condition::Tags(_) if fragment.ufrag.is_some_and(|ufrag| ufrag != ice.peer_ufrag) => {
            Err(refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                "ice-restart",
                "these are not the session's ICE credentials; to restart ICE send If-Match: *",
            ))
        }
        Condition::Tags(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        Condition::Any => {
            let ufrag = fragment.ufrag.ok_or_else(|| {
                refuse(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "ice-restart",
                    "an ICE restart needs a new ice-ufrag and ice-pwd; for candidates alone send \
                     the session's ETag in If-Match",
                )
            })?;
            let restarted = engine.restart_ice(&session, ufrag, &fragment);
            let (etag, answer) =
                restarted.ok_or_else(no_session)?.map_err(IntoResponse::into_response)?;
            let headers = [
                (header::CONTENT_TYPE, TYPE.to_owned()),
                (header::ETAG, etag),
                (header::CACHE_CONTROL, "no-store".to_owned()),
            ];
            Ok((StatusCode::OK, headers, answer).into_response())
        }
    }
}

/// `If-Match`, RFC 9110 §13.1.1.
pub(super) enum Condition {
    /// There is none.
    None,
    /// Whatever the session's tag.
    Any,
    /// One of these.
    Tags(Vec<String>),
}

impl Condition {
    /// What a request has of it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let lines: Vec<_> = headers.get_all(header::IF_MATCH).into_iter().collect();
        let text = |line: &&axum::http::HeaderValue| line.to_str().map(str::to_owned).ok();
        match lines[..] {
            [] => Self::None,
            [line] if line.as_bytes() == b"*" => Self::Any,
            // Ours have no comma in them, so a list may be cut at commas.
            _ => Self::Tags(
                lines
                    .iter()
                    .filter_map(text)
                    .flat_map(|line| {
                        line.split(',').map(|tag| tag.trim().to_owned()).collect::<Vec<_>>()
                    })
                    .collect(),
            ),
        }
    }
}
