//! The viewer's own choice of a video rendition: WHEP's layer selection (draft-ietf-wish-whep,
//! "Video Layer Selection extension"; the answer to an offer links here).
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /whep/{id}/{session}/layer` with `application/json` | 200; the rendition is sent from its next keyframe on |
//! | | 404 no such session or rendition, 400 not the object below, or another m-line, 415, 503 busy |
//!
//! The object has `encodingId`, a rendition's name with or without `video/`; null or absent gives the
//! choice back to the edge. Later drafts call it `rid`, which is taken as well. `mediaId` is the index
//! of the video's m-line, and may be absent. Our renditions are whole encodings, so the draft's
//! spatial and temporal layers are not looked at. The draft's `layers` event is not sent: `GET
//! /live/{id}` lists the renditions.

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::http::{self, no_session, read_text, refuse};
use super::{Engine, PinError, SessionId};

const REL: &str = "urn:ietf:params:whep:ext:core:layer";

/// What a viewer asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selection {
    /// The m-line, by its index.
    pub media_id: Option<String>,
    /// The rendition.
    #[serde(alias = "rid")]
    pub encoding_id: Option<String>,
}

/// The `Link` of a session at `location`, RFC 8288 §3.
pub(super) fn link(location: &str) -> String {
    format!("<{location}/layer>; rel=\"{REL}\"")
}

/// Pins a rendition, or gives the choice back.
pub(super) async fn select(
    State(engine): State<Engine>,
    Path((id, session)): Path<(String, String)>,
    request: Request,
) -> Response {
    let body = match read_text(request, "application/json").await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let Ok(id) = id.parse() else { return no_session() };
    let Ok(selection) = serde_json::from_str::<Selection>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "malformed", "not a layer selection");
    };
    let line = match selection.media_id.map(|line| line.parse()).transpose() {
        Ok(line) => line,
        Err(_) => return PinError::Line.into_response(),
    };
    let asked = selection.encoding_id.as_deref();
    match engine.pin(&id, &SessionId::from_url(&session), line, asked) {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => error.into_response(),
    }
}

/// What may be asked of a layer resource.
pub(super) async fn options() -> Response {
    http::options("accept-post", "application/json", "POST, OPTIONS")
}

impl IntoResponse for PinError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Session | Self::Rendition => StatusCode::NOT_FOUND,
            Self::Line => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        refuse(status, self.reason(), &self.to_string())
    }
}
