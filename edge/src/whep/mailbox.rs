//! A worker's mailbox: frames, commands and datagrams, each in its own bounded queue.
//!
//! Three queues, so that a flood of datagrams cannot push frames out, and the worker takes frames
//! first. Whoever posts never waits: a full queue refuses, and the poster counts it. Of the datagrams
//! that wait, each sender may have a share, so that one that floods does not deafen the others.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::broadcast::Broadcast;
use super::history::Unit;
use super::ice::Generation;
use super::metrics::Ended;
use super::outbox::Path;
use super::registry::Route;
use super::renditions::Listed;
use super::sdp::Kind;
use super::session::Session;

/// Frames waiting: a quarter of a second of fifty broadcasts. They are references.
const FRAMES_MAX: usize = 1_024;
/// Commands waiting: more joins at once than that are told to come back.
const COMMANDS_MAX: usize = 1_024;
/// Datagrams waiting, of at most 2 kB: a tenth of a second of ten thousand viewers' reports.
const DATAGRAMS_MAX: usize = 2_048;
/// Of these, datagrams from addresses that passed no check yet: whoever knows one user name fragment
/// can send them from as many as it likes, and must not deafen those who watch.
const STRANGERS_MAX: usize = DATAGRAMS_MAX / 2;
/// What part of the room that is left a sender's datagrams may take (the dynamic threshold that
/// switches share their buffers by: Choudhury and Hahne, 1998). A single flood gets a ninth of the
/// queue; however many there are, they leave room for a sender who has nothing waiting.
const SHARE_OF_ROOM: usize = 8;
/// Datagrams taken at once, so that frames that come meanwhile wait for no more than these.
const DATAGRAMS_AT_ONCE: usize = 32;

/// A frame for the viewers of a broadcast.
pub(super) struct Post {
    /// [`Broadcast::key`].
    pub room: u64,
    /// Which track.
    pub kind: Kind,
    /// The frame.
    pub unit: Arc<Unit>,
}

/// Something to do.
pub(super) enum Command {
    /// A session begins.
    Open(Box<Session>, Arc<Broadcast>),
    /// A session gets the credentials of an ICE restart.
    Restart(Route, Box<Generation>),
    /// A session ends.
    Close(Route, Ended),
    /// All sessions of a broadcast end.
    CloseAll(u64, Ended),
    /// A broadcast lists other renditions.
    List(u64, Arc<[Listed]>),
    /// A session is to end by itself then: its viewer may watch no longer.
    EndAt(Route, Instant),
    /// A viewer pins a rendition, or leaves the choice to us again.
    Pin(Route, Option<String>),
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The queue is full.
    Full,
    /// The sender has its share of the queue.
    Share,
}

/// A datagram for a session.
pub(super) struct Datagram {
    /// Whose it is.
    pub route: Route,
    /// Where from.
    pub path: Path,
    /// Whether the path is one of the session's.
    pub owned: bool,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// Whose share of the queue a datagram takes: a session's, or, as long as nobody has authenticated
/// from there, that of the address.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sender {
    Session(u64),
    Stranger(SocketAddr),
}

impl Datagram {
    fn sender(&self) -> Sender {
        if self.owned {
            Sender::Session(self.route.serial)
        } else {
            Sender::Stranger(self.path.peer)
        }
    }
}

/// What a worker takes at once.
#[derive(Default)]
pub(super) struct Batch {
    /// All frames that waited.
    pub frames: VecDeque<Post>,
    /// All commands that waited.
    pub commands: VecDeque<Command>,
    /// Some of the datagrams.
    pub datagrams: VecDeque<Datagram>,
    /// The engine is going away: end all sessions.
    pub closed: bool,
}

#[derive(Default)]
struct Queues {
    batch: Batch,
    /// How many datagrams wait of each sender that has any.
    waiting: HashMap<Sender, usize>,
    /// How many of them are strangers'.
    strange: usize,
    asleep: bool,
}

/// The mailbox.
#[derive(Default)]
pub(super) struct Mailbox {
    queues: Mutex<Queues>,
    wake: Condvar,
    frames_wait: AtomicBool,
}

impl Mailbox {
    /// Posts a frame; `false` if the queue is full.
    pub(super) fn post(&self, post: Post) -> bool {
        let mut queues = self.lock();
        let fits = queues.batch.frames.len() < FRAMES_MAX;
        if fits {
            queues.batch.frames.push_back(post);
            self.frames_wait.store(true, Ordering::Release);
        }
        self.notify(&queues);
        fits
    }

    /// Posts a command; gives it back if the queue is full, and it is one that a viewer can send as
    /// often as it likes. Closing always fits: there are no more of those than sessions.
    pub(super) fn command(&self, command: Command) -> Result<(), Command> {
        let mut queues = self.lock();
        let refusable =
            matches!(command, Command::Open(..) | Command::Restart(..) | Command::Pin(..));
        if refusable && queues.batch.commands.len() >= COMMANDS_MAX {
            return Err(command);
        }
        queues.batch.commands.push_back(command);
        self.notify(&queues);
        Ok(())
    }

    /// Posts a datagram, unless the queue or the sender's share of it is full.
    pub(super) fn datagram(&self, datagram: Datagram) -> Result<(), Refused> {
        let queues = &mut *self.lock();
        let posted = queues.post(datagram);
        self.notify(queues);
        posted
    }

    /// Tells the worker to end.
    pub(super) fn close(&self) {
        let mut queues = self.lock();
        queues.batch.closed = true;
        self.notify(&queues);
    }

    /// Whether frames came since the last [`Self::take`].
    pub(super) fn frames_wait(&self) -> bool {
        self.frames_wait.load(Ordering::Acquire)
    }

    /// Waits for anything, or until `deadline`, and moves it into `batch`. Datagrams that are still
    /// in `batch` are not lost, and then it does not wait.
    pub(super) fn take(&self, batch: &mut Batch, deadline: Option<Instant>) {
        let mut queues = self.lock();
        while batch.datagrams.is_empty() && queues.is_empty() {
            let left = match deadline {
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                break;
            }
            queues.asleep = true;
            queues = if deadline.is_some() {
                let waited = self.wake.wait_timeout(queues, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner)
            };
            queues.asleep = false;
        }
        let queues = &mut *queues;
        let waiting = &mut queues.batch;
        batch.closed = waiting.closed;
        batch.frames.append(&mut waiting.frames);
        batch.commands.append(&mut waiting.commands);
        let room = DATAGRAMS_AT_ONCE.saturating_sub(batch.datagrams.len());
        let some = room.min(waiting.datagrams.len());
        for datagram in waiting.datagrams.drain(..some) {
            queues.strange -= usize::from(!datagram.owned);
            if let Entry::Occupied(mut count) = queues.waiting.entry(datagram.sender()) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
            batch.datagrams.push_back(datagram);
        }
        self.frames_wait.store(false, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, queues: &Queues) {
        if queues.asleep {
            self.wake.notify_one();
        }
    }
}

impl Queues {
    fn post(&mut self, datagram: Datagram) -> Result<(), Refused> {
        let mut room = DATAGRAMS_MAX.saturating_sub(self.batch.datagrams.len());
        if !datagram.owned {
            room = room.min(STRANGERS_MAX.saturating_sub(self.strange));
        }
        if room == 0 {
            return Err(Refused::Full);
        }
        let waiting = self.waiting.entry(datagram.sender()).or_default();
        if *waiting >= (room / SHARE_OF_ROOM).max(1) {
            return Err(Refused::Share);
        }
        *waiting += 1;
        self.strange += usize::from(!datagram.owned);
        self.batch.datagrams.push_back(datagram);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        let Batch { frames, commands, datagrams, closed } = &self.batch;
        frames.is_empty() && commands.is_empty() && datagrams.is_empty() && !closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(serial: u64) -> Datagram {
        let path = Path { peer: SocketAddr::from(([127, 0, 0, 1], 9)), local: None };
        let route = Route { worker: 0, room: 1, serial };
        Datagram { route, path, owned: true, bytes: Box::default() }
    }

    /// For session 1, from an address that passed no check.
    fn strange(port: u16) -> Datagram {
        let path = Path { peer: SocketAddr::from(([127, 0, 0, 1], port)), local: None };
        Datagram { path, owned: false, ..datagram(1) }
    }

    #[test]
    fn a_session_that_is_flooded_leaves_room_for_the_others() {
        let mailbox = Mailbox::default();
        let flood = (0..100_000).filter(|_| mailbox.datagram(datagram(1)).is_ok()).count();
        assert!(flood <= DATAGRAMS_MAX / SHARE_OF_ROOM, "{flood}");
        assert_eq!(mailbox.datagram(datagram(1)), Err(Refused::Share));
        // A hundred floods more, and still there is some for each of many others.
        for round in 0..1_000 {
            (2..102).for_each(|serial| _ = mailbox.datagram(datagram(serial)));
            assert!(mailbox.lock().batch.datagrams.len() < DATAGRAMS_MAX, "{round}");
        }
        let others = (1_000..1_100).filter(|serial| mailbox.datagram(datagram(*serial)).is_ok());
        assert_eq!(others.count(), 100);
    }

    #[test]
    fn strangers_take_nothing_from_those_who_passed_a_check() {
        let mailbox = Mailbox::default();
        // From one address, and then from as many as there are.
        let flood = (0..10_000).filter(|_| mailbox.datagram(strange(1)).is_ok()).count();
        assert!(flood <= STRANGERS_MAX / SHARE_OF_ROOM, "{flood}");
        assert_eq!(mailbox.datagram(strange(2)), Ok(()));
        (3..60_000).for_each(|port| _ = mailbox.datagram(strange(port)));
        assert_eq!(mailbox.datagram(strange(60_000)), Err(Refused::Full));
        assert_eq!(mailbox.lock().batch.datagrams.len(), STRANGERS_MAX);
        for serial in 0..100 {
            assert_eq!(mailbox.datagram(datagram(serial)), Ok(()));
        }
    }

    #[test]
    fn the_queue_is_bounded_and_what_was_taken_counts_no_more() {
        let mailbox = Mailbox::default();
        let posted = (0..10_000).filter(|serial| mailbox.datagram(datagram(*serial)).is_ok());
        assert_eq!(posted.count(), DATAGRAMS_MAX);
        assert_eq!(mailbox.datagram(datagram(20_000)), Err(Refused::Full));
        let mut taken = 0;
        while taken < DATAGRAMS_MAX {
            let mut batch = Batch::default();
            mailbox.take(&mut batch, None);
            taken += batch.datagrams.len();
        }
        assert!(mailbox.lock().waiting.is_empty());
    }
}
