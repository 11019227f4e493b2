//! A manifest or playlist as it is sent: rendered once, compressed once, revalidated by its ETag.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::media::Asks;
use super::metrics::Metrics;
use super::routes::{NO_STORE, SHORT};
use crate::negotiation::{accepts_gzip, etag_of, matches_etag};
use crate::requests::Kind;

/// A rendered document.
pub(super) struct Document {
    plain: Encoded,
    /// Made when somebody first accepts it: text as repetitive as this shrinks to a sixth, and players
    /// of LL-HLS fetch it eight times a second.
    gzip: OnceLock<Encoded>,
}

struct Encoded {
    body: Bytes,
    etag: HeaderValue,
}

/// Whether caches may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// For as long as [`SHORT`] says.
    Short,
    /// Not at all: it is known to be stale.
    Never,
}

impl Document {
    pub(super) fn new(text: String) -> Self {
        Self { plain: Encoded::new(text.into()), gzip: OnceLock::new() }
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.plain.body == text
    }

    /// The answer to `asks`.
    pub(super) fn respond(
        &self,
        content_type: &'static str,
        kind: Kind,
        keep: Keep,
        asks: &Asks<'_>,
        metrics: &Metrics,
    ) -> Response<Body> {
        let compressed = accepts_gzip(asks.headers);
        let Encoded { body, etag } = match compressed {
            true => self.gzip.get_or_init(|| Encoded::new(gzip(&self.plain.body))),
            false => &self.plain,
        };
        let unchanged = etag.to_str().is_ok_and(|etag| matches_etag(asks.headers, etag));
        let mut response = match unchanged {
            true => Response::new(Body::empty()),
            false => Response::new(Body::from(body.clone())),
        };
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if asks.method == Method::GET {
            metrics.sent_bytes(kind).inc_by(body.len() as u64);
        }
        let cache = match keep {
            Keep::Short => SHORT,
            Keep::Never => NO_STORE,
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(ETAG, etag.clone());
        if compressed && !unchanged {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

impl Encoded {
    fn new(body: Bytes) -> Self {
        let etag = HeaderValue::from_str(&etag_of(&body));
        Self { body, etag: etag.unwrap_or(HeaderValue::from_static("\"\"")) }
    }
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(text).and_then(|()| encoder.finish()).unwrap_or_default().into()
}
