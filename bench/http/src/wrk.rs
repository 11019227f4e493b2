//! The load: wrk, on the core that the servers do not have.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lectern_bench_rig::CLIENT_CORE;
use lectern_bench_rig::servers::died_with_us;

/// What wrk says at the end, in a form that no version of it changes.
const REPORT: &str = "\
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n= %d %d %d %d\\n', summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
";
/// More than wrk takes to start and to end.
const OVERHEAD: Duration = Duration::from_secs(20);

/// What came of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) requests: u64,
    /// Heads included.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

/// wrk, and what it is told.
pub(crate) struct Wrk {
    script: PathBuf,
    connections: u64,
    seconds: u64,
}

impl Wrk {
    /// Keeps what it needs in `dir`.
    pub(crate) fn new(dir: &Path, connections: u64, seconds: u64) -> anyhow::Result<Self> {
        let script = dir.join("report.lua");
        std::fs::write(&script, REPORT)?;
        Ok(Self { script, connections, seconds })
    }

    /// Asks for `url` on all connections, again and again.
    pub(crate) async fn run(&self, url: &str) -> anyhow::Result<Answered> {
        let mut command = died_with_us(&[]);
        command.args(["taskset", "-c", &CLIENT_CORE.to_string(), "wrk", "--threads", "1"]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{}s", self.seconds), "--timeout", "10s"]);
        command.arg("--script").arg(&self.script).arg(url);
        let run = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output();
        let limit = OVERHEAD + Duration::from_secs(self.seconds);
        let output = tokio::time::timeout(limit, run).await.context("wrk does not end")??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "wrk cannot be run (scripts/install.sh bench-http installs it): {}",
            said.trim()
        );
        read(&String::from_utf8_lossy(&output.stdout))
    }
}

fn read(text: &str) -> anyhow::Result<Answered> {
    let line = text.lines().find_map(|line| line.strip_prefix("= ")).context("wrk is silent")?;
    let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
    let [requests, bytes, micros, failed] = numbers[..] else {
        anyhow::bail!("wrk says {line:?}");
    };
    ensure!(failed == 0, "{failed} of {requests} requests failed");
    ensure!(requests > 0 && micros > 0, "nothing was answered");
    Ok(Answered { requests, bytes, seconds: micros as f64 / 1e6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_failures_are_not_hidden() {
        let read = |text| read(text).map_err(|error| error.to_string());
        let answered = Answered { requests: 10, bytes: 2_000, seconds: 1.5 };
        assert_eq!(read("Running 1s test\n\n= 10 2000 1500000 0\n"), Ok(answered));
        assert_eq!(read("= 10 2000 1 3"), Err("3 of 10 requests failed".to_owned()));
        assert!(read("= 10 2000").is_err() && read("").is_err() && read("= 0 0 1 0").is_err());
    }
}
