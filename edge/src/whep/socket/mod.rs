//! The media port: one UDP socket, and a TCP listener on the same number for viewers whose network
//! blocks UDP (ICE-TCP, RFC 6544).
//!
//! [`udp`] and [`tcp`] receive, each on a thread of its own; what comes in is sorted here, the same
//! way for both. Workers send through [`Sending`], which waits for nobody.

mod census;
mod connection;
mod framing;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod gate;
mod tcp;
mod udp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::ice;
use super::mailbox::{Datagram, Mailbox, Refused};
use super::metrics::Metrics;
use super::outbox::{Path, Transmit};
use super::registry::{Registry, Route};
pub(super) use connection::ConnectionId;
use connection::Connections;
pub(super) use tcp::Listener;
pub(super) use udp::{Receiver, Socket};

/// The largest datagram, or frame of a connection, that is taken: more than any MTU of the internet.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// How often a port that the system chose is given back because TCP has no such port free.
const PORT_TRIES: usize = 16;

/// The bound port.
pub(super) struct Port {
    /// UDP.
    pub udp: Socket,
    /// TCP, unless configured away.
    pub tcp: Option<Listener>,
    /// What both are bound to.
    pub local_addr: SocketAddr,
}

/// The protocol that could not be bound, and why.
pub(super) type BindError = (&'static str, io::Error);

impl Port {
    /// Binds UDP and, if there may be any `connections`, TCP. `[::]` takes IPv4 as well, and on a
    /// machine without IPv6 it means the same as `0.0.0.0`.
    pub(super) fn bind(
        listen: SocketAddr,
        connections: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, BindError> {
        let mut tries = if listen.port() == 0 && connections > 0 { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_both(listen, connections, metrics) {
                Err(("UDP", error)) if is_any_v6(listen) && lacks_v6(&error) => {
                    tracing::info!("this machine has no IPv6: WebRTC is on IPv4 only");
                    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listen.port()));
                    return Self::bind(listen, connections, metrics);
                }
                Err(("TCP", error)) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
    }

    fn bind_both(
        listen: SocketAddr,
        connections: usize,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, BindError> {
        let udp = Socket::bind(listen, metrics.clone()).map_err(|error| ("UDP", error))?;
        let local_addr = udp.local_addr().map_err(|error| ("UDP", error))?;
        let tcp = (connections > 0)
            .then(|| Listener::bind(local_addr, connections, metrics.clone()))
            .transpose()
            .map_err(|error| ("TCP", error))?;
        Ok(Self { udp, tcp, local_addr })
    }
}

fn is_any_v6(listen: SocketAddr) -> bool {
    listen.is_ipv6() && listen.ip().is_unspecified()
}

fn lacks_v6(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

/// The sending half that a worker holds.
pub(super) struct Sending {
    udp: Arc<Socket>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    /// A run as a connection frames it.
    framed: Vec<u8>,
}

impl Sending {
    /// Sends from `udp`, and over what `tcp` has accepted.
    pub(super) fn new(udp: Arc<Socket>, tcp: Option<&Listener>, metrics: Arc<Metrics>) -> Self {
        let connections = tcp.map(Listener::connections).unwrap_or_default();
        Self { udp, connections, metrics, framed: Vec::new() }
    }
}

impl Transmit for Sending {
    fn transmit(&mut self, path: &Path, contents: &[u8], segment: usize) {
        let Some(id) = path.connection() else {
            self.udp.send(path, contents, segment);
            return;
        };
        let Some(connection) = self.connections.get(id) else {
            self.metrics.send_error("tcp-gone");
            return;
        };
        self.framed.clear();
        framing::write(contents, segment, &mut self.framed);
        if connection.send(&self.framed) {
            self.metrics.tcp.count(contents, segment);
        } else {
            self.metrics.send_error("tcp-full");
        }
    }

    fn ready(&self, path: &Path) -> bool {
        path.connection().is_none_or(|id| {
            self.connections.get(id).is_some_and(|connection| connection.is_drained())
        })
    }

    fn segments_max(&self) -> usize {
        self.udp.segments_max()
    }
}

/// Gives what arrives to whom it is for.
///
/// Connectivity checks go to the session whose user name they carry, all else to the session that
/// the path belongs to; what fits neither is dropped here, before it costs anything.
#[derive(Clone)]
pub(super) struct Sorter {
    /// By worker.
    pub mailboxes: Arc<[Mailbox]>,
    /// Who is where.
    pub registry: Arc<Registry>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Sorter {
    fn sort(&self, path: Path, datagram: &[u8]) {
        if datagram.is_empty() || datagram.len() > DATAGRAM_BYTES_MAX {
            self.metrics.bad("size");
            return;
        }
        let owner = self.registry.by_path(&path);
        match self.addressee(owner, datagram) {
            Some(route) => self.post(route, owner, path, datagram),
            None => self.metrics.bad("stranger"),
        }
    }

    /// Whom a datagram is for that came on a path of `owner`.
    fn addressee(&self, owner: Option<Route>, datagram: &[u8]) -> Option<Route> {
        if ice::is_stun(datagram) {
            ice::addressee(datagram).and_then(|ufrag| self.registry.by_ufrag(ufrag))
        } else {
            owner
        }
    }

    fn post(&self, route: Route, owner: Option<Route>, path: Path, datagram: &[u8]) {
        let owned = owner == Some(route);
        let datagram = Datagram { route, path, owned, bytes: datagram.into() };
        if let Err(refused) = self.mailboxes[route.worker].datagram(datagram) {
            self.metrics.bad(match refused {
                Refused::Full => "worker-full",
                Refused::Share => "flood",
            });
        }
    }
}
