//! A manifest or playlist as it is sent: rendered once, revalidated by its ETag.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;

use super::media::{self, Asks};
use super::metrics::{Kind, Metrics};
use super::routes::SHORT;

/// A rendered document.
#[derive(Clone)]
pub(super) struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    pub(super) fn new(text: String) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        Self { body: text.into(), etag: etag.unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.body == text
    }

    /// The answer to `asks`, to be kept for as long as [`SHORT`] says.
    pub(super) fn respond(
        &self,
        content_type: &'static str,
        kind: Kind,
        asks: &Asks<'_>,
        metrics: &Metrics,
    ) -> Response<Body> {
        let unchanged =
            self.etag.to_str().is_ok_and(|etag| media::matches_etag(asks.headers, etag));
        let mut response = match unchanged {
            true => Response::new(Body::empty()),
            false => Response::new(Body::from(self.body.clone())),
        };
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if asks.method == Method::GET {
            metrics.sent_bytes(kind).inc_by(self.body.len() as u64);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(SHORT));
        headers.insert(ETAG, self.etag.clone());
        response
    }
}
