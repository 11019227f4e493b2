//! A viewer's WebSocket, as `docs/comments.md` has it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{SinkExt as _, StreamExt as _};
use lectern_bench_rig::unix_us;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// How long one may take to be let in, and to be answered.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// What precedes the time at which it was written in the text of a comment.
const STAMP: &str = "at us ";
/// Buffers as small as a phone's need be: there are ten thousand of them.
const BUFFER_BYTES: usize = 4 * 1024;

/// One viewer.
pub(crate) struct Viewer(WebSocketStream<TcpStream>);

/// What all readers saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Counted while this is set.
    pub(crate) counting: AtomicBool,
    pub(crate) messages: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) comments: AtomicU64,
}

impl Viewer {
    /// Joins from a source address of loopback's: `127.0.<net>.<host>`.
    pub(crate) async fn join(
        edge: SocketAddr,
        (net, host): (u8, u8),
        secret: Option<&str>,
    ) -> anyhow::Result<Self> {
        let joining = async {
            let socket = TcpSocket::new_v4()?;
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, net, host));
            socket.bind(SocketAddr::new(source, 0))?;
            let stream = socket.connect(edge).await?;
            let config = WebSocketConfig::default()
                .read_buffer_size(BUFFER_BYTES)
                .write_buffer_size(0)
                .max_write_buffer_size(BUFFER_BYTES);
            let broadcast = lectern_bench_rig::servers::BROADCAST;
            let url = format!("ws://{edge}/live/{broadcast}/comments");
            let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
            let mut viewer = Self(socket);
            let join = serde_json::json!({ "type": "join", "after": 0, "secret": secret });
            viewer.0.send(Message::text(join.to_string())).await?;
            viewer.told("hello").await?;
            viewer.told("comments").await?;
            anyhow::Ok(viewer)
        };
        timeout(ANSWER_MAX, joining).await.context("a viewer is not let in")?
    }

    /// Reads along until `until`; of what it reads, the ages in µs if it is to `sample`.
    pub(crate) async fn read(
        mut self,
        seen: Arc<Seen>,
        sample: bool,
        until: Instant,
    ) -> anyhow::Result<Vec<u64>> {
        let mut ages = Vec::new();
        while let Ok(message) = tokio::time::timeout_at(until, self.next()).await {
            let text = message?;
            if !seen.counting.load(Ordering::Relaxed) {
                continue;
            }
            let now = unix_us();
            let stamps = text.match_indices(STAMP).map(|(at, _)| &text[at + STAMP.len()..]);
            let mut comments = 0;
            for stamp in stamps {
                comments += 1;
                if sample {
                    let end = stamp.find(|c: char| !c.is_ascii_digit()).unwrap_or(stamp.len());
                    ages.push(now.saturating_sub(stamp[..end].parse()?));
                }
            }
            seen.messages.fetch_add(1, Ordering::Relaxed);
            seen.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            seen.comments.fetch_add(comments, Ordering::Relaxed);
        }
        Ok(ages)
    }

    /// Writes a comment. How long its acknowledgement took, in µs.
    pub(crate) async fn write(&mut self, client: &str) -> anyhow::Result<u64> {
        let at = unix_us();
        let post = serde_json::json!({
            "type": "post", "client": client, "mt": null, "user": "A viewer",
            "text": format!("As long as what people write to a lecture, about so, {STAMP}{at}"),
        });
        self.0.send(Message::text(post.to_string())).await?;
        let stored = timeout(ANSWER_MAX, self.told("stored"));
        stored.await.context("a comment is not acknowledged")??;
        Ok(unix_us().saturating_sub(at))
    }

    /// Waits for a message of a kind.
    async fn told(&mut self, kind: &str) -> anyhow::Result<()> {
        let (wanted, refused) = (format!("{{\"type\":\"{kind}\""), "{\"type\":\"refused\"");
        loop {
            let text = self.next().await?;
            if text.starts_with(&wanted) {
                return Ok(());
            }
            if text.starts_with(refused) {
                bail!("{text}");
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Utf8Bytes> {
        loop {
            match self.0.next().await.context("the edge hung up")?? {
                Message::Text(text) => return Ok(text),
                Message::Close(close) => bail!("the edge hung up: {close:?}"),
                _ => {}
            }
        }
    }
}
