//! How somebody is told that they cannot watch: a status, a code for programs and a sentence for people
//! (RFC 9457), and the same code where our player looks for it.

use std::time::Duration;

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_TYPE,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rand::Rng as _;

use super::jwt::Fault;
use crate::siblings::REASON;

/// Seconds after which to come back, at random between these: those who were told so in one moment must
/// not return in one.
const RETRY_FULL_S: (u64, u64) = (5, 20);

/// Why somebody cannot watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no token.
    Missing,
    /// There is no good one, and who answers what is asked gets one.
    Registration,
    /// There is one that was good.
    Expired,
    /// There is one of another broadcast.
    WrongBroadcast,
    /// What there is is none, or not yet.
    Invalid,
    /// More tokens to check than one client may send.
    TooMany(Duration),
    /// As many watch as the host lets in.
    Full,
    /// The edge carries as many broadcasts as it may.
    NoRoom,
    /// Nobody knows yet for whom the broadcast is.
    NotReady,
    /// There is no such broadcast.
    Unknown,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Invalid(_) | Fault::Early => Self::Invalid,
            Fault::Broadcast => Self::WrongBroadcast,
            Fault::Expired => Self::Expired,
        }
    }
}

impl Refusal {
    /// The same of a broadcast for which everybody may register.
    pub(super) fn or_register(self) -> Self {
        match self {
            Self::Missing | Self::Expired | Self::WrongBroadcast | Self::Invalid => {
                Self::Registration
            }
            other => other,
        }
    }

    /// The label `reason`, the problem's `code`, and the word for the player.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::Registration => "registration-required",
            Self::Expired => "token-expired",
            Self::WrongBroadcast => "token-wrong-broadcast",
            Self::Invalid => "token-invalid",
            Self::TooMany(_) => "too-many-requests",
            Self::Full => "broadcast-full",
            // As of an edge that is full of viewers: players go to another.
            Self::NoRoom => "full",
            Self::NotReady => "no-media",
            Self::Unknown => "unknown",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Missing
            | Self::Registration
            | Self::Expired
            | Self::WrongBroadcast
            | Self::Invalid => StatusCode::UNAUTHORIZED,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Full | Self::NoRoom | Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::NOT_FOUND,
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => {
                ("Viewer token missing", "This broadcast is for those who were given a link to it.")
            }
            Self::Registration => (
                "Registration required",
                "The host of this broadcast asks those who want to watch to register.",
            ),
            Self::Expired => ("Viewer token expired", "The link to this broadcast has expired."),
            Self::WrongBroadcast => {
                ("Viewer token of another broadcast", "The link is for another broadcast.")
            }
            Self::Invalid => (
                "Viewer token invalid",
                "The link is not valid: it was changed, its time has not come, or it was withdrawn.",
            ),
            Self::TooMany(_) => {
                ("Too many requests", "Too many viewer tokens came from this address at once.")
            }
            Self::Full => {
                ("No place", "As many people are watching as the host of this broadcast lets in.")
            }
            Self::NoRoom => (
                "Edge full",
                "This edge carries as many broadcasts as it may. Others may have room.",
            ),
            Self::NotReady => {
                ("Not ready", "The broadcast has not begun, or this edge is just joining it.")
            }
            Self::Unknown => ("Not found", "There is no such broadcast here."),
        }
    }

    fn retry_after_s(self) -> Option<u64> {
        match self {
            Self::TooMany(after) => Some(after.as_secs() + 1),
            Self::Full | Self::NoRoom => {
                Some(rand::rng().random_range(RETRY_FULL_S.0..=RETRY_FULL_S.1))
            }
            Self::NotReady => Some(1),
            _ => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (title, detail) = self.words();
        let (status, code) = (self.status(), self.code());
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let fixed = [
            (CONTENT_TYPE, "application/problem+json"),
            (CACHE_CONTROL, "no-store"),
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "Lectern-Reason, Retry-After, WWW-Authenticate"),
            (REASON, code),
        ];
        let mut response = (status, fixed, problem.to_string()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750 §3.1: who brought none is not told of an error.
            let challenge = match self {
                Self::Missing | Self::Registration => "Bearer realm=\"lectern\"",
                _ => "Bearer realm=\"lectern\", error=\"invalid_token\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after_s() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
