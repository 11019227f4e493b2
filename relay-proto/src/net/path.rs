//! What a broadcast is called on the relay, and which of several publications of it is followed.
//!
//! `live/<id>/<epoch>.<instance>`: a path is never used twice. So whoever stands in between, a relay or the
//! library's own cache, cannot take one publication for another; and which is the newest can be seen from
//! the paths alone, wherever they are heard ([`Publication`] is ordered so).

use std::fmt;
use std::str::FromStr;

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

/// One publication of a broadcast by one origin. The later in order is the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Publication {
    pub(super) epoch: Epoch,
    /// Tells apart those of one epoch; random.
    pub(super) instance: u64,
}

impl Publication {
    /// Another one each time.
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, instance: rand::random() }
    }

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
        write!(f, "{}.{:016x}", self.epoch, self.instance)
    }
}

/// The text is not one that [`Publication`] writes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotOurs;

impl FromStr for Publication {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let (epoch, instance) = text.split_once('.').ok_or(NotOurs)?;
        let epoch = Epoch(epoch.parse().map_err(|_| NotOurs)?);
        let instance = u64::from_str_radix(instance, 16).map_err(|_| NotOurs)?;
        let publication = Self { epoch, instance };
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
        for epoch in [Epoch::IDLE, Epoch(1_795_000_000_000), Epoch(u64::MAX)] {
            let publication = Publication::new(epoch);
            assert_eq!(Publication::at(&publication.path(&id)), Some((id.clone(), publication)));
        }
        for other in [
            "live/room",
            "live/room/",
            "live//1.0000000000000001",
            "live/room/1",
            "live/room/1.1",
            "live/room/01.0000000000000001",
            "live/room/+1.0000000000000001",
            "live/room/1.000000000000000A",
            "live/room/1.0000000000000001/x",
            "edge/room/1.0000000000000001",
        ] {
            assert_eq!(Publication::at(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_is_the_one_of_the_greatest_epoch() {
        let of = |epoch, instance| Publication { epoch: Epoch(epoch), instance };
        assert!(of(10, 1) > of(9, u64::MAX));
        assert!(of(9, 2) > of(9, 1));
        assert!(of(1, 0) > Publication { epoch: Epoch::IDLE, instance: u64::MAX });
    }
}
