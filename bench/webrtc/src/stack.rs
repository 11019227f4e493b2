//! The servers with a publisher before them, and an endpoint that viewers join at.

use std::sync::{Arc, Mutex};

use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::publish::Publisher;
use lectern_bench_rig::servers::{self, KEY, Place, START_MAX, Servers, Setup};
use lectern_bench_rig::timeline::Timeline;

use crate::options::Bench;
use crate::whep::Whep;

/// What runs. Dropping it ends the processes.
pub(crate) struct Stack {
    pub(crate) whep: Whep,
    pub(crate) timeline: Arc<Mutex<Timeline>>,
    pub(crate) publisher: Publisher,
    servers: Servers,
}

impl Stack {
    /// Starts both and publishes; returns once the edge has media for viewers.
    pub(crate) async fn start(
        bench: &Bench,
        place: &Place,
        clip: Arc<Clip>,
        sessions: usize,
        stamp_every: u64,
    ) -> anyhow::Result<Self> {
        // Without these the edge would refuse viewers who all come from one address, or count what
        // LL-DASH keeps as theirs.
        let settings = [
            ("sessions_max", sessions),
            ("half_open_max", sessions),
            ("half_open_per_client_max", sessions),
            ("joins_per_sec_max", sessions),
            ("window_secs", 8),
        ];
        let client = servers::client()?;
        let setup = Setup { options: &bench.common, place, settings: &settings };
        let servers = Servers::start(&client, &setup).await?;
        let timeline = Arc::<Mutex<Timeline>>::default();
        let publisher = Publisher::start(servers.rtmp, KEY, clip, timeline.clone(), stamp_every)?;
        let whep = Whep::new(client, servers.http)?;
        whep.wait_for_media(START_MAX).await?;
        Ok(Self { whep, timeline, publisher, servers })
    }

    /// The edge's process.
    pub(crate) fn edge_pid(&self) -> anyhow::Result<u32> {
        self.servers.edge_pid()
    }

    /// Ends both.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.publisher);
        self.servers.stop().await
    }
}
