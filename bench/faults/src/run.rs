//! Does things to a cluster, and tells what its viewers saw of it.

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::sleep;

use crate::database;
use crate::fault::Fault;
use crate::network::Place;
use crate::options::Options;
use crate::outcome::{Outcome, Row};
use crate::world::World;

/// How long nothing is done, so that what is seen then is seen as well.
const BEFORE: Duration = Duration::from_secs(4);
/// How long it may take until what was done shows.
const SHOWS: Duration = Duration::from_secs(4);
/// How long viewers may take to have a steady picture again. Whoever has none then would reload.
const BACK_MAX: Duration = Duration::from_secs(40);
const DELAY: Duration = Duration::from_millis(100);
const LOSS_PERCENT: u64 = 5;
/// Files of its log that the database may have made beforehand.
const SPARE_FILES: usize = 4;
/// Until something was stored: comments come twice a second.
const STORED: Duration = Duration::from_secs(1);
const SYNC_MS: i64 = 300;

/// Makes a cluster, does `fault` to it, and tells what its viewers saw. Must be called on a runtime of one
/// thread, because children end with the thread that started them; needs root.
pub async fn run(fault: Fault, options: &Options) -> anyhow::Result<Outcome> {
    let mut world = World::start(options, &fault.to_string()).await?;
    let outcome = suffer(&mut world, fault, options).await;
    drop(world);
    outcome
}

/// The same for so many faults at random, one after the other in one cluster.
pub async fn random(seed: u64, options: &Options, mut told: impl FnMut(Row)) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::start(options, &format!("random-{seed}")).await?;
    for _ in 0..options.random {
        let fault = Fault::ALL[random.random_range(1..Fault::ALL.len())];
        let outcome = suffer(&mut world, fault, options).await;
        let failed = outcome.is_err();
        told(Row::new(fault, outcome));
        if failed {
            // What comes after would be measured on what this left behind.
            world = {
                drop(world);
                World::start(options, &format!("random-{seed}-again")).await?
            };
        }
    }
    Ok(())
}

async fn suffer(world: &mut World, fault: Fault, options: &Options) -> anyhow::Result<Outcome> {
    let settled = world.viewers.settle(BACK_MAX).await;
    settled.map_err(|without| anyhow::anyhow!("no picture on {without} before it"))?;
    world.source.begin();
    world.viewers.begin();
    sleep(BEFORE).await;
    let lasts = match options.seconds {
        Some(seconds) if !fault.lasts().is_zero() && !matches!(fault, Fault::Cut(_)) => {
            Duration::from_secs(seconds)
        }
        _ => fault.lasts(),
    };
    act(world, fault, lasts).await.with_context(|| format!("{fault} cannot be done"))?;
    sleep(SHOWS).await;
    let back = world.viewers.settle(BACK_MAX).await;
    let mut outcome = world.viewers.outcome();
    outcome.source_gap = world.source.longest();
    if let Err(without) = back {
        outcome.reloads.push(format!("no picture on {without} for {BACK_MAX:?}"));
    }
    outcome.comments = world.viewers.conclude(world.api()).await?;
    outcome.origins_mb = world.origins.iter().map(|origin| origin.memory_mb()).collect();
    outcome.edges_mb = world.edges.iter().map(|edge| edge.memory_mb()).collect();
    Ok(outcome)
}

async fn act(world: &mut World, fault: Fault, lasts: Duration) -> anyhow::Result<()> {
    match fault {
        Fault::Nothing => sleep(lasts).await,
        Fault::OriginKill => {
            let n = world.origin();
            world.origins[n].kill().await?;
            sleep(lasts).await;
            world.start_origin(n).await?;
        }
        Fault::EdgeKill => {
            let n = world.viewers.edge();
            world.edges[n].kill().await?;
            sleep(lasts).await;
            world.start_edge(n).await?;
        }
        Fault::DatabaseKill => {
            world.database.kill().await?;
            sleep(lasts).await;
            world.start_database().await?;
        }
        Fault::EdgeDrain => {
            let n = world.viewers.edge();
            world.edges[n].stop().await?;
            world.start_edge(n).await?;
        }
        Fault::Upgrade => {
            for n in 0..world.edges.len() {
                world.edges[n].stop().await?;
                world.edges[n].configure("linger_secs = 31")?;
                world.start_edge(n).await?;
                sleep(SHOWS).await;
            }
            for n in 0..world.origins.len() {
                world.origins[n].stop().await?;
                world.origins[n].configure("relay_window_secs = 130")?;
                world.start_origin(n).await?;
                sleep(SHOWS).await;
            }
        }
        Fault::Cut(_) => {
            let n = world.viewers.edge();
            world.network.cut(n)?;
            sleep(lasts).await;
            world.network.mend()?;
        }
        Fault::Loss => {
            world.network.lose(LOSS_PERCENT)?;
            sleep(lasts).await;
            world.network.mend()?;
        }
        Fault::Delay => {
            world.delay.set(DELAY);
            sleep(lasts).await;
            world.delay.set(Duration::ZERO);
        }
        Fault::EncoderDrop => world.encoder.drop_once(),
        Fault::EncoderAway => {
            world.encoder.run(false);
            sleep(lasts).await;
            world.encoder.run(true);
        }
        Fault::SlowDisk => {
            world.database.shim.slow(SYNC_MS)?;
            sleep(lasts).await;
            world.database.shim.slow(0)?;
        }
        Fault::FullDisk => {
            let n = world.origin();
            world.origin_disks[n].fill()?;
            sleep(lasts).await;
            world.origin_disks[n].clear()?;
        }
        Fault::DatabaseFull => {
            world.database_disk.fill()?;
            // It may have a file or two to spare. Once it fails, the disk has been noticed to be full.
            let namespace = world.network.at(Place::Database)?.name();
            for _ in 0..SPARE_FILES {
                if database::end_log(namespace).await.is_err() {
                    break;
                }
                sleep(STORED).await;
            }
            sleep(lasts).await;
            world.database_disk.clear()?;
            // It ends by itself when it cannot write what it must.
            world.start_database().await?;
        }
        Fault::OriginClock(seconds) => {
            let n = world.origin();
            world.origins[n].shim.shift(seconds)?;
            sleep(lasts).await;
            world.origins[n].shim.shift(0)?;
        }
        Fault::EdgeClock(seconds) => {
            let n = world.viewers.edge();
            world.edges[n].shim.shift(seconds)?;
            sleep(lasts).await;
            world.edges[n].shim.shift(0)?;
        }
    }
    Ok(())
}
