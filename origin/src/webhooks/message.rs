//! What a webhook is told, and the signature by which it knows who tells it (Standard Webhooks 1.0, symmetric).

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lectern_relay_proto::about::{About, Title};
use lectern_relay_proto::{BroadcastId, UtcTime};
use rand::RngCore as _;
use serde::Serialize;

use super::news::Data;
use crate::control::records::WebhookEvent;
use crate::doctor::{Finding, Severity, Value};
use crate::instant::Instant;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of chance in it.
const SECRET_BYTES: usize = 32;

#[derive(Serialize)]
struct Message<'a> {
    r#type: &'static str,
    timestamp: Instant,
    data: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    broadcast: Option<Broadcast<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<FoundBody<'a>>,
}

/// A finding, as the API has it.
#[derive(Serialize)]
struct FoundBody<'a> {
    code: &'a str,
    severity: Severity,
    since: Instant,
    title: &'a str,
    detail: &'a str,
    remedy: &'a str,
    params: &'a BTreeMap<&'static str, Value>,
}

#[derive(Serialize)]
struct Broadcast<'a> {
    id: &'a str,
    title: Option<&'a str>,
    state: &'static str,
    /// Since when it is in this state.
    since: Option<Instant>,
}

/// What is told of an event, as JSON.
pub(super) fn body(
    event: WebhookEvent,
    at: UtcTime,
    id: &BroadcastId,
    about: Option<&About>,
    data: &Data,
) -> String {
    let title = about.and_then(|about| about.title.as_ref()).map(Title::as_str);
    let broadcast = Broadcast {
        id: id.as_str(),
        title,
        state: data.state.as_str(),
        since: data.since.map(Instant::from),
    };
    let told = Told { broadcast: Some(broadcast), finding: data.finding.as_ref().map(found) };
    write(&Message { r#type: event.as_str(), timestamp: at.into(), data: told })
}

fn found(finding: &Finding) -> FoundBody<'_> {
    FoundBody {
        code: finding.code,
        severity: finding.severity,
        since: UtcTime::from_millis(finding.since_ms).into(),
        title: &finding.title,
        detail: &finding.detail,
        remedy: &finding.remedy,
        params: &finding.params,
    }
}

/// That nothing has happened.
pub(super) fn test(at: UtcTime) -> String {
    let told = Told { broadcast: None, finding: None };
    write(&Message { r#type: WebhookEvent::Test.as_str(), timestamp: at.into(), data: told })
}

fn write(message: &Message<'_>) -> String {
    serde_json::to_string(message).expect("plain")
}

/// A secret that nobody has.
pub(crate) fn new_secret() -> String {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    format!("{SECRET_PREFIX}{}", BASE64.encode(bytes))
}

/// The value of `webhook-signature`; `None` if the secret is none.
pub(super) fn sign(secret: &str, id: &str, seconds: u64, body: &str) -> Option<String> {
    let key = BASE64.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Some(format!("v1,{}", BASE64.encode(tag)))
}

/// Why nobody answered, for people. Nothing of what a stranger's server says is in it.
pub(super) fn failure(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let untrusted = std::iter::from_fn(|| {
        let this = cause?;
        cause = this.source();
        Some(this)
    })
    .any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause.is::<rustls::Error>() || io.is_some_and(|inner| inner.is::<rustls::Error>())
    });
    if untrusted {
        "its certificate is not trusted, or it does not speak TLS as it should"
    } else if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "nobody answers there"
    } else {
        "it broke off before it had answered"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed =
            sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(sign("MfKQ", "a", 1, "{}"), None);
        assert_eq!(sign("whsec_!", "a", 1, "{}"), None);
    }

    #[test]
    fn secrets_differ_and_sign() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one, other);
        assert_ne!(sign(&one, "a", 1, "{}"), sign(&other, "a", 1, "{}"));
        assert_ne!(sign(&one, "a", 1, "{}"), sign(&one, "a", 2, "{}"));
    }
}
