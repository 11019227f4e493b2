//! The desk at which all comments of this origin are taken in: one task, so that what edges hear is in
//! the order in which it is stored. Requests that wait together are stored in one transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::comment::{Attempt, Comment, Refusal, Request, Response};
use lectern_relay_proto::net::{EdgeLink, RecordPublisher};
use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Metrics;
use super::rules::Rules;
use super::store::{self, Applied, Change, Store};

/// Requests of all edges that wait to be stored. When full, the edges' wait with the relay.
const QUEUE_MAX: usize = 1_024;
/// Requests that are stored together.
const BATCH_MAX: usize = 256;
/// Comments in one answer: at their longest, half of what a record may be.
const HISTORY_MAX: u32 = 200;
/// Answers of history that are read from the store at once.
const HISTORY_READS_MAX: usize = 2;
/// How far a player's clock may be ahead of this one.
const AHEAD_MAX_MS: u64 = 3_000;
/// When to try again what could not be stored.
const STORE_AGAIN: Duration = Duration::from_secs(2);

/// A broadcast that can be commented on.
pub struct Room {
    /// Its comments, to everybody.
    pub comments: RecordPublisher,
    /// Its T0, Unix ms; zero until it has begun.
    pub t0_ms: Arc<AtomicU64>,
}

/// Takes in what edges ask.
pub struct Desk {
    store: Store,
    rooms: HashMap<BroadcastId, Open>,
    metrics: Metrics,
}

/// A room while comments are taken in.
struct Open {
    room: Room,
    rules: Rules,
    /// The newest change that everybody has been told of; `None` before the store has said how far it
    /// has come.
    told: Option<u64>,
    /// Changes may be stored of which nobody has been told: the store did not answer, or the relay did
    /// not take them.
    behind: bool,
}

/// A request and whom to answer.
struct Asked {
    request: Request,
    answers: Answers,
    at: Instant,
}

type Answers = Arc<Mutex<RecordPublisher>>;

impl Desk {
    /// A desk for `rooms`, which keeps what is written in `store`.
    pub fn new(store: Store, rooms: HashMap<BroadcastId, Room>, metrics: Metrics) -> Self {
        let open = |room| Open { room, rules: Rules::default(), told: None, behind: true };
        let rooms = rooms.into_iter().map(|(id, room)| (id, open(room)));
        Self { store, rooms: rooms.collect(), metrics }
    }

    /// Serves the edges that arrive, until `cancel`.
    pub async fn run(mut self, edges: mpsc::Receiver<EdgeLink>, cancel: CancellationToken) {
        // What is being stored may be given up: nobody has been told that it is.
        cancel.run_until_cancelled(self.serve(edges)).await;
        self.store.close().await;
    }

    async fn serve(&mut self, mut edges: mpsc::Receiver<EdgeLink>) {
        let (sender, mut asked) = mpsc::channel(QUEUE_MAX);
        let reads = Arc::new(Semaphore::new(HISTORY_READS_MAX));
        let mut listening = JoinSet::new();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut again = tokio::time::interval(STORE_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = again.tick() => self.make_up().await,
                Some(edge) = edges.recv() => {
                    let listener = Listener {
                        store: self.store.clone(),
                        reads: reads.clone(),
                        asked: sender.clone(),
                        metrics: self.metrics.clone(),
                    };
                    listening.spawn(listener.listen(edge));
                }
                Some(ended) = listening.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "an edge is not listened to any more");
                    }
                }
                _ = asked.recv_many(&mut batch, BATCH_MAX) => {
                    self.take_in(std::mem::take(&mut batch)).await;
                }
            }
        }
    }

    /// Checks, stores, tells everybody, answers.
    async fn take_in(&mut self, batch: Vec<Asked>) {
        let mut changes = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for asked in batch {
            let Some(attempt) = asked.request.attempt() else { continue };
            match self.check(asked.request) {
                Ok(change) => {
                    changes.push(change);
                    waiting.push((attempt, asked.answers, asked.at));
                }
                Err((reason, again)) => {
                    self.refuse(&asked.answers, attempt, reason, again);
                }
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
        for (applied, (attempt, answers, at)) in applied.into_iter().zip(waiting) {
            let id = match applied {
                Applied::Changed(comment) => {
                    self.metrics.stored.inc();
                    if let Some(open) = self.rooms.get_mut(&attempt.broadcast) {
                        open.tell(&comment);
                    }
                    comment.id
                }
                Applied::Already { id } => id,
                Applied::NotYours => {
                    self.refuse(&answers, attempt, Refusal::NotYours, None);
                    continue;
                }
            };
            answer(&answers, &Response::Stored { attempt, id });
            self.metrics.answered.observe(at.elapsed().as_secs_f64());
        }
    }

    fn check(&mut self, request: Request) -> Result<Change, (Refusal, Option<Duration>)> {
        let unknown = (Refusal::UnknownBroadcast, None);
        let now = Instant::now();
        match request {
            Request::Post(post) => {
                let open = self.rooms.get_mut(&post.broadcast).ok_or(unknown)?;
                let at = UtcTime::from(SystemTime::now());
                let t0_ms = open.room.t0_ms.load(Ordering::Relaxed);
                // Who waits for the host talks already, at the very beginning.
                let live_ms = match t0_ms {
                    0 => 0,
                    t0_ms => at.as_millis().saturating_sub(t0_ms),
                };
                let mt = post.mt.unwrap_or(live_ms);
                if mt > live_ms + AHEAD_MAX_MS {
                    return Err((Refusal::MediaTime, None));
                }
                open.rules.post(now, &post.author, &post.client, post.text.as_str())?;
                Ok(Change::Post { post, mt, at })
            }
            Request::Delete { broadcast, client, id, author } => {
                let open = self.rooms.get_mut(&broadcast).ok_or(unknown)?;
                open.rules.change(now, &author, &client)?;
                Ok(Change::Delete { broadcast, client, id, author })
            }
            // Answered where it arrives.
            Request::History { .. } => Err(unknown),
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

impl Open {
    async fn make_up(&mut self, id: &BroadcastId, store: &Store) -> Result<(), store::Error> {
        let Some(told) = self.told else {
            self.told = Some(store.newest(id).await?);
            self.behind = false;
            return Ok(());
        };
        self.behind = false;
        let mut after = told;
        loop {
            let comments = store.changes(id, after, HISTORY_MAX).await.inspect_err(|_| {
                self.behind = true;
            })?;
            comments.iter().for_each(|comment| self.tell(comment));
            match comments.last() {
                Some(last) if comments.len() >= HISTORY_MAX as usize => after = last.seq,
                _ => return Ok(()),
            }
        }
    }

    fn tell(&mut self, comment: &Comment) {
        let record = serde_json::to_vec(comment).expect("plain");
        match self.room.comments.write(record.into()) {
            Ok(()) => self.told = Some(comment.seq),
            Err(error) => {
                tracing::warn!(%error, "a comment was stored and not sent out");
                self.behind = true;
            }
        }
    }
}

fn answer(answers: &Answers, response: &Response) {
    let record = serde_json::to_vec(response).expect("plain");
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    // Fails only once the edge is gone, which asks again over its next connection.
    let _ = answers.write(record.into());
}

/// Reads what one edge asks.
struct Listener {
    store: Store,
    reads: Arc<Semaphore>,
    asked: mpsc::Sender<Asked>,
    metrics: Metrics,
}

impl Listener {
    async fn listen(self, mut edge: EdgeLink) {
        self.metrics.edges.inc();
        let answers = Arc::new(Mutex::new(edge.responses));
        while let Some(record) = edge.requests.recv().await {
            let request = match serde_json::from_slice(&record) {
                Ok(request) => request,
                Err(error) => {
                    self.metrics.malformed.inc();
                    tracing::warn!(edge = edge.name, %error, "a request cannot be read");
                    continue;
                }
            };
            match request {
                // In the way of its later requests, not of other edges'.
                Request::History { broadcast, after } => {
                    self.history(&answers, broadcast, after).await;
                }
                request => {
                    let asked = Asked { request, answers: answers.clone(), at: Instant::now() };
                    if self.asked.send(asked).await.is_err() {
                        break;
                    }
                }
            }
        }
        self.metrics.edges.dec();
    }

    async fn history(&self, answers: &Answers, broadcast: BroadcastId, after: u64) {
        let Ok(_permit) = self.reads.acquire().await else { return };
        match self.store.changes(&broadcast, after, HISTORY_MAX).await {
            Ok(comments) => {
                let complete = comments.len() < HISTORY_MAX as usize;
                let newest = match comments.last().map(|comment| comment.seq) {
                    Some(newest) => newest,
                    None => match self.store.newest(&broadcast).await {
                        Ok(newest) => newest,
                        Err(_) => return,
                    },
                };
                let history = Response::History { broadcast, after, newest, comments, complete };
                answer(answers, &history);
            }
            // The edge asks again after a while.
            Err(error) => tracing::error!(%broadcast, %error, "comments cannot be read"),
        }
    }
}
