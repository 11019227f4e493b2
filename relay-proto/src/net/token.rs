//! The shared secret by which an origin knows its edges.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// The query key that carries the token in the request path of a session.
const QUERY_KEY: &str = "token";

/// A shared secret between an origin and its edges.
///
/// It travels inside the encrypted session, in the request path of MoQ's SETUP, so any MoQ client can
/// present it by dialling `/?token=…`. It never shows in `Debug`, logs or errors.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretText")]
pub struct Token(String);

/// The text of a secret in a configuration. If it is not text, the error does not repeat it.
pub struct SecretText(pub String);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = SecretText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
                Ok(SecretText(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretText, E> {
                Err(E::custom("a secret must be text: put it in quotes"))
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretText, E> {
                self.visit_i64(0)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretText, E> {
                self.visit_i64(0)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// The token is empty, too long, or has characters that a URL query would have to escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relay token is 1 to 256 of a-z A-Z 0-9 - . _ ~")]
pub struct InvalidToken;

impl Token {
    /// The longest token.
    pub const LEN_MAX: usize = 256;

    /// The request path by which a subscriber presents the token.
    pub(super) fn request_path(&self) -> String {
        format!("/?{QUERY_KEY}={}", self.0)
    }

    /// A digest of `text` that only those can make who have the token (HMAC-SHA-256, RFC 2104).
    pub fn digest(&self, text: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(hmac::sign(&key, text.as_bytes()).as_ref());
        digest
    }

    /// Whether `path`, as a stranger sent it, presents this token. The comparison takes the same
    /// time wherever the two differ.
    pub(super) fn is_presented_by(&self, path: &str) -> bool {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let presented = pairs.find(|(key, _)| *key == QUERY_KEY).map_or("", |(_, value)| value);
        let (ours, theirs) = (self.0.as_bytes(), presented.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(ours, theirs).is_ok()
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        let unreserved =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        if (1..=Self::LEN_MAX).contains(&token.len()) && token.bytes().all(unreserved) {
            Ok(Self(token.to_owned()))
        } else {
            Err(InvalidToken)
        }
    }
}

impl TryFrom<SecretText> for Token {
    type Error = InvalidToken;

    fn try_from(token: SecretText) -> Result<Self, Self::Error> {
        token.0.parse()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_accepted() {
        let token: Token = "s3cret-and_long".parse().expect("valid");
        assert!(token.is_presented_by(&token.request_path()));
        assert!(token.is_presented_by("/live?x=1&token=s3cret-and_long"));
        for wrong in ["", "/", "/?token=", "/?token=s3cret", "/?token=s3cret-and_longer", "?=&&"] {
            assert!(!token.is_presented_by(wrong), "{wrong}");
        }
        assert!(!token.is_presented_by("/?token=S3cret-and_long"));
        assert!(!token.is_presented_by("/?token=x&token=s3cret-and_long"));
    }

    #[test]
    fn a_token_is_what_a_query_can_carry() {
        for wrong in ["", "a b", "a&b", "ä", &"a".repeat(257)] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let token: Token = "s3cret".parse().expect("valid");
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
