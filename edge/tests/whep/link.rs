//! What a test's viewer sends and receives with: UDP, or TCP as RFC 4571 frames it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long receiving waits.
const TURN: Duration = Duration::from_millis(10);

/// One way to an engine.
pub(crate) enum Link {
    Udp { socket: UdpSocket },
    Tcp { stream: TcpStream, received: Vec<u8> },
}

impl Link {
    /// UDP from the loopback address of the same family.
    pub(crate) fn udp(server: SocketAddr) -> Self {
        let from = if server.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(TURN)).unwrap();
        // So that an answer from another address than the one that was asked is not taken.
        socket.connect(server).unwrap();
        Self::Udp { socket }
    }

    pub(crate) fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(TURN)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::Tcp { stream, received: Vec::new() }
    }

    /// The address that the engine sees.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        match self {
            Self::Udp { socket } => socket.local_addr().unwrap(),
            Self::Tcp { stream, .. } => stream.local_addr().unwrap(),
        }
    }

    /// The connection, of a link that is one.
    pub(crate) fn stream(&self) -> &TcpStream {
        match self {
            Self::Udp { .. } => panic!("not TCP"),
            Self::Tcp { stream, .. } => stream,
        }
    }

    /// Sends a datagram. A connection may be closed by the engine at any time, which is for the
    /// test to notice.
    pub(crate) fn send(&self, datagram: &[u8]) {
        match self {
            Self::Udp { socket } => drop(socket.send(datagram)),
            Self::Tcp { stream, .. } => drop((&*stream).write_all(&frame(datagram))),
        }
    }

    /// Receives a datagram that is there, or waits a moment for it.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp { socket } => socket.recv(buffer),
            Self::Tcp { stream, received } => loop {
                if let Some((length, rest)) = received.split_first_chunk::<2>() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    if let Some(packet) = rest.get(..length) {
                        buffer[..length].copy_from_slice(packet);
                        received.drain(..2 + length);
                        return Ok(length);
                    }
                }
                let mut some = [0; 16_384];
                match stream.read(&mut some)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    bytes => received.extend(&some[..bytes]),
                }
            },
        }
    }
}

/// A packet as RFC 4571 frames it.
pub(crate) fn frame(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes(), packet].concat()
}
