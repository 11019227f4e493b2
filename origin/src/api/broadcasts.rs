//! Broadcasts: which there are, what they are about, and whether anybody may publish to them.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Site;
use super::asked::{
    IfMatch, Json, List, Named, Query, check_after, check_length, check_limit, etag, limit_default,
};
use super::caller::{Caller, Part};
use super::details::{DetailsBody, Fields};
use super::problem::{NotChanged, Problem, Refused};
use crate::broadcasts::Status;
use crate::control::records::{Broadcast, BroadcastState, Role, Scope};
use crate::control::{Listed, new_moderator_key, secret};
use crate::instant::Instant;

/// A broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Broadcast)]
pub(super) struct BroadcastBody {
    /// Its public id, in the address that viewers have.
    pub(super) id: String,
    #[serde(flatten)]
    details: DetailsBody,
    /// Whether a list is kept of who attends.
    attendance: bool,
    /// Nobody may publish.
    blocked: bool,
    source: Source,
    /// Counts changes.
    rev: u64,
    created_at: Option<Instant>,
    updated_at: Option<Instant>,
    pub(super) state: BroadcastState,
    /// Since when it is live.
    live_since: Option<Instant>,
    /// How many watch now.
    viewers: u64,
    /// What is wrong with what is published now: problems and warnings.
    findings: u64,
    /// What the asker is here.
    role: Role,
    /// What makes one a moderator of its comments; only where one broadcast is asked for, and of tokens only
    /// to those with `broadcasts:write` and `comments:read`.
    moderator_key: Option<String>,
}

/// Where a broadcast was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// Here.
    Console,
    /// In the configuration file, where it is changed too.
    Config,
}

/// How a broadcast is, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) state: BroadcastState,
    /// Since when it is in this state.
    pub(super) since: Option<Instant>,
    /// How many watch.
    pub(super) viewers: u64,
    /// Problems and warnings of the doctor.
    pub(super) findings: u64,
}

impl From<&Status> for Summary {
    fn from(status: &Status) -> Self {
        Self {
            state: BroadcastState::of(status),
            since: status.since.map(Instant::from),
            viewers: status.audience.values().map(|viewers| viewers.total()).sum(),
            findings: status.findings,
        }
    }
}

/// Which broadcasts.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BroadcastQuery {
    /// Words that are all in the id, title, description or topics.
    #[serde(default)]
    #[param(max_length = 200)]
    q: String,
    /// One of its topics.
    #[param(max_length = 40)]
    topic: Option<String>,
    #[param(inline)]
    state: Option<BroadcastState>,
    /// At most so many.
    #[serde(default = "limit_default")]
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: u32,
    /// What the list before said is `next`.
    #[param(max_length = 512)]
    after: Option<String>,
}

/// What may be looked for: a line of words.
const WORDS_CHARS_MAX: usize = 200;
/// As long as a topic may be.
const TOPIC_CHARS_MAX: usize = 40;

/// How to stop.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stop {
    /// Nobody may publish any more, until the broadcast is changed to `blocked: false`.
    #[serde(default)]
    block: bool,
}

/// What makes one a moderator.
#[derive(Serialize, ToSchema)]
pub(super) struct ModeratorKeyBody {
    moderator_key: String,
}

/// Broadcasts in which one has a part: what is live first, then what is to come.
#[utoipa::path(get, path = "/broadcasts", tag = "broadcasts", params(BroadcastQuery),
    responses((status = 200, body = List<BroadcastBody>), Refused))]
pub(super) async fn list(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Query(query): Query<BroadcastQuery>,
) -> Result<Answer<List<BroadcastBody>>, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let limit = check_limit(query.limit)?;
    check_after(query.after.as_deref())?;
    check_length("q", Some(&query.q), WORDS_CHARS_MAX)?;
    check_length("topic", query.topic.as_deref(), TOPIC_CHARS_MAX)?;
    let words: Vec<_> = query.q.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let topic = query.topic.as_ref().map(|topic| topic.to_lowercase());
    let parts = caller.parts(&site).await?;
    let mut found = Vec::new();
    for listed in site.control.all() {
        let Some(part) = parts.of(&listed.broadcast.id) else { continue };
        let Some(summary) = site.elsewhere.summary(&listed.broadcast.id) else { continue };
        let wanted = query.state.is_none_or(|state| state == summary.state)
            && matches(&listed.broadcast, &words, topic.as_deref());
        if wanted {
            found.push((Rank::of(&listed.broadcast, summary.state), listed, summary, part));
        }
    }
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let after = query.after.as_deref().and_then(Rank::parse);
    let behind =
        found.into_iter().filter(|(rank, ..)| after.as_ref().is_none_or(|after| rank > after));
    let page: Vec<_> = behind
        .take(limit as usize + 1)
        .map(|(rank, listed, summary, part)| (rank, body(&listed, &summary, part)))
        .collect();
    let ranks: Vec<_> =
        page.iter().map(|(rank, body)| (body.id.clone(), rank.to_string())).collect();
    let bodies = page.into_iter().map(|(_, body)| body).collect();
    let next = |last: &BroadcastBody| {
        let rank = ranks.iter().find(|(id, _)| *id == last.id);
        rank.map(|(_, rank)| rank.clone()).unwrap_or_default()
    };
    Ok(Answer(List::cut(bodies, limit, next)))
}

/// Makes a broadcast, whose host one is.
#[utoipa::path(post, path = "/broadcasts", tag = "broadcasts", request_body = Fields,
    responses((status = 201, body = BroadcastBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Json(fields): Json<Fields>,
) -> Result<Response, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    if caller.account.role == Role::Moderator {
        return Err(Problem::forbidden(
            "moderators make no broadcasts: ask an admin to make you a host",
        ));
    }
    let now = Instant::from(UtcTime::from(SystemTime::now()));
    let given = fields.id().map(str::parse::<BroadcastId>).transpose();
    let given = given.map_err(|error| Problem::invalid_field("id", error))?;
    let mut broadcast = Broadcast {
        id: given.clone().unwrap_or_else(|| id_from(None)),
        rev: 1,
        about: Default::default(),
        moderator_key: Some(new_moderator_key()),
        attendance: false,
        blocked: false,
        created_at: now,
        updated_at: now,
    };
    fields.apply(&mut broadcast)?;
    if given.is_none() {
        broadcast.id = id_from(broadcast.about.title.as_ref().map(|title| title.as_str()));
    }
    let listed = site.control.add(broadcast, &caller.account.id).await?;
    let location = format!("/api/v1/broadcasts/{}", listed.broadcast.id);
    let part = if caller.account.role == Role::Admin { Part::Admin } else { Part::Host };
    let mut response = answer(&site, &caller, &listed, part)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// A broadcast.
#[utoipa::path(get, path = "/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastBody), Refused))]
pub(super) async fn get(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    caller.needs(Scope::BroadcastsRead)?;
    let (listed, part) = caller.broadcast(&site, &id, Part::Moderator).await?;
    answer(&site, &caller, &listed, part)
}

/// Changes a broadcast (RFC 7396): what is not mentioned stays, and `null` clears.
#[utoipa::path(patch, path = "/broadcasts/{id}", tag = "broadcasts",
    params(("id" = String, Path), ("If-Match" = String, Header)), request_body = Fields,
    responses((status = 200, body = BroadcastBody), Refused, NotChanged))]
pub(super) async fn patch(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
    Json(fields): Json<Fields>,
) -> Result<Response, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    let (listed, part) = caller.broadcast(&site, &id, Part::Host).await?;
    if fields.id().is_some_and(|wanted| wanted != id) {
        return Err(Problem::invalid_field("id", "the id of a broadcast does not change"));
    }
    let mut broadcast = site.control.version(&listed.broadcast.id, rev).await?.broadcast.clone();
    fields.apply(&mut broadcast)?;
    broadcast.updated_at = UtcTime::from(SystemTime::now()).into();
    let listed = site.control.set(broadcast).await?;
    answer(&site, &caller, &listed, part)
}

/// Removes a broadcast, with everything that was said in it. Viewers see it end.
#[utoipa::path(delete, path = "/broadcasts/{id}", tag = "broadcasts",
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn delete(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    IfMatch(rev): IfMatch,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    site.control.remove(&listed.broadcast.id, rev).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends whoever publishes. Without `block` one can publish again after half a minute.
#[utoipa::path(post, path = "/broadcasts/{id}/stop", tag = "broadcasts",
    params(("id" = String, Path)), request_body = Stop,
    responses((status = 204), Refused, NotChanged))]
pub(super) async fn stop(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
    Json(stop): Json<Stop>,
) -> Result<StatusCode, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    if stop.block && listed.provisioned {
        return Err(crate::control::Error::Provisioned.into());
    }
    // In any case, and first: also where it cannot be written down that nobody may come back.
    let told = site.control.stop(&listed.broadcast.id).await;
    if stop.block {
        let block = |broadcast: &mut Broadcast| broadcast.blocked = true;
        site.control.update(&listed.broadcast.id, block).await?;
    }
    // Or else an origin that nobody told may still take what is published.
    told?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a new key for moderators of the comments. The one so far ends.
#[utoipa::path(post, path = "/broadcasts/{id}/moderator-key", tag = "broadcasts",
    params(("id" = String, Path)),
    responses((status = 200, body = ModeratorKeyBody), Refused, NotChanged))]
pub(super) async fn new_moderator(
    State(site): State<Arc<Site>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Answer<ModeratorKeyBody>, Problem> {
    caller.needs(Scope::BroadcastsWrite)?;
    caller.needs(Scope::CommentsRead)?;
    let (listed, _) = caller.broadcast(&site, &id, Part::Host).await?;
    let key = new_moderator_key();
    let moderator_key = String::from(key.clone());
    let set = |broadcast: &mut Broadcast| broadcast.moderator_key = Some(key);
    site.control.update(&listed.broadcast.id, set).await?;
    Ok(Answer(ModeratorKeyBody { moderator_key }))
}

fn answer(site: &Site, caller: &Caller, listed: &Listed, part: Part) -> Result<Response, Problem> {
    let summary = site.elsewhere.summary(&listed.broadcast.id).ok_or_else(Problem::not_found)?;
    // Whoever has it reads comments and keeps order among them.
    let moderates = caller.needs(Scope::CommentsRead).and(caller.needs(Scope::BroadcastsWrite));
    let key = listed.broadcast.moderator_key.clone().filter(|_| moderates.is_ok());
    let key = key.map(String::from);
    let body = BroadcastBody { moderator_key: key, ..body(listed, &summary, part) };
    Ok(([(ETAG, etag(listed.broadcast.rev))], Answer(body)).into_response())
}

/// A broadcast as it is told to whoever is `part` in it.
pub(super) fn body(listed: &Listed, summary: &Summary, part: Part) -> BroadcastBody {
    let Broadcast { id, rev, about, attendance, blocked, created_at, updated_at, .. } =
        &listed.broadcast;
    let Summary { state, since, viewers, findings } = *summary;
    let of_the_database = |at: Instant| (!listed.provisioned).then_some(at);
    BroadcastBody {
        id: id.to_string(),
        details: DetailsBody::from(about),
        attendance: *attendance,
        blocked: *blocked,
        source: if listed.provisioned { Source::Config } else { Source::Console },
        rev: *rev,
        created_at: of_the_database(*created_at),
        updated_at: of_the_database(*updated_at),
        state,
        live_since: since.filter(|_| state == BroadcastState::Live),
        viewers,
        findings,
        role: part.role(),
        moderator_key: None,
    }
}

/// Whether a broadcast has all of these words in it, and the topic.
fn matches(broadcast: &Broadcast, words: &[String], topic: Option<&str>) -> bool {
    let about = &broadcast.about;
    let has_topic =
        |wanted: &str| about.topics.iter().any(|topic| topic.as_str().to_lowercase() == wanted);
    if !topic.is_none_or(has_topic) {
        return false;
    }
    if words.is_empty() {
        return true;
    }
    let mut text = broadcast.id.as_str().to_lowercase();
    let title = about.title.as_ref().map(|title| title.as_str());
    let description = about.description.as_ref().map(|description| description.as_str());
    let topics = about.topics.iter().map(|topic| topic.as_str());
    for part in title.into_iter().chain(description).chain(topics) {
        text.push('\n');
        text.push_str(&part.to_lowercase());
    }
    words.iter().all(|word| text.contains(word))
}

/// An id made of a title: its letters and digits, and something that no other has.
fn id_from(title: Option<&str>) -> BroadcastId {
    use unicode_normalization::UnicodeNormalization as _;
    let mut slug = String::new();
    for c in title.unwrap_or_default().nfkd().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !c.is_alphanumeric() && !slug.is_empty() && !slug.ends_with('-') && c.is_ascii() {
            slug.push('-');
        }
        if slug.len() >= 40 {
            break;
        }
    }
    let chance: String = secret::id().chars().filter(char::is_ascii_alphanumeric).take(6).collect();
    let slug = slug.trim_matches('-');
    let id = match slug {
        "" => format!("live-{chance}"),
        slug => format!("{slug}-{chance}"),
    };
    id.to_lowercase().parse().expect("of letters, digits and hyphens")
}

/// Where a broadcast stands in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    group: u8,
    /// Of those to come, the soonest first; of others, the newest.
    order: Order,
    id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Soonest(u64),
    Newest(Reverse<u64>),
}

impl Rank {
    fn of(broadcast: &Broadcast, state: BroadcastState) -> Self {
        let id = broadcast.id.to_string();
        let starts_ms = broadcast.about.starts_at.map(UtcTime::as_millis);
        let updated_ms = UtcTime::from(broadcast.updated_at).as_millis();
        let (group, order) = match (state, starts_ms) {
            (BroadcastState::Live, _) => (0, Order::Soonest(0)),
            (BroadcastState::Away, _) => (1, Order::Soonest(0)),
            (BroadcastState::Unbegun, Some(starts_ms)) => (2, Order::Soonest(starts_ms)),
            _ => (3, Order::Newest(Reverse(updated_ms))),
        };
        Self { group, order, id }
    }

    /// Reads what [`ToString`] wrote; anything else is the beginning.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let group = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let order = if group < 3 { Order::Soonest(number) } else { Order::Newest(Reverse(number)) };
        Some(Self { group, order, id: parts.next()?.to_owned() })
    }
}

impl std::fmt::Display for Rank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Order::Soonest(number) | Order::Newest(Reverse(number))) = &self.order;
        write!(f, "{}.{number}.{}", self.group, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_of_the_title() {
        let check = |title: Option<&str>, expect: &str| {
            let id = id_from(title).to_string();
            let (slug, chance) = id.rsplit_once('-').expect("a part by chance");
            assert_eq!(slug, expect, "{title:?}");
            assert!((4..=6).contains(&chance.len()), "{id}");
        };
        check(Some("Linear Algebra I: Übung"), "linear-algebra-i-ubung");
        check(Some("  –  "), "live");
        check(Some("线性代数"), "live");
        check(None, "live");
        check(Some(&"x".repeat(120)), &"x".repeat(40));
    }

    #[test]
    fn the_place_in_the_list_is_read_back() {
        let rank = Rank { group: 3, order: Order::Newest(Reverse(5)), id: "a.b".into() };
        assert_eq!(Rank::parse(&rank.to_string()), Some(rank));
        assert_eq!(Rank::parse("nonsense"), None);
        let newer = Rank { group: 3, order: Order::Newest(Reverse(6)), id: "z".into() };
        assert!(newer < Rank { group: 3, order: Order::Newest(Reverse(5)), id: "a".into() });
    }
}
