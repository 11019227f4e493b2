//! How requests to the API are answered: counted by route and status, and for how long they took. No label's
//! value is a stranger's to choose.

use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use lectern_relay_proto::metrics::Maker;
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
    let response = next.run(request).await;
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    metrics.requests.with_label_values(&[route, method, response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    response
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
