//! Signing in at the OpenID provider: two addresses that browsers go to, and which send them on. Whatever
//! happens there, people end in the console, which tells them.

use std::sync::Arc;
use std::time::Instant as Clock;

use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lectern_relay_proto::UtcTime;
use serde::Deserialize;

use super::Site;
use super::asked::{From, Query};
use super::caller::{By, Caller, cookie, same_origin};
use super::problem::{Problem, Refused};
use super::session::begin_session;
use crate::control::records::{Account, Login};
use crate::control::secret;
use crate::control::store::Conflict;
use crate::oidc::{AWAY_MAX, CameBack, Finished, Person, Provider};

/// What a browser is known by while it is away at the provider.
const COOKIE_NAME: &str = "lectern_oidc";
/// Where that cookie is sent.
const COOKIE_PATH: &str = "/api/v1/oidc";
/// How many numbers are tried behind a login that somebody else has.
const NUMBERS_MAX: u32 = 20;

/// Where somebody wants to go.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wish {
    /// A path of the console, such as `/broadcasts/algebra-1`; anything else is the first page.
    to: Option<String>,
    /// `1`: whoever is signed in wants to sign in with the provider from now on.
    link: Option<String>,
}

/// Sends a browser to the OpenID provider.
#[utoipa::path(get, path = "/oidc/login", tag = "session", params(Wish),
    responses((status = 303,
        description = "To the provider; or to the console, with `#error=` and the reason in a word.",
        headers(("Location" = String), ("Set-Cookie" = String))), Refused))]
pub(super) async fn login(
    State(site): State<Arc<Site>>,
    From(client): From,
    headers: HeaderMap,
    Query(wish): Query<Wish>,
    caller: Result<Caller, Problem>,
) -> Result<Response, Problem> {
    let provider = site.oidc.as_ref().ok_or_else(Problem::not_found)?;
    let counted = site.control.throttle().departure(client, Clock::now());
    counted.map_err(|after| {
        Problem::too_many("too many tries: wait a little, then try again", after)
    })?;
    let link = match wish.link.as_deref() {
        Some("1") => match to_be_linked(&headers, caller) {
            Ok(account) => Some(account),
            Err(problem) => return refused(provider, problem.code()),
        },
        _ => None,
    };
    let known = cookie(&headers, COOKIE_NAME);
    let begun = match provider.begin(wish.to.as_deref(), link, known, client).await {
        Ok(begun) => begun,
        Err(error) => {
            tracing::warn!(%error, "nobody can be sent to the OpenID provider");
            return refused(provider, error.code());
        }
    };
    let mut response = to(&begun.url)?;
    let max_age = AWAY_MAX.as_secs();
    set_cookie(&mut response, provider, &begun.browser, max_age)?;
    Ok(response)
}

/// Who comes back from the OpenID provider is signed in.
#[utoipa::path(get, path = "/oidc/callback", tag = "session", params(CameBack),
    responses((status = 303,
        description = "To the console, signed in; or with `#error=` and the reason in a word.",
        headers(("Location" = String), ("Set-Cookie" = String))), Refused))]
pub(super) async fn callback(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    Query(answer): Query<CameBack>,
    caller: Result<Caller, Problem>,
) -> Result<Response, Problem> {
    let provider = site.oidc.as_ref().ok_or_else(Problem::not_found)?;
    // Not counted: without something begun, of which not much can be, nothing is done here.
    let finished = match provider.finish(answer, cookie(&headers, COOKIE_NAME)).await {
        Ok(finished) => finished,
        Err(error) => {
            tracing::info!(%error, "somebody who came back from the OpenID provider is not let in");
            return refused(provider, error.code());
        }
    };
    let Finished { person, to, link } = finished;
    let who = person
        .logins
        .first()
        .map_or_else(|| person.subject.clone(), |login| login.as_str().to_owned());
    let session = match link {
        Some(account) => link_to(&site, &account, caller, &person).await.map(|()| None),
        None => sign_in(&site, provider, person, &headers).await.map(Some),
    };
    let session = match session {
        Ok(session) => session,
        Err(problem) => {
            let (code, why) = (problem.code(), problem.detail());
            tracing::info!(code, who, "somebody from the OpenID provider is not let in: {why}");
            return refused(provider, code);
        }
    };
    let mut response = self::to(&format!("{}#{to}", provider.config().console_url))?;
    if let Some(session) = session {
        response.headers_mut().append(SET_COOKIE, session);
    }
    set_cookie(&mut response, provider, "", 0)?;
    Ok(response)
}

/// The account that a browser has a session of, if it is one of our own pages that asks.
fn to_be_linked(headers: &HeaderMap, caller: Result<Caller, Problem>) -> Result<String, Problem> {
    same_origin(headers)?;
    let Caller { account, by } = caller?;
    match by {
        By::Session(..) => Ok(account.id),
        By::Token(..) => Err(Problem::forbidden("a token has no session")),
    }
}

/// Lets the account from which this was begun be signed in to by `person`.
async fn link_to(
    site: &Site,
    begun_by: &str,
    caller: Result<Caller, Problem>,
    person: &Person,
) -> Result<(), Problem> {
    let Caller { mut account, by } = caller?;
    if !matches!(by, By::Session(..)) || account.id != begun_by {
        return Err(because("other-account", "you have signed in as somebody else meanwhile"));
    }
    let store = site.control.store();
    match store.oidc_account(&person.subject).await? {
        Some(other) if other.id != account.id => {
            return Err(because(
                "linked-elsewhere",
                "another account here is already signed in to in this way",
            ));
        }
        Some(_) => return Ok(()),
        None => {}
    }
    account.oidc = Some(person.subject.clone());
    store.set_account(&account).await?.map(|_| ()).map_err(|conflict| match conflict {
        Conflict::Stale => Problem::conflict("your account was changed meanwhile: try again"),
        conflict => conflict.into(),
    })
}

/// A session for `person`, as the cookie for it.
async fn sign_in(
    site: &Site,
    provider: &Provider,
    person: Person,
    headers: &HeaderMap,
) -> Result<HeaderValue, Problem> {
    let account = account_of(site, provider, person).await?;
    if account.disabled {
        return Err(because("disabled", "this account is disabled"));
    }
    let secure = provider.config().is_secure();
    Ok(begin_session(site, &account, headers, secure).await?.1)
}

async fn account_of(site: &Site, provider: &Provider, person: Person) -> Result<Account, Problem> {
    let store = site.control.store();
    if let Some(account) = store.oidc_account(&person.subject).await? {
        return Ok(account);
    }
    if let Some(account) = awaited(site, &person).await? {
        return Ok(account);
    }
    let config = provider.config();
    if !config.admission.create {
        return Err(because("no-account", "there is no account here for them yet"));
    }
    // Else the one who sets it up would find the door shut.
    if !store.has_accounts().await? {
        return Err(because("setup-needed", "this server has no admin yet"));
    }
    for login in logins(&person) {
        let account = Account {
            id: secret::id(),
            rev: 1,
            login,
            name: person.name.clone(),
            role: person.role,
            disabled: false,
            has_password: false,
            oidc: Some(person.subject.clone()),
            created_at: UtcTime::from(std::time::SystemTime::now()).into(),
            signed_in_at: None,
        };
        match store.add_account(&account, None, false).await? {
            Ok(()) => {
                let (login, role) = (account.login.as_str(), account.role.as_str());
                tracing::info!(login, role, "somebody from the OpenID provider has an account now");
                return Ok(account);
            }
            Err(Conflict::Exists) => {
                // They may have come in by another tab just now.
                if let Some(account) = store.oidc_account(&person.subject).await? {
                    return Ok(account);
                }
            }
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Err(Problem::conflict("every login that would suit you is taken: ask an admin for an account"))
}

/// An account that an admin has made for whoever has this address, to which nobody can have signed in yet.
async fn awaited(site: &Site, person: &Person) -> Result<Option<Account>, Problem> {
    let store = site.control.store();
    let Some(mail) = &person.mail else { return Ok(None) };
    let Some((mut account, None)) = store.login(mail.as_str()).await? else { return Ok(None) };
    if account.oidc.is_some() || account.disabled {
        return Ok(None);
    }
    account.oidc = Some(person.subject.clone());
    match store.set_account(&account).await? {
        Ok(account) => Ok(Some(account)),
        Err(Conflict::Stale) => {
            Err(Problem::conflict("your account was changed just now: try again"))
        }
        Err(conflict) => Err(conflict.into()),
    }
}

/// Why somebody is not signed in, by the word that the console has a text for.
fn because(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}

/// What somebody may be called here: what they are called there, then with numbers, then by chance.
fn logins(person: &Person) -> Vec<Login> {
    let first = person.logins.first().map_or("", Login::as_str);
    let numbered = (2..=NUMBERS_MAX).map(|number| format!("{first}-{number}"));
    let last = format!("{first}-{}", secret::id());
    let made = numbered.chain([last]).filter_map(|login| Login::try_from(login).ok());
    person.logins.iter().cloned().chain(made).collect()
}

/// Back to the console, which has words for the reason.
fn refused(provider: &Provider, code: &str) -> Result<Response, Problem> {
    to(&format!("{}#error={code}", provider.config().console_url))
}

fn to(url: &str) -> Result<Response, Problem> {
    let url = HeaderValue::try_from(url)
        .map_err(|_| Problem::unavailable("the way there cannot be written down"))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, url)]).into_response())
}

fn set_cookie(
    response: &mut Response,
    provider: &Provider,
    value: &str,
    max_age: u64,
) -> Result<(), Problem> {
    let secure = if provider.config().is_secure() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE_NAME}={value}; HttpOnly; SameSite=Lax; Path={COOKIE_PATH}; Max-Age={max_age}{secure}"
    );
    let cookie = HeaderValue::try_from(cookie).map_err(|_| Problem::unavailable("no cookie"))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}
