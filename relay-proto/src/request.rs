//! By what a request over HTTP is known, in the logs of all who had a hand in it and in its answer: the header
//! `x-request-id`, as it came from whoever is in front, or one of ours. Sessions are given ids of the same kind.

use std::cell::RefCell;
use std::fmt::{self, Write as _};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tracing::Instrument as _;

/// Where it stands in a request and in its answer.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest that is taken from a stranger; a longer one gives way to one of ours.
const LEN_MAX: usize = 64;
/// Sixteen hexadecimal digits are one of ours, and so many are made at once: most cost no memory of their own.
const FRESH_LEN: usize = 16;
const FRESH_AT_ONCE: usize = 128;

tokio::task_local! {
    static CURRENT: Id;
}

/// The id of a request, or of a session. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(HeaderValue);

impl Id {
    /// A random one.
    pub fn fresh() -> Self {
        thread_local! {
            static MADE: RefCell<BytesMut> = RefCell::default();
        }
        let id = MADE.with_borrow_mut(|made| {
            if made.is_empty() {
                made.reserve(FRESH_LEN * FRESH_AT_ONCE);
                for _ in 0..FRESH_AT_ONCE {
                    // There is room.
                    let _ = write!(made, "{:016x}", rand::random::<u64>());
                }
            }
            made.split_to(FRESH_LEN).freeze()
        });
        Self(from_bytes(id).expect("hexadecimal digits"))
    }

    /// The one that a request came with, if it is one that can be shown, or a fresh one.
    pub fn of(headers: &HeaderMap) -> Self {
        let sane = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=LEN_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        let mut given = headers.get_all(HEADER).iter();
        match (given.next().filter(sane), given.next()) {
            (Some(given), None) => Self(given.clone()),
            _ => Self::fresh(),
        }
    }

    /// That of the request that is being answered.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn from_bytes(id: Bytes) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::from_maybe_shared(id)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Answers `request` by `answer`, under its id: what is logged meanwhile names it, and so does the answer.
pub fn identified<A, B, F>(
    request: Request<A>,
    answer: impl FnOnce(Request<A>) -> F,
) -> impl Future<Output = Response<B>>
where
    F: Future<Output = Response<B>>,
{
    let id = Id::of(request.headers());
    let span = if is_media(&request) {
        // There are many, and hardly one of them has something to say to an operator.
        tracing::debug_span!("request", request = %id)
    } else {
        // Wherever anything is logged at all.
        tracing::error_span!("request", request = %id)
    };
    let answer = CURRENT.sync_scope(id.clone(), || answer(request));
    let answer = CURRENT.scope(id.clone(), answer);
    async move {
        let mut response = answer.await;
        response.headers_mut().insert(HEADER, id.0);
        response
    }
    .instrument(span)
}

/// Whether players ask for it again and again while they play.
fn is_media<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let file = path.rsplit('.').next().filter(|_| path.starts_with("/live/"));
    request.method() == Method::GET && matches!(file, Some("m4s" | "mp4" | "m3u8" | "mpd"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(given: &[&str]) -> Id {
        let mut headers = HeaderMap::new();
        for value in given {
            headers.append(HEADER, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Id::of(&headers)
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_gives_way_to_a_fresh_one() {
        let longest = "x".repeat(LEN_MAX);
        for good in ["a", "7f3c-11ab/2.9_=+", &longest] {
            assert_eq!(of(&[good]).as_str(), good);
        }
        let too_long = "x".repeat(LEN_MAX + 1);
        for bad in [&["two words"][..], &["ä"], &[""], &[&too_long], &["a", "b"], &[]] {
            let id = of(bad);
            assert_eq!(id.as_str().len(), FRESH_LEN, "{bad:?}");
            assert!(id.as_str().bytes().all(|b| b.is_ascii_hexdigit()), "{bad:?}");
        }
        let all: HashSet<String> =
            (0..3 * FRESH_AT_ONCE).map(|_| Id::fresh().to_string()).collect();
        assert_eq!(all.len(), 3 * FRESH_AT_ONCE);
    }

    #[tokio::test]
    async fn the_answer_has_the_id_and_whoever_makes_it_knows_it() {
        let request = Request::builder().header(HEADER, "from-the-proxy").body(()).unwrap();
        let answer = identified(request, |_| async {
            let id = Id::current().map(|id| id.to_string());
            Response::new(id)
        });
        let answer = answer.await;
        assert_eq!(answer.headers()[HEADER], "from-the-proxy");
        assert_eq!(answer.into_body().as_deref(), Some("from-the-proxy"));
        assert_eq!(Id::current(), None);
    }
}
