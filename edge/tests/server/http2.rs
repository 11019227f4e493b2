//! HTTP/2: that it serves as HTTP/1.1 does, and what it does with whoever uses what only it has:
//! streams, windows, resets and heads in many frames.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::{LARGE, PATIENCE, Served, connect, serve};

/// The client's part of a connection; the frames go back and forth in a task of their own.
pub(crate) struct Peer {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Vec<u8>, h2::Error>,
}

impl Peer {
    pub(crate) async fn over<S>(io: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        // One stream that is not read must not take the window of the others.
        builder.initial_connection_window_size(1 << 24);
        let (requests, connection) = builder.handshake(io).await.unwrap();
        Self { requests, connection: tokio::spawn(connection) }
    }

    async fn to(address: SocketAddr) -> Self {
        let peer = Self::over(connect(address, 1).await).await;
        // The server's settings arrive with its first answer.
        let mut peer = peer;
        assert_eq!(peer.get("/").await.status, StatusCode::OK);
        peer
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<ResponseFuture, h2::Error> {
        self.requests = self.requests.clone().ready().await?;
        let uri = format!("http://edge{path}");
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let (answer, mut stream) = self.requests.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        Ok(answer)
    }

    async fn ask(&mut self, method: Method, path: &str, body: &[u8]) -> Answer {
        let answer = self.send(method, path, body).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer").unwrap();
        let (head, body) = answer.into_parts();
        Answer { status: head.status, headers: head.headers, body: read(body).await }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, b"").await
    }

    /// How the connection ended.
    async fn ended(self) -> Result<(), h2::Error> {
        drop(self.requests);
        tokio::time::timeout(PATIENCE, self.connection).await.expect("it ends").unwrap()
    }
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read)
}

/// One frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The preface and empty settings.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b"")].concat()
}

/// `GET /held` as HPACK without its tables.
const GET_HELD: &[u8] = b"\x82\x86\x04\x05/held\x01\x04edge";

/// Reads until the connection ends, doing `meanwhile` every second of the test's time; how long that
/// took.
async fn lasts(stream: TcpStream, meanwhile: &[u8]) -> Duration {
    let began = tokio::time::Instant::now();
    let (mut read, mut write) = stream.into_split();
    let mut buffer = [0; 1_024];
    loop {
        tokio::select! {
            read = read.read(&mut buffer) => if !matches!(read, Ok(1..)) { break },
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                let _ = write.write_all(meanwhile).await;
            }
        }
    }
    began.elapsed()
}

fn streams_cut(served: &Served, reason: &str) -> f64 {
    served.metric("lectern_http_streams_cut_total", reason)
}

#[tokio::test]
async fn it_serves_what_http1_does() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    let plain = peer.get("/").await;
    assert_eq!(plain.body.unwrap(), b"127.0.0.1");
    assert!(plain.headers.contains_key("date") && plain.headers["content-length"] == "9");
    let head = peer.ask(Method::HEAD, "/", b"").await;
    assert_eq!((head.status, head.body.unwrap().len()), (StatusCode::OK, 0));
    assert_eq!(head.headers["content-length"], "9");
    assert_eq!(peer.get("/nowhere").await.status, StatusCode::NOT_FOUND);
    assert_eq!(peer.ask(Method::CONNECT, "/", b"").await.status, StatusCode::NOT_FOUND);
    // More than the windows of either side.
    assert_eq!(peer.get("/large").await.body.unwrap().len(), LARGE);
    let pieces = peer.get("/pieces").await.body.unwrap();
    assert_eq!((pieces.len(), pieces[1_999_999]), (2_000_000, 19));
    let offered = peer.ask(Method::POST, "/length", &[1; 300_000]).await;
    assert_eq!(offered.body.unwrap(), b"300000");
    assert_eq!(served.metric("lectern_http_connections_accepted_total", "h2c"), 1.0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_costs_its_stream_and_no_other() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    // The client may learn of the end together with the head.
    let error = match peer.send(Method::GET, "/broken", b"").await.unwrap().await {
        Ok(answer) => read(answer.into_body()).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    let panicked = peer.send(Method::GET, "/panic", b"").await.unwrap().await;
    assert!(panicked.unwrap_err().is_reset());
    assert_eq!(peer.get("/").await.status, StatusCode::OK);
    assert_eq!(streams_cut(&served, "answer"), 2.0);
}

/// As many as there may be, but for those who read.
const DEAF: usize = 120;

#[tokio::test(start_paused = true)]
async fn streams_that_are_not_read_are_cut_off_and_their_neighbours_are_served() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    let began = tokio::time::Instant::now();
    let mut asked = vec![peer.send(Method::GET, "/large", b"").await.unwrap()];
    for _ in 1..DEAF {
        asked.push(peer.send(Method::GET, "/pieces", b"").await.unwrap());
    }
    let deaf = futures::future::try_join_all(asked).await.unwrap();
    // The client's side answers pings, and this request comes while they stand still.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(peer.get("/pieces").await.body.unwrap().len(), 2_000_000);
    for answer in deaf {
        let mut body = answer.into_body();
        let error = loop {
            match body.data().await.expect("it is not whole") {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), Some(Reason::CANCEL));
    }
    let lasted = began.elapsed();
    assert!(lasted < Duration::from_secs(40), "they held what they asked for during {lasted:?}");
    assert_eq!(streams_cut(&served, "stalled"), DEAF as f64);
    assert_eq!(peer.get("/").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_says_the_preface_and_no_more_is_cut_off() {
    let served = serve(|_| {}).await;
    let mut stream = connect(served.address, 1).await;
    stream.write_all(&preface()).await.unwrap();
    // Its pings are answered, and are no requests.
    let lasted = lasts(stream, &frame(6, 0, 0, &[0; 8])).await;
    assert!(lasted < Duration::from_secs(30), "{lasted:?}");
    served.emptied().await;
    assert_eq!(served.cut("slow"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off() {
    let served = serve(|_| {}).await;
    let mut stream = connect(served.address, 1).await;
    // HEADERS without its end, and CONTINUATION with a byte of it now and then.
    stream.write_all(&[preface(), frame(1, 1, 1, GET_HELD)].concat()).await.unwrap();
    let lasted = lasts(stream, &frame(9, 0, 1, b"\x82")).await;
    assert!(lasted < Duration::from_secs(30), "{lasted:?}");
    served.emptied().await;
    assert_eq!(served.cut("slow") + served.cut("malformed") + served.cut("flood"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_is_gone_is_noticed() {
    let served = serve(|_| {}).await;
    let mut stream = connect(served.address, 1).await;
    stream.write_all(&[preface(), frame(1, 5, 1, GET_HELD)].concat()).await.unwrap();
    // It answers no ping.
    let lasted = lasts(stream, b"").await;
    assert!(lasted < Duration::from_secs(50), "{lasted:?}");
    served.emptied().await;
    assert_eq!(served.cut("stalled"), 1.0);
}

#[tokio::test]
async fn a_flood_of_requests_that_are_taken_back_ends_the_connection() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    let mut taken_back = 0;
    // Dropping the answer takes the request back.
    while peer.send(Method::GET, "/held", b"").await.is_ok() {
        taken_back += 1;
        assert!(taken_back < 10_000);
        tokio::task::yield_now().await;
    }
    // It is told to be calm, which the system may lose, as it goes on sending.
    peer.ended().await.unwrap_err();
    served.emptied().await;
    assert_eq!(served.cut("flood"), 1.0);
}

#[tokio::test]
async fn players_that_change_their_mind_are_no_flood() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    for _ in 0..1_000 {
        drop(peer.send(Method::GET, "/held", b"").await.unwrap());
        assert_eq!(peer.get("/").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn requests_at_once_are_bounded_on_a_connection_and_count_as_connections() {
    let served = serve(|limits| limits.connections_per_client_max = 4).await;
    let mut peer = Peer::to(served.address).await;
    assert_eq!(peer.requests.current_max_send_streams(), 128);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(peer.send(Method::GET, "/held", b"").await.unwrap());
    }
    let refused = peer.send(Method::GET, "/", b"").await.unwrap().await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
    assert_eq!(served.metric("lectern_http_streams_refused_total", "client"), 1.0);
    assert_eq!(served.metric("lectern_http_streams", ""), 3.0);
    let mut other = Peer::over(connect(served.address, 2).await).await;
    assert_eq!(other.get("/").await.body.unwrap(), b"127.0.0.2");
    drop(held);
    let freed = async {
        while peer.send(Method::GET, "/", b"").await.unwrap().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("a place becomes free");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_replaced_when_it_is_old_and_in_order() {
    let served = serve(|_| {}).await;
    let began = tokio::time::Instant::now();
    let mut peer = Peer::to(served.address).await;
    while let Ok(answer) = peer.send(Method::GET, "/", b"").await {
        assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(began.elapsed() < Duration::from_secs(700));
    }
    assert!(began.elapsed() > Duration::from_secs(590));
    peer.ended().await.unwrap();
    served.emptied().await;
    assert_eq!(served.metric("lectern_http_connections_cut_total", "slow"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_was_asked_for_is_answered_and_the_rest_refused() {
    let served = serve(|_| {}).await;
    let mut peer = Peer::to(served.address).await;
    let idle = Peer::to(served.address).await;
    let held = peer.send(Method::GET, "/held", b"").await.unwrap();
    assert_eq!(peer.get("/").await.status, StatusCode::OK);
    served.cancel.cancel();
    assert_eq!(held.await.unwrap().status(), StatusCode::OK);
    peer.ended().await.unwrap();
    idle.ended().await.unwrap();
    served.task.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}
