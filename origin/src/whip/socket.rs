//! The media port: one UDP socket for all publishers. Sessions send through it, and wait for nobody.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Buffers of the socket: a second of thirty publishers. The system may allow less.
const SOCKET_BUFFER_BYTES: usize = 16 << 20;
/// The largest read: the system may join datagrams of one peer into one (GRO).
const READ_BYTES: usize = 64 << 10;
/// Reads per call.
const READS: usize = 8;
/// The largest datagram that is taken: more than any MTU of the internet.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// How a datagram came: from there, and at which of our addresses, which is where the answer must come
/// from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// IPv4 as such, whatever the socket makes of it.
    pub(super) peer: SocketAddr,
    pub(super) local: Option<IpAddr>,
}

/// The socket.
pub(super) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    v6: bool,
}

impl Socket {
    /// Binds the port. `[::]` takes IPv4 as well, and on a machine without IPv6 means the same as
    /// `0.0.0.0`.
    pub(super) fn bind(listen: SocketAddr) -> io::Result<Self> {
        let any = listen.is_ipv6() && listen.ip().is_unspecified();
        match Self::bind_to(listen) {
            Err(error) if any && lacks_v6(&error) => {
                Self::bind_to((Ipv4Addr::UNSPECIFIED, listen.port()).into())
            }
            bound => bound,
        }
    }

    fn bind_to(listen: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(listen);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // A smaller buffer works too, only worse under load.
        if let Err(error) = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES) {
            tracing::warn!(%error, "socket buffer stays at the system's default");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        let udp = UdpSocket::from_std(socket.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        Ok(Self { udp, state, v6: listen.is_ipv6() })
    }

    /// The address that it is bound to.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Sends one datagram. One that there is no room for is lost, like any on the way.
    pub(super) fn send(&self, path: Path, contents: &[u8]) -> io::Result<()> {
        let destination = match path.peer {
            SocketAddr::V4(v4) if self.v6 => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            peer => peer,
        };
        let transmit =
            Transmit { destination, ecn: None, contents, segment_size: None, src_ip: path.local };
        self.state.try_send(UdpSockRef::from(&self.udp), &transmit)
    }

    /// Waits for datagrams, and hands each to `take`. Errors are those of single datagrams sent
    /// earlier; the socket goes on.
    pub(super) async fn receive(
        &self,
        buffers: &mut Buffers,
        mut take: impl FnMut(Path, &[u8]),
    ) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); READS];
        let count = self
            .udp
            .async_io(Interest::READABLE, || {
                let mut slices = buffers.0.each_mut().map(|buffer| IoSliceMut::new(buffer));
                self.state.recv(UdpSockRef::from(&self.udp), &mut slices, &mut metas)
            })
            .await?;
        for (meta, buffer) in metas.iter().zip(&buffers.0).take(count) {
            let peer = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let path = Path { peer, local: meta.dst_ip };
            let joined = &buffer[..meta.len.min(buffer.len())];
            for datagram in joined.chunks(meta.stride.max(1)) {
                if datagram.len() <= DATAGRAM_BYTES_MAX {
                    take(path, datagram);
                }
            }
        }
        Ok(())
    }
}

/// What is read into.
pub(super) struct Buffers([Box<[u8]>; READS]);

impl Default for Buffers {
    fn default() -> Self {
        Self(std::array::from_fn(|_| vec![0; READ_BYTES].into()))
    }
}

fn lacks_v6(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn one_port_serves_both_families_and_answers_from_where_it_was_asked() {
        let socket = Socket::bind("[::]:0".parse().expect("an address")).expect("bound");
        let port = socket.local_addr().expect("an address").port();
        let mut buffers = Buffers::default();
        for ours in ["127.0.0.1", "127.0.0.2", "::1"] {
            let ours: IpAddr = ours.parse().expect("an address");
            let client = match UdpSocket::bind((ours, 0)).await {
                Ok(client) => client,
                Err(error) if ours.is_ipv6() && lacks_v6(&error) => continue,
                Err(error) => panic!("{error}"),
            };
            client.connect((ours, port)).await.expect("connected");
            client.send(b"hello").await.expect("sent");
            let mut came = None;
            socket
                .receive(&mut buffers, |path, bytes| came = Some((path, bytes.to_vec())))
                .await
                .expect("received");
            let (path, bytes) = came.expect("a datagram");
            assert_eq!(
                (path.peer, &bytes[..]),
                (client.local_addr().expect("an address"), &b"hello"[..])
            );
            socket.send(path, b"world").expect("sent");
            // A connected socket hears nobody but whom it asked.
            let mut buffer = [0; 16];
            let answer =
                tokio::time::timeout(Duration::from_secs(5), client.recv(&mut buffer)).await;
            assert_eq!(answer.expect("in time").expect("received"), 5, "{ours}");
        }
    }
}
