//! An OTLP collector that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

/// The header without which it takes nothing.
pub(crate) const AUTHORIZED: &str = "Bearer of-the-collector";

#[derive(Clone, Default)]
pub(crate) struct Collector(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    resource: Vec<KeyValue>,
}

impl Collector {
    /// Where it takes traces.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let routes = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (collector, at)
    }

    /// All that it has of the trace with this id.
    pub(crate) fn trace(&self, id: &[u8]) -> Vec<Span> {
        let taken = self.0.lock().unwrap();
        taken.spans.iter().filter(|span| span.trace_id == id).cloned().collect()
    }

    /// Every span that is called so.
    pub(crate) fn named(&self, name: &str) -> Vec<Span> {
        let taken = self.0.lock().unwrap();
        taken.spans.iter().filter(|span| span.name == name).cloned().collect()
    }

    /// What the service says of itself.
    pub(crate) fn resource(&self, key: &str) -> Option<String> {
        text(&self.0.lock().unwrap().resource, key)
    }
}

/// What is said of something.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match &found.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => Some(text.clone()),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => Some(number.to_string()),
        _ => None,
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let is = |name, expect: &str| headers.get(name).is_some_and(|value| value == expect);
    if !is(AUTHORIZATION, AUTHORIZED) {
        return StatusCode::UNAUTHORIZED;
    }
    if !is(CONTENT_TYPE, "application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut taken = collector.0.lock().unwrap();
    for of_a_resource in request.resource_spans {
        taken.resource = of_a_resource.resource.unwrap_or_default().attributes;
        let spans = of_a_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        taken.spans.extend(spans);
    }
    StatusCode::OK
}
