//! The run with loss: which share of the frames arrives whole, and in time.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::sleep;

use crate::load::Group;
use crate::namespace::{EDGE_IP, MEDIA_PORT, Namespaces, VIEWERS_IP};
use crate::options::Bench;
use crate::report::Lossy;
use crate::stack::Stack;
use crate::steady::{SETTLE, start_load, wait_for_media};
use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::servers::{Place, died_with_us};
use lectern_bench_rig::stats::Quantiles;

/// A frame that is not whole by then is of no use to a viewer.
const IN_TIME_US: u64 = 500_000;
/// How long the last frames are waited for: ten requests and their answers.
const TAIL: Duration = Duration::from_secs(3);
/// Gentle: the joins themselves are not what is measured.
const JOIN_RATE: u64 = 10;

/// Makes the namespaces, and measures from inside.
pub(crate) async fn run(bench: &Bench) -> anyhow::Result<Lossy> {
    let namespaces = Namespaces::make(bench.loss_percent)
        .context("the run with loss needs root, iproute2 and nftables")?;
    let mut command = died_with_us(&["ip", "netns", "exec", namespaces.viewers.name()]);
    command.arg(std::env::current_exe()?).args([
        "--loss-viewers".to_owned(),
        bench.loss_viewers.to_string(),
        "--loss-seconds".to_owned(),
        bench.loss_seconds.to_string(),
        "--loss-percent".to_owned(),
        bench.loss_percent.to_string(),
        "--loss-rtt-ms".to_owned(),
        bench.loss_rtt_ms.to_string(),
    ]);
    if let Some(bin) = &bench.common.bin {
        command.arg("--bin").arg(bin);
    }
    if bench.common.verbose {
        command.arg("--verbose");
    }
    for line in &bench.common.edge {
        command.arg("--edge").arg(line);
    }
    command.arg("lossy").arg(namespaces.edge.name());
    let output = command.stdout(Stdio::piped()).spawn()?.wait_with_output().await?;
    ensure!(output.status.success(), "it ended: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures, from inside the viewers' namespace.
pub(crate) async fn inside(
    bench: &Bench,
    edge_namespace: &str,
    clip: Arc<Clip>,
) -> anyhow::Result<Lossy> {
    let place = Place {
        origin: VIEWERS_IP,
        edge: EDGE_IP,
        edge_namespace: Some(edge_namespace.to_owned()),
        media_port: Some(MEDIA_PORT),
    };
    let viewers = bench.loss_viewers;
    // A stamp in every frame: after a keyframe request timestamps alone would not tell them apart.
    let stack = Stack::start(bench, &place, clip, viewers + 50, 1).await?;
    let load = start_load(&stack, Duration::from_micros(bench.loss_rtt_ms * 500))?;
    let joins = stack.whep.join_many(&load, Group::Watching, viewers, viewers, JOIN_RATE).await?;
    wait_for_media(&load, Group::Watching, joins.answered).await?;
    sleep(SETTLE).await;
    load.open_window().await?;
    sleep(Duration::from_secs(bench.loss_seconds)).await;
    load.seal_window().await?;
    sleep(TAIL).await;
    let mut report = load.close_window().await?;
    let census = load.census(Group::Watching).await?;
    drop(load);
    stack.stop().await?;
    let group = std::mem::take(&mut report.groups[Group::Watching as usize]);
    let expected = report.frames * group.viewers as u64;
    let whole = group.latencies_us.len() as u64;
    let in_time = group.latencies_us.iter().filter(|late| **late <= IN_TIME_US).count() as u64;
    let resends = group.counted.resends + group.counted.recovered + group.counted.useless;
    Ok(Lossy {
        viewers,
        watching: group.viewers,
        percent: bench.loss_percent,
        rtt_ms: bench.loss_rtt_ms,
        seconds: bench.loss_seconds,
        expected,
        whole,
        in_time,
        whole_percent: whole as f64 * 100.0 / expected.max(1) as f64,
        in_time_percent: in_time as f64 * 100.0 / expected.max(1) as f64,
        lost_on_the_wire_percent: group.missing as f64 * 100.0
            / (group.counted.packets - resends.min(group.counted.packets) + group.missing).max(1)
                as f64,
        latency: Quantiles::of_micros(group.latencies_us),
        missing: group.missing,
        counted: group.counted,
        refused: joins.refused,
        failures: census.failures,
    })
}
