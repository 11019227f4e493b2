//! Those who watch and comment: one viewer by each path, and some who write. They live on a thread in the viewers'
//! namespace.

mod comments;
mod dash;
mod fragments;
mod hls;
mod ladder;
mod manifest;
mod playhead;
mod playlist;
mod screen;
mod segments;
mod watch;
mod webrtc;

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use lectern_bench_rig::namespace::Namespace;
use lectern_bench_rig::servers;
use lectern_bench_webrtc::probe::Watcher;
use reqwest::Client;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::outcome::{Comments, Outcome, Watched};
use comments::{Room, WRITERS, comment};
use watch::{Engine, Seen, watch};

/// How long an attempt may take to its first picture, by path, as in our player.
const WEBRTC_FIRST: Duration = Duration::from_secs(4);
const SEGMENTS_FIRST: Duration = Duration::from_secs(12);
/// A picture that has come without a gap for so long is there.
const STEADY: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(100);

/// The viewers, while they watch. Dropping this ends them.
pub(crate) struct Viewers {
    client: Client,
    handle: Handle,
    over: CancellationToken,
    thread: Option<JoinHandle<Option<()>>>,
    webrtc: Vec<Seen>,
    dash: Vec<Seen>,
    hls: Vec<Seen>,
    room: Room,
}

impl Viewers {
    /// They are there, in `namespace`, so many by each path.
    pub(crate) fn start(namespace: &Namespace, each: u16) -> anyhow::Result<Self> {
        let client = servers::client()?;
        let over = CancellationToken::new();
        let ended = over.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = namespace.thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    // Whoever waits for the handle learns that there is none.
                    eprintln!("the viewers have no runtime: {error}");
                    return;
                }
            };
            // Likewise.
            let _ = tell.send(runtime.handle().clone());
            runtime.block_on(ended.cancelled());
        })?;
        let handle = told.recv().context("the viewers' thread ended")?;
        let seen = || (0..each).map(|_| Seen::default()).collect();
        let [webrtc, dash, hls] = [seen(), seen(), seen()];
        let thread = Some(thread);
        Ok(Self { client, handle, over, thread, webrtc, dash, hls, room: Room::new() })
    }

    /// They begin to watch at the first of `edges`, and to read what is written.
    pub(crate) fn watch(&self, edges: &[String]) -> anyhow::Result<()> {
        let Self { client, handle, webrtc, dash, hls, room, .. } = self;
        let watcher = Watcher::new(client.clone())?;
        let by_webrtc: Engine = Arc::new(move |setting| {
            let watcher = watcher.clone();
            Box::pin(webrtc::play(watcher, setting))
        });
        let by_dash: Engine = Arc::new(|setting| Box::pin(dash::play(setting)));
        let by_hls: Engine = Arc::new(|setting| Box::pin(hls::play(setting)));
        for (engine, seen, first) in [
            (by_webrtc, webrtc, WEBRTC_FIRST),
            (by_dash, dash, SEGMENTS_FIRST),
            (by_hls, hls, SEGMENTS_FIRST),
        ] {
            for seen in seen {
                let (edges, engine) = (edges.to_vec(), engine.clone());
                handle.spawn(watch(client.clone(), edges, first, engine, seen.clone()));
            }
        }
        for number in 0..WRITERS {
            let dash = dash.first().cloned();
            let shown = move || dash.as_ref().and_then(Seen::media_ms);
            handle.spawn(comment(room.clone(), number, edges.to_vec(), shown));
        }
        Ok(())
    }

    /// The edge that the first who watches over WebRTC is at.
    pub(crate) fn edge(&self) -> usize {
        self.webrtc.first().map_or(0, Seen::edge)
    }

    /// Runs something among them, whose sockets are in their namespace.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = T> + Send + 'static,
    ) -> anyhow::Result<T> {
        self.handle.spawn(job).await.context("it ended among the viewers")
    }

    /// What they ask by.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Waits until all of them have a picture that stays. Those that have none then are named.
    pub(crate) async fn settle(&self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        loop {
            let all = [("WebRTC", &self.webrtc), ("LL-DASH", &self.dash), ("LL-HLS", &self.hls)];
            let without =
                all.iter().filter(|(_, all)| all.iter().any(|seen| seen.steady_for() < STEADY));
            let without: Vec<&str> = without.map(|(name, _)| *name).collect();
            if without.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(without.join(", "));
            }
            sleep(POLL).await;
        }
    }

    /// From now on what they see counts, and they write.
    pub(crate) fn begin(&self) {
        [&self.webrtc, &self.dash, &self.hls].into_iter().flatten().for_each(Seen::begin);
        self.room.begin();
    }

    /// What they have seen since.
    pub(crate) fn outcome(&self) -> Outcome {
        let seen = [&self.webrtc, &self.dash, &self.hls];
        Outcome {
            webrtc: together(&self.webrtc),
            dash: together(&self.dash),
            hls: together(&self.hls),
            reloads: seen.into_iter().flatten().flat_map(Seen::reloads).collect(),
            ..Outcome::default()
        }
    }

    /// They stop writing; what became of it, as the origin at `origin` has it.
    pub(crate) async fn conclude(&self, origin: String) -> anyhow::Result<Comments> {
        let (room, client) = (self.room.clone(), self.client());
        self.run(async move { room.conclude(&client, &origin).await }).await?
    }
}

/// The longest gap of any of them, and all that became of their sessions.
fn together(all: &[Seen]) -> Watched {
    all.iter().map(Seen::watched).fold(Watched::default(), |one, other| Watched {
        gap: one.gap.max(other.gap),
        anew: one.anew + other.anew,
        moved: one.moved + other.moved,
    })
}

impl Drop for Viewers {
    fn drop(&mut self) {
        self.over.cancel();
        if let Some(thread) = self.thread.take() {
            // What it had to say it has said.
            let _ = thread.join();
        }
    }
}
