//! The way out of a worker: packets are written into one buffer and leave as segmented sends.
//!
//! A segmented send (UDP GSO) carries packets of one size to one address, only the last may be
//! shorter. The outbox finds those runs; who is addressed and with what is for others. A run over a
//! TCP connection is the same thing to it: what frames the packets there is behind [`Transmit`].

use std::net::{IpAddr, SocketAddr};

use super::socket::ConnectionId;

/// The most bytes of one send: what an IPv4 or IPv6 datagram may carry, less headers.
const SEND_BYTES_MAX: usize = 65_000;
/// Room to write one more packet than fits a send, since its length is known only once written.
const PACKET_BYTES_MAX: usize = 2_048;
/// The most packets of one send that Linux accepts (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 64;

/// Where packets go: the peer's address, and our end that they leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    /// The viewer's address as the system gives it: mapped, if it is IPv4 on a dual-stack socket.
    pub peer: SocketAddr,
    /// Our end. `None` where the system does not say at which of our addresses UDP arrived.
    pub local: Option<Local>,
}

/// Our end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Local {
    /// UDP, at this address of ours.
    Address(IpAddr),
    /// A TCP connection.
    Connection(ConnectionId),
}

impl Path {
    /// The connection, if it is not UDP.
    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self.local {
            Some(Local::Connection(id)) => Some(id),
            Some(Local::Address(_)) | None => None,
        }
    }

    /// What packets are told apart by when they arrive. The address of ours is not part of it: a
    /// viewer's UDP flow stays the same flow when its packets reach another one.
    pub(super) fn source(&self) -> (SocketAddr, Option<ConnectionId>) {
        (self.peer, self.connection())
    }
}

/// What takes the sends: a socket, or a test's ear.
pub(super) trait Transmit: Send {
    /// Sends `contents` as datagrams of `segment` bytes each; the last may be shorter.
    fn transmit(&mut self, path: &Path, contents: &[u8], segment: usize);
    /// Whether a video frame may be begun on `path`. UDP takes or loses what it is given; a TCP
    /// connection with bytes still waiting takes no more.
    fn ready(&self, _path: &Path) -> bool {
        true
    }
    /// The most datagrams that one call may carry now.
    fn segments_max(&self) -> usize;
}

/// Gathers packets into runs.
pub(super) struct Outbox {
    buffer: Box<[u8]>,
    len: usize,
    segment: usize,
    segments: usize,
    path: Option<Path>,
    transmit: Box<dyn Transmit>,
}

impl Outbox {
    /// An outbox before `transmit`.
    pub(super) fn new(transmit: Box<dyn Transmit>) -> Self {
        Self {
            buffer: vec![0; SEND_BYTES_MAX + PACKET_BYTES_MAX].into(),
            len: 0,
            segment: 0,
            segments: 0,
            path: None,
            transmit,
        }
    }

    /// Adds a packet to `path`. `write` fills the buffer that it is given from the front and
    /// returns the length.
    pub(super) fn packet<E>(
        &mut self,
        path: Path,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        if self.path != Some(path) {
            self.flush();
            self.path = Some(path);
        }
        let start = self.len;
        let written = write(&mut self.buffer[start..start + PACKET_BYTES_MAX])?;
        let full = self.segments == SEGMENTS_MAX.min(self.transmit.segments_max());
        if self.segments > 0 && (written > self.segment || full || start + written > SEND_BYTES_MAX)
        {
            self.flush();
            self.path = Some(path);
            self.buffer.copy_within(start..start + written, 0);
        }
        if self.segments == 0 {
            self.segment = written;
        }
        self.len += written;
        self.segments += 1;
        if written < self.segment {
            self.flush();
        }
        Ok(())
    }

    /// Whether a video frame may be begun on `path`.
    pub(super) fn ready(&self, path: &Path) -> bool {
        self.transmit.ready(path)
    }

    /// Sends `datagram` by itself.
    pub(super) fn datagram(&mut self, path: Path, datagram: &[u8]) {
        self.flush();
        self.transmit.transmit(&path, datagram, datagram.len());
    }

    /// Sends what is gathered.
    pub(super) fn flush(&mut self) {
        if let Some(path) = self.path.take()
            && self.len > 0
        {
            self.transmit.transmit(&path, &self.buffer[..self.len], self.segment);
        }
        self.len = 0;
        self.segments = 0;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    /// The runs that were sent, as (path, datagrams).
    pub(in crate::whep) type Sent = Arc<Mutex<Vec<(Path, Vec<Vec<u8>>)>>>;

    /// Remembers what is sent.
    pub(in crate::whep) struct Ear(pub(in crate::whep) Sent);

    impl Transmit for Ear {
        fn transmit(&mut self, path: &Path, contents: &[u8], segment: usize) {
            let datagrams = contents.chunks(segment).map(<[u8]>::to_vec).collect();
            self.0.lock().unwrap().push((*path, datagrams));
        }

        fn segments_max(&self) -> usize {
            SEGMENTS_MAX
        }
    }

    fn path(port: u16) -> Path {
        Path { peer: SocketAddr::from(([127, 0, 0, 1], port)), local: None }
    }

    #[test]
    fn runs_hold_equal_packets_and_one_shorter_at_the_end() {
        let sent = Sent::default();
        let mut outbox = Outbox::new(Box::new(Ear(sent.clone())));
        for length in [40, 100, 100, 60, 100, 120, 120] {
            let written = outbox.packet(path(1), |buffer| {
                buffer[..length].fill(length as u8);
                Ok::<_, Infallible>(length)
            });
            assert_eq!(written, Ok(()));
        }
        outbox.flush();
        let runs: Vec<Vec<usize>> = sent
            .lock()
            .unwrap()
            .iter()
            .map(|(_, run)| {
                assert!(
                    run.iter().all(|packet| packet.iter().all(|b| usize::from(*b) == packet.len()))
                );
                run.iter().map(Vec::len).collect()
            })
            .collect();
        assert_eq!(runs, [vec![40], vec![100, 100, 60], vec![100], vec![120, 120]]);
    }

    #[test]
    fn a_run_ends_with_its_path_and_at_the_bounds() {
        let sent = Sent::default();
        let mut outbox = Outbox::new(Box::new(Ear(sent.clone())));
        for port in [1, 1, 2] {
            outbox.packet(path(port), |_| Ok::<_, Infallible>(10)).unwrap();
        }
        for _ in 0..70 {
            outbox.packet(path(3), |_| Ok::<_, Infallible>(1_000)).unwrap();
        }
        outbox.flush();
        let counts: Vec<usize> = sent.lock().unwrap().iter().map(|(_, run)| run.len()).collect();
        assert_eq!(counts, [2, 1, 64, 6]);
    }
}
