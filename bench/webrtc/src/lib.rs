//! `make bench-webrtc`: what a WebRTC viewer costs, and what it sees.
//!
//! Protocol logic is pure, as in the product: [`viewer`] and what it is made of have neither socket
//! nor clock. [`load`] is the thread that drives them all, [`steady`], [`storm`] and [`lossy`] are
//! what is measured. [`probe`] is one viewer by itself, for other benchmarks.

mod floor;
mod frames;
mod h264;
mod load;
mod lossy;
mod nack;
mod namespace;
mod options;
pub mod probe;
mod receiver;
mod reception;
mod report;
mod rtp;
mod sdp;
mod socket;
mod stack;
mod steady;
mod storm;
mod tally;
mod transport;
mod viewer;
mod whep;
mod window;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Parser as _;

use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::run::{bounded, noted};
use lectern_bench_rig::{CLIENT_CORE, proc, run};
use options::{Bench, Options, Part};
use report::Results;

/// The benchmark, as its command line says.
pub fn main() -> ExitCode {
    run::exit_code("bench-webrtc", start(Options::parse()))
}

fn start(Options { bench, part }: Options) -> anyhow::Result<()> {
    match &part {
        Some(Part::Floor { plan }) => floor::run(plan),
        // Its namespaces are removed with it, too.
        _ => run::to_the_end(measure(bench, part)),
    }
}

async fn measure(bench: Bench, part: Option<Part>) -> anyhow::Result<()> {
    proc::pin(CLIENT_CORE).context("a core for the edge and another for all else are needed")?;
    let dir = tempfile::tempdir()?;
    let clip = Arc::new(Clip::make(dir.path()).await?);
    if let Some(Part::Lossy { edge_namespace }) = part {
        let results = lossy::inside(&bench, &edge_namespace, clip).await?;
        println!("{}", serde_json::to_string(&results)?);
        return Ok(());
    }
    let mut results = Results { video_bps: clip.video_bps(), ..Results::default() };
    for viewers in bench.viewers.iter().copied().filter(|viewers| *viewers > 0) {
        eprintln!("{viewers} viewers …");
        let seconds = 3 * bench.seconds + viewers as u64 / bench.join_rate;
        let run = bounded(seconds, steady::run(&bench, clip.clone(), viewers)).await;
        let run = run.with_context(|| format!("the run with {viewers} viewers"));
        results.runs.extend(noted(run, &mut results.not_measured));
    }
    if bench.storm_rate > 0 {
        eprintln!("join storm …");
        let seconds = bench.storm_seconds + bench.storm_onto as u64 / bench.join_rate;
        let run = bounded(seconds, storm::run(&bench, clip.clone())).await;
        let run = run.context("the join storm");
        results.storm = noted(run, &mut results.not_measured);
    }
    if bench.loss_viewers > 0 {
        eprintln!("loss …");
        let run = bounded(bench.loss_seconds, lossy::run(&bench)).await;
        let run = run.context("the run with loss");
        results.loss = noted(run, &mut results.not_measured);
    }
    println!("{}", report::render(&results));
    bench.common.write(&results)?;
    ensure!(results.not_measured.is_empty(), "not everything could be measured");
    Ok(())
}
