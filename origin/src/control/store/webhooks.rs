//! Webhooks, and what each is to be told. Several origins may tell on one database: whoever claims a
//! delivery has it until a time at which it is taken for gone.

use lectern_relay_proto::UtcTime;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::{
    Changed, Conflict, Error, Page, damaged, instant, maybe_instant, millis, number, number_of,
    parsed, truth,
};
use crate::control::records::{Attempt, Delivery, Webhook, WebhookEvent};

/// All webhooks.
const WEBHOOKS_MAX: i64 = 100;
/// What one of them is to be told; what happens beyond that, it is not.
const PENDING_MAX: i64 = 1_000;
/// What one of them was told, that is remembered.
const OVER_MAX: i64 = 100;

macro_rules! columns {
    () => {
        "webhooks.id AS webhook_id, rev, url, events, webhooks.broadcast AS of_broadcast, active, secret, \
         webhooks.created_ms AS webhook_created_ms, last_ms, last_status, last_error, last_attempts"
    };
}

macro_rules! delivery_columns {
    () => {
        "webhook_deliveries.id AS id, event, webhook_deliveries.broadcast AS broadcast, \
         webhook_deliveries.created_ms AS created_ms, attempts, status, error, next_ms"
    };
}

const COUNT: &str = "SELECT count(*) AS webhooks FROM webhooks";

const ADD: &str = "INSERT INTO webhooks (id, rev, url, events, broadcast, active, secret, created_ms) \
     VALUES ($1, 1, $2, $3, $4, $5, $6, $7)";

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM webhooks WHERE id = $1");
const LIST: &str =
    concat!("SELECT ", columns!(), " FROM webhooks WHERE id > $1 ORDER BY id LIMIT $2");

const SET: &str = "UPDATE webhooks SET rev = rev + 1, url = $3, events = $4, broadcast = $5, \
     active = $6 WHERE id = $1 AND rev = $2";

const REMOVE: &str = "DELETE FROM webhooks WHERE id = $1 AND rev = $2";

const TURN_OFF: &str = "UPDATE webhooks SET rev = rev + 1, active = 0 WHERE id = $1 AND active = 1";

const LAST: &str = "UPDATE webhooks SET last_ms = $2, last_status = $3, last_error = $4, \
     last_attempts = $5 WHERE id = $1";

/// Those that want to hear of it. Words are between spaces, so that none is a part of another.
const WANTED: &str = "SELECT id FROM webhooks WHERE active = 1 \
     AND ' ' || events || ' ' LIKE '% ' || $1 || ' %' AND (broadcast IS NULL OR broadcast = $2)";

const PENDING: &str = "SELECT count(*) AS pending FROM webhook_deliveries \
     WHERE webhook = $1 AND next_ms IS NOT NULL";

const QUEUE: &str = "INSERT INTO webhook_deliveries \
     (id, webhook, event, broadcast, body, created_ms, attempts, next_ms) \
     VALUES ($1, $2, $3, $4, $5, $6, 0, $6) ON CONFLICT DO NOTHING";

/// Of each webhook what is due first.
const DUE: &str = concat!(
    "SELECT ",
    columns!(),
    ", ",
    delivery_columns!(),
    ", body FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_deliveries.webhook \
     WHERE active = 1 AND webhook_deliveries.id = (SELECT id FROM webhook_deliveries AS earliest \
     WHERE earliest.webhook = webhooks.id AND earliest.next_ms IS NOT NULL \
     ORDER BY earliest.next_ms, earliest.created_ms, earliest.id LIMIT 1) ORDER BY next_ms"
);

const CLAIM: &str = "UPDATE webhook_deliveries SET next_ms = $3 WHERE id = $1 AND next_ms = $2";

const ATTEMPTED: &str = "UPDATE webhook_deliveries SET attempts = $2, status = $3, error = $4, \
     next_ms = $5 WHERE id = $1";

const FORGET: &str = "DELETE FROM webhook_deliveries WHERE webhook = $1 AND next_ms IS NULL AND \
     id NOT IN (SELECT id FROM webhook_deliveries WHERE webhook = $1 AND next_ms IS NULL \
     ORDER BY created_ms DESC, id LIMIT $2)";

const DELIVERIES: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM webhook_deliveries WHERE webhook = $1 AND (created_ms < $2 OR created_ms = $2 AND id > $3) \
     ORDER BY created_ms DESC, id LIMIT $4"
);

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// What.
    pub event: WebhookEvent,
    /// Where.
    pub broadcast: Option<String>,
    /// What is told of it, as JSON.
    pub body: String,
    /// When.
    pub at: UtcTime,
}

/// What is due to be told.
#[derive(Clone, Debug)]
pub struct Due {
    /// To whom.
    pub webhook: Webhook,
    /// What signs.
    pub secret: String,
    /// What.
    pub delivery: Delivery,
    /// As JSON.
    pub body: String,
}

pub(super) async fn add(
    connection: &mut AnyConnection,
    begin: &'static str,
    webhook: &Webhook,
    secret: &str,
) -> Changed {
    let mut transaction = connection.begin_with(begin).await?;
    let count = sqlx::query(COUNT).fetch_one(&mut *transaction).await?;
    if count.try_get::<i64, _>("webhooks")? >= WEBHOOKS_MAX {
        return Ok(Err(Conflict::Full));
    }
    let add = sqlx::query(ADD)
        .bind(webhook.id.as_str())
        .bind(webhook.url.as_str())
        .bind(words(&webhook.events))
        .bind(webhook.broadcast.as_ref().map(|id| id.as_str()))
        .bind(i64::from(webhook.active))
        .bind(secret)
        .bind(millis(webhook.created_at.into()));
    add.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: &str,
) -> Result<Option<Webhook>, Error> {
    sqlx::query(BY_ID).bind(id).fetch_optional(connection).await?.as_ref().map(webhook).transpose()
}

pub(super) async fn list(
    connection: &mut AnyConnection,
    page: Page<'_>,
) -> Result<Vec<Webhook>, Error> {
    let rows = sqlx::query(LIST).bind(page.after.unwrap_or_default()).bind(i64::from(page.limit));
    rows.fetch_all(connection).await?.iter().map(webhook).collect()
}

pub(super) async fn set(
    connection: &mut AnyConnection,
    begin: &'static str,
    wanted: &Webhook,
) -> Changed<Webhook> {
    let mut transaction = connection.begin_with(begin).await?;
    let set = sqlx::query(SET)
        .bind(wanted.id.as_str())
        .bind(number_of(wanted.rev))
        .bind(wanted.url.as_str())
        .bind(words(&wanted.events))
        .bind(wanted.broadcast.as_ref().map(|id| id.as_str()))
        .bind(i64::from(wanted.active));
    let set = set.execute(&mut *transaction).await?.rows_affected();
    let Some(now) = by_id(&mut transaction, &wanted.id).await? else {
        return Ok(Err(Conflict::Missing));
    };
    if set == 0 {
        return Ok(Err(Conflict::Stale));
    }
    transaction.commit().await?;
    Ok(Ok(now))
}

pub(super) async fn remove(connection: &mut AnyConnection, id: &str, rev: u64) -> Changed {
    let remove = sqlx::query(REMOVE).bind(id).bind(number_of(rev));
    if remove.execute(&mut *connection).await?.rows_affected() == 1 {
        return Ok(Ok(()));
    }
    let there = by_id(connection, id).await?.is_some();
    Ok(Err(if there { Conflict::Stale } else { Conflict::Missing }))
}

/// Queues what happened for all who want to hear of it, under names of `name`; says how many have too much
/// to hear already.
pub(super) async fn happened(
    connection: &mut AnyConnection,
    begin: &'static str,
    happened: &Happened,
    name: impl Fn() -> String,
) -> Result<u64, Error> {
    let mut transaction = connection.begin_with(begin).await?;
    let wanted = sqlx::query(WANTED)
        .bind(happened.event.as_str())
        .bind(happened.broadcast.as_deref())
        .fetch_all(&mut *transaction)
        .await?;
    let mut left_out = 0;
    for row in &wanted {
        let webhook: String = row.try_get("id")?;
        left_out += u64::from(!queue(&mut transaction, &webhook, happened, &name()).await?);
    }
    transaction.commit().await?;
    Ok(left_out)
}

/// Queues something for one of them alone.
pub(super) async fn tell(
    connection: &mut AnyConnection,
    begin: &'static str,
    webhook: &str,
    happened: &Happened,
    name: &str,
) -> Changed {
    let mut transaction = connection.begin_with(begin).await?;
    if by_id(&mut transaction, webhook).await?.is_none() {
        return Ok(Err(Conflict::Missing));
    }
    let queued = queue(&mut transaction, webhook, happened, name).await?;
    transaction.commit().await?;
    Ok(if queued { Ok(()) } else { Err(Conflict::Full) })
}

async fn queue(
    connection: &mut AnyConnection,
    webhook: &str,
    happened: &Happened,
    name: &str,
) -> Result<bool, Error> {
    let pending = sqlx::query(PENDING).bind(webhook).fetch_one(&mut *connection).await?;
    if pending.try_get::<i64, _>("pending")? >= PENDING_MAX {
        return Ok(false);
    }
    let queue = sqlx::query(QUEUE)
        .bind(name)
        .bind(webhook)
        .bind(happened.event.as_str())
        .bind(happened.broadcast.as_deref())
        .bind(happened.body.as_str())
        .bind(millis(happened.at));
    queue.execute(connection).await?;
    Ok(true)
}

/// What is to be told next to each webhook, whenever that is, the soonest first.
pub(super) async fn due(connection: &mut AnyConnection) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query(DUE).fetch_all(connection).await?;
    let due = |row: &AnyRow| {
        Ok(Due {
            webhook: webhook(row)?,
            secret: row.try_get("secret")?,
            delivery: delivery(row)?,
            body: row.try_get("body")?,
        })
    };
    rows.iter().map(due).collect()
}

/// Takes what is due from whoever else would tell it, until `until`; whether that was in time.
pub(super) async fn claim(
    connection: &mut AnyConnection,
    delivery: &Delivery,
    until: UtcTime,
) -> Result<bool, Error> {
    let Some(next_at) = delivery.next_at else { return Ok(false) };
    let claim = sqlx::query(CLAIM)
        .bind(delivery.id.as_str())
        .bind(millis(next_at.into()))
        .bind(millis(until));
    Ok(claim.execute(connection).await?.rows_affected() == 1)
}

/// Notes what came of an attempt, and when the next one is; `gone` if the server wants to hear nothing more.
pub(super) async fn attempted(
    connection: &mut AnyConnection,
    begin: &'static str,
    (webhook, delivery): (&str, &str),
    attempt: &Attempt,
    next: Option<UtcTime>,
    gone: bool,
) -> Result<(), Error> {
    let mut transaction = connection.begin_with(begin).await?;
    let (status, attempts) = (attempt.status.map(i64::from), i64::from(attempt.attempts));
    // The webhook first, as whoever removes it: else each might wait for the other.
    let last = sqlx::query(LAST)
        .bind(webhook)
        .bind(millis(attempt.at.into()))
        .bind(status)
        .bind(attempt.error.as_deref())
        .bind(attempts);
    last.execute(&mut *transaction).await?;
    let attempted = sqlx::query(ATTEMPTED)
        .bind(delivery)
        .bind(attempts)
        .bind(status)
        .bind(attempt.error.as_deref())
        .bind(next.map(millis));
    attempted.execute(&mut *transaction).await?;
    if gone {
        sqlx::query(TURN_OFF).bind(webhook).execute(&mut *transaction).await?;
    }
    sqlx::query(FORGET).bind(webhook).bind(OVER_MAX).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// What a webhook was told, the newest first, behind `after`.
pub(super) async fn deliveries(
    connection: &mut AnyConnection,
    webhook: &str,
    after: Option<(UtcTime, &str)>,
    limit: u32,
) -> Result<Vec<Delivery>, Error> {
    let (before, id) = after.map_or((i64::MAX, ""), |(at, id)| (millis(at), id));
    let rows = sqlx::query(DELIVERIES).bind(webhook).bind(before).bind(id).bind(i64::from(limit));
    rows.fetch_all(connection).await?.iter().map(delivery).collect()
}

fn words(events: &[WebhookEvent]) -> String {
    let words: Vec<_> = events.iter().map(|event| event.as_str()).collect();
    words.join(" ")
}

fn webhook(row: &AnyRow) -> Result<Webhook, Error> {
    let events: String = row.try_get("events")?;
    let event = |word: &str| {
        WebhookEvent::try_from(word.to_owned()).map_err(|()| damaged("events", events.as_str()))
    };
    let only: Option<String> = row.try_get("of_broadcast")?;
    let only = only.map(|id| id.parse().map_err(|_| damaged("broadcast", id))).transpose()?;
    let last = match maybe_instant(row, "last_ms")? {
        Some(at) => Some(Attempt {
            at: at.into(),
            status: status(row, "last_status")?,
            error: row.try_get("last_error")?,
            attempts: count(row, "last_attempts")?,
        }),
        None => None,
    };
    Ok(Webhook {
        id: row.try_get("webhook_id")?,
        rev: number(row, "rev")?,
        url: parsed(row, "url")?,
        events: events.split_whitespace().map(event).collect::<Result<_, _>>()?,
        broadcast: only,
        active: truth(row, "active")?,
        created_at: instant(row, "webhook_created_ms")?.into(),
        last,
    })
}

fn delivery(row: &AnyRow) -> Result<Delivery, Error> {
    Ok(Delivery {
        id: row.try_get("id")?,
        event: parsed(row, "event")?,
        broadcast: row.try_get("broadcast")?,
        at: instant(row, "created_ms")?.into(),
        attempts: count(row, "attempts")?,
        status: status(row, "status")?,
        error: row.try_get("error")?,
        next_at: maybe_instant(row, "next_ms")?.map(Into::into),
    })
}

fn count(row: &AnyRow, column: &'static str) -> Result<u32, Error> {
    let count = number(row, column)?;
    u32::try_from(count).map_err(|_| damaged(column, count))
}

fn status(row: &AnyRow, column: &'static str) -> Result<Option<u16>, Error> {
    let status: Option<i64> = row.try_get(column)?;
    status.map(|status| u16::try_from(status).map_err(|_| damaged(column, status))).transpose()
}
