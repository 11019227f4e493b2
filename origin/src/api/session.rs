//! Signing in and out, and the first account.

use std::sync::Arc;
use std::time::{Instant as Clock, SystemTime};

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::{ORIGIN, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::UtcTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Site;
use super::accounts::AccountBody;
use super::asked::{From, Json};
use super::caller::{By, COOKIE_NAME, Caller, same_origin};
use super::problem::{FieldError, NotChanged, Problem, Refused};
use crate::control::password;
use crate::control::records::{Account, Login, Name, Role, Session};
use crate::control::secret;
use crate::control::store::Conflict;
use crate::instant::Instant;

/// For how long a browser keeps the cookie; the server ends the session by its own clock.
const COOKIE_SECS: u64 = 30 * 24 * 3_600;
/// See [`InfoBody::features`].
const FEATURES: &[&str] = &["webhooks", "registration"];
/// What a browser calls itself is kept up to here.
const AGENT_CHARS_MAX: usize = 200;

/// What this server is and can do, for everybody.
#[derive(Serialize, ToSchema)]
#[schema(as = Info)]
pub(super) struct InfoBody {
    name: &'static str,
    version: &'static str,
    /// There is no account yet: use the link that the server has printed.
    setup_needed: bool,
    /// The OpenID provider to sign in with.
    oidc: Option<OidcBody>,
    /// Where RTMP is accepted on this host.
    rtmp_port: u16,
    /// Where WHIP is accepted.
    whip: Option<String>,
    /// What the id of a broadcast is appended to for viewers.
    watch: String,
    /// What this server can do that another might not.
    features: &'static [&'static str],
}

/// The OpenID provider.
#[derive(Serialize, ToSchema)]
#[schema(as = Oidc)]
pub(super) struct OidcBody {
    /// What people call it.
    name: String,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionBody {
    account: AccountBody,
    /// Until when, at the latest.
    expires_at: Instant,
}

/// Signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    #[schema(max_length = 120)]
    login: String,
    #[schema(max_length = 200)]
    password: String,
}

/// The first account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    /// From the link that the server has printed.
    token: String,
    #[schema(min_length = 1, max_length = 120)]
    login: String,
    #[schema(min_length = 1, max_length = 120)]
    name: String,
    #[schema(min_length = 10, max_length = 200)]
    password: String,
}

/// What this server is and can do.
#[utoipa::path(get, path = "/info", tag = "session",
    responses((status = 200, body = InfoBody), Refused))]
pub(super) async fn info(State(site): State<Arc<Site>>) -> Answer<InfoBody> {
    Answer(InfoBody {
        name: "Lectern",
        version: env!("CARGO_PKG_VERSION"),
        setup_needed: site.control.setup_token().is_some(),
        oidc: site
            .oidc
            .as_ref()
            .map(|provider| OidcBody { name: provider.config().name.as_str().to_owned() }),
        rtmp_port: site.rtmp_port,
        whip: Some("/whip".to_owned()),
        watch: site.watch_url.clone(),
        features: FEATURES,
    })
}

/// Makes the first account, and signs it in.
#[utoipa::path(post, path = "/setup", tag = "session", request_body = Setup,
    responses((status = 201, body = SessionBody), Refused, NotChanged))]
pub(super) async fn setup(
    State(site): State<Arc<Site>>,
    From(client): From,
    headers: HeaderMap,
    Json(setup): Json<Setup>,
) -> Result<Response, Problem> {
    same_origin(&headers)?;
    let tried = site.control.throttle().attempt("", client, Clock::now());
    tried.map_err(|after| Problem::too_many("too many tries", after))?;
    let wanted = site.control.setup_token();
    let Some(wanted) = wanted else {
        return Err(Problem::conflict("this server has been set up: sign in"));
    };
    if secret::digest(&setup.token) != secret::digest(&wanted) {
        return Err(Problem::forbidden(
            "this link is not good: use the one that the server printed",
        ));
    }
    let account = new_account(&setup.login, &setup.name, Role::Admin, Some(&setup.password))?;
    let kept = site.control.passwords().hash(setup.password).await?;
    match site.control.store().add_account(&account, Some(&kept), true).await? {
        Ok(()) => site.control.is_set_up(),
        Err(Conflict::Exists) => {
            site.control.is_set_up();
            return Err(Problem::conflict("this server has been set up: sign in"));
        }
        Err(conflict) => return Err(conflict.into()),
    }
    tracing::info!(account = account.login.as_str(), "the first account was made");
    site.control.throttle().succeeded("", client, Clock::now());
    sign_in(&site, account, &headers, StatusCode::CREATED).await
}

/// Signs in.
#[utoipa::path(post, path = "/session", tag = "session", request_body = Credentials,
    responses((status = 200, body = SessionBody), Refused, NotChanged))]
pub(super) async fn create(
    State(site): State<Arc<Site>>,
    From(client): From,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    same_origin(&headers)?;
    let wrong = || Problem::unauthorized("the login or the password is wrong");
    if credentials.password.chars().count() > password::CHARS_MAX {
        return Err(wrong());
    }
    // Nobody has what is none; it is counted all the same.
    let login = Login::try_from(credentials.login.clone());
    let counted = login.as_ref().map_or("", Login::as_str);
    let tried = site.control.throttle().attempt(counted, client, Clock::now());
    tried.map_err(|after| {
        Problem::too_many("too many tries: wait a little, then try again", after)
    })?;
    let found = match &login {
        Ok(login) => site.control.store().login(login.as_str()).await?,
        Err(_) => None,
    };
    let kept = found.as_ref().and_then(|(_, kept)| kept.clone());
    // Takes as long for whom nobody knows.
    let right = site.control.passwords().verify(credentials.password, kept).await?;
    let (account, _) = found.filter(|_| right).ok_or_else(wrong)?;
    if account.disabled {
        return Err(Problem::forbidden("this account is disabled: ask an admin"));
    }
    site.control.throttle().succeeded(account.login.as_str(), client, Clock::now());
    sign_in(&site, account, &headers, StatusCode::OK).await
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "session",
    responses((status = 200, body = SessionBody), Refused))]
pub(super) async fn get(caller: Caller) -> Result<Answer<SessionBody>, Problem> {
    match &caller.by {
        By::Session(session, _) => Ok(Answer(SessionBody::of(&caller.account, session))),
        By::Token(..) => Err(Problem::forbidden("a token has no session")),
    }
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = "session",
    responses((status = 204), Refused))]
pub(super) async fn delete(
    State(site): State<Arc<Site>>,
    caller: Caller,
) -> Result<Response, Problem> {
    if let By::Session(_, digest) = &caller.by {
        site.control.store().end_session(digest).await?;
    }
    let gone = format!("{COOKIE_NAME}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, gone)]).into_response())
}

/// An account as somebody wants it.
pub(super) fn new_account(
    login: &str,
    name: &str,
    role: Role,
    password: Option<&str>,
) -> Result<Account, Problem> {
    let mut errors = Vec::new();
    let mut wrong = |field, detail: String| errors.push(FieldError::new(field, detail));
    let login = Login::try_from(login.to_owned());
    let name = Name::try_from(name.to_owned());
    if let Err(error) = &login {
        wrong("login", (*error).to_owned());
    }
    if let Err(error) = &name {
        wrong("name", error.to_string());
    }
    if let (Some(password), Ok(login)) = (password, &login)
        && let Err(error) = password::check(password, login.as_str())
    {
        wrong("password", error);
    }
    match (login, name) {
        (Ok(login), Ok(name)) if errors.is_empty() => Ok(Account {
            id: secret::id(),
            rev: 1,
            login,
            name,
            role,
            disabled: false,
            has_password: password.is_some(),
            oidc: None,
            created_at: UtcTime::from(SystemTime::now()).into(),
            signed_in_at: None,
        }),
        _ => Err(Problem::invalid(errors)),
    }
}

/// Begins a session, which the answer's cookie carries.
pub(super) async fn sign_in(
    site: &Site,
    account: Account,
    headers: &HeaderMap,
    status: StatusCode,
) -> Result<Response, Problem> {
    // A browser that came over TLS sends it over nothing else; on a network without, there is no other
    // way in.
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    let secure = origin.is_some_and(|origin| origin.starts_with("https:"));
    let (session, cookie) = begin_session(site, &account, headers, secure).await?;
    let mut response = (status, Answer(SessionBody::of(&account, &session))).into_response();
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

/// A session of this account, and the cookie for it, which is sent over TLS alone if `secure`.
pub(super) async fn begin_session(
    site: &Site,
    account: &Account,
    headers: &HeaderMap,
    secure: bool,
) -> Result<(Session, HeaderValue), Problem> {
    let cookie = secret::generate("");
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = Instant::from(UtcTime::from(SystemTime::now()));
    let session = Session {
        id: secret::id(),
        account: account.id.clone(),
        agent: agent.chars().take(AGENT_CHARS_MAX).collect(),
        created_at: now,
        seen_at: now,
    };
    site.control.store().add_session(&secret::digest(&cookie), &session).await?;
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={cookie}; HttpOnly; SameSite=Lax; Path=/; Max-Age={COOKIE_SECS}{secure}"
    );
    let cookie = HeaderValue::try_from(cookie).map_err(|_| Problem::unavailable("no cookie"))?;
    Ok((session, cookie))
}

impl SessionBody {
    fn of(account: &Account, session: &Session) -> Self {
        let created = UtcTime::from(session.created_at);
        let expires = created + std::time::Duration::from_secs(COOKIE_SECS);
        Self { account: AccountBody::from(account), expires_at: expires.into() }
    }
}
