//! Many joins at once: how fast they get in, and whether those who watch notice.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::load::Group;
use crate::options::Bench;
use crate::report::Storm;
use crate::stack::Stack;
use crate::steady::{SETTLE, TAIL, start_load, starts, wait_for_media};
use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::proc::{self, Busy};
use lectern_bench_rig::servers::Place;
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::{CLIENT_CORE, EDGE_CORE};

/// Over which those who watch are measured before the storm.
const BEFORE: Duration = Duration::from_secs(6);

/// Lets the storm loose.
pub(crate) async fn run(bench: &Bench, clip: Arc<Clip>) -> anyhow::Result<Storm> {
    let joining = (bench.storm_rate * bench.storm_seconds) as usize;
    let sessions = bench.storm_onto + joining + 50;
    let place = Place::loopback();
    let stack = Stack::start(bench, &place, clip, sessions, bench.stamp_every).await?;
    let edge = stack.edge_pid()?;
    let load = start_load(&stack, Duration::ZERO)?;
    let onto = bench.storm_onto;
    let full = (onto / 10).max(5).min(onto);
    let joins = stack.whep.join_many(&load, Group::Watching, onto, full, bench.join_rate).await?;
    wait_for_media(&load, Group::Watching, joins.answered).await?;
    sleep(SETTLE).await;

    load.open_window().await?;
    sleep(BEFORE).await;
    load.seal_window().await?;
    sleep(TAIL).await;
    let mut before = load.close_window().await?;

    let drops = proc::udp_drops()?;
    let cpu = proc::cpu(edge)?;
    let busy = (Busy::now(EDGE_CORE)?, Busy::now(CLIENT_CORE)?);
    load.open_window().await?;
    let joins =
        stack.whep.join_many(&load, Group::Storm, joining, joining / 10, bench.storm_rate).await?;
    load.seal_window().await?;
    let edge_core_percent = Busy::now(EDGE_CORE)?.percent_since(&busy.0);
    let client_core_percent = Busy::now(CLIENT_CORE)?.percent_since(&busy.1);
    let cpu = proc::cpu(edge)? - cpu;
    wait_for_media(&load, Group::Storm, joins.answered).await?;
    sleep(TAIL).await;
    let mut during = load.close_window().await?;
    let census = load.census(Group::Storm).await?;
    let failures = load.census(Group::Watching).await?.failures;
    let socket_drops = proc::udp_drops()? - drops;
    drop(load);
    stack.stop().await?;

    let posted = census.starts.iter().map(|start| start.posted_us).min();
    let mut begun: Vec<u64> = census.starts.iter().filter_map(|start| start.first_rtp_us).collect();
    begun.sort_unstable();
    // All but the last per cent: a lost datagram costs its viewer time, and says nothing of the rate.
    let most = begun.len() * 99 / 100;
    let took_us = begun.get(most).zip(posted).map_or(0, |(last, first)| last - first);
    let watching = Group::Watching as usize;
    let latency = |report: &mut crate::window::Report| {
        Quantiles::of_micros(std::mem::take(&mut report.groups[watching].latencies_us))
    };
    Ok(Storm {
        onto,
        joining,
        watching: begun.len(),
        rate_asked: bench.storm_rate,
        rate_reached: most as f64 * 1e6 / took_us.max(1) as f64,
        answered_in_seconds: joins.took.as_secs_f64(),
        starts: starts(&census),
        before: latency(&mut before),
        during: latency(&mut during),
        missing_before: before.groups[watching].missing,
        missing_during: during.groups[watching].missing,
        edge_cpu_percent: cpu.as_secs_f64() * 100.0 / joins.took.as_secs_f64(),
        edge_core_percent,
        client_core_percent,
        socket_drops,
        refused: joins.refused,
        failures: census.failures.into_iter().chain(failures).collect(),
    })
}
