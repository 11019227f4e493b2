//! What a broadcast is called on the relay, and which of several publications of it is followed.
//!
//! `live/<id>/<epoch>.<origin>.<number>`: a path is never used twice. So whoever stands in between, a relay or
//! the library's own cache, cannot take one publication for another; and which is the newest, and whose, can
//! be seen from the paths alone, wherever they are heard ([`Publication`] is ordered so).

use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::BroadcastId;

/// Broadcasts stand under this first segment of a path.
const LIVE: &str = "live";

/// How new a publication of a broadcast is: of several, the one with the greatest is followed.
///
/// Whoever makes origins take turns gives them out so that they rise; UTC milliseconds do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Of an origin that knows the broadcast and has not been given it: followed while there is no other.
    pub const IDLE: Self = Self(0);
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One process that publishes, told apart from all others, and from the one before it on the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(u64);

impl Node {
    /// Another one each time.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Node {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let node = Self(u64::from_str_radix(text, 16).map_err(|_| NotOurs)?);
        (node.to_string() == text).then_some(node).ok_or(NotOurs)
    }
}

/// One publication of a broadcast by one origin. The later in order is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Publication {
    pub(super) epoch: Epoch,
    pub(super) origin: Node,
    /// Tells apart those of one origin.
    pub(super) number: u64,
}

impl Publication {
    /// Where it is announced.
    pub(super) fn path(&self, id: &BroadcastId) -> String {
        format!("{LIVE}/{id}/{self}")
    }

    /// What is announced at `path`; `None` for a path that no publisher of ours announces.
    pub(super) fn at(path: &str) -> Option<(BroadcastId, Self)> {
        let (id, publication) = path.strip_prefix(LIVE)?.strip_prefix('/')?.split_once('/')?;
        Some((id.parse().ok()?, publication.parse().ok()?))
    }
}

impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.origin, self.number)
    }
}

/// How a broadcast is announced where it begins. By its first hop, which is another one each time, it is known
/// for the same by whatever way it comes: who reads it goes on by another when a relay in between ends.
pub(super) fn route() -> Result<moq_net::origin::Route, Error> {
    let mut hops = moq_net::Hops::new();
    hops.push(moq_net::Hop::random()).map_err(|error| Error::Protocol(error.to_string()))?;
    Ok(moq_net::origin::Route::default().with_hops(hops))
}

/// The text is not one that a publisher of ours writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOurs;

impl FromStr for Publication {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let (epoch, rest) = text.split_once('.').ok_or(NotOurs)?;
        let (origin, number) = rest.split_once('.').ok_or(NotOurs)?;
        let epoch = Epoch(epoch.parse().map_err(|_| NotOurs)?);
        let number = number.parse().map_err(|_| NotOurs)?;
        let publication = Self { epoch, origin: origin.parse()?, number };
        // One spelling each, so that no two paths are one publication.
        (publication.to_string() == text).then_some(publication).ok_or(NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_publication_it_is() {
        let id: BroadcastId = "room_1".parse().expect("valid");
        for (epoch, number) in [(0, 0), (1_795_000_000_000, 7), (u64::MAX, u64::MAX)] {
            let publication = Publication { epoch: Epoch(epoch), origin: Node::random(), number };
            assert_eq!(Publication::at(&publication.path(&id)), Some((id.clone(), publication)));
        }
        for other in [
            "live/room",
            "live/room/",
            "live//1.0000000000000001.1",
            "live/room/1",
            "live/room/1.1.1",
            "live/room/1.0000000000000001",
            "live/room/01.0000000000000001.1",
            "live/room/+1.0000000000000001.1",
            "live/room/1.0000000000000001.01",
            "live/room/1.000000000000000A.1",
            "live/room/1.0000000000000001.1/x",
            "edge/room/1.0000000000000001.1",
        ] {
            assert_eq!(Publication::at(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_is_the_one_of_the_greatest_epoch() {
        let of = |epoch, origin, number| Publication {
            epoch: Epoch(epoch),
            origin: Node(origin),
            number,
        };
        assert!(of(10, 1, 1) > of(9, u64::MAX, u64::MAX));
        assert!(of(9, 2, 1) > of(9, 1, 9));
        assert!(of(9, 2, 2) > of(9, 2, 1));
        assert!(
            of(1, 0, 0) > Publication { epoch: Epoch::IDLE, origin: Node(u64::MAX), number: 9 }
        );
    }
}
