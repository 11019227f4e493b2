//! The HTTP listeners from outside: what they do with clients that are slow, many, or behind a proxy.
//! Here are HTTP/1.1 and what holds for every protocol; [`http2`] and [`tls`] have theirs.

// Beside the tests themselves there are only their tools here.
#![allow(clippy::unwrap_used)]

mod http2;
mod tls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use lectern_edge::client::{Client, Proxies};
use lectern_edge::server::tls::{Identity, Source};
use lectern_edge::server::{self, Door, Limits, Listeners, Metrics};
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// More than any system takes from a sender before the reader reads.
pub(crate) const LARGE: usize = 64 * 1024 * 1024;

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) https: Option<SocketAddr>,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    registry: Registry,
    pub(crate) door: Arc<Door>,
}

pub(crate) async fn serve(change: impl FnOnce(&mut Limits)) -> Served {
    serve_with(change, None).await
}

/// Serves, also over TLS if there is a certificate for it.
pub(crate) async fn serve_with(
    change: impl FnOnce(&mut Limits),
    certificate: Option<Source>,
) -> Served {
    let mut limits = Limits {
        connections_max: 1_000,
        connections_per_client_max: 1_000,
        proxies: Proxies::default(),
    };
    change(&mut limits);
    let router = Router::new()
        .route("/", get(async |Extension(Client(ip)): Extension<Client>| ip.to_string()))
        .route("/held", get(async || tokio::time::sleep(Duration::from_secs(60)).await))
        .route("/large", get(async || Bytes::from(vec![7; LARGE])))
        .route("/pieces", get(async || Body::from_stream(pieces())))
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/broken", get(async || Body::from_stream(broken())))
        .route("/panic", get(async || -> &'static str { panic!("as a handler may") }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (mut secured, mut https) = (None, None);
    if let Some(source) = certificate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        https = Some(listener.local_addr().unwrap());
        secured = Some((listener, Identity::load(source).unwrap()));
    }
    let listeners = Listeners { http: listener, https: secured };
    // A paused clock goes on to the next timer even if bytes are under way: let that be soon.
    tokio::spawn(async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let cancel = CancellationToken::new();
    let registry = Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let door = Door::new(limits, metrics);
    let task = tokio::spawn(server::serve(listeners, router, door.clone(), cancel.clone()));
    Served { address, https, cancel, task, registry, door }
}

/// Some pieces of 100 kB, without a length that is known beforehand.
fn pieces() -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    futures::stream::iter((0..20).map(|n| Ok(Bytes::from(vec![n; 100_000]))))
}

fn broken() -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    futures::stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::ErrorKind::Other.into())])
}

impl Served {
    /// A metric's value under a label's value, or as it is.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name);
        metrics
            .flat_map(|family| family.get_metric())
            .filter(|metric| metric.get_label().iter().all(|pair| pair.value() == label))
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }

    /// Connections that were cut for this reason.
    pub(crate) fn cut(&self, reason: &str) -> f64 {
        self.metric("lectern_http_connections_cut_total", reason)
    }

    /// Waits until all connections are gone, as the client may notice before they are counted.
    pub(crate) async fn emptied(&self) {
        let empty = async {
            while self.metric("lectern_http_connections", "") > 0.0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, empty).await.expect("connections end");
    }
}

/// A connection from `127.0.0.<host>`.
pub(crate) async fn connect(address: SocketAddr, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let stream = socket.connect(address).await.unwrap();
    // What the system holds back until it is acknowledged takes the machine's time, of which a
    // paused clock knows nothing.
    stream.set_nodelay(true).unwrap();
    stream
}

/// What a request is answered, or nothing if the connection is closed instead.
async fn ask(stream: &mut TcpStream, header: &str) -> String {
    ask_for(stream, "/", header).await
}

async fn ask_for(stream: &mut TcpStream, path: &str, header: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: edge\r\n{header}\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let mut answer = vec![0; 4_096];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn a_request_of_http_1_1_names_its_host() {
    let served = serve(|_| {}).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\nhost: edge\r\nhost: other\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\nhost: edge\r\n\r\n", "HTTP/1.1 200 "),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
    ] {
        let mut stream = connect(served.address, 1).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4_096];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with(status), "{request:?} {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_trickles_in_is_cut_off_and_its_neighbour_served() {
    let served = serve(|_| {}).await;
    let began = tokio::time::Instant::now();
    let mut slow = connect(served.address, 1).await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost: edge\r\n").await.unwrap();
    // A byte now and then does not help.
    let drip = async {
        let mut answer = Vec::new();
        loop {
            tokio::select! {
                read = slow.read_buf(&mut answer) => if !matches!(read, Ok(1..)) { break },
                () = tokio::time::sleep(Duration::from_secs(2)) => {
                    let _ = slow.write_all(b"x").await;
                }
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    };
    let answer = drip.await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let lasted = began.elapsed();
    let bounds = Duration::from_secs(15)..Duration::from_secs(30);
    assert!(bounds.contains(&lasted), "it could hold the connection for {lasted:?}");
    let mut neighbour = connect(served.address, 1).await;
    assert!(ask(&mut neighbour, "").await.ends_with("127.0.0.1"));
}

/// Whoever says nothing, or half a protocol's first words, is as slow as whoever says half a head.
#[tokio::test(start_paused = true)]
async fn who_does_not_begin_is_cut_off() {
    let served = serve(|_| {}).await;
    for first in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let began = tokio::time::Instant::now();
        let mut silent = connect(served.address, 1).await;
        silent.write_all(first.as_bytes()).await.unwrap();
        assert_eq!(silent.read(&mut [0; 64]).await.unwrap_or(0), 0, "{first:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{first:?}");
    }
    served.emptied().await;
    assert_eq!(served.cut("slow"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off_and_its_neighbour_served() {
    let served = serve(|_| {}).await;
    let began = tokio::time::Instant::now();
    let mut deaf = connect(served.address, 1).await;
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
    let mut neighbour = connect(served.address, 1).await;
    assert!(ask(&mut neighbour, "").await.contains("200 OK"));
    drop(neighbour);
    while served.cut("stalled") == 0.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(40));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_answer_is_not_cut_off_and_who_says_nothing_is() {
    let served = serve(|_| {}).await;
    let mut silent = connect(served.address, 1).await;
    assert!(ask(&mut silent, "").await.contains("200 OK"));
    let mut patient = connect(served.address, 1).await;
    assert!(ask_for(&mut patient, "/held", "").await.contains("200 OK"));
    // A minute of the test's time has passed.
    assert_eq!(ask(&mut silent, "").await, "");
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_for_each_client() {
    let served = serve(|limits| {
        limits.connections_max = 3;
        limits.connections_per_client_max = 2;
    })
    .await;
    let mut greedy = [connect(served.address, 1).await, connect(served.address, 1).await];
    for stream in &mut greedy {
        assert!(ask(stream, "").await.contains("200 OK"));
    }
    assert_eq!(ask(&mut connect(served.address, 1).await, "").await, "");
    let mut other = connect(served.address, 2).await;
    assert!(ask(&mut other, "").await.ends_with("127.0.0.2"));
    assert_eq!(ask(&mut connect(served.address, 3).await, "").await, "");
    // Those who are in are served as before.
    assert!(ask(&mut greedy[0], "").await.contains("200 OK"));
    drop(greedy);
    let freed = async {
        while ask(&mut connect(served.address, 3).await, "").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, freed).await.expect("a place becomes free");
}

#[tokio::test]
async fn bounds_that_change_are_for_those_who_come() {
    let served = serve(|limits| limits.connections_max = 1).await;
    let mut first = connect(served.address, 1).await;
    assert!(ask(&mut first, "").await.contains("200 OK"));
    assert_eq!(ask(&mut connect(served.address, 1).await, "").await, "");
    served.door.set(2, 1);
    assert_eq!(ask(&mut connect(served.address, 1).await, "").await, "");
    let mut other = connect(served.address, 2).await;
    assert!(ask(&mut other, "").await.contains("200 OK"));
    served.door.set(1, 1);
    for stream in [&mut first, &mut other] {
        assert!(ask(stream, "").await.contains("200 OK"), "who is in stays");
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&served.registry.gather()).unwrap();
    let counted = "lectern_edge_http_requests_total{kind=\"page\",status=\"2xx\"} 4\n";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_proxy_is_believed_if_it_is_trusted_and_has_no_share() {
    let served = serve(|limits| {
        limits.proxies = Proxies::parse(&["127.0.0.9".to_owned()]).unwrap();
        limits.connections_per_client_max = 1;
    })
    .await;
    let forwarded = "x-forwarded-for: 198.51.100.7\r\n";
    let mut first = connect(served.address, 9).await;
    let mut second = connect(served.address, 9).await;
    assert!(ask(&mut first, forwarded).await.ends_with("198.51.100.7"));
    assert!(ask(&mut second, forwarded).await.ends_with("198.51.100.7"));
    let mut stranger = connect(served.address, 1).await;
    assert!(ask(&mut stranger, forwarded).await.ends_with("127.0.0.1"));
}

#[tokio::test]
async fn at_the_end_idle_connections_are_closed_and_serving_ends() {
    let served = serve(|_| {}).await;
    let mut idle = connect(served.address, 1).await;
    assert!(ask(&mut idle, "").await.contains("200 OK"));
    served.cancel.cancel();
    tokio::time::timeout(PATIENCE, served.task).await.expect("it ends").unwrap();
    assert_eq!(ask(&mut idle, "").await, "");
    assert!(TcpStream::connect(served.address).await.is_err());
}
