//! One viewer's WebSocket: tells it the comments, and takes what it writes.

use std::collections::HashSet;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use lectern_relay_proto::comment::{
    AuthorId, ClientId, Name, Post, Refusal, Request, Response, Text,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Comments;
use super::room::{Next, Reader, Room, message};
use super::said::{Said, Told};

/// How long a player may take to say who it is.
const JOIN_MAX: Duration = Duration::from_secs(5);
/// How long a joiner waits for an edge that does not know yet what was said.
const SETTLE_MAX: Duration = Duration::from_secs(3);
/// How often a silent player is asked whether it is there, and how long it may be silent.
const PING_EACH: Duration = Duration::from_secs(25);
const SILENCE_MAX: Duration = Duration::from_secs(80);
/// Attempts of one player that wait for an answer.
const IN_PROGRESS_MAX: usize = 8;
/// Refusals in a row after which a player is not listened to any more: none of ours writes on.
const REFUSED_MAX: u32 = 50;
/// What a player may send again after having been told that it is too fast.
const TOO_MANY_AGAIN_MS: u32 = 2_000;

/// Close codes of RFC 6455 §7.4.1, and of the IANA registry.
const GOING_AWAY: u16 = 1001;
const AGAINST_THE_RULES: u16 = 1008;

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
}

/// Why a viewer is let go of.
enum End {
    /// It went, or its network did.
    Gone,
    /// The edge goes, or lets go of the broadcast.
    Away,
    /// It does what no player of ours does.
    Rules(&'static str),
}

impl Viewer {
    /// Serves it to its end.
    pub(super) async fn serve(self, mut socket: WebSocket, over: CancellationToken) {
        let metrics = self.comments.metrics.clone();
        metrics.readers.inc();
        let conversing = async {
            match self.join(&mut socket).await {
                Ok(joined) => self.converse(&mut socket, joined).await,
                Err(end) => end,
            }
        };
        let end = over.run_until_cancelled(conversing).await.unwrap_or(End::Away);
        metrics.readers.dec();
        let (code, reason) = match end {
            End::Gone => return,
            End::Away => (GOING_AWAY, "going away"),
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
        let (after, secret) = match said.map_err(|_| End::Rules("silent"))?? {
            Said::Join { after, secret } => (after, secret),
            _ => return Err(End::Rules("malformed")),
        };
        let author = secret.map(|secret| secret.author(&self.room.id));
        // An edge that has just started knows neither what was said nor whether it will be heard.
        self.room.settle(SETTLE_MAX).await;
        let mut reader = self.room.read(after);
        let may_write = self.may_write();
        tell(socket, &self.hello(author.as_ref(), may_write)).await?;
        if !self.catch_up(socket, &mut reader).await? {
            say(socket, message(&[], self.room.is_complete())).await?;
        }
        Ok(Joined { author, reader, may_write })
    }

    /// Tells all that the reader lacks. False if that is nothing.
    async fn catch_up(&self, socket: &mut WebSocket, reader: &mut Reader) -> Result<bool, End> {
        let mut any = false;
        loop {
            let messages = reader.catch_up();
            if messages.is_empty() {
                return Ok(any);
            }
            any = true;
            for message in messages.iter() {
                say(socket, message.clone()).await?;
            }
        }
    }

    async fn converse(&self, socket: &mut WebSocket, joined: Joined) -> End {
        let Joined { author, mut reader, mut may_write } = joined;
        let (sender, mut answers) = mpsc::channel(2 * IN_PROGRESS_MAX);
        let in_progress = HashSet::new();
        let mut desk = Writing { viewer: self, author, sender, in_progress, refused: 0 };
        let mut heard_by_origin = pin!(self.until_it_may_write());
        let mut ping = tokio::time::interval(PING_EACH);
        ping.reset();
        let mut heard = Instant::now();
        loop {
            let done = tokio::select! {
                () = &mut heard_by_origin, if !may_write => {
                    may_write = true;
                    tell(socket, &self.hello(desk.author.as_ref(), true)).await
                }
                news = reader.next() => match news {
                    None => return End::Away,
                    Some(Next::News(news)) => say(socket, news).await,
                    Some(Next::Behind) => self.catch_up(socket, &mut reader).await.map(|_| ()),
                },
                Some(answer) = answers.recv() => {
                    desk.answered(&answer);
                    match Told::of(answer) {
                        Some(told) => tell(socket, &told).await,
                        None => Ok(()),
                    }
                }
                message = socket.recv() => {
                    heard = Instant::now();
                    match read(message) {
                        Ok(None) => Ok(()),
                        Ok(Some(said)) => match desk.take(said) {
                            Ok(None) => Ok(()),
                            Ok(Some(told)) => tell(socket, &told).await,
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

    fn hello(&self, author: Option<&AuthorId>, may_write: bool) -> Told {
        let may_write = author.is_some() && may_write;
        Told::Hello { author: author.cloned(), may_write, t0: self.t0 }
    }

    /// Whether this viewer's page may write, and anybody listens.
    fn may_write(&self) -> bool {
        let uplink = self.comments.uplink.as_ref();
        self.allowed && uplink.is_some_and(|uplink| *uplink.answered().borrow())
    }

    /// Waits until then; for ever if it never will.
    async fn until_it_may_write(&self) {
        if let Some(uplink) = self.comments.uplink.as_ref().filter(|_| self.allowed)
            && uplink.answered().wait_for(|answered| *answered).await.is_ok()
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
}

/// What one viewer writes.
struct Writing<'a> {
    viewer: &'a Viewer,
    author: Option<AuthorId>,
    sender: mpsc::Sender<Response>,
    /// What is not answered yet.
    in_progress: HashSet<ClientId>,
    /// Refusals here since something was taken.
    refused: u32,
}

impl Writing<'_> {
    /// Sends it on, or says what the viewer is told at once.
    fn take(&mut self, said: Said) -> Result<Option<Told>, End> {
        let (client, written) = match said {
            Said::Join { .. } => return Err(End::Rules("malformed")),
            Said::Post { client, mt, user, text } => {
                (client.clone(), self.post(client, mt, &user, &text))
            }
            Said::Delete { client, id } => {
                let author = self.author.clone().ok_or((Refusal::NotAllowed, None));
                let broadcast = self.viewer.room.id.clone();
                let delete =
                    |author| Request::Delete { broadcast, client: client.clone(), id, author };
                (client.clone(), author.map(delete))
            }
        };
        match written.and_then(|request| self.send(request)) {
            Ok(()) => {
                self.refused = 0;
                Ok(None)
            }
            Err(_) if self.refused >= REFUSED_MAX => Err(End::Rules("flood")),
            Err((reason, retry_after_ms)) => {
                self.refused += 1;
                let metrics = &self.viewer.comments.metrics;
                metrics.refused.with_label_values(&[reason.as_str()]).inc();
                Ok(Some(Told::Refused { client, reason, retry_after_ms }))
            }
        }
    }

    fn post(
        &self,
        client: ClientId,
        mt: Option<u64>,
        user: &str,
        text: &str,
    ) -> Result<Request, (Refusal, Option<u32>)> {
        let author = self.author.clone().ok_or((Refusal::NotAllowed, None))?;
        let user = Name::parse(user).map_err(|why| (why, None))?;
        let text = Text::parse(text).map_err(|why| (why, None))?;
        let broadcast = self.viewer.room.id.clone();
        Ok(Request::Post(Post { broadcast, client, mt, user, author, text }))
    }

    fn send(&mut self, request: Request) -> Result<(), (Refusal, Option<u32>)> {
        let comments = &self.viewer.comments;
        let uplink = match &comments.uplink {
            Some(uplink) if self.viewer.allowed => uplink,
            _ => return Err((Refusal::NotAllowed, None)),
        };
        let client = request.attempt().map(|attempt| attempt.client);
        let again = client.as_ref().is_some_and(|client| self.in_progress.contains(client));
        if !again && self.in_progress.len() >= IN_PROGRESS_MAX {
            return Err((Refusal::TooFast, Some(TOO_MANY_AGAIN_MS)));
        }
        comments.admit(self.viewer.client).map_err(|wait| {
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            (Refusal::TooFast, Some(wait_ms))
        })?;
        let asked = uplink.ask(&request, self.sender.clone());
        asked.map_err(|reason| (reason, Some(TOO_MANY_AGAIN_MS)))?;
        self.in_progress.extend(client);
        Ok(())
    }

    fn answered(&mut self, answer: &Response) {
        if let Response::Stored { attempt, .. } | Response::Refused { attempt, .. } = answer {
            self.in_progress.remove(&attempt.client);
        }
    }
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

async fn tell(socket: &mut WebSocket, told: &Told) -> Result<(), End> {
    say(socket, serde_json::to_string(told).expect("plain").into()).await
}

/// Waits for as long as the connection lets a reader read nothing, and no longer.
async fn say(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), End> {
    socket.send(Message::Text(text)).await.map_err(|_| End::Gone)
}
