//! `POST /live/{id}/access`: a browser that has a viewer token gets the cookie for it, for players that
//! send no header of ours, and for the next visit.
//!
//! | Request | Answer |
//! |---|---|
//! | with `Authorization: Bearer <token>` | 204, with the cookie if the broadcast needs tokens |
//! | with a token that is not good | 401, as everywhere |
//! | of a broadcast that is not known | 404, or 503 while this edge has not heard its upstream |

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Router, http};

use super::carried::{self, Carried};
use super::refusal::Refusal;
use super::{Access, Asker, Verdict, add_cookies};
use crate::audience::client_of;
use crate::client::Secured;

/// The route.
pub(super) fn routes(access: Arc<Access>) -> Router {
    Router::new().route("/live/{id}/access", post(give).options(options)).with_state(access)
}

async fn give(
    State(access): State<Arc<Access>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (request, _) = request.into_parts();
    let mut answer = access.give(&id, &request);
    allow_origin(&mut answer, &request.headers);
    answer
}

impl Access {
    fn give(&self, id: &str, request: &http::request::Parts) -> Response {
        let Ok(id) = id.parse() else { return self.refuse(Refusal::Unknown) };
        let token = carried::bearer(&request.headers).map(str::to_owned);
        let carried = token.map(|token| Carried { token, by_query: false });
        let client = client_of(&request.extensions).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let asker = Asker { id, carried, client };
        let mut answer = (StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response();
        match self.judge(&asker) {
            Verdict::Open(_) => {}
            Verdict::Granted(_, until_ms) => {
                let secure = request.extensions.get::<Secured>();
                let secure = secure.is_some_and(|Secured(secure)| *secure);
                let token = asker.carried.as_ref().map_or("", |carried| &carried.token);
                add_cookies(answer.headers_mut(), token, &asker.id, until_ms, secure);
            }
            Verdict::Refused(refusal) => return self.refuse(refusal),
            Verdict::Unknown if self.directory.is_informed() => {
                return self.refuse(Refusal::Unknown);
            }
            Verdict::Unknown => return self.refuse(Refusal::NotReady),
        }
        answer
    }
}

async fn options(headers: HeaderMap) -> Response {
    preflight(&headers, "POST, OPTIONS", "Authorization")
}

/// The answer to OPTIONS, where browsers bring and keep cookies and these methods and headers have a
/// meaning.
pub(super) fn preflight(
    request: &HeaderMap,
    methods: &'static str,
    headers: &'static str,
) -> Response {
    let fixed = [
        (ALLOW, methods),
        (ACCESS_CONTROL_ALLOW_METHODS, methods),
        (ACCESS_CONTROL_ALLOW_HEADERS, headers),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    let mut answer = (StatusCode::NO_CONTENT, fixed).into_response();
    allow_origin(&mut answer, request);
    answer
}

/// A page of any site may get the cookie for its viewer, who has the token; with `*` no browser would
/// take it.
pub(super) fn allow_origin(answer: &mut Response, request: &HeaderMap) {
    let headers = answer.headers_mut();
    if let Some(origin) = request.get(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        let exposed = HeaderValue::from_static("Lectern-Reason, Retry-After, WWW-Authenticate");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}
