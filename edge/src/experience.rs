//! What viewers say of how it plays: quality of experience, counted for the operator. That they watch
//! at all, and by what path, goes on to the [`audience`](crate::audience).
//!
//! `POST /live/{id}/experience` with a [`Report`] as JSON, whatever its content type says: a page that
//! is being left may send no other than text without asking first. Players send one with the first
//! picture of a path, every ten seconds, and when they leave. It is their word, to watch a service by
//! and nothing to bill by. An edge that is about to stop says so in its answer (`Lectern-Reason:
//! draining`), so that they go to another.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use lectern_relay_proto::bucket;
use lectern_relay_proto::metrics::Maker;
use prometheus::{Counter, Histogram, IntCounter, IntCounterVec, Registry};
use serde::Deserialize;

use crate::audience::{Audience, Viewer};
use crate::client::Client;
use crate::floods::Floods;
use crate::live::Directory;
use crate::preflight::{REPORTING, preflight};
use crate::siblings::{DRAINING, REASON};

/// The most bytes of a report: several times what one has.
const REPORT_BYTES_MAX: usize = 1_024;
/// How long a report may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(10);
/// What one client may report: those of a lecture hall behind one address, of whom all begin at once.
const CLIENT: bucket::Rate = bucket::Rate { burst: 1_000, each: Duration::from_millis(10) };
/// The most reports that are counted in a second: those of fifty thousand viewers.
const REPORTS_PER_SEC_MAX: u64 = 5_000;
/// The longest that a report may speak of: several times the pause between two.
const SPAN_MAX: Duration = Duration::from_secs(60);
/// The most that a start, or the way from the host, is believed to take.
const AGE_MAX: Duration = Duration::from_secs(120);

/// Why a player does not play by WebRTC, as far as it is one of these; the label `reason`.
const REASONS: [&str; 21] = [
    "answer-refused",
    "b-frames",
    "busy",
    "client-busy",
    "codec",
    "connection-lost",
    "draining",
    "egress",
    "full",
    "incomplete",
    "malformed",
    "no-bundle",
    "no-connection",
    "no-h264",
    "no-media",
    "no-rtcp-mux",
    "nothing",
    "refused",
    "rendition",
    "undecodable",
    "webrtc-unsupported",
];
/// Whatever else a player gives.
const OTHER: &str = "other";

/// What a viewer saw since the report before.
#[derive(Debug, Deserialize)]
struct Report {
    /// What it plays by.
    path: Playing,
    /// From opening the player to the first picture; in the report after that, unless the host was
    /// waited for.
    startup_ms: Option<u32>,
    /// How far behind the host the picture is, by the media time that it shows.
    latency_ms: Option<u32>,
    /// For how long pictures moved.
    played_ms: u32,
    /// How often they stood still although they should not.
    stalls: u32,
    /// And for how long.
    stalled_ms: u32,
    /// Why WebRTC was given up, if that happened.
    fallback: Option<String>,
    /// Who watches now; `path` is what the rest speaks of. Left out by players that tell nobody.
    viewer: Option<Viewer>,
}

/// The label `path`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Playing {
    WebrtcUdp,
    WebrtcTcp,
    Dash,
    Hls,
}

impl Playing {
    /// In the order of their declaration.
    const ALL: [&str; 4] = ["webrtc-udp", "webrtc-tcp", "dash", "hls"];
}

impl Report {
    /// Whether it says what can have been.
    fn is_plausible(&self) -> bool {
        let ages = [self.startup_ms, self.latency_ms];
        let spans = [self.played_ms, self.stalled_ms];
        let within = |ms: u32, max: Duration| u128::from(ms) <= max.as_millis();
        ages.into_iter().flatten().all(|ms| within(ms, AGE_MAX))
            && spans.into_iter().all(|ms| within(ms, SPAN_MAX))
            && within(self.stalls, SPAN_MAX)
    }
}

/// What viewers said.
pub struct Metrics {
    by_path: [PathMetrics; Playing::ALL.len()],
    fallbacks: IntCounterVec,
    refused: IntCounterVec,
}

struct PathMetrics {
    startup: Histogram,
    latency: Histogram,
    played: Counter,
    stalls: IntCounter,
    stalled: Counter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let startup = maker.ages_by(
            "lectern_viewer_startup_seconds",
            "From opening the player to the first picture, as viewers report it.",
            &["path"],
        )?;
        let latency = maker.ages_by(
            "lectern_viewer_latency_seconds",
            "From the host to the viewer's screen, as viewers report it every ten seconds.",
            &["path"],
        )?;
        let played = maker.seconds_by(
            "lectern_viewer_played_seconds_total",
            "For how long pictures moved, as viewers report it.",
            &["path"],
        )?;
        let stalls = maker.counters(
            "lectern_viewer_stalls_total",
            "How often pictures stood still for more than a second, as viewers report it.",
            &["path"],
        )?;
        let stalled = maker.seconds_by(
            "lectern_viewer_stalled_seconds_total",
            "For how long pictures stood still so, as viewers report it.",
            &["path"],
        )?;
        let by_path = Playing::ALL.map(|path| PathMetrics {
            startup: startup.with_label_values(&[path]),
            latency: latency.with_label_values(&[path]),
            played: played.with_label_values(&[path]),
            stalls: stalls.with_label_values(&[path]),
            stalled: stalled.with_label_values(&[path]),
        });
        let fallbacks = maker.counters(
            "lectern_viewer_fallbacks_total",
            "How often viewers gave up WebRTC for another path, by why.",
            &["reason"],
        )?;
        let refused = maker.counters(
            "lectern_viewer_reports_refused_total",
            "Reports of viewers that were not counted, by why.",
            &["reason"],
        )?;
        Ok(Self { by_path, fallbacks, refused })
    }

    fn count(&self, report: &Report) {
        let of = &self.by_path[report.path as usize];
        let seconds = |ms: u32| f64::from(ms) / 1_000.0;
        report.startup_ms.into_iter().for_each(|ms| of.startup.observe(seconds(ms)));
        report.latency_ms.into_iter().for_each(|ms| of.latency.observe(seconds(ms)));
        of.played.inc_by(seconds(report.played_ms));
        of.stalls.inc_by(report.stalls.into());
        of.stalled.inc_by(seconds(report.stalled_ms));
        if let Some(reason) = &report.fallback {
            let known = REASONS.into_iter().find(|known| known == reason);
            self.fallbacks.with_label_values(&[known.unwrap_or(OTHER)]).inc();
        }
    }
}

/// Counts what comes in a second.
struct Rate {
    began: Instant,
    /// The second since then, and how many came in it: in one word, so that no lock is taken.
    second_and_count: AtomicU64,
}

impl Rate {
    fn new() -> Self {
        Self { began: Instant::now(), second_and_count: AtomicU64::new(0) }
    }

    /// Whether one more may come.
    fn admits(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.began).as_secs() & u64::from(u32::MAX);
        let next = |word: u64| match word >> 32 == second {
            true if word & u64::from(u32::MAX) >= REPORTS_PER_SEC_MAX => None,
            true => Some(word + 1),
            false => Some(second << 32 | 1),
        };
        self.second_and_count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

struct Desk {
    directory: Arc<Directory>,
    audience: Arc<Audience>,
    metrics: Metrics,
    floods: Mutex<Floods>,
    rate: Rate,
}

/// The route `/live/{id}/experience`.
pub fn routes(directory: Arc<Directory>, audience: Arc<Audience>, metrics: Metrics) -> Router {
    let floods = Mutex::new(Floods::new(CLIENT));
    let desk = Arc::new(Desk { directory, audience, metrics, floods, rate: Rate::new() });
    Router::new()
        .route("/live/{id}/experience", post(report).options(async || preflight(REPORTING)))
        .with_state(desk)
}

async fn report(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let client = client.map(|Extension(Client(ip))| ip);
    let body = tokio::time::timeout(BODY_MAX, to_bytes(body, REPORT_BYTES_MAX)).await;
    let taken = match body {
        Ok(Ok(body)) => desk.take(&id, client, &headers, &body),
        // It broke off, which nobody hears of, or it is too long.
        Ok(Err(_)) => Err((StatusCode::PAYLOAD_TOO_LARGE, "large", "too long\n".to_owned())),
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "slow", "too slow\n".to_owned())),
    };
    let (status, text) = match taken {
        Ok(()) => (StatusCode::NO_CONTENT, String::new()),
        Err((status, reason, text)) => {
            desk.metrics.refused.with_label_values(&[reason]).inc();
            (status, text)
        }
    };
    let headers = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "Lectern-Reason"),
        (CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, headers, text).into_response();
    if desk.directory.siblings().draining() {
        response.headers_mut().insert(REASON, HeaderValue::from_static(DRAINING));
    }
    response
}

impl Desk {
    /// Counts a report, or says why not: for the viewer, for the operator, in words.
    fn take(
        &self,
        id: &str,
        client: Option<IpAddr>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), (StatusCode, &'static str, String)> {
        let now = Instant::now();
        // First, so that one client's flood is not everybody's.
        let own = client.is_none_or(|client| {
            let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
            floods.admit(client, now).is_ok()
        });
        if !own || !self.rate.admits(now) {
            let text = "too many reports at once\n".to_owned();
            return Err((StatusCode::TOO_MANY_REQUESTS, "rate", text));
        }
        let live = id.parse().ok().and_then(|id| self.directory.get(&id));
        let Some(live) = live else {
            return Err((StatusCode::NOT_FOUND, "unknown", "no such broadcast\n".to_owned()));
        };
        let report: Report = serde_json::from_slice(body)
            .map_err(|error| (StatusCode::BAD_REQUEST, "malformed", format!("{error}\n")))?;
        if !report.is_plausible() {
            let text = "a time is longer than any can be\n".to_owned();
            return Err((StatusCode::BAD_REQUEST, "implausible", text));
        }
        self.metrics.count(&report);
        if let Some(viewer) = report.viewer {
            self.audience.said(live.id(), client, headers, viewer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{audience, live, timeline};

    fn edge() -> (Router, Registry) {
        let (routes, registry, _) = watched_edge();
        (routes, registry)
    }

    fn watched_edge() -> (Router, Registry, Arc<Audience>) {
        let registry = Registry::new();
        let metrics = live::Metrics::register(&registry).unwrap();
        let directory = Directory::new(timeline::Config::default(), metrics);
        directory.open("talk".parse().unwrap()).unwrap();
        let audience = Audience::new(audience::Metrics::register(&registry).unwrap());
        let metrics = Metrics::register(&registry).unwrap();
        (routes(directory, audience.clone(), metrics), registry, audience)
    }

    async fn send(routes: &Router, id: &str, body: impl Into<Body>) -> StatusCode {
        let request = Request::post(format!("/live/{id}/experience")).body(body.into()).unwrap();
        routes.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn what_viewers_report_is_counted_by_path() {
        let (routes, registry) = edge();
        let first = r#"{"path":"webrtc-udp","startup_ms":180,"latency_ms":62,"played_ms":9800,
            "stalls":0,"stalled_ms":0}"#;
        let second = r#"{"path":"dash","latency_ms":950,"played_ms":8000,"stalls":1,
            "stalled_ms":2000,"fallback":"no-connection"}"#;
        let third = r#"{"path":"dash","played_ms":0,"stalls":0,"stalled_ms":0,
            "fallback":"<script>"}"#;
        for report in [first, second, third] {
            assert_eq!(send(&routes, "talk", report).await, StatusCode::NO_CONTENT);
        }
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "lectern_viewer_startup_seconds_count{path=\"webrtc-udp\"} 1",
            "lectern_viewer_latency_seconds_sum{path=\"webrtc-udp\"} 0.062",
            "lectern_viewer_latency_seconds_count{path=\"dash\"} 1",
            "lectern_viewer_played_seconds_total{path=\"dash\"} 8",
            "lectern_viewer_stalls_total{path=\"dash\"} 1",
            "lectern_viewer_stalled_seconds_total{path=\"dash\"} 2",
            "lectern_viewer_fallbacks_total{reason=\"no-connection\"} 1",
            "lectern_viewer_fallbacks_total{reason=\"other\"} 1",
        ] {
            assert!(text.lines().any(|of| of == line), "{line}\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reports_watches_by_the_path_that_it_says() {
        let (routes, _, audience) = watched_edge();
        let counted = || {
            audience.count([]);
            let counts = audience.counts(&"talk".parse().unwrap());
            [counts.dash, counts.hls]
        };
        let says = async |path: &str, id: &str, n: u32, on: &str| {
            let report = format!(
                r#"{{"path":"{path}","played_ms":0,"stalls":0,"stalled_ms":0,
                    "viewer":{{"id":"{id}","n":{n},"on":{on}}}}}"#
            );
            send(&routes, "talk", report).await
        };
        let (one, other) = ("0123456789abcdef", "fedcba9876543210");
        for (path, id, n, on, counts) in [
            ("dash", one, 0, "\"dash\"", [1, 0]),
            ("hls", other, 0, "\"hls\"", [1, 1]),
            ("dash", one, 1, "\"dash\"", [1, 1]),
            // What it says of its path before, it says of that; it is counted on the new one.
            ("hls", other, 1, "\"dash\"", [2, 0]),
            ("dash", other, 2, "\"webrtc\"", [1, 0]),
            ("dash", one, 2, "null", [0, 0]),
        ] {
            assert_eq!(says(path, id, n, on).await, StatusCode::NO_CONTENT);
            assert_eq!(counted(), counts, "{id} {n} on {on}");
        }
        for (id, on) in [("0123", "\"dash\""), (one, "\"pigeon\"")] {
            assert_eq!(says("dash", id, 9, on).await, StatusCode::BAD_REQUEST);
        }
        assert_eq!(says("dash", one, 3, "\"dash\"").await, StatusCode::NO_CONTENT);
        tokio::time::advance(Duration::from_secs(24)).await;
        assert_eq!(counted(), [1, 0]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(counted(), [0, 0]);
    }

    #[tokio::test]
    async fn an_edge_that_is_about_to_stop_says_so() {
        let registry = Registry::new();
        let metrics = live::Metrics::register(&registry).unwrap();
        let directory = Directory::new(timeline::Config::default(), metrics);
        directory.open("talk".parse().unwrap()).unwrap();
        let audience = Audience::new(audience::Metrics::register(&registry).unwrap());
        let metrics = Metrics::register(&registry).unwrap();
        let routes = routes(directory.clone(), audience, metrics);
        for draining in [false, true] {
            if draining {
                directory.siblings().drain();
            }
            let report = r#"{"path":"hls","played_ms":1,"stalls":0,"stalled_ms":0}"#;
            let request = Request::post("/live/talk/experience").body(Body::from(report)).unwrap();
            let answer = routes.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
            assert_eq!(answer.headers().contains_key(REASON), draining);
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused_and_counted() {
        let (routes, registry) = edge();
        let report = |ms: u64| {
            format!(r#"{{"path":"hls","latency_ms":{ms},"played_ms":1,"stalls":0,"stalled_ms":0}}"#)
        };
        assert_eq!(send(&routes, "talk", report(100_000)).await, StatusCode::NO_CONTENT);
        assert_eq!(send(&routes, "talk", report(130_000)).await, StatusCode::BAD_REQUEST);
        assert_eq!(send(&routes, "talk", report(1 << 40)).await, StatusCode::BAD_REQUEST);
        assert_eq!(send(&routes, "other", report(1)).await, StatusCode::NOT_FOUND);
        assert_eq!(send(&routes, "a%2Fb", report(1)).await, StatusCode::NOT_FOUND);
        for body in ["", "{}", "[", "{\"path\":\"carrier-pigeon\"}", "\u{feff}"] {
            assert_eq!(send(&routes, "talk", body).await, StatusCode::BAD_REQUEST, "{body}");
        }
        let long = "x".repeat(2_000);
        assert_eq!(send(&routes, "talk", long).await, StatusCode::PAYLOAD_TOO_LARGE);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for (reason, count) in [("implausible", 1), ("unknown", 2), ("malformed", 6), ("large", 1)]
        {
            let line =
                format!("lectern_viewer_reports_refused_total{{reason=\"{reason}\"}} {count}");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_that_does_not_come_is_not_waited_for() {
        let (routes, registry) = edge();
        let silence = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        let status = send(&routes, "talk", Body::from_stream(silence)).await;
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains("lectern_viewer_reports_refused_total{reason=\"slow\"} 1"), "{text}");
    }

    #[test]
    fn a_flood_of_reports_is_bounded_by_the_second() {
        let rate = Rate::new();
        let admitted = |ms: u64| {
            let now = rate.began + Duration::from_millis(ms);
            (0..6_000).filter(|_| rate.admits(now)).count() as u64
        };
        assert_eq!(admitted(0), REPORTS_PER_SEC_MAX);
        assert_eq!(admitted(900), 0);
        assert_eq!(admitted(1_000), REPORTS_PER_SEC_MAX);
    }
}
