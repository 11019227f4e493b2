//! Whom this origin may be sent to by people: whoever is public, over HTTPS. An address of this machine or of
//! a network of its own would let them reach what is not meant for them (RFC 6890), so it is refused unless the
//! operator names it. It is the address that is looked at, of those that a name has at the time of each attempt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use ipnet::IpNet;
use lectern_relay_proto::about::WebUrl;
use reqwest::{Client, Url};

use crate::outbound;

/// How long the addresses of a name may take.
const RESOLVE_MAX: Duration = Duration::from_secs(5);

/// What is not public, and what leads to it (the special-purpose registries of IANA).
const NOT_PUBLIC: [&str; 26] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

static NETWORKS_NOT_PUBLIC: LazyLock<Vec<IpNet>> =
    LazyLock::new(|| NOT_PUBLIC.iter().map(|net| net.parse().expect("a network")).collect());

/// Networks that are not public, and may be told something all the same, over HTTP too.
#[derive(Clone, Debug, Default)]
pub struct Networks(Vec<IpNet>);

/// What is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct NetworksError(String);

/// Why nobody is told anything at an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Not encrypted.
    #[error("the address must begin with https://, except in networks of origin.webhook_networks")]
    Insecure,
    /// An address of this machine, or of a network of its own.
    #[error("{0} is not a public address: the operator can allow it in origin.webhook_networks")]
    NotPublic(IpAddr),
    /// The name has no address, or nobody knows.
    #[error("its name has no address")]
    Unknown,
    /// No client can be made.
    #[error("this server cannot ask anybody over HTTPS")]
    Client,
}

impl Networks {
    /// Each an address, or a network such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// If one is neither.
    pub fn parse(all: &[String]) -> Result<Self, NetworksError> {
        let parse = |text: &String| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse()).map_err(|_| NetworksError(text.clone()))
        };
        all.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// As far as the address says itself: a name is looked at when it is used.
    pub(super) fn check(&self, url: &WebUrl) -> Result<(), Unreachable> {
        let url = Url::parse(url.as_str()).map_err(|_| Unreachable::Unknown)?;
        match address_in(&url) {
            Some(address) => self.permit(&url, [address]).map(drop),
            None if url.scheme() != "https" && self.0.is_empty() => Err(Unreachable::Insecure),
            None => Ok(()),
        }
    }

    /// A client that asks at `url`, and reaches nobody whom it may not.
    pub(super) async fn client(&self, url: &WebUrl) -> Result<Client, Unreachable> {
        let url = Url::parse(url.as_str()).map_err(|_| Unreachable::Unknown)?;
        let builder = outbound::client();
        let builder = match address_in(&url) {
            Some(address) => self.permit(&url, [address]).map(|_| builder)?,
            None => {
                let host = url.host_str().unwrap_or_default();
                let found = tokio::time::timeout(RESOLVE_MAX, tokio::net::lookup_host((host, 0)));
                let found = found.await.ok().and_then(Result::ok).ok_or(Unreachable::Unknown)?;
                let permitted = self.permit(&url, found.map(|address| address.ip()))?;
                let permitted: Vec<_> =
                    permitted.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
                // Port 0 is the one of the URL.
                builder.resolve_to_addrs(host, &permitted)
            }
        };
        builder.build().map_err(|error| {
            tracing::error!(%error, "no client for webhooks can be made");
            Unreachable::Client
        })
    }

    /// Those of `addresses` that may be asked.
    fn permit(
        &self,
        url: &Url,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Vec<IpAddr>, Unreachable> {
        let mut refused = Unreachable::Unknown;
        let mut permitted = Vec::new();
        for address in addresses {
            let named = self.0.iter().any(|net| net.contains(&plain(address)));
            if named || (url.scheme() == "https" && is_public(address)) {
                permitted.push(address);
            } else if is_public(address) {
                refused = Unreachable::Insecure;
            } else {
                refused = Unreachable::NotPublic(address);
            }
        }
        if permitted.is_empty() { Err(refused) } else { Ok(permitted) }
    }
}

/// The address that stands in a URL itself.
fn address_in(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// An IPv4 address that is written as an IPv6 one, as itself.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn is_public(address: IpAddr) -> bool {
    let public = |address: IpAddr| !NETWORKS_NOT_PUBLIC.iter().any(|net| net.contains(&address));
    match plain(address) {
        IpAddr::V6(v6) => public(v6.into()) && carried(v6).is_none_or(|v4| public(v4.into())),
        v4 => public(v4),
    }
}

/// The IPv4 address that a translator or a tunnel makes of an IPv6 one: NAT64 (RFC 6052), 6to4 (RFC 3056), and
/// the former IPv4-compatible ones.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(networks: &[&str], url: &str) -> Result<(), Unreachable> {
        let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
        let networks = Networks::parse(&networks).expect("networks");
        networks.check(&WebUrl::try_from(url.to_owned()).expect("an address"))
    }

    #[test]
    fn what_is_not_public_is_refused_however_it_is_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a00:1]",
            "[::7f00:1]",
            "[64:ff9b::a00:1]",
            "[2002:7f00:1::]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[2001::1]",
        ] {
            let refused = check(&[], &format!("https://{host}/hook"));
            assert!(matches!(refused, Err(Unreachable::NotPublic(_))), "{host}: {refused:?}");
        }
    }

    #[test]
    fn what_is_public_is_told_over_https() {
        for host in ["93.184.216.34", "[2606:2800:220:1::1]", "[64:ff9b::5db8:d822]", "lms.example"]
        {
            assert_eq!(check(&[], &format!("https://{host}/")), Ok(()), "{host}");
            assert_eq!(
                check(&[], &format!("http://{host}/")),
                Err(Unreachable::Insecure),
                "{host}"
            );
        }
    }

    #[test]
    fn the_operator_opens_networks() {
        assert_eq!(check(&["127.0.0.1"], "http://127.0.0.1:8080/"), Ok(()));
        assert_eq!(check(&["127.0.0.1"], "http://[::ffff:127.0.0.1]/"), Ok(()));
        assert!(check(&["127.0.0.1"], "http://127.0.0.2/").is_err());
        assert_eq!(check(&["10.0.0.0/8", "fd00::/8"], "https://[fd00::1]/"), Ok(()));
        assert!(Networks::parse(&["intranet".to_owned()]).is_err());
    }

    #[tokio::test]
    async fn a_name_is_as_good_as_its_addresses() {
        let url = |text: &str| WebUrl::try_from(text.to_owned()).expect("an address");
        let nobody = Networks::default();
        let local = nobody.client(&url("https://localhost/")).await;
        assert!(matches!(local, Err(Unreachable::NotPublic(_))), "{local:?}");
        let here =
            Networks::parse(&["127.0.0.0/8".to_owned(), "::1".to_owned()]).expect("networks");
        assert!(here.client(&url("http://localhost:1/")).await.is_ok());
    }
}
