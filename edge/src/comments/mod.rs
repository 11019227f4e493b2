//! Comments at this edge: told to viewers as they come, and what viewers write sent to the origin.
//!
//! [`log`] holds what is known of a broadcast's comments, [`room`] tells it to its readers, [`uplink`]
//! asks the origin, [`socket`] serves one viewer, [`said`] is what it says, [`floods`] how much a client
//! may, [`sidecar`] writes comments as files, and [`rendition`] as subtitles. `docs/comments.md` tells the whole way.

mod floods;
mod log;
mod metrics;
mod rendition;
mod room;
mod routes;
mod said;
mod sidecar;
mod socket;
#[cfg(test)]
mod testing;
mod uplink;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::Response;
use lectern_relay_proto::net::{BroadcastSubscription, Error, Lost, OriginLink};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::floods::Floods;
pub use self::metrics::Metrics;
use self::room::Room;
pub use self::routes::routes;
use self::uplink::Uplink;

/// How long the origin may take to tell what was before; then it is asked again.
const HISTORY_WITHIN: Duration = Duration::from_secs(3);
/// How long viewers may take to hear that the edge goes away.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// Pause before subscribing again to comments that could not be had.
const RESUBSCRIBE_AFTER: Duration = Duration::from_secs(1);

/// The comments of all broadcasts that this edge carries.
pub struct Comments {
    rooms: Mutex<HashMap<BroadcastId, Open>>,
    floods: Mutex<Floods>,
    /// `None` if this edge has no token: then there are no comments.
    uplink: Option<Arc<Uplink>>,
    metrics: Metrics,
    over: CancellationToken,
    /// Those who read along.
    viewers: TaskTracker,
}

struct Open {
    room: Arc<Room>,
    /// Ends its viewers' connections.
    over: CancellationToken,
}

impl Comments {
    /// No comments yet; `link` is the way to the origin.
    pub fn new(link: Option<&OriginLink>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            rooms: Mutex::default(),
            floods: Mutex::default(),
            uplink: link.map(Uplink::new),
            metrics,
            over: CancellationToken::new(),
            viewers: TaskTracker::new(),
        })
    }

    /// Takes the origin's answers, until `cancel`; then viewers are told that the edge goes away.
    pub async fn run(&self, link: Option<OriginLink>, cancel: CancellationToken) {
        if let (Some(uplink), Some(link)) = (&self.uplink, link) {
            let history = |response| self.take_history(response);
            uplink.run(link, cancel.clone(), history).await;
        }
        cancel.cancelled().await;
        self.over.cancel();
        self.viewers.close();
        let _ = tokio::time::timeout(FAREWELL_MAX, self.viewers.wait()).await;
    }

    /// Follows the comments of a broadcast for as long as it is announced. Without a token there are
    /// none: nobody could be asked for what was before.
    pub async fn follow(&self, subscription: &BroadcastSubscription) {
        let Some(uplink) = &self.uplink else { return };
        let (room, _) = self.open(subscription.id());
        tokio::select! {
            () = self.hear(subscription, &room) => {}
            () = ask_for_the_rest(uplink, &room) => {}
            () = room.tell() => {}
        }
    }

    async fn hear(&self, subscription: &BroadcastSubscription, room: &Room) {
        loop {
            match subscription.comments().await {
                Ok(mut records) => {
                    // What was said before this subscription only the origin knows.
                    room.doubt();
                    while let Some(record) = records.next().await {
                        match record.map(|record| serde_json::from_slice(&record)) {
                            Ok(Ok(comment)) => room.push(comment),
                            Ok(Err(error)) => {
                                self.metrics.malformed.inc();
                                tracing::warn!(%error, "a comment cannot be read");
                                room.doubt();
                            }
                            Err(Lost) => room.doubt(),
                        }
                    }
                }
                Err(Error::Closed) => return,
                Err(error) => tracing::debug!(%error, "comments cannot be had; asking again"),
            }
            tokio::time::sleep(RESUBSCRIBE_AFTER).await;
        }
    }

    /// Lets go of a broadcast and its viewers.
    pub fn close(&self, id: &BroadcastId) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = rooms.remove(id) {
            open.over.cancel();
        }
    }

    /// The room of a broadcast that this edge carries.
    fn open(&self, id: &BroadcastId) -> (Arc<Room>, CancellationToken) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let open = rooms
            .entry(id.clone())
            .or_insert_with(|| Open { room: Room::new(id.clone()), over: self.over.child_token() });
        (open.room.clone(), open.over.clone())
    }

    fn take_history(&self, response: Response) {
        let Response::History { broadcast, after, newest, comments, complete } = response else {
            return;
        };
        let room = {
            let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.get(&broadcast).map(|open| open.room.clone())
        };
        if let Some(room) = room {
            room.history(after, newest, comments, complete);
        }
    }

    fn admit(&self, client: IpAddr) -> Result<(), Duration> {
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        floods.admit(client, Instant::now())
    }
}

/// Asks the origin for what a room lacks, and again if nothing comes.
async fn ask_for_the_rest(uplink: &Uplink, room: &Room) {
    loop {
        let Some(after) = room.lacks_after() else {
            room.lacking.notified().await;
            continue;
        };
        uplink.ask_history(&room.id, after);
        // Until it is answered, or something else is missing.
        let answered = async {
            while room.lacks_after() == Some(after) {
                room.lacking.notified().await;
            }
        };
        let _ = tokio::time::timeout(HISTORY_WITHIN, answered).await;
    }
}
