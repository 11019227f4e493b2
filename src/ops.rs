//! `/metrics`, `/healthz` and `/readyz` of a role, on a port of their own.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{Encoder as _, Registry, TextEncoder};
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
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let readyz = async move || match ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        };
        let router = Router::new()
            .route("/metrics", get(async move || metrics(&registry)))
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
