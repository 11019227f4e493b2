//! What an operator can count of the HTTP edge.

use std::time::Duration;

use lectern_relay_proto::TrackName;
use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry};

use crate::requests::Kind;

/// Counters of the live HTTP edge.
#[derive(Clone)]
pub struct Metrics {
    // Looked up once and for all: a look-up by labels takes a lock, and every request would.
    sent_bytes: [IntCounter; Kind::ALL.len()],
    pub(super) kept_bytes: IntGauge,
    held: IntGauge,
    held_refused: IntCounter,
    readers_dropped: IntCounterVec,
    faults: IntCounterVec,
    video: TrackMetrics,
    audio: TrackMetrics,
}

#[derive(Clone)]
struct TrackMetrics {
    chunks: IntCounter,
    age: Histogram,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let sent_bytes = maker.counters(
            "lectern_edge_http_sent_bytes_total",
            "Bytes of bodies handed to connections.",
            &["kind"],
        )?;
        let readers_dropped = maker.counters(
            "lectern_edge_http_readers_dropped_total",
            "Readers of a segment in progress that were cut off: too slow, or the segment went.",
            &["reason"],
        )?;
        let kept_bytes = maker.gauge(
            "lectern_edge_kept_bytes",
            "Bytes of media that are kept for viewers over HTTP, of all broadcasts.",
        )?;
        let faults = maker.counters(
            "lectern_edge_timeline_faults_total",
            "Chunks that could not be used, and promises that upstream broke.",
            &["fault"],
        )?;
        let chunks = maker.counters(
            "lectern_edge_chunks_received_total",
            "Chunks received from upstream.",
            &["track"],
        )?;
        let ages = maker.ages_by(
            "lectern_edge_chunk_age_seconds",
            "Time from a frame's arrival at the origin to that of its chunk at this edge.",
            &["track"],
        )?;
        let held = maker.gauge(
            "lectern_edge_http_held_requests",
            "Requests that wait for a segment, a part or a playlist.",
        )?;
        let held_refused = maker.counter(
            "lectern_edge_http_held_refused_total",
            "Requests refused because too many were waiting.",
        )?;
        let track = |kind: &str| TrackMetrics {
            chunks: chunks.with_label_values(&[kind]),
            age: ages.with_label_values(&[kind]),
        };
        let (video, audio) = (track("video"), track("audio"));
        let sent_bytes = Kind::ALL.map(|kind| sent_bytes.with_label_values(&[kind.as_str()]));
        Ok(Self {
            sent_bytes,
            kept_bytes,
            held,
            held_refused,
            readers_dropped,
            faults,
            video,
            audio,
        })
    }

    /// The counter of bytes sent for `kind`.
    pub(super) fn sent_bytes(&self, kind: Kind) -> &IntCounter {
        &self.sent_bytes[kind as usize]
    }

    /// Counts a request that waits.
    pub(super) fn hold(&self) -> HeldRequest<'_> {
        self.held.inc();
        HeldRequest(self)
    }

    pub(super) fn held_refused(&self) {
        self.held_refused.inc();
    }

    pub(super) fn reader_dropped(&self, reason: &'static str) {
        self.readers_dropped.with_label_values(&[reason]).inc();
    }

    pub(super) fn fault(&self, fault: &'static str, count: u64) {
        self.faults.with_label_values(&[fault]).inc_by(count);
    }

    pub(super) fn chunk_received(&self, track: &TrackName, age: Duration) {
        let video = track.is_video();
        let metrics = if video { &self.video } else { &self.audio };
        metrics.chunks.inc();
        metrics.age.observe(age.as_secs_f64());
    }
}

/// A request that waits, until this is dropped.
pub(super) struct HeldRequest<'a>(&'a Metrics);

impl Drop for HeldRequest<'_> {
    fn drop(&mut self) {
        self.0.held.dec();
    }
}
