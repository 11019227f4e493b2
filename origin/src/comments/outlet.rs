//! Where what everybody is to know of a broadcast's comments goes out: the track of whichever publication of
//! the broadcast is the newest of this origin's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lectern_relay_proto::net::{Error, RecordPublisher};

/// Writes records of one broadcast. Clones write to the same.
#[derive(Clone)]
pub struct Outlet(Arc<Mutex<RecordPublisher>>);

impl Outlet {
    /// To the track of the first publication.
    pub fn new(track: RecordPublisher) -> Self {
        Self(Arc::new(Mutex::new(track)))
    }

    /// Adds `record` after all others. What went out before another track took the place of this one, those
    /// who follow that one ask for.
    pub fn write(&self, record: Bytes) -> Result<(), Error> {
        self.lock().write(record)
    }

    /// From now on it is the track of another publication, which is announced. The former ends.
    pub fn go_over(&self, track: RecordPublisher) {
        *self.lock() = track;
    }

    fn lock(&self) -> MutexGuard<'_, RecordPublisher> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
