//! What a hop adds: one broadcast, watched at once by an edge of the origin, by an edge of that edge's
//! sibling, and so on.

use std::time::Duration;

use lectern_bench_rig::stats::Quantiles;
use serde::Serialize;
use tokio::time::sleep;

use crate::arrival::{self, Arrival};
use crate::child::{Machine, Node, Site, count};
use crate::options::Bench;
use crate::plan::{Keep, Kinds, Plan, Publish, Relay, Watch};

/// For the congestion controllers to find their pace.
const SETTLE: Duration = Duration::from_secs(5);
/// What an edge keeps when nobody else subscribes to it.
pub(crate) const KEEP: Keep = Keep { secs: 4, bytes_max: 512 << 20 };

/// What was seen after each number of hops.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hops {
    pub(crate) seconds: u64,
    /// After one hop, after two, and so on.
    pub(crate) after: Vec<Kinds<Arrival>>,
    /// How late the origin itself was.
    pub(crate) late: Quantiles,
    pub(crate) machine: Machine,
}

pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Hops> {
    let site = Site::new(bench.verbose)?;
    let identity = site.identity().to_owned();
    let publish =
        Publish { identity: identity.clone(), announced: 1, live: 1, comments_hz: 0, keep: KEEP };
    let mut origin = site.start(Plan::Publish(publish)).await?;
    let mut upstream = origin.address()?;
    let (mut relays, mut edges) = (Vec::<Node>::new(), Vec::new());
    for hop in 1..=bench.hops {
        let identity = identity.clone();
        let watch = Watch { identity: identity.clone(), upstream, broadcasts: 1, comments: false };
        edges.push(site.start(Plan::Watch(watch)).await?);
        if hop < bench.hops {
            let relay = site.start(Plan::Relay(Relay { identity, upstream, keep: KEEP })).await?;
            upstream = relay.address()?;
            relays.push(relay);
        }
    }
    origin.begin().await?;
    for edge in &mut edges {
        anyhow::ensure!(edge.is_watching().await?, "nothing arrives");
    }
    sleep(SETTLE).await;
    let edges_and_relays = edges.iter_mut().chain(&mut relays);
    let mut nodes: Vec<_> = [&mut origin].into_iter().chain(edges_and_relays).collect();
    let counted = count(&mut nodes, Duration::from_secs(bench.hop_seconds)).await?;
    let published = counted.published()?;
    let after = counted.watched().map(|watched| arrival::all(published, watched)).collect();
    let (late, machine) = (published.late, counted.machine);
    Ok(Hops { seconds: bench.hop_seconds, after, late, machine })
}
