//! Tokens for programs.

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
use super::caller::{By, Caller, TOKEN_PREFIX};
use super::problem::{FieldError, NotChanged, Problem, Refused};
use crate::control::records::{ApiToken, Name, Scope};
use crate::control::secret;
use crate::control::store::Page;
use crate::instant::Instant;

/// What a program presents.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(super) struct TokenBody {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    expires_at: Option<Instant>,
    created_at: Instant,
    /// To five minutes.
    used_at: Option<Instant>,
    /// Its last characters.
    hint: String,
    /// The token itself, only where it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl TokenBody {
    fn of(token: ApiToken, secret: Option<String>) -> Self {
        Self {
            id: token.id,
            name: token.name.as_str().to_owned(),
            scopes: token.scopes,
            expires_at: token.expires_at,
            created_at: token.created_at,
            used_at: token.used_at,
            hint: token.hint,
            token: secret,
        }
    }
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    #[schema(min_items = 1, max_items = 7)]
    scopes: Vec<Scope>,
    /// For good without.
    expires_at: Option<Instant>,
}

/// One's own tokens.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(ListQuery),
    responses((status = 200, body = List<TokenBody>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<TokenBody>>, Problem> {
    signed_in(&caller)?;
    let limit = query.limit()?;
    let page = Page { after: query.after(), limit: limit + 1 };
    let tokens = site.control.store().tokens(&caller.account.id, page).await?;
    let tokens = tokens.into_iter().map(|token| TokenBody::of(token, None)).collect();
    Ok(Answer(List::cut(tokens, limit, |token: &TokenBody| token.id.clone())))
}

/// Makes a token, which is shown this once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = TokenBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<Response, Problem> {
    signed_in(&caller)?;
    let now = Instant::from(UtcTime::from(SystemTime::now()));
    let mut errors = Vec::new();
    let name = Name::try_from(new.name);
    if let Err(error) = &name {
        errors.push(FieldError::new("name", error));
    }
    if new.scopes.is_empty() {
        errors.push(FieldError::new("scopes", "it must be good for something"));
    }
    if new.scopes.len() > Scope::ALL.len() {
        errors.push(FieldError::new("scopes", "each once"));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        errors.push(FieldError::new("expires_at", "it must lie ahead"));
    }
    let name = match name {
        Ok(name) if errors.is_empty() => name,
        _ => return Err(Problem::invalid(errors)),
    };
    let mut scopes = new.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let secret = secret::generate(TOKEN_PREFIX);
    let token = ApiToken {
        id: secret::id(),
        account: caller.account.id,
        name,
        scopes,
        hint: secret::hint(&secret),
        created_at: now,
        expires_at: new.expires_at,
        used_at: None,
    };
    site.control.store().add_token(&secret::digest(&secret), &token).await??;
    Ok((StatusCode::CREATED, Answer(TokenBody::of(token, Some(secret)))).into_response())
}

/// Ends a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = String, Path)),
    responses((status = 204), Refused))]
pub(super) async fn delete(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    signed_in(&caller)?;
    site.control.store().remove_token(&caller.account.id, &id).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// A token must not make others, which would outlive it.
fn signed_in(caller: &Caller) -> Result<(), Problem> {
    match caller.by {
        By::Session(..) => Ok(()),
        By::Token(..) => Err(Problem::forbidden("tokens are managed by those who are signed in")),
    }
}
