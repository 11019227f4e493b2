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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes};
use prometheus::IntCounterVec;
use web_transport_quinn::{ReadError, RecvStream, SendStream, SessionError, WriteError};
use web_transport_trait::Stats;
use web_transport_trait::poll;

use self::framing::{Framing, Seen};

/// The longest control message. Paths and names are what makes them long, and all of ours are below 300 bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 4_096;
/// What one session may announce: the links of 250 edges behind one relay with four origins, and a quarter of what an
/// origin takes in all.
const ANNOUNCEMENTS_MAX: usize = 1_024;
/// Subscriptions of one session to one track. One is what it takes, and a second while the first ends.
const SUBSCRIPTIONS_OF_A_TRACK_MAX: usize = 8;
/// Groups on their way to one session, on a stream each or waiting for one: some 4 kB beside what they share with
/// the cache. Two of each of eight tracks of a thousand broadcasts.
const GROUPS_MAX: usize = 16_384;
/// How much is read at a time where messages are looked at.
const READ_BYTES: usize = 8 * 1_024;

/// What a peer asked for that no peer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excess {
    /// A control message of so many bytes.
    Message(u64),
    Announcements,
    Subscriptions,
    Groups,
}

impl Excess {
    /// As it is counted.
    fn reason(self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Announcements => "announcements",
            Self::Subscriptions => "subscriptions",
            Self::Groups => "groups",
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(bytes) => {
                write!(f, "a control message of {bytes} bytes, and {MESSAGE_BYTES_MAX} are taken")
            }
            Self::Announcements => {
                write!(f, "more than {ANNOUNCEMENTS_MAX} announcements at a time")
            }
            Self::Subscriptions => {
                write!(f, "more than {SUBSCRIPTIONS_OF_A_TRACK_MAX} subscriptions to one track")
            }
            Self::Groups => {
                write!(f, "more than {GROUPS_MAX} groups asked for and not taken")
            }
        }
    }
}

/// What a session makes us hold.
struct Ledger {
    session: web_transport_quinn::Session,
    remote: SocketAddr,
    refused: IntCounterVec,
    exceeded: OnceLock<Excess>,
    groups: AtomicUsize,
    announcements: AtomicUsize,
    /// By broadcast and track, as they stand in the message.
    subscriptions: Mutex<BTreeMap<Box<[u8]>, usize>>,
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

    fn take(held: &AtomicUsize, max: usize, excess: Excess) -> Result<(), Excess> {
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (held < max).then_some(held + 1)
        });
        taken.map(drop).map_err(|_| excess)
    }
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
    /// Of a connection with `remote`; `refused` counts what makes it end, by reason.
    pub(super) fn new(
        inner: web_transport_quinn::Session,
        remote: SocketAddr,
        refused: IntCounterVec,
    ) -> Self {
        let ledger = Ledger {
            session: inner.clone(),
            remote,
            refused,
            exceeded: OnceLock::new(),
            groups: AtomicUsize::default(),
            announcements: AtomicUsize::default(),
            subscriptions: Mutex::default(),
        };
        Self { inner, ledger: Arc::new(ledger), opening: None }
    }

    fn recv(&self, inner: RecvStream, framing: Framing) -> BoundedRecv {
        let held = Held { ledger: self.ledger.clone(), announcements: 0, subscription: None };
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
        let control = Arc::<OnceLock<u8>>::default();
        let recv = self.recv(recv, Framing::answers(control.clone()));
        Poll::Ready(Ok((BoundedSend { inner: send, control: Some(control), _group: None }, recv)))
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
        Ledger::take(&ledger.groups, GROUPS_MAX, Excess::Groups)?;
        Ok(Self(ledger.clone()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.0.groups.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is sent, and of which kind a stream is that we opened: the first byte says it.
pub(super) struct BoundedSend {
    inner: SendStream,
    control: Option<Arc<OnceLock<u8>>>,
    _group: Option<Group>,
}

impl BoundedSend {
    fn begins(&mut self, bytes: &[u8]) {
        if let (Some(control), Some(&kind)) = (&self.control, bytes.first()) {
            // Said before, if the first write had to wait.
            let _ = control.set(kind);
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

/// What is received, of which messages are looked at and media is not.
pub(super) struct BoundedRecv {
    inner: RecvStream,
    framing: Framing,
    held: Held,
}

/// What a stream of the peer's makes us hold.
struct Held {
    ledger: Arc<Ledger>,
    announcements: usize,
    subscription: Option<Box<[u8]>>,
}

impl Held {
    fn saw(&mut self, seen: Seen<'_>) -> Result<(), Excess> {
        match seen {
            Seen::Announced => {
                let held = &self.ledger.announcements;
                Ledger::take(held, ANNOUNCEMENTS_MAX, Excess::Announcements)?;
                self.announcements += 1;
            }
            Seen::Retracted => {
                // More than there are is not ours to judge; the library ends such a stream.
                if let Some(rest) = self.announcements.checked_sub(1) {
                    self.announcements = rest;
                    self.ledger.announcements.fetch_sub(1, Ordering::Relaxed);
                }
            }
            Seen::Subscribed(track) => {
                let subscriptions = &self.ledger.subscriptions;
                let mut subscriptions =
                    subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
                let count = subscriptions.entry(track.into()).or_default();
                if *count == SUBSCRIPTIONS_OF_A_TRACK_MAX {
                    return Err(Excess::Subscriptions);
                }
                *count += 1;
                self.subscription = Some(track.into());
            }
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.announcements.fetch_sub(self.announcements, Ordering::Relaxed);
        if let Some(track) = self.subscription.take() {
            let subscriptions = &self.ledger.subscriptions;
            let mut subscriptions = subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
            if let Entry::Occupied(mut count) = subscriptions.entry(track) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

impl BoundedRecv {
    fn look(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        let looked = self.framing.read(bytes, |seen| self.held.saw(seen));
        looked.map_err(|excess| ReadError::SessionError(self.held.ledger.exceed(excess)))
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
        if self.framing.is_media() {
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
