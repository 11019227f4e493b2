//! `make bench-http`, the throughput part: hot objects beside nginx ([`hot`]), and blocking playlist
//! reloads with many waiting clients ([`reload`]).

mod hot;
mod nginx;
mod objects;
mod options;
mod reload;
mod report;
mod wrk;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use lectern_bench_rig::clip::Clip;
use lectern_bench_rig::publish::Publisher;
use lectern_bench_rig::servers::{self, KEY, Place, Servers, Setup};
use lectern_bench_rig::{CLIENT_CORE, proc, run};
use reqwest::Url;
use tokio::time::{Duration, Instant, sleep};

use hot::Contest;
use nginx::Nginx;
use objects::{Broadcast, Object};
use options::Bench;
use reload::Reload;
use report::Results;
use wrk::Wrk;

/// Kept by the edge: longer than one round with both servers, and than all reloads.
const WINDOW_SECS: usize = 180;
/// Until there is a whole segment: two of them, and the start.
const MEDIA_MAX: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(200);
/// Frames from one stamp to the next. Nobody reads them here.
const STAMP_EVERY: u64 = 1 << 40;

fn main() -> ExitCode {
    run::exit_code("bench-http", run::to_the_end(measure(&Bench::parse())))
}

async fn measure(bench: &Bench) -> anyhow::Result<()> {
    proc::pin(CLIENT_CORE).context("a core for the edge and another for all else are needed")?;
    let unknown = |name: &&String| Object::ALL.iter().all(|object| object.as_str() != **name);
    if let Some(name) = bench.only.iter().find(unknown) {
        bail!("--only knows no {name:?}");
    }
    let dir = tempfile::tempdir()?;
    let clip = Arc::new(Clip::make(dir.path()).await?);
    let mut results = Results {
        video_bps: clip.video_bps(),
        connections: bench.connections,
        ..Results::default()
    };
    let client = servers::client()?;
    let setup = Setup {
        options: &bench.common,
        place: &Place::loopback(),
        settings: &[("window_secs", WINDOW_SECS), ("window_bytes_max", 256 << 20)],
    };
    let servers = Servers::start(&client, &setup).await?;
    let publisher = Publisher::start(servers.rtmp, KEY, clip, Arc::default(), STAMP_EVERY)?;
    let broadcast = Broadcast::at(client, Url::parse(&format!("http://{}/", servers.http))?)?;
    wait_for_media(&broadcast).await?;

    let nginx = Nginx::start().await?;
    let wrk = Wrk::new(dir.path(), bench.connections, bench.seconds)?;
    let edge_pid = servers.edge_pid()?;
    let contest = Contest { broadcast: &broadcast, edge_pid, nginx: &nginx, wrk: &wrk };
    for object in Object::ALL {
        if !bench.only.is_empty() && bench.only.iter().all(|name| object.as_str() != name) {
            continue;
        }
        eprintln!("{} …", object.as_str());
        for number in 0..bench.rounds {
            match contest.round(object, number).await {
                Ok(round) => results.rounds.push(round),
                Err(error) => {
                    results.not_measured.push(format!("{}: {error:#}", object.as_str()));
                    break;
                }
            }
        }
    }
    drop(nginx);
    if bench.waiting > 0 {
        eprintln!("blocking reloads …");
        let reload = Reload {
            broadcast: &broadcast,
            address: servers.http,
            edge_pid,
            clients: bench.waiting,
            seconds: bench.reload_seconds,
        };
        match reload.run().await {
            Ok(reloaded) => results.reload = Some(reloaded),
            Err(error) => results.not_measured.push(format!("blocking reload: {error:#}")),
        }
    }
    drop(publisher);
    servers.stop().await?;
    println!("{}", report::render(&results));
    bench.common.write(&results)?;
    ensure!(results.not_measured.is_empty(), "not everything could be measured");
    Ok(())
}

/// Waits until the edge has a whole segment.
async fn wait_for_media(broadcast: &Broadcast) -> anyhow::Result<()> {
    let deadline = Instant::now() + MEDIA_MAX;
    while let Err(error) = broadcast.find(Object::Segment).await {
        if Instant::now() > deadline {
            return Err(error.context(format!("the edge has no media after {MEDIA_MAX:?}")));
        }
        sleep(POLL).await;
    }
    Ok(())
}
