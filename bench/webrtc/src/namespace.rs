//! Two network namespaces joined by a wire that loses datagrams: viewers in one, the edge in the
//! other.
//!
//! The kernel's `netem` would delay as well, but it is a module that not every machine has; so
//! nftables drops, and the viewers' own queues delay.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use lectern_bench_rig::proc::tool;

/// The edge's UDP port in its namespace.
pub(crate) const MEDIA_PORT: u16 = 8_189;
/// The viewers' end of the wire, and the edge's.
pub(crate) const VIEWERS_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 1));
pub(crate) const EDGE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 2));

/// The namespaces. Dropping this removes them, and the wire with them.
pub(crate) struct Namespaces {
    pub(crate) viewers: String,
    pub(crate) edge: String,
}

impl Namespaces {
    /// Makes them; `percent` of the media's datagrams are lost, each way.
    pub(crate) fn make(percent: u64) -> anyhow::Result<Self> {
        sweep();
        let pid = std::process::id();
        let made = Self { viewers: format!("lectern-{pid}-v"), edge: format!("lectern-{pid}-e") };
        let Self { viewers, edge } = &made;
        let ip = |line: &str| tool("ip", &line.split(' ').collect::<Vec<_>>());
        ip(&format!("netns add {viewers}"))?;
        ip(&format!("netns add {edge}"))?;
        ip(&format!("link add wire netns {viewers} type veth peer name wire netns {edge}"))?;
        for (namespace, address) in [(viewers, VIEWERS_IP), (edge, EDGE_IP)] {
            // Else a segmented send crosses the wire, and is lost, as one packet.
            ip(&format!("-n {namespace} link set wire gso_max_segs 1"))?;
            ip(&format!("-n {namespace} addr add {address}/24 dev wire"))?;
            ip(&format!("-n {namespace} link set wire up"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
        }
        // Dropped where it arrives: what is dropped on its way out the sender is told.
        for (namespace, port) in [(viewers, "sport"), (edge, "dport")] {
            lose(namespace, port, percent)?;
        }
        Ok(made)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in [&self.viewers, &self.edge] {
            // What was never made cannot be removed.
            let _ = tool("ip", &["netns", "del", name]);
        }
    }
}

/// Removes what runs left behind that were killed.
fn sweep() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if maker(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Then it stays, and does no harm.
            let _ = tool("ip", &["netns", "del", name]);
        }
    }
}

/// The process that made a namespace of this name, if it is one of ours.
fn maker(name: &str) -> Option<u32> {
    let (pid, end) = name.strip_prefix("lectern-")?.split_once('-')?;
    matches!(end, "v" | "e").then(|| pid.parse().ok())?
}

fn lose(namespace: &str, port: &str, percent: u64) -> anyhow::Result<()> {
    use std::io::Write as _;
    let rules = format!(
        "table inet lossy {{\n\
         chain arriving {{\n\
         type filter hook input priority 0\n\
         udp {port} {MEDIA_PORT} numgen random mod 100 < {percent} drop\n\
         }}\n\
         }}\n"
    );
    let mut nft = Command::new("ip")
        .args(["netns", "exec", namespace, "nft", "-f", "-"])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_namespaces_are_swept() {
        assert_eq!(maker("lectern-4711-v"), Some(4711));
        assert_eq!(maker("lectern-4711-x"), None);
        assert_eq!(maker("lectern-e"), None);
        assert_eq!(maker("other-1-e"), None);
    }
}
