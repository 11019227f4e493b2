//! What is counted of comments.

use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

/// Counters of comments.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Changes stored: comments written, taken back, and whatever a moderator does with them.
    pub(super) stored: IntCounter,
    /// Requests refused, by reason.
    pub(super) refused: IntCounterVec,
    /// Requests that could not be read.
    pub(super) malformed: IntCounter,
    /// How often rooms were read, for what was stored in them by others or with an uncertain end.
    pub(super) reads: IntCounter,
    /// From a request's arrival to its answer.
    pub(super) answered: Histogram,
    /// Edges that are listened to.
    pub(super) edges: IntGauge,
    /// How many watch, over all broadcasts.
    pub(super) viewers: IntGauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            stored: maker.counter(
                "lectern_comments_stored_total",
                "Changes of comments stored: written, taken back, approved, pinned and so on.",
            )?,
            refused: maker.counters(
                "lectern_comments_refused_total",
                "Comments that the origin refused, by reason.",
                &["reason"],
            )?,
            malformed: maker.counter(
                "lectern_comments_malformed_total",
                "Requests of edges that could not be read.",
            )?,
            reads: maker.counter(
                "lectern_comments_reads_total",
                "How often rooms were read for what other origins, or nobody knew who, had stored in them.",
            )?,
            answered: maker.ages(
                "lectern_comments_answer_seconds",
                "From a request's arrival at the origin to its answer.",
            )?,
            edges: maker.gauge("lectern_comments_edges", "Edges that this origin listens to.")?,
            viewers: maker.gauge(
                "lectern_origin_viewers",
                "How many watch on all edges and paths, over all broadcasts of this origin.",
            )?,
        })
    }
}
