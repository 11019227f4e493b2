//! The HTTP listener: what it does with clients that are slow, many, or behind a proxy.

// Beside the tests themselves there are only their tools here.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::routing::get;
use axum::{Extension, Router};
use lectern_edge::client::{Client, Proxies};
use lectern_edge::server::{self, Limits, Metrics};
use prometheus::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(change: impl FnOnce(&mut Limits)) -> Served {
    let mut limits = Limits {
        connections_max: 100,
        connections_per_client_max: 100,
        proxies: Proxies::default(),
    };
    change(&mut limits);
    let router = Router::new()
        .route("/", get(async |Extension(Client(ip)): Extension<Client>| ip.to_string()))
        .route("/held", get(async || tokio::time::sleep(Duration::from_secs(60)).await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    let metrics = Metrics::register(&Registry::new()).unwrap();
    let task = tokio::spawn(server::serve(listener, router, limits, metrics, cancel.clone()));
    Served { address, cancel, task }
}

/// A connection from `127.0.0.<host>`.
async fn connect(address: SocketAddr, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    socket.connect(address).await.unwrap()
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
