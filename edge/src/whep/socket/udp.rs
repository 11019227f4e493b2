//! The one UDP socket: binding, sending for the workers, and a thread that receives.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, Transmit as UdpTransmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};

use super::Sorter;
use crate::whep::metrics::Metrics;
use crate::whep::outbox::{Local, Path};

/// Buffers of the socket. Receiving: a second of ten thousand viewers' reports. Sending: a keyframe
/// of 100 kB to forty viewers in a row. The system may allow less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// The largest read: the system may join datagrams of one peer into one read (GRO).
const READ_BYTES: usize = 64 * 1024;
/// Reads per call.
const READS: usize = 8;
/// Calls after which it is asked whether to stop, so that a flood cannot keep the thread for ever.
const CALLS_IN_A_ROW: usize = 64;

/// The socket.
pub(in crate::whep) struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
    metrics: Arc<Metrics>,
}

impl Socket {
    /// Binds the port.
    pub(super) fn bind(listen: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Self> {
        let domain = Domain::for_address(listen);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // A smaller buffer works too, only worse under load.
        let sizes = [
            socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES),
            socket.set_send_buffer_size(SOCKET_BUFFER_BYTES),
        ];
        for error in sizes.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "socket buffer stays at the system's default");
        }
        socket.bind(&listen.into())?;
        let udp = UdpSocket::from(socket);
        let state = UdpSocketState::new(UdpSockRef::from(&udp))?;
        Ok(Self { udp, state, metrics })
    }

    /// The address that it is bound to.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Sends `contents` as datagrams of `segment` bytes each; the last may be shorter.
    pub(super) fn send(&self, path: &Path, contents: &[u8], segment: usize) {
        let transmit = UdpTransmit {
            destination: path.peer,
            ecn: None,
            contents,
            segment_size: (segment < contents.len()).then_some(segment),
            src_ip: match path.local {
                Some(Local::Address(ip)) => Some(ip),
                Some(Local::Connection(_)) | None => None,
            },
        };
        match self.state.try_send(UdpSockRef::from(&self.udp), &transmit) {
            Ok(()) => self.metrics.udp.count(contents, segment),
            // Waiting would delay every other viewer; the player asks again for what is missing.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.metrics.send_error("buffer-full");
            }
            Err(error) => {
                tracing::trace!(%error, peer = %path.peer, "send failed");
                self.metrics.send_error("system");
            }
        }
    }

    /// The most datagrams that one send may carry now.
    pub(super) fn segments_max(&self) -> usize {
        self.state.max_gso_segments()
    }
}

/// The receiving half.
pub(in crate::whep) struct Receiver {
    socket: Arc<Socket>,
    sorter: Sorter,
    poll: Poll,
}

impl Receiver {
    const READABLE: Token = Token(0);
    const STOPPED: Token = Token(1);

    /// A receiver of what comes to `socket`, and what stops it.
    pub(in crate::whep) fn new(socket: Arc<Socket>, sorter: Sorter) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        // Only for reading: whoever also asks for writing is woken after every send of the workers.
        let (mut udp, readable) = (SourceFd(&socket.udp.as_raw_fd()), Interest::READABLE);
        poll.registry().register(&mut udp, Self::READABLE, readable)?;
        let waker = Waker::new(poll.registry(), Self::STOPPED)?;
        Ok((Self { socket, sorter, poll }, waker))
    }

    /// Receives until the waker is woken. Runs on a thread of its own, so that no other task of the
    /// process delays it.
    pub(in crate::whep) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(2);
        let mut buffers: [Box<[u8]>; READS] = std::array::from_fn(|_| vec![0; READ_BYTES].into());
        let mut more = false;
        loop {
            match self.poll.poll(&mut events, more.then_some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            if events.iter().any(|event| event.token() == Self::STOPPED) {
                return Ok(());
            }
            more = self.receive(&mut buffers);
        }
    }

    /// Takes what is there; `true` if there may be more.
    fn receive(&self, buffers: &mut [Box<[u8]>; READS]) -> bool {
        let mut metas = [RecvMeta::default(); READS];
        for _ in 0..CALLS_IN_A_ROW {
            let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
            let socket = UdpSockRef::from(&self.socket.udp);
            let count = match self.socket.state.recv(socket, &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    // An ICMP answer to something sent earlier; the socket itself is fine.
                    tracing::trace!(%error, "receive failed");
                    self.sorter.metrics.bad("receive-error");
                    continue;
                }
            };
            for (meta, buffer) in metas.iter().zip(&*buffers).take(count) {
                let path = Path { peer: meta.addr, local: meta.dst_ip.map(Local::Address) };
                let joined = &buffer[..meta.len.min(buffer.len())];
                for datagram in joined.chunks(meta.stride.max(1)) {
                    self.sorter.sort(path, datagram);
                }
            }
        }
        true
    }
}
