//! Responses that carry media: headers of tracks, and segments whole or in progress.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE,
    RANGE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use bytes::Bytes;
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::trace::Stage;
use tokio::time::Instant;

use super::lookup::{self, Answer};
use super::metrics::Metrics;
use super::range::{self, Asked};
use super::routes::{NO_STORE, SHORT, not_ready, refusal, retry_after};
use super::{HOLD_MAX, Live, body};
use crate::negotiation::matches_etag;
use crate::requests::Kind;
use crate::timeline::{Locator, Segment, State, Tail};

/// Media under a URL never changes, whichever edge serves it: caches keep it for as long as any
/// window can be, a day.
const IMMUTABLE: &str = "public, max-age=86400, immutable";

/// A segment without media: a segment type box alone (ISO/IEC 14496-12 §8.16.2), of the brand `msdh`.
/// Players append it, and nothing comes of it.
const EMPTY_SEGMENT: &[u8] = b"\0\0\0\x14stypmsdh\0\0\0\0msdh";
/// ISO/IEC 23009-1 Annex C, for sound as well.
const SEGMENT_TYPE: &str = "video/iso.segment";

/// How long a part that is the next to be complete is waited for: many times what it lasts, for an
/// encoder that reconnects.
const PART_WAIT_MAX: Duration = HOLD_MAX;

/// What a request says beside its path.
pub(super) struct Asks<'a> {
    pub(super) method: &'a Method,
    pub(super) headers: &'a HeaderMap,
    pub(super) version: Version,
    since: Instant,
}

impl<'a> From<&'a Parts> for Asks<'a> {
    fn from(request: &'a Parts) -> Self {
        let Parts { method, headers, version, .. } = request;
        Self { method, headers, version: *version, since: Instant::now() }
    }
}

impl Asks<'_> {
    /// Until when it may be held for want of a broadcast or of a manifest.
    pub(super) fn held_until(&self) -> Instant {
        self.since + HOLD_MAX
    }

    /// Until when it may be held for media that comes within `patience`.
    fn patient_until(&self, patience: Duration) -> Instant {
        (Instant::now() + patience).min(self.since + lookup::WAIT_MAX)
    }
}

/// The CMAF header of a track.
pub(super) async fn init(live: &Live, locator: &Locator, asks: &Asks<'_>) -> Response<Body> {
    let Some(snapshot) = live.once(asks, Live::begun).await else { return not_ready() };
    match lookup::track(&snapshot, locator) {
        Ok((_, track)) => {
            let media_type = media_type(track.kind.as_str());
            let etag = format!("\"{locator}-init\"");
            whole(track.init.clone(), media_type, Some(&etag), asks, Kind::Init, &live.metrics)
        }
        Err(answer) => refuse(&answer),
    }
}

/// Segment `number` of a track; waits if it is the next to begin.
pub(super) async fn segment(
    live: &Arc<Live>,
    locator: &Locator,
    number: u64,
    asks: &Asks<'_>,
) -> Response<Body> {
    let now = answer(live, locator, number, asks).await;
    match begun(live, locator, number, now, asks).await {
        Ok(segment) => found(live, &segment, locator, asks),
        Err(answer) => refuse(&answer),
    }
}

/// Part `part` of segment `number` of a track; waits if it is the next to be complete.
pub(super) async fn part(
    live: &Live,
    locator: &Locator,
    number: u64,
    part: usize,
    asks: &Asks<'_>,
) -> Response<Body> {
    let ahead = Answer::Soon("too far ahead");
    let now = answer(live, locator, number, asks).await;
    if part > 0 && matches!(now, Answer::Next(_)) {
        return refuse(&ahead);
    }
    let segment = match begun(live, locator, number, now, asks).await {
        Ok(segment) => segment,
        Err(Answer::Empty) => return refuse(&Answer::NotYet("the period is over")),
        Err(answer) => return refuse(&answer),
    };
    let settled = |tail: &Tail| tail.parts.len() > part || tail.state != State::Open;
    let mut follow = segment.follow();
    let waits = {
        let tail = follow.borrow();
        if !settled(&tail) && part > tail.parts.len() {
            return refuse(&ahead);
        }
        !settled(&tail)
    };
    if waits {
        let Some(held) = live.hold() else { return refuse(&Answer::Busy) };
        let waited = async { follow.wait_for(settled).await.is_ok() };
        let until = asks.patient_until(PART_WAIT_MAX);
        if !tokio::time::timeout_at(until, waited).await.unwrap_or(false) {
            return refuse(&Answer::Soon("the part was not complete in time"));
        }
        drop(held);
    }
    let (bytes, state, damaged) = {
        let tail = follow.borrow();
        let bytes = tail.parts.get(part).map(|part| (part.bytes.clone(), part.start));
        (bytes, tail.state, tail.damaged)
    };
    match bytes {
        _ if state == State::Gone => refuse(&Answer::Expired),
        Some((bytes, start)) => {
            if asks.method == Method::GET {
                live.served(locator, start..=start, Stage::Part);
            }
            let etag = (!damaged).then(|| format!("\"{locator}-{number}.{part}\""));
            let media_type = media_type_of(locator);
            whole(bytes, media_type, etag.as_deref(), asks, Kind::Part, &live.metrics)
        }
        None => refuse(&Answer::NotYet("the segment has no such part")),
    }
}

/// Segment `number`, for which the answer is `now`, once it has begun, or why not.
async fn begun(
    live: &Live,
    locator: &Locator,
    number: u64,
    now: Answer,
    asks: &Asks<'_>,
) -> Result<Arc<Segment>, Answer> {
    let answer = match now {
        Answer::Next(patience) | Answer::Older(patience) => {
            let _held = live.hold().ok_or(Answer::Busy)?;
            let wait = wait(live, locator, number);
            match tokio::time::timeout_at(asks.patient_until(patience), wait).await {
                Ok(answer) => answer,
                Err(_) => Answer::NotYet("the segment did not come in time"),
            }
        }
        answer => answer,
    };
    match answer {
        Answer::Found(segment) => Ok(segment),
        other => Err(other),
    }
}

fn now() -> UtcTime {
    UtcTime::from(SystemTime::now())
}

async fn answer(live: &Live, locator: &Locator, number: u64, asks: &Asks<'_>) -> Answer {
    match live.once(asks, Live::begun).await {
        Some(snapshot) => lookup::segment(&snapshot, locator, number, now()),
        None => Answer::Unbegun,
    }
}

/// Waits until the answer is another than to wait.
async fn wait(live: &Live, locator: &Locator, number: u64) -> Answer {
    let mut follow = live.follow();
    loop {
        let snapshot = follow.borrow_and_update().clone();
        let Some(snapshot) = snapshot else {
            return Answer::NotYet("the broadcast was closed");
        };
        match lookup::segment(&snapshot, locator, number, now()) {
            Answer::Next(_) | Answer::Older(_) => {}
            answer => return answer,
        }
        drop(snapshot);
        if follow.changed().await.is_err() {
            return Answer::NotYet("the broadcast was closed");
        }
    }
}

fn found(
    live: &Arc<Live>,
    segment: &Segment,
    locator: &Locator,
    asks: &Asks<'_>,
) -> Response<Body> {
    let media_type = media_type_of(locator);
    let (state, complete, damaged, end) = {
        let tail = segment.tail();
        (tail.state, tail.whole.clone(), tail.damaged, tail.end)
    };
    // A damaged segment differs from what other edges have under its name.
    let etag = (!damaged).then(|| format!("\"{locator}-{}\"", segment.number()));
    match state {
        State::Gone => refuse(&Answer::Expired),
        State::Complete => {
            if asks.method == Method::GET {
                live.served(locator, segment.start()..=end, Stage::Segment);
            }
            whole(complete, media_type, etag.as_deref(), asks, Kind::Segment, &live.metrics)
        }
        State::Open => {
            let mut response = Response::new(body::follow(live, locator, segment));
            // HTTP/1.0 ends a body of unknown length by closing: a cache that speaks it, as nginx does
            // unless told otherwise, cannot tell a whole segment from one that was cut off.
            let etag = etag.filter(|_| asks.version >= Version::HTTP_11);
            describe(&mut response, media_type, etag.as_deref());
            response
        }
    }
}

/// A body that is all there, with the conditions and ranges of RFC 9110 §13 and §14.
fn whole(
    bytes: Bytes,
    media_type: &'static str,
    etag: Option<&str>,
    asks: &Asks<'_>,
    kind: Kind,
    metrics: &Metrics,
) -> Response<Body> {
    if etag.is_some_and(|etag| matches_etag(asks.headers, etag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        describe(&mut response, media_type, etag);
        return response;
    }
    let len = bytes.len();
    let header = |name| asks.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let current = asks
        .headers
        .get(IF_RANGE)
        .is_none_or(|value| etag.is_some_and(|etag| value.as_bytes() == etag.as_bytes()));
    let asked = match header(RANGE) {
        Some(range) if current && asks.method == Method::GET => range::parse(range, len),
        _ => Asked::Whole,
    };
    let (status, bytes, range) = match asked {
        Asked::Whole => (StatusCode::OK, bytes, None),
        Asked::Part(range) => {
            let value = format!("bytes {}-{}/{len}", range.start, range.end - 1);
            (StatusCode::PARTIAL_CONTENT, bytes.slice(range), Some(value))
        }
        Asked::Nothing => {
            let mut response = refusal(StatusCode::RANGE_NOT_SATISFIABLE, SHORT, "no such bytes");
            set(&mut response, CONTENT_RANGE, &format!("bytes */{len}"));
            return response;
        }
    };
    if asks.method == Method::GET {
        metrics.sent_bytes(kind).inc_by(bytes.len() as u64);
    }
    let sent = bytes.len();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    describe(&mut response, media_type, etag);
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(sent));
    if let Some(range) = range {
        set(&mut response, CONTENT_RANGE, &range);
    }
    response
}

fn describe(response: &mut Response<Body>, media_type: &'static str, etag: Option<&str>) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let cache = if etag.is_some() { IMMUTABLE } else { NO_STORE };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(etag) = etag {
        set(response, ETAG, etag);
    }
}

fn set(response: &mut Response<Body>, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

pub(super) fn refuse(answer: &Answer) -> Response<Body> {
    match answer {
        Answer::Expired => {
            refusal(StatusCode::GONE, "public, max-age=60", "no longer in the window")
        }
        Answer::NotYet(reason) => refusal(StatusCode::NOT_FOUND, SHORT, reason),
        Answer::Soon(reason) => refusal(StatusCode::NOT_FOUND, NO_STORE, reason),
        Answer::Empty => {
            let mut response = Response::new(Body::from(EMPTY_SEGMENT));
            describe(&mut response, SEGMENT_TYPE, None);
            // No longer than a refusal would be kept: media that the catalog overtook may yet come.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(SHORT));
            response
        }
        Answer::Unbegun => not_ready(),
        Answer::Busy => {
            let reason = "too many requests wait for this broadcast";
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, NO_STORE, reason);
            retry_after(&mut response);
            response
        }
        Answer::Found(_) | Answer::Next(_) | Answer::Older(_) => {
            refusal(StatusCode::NOT_FOUND, SHORT, "not there")
        }
    }
}

fn media_type_of(locator: &Locator) -> &'static str {
    media_type(if locator.track.is_video() { "video" } else { "audio" })
}

fn media_type(kind: &str) -> &'static str {
    if kind == "video" { "video/mp4" } else { "audio/mp4" }
}
