//! A session of which each side knows what the other can make it hold.
//!
//! The MoQ library serves whatever is asked for and keeps whatever is announced, as many streams as QUIC
//! allows, and buffers messages of up to 64 MiB. This stands between it and QUIC, counts, and ends the session
//! that asks for too much.

mod framing;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes};
use prometheus::IntCounterVec;
use web_transport_quinn::{ReadError, RecvStream, SendStream, SessionError, WriteError};
use web_transport_trait::Stats;
use web_transport_trait::poll;

use self::framing::{Framing, Seen, Track};
use crate::bucket::{Bucket, Rate};

/// The longest control message. Paths, names and the hops of an announcement are what makes them long, and all of
/// ours are below 600 bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Messages, and frames of groups, which cost as much each: an edge's links say again what they said last when
/// a relay comes back, 256 records each.
const MESSAGES: Rate = Rate { burst: 1 << 18, each: Duration::from_micros(200) };
/// What all sessions of a port may announce together: as many links as an origin has with edges.
const ANNOUNCEMENTS_MAX: usize = 4_096;
/// How many streams may ask what is announced. Each is a copy of the list.
const INTERESTS_MAX: usize = 16;
/// Subscriptions of one session to one track. One is what it takes, and a second while the first ends.
const SUBSCRIPTIONS_OF_A_TRACK_MAX: usize = 8;
/// Groups that are fetched at once: the current one of each track, when another way to them ends.
const FETCHES_MAX: usize = 2_048;
/// Groups on their way to one session, on a stream each or waiting for one: some 4 kB beside what they share with
/// the cache. Two of each of eight tracks of a thousand broadcasts.
const GROUPS_MAX: usize = 16_384;
/// What the newest groups hold of each track that we subscribe to: no cache lets go of these. Of one track it is
/// twice what [`super::records`] puts into a group, and of all the tracks of a session together more.
const GROUP_BYTES_MAX: usize = 4 << 20;
const RECORDS_BYTES_MAX: usize = 64 << 20;
/// How much is read at a time where messages are looked at.
const READ_BYTES: usize = 8 * 1_024;

/// What a peer asked for that no peer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    /// A control message of so many bytes.
    Message(u64),
    /// An announcement's path of so many.
    Path(u64),
    Messages,
    Announcements,
    Interests,
    Subscriptions,
    Fetches,
    Groups,
    Records,
}

impl Excess {
    /// As it is counted.
    fn reason(self) -> &'static str {
        match self {
            Self::Message(_) | Self::Path(_) => "message",
            Self::Messages => "messages",
            Self::Announcements => "announcements",
            Self::Interests => "interests",
            Self::Subscriptions => "subscriptions",
            Self::Fetches => "fetches",
            Self::Groups => "groups",
            Self::Records => "records",
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(bytes) => {
                write!(f, "a control message of {bytes} bytes, and {MESSAGE_BYTES_MAX} are taken")
            }
            Self::Path(bytes) => write!(f, "a path of {bytes} bytes is announced"),
            Self::Messages => write!(f, "more than {} messages at once", MESSAGES.burst),
            Self::Announcements => write!(
                f,
                "more than {ANNOUNCEMENTS_MAX} announcements on this port, the most of them by this session"
            ),
            Self::Interests => write!(f, "more than {INTERESTS_MAX} streams of announcements"),
            Self::Subscriptions => {
                write!(f, "more than {SUBSCRIPTIONS_OF_A_TRACK_MAX} subscriptions to one track")
            }
            Self::Fetches => write!(f, "more than {FETCHES_MAX} groups fetched at once"),
            Self::Groups => write!(f, "more than {GROUPS_MAX} groups asked for and not taken"),
            Self::Records => write!(
                f,
                "groups of more than {} MiB, or of {} MiB together",
                GROUP_BYTES_MAX >> 20,
                RECORDS_BYTES_MAX >> 20
            ),
        }
    }
}

/// The sessions of a port, of which the one that announces the most goes when all together announce too much:
/// a relay brings the announcements of many, and a stranger's fault must not become its own.
#[derive(Default)]
pub(super) struct Port(Mutex<Vec<Weak<Ledger>>>);

impl Port {
    fn join(&self, ledger: &Arc<Ledger>) {
        let mut ledgers = lock(&self.0);
        ledgers.retain(|ledger| ledger.strong_count() > 0);
        ledgers.push(Arc::downgrade(ledger));
    }

    /// Who has to go, if somebody has.
    fn over(&self) -> Option<Arc<Ledger>> {
        let ledgers: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let open = ledgers.into_iter().filter(|ledger| ledger.exceeded.get().is_none());
        let counted: Vec<_> =
            open.map(|ledger| (ledger.announcements.load(Ordering::Relaxed), ledger)).collect();
        let all: usize = counted.iter().map(|(count, _)| count).sum();
        let most = counted.into_iter().max_by_key(|(count, _)| *count);
        most.filter(|_| all > ANNOUNCEMENTS_MAX).map(|(_, ledger)| ledger)
    }
}

/// What a session makes us hold.
struct Ledger {
    session: web_transport_quinn::Session,
    remote: SocketAddr,
    refused: IntCounterVec,
    port: Arc<Port>,
    exceeded: OnceLock<Excess>,
    messages: Mutex<Bucket>,
    announcements: AtomicUsize,
    interests: AtomicUsize,
    fetches: AtomicUsize,
    groups: AtomicUsize,
    subscriptions: Mutex<BTreeMap<Track, usize>>,
    newest: Mutex<Newest>,
}

/// The newest group of each subscription of ours.
#[derive(Default)]
struct Newest {
    /// By the subscription's id: its sequence, and bytes.
    groups: BTreeMap<u64, (u64, usize)>,
    bytes: usize,
}

impl Ledger {
    /// Ends the session, and says why, once.
    fn exceed(&self, excess: Excess) -> SessionError {
        if self.exceeded.set(excess).is_ok() {
            tracing::warn!(remote = %self.remote, "relay session ended: {excess}");
            self.refused.with_label_values(&[excess.reason()]).inc();
            let code = moq_net::SessionError::ProtocolViolation.to_code();
            self.session.close(code, excess.to_string().as_bytes());
        }
        SessionError::ConnectionError(quinn::ConnectionError::LocallyClosed)
    }

    fn message(&self) -> Result<(), Excess> {
        let mut messages = lock(&self.messages);
        messages.ready(&MESSAGES, Instant::now()).map_err(|_| Excess::Messages)?;
        messages.take();
        Ok(())
    }

    fn announce(&self) -> Result<(), Excess> {
        self.announcements.fetch_add(1, Ordering::Relaxed);
        match self.port.over() {
            Some(other) if !std::ptr::eq(&raw const *other, self) => {
                other.exceed(Excess::Announcements);
                Ok(())
            }
            Some(_) => Err(Excess::Announcements),
            None => Ok(()),
        }
    }

    /// More of a group of `subscription` has come.
    fn received(&self, subscription: u64, sequence: u64, bytes: usize) -> Result<(), Excess> {
        let mut newest = lock(&self.newest);
        // What belongs to none of ours the library throws away.
        let Some(group) = newest.groups.get_mut(&subscription) else { return Ok(()) };
        if group.0 > sequence {
            return Ok(());
        }
        let over = if group.0 < sequence { std::mem::take(&mut group.1) } else { 0 };
        *group = (sequence, group.1 + bytes);
        let is_long = group.1 > GROUP_BYTES_MAX;
        newest.bytes = newest.bytes - over + bytes;
        if is_long || newest.bytes > RECORDS_BYTES_MAX { Err(Excess::Records) } else { Ok(()) }
    }
}

/// Takes one more of what there may be `max` of.
fn take(held: &AtomicUsize, max: usize, excess: Excess) -> Result<(), Excess> {
    let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
        (held < max).then_some(held + 1)
    });
    taken.map(drop).map_err(|_| excess)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that its peer can make hold so much and no more.
pub(super) struct Session {
    inner: web_transport_quinn::Session,
    ledger: Arc<Ledger>,
    /// The group that waits for a stream by this handle: each has one of its own.
    opening: Option<Group>,
}

impl Clone for Session {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), ledger: self.ledger.clone(), opening: None }
    }
}

impl Session {
    /// Of a connection with `remote` on `port`; `refused` counts what makes it end, by reason.
    pub(super) fn new(
        inner: web_transport_quinn::Session,
        remote: SocketAddr,
        port: Arc<Port>,
        refused: IntCounterVec,
    ) -> Self {
        let ledger = Arc::new(Ledger {
            session: inner.clone(),
            remote,
            refused,
            port,
            exceeded: OnceLock::new(),
            messages: Mutex::new(Bucket::full(&MESSAGES, Instant::now())),
            announcements: AtomicUsize::default(),
            interests: AtomicUsize::default(),
            fetches: AtomicUsize::default(),
            groups: AtomicUsize::default(),
            subscriptions: Mutex::default(),
            newest: Mutex::default(),
        });
        ledger.port.join(&ledger);
        Self { inner, ledger, opening: None }
    }

    fn recv(&self, inner: RecvStream, framing: Framing) -> BoundedRecv {
        let ledger = self.ledger.clone();
        let held = Held { ledger, announcements: 0, asked: None, answered: None, group: None };
        BoundedRecv { inner, framing, held }
    }
}

impl poll::Session for Session {
    type SendStream = BoundedSend;
    type RecvStream = BoundedRecv;
    type Error = SessionError;

    fn poll_accept_uni(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::RecvStream, Self::Error>> {
        let recv = ready!(self.inner.poll_accept_uni(cx))?;
        Poll::Ready(Ok(self.recv(recv, Framing::data())))
    }

    fn poll_accept_bi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Self::SendStream, Self::RecvStream), Self::Error>> {
        let (send, recv) = ready!(self.inner.poll_accept_bi(cx))?;
        let send = BoundedSend { inner: send, control: None, _group: None };
        Poll::Ready(Ok((send, self.recv(recv, Framing::requests()))))
    }

    fn poll_open_uni(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::SendStream, Self::Error>> {
        if self.opening.is_none() {
            let group = Group::take(&self.ledger);
            self.opening = Some(group.map_err(|excess| self.ledger.exceed(excess))?);
        }
        let opened = ready!(self.inner.poll_open_uni(cx));
        let _group = self.opening.take();
        Poll::Ready(opened.map(|inner| BoundedSend { inner, control: None, _group }))
    }

    fn poll_open_bi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Self::SendStream, Self::RecvStream), Self::Error>> {
        let (send, recv) = ready!(self.inner.poll_open_bi(cx))?;
        let asked = Arc::<Asked>::default();
        let mut recv = self.recv(recv, Framing::answers(asked.clone()));
        recv.held.answered = Some(asked.clone());
        let control = Some((asked, self.ledger.clone()));
        Poll::Ready(Ok((BoundedSend { inner: send, control, _group: None }, recv)))
    }

    fn poll_send_datagram(
        &mut self,
        cx: &mut Context<'_>,
        payload: &[u8],
    ) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_send_datagram(cx, payload)
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Self::Error>> {
        self.inner.poll_recv_datagram(cx)
    }

    fn max_datagram_size(&self) -> usize {
        poll::Session::max_datagram_size(&self.inner)
    }

    fn protocol(&self) -> Option<&str> {
        poll::Session::protocol(&self.inner)
    }

    fn close(&mut self, code: u32, reason: &str) {
        poll::Session::close(&mut self.inner, code, reason);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Self::Error> {
        self.inner.poll_closed(cx)
    }

    fn stats(&self) -> impl Stats {
        poll::Session::stats(&self.inner)
    }
}

/// A group that has a stream, or waits for one.
struct Group(Arc<Ledger>);

impl Group {
    fn take(ledger: &Arc<Ledger>) -> Result<Self, Excess> {
        take(&ledger.groups, GROUPS_MAX, Excess::Groups)?;
        Ok(Self(ledger.clone()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.0.groups.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream is for that we opened.
#[derive(Default)]
struct Asked {
    /// Its first byte.
    kind: OnceLock<u8>,
    /// By which groups of a subscription say that they are its.
    subscription: OnceLock<u64>,
}

/// What is sent, and of which kind a stream is that we opened: what it begins with says it.
pub(super) struct BoundedSend {
    inner: SendStream,
    control: Option<(Arc<Asked>, Arc<Ledger>)>,
    _group: Option<Group>,
}

impl BoundedSend {
    fn begins(&mut self, bytes: &[u8]) {
        let (Some((asked, ledger)), Some(&kind)) = (&self.control, bytes.first()) else { return };
        // Said before, if the first write had to wait.
        let _ = asked.kind.set(kind);
        if let Some(id) = framing::subscription_of(bytes)
            && asked.subscription.set(id).is_ok()
        {
            lock(&ledger.newest).groups.insert(id, (0, 0));
        }
    }

    fn wrote(&mut self, written: &Poll<Result<usize, WriteError>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.control = None;
        }
    }
}

impl poll::SendStream for BoundedSend {
    type Error = WriteError;

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, WriteError>> {
        self.begins(buf);
        let written = self.inner.poll_write(cx, buf);
        self.wrote(&written);
        written
    }

    fn poll_write_buf<B: Buf>(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<Result<usize, WriteError>> {
        self.begins(buf.chunk());
        let written = self.inner.poll_write_buf(cx, buf);
        self.wrote(&written);
        written
    }

    fn set_priority(&mut self, order: u8) {
        poll::SendStream::set_priority(&mut self.inner, order);
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        poll::SendStream::finish(&mut self.inner)
    }

    fn reset(&mut self, code: u32) {
        poll::SendStream::reset(&mut self.inner, code);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.inner.poll_closed(cx)
    }
}

/// What is received. Only what we fetch is not looked at.
pub(super) struct BoundedRecv {
    inner: RecvStream,
    framing: Framing,
    held: Held,
}

/// What a stream of the peer's, or of ours, makes us hold.
struct Held {
    ledger: Arc<Ledger>,
    announcements: usize,
    /// What the peer asks for on it.
    asked: Option<Wish>,
    /// What we ask for on it.
    answered: Option<Arc<Asked>>,
    /// The subscription and the sequence of the group that comes by it.
    group: Option<(u64, u64)>,
}

/// Something that a peer asks for.
enum Wish {
    Interest,
    Fetch,
    Track(Track),
}

impl Held {
    fn saw(&mut self, seen: Seen) -> Result<(), Excess> {
        match seen {
            Seen::Message => self.ledger.message()?,
            Seen::Announced => {
                self.announcements += 1;
                self.ledger.announce()?;
            }
            Seen::Retracted => {
                // More than there are is not ours to judge; the library ends such a stream.
                if let Some(rest) = self.announcements.checked_sub(1) {
                    self.announcements = rest;
                    self.ledger.announcements.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Seen::Interest => {
                take(&self.ledger.interests, INTERESTS_MAX, Excess::Interests)?;
                self.asked = Some(Wish::Interest);
            }
            Seen::Fetched => {
                take(&self.ledger.fetches, FETCHES_MAX, Excess::Fetches)?;
                self.asked = Some(Wish::Fetch);
            }
            Seen::Subscribed(track) => {
                let mut subscriptions = lock(&self.ledger.subscriptions);
                let count = subscriptions.entry(track.clone()).or_default();
                if *count == SUBSCRIPTIONS_OF_A_TRACK_MAX {
                    return Err(Excess::Subscriptions);
                }
                *count += 1;
                self.asked = Some(Wish::Track(track));
            }
            Seen::Group { subscription, sequence } => self.group = Some((subscription, sequence)),
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self { ledger, .. } = self;
        ledger.announcements.fetch_sub(self.announcements, Ordering::Relaxed);
        match self.asked.take() {
            None => {}
            Some(Wish::Interest) => {
                ledger.interests.fetch_sub(1, Ordering::Relaxed);
            }
            Some(Wish::Fetch) => {
                ledger.fetches.fetch_sub(1, Ordering::Relaxed);
            }
            Some(Wish::Track(track)) => {
                if let Entry::Occupied(mut count) = lock(&ledger.subscriptions).entry(track) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
        }
        let ours = self.answered.take();
        if let Some(id) = ours.as_ref().and_then(|asked| asked.subscription.get()) {
            let mut newest = lock(&ledger.newest);
            newest.bytes -= newest.groups.remove(id).map_or(0, |(_, bytes)| bytes);
        }
    }
}

impl BoundedRecv {
    fn look(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let Self { framing, held, .. } = self;
        let mut looked = framing.read(bytes, |seen| held.saw(seen));
        if let Some((subscription, sequence)) = held.group {
            looked = looked.and(held.ledger.received(subscription, sequence, bytes.len()));
        }
        looked.map_err(|excess| ReadError::SessionError(held.ledger.exceed(excess)))
    }
}

impl poll::RecvStream for BoundedRecv {
    type Error = ReadError;

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        dst: &mut [u8],
    ) -> Poll<Result<Option<usize>, ReadError>> {
        let read = ready!(self.inner.poll_read(cx, dst))?;
        if let Some(bytes) = read {
            self.look(&dst[..bytes])?;
        }
        Poll::Ready(Ok(read))
    }

    fn poll_read_buf<B: BufMut>(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut B,
    ) -> Poll<Result<Option<usize>, ReadError>> {
        if self.framing.is_over() {
            return self.inner.poll_read_buf(cx, buf);
        }
        let Some(chunk) = ready!(self.poll_read_chunk(cx, buf.remaining_mut().min(READ_BYTES)))?
        else {
            return Poll::Ready(Ok(None));
        };
        let bytes = chunk.len();
        buf.put(chunk);
        Poll::Ready(Ok(Some(bytes)))
    }

    fn poll_read_chunk(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        let chunk = ready!(self.inner.poll_read_chunk(cx, max))?;
        if let Some(chunk) = &chunk {
            self.look(chunk)?;
        }
        Poll::Ready(Ok(chunk))
    }

    fn stop(&mut self, code: u32) {
        poll::RecvStream::stop(&mut self.inner, code);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        self.inner.poll_closed(cx)
    }
}
