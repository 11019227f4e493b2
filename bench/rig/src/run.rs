//! How every load benchmark runs: to its end, or until it is told to stop, and in either case nothing that
//! it started is left.

use std::process::ExitCode;

use anyhow::bail;
use tokio::signal::unix::{SignalKind, signal};

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
