//! What is counted of comments at this edge.

use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};

/// Counters of comments.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Viewers that read comments now.
    pub(super) readers: IntGauge,
    /// Comments refused here, by reason.
    pub(super) refused: IntCounterVec,
    /// What viewers felt that was not told: too often, or nothing that one may feel.
    pub(super) reactions_dropped: IntCounter,
    /// Viewers let go of for what they did, by reason.
    pub(super) expelled: IntCounterVec,
    /// Comments of the origin's that could not be read.
    pub(super) malformed: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            readers: maker.gauge("lectern_edge_comment_readers", "Viewers that read comments.")?,
            refused: maker.counters(
                "lectern_edge_comments_refused_total",
                "Comments that this edge refused, by reason.",
                &["reason"],
            )?,
            reactions_dropped: maker.counter(
                "lectern_edge_reactions_dropped_total",
                "Reactions of viewers that were not told, because they came too fast or are unknown.",
            )?,
            expelled: maker.counters(
                "lectern_edge_comment_readers_expelled_total",
                "Viewers whose connection for comments was closed for what they did, by reason.",
                &["reason"],
            )?,
            malformed: maker.counter(
                "lectern_edge_comments_malformed_total",
                "Comments from upstream that could not be read.",
            )?,
        })
    }
}
