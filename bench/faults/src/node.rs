//! One process of the cluster: started in its namespace, killed, told to stop, and started again.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lectern_bench_rig::proc;
use lectern_bench_rig::servers::{died_with_us, without_settings};
use tokio::process::Child;

use crate::shim::Shim;

/// How long a process may take to stop when it is told to: longer than any of them is told to take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// How a process is started.
#[derive(Debug)]
pub(crate) struct Program {
    /// What is said of it.
    pub(crate) name: String,
    /// The namespace that it is in.
    pub(crate) namespace: String,
    /// The user and the group that it is to be, if not ours.
    pub(crate) user: Option<(u32, u32)>,
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// Where what it says goes.
    pub(crate) log: PathBuf,
}

/// The process, while it runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Node {
    program: Program,
    pub(crate) shim: Shim,
    child: Option<Child>,
}

impl Node {
    /// A node that is not started yet.
    pub(crate) fn new(program: Program, shim: Shim) -> Self {
        Self { program, shim, child: None }
    }

    /// Starts it. Must be called from the thread that stays: with it the process ends.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let Program { name, namespace, user, words, log } = &self.program;
        let mut before: Vec<String> = ["ip", "netns", "exec", namespace].map(str::to_owned).into();
        if let Some((user, group)) = user {
            before.push("setpriv".to_owned());
            before.extend([format!("--reuid={user}"), format!("--regid={group}")]);
            before.push("--clear-groups".to_owned());
        }
        // Last, because becoming somebody else would undo it.
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        let mut command = died_with_us(&before);
        command.args(words).envs(self.shim.environment());
        without_settings(&mut command);
        let log = append(log)?;
        command.stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        self.child = Some(child);
        Ok(())
    }

    /// Adds a line to its configuration, which is the last of its words, for when it is started again.
    pub(crate) fn configure(&self, line: &str) -> anyhow::Result<()> {
        let config = self.program.words.last().context("a program without a configuration")?;
        let mut config = append(Path::new(config))?;
        writeln!(config, "{line}").context("its configuration cannot be written")
    }

    /// What the system knows it by, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.tell_to_stop()?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if tokio::time::timeout(STOP_MAX, child.wait()).await.is_err() {
            child.kill().await?;
            bail!("{} has not stopped after {STOP_MAX:?}", self.program.name);
        }
        Ok(())
    }

    /// Tells it to stop.
    pub(crate) fn tell_to_stop(&self) -> anyhow::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        proc::tool("kill", &["-TERM", &pid.to_string()])
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Its memory, in MB; zero when it does not run.
    pub(crate) fn memory_mb(&self) -> u64 {
        let kb = self.pid().and_then(|pid| proc::rss_kb(pid).ok());
        kb.unwrap_or(0) / 1_024
    }

    /// What it has said last, for who wonders.
    pub(crate) fn last_words(&self) -> String {
        let said = std::fs::read(&self.program.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.program.name
    }
}

fn append(log: &Path) -> anyhow::Result<File> {
    let log = OpenOptions::new().create(true).append(true).open(log);
    log.context("a file cannot be written")
}
