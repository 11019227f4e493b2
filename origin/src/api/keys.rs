//! Stream keys of a broadcast.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::UtcTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::asked::{Json, List, ListQuery, Named, Query};
use super::caller::{Caller, Part};
use super::problem::{NotChanged, Problem, Refused};
use crate::control::Listed;
use crate::control::records::{KeyUse, Scope, StreamKey};
use crate::control::secret;
use crate::control::store::Page;

/// What a label has at most.
const LABEL_CHARS_MAX: usize = 80;

/// A key to publish with.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamKey)]
pub(super) struct KeyBody {
    #[serde(flatten)]
    listed: StreamKey,
    /// The key itself, only where it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// A new key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 80)]
    label: String,
    #[serde(default = "primary", rename = "use")]
    usage: KeyUse,
}

fn primary() -> KeyUse {
    KeyUse::Primary
}

/// The stream keys of a broadcast.
#[utoipa::path(get, path = "/broadcasts/{id}/keys", tag = "keys",
    params(("id" = String, Path), ListQuery),
    responses((status = 200, body = List<KeyBody>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<KeyBody>>, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let limit = query.limit()?;
    if listed.provisioned {
        return Ok(Answer(List::whole(vec![of_the_file(&listed)])));
    }
    let page = Page { after: query.after(), limit: limit + 1 };
    let keys = site.control.store().keys(&listed.broadcast.id, page).await?;
    let keys = keys.into_iter().map(|listed| KeyBody { listed, key: None }).collect();
    Ok(Answer(List::cut(keys, limit, |body: &KeyBody| body.listed.id.clone())))
}

/// Makes a stream key, which is shown this once.
#[utoipa::path(post, path = "/broadcasts/{id}/keys", tag = "keys",
    params(("id" = String, Path)), request_body = NewKey,
    responses((status = 201, body = KeyBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Json(new): Json<NewKey>,
) -> Result<Response, Problem> {
    caller.needs(Scope::KeysWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let label = new.label.trim();
    if label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
        let detail = format!("at most {LABEL_CHARS_MAX} characters in one line");
        return Err(Problem::invalid_field("label", detail));
    }
    let secret = secret::generate("");
    let key = StreamKey {
        id: secret::id(),
        label: label.to_owned(),
        usage: new.usage,
        hint: secret::hint(&secret),
        created_at: UtcTime::from(SystemTime::now()).into(),
        used_at: None,
        revoked_at: None,
    };
    site.control.add_key(&listed.broadcast.id, key.clone(), &secret).await?;
    let body = KeyBody { listed: key, key: Some(secret) };
    Ok((StatusCode::CREATED, Answer(body)).into_response())
}

/// Revokes a stream key. Whoever publishes with it is ended.
#[utoipa::path(delete, path = "/broadcasts/{id}/keys/{key}", tag = "keys",
    params(("id" = String, Path), ("key" = String, Path)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn revoke(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named((id, key)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::KeysWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    site.control.revoke_key(&listed.broadcast.id, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is told of a key that stands in the configuration file: not the key.
fn of_the_file(listed: &Listed) -> KeyBody {
    let listed = StreamKey {
        id: "config".to_owned(),
        label: "configuration file".to_owned(),
        usage: KeyUse::Primary,
        hint: String::new(),
        created_at: listed.broadcast.created_at,
        used_at: None,
        revoked_at: None,
    };
    KeyBody { listed, key: None }
}
