//! What the system says of processes and cores, from `/proc`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Processor time that a process has used: user and system time of all its threads that live.
///
/// From the scheduler's own count, which is in nanoseconds and adds up to what `stat` gives in
/// hundredths of a second.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("the process is gone")?;
    let mut nanos = 0;
    for task in tasks {
        // A thread may end while we look.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanos += first_number(&text).context("schedstat")?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// The same of one thread of this process.
pub fn thread_cpu(tid: u32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat"))?;
    Ok(Duration::from_nanos(first_number(&text).context("schedstat")?))
}

/// Resident memory of a process, in kB.
pub fn rss_kb(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(first_number).context("no VmRSS")
}

/// How busy a core was: busy and all time since the start, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    busy: u64,
    all: u64,
}

impl Busy {
    /// Of core `core` until now.
    pub fn now(core: usize) -> anyhow::Result<Self> {
        Self::read(&fs::read_to_string("/proc/stat")?, core).context("no such core")
    }

    fn read(text: &str, core: usize) -> Option<Self> {
        let name = format!("cpu{core} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name))?;
        let ticks: Vec<u64> = line.split_ascii_whitespace().flat_map(str::parse).collect();
        let all = ticks.iter().take(8).sum();
        // Idle and waiting for disks.
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Self { busy: all - idle, all })
    }

    /// The share of the time since `before` that it was busy, in per cent.
    pub fn percent_since(&self, before: &Self) -> f64 {
        let all = (self.all - before.all).max(1);
        (self.busy - before.busy) as f64 * 100.0 / all as f64
    }
}

/// Datagrams that sockets of this network namespace had no room for, so far.
pub fn udp_drops() -> anyhow::Result<u64> {
    udp_counter(&fs::read_to_string("/proc/net/snmp")?, "RcvbufErrors").context("RcvbufErrors")
}

fn udp_counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let names = lines.next()?.split_ascii_whitespace();
    let values = lines.next()?.split_ascii_whitespace();
    names.zip(values).find(|(found, _)| *found == name)?.1.parse().ok()
}

/// Keeps all threads of this process on one core.
pub fn pin(core: usize) -> anyhow::Result<()> {
    let (pid, core) = (std::process::id().to_string(), core.to_string());
    tool("taskset", &["-a", "-c", "-p", &core, &pid])
}

/// Lets others go before a thread of this process.
pub fn yield_to_others(tid: u32) -> anyhow::Result<()> {
    tool("renice", &["-n", "5", "-p", &tid.to_string()])
}

/// Runs a tool of the system to its end.
pub fn tool(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(name).args(arguments).output();
    let output = output.with_context(|| format!("{name} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_the_system_are_read() {
        let text = "cpu  9 9 9 9\ncpu0 10 1 20 100 5 0 4 0 0 0\ncpu1 0 0 0 50 0 0 0 0 0 0\n";
        let before = Busy::read(text, 1).unwrap();
        let after = Busy::read(&text.replace("cpu1 0 0 0 50", "cpu1 20 0 10 120"), 1).unwrap();
        assert_eq!(after.percent_since(&before), 30.0);
        assert!(Busy::read(text, 2).is_none());
        let text = "Tcp: a\nTcp: 1\nUdp: In RcvbufErrors\nUdp: 5 7\nUdpLite: In\nUdpLite: 0\n";
        assert_eq!(udp_counter(text, "RcvbufErrors"), Some(7));
    }

    #[test]
    fn this_process_is_found() {
        let pid = std::process::id();
        assert!(rss_kb(pid).unwrap() > 0);
        assert!(cpu(pid).unwrap() > Duration::ZERO);
        assert!(cpu(u32::MAX).is_err());
    }
}
