//! What a provider says of a person: the ID token with its signature and its claims (OpenID Connect Core 1.0
//! §3.1.3.7), and what the userinfo endpoint adds (§5.3). Pure: keys and the time are arguments. The
//! signature is a library's; the claims are looked at here, since the library has a clock of its own and takes
//! a list of issuers for one.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{
    AlgorithmParameters as Kind, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Error;

/// How far the provider's clock may be off, seconds.
const LEEWAY_SECS: u64 = 60;
/// Keys of a provider that are looked at: it has two or three.
const KEYS_MAX: usize = 64;
/// Characters of a subject (OpenID Connect Core §2).
const SUBJECT_CHARS_MAX: usize = 255;
/// Whoever has the key to check with must not be able to sign with it: neither `none` nor `HS…` is here.
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What is said of a person, by name.
pub(super) type Claims = Map<String, Value>;

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// Since 1970.
    pub(super) now_secs: u64,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is no token.
    #[error("it cannot be read")]
    Unreadable,
    /// It is signed as anybody could have.
    #[error("its algorithm is not one of those that only the provider can sign with")]
    Algorithm,
    /// The provider does not have the key that it is signed with.
    #[error("the provider has no key for it")]
    NoKey,
    /// It was changed, or is somebody else's.
    #[error("its signature is wrong")]
    Signature,
    /// It says something else than it should.
    #[error("its {0} is not as it should be")]
    Claim(&'static str),
}

/// What a provider signs with.
#[derive(Clone, Debug)]
pub(super) struct Keys(Vec<Jwk>);

impl Keys {
    /// Reads a JWK Set (RFC 7517 §5). Keys of kinds that nobody knows here are passed over.
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(body)
            .map_err(|error| Error::Away(format!("its keys cannot be read: {error}")))?;
        let keys = set.keys.into_iter().take(KEYS_MAX);
        Ok(Self(keys.filter_map(|key| serde_json::from_value(key).ok()).collect()))
    }

    /// The key of this name for this algorithm; without a name, the only one (OpenID Connect Core §10.1).
    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Jwk> {
        let mut found = self.0.iter().filter(|key| fits(key, algorithm)).filter(|key| match kid {
            Some(kid) => key.common.key_id.as_deref() == Some(kid),
            None => true,
        });
        let first = found.next()?;
        if kid.is_none() && found.next().is_some() { None } else { Some(first) }
    }
}

fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    use Algorithm as A;
    let kind = match (&key.algorithm, algorithm) {
        (Kind::RSA(_), A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512) => true,
        (Kind::EllipticCurve(key), A::ES256) => key.curve == EllipticCurve::P256,
        (Kind::EllipticCurve(key), A::ES384) => key.curve == EllipticCurve::P384,
        (Kind::OctetKeyPair(key), A::EdDSA) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let usage = key.common.public_key_use.as_ref();
    kind && usage.is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && key.common.key_algorithm.is_none_or(|of| of == KeyAlgorithm::from(algorithm))
}

/// What `token` says, if the provider says so, to this client, now, and to this browser.
pub(super) fn check(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
) -> Result<Claims, Untrusted> {
    let header = decode_header(token).map_err(|error| match error.kind() {
        // `none` is not even a word to the library.
        ErrorKind::Json(_) => Untrusted::Algorithm,
        _ => Untrusted::Unreadable,
    })?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Untrusted::Algorithm);
    }
    // What must be understood is not (RFC 7515 §4.1.11).
    if header.crit.is_some() {
        return Err(Untrusted::Unreadable);
    }
    let key = keys.find(header.kid.as_deref(), header.alg).ok_or(Untrusted::NoKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Untrusted::NoKey)?;
    let mut signature_alone = Validation::new(header.alg);
    signature_alone.required_spec_claims.clear();
    signature_alone.validate_exp = false;
    signature_alone.validate_aud = false;
    let decoded = decode::<Claims>(token, &key, &signature_alone);
    let claims = decoded.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => Untrusted::Signature,
        _ => Untrusted::Unreadable,
    })?;
    let claims = claims.claims;
    check_claims(&claims, expected)?;
    Ok(claims)
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), Untrusted> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(Untrusted::Claim("iss"));
    }
    let audience: Vec<_> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client_id) {
        return Err(Untrusted::Claim("aud"));
    }
    let authorized = claims.get("azp");
    if authorized.is_some_and(|azp| azp.as_str() != Some(expected.client_id))
        || (audience.len() > 1 && authorized.is_none())
    {
        return Err(Untrusted::Claim("azp"));
    }
    let now = expected.now_secs as f64;
    let leeway = LEEWAY_SECS as f64;
    let time = |name: &str| claims.get(name).and_then(Value::as_f64);
    if !time("exp").is_some_and(|exp| exp > now - leeway) {
        return Err(Untrusted::Claim("exp"));
    }
    if !time("iat").is_some_and(|iat| iat <= now + leeway) {
        return Err(Untrusted::Claim("iat"));
    }
    if claims.contains_key("nbf") && !time("nbf").is_some_and(|nbf| nbf <= now + leeway) {
        return Err(Untrusted::Claim("nbf"));
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(Untrusted::Claim("nonce"));
    }
    let subject = text("sub").unwrap_or_default();
    let fits = (1..=SUBJECT_CHARS_MAX).contains(&subject.chars().count());
    if !fits || subject.chars().any(char::is_control) {
        return Err(Untrusted::Claim("sub"));
    }
    Ok(())
}

/// Adds what the userinfo endpoint says of the same person and the token does not.
pub(super) fn add_userinfo(claims: &mut Claims, body: &[u8]) -> Result<(), Error> {
    let more: Claims = serde_json::from_slice(body)
        .map_err(|error| Error::Away(format!("what it says of somebody is no JSON: {error}")))?;
    // Without this, somebody else's could be put in (OpenID Connect Core §5.3.2).
    if more.get("sub").is_none() || more.get("sub") != claims.get("sub") {
        return Err(Untrusted::Claim("sub").into());
    }
    // What was verified is the address beside it.
    let same_mail = !claims.contains_key("email") || claims.get("email") == more.get("email");
    for (name, value) in more {
        if name != "email_verified" || same_mail {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn good() -> Value {
        json!({"iss": "https://idp.example", "aud": "lectern", "sub": "248289761001",
            "exp": NOW + 300, "iat": NOW, "nonce": "n"})
    }

    fn check(change: Value) -> Result<(), Untrusted> {
        let mut claims = good().as_object().expect("an object").clone();
        claims.extend(change.as_object().expect("an object").clone());
        claims.retain(|_, value| !value.is_null());
        let expected = Expected {
            issuer: "https://idp.example",
            client_id: "lectern",
            nonce: "n",
            now_secs: NOW,
        };
        check_claims(&claims, &expected)
    }

    #[test]
    fn a_token_says_what_it_must() {
        for fine in [
            json!({}),
            json!({"aud": ["lectern"]}),
            json!({"aud": ["other", "lectern"], "azp": "lectern"}),
            json!({"exp": NOW - LEEWAY_SECS + 1}),
            json!({"iat": NOW + LEEWAY_SECS}),
            json!({"exp": NOW as f64 + 0.5, "nbf": NOW}),
        ] {
            assert_eq!(check(fine.clone()), Ok(()), "{fine}");
        }
        for (wrong, claim) in [
            (json!({"iss": "https://idp.example/"}), "iss"),
            (json!({"iss": ["https://idp.example"]}), "iss"),
            (json!({"iss": null}), "iss"),
            (json!({"aud": "other"}), "aud"),
            (json!({"aud": []}), "aud"),
            (json!({"aud": null}), "aud"),
            (json!({"aud": "lectern2"}), "aud"),
            (json!({"aud": ["other", "lectern"]}), "azp"),
            (json!({"aud": ["other", "lectern"], "azp": "other"}), "azp"),
            (json!({"azp": "other"}), "azp"),
            (json!({"azp": 5}), "azp"),
            (json!({"exp": NOW - LEEWAY_SECS}), "exp"),
            (json!({"exp": "never"}), "exp"),
            (json!({"exp": null}), "exp"),
            (json!({"iat": NOW + LEEWAY_SECS + 1}), "iat"),
            (json!({"iat": null}), "iat"),
            (json!({"nbf": NOW + LEEWAY_SECS + 1}), "nbf"),
            (json!({"nbf": "soon"}), "nbf"),
            (json!({"nonce": "m"}), "nonce"),
            (json!({"nonce": null}), "nonce"),
            (json!({"sub": ""}), "sub"),
            (json!({"sub": 5}), "sub"),
            (json!({"sub": "a\nb"}), "sub"),
            (json!({"sub": "x".repeat(256)}), "sub"),
        ] {
            assert_eq!(check(wrong.clone()), Err(Untrusted::Claim(claim)), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_read() {
        let keys = Keys(Vec::new());
        let expected = Expected { issuer: "i", client_id: "c", nonce: "n", now_secs: NOW };
        for token in ["", ".", "..", "a.b", "a.b.c", "e30.e30.", "\0.\0.\0", "....."] {
            assert!(super::check(token, &keys, &expected).is_err(), "{token:?}");
        }
    }

    #[test]
    fn keys_that_nobody_knows_are_passed_over() {
        let set = json!({"keys": [
            {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "a"},
            {"kty": "oct", "k": "AAAA", "kid": "b"},
            {"kty": "PQ", "kid": "c"},
            5,
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "d", "use": "enc"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "e", "alg": "RS512"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "f"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "g", "use": "sig", "alg": "RS256"},
        ]});
        let keys = Keys::read(set.to_string().as_bytes()).expect("a set");
        let found =
            |kid, algorithm| keys.find(kid, algorithm).and_then(|key| key.common.key_id.as_deref());
        for kid in ["a", "b", "c", "d", "e", "none"] {
            assert_eq!(found(Some(kid), Algorithm::RS256), None, "{kid}");
        }
        assert_eq!(found(Some("f"), Algorithm::RS256), Some("f"));
        assert_eq!(found(Some("g"), Algorithm::RS256), Some("g"));
        assert_eq!(found(Some("f"), Algorithm::ES256), None);
        assert_eq!(found(None, Algorithm::RS256), None, "which of two is not said");
        assert_eq!(found(None, Algorithm::PS512), Some("f"), "the only one");
        assert!(Keys::read(b"[]").is_err() && Keys::read(b"{}").is_err());
    }

    #[test]
    fn userinfo_adds_what_the_same_person_is() {
        let claims = |value: Value| value.as_object().expect("an object").clone();
        let mut known = claims(json!({"sub": "a", "email": "a@uni.example"}));
        let more = json!({"sub": "a", "name": "Ada", "email": "b@uni.example",
            "email_verified": true, "groups": ["x"]});
        add_userinfo(&mut known, more.to_string().as_bytes()).expect("the same");
        let all = json!({"sub": "a", "email": "a@uni.example", "name": "Ada", "groups": ["x"]});
        assert_eq!(known, claims(all), "another address was verified");
        let mut known = claims(json!({"sub": "a"}));
        for other in [json!({"sub": "b", "name": "Eve"}), json!({"name": "Eve"}), json!([])] {
            assert!(add_userinfo(&mut known, other.to_string().as_bytes()).is_err(), "{other}");
            assert_eq!(known.len(), 1);
        }
    }
}
