//! ICE-TCP (RFC 6544): takes connections in, and gives what comes over them to the sessions.
//!
//! Browsers connect, we are passive. Each connection is a task on one thread that all of them share
//! and no media waits for: workers write for themselves, as far as the system takes it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Sorter;
use super::census::{Census, Place, Refused};
use super::connection::{Connection, ConnectionId, Connections};
use super::framing::Reader;
use super::gate::{Closed, Gate, TICK};
use crate::whep::metrics::Metrics;
use crate::whep::outbox::{Local, Path};

/// Connections that the system completes before we look: one second of a busy edge's joins.
const BACKLOG: i32 = 1_024;
/// What the system may hold unread per connection: some seconds of what a viewer reports. Without
/// this a peer that floods could have it keep megabytes.
const UNREAD_BYTES_MAX: usize = 32 * 1024;
/// What the system may hold unsent per connection. A frame is only begun once less than half of it
/// is left, so it is a bound of delay: 0.2 s at 2.5 Mb/s, and room for 26 Mb/s between two looks.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// What is sent and not acknowledged for so long will not be: as long as a session may be silent.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(15);
/// After a failure to accept, which means that the process is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener, before it runs.
pub(in crate::whep) struct Listener {
    listener: TcpListener,
    census: Arc<Census>,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
}

impl Listener {
    /// Listens on `listen` for at most `max` connections at once.
    pub(super) fn bind(listen: SocketAddr, max: usize, metrics: Arc<Metrics>) -> io::Result<Self> {
        let domain = Domain::for_address(listen);
        let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Accepted connections inherit it.
        socket.set_recv_buffer_size(UNREAD_BYTES_MAX)?;
        // Connections of the process before this one may linger.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        Ok(Self { listener, census: Census::new(max), connections: Arc::default(), metrics })
    }

    /// What is open.
    pub(super) fn connections(&self) -> Arc<Connections> {
        self.connections.clone()
    }

    /// Takes connections until `stop` changes or is dropped. Runs on a thread of its own.
    pub(in crate::whep) fn run(
        self,
        sorter: Sorter,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
            tokio::select! {
                _ = stop.changed() => Ok(()),
                never = self.accept(&listener, &sorter) => match never {},
            }
        })
    }

    async fn accept(
        &self,
        listener: &tokio::net::TcpListener,
        sorter: &Sorter,
    ) -> std::convert::Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, sorter),
                Err(error) => {
                    tracing::debug!(%error, "a TCP connection could not be accepted");
                    self.metrics.tcp_refused("system");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, sorter: &Sorter) {
        let admitted = self.census.admit(peer.ip()).map_err(|refused| match refused {
            Refused::Full => "full",
            Refused::Waiting => "waiting",
            Refused::Address => "address",
        });
        let admitted = admitted.and_then(|place| {
            let system = |error| {
                tracing::debug!(%error, "a TCP connection could not be set up");
                "system"
            };
            set_up(&stream).map_err(system).map(|()| place)
        });
        match admitted {
            Ok(place) => {
                let (id, connection) = self.connections.insert(stream);
                let local = Some(Local::Connection(id));
                let visit = Visit {
                    connections: self.connections.clone(),
                    connection,
                    id,
                    path: Path { peer, local },
                    place,
                    sorter: sorter.clone(),
                    reader: Reader::new(),
                    gate: Gate::new(Instant::now()),
                };
                self.metrics.tcp_connections.inc();
                tokio::spawn(visit.run());
            }
            Err(reason) => {
                self.metrics.tcp_refused(reason);
                reset(&stream);
            }
        }
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}

/// Has the connection end in a reset, so that the system keeps nothing of it.
fn reset(stream: &TcpStream) {
    // If that fails it ends in order, and lingers a little.
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}

/// A connection while it lasts.
struct Visit {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    id: ConnectionId,
    path: Path,
    place: Place,
    sorter: Sorter,
    reader: Reader,
    gate: Gate,
}

impl Visit {
    async fn run(mut self) {
        let closed = self.serve().await;
        tracing::debug!(peer = %self.path.peer, reason = closed.label(), "TCP connection closed");
        self.sorter.metrics.tcp_closed(closed.label());
        if !closed.is_orderly() {
            reset(&self.connection.stream);
        }
    }

    async fn serve(&mut self) -> Closed {
        let connection = self.connection.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let went_on = tokio::select! {
                readable = connection.stream.readable(), if self.gate.may_read() => {
                    readable.map_err(|_| Closed::Peer).and_then(|()| self.read())
                }
                _broken = connection.drain() => Err(Closed::Peer),
                _ = tick.tick() => self.check(Instant::now()),
            };
            if let Err(closed) = went_on {
                return closed;
            }
        }
    }

    fn read(&mut self) -> Result<(), Closed> {
        match self.connection.stream.try_read(self.reader.space()) {
            Ok(0) => return Err(Closed::Peer),
            Ok(bytes) => self.reader.filled(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Closed::Peer),
        }
        let Self { reader, gate, sorter, path, place, .. } = self;
        while let Some(frame) = reader.next().map_err(|_| Closed::Oversize)? {
            let owner = sorter.registry.by_path(path);
            if owner.is_some() {
                place.authenticated();
            }
            let addressee = sorter.addressee(owner, frame);
            gate.frame(owner, addressee)?;
            match addressee {
                _ if frame.is_empty() => {}
                Some(route) => sorter.post(route, owner, *path, frame),
                None => sorter.metrics.bad("stranger"),
            }
        }
        Ok(())
    }

    fn check(&mut self, now: Instant) -> Result<(), Closed> {
        let owner = self.sorter.registry.by_path(&self.path);
        if owner.is_some() {
            self.place.authenticated();
        }
        if self.connection.is_stalled(now) {
            return Err(Closed::Stalled);
        }
        self.gate.tick(owner, now)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.connections.remove(self.id);
        self.sorter.metrics.tcp_connections.dec();
    }
}
