//! Whom a request comes from: the peer of the connection, or, behind proxies that the operator
//! trusts, the address that they say.

use std::net::IpAddr;

use axum::http::HeaderMap;
pub use lectern_relay_proto::client::{Client, Proxies, ProxyError};
pub(crate) use lectern_relay_proto::client::{Tally, network};

/// Whom a request with these headers comes from that `peer` sent.
pub(crate) fn client_of(proxies: &Proxies, peer: IpAddr, headers: &HeaderMap) -> Client {
    let lines = headers.get_all("x-forwarded-for").iter();
    proxies.client(peer, lines.filter_map(|line| line.to_str().ok()))
}
