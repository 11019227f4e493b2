//! How requests to the API are answered: counted by route and status, and for how long they took. No label's
//! value is a stranger's to choose.

use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::request::Id;
use lectern_relay_proto::trace::{self, Parent, Span, SpanId, TraceId, Tracer, Value};
use prometheus::{Error, HistogramOpts, HistogramVec, IntCounterVec, Registry};

/// Seconds: a read, a write, a write that waits for the database, and what is about to time out.
const SECONDS: [f64; 8] = [0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone)]
struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

/// `routes`, whose requests are counted in `registry`.
pub(crate) fn counted(routes: Router, registry: &Registry) -> Result<Router, Error> {
    let requests = Maker(registry).counters(
        "lectern_api_requests_total",
        "Requests to the API and to WHIP, by route, method and status.",
        &["route", "method", "status"],
    )?;
    let seconds = HistogramOpts::new(
        "lectern_api_request_seconds",
        "From a request to the API, or to WHIP, to the beginning of its answer.",
    );
    let seconds = HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["route"])?;
    registry.register(Box::new(seconds.clone()))?;
    Ok(routes.layer(from_fn_with_state(Metrics { requests, seconds }, count)))
}

async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = known(request.method());
    let began = Instant::now();
    let traced = Traced::begin(request.headers());
    let response = next.run(request).await;
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    if let Some(traced) = traced {
        traced.end(method, route, response.status());
    }
    metrics.requests.with_label_values(&[route, method, response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    response
}

/// A request that is traced, in the trace of whoever asks if they say so, or in one of its own.
struct Traced {
    tracer: &'static Tracer,
    trace: TraceId,
    parent: Option<SpanId>,
    start: UtcTime,
}

impl Traced {
    fn begin(headers: &HeaderMap) -> Option<Self> {
        let tracer = trace::tracer()?;
        let header = headers.get("traceparent").and_then(|header| header.to_str().ok());
        let parent = header.and_then(Parent::parse);
        let trace =
            parent.map_or_else(|| TraceId(rand::random::<u128>().max(1)), |parent| parent.trace);
        // Strangers may say that they trace everything: whose traces are told is chosen by the ratio all the
        // same, and by those in front of this origin who choose alike.
        let sampled = parent.is_none_or(|parent| parent.sampled) && tracer.ratio().has(trace);
        let parent = parent.map(|parent| parent.span);
        sampled.then(|| Self { tracer, trace, parent, start: now() })
    }

    fn end(self, method: &str, route: &str, status: StatusCode) {
        let text = |text: &str| Value::Text(text.to_owned());
        let id = Id::current().map(|id| ("lectern.request", text(id.as_str())));
        let attributes = [
            ("http.request.method", text(method)),
            ("http.route", text(route)),
            ("http.response.status_code", status.as_u16().into()),
        ];
        self.tracer.take(Span {
            trace: self.trace,
            id: SpanId(rand::random::<u64>().max(1)),
            parent: self.parent,
            is_answer: true,
            name: format!("{method} {route}"),
            start: self.start,
            end: now().max(self.start),
            failed: status.is_server_error(),
            attributes: attributes.into_iter().chain(id).collect(),
        });
    }
}

fn now() -> UtcTime {
    UtcTime::from(SystemTime::now())
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn requests_are_counted_by_the_route_and_not_by_what_a_stranger_asks_for() {
        let registry = Registry::new();
        let routes = Router::new().route("/things/{id}", get(|| async { StatusCode::IM_A_TEAPOT }));
        let routes = counted(routes, &registry).unwrap();
        for (method, uri) in [("GET", "/things/1"), ("GET", "/things/2"), ("BREW", "/things/3")] {
            let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
            routes.clone().oneshot(request).await.unwrap();
        }
        let families = registry.gather();
        let told: Vec<_> = families.iter().map(|family| format!("{family:?}")).collect();
        assert!(told.iter().any(|family| family.contains("418")), "{told:?}");
        let all = told.concat();
        assert!(
            all.contains("/things/{id}") && !all.contains("/things/1") && !all.contains("BREW")
        );
    }
}
