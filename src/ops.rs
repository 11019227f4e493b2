//! `/metrics`, `/healthz` and `/readyz` of a role, on a port of their own.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Encoder as _, IntGauge, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether a role can do its work now; if not, why not.
pub(crate) type Readiness = std::sync::Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A bound ops port.
pub(crate) struct Ops {
    listener: TcpListener,
    router: Router,
}

impl Ops {
    /// Binds `listen`.
    pub(crate) async fn bind(
        listen: SocketAddr,
        registry: Registry,
        ready: Readiness,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let is_ready = IntGauge::new("lectern_ready", "Whether /readyz says that it is")?;
        registry.register(Box::new(is_ready.clone()))?;
        let asked = ready.clone();
        let exposed = async move || {
            is_ready.set(asked().is_ok().into());
            metrics(&registry)
        };
        let readyz = async move || match ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        };
        let router = Router::new()
            .route("/metrics", get(exposed))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz));
        Ok(Self { listener, router })
    }

    /// Serves until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) -> std::io::Result<()> {
        axum::serve(self.listener, self.router)
            .with_graceful_shutdown(cancel.cancelled_owned())
            .await
    }
}

fn metrics(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&registry.gather(), &mut text) {
        Ok(()) => {
            let content_type = [(header::CONTENT_TYPE, encoder.format_type().to_owned())];
            (StatusCode::OK, content_type, text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn what_readyz_says_is_a_metric_too() {
        let is_ready = Arc::new(AtomicBool::new(false));
        let asked = is_ready.clone();
        let ready: Readiness = Arc::new(move || match asked.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        });
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let ops = Ops::bind(listen, Registry::new(), ready).await.expect("bound");
        let get = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let answer = ops.router.clone().oneshot(request).await.expect("an answer");
            let status = answer.status();
            let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
            (status, String::from_utf8(body.to_vec()).expect("text"))
        };
        for (now, status) in [(false, StatusCode::SERVICE_UNAVAILABLE), (true, StatusCode::OK)] {
            is_ready.store(now, Ordering::Relaxed);
            assert_eq!(get("/readyz").await.0, status);
            let (_, text) = get("/metrics").await;
            assert!(text.contains(&format!("lectern_ready {}\n", i32::from(now))), "{text}");
        }
    }
}
