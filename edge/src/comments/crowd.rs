//! What viewers of one broadcast at this edge do together, as the origin is told of it: what they feel,
//! added up; how many watch; and who of those attends who want to be on the list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{Attendee, AuthorId, Felt, Name, Request};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::room::Room;
use super::uplink::Uplink;
use crate::audience::Audience;

/// How long reactions are added up before they are told.
const FELT_EACH: Duration = Duration::from_millis(500);
/// How often the audience is counted, and told of if it is another.
const COUNT_EACH: Duration = Duration::from_secs(2);
/// How often it is told of in any case: the origin forgets an edge that is silent.
const VIEWERS_EACH: Duration = Duration::from_secs(10);
/// How often it is said who attends.
const PRESENT_EACH: Duration = Duration::from_secs(30);
/// Who may be on the list at one edge. Others are not on it.
const PRESENT_MAX: usize = 20_000;

/// See the module.
#[derive(Default)]
pub(super) struct Crowd {
    felt: Mutex<Felt>,
    feels: Notify,
    present: Mutex<Present>,
    comes: Notify,
}

#[derive(Default)]
struct Present {
    /// With the number of their connections.
    by_author: HashMap<AuthorId, (Name, u32)>,
    /// Who has come since the origin was told last.
    new: Vec<Attendee>,
}

/// Somebody is on the list for as long as this lives.
pub(super) struct Attending {
    room: Arc<Room>,
    author: AuthorId,
}

impl Crowd {
    /// Somebody feels something about the picture at `mt`. False if that is nothing that one may feel.
    pub(super) fn react(&self, emoji: &str, mt: Option<u64>) -> bool {
        let known = self.felt().add(mt, emoji, 1);
        if known {
            self.feels.notify_one();
        }
        known
    }

    /// Tells the origin, for ever.
    pub(super) async fn tell_origin(
        &self,
        broadcast: &BroadcastId,
        uplink: &Uplink,
        audience: &Audience,
    ) {
        tokio::join!(
            self.tell_felt(broadcast, uplink),
            tell_viewers(broadcast, uplink, audience),
            self.tell_present(broadcast, uplink),
        );
    }

    async fn tell_felt(&self, broadcast: &BroadcastId, uplink: &Uplink) {
        loop {
            self.feels.notified().await;
            tokio::time::sleep(FELT_EACH).await;
            let reactions = self.felt().take();
            // What came while this waited has woken it once more.
            if !reactions.is_empty() {
                uplink.say(&Request::Reactions { broadcast: broadcast.clone(), reactions });
            }
        }
    }

    async fn tell_present(&self, broadcast: &BroadcastId, uplink: &Uplink) {
        let mut all = tokio::time::interval(PRESENT_EACH);
        all.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                _ = all.tick() => {
                    let mut present = self.present();
                    present.new.clear();
                    let all = present.by_author.iter();
                    all.map(|(author, (user, _))| Attendee::new(author, user)).collect()
                }
                () = self.comes.notified() => std::mem::take(&mut self.present().new),
            };
            for some in told.chunks(Attendee::TOLD_MAX) {
                let (broadcast, present) = (broadcast.clone(), some.to_vec());
                uplink.say(&Request::Present { broadcast, present });
            }
        }
    }

    fn felt(&self) -> MutexGuard<'_, Felt> {
        self.felt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tell_viewers(broadcast: &BroadcastId, uplink: &Uplink, audience: &Audience) {
    let mut count = tokio::time::interval(COUNT_EACH);
    count.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        count.tick().await;
        let viewers = audience.counts(broadcast);
        let now = Instant::now();
        let known = told
            .is_some_and(|(known, at)| known == viewers && now.duration_since(at) < VIEWERS_EACH);
        if !known {
            told = Some((viewers, now));
            uplink.say(&Request::Viewers { broadcast: broadcast.clone(), viewers });
        }
    }
}

impl Attending {
    /// Puts `author` on the list; `None` if it is full.
    pub(super) fn begin(room: &Arc<Room>, author: AuthorId, user: Name) -> Option<Self> {
        let mut present = room.crowd.present();
        let full = present.by_author.len() >= PRESENT_MAX;
        if full && !present.by_author.contains_key(&author) {
            return None;
        }
        present.new.push(Attendee::new(&author, &user));
        let entry = present.by_author.entry(author.clone()).or_insert((user.clone(), 0));
        (entry.0, entry.1) = (user, entry.1 + 1);
        drop(present);
        room.crowd.comes.notify_one();
        Some(Self { room: room.clone(), author })
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut present = self.room.crowd.present();
        if let Some((_, connections)) = present.by_author.get_mut(&self.author) {
            *connections -= 1;
            if *connections == 0 {
                present.by_author.remove(&self.author);
            }
        }
    }
}
