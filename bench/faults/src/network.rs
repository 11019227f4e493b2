//! The cluster's network: a bridge, and each node in a namespace of its own with one wire to it. Between edges
//! and origins stand relays (see [`crate::link`]), so that what goes wrong there is wrong for them alone.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use lectern_bench_rig::namespace::{Namespace, sweep};

/// The name under which edges look for origins.
pub(crate) const ORIGINS: &str = "origins";
/// The relay's port, at origins and at what stands before them.
pub(crate) const RELAY_PORT: u16 = 4_443;

/// Who is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Viewers,
    Encoder,
    Database,
    /// What stands before the origins.
    Links,
    Origin(usize),
    Edge(usize),
}

/// How many edges there are: the viewers', and the one that they can go to.
pub(crate) const EDGES: usize = 2;
/// The most origins that there can be.
pub(crate) const ORIGINS_MAX: usize = 2;

impl Place {
    /// Its address. That of the links is for the first origin; see [`link_address`].
    pub(crate) fn address(self) -> Ipv4Addr {
        let last = match self {
            Self::Viewers => 2,
            Self::Encoder => 3,
            Self::Database => 4,
            Self::Links => 11,
            Self::Origin(n) => 21 + n as u8,
            Self::Edge(n) => 31 + n as u8,
        };
        Ipv4Addr::new(10, 214, 0, last)
    }

    fn name(self) -> String {
        match self {
            Self::Viewers => "viewers".to_owned(),
            Self::Encoder => "encoder".to_owned(),
            Self::Database => "database".to_owned(),
            Self::Links => "links".to_owned(),
            Self::Origin(n) => format!("origin-{}", n + 1),
            Self::Edge(n) => format!("edge-{}", n + 1),
        }
    }
}

/// Where edges find origin `n`.
pub(crate) fn link_address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 214, 0, 11 + n as u8)
}

/// The namespaces. Dropping this removes them.
pub(crate) struct Network {
    places: Vec<(Place, Namespace)>,
    /// Holds the bridge.
    _hub: Namespace,
    origins: usize,
}

impl Network {
    /// Makes them, for so many origins.
    pub(crate) fn make(origins: usize) -> anyhow::Result<Self> {
        /// Networks of this process, which may have several at once.
        static MADE: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let hub = Namespace::make(&format!("{number}-hub"))?;
        hub.ip("link add bridge type bridge")?;
        hub.ip("link set bridge up")?;
        let places = [Place::Viewers, Place::Encoder, Place::Database, Place::Links].into_iter();
        let places = places.chain((0..origins).map(Place::Origin));
        let mut made = Vec::new();
        for place in places.chain((0..EDGES).map(Place::Edge)) {
            let (name, address) = (place.name(), place.address());
            let node = Namespace::make(&format!("{number}-{name}"))?;
            hub.ip(&format!("link add {name} type veth peer name wire netns {}", node.name()))?;
            hub.ip(&format!("link set {name} master bridge"))?;
            hub.ip(&format!("link set {name} up"))?;
            // Else a segmented send is lost as one packet.
            node.ip("link set wire gso_max_segs 1")?;
            node.ip(&format!("addr add {address}/24 dev wire"))?;
            if place == Place::Links {
                for n in 1..origins {
                    node.ip(&format!("addr add {}/24 dev wire", link_address(n)))?;
                }
            }
            node.ip("link set wire up")?;
            made.push((place, node));
        }
        let made = Self { places: made, _hub: hub, origins };
        for n in 0..EDGES {
            let mut hosts = "127.0.0.1 localhost\n".to_owned();
            (0..origins).for_each(|n| hosts += &format!("{} {ORIGINS}\n", link_address(n)));
            made.at(Place::Edge(n))?.hosts(&hosts)?;
        }
        Ok(made)
    }

    /// The namespace of a place.
    pub(crate) fn at(&self, place: Place) -> anyhow::Result<&Namespace> {
        let found = self.places.iter().find(|(at, _)| *at == place);
        found.map(|(_, node)| node).ok_or_else(|| anyhow::anyhow!("there is no {place:?}"))
    }

    /// Cuts the link between edge `n` and the origins, both ways, so that neither is told.
    pub(crate) fn cut(&self, n: usize) -> anyhow::Result<()> {
        let edge = Place::Edge(n);
        let rules: Vec<String> =
            (0..self.origins).map(|n| format!("ip saddr {} drop", link_address(n))).collect();
        self.filter(edge, &rules.join("\n"))?;
        self.filter(Place::Links, &format!("ip saddr {} drop", edge.address()))
    }

    /// Has so many of a hundred datagrams be lost between edges and origins, each way.
    pub(crate) fn lose(&self, percent: u64) -> anyhow::Result<()> {
        // Dropped where it arrives: what is dropped on its way out the sender is told.
        let lost = format!("{RELAY_PORT} numgen random mod 100 < {percent} drop");
        for n in 0..EDGES {
            self.filter(Place::Edge(n), &format!("udp sport {lost}"))?;
        }
        self.filter(Place::Links, &format!("udp dport {lost}"))
    }

    /// All links are whole again.
    pub(crate) fn mend(&self) -> anyhow::Result<()> {
        for place in (0..EDGES).map(Place::Edge).chain([Place::Links]) {
            self.filter(place, "")?;
        }
        Ok(())
    }

    /// What arrives at a place goes by these rules and by none of before.
    fn filter(&self, place: Place, rules: &str) -> anyhow::Result<()> {
        self.at(place)?.nft(&format!(
            "add table inet faults\n\
             delete table inet faults\n\
             table inet faults {{\n\
             chain arriving {{\n\
             type filter hook input priority 0\n\
             {rules}\n\
             }}\n\
             }}\n"
        ))
    }
}
