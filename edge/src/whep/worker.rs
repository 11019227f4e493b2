//! A worker: one thread that owns a share of the sessions and sends them what they are due.
//!
//! It sleeps on its mailbox until something is posted or the next timer is due. Frames come first,
//! then commands, datagrams a few at a time, timers. A fault in one session ends that session.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::UtcTime;
use rtc_crypto::RTCCryptoProvider;

use super::broadcast::{Broadcast, Snapshot};
use super::dtls;
use super::mailbox::{Batch, Command, Datagram, Mailbox, Post};
use super::metrics::{Ended, Metrics};
use super::outbox::Outbox;
use super::registry::{Registry, Route};
use super::renditions::{Listed, RENDITIONS_MAX};
use super::sdp::Kind;
use super::session::{Context, Moved, Session};
use super::timers::Timers;

/// A session is not looked at again sooner than this by its timers, so that one that always has
/// something due cannot keep a worker from all others.
const TIMER_MIN: Duration = Duration::from_micros(100);

/// The sessions of one broadcast on this worker, and its frames.
struct Room {
    broadcast: Arc<Broadcast>,
    kept: Snapshot,
    sessions: HashMap<u64, Session>,
    interest: Interest,
}

/// How many sessions the frames of each slot matter to.
#[derive(Default)]
struct Interest([u32; RENDITIONS_MAX]);

/// What sessions are called with.
struct Desk {
    outbox: Outbox,
    crypto: Arc<dyn RTCCryptoProvider>,
    metrics: Arc<Metrics>,
    timers: Timers,
}

/// The worker.
pub(super) struct Worker {
    index: usize,
    mailboxes: Arc<[Mailbox]>,
    registry: Arc<Registry>,
    desk: Desk,
    rooms: HashMap<u64, Room>,
    /// Sessions that a fan-out found to be over.
    over: Vec<(u64, Ended)>,
}

impl Worker {
    /// The worker of `mailboxes[index]`.
    pub(super) fn new(
        index: usize,
        mailboxes: Arc<[Mailbox]>,
        registry: Arc<Registry>,
        metrics: Arc<Metrics>,
        crypto: Arc<dyn RTCCryptoProvider>,
        outbox: Outbox,
    ) -> Self {
        let desk = Desk { outbox, crypto, metrics, timers: Timers::default() };
        Self { index, mailboxes, registry, desk, rooms: HashMap::new(), over: Vec::new() }
    }

    /// Works until the mailbox is closed.
    pub(super) fn run(mut self) {
        let mut batch = Batch::default();
        let mailboxes = self.mailboxes.clone();
        let mailbox = &mailboxes[self.index];
        loop {
            mailbox.take(&mut batch, self.desk.timers.next());
            batch.frames.drain(..).for_each(|post| self.fan_out(&post));
            batch.commands.drain(..).for_each(|command| self.command(command));
            if batch.closed {
                break;
            }
            while let Some(datagram) = batch.datagrams.pop_front() {
                let handshake = dtls::is_dtls(&datagram.bytes);
                self.receive(datagram);
                // A handshake's arithmetic takes long enough to look for frames after each.
                if handshake && mailbox.frames_wait() {
                    break;
                }
            }
            self.fire_timers();
        }
        let rooms: Vec<u64> = self.rooms.keys().copied().collect();
        rooms.into_iter().for_each(|room| self.close_all(room, Ended::Shutdown));
    }

    fn fan_out(&mut self, Post { room: key, kind, unit }: &Post) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let slot = unit.rendition;
        let history = match kind {
            Kind::Video => room.kept.video.history_mut(slot),
            Kind::Audio => &mut room.kept.audio,
        };
        let newest = history.newest().map(|newest| newest.serial);
        if newest.is_some_and(|newest| newest >= unit.serial) {
            // The snapshot that the room began or caught up with had it already.
            return;
        }
        if newest.is_none_or(|newest| newest + 1 == unit.serial) {
            history.push(unit.clone());
        } else {
            // The mailbox was full: catch up with what is still kept.
            // Only this track: what is queued of the others has not been missed.
            *history = room.broadcast.history(*kind, slot);
        }
        let video = *kind == Kind::Video;
        if video && !room.interest.has(slot) {
            return;
        }
        let mut any_live = false;
        for session in room.sessions.values_mut() {
            if video && session.interest() & (1 << slot) == 0 {
                continue;
            }
            let sent = self.desk.call(&room.kept, &mut room.interest, session, |session, cx| {
                Ok(if video { session.pump_video(cx) } else { session.send_audio(unit, cx) })
            });
            match sent {
                Ok(live) => any_live |= live,
                Err(why) => self.over.push((session.route().serial, why)),
            }
        }
        if any_live {
            // Of the sound it would mostly tell how long the origin holds it, on purpose.
            if video {
                let age = UtcTime::from(SystemTime::now()).saturating_since(unit.arrived);
                self.desk.metrics.frame_age.observe(age.as_secs_f64());
            }
            self.desk.metrics.frame_wait.observe(unit.pushed.elapsed().as_secs_f64());
        }
        self.end_those_over(*key);
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Open(session, broadcast) => self.open(*session, broadcast),
            Command::Restart(route, next) => self.attend(route, |session, _| {
                session.restart_ice(*next);
                Ok(())
            }),
            Command::Close(route, why) => self.end(route, why),
            Command::EndAt(route, until) => self.attend(route, |session, _| {
                session.end_at(until);
                Ok(())
            }),
            Command::CloseAll(room, why) => self.close_all(room, why),
            Command::List(room, listing) => self.list(room, listing),
            Command::Pin(route, rendition) => self.attend(route, |session, cx| {
                session.pin(rendition, cx);
                Ok(())
            }),
        }
    }

    /// A broadcast lists other renditions: some viewers may have to go over to another.
    fn list(&mut self, room: u64, listing: Arc<[Listed]>) {
        let Some(listed) = self.rooms.get_mut(&room) else { return };
        listed.kept.video.list(listing);
        for route in self.routes(room) {
            self.attend(route, |session, cx| {
                session.judge(cx);
                Ok(())
            });
        }
    }

    fn open(&mut self, mut session: Session, broadcast: Arc<Broadcast>) {
        self.desk.schedule(&mut session, Instant::now());
        let Route { room, serial, .. } = session.route();
        let room = self.rooms.entry(room).or_insert_with(|| Room {
            kept: broadcast.snapshot(),
            broadcast,
            sessions: HashMap::new(),
            interest: Interest::default(),
        });
        room.sessions.insert(serial, session);
    }

    fn receive(&mut self, Datagram { route, path, mut bytes, .. }: Datagram) {
        let handled = self.with_session(route, |session, cx| session.handle(path, &mut bytes, cx));
        match handled {
            Some(Ok(Moved { passed, evicted, renewed, reply })) => {
                if let Some(path) = evicted {
                    self.registry.remove_path(&path, route);
                }
                // Each time, not only the first: somebody with a session of their own may have taken
                // the path meanwhile, by a check with a forged source or from behind the same NAT.
                if let Some(path) = passed {
                    self.registry.add_path(&path, route);
                }
                if renewed {
                    self.credentials_renewed(route);
                }
                if let Some(reply) = reply {
                    self.desk.outbox.datagram(path, &reply);
                }
            }
            Some(Err(why)) => self.end(route, why),
            None => self.desk.metrics.bad("gone"),
        }
    }

    fn credentials_renewed(&self, route: Route) {
        let room = self.rooms.get(&route.room);
        if let Some(session) = room.and_then(|room| room.sessions.get(&route.serial)) {
            self.registry.renewed(session.id(), session.ufrag());
        }
    }

    fn fire_timers(&mut self) {
        let now = Instant::now();
        while let Some((room, serial)) = self.desk.timers.pop(now) {
            let route = Route { worker: self.index, room, serial };
            self.attend(route, |session, cx| {
                session.scheduled = None;
                session.handle_timeout(cx)
            });
        }
    }

    /// Calls a session, and ends it if it is over. One that is gone meanwhile needs nothing.
    fn attend(
        &mut self,
        route: Route,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<(), Ended>,
    ) {
        if let Some(Err(why)) = self.with_session(route, call) {
            self.end(route, why);
        }
    }

    /// Calls a session. `None` if there is no such session.
    fn with_session<T>(
        &mut self,
        route: Route,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<T, Ended>,
    ) -> Option<Result<T, Ended>> {
        let room = self.rooms.get_mut(&route.room)?;
        let session = room.sessions.get_mut(&route.serial)?;
        Some(self.desk.call(&room.kept, &mut room.interest, session, call))
    }

    fn end_those_over(&mut self, room: u64) {
        while let Some((serial, why)) = self.over.pop() {
            self.end(Route { worker: self.index, room, serial }, why);
        }
    }

    fn close_all(&mut self, room: u64, why: Ended) {
        self.routes(room).into_iter().for_each(|route| self.end(route, why));
    }

    fn routes(&self, room: u64) -> Vec<Route> {
        let sessions = self.rooms.get(&room).into_iter().flat_map(|room| room.sessions.values());
        sessions.map(Session::route).collect()
    }

    fn end(&mut self, route: Route, why: Ended) {
        let Some(room) = self.rooms.get_mut(&route.room) else { return };
        let Some(mut session) = room.sessions.remove(&route.serial) else { return };
        room.interest.change(session.interest(), 0);
        self.desk.timers.remove(route, &mut session.scheduled);
        let outbox = &mut self.desk.outbox;
        if catch_unwind(AssertUnwindSafe(|| session.close(outbox))).is_err() {
            tracing::error!("a session could not be closed in order");
        }
        for path in session.paths() {
            self.registry.remove_path(path, route);
        }
        self.registry.remove(session.id(), why);
        room.broadcast.leave(self.index);
        tracing::debug!(broadcast = %room.broadcast.id, session = route.serial, ?why, "session over");
        if room.sessions.is_empty() {
            self.rooms.remove(&route.room);
        }
    }
}

impl Desk {
    /// Calls a session, and sees to its timer and to which frames matter to it from now on. A panic
    /// in it is its end and nobody else's.
    fn call<T>(
        &mut self,
        kept: &Snapshot,
        interest: &mut Interest,
        session: &mut Session,
        call: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<T, Ended>,
    ) -> Result<T, Ended> {
        let now = Instant::now();
        let mut cx = Context {
            now,
            video: &kept.video,
            audio: &kept.audio,
            outbox: &mut self.outbox,
            crypto: &*self.crypto,
            metrics: &self.metrics,
        };
        let before = session.interest();
        let called = catch_unwind(AssertUnwindSafe(|| call(session, &mut cx)));
        interest.change(before, session.interest());
        self.schedule(session, now);
        called.unwrap_or(Err(Ended::Panic))
    }

    fn schedule(&mut self, session: &mut Session, now: Instant) {
        let at = session.wake().max(now + TIMER_MIN);
        self.timers.set(session.route(), &mut session.scheduled, at);
    }
}

impl Interest {
    fn has(&self, slot: u8) -> bool {
        self.0.get(usize::from(slot)).is_some_and(|count| *count > 0)
    }

    /// A session's slots, one bit each, are others than before.
    fn change(&mut self, before: u8, after: u8) {
        if before == after {
            return;
        }
        for (slot, count) in self.0.iter_mut().enumerate() {
            *count += u32::from(after >> slot & 1);
            *count -= u32::from(before >> slot & 1);
        }
    }
}
