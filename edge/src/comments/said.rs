//! What viewers' players say over the WebSocket, and what they are told: `docs/comments.md`.

use std::net::IpAddr;

use aws_lc_rs::digest;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{
    Action, AddressId, AuthorId, Block, ClientId, Reaction, Refusal, Response,
};
use lectern_relay_proto::net::Tokens;
use serde::{Deserialize, Serialize};

use crate::client::network;

/// What a player says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    /// First.
    Join {
        /// All changes up to this are known.
        #[serde(default)]
        after: u64,
        /// Who it is; without it, one who only reads.
        secret: Option<Secret>,
        /// A moderator's, or what somebody takes for one.
        key: Option<String>,
    },
    /// A comment.
    Post {
        client: ClientId,
        mt: Option<u64>,
        user: String,
        text: String,
        #[serde(default)]
        question: bool,
    },
    /// Takes back a comment.
    Delete { client: ClientId, id: u64 },
    /// That a question be answered.
    Vote { client: ClientId, id: u64, up: bool },
    /// What its viewer feels.
    React { emoji: String, mt: Option<u64> },
    /// That its viewer be on the list of who attends.
    Present { client: ClientId, name: String },
    /// A moderator's.
    Moderate {
        client: ClientId,
        #[serde(flatten)]
        action: Action,
    },
}

/// A writer's secret: 16 to 64 of `a-z A-Z 0-9 - _`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Secret(String);

/// A secret of another shape.
#[derive(Debug, thiserror::Error)]
#[error("a secret is 16 to 64 of a-z A-Z 0-9 - _")]
pub(super) struct BadSecret;

/// What a player is told besides comments.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Told {
    /// First.
    Hello {
        author: Option<AuthorId>,
        may_write: bool,
        t0: Option<u64>,
        reactions: [&'static str; Reaction::EMOJIS.len()],
    },
    /// It is stored.
    Stored { client: ClientId, id: u64, held: bool },
    /// It is not, and why.
    Refused { client: ClientId, reason: Refusal, retry_after_ms: Option<u32> },
    /// Whether it is a moderator's.
    Role { moderator: bool },
    /// Who may not write.
    Blocks { client: ClientId, blocks: Vec<Block> },
}

impl Told {
    /// What a writer is told of the origin's answer.
    pub(super) fn of(response: Response) -> Option<Self> {
        match response {
            Response::Stored { attempt, id, held } => {
                Some(Self::Stored { client: attempt.client, id, held })
            }
            Response::Refused { attempt, reason, retry_after_ms } => {
                Some(Self::Refused { client: attempt.client, reason, retry_after_ms })
            }
            Response::Role { moderator, .. } => Some(Self::Role { moderator }),
            Response::Blocks { attempt, blocks } => {
                Some(Self::Blocks { client: attempt.client, blocks })
            }
            // Who registers does so over HTTP.
            Response::Registered { .. }
            | Response::NotRegistered { .. }
            | Response::History { .. }
            | Response::Clock { .. } => None,
        }
    }
}

impl Secret {
    /// Who that is in this broadcast. Of the secret nothing else is kept, and two broadcasts cannot be
    /// told to have the same writer.
    pub(super) fn author(&self, broadcast: &BroadcastId) -> AuthorId {
        let text = format!("lectern comments\n{broadcast}\n{}", self.0);
        id_of(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }
}

/// Where a client's comments come from: all who write from its address have the same, and of the address
/// nothing else is told.
pub(super) fn address(token: &Tokens, broadcast: &BroadcastId, client: IpAddr) -> AddressId {
    let network = network(client);
    id_of(&token.digest(&format!("lectern comments from\n{broadcast}\n{network}"))).into()
}

fn id_of(digest: &[u8]) -> AuthorId {
    let digits = AuthorId::LEN / 2;
    let hex: String = digest[..digits].iter().map(|byte| format!("{byte:02x}")).collect();
    hex.try_into().expect("hexadecimal digits")
}

impl TryFrom<String> for Secret {
    type Error = BadSecret;

    fn try_from(secret: String) -> Result<Self, BadSecret> {
        let char_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let ok = (16..=64).contains(&secret.len()) && secret.bytes().all(char_ok);
        if ok { Ok(Self(secret)) } else { Err(BadSecret) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
