//! Reads what a request brings: its body, its query, and which version it was made for. Whatever is not
//! as it should be gets a [`Problem`] that says so.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, IF_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::problem::{FieldError, Problem};

/// Bytes of a body: several times the longest description with all its links.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long it may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(15);

/// A body of JSON.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let is_json = ["application/json", "application/merge-patch+json"]
            .iter()
            .any(|json| media_type.eq_ignore_ascii_case(json));
        if !is_json {
            let detail = "send JSON, with Content-Type: application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported-media-type", detail));
        }
        let limited = request
            .map(|body| axum::body::Body::new(http_body_util::Limited::new(body, BODY_BYTES_MAX)));
        let read = tokio::time::timeout(BODY_TIME_MAX, Bytes::from_request(limited, state)).await;
        let read = read.map_err(|_| {
            let detail = "the rest of the request did not come in time";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
        })?;
        let bytes = read.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, "unreadable", "the body broke off"),
        })?;
        if !bytes.trim_ascii_start().starts_with(b"{") {
            let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            let detail = "send a JSON object";
            return Err(match is_json {
                true => Problem::invalid_field("body", detail),
                false => Problem::new(StatusCode::BAD_REQUEST, "unreadable", detail),
            });
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let field = error.path().to_string();
            let inner = error.inner();
            // A reader of words calls it no JSON where a number stands.
            if inner.is_data() || serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok() {
                Problem::invalid(vec![FieldError::new(field, plain(inner))])
            } else {
                let detail = format!("this is not JSON: {inner}");
                Problem::new(StatusCode::BAD_REQUEST, "unreadable", detail)
            }
        })?;
        reader.end().map_err(|error| {
            let detail = format!("this is not JSON: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "unreadable", detail)
        })?;
        Ok(Self(read))
    }
}

/// Where in the text it is says little once the field is named.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// The query of a URL.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::invalid_field("query", rejection.body_text())),
        }
    }
}

/// What a path names, whatever that is.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // A name that nothing can have names nothing.
        let path = <Path<T> as FromRequestParts<S>>::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named)).map_err(|_| Problem::not_found())
    }
}

/// Which version a change is for: the `ETag` of what was read (RFC 9110 §13.1.1).
pub(super) struct IfMatch(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || {
            let detail = "send If-Match with the ETag of what you have read";
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition-required", detail)
        };
        let value = parts.headers.get(IF_MATCH).ok_or_else(missing)?;
        // A proxy that compresses makes an ETag weak. What is none of ours matches nothing.
        let rev = value.to_str().ok().map(str::trim);
        let rev = rev.map(|text| text.strip_prefix("W/").unwrap_or(text));
        let rev = rev.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        Ok(Self(rev.unwrap_or(0)))
    }
}

/// The `ETag` of something that has changed `rev` times.
pub(super) fn etag(rev: u64) -> String {
    format!("\"{rev}\"")
}

/// How many of a list, and from where on.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// At most so many, 1 to 200.
    #[serde(default = "limit_default")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
    /// What the list before said is `next`.
    #[param(max_length = 512)]
    after: Option<String>,
}

/// See [`ListQuery::limit`].
pub(super) const LIMIT_MAX: u32 = 200;
/// See [`ListQuery::after`]: more than any place in a list of ours takes.
const AFTER_CHARS_MAX: usize = 512;

pub(super) fn limit_default() -> u32 {
    50
}

impl ListQuery {
    /// How many, once all of the query is known to be within bounds.
    pub(super) fn limit(&self) -> Result<u32, Problem> {
        check_after(self.after())?;
        check_limit(self.limit)
    }

    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

pub(super) fn check_limit(limit: u32) -> Result<u32, Problem> {
    if (1..=LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::invalid_field("limit", format!("1 to {LIMIT_MAX}")))
    }
}

pub(super) fn check_after(after: Option<&str>) -> Result<(), Problem> {
    check_length("after", after, AFTER_CHARS_MAX)
}

/// Refuses a parameter that is longer than the document says it may be.
pub(super) fn check_length(name: &str, value: Option<&str>, max: usize) -> Result<(), Problem> {
    match value {
        Some(value) if value.chars().count() > max => {
            Err(Problem::invalid_field(name, format!("at most {max} characters")))
        }
        _ => Ok(()),
    }
}

/// A piece of a list.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct List<T> {
    /// The piece.
    items: Vec<T>,
    /// What to ask `after` for the next piece; none if this was the last.
    next: Option<String>,
}

impl<T> List<T> {
    /// A list that has no more.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A piece of at most `limit`, cut from `items`, of which there was one more if the list goes on.
    pub(super) fn cut(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(name) } else { None };
        Self { items, next }
    }
}

/// A field of a merge patch (RFC 7396) that has to be something: not there, or set.
pub(super) fn set<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A field of a merge patch (RFC 7396): not there, cleared with `null`, or set.
pub(super) fn patched<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// What is presented as `Authorization: Bearer …`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
}

/// Whom the request comes from.
pub(super) struct From(pub(super) std::net::IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        use lectern_relay_proto::client::Client;
        let client = parts.extensions.get::<Client>().map(|Client(ip)| *ip);
        // Whoever serves this says who asks; all whom nobody knows are one client.
        Ok(Self(client.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into())))
    }
}
