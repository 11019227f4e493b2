//! How a refusal is said: a status that machines know, a word for the player, a sentence for people.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rand::Rng as _;

use super::sdp;
pub(super) use crate::siblings::REASON;
use crate::whep::OfferError;

/// Seconds after which to come back, at random between these: a thousand players who were told so in
/// one moment must not return in one. Media begins at any moment.
const RETRY_MEDIA_S: (u32, u32) = (1, 4);
/// A place is free again when somebody leaves.
const RETRY_FULL_S: (u32, u32) = (5, 20);
/// A crowd that joins has joined within seconds.
const RETRY_BUSY_S: (u32, u32) = (1, 5);

impl IntoResponse for OfferError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unknown | Self::Rendition => StatusCode::NOT_FOUND,
            Self::NoMedia => StatusCode::CONFLICT,
            Self::Offer(sdp::Error::Malformed(_)) => StatusCode::BAD_REQUEST,
            // Understood, and not an offer that an answer could be given to.
            Self::Offer(
                sdp::Error::Incomplete(_) | sdp::Error::NoBundle | sdp::Error::NoRtcpMux,
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            // A good offer, only not of what there is.
            Self::BFrames | Self::Codec | Self::Offer(_) => StatusCode::NOT_ACCEPTABLE,
            Self::Unheard | Self::Draining | Self::Full | Self::Egress | Self::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::ClientBusy => StatusCode::TOO_MANY_REQUESTS,
            Self::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = refuse(status, self.reason(), &self.to_string());
        let retry = match &self {
            Self::NoMedia | Self::Unheard | Self::Draining => Some(RETRY_MEDIA_S),
            Self::Full | Self::Egress => Some(RETRY_FULL_S),
            Self::Busy | Self::ClientBusy => Some(RETRY_BUSY_S),
            _ => None,
        };
        if let Some((first, last)) = retry {
            let after = HeaderValue::from(rand::rng().random_range(first..=last));
            response.headers_mut().insert(header::RETRY_AFTER, after);
        }
        response
    }
}

/// There is no session of this name, or not any more.
pub(in crate::whep) fn no_session() -> Response {
    refuse(StatusCode::NOT_FOUND, "unknown", "no such session; it may be over")
}

/// A method that has no meaning here. The router adds `Allow`.
pub(in crate::whep) fn no_method(methods: &str) -> Response {
    let text = format!("this address takes {methods}");
    refuse(StatusCode::METHOD_NOT_ALLOWED, "method", &text)
}

/// A refusal.
pub(in crate::whep) fn refuse(status: StatusCode, reason: &'static str, text: &str) -> Response {
    let headers = [(REASON, reason), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{text}\n")).into_response()
}
