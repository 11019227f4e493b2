//! The body of a response for a segment in progress: each chunk whole, as it arrives.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use lectern_relay_proto::trace::{self, Stage};
use prometheus::IntCounter;
use tokio::sync::watch;
use tokio::time::Sleep;
use tracing::debug;

use super::Live;
use super::metrics::Metrics;
use crate::requests::Kind;
use crate::timeline::{Locator, Segment, State, Tail};

/// The longest that such a response may take. A segment lasts at most twice the longest grid, 20 s;
/// a reader that is not through three times later is no viewer of a live broadcast, and a segment
/// that is still in progress has lost its publisher.
const READ_MAX: Duration = Duration::from_secs(60);

/// Why a response was cut off in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Stopped {
    /// The segment left the cache: the reader is too slow, or the broadcast was closed.
    #[error("the segment is no longer in the window")]
    Evicted,
    /// The response took longer than [`READ_MAX`].
    #[error("the response took too long")]
    Slow,
    /// A part of the segment was lost after the response had begun, and a cache must not keep it.
    #[error("a part of the segment was lost")]
    Damaged,
}

struct Reader {
    /// Whom it is told, if groups are traced.
    traced: Option<(Arc<Live>, Locator)>,
    follow: watch::Receiver<Tail>,
    next: usize,
    /// Whether the segment was damaged when the response began, and was declared so.
    damaged: bool,
    deadline: Pin<Box<Sleep>>,
    sent: IntCounter,
    metrics: Arc<Metrics>,
    stopped: bool,
}

/// Follows `segment` from its first chunk to its end.
pub(super) fn follow(live: &Arc<Live>, locator: &Locator, segment: &Segment) -> Body {
    let metrics = &live.metrics;
    let reader = Reader {
        traced: trace::tracer().map(|_| (live.clone(), locator.clone())),
        follow: segment.follow(),
        next: 0,
        damaged: segment.tail().damaged,
        deadline: Box::pin(tokio::time::sleep(READ_MAX)),
        sent: metrics.sent_bytes(Kind::Segment).clone(),
        metrics: metrics.clone(),
        stopped: false,
    };
    Body::from_stream(futures::stream::unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((item, reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Bytes, Stopped>> {
        if self.stopped {
            return None;
        }
        if self.deadline.is_elapsed() {
            return self.stop(Stopped::Slow);
        }
        loop {
            let state = {
                let tail = self.follow.borrow_and_update();
                if tail.state != State::Gone
                    && tail.damaged == self.damaged
                    && let Some(piece) = tail.pieces.get(self.next)
                {
                    self.next += 1;
                    self.sent.inc_by(piece.bytes.len() as u64);
                    if let Some((live, locator)) = &self.traced
                        && piece.independent
                    {
                        live.served(locator, piece.start..=piece.start, Stage::Segment);
                    }
                    return Some(Ok(piece.bytes.clone()));
                }
                (tail.state, tail.damaged)
            };
            match state {
                (State::Gone, _) => return self.stop(Stopped::Evicted),
                (_, damaged) if damaged != self.damaged => return self.stop(Stopped::Damaged),
                (State::Complete, _) => return None,
                (State::Open, _) => {}
            }
            tokio::select! {
                changed = self.follow.changed() => if changed.is_err() {
                    return self.stop(Stopped::Evicted);
                },
                () = &mut self.deadline => return self.stop(Stopped::Slow),
            }
        }
    }

    /// Ends the response with an error, so that the connection is cut and no cache takes what was
    /// sent for the whole.
    fn stop(&mut self, why: Stopped) -> Option<Result<Bytes, Stopped>> {
        self.stopped = true;
        let reason = match why {
            Stopped::Evicted => "evicted",
            Stopped::Slow => "slow",
            Stopped::Damaged => "damaged",
        };
        self.metrics.reader_dropped(reason);
        debug!(reason, "reader dropped");
        Some(Err(why))
    }
}
