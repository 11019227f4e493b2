//! HTTP/2 (RFC 9113): one connection with many requests, each answered by a task of its own.
//!
//! The frames are `h2`'s, which is driven here and not through `hyper`: `hyper` gives a stream's
//! window no time. A reader that lets one stream's window run out, and answers pings, would hold the
//! answer and the cached segment in it for as long as it likes; and what `hyper` has read of an
//! answer it leaves to `h2` whole, however little the window allows. Here an answer is handed on only
//! as far as its windows reach, so that what is buffered is what was granted, and a stream whose
//! reader falls behind the [`Pace`] is reset, while its neighbours on the connection, who may be
//! other viewers behind one proxy, are served on.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::DATE;
use axum::http::{HeaderValue, Request, Response};
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::of_io;
use super::door::Place;
use super::pace::{Pace, STALL_MAX};
use super::{Cut, HEAD_BYTES_MAX, HEAD_MAX, Visit};

/// Requests at once on a connection: a page's worth, and a proxy's share of its viewers. Each costs a
/// task, some 3 kB; one more is refused and may be tried again.
const STREAMS_MAX: u32 = 128;
/// Tasks for them: one whose request was taken back ends a moment later than its stream.
const EXCHANGES_MAX: usize = 2 * STREAMS_MAX as usize;
/// What is handed on of an answer before the network has taken it, beside what the cache holds
/// anyhow. Windows may be smaller; that they are larger lets nobody have more.
const SEND_BUFFER_BYTES_MAX: usize = 128 * 1024;
/// What may arrive of request bodies unread, on a stream and on all of them: the largest body is an
/// offer. It is the window that the protocol begins with.
const RECEIVE_WINDOW_BYTES: u32 = 65_535;
/// How many more requests may be taken back than were answered. Players take back what they do not
/// want any more, and have been answered before; who only opens and resets makes work
/// (CVE-2023-44487).
const RESETS_MAX: u32 = 256;
/// Streams that `h2` may have reset for errors of the peer's before it ends the connection.
const ERRORS_MAX: usize = 64;
/// Streams that the peer may have reset before they were accepted.
const UNSEEN_RESETS_MAX: usize = 32;
/// How often the peer is asked whether it is there: behind a proxy the system does not notice.
const PING_EVERY: Duration = Duration::from_secs(15);
/// After how long a connection is to be replaced, which a client does by itself and nobody notices. It
/// ends what no other bound sees: a peer that takes back a window that it granted keeps what was on
/// its way (RFC 9113 §6.9.2), 128 kB of the cache for each stream.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// How long the peer may take to leave after it was told to, and the last words to reach it.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// Serves a connection to its end, or to the end of what it has asked for when `cancel` comes.
pub(super) async fn serve<S>(io: S, visit: Visit, cancel: CancellationToken) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS_MAX)
        .initial_window_size(RECEIVE_WINDOW_BYTES)
        .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
        .max_local_error_reset_streams(Some(ERRORS_MAX))
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX);
    let handshake = tokio::time::timeout(HEAD_MAX, builder.handshake(io));
    let Some(shaken) = cancel.run_until_cancelled(handshake).await else { return Ok(()) };
    let mut connection = shaken.map_err(|_| Cut::Slow)?.map_err(|error| reason(&error))?;
    let mut watch = pin!(keep_asking(connection.ping_pong()));
    let mut exchanges = JoinSet::new();
    let mut rest = pin!(tokio::time::sleep(HEAD_MAX));
    let mut leave = pin!(tokio::time::timeout(AGE_MAX, cancel.cancelled()));
    let mut resets = 0_u32;
    let mut closing = false;
    loop {
        let close = tokio::select! {
            accepted = connection.accept() => {
                let accepted = accepted.transpose().map_err(|error| reason(&error))?;
                let Some((request, respond)) = accepted else { return Ok(()) };
                match room(&visit, exchanges.len()) {
                    Ok(place) => {
                        exchanges.spawn(exchange(visit.clone(), place, request, respond));
                    }
                    Err(_) => {
                        refuse(respond);
                        resets += 1;
                    }
                }
                false
            }
            Some(ended) = exchanges.join_next() => {
                // A panic costs the one request.
                let ended = ended.unwrap_or(Err(Broken::Answer));
                match ended {
                    Err(Broken::Peer) => resets += 1,
                    _ => resets = resets.saturating_sub(1),
                }
                if let Err(broken) = ended {
                    let cut = visit.metrics().streams_cut.with_label_values(&[broken.as_str()]);
                    cut.inc();
                }
                if exchanges.is_empty() {
                    let pause = if closing { CLOSE_MAX } else { HEAD_MAX };
                    rest.as_mut().reset(Instant::now() + pause);
                }
                false
            }
            // Nothing was asked for: the peer rests, or the head of its request trickles, or it has
            // not read the end of an answer.
            () = &mut rest, if exchanges.is_empty() => {
                if closing {
                    return Err(Cut::Slow);
                }
                true
            }
            _ = &mut leave, if !closing => true,
            () = &mut watch => return Err(Cut::Stalled),
        };
        if resets > RESETS_MAX {
            end(connection, Reason::ENHANCE_YOUR_CALM).await;
            return Err(Cut::Flood);
        }
        if close {
            closing = true;
            connection.graceful_shutdown();
            rest.as_mut().reset(Instant::now() + CLOSE_MAX);
        }
    }
}

/// A place for one more request beside `others`; the first has that of its connection.
fn room(visit: &Visit, others: usize) -> Result<Option<Place>, &'static str> {
    match others {
        0 => Ok(None),
        1..EXCHANGES_MAX => visit.beside().map(Some),
        _ => Err("connection"),
    }
}

/// Says that the request was not looked at, and may be asked again (RFC 9113 §8.7).
fn refuse(mut respond: SendResponse<Bytes>) {
    respond.send_reset(Reason::REFUSED_STREAM);
}

/// Tells the peer why, if it listens, and ends the connection.
async fn end<S>(mut connection: Connection<S, Bytes>, reason: Reason)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    connection.abrupt_shutdown(reason);
    let told = poll_fn(|cx| connection.poll_closed(cx));
    tokio::time::timeout(CLOSE_MAX, told).await.ok();
}

/// Asks the peer now and then whether it is there; returns if it does not answer.
async fn keep_asking(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tokio::time::sleep(PING_EVERY).await;
        // The question waits behind what the network has not taken yet, so it has as long as that.
        match tokio::time::timeout(STALL_MAX, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection has ended, which who drives it is told as well.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// What an error of the connection says of the peer.
fn reason(error: &h2::Error) -> Cut {
    match error.reason() {
        Some(Reason::ENHANCE_YOUR_CALM) if error.is_library() => Cut::Flood,
        Some(_) if error.is_library() => Cut::Malformed,
        _ => of_io(error.get_io()),
    }
}

/// Why an answer did not end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The peer took its request back, or has gone.
    Peer,
    /// The reader did not read.
    Stalled,
    /// The answer itself broke off.
    Answer,
}

impl Broken {
    fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Stalled => "stalled",
            Self::Answer => "answer",
        }
    }
}

/// One request and its answer, for as long as it has its place.
async fn exchange(
    visit: Visit,
    _place: Option<Place>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), Broken> {
    let answer = visit.answer(request.map(|stream| Incoming { stream }));
    let answer = tokio::select! {
        answer = answer => answer,
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Err(Broken::Peer),
    };
    let (mut head, body) = answer.into_parts();
    if !head.headers.contains_key(DATE)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        head.headers.insert(DATE, date);
    }
    let empty = body.is_end_stream();
    let sent = respond.send_response(Response::from_parts(head, ()), empty);
    let mut stream = sent.map_err(|_| Broken::Peer)?;
    if empty {
        return Ok(());
    }
    let ended = send(body, &mut stream).await;
    match ended {
        Ok(()) | Err(Broken::Peer) => {}
        Err(Broken::Stalled) => stream.send_reset(Reason::CANCEL),
        Err(Broken::Answer) => stream.send_reset(Reason::INTERNAL_ERROR),
    }
    ended
}

/// Sends `body` as its reader takes it. Nothing is copied.
async fn send(mut body: Body, stream: &mut SendStream<Bytes>) -> Result<(), Broken> {
    let mut pace = Pace::default();
    loop {
        let next = tokio::select! {
            next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)) => next,
            _ = poll_fn(|cx| stream.poll_reset(cx)) => return Err(Broken::Peer),
        };
        let frame = next.transpose().map_err(|_| Broken::Answer)?;
        let mut data = match frame.map(Frame::into_data) {
            Some(Ok(data)) => data,
            // Trailers, which nothing here has.
            Some(Err(_)) => continue,
            // An empty frame needs no window.
            None => return stream.send_data(Bytes::new(), true).map_err(|_| Broken::Peer),
        };
        let last = body.is_end_stream();
        if data.is_empty() && last {
            return stream.send_data(data, true).map_err(|_| Broken::Peer);
        }
        while !data.is_empty() {
            let granted = grant(stream, data.len().min(SEND_BUFFER_BYTES_MAX), &mut pace).await?;
            let part = data.split_to(granted.min(data.len()));
            pace.took(part.len(), Instant::now());
            let end = last && data.is_empty();
            stream.send_data(part, end).map_err(|_| Broken::Peer)?;
        }
        if last {
            return Ok(());
        }
    }
}

/// Waits until the reader takes some of `wanted` bytes, and says how many.
async fn grant(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    pace: &mut Pace,
) -> Result<usize, Broken> {
    stream.reserve_capacity(wanted);
    loop {
        let granted = stream.capacity();
        if granted > 0 {
            return Ok(granted);
        }
        let by = pace.blocked(Instant::now());
        match tokio::time::timeout_at(by, poll_fn(|cx| stream.poll_capacity(cx))).await {
            Ok(Some(Ok(_))) => {}
            Ok(_) => return Err(Broken::Peer),
            Err(_) => return Err(Broken::Stalled),
        }
    }
}

/// A request's body. What was read of it makes room for more.
struct Incoming {
    stream: RecvStream,
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match ready!(self.stream.poll_data(cx)) {
            Some(Ok(data)) => data,
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            None => return Poll::Ready(None),
        };
        let released = self.stream.flow_control().release_capacity(data.len());
        Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
