//! How slowly a reader may read. [`Pace`] is the rule, without a clock; [`Paced`] holds a connection
//! to it. HTTP/2 also holds each of its streams to it, whose windows a reader can close one by one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a reader may keep us waiting for it to take [`TAKEN_MIN`]. No link on which anybody
/// watches stands still for so long.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);
/// What a reader must take in that time, 17 kbit/s: less than any audio, and more than what trickles
/// to whoever acknowledges a byte now and then so as to hold a connection for ever.
const TAKEN_MIN: usize = 64 * 1024;

/// One reader's progress. Only the time counts in which something waits for the reader; that in
/// which there is nothing to send does not.
#[derive(Debug, Default)]
pub(super) struct Pace {
    blocked_since: Option<Instant>,
    waited: Duration,
    taken: usize,
}

impl Pace {
    /// The reader takes no more for now. Returns by when it must.
    pub(super) fn blocked(&mut self, now: Instant) -> Instant {
        let since = *self.blocked_since.get_or_insert(now);
        since + STALL_MAX.saturating_sub(self.waited)
    }

    /// The reader takes so many bytes.
    pub(super) fn took(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.blocked_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.taken += bytes;
        if self.taken >= TAKEN_MIN {
            (self.waited, self.taken) = (Duration::ZERO, 0);
        }
    }
}

/// A connection whose reader is held to the [`Pace`]: writing fails with `TimedOut` otherwise.
pub(super) struct Paced<S> {
    io: S,
    pace: Pace,
    /// Made when the reader first keeps us waiting, which most never do.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What was read to learn the protocol, and is to be read again.
    unread: Vec<u8>,
}

impl<S: Unpin> Paced<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, pace: Pace::default(), deadline: None, unread: Vec::new() }
    }

    /// Puts back what was read.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.unread = bytes.to_vec();
    }

    fn check(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.pace.took(bytes, Instant::now());
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let by = self.pace.blocked(Instant::now());
                let sleep =
                    self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(by)));
                if sleep.deadline() != by {
                    sleep.as_mut().reset(by);
                }
                sleep.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let length = this.unread.len().min(buf.remaining());
        buf.put_slice(&this.unread[..length]);
        this.unread.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.check(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.check(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn only_waiting_counts_and_a_fair_share_of_bytes_ends_it() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut pace = Pace::default();
        assert_eq!(pace.blocked(at(0)), at(30));
        assert_eq!(pace.blocked(at(10)), at(30), "it has waited since zero");
        pace.took(1, at(10));
        // Nothing was there to be read for an hour.
        assert_eq!(pace.blocked(at(3_610)), at(3_630), "ten seconds were used before");
        pace.took(TAKEN_MIN, at(3_620));
        assert_eq!(pace.blocked(at(3_620)), at(3_650));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_now_and_then_is_cut_off_and_who_is_slow_is_not() {
        let lasts = async |bytes: usize| {
            let (server, mut client) = tokio::io::duplex(1_024);
            let began = Instant::now();
            let reader = tokio::spawn(async move {
                let mut buffer = vec![0; bytes];
                while client.read_exact(&mut buffer).await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            });
            let ended = Paced::new(server).write_all(&vec![0; 10 * TAKEN_MIN]).await;
            reader.abort();
            (ended.map_err(|error| error.kind()), began.elapsed())
        };
        let (ended, lasted) = lasts(1).await;
        assert_eq!(ended, Err(io::ErrorKind::TimedOut));
        assert!(lasted <= STALL_MAX + Duration::from_secs(1), "{lasted:?}");
        assert_eq!(lasts(TAKEN_MIN / 4).await.0, Ok(()));
    }
}
