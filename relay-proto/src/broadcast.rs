//! The public name of a broadcast.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The playback id of a broadcast: public, and different from any stream key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BroadcastId(String);

/// The name is empty, too long, or has characters that a URL path would have to escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a broadcast id is 1 to 64 of a-z A-Z 0-9 - _")]
pub struct InvalidBroadcastId;

impl BroadcastId {
    /// The id as it stands in URLs and relay paths.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BroadcastId {
    type Err = InvalidBroadcastId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let char_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if (1..=64).contains(&id.len()) && id.bytes().all(char_ok) {
            Ok(Self(id.to_owned()))
        } else {
            Err(InvalidBroadcastId)
        }
    }
}

impl TryFrom<String> for BroadcastId {
    type Error = InvalidBroadcastId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

impl From<BroadcastId> for String {
    fn from(id: BroadcastId) -> Self {
        id.0
    }
}

impl fmt::Display for BroadcastId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
