//! From the relay into this edge: follows announcements and the catalog of every [`broadcast`],
//! subscribes to the [`tracks`] of those that are wanted, and hands each chunk to the timeline (LL-DASH)
//! and to the WebRTC feed. Which are wanted is [`crate::demand`]'s to say.
//!
//! A broadcast that is no longer announced stays for a while with its viewers attached: an origin
//! that restarts comes back within seconds, and nobody should have to reload. What was sent before
//! this edge joined is fetched by [`backfill`].

mod backfill;
mod broadcast;
mod tracks;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::net::{Announcement, Status, Subscriber};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::comments::Comments;
use crate::demand::Demand;
use crate::live::Directory;
use crate::whep::Engine;
pub use backfill::{Fetcher, Metrics};
use broadcast::Broadcast;

/// How long after the connection everything that is announced has been. Announcements are a few bytes
/// each and come in one go.
const INFORMED_AFTER: Duration = Duration::from_millis(500);

/// Where what comes from upstream goes.
pub struct Consumers {
    /// Media over HTTP.
    pub directory: Arc<Directory>,
    /// Media over WebRTC.
    pub engine: Engine,
    /// Comments.
    pub comments: Arc<Comments>,
    /// Which broadcasts are wanted.
    pub demand: Arc<Demand>,
}

/// Follows the relay until `cancel`.
pub async fn run(
    mut subscriber: Subscriber,
    consumers: Consumers,
    fetcher: Fetcher,
    cancel: CancellationToken,
) {
    let Consumers { directory, engine, demand, .. } = &consumers;
    let fetcher = Arc::new(fetcher);
    let mut broadcasts: HashMap<BroadcastId, Followed> = HashMap::new();
    let mut tasks = JoinSet::new();
    let informing = inform(subscriber.status(), |informed| {
        directory.set_informed(informed);
        engine.set_informed(informed);
    });
    let letting_go = demand.run();
    tokio::pin!(informing, letting_go);
    loop {
        let announcement = tokio::select! {
            () = cancel.cancelled() => return,
            () = &mut informing => return,
            () = &mut letting_go => return,
            Some(ended) = tasks.join_next_with_id() => {
                forget(&mut broadcasts, &consumers, ended);
                continue;
            }
            announcement = subscriber.next() => announcement,
        };
        match announcement {
            None => return,
            Some(Announcement::Gone(id)) => {
                if let Some(followed) = broadcasts.get(&id) {
                    tracing::info!(broadcast = %id, "broadcast is no longer announced");
                    followed.broadcast.say_away();
                }
            }
            Some(Announcement::Live(subscription)) => {
                let id = subscription.id().clone();
                let broadcast = match broadcasts.get(&id) {
                    Some(followed) => followed.broadcast.clone(),
                    None => match Broadcast::open(id.clone(), &consumers, &fetcher) {
                        Ok(broadcast) => Arc::new(broadcast),
                        Err(full) => {
                            tracing::warn!(broadcast = %id, error = %full, "not carried");
                            continue;
                        }
                    },
                };
                tracing::info!(broadcast = %id, "broadcast announced");
                let renewed = CancellationToken::new();
                let span = tracing::info_span!("broadcast", broadcast = %id);
                let follow = broadcast.clone().follow(subscription, renewed.clone());
                let task = tasks.spawn(follow.instrument(span)).id();
                let current = Followed { broadcast, task, _renewed: renewed.drop_guard() };
                // Ends the subscription to the announcement before this one.
                broadcasts.insert(id, current);
            }
        }
    }
}

/// Says whether this edge has heard of all that the upstream has: a moment after each connection to
/// it. Ends with the subscriber.
async fn inform(mut status: watch::Receiver<Status>, say: impl Fn(bool)) {
    loop {
        let connected = matches!(*status.borrow_and_update(), Status::Connected);
        say(false);
        if connected {
            match tokio::time::timeout(INFORMED_AFTER, status.changed()).await {
                Ok(Ok(())) => continue,
                Ok(Err(_)) => return,
                Err(_) => say(true),
            }
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// A broadcast and the task that follows its newest announcement; dropping it ends the task.
struct Followed {
    broadcast: Arc<Broadcast>,
    task: task::Id,
    _renewed: DropGuard,
}

/// Drops a broadcast whose task has waited for it in vain, unless it has been announced again since.
/// A panic costs a broadcast its subscription, which the next announcement renews.
fn forget(
    broadcasts: &mut HashMap<BroadcastId, Followed>,
    consumers: &Consumers,
    ended: Result<(task::Id, Option<BroadcastId>), task::JoinError>,
) {
    let (task, id) = match ended {
        Ok((task, Some(id))) => (task, id),
        Ok((_, None)) => return,
        Err(error) => {
            tracing::error!(%error, "a broadcast's subscription failed");
            return;
        }
    };
    if broadcasts.get(&id).is_some_and(|followed| followed.task == task) {
        broadcasts.remove(&id);
        consumers.demand.forget(&id);
        consumers.directory.close(&id);
        consumers.comments.close(&id);
        tracing::info!(broadcast = %id, "broadcast let go");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use lectern_relay_proto::net::Error;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_has_been_heard_a_moment_after_each_connection() {
        let informed = Arc::new(AtomicBool::new(true));
        let (status, follow) = watch::channel(Status::Connecting);
        let said = informed.clone();
        let informing = tokio::spawn(inform(follow, move |now| said.store(now, Relaxed)));
        let after = async |ms| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            informed.load(Relaxed)
        };
        let lost = || Status::Disconnected(Arc::new(Error::Timeout));
        assert!(!after(10_000).await, "it connects");
        status.send_replace(Status::Connected);
        assert!(!after(400).await, "announcements are under way");
        assert!(after(200).await);
        status.send_replace(lost());
        assert!(!after(1).await);
        assert!(!after(10_000).await);
        // A connection that is lost at once has said nothing.
        status.send_replace(Status::Connected);
        assert!(!after(300).await);
        status.send_replace(lost());
        assert!(!after(10_000).await);
        status.send_replace(Status::Connected);
        assert!(after(600).await);
        drop(status);
        informing.await.unwrap();
    }
}
