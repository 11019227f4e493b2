//! Accounts and their sessions.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::UtcTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::asked::{self, IfMatch, Json, List, ListQuery, Named, Query, etag, set};
use super::caller::{By, Caller};
use super::problem::{NotChanged, Problem, Refused};
use super::session::new_account;
use crate::control::password;
use crate::control::records::{Account, Name, Role, Scope};
use crate::control::store::{Conflict, Page};
use crate::instant::Instant;

/// Somebody who may sign in.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub(super) struct AccountBody {
    id: String,
    login: String,
    name: String,
    role: Role,
    /// Whether they may do nothing for now.
    disabled: bool,
    /// Whether they can sign in with a password.
    has_password: bool,
    /// Whether they sign in at the OpenID provider.
    oidc: bool,
    created_at: Instant,
    signed_in_at: Option<Instant>,
    /// Counts changes.
    rev: u64,
}

impl From<&Account> for AccountBody {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.clone(),
            login: account.login.as_str().to_owned(),
            name: account.name.as_str().to_owned(),
            role: account.role,
            disabled: account.disabled,
            has_password: account.has_password,
            oidc: account.oidc.is_some(),
            created_at: account.created_at,
            signed_in_at: account.signed_in_at,
            rev: account.rev,
        }
    }
}

/// A browser that is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = SignedIn)]
pub(super) struct SignedInBody {
    id: String,
    created_at: Instant,
    /// To five minutes.
    seen_at: Instant,
    /// What the browser calls itself.
    agent: String,
    /// Whether it is the one that asks.
    current: bool,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// What they sign in with; upper and lower case are the same.
    #[schema(max_length = 120, pattern = r"^\s*[^\s\x00-\x1f\x7f-\x9f]+\s*$")]
    login: String,
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    role: Role,
    /// Without one they sign in at the OpenID provider.
    #[schema(min_length = 10, max_length = 200)]
    password: Option<String>,
}

/// What is to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountPatch {
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = String, min_length = 1, max_length = 120)]
    name: Option<String>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Role)]
    role: Option<Role>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = bool)]
    disabled: Option<bool>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The one so far; needed for one's own account.
    #[schema(max_length = 200)]
    current: Option<String>,
    #[schema(min_length = 10, max_length = 200)]
    password: String,
}

/// All accounts, by login.
#[utoipa::path(get, path = "/accounts", tag = "accounts", params(ListQuery),
    responses((status = 200, body = List<AccountBody>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<AccountBody>>, Problem> {
    manage(&caller)?;
    let limit = query.limit()?;
    let page = Page { after: query.after(), limit: limit + 1 };
    let accounts = site.control.store().accounts(page).await?;
    let accounts = accounts.iter().map(AccountBody::from).collect();
    Ok(Answer(List::cut(accounts, limit, |account: &AccountBody| account.login.clone())))
}

/// Makes an account.
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = NewAccount,
    responses((status = 201, body = AccountBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Json(new): Json<NewAccount>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    let account = new_account(&new.login, &new.name, new.role, new.password.as_deref())?;
    let kept = match new.password {
        Some(password) => Some(site.control.passwords().hash(password).await?),
        None => None,
    };
    match site.control.store().add_account(&account, kept.as_deref(), false).await? {
        Ok(()) => {}
        Err(Conflict::Exists) => {
            return Err(Problem::conflict("somebody else signs in with this login"));
        }
        Err(conflict) => return Err(conflict.into()),
    }
    let location = format!("/api/v1/accounts/{}", account.id);
    let headers = [(LOCATION, location), (ETAG, etag(account.rev))];
    Ok((StatusCode::CREATED, headers, Answer(AccountBody::from(&account))).into_response())
}

/// An account; one's own, or for admins any.
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountBody), Refused))]
pub(super) async fn get(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    own_or_manage(&caller, &id)?;
    answer(&find(&site, &id).await?)
}

/// Changes an account.
#[utoipa::path(patch, path = "/accounts/{id}", tag = "accounts",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = AccountPatch,
    responses((status = 200, body = AccountBody), Refused, NotChanged))]
pub(super) async fn patch(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
    Json(patch): Json<AccountPatch>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    let mut account = find(&site, &id).await?;
    if let Some(name) = patch.name {
        account.name =
            Name::try_from(name).map_err(|error| Problem::invalid_field("name", error))?;
    }
    account.role = patch.role.unwrap_or(account.role);
    account.disabled = patch.disabled.unwrap_or(account.disabled);
    account.rev = rev;
    answer(&site.control.store().set_account(&account).await??)
}

/// Removes an account, with its sessions and tokens.
#[utoipa::path(delete, path = "/accounts/{id}", tag = "accounts",
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn delete(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
) -> Result<StatusCode, Problem> {
    manage(&caller)?;
    site.control.store().remove_account(&id, rev).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a password; one's own, or for admins any. All other sessions of the account end.
#[utoipa::path(put, path = "/accounts/{id}/password", tag = "accounts",
    params(("id" = String, Path)), request_body = NewPassword,
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn set_password(
    State(site): State<Arc<Site>>,
    caller: Caller,
    asked::From(client): asked::From,
    Named(id): Named<String>,
    Json(new): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    own_or_manage(&caller, &id)?;
    let account = find(&site, &id).await?;
    let own = caller.account.id == id;
    if own && account.has_password {
        let store = site.control.store();
        let kept = store.login(account.login.as_str()).await?.and_then(|(_, kept)| kept);
        // Who found a browser open knows nothing of the password.
        let counted = site.control.throttle().attempt(
            account.login.as_str(),
            client,
            std::time::Instant::now(),
        );
        counted.map_err(|after| Problem::too_many("too many tries", after))?;
        let current = new.current.unwrap_or_default();
        if current.chars().count() > password::CHARS_MAX
            || !site.control.passwords().verify(current, kept).await?
        {
            return Err(Problem::invalid_field("current", "this is not your password"));
        }
    }
    password::check(&new.password, account.login.as_str())
        .map_err(|error| Problem::invalid_field("password", error))?;
    let kept = site.control.passwords().hash(new.password).await?;
    let but = match &caller.by {
        By::Session(_, digest) if own => Some(digest.as_str()),
        _ => None,
    };
    site.control.store().set_password(&id, &kept, but).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Where an account is signed in.
#[utoipa::path(get, path = "/accounts/{id}/sessions", tag = "accounts",
    params(("id" = String, Path)),
    responses((status = 200, body = List<SignedInBody>), Refused))]
pub(super) async fn sessions(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Answer<List<SignedInBody>>, Problem> {
    own_or_manage(&caller, &id)?;
    find(&site, &id).await?;
    let own = match &caller.by {
        By::Session(session, _) => session.id.clone(),
        By::Token(..) => String::new(),
    };
    let sessions = site.control.store().sessions(&id, UtcTime::from(SystemTime::now())).await?;
    let body = |session: crate::control::records::Session| SignedInBody {
        current: session.id == own,
        id: session.id,
        created_at: session.created_at,
        seen_at: session.seen_at,
        agent: session.agent,
    };
    Ok(Answer(List::whole(sessions.into_iter().map(body).collect())))
}

/// Signs an account out everywhere, but for the browser that asks.
#[utoipa::path(delete, path = "/accounts/{id}/sessions", tag = "accounts",
    params(("id" = String, Path)), responses((status = 204), Refused))]
pub(super) async fn end_sessions(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    own_or_manage(&caller, &id)?;
    find(&site, &id).await?;
    let but = match &caller.by {
        By::Session(_, digest) => Some(digest.as_str()),
        By::Token(..) => None,
    };
    site.control.store().end_sessions(&id, but).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn manage(caller: &Caller) -> Result<(), Problem> {
    caller.needs(Scope::AccountsWrite)?;
    caller.needs_admin()
}

fn own_or_manage(caller: &Caller, id: &str) -> Result<(), Problem> {
    if caller.account.id == id && matches!(caller.by, By::Session(..)) {
        return Ok(());
    }
    // Whoever may not manage accounts is not told which there are.
    manage(caller).map_err(|refused| match caller.needs_admin() {
        Ok(()) => refused,
        Err(_) => Problem::not_found(),
    })
}

async fn find(site: &Site, id: &str) -> Result<Account, Problem> {
    site.control.store().account(id).await?.ok_or_else(Problem::not_found)
}

fn answer(account: &Account) -> Result<Response, Problem> {
    Ok(([(ETAG, etag(account.rev))], Answer(AccountBody::from(account))).into_response())
}
