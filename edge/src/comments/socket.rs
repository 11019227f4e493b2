//! One viewer's WebSocket: tells it the comments, and takes what it writes.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use lectern_relay_proto::comment::{AuthorId, Reaction};
use tokio_util::sync::CancellationToken;

use super::Comments;
use super::room::{Next, Reader, Room};
use super::said::{Said, Told};
use super::writing::Writing;

/// How long a player may take to say who it is.
const JOIN_MAX: Duration = Duration::from_secs(5);
/// How long a joiner, or who asks for a file, waits for an edge that does not know yet what was said.
pub(super) const SETTLE_MAX: Duration = Duration::from_secs(3);
/// How often a silent player is asked whether it is there, and how long it may be silent.
const PING_EACH: Duration = Duration::from_secs(25);
const SILENCE_MAX: Duration = Duration::from_secs(80);

/// Close codes of RFC 6455 §7.4.1, and of the IANA registry.
const GOING_AWAY: u16 = 1001;
const AGAINST_THE_RULES: u16 = 1008;
/// Of those for private use (§7.4.2), after the status of HTTP.
const NOT_AUTHORIZED: u16 = 4401;

/// A viewer that is connected.
pub(super) struct Viewer {
    pub(super) comments: Arc<Comments>,
    pub(super) room: Arc<Room>,
    /// Whom it comes from.
    pub(super) client: IpAddr,
    /// Its page is one that may write.
    pub(super) allowed: bool,
    /// T0, Unix ms, once the broadcast has begun.
    pub(super) t0: Option<u64>,
    /// When its right to watch ends, if it does.
    pub(super) until: Option<Instant>,
}

/// Why a viewer is let go of.
pub(super) enum End {
    /// It went, or its network did.
    Gone,
    /// The edge goes, or lets go of the broadcast.
    Away,
    /// Its token has expired.
    Expired,
    /// It does what no player of ours does.
    Rules(&'static str),
}

impl Viewer {
    /// Serves it to its end.
    pub(super) async fn serve(self, mut socket: WebSocket, over: CancellationToken) {
        let metrics = self.comments.metrics.clone();
        metrics.readers.inc();
        let until = self.until;
        let conversing = async {
            match self.join(&mut socket).await {
                Ok(joined) => self.converse(&mut socket, joined).await,
                Err(end) => end,
            }
        };
        let expiring = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            end = over.run_until_cancelled(conversing) => end.unwrap_or(End::Away),
            () = expiring => End::Expired,
        };
        metrics.readers.dec();
        let (code, reason) = match end {
            End::Gone => return,
            End::Away => (GOING_AWAY, "going away"),
            End::Expired => (NOT_AUTHORIZED, "token-expired"),
            End::Rules(reason) => {
                metrics.expelled.with_label_values(&[reason]).inc();
                (AGAINST_THE_RULES, reason)
            }
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        let closing = socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(JOIN_MAX, closing).await;
    }

    async fn join(&self, socket: &mut WebSocket) -> Result<Joined, End> {
        let said = tokio::time::timeout(JOIN_MAX, next(socket)).await;
        let (after, secret, key) = match said.map_err(|_| End::Rules("silent"))?? {
            Said::Join { after, secret, key } => (after, secret, key),
            _ => return Err(End::Rules("malformed")),
        };
        let author = secret.map(|secret| secret.author(&self.room.id));
        // An edge that has just started knows neither what was said nor whether it will be heard.
        self.room.settle(SETTLE_MAX).await;
        let mut reader = self.room.read(after);
        let may_write = self.may_write();
        tell(socket, &self.hello(author.as_ref(), may_write)).await?;
        self.catch_up(socket, &mut reader).await?;
        Ok(Joined { author, reader, may_write, key })
    }

    /// Tells all that the reader lacks, and what is in force now.
    async fn catch_up(&self, socket: &mut WebSocket, reader: &mut Reader) -> Result<(), End> {
        loop {
            let messages = reader.catch_up();
            if messages.is_empty() {
                return say(socket, reader.state()).await;
            }
            for message in messages.iter() {
                say(socket, message.clone()).await?;
            }
        }
    }

    async fn converse(&self, socket: &mut WebSocket, joined: Joined) -> End {
        let Joined { author, mut reader, mut may_write, key } = joined;
        let (mut writing, mut answers) = Writing::new(self, author, key);
        let mut heard_by_origin = pin!(self.until_it_may_write());
        let mut ping = tokio::time::interval(PING_EACH);
        ping.reset();
        let mut heard = Instant::now();
        loop {
            let done = tokio::select! {
                () = &mut heard_by_origin, if !may_write => {
                    may_write = true;
                    tell(socket, &self.hello(writing.author(), true)).await
                }
                () = writing.time_to_ask_for_role() => writing.ask_for_role().tell(socket).await,
                news = reader.next() => match news {
                    None => return End::Away,
                    Some(Next::News(news)) => say(socket, news).await,
                    Some(Next::Behind) => self.catch_up(socket, &mut reader).await,
                },
                Some(answer) = answers.recv() => {
                    let told = writing.answered(answer);
                    let promoted = matches!(told, Some(Told::Role { moderator: true }));
                    match told.tell(socket).await {
                        Ok(()) if promoted => self.promote(socket, &mut reader).await,
                        done => done,
                    }
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    match read(message) {
                        Ok(None) => Ok(()),
                        Ok(Some(said)) => match writing.take(said) {
                            Ok(told) => told.tell(socket).await,
                            Err(end) => Err(end),
                        },
                        Err(end) => Err(end),
                    }
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return End::Gone;
                    }
                    socket.send(Message::Ping(Default::default())).await.map_err(|_| End::Gone)
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Tells what is held, and from now on as it comes.
    async fn promote(&self, socket: &mut WebSocket, reader: &mut Reader) -> Result<(), End> {
        for held in reader.become_moderator() {
            say(socket, held).await?;
        }
        self.catch_up(socket, reader).await
    }

    fn hello(&self, author: Option<&AuthorId>, may_write: bool) -> Told {
        let may_write = author.is_some() && may_write;
        Told::Hello { author: author.cloned(), may_write, t0: self.t0, reactions: Reaction::EMOJIS }
    }

    /// Whether this viewer's page may write, and anybody listens.
    fn may_write(&self) -> bool {
        let upward = self.comments.upward.as_ref();
        self.allowed && upward.is_some_and(|upward| *upward.uplink.answered().borrow())
    }

    /// Waits until then; for ever if it never will.
    async fn until_it_may_write(&self) {
        if let Some(upward) = self.comments.upward.as_ref().filter(|_| self.allowed)
            && upward.uplink.answered().wait_for(|answered| *answered).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// A viewer that has said who it is, and been told whether it may write.
struct Joined {
    author: Option<AuthorId>,
    reader: Reader,
    may_write: bool,
    key: Option<String>,
}

/// The next thing that a player says.
async fn next(socket: &mut WebSocket) -> Result<Said, End> {
    loop {
        if let Some(said) = read(socket.recv().await)? {
            return Ok(said);
        }
    }
}

/// What a message says; `None` if it says nothing to us.
fn read(message: Option<Result<Message, axum::Error>>) -> Result<Option<Said>, End> {
    match message {
        Some(Ok(Message::Text(text))) => {
            serde_json::from_str(&text).map(Some).map_err(|_| End::Rules("malformed"))
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(End::Rules("malformed")),
        // Too long, not UTF-8, no frame, or broken off.
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Gone),
    }
}

/// What there is to tell, if anything.
trait Tell {
    async fn tell(self, socket: &mut WebSocket) -> Result<(), End>;
}

impl Tell for Option<Told> {
    async fn tell(self, socket: &mut WebSocket) -> Result<(), End> {
        match self {
            Some(told) => tell(socket, &told).await,
            None => Ok(()),
        }
    }
}

async fn tell(socket: &mut WebSocket, told: &Told) -> Result<(), End> {
    say(socket, serde_json::to_string(told).expect("plain").into()).await
}

/// Waits for as long as the connection lets a reader read nothing, and no longer.
async fn say(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
    socket.send(Message::Text(text)).await.map_err(|_| End::Gone)
}
