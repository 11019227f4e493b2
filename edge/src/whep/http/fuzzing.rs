//! For the fuzzer: what of HTTP is read here and not by a library.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::Query;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::patch::{self, Condition};
use super::{Asked, WAIT_MAX, is_type, prefer};
use crate::client::{Client, Proxies, client_of, network};
use crate::whep::fuzzing::script::Script;
use crate::whep::ice_servers::{self, Credential, IceServer};
use crate::whep::layer::Selection;

/// Header lines that are read.
const LINES_MAX: usize = 32;
const NAMES: [HeaderName; 4] = [
    HeaderName::from_static("prefer"),
    header::IF_MATCH,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-forwarded-for"),
];

/// A request's headers, its query and its body.
pub(in crate::whep) fn headers(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut headers = HeaderMap::new();
    for _ in 0..LINES_MAX {
        let Some(name) = script.byte().filter(|name| *name != b'\n') else { break };
        let Some(value) = script.short() else { break };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[usize::from(name) % NAMES.len()].clone(), value);
        }
    }
    if let Some(wait) = prefer::wait(&headers) {
        // As it is echoed.
        let text = format!("wait={}", wait.min(WAIT_MAX).as_secs());
        assert!(HeaderValue::from_str(&text).is_ok());
    }
    match Condition::of(&headers) {
        Condition::None => assert!(!headers.contains_key(header::IF_MATCH)),
        Condition::Any => assert_eq!(headers[header::IF_MATCH], "*"),
        Condition::Tags(tags) => assert!(tags.iter().all(|tag| !tag.contains(','))),
    }
    let _ = is_type(&headers, patch::TYPE);
    forwarded(&headers);
    let Ok(text) = std::str::from_utf8(script.rest()) else { return };
    if let Ok(Selection { media_id: Some(line), .. }) = serde_json::from_str(text) {
        let _: Option<usize> = line.parse().ok();
    }
    if let Ok(uri) = format!("/whep/demo?{text}").parse::<Uri>() {
        let _ = Query::<Asked>::try_from_uri(&uri);
    }
}

/// Nobody is believed about themselves: without a trusted peer the headers change nothing, and with
/// one it is some address of theirs.
fn forwarded(headers: &HeaderMap) {
    let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let trusted = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let proxies = Proxies::parse(&["10.0.0.0/8".to_owned(), "2001:db8::/32".to_owned()]);
    let proxies = proxies.expect("networks");
    assert_eq!(client_of(&proxies, stranger, headers), Client(stranger));
    let Client(ip) = client_of(&proxies, trusted, headers);
    assert!(ip == trusted || headers.contains_key("x-forwarded-for"));
    assert_eq!(network(network(ip)), network(ip));
}

/// What an operator writes about ICE servers: what is let through is one header value, from which a
/// player reads what was written.
pub(in crate::whep) fn ice_servers(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut text = || script.short().map(|text| String::from_utf8_lossy(text).into_owned());
    let (Some(url), username, credential) = (text(), text(), text()) else { return };
    let server = IceServer {
        urls: vec![url.clone()],
        username: username.clone(),
        credential: credential.clone().map(Credential),
    };
    let Ok(links) = ice_servers::links(&[server]) else { return };
    let [link] = &links[..] else { panic!("one address, one link") };
    let link = link.to_str().expect("printable");
    let rest = link.strip_prefix(&format!("<{url}>; rel=\"ice-server\"")).expect("the address");
    assert!(!url.contains(['<', '>', ' ', '"']));
    let (Some(username), Some(credential)) = (username, credential) else {
        assert!(rest.is_empty());
        return;
    };
    let rest = rest.strip_prefix("; username=").expect("a user name");
    let (said, rest) = unquote(rest);
    assert_eq!(said, username);
    let (said, rest) = unquote(rest.strip_prefix("; credential=").expect("a credential"));
    assert_eq!(said, credential);
    assert_eq!(rest, "; credential-type=\"password\"");
}

/// Reads a quoted string, RFC 9110 §5.6.4, and gives what follows it.
fn unquote(text: &str) -> (String, &str) {
    let mut said = String::new();
    let mut chars = text.char_indices();
    assert_eq!(chars.next(), Some((0, '"')));
    loop {
        match chars.next().expect("a quoted string ends") {
            (at, '"') => return (said, &text[at + 1..]),
            (_, '\\') => said.push(chars.next().expect("a quoted pair has two").1),
            (_, plain) => said.push(plain),
        }
    }
}
