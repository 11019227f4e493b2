//! Two network namespaces joined by a wire that loses datagrams: viewers in one, the edge in the
//! other. What delay there is the viewers' own queues make.

use std::net::{IpAddr, Ipv4Addr};

use lectern_bench_rig::namespace::{Namespace, sweep};

/// The edge's UDP port in its namespace.
pub(crate) const MEDIA_PORT: u16 = 8_189;
/// The viewers' end of the wire, and the edge's.
pub(crate) const VIEWERS_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 1));
pub(crate) const EDGE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 213, 0, 2));

/// The namespaces. Dropping this removes them, and the wire with them.
pub(crate) struct Namespaces {
    pub(crate) viewers: Namespace,
    pub(crate) edge: Namespace,
}

impl Namespaces {
    /// Makes them; `percent` of the media's datagrams are lost, each way.
    pub(crate) fn make(percent: u64) -> anyhow::Result<Self> {
        sweep();
        let made = Self { viewers: Namespace::make("v")?, edge: Namespace::make("e")? };
        let Self { viewers, edge } = &made;
        viewers.ip(&format!("link add wire type veth peer name wire netns {}", edge.name()))?;
        for (namespace, address) in [(viewers, VIEWERS_IP), (edge, EDGE_IP)] {
            // Else a segmented send crosses the wire, and is lost, as one packet.
            namespace.ip("link set wire gso_max_segs 1")?;
            namespace.ip(&format!("addr add {address}/24 dev wire"))?;
            namespace.ip("link set wire up")?;
        }
        // Dropped where it arrives: what is dropped on its way out the sender is told.
        for (namespace, port) in [(viewers, "sport"), (edge, "dport")] {
            lose(namespace, port, percent)?;
        }
        Ok(made)
    }
}

fn lose(namespace: &Namespace, port: &str, percent: u64) -> anyhow::Result<()> {
    namespace.nft(&format!(
        "table inet lossy {{\n\
         chain arriving {{\n\
         type filter hook input priority 0\n\
         udp {port} {MEDIA_PORT} numgen random mod 100 < {percent} drop\n\
         }}\n\
         }}\n"
    ))
}
