//! What stands between edges and an origin: hands datagrams on, each as much later as it is told to. It does
//! not look into them.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

/// Flows that are remembered: edges that start again come from other ports.
const FLOWS_MAX: usize = 1_024;
/// Datagrams on their way in one direction of a flow; more are lost, as on any link.
const ON_THE_WAY_MAX: usize = 20_000;
const DATAGRAM_BYTES: usize = 65_536;
/// Room for a burst while the link is busy elsewhere.
const BUFFER_DATAGRAMS: usize = 512;

/// How much later, in microseconds; shared with who says so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delay(Arc<AtomicU64>);

impl Delay {
    pub(crate) fn set(&self, delay: Duration) {
        self.0.store(delay.as_micros() as u64, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Carries datagrams between whoever sends to `here` and `there`, until it is dropped.
pub(crate) async fn carry(here: SocketAddr, there: SocketAddr, delay: Delay) -> anyhow::Result<()> {
    let outer = Arc::new(UdpSocket::bind(here).await?);
    let mut flows: HashMap<SocketAddr, tokio::sync::mpsc::Sender<(Instant, Vec<u8>)>> =
        HashMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An error is what an earlier datagram met with.
        let Ok((size, from)) = outer.recv_from(&mut buffer).await else { continue };
        if !flows.contains_key(&from) {
            if flows.len() >= FLOWS_MAX {
                flows.clear();
            }
            let inner = Arc::new(UdpSocket::bind((here.ip(), 0)).await?);
            inner.connect(there).await?;
            let (sender, queue) = tokio::sync::mpsc::channel(BUFFER_DATAGRAMS);
            flows.insert(from, sender);
            let (to, back) = (inner.clone(), outer.clone());
            tasks.spawn(hand_on(queue, delay.clone(), async move |datagram: Vec<u8>| {
                let _ = to.send(&datagram).await;
            }));
            let (sender, queue) = tokio::sync::mpsc::channel(BUFFER_DATAGRAMS);
            tasks.spawn(hand_on(queue, delay.clone(), async move |datagram: Vec<u8>| {
                let _ = back.send_to(&datagram, from).await;
            }));
            tasks.spawn(async move {
                let mut buffer = vec![0; DATAGRAM_BYTES];
                while !sender.is_closed() {
                    // A closed port says so, and may be open again later.
                    let Ok(size) = inner.recv(&mut buffer).await else { continue };
                    let _ = sender.try_send((Instant::now(), buffer[..size].to_vec()));
                }
            });
        }
        if let Some(flow) = flows.get(&from) {
            // A full queue is a lost datagram.
            let _ = flow.try_send((Instant::now(), buffer[..size].to_vec()));
        }
    }
}

/// Hands on what comes, each when it is due. What is on its way when the delay changes arrives as it
/// was to, and nothing overtakes it.
async fn hand_on(
    mut queue: tokio::sync::mpsc::Receiver<(Instant, Vec<u8>)>,
    delay: Delay,
    mut send: impl AsyncFnMut(Vec<u8>),
) {
    let mut on_the_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    loop {
        let due = on_the_way.front().map(|(due, _)| *due);
        let arrival = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = arrival => {
                if let Some((_, datagram)) = on_the_way.pop_front() {
                    send(datagram).await;
                }
            }
            came = queue.recv() => {
                let Some((at, datagram)) = came else { return };
                let wait = delay.get();
                if wait.is_zero() && on_the_way.is_empty() {
                    // Not even the timer's millisecond.
                    send(datagram).await;
                } else if on_the_way.len() < ON_THE_WAY_MAX {
                    on_the_way.push_back((at + wait, datagram));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn datagrams_come_back_and_later_if_that_is_asked() {
        let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let there = echo.local_addr().unwrap();
        let echoing = tokio::spawn(async move {
            let mut buffer = [0; 2_000];
            loop {
                let (size, from) = echo.recv_from(&mut buffer).await.unwrap();
                echo.send_to(&buffer[..size], from).await.unwrap();
            }
        });
        let here = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let delay = Delay::default();
        let carrying = tokio::spawn(carry(here, there, delay.clone()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(here).await.unwrap();
        let mut buffer = [0; 2_000];
        // The link may not be there yet.
        let began = Instant::now();
        loop {
            let _ = client.send(b"first").await;
            let answer =
                tokio::time::timeout(Duration::from_millis(500), client.recv(&mut buffer)).await;
            if matches!(answer, Ok(Ok(5))) {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "nothing comes back");
        }
        delay.set(Duration::from_millis(150));
        let began = Instant::now();
        client.send(b"second").await.unwrap();
        loop {
            let size = client.recv(&mut buffer).await.unwrap();
            if &buffer[..size] == b"second" {
                break;
            }
        }
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
        carrying.abort();
        echoing.abort();
    }
}
