//! The STUN and TURN servers that players are told to use, as `Link` headers (RFC 9725 §4.6).
//!
//! The edge needs none itself. A viewer whose network lets nothing through but TLS to the outside
//! needs a TURN server, which the operator runs.

use std::fmt;

use axum::http::HeaderValue;
use serde::Deserialize;

/// The most addresses that are told; players refuse long lists.
const URLS_MAX: usize = 16;

/// `[[edge.ice_servers]]`: one server and how it lets players in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// Its addresses: `stun:host:port`, `turn:host:port?transport=udp`, `turns:host:port`.
    pub urls: Vec<String>,
    /// For TURN, which wants both.
    #[serde(default)]
    pub username: Option<String>,
    /// For TURN. Every viewer gets it, so let it be good for nothing else, and not for long.
    #[serde(default)]
    pub credential: Option<Credential>,
}

/// What a TURN server wants to hear. Viewers are told; logs are not.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Credential(pub String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// What is wrong with the list of servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceServerError {
    /// Not an address of a STUN or TURN server.
    #[error(
        "{0:?} is not the address of an ICE server: write stun:host:port, turn:host:port or \
         turns:host:port, and ?transport=udp or tcp after a TURN server's"
    )]
    Url(String),
    /// A TURN server lets nobody in without them.
    #[error("the TURN server {0:?} needs username and credential")]
    NoCredential(String),
    /// A STUN server lets everybody in.
    #[error("the STUN server {0:?} takes neither username nor credential")]
    Credential(String),
    /// They are written into a header.
    #[error("username and credential of {0:?} must be printable ASCII")]
    Unprintable(String),
    /// More than a player takes.
    #[error("there are more than {URLS_MAX} addresses of ICE servers")]
    TooMany,
}

/// Whether players can be told of `servers`.
///
/// # Errors
/// What is wrong with the first that they cannot be told of.
pub fn check(servers: &[IceServer]) -> Result<(), IceServerError> {
    links(servers).map(drop)
}

/// The header values that tell players of `servers`, one for each address.
pub(super) fn links(servers: &[IceServer]) -> Result<Vec<HeaderValue>, IceServerError> {
    let urls = servers.iter().flat_map(|server| server.urls.iter().map(move |url| (server, url)));
    let links: Vec<_> = urls.map(|(server, url)| link(server, url)).collect::<Result<_, _>>()?;
    if links.len() > URLS_MAX { Err(IceServerError::TooMany) } else { Ok(links) }
}

fn link(server: &IceServer, url: &str) -> Result<HeaderValue, IceServerError> {
    let Some(is_turn) = read_scheme(url) else { return Err(IceServerError::Url(url.to_owned())) };
    let mut text = format!("<{url}>; rel=\"ice-server\"");
    match (is_turn, &server.username, &server.credential) {
        (true, Some(username), Some(Credential(credential))) => {
            let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
            if !printable(username) || !printable(credential) {
                return Err(IceServerError::Unprintable(url.to_owned()));
            }
            let (username, credential) = (quoted(username), quoted(credential));
            text += &format!("; username={username}; credential={credential}");
            text += "; credential-type=\"password\"";
        }
        (true, ..) => return Err(IceServerError::NoCredential(url.to_owned())),
        (false, None, None) => {}
        (false, ..) => return Err(IceServerError::Credential(url.to_owned())),
    }
    HeaderValue::from_str(&text).map_err(|_| IceServerError::Unprintable(url.to_owned()))
}

/// Whether the address is of a TURN server; `None` if it is neither that nor a STUN server's
/// (RFC 7064 §3.1, RFC 7065 §3.1).
fn read_scheme(url: &str) -> Option<bool> {
    let (scheme, rest) = url.split_once(':')?;
    let is_turn = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return None,
    };
    let (authority, transport) = match rest.split_once('?') {
        Some((authority, query)) => (authority, Some(query)),
        None => (rest, None),
    };
    let transport_fits = match transport {
        None => true,
        Some("transport=udp" | "transport=tcp") => is_turn,
        Some(_) => false,
    };
    let after_host = match authority.strip_prefix('[') {
        Some(v6) => {
            let (ip, after) = v6.split_once(']')?;
            ip.parse::<std::net::Ipv6Addr>().ok()?;
            after
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, after) = authority.split_at(end);
            let in_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            (!host.is_empty() && host.bytes().all(in_name)).then_some(after)?
        }
    };
    let port = after_host.strip_prefix(':').map(str::parse::<u16>);
    let port_fits = after_host.is_empty() || matches!(port, Some(Ok(1..)));
    (transport_fits && port_fits).then_some(is_turn)
}

/// A quoted string of a header, RFC 9110 §5.6.4.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, account: Option<(&str, &str)>) -> IceServer {
        IceServer {
            urls: vec![url.to_owned()],
            username: account.map(|(username, _)| username.to_owned()),
            credential: account.map(|(_, credential)| Credential(credential.to_owned())),
        }
    }

    #[test]
    fn a_player_is_told_what_it_needs() {
        let check = |server, expect: &str| assert_eq!(links(&[server]).unwrap(), [expect]);
        check(server("stun:stun.example.net", None), "<stun:stun.example.net>; rel=\"ice-server\"");
        check(
            server("turn:turn.example.net:3478?transport=udp", Some(("user", "a \"b\\"))),
            "<turn:turn.example.net:3478?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
             credential=\"a \\\"b\\\\\"; credential-type=\"password\"",
        );
        check(
            server("stuns:[2001:db8::1]:5349", None),
            "<stuns:[2001:db8::1]:5349>; rel=\"ice-server\"",
        );
    }

    #[test]
    fn what_is_wrong_is_said_and_the_credential_is_not() {
        let account = Some(("user", "s3cret\u{7f}"));
        let check = |server, expect: fn(String) -> IceServerError| {
            let IceServer { urls, .. } = &server;
            let error = links(std::slice::from_ref(&server)).unwrap_err();
            assert_eq!(error, expect(urls[0].clone()));
            assert!(!format!("{error} {server:?}").contains("s3cret"));
        };
        for url in [
            "",
            "turn.example.net",
            "https://turn.example.net",
            "stun:",
            "stun:a b",
            "stun:host>",
            "stun:host:0",
            "stun:host:99999",
            "stun:host?transport=udp",
            "turn:host?transport=sctp",
            "stun:[::g]",
        ] {
            check(server(url, None), IceServerError::Url);
        }
        check(server("turn:host", None), IceServerError::NoCredential);
        check(server("stun:host", account), IceServerError::Credential);
        check(server("turns:host", account), IceServerError::Unprintable);
        let many = vec![server("stun:host", None); URLS_MAX + 1];
        assert_eq!(links(&many), Err(IceServerError::TooMany));
    }
}
