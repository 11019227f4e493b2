//! The desk at which all comments of this origin are taken in: one task, so that what edges hear is in
//! the order in which it is stored, here or by another origin. Requests that wait together are stored in one
//! transaction, and what others have stored meanwhile is read together. What everybody has been told of a room
//! is [`Open`]'s.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{Action, Attempt, ModeratorKey, Refusal, Request, Response};
use lectern_relay_proto::net::{EdgeLink, RecordPublisher};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use super::listener::{Asked, Heard, Listener};
use super::open::{Open, Room};
use super::rules::{For, Refused};
use super::store::{Applied, Change, Store, TALLY_MAX};
use crate::broadcasts::BROADCASTS_MAX;
use crate::database::news::{self, News};
use crate::registrations::Applications;
use crate::wall;

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
/// When to try again what could not be stored, or read.
const STORE_AGAIN: Duration = Duration::from_secs(2);
/// How often rooms are read in which others have stored something: edges tell their viewers no more often. The
/// first time after a pause, they are read at once.
const READ_EACH: Duration = Duration::from_millis(100);
/// Rooms that are read so, one after another, before the desk takes in what has arrived meanwhile.
const READ_ROOMS_MAX: usize = 16;
/// How often votes are told, of which thousands may come at once.
const TALLY_EACH: Duration = Duration::from_secs(1);
/// How often everybody is told what others feel, and how many watch.
const CROWD_EACH: Duration = Duration::from_millis(500);

/// Takes in what edges ask.
pub struct Desk {
    store: Store,
    rooms: HashMap<BroadcastId, Open>,
    changes: mpsc::Receiver<RoomChange>,
    /// What other origins do.
    news: news::Heard,
    /// Rooms to be read, each once, and when the next round of them begins.
    unread: VecDeque<BroadcastId>,
    read_at: tokio::time::Instant,
    /// Those of this round that are still to be read.
    reading: VecDeque<BroadcastId>,
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

pub(super) type Answers = Arc<Mutex<RecordPublisher>>;

impl Desk {
    /// A desk that keeps what is written in `store`, and what opens its rooms.
    pub fn new(store: Store, metrics: Metrics) -> (Self, Rooms) {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        let desk = Self {
            news: store.database().news(),
            store,
            rooms: HashMap::new(),
            changes,
            unread: VecDeque::new(),
            read_at: tokio::time::Instant::now(),
            reading: VecDeque::new(),
            attendance: Arc::default(),
            applications: None,
            metrics,
        };
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
                _ = again.tick() => self.read_again(),
                () = tokio::time::sleep_until(self.read_at), if self.has_unread() => {
                    self.read_on().await;
                }
                news = self.news.next() => self.follow(&news),
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
        let attended = self.attendance.clone();
        let attend = |id: &BroadcastId, attendance| {
            let mut attended = attended.write().unwrap_or_else(PoisonError::into_inner);
            match attendance {
                true => attended.insert(id.clone()),
                false => attended.remove(id),
            }
        };
        match change {
            RoomChange::Open(id, room) => {
                attend(&id, room.attendance);
                self.rooms.insert(id.clone(), Open::new(*room));
                self.is_unread(&id);
            }
            RoomChange::Set { id, moderator_key, attendance } => {
                let Some(open) = self.rooms.get_mut(&id) else { return };
                attend(&id, attendance);
                open.set(moderator_key, attendance);
                self.is_unread(&id);
            }
            RoomChange::Close(id) => {
                attend(&id, false);
                self.rooms.remove(&id);
                self.reading.retain(|unread| *unread != id);
                self.unread.retain(|unread| *unread != id);
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
                        open.doubt();
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
            self.is_unread(&attempt.broadcast);
            answer(&answers, &Response::Stored { attempt, id, held });
            self.metrics.answered.observe(at.elapsed().as_secs_f64());
        }
    }

    fn check(&mut self, request: Request) -> Result<Checked, Refused> {
        let unknown = (Refusal::UnknownBroadcast, None);
        let attempt = request.attempt().ok_or(unknown)?.clone();
        let open = self.rooms.get_mut(&attempt.broadcast).ok_or(unknown)?;
        let (now, at) = (Instant::now(), wall::now());
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
                let live_ms = open.room.live_ms(wall::now());
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

    /// What another origin does in a room is to be read.
    fn follow(&mut self, news: &News) {
        match news {
            News::Comment(id) => {
                if let Some(open) = self.rooms.get_mut(id) {
                    open.doubt();
                    self.is_unread(id);
                }
            }
            News::Everything => {
                self.rooms.values_mut().for_each(Open::doubt);
                self.read_again();
            }
            _ => {}
        }
    }

    /// Puts a room where those are that are to be read, if there is anything to read in it.
    fn is_unread(&mut self, id: &BroadcastId) {
        if self.rooms.get_mut(id).is_some_and(Open::becomes_unread) {
            self.unread.push_back(id.clone());
        }
    }

    /// The same with all rooms; also those that could not be read.
    fn read_again(&mut self) {
        for (id, open) in &mut self.rooms {
            if open.becomes_unread() {
                self.unread.push_back(id.clone());
            }
        }
    }

    fn has_unread(&self) -> bool {
        !self.reading.is_empty() || !self.unread.is_empty()
    }

    /// Tells what was stored without this desk knowing.
    async fn read_on(&mut self) {
        if self.reading.is_empty() {
            std::mem::swap(&mut self.reading, &mut self.unread);
        }
        for _ in 0..READ_ROOMS_MAX {
            let Some(id) = self.reading.pop_front() else { break };
            // It may be closed.
            let Some(open) = self.rooms.get_mut(&id) else { continue };
            self.metrics.reads.inc();
            if let Err(error) = open.read_on(&id, &self.store).await {
                tracing::warn!(broadcast = %id, %error, "comments cannot be read");
                // Nor can others', if the database is away: all wait for the next time.
                self.reading.clear();
                self.unread.clear();
                self.rooms.values_mut().for_each(Open::waits);
                break;
            }
        }
        if self.reading.is_empty() {
            self.read_at = tokio::time::Instant::now() + READ_EACH;
        }
    }

    /// Tells what has been voted since the last time.
    async fn tally(&mut self) {
        let voted = self.rooms.iter_mut().filter(|(_, open)| open.voted);
        for (id, open) in voted {
            match self.store.apply(&[Change::Tally { broadcast: id.clone() }]).await {
                Ok(applied) => {
                    for applied in applied {
                        let Applied::Done(done) = applied else { continue };
                        open.voted = done.changed.len() == TALLY_MAX;
                        open.tell(done);
                    }
                    if open.becomes_unread() {
                        self.unread.push_back(id.clone());
                    }
                }
                Err(error) => {
                    tracing::warn!(broadcast = %id, %error, "votes cannot be counted");
                    open.doubt();
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
        let (store, at) = (self.store.clone(), wall::now());
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
