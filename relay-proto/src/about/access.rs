//! Who may watch: everybody who finds it, everybody who has the link, or who has a token that one of
//! these keys signed. Reading tokens is the edge's, signing them the origin's or somebody else's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};

use super::{Invalid, Limited, Named};

/// Who may watch a broadcast. One that is not known here is refused, never taken for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody, and the lobby lists it.
    #[default]
    Public,
    /// Everybody who has the link.
    Unlisted,
    /// Who has a viewer token for it.
    Token,
}

impl Visibility {
    /// Whether the lobby lists it.
    pub fn is_public(&self) -> bool {
        *self == Self::Public
    }
}

/// The keys of a broadcast: enough for a rotation at several issuers.
pub type ViewerKeys = Limited<ViewerKey, 16>;

/// A key by which an edge checks viewer tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewerKey {
    /// Its name, which tokens carry.
    pub kid: Kid,
    /// The key.
    pub public_key: PublicKey,
}

impl Named for ViewerKey {
    fn name(&self) -> String {
        self.kid.0.clone()
    }
}

/// The name of a key: 1 to 64 of `a-z A-Z 0-9 - _`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Kid(String);

impl Kid {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Kid {
    type Error = Invalid;

    fn try_from(kid: String) -> Result<Self, Invalid> {
        let char_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let ok = (1..=64).contains(&kid.len()) && kid.bytes().all(char_ok);
        if ok { Ok(Self(kid)) } else { Err(Invalid::Kid) }
    }
}

impl From<Kid> for String {
    fn from(kid: Kid) -> Self {
        kid.0
    }
}

/// An Ed25519 public key (RFC 8032 §5.1.5), written in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key as the signature's algorithm takes it.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for PublicKey {
    fn from(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        // Some tools fill it up with `=`, as base64 has it.
        let bytes = BASE64URL.decode(text.trim_end_matches('=')).map_err(|_| Invalid::PublicKey)?;
        bytes.try_into().map(Self).map_err(|_| Invalid::PublicKey)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64URL.encode(key.0)
    }
}
