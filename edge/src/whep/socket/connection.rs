//! A TCP connection as workers see it: a way out that never makes them wait.
//!
//! What the system does not take at once is kept, up to a bound, until the connection's own task
//! finds it writable again. Meanwhile the viewer's video waits where it is in the shared history
//! ([`super::super::cursor::Cursor::hold`]), so a slow reader costs little and delays nobody.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The most bytes that wait for one connection. A frame is begun only when none do, so this is the
/// largest keyframe that a slow link gets whole; beyond it packets are dropped and counted.
const QUEUE_BYTES_MAX: usize = 512 * 1024;
/// A connection on which bytes have waited for this long without a break is closed: its viewer has
/// not seen a new picture since, and is better off with LL-DASH.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Parts of the table, so that workers rarely meet.
const SHARDS: usize = 16;

/// Names a connection; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::whep) struct ConnectionId(u64);

#[cfg(feature = "fuzzing")]
impl ConnectionId {
    /// The name of a connection that there need not be.
    pub(in crate::whep) fn of(number: u64) -> Self {
        Self(number)
    }
}

/// The connections that are open.
#[derive(Default)]
pub(super) struct Connections {
    shards: [Mutex<HashMap<ConnectionId, Arc<Connection>>>; SHARDS],
    next: AtomicU64,
}

impl Connections {
    /// Enters a connection.
    pub(super) fn insert(&self, stream: TcpStream) -> (ConnectionId, Arc<Connection>) {
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let connection =
            Arc::new(Connection { stream, outgoing: Mutex::default(), wake: Notify::new() });
        self.shard(id).insert(id, connection.clone());
        (id, connection)
    }

    /// The connection of this name, if it is still open.
    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.shard(id).get(&id).cloned()
    }

    /// Forgets a connection.
    pub(super) fn remove(&self, id: ConnectionId) {
        self.shard(id).remove(&id);
    }

    fn shard(&self, id: ConnectionId) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Connection>>> {
        let shard = &self.shards[id.0 as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection.
pub(super) struct Connection {
    /// The socket. Reading is for the connection's task alone.
    pub(super) stream: TcpStream,
    outgoing: Mutex<Outgoing>,
    wake: Notify,
}

impl Connection {
    /// Sends whole frames, now or as soon as the system takes them; `false` if they were dropped.
    pub(super) fn send(&self, framed: &[u8]) -> bool {
        let mut outgoing = self.outgoing();
        let taken = outgoing.push(framed, Instant::now(), |bytes| self.stream.try_write(bytes));
        if !outgoing.is_drained() {
            self.wake.notify_one();
        }
        taken
    }

    /// Whether nothing waits.
    pub(super) fn is_drained(&self) -> bool {
        self.outgoing().is_drained()
    }

    /// Whether bytes have waited for too long at `now`.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.outgoing().is_stalled(now)
    }

    /// Writes what waits whenever the system takes it. Returns when the connection is broken.
    pub(super) async fn drain(&self) -> io::Error {
        loop {
            if self.is_drained() {
                self.wake.notified().await;
                continue;
            }
            if let Err(error) = self.stream.writable().await {
                return error;
            }
            if let Err(error) = self.outgoing().flush(|bytes| self.stream.try_write(bytes)) {
                return error;
            }
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes that wait.
#[derive(Default)]
struct Outgoing {
    queue: VecDeque<u8>,
    /// Since when some have.
    since: Option<Instant>,
    broken: bool,
}

impl Outgoing {
    /// Writes `framed`, or keeps it behind what waits; `false` if there is no room. Never keeps a
    /// part of a run without the rest, since the frames of both would be lost.
    fn push(
        &mut self,
        framed: &[u8],
        now: Instant,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> bool {
        if self.broken || self.queue.len() + framed.len() > QUEUE_BYTES_MAX {
            return false;
        }
        let mut rest = framed;
        while self.queue.is_empty() && !rest.is_empty() {
            match write(rest) {
                Ok(written @ 1..) => rest = &rest[written.min(rest.len())..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => {
                    // The task is woken by what is kept, and closes the connection.
                    self.broken = true;
                    break;
                }
            }
        }
        self.queue.extend(rest);
        if !self.queue.is_empty() {
            self.since.get_or_insert(now);
        }
        !self.broken
    }

    /// Writes what waits, as far as it goes.
    fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        if self.broken {
            // Even if it takes more by now: whoever sends has been told that it does not.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        while !self.queue.is_empty() {
            match write(self.queue.as_slices().0) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.queue.drain(..written.min(self.queue.len()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        // A viewer whose link keeps up holds no buffer.
        *self = Self::default();
        Ok(())
    }

    fn is_drained(&self) -> bool {
        self.queue.is_empty() && !self.broken
    }

    fn is_stalled(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= STALL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes `room` bytes and then no more.
    fn take<'a>(
        room: &'a mut usize,
        taken: &'a mut Vec<u8>,
    ) -> impl FnMut(&[u8]) -> io::Result<usize> + 'a {
        move |bytes| {
            let count = bytes.len().min(*room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *room -= count;
            taken.extend(&bytes[..count]);
            Ok(count)
        }
    }

    #[test]
    fn what_the_system_does_not_take_follows_in_order() {
        let (mut outgoing, now, mut taken) = (Outgoing::default(), Instant::now(), Vec::new());
        let frames: Vec<u8> = (0..100).collect();
        assert!(outgoing.push(&frames[..40], now, take(&mut 30, &mut taken)));
        assert!(!outgoing.is_drained());
        // What comes later must not overtake, even if there is room by now.
        assert!(outgoing.push(&frames[40..], now, take(&mut 1_000, &mut taken)));
        outgoing.flush(take(&mut 5, &mut taken)).unwrap();
        assert!(!outgoing.is_drained());
        outgoing.flush(take(&mut 1_000, &mut taken)).unwrap();
        assert!(outgoing.is_drained());
        assert_eq!(taken, frames);
        assert_eq!(outgoing.queue.capacity(), 0);
    }

    #[test]
    fn no_more_than_the_bound_waits_and_what_is_dropped_is_whole() {
        let (mut outgoing, now) = (Outgoing::default(), Instant::now());
        let full = |_: &[u8]| Err(io::ErrorKind::WouldBlock.into());
        let run = [7; 60_000];
        let taken = (0..20).filter(|_| outgoing.push(&run, now, full)).count();
        assert_eq!(taken, QUEUE_BYTES_MAX / run.len());
        assert_eq!(outgoing.queue.len(), taken * run.len());
    }

    #[test]
    fn a_connection_that_never_drains_is_stalled_and_one_that_does_is_not() {
        let (mut outgoing, now, mut taken) = (Outgoing::default(), Instant::now(), Vec::new());
        outgoing.push(&[1; 10], now, take(&mut 0, &mut taken));
        // A byte now and then does not count as progress.
        outgoing.flush(take(&mut 1, &mut taken)).unwrap();
        outgoing.push(&[1; 10], now + STALL_MAX / 2, take(&mut 0, &mut taken));
        assert!(!outgoing.is_stalled(now + STALL_MAX / 2));
        assert!(outgoing.is_stalled(now + STALL_MAX));
        outgoing.flush(take(&mut 100, &mut taken)).unwrap();
        assert!(!outgoing.is_stalled(now + STALL_MAX));
    }

    #[test]
    fn a_broken_connection_is_not_ready_and_takes_nothing() {
        let mut outgoing = Outgoing::default();
        let broken = |_: &[u8]| Err(io::ErrorKind::ConnectionReset.into());
        assert!(!outgoing.push(&[1; 10], Instant::now(), broken));
        assert!(!outgoing.is_drained());
        assert!(!outgoing.push(&[1; 10], Instant::now(), |bytes| Ok(bytes.len())));
        // Its task is told so even if the failure has passed, and does not go round for ever.
        assert!(outgoing.flush(|bytes| Ok(bytes.len())).is_err());
    }
}
