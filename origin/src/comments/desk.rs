//! The desk at which all comments of this origin are taken in: one task, so that what edges hear is in
//! the order in which it is stored. Requests that wait together are stored in one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::comment::{
    Action, Attempt, Comment, ModeratorKey, News, Post, Refusal, Request, Response, Settings,
};
use lectern_relay_proto::net::{EdgeLink, RecordPublisher};
use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::crowd::{Audience, Crowd};
use super::listener::{Asked, Heard, Listener};
use super::rules::{For, Refused, Rules};
use super::store::{self, Applied, Change, Done, Store, TALLY_MAX};
use super::{Metrics, Outlet};
use crate::broadcasts::BROADCASTS_MAX;
use crate::registrations::Applications;

/// Requests of all edges that wait to be stored. When full, the edges' wait with the relay.
const QUEUE_MAX: usize = 1_024;
/// Requests that are stored together.
const BATCH_MAX: usize = 256;
/// Comments in one answer: at their longest, half of what a record may be.
pub(super) const HISTORY_MAX: u32 = 200;
/// Answers of history, and of who is blocked or was there, that use the store at once.
const READS_MAX: usize = 2;
/// Rooms that wait to be opened or closed: at the start all do, before there is a desk.
const CHANGES_MAX: usize = 2 * BROADCASTS_MAX;
/// How far a player's clock may be ahead of this one.
const AHEAD_MAX_MS: u64 = 3_000;
/// When to try again what could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(2);
/// How often votes are told, of which thousands may come at once.
const TALLY_EACH: Duration = Duration::from_secs(1);
/// How often everybody is told what others feel, and how many watch.
const CROWD_EACH: Duration = Duration::from_millis(500);

/// A broadcast that can be commented on.
pub struct Room {
    /// Its comments, to everybody.
    pub comments: Outlet,
    /// Its T0, Unix ms; zero until it has begun.
    pub t0_ms: Arc<AtomicU64>,
    /// Who has this is a moderator; without it, nobody is.
    pub moderator_key: Option<ModeratorKey>,
    /// Whether a list is kept of who attends.
    pub attendance: bool,
    /// Who watches, for the host.
    pub audience: watch::Sender<Audience>,
}

/// Takes in what edges ask.
pub struct Desk {
    store: Store,
    rooms: HashMap<BroadcastId, Open>,
    changes: mpsc::Receiver<RoomChange>,
    /// Those of whose audience a list is kept, for all who answer edges.
    attendance: Arc<RwLock<HashSet<BroadcastId>>>,
    /// Where those go who register; without it, nobody does.
    applications: Option<Applications>,
    metrics: Metrics,
}

/// Opens and closes the rooms of a [`Desk`].
#[derive(Clone)]
pub struct Rooms(mpsc::Sender<RoomChange>);

/// What is to happen to a room.
enum RoomChange {
    Open(BroadcastId, Box<Room>),
    Set { id: BroadcastId, moderator_key: Option<ModeratorKey>, attendance: bool },
    Close(BroadcastId),
}

impl Rooms {
    /// Lets viewers comment on a broadcast.
    pub async fn open(&self, id: BroadcastId, room: Room) {
        self.change(RoomChange::Open(id, Box::new(room))).await;
    }

    /// From now on this makes one a moderator, and a list of who attends is kept or not.
    pub async fn set(
        &self,
        id: BroadcastId,
        moderator_key: Option<ModeratorKey>,
        attendance: bool,
    ) {
        self.change(RoomChange::Set { id, moderator_key, attendance }).await;
    }

    /// There is no such broadcast any more.
    pub async fn close(&self, id: BroadcastId) {
        self.change(RoomChange::Close(id)).await;
    }

    async fn change(&self, change: RoomChange) {
        // Without a desk the origin is about to stop.
        let _ = self.0.send(change).await;
    }
}

/// A room while comments are taken in.
struct Open {
    room: Room,
    rules: Rules,
    crowd: Crowd,
    /// The newest change that everybody has been told of; `None` before the store has said how far it
    /// has come.
    told: Option<u64>,
    /// Changes may be stored of which nobody has been told: the store did not answer, or the relay did
    /// not take them.
    behind: bool,
    /// There may be votes that nobody has been told of.
    voted: bool,
}

pub(super) type Answers = Arc<Mutex<RecordPublisher>>;

impl Desk {
    /// A desk that keeps what is written in `store`, and what opens its rooms.
    pub fn new(store: Store, metrics: Metrics) -> (Self, Rooms) {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let (rooms, attendance) = (HashMap::new(), Arc::default());
        let desk = Self { store, rooms, changes, attendance, applications: None, metrics };
        (desk, Rooms(sender))
    }

    /// Hands those who register over to there: they come by the same way, and are none of this desk's.
    pub fn registers_with(&mut self, applications: Applications) {
        self.applications = Some(applications);
    }

    /// Serves the edges that arrive, until `cancel`.
    pub async fn run(mut self, edges: mpsc::Receiver<EdgeLink>, cancel: CancellationToken) {
        // What is being stored may be given up: nobody has been told that it is.
        cancel.run_until_cancelled(self.serve(edges)).await;
    }

    async fn serve(&mut self, mut edges: mpsc::Receiver<EdgeLink>) {
        let (sender, mut heard) = mpsc::channel(QUEUE_MAX);
        let listener = Listener {
            store: self.store.clone(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            desk: sender,
            attendance: self.attendance.clone(),
            applications: self.applications.clone(),
            metrics: self.metrics.clone(),
        };
        let listener = Arc::new(listener);
        let mut listening = JoinSet::new();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let [mut again, mut tally, mut crowd] = [STORE_AGAIN, TALLY_EACH, CROWD_EACH].map(every);
        loop {
            tokio::select! {
                _ = again.tick() => self.make_up().await,
                _ = tally.tick() => self.tally().await,
                _ = crowd.tick() => self.tell_of_the_crowd(),
                Some(change) = self.changes.recv() => self.change(change),
                Some(edge) = edges.recv() => {
                    listening.spawn(listener.clone().listen(edge));
                }
                Some(ended) = listening.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "an edge is not listened to any more");
                    }
                }
                _ = heard.recv_many(&mut batch, BATCH_MAX) => {
                    self.take_in(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    fn change(&mut self, change: RoomChange) {
        let mut attended = self.attendance.write().unwrap_or_else(PoisonError::into_inner);
        let mut attend = |id: &BroadcastId, attendance| match attendance {
            true => attended.insert(id.clone()),
            false => attended.remove(id),
        };
        match change {
            RoomChange::Open(id, room) => {
                attend(&id, room.attendance);
                self.rooms.insert(id, Open::new(*room));
            }
            RoomChange::Set { id, moderator_key, attendance } => {
                let Some(open) = self.rooms.get_mut(&id) else { return };
                attend(&id, attendance);
                // Edges are told by being told once more what is in force.
                open.behind |= open.room.attendance != attendance;
                (open.room.moderator_key, open.room.attendance) = (moderator_key, attendance);
            }
            RoomChange::Close(id) => {
                attend(&id, false);
                self.rooms.remove(&id);
            }
        }
    }

    /// Checks, stores, tells everybody, answers.
    async fn take_in(&mut self, batch: Vec<Heard>) {
        let mut changes = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for heard in batch {
            let Asked { request, answers, at } = match heard {
                Heard::Asked(asked) => asked,
                Heard::Said { edge, request } => {
                    self.hear(&edge, request);
                    continue;
                }
                Heard::Gone { edge } => {
                    self.rooms.values_mut().for_each(|open| open.crowd.leave(&edge));
                    continue;
                }
            };
            let Some(attempt) = request.attempt().cloned() else { continue };
            match self.check(request) {
                Ok(Checked::Change(change)) => {
                    changes.push(*change);
                    waiting.push((attempt, answers, at));
                }
                Ok(Checked::Role { moderator }) => {
                    answer(&answers, &Response::Role { attempt, moderator });
                }
                Ok(Checked::Blocks) => self.tell_blocks(attempt, answers),
                Err((reason, again)) => self.refuse(&answers, attempt, reason, again),
            }
        }
        if changes.is_empty() {
            return;
        }
        let applied = match self.store.apply(&changes).await {
            Ok(applied) => applied,
            Err(error) => {
                tracing::error!(%error, comments = changes.len(), "comments cannot be stored");
                for (attempt, answers, _) in waiting {
                    if let Some(open) = self.rooms.get_mut(&attempt.broadcast) {
                        open.behind = true;
                    }
                    self.refuse(&answers, attempt, Refusal::Unavailable, Some(STORE_AGAIN));
                }
                return;
            }
        };
        for ((applied, change), (attempt, answers, at)) in
            applied.into_iter().zip(&changes).zip(waiting)
        {
            let done = match applied {
                Applied::Done(done) => done,
                Applied::Refused(reason, again) => {
                    if let Some(open) = self.rooms.get_mut(&attempt.broadcast) {
                        open.rules.withdraw(&attempt);
                    }
                    self.refuse(&answers, attempt, reason, again);
                    continue;
                }
            };
            let (id, held) = (done.id, done.held);
            if let Some(open) = self.rooms.get_mut(&attempt.broadcast) {
                open.voted |= matches!(change, Change::Vote { .. });
                self.metrics.stored.inc_by(done.changed.len() as u64);
                open.tell(done);
            }
            answer(&answers, &Response::Stored { attempt, id, held });
            self.metrics.answered.observe(at.elapsed().as_secs_f64());
        }
    }

    fn check(&mut self, request: Request) -> Result<Checked, Refused> {
        let unknown = (Refusal::UnknownBroadcast, None);
        let attempt = request.attempt().ok_or(unknown)?.clone();
        let open = self.rooms.get_mut(&attempt.broadcast).ok_or(unknown)?;
        let (now, at) = (Instant::now(), UtcTime::from(SystemTime::now()));
        let change = match request {
            Request::Post(post) => return open.check_post(post, now, at).map(Checked::change),
            Request::Delete { attempt, id, key } => {
                let moderator = open.room.is_moderator(key.as_ref());
                open.rules.change(now, &attempt, For::Delete(id), moderator)?;
                Change::Delete { attempt, id, moderator }
            }
            Request::Vote { attempt, id, address, up } => {
                open.rules.vote(now, &attempt, id, up)?;
                Change::Vote { attempt, address, id, up, at }
            }
            Request::Role { key, .. } => {
                open.rules.change(now, &attempt, For::Role, false)?;
                return Ok(Checked::Role { moderator: open.room.is_moderator(Some(&key)) });
            }
            Request::Moderate { attempt, key, action } => {
                let moderator = open.room.is_moderator(Some(&key));
                open.rules.change(now, &attempt, For::Role, moderator)?;
                if !moderator {
                    return Err((Refusal::NotModerator, None));
                }
                if action == Action::Blocks {
                    return Ok(Checked::Blocks);
                }
                Change::Moderate { attempt, action, at }
            }
            // Answered where they arrive.
            _ => return Err(unknown),
        };
        Ok(Checked::change(change))
    }

    /// What edges say of their viewers, and nobody answers.
    fn hear(&mut self, edge: &Arc<str>, request: Request) {
        match request {
            Request::Reactions { broadcast, reactions } => {
                let Some(open) = self.rooms.get_mut(&broadcast) else { return };
                let live_ms = open.room.live_ms(UtcTime::from(SystemTime::now()));
                if let Some(live_ms) = live_ms {
                    open.crowd.react(reactions, live_ms);
                }
            }
            Request::Viewers { broadcast, viewers } => {
                if let Some(open) = self.rooms.get_mut(&broadcast) {
                    open.crowd.watch(edge, viewers, Instant::now());
                }
            }
            _ => {}
        }
    }

    /// Tells what was stored without this desk knowing. What was stored before it began, edges ask for.
    async fn make_up(&mut self) {
        for (id, open) in self.rooms.iter_mut().filter(|(_, open)| open.behind) {
            if let Err(error) = open.make_up(id, &self.store).await {
                tracing::warn!(broadcast = %id, %error, "comments cannot be read");
                return;
            }
        }
    }

    /// Tells what has been voted since the last time.
    async fn tally(&mut self) {
        for (id, open) in self.rooms.iter_mut().filter(|(_, open)| open.voted) {
            match self.store.apply(&[Change::Tally { broadcast: id.clone() }]).await {
                Ok(applied) => {
                    for applied in applied {
                        let Applied::Done(done) = applied else { continue };
                        open.voted = done.changed.len() == TALLY_MAX;
                        open.tell(done);
                    }
                }
                Err(error) => {
                    tracing::warn!(broadcast = %id, %error, "votes cannot be counted");
                    open.behind = true;
                    return;
                }
            }
        }
    }

    fn tell_of_the_crowd(&mut self) {
        let now = Instant::now();
        let mut viewers = 0;
        for open in self.rooms.values_mut() {
            for news in open.crowd.news(now) {
                // Whoever did not hear it hears the next.
                let _ = open.publish(&news);
            }
            viewers += open.crowd.viewers();
            let audience = open.crowd.audience();
            open.room.audience.send_if_modified(|told| {
                let modified = *told != audience;
                *told = audience;
                modified
            });
        }
        self.metrics.viewers.set(viewers.try_into().unwrap_or(i64::MAX));
    }

    fn tell_blocks(&self, attempt: Attempt, answers: Answers) {
        let (store, at) = (self.store.clone(), UtcTime::from(SystemTime::now()));
        // Beside the desk: nothing that comes after it depends on it.
        tokio::spawn(async move {
            let response = match store.blocks(&attempt.broadcast, at).await {
                Ok(blocks) => Response::Blocks { attempt, blocks },
                Err(error) => {
                    tracing::warn!(%error, "blocks cannot be read");
                    let retry_after_ms = Some(STORE_AGAIN.as_millis() as u32);
                    Response::Refused { attempt, reason: Refusal::Unavailable, retry_after_ms }
                }
            };
            answer(&answers, &response);
        });
    }

    fn refuse(
        &self,
        answers: &Answers,
        attempt: Attempt,
        reason: Refusal,
        again: Option<Duration>,
    ) {
        self.metrics.refused.with_label_values(&[reason.as_str()]).inc();
        let retry_after_ms = again.map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
        answer(answers, &Response::Refused { attempt, reason, retry_after_ms });
    }
}

/// What to do about a request that may be granted.
enum Checked {
    /// Store this.
    Change(Box<Change>),
    /// Say this.
    Role { moderator: bool },
    /// Say who is blocked.
    Blocks,
}

impl Checked {
    fn change(change: Change) -> Self {
        Self::Change(Box::new(change))
    }
}

impl Room {
    fn is_moderator(&self, key: Option<&ModeratorKey>) -> bool {
        matches!((&self.moderator_key, key), (Some(own), Some(key)) if own.matches(key))
    }

    /// Media time at `at`, ms; `None` before the broadcast has begun.
    fn live_ms(&self, at: UtcTime) -> Option<u64> {
        let t0_ms = self.t0_ms.load(Ordering::Relaxed);
        (t0_ms > 0).then(|| at.as_millis().saturating_sub(t0_ms))
    }
}

impl Open {
    fn new(room: Room) -> Self {
        let (rules, crowd) = (Rules::default(), Crowd::default());
        Self { room, rules, crowd, told: None, behind: true, voted: false }
    }

    fn check_post(&mut self, post: Post, now: Instant, at: UtcTime) -> Result<Change, Refused> {
        // Who waits for the host talks already, at the very beginning.
        let live_ms = self.room.live_ms(at).unwrap_or(0);
        let mt = post.mt.unwrap_or(live_ms);
        if mt > live_ms + AHEAD_MAX_MS {
            return Err((Refusal::MediaTime, None));
        }
        let moderator = self.room.is_moderator(post.key.as_ref());
        self.rules.post(now, &post.attempt, post.text.as_str())?;
        Ok(Change::Post { post, mt, at, moderator })
    }

    async fn make_up(&mut self, id: &BroadcastId, store: &Store) -> Result<(), store::Error> {
        let newest = store.newest(id).await?;
        let Some(told) = self.told else {
            self.told = Some(newest.seq);
            self.behind = false;
            // Of those that came before this desk there may be some that nobody was told of.
            self.voted |= newest.seq > 0;
            return Ok(());
        };
        self.behind = false;
        let mut after = told;
        loop {
            let comments = store.changes(id, after, HISTORY_MAX).await.inspect_err(|_| {
                self.behind = true;
            })?;
            let full = comments.len() >= HISTORY_MAX as usize;
            after = comments.last().map_or(after, |last| last.seq);
            comments.into_iter().for_each(|comment| self.tell_comment(comment));
            if !full {
                break;
            }
        }
        self.tell_settings(newest.settings);
        Ok(())
    }

    fn tell(&mut self, done: Done) {
        done.changed.into_iter().for_each(|comment| self.tell_comment(comment));
        if let Some(settings) = done.settings {
            self.tell_settings(settings);
        }
    }

    fn tell_comment(&mut self, comment: Comment) {
        let seq = comment.seq;
        if self.publish(&News::Comment(comment)) {
            self.told = Some(seq);
        }
    }

    fn tell_settings(&mut self, settings: Settings) {
        let attendance = self.room.attendance;
        self.publish(&News::Settings(Settings { attendance, ..settings }));
    }

    fn publish(&mut self, news: &News) -> bool {
        let record = serde_json::to_vec(news).expect("plain");
        match self.room.comments.write(record.into()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "what everybody is to know was not sent out");
                self.behind = true;
                false
            }
        }
    }
}

pub(super) fn answer(answers: &Answers, response: &Response) {
    let record = serde_json::to_vec(response).expect("plain");
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only once the edge is gone, which asks again over its next connection.
    let _ = answers.write(record.into());
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
