//! Network namespaces of a benchmark's own: made, given addresses, rules and names, entered by a thread, and
//! removed, also those that a run which was killed left behind. Which wires there are between them is
//! whoever makes them to say.
//!
//! The kernel's `netem` would lose and delay, but it is a module that not every machine has; so nftables
//! drops, and who wants delay delays by itself.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use nix::sched::{CloneFlags, setns};

use crate::proc::tool;

/// What all names begin with; then comes the process that made the namespace.
const PREFIX: &str = "lectern-";

/// A namespace. Dropping this removes it, and the ends of wires in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with its loopback up. `node` tells those of one process apart.
    pub fn make(node: &str) -> anyhow::Result<Self> {
        let name = format!("{PREFIX}{}-{node}", std::process::id());
        tool("ip", &["netns", "add", &name])?;
        let made = Self { name };
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// What the system calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it; `line` is split at spaces.
    pub fn ip(&self, line: &str) -> anyhow::Result<()> {
        let words = ["-n", &self.name].into_iter().chain(line.split(' '));
        tool("ip", &words.collect::<Vec<_>>())
    }

    /// Has nftables take `rules` in, all of them or none.
    pub fn nft(&self, rules: &str) -> anyhow::Result<()> {
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.name, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("nft cannot be run")?;
        if let Some(mut stdin) = nft.stdin.take() {
            stdin.write_all(rules.as_bytes())?;
        }
        let output = nft.wait_with_output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// What programs that are started in it by `ip netns exec` find in `/etc/hosts`.
    pub fn hosts(&self, text: &str) -> anyhow::Result<()> {
        let dir = etc(&self.name);
        std::fs::create_dir_all(&dir)?;
        Ok(std::fs::write(dir.join("hosts"), text)?)
    }

    /// Runs `job` on a thread whose sockets are in the namespace. The thread's result is that of the job.
    pub fn thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<JoinHandle<Option<T>>> {
        let entry = std::fs::File::open(Path::new("/run/netns").join(&self.name))?;
        let (told, entered) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(self.name.clone()).spawn(move || {
            let done = setns(entry, CloneFlags::CLONE_NEWNET);
            let failed = done.is_err();
            // Nobody listens any more only if whoever started this is gone.
            let _ = told.send(done);
            (!failed).then(job)
        })?;
        entered.recv().context("the thread ended")?.context("the namespace cannot be entered")?;
        Ok(thread)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Removes what runs left behind that were killed, and ends what still runs in there.
pub fn sweep() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if maker(name).is_some_and(|pid| !is_alive(pid)) {
            end_all(name);
            remove(name);
        }
    }
}

/// Whether there is a process of this number.
pub fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The process that made a namespace of this name, if it is one of ours.
fn maker(name: &str) -> Option<u32> {
    let (pid, node) = name.strip_prefix(PREFIX)?.split_once('-')?;
    if node.is_empty() {
        return None;
    }
    pid.parse().ok()
}

/// Ends the processes in a namespace.
fn end_all(name: &str) {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).output() else { return };
    for pid in String::from_utf8_lossy(&output.stdout).split_ascii_whitespace() {
        // It may have ended by itself.
        let _ = tool("kill", &["-KILL", pid]);
    }
}

fn remove(name: &str) {
    // What was never made cannot be removed, and what stays does no harm.
    let _ = tool("ip", &["netns", "del", name]);
    let _ = std::fs::remove_dir_all(etc(name));
}

fn etc(name: &str) -> PathBuf {
    Path::new("/etc/netns").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_namespaces_are_swept() {
        assert_eq!(maker("lectern-4711-v"), Some(4711));
        assert_eq!(maker("lectern-4711-3-origin-a"), Some(4711));
        assert_eq!(maker("lectern-4711-"), None);
        assert_eq!(maker("lectern-e"), None);
        assert_eq!(maker("other-1-e"), None);
    }
}
