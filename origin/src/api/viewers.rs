//! Links for viewers of broadcasts that need a token, and the keys that sign them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::UtcTime;
use lectern_relay_proto::about::{Kid, PublicKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::asked::{Json, List, Named};
use super::caller::{Caller, Part};
use super::problem::{NotChanged, Problem, Refused};
use crate::control::records::{KeySource, Scope, ViewerKey};
use crate::control::secret;
use crate::control::viewer_token::SigningKey;
use crate::instant::Instant;

/// For how long a token may be good, seconds.
const EXPIRES_IN_SECS: std::ops::RangeInclusive<u64> = 60..=31_536_000;
/// For how long a moderator may make one.
const MODERATOR_EXPIRES_SECS_MAX: u64 = 8 * 3_600;
/// Whom a token is for, at most; edges take no more than 255 bytes.
const SUBJECT_CHARS_MAX: usize = 120;
const SUBJECT_BYTES_MAX: usize = 255;

/// A key by which edges check viewer tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = ViewerKey)]
pub(super) struct ViewerKeyBody {
    /// Its name, which tokens carry.
    kid: String,
    /// Ed25519, in base64url.
    public_key: String,
    source: KeySource,
    created_at: Instant,
    retired_at: Option<Instant>,
}

impl From<ViewerKey> for ViewerKeyBody {
    fn from(key: ViewerKey) -> Self {
        Self {
            kid: key.kid.as_str().to_owned(),
            public_key: key.public_key.into(),
            source: key.source,
            created_at: key.created_at,
            retired_at: key.retired_at,
        }
    }
}

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewViewerKey {
    /// One that signs tokens elsewhere: Ed25519, 32 bytes in base64url. Without it, one is made here.
    public_key: Option<String>,
    /// Its name in tokens, 1 to 64 of `a-z A-Z 0-9 - _`; made without.
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$")]
    kid: Option<String>,
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewViewerToken {
    #[schema(minimum = 60, maximum = 31_536_000)]
    expires_in_secs: u64,
    /// Whom it is for.
    #[schema(max_length = 120)]
    subject: Option<String>,
}

/// What a viewer is given.
#[derive(Serialize, ToSchema)]
pub(super) struct ViewerTokenBody {
    token: String,
    /// Where to watch with it.
    url: String,
    expires_at: Instant,
}

/// The keys by which edges check viewer tokens.
#[utoipa::path(get, path = "/viewer-keys", tag = "viewers",
    responses((status = 200, body = List<ViewerKeyBody>), Refused))]
pub(super) async fn keys(
    State(site): State<Arc<Site>>,
    caller: Caller,
) -> Result<Answer<List<ViewerKeyBody>>, Problem> {
    manage(&caller)?;
    let keys = site.control.store().viewer_keys().await?;
    Ok(Answer(List::whole(keys.into_iter().map(|(key, _)| key.into()).collect())))
}

/// Adds a key. Tokens of those before it stay good: to rotate, add one, and retire the one before
/// when its tokens have expired.
#[utoipa::path(post, path = "/viewer-keys", tag = "viewers", request_body = NewViewerKey,
    responses((status = 201, body = ViewerKeyBody), Refused, NotChanged))]
pub(super) async fn add_key(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Json(new): Json<NewViewerKey>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    let now = UtcTime::from(SystemTime::now());
    let (key, secret) = match new.public_key {
        Some(public_key) => {
            let kid = new.kid.unwrap_or_else(secret::id);
            let kid = Kid::try_from(kid).map_err(|error| Problem::invalid_field("kid", error))?;
            let public_key = PublicKey::try_from(public_key)
                .map_err(|error| Problem::invalid_field("public_key", error))?;
            let source = KeySource::Imported;
            let created_at = now.into();
            (ViewerKey { kid, public_key, created_at, retired_at: None, source }, None)
        }
        None if new.kid.is_some() => {
            return Err(Problem::invalid_field(
                "kid",
                "a key that is made here has a name of ours",
            ));
        }
        None => {
            let key = SigningKey::generate();
            (key.public(now), Some(key.secret()))
        }
    };
    site.control.add_viewer_key(key.clone(), secret).await?;
    Ok((StatusCode::CREATED, Answer(ViewerKeyBody::from(key))).into_response())
}

/// Retires a key: tokens that it signed are refused from now on.
#[utoipa::path(delete, path = "/viewer-keys/{kid}", tag = "viewers", params(("kid" = String, Path)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn retire_key(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(kid): Named<String>,
) -> Result<StatusCode, Problem> {
    manage(&caller)?;
    site.control.retire_viewer_key(&kid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a token with which one may watch a broadcast, and a link that carries it.
#[utoipa::path(post, path = "/broadcasts/{id}/viewer-tokens", tag = "viewers",
    params(("id" = String, Path)), request_body = NewViewerToken,
    responses((status = 201, body = ViewerTokenBody), Refused, NotChanged))]
pub(super) async fn create_token(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Json(new): Json<NewViewerToken>,
) -> Result<Response, Problem> {
    caller.needs(Scope::ViewersWrite)?;
    // Moderators must be let in themselves; for an evening, and not to hand out.
    let own = new.expires_in_secs <= MODERATOR_EXPIRES_SECS_MAX;
    let least = if own { Part::Moderator } else { Part::Host };
    let (listed, _) = caller.broadcast(&site, &id, least).await?;
    if listed.provisioned {
        let detail =
            "edges know this broadcast's keys from the configuration file: sign its tokens there";
        return Err(Problem::conflict(detail));
    }
    if !EXPIRES_IN_SECS.contains(&new.expires_in_secs) {
        return Err(Problem::invalid_field("expires_in_secs", "60 to 31536000, which is a year"));
    }
    let too_long = |subject: &String| {
        subject.chars().count() > SUBJECT_CHARS_MAX || subject.len() > SUBJECT_BYTES_MAX
    };
    if new.subject.as_ref().is_some_and(too_long) {
        let detail = format!(
            "at most {SUBJECT_CHARS_MAX} characters, and {SUBJECT_BYTES_MAX} bytes of UTF-8"
        );
        return Err(Problem::invalid_field("subject", detail));
    }
    let expires = UtcTime::from(SystemTime::now()) + Duration::from_secs(new.expires_in_secs);
    let key = site.control.signing_key().await?;
    let token = key.sign(&listed.broadcast.id, expires, new.subject.as_deref());
    // In the part of an address that no server sees.
    let url = format!("{}{}#token={token}", site.watch_url, listed.broadcast.id);
    let body = ViewerTokenBody { token, url, expires_at: expires.into() };
    Ok((StatusCode::CREATED, Answer(body)).into_response())
}

fn manage(caller: &Caller) -> Result<(), Problem> {
    caller.needs(Scope::ViewersWrite)?;
    caller.needs_admin()
}
