//! Somebody who signs viewer tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use lectern_relay_proto::about::{PublicKey, ViewerKey};
use serde_json::{Value, json};

/// The present, Unix s, where nothing looks at a clock.
pub(crate) const NOW_S: u64 = 1_795_000_000;

pub(crate) struct Issuer {
    kid: String,
    pair: Ed25519KeyPair,
}

impl Issuer {
    /// With a key of its own.
    pub(crate) fn new(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        Self { kid: kid.to_owned(), pair }
    }

    /// What a catalog has of it.
    pub(crate) fn key(&self) -> ViewerKey {
        let public: [u8; 32] = self.pair.public_key().as_ref().try_into().expect("32 bytes");
        let kid = self.kid.clone().try_into().expect("a kid");
        ViewerKey { kid, public_key: PublicKey::from(public) }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "EdDSA", "kid": self.kid}), claims)
    }

    pub(crate) fn sign_as(&self, header: &Value, claims: &Value) -> String {
        sign_with(&header.to_string(), claims, |text| self.signature(text))
    }

    pub(crate) fn signature(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

/// A token with whatever for a signature.
pub(crate) fn sign_with(
    header: &str,
    claims: &Value,
    signature: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims.to_string()));
    let signature = BASE64URL.encode(signature(signed.as_bytes()));
    format!("{signed}.{signature}")
}
