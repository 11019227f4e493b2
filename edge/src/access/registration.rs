//! `/live/{id}/registration`: what viewers are asked before they watch, and their answers, which the
//! origin stores and answers with a viewer token. No token is needed here; no answer is kept at this edge.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET` | the [`Form`], or 404 where nobody is asked |
//! | `POST` of a [`Filled`] form | the [`Let`] in, with the cookie that `/access` would give |
//! | with answers that were not asked for | 422, with what is wrong with each |
//! | while the origin is away | 503, and the same may be sent again |

mod refusal;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use lectern_relay_proto::about::{About, Answers, Field, FieldKind, Given};
use lectern_relay_proto::bucket::Rate;
use lectern_relay_proto::comment::{
    self, Attempt, AuthorId, ClientId, NotRegistered, Request as Asked, Response as Told,
};
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::{BroadcastId, UtcTime};
use prometheus::{IntCounter, IntCounterVec, Registry};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::refusal::Refusal;
use super::add_cookies;
use super::routes::{allow_origin, preflight};
use crate::audience::client_of;
use crate::client::Secured;
use crate::floods::Floods;
use crate::live::Directory;
use lectern_relay_proto::client::line;

/// What one line may send, by IPv4 address or IPv6 /48: a lecture hall behind one address, all of whom register
/// at once; not so much that one alone fills what a broadcast takes in days.
const LINE: Rate = Rate { burst: 500, each: Duration::from_secs(10) };
/// The most bytes of a form: twelve answers of the longest.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a form may take to arrive.
const BODY_MAX: Duration = Duration::from_secs(10);
/// How long the origin may take. The edge asks it a second time meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Asks the origin; what it answers goes to the sender.
pub type Ask =
    Box<dyn Fn(&Asked, mpsc::Sender<Told>) -> Result<(), comment::Refusal> + Send + Sync>;

/// Who registers viewers at this edge.
struct Desk {
    directory: Arc<Directory>,
    ask: Ask,
    floods: Mutex<Floods>,
    metrics: Metrics,
}

/// What an operator can count of it.
pub struct Metrics {
    registered: IntCounter,
    refused: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            registered: maker.counter(
                "lectern_edge_registrations_total",
                "Viewers who registered at this edge and were let in.",
            )?,
            refused: maker.counters(
                "lectern_edge_registrations_refused_total",
                "Registrations of viewers that were refused at this edge, by why.",
                &["reason"],
            )?,
        })
    }
}

/// What viewers are asked.
#[derive(Serialize)]
struct Form<'a> {
    title: Option<&'a str>,
    notice: Option<&'a str>,
    fields: Vec<Question<'a>>,
}

/// One question.
#[derive(Serialize)]
struct Question<'a> {
    name: &'a str,
    label: &'a str,
    kind: FieldKind,
    required: bool,
    options: Vec<&'a str>,
}

impl<'a> From<&'a Field> for Question<'a> {
    fn from(field: &'a Field) -> Self {
        Self {
            name: field.name().as_str(),
            label: field.label().as_str(),
            kind: field.kind(),
            required: field.required(),
            options: field.options().iter().map(|option| option.as_str()).collect(),
        }
    }
}

/// What a viewer sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filled {
    /// By the names of the questions.
    answers: Given,
    /// Names the attempt, so that sending it again does no harm; 1 to 64 of `a-z A-Z 0-9 -`, at random.
    attempt: Option<ClientId>,
}

/// That they are let in.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Let {
    token: String,
    /// Unix ms.
    expires_at: u64,
}

/// The route. What is asked stands in the catalogs of `directory`.
pub fn routes(directory: Arc<Directory>, ask: Ask, metrics: Metrics) -> Router {
    let desk = Desk { directory, ask, floods: Mutex::new(Floods::new(LINE)), metrics };
    let options = async |headers: HeaderMap| {
        preflight(&headers, "GET, HEAD, POST, OPTIONS", "Authorization, Content-Type")
    };
    Router::new()
        .route("/live/{id}/registration", get(form).post(register).options(options))
        .with_state(Arc::new(desk))
}

async fn form(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = desk.look(&id);
    let mut answer = match found.as_ref().map(|(_, about)| (about, about.form())) {
        Ok((about, Some(form))) => {
            let form = Form {
                title: about.title.as_ref().map(|title| title.as_str()),
                notice: form.notice.as_ref().map(|notice| notice.as_str()),
                fields: form.fields.iter().map(Question::from).collect(),
            };
            ([(CACHE_CONTROL, "no-store")], Json(form)).into_response()
        }
        Ok((_, None)) => Refusal::Origin(NotRegistered::NoRegistration).into_response(),
        Err(refusal) => refusal.clone().into_response(),
    };
    allow_origin(&mut answer, &headers);
    answer
}

async fn register(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (request, body) = request.into_parts();
    let client = client_of(&request.extensions).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let mut answer = match desk.register(&id, client, body).await {
        Ok((id, registered)) => {
            desk.metrics.registered.inc();
            let secure = request.extensions.get::<Secured>();
            let secure = secure.is_some_and(|Secured(secure)| *secure);
            let mut answer = Json(&registered).into_response();
            let headers = answer.headers_mut();
            headers.insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-store"));
            add_cookies(headers, &registered.token, &id, registered.expires_at, secure);
            answer
        }
        Err(refusal) => {
            desk.metrics.refused.with_label_values(&[refusal.code()]).inc();
            refusal.into_response()
        }
    };
    allow_origin(&mut answer, &request.headers);
    answer
}

impl Desk {
    fn look(&self, id: &str) -> Result<(BroadcastId, Arc<About>), Refusal> {
        let id: BroadcastId = id.parse().map_err(|_| Refusal::Unknown)?;
        let about = self.directory.get(&id).and_then(|live| live.about());
        match about {
            Some(about) => Ok((id, about)),
            None if self.directory.is_informed() && self.directory.get(&id).is_none() => {
                Err(Refusal::Unknown)
            }
            None => Err(Refusal::NotReady),
        }
    }

    async fn register(
        &self,
        id: &str,
        client: IpAddr,
        body: Body,
    ) -> Result<(BroadcastId, Let), Refusal> {
        self.admit(client).map_err(Refusal::TooMany)?;
        let (id, about) = self.look(id)?;
        let form = about.form().ok_or(Refusal::Origin(NotRegistered::NoRegistration))?;
        let filled = read(body).await?;
        let answers = form.check(filled.answers);
        let answers =
            answers.map_err(|errors| Refusal::Origin(NotRegistered::Invalid { errors }))?;
        let client = filled.attempt.unwrap_or_else(any_attempt);
        let attempt = Attempt { broadcast: id.clone(), author: AuthorId::nobody(), client };
        Ok((id, self.ask(attempt, answers).await.map_err(Refusal::Origin)?))
    }

    async fn ask(&self, attempt: Attempt, answers: Answers) -> Result<Let, NotRegistered> {
        let (sender, mut told) = mpsc::channel(1);
        let request = Asked::Register { attempt, answers: answers.given() };
        (self.ask)(&request, sender).map_err(|why| match why {
            comment::Refusal::Busy => NotRegistered::Busy,
            // Without a relay token nobody is listened to.
            _ => NotRegistered::Unavailable,
        })?;
        match timeout(ANSWER_MAX, told.recv()).await {
            Ok(Some(Told::Registered { token, expires, .. })) => {
                Ok(Let { token, expires_at: UtcTime::from_millis(expires).as_millis() })
            }
            Ok(Some(Told::NotRegistered { why, .. })) => Err(why),
            _ => Err(NotRegistered::Unavailable),
        }
    }

    fn admit(&self, client: IpAddr) -> Result<(), Duration> {
        let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
        floods.admit(line(client), Instant::now())
    }
}

async fn read(body: Body) -> Result<Filled, Refusal> {
    let body: Bytes = match timeout(BODY_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        // It broke off, which nobody hears of, or it is too long.
        Ok(Err(_)) => return Err(Refusal::Large),
        Err(_) => return Err(Refusal::Slow),
    };
    serde_json::from_slice(&body).map_err(|error| Refusal::Malformed(error.to_string()))
}

fn any_attempt() -> ClientId {
    let name = format!("{:032x}", rand::rng().random::<u128>());
    name.try_into().expect("letters and digits")
}
