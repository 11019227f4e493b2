//! A UDP proxy that stands for a bad path: [`Link`] says when each datagram arrives, this carries it there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use lectern_bench_rig::unix_us;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::link::{Fate, InFlight, Link};
use crate::plan::{Carried, Proxied, Proxy, Window};

/// Datagrams on their way in one direction: a second of 100 Mb/s.
const IN_FLIGHT_MAX: usize = 10_000;
/// The longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A proxy for one peer.
pub(crate) struct Running {
    pub(crate) listens: SocketAddr,
    counted: Arc<Mutex<Proxied>>,
    /// Aborted on drop.
    _tasks: JoinSet<()>,
}

/// Where one direction leads: to the peer that is connected to, or to whoever dialled last.
#[derive(Clone)]
struct Sides {
    near: Arc<UdpSocket>,
    far: Arc<UdpSocket>,
    dialled: Arc<Mutex<Option<SocketAddr>>>,
}

impl Running {
    pub(crate) async fn start(plan: &Proxy, window: Arc<Window>) -> anyhow::Result<Self> {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        far.connect(plan.to).await.context("the proxy's upstream")?;
        let listens = near.local_addr()?;
        let sides = Sides { near: near.into(), far: far.into(), dialled: Arc::default() };
        let counted = Arc::new(Mutex::new(Proxied::default()));
        let mut tasks = JoinSet::new();
        for is_down in [true, false] {
            let link = Link::new(plan.path, is_down.into());
            tasks.spawn(carry(sides.clone(), is_down, link, window.clone(), counted.clone()));
        }
        Ok(Self { listens, counted, _tasks: tasks })
    }

    pub(crate) fn report(&self) -> Proxied {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries one direction, for ever.
async fn carry(
    sides: Sides,
    is_down: bool,
    mut link: Link,
    window: Arc<Window>,
    counted: Arc<Mutex<Proxied>>,
) {
    let mut on_its_way = InFlight::new(IN_FLIGHT_MAX);
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let arrives = on_its_way.next();
        tokio::select! {
            received = sides.receive(is_down, &mut buffer) => {
                // A peer that is not there any more is told by the next datagram, and that is all.
                let Ok(length) = received else { continue };
                let mut fate = link.send(Instant::now(), length);
                if let Fate::Arrives(at) = fate
                    && !on_its_way.push(at, buffer[..length].to_vec())
                {
                    fate = Fate::Dropped;
                }
                if window.counts(unix_us()) {
                    let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                    count(if is_down { &mut counted.down } else { &mut counted.up }, length, fate);
                }
            }
            () = sleep_until(arrives.unwrap_or_else(Instant::now).into()), if arrives.is_some() => {
                let now = Instant::now();
                while let Some(datagram) = on_its_way.arrived(now) {
                    sides.send(is_down, &datagram).await;
                }
            }
        }
    }
}

impl Sides {
    async fn receive(&self, is_down: bool, buffer: &mut [u8]) -> std::io::Result<usize> {
        if is_down {
            return self.far.recv(buffer).await;
        }
        let (length, from) = self.near.recv_from(buffer).await?;
        *self.dialled.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
        Ok(length)
    }

    /// What cannot be sent is lost, as on any path.
    async fn send(&self, is_down: bool, datagram: &[u8]) {
        if !is_down {
            let _ = self.far.send(datagram).await;
            return;
        }
        let to = *self.dialled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(to) = to {
            let _ = self.near.send_to(datagram, to).await;
        }
    }
}

fn count(carried: &mut Carried, bytes: usize, fate: Fate) {
    match fate {
        Fate::Arrives(_) => {
            carried.datagrams += 1;
            carried.bytes += bytes as u64;
        }
        Fate::Lost => carried.lost += 1,
        Fate::Dropped => carried.dropped += 1,
    }
}
