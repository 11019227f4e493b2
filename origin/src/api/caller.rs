//! Who asks: a browser with the cookie of a session, or a program with a token; and what they may do.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use lectern_relay_proto::{BroadcastId, UtcTime};

use super::Site;
use super::asked::bearer;
use super::problem::Problem;
use crate::control::Listed;
use crate::control::records::{Account, MemberRole, Role, Scope, Session};
use crate::control::secret;

/// The cookie of a session.
pub(super) const COOKIE_NAME: &str = "lectern_session";
/// What every token begins with.
pub(super) const TOKEN_PREFIX: &str = "lec_";

/// Somebody who is known.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) account: Account,
    pub(super) by: By,
}

/// How they are known.
#[derive(Clone, Debug)]
pub(super) enum By {
    /// By a session, and the digest of its cookie.
    Session(Session, String),
    /// By a token that is good for this, and its digest.
    Token(Vec<Scope>, String),
}

/// What somebody is in a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Moderator,
    Host,
    Admin,
}

impl Part {
    pub(super) fn role(self) -> Role {
        match self {
            Self::Moderator => Role::Moderator,
            Self::Host => Role::Host,
            Self::Admin => Role::Admin,
        }
    }
}

impl From<MemberRole> for Part {
    fn from(role: MemberRole) -> Self {
        match role {
            MemberRole::Host => Self::Host,
            MemberRole::Moderator => Self::Moderator,
        }
    }
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let store = site.control.store();
        let now = UtcTime::from(SystemTime::now());
        if let Some(token) = bearer(&parts.headers) {
            let digest = secret::digest(token);
            let found = match token.starts_with(TOKEN_PREFIX) {
                true => store.token(&digest, now).await?,
                false => None,
            };
            let (token, account) = found
                .ok_or_else(|| Problem::unauthorized("this token is not good, or not any more"))?;
            return Ok(Self { account, by: By::Token(token.scopes, digest) });
        }
        if !is_safe(&parts.method) {
            same_origin(&parts.headers)?;
        }
        let cookie = session_cookie(&parts.headers)
            .ok_or_else(|| Problem::unauthorized("sign in, or send a token"))?;
        let digest = secret::digest(cookie);
        let found = store.session(&digest, now).await?;
        let (session, account) =
            found.ok_or_else(|| Problem::unauthorized("your session is over: sign in again"))?;
        Ok(Self { account, by: By::Session(session, digest) })
    }
}

impl Caller {
    /// Refuses what a token is not good for.
    pub(super) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        match &self.by {
            By::Session(..) => Ok(()),
            By::Token(scopes, _) if scopes.contains(&scope) => Ok(()),
            By::Token(..) => {
                let detail = format!("this token does not have the scope {}", scope.as_str());
                Err(Problem::forbidden(detail))
            }
        }
    }

    /// Refuses whoever is not an admin.
    pub(super) fn needs_admin(&self) -> Result<(), Problem> {
        match self.account.role {
            Role::Admin => Ok(()),
            Role::Host | Role::Moderator => Err(Problem::forbidden("only admins may do this")),
        }
    }

    /// The same as it is now, if they may still come in as they did.
    pub(super) async fn renewed(&self, site: &Site) -> Result<Self, Problem> {
        let (store, now) = (site.control.store(), UtcTime::from(SystemTime::now()));
        let renewed = match &self.by {
            By::Session(_, digest) => {
                let found = store.session(digest, now).await?;
                found.map(|(session, account)| (account, By::Session(session, digest.clone())))
            }
            By::Token(_, digest) => {
                let found = store.token(digest, now).await?;
                found.map(|(token, account)| (account, By::Token(token.scopes, digest.clone())))
            }
        };
        let (account, by) = renewed.ok_or_else(|| Problem::unauthorized("this is over"))?;
        Ok(Self { account, by })
    }

    /// What this is in which broadcasts.
    pub(super) async fn parts(&self, site: &Site) -> Result<Parted, Problem> {
        if self.account.role == Role::Admin {
            return Ok(Parted::All);
        }
        let mut parts = site.control.store().parts(&self.account.id).await?;
        if self.account.role == Role::Moderator {
            parts.iter_mut().for_each(|(_, role)| *role = MemberRole::Moderator);
        }
        Ok(Parted::Some(parts))
    }

    /// A broadcast in which this is at least `least`. Whoever is nothing in it is not told of it.
    pub(super) async fn broadcast(
        &self,
        site: &Site,
        id: &str,
        least: Part,
    ) -> Result<(Arc<Listed>, Part), Problem> {
        let id: BroadcastId = id.parse().map_err(|_| Problem::not_found())?;
        let part = self.parts(site).await?.of(&id).ok_or_else(Problem::not_found)?;
        let listed = site.control.get(&id).ok_or_else(Problem::not_found)?;
        if part < least {
            return Err(Problem::forbidden("only hosts of this broadcast may do this"));
        }
        Ok((listed, part))
    }
}

/// What somebody is in which broadcasts.
#[derive(Debug)]
pub(super) enum Parted {
    All,
    Some(Vec<(BroadcastId, MemberRole)>),
}

impl Parted {
    pub(super) fn of(&self, id: &BroadcastId) -> Option<Part> {
        match self {
            Self::All => Some(Part::Admin),
            Self::Some(parts) => {
                parts.iter().find(|(of, _)| of == id).map(|(_, role)| Part::from(*role))
            }
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses what a page of another site has a browser ask with the cookie of ours. Every browser says
/// where a request comes from; programs say nothing, and nobody tricks them into anything.
pub(super) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(HOST.as_str())
        }
        (None, None) => true,
    };
    if same { Ok(()) } else { Err(Problem::forbidden("this was asked by a page of another site")) }
}

pub(super) fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, COOKIE_NAME)
}

/// The value of the cookie of this name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_ask_with_a_cookie() {
        let check = |headers: &[(&'static str, &'static str)], expect| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (name.parse().expect("a name"), value.parse().expect("a value"))
                })
                .collect();
            assert_eq!(same_origin(&headers).is_ok(), expect, "{headers:?}");
        };
        check(&[("sec-fetch-site", "same-origin"), ("origin", "https://a.example")], true);
        check(&[("sec-fetch-site", "none")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("host", "a.example")], false);
        check(&[("origin", "https://a.example"), ("host", "a.example")], true);
        check(&[("origin", "https://b.example"), ("host", "a.example")], false);
        check(&[("origin", "null"), ("host", "a.example")], false);
        check(&[], true);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cookies = |line: &'static str| HeaderMap::from_iter([(COOKIE, line.parse().unwrap())]);
        assert_eq!(session_cookie(&cookies("a=b; lectern_session=x; c=d")), Some("x"));
        assert_eq!(session_cookie(&cookies("xlectern_session=x")), None);
        assert_eq!(session_cookie(&cookies("")), None);
    }
}
