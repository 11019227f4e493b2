//! What a request says of the answer that it wants: which of two encodings, and whether at all.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, HeaderName, IF_NONE_MATCH};

/// The entity tag of what is sent: another one for other bytes.
pub(crate) fn etag_of(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether If-None-Match names `etag` (weak comparison, RFC 9110 §13.1.2).
pub(crate) fn matches_etag(request: &HeaderMap, etag: &str) -> bool {
    items(request, &IF_NONE_MATCH)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether gzip is among the acceptable encodings, and not with the weight zero (RFC 9110 §12.5.3).
pub(crate) fn accepts_gzip(request: &HeaderMap) -> bool {
    items(request, &ACCEPT_ENCODING).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts
            .filter_map(|parameter| parameter.strip_prefix("q="))
            .any(|weight| weight.parse() == Ok(0.0_f32));
        coding.eq_ignore_ascii_case("gzip") && !refused
    })
}

/// The members of a list, over all lines of a header (RFC 9110 §5.6.1).
fn items<'a>(request: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = request.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let check = |value: &'static str, expect| {
            let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(value))];
            assert_eq!(accepts_gzip(&headers.into_iter().collect()), expect, "{value}");
        };
        check("gzip", true);
        check("gzip, deflate, br, zstd", true);
        check("br;q=1.0, GZIP;q=0.8", true);
        check("gzip;q=0", false);
        check("gzip; q=0.000", false);
        check("identity", false);
        check("", false);
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
