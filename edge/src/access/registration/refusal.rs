//! How somebody is told that they are not registered (RFC 9457): with what is wrong with each answer, where
//! that is why.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::comment::NotRegistered;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::siblings::REASON;

/// Seconds after which to come back, at random between these: those who were told so in one moment must
/// not return in one.
const RETRY_S: (u64, u64) = (2, 6);

/// Why somebody is not registered.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// More than one client may send.
    TooMany(Duration),
    /// More bytes than a form has.
    Large,
    /// They took too long to arrive.
    Slow,
    /// It cannot be read.
    Malformed(String),
    /// There is no such broadcast.
    Unknown,
    /// Nobody knows yet what is asked.
    NotReady,
    /// What the origin would say, or does.
    Origin(NotRegistered),
}

impl Refusal {
    /// The label `reason`, the problem's `code`, and the word for the player.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "too-many-requests",
            Self::Large => "too-large",
            Self::Slow => "too-slow",
            Self::Malformed(_) => "malformed",
            Self::Unknown => "unknown",
            Self::NotReady => "not-ready",
            Self::Origin(NotRegistered::Full) => "registration-full",
            Self::Origin(why) => why.as_str(),
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Large => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Origin(NotRegistered::Invalid { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Origin(NotRegistered::Full) => StatusCode::CONFLICT,
            Self::Unknown | Self::Origin(NotRegistered::NoRegistration) => StatusCode::NOT_FOUND,
            Self::NotReady | Self::Origin(NotRegistered::Busy | NotRegistered::Unavailable) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn words(&self) -> (&'static str, String) {
        match self {
            Self::TooMany(_) => {
                ("Too many requests", "Too many people register from this address at once.".into())
            }
            Self::Large => ("Too large", "This is longer than any form.".into()),
            Self::Slow => ("Too slow", "The answers took too long to arrive.".into()),
            Self::Malformed(error) => ("Malformed", format!("This is no filled form: {error}.")),
            Self::Unknown => ("Not found", "There is no such broadcast here.".into()),
            Self::NotReady => ("Not ready", "This edge is just joining the broadcast.".into()),
            Self::Origin(why) => {
                let title = match why {
                    NotRegistered::Invalid { .. } => "Answers are missing or wrong",
                    NotRegistered::NoRegistration => "No registration",
                    NotRegistered::Full => "Registration is full",
                    NotRegistered::Busy | NotRegistered::Unavailable => {
                        "Registration is not possible at the moment"
                    }
                };
                (title, sentence(why))
            }
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany(after) => Some(after.as_secs() + 1),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                Some(rand::rng().random_range(RETRY_S.0..=RETRY_S.1))
            }
            _ => None,
        }
    }

    fn errors(&self) -> Vec<Value> {
        let Self::Origin(NotRegistered::Invalid { errors }) = self else { return Vec::new() };
        let error = |each: &lectern_relay_proto::about::WrongAnswer| {
            let (field, fault) = (&each.field, each.fault);
            json!({"field": field, "code": fault.as_str(), "detail": fault.to_string()})
        };
        errors.iter().map(error).collect()
    }
}

fn sentence(why: &NotRegistered) -> String {
    let why = why.to_string();
    let mut chars = why.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (title, detail) = self.words();
        let (status, code) = (self.status(), self.code());
        let mut problem = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let errors = self.errors();
        if !errors.is_empty() {
            problem["errors"] = Value::Array(errors);
        }
        let fixed = [
            (CONTENT_TYPE, "application/problem+json"),
            (CACHE_CONTROL, "no-store"),
            (REASON, code),
        ];
        let mut response = (status, fixed, problem.to_string()).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
