//! How a request carries a viewer token, and the cookie that does so for players which cannot.
//!
//! | Where | by whom |
//! |---|---|
//! | `Authorization: Bearer` (RFC 6750 §2.1) | our player, WHEP players, curl |
//! | `Sec-WebSocket-Protocol: lectern.comments, lectern.token.<token>` | our player: a page cannot set other headers there |
//! | `?token=`, on a manifest alone | players of others; the answer sets the cookie, and what the manifest names has no token in it |
//! | the cookie | a browser's own HLS player, and pages that were opened once with the token |
//!
//! The first of these counts, and no other is looked at.

use axum::http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use lectern_relay_proto::BroadcastId;

/// The protocol of the comments' WebSocket, which is agreed on if a player offers it.
pub(crate) const PROTOCOL: &str = "lectern.comments";
const TOKEN_PROTOCOL: &str = "lectern.token.";
const COOKIE_NAME: &str = "lectern-viewer";
/// Longer than browsers keep any cookie.
const MAX_AGE_S_MAX: u64 = 400 * 24 * 3_600;

/// A token, and what it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) token: String,
    pub(super) by_query: bool,
}

/// The token of a request; `query` is what may have one.
pub(super) fn token(headers: &HeaderMap, query: Option<&str>) -> Option<Carried> {
    let found = bearer(headers).or_else(|| offered(headers));
    if let Some(token) = found {
        return Some(Carried { token: token.to_owned(), by_query: false });
    }
    let asked =
        query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
    if let Some(token) = asked {
        return Some(Carried { token: token.to_owned(), by_query: true });
    }
    let token = cookie(headers)?.to_owned();
    Some(Carried { token, by_query: false })
}

/// RFC 6750 §2.1. What somebody in front is told by another scheme is not for us.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

fn offered(headers: &HeaderMap) -> Option<&str> {
    items(headers, &SEC_WEBSOCKET_PROTOCOL, ',').find_map(|one| one.strip_prefix(TOKEN_PROTOCOL))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    items(headers, &COOKIE, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == COOKIE_NAME).then(|| value.trim())
    })
}

fn items<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    between: char,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(move |line| line.split(between)).map(str::trim)
}

/// The cookies that carry a token which was checked, for `max_age_ms`.
///
/// Two of one name: broadcasts are kept apart by path, and media and WHEP have no path in common that is
/// not everybody's. The first is for the directory of the request that it answers, `/live/<id>`, below
/// whatever prefix a proxy has put before it (RFC 6265 §5.1.4).
pub(super) fn set_cookies(
    token: &str,
    id: &BroadcastId,
    max_age_ms: u64,
    secure: bool,
) -> impl Iterator<Item = HeaderValue> {
    let max_age_s = (max_age_ms / 1_000).min(MAX_AGE_S_MAX);
    // A page of another site that embeds the player has its own jar; over plain HTTP there is no way to
    // it, and a browser would refuse the attributes.
    let site = if secure { "SameSite=None; Secure; Partitioned" } else { "SameSite=Lax" };
    let cookie = format!("{COOKIE_NAME}={token}; Max-Age={max_age_s}; HttpOnly; {site}");
    let whep = format!("{cookie}; Path=/whep/{id}");
    // A token that was checked has no character that a header could not hold.
    [cookie, whep].into_iter().filter_map(|cookie| HeaderValue::try_from(cookie).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(HeaderName, &str)], query: Option<&str>) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        token(&headers, query).map(|carried| (carried.token, carried.by_query))
    }

    #[test]
    fn a_token_is_found_wherever_it_is_carried_and_one_counts() {
        let plain = |token: &str| Some((token.to_owned(), false));
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&[(AUTHORIZATION, "Bearer a.b.c")], None), plain("a.b.c"));
        assert_eq!(of(&[(AUTHORIZATION, "bearer  a.b.c ")], None), plain("a.b.c"));
        let offer = "lectern.comments, lectern.token.a.b.c";
        assert_eq!(of(&[(SEC_WEBSOCKET_PROTOCOL, offer)], None), plain("a.b.c"));
        assert_eq!(of(&[(COOKIE, "x=1; lectern-viewer=a.b.c; y=2")], None), plain("a.b.c"));
        assert_eq!(of(&[(COOKIE, "x=1"), (COOKIE, "lectern-viewer=a.b.c")], None), plain("a.b.c"));
        assert_eq!(of(&[], Some("CMCD=x&token=a.b.c")), Some(("a.b.c".to_owned(), true)));
        let basic = (AUTHORIZATION, "Basic dTpw");
        assert_eq!(of(&[basic.clone(), (COOKIE, "lectern-viewer=c")], None), plain("c"));
        let cookie = (COOKIE, "lectern-viewer=old");
        assert_eq!(
            of(std::slice::from_ref(&cookie), Some("token=new")),
            Some(("new".to_owned(), true))
        );
        assert_eq!(of(&[cookie, (AUTHORIZATION, "Bearer new")], Some("token=x")), plain("new"));
        for lines in [&[basic][..], &[(COOKIE, "lectern-viewer2=a")], &[(AUTHORIZATION, "Bearer")]]
        {
            assert_eq!(of(lines, Some("tokens=x&nottoken=y")), None, "{lines:?}");
        }
    }

    #[test]
    fn cookies_are_for_one_broadcast_and_no_script() {
        let id = "talk".parse().unwrap();
        let cookies = |secure| -> Vec<String> {
            let cookies = set_cookies("a.b.c", &id, 61_999, secure);
            cookies.map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
        };
        let plain = "lectern-viewer=a.b.c; Max-Age=61; HttpOnly; SameSite=Lax";
        assert_eq!(cookies(false), [plain.to_owned(), format!("{plain}; Path=/whep/talk")]);
        assert!(cookies(true).iter().all(|c| c.contains("SameSite=None; Secure; Partitioned")));
    }
}
