//! A viewer's UDP socket. The system says when a datagram arrived, so that a client that is late to
//! read does not count as latency, and may join datagrams of one send into one read.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use lectern_bench_rig::unix_us;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};

/// Room for a keyframe burst and a second of the stream while the client is busy elsewhere; the
/// system counts about twice the bytes. It may allow less.
const BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// The most that one read gives.
const READ_BYTES: usize = 64 * 1024;

/// A socket that talks to one server.
pub(crate) struct Socket {
    udp: UdpSocket,
}

impl Socket {
    /// A socket on a port of its own; `server` is the only one it hears.
    pub(crate) fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = Self::bind(Ipv4Addr::UNSPECIFIED.into())?;
        socket.udp.connect(server)?;
        Ok(socket)
    }

    /// A socket on a port of its own.
    pub(crate) fn bind(address: std::net::IpAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind(SocketAddr::new(address, 0))?;
        udp.set_nonblocking(true)?;
        socket2::SockRef::from(&udp).set_recv_buffer_size(BUFFER_BYTES)?;
        setsockopt(&udp, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&udp, sockopt::UdpGroSegment, &true)?;
        Ok(Self { udp })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.udp.send(datagram).map(drop)
    }

    /// What to wait for.
    pub(crate) fn source(&self) -> std::os::fd::RawFd {
        self.udp.as_raw_fd()
    }

    /// Reads once; hands each datagram and when it arrived, in Unix microseconds, to `take`.
    /// `false` if there was nothing to read.
    pub(crate) fn receive(
        &self,
        reader: &mut Reader,
        mut take: impl FnMut(&[u8], u64),
    ) -> io::Result<bool> {
        let Reader { buffer, control } = reader;
        let (mut arrived_us, mut stride) = (None, None);
        let length = {
            let mut slices = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::empty();
            let fd = self.udp.as_raw_fd();
            let read = match recvmsg::<()>(fd, &mut slices, Some(control), flags) {
                Ok(read) => read,
                Err(nix::errno::Errno::EAGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            for message in read.cmsgs()? {
                match message {
                    ControlMessageOwned::ScmTimestampns(at) => {
                        let (seconds, nanos) = (at.tv_sec() as u64, at.tv_nsec() as u64);
                        arrived_us = Some(seconds * 1_000_000 + nanos / 1_000);
                    }
                    ControlMessageOwned::UdpGroSegments(size) => {
                        stride = usize::try_from(size).ok()
                    }
                    _ => {}
                }
            }
            read.bytes
        };
        let arrived_us = arrived_us.unwrap_or_else(unix_us);
        let stride = stride.filter(|stride| *stride > 0).unwrap_or(length.max(1));
        buffer[..length].chunks(stride).for_each(|datagram| take(datagram, arrived_us));
        Ok(true)
    }
}

/// What a read goes into; one does for all sockets.
pub(crate) struct Reader {
    buffer: Vec<u8>,
    control: Vec<u8>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let control = nix::cmsg_space!(nix::sys::time::TimeSpec, i32);
        Self { buffer: vec![0; READ_BYTES], control }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_with_the_time_at_which_they_did() {
        let socket = Socket::bind(Ipv4Addr::LOCALHOST.into()).unwrap();
        let before = unix_us();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for text in ["one", "two"] {
            sender.send_to(text.as_bytes(), socket.local_addr().unwrap()).unwrap();
        }
        let mut reader = Reader::new();
        let mut got = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while got.len() < 2 && std::time::Instant::now() < deadline {
            let take = |datagram: &[u8], at| got.push((datagram.to_vec(), at));
            socket.receive(&mut reader, take).unwrap();
        }
        assert_eq!(got.iter().map(|(text, _)| &text[..]).collect::<Vec<_>>(), [b"one", b"two"]);
        // The system begins to stamp a moment after the first socket asks; until then, on reading.
        assert!(got.iter().all(|(_, at)| (before..=unix_us()).contains(at)));
        assert!(!socket.receive(&mut reader, |_, _| ()).unwrap());
    }
}
