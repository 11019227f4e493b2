//! A comment, what may stand in one, and what edges and origins say to each other about them.
//!
//! Pure. Both roles check texts by [`Text`] and [`Name`]: the edge to answer at once, the origin
//! because it believes no edge. Order, storage and pace are the origin's; who is shown what, and when,
//! is the edge's and the player's.

#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};

pub use self::text::{Name, Text};
use crate::{BroadcastId, UtcTime};

/// A comment as everybody sees it, in its newest form.
///
/// As JSON it is one line: of the sidecars, of the WebSocket, and of the relay's `comments` track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its place among the broadcast's comments, from 1; no number is left out.
    pub id: u64,
    /// Counts the changes of the broadcast's comments, from 1, without a gap: this is the change that
    /// made it what it is. Who has seen all up to some number lacks what is above.
    pub seq: u64,
    /// The media time that its writer's player showed, ms since T0.
    pub mt: u64,
    /// When the origin took it in, Unix ms.
    #[serde(with = "millis")]
    pub at: UtcTime,
    /// The name that its writer chose.
    pub user: String,
    /// Tells writers of one broadcast apart.
    pub author: AuthorId,
    /// Empty once it is deleted.
    pub text: String,
    /// How often it has changed since it was written.
    pub rev: u32,
    /// It is not to be shown any more.
    pub deleted: bool,
}

/// Tells writers of one broadcast apart, and says nothing else of them: a digest of a secret that
/// only the writer's browser has, and of the broadcast's id. 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AuthorId(String);

/// Names one attempt of a viewer's to write, so that sending it again does no harm. 1 to 64 of
/// `a-z A-Z 0-9 -`, to be chosen at random by the viewer's player.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

/// An id with other characters, or another length, than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: of other characters, or of another length, than it may have")]
pub struct InvalidId;

/// What an edge says to its origin, on its track `comments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// A viewer wrote something.
    Post(Post),
    /// A viewer takes back what they wrote.
    Delete {
        /// The broadcast.
        broadcast: BroadcastId,
        /// This attempt.
        client: ClientId,
        /// Which comment.
        id: u64,
        /// Who says so.
        author: AuthorId,
    },
    /// The edge lacks changes, because it joined or because some were lost on the way.
    History {
        /// The broadcast.
        broadcast: BroadcastId,
        /// It has all changes up to this.
        after: u64,
    },
}

/// What a viewer wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// This attempt.
    pub client: ClientId,
    /// The media time that the player showed, ms since T0; `None` if it showed nothing.
    pub mt: Option<u64>,
    /// The writer's name.
    pub user: Name,
    /// Who wrote it.
    pub author: AuthorId,
    /// What.
    pub text: Text,
}

/// What an origin says to one of its edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Response {
    /// What was asked for is stored, and will not be lost.
    Stored {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// The comment.
        id: u64,
    },
    /// It is not stored; or nobody knows, if the reason is [`Refusal::Unavailable`].
    Refused {
        /// What was asked.
        #[serde(flatten)]
        attempt: Attempt,
        /// Why.
        reason: Refusal,
        /// When the same may be tried again, if ever, in ms.
        retry_after_ms: Option<u32>,
    },
    /// Changes in order, as many as one answer holds.
    History {
        /// The broadcast.
        broadcast: BroadcastId,
        /// As it was asked.
        after: u64,
        /// The newest change that there is; less than `after` if the comments began anew.
        newest: u64,
        /// Each comment that changed, in the order of `seq`.
        comments: Vec<Comment>,
        /// Whether these are all there are; otherwise the edge asks for more.
        complete: bool,
    },
}

/// Why a comment is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Nothing that can be seen.
    #[error("there is nothing in it")]
    Empty,
    /// More characters, bytes or lines than allowed.
    #[error("it is too long")]
    TooLong,
    /// Control characters.
    #[error("it has control characters")]
    ControlCharacters,
    /// Characters that cannot be seen, or turn the text around them.
    #[error("it has hidden characters, or such as turn text around")]
    HiddenCharacters,
    /// Marks piled upon marks.
    #[error("it has marks piled upon marks")]
    StackedMarks,
    /// Links are not for the audience to give.
    #[error("it has a link in it")]
    Link,
    /// The same author wrote the same a moment ago.
    #[error("the same was written a moment ago")]
    Repeated,
    /// The author writes too fast.
    #[error("comments come too fast from one writer")]
    TooFast,
    /// More is written than anybody could read, or than is in progress at once.
    #[error("too much is being written at once")]
    Busy,
    /// The media time is one that nobody can have seen.
    #[error("its media time is in the future")]
    MediaTime,
    /// No such broadcast, or none that has begun.
    #[error("there is no such broadcast")]
    UnknownBroadcast,
    /// No such comment, or another's.
    #[error("it is no comment of this writer's")]
    NotYours,
    /// Pages of this site may only read.
    #[error("this site may only read")]
    NotAllowed,
    /// The origin cannot store it now.
    #[error("it cannot be stored now")]
    Unavailable,
}

/// One attempt of one writer's: what an answer is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The broadcast.
    pub broadcast: BroadcastId,
    /// The writer.
    pub author: AuthorId,
    /// The attempt.
    pub client: ClientId,
}

impl Request {
    /// What is to be answered; `None` for a question about history.
    pub fn attempt(&self) -> Option<Attempt> {
        let (broadcast, author, client) = match self {
            Self::Post(post) => (&post.broadcast, &post.author, &post.client),
            Self::Delete { broadcast, client, author, .. } => (broadcast, author, client),
            Self::History { .. } => return None,
        };
        let (broadcast, author, client) = (broadcast.clone(), author.clone(), client.clone());
        Some(Attempt { broadcast, author, client })
    }
}

impl Refusal {
    /// As it stands in JSON and in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::ControlCharacters => "control-characters",
            Self::HiddenCharacters => "hidden-characters",
            Self::StackedMarks => "stacked-marks",
            Self::Link => "link",
            Self::Repeated => "repeated",
            Self::TooFast => "too-fast",
            Self::Busy => "busy",
            Self::MediaTime => "media-time",
            Self::UnknownBroadcast => "unknown-broadcast",
            Self::NotYours => "not-yours",
            Self::NotAllowed => "not-allowed",
            Self::Unavailable => "unavailable",
        }
    }
}

impl AuthorId {
    /// How many hexadecimal digits it has.
    pub const LEN: usize = 16;

    /// The id as it stands in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AuthorId {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if id.len() == Self::LEN && id.bytes().all(digit) { Ok(Self(id)) } else { Err(InvalidId) }
    }
}

impl From<AuthorId> for String {
    fn from(id: AuthorId) -> Self {
        id.0
    }
}

impl ClientId {
    /// The id as it stands in JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientId {
    type Error = InvalidId;

    fn try_from(id: String) -> Result<Self, InvalidId> {
        let char_ok = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let ok = (1..=64).contains(&id.len()) && id.bytes().all(char_ok);
        if ok { Ok(Self(id)) } else { Err(InvalidId) }
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::UtcTime;

    pub(super) fn serialize<S: Serializer>(time: &UtcTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UtcTime, D::Error> {
        u64::deserialize(from).map(UtcTime::from_millis)
    }
}
