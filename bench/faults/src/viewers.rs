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

use crate::outcome::{Comments, Outcome};
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
    webrtc: Seen,
    dash: Seen,
    hls: Seen,
    room: Room,
}

impl Viewers {
    /// They are there, in `namespace`.
    pub(crate) fn start(namespace: &Namespace) -> anyhow::Result<Self> {
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
        let [webrtc, dash, hls] = [Seen::default(), Seen::default(), Seen::default()];
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
            handle.spawn(watch(client.clone(), edges.to_vec(), first, engine, seen.clone()));
        }
        for number in 0..WRITERS {
            let dash = dash.clone();
            let shown = move || dash.media_ms();
            handle.spawn(comment(room.clone(), number, edges.to_vec(), shown));
        }
        Ok(())
    }

    /// The edge that who watches over WebRTC is at.
    pub(crate) fn edge(&self) -> usize {
        self.webrtc.edge()
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
            let without = all.iter().filter(|(_, seen)| seen.steady_for() < STEADY);
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
        [&self.webrtc, &self.dash, &self.hls].into_iter().for_each(Seen::begin);
        self.room.begin();
    }

    /// What they have seen since.
    pub(crate) fn outcome(&self) -> Outcome {
        let seen = [&self.webrtc, &self.dash, &self.hls];
        Outcome {
            webrtc: self.webrtc.watched(),
            dash: self.dash.watched(),
            hls: self.hls.watched(),
            reloads: seen.into_iter().flat_map(Seen::reloads).collect(),
            ..Outcome::default()
        }
    }

    /// They stop writing; what became of it, as the origin at `origin` has it.
    pub(crate) async fn conclude(&self, origin: String) -> anyhow::Result<Comments> {
        let (room, client) = (self.room.clone(), self.client());
        self.run(async move { room.conclude(&client, &origin).await }).await?
    }
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
