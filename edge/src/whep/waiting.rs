//! Viewers who would rather wait for an answer than come back for it.
//!
//! They wait on one signal for all broadcasts, which says only that something has changed: media
//! begins so seldom that looking in vain costs less than a list per broadcast would.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// What waiting viewers may take of memory, in KiB: their offers, and the task of each.
const ROOM_KIB: usize = 32 * 1024;
/// What a waiting viewer takes beside the offer: a connection with its buffers, a task. So there are
/// at most 4,096 at once; to more of them the answer is given at once, as if they had not asked.
const VIEWER_KIB: usize = 8;

/// Says that a broadcast has something new for those who wait.
#[derive(Clone)]
pub(super) struct News(watch::Sender<bool>);

impl News {
    /// Lets those who wait look again.
    pub(super) fn tell(&self) {
        self.0.send_modify(|_| {});
    }
}

/// Where viewers wait.
pub(super) struct Lobby {
    news: News,
    room: Arc<Semaphore>,
}

/// A viewer's ear for news.
pub(super) struct Listener(watch::Receiver<bool>);

impl Lobby {
    /// An empty one.
    pub(super) fn new() -> Self {
        let room = Arc::new(Semaphore::new(ROOM_KIB));
        Self { news: News(watch::Sender::new(false)), room }
    }

    /// For those who have news.
    pub(super) fn news(&self) -> News {
        self.news.clone()
    }

    /// Listens from now on.
    pub(super) fn listen(&self) -> Listener {
        Listener(self.news.0.subscribe())
    }

    /// A place for a viewer with an offer of this length; `None` if there is none left.
    pub(super) fn place(&self, offer_bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = VIEWER_KIB + offer_bytes / 1024;
        self.room.clone().try_acquire_many_owned(u32::try_from(kib).ok()?).ok()
    }

    /// Nobody is to wait any longer.
    pub(super) fn close(&self) {
        self.news.0.send_replace(true);
    }
}

impl Listener {
    /// Waits for news; `false` if there are none by `until`, or will be none.
    pub(super) async fn wait(&mut self, until: Instant) -> bool {
        if *self.0.borrow() {
            return false;
        }
        let changed = self.0.changed();
        let told = tokio::time::timeout_at(until, changed).await;
        matches!(told, Ok(Ok(()))) && !*self.0.borrow_and_update()
    }
}
