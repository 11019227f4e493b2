//! For the fuzzer: viewer tokens, as anybody sends them and as somebody with a key would sign them, and
//! what of a request carries one.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use lectern_relay_proto::about::{PublicKey, ViewerKey};

use super::carried;
use super::jwt::{BYTES_MAX, Verified};

const NOW_MS: u64 = 1_795_000_000_000;

static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes"));

/// A token, or with a line break a header and claims to be signed.
pub(crate) fn token(bytes: &[u8]) {
    let public: [u8; 32] = PAIR.public_key().as_ref().try_into().expect("32 bytes");
    let kid = "k1".to_owned().try_into().expect("a kid");
    let keys = [ViewerKey { kid, public_key: PublicKey::from(public) }];
    carry(bytes);
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
        let Ok(token) = std::str::from_utf8(bytes) else { return };
        assert!(Verified::read(token, &keys).is_err(), "nobody signed it");
        return;
    };
    let part = |bytes: &[u8]| BASE64URL.encode(bytes);
    let signed = format!("{}.{}", part(&bytes[..at]), part(&bytes[at + 1..]));
    let signature = PAIR.sign(signed.as_bytes());
    let token = format!("{signed}.{}", part(signature.as_ref()));
    let Ok(verified) = Verified::read(&token, &keys) else { return };
    assert!(token.len() <= BYTES_MAX);
    let id = "talk".parse().expect("an id");
    if let Ok(until) = verified.until(&id, &keys, NOW_MS) {
        assert!(until > NOW_MS);
        assert!(verified.until(&id, &keys, until).is_err(), "its time is over then");
        let other = "talks".parse().expect("an id");
        assert!(verified.until(&other, &keys, NOW_MS).is_err());
        for cookie in carried::set_cookies(&token, &id, until - NOW_MS, true) {
            assert!(cookie.to_str().is_ok());
        }
    }
    assert!(verified.until(&id, &[], NOW_MS).is_err());
}

/// What is found is what was there, and nothing of a header that has none.
fn carry(bytes: &[u8]) {
    for name in [AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL] {
        let mut headers = HeaderMap::new();
        let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
        headers.insert(name, value);
        if let Some(found) = carried::token(&headers, None) {
            assert!(!found.by_query && found.token.len() <= bytes.len());
        }
    }
    if let Ok(query) = std::str::from_utf8(bytes)
        && let Some(found) = carried::token(&HeaderMap::new(), Some(query))
    {
        assert!(found.by_query && query.contains(&found.token));
    }
}
