//! How every load benchmark runs: to its end, or until it is told to stop, and in either case nothing that
//! it started is left.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

/// More than anything of a run takes that is not measuring, joining or filling.
const OVERHEAD: Duration = Duration::from_secs(180);

/// Runs `bench` on one thread, because children end with the thread that started them. What is dropped
/// when it is told to stop ends its processes.
pub fn to_the_end(bench: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            done = bench => done,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })
}

/// Gives a run as long as it measures, and some time around that.
pub async fn bounded<T>(
    seconds: u64,
    run: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let limit = OVERHEAD + Duration::from_secs(seconds);
    tokio::time::timeout(limit, run).await.context("took too long")?
}

/// What a run measured; one that fails is said and noted, and leaves the others what they are.
pub fn noted<T>(run: anyhow::Result<T>, failures: &mut Vec<String>) -> Option<T> {
    run.inspect_err(|error| {
        eprintln!("{error:#}");
        failures.push(format!("{error:#}"));
    })
    .ok()
}

/// Says what went wrong with the benchmark `name`, if something did.
pub fn exit_code(name: &str, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
