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

/// The points of small order on the curve, and other ways to write them, by their `y` (RFC 7748 §6.1 speaks
/// of the same): for a key that is one of them, some signatures hold that nobody made with any secret.
const SMALL_ORDER: [[u8; 32]; 7] = {
    const fn filled(first: u8, rest: u8, last: u8) -> [u8; 32] {
        let mut y = [rest; 32];
        y[0] = first;
        y[31] = last;
        y
    }
    [
        filled(0, 0, 0),
        filled(1, 0, 0),
        filled(0xec, 0xff, 0x7f),
        filled(0xed, 0xff, 0x7f),
        filled(0xee, 0xff, 0x7f),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

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
        let key: [u8; 32] = bytes.try_into().map_err(|_| Invalid::PublicKey)?;
        let [rest @ .., last] = key;
        let small = |y: &[u8; 32]| y[..31] == rest && y[31] == last & 0x7f;
        if SMALL_ORDER.iter().any(small) { Err(Invalid::WeakKey) } else { Ok(Self(key)) }
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64URL.encode(key.0)
    }
}
