//! A run with a number of viewers: what one costs, how late its frames are, how it started.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use crate::floor;
use crate::load::{Census, Group, Load};
use crate::options::Bench;
use crate::report::{Starts, Steady};
use crate::stack::Stack;
use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::proc::{self, Busy};
use lectern_bench_rig::servers::Place;
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::{CLIENT_CORE, EDGE_CORE};

/// Before the edge is measured without viewers: by then it has kept all that it keeps.
const WARM_UP: Duration = Duration::from_secs(14);
/// Over which the edge without viewers is measured.
const IDLE: Duration = Duration::from_secs(4);
/// How long the last viewer may take to have media.
const START_MAX: Duration = Duration::from_secs(20);
/// Until all viewers are at the live edge.
pub(crate) const SETTLE: Duration = Duration::from_secs(7);
/// Until what was sent at the end of a window has arrived.
pub(crate) const TAIL: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(100);
/// Full viewers, unless there are fewer viewers at all.
const FULL_MIN: usize = 5;

/// Measures with `viewers` viewers.
pub(crate) async fn run(bench: &Bench, clip: Arc<Clip>, viewers: usize) -> anyhow::Result<Steady> {
    let place = Place::loopback();
    let stack = Stack::start(bench, &place, clip, viewers + 50, bench.stamp_every).await?;
    let edge = stack.edge_pid()?;
    sleep(WARM_UP).await;
    let (idle_from, cpu_from) = (Instant::now(), proc::cpu(edge)?);
    sleep(IDLE).await;
    let idle_us = (proc::cpu(edge)? - cpu_from).as_micros() as f64;
    let idle_us_per_second = idle_us / idle_from.elapsed().as_secs_f64();
    let rss_before_kb = proc::rss_kb(edge)?;

    let load = start_load(&stack, Duration::ZERO)?;
    let full = full_of(bench, viewers);
    let joins =
        stack.whep.join_many(&load, Group::Watching, viewers, full, bench.join_rate).await?;
    wait_for_media(&load, Group::Watching, joins.answered).await?;
    sleep(SETTLE).await;

    stack.publisher.take_lateness_us();
    load.open_window().await?;
    let (from, drops) = (Instant::now(), proc::udp_drops()?);
    let (cpu, client, own) =
        (proc::cpu(edge)?, proc::thread_cpu(load.tid)?, proc::cpu(std::process::id())?);
    let busy = (Busy::now(EDGE_CORE)?, Busy::now(CLIENT_CORE)?);
    sleep(Duration::from_secs(bench.seconds)).await;
    let seconds = from.elapsed().as_secs_f64();
    let cpu_us = (proc::cpu(edge)? - cpu).as_micros() as f64;
    let percent = |used: Duration| used.as_secs_f64() * 100.0 / seconds;
    let client_percent = percent(proc::thread_cpu(load.tid)? - client);
    let bench_percent = percent(proc::cpu(std::process::id())? - own);
    let edge_core_percent = Busy::now(EDGE_CORE)?.percent_since(&busy.0);
    let client_core_percent = Busy::now(CLIENT_CORE)?.percent_since(&busy.1);
    load.seal_window().await?;
    let counted_seconds = from.elapsed().as_secs_f64();
    sleep(TAIL).await;
    let mut report = load.close_window().await?;
    // The counters went on through the tail.
    let tail_share = counted_seconds / from.elapsed().as_secs_f64();
    let publisher_late = Quantiles::of_micros(stack.publisher.take_lateness_us());
    let rss_kb = proc::rss_kb(edge)?;
    let socket_drops = proc::udp_drops()? - drops;
    let census = load.census(Group::Watching).await?;
    drop(load);
    stack.stop().await?;

    let group = std::mem::take(&mut report.groups[Group::Watching as usize]);
    ensure!(group.viewers > 0, "nobody watches: {:?} {:?}", joins.refused, census.failures);
    let viewer_seconds = group.viewers as f64 * counted_seconds;
    let floor = floor::measure(group.viewers, report.trace, report.profile).await?;
    let cost_us = cpu_us / seconds / group.viewers as f64;
    let floor_us = floor.us_per_viewer_second(group.viewers);
    Ok(Steady {
        viewers,
        watching: group.viewers,
        full: group.full,
        seconds,
        cost_us,
        idle_us_per_second,
        floor_us,
        ratio: cost_us / floor_us,
        floor_arrived_percent: floor.arrived as f64 * 100.0 / floor.sent.max(1) as f64,
        cipher: report.profile.map_or_else(String::new, |profile| format!("{profile:?}")),
        rss_before_kb,
        rss_kb,
        rss_per_viewer_kb: (rss_kb as f64 - rss_before_kb as f64) / group.viewers as f64,
        latency_known_percent: group.latencies_us.len() as f64 * 100.0
            / (report.frames * group.viewers as u64).max(1) as f64,
        latency: Quantiles::of_micros(group.latencies_us),
        starts: starts(&census),
        video_per_viewer_second: group.counted.video_frames as f64 * tail_share / viewer_seconds,
        audio_per_viewer_second: group.counted.audio_frames as f64 * tail_share / viewer_seconds,
        packets_per_viewer_second: group.counted.packets as f64 * tail_share / viewer_seconds,
        missing: group.missing,
        counted: group.counted,
        socket_drops,
        edge_core_percent,
        client_core_percent,
        client_percent,
        bench_percent,
        publisher_late,
        disagreements: report.disagreements,
        refused: joins.refused,
        failures: census.failures,
    })
}

/// How many of the viewers are full.
fn full_of(bench: &Bench, viewers: usize) -> usize {
    let share = viewers * bench.full_percent as usize / 100;
    share.max(FULL_MIN).min(viewers)
}

/// Starts the viewers' thread. It goes after the others on its core: what is measured is the edge,
/// and sockets remember when datagrams arrived.
pub(crate) fn start_load(stack: &Stack, delay: Duration) -> anyhow::Result<Arc<Load>> {
    let load = Load::start(stack.whep.identity(), stack.timeline.clone(), delay)?;
    proc::yield_to_others(load.tid)?;
    Ok(Arc::new(load))
}

/// Waits until `viewers` of the group have a whole frame or have failed.
pub(crate) async fn wait_for_media(
    load: &Load,
    group: Group,
    viewers: usize,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_MAX;
    loop {
        let census = load.census(group).await?;
        let begun = census.starts.iter().filter(|start| start.first_frame_us.is_some()).count();
        if begun + census.failures.len() >= viewers || Instant::now() > deadline {
            return Ok(());
        }
        sleep(POLL).await;
    }
}

/// How the viewers' starts went.
pub(crate) fn starts(census: &Census) -> Starts {
    let since = |at: fn(&crate::viewer::Start) -> Option<u64>| {
        let starts = census.starts.iter();
        let times = starts.filter_map(|start| Some(at(start)?.saturating_sub(start.posted_us)));
        Quantiles::of_micros(times.collect())
    };
    Starts {
        first_rtp: since(|start| start.first_rtp_us),
        keyframe: since(|start| start.first_frame_us),
        not_key: census.starts.iter().filter(|start| start.first_was_key == Some(false)).count(),
    }
}
