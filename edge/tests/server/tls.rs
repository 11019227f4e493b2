//! TLS: which protocol is agreed on, how long that may take, and how the certificate is renewed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use lectern_edge::server::tls::Source;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http2::Peer;
use crate::{Served, connect, serve_with};

type Pair = rcgen::CertifiedKey<rcgen::KeyPair>;

fn pair() -> Pair {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn write(dir: &Path, pair: &Pair) -> Source {
    let (certificate, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    fs::write(&certificate, pair.cert.pem()).unwrap();
    fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    Source::Files { certificate, key }
}

async fn serve_tls(source: Source) -> (Served, SocketAddr) {
    let served = serve_with(|_| {}, Some(source)).await;
    let address = served.https.unwrap();
    (served, address)
}

/// A connection that trusts `pair` and nobody else.
async fn agree(
    address: SocketAddr,
    pair: &Pair,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(pair.cert.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(address, 1).await).await
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4_096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn the_client_chooses_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair();
    let (served, address) = serve_tls(write(dir.path(), &pair)).await;
    let two = agree(address, &pair, &["h2", "http/1.1"]).await.unwrap();
    let mut peer = Peer::over(two).await;
    assert_eq!(peer.get("/").await.body.unwrap(), b"127.0.0.1");
    assert_eq!(peer.get("/pieces").await.body.unwrap().len(), 2_000_000);
    for protocols in [&["http/1.1"][..], &[]] {
        let mut one = agree(address, &pair, protocols).await.unwrap();
        assert!(ask(&mut one).await.ends_with("127.0.0.1"));
    }
    let spoken = |protocol| served.metric("lectern_http_connections_accepted_total", protocol);
    assert_eq!((spoken("h2"), spoken("https/1.1")), (1.0, 2.0));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_not_begun_or_trickles_in_is_cut_off() {
    let (served, address) = serve_tls(Source::Development(None)).await;
    // The beginning of a ClientHello of 16 kB, then a byte of it now and then.
    for (first, drip) in [(&b""[..], false), (&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"[..], true)] {
        let began = tokio::time::Instant::now();
        let (mut read, mut write) = connect(address, 1).await.into_split();
        write.write_all(first).await.unwrap();
        let mut buffer = [0; 64];
        loop {
            tokio::select! {
                read = read.read(&mut buffer) => if !matches!(read, Ok(1..)) { break },
                () = tokio::time::sleep(Duration::from_secs(1)), if drip => {
                    let _ = write.write_all(b"\x03").await;
                }
            }
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{first:?}");
    }
    served.emptied().await;
    assert_eq!(served.cut("slow"), 2.0);
}

#[tokio::test]
async fn what_is_not_tls_is_refused() {
    let (served, address) = serve_tls(Source::Development(None)).await;
    let mut stream = connect(address, 1).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    served.emptied().await;
    assert_eq!(served.cut("handshake"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off_and_who_asks_for_nothing_too() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair();
    let (served, address) = serve_tls(write(dir.path(), &pair)).await;
    let began = tokio::time::Instant::now();
    let mut deaf = agree(address, &pair, &[]).await.unwrap();
    deaf.write_all(b"GET /large HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
    let silent = agree(address, &pair, &["h2"]).await.unwrap();
    while served.cut("stalled") == 0.0 || served.cut("slow") == 0.0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(45));
    }
    drop((deaf, silent));
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_shown_to_who_comes_and_who_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (pair(), pair());
    let (served, address) = serve_tls(write(dir.path(), &old)).await;
    let reloads = |result| served.metric("lectern_tls_certificate_reloads_total", result);
    let mut one = agree(address, &old, &[]).await.unwrap();
    let mut two = Peer::over(agree(address, &old, &["h2"]).await.unwrap()).await;
    assert!(ask(&mut one).await.contains("200 OK"));
    assert_eq!(two.get("/").await.status, StatusCode::OK);

    fs::write(dir.path().join("tls.crt"), "not a certificate").unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!((reloads("renewed"), reloads("failed")), (0.0, 1.0));
    agree(address, &old, &[]).await.expect("the certificate stays");

    write(dir.path(), &new);
    tokio::time::sleep(Duration::from_secs(6)).await;
    // The files may be looked at between the writing of the one and of the other, which fails as well.
    assert_eq!(reloads("renewed"), 1.0);
    agree(address, &new, &[]).await.expect("the new certificate is shown");
    agree(address, &old, &[]).await.expect_err("and no other");
    assert!(ask(&mut one).await.contains("200 OK"));
    assert_eq!(two.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn both_ports_share_the_places() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair();
    let source = write(dir.path(), &pair);
    let served = serve_with(|limits| limits.connections_max = 1, Some(source)).await;
    let mut secured = agree(served.https.unwrap(), &pair, &[]).await.unwrap();
    assert!(ask(&mut secured).await.contains("200 OK"));
    let mut plain = connect(served.address, 1).await;
    let _ = plain.write_all(b"GET / HTTP/1.1\r\nhost: edge\r\n\r\n").await;
    assert_eq!(plain.read(&mut [0; 64]).await.unwrap_or(0), 0);
    assert_eq!(served.metric("lectern_http_connections_refused_total", "all"), 1.0);
}

#[tokio::test]
async fn at_the_end_who_shakes_hands_is_not_waited_for() {
    let (served, address) = serve_tls(Source::Development(None)).await;
    let silent = connect(address, 1).await;
    served.cancel.cancel();
    tokio::time::timeout(crate::PATIENCE, served.task).await.expect("it ends").unwrap();
    drop(silent);
}
