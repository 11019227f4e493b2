//! The thread that has all viewers: one socket each, one poll for all, timers in a heap.
//!
//! What a link would add to the way of a datagram is added here, at the border to the sockets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::oneshot;

use crate::socket::{Reader, Socket};
use crate::tally::Tally;
use crate::transport::Identity;
use crate::viewer::{Setup, Start, Viewer};
use crate::window::{Report, Window};
use lectern_bench_rig::timeline::Timeline;

const WAKE: Token = Token(usize::MAX);
/// Reads of one socket before the others and the timers have their turn.
const READS_MAX: usize = 32;

/// Viewers whose counts are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Those who watch.
    Watching,
    /// Those who come in a storm.
    Storm,
}

/// How the viewers of one group are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    /// One per viewer.
    pub(crate) starts: Vec<Start>,
    /// Why sessions ended, one per viewer that did.
    pub(crate) failures: Vec<String>,
}

/// What is asked of the thread.
enum Command {
    Add(Box<Setup>, Group),
    /// Begins a window; the answer is the first frame that counts.
    Open(oneshot::Sender<u64>),
    /// From here on frames count no more; those sent until now may still arrive.
    Seal(oneshot::Sender<()>),
    Close(oneshot::Sender<Report>),
    Census(Group, oneshot::Sender<Census>),
}

/// The handle of the thread. Dropping it ends the thread and closes all sockets.
pub(crate) struct Load {
    commands: Option<Sender<Command>>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    /// The thread's number, to find what it uses.
    pub(crate) tid: u32,
}

impl Load {
    /// Starts the thread. `delay` is that of each way; `timeline` is the publisher's.
    pub(crate) fn start(
        identity: Arc<Identity>,
        timeline: Arc<Mutex<Timeline>>,
        delay: Duration,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let (commands, received) = channel();
        let (tell, told) = channel();
        let thread = std::thread::Builder::new().name("viewers".into()).spawn(move || {
            // A link such as "4711/task/4712".
            let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
            let name = link.file_name().and_then(|name| name.to_str());
            let _ = tell.send(name.and_then(|name| name.parse::<u32>().ok()));
            Driver::new(poll, received, identity, timeline, delay).run();
        })?;
        let tid = told.recv()?.context("the thread's number is not known")?;
        Ok(Self { commands: Some(commands), waker, thread: Some(thread), tid })
    }

    /// Adds a viewer.
    pub(crate) fn add(&self, setup: Setup, group: Group) -> anyhow::Result<()> {
        self.command(Command::Add(Box::new(setup), group))
    }

    pub(crate) async fn open_window(&self) -> anyhow::Result<u64> {
        self.ask(Command::Open).await
    }

    pub(crate) async fn seal_window(&self) -> anyhow::Result<()> {
        self.ask(Command::Seal).await
    }

    pub(crate) async fn close_window(&self) -> anyhow::Result<Report> {
        self.ask(Command::Close).await
    }

    pub(crate) async fn census(&self, group: Group) -> anyhow::Result<Census> {
        self.ask(|answer| Command::Census(group, answer)).await
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        self.command(command(answer))?;
        answered.await.context("the viewers' thread ended")
    }

    fn command(&self, command: Command) -> anyhow::Result<()> {
        let commands = self.commands.as_ref().context("stopped")?;
        commands.send(command).ok().context("the viewers' thread ended")?;
        Ok(self.waker.wake()?)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.commands = None;
        // If it cannot be woken it ends at its next timer.
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Member {
    viewer: Viewer,
    socket: Socket,
    group: Group,
    scheduled: Option<Instant>,
}

/// A datagram on its way.
struct Delayed {
    due: Instant,
    member: usize,
    arrived_us: u64,
    datagram: Vec<u8>,
}

struct Driver {
    poll: Poll,
    commands: Receiver<Command>,
    identity: Arc<Identity>,
    timeline: Arc<Mutex<Timeline>>,
    delay: Duration,
    members: Vec<Member>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Both in the order in which they are due, since all wait equally long.
    inbound: VecDeque<Delayed>,
    outbound: VecDeque<Delayed>,
    /// Sockets with more to read than one turn allows.
    unread: VecDeque<usize>,
    window: Window,
    tallies: [Tally; 2],
    out: Vec<Vec<u8>>,
}

impl Driver {
    fn new(
        poll: Poll,
        commands: Receiver<Command>,
        identity: Arc<Identity>,
        timeline: Arc<Mutex<Timeline>>,
        delay: Duration,
    ) -> Self {
        Self {
            poll,
            commands,
            identity,
            timeline,
            delay,
            members: Vec::new(),
            timers: BinaryHeap::new(),
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            unread: VecDeque::new(),
            window: Window::default(),
            tallies: Default::default(),
            out: Vec::new(),
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1_024);
        let mut reader = Reader::new();
        loop {
            let wait = self.wait();
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    eprintln!("the viewers' thread cannot wait: {error}");
                    return;
                }
                _ => {}
            }
            let again = std::mem::take(&mut self.unread);
            let ready = events.iter().map(|event| event.token()).filter(|token| *token != WAKE);
            for member in again.into_iter().chain(ready.map(|Token(member)| member)) {
                self.read(member, &mut reader);
            }
            self.deliver();
            self.fire_timers();
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.command(command),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
                }
            }
        }
    }

    fn wait(&self) -> Duration {
        if !self.unread.is_empty() {
            return Duration::ZERO;
        }
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let delayed = [&self.inbound, &self.outbound].map(|queue| queue.front().map(|d| d.due));
        let next = delayed.into_iter().chain([timer]).flatten().min();
        let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
        wait.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1))
    }

    fn read(&mut self, index: usize, reader: &mut Reader) {
        for _ in 0..READS_MAX {
            let Self { members, inbound, window, delay, tallies, out, .. } = self;
            let Some(member) = members.get_mut(index) else { return };
            let now = Instant::now();
            let tally = &mut tallies[member.group as usize];
            let read = member.socket.receive(reader, |datagram, arrived_us| {
                window.overhear(index, &member.viewer, datagram, arrived_us);
                if delay.is_zero() {
                    member.viewer.handle(datagram, arrived_us, now, tally, out);
                } else {
                    let due = now + *delay;
                    let arrived_us = arrived_us + delay.as_micros() as u64;
                    let datagram = datagram.to_vec();
                    inbound.push_back(Delayed { due, member: index, arrived_us, datagram });
                }
            });
            match read {
                Ok(true) => self.settle(index, now),
                // An error is the answer to something sent earlier: the edge has closed its port.
                Ok(false) | Err(_) => return,
            }
        }
        self.unread.push_back(index);
    }

    /// Sees to what a call of a viewer has left.
    fn settle(&mut self, index: usize, now: Instant) {
        let member = &mut self.members[index];
        for datagram in self.out.drain(..) {
            if self.delay.is_zero() {
                // A full buffer is a lost datagram, as on any link.
                let _ = member.socket.send(&datagram);
            } else {
                let due = now + self.delay;
                self.outbound.push_back(Delayed { due, member: index, arrived_us: 0, datagram });
            }
        }
        let tally = &mut self.tallies[member.group as usize];
        if !tally.ended.is_empty() {
            let mut timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
            for ended in tally.ended.drain(..) {
                self.window.take(index, member.group, &member.viewer, ended, &mut timeline);
            }
        }
        let at = member.viewer.wake();
        if member.scheduled.is_none_or(|scheduled| at < scheduled) {
            member.scheduled = Some(at);
            self.timers.push(Reverse((at, index)));
        }
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        while self.inbound.front().is_some_and(|delayed| delayed.due <= now) {
            let Some(Delayed { member: index, arrived_us, datagram, .. }) =
                self.inbound.pop_front()
            else {
                return;
            };
            let member = &mut self.members[index];
            let tally = &mut self.tallies[member.group as usize];
            member.viewer.handle(&datagram, arrived_us, now, tally, &mut self.out);
            self.settle(index, now);
        }
        while self.outbound.front().is_some_and(|delayed| delayed.due <= now) {
            let Some(Delayed { member, datagram, .. }) = self.outbound.pop_front() else { return };
            let _ = self.members[member].socket.send(&datagram);
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, index))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let member = &mut self.members[index];
            if member.scheduled != Some(at) {
                continue; // An earlier timer took its place.
            }
            member.scheduled = None;
            if member.viewer.failed.is_some() {
                continue;
            }
            let tally = &mut self.tallies[member.group as usize];
            member.viewer.handle_timeout(now, tally, &mut self.out);
            self.settle(index, now);
        }
    }

    fn command(&mut self, command: Command) {
        // Whoever asked may have gone in the meantime.
        match command {
            Command::Add(setup, group) => {
                if let Err(error) = self.add(*setup, group) {
                    eprintln!("a viewer has no socket: {error}");
                }
            }
            Command::Open(answer) => {
                let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
                let members = self.members.iter().map(|member| (&member.viewer, member.group));
                let first = self.window.open(&timeline, &self.tallies, members);
                let _ = answer.send(first);
            }
            Command::Seal(answer) => {
                let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
                self.window.seal(&timeline);
                let _ = answer.send(());
            }
            Command::Close(answer) => {
                let timeline = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
                let members = self.members.iter().map(|member| (&member.viewer, member.group));
                let _ = answer.send(self.window.close(&timeline, &self.tallies, members));
            }
            Command::Census(group, answer) => {
                let viewers = self.members.iter().filter(|member| member.group == group);
                let viewers = viewers.map(|member| &member.viewer);
                let _ = answer.send(Census {
                    starts: viewers.clone().map(|viewer| viewer.start).collect(),
                    failures: viewers.filter_map(|viewer| viewer.failed.clone()).collect(),
                });
            }
        }
    }

    fn add(&mut self, setup: Setup, group: Group) -> io::Result<()> {
        let socket = Socket::connect(setup.answer.server)?;
        let index = self.members.len();
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&socket.source()), Token(index), Interest::READABLE)?;
        let now = Instant::now();
        let viewer = Viewer::new(setup, self.identity.clone(), now);
        self.members.push(Member { viewer, socket, group, scheduled: None });
        self.settle(index, now);
        Ok(())
    }
}
