//! `make bench-relay`: what a hop adds ([`hops`]), what broadcasts cost ([`cost`]), and what arrives over a bad
//! path ([`badly`]). Every node is a process of its own ([`child`], [`node`]), so that its processor time and
//! memory are its own; between them is nothing but the product's relay and, for bad paths, a [`proxy`].

mod arrival;
mod badly;
mod cadence;
mod child;
mod cost;
mod hops;
mod link;
mod node;
mod options;
mod plan;
mod proxy;
mod publish;
mod report;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser as _;
use lectern_bench_rig::run::{self, bounded, noted};

use link::Path;
use options::{Bench, Part, Role};
use plan::{BROADCAST_BPS, Keep};
use report::Results;

/// Bytes of media that a relay keeps by default, over all broadcasts.
const KEEP_BYTES_MAX: u64 = 512 << 20;
/// Comments a second of each broadcast on a bad path.
const COMMENTS_HZ: u64 = 10;
/// Of a path that is too narrow: its own delay each way, and how long a datagram may wait for its turn.
const NARROW_DELAY: Duration = Duration::from_millis(10);
const NARROW_QUEUE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let bench = Bench::parse();
    let done = match bench.role {
        Some(Role::Node) => {
            let level = if bench.verbose { tracing::Level::DEBUG } else { tracing::Level::ERROR };
            tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
            node::run()
        }
        None => run::to_the_end(measure(&bench)),
    };
    run::exit_code("bench-relay", done)
}

async fn measure(bench: &Bench) -> anyhow::Result<()> {
    let seed = bench.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let mut results = Results { seed, ..Results::default() };
    if bench.has(Part::Hops) {
        eprintln!("{} hops …", bench.hops);
        let run = bounded(bench.hop_seconds, hops::run(bench)).await.context("hops");
        results.hops = noted(run, &mut results.not_measured);
    }
    if bench.has(Part::Cost) {
        let numbers: Vec<_> = bench.broadcasts.iter().copied().map(usize::from).collect();
        let of = async |number| {
            eprintln!("{number} broadcasts …");
            bounded(bench.seconds, cost::run(&plans(bench, number))).await
        };
        let (runs, failed) = cost::ladder(&numbers, of).await;
        results.costs = runs;
        results.not_measured.extend(failed.map(|error| format!("{error:#}")));
    }
    if bench.has(Part::Window) {
        eprintln!("a window of {} s …", bench.window_secs);
        let keep = Keep { secs: bench.window_secs, bytes_max: KEEP_BYTES_MAX };
        // What is kept is let go of within half as long again.
        let fill = Duration::from_secs(bench.window_secs * 3 / 2);
        let plans = cost::Plans { keep, fill, ..plans(bench, bench.window_broadcasts.into()) };
        let run = bounded(fill.as_secs() + bench.seconds, cost::run(&plans)).await;
        results.window = noted(run.context("the window"), &mut results.not_measured);
    }
    if bench.has(Part::Announced) {
        let watched = usize::from(bench.watched);
        let announced = usize::from(bench.announced).max(2 * watched);
        for (announced, live) in [(watched, watched), (announced, 2 * watched)] {
            eprintln!("{announced} announced …");
            let plans = cost::Plans { announced, watched, ..plans(bench, live) };
            let run = bounded(bench.seconds, cost::run(&plans)).await;
            let run = run.with_context(|| format!("{announced} announced"));
            results.announced.extend(noted(run, &mut results.not_measured));
        }
    }
    if bench.has(Part::Loss) {
        eprintln!("loss …");
        let path = Path {
            delay: Duration::from_micros(bench.loss_rtt_ms * 500),
            loss_percent: bench.loss_percent,
            seed,
            bytes_per_sec: None,
            queue_max: Duration::ZERO,
        };
        let run = badly(bench, 1, path).await.context("loss");
        results.loss = noted(run, &mut results.not_measured);
    }
    if bench.has(Part::Narrow) {
        eprintln!("a narrow path …");
        let need = u64::from(bench.narrow_broadcasts) * BROADCAST_BPS / 8;
        let path = Path {
            delay: NARROW_DELAY,
            loss_percent: 0.0,
            seed,
            bytes_per_sec: Some((need as f64 * bench.narrow_percent / 100.0) as u64),
            queue_max: NARROW_QUEUE,
        };
        let run = badly(bench, bench.narrow_broadcasts.into(), path).await;
        results.narrow = noted(run.context("a narrow path"), &mut results.not_measured);
    }
    println!("{}", report::render(&results));
    if let Some(file) = &bench.json {
        let json = serde_json::to_vec_pretty(&results)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    ensure!(results.not_measured.is_empty(), "not everything could be measured");
    Ok(())
}

/// As many broadcasts, all of them watched, and none kept for longer than a plain edge keeps it.
fn plans(bench: &Bench, broadcasts: usize) -> cost::Plans {
    cost::Plans {
        announced: broadcasts,
        live: broadcasts,
        watched: broadcasts,
        keep: hops::KEEP,
        fill: Duration::ZERO,
        window: Duration::from_secs(bench.seconds),
        verbose: bench.verbose,
    }
}

async fn badly(bench: &Bench, broadcasts: usize, path: Path) -> anyhow::Result<badly::Badly> {
    let window = Duration::from_secs(bench.path_seconds);
    let verbose = bench.verbose;
    let plans = badly::Plans { broadcasts, comments_hz: COMMENTS_HZ, path, window, verbose };
    bounded(bench.path_seconds, badly::run(&plans)).await
}
