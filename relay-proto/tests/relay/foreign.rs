//! A relay of others between origin and edge: the published `moq-relay`, which knows of media over QUIC and
//! nothing of Lectern. `make test` installs it.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lectern_relay_proto::Timescale;
use lectern_relay_proto::net::{
    Announcement, BroadcastSubscription, Epoch, Identity, Publisher, Subscriber,
};
use tokio::sync::mpsc;

use crate::harness::*;

const TOKEN: &str = "the-token";

/// Ended when dropped.
struct Relay {
    child: Child,
    address: SocketAddr,
    _files: tempfile::TempDir,
}

impl Relay {
    /// Dials `origin` with the token and lets anybody in; presents `identity` and trusts it.
    fn start(origin: SocketAddr, identity: &Identity) -> Self {
        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = write("certificate.pem", identity.certificate_pem());
        let key = write("key.pem", identity.key_pem());
        let reserved = UdpSocket::bind(loopback(0)).unwrap();
        let address = reserved.local_addr().unwrap();
        drop(reserved);
        let child = Command::new(program())
            .args(["--listen", &address.to_string(), "--auth-public", "**"])
            .args(["--cluster-connect", &format!("moqt://{origin}/?token={TOKEN}")])
            .args(["--connect-tls-host-name", "localhost", "--log-level", "warn"])
            .args([Path::new("--listen-tls-cert"), &certificate])
            .args([Path::new("--listen-tls-key"), &key])
            .args([Path::new("--connect-tls-root"), &certificate])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address, _files: files }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `scripts/install.sh test` puts it.
fn program() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../moq-relay/bin/moq-relay");
    assert!(path.exists(), "{} is missing: run `scripts/install.sh test`", path.display());
    path
}

/// The next publication of `room`.
async fn room(edge: &mut Subscriber) -> BroadcastSubscription {
    loop {
        match within(edge.next()).await.expect("runs") {
            Announcement::Live(live) if *live.id() == id("room") => return live,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_windows_and_questions_pass_through_the_published_relay() {
    let identity = Identity::self_signed().unwrap();
    let (edges, mut arrivals) = mpsc::channel(8);
    let mut config = publisher_config(&identity, 0);
    config.token = Some(TOKEN.parse().unwrap());
    config.edges = Some(edges);
    let publisher = Publisher::bind(config).unwrap();
    let relay = Relay::start(publisher.local_addr().unwrap(), &identity);
    let mut config = subscriber_config(&identity, relay.address);
    config.token = Some(TOKEN.parse().unwrap());
    let mut edge = Subscriber::start(config).unwrap();
    let mut link = edge.take_link().unwrap();

    let mut broadcast = publisher.broadcast(&id("room"), Epoch(7)).unwrap();
    let main = name("video/main");
    let mut track = broadcast.track(&main, Timescale::VIDEO).unwrap();
    let shown = catalog(1_000, &["video/main"], &[]);
    broadcast.set_catalog(&shown).unwrap();
    write_group(&mut track, group(1, 0), 0, 3);

    let live = room(&mut edge).await;
    assert_eq!(live.epoch(), Epoch(7));
    let mut catalogs = within(live.catalogs()).await.unwrap();
    assert_eq!(within(catalogs.next()).await.unwrap().unwrap(), shown);
    let mut read = video(&live).await;
    expect_group(&mut read, group(1, 0), 3).await;
    for index in 1..5 {
        write_group(&mut track, group(1, index), u64::from(index) * 2_000, 3);
        expect_group(&mut read, group(1, index), 3).await;
    }

    // What is over can be had through it too.
    let fetched = live.fetch(&main, Timescale::VIDEO, group(1, 0));
    assert_eq!(within(fetched).await.unwrap().len(), 3);

    // What edges ask, and what is answered.
    let mut asking = within(arrivals.recv()).await.unwrap();
    let sender = link.sender();
    within(async {
        while !sender.send(&id("room"), "who is there?".into()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(within(asking.requests.recv()).await.unwrap(), "who is there?");
    asking.responses.write("we are".into()).unwrap();
    assert_eq!(within(link.next()).await.unwrap(), "we are");

    // The newer publication wins there as well, and what ends has ended.
    let mut next = publisher.broadcast(&id("room"), Epoch(8)).unwrap();
    let again = next.track(&main, Timescale::VIDEO).unwrap();
    next.set_catalog(&shown).unwrap();
    assert_eq!(room(&mut edge).await.epoch(), Epoch(8));
    drop((broadcast, track, next, again));
    loop {
        if let Announcement::Gone(gone) = within(edge.next()).await.expect("runs") {
            assert_eq!(gone, id("room"));
            break;
        }
    }
}
