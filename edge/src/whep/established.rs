//! How many viewers of a broadcast have got through: those whose handshake is done. It changes when a
//! session is established and when it is over; no packet comes here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The number of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Established(Arc<AtomicU32>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Attendance(Established);

impl Established {
    /// One more.
    pub(super) fn attend(&self) -> Attendance {
        self.0.fetch_add(1, Ordering::Relaxed);
        Attendance(self.clone())
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
