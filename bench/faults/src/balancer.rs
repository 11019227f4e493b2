//! The load balancer in front of the origins, as an encoder sees one: each connection goes to the first origin
//! that accepts it, and ends when either side does. It also knows how long the source itself was silent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// An origin that does not accept for so long is passed over.
const ACCEPT_MAX: Duration = Duration::from_secs(1);
/// RTMP's handshake and commands are fewer bytes than this, a first keyframe more: then there is media.
const PREAMBLE_BYTES: usize = 8_192;
const BUFFER_BYTES: usize = 16 * 1024;

/// When the source last got something to an origin, and how long it did not at the longest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    last: Option<Instant>,
    longest: Duration,
    /// The origin that the encoder is at.
    at: Option<usize>,
}

impl Source {
    fn heard(&self, at: usize) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(last) = heard.last.replace(now) {
            heard.longest = heard.longest.max(now - last);
        }
        heard.at = Some(at);
    }

    /// From now on.
    pub(crate) fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).longest = Duration::ZERO;
    }

    /// The longest silence since then.
    pub(crate) fn longest(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).longest
    }

    /// The origin that the encoder is at, or was last.
    pub(crate) fn origin(&self) -> Option<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at
    }
}

/// Balances, until it is dropped.
pub(crate) async fn balance(
    listener: TcpListener,
    origins: Vec<SocketAddr>,
    source: Source,
) -> anyhow::Result<()> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        let (origins, source) = (origins.clone(), source.clone());
        connections.spawn(async move {
            // However it ends, both ends are closed, and who was there sees it.
            let _ = serve(client, &origins, &source).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(
    mut client: TcpStream,
    origins: &[SocketAddr],
    source: &Source,
) -> std::io::Result<()> {
    let mut found = None;
    for (n, origin) in origins.iter().enumerate() {
        if let Ok(Ok(connection)) = timeout(ACCEPT_MAX, TcpStream::connect(origin)).await {
            found = Some((n, connection));
            break;
        }
    }
    let Some((n, mut origin)) = found else { return Ok(()) };
    client.set_nodelay(true)?;
    origin.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_origin, mut to_origin) = origin.split();
    let up = async {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut carried = 0;
        loop {
            let size = from_client.read(&mut buffer).await?;
            if size == 0 {
                return std::io::Result::Ok(());
            }
            to_origin.write_all(&buffer[..size]).await?;
            carried += size;
            if carried > PREAMBLE_BYTES {
                source.heard(n);
            }
        }
    };
    let down = tokio::io::copy(&mut from_origin, &mut to_client);
    tokio::select! {
        done = up => done,
        done = down => done.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_that_accepts_serves_and_silence_is_known() {
        let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origins = vec![closed.local_addr().unwrap(), origin.local_addr().unwrap()];
        drop(closed);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let source = Source::default();
        let balancing = tokio::spawn(balance(listener, origins, source.clone()));
        let mut encoder = TcpStream::connect(address).await.unwrap();
        let (mut connection, _) = origin.accept().await.unwrap();
        let mut buffer = vec![0; 3 * PREAMBLE_BYTES];
        encoder.write_all(&buffer).await.unwrap();
        connection.read_exact(&mut buffer).await.unwrap();
        assert_eq!(source.origin(), Some(1));
        // The origin goes, and the encoder is told.
        drop(connection);
        assert_eq!(encoder.read(&mut buffer).await.unwrap(), 0);
        balancing.abort();
    }
}
