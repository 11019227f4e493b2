//! A take in the hands of the task that has the publisher's connection: told of its end in any case, also
//! when the task panics, and counted for as long as it lives.

use lectern_relay_proto::UtcTime;
use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use super::{Tag, Take, TakeError, flv};
use crate::wall;

/// A take that is told of its end in any case.
pub(crate) struct Live<T: Take> {
    take: Option<T>,
    pub(crate) superseded: CancellationToken,
    publishers: IntGauge,
}

impl<T: Take> Live<T> {
    pub(crate) fn new(take: T, publishers: &IntGauge) -> Self {
        publishers.inc();
        let superseded = take.superseded();
        Self { take: Some(take), superseded, publishers: publishers.clone() }
    }

    /// When the take wants to be called, on the clock that timers use.
    pub(crate) fn due(&self) -> Option<std::time::Instant> {
        let due = self.take.as_ref()?.poll_timeout()?;
        let wait = due.saturating_since(wall::now());
        Some(std::time::Instant::now() + wait)
    }

    /// See [`Take::why_over`].
    pub(crate) fn why_over(&self) -> Option<TakeError> {
        self.take.as_ref()?.why_over()
    }

    pub(crate) fn refused(&mut self, error: &flv::Error, at: UtcTime) {
        if let Some(take) = &mut self.take {
            take.refused(error, at);
        }
    }

    pub(crate) fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), TakeError> {
        match &mut self.take {
            Some(take) => take.push(tag, arrived),
            None => Ok(()),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: UtcTime) -> Result<(), TakeError> {
        match &mut self.take {
            Some(take) => take.handle_timeout(now),
            None => Ok(()),
        }
    }

    /// See [`Take::ready`].
    pub(crate) async fn ready(&mut self) {
        match &mut self.take {
            Some(take) => take.ready().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn handle_ready(&mut self, now: UtcTime) -> Result<(), TakeError> {
        match &mut self.take {
            Some(take) => take.handle_ready(now),
            None => Ok(()),
        }
    }

    /// Tells it, for once.
    pub(crate) fn end(mut self, clean: bool) {
        if let Some(take) = self.take.take() {
            take.end(clean);
        }
    }
}

impl<T: Take> Drop for Live<T> {
    fn drop(&mut self) {
        self.publishers.dec();
        if let Some(take) = self.take.take() {
            take.end(false);
        }
    }
}

pub(crate) async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn cancelled(token: Option<CancellationToken>) {
    match token {
        Some(token) => token.cancelled_owned().await,
        None => std::future::pending().await,
    }
}
