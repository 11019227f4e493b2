//! What arrives over a path that is bad: one that loses and delays, and one that is too narrow.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::arrival::{self, Arrival};
use crate::child::{Site, count};
use crate::hops::KEEP;
use crate::link::Path;
use crate::plan::{Kinds, Plan, Proxied, Proxy, Publish, Watch};

/// For the congestion controller to find its pace, and for a queue to be as long as it gets.
const SETTLE: Duration = Duration::from_secs(10);

/// One run: an origin, a bad path and an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plans {
    pub(crate) broadcasts: usize,
    /// Comments a second on each.
    pub(crate) comments_hz: u64,
    pub(crate) path: Path,
    pub(crate) window: Duration,
    pub(crate) verbose: bool,
}

/// What it came to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Badly {
    pub(crate) path: Path,
    pub(crate) seconds: u64,
    /// Of each broadcast.
    pub(crate) arrived: Vec<Kinds<Arrival>>,
    /// Groups that were given up, and broadcasts that went and came again.
    pub(crate) skipped: u64,
    pub(crate) interrupted: u64,
    pub(crate) proxied: Proxied,
}

pub(crate) async fn run(plans: &Plans) -> anyhow::Result<Badly> {
    let Plans { broadcasts, comments_hz, path, window, verbose } = *plans;
    let site = Site::new(verbose)?;
    let identity = site.identity().to_owned();
    let publish = Publish {
        identity: identity.clone(),
        announced: broadcasts,
        live: broadcasts,
        comments_hz,
        keep: KEEP,
    };
    let mut origin = site.start(Plan::Publish(publish)).await?;
    let proxy = Proxy { to: origin.address()?, path };
    let mut proxy = site.start(Plan::Proxy(proxy)).await?;
    let watch = Watch { identity, upstream: proxy.address()?, broadcasts, comments: true };
    let mut edge = site.start(Plan::Watch(watch)).await?;
    origin.begin().await?;
    // What does not begin is found missing.
    edge.is_watching().await?;
    sleep(SETTLE).await;
    let counted = count(&mut [&mut origin, &mut proxy, &mut edge], window).await?;
    let mut seen = counted.watched();
    let seen = seen.next().ok_or_else(|| anyhow::anyhow!("nobody watched"))?;
    Ok(Badly {
        path,
        seconds: window.as_secs(),
        arrived: arrival::each(counted.published()?, seen),
        skipped: seen.skipped,
        interrupted: seen.interrupted,
        proxied: counted.proxied().unwrap_or_default(),
    })
}
