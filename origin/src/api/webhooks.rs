//! Webhooks: servers of others that are told what happens here. Telling them is [`crate::webhooks`]'.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::about::WebUrl;
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::asked::{IfMatch, Json, List, ListQuery, Named, Query, etag, patched, set};
use super::caller::Caller;
use super::problem::{FieldError, NotChanged, Problem, Refused};
use crate::control::records::{Attempt, Delivery, Scope, Webhook, WebhookEvent};
use crate::control::secret;
use crate::control::store::Page;
use crate::instant::Instant;
use crate::webhooks::new_secret;

/// A server that is told what happens here.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookBody {
    id: String,
    url: String,
    /// What it is told of.
    events: Vec<WebhookEvent>,
    /// Of this broadcast alone.
    broadcast: Option<String>,
    /// Whether it is told anything.
    active: bool,
    created_at: Instant,
    /// Counts changes.
    rev: u64,
    /// What came of the last attempt to tell it something.
    last: Option<Attempt>,
    /// What signs its messages, only where it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookBody {
    fn of(webhook: Webhook, secret: Option<String>) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url.into(),
            events: webhook.events,
            broadcast: webhook.broadcast.map(|id| id.as_str().to_owned()),
            active: webhook.active,
            created_at: webhook.created_at,
            rev: webhook.rev,
            last: webhook.last,
            secret,
        }
    }
}

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// Where it is told, by `POST`: `https://…`.
    #[schema(max_length = 2048)]
    url: String,
    /// What it is told of; a `test` comes by itself.
    #[schema(min_items = 1)]
    events: Vec<WebhookEvent>,
    /// Of this broadcast alone; of all without.
    broadcast: Option<String>,
}

/// What is to change of a webhook (RFC 7396).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookPatch {
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = String, max_length = 2048)]
    url: Option<String>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = Vec<WebhookEvent>, min_items = 1)]
    events: Option<Vec<WebhookEvent>>,
    #[serde(default, deserialize_with = "patched")]
    #[schema(value_type = Option<String>)]
    broadcast: Option<Option<String>>,
    #[serde(default, deserialize_with = "set")]
    #[schema(value_type = bool)]
    active: Option<bool>,
}

/// All webhooks.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", params(ListQuery),
    responses((status = 200, body = List<WebhookBody>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<WebhookBody>>, Problem> {
    manage(&caller)?;
    let limit = query.limit()?;
    let page = Page { after: query.after(), limit: limit + 1 };
    let webhooks = site.control.store().webhooks(page).await?;
    let webhooks = webhooks.into_iter().map(|webhook| WebhookBody::of(webhook, None)).collect();
    Ok(Answer(List::cut(webhooks, limit, |webhook: &WebhookBody| webhook.id.clone())))
}

/// Adds a webhook. What signs its messages is shown this once.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = WebhookBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Json(new): Json<NewWebhook>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    let mut errors = Vec::new();
    let url = address(&site, new.url, &mut errors);
    let events = events(new.events, &mut errors);
    let broadcast = new.broadcast.and_then(|id| broadcast(&site, id, &mut errors));
    let url = match url {
        Some(url) if errors.is_empty() => url,
        _ => return Err(Problem::invalid(errors)),
    };
    let webhook = Webhook {
        id: secret::id(),
        rev: 1,
        url,
        events,
        broadcast,
        active: true,
        created_at: UtcTime::from(SystemTime::now()).into(),
        last: None,
    };
    let secret = new_secret();
    site.control.store().add_webhook(&webhook, &secret).await??;
    let location = format!("/api/v1/webhooks/{}", webhook.id);
    let headers = [(LOCATION, location), (ETAG, etag(webhook.rev))];
    let body = WebhookBody::of(webhook, Some(secret));
    Ok((StatusCode::CREATED, headers, Answer(body)).into_response())
}

/// A webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = WebhookBody), Refused))]
pub(super) async fn get(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    Ok(answer(find(&site, &id).await?))
}

/// Changes a webhook. What it was not told yet goes to where it is then.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = WebhookPatch,
    responses((status = 200, body = WebhookBody), Refused, NotChanged))]
pub(super) async fn patch(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
    Json(patch): Json<WebhookPatch>,
) -> Result<Response, Problem> {
    manage(&caller)?;
    let mut webhook = find(&site, &id).await?;
    let mut errors = Vec::new();
    if let Some(url) = patch.url.and_then(|url| address(&site, url, &mut errors)) {
        webhook.url = url;
    }
    if let Some(wanted) = patch.events {
        webhook.events = events(wanted, &mut errors);
    }
    if let Some(only) = patch.broadcast {
        webhook.broadcast = only.and_then(|id| broadcast(&site, id, &mut errors));
    }
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    webhook.active = patch.active.unwrap_or(webhook.active);
    webhook.rev = rev;
    let webhook = site.control.store().set_webhook(&webhook).await??;
    site.webhooks.wake();
    Ok(answer(webhook))
}

/// Removes a webhook, with what it was not told yet.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn delete(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
) -> Result<StatusCode, Problem> {
    manage(&caller)?;
    site.control.store().remove_webhook(&id, rev).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// What a webhook was told, and is to be told, the newest first.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path), ListQuery),
    responses((status = 200, body = List<Delivery>), Refused))]
pub(super) async fn deliveries(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<List<Delivery>>, Problem> {
    manage(&caller)?;
    let limit = query.limit()?;
    find(&site, &id).await?;
    let after = query.after().and_then(|place| {
        let (ms, name) = place.split_once('.')?;
        Some((UtcTime::from_millis(ms.parse().ok()?), name))
    });
    let deliveries = site.control.store().deliveries(&id, after, limit + 1).await?;
    let place =
        |delivery: &Delivery| format!("{}.{}", UtcTime::from(delivery.at).as_millis(), delivery.id);
    Ok(Answer(List::cut(deliveries, limit, place)))
}

/// Tells a webhook that nothing has happened, to see whether it hears: its deliveries say.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 202), Refused, NotChanged))]
pub(super) async fn test(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    manage(&caller)?;
    if !find(&site, &id).await?.active {
        return Err(Problem::conflict("it is turned off, and told nothing: turn it on first"));
    }
    site.webhooks.test(&id).await??;
    Ok(StatusCode::ACCEPTED)
}

fn manage(caller: &Caller) -> Result<(), Problem> {
    caller.needs(Scope::WebhooksWrite)?;
    caller.needs_admin()
}

async fn find(site: &Site, id: &str) -> Result<Webhook, Problem> {
    site.control.store().webhook(id).await?.ok_or_else(Problem::not_found)
}

fn answer(webhook: Webhook) -> Response {
    ([(ETAG, etag(webhook.rev))], Answer(WebhookBody::of(webhook, None))).into_response()
}

fn address(site: &Site, url: String, errors: &mut Vec<FieldError>) -> Option<WebUrl> {
    let url = match WebUrl::try_from(url) {
        Ok(url) => url,
        Err(error) => {
            errors.push(FieldError::new("url", error));
            return None;
        }
    };
    match site.webhooks.check(&url) {
        Ok(()) => Some(url),
        Err(error) => {
            errors.push(FieldError::new("url", error));
            None
        }
    }
}

fn events(mut events: Vec<WebhookEvent>, errors: &mut Vec<FieldError>) -> Vec<WebhookEvent> {
    events.sort_unstable();
    events.dedup();
    if events.is_empty() {
        errors.push(FieldError::new("events", "it must be told of something"));
    }
    events
}

fn broadcast(site: &Site, id: String, errors: &mut Vec<FieldError>) -> Option<BroadcastId> {
    let known = id.parse().ok().filter(|id| site.control.get(id).is_some());
    if known.is_none() {
        errors.push(FieldError::new("broadcast", "there is no such broadcast"));
    }
    known
}
