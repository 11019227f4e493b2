//! What the listeners count. No label's value is a stranger's to choose.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounterVec, IntGauge, Registry};

use crate::requests;

/// What is counted; all clones count into the same.
#[derive(Clone)]
pub struct Metrics {
    pub(super) connections: IntGauge,
    pub(super) accepted: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) cut: IntCounterVec,
    pub(super) streams: IntGauge,
    pub(super) streams_refused: IntCounterVec,
    pub(super) streams_cut: IntCounterVec,
    pub(super) reloads: IntCounterVec,
    pub(super) expiry: IntGauge,
    pub(super) requests: requests::Metrics,
}

impl Metrics {
    /// Makes and registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let counters = |name, help, label| maker.counters(name, help, &[label]);
        Ok(Self {
            connections: maker.gauge("lectern_http_connections", "HTTP connections")?,
            accepted: counters(
                "lectern_http_connections_accepted_total",
                "HTTP connections that got as far as their first request, by what they speak",
                "protocol",
            )?,
            refused: counters(
                "lectern_http_connections_refused_total",
                "HTTP connections that were closed at once, by the limit that was reached",
                "limit",
            )?,
            cut: counters(
                "lectern_http_connections_cut_total",
                "HTTP connections that did not end in order, by what was wrong with them",
                "reason",
            )?,
            streams: maker.gauge(
                "lectern_http_streams",
                "HTTP/2 requests beside the first of their connection, which take a place each",
            )?,
            streams_refused: counters(
                "lectern_http_streams_refused_total",
                "HTTP/2 requests that were refused at once, by the limit that was reached",
                "limit",
            )?,
            streams_cut: counters(
                "lectern_http_streams_cut_total",
                "HTTP/2 requests whose answer did not end in order, by what was wrong with it",
                "reason",
            )?,
            reloads: counters(
                "lectern_tls_certificate_reloads_total",
                "Times that the certificate's files were found changed, by whether they are used",
                "result",
            )?,
            expiry: maker.gauge(
                "lectern_tls_certificate_expiry_timestamp_seconds",
                "When the certificate that viewers see expires, Unix time; 0 without one",
            )?,
            requests: requests::Metrics::register(registry)?,
        })
    }
}
