//! What pages of other sites are told before they may send what a simple request has not (the CORS
//! protocol of the Fetch standard): players are embedded anywhere, and send who their viewer is.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW,
};
use axum::http::{HeaderValue, Response, StatusCode};

/// What reads.
pub(crate) const READING: &str = "GET, HEAD, OPTIONS";
/// What reports.
pub(crate) const REPORTING: &str = "POST, OPTIONS";

const HEADERS: &str = "Authorization, Range, If-None-Match, If-Range, CMCD-Request, CMCD-Object, \
                       CMCD-Status, CMCD-Session, Lectern-Viewer";
/// A day; browsers remember it for two hours at most.
const MAX_AGE_S: &str = "86400";

/// The answer to OPTIONS, where these methods have a meaning.
pub(crate) fn preflight(methods: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ALLOW, methods),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE_S),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
