//! `make bench-comments`: readers on one edge, and writers among them.

mod options;
mod report;
mod viewer;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, ensure};
use clap::Parser as _;
use futures::{StreamExt as _, TryStreamExt as _};
use lectern_bench_rig::proc::Busy;
use lectern_bench_rig::servers::{self, Place, Servers, Setup};
use lectern_bench_rig::stats::Quantiles;
use lectern_bench_rig::{CLIENT_CORE, proc, run};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use options::Bench;
use report::Results;
use viewer::{Seen, Viewer};

/// Between two comments of one writer: within its pace.
const EACH: Duration = Duration::from_millis(2_500);
/// Viewers that join at once.
const JOINING: usize = 64;
/// Viewers of one address: an edge has room for 4,096, and lets one address write ten times a second.
const READERS_PER_ADDRESS: u64 = 4_000;
const WRITERS_PER_ADDRESS: u64 = 10;
/// One in so many readers says how old what it reads is.
const SAMPLED: u64 = 10;
const QUIET: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(3);
/// For what is on the way at the end.
const TAIL: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    run::exit_code("bench-comments", run::to_the_end(measure(&Bench::parse())))
}

async fn measure(bench: &Bench) -> anyhow::Result<()> {
    proc::pin(CLIENT_CORE).context("a core for the edge and another for all else are needed")?;
    let client = servers::client()?;
    let setup = Setup { options: &bench.common, place: &Place::loopback(), settings: &[] };
    let servers = Servers::start(&client, &setup).await?;
    let pid = servers.edge_pid()?;
    let mut results = Results { readers: bench.readers, ..Results::default() };
    results.rss_kb[0] = proc::rss_kb(pid)?;

    eprintln!("{} readers join …", bench.readers);
    let readers = join(&servers, bench.readers, READERS_PER_ADDRESS, 2, None).await?;
    results.rss_kb[1] = proc::rss_kb(pid)?;
    let cpu = proc::cpu(pid)?;
    sleep(QUIET).await;
    let idle = proc::cpu(pid)?.saturating_sub(cpu);
    results.idle_percent = idle.as_secs_f64() * 100.0 / QUIET.as_secs_f64();

    let writers = bench.rate * EACH.as_millis() as u64 / 1_000;
    eprintln!("{writers} of others write …");
    let writers = join(&servers, writers, WRITERS_PER_ADDRESS, 1, Some("secret-of-writer")).await?;
    let from = Instant::now() + WARM_UP;
    let until = from + Duration::from_secs(bench.seconds);
    let seen = Arc::new(Seen::default());
    let mut reading = JoinSet::new();
    for (number, reader) in (0..).zip(readers) {
        reading.spawn(reader.read(seen.clone(), number % SAMPLED == 0, until + TAIL));
    }
    let mut writing = JoinSet::new();
    let count = writers.len() as u32;
    for (number, writer) in (0..).zip(writers) {
        let first = from - WARM_UP + EACH * number / count;
        writing.spawn(write(writer, number, first, from, until));
    }
    sleep_until(from).await;
    seen.counting.store(true, Ordering::Relaxed);
    let (cpu, busy, began) = (proc::cpu(pid)?, Busy::now(CLIENT_CORE)?, Instant::now());
    sleep_until(until).await;
    results.seconds = began.elapsed().as_secs_f64();
    let used = proc::cpu(pid)?.saturating_sub(cpu).as_secs_f64();
    results.edge_percent = used * 100.0 / results.seconds;
    results.client_core_percent = Busy::now(CLIENT_CORE)?.percent_since(&busy);
    results.rss_kb[2] = proc::rss_kb(pid)?;
    results.messages = seen.messages.load(Ordering::Relaxed);
    results.bytes = seen.bytes.load(Ordering::Relaxed);
    results.comments = seen.comments.load(Ordering::Relaxed);

    let mut acknowledged = Vec::new();
    while let Some(writer) = writing.join_next().await {
        match writer? {
            Ok(its) => acknowledged.extend(its),
            Err(error) => results.failed.push(format!("{error:#}")),
        }
    }
    let mut ages = Vec::new();
    while let Some(reader) = reading.join_next().await {
        match reader? {
            Ok(its) => ages.extend(its),
            Err(error) => results.failed.push(format!("{error:#}")),
        }
    }
    servers.stop().await?;
    results.written = acknowledged.len();
    results.delivery = Quantiles::of_micros(ages);
    results.acknowledged = Quantiles::of_micros(acknowledged);
    println!("{}", report::render(&results));
    bench.common.write(&results)?;
    ensure!(results.failed.is_empty(), "not everybody stayed");
    Ok(())
}

/// Has `count` viewers join, from as many addresses of the network `net` as they need.
async fn join(
    servers: &Servers,
    count: u64,
    per_address: u64,
    net: u8,
    secret: Option<&str>,
) -> anyhow::Result<Vec<Viewer>> {
    let one = |number: u64| async move {
        let host = u8::try_from(number / per_address + 1).context("too many for one network")?;
        let secret = secret.map(|secret| format!("{secret}-{number}"));
        Viewer::join(servers.http, (net, host), secret.as_deref()).await
    };
    let joining = futures::stream::iter((0..count).map(one));
    joining.buffered(JOINING).try_collect().await
}

/// Writes one comment after the other. How long each acknowledgement took that was written while it
/// counted, in µs.
async fn write(
    mut writer: Viewer,
    number: u32,
    first: Instant,
    from: Instant,
    until: Instant,
) -> anyhow::Result<Vec<u64>> {
    let mut acknowledged = Vec::new();
    let mut at = first;
    let mut count = 0;
    while at < until {
        sleep_until(at).await;
        let took = writer.write(&format!("c-{number}-{count}")).await?;
        if at >= from {
            acknowledged.push(took);
        }
        count += 1;
        at += EACH;
    }
    Ok(acknowledged)
}
