//! `make bench-faults`: what viewers notice when something of a cluster fails.

use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser as _;
use lectern_bench_faults::fault::Fault;
use lectern_bench_faults::options::Options;
use lectern_bench_faults::outcome::{Row, render};
use lectern_bench_rig::run;

fn main() -> ExitCode {
    run::exit_code("bench-faults", run::to_the_end(measure(Options::parse())))
}

async fn measure(options: Options) -> anyhow::Result<()> {
    let faults = match (&options.faults[..], options.random) {
        ([], 0) => Fault::ALL.to_vec(),
        (faults, _) => faults.to_vec(),
    };
    let mut rows = Vec::new();
    for fault in faults {
        let row = Row::new(fault, lectern_bench_faults::run(fault, &options).await);
        eprintln!("{}", row.brief());
        rows.push(row);
    }
    if options.random > 0 {
        let seed = options.seed.unwrap_or_else(rand::random);
        eprintln!("{} at random, --seed {seed} …", options.random);
        let told = |row: Row| {
            eprintln!("{}", row.brief());
            rows.push(row);
        };
        lectern_bench_faults::random(seed, &options, told).await?;
    }
    println!("{}", render(&rows));
    options.common.write(&rows)?;
    ensure!(rows.iter().all(Row::is_well), "comments were lost, or viewers need a reload");
    Ok(())
}
