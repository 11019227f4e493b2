//! A comment, what may stand in one, and what edges and origins say to each other about them.
//!
//! Pure. Both roles check texts by [`Text`] and [`Name`]: the edge to answer at once, the origin
//! because it believes no edge. Order, storage and pace are the origin's; who is shown what, and when,
//! is the edge's and the player's.

mod felt;
mod link;
mod refusal;
mod registration;
#[cfg(test)]
mod tests;
mod text;

use serde::{Deserialize, Serialize};

pub use self::felt::Felt;
pub use self::link::{
    Action, Attempt, Attendee, Block, News, Post, Reaction, Request, Response, Settings, Viewers,
    Whom,
};
pub use self::refusal::Refusal;
pub use self::registration::NotRegistered;
pub use self::text::{Name, Text};
use crate::UtcTime;

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
    /// What else there is to say of it.
    #[serde(flatten)]
    pub marks: Marks,
}

/// What sets a comment apart from others. In JSON each is left out where it is false, or zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Its writer is a moderator.
    #[serde(skip_serializing_if = "is_default")]
    pub moderator: bool,
    /// It is a question, which others may want answered.
    #[serde(skip_serializing_if = "is_default")]
    pub question: bool,
    /// How many do.
    #[serde(skip_serializing_if = "is_default")]
    pub votes: u32,
    /// A moderator says that it is answered.
    #[serde(skip_serializing_if = "is_default")]
    pub answered: bool,
    /// It stands above the others. Of a broadcast's comments one at a time.
    #[serde(skip_serializing_if = "is_default")]
    pub pinned: bool,
    /// It waits for a moderator, and is for moderators only.
    #[serde(skip_serializing_if = "is_default")]
    pub held: bool,
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

/// Where comments come from: a digest of a client's address, or of its IPv6 /64, that only those can make
/// who know the relay token. 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "AuthorId", into = "AuthorId")]
pub struct AddressId(AuthorId);

/// What makes its holder a moderator of a broadcast. 16 to 64 of `a-z A-Z 0-9 - _`; no log shows it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModeratorKey(String);

/// An id with other characters, or another length, than it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: of other characters, or of another length, than it may have")]
pub struct InvalidId;

/// A key that could be guessed, or does not fit into an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moderator's key is 16 to 64 of a-z A-Z 0-9 - _")]
pub struct InvalidKey;

impl AuthorId {
    /// How many hexadecimal digits it has.
    pub const LEN: usize = 16;

    /// Somebody who writes nothing, and so is told apart from nobody.
    pub fn nobody() -> Self {
        Self("0".repeat(Self::LEN))
    }

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

impl From<AuthorId> for AddressId {
    fn from(digits: AuthorId) -> Self {
        Self(digits)
    }
}

impl From<AddressId> for AuthorId {
    fn from(id: AddressId) -> Self {
        id.0
    }
}

impl AddressId {
    /// The id as it stands in JSON.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl ModeratorKey {
    /// Whether `other` is this key. How long that takes tells nothing of where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        let differing = self.0.bytes().zip(other.0.bytes()).fold(0, |bits, (a, b)| bits | (a ^ b));
        self.0.len() == other.0.len() && differing == 0
    }
}

impl TryFrom<String> for ModeratorKey {
    type Error = InvalidKey;

    fn try_from(key: String) -> Result<Self, InvalidKey> {
        let char_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let ok = (16..=64).contains(&key.len()) && key.bytes().all(char_ok);
        if ok { Ok(Self(key)) } else { Err(InvalidKey) }
    }
}

impl From<ModeratorKey> for String {
    fn from(key: ModeratorKey) -> Self {
        key.0
    }
}

impl std::fmt::Debug for ModeratorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ModeratorKey(…)")
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
