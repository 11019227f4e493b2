//! What browsers and programs present to be let in: made of chance here, kept as a digest only.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use rand::RngCore as _;

/// Bytes of chance in a secret: nobody guesses it from its digest.
const BYTES: usize = 32;
/// The same in an identifier, of which nothing depends on its not being guessed.
const ID_BYTES: usize = 9;
/// Characters of a secret that are shown to tell it from others.
const HINT_CHARS: usize = 4;

/// A new secret, which begins with `prefix`: so people, and programs that look for leaked secrets, know
/// what they have.
pub fn generate(prefix: &str) -> String {
    format!("{prefix}{}", random::<BYTES>())
}

/// A new identifier.
pub fn id() -> String {
    random::<ID_BYTES>()
}

/// What is kept of a secret: SHA-256 in base64url.
pub fn digest(secret: &str) -> String {
    BASE64URL.encode(digest::digest(&digest::SHA256, secret.as_bytes()))
}

/// The last characters of a secret.
pub fn hint(secret: &str) -> String {
    let skip = secret.chars().count().saturating_sub(HINT_CHARS);
    secret.chars().skip(skip).collect()
}

fn random<const N: usize>() -> String {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    BASE64URL.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_known_by_their_digest() {
        let (one, other) = (generate("lec_"), generate("lec_"));
        assert_ne!(one, other);
        assert!(one.starts_with("lec_") && one.len() == 4 + 43);
        assert_eq!(digest(&one), digest(&one));
        assert_ne!(digest(&one), digest(&other));
        assert_eq!(hint("lec_abcdef"), "cdef");
        assert_eq!(hint("é"), "é");
    }
}
