//! What one viewer writes: checked, sent on to the origin, and answered.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::bucket::{Bucket, Rate};
use lectern_relay_proto::comment::{
    AddressId, Attempt, AuthorId, ClientId, ModeratorKey, Name, Post, Refusal, Request, Response,
    Text,
};
use rand::Rng as _;
use tokio::sync::mpsc;

use super::crowd::Attending;
use super::said::{self, Said, Told};
use super::socket::{End, Viewer};

/// Attempts of one player that wait for an answer.
const IN_PROGRESS_MAX: usize = 32;
/// Refusals in a row after which a player is not listened to any more: none of ours writes on.
const REFUSED_MAX: u32 = 50;
/// What a player may send again after having been told that it is too fast.
const TOO_MANY_AGAIN_MS: u32 = 500;
/// When the origin is asked again whether this is a moderator, after it could not say.
const ROLE_AGAIN: Duration = Duration::from_secs(3);
/// How often one viewer may feel something.
const REACTIONS: Rate = Rate { burst: 5, each: Duration::from_millis(500) };

/// How far from the present one may feel something about the picture: a player's window.
const REACTIONS_MAX_MS: u64 = 150_000;

/// What one viewer writes.
pub(super) struct Writing<'a> {
    viewer: &'a Viewer,
    author: Option<AuthorId>,
    address: Option<AddressId>,
    role: Role,
    /// Names the question whether this is a moderator.
    role_client: ClientId,
    sender: mpsc::Sender<Response>,
    /// What is not answered yet.
    in_progress: HashSet<ClientId>,
    /// Refusals here since something was taken.
    refused: u32,
    feels: Bucket,
    attending: Option<Attending>,
}

/// What is known of a moderator's key.
enum Role {
    /// There is none, or it is wrong.
    None,
    /// The origin is to be asked then. What cannot be a key, it need not be.
    ToAsk(Option<ModeratorKey>, Instant),
    /// It has been asked.
    Asked(ModeratorKey),
    /// It is the right one.
    Moderator(ModeratorKey),
}

/// Why something is not sent on, and when to try again, ms.
type Refused = (Refusal, Option<u32>);

impl<'a> Writing<'a> {
    /// Nothing written yet, and where answers arrive.
    pub(super) fn new(
        viewer: &'a Viewer,
        author: Option<AuthorId>,
        key: Option<String>,
    ) -> (Self, mpsc::Receiver<Response>) {
        let (sender, answers) = mpsc::channel(2 * IN_PROGRESS_MAX);
        let now = Instant::now();
        let upward = viewer.comments.upward.as_ref();
        let address =
            |upward: &super::Upward| said::address(&upward.token, &viewer.room.id, viewer.client);
        let role_client = format!("role-{:016x}", rand::rng().random::<u64>());
        let writing = Self {
            viewer,
            author,
            address: upward.map(address),
            role: key.map_or(Role::None, |key| Role::ToAsk(key.try_into().ok(), now)),
            role_client: role_client.try_into().expect("letters and digits"),
            sender,
            in_progress: HashSet::new(),
            refused: 0,
            feels: Bucket::full(&REACTIONS, now),
            attending: None,
        };
        (writing, answers)
    }

    /// Who writes.
    pub(super) fn author(&self) -> Option<&AuthorId> {
        self.author.as_ref()
    }

    /// Sends it on, or says what the viewer is told at once.
    pub(super) fn take(&mut self, said: Said) -> Result<Option<Told>, End> {
        let (client, request) = match said {
            Said::Join { .. } => return Err(End::Rules("malformed")),
            Said::React { emoji, mt } => {
                self.react(&emoji, mt);
                return Ok(None);
            }
            Said::Present { client, name } => {
                let attends = self.attend(&name);
                return self.refuse(client, attends);
            }
            Said::Post { client, mt, user, text, question } => {
                (client.clone(), self.post(client, mt, &user, &text, question))
            }
            Said::Delete { client, id } => {
                let delete = |attempt| Request::Delete { attempt, id, key: self.key().cloned() };
                (client.clone(), self.attempt(client).map(delete))
            }
            Said::Vote { client, id, up } => {
                let vote = |(attempt, address)| Request::Vote { attempt, id, address, up };
                let from = self.attempt(client.clone()).and_then(|it| Ok((it, self.address()?)));
                (client, from.map(vote))
            }
            Said::Moderate { client, action } => {
                let key = self.key().cloned().ok_or((Refusal::NotModerator, None));
                let attempt = self.attempt(client.clone());
                let request = attempt
                    .and_then(|attempt| Ok(Request::Moderate { attempt, key: key?, action }));
                (client, request)
            }
        };
        let sent = request.and_then(|request| self.send(&request));
        self.refuse(client, sent)
    }

    /// Says what was refused, and lets go of whoever writes on and on.
    fn refuse(&mut self, client: ClientId, sent: Result<(), Refused>) -> Result<Option<Told>, End> {
        match sent {
            Ok(()) => {
                self.refused = 0;
                Ok(None)
            }
            Err(_) if self.refused >= REFUSED_MAX => Err(End::Rules("flood")),
            Err((reason, retry_after_ms)) => {
                self.refused += 1;
                self.count_refused(reason);
                Ok(Some(Told::Refused { client, reason, retry_after_ms }))
            }
        }
    }

    /// What the viewer is told of the origin's answer.
    pub(super) fn answered(&mut self, answer: Response) -> Option<Told> {
        let client = &answer.attempt()?.client;
        self.in_progress.remove(client);
        if let Role::Asked(key) = &self.role
            && *client == self.role_client
        {
            let key = key.clone();
            return self.role_answered(key, &answer);
        }
        Told::of(answer)
    }

    /// Waits until the origin is to be asked whether this is a moderator; for ever if it is not to be.
    pub(super) async fn time_to_ask_for_role(&self) {
        match &self.role {
            Role::ToAsk(_, at) => tokio::time::sleep_until((*at).into()).await,
            _ => std::future::pending().await,
        }
    }

    /// Asks. What the viewer is told, if it cannot be one.
    pub(super) fn ask_for_role(&mut self) -> Option<Told> {
        let Role::ToAsk(key, _) = std::mem::replace(&mut self.role, Role::None) else {
            return None;
        };
        let Some(key) = key else { return Some(Told::Role { moderator: false }) };
        let attempt = self.attempt(self.role_client.clone());
        let request = attempt.map(|attempt| Request::Role { attempt, key: key.clone() });
        match request.and_then(|request| self.send(&request)) {
            Ok(()) => {
                self.role = Role::Asked(key);
                None
            }
            Err((_, Some(_))) => {
                self.role = Role::ToAsk(Some(key), Instant::now() + ROLE_AGAIN);
                None
            }
            Err(_) => Some(Told::Role { moderator: false }),
        }
    }

    fn role_answered(&mut self, key: ModeratorKey, answer: &Response) -> Option<Told> {
        let moderator = matches!(answer, Response::Role { moderator: true, .. });
        if let Response::Refused { retry_after_ms: Some(_), .. } = answer {
            self.role = Role::ToAsk(Some(key), Instant::now() + ROLE_AGAIN);
            return None;
        }
        self.role = if moderator { Role::Moderator(key) } else { Role::None };
        Some(Told::Role { moderator })
    }

    fn post(
        &self,
        client: ClientId,
        mt: Option<u64>,
        user: &str,
        text: &str,
        question: bool,
    ) -> Result<Request, Refused> {
        let attempt = self.attempt(client)?;
        let user = Name::parse(user).map_err(|why| (why, None))?;
        let text = Text::parse(text).map_err(|why| (why, None))?;
        let (address, key) = (self.address()?, self.key().cloned());
        Ok(Request::Post(Post { attempt, address, key, mt, user, text, question }))
    }

    fn react(&mut self, emoji: &str, mt: Option<u64>) {
        let now = Instant::now();
        let may = self.viewer.allowed && self.author.is_some();
        if may && self.feels.ready(&REACTIONS, now).is_ok() && self.admit().is_ok() {
            self.feels.take();
            let live_ms = self.live_ms();
            // What nobody sees any more, or yet, would keep others' from being told.
            let seen = |mt: u64| live_ms.is_none_or(|live| live.abs_diff(mt) <= REACTIONS_MAX_MS);
            if mt.is_none_or(seen) && self.viewer.room.crowd.react(emoji, mt) {
                return;
            }
        }
        self.viewer.comments.metrics.reactions_dropped.inc();
    }

    /// Media time now, as far as this edge's clock tells it; `None` if the broadcast had not begun when
    /// this viewer came.
    fn live_ms(&self) -> Option<u64> {
        let now = UtcTime::from(SystemTime::now());
        self.viewer.t0.map(|t0| now.as_millis().saturating_sub(t0))
    }

    fn attend(&mut self, name: &str) -> Result<(), Refused> {
        let author = self.author.clone().ok_or((Refusal::NotAllowed, None))?;
        if !self.viewer.allowed || !self.viewer.room.keeps_attendance() {
            return Err((Refusal::NotAllowed, None));
        }
        let name = Name::parse(name).map_err(|why| (why, None))?;
        self.admit()?;
        let busy = (Refusal::Busy, Some(TOO_MANY_AGAIN_MS));
        self.attending = Some(Attending::begin(&self.viewer.room, author, name).ok_or(busy)?);
        Ok(())
    }

    fn send(&mut self, request: &Request) -> Result<(), Refused> {
        let comments = &self.viewer.comments;
        let uplink = match &comments.upward {
            Some(upward) if self.viewer.allowed => &upward.uplink,
            _ => return Err((Refusal::NotAllowed, None)),
        };
        let client = request.attempt().map(|attempt| attempt.client.clone());
        let again = client.as_ref().is_some_and(|client| self.in_progress.contains(client));
        if !again && self.in_progress.len() >= IN_PROGRESS_MAX {
            return Err((Refusal::TooFast, Some(TOO_MANY_AGAIN_MS)));
        }
        self.admit()?;
        let asked = uplink.ask(request, self.sender.clone());
        asked.map_err(|reason| (reason, Some(TOO_MANY_AGAIN_MS)))?;
        self.in_progress.extend(client);
        Ok(())
    }

    /// Whether this client may write now.
    fn admit(&self) -> Result<(), Refused> {
        self.viewer.comments.admit(self.viewer.client).map_err(|wait| {
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            (Refusal::TooFast, Some(wait_ms))
        })
    }

    fn attempt(&self, client: ClientId) -> Result<Attempt, Refused> {
        let author = self.author.clone().ok_or((Refusal::NotAllowed, None))?;
        Ok(Attempt { broadcast: self.viewer.room.id.clone(), author, client })
    }

    fn address(&self) -> Result<AddressId, Refused> {
        self.address.clone().ok_or((Refusal::NotAllowed, None))
    }

    fn key(&self) -> Option<&ModeratorKey> {
        match &self.role {
            Role::Moderator(key) => Some(key),
            _ => None,
        }
    }

    fn count_refused(&self, reason: Refusal) {
        let metrics = &self.viewer.comments.metrics;
        metrics.refused.with_label_values(&[reason.as_str()]).inc();
    }
}
