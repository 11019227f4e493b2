//! Who has a part in a broadcast.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Site;
use super::asked::{Json, List, ListQuery, Named, Query};
use super::caller::{Caller, Part};
use super::problem::{NotChanged, Problem, Refused};
use crate::control::records::{Member, MemberRole, Scope};
use crate::control::store::Page;

/// A part.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    role: MemberRole,
}

/// Who has a part in a broadcast.
#[utoipa::path(get, path = "/broadcasts/{id}/members", tag = "members",
    params(("id" = String, Path), ListQuery),
    responses((status = 200, body = List<Member>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<Member>>, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let limit = query.limit()?;
    let page = Page { after: query.after(), limit: limit + 1 };
    let members = site.control.store().members(&listed.broadcast.id, page).await?;
    Ok(Answer(List::cut(members, limit, |member: &Member| member.account.id.clone())))
}

/// Gives an account, by its id or login, a part in a broadcast.
#[utoipa::path(put, path = "/broadcasts/{id}/members/{account}", tag = "members",
    params(("id" = String, Path), ("account" = String, Path)), request_body = NewMember,
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn set(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named((id, account)): Named<(String, String)>,
    Json(new): Json<NewMember>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let store = site.control.store();
    // A host knows others by what they sign in with, and sees no list of accounts.
    let account = match store.login(&account.to_lowercase()).await? {
        Some((found, _)) => found.id,
        None => account,
    };
    store.set_member(&listed.broadcast.id, &account, new.role).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes it away.
#[utoipa::path(delete, path = "/broadcasts/{id}/members/{account}", tag = "members",
    params(("id" = String, Path), ("account" = String, Path)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn remove(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named((id, account)): Named<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    site.control.store().remove_member(&listed.broadcast.id, &account).await??;
    Ok(StatusCode::NO_CONTENT)
}
