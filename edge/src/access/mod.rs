//! Who may watch a broadcast: whoever asks, if it is public or unlisted; or who brings a viewer token
//! for it, because they were invited or have registered; and in either case no more than the host lets in.
//! `docs/access.md` tells the whole of it.
//!
//! [`guard`] stands before every route of a broadcast, so that none can be forgotten; [`jwt`] reads a
//! token, [`carried`] finds it in a request, [`known`] remembers those that were checked, [`refusal`]
//! says no, [`routes`] gives a browser the cookie, and [`registration`] the token to who answers what is
//! asked. How many watch is the [`audience`](crate::audience)'s to know.

pub(crate) mod carried;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod jwt;
mod known;
mod refusal;
pub mod registration;
mod routes;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use lectern_relay_proto::about::{About, ViewerKey};
use lectern_relay_proto::bucket::Rate;
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::{BroadcastId, UtcTime};
use prometheus::{IntCounter, IntCounterVec, Registry};

use self::carried::Carried;
use self::jwt::{Fault, Verified};
use self::known::Known;
use self::refusal::Refusal;
use crate::audience::{Audience, Newcomer, client_of};
use crate::client::Secured;
use crate::demand::{self, Demand, Watching};
use crate::floods::Floods;
use crate::live::Directory;
use crate::whep::{Engine, SessionId};

/// Signatures that are checked for one client: for a lecture hall behind one address, of whom all begin
/// at once with tokens of their own. A check takes some 60 µs, so that a flood costs less than a
/// hundredth of a core.
const CLIENT: Rate = Rate { burst: 1_000, each: Duration::from_millis(10) };
/// The longest that anything here is granted for, so that no date is too far for a clock: ten years.
const GRANT_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// The right to watch a broadcast that not everybody may, as a request extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    /// When it is over.
    pub(crate) until: Instant,
}

/// Who may watch.
pub struct Access {
    directory: Arc<Directory>,
    audience: Arc<Audience>,
    engine: Engine,
    demand: Arc<Demand>,
    known: Mutex<Known>,
    floods: Mutex<Floods>,
    /// Somebody who checks tokens as well stands before this edge and keeps media for all viewers.
    shared_cache: bool,
    metrics: Metrics,
}

/// What an operator can count of it.
pub struct Metrics {
    refused: IntCounterVec,
    checked: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            refused: maker.counters(
                "lectern_edge_access_refused_total",
                "Requests for a broadcast that were refused since their viewer may not watch, by why.",
                &["reason"],
            )?,
            checked: maker.counter(
                "lectern_edge_access_checked_total",
                "Signatures of viewer tokens that were checked; those known already are not.",
            )?,
        })
    }
}

/// Who asks.
struct Asker {
    id: BroadcastId,
    carried: Option<Carried>,
    client: IpAddr,
}

/// What is known of somebody's right to watch.
enum Verdict {
    /// Nobody knows yet for whom the broadcast is, or whether there is one.
    Unknown,
    /// Everybody may.
    Open(Arc<About>),
    /// This one may, until then, Unix ms.
    Granted(Arc<About>, u64),
    Refused(Refusal),
}

/// Which routes are looked at, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Not of a broadcast; or of a session, whose name is a secret that its viewer was given.
    Free,
    /// An offer of WebRTC: each is one more viewer.
    Offer,
    /// What every player over HTTP asks for first.
    Manifest,
    /// How a broadcast stands, and what viewers say of it: nothing that has to be subscribed to.
    About,
    /// Anything else of a broadcast.
    Other,
}

impl Route {
    fn of(request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        match path {
            "/live/{id}/access" => Self::Free,
            "/live/{id}" | "/live/{id}/experience" => Self::About,
            "/whep/{id}" => Self::Offer,
            "/live/{id}/manifest.mpd" | "/live/{id}/index.m3u8" => Self::Manifest,
            _ if path.starts_with("/live/{id}") => Self::Other,
            _ => Self::Free,
        }
    }

    /// Whether what is asked for has to be subscribed to.
    fn wants(self, method: &Method) -> bool {
        match self {
            Self::Offer => *method == Method::POST,
            Self::Manifest | Self::Other => matches!(*method, Method::GET | Method::HEAD),
            Self::About | Self::Free => false,
        }
    }
}

impl Access {
    /// Nobody has asked.
    pub fn new(
        directory: Arc<Directory>,
        audience: Arc<Audience>,
        engine: Engine,
        demand: Arc<Demand>,
        shared_cache: bool,
        metrics: Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            directory,
            audience,
            engine,
            demand,
            known: Mutex::default(),
            floods: Mutex::new(Floods::new(CLIENT)),
            shared_cache,
            metrics,
        })
    }

    /// Stands before all of `broadcasts`, which are the routes of one each, and adds its own.
    pub fn guard(self: &Arc<Self>, broadcasts: Router) -> Router {
        let guarded = broadcasts.route_layer(from_fn_with_state(self.clone(), guard));
        guarded.merge(routes::routes(self.clone()))
    }

    fn judge(&self, asker: &Asker) -> Verdict {
        let live = self.directory.get(&asker.id);
        let Some(about) = live.and_then(|live| live.about()) else { return Verdict::Unknown };
        if !about.needs_token() {
            return Verdict::Open(about);
        }
        let checked = match &asker.carried {
            Some(Carried { token, .. }) => {
                self.check(token, &asker.id, &about.viewer_keys, asker.client)
            }
            None => Err(Refusal::Missing),
        };
        match checked {
            Ok(until_ms) => Verdict::Granted(about, until_ms),
            // Whatever is wrong with what they have, they can get another here.
            Err(refusal) if about.form().is_some() => Verdict::Refused(refusal.or_register()),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// Until when a token lets its holder watch, Unix ms.
    fn check(
        &self,
        token: &str,
        id: &BroadcastId,
        keys: &[ViewerKey],
        client: IpAddr,
    ) -> Result<u64, Refusal> {
        let now_ms = UtcTime::from(SystemTime::now()).as_millis();
        let judged = self.verified(token, keys, client)?.until(id, keys, now_ms);
        judged.map_err(|fault| refused(id, fault))
    }

    fn verified(
        &self,
        token: &str,
        keys: &[ViewerKey],
        client: IpAddr,
    ) -> Result<Arc<Verified>, Refusal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(token);
        if let Some(known) = known {
            return Ok(known);
        }
        let admitted = {
            let mut floods = self.floods.lock().unwrap_or_else(PoisonError::into_inner);
            floods.admit(client, Instant::now())
        };
        admitted.map_err(Refusal::TooMany)?;
        self.metrics.checked.inc();
        let verified = Verified::read(token, keys).map_err(Refusal::from)?;
        let verified = Arc::new(verified);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remember(token, verified.clone());
        Ok(verified)
    }

    /// Whether there is a place for somebody who begins to watch.
    fn make_room(
        &self,
        id: &BroadcastId,
        route: Route,
        about: &About,
        request: &Request,
    ) -> Result<(), Refusal> {
        let begins = match route {
            Route::Offer => request.method() == Method::POST,
            Route::Manifest => matches!(*request.method(), Method::GET | Method::HEAD),
            Route::About | Route::Other | Route::Free => false,
        };
        let Some(max) = about.viewers_max.filter(|_| begins) else { return Ok(()) };
        let newcomer = Newcomer::of(id, request, route == Route::Offer);
        let sessions = self.engine.watching(id);
        if self.audience.admit(&newcomer, max, sessions) { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Whether a session that has begun is one of those that the host lets in.
    fn seated(
        &self,
        id: &BroadcastId,
        about: &About,
        session: &Option<SessionId>,
    ) -> Result<(), Refusal> {
        let max = about.viewers_max.filter(|_| session.is_some());
        let over = max.is_some_and(|max| self.engine.watching(id) > max);
        if over { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Has a broadcast subscribed to while somebody who may watch it is answered. Where that is not
    /// `known` yet, it is judged as soon as it is.
    async fn watch(
        &self,
        asker: &Asker,
        known: bool,
        watching: &Watching,
        answering: impl Future<Output = Response>,
    ) -> Result<Response, Refusal> {
        if known {
            watching.begin().await.map_err(|_| Refusal::NoRoom)?;
            return Ok(answering.await);
        }
        let watched = async {
            self.directory.described(&asker.id).await;
            match self.judge(asker) {
                Verdict::Open(_) | Verdict::Granted(..) => {
                    watching.begin().await.map_err(|_| Refusal::NoRoom)
                }
                Verdict::Refused(refusal) => Err(refusal),
                Verdict::Unknown => Ok(()),
            }
        };
        let mut answering = std::pin::pin!(answering);
        tokio::select! {
            // First what has an answer: a session may have begun with it.
            biased;
            answer = &mut answering => Ok(answer),
            watched = watched => {
                watched?;
                Ok(answering.await)
            }
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        self.metrics.refused.with_label_values(&[refusal.code()]).inc();
        refusal.into_response()
    }
}

fn refused(id: &BroadcastId, fault: Fault) -> Refusal {
    if let Fault::Invalid(why) = fault {
        tracing::debug!(broadcast = %id, why, "viewer token refused");
    }
    fault.into()
}

/// Stands before every route of a broadcast.
///
/// What is not known when a request comes may be known when it is answered, since some wait for just
/// that; so such a request is looked at once more before its answer goes out.
async fn guard(
    State(access): State<Arc<Access>>,
    params: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = Route::of(&request);
    // Who asks what is allowed brings nothing yet that could be looked at.
    let free = route == Route::Free || *request.method() == Method::OPTIONS;
    // As the handlers read it, so that one name is not two.
    let id = params.ok().and_then(|params| params.iter().find(|(key, _)| *key == "id").map(id_of));
    let Some(id) = id.flatten().filter(|_| !free) else { return next.run(request).await };
    let query = request.uri().query().filter(|_| route == Route::Manifest);
    let asker = Asker {
        carried: carried::token(request.headers(), query),
        client: client_of(request.extensions()).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        id,
    };
    let secure = request.extensions().get::<Secured>().is_some_and(|Secured(secure)| *secure);
    let verdict = access.judge(&asker);
    let room = match &verdict {
        Verdict::Refused(refusal) => Err(*refusal),
        Verdict::Open(about) | Verdict::Granted(about, _) => {
            access.make_room(&asker.id, route, about, &request)
        }
        Verdict::Unknown => Ok(()),
    };
    if let Err(refusal) = room {
        return access.refuse(refusal);
    }
    if let Verdict::Granted(_, until_ms) = &verdict {
        request.extensions_mut().insert(grant(*until_ms));
    }
    let watching =
        route.wants(request.method()).then(|| access.demand.interest(&asker.id).watching());
    let answer = match watching {
        None => next.run(request).await,
        Some(watching) => {
            request.extensions_mut().insert(watching.clone());
            let known = !matches!(verdict, Verdict::Unknown);
            match access.watch(&asker, known, &watching, next.run(request)).await {
                Ok(answer) => demand::keep(answer, watching),
                Err(refusal) => return access.refuse(refusal),
            }
        }
    };
    match verdict {
        Verdict::Open(_) | Verdict::Refused(_) => answer,
        Verdict::Granted(_, until_ms) => access.hand_out(answer, &asker, until_ms, secure),
        Verdict::Unknown if !is_content(&answer) => answer,
        Verdict::Unknown => {
            let session = if route == Route::Offer { session_of(&answer) } else { None };
            let judged = match access.judge(&asker) {
                Verdict::Open(about) => access.seated(&asker.id, &about, &session).map(|()| answer),
                Verdict::Granted(about, until_ms) => {
                    let until = grant(until_ms).until;
                    let ends = session
                        .as_ref()
                        .is_none_or(|session| access.engine.end_at(&asker.id, session, until));
                    let seated = access.seated(&asker.id, &about, &session);
                    let seated = if ends { seated } else { Err(Refusal::NotReady) };
                    seated.map(|()| access.hand_out(answer, &asker, until_ms, secure))
                }
                Verdict::Refused(refusal) => Err(refusal),
                Verdict::Unknown => Err(Refusal::NotReady),
            };
            judged.unwrap_or_else(|refusal| {
                // What was begun for somebody who may not is over before they hear of it.
                if let Some(session) = &session {
                    access.engine.close(&asker.id, session);
                }
                access.refuse(refusal)
            })
        }
    }
}

/// The session of WebRTC that an answer tells of.
fn session_of(answer: &Response) -> Option<SessionId> {
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    location.rsplit('/').next().map(SessionId::from_url)
}

fn id_of((_, id): (&str, &str)) -> Option<BroadcastId> {
    id.parse().ok()
}

/// Whether something of a broadcast is in the answer, or begins with it.
fn is_content(answer: &Response) -> bool {
    let status = answer.status();
    status.is_success() || status.is_redirection() || status == StatusCode::SWITCHING_PROTOCOLS
}

fn grant(until_ms: u64) -> Grant {
    let now_ms = UtcTime::from(SystemTime::now()).as_millis();
    let left = Duration::from_millis(until_ms.saturating_sub(now_ms)).min(GRANT_MAX);
    Grant { until: Instant::now() + left }
}

impl Access {
    /// Says on an answer for one viewer whose it is: caches that several share must not keep it, and who
    /// brought the token in the address gets the cookie, so that no other address needs it.
    fn hand_out(
        &self,
        mut answer: Response<Body>,
        asker: &Asker,
        until_ms: u64,
        secure: bool,
    ) -> Response {
        let by_query = asker.carried.as_ref().filter(|carried| carried.by_query);
        let headers = answer.headers_mut();
        if let Some(Carried { token, .. }) = by_query {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            add_cookies(headers, token, &asker.id, until_ms, secure);
        } else if !self.shared_cache {
            keep_private(headers);
        }
        answer
    }
}

fn add_cookies(
    headers: &mut HeaderMap,
    token: &str,
    id: &BroadcastId,
    until_ms: u64,
    secure: bool,
) {
    let now_ms = UtcTime::from(SystemTime::now()).as_millis();
    let max_age_ms = until_ms.saturating_sub(now_ms);
    for cookie in carried::set_cookies(token, id, max_age_ms, secure) {
        headers.append(SET_COOKIE, cookie);
    }
}

/// `public` becomes `private`; what is to be kept by nobody stays so.
fn keep_private(headers: &mut HeaderMap) {
    let private = headers.get(CACHE_CONTROL).and_then(|cache| {
        let rest = cache.to_str().ok()?.strip_prefix("public")?;
        HeaderValue::try_from(format!("private{rest}")).ok()
    });
    if let Some(private) = private {
        headers.insert(CACHE_CONTROL, private);
    }
}
