//! What viewers' players say over the WebSocket, and what they are told: `docs/comments.md`.

use aws_lc_rs::digest;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::comment::{AuthorId, ClientId, Refusal, Response};
use serde::{Deserialize, Serialize};

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
    },
    /// A comment.
    Post { client: ClientId, mt: Option<u64>, user: String, text: String },
    /// Takes back a comment.
    Delete { client: ClientId, id: u64 },
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
    Hello { author: Option<AuthorId>, may_write: bool, t0: Option<u64> },
    /// It is stored.
    Stored { client: ClientId, id: u64 },
    /// It is not, and why.
    Refused { client: ClientId, reason: Refusal, retry_after_ms: Option<u32> },
}

impl Told {
    /// What a writer is told of the origin's answer.
    pub(super) fn of(response: Response) -> Option<Self> {
        match response {
            Response::Stored { attempt, id } => Some(Self::Stored { client: attempt.client, id }),
            Response::Refused { attempt, reason, retry_after_ms } => {
                Some(Self::Refused { client: attempt.client, reason, retry_after_ms })
            }
            Response::History { .. } => None,
        }
    }
}

impl Secret {
    /// Who that is in this broadcast. Of the secret nothing else is kept, and two broadcasts cannot be
    /// told to have the same writer.
    pub(super) fn author(&self, broadcast: &BroadcastId) -> AuthorId {
        let text = format!("lectern comments\n{broadcast}\n{}", self.0);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let hex: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        hex.try_into().expect("sixteen hexadecimal digits")
    }
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
