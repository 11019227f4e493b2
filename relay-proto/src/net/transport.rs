//! The QUIC endpoints under the relay, and the limits and timers of their connections.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::congestion::BbrConfig;
use quinn::{AsyncTimer, AsyncUdpSocket, TokioRuntime};
use socket2::SockRef;
use tokio_util::task::TaskTracker;

use super::{Error, Identity, Trust, tls};

/// How long a silent peer is believed alive. Media flows all the time, so a short timeout costs
/// nothing and an edge turns to a restarted origin within about this time.
const IDLE_TIMEOUT_MS: u32 = 2_000;
/// Four keep-alives fit the timeout, so losing three in a row does not end a connection.
const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// Streams that a peer may have open. MoQ uses a bidirectional one per subscription and a
/// unidirectional one per open group; QUIC's default of 100 stalls the 101st track without a word.
const STREAMS_MAX: u32 = 4_096;
/// Bytes in flight per stream: one large keyframe on a path with 200 ms of round trip.
const STREAM_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Bytes that a subscriber may be owed over all streams, which bounds its memory per connection.
const SUBSCRIBER_WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// Publishers receive only requests; a stranger can make them hold this much per connection.
const PUBLISHER_WINDOW_BYTES: u32 = 1024 * 1024;

/// What the kernel may hold for a socket in each direction; it may allow less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Handshakes that may wait for the accept loop before further ones are dropped.
const INCOMING_MAX: usize = 256;

/// The MoQ version of [`tls::ALPNS`]. Without this the library would fall back to its first drafts
/// with a peer that negotiates no ALPN.
pub(super) fn versions() -> moq_net::Versions {
    let known = tls::ALPNS.iter().filter_map(|alpn| moq_net::Version::from_alpn(alpn));
    known.collect::<Vec<_>>().into()
}

/// A server on `listen`. Its port is free again once the tasks in `tasks` are done, and they are when
/// the endpoint and its connections are closed and dropped.
pub(super) fn server(
    listen: SocketAddr,
    config: quinn::ServerConfig,
    tasks: TaskTracker,
) -> Result<quinn::Endpoint, Error> {
    let bound = socket(listen).and_then(|socket| {
        let runtime = Arc::new(TrackedRuntime { tasks });
        quinn::Endpoint::new(quinn::EndpointConfig::default(), Some(config), socket, runtime)
    });
    bound.map_err(|source| Error::Bind { address: listen, source })
}

/// A UDP socket whose buffers hold what comes while the machine does something else: the system's default
/// is 0.2 MB, a millisecond at 1.5 Gb/s, and what does not fit is lost to all broadcasts of the connection.
fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    let buffers = SockRef::from(&socket);
    for set in [
        buffers.set_recv_buffer_size(SOCKET_BUFFER_BYTES),
        buffers.set_send_buffer_size(SOCKET_BUFFER_BYTES),
    ] {
        if let Err(error) = set {
            tracing::debug!(%error, "the relay's socket keeps its small buffer");
        }
    }
    Ok(socket)
}

/// How a server is set up that presents `identity` and wants of clients a certificate that one of
/// `client_ca`, PEM, has signed.
pub(super) fn server_config(
    identity: &Identity,
    client_ca: Option<&str>,
) -> Result<quinn::ServerConfig, Error> {
    let crypto = Arc::new(identity.server_config(client_ca)?);
    let mut config = quinn::ServerConfig::with_crypto(crypto);
    config.transport_config(transport(PUBLISHER_WINDOW_BYTES));
    config.max_incoming(INCOMING_MAX);
    Ok(config)
}

/// The session on a connection that has been made. The library ends its task where the peer takes no
/// datagrams (RFC 9221), though MoQ needs none.
pub(super) fn session(
    connection: quinn::Connection,
) -> Result<web_transport_quinn::Session, Error> {
    if connection.max_datagram_size().is_none() {
        let reason = "the peer takes no QUIC datagrams".to_owned();
        connection.close(quinn::VarInt::from_u32(0), reason.as_bytes());
        return Err(Error::Protocol(reason));
    }
    Ok(web_transport_quinn::Session::raw(connection))
}

/// Tokio, and a record of what quinn runs on it: its tasks own the socket, and it has no other way
/// to say that they are done.
#[derive(Debug)]
struct TrackedRuntime {
    tasks: TaskTracker,
}

impl quinn::Runtime for TrackedRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.tasks.spawn(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

/// An endpoint that can dial `remote`, on a port of the system's choice, and presents `identity` if it is
/// asked to.
pub(super) fn client(
    remote: SocketAddr,
    trust: &Trust,
    identity: Option<&Identity>,
) -> Result<quinn::Endpoint, Error> {
    let local: SocketAddr = match remote {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let mut config = quinn::ClientConfig::new(Arc::new(trust.client_config(identity)?));
    config.transport_config(transport(SUBSCRIBER_WINDOW_BYTES));
    let bound = socket(local).and_then(|socket| {
        quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket, Arc::new(TokioRuntime))
    });
    let mut endpoint = bound.map_err(|source| Error::Bind { address: local, source })?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

fn transport(window_bytes: u32) -> Arc<quinn::TransportConfig> {
    let mut config = quinn::TransportConfig::default();
    config
        // With 2% loss, QUIC's default controller lost a third of the media and held the rest for
        // 400 ms; BBR lost none at 27 ms.
        .congestion_controller_factory(Arc::new(BbrConfig::default()))
        .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(STREAMS_MAX.into())
        .stream_receive_window(STREAM_WINDOW_BYTES.min(window_bytes).into())
        .receive_window(window_bytes.into());
    Arc::new(config)
}
