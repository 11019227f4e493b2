//! One TCP connection: sets it up, agrees on TLS, learns what it speaks, and drives HTTP/1.1.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::pace::{Paced, STALL_MAX};
use super::{Cut, HEAD_BYTES_MAX, HEAD_MAX, Visit, http2, tls};

/// How long TLS may take to be agreed on: three round trips over the worst link, and then some.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// What the system may hold of an answer that the network is not ready for. Otherwise it would take
/// whole segments, megabytes for each of thousands of connections whose readers never read.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// What a client sends first that means HTTP/2 (RFC 9113 §3.4). No request of HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves a connection to its end, or to the end of what it has asked for when `cancel` comes.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    visit: Visit,
    cancel: CancellationToken,
) {
    if let Err(error) = set_up(&stream) {
        tracing::debug!(%error, "an HTTP connection is as the system made it");
    }
    let metrics = visit.metrics().clone();
    if let Err(cut) = speak(Paced::new(stream), tls, visit, cancel).await {
        metrics.cut.with_label_values(&[cut.as_str()]).inc();
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    // A chunk of media is sent when it is there, not when a packet is full.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    // Counts a closed window too. It catches what is left in the system's own buffer, where the
    // pace does not see it any more.
    socket.set_tcp_user_timeout(Some(STALL_MAX))
}

/// Learns the protocol, and hands over to it.
async fn speak(
    mut stream: Paced<TcpStream>,
    tls: Option<TlsAcceptor>,
    visit: Visit,
    cancel: CancellationToken,
) -> Result<(), Cut> {
    match tls {
        None => {
            let Some(two) = cancel.run_until_cancelled(knows_http2(&mut stream)).await else {
                return Ok(());
            };
            let two = two?;
            count(&visit, if two { "h2c" } else { "http/1.1" });
            drive(two, stream, visit, cancel).await
        }
        Some(acceptor) => {
            let agreed = cancel.run_until_cancelled(agree(acceptor, stream)).await;
            let Some(agreed) = agreed else { return Ok(()) };
            let stream = agreed?;
            let two = stream.get_ref().1.alpn_protocol() == Some(tls::ALPN_HTTP2);
            count(&visit, if two { "h2" } else { "https/1.1" });
            drive(two, stream, visit, cancel).await
        }
    }
}

fn count(visit: &Visit, protocol: &str) {
    visit.metrics().accepted.with_label_values(&[protocol]).inc();
}

async fn drive<S>(two: bool, io: S, visit: Visit, cancel: CancellationToken) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if two { http2::serve(io, visit, cancel).await } else { http1(io, visit, cancel).await }
}

async fn agree(
    acceptor: TlsAcceptor,
    stream: Paced<TcpStream>,
) -> Result<TlsStream<Paced<TcpStream>>, Cut> {
    match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => {
            tracing::trace!(%error, "TLS was not agreed on");
            Err(Cut::Handshake)
        }
        Err(_) => Err(Cut::Slow),
    }
}

/// Whether the peer begins with the preface of HTTP/2; what was read for that is read again. The
/// first byte that differs decides, which in a request of HTTP/1.1 is the first or the third.
async fn knows_http2(stream: &mut Paced<TcpStream>) -> Result<bool, Cut> {
    let read = async {
        let mut begin = [0; PREFACE.len()];
        let mut length = 0;
        while length < begin.len() && begin[..length] == PREFACE[..length] {
            match stream.read(&mut begin[length..]).await? {
                0 => break,
                more => length += more,
            }
        }
        stream.unread(&begin[..length]);
        io::Result::Ok(begin == PREFACE)
    };
    match tokio::time::timeout(HEAD_MAX, read).await {
        Ok(Ok(two)) => Ok(two),
        Ok(Err(_)) => Err(Cut::Transport),
        Err(_) => Err(Cut::Slow),
    }
}

async fn http1<S>(io: S, visit: Visit, cancel: CancellationToken) -> Result<(), Cut>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = visit.answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = cancel.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    ended.map_err(|error| {
        tracing::trace!(%error, "HTTP connection ended");
        match &error {
            error if error.is_timeout() => Cut::Slow,
            error if error.is_parse() => Cut::Malformed,
            error if error.is_incomplete_message() => Cut::Incomplete,
            error if error.is_user() => Cut::Answer,
            error => of_io(error.source().and_then(|cause| cause.downcast_ref())),
        }
    })
}

/// What an error of the system says of the peer: that its time was up, if it was, is the [`Paced`]
/// connection's word, or that of `TCP_USER_TIMEOUT`.
pub(super) fn of_io(error: Option<&io::Error>) -> Cut {
    match error.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => Cut::Stalled,
        _ => Cut::Transport,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    // How long that is in fact is the system's to see to, and too long for a test.
    #[tokio::test]
    async fn the_system_is_told_how_much_and_how_long_a_reader_may_leave_unread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        set_up(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(STALL_MAX));
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
        assert!(stream.nodelay().unwrap());
    }
}
