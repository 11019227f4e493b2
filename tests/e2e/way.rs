//! A way between an edge and its relay, which a test can cut, and which counts what it carries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A way to the relay that can be cut.
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// What came from the relay.
    bytes: AtomicU64,
}

impl Way {
    pub(crate) async fn to(relay: SocketAddr) -> Self {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let address = front.local_addr().unwrap();
        let state = Arc::<State>::default();
        let mut task = JoinSet::new();
        task.spawn(forward(front, relay, state.clone()));
        Self { address, state, _task: task }
    }

    pub(crate) fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// How much the relay has sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }
}

/// Carries datagrams both ways, each client's from a socket of its own.
async fn forward(front: Arc<UdpSocket>, relay: SocketAddr, state: Arc<State>) {
    let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut returning = JoinSet::new();
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok((len, client)) = front.recv_from(&mut datagram).await else { continue };
        let back = match backs.entry(client) {
            Entry::Occupied(back) => back.into_mut(),
            Entry::Vacant(new) => {
                let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
                back.connect(relay).await.unwrap();
                let (front, state) = (front.clone(), state.clone());
                returning.spawn(give_back(back.clone(), front, client, state));
                new.insert(back)
            }
        };
        if !state.is_cut.load(Ordering::Relaxed) {
            let _ = back.send(&datagram[..len]).await;
        }
    }
}

async fn give_back(
    back: Arc<UdpSocket>,
    front: Arc<UdpSocket>,
    client: SocketAddr,
    state: Arc<State>,
) {
    let mut datagram = vec![0; 65_536];
    loop {
        let Ok(len) = back.recv(&mut datagram).await else { continue };
        if !state.is_cut.load(Ordering::Relaxed) {
            state.bytes.fetch_add(len as u64, Ordering::Relaxed);
            let _ = front.send_to(&datagram[..len], client).await;
        }
    }
}
