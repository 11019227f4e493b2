//! Where peers reach a media port, an edge's or an origin's: as configured, as a file says that others write, or
//! as the machine's interfaces say.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::{Error, renew};

/// The most addresses that an answer lists; a peer tries each, over UDP and over TCP.
const ADDRESSES_MAX: usize = 16;

/// An address that peers are told, as `203.0.113.7`, or with a port of its own where something in
/// between maps it (a NodePort, a port forwarding), as `203.0.113.7:30189` or `[2001:db8::7]:30189`.
///
/// It need not be an address of the machine: behind a 1:1 NAT it is the one outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicAddress {
    /// The address.
    pub ip: IpAddr,
    /// The port, if it is another than the one that is listened on. UDP and TCP share it.
    pub port: Option<u16>,
}

/// What cannot be a peer's way to a media port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address that viewers can reach; write 203.0.113.7 or 203.0.113.7:30189")]
pub struct NotPublic(String);

impl FromStr for PublicAddress {
    type Err = NotPublic;

    fn from_str(text: &str) -> Result<Self, NotPublic> {
        let with_port = |address: SocketAddr| Self { ip: address.ip(), port: Some(address.port()) };
        let alone = text.parse().map(|ip: IpAddr| Self { ip, port: None });
        alone
            .or_else(|_| text.parse().map(with_port))
            .ok()
            .filter(|address| !address.ip.is_unspecified() && !address.ip.is_multicast())
            .filter(|address| address.port != Some(0))
            .ok_or_else(|| NotPublic(text.to_owned()))
    }
}

impl TryFrom<String> for PublicAddress {
    type Error = NotPublic;

    fn try_from(text: String) -> Result<Self, NotPublic> {
        text.parse()
    }
}

impl From<IpAddr> for PublicAddress {
    fn from(ip: IpAddr) -> Self {
        Self { ip, port: None }
    }
}

impl fmt::Display for PublicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

/// Addresses in a file, one in a line, that others write: what finds them before this process starts, or beside
/// it. Empty lines, and lines that begin with `#`, are passed over.
#[derive(Debug)]
pub struct AddressFile {
    path: PathBuf,
    now: Vec<PublicAddress>,
}

impl AddressFile {
    /// Reads it.
    ///
    /// # Errors
    /// If it cannot be read, or holds no address, too many or what is not one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |path, reason| Error::Addresses { path, reason };
        let now = renew::list(path, ADDRESSES_MAX, ("address", "addresses"), wrong)?;
        Ok(Self { path: path.to_owned(), now })
    }

    /// What stood there when it was read last.
    pub fn addresses(&self) -> &[PublicAddress] {
        &self.now
    }

    /// Reads it again every few seconds, for as long as this runs, and calls `changed` with what is new.
    pub async fn follow(mut self, changed: impl Fn(&[PublicAddress]) + Send + 'static) {
        renew::follow(move || match Self::read(&self.path) {
            Ok(read) if read.now == self.now => renew::Look::Same,
            Ok(read) => {
                let told = read.now.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                tracing::info!(file = %read.path.display(), addresses = told, "media addresses changed");
                changed(&read.now);
                self = read;
                renew::Look::Changed
            }
            Err(error) => renew::Look::Failed(error),
        })
        .await;
    }
}

/// What peers are told, best first: as configured, or the address that we listen on, or all that
/// the machine has.
pub fn media_candidates(configured: &[PublicAddress], local: SocketAddr) -> Vec<SocketAddr> {
    let mut addresses = configured.to_vec();
    if addresses.is_empty() && !local.ip().is_unspecified() {
        addresses.push(local.ip().into());
    }
    if addresses.is_empty() {
        addresses.extend(of_interfaces(local.is_ipv6()).into_iter().map(PublicAddress::from));
    }
    addresses.truncate(ADDRESSES_MAX);
    let candidate =
        |address: PublicAddress| SocketAddr::new(address.ip, address.port.unwrap_or(local.port()));
    addresses.into_iter().map(candidate).collect()
}

/// The machine's addresses, loopback last: it serves only peers on the machine itself.
fn of_interfaces(with_v6: bool) -> Vec<IpAddr> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces.collect(),
        Err(error) => {
            tracing::warn!(%error, "the machine's addresses cannot be listed");
            Vec::new()
        }
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = || address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        v4.or_else(|| v6().filter(|_| with_v6))
    };
    let reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let mut found: Vec<IpAddr> =
        interfaces.into_iter().filter_map(address).filter(reachable).collect();
    if found.is_empty() {
        found.push(Ipv4Addr::LOCALHOST.into());
    }
    found.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_bring_its_own_port() {
        let check = |text: &str, expect: Option<(&str, Option<u16>)>| {
            let expect = expect.map(|(ip, port)| (ip.parse().unwrap(), port));
            let parsed: Result<PublicAddress, NotPublic> = text.parse();
            assert_eq!(parsed.as_ref().ok().map(|a| (a.ip, a.port)), expect, "{text}");
            if let Ok(address) = parsed {
                assert_eq!(address.to_string(), text);
            }
        };
        check("203.0.113.7", Some(("203.0.113.7", None)));
        check("203.0.113.7:30189", Some(("203.0.113.7", Some(30_189))));
        check("2001:db8::7", Some(("2001:db8::7", None)));
        check("[2001:db8::7]:30189", Some(("2001:db8::7", Some(30_189))));
        for bad in ["", "0.0.0.0", "::", "239.1.2.3", "203.0.113.7:0", "edge.example", "1.2.3"] {
            check(bad, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_and_what_is_no_address_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("addresses");
        assert!(matches!(AddressFile::read(&path), Err(Error::File { .. })));
        let refused = |text: &str| {
            std::fs::write(&path, text).unwrap();
            AddressFile::read(&path).unwrap_err().to_string()
        };
        assert!(refused("# none\n").contains("no address in it"));
        assert!(refused("203.0.113.7\nedge.example").contains("no address that viewers can reach"));
        assert!(refused(&"203.0.113.7\n".repeat(17)).contains("more than 16"));
        std::fs::write(&path, "203.0.113.7\n\n[2001:db8::7]:30189\n").unwrap();
        let file = AddressFile::read(&path).unwrap();
        assert_eq!(file.addresses().len(), 2);
        let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(file.follow(move |now| sender.send(now.to_vec()).unwrap()));
        for text in ["nonsense", "203.0.113.8"] {
            std::fs::write(&path, text).unwrap();
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        }
        assert_eq!(told.recv().await, Some(vec!["203.0.113.8".parse().unwrap()]));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_is_configured_is_told_and_nothing_else() {
        let local = "[::]:8189".parse().unwrap();
        let configured = ["203.0.113.7", "[2001:db8::7]:443"].map(|text| text.parse().unwrap());
        let told = media_candidates(&configured, local);
        let expect = ["203.0.113.7:8189", "[2001:db8::7]:443"].map(|text| text.parse().unwrap());
        assert_eq!(told, expect);
    }

    #[test]
    fn without_configuration_it_is_where_we_listen_or_what_the_machine_has() {
        let one = "127.0.0.1:8189".parse().unwrap();
        assert_eq!(media_candidates(&[], one), [one]);
        let all = media_candidates(&[], "0.0.0.0:8189".parse().unwrap());
        assert!(!all.is_empty() && all.iter().all(|address| address.is_ipv4()), "{all:?}");
    }
}
