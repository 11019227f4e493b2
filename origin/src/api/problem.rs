//! What is wrong with a request, for people and programs (RFC 9457).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::request::Id;
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::control::Error;
use crate::control::password::Busy;
use crate::control::store::{self, Conflict};

/// Why a request was not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
}

/// The body of every answer that is a refusal, as `application/problem+json` (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Always `about:blank`: [`Self::code`] says more.
    r#type: String,
    /// What the status means.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, in a sentence.
    detail: String,
    /// What is wrong, in a word that stays.
    code: String,
    /// What is wrong with which part of what was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The request's id, as in `x-request-id`: by this the origin's log knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

/// What is wrong with a part of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// Which: names with dots between, and numbers in lists.
    pub field: String,
    /// What, in a sentence.
    pub detail: String,
}

impl FieldError {
    /// This is wrong with `field`.
    pub(super) fn new(field: impl Into<String>, detail: impl ToString) -> Self {
        Self { field: field.into(), detail: detail.to_string() }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let all: Vec<_> =
            errors.iter().map(|error| format!("{}: {}", error.field, error.detail)).collect();
        let detail = all.join("; ");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    pub(super) fn invalid_field(field: &str, detail: impl ToString) -> Self {
        Self::invalid(vec![FieldError::new(field, detail)])
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing, or it is not yours")
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub(super) fn too_many(detail: impl Into<String>, after: Duration) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
        Self { retry_after: Some(after), ..problem }
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Self { retry_after: Some(Duration::from_secs(2)), ..problem }
    }

    /// What is wrong, in a word that stays.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, in a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code.to_owned(),
            errors: self.errors,
            request_id: Id::current().map(|id| id.to_string()),
        };
        let body = serde_json::to_string(&body).expect("plain");
        let headers = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, body).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            // Whole seconds, and not too soon.
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs() + 1));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"lectern\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<Conflict> for Problem {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Exists => Self::conflict("there is one of this name already"),
            Conflict::Taken => Self::conflict(
                "of a broadcast that had this id before, comments or members are left: take another id",
            ),
            Conflict::Missing => Self::not_found(),
            Conflict::Stale => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "it has changed since you read it: read it again",
            ),
            Conflict::Full => Self::conflict("there are as many as may be: remove one first"),
            Conflict::LastAdmin => {
                Self::conflict("this is the last admin: nobody could manage accounts any more")
            }
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "a request to the API cannot be answered");
        Self::unavailable("the database does not answer")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflict(conflict) => conflict.into(),
            Error::Store(error) => error.into(),
            Error::Provisioned | Error::NameHeld => Self::conflict(error.to_string()),
            Error::NotLoaded | Error::BrokeOff => Self::unavailable(error.to_string()),
            Error::Broadcasts(error) => {
                use crate::broadcasts::Error as Why;
                match error {
                    Why::DuplicateId(_) => Conflict::Exists.into(),
                    Why::TooMany => Self::conflict(error.to_string()),
                    error => {
                        tracing::error!(%error, "a broadcast cannot be announced");
                        Self::unavailable("the relay does not take this broadcast now")
                    }
                }
            }
        }
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::unavailable(busy.to_string())
    }
}

/// What any request may be refused with.
pub(super) struct Refused;

/// What a request that changes something may be refused with besides.
pub(super) struct NotChanged;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        documented(&[
            (400, "It cannot be read."),
            (401, "Nobody is signed in, or the token is not good."),
            (403, "This account, token or page may not do that."),
            (404, "There is no such thing, or it is none of yours."),
            (405, "This cannot be done with it."),
            (408, "The rest of it did not come in time."),
            (422, "It can be read, and is not valid: `errors` says what."),
            (429, "Too often: `Retry-After` says when to come back."),
            (503, "The database does not answer, or too much is asked at once."),
        ])
    }
}

impl IntoResponses for NotChanged {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        documented(&[
            (400, "It cannot be read."),
            (409, "It does not fit what there is."),
            (412, "It has changed since the `ETag` in `If-Match`."),
            (413, "It is longer than anything that is expected here."),
            (415, "It is not JSON."),
            (428, "`If-Match` is needed."),
        ])
    }
}

fn documented(all: &[(u16, &str)]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let one = |(status, what): &(u16, &str)| {
        let response = ResponseBuilder::new().description(*what);
        let response = response.content("application/problem+json", content.clone()).build();
        (status.to_string(), response.into())
    };
    all.iter().map(one).collect()
}
