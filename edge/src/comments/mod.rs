//! Comments at this edge: told to viewers as they come, and what viewers write sent to the origin.
//!
//! [`log`] holds what is known of a broadcast's comments, [`room`] tells it to its readers, [`uplink`]
//! asks the origin, [`socket`] serves one viewer, [`writing`] takes what it writes, [`said`] is what both
//! say, and [`crowd`] what viewers do together. [`sidecar`] writes
//! comments as files, and [`rendition`] as subtitles. `docs/comments.md` tells the whole way.

mod crowd;
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
mod writing;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::bucket::Rate;
use lectern_relay_proto::comment::{News, Refusal, Request, Response};
use lectern_relay_proto::net::{BroadcastSubscription, Error, Lost, OriginLink, Tokens};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::metrics::Metrics;
use self::room::Room;
pub use self::routes::routes;
use self::uplink::Uplink;
use crate::audience::Audience;
use crate::clock::Clock;
use crate::floods::Floods;

/// What one client may write: a lecture hall behind one address.
const CLIENT: Rate = Rate { burst: 60, each: Duration::from_millis(100) };
/// How long the origin may take to tell what was before; then it is asked again.
const HISTORY_WITHIN: Duration = Duration::from_secs(3);
/// How long viewers may take to hear that the edge goes away.
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How long the relay may take to tell what it kept of what was said before.
const REPLAYED_WITHIN: Duration = Duration::from_secs(2);
/// Pause before subscribing again to comments that could not be had.
const RESUBSCRIBE_AFTER: Duration = Duration::from_secs(1);

/// The comments of all broadcasts that this edge carries.
pub struct Comments {
    rooms: Mutex<HashMap<BroadcastId, Open>>,
    floods: Mutex<Floods>,
    /// `None` if this edge has no token: then there are no comments.
    upward: Option<Upward>,
    /// How many watch, by path.
    audience: Arc<Audience>,
    metrics: Metrics,
    over: CancellationToken,
    /// Those who read along.
    viewers: TaskTracker,
}

/// The way to the origin.
struct Upward {
    uplink: Arc<Uplink>,
    /// What addresses are digested with.
    token: Tokens,
}

struct Open {
    room: Arc<Room>,
    /// Ends its viewers' connections.
    over: CancellationToken,
}

impl Comments {
    /// No comments yet; `link` is the way to the origin, with the token that opened it, by which `Clock` is kept
    /// too. The origin is told of the `audience`.
    pub fn new(
        link: Option<(&OriginLink, Tokens, Clock)>,
        audience: Arc<Audience>,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            rooms: Mutex::default(),
            floods: Mutex::new(Floods::new(CLIENT)),
            upward: link
                .map(|(link, token, clock)| Upward { uplink: Uplink::new(link, clock), token }),
            audience,
            metrics,
            over: CancellationToken::new(),
            viewers: TaskTracker::new(),
        })
    }

    /// Takes the origin's answers, until `cancel`; then viewers are told that the edge goes away.
    pub async fn run(&self, link: Option<OriginLink>, cancel: CancellationToken) {
        if let (Some(upward), Some(link)) = (&self.upward, link) {
            let history = |response| self.take_history(response);
            upward.uplink.run(link, cancel.clone(), history).await;
        }
        cancel.cancelled().await;
        self.over.cancel();
        self.viewers.close();
        let _ = tokio::time::timeout(FAREWELL_MAX, self.viewers.wait()).await;
    }

    /// Follows the comments of a broadcast for as long as it is announced. Without a token there are
    /// none: nobody could be asked for what was before.
    pub async fn follow(&self, subscription: &BroadcastSubscription) {
        let Some(Upward { uplink, .. }) = &self.upward else { return };
        let (room, _) = self.open(subscription.id());
        tokio::select! {
            () = self.hear(subscription, &room) => {}
            () = ask_for_the_rest(uplink, &room) => {}
            () = room.tell() => {}
            () = room.crowd.tell_origin(&room.id, uplink, &self.audience) => {}
        }
    }

    async fn hear(&self, subscription: &BroadcastSubscription, room: &Room) {
        loop {
            match subscription.comments().await {
                Ok(mut records) => {
                    // What was said before this subscription only the origin knows.
                    room.doubt();
                    // The relay tells a group from its beginning, and what was felt then is over.
                    let begun = Instant::now();
                    while let Some(record) = records.next().await {
                        match record.map(|record| serde_json::from_slice(&record)) {
                            Ok(Ok(News::Comment(comment))) => room.push(comment),
                            Ok(Ok(News::Settings(settings))) => room.settle_on(settings),
                            Ok(Ok(News::Reactions { reactions })) => {
                                if begun.elapsed() > REPLAYED_WITHIN {
                                    room.feel(reactions);
                                }
                            }
                            Ok(Ok(News::Viewers { viewers })) => {
                                self.audience.told(&room.id, viewers);
                                room.watched_by(viewers);
                            }
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

    /// Ends the connections of all who read along; whoever still may comes back.
    pub fn part(&self, id: &BroadcastId) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = rooms.get_mut(id) {
            std::mem::replace(&mut open.over, self.over.child_token()).cancel();
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
        let Response::History { broadcast, after, newest, comments, complete, settings } = response
        else {
            return;
        };
        let room = {
            let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
            rooms.get(&broadcast).map(|open| open.room.clone())
        };
        if let Some(room) = room {
            room.history(after, newest, comments, complete, settings);
        }
    }

    /// Asks the origin what is answered to `answer`, by the way that comments take.
    pub(crate) fn ask(
        &self,
        request: &Request,
        answer: mpsc::Sender<Response>,
    ) -> Result<(), Refusal> {
        let upward = self.upward.as_ref().ok_or(Refusal::NotAllowed)?;
        upward.uplink.ask(request, answer)
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
        uplink.say(&Request::History { broadcast: room.id.clone(), after });
        // Until it is answered, or something else is missing.
        let answered = async {
            while room.lacks_after() == Some(after) {
                room.lacking.notified().await;
            }
        };
        let _ = tokio::time::timeout(HISTORY_WITHIN, answered).await;
    }
}
