//! A viewer token: a JWT (RFC 7519) in JWS compact form (RFC 7515 §3.1), signed with Ed25519. Pure; the
//! time and the keys are arguments.
//!
//! There is one algorithm here, and nothing that a token says chooses another: `alg` must be the word
//! `EdDSA` (RFC 8037 §3.1), whatever else it says the token is refused, and a key is never anything but
//! an Ed25519 public key. This is read here and not by a library because what is left is three parts,
//! two small JSON objects and one signature of the library that does all our cryptography, and because
//! such a library brings a choice of algorithms, its own clock, and no opinion on `crit`.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::about::{Kid, PublicKey, ViewerKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest token that is read, in bytes: a cookie holds 4096 with its name and attributes.
pub(super) const BYTES_MAX: usize = 2_048;
/// How far the clocks of edges and of those who sign may be apart.
pub(super) const LEEWAY_MS: u64 = 5_000;
const ALGORITHM: &str = "EdDSA";
/// The longest name of a viewer.
const SUBJECT_BYTES_MAX: usize = 255;
/// Later than any date that means something, and what a number of JSON holds exactly.
const DATE_S_MAX: f64 = 9_007_199_254_740_991.0;

/// A token with a signature of one of the keys.
#[derive(Debug)]
pub(super) struct Verified {
    claims: Claims,
    kid: Kid,
    key: PublicKey,
}

/// Why a token does not let its holder in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no token, or none of these keys signed it. The word is for the log of somebody who wonders.
    Invalid(&'static str),
    /// It was for another broadcast.
    Broadcast,
    /// Its time has not come.
    Early,
    /// Its time is over.
    Expired,
}

/// RFC 7515 §4.1.
#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    /// What must be understood to read it, of which nothing is (§4.1.11).
    crit: Option<IgnoredAny>,
}

/// RFC 7519 §4.1, and the broadcast.
#[derive(Debug, Deserialize)]
struct Claims {
    broadcast: BroadcastId,
    exp: Date,
    nbf: Option<Date>,
    #[serde(default, rename = "sub")]
    _subject: Option<Subject>,
}

/// A NumericDate (RFC 7519 §2) in Unix ms.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "f64")]
struct Date(u64);

impl TryFrom<f64> for Date {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        if !(0.0..=DATE_S_MAX).contains(&seconds) {
            return Err("not a date");
        }
        Ok(Self((seconds * 1_000.0) as u64))
    }
}

/// Who holds it: bounded, and not asked for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Subject;

impl TryFrom<String> for Subject {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.len() <= SUBJECT_BYTES_MAX { Ok(Self) } else { Err("too long") }
    }
}

impl Verified {
    /// Reads a token that one of `keys` signed. Costs one check of a signature at most.
    pub(super) fn read(token: &str, keys: &[ViewerKey]) -> Result<Self, Fault> {
        let invalid = Fault::Invalid;
        if token.len() > BYTES_MAX {
            return Err(invalid("longer than any"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(invalid("not three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(invalid("not three parts"))?;
        let decode = |part: &str| BASE64URL.decode(part).map_err(|_| invalid("not base64url"));
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let header: Header<'_> =
            serde_json::from_slice(&header).map_err(|_| invalid("its header is not one"))?;
        if header.alg != ALGORITHM {
            return Err(invalid("not signed with EdDSA"));
        }
        if header.crit.is_some() {
            return Err(invalid("it wants something understood that is not"));
        }
        let key = keys.iter().find(|key| key.kid.as_str() == header.kid);
        let ViewerKey { kid, public_key } = key.ok_or(invalid("no key of this kid"))?;
        UnparsedPublicKey::new(&ED25519, public_key.as_bytes())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| invalid("the signature is not of this key"))?;
        let claims =
            serde_json::from_slice(&claims).map_err(|_| invalid("its claims are not those"))?;
        Ok(Self { claims, kid: kid.clone(), key: *public_key })
    }

    /// Until when it lets its holder watch `id`, Unix ms, if the broadcast still has its key.
    pub(super) fn until(
        &self,
        id: &BroadcastId,
        keys: &[ViewerKey],
        now_ms: u64,
    ) -> Result<u64, Fault> {
        if !keys.iter().any(|key| key.kid == self.kid && key.public_key == self.key) {
            return Err(Fault::Invalid("its key was withdrawn"));
        }
        if self.claims.broadcast != *id {
            return Err(Fault::Broadcast);
        }
        let Date(exp) = self.claims.exp;
        let until = exp.saturating_add(LEEWAY_MS);
        if until <= now_ms {
            return Err(Fault::Expired);
        }
        if self.claims.nbf.is_some_and(|Date(nbf)| nbf > now_ms.saturating_add(LEEWAY_MS)) {
            return Err(Fault::Early);
        }
        Ok(until)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Issuer, NOW_S, sign_with};
    use super::*;

    fn judge(token: &str, issuer: &Issuer) -> Result<u64, Fault> {
        let keys = [issuer.key()];
        let id = "talk".parse().unwrap();
        Verified::read(token, &keys).and_then(|token| token.until(&id, &keys, NOW_S * 1_000))
    }

    fn claims(more: Value) -> Value {
        let mut claims = json!({"broadcast": "talk", "exp": NOW_S + 60});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    }

    #[test]
    fn a_good_one_is_good_until_it_expires() {
        let issuer = Issuer::new("k1");
        let until = |more: Value| judge(&issuer.sign(&claims(more)), &issuer);
        let minute = Ok((NOW_S + 60) * 1_000 + LEEWAY_MS);
        assert_eq!(until(json!({})), minute);
        assert_eq!(until(json!({"sub": "ada", "nbf": NOW_S - 1, "iss": "lms"})), minute);
        assert_eq!(until(json!({"nbf": NOW_S + 4})), minute);
        assert_eq!(until(json!({"exp": NOW_S as f64 + 0.5})), Ok(NOW_S * 1_000 + 500 + LEEWAY_MS));
        assert_eq!(until(json!({"exp": NOW_S - 4})), Ok(NOW_S * 1_000 + 1_000));
        assert_eq!(until(json!({"exp": NOW_S - 5})), Err(Fault::Expired));
        assert_eq!(until(json!({"nbf": NOW_S + 6})), Err(Fault::Early));
        assert_eq!(until(json!({"broadcast": "talks"})), Err(Fault::Broadcast));
    }

    #[test]
    fn claims_of_another_shape_are_no_claims() {
        let issuer = Issuer::new("k1");
        for more in [
            json!({"exp": null}),
            json!({"exp": "9999999999"}),
            json!({"exp": -1}),
            json!({"exp": 1e300}),
            json!({"nbf": "soon"}),
            json!({"broadcast": ["talk"]}),
            json!({"broadcast": "*"}),
            json!({"sub": "x".repeat(256)}),
            json!({"sub": 7}),
        ] {
            let judged = judge(&issuer.sign(&claims(more.clone())), &issuer);
            assert_eq!(judged, Err(Fault::Invalid("its claims are not those")), "{more}");
        }
        for claims in
            [json!({"broadcast": "talk"}), json!({"exp": NOW_S + 60}), json!([]), json!(1)]
        {
            assert!(matches!(judge(&issuer.sign(&claims), &issuer), Err(Fault::Invalid(_))));
        }
    }

    #[test]
    fn no_header_gets_around_the_signature() {
        let issuer = Issuer::new("k1");
        let claims = claims(json!({}));
        let with = |header: Value| judge(&issuer.sign_as(&header, &claims), &issuer);
        assert!(with(json!({"alg": "EdDSA", "kid": "k1", "typ": "JWT"})).is_ok());
        for (header, why) in [
            (json!({"alg": "none", "kid": "k1"}), "not signed with EdDSA"),
            (json!({"alg": "eddsa", "kid": "k1"}), "not signed with EdDSA"),
            (json!({"alg": "HS256", "kid": "k1"}), "not signed with EdDSA"),
            (json!({"alg": ["EdDSA"], "kid": "k1"}), "its header is not one"),
            (json!({"alg": "EdDSA"}), "its header is not one"),
            (json!({"kid": "k1"}), "its header is not one"),
            (json!({"alg": "EdDSA", "kid": "k2"}), "no key of this kid"),
            (json!({"alg": "EdDSA", "kid": "k1", "crit": ["exp"]}), "it wants something"),
            (json!({"alg": "EdDSA", "kid": "k1", "crit": 1}), "it wants something"),
        ] {
            match with(header.clone()) {
                Err(Fault::Invalid(word)) if word.starts_with(why) => {}
                other => panic!("{header}: {other:?}"),
            }
        }
        // Twice the same is neither.
        let twice = sign_with(r#"{"alg":"none","alg":"EdDSA","kid":"k1"}"#, &claims, |text| {
            issuer.signature(text)
        });
        assert_eq!(judge(&twice, &issuer), Err(Fault::Invalid("its header is not one")));
        // The public key as the secret of another algorithm, and as that of this one.
        let secret = |text: &[u8]| {
            let key = aws_lc_rs::hmac::Key::new(
                aws_lc_rs::hmac::HMAC_SHA256,
                issuer.key().public_key.as_bytes(),
            );
            aws_lc_rs::hmac::sign(&key, text).as_ref().to_vec()
        };
        for (alg, why) in [("HS256", "not signed with EdDSA"), ("EdDSA", "the signature is not")] {
            let forged = sign_with(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#), &claims, secret);
            match judge(&forged, &issuer) {
                Err(Fault::Invalid(word)) if word.starts_with(why) => {}
                other => panic!("{alg}: {other:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_a_token_may_be_changed() {
        let issuer = Issuer::new("k1");
        let good = issuer.sign(&claims(json!({})));
        assert!(judge(&good, &issuer).is_ok());
        assert!(matches!(judge(&good, &Issuer::new("k1")), Err(Fault::Invalid(_))), "another key");
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(matches!(judge(&changed, &issuer), Err(Fault::Invalid(_))), "{at}");
        }
        let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for odd in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}."),
            format!("{header}.{claims}.{signature}."),
            format!("{header}.{claims}.{signature}="),
            format!("{header}.{claims}.{signature}.{signature}"),
            format!(" {good}"),
            format!("{good}\u{e9}"),
            "a".repeat(BYTES_MAX + 1),
        ] {
            assert!(matches!(judge(&odd, &issuer), Err(Fault::Invalid(_))), "{odd}");
        }
    }

    #[test]
    fn a_key_that_is_withdrawn_takes_its_tokens_with_it() {
        let (issuer, other) = (Issuer::new("k1"), Issuer::new("k1"));
        let id = "talk".parse().unwrap();
        let token = Verified::read(&issuer.sign(&claims(json!({}))), &[issuer.key()]).unwrap();
        assert!(token.until(&id, &[issuer.key()], NOW_S * 1_000).is_ok());
        for keys in [vec![], vec![other.key()]] {
            let judged = token.until(&id, &keys, NOW_S * 1_000);
            assert_eq!(judged, Err(Fault::Invalid("its key was withdrawn")));
        }
    }
}
