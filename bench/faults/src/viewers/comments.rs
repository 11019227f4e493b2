//! People who comment: each writes at the pace that the rules allow, says again what was not acknowledged, reads
//! everything, and goes to the other edge when its connection ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::{SinkExt as _, StreamExt as _};
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::outcome::Comments;
use crate::world::{BROADCAST, MODERATOR_KEY};

/// Half of them at each edge.
pub(crate) const WRITERS: usize = 4;
/// The rules let one writer have one every two seconds.
const WRITE_EACH: Duration = Duration::from_millis(2_200);
/// What hears nothing for so long is said again; our player takes ten seconds.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How often it is looked what is to be said again.
const LOOK_EACH: Duration = Duration::from_millis(250);
const CONNECT_MAX: Duration = Duration::from_secs(5);
const BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(4);
/// Without a word for so long a connection is dead: longer than the edge's ping.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long what is on its way in the end may take.
const END_MAX: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(100);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What all of them have done; shared with who asks.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    shared: Arc<Mutex<Shared>>,
    writing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    acknowledged: BTreeSet<String>,
    /// How many there were when it began to count.
    before: usize,
    /// Those of which it was told that they are lost.
    told_lost: BTreeSet<String>,
    /// Written, by writer, and neither acknowledged nor refused for good.
    pending: [usize; WRITERS],
    /// Refused for good, by reason.
    refused: BTreeMap<String, usize>,
    slowest: Duration,
    /// What each has read, by number.
    read: [HashMap<u64, String>; WRITERS],
}

impl Room {
    /// Nobody has written yet.
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), writing: watch::Sender::new(false) }
    }

    /// From now on they write, and it counts.
    pub(crate) fn begin(&self) {
        let mut shared = self.lock();
        (shared.before, shared.slowest) = (shared.acknowledged.len(), Duration::ZERO);
        drop(shared);
        self.writing.send_replace(true);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everything has an answer and everybody has read it, and compares that with what the origin
    /// at `origin` has stored.
    pub(crate) async fn conclude(&self, client: &Client, origin: &str) -> anyhow::Result<Comments> {
        self.writing.send_replace(false);
        let deadline = Instant::now() + END_MAX;
        while !self.lock().is_done() && Instant::now() < deadline {
            sleep(POLL).await;
        }
        let stored = stored(client, origin).await?;
        let mut shared = self.lock();
        let is_lost = |text: &&String| {
            let times = stored.iter().filter(|stored| stored.text == **text).count();
            times != 1 || !shared.read.iter().all(|read| read.values().any(|read| read == *text))
        };
        let lost = shared.acknowledged.iter().filter(is_lost);
        let lost: Vec<String> =
            lost.filter(|text| !shared.told_lost.contains(*text)).cloned().collect();
        for text in lost.iter().take(5) {
            let times = stored.iter().filter(|stored| stored.text == *text).count();
            let read = shared.read.iter().filter(|read| read.values().any(|read| read == text));
            eprintln!(
                "lost: {text:?}: stored {times} times, read by {} of {WRITERS}",
                read.count()
            );
        }
        if !shared.refused.is_empty() {
            eprintln!("comments that were refused: {:?}", shared.refused);
        }
        let count = lost.len();
        shared.told_lost.extend(lost);
        Ok(Comments {
            acknowledged: shared.acknowledged.len() - shared.before,
            lost: count,
            refused: shared.refused.values().sum(),
            unanswered: shared.pending.iter().sum(),
            slowest: shared.slowest,
        })
    }
}

impl Shared {
    fn is_done(&self) -> bool {
        let read_all = |read: &HashMap<u64, String>| {
            let texts: BTreeSet<&String> = read.values().collect();
            self.acknowledged.iter().all(|text| texts.contains(text))
        };
        self.pending.iter().all(|pending| *pending == 0) && self.read.iter().all(read_all)
    }
}

#[derive(Debug, Deserialize)]
struct Stored {
    text: String,
}

/// All comments that an origin has.
async fn stored(client: &Client, origin: &str) -> anyhow::Result<Vec<Stored>> {
    let url = format!("{origin}/api/v1/broadcasts/{BROADCAST}/comments.json");
    let deadline = Instant::now() + END_MAX;
    loop {
        let asked = client.get(&url).bearer_auth(MODERATOR_KEY).send().await;
        match asked {
            Ok(response) if response.status() == 200 => {
                return response.json().await.context("what the origin has is no list");
            }
            other => {
                let why = other.map(|response| response.status().to_string());
                ensure!(Instant::now() < deadline, "the origin does not say what it has: {why:?}");
                sleep(POLL).await;
            }
        }
    }
}

/// Something written that has no answer yet.
struct Pending {
    client: String,
    text: String,
    /// What was on screen.
    media_ms: Option<u64>,
    written: Instant,
    /// When it is said (again).
    due: Instant,
}

struct Writer {
    number: usize,
    room: Room,
    pending: Vec<Pending>,
    written: u64,
    /// All changes up to this are known.
    after: u64,
}

/// Comments as writer `number` until it is dropped.
///
/// What they say was shown on their screens is of `shown`, media time in milliseconds.
pub(crate) async fn comment(
    room: Room,
    number: usize,
    edges: Vec<String>,
    shown: impl Fn() -> Option<u64>,
) {
    let mut writer = Writer { number, room, pending: Vec::new(), written: 0, after: 0 };
    let mut edge = number;
    let mut backoff = BACKOFF;
    loop {
        let url = format!("{}/live/{BROADCAST}/comments", edges[edge % edges.len()]);
        let url = url.replacen("http", "ws", 1);
        let connected = timeout(CONNECT_MAX, tokio_tungstenite::connect_async(url)).await;
        if let Ok(Ok((mut socket, _))) = connected
            && writer.join(&mut socket).await
        {
            let began = Instant::now();
            writer.converse(&mut socket, &shown).await;
            if began.elapsed() > BACKOFF_MAX {
                backoff = BACKOFF;
            }
        }
        // The other edge has the same room.
        edge += 1;
        sleep(backoff.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

impl Writer {
    async fn join(&mut self, socket: &mut Socket) -> bool {
        let secret = format!("secret-of-the-writer-{}", self.number);
        let join = json!({ "type": "join", "after": self.after, "secret": secret });
        // Over a new connection everything is said again.
        let now = Instant::now();
        self.pending.iter_mut().for_each(|pending| pending.due = pending.due.min(now));
        say(socket, &join).await
    }

    async fn converse(&mut self, socket: &mut Socket, shown: &impl Fn() -> Option<u64>) {
        let mut write = interval(WRITE_EACH);
        write.set_missed_tick_behavior(MissedTickBehavior::Delay);
        write.reset_after(WRITE_EACH.mul_f64(rand::random()));
        let mut look = interval(LOOK_EACH);
        let mut may_write = false;
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = socket.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            let Ok(said) = serde_json::from_str::<Value>(&text) else { return };
                            if said["type"] == "hello" {
                                may_write = said["may_write"] == true;
                            }
                            self.hear(&said);
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        _ => return,
                    }
                }
                _ = write.tick() => {
                    if *self.room.writing.borrow() {
                        self.write(shown());
                    }
                }
                _ = look.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return;
                    }
                    if may_write && !self.speak(socket).await {
                        return;
                    }
                }
            }
        }
    }

    fn write(&mut self, media_ms: Option<u64>) {
        self.written += 1;
        let (number, written) = (self.number, self.written);
        let now = Instant::now();
        self.pending.push(Pending {
            client: format!("writer-{number}-{written}"),
            text: format!("Number {written} of writer {number}"),
            media_ms,
            written: now,
            due: now,
        });
        self.room.lock().pending[number] = self.pending.len();
    }

    /// Says what is due.
    async fn speak(&mut self, socket: &mut Socket) -> bool {
        let now = Instant::now();
        let user = format!("Writer {}", self.number);
        for pending in self.pending.iter_mut().filter(|pending| pending.due <= now) {
            pending.due = now + ANSWER_MAX;
            let post = json!({
                "type": "post",
                "client": pending.client,
                "mt": pending.media_ms,
                "user": user,
                "text": pending.text,
            });
            if !say(socket, &post).await {
                return false;
            }
        }
        true
    }

    fn hear(&mut self, said: &Value) {
        let client = said["client"].as_str().unwrap_or_default();
        let at = self.pending.iter().position(|pending| pending.client == client);
        match said["type"].as_str().unwrap_or_default() {
            "comments" => self.read(said),
            "stored" => {
                let Some(at) = at else { return };
                let done = self.pending.remove(at);
                let mut shared = self.room.lock();
                shared.slowest = shared.slowest.max(done.written.elapsed());
                shared.acknowledged.insert(done.text);
                shared.pending[self.number] = self.pending.len();
            }
            "refused" => {
                let Some(at) = at else { return };
                let reason = said["reason"].as_str().unwrap_or_default();
                let again = said["retry_after_ms"].as_u64().map(Duration::from_millis);
                let again = again.or((reason == "unavailable").then_some(Duration::from_secs(1)));
                if let Some(wait) = again {
                    self.pending[at].due = Instant::now() + wait.max(LOOK_EACH);
                    return;
                }
                self.pending.remove(at);
                let mut shared = self.room.lock();
                *shared.refused.entry(reason.to_owned()).or_default() += 1;
                shared.pending[self.number] = self.pending.len();
            }
            _ => {}
        }
    }

    fn read(&mut self, said: &Value) {
        let mut newest = self.after;
        let mut shared = self.room.lock();
        for comment in said["comments"].as_array().into_iter().flatten() {
            let (Some(id), Some(seq)) = (comment["id"].as_u64(), comment["seq"].as_u64()) else {
                continue;
            };
            newest = newest.max(seq);
            let text = comment["text"].as_str().unwrap_or_default().to_owned();
            shared.read[self.number].insert(id, text);
        }
        if said["complete"] == true {
            self.after = newest;
        }
    }
}

/// Says something; `false` if the connection is no good.
async fn say(socket: &mut Socket, what: &Value) -> bool {
    let sent = socket.send(Message::text(what.to_string()));
    matches!(timeout(CONNECT_MAX, sent).await, Ok(Ok(())))
}
