//! Signs viewer tokens (JWT, RFC 7519, with Ed25519 as RFC 8037 has it). Checking them is the edges'.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use lectern_relay_proto::about::{Kid, PublicKey};
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::Serialize;

use super::records::{KeySource, ViewerKey};
use super::secret;

/// A key that signs viewer tokens.
pub struct SigningKey {
    kid: Kid,
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

/// What a token says (RFC 7519 §4), with the broadcast that it opens.
#[derive(Serialize)]
struct Claims<'a> {
    broadcast: &'a str,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    kid: &'a str,
}

impl SigningKey {
    /// A new one.
    pub fn generate() -> Self {
        let kid = Kid::try_from(secret::id()).expect("base64url is a kid");
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("random bytes");
        Self::of(kid, pkcs8.as_ref().to_vec()).expect("just made")
    }

    /// What [`SigningKey::secret`] gave; `None` if it is not that.
    pub fn parse(kid: Kid, secret: &str) -> Option<Self> {
        Self::of(kid, BASE64URL.decode(secret).ok()?)
    }

    fn of(kid: Kid, pkcs8: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        Some(Self { kid, pair, pkcs8 })
    }

    /// What has to be kept to sign with it again.
    pub fn secret(&self) -> String {
        BASE64URL.encode(&self.pkcs8)
    }

    /// What everybody may know.
    pub fn public(&self, created: UtcTime) -> ViewerKey {
        let bytes: [u8; 32] = self.pair.public_key().as_ref().try_into().expect("32 bytes");
        ViewerKey {
            kid: self.kid.clone(),
            public_key: PublicKey::from(bytes),
            created_at: created.into(),
            retired_at: None,
            source: KeySource::Own,
        }
    }

    /// A token with which one may watch `broadcast` until `expires`.
    pub fn sign(&self, broadcast: &BroadcastId, expires: UtcTime, sub: Option<&str>) -> String {
        let header = Header { alg: "EdDSA", typ: "JWT", kid: self.kid.as_str() };
        let exp = expires.as_millis() / 1_000;
        let claims = Claims { broadcast: broadcast.as_str(), exp, sub };
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

fn part(value: &impl Serialize) -> String {
    BASE64URL.encode(serde_json::to_vec(value).expect("plain"))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_token_is_signed_by_the_key_that_was_kept() {
        let made = SigningKey::generate();
        let key = SigningKey::parse(made.kid.clone(), &made.secret()).expect("kept");
        let public = made.public(UtcTime::from_millis(0));
        let id: BroadcastId = "algebra-1".parse().expect("an id");
        let token = key.sign(&id, UtcTime::from_millis(1_795_000_000_999), Some("ada"));
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let signature = BASE64URL.decode(signature).expect("base64url");
        let check = UnparsedPublicKey::new(&ED25519, public.public_key.as_bytes());
        assert!(check.verify(signed.as_bytes(), &signature).is_ok());
        let (header, claims) = signed.split_once('.').expect("two parts");
        let read = |part| String::from_utf8(BASE64URL.decode(part).expect("base64url")).unwrap();
        let kid = made.kid.as_str();
        assert_eq!(read(header), format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#));
        assert_eq!(read(claims), r#"{"broadcast":"algebra-1","exp":1795000000,"sub":"ada"}"#);
        assert!(SigningKey::parse(made.kid, "nonsense").is_none());
    }
}
