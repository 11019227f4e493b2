//! What the benchmark and its nodes say to each other: one line of JSON each, down a node's standard input
//! and up its standard output. Who starts nodes is [`crate::child`], what they do is [`crate::node`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use lectern_bench_rig::stats::Quantiles;
use serde::{Deserialize, Serialize};

use crate::link::Path;

/// Frames a second of each broadcast, and bytes of one.
pub(crate) const VIDEO_HZ: u64 = 30;
pub(crate) const VIDEO_BYTES: usize = 10_000;
/// The same of its sound.
pub(crate) const AUDIO_HZ: u64 = 50;
pub(crate) const AUDIO_BYTES: usize = 200;
/// A comment with its writer's name.
pub(crate) const COMMENT_BYTES: usize = 250;
/// Length of a group.
pub(crate) const GROUP_MS: u64 = 2_000;
/// Bits a second of one broadcast, without what carries them.
pub(crate) const BROADCAST_BPS: u64 =
    8 * (VIDEO_HZ * VIDEO_BYTES as u64 + AUDIO_HZ * AUDIO_BYTES as u64);
/// What is later than this is late: a viewer by WebRTC has long shown the next.
pub(crate) const IN_TIME_US: u64 = 500_000;
/// For what is on the way at the end of the window.
pub(crate) const TAIL_US: u64 = 4_000_000;

/// What a node is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Plan {
    Publish(Publish),
    Relay(Relay),
    Watch(Watch),
    Proxy(Proxy),
}

/// An origin that publishes by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Publish {
    /// The directory of the identity that all nodes have.
    pub(crate) identity: PathBuf,
    /// Broadcasts that it announces.
    pub(crate) announced: usize,
    /// The first so many of them have media.
    pub(crate) live: usize,
    /// Comments a second on each that is live.
    pub(crate) comments_hz: u64,
    pub(crate) keep: Keep,
}

/// An edge that others subscribe to, and that has no viewers of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Relay {
    pub(crate) identity: PathBuf,
    pub(crate) upstream: SocketAddr,
    pub(crate) keep: Keep,
}

/// An edge that has viewers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Watch {
    pub(crate) identity: PathBuf,
    pub(crate) upstream: SocketAddr,
    /// The first so many broadcasts are watched.
    pub(crate) broadcasts: usize,
    /// Their comments too.
    pub(crate) comments: bool,
}

/// A path between two nodes that is worse than loopback.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Proxy {
    pub(crate) to: SocketAddr,
    pub(crate) path: Path,
}

/// What is kept of media for those who join late.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Keep {
    pub(crate) secs: u64,
    pub(crate) bytes_max: u64,
}

/// What a node is told once it is there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To publish.
    Begin,
    /// To count what is stamped from `from_us` to `until_us`, Unix time, and to say at the end what it was.
    Count { from_us: u64, until_us: u64 },
}

/// What a node says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// It is there: where, and connected if it has an upstream.
    Ready(Option<SocketAddr>),
    /// All that it watches has begun to arrive.
    Watching,
    Published(Published),
    Watched(Watched),
    Proxied(Proxied),
}

/// Video, sound and comments, in this order.
pub(crate) type Kinds<T> = [T; 3];
/// The place of each in [`Kinds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    Comments,
}

impl Kind {
    pub(crate) const ALL: Kinds<Self> = [Self::Video, Self::Audio, Self::Comments];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Comments => "comments",
        }
    }
}

/// What was published in the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Published {
    /// Of each broadcast that is live.
    pub(crate) written: Vec<Kinds<u64>>,
    /// How late it was itself: what the machine adds before anything is sent.
    pub(crate) late: Quantiles,
}

/// What was watched in the window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) broadcasts: Vec<Kinds<Seen>>,
    /// Of all broadcasts together.
    pub(crate) all: Kinds<Seen>,
    /// Groups that were given up.
    pub(crate) skipped: u64,
    /// Broadcasts that went and came again.
    pub(crate) interrupted: u64,
}

/// What arrived of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// How many of it within half a second.
    pub(crate) in_time: u64,
    /// How old it was, of all that arrived.
    pub(crate) age: Quantiles,
}

/// What a proxy did in the window.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Proxied {
    /// Datagrams to those who dialled, and back.
    pub(crate) down: Carried,
    pub(crate) up: Carried,
}

/// Of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) datagrams: u64,
    pub(crate) bytes: u64,
    /// By chance.
    pub(crate) lost: u64,
    /// For want of room in the queue.
    pub(crate) dropped: u64,
}

/// The time in which things count. Nothing does until it is set.
#[derive(Debug)]
pub(crate) struct Window {
    from_us: AtomicU64,
    until_us: AtomicU64,
}

impl Default for Window {
    fn default() -> Self {
        Self { from_us: AtomicU64::new(u64::MAX), until_us: AtomicU64::new(u64::MAX) }
    }
}

impl Window {
    pub(crate) fn set(&self, from_us: u64, until_us: u64) {
        self.until_us.store(until_us, Ordering::Relaxed);
        self.from_us.store(from_us, Ordering::Relaxed);
    }

    /// Whether what is stamped so counts.
    pub(crate) fn counts(&self, stamp_us: u64) -> bool {
        let from = self.from_us.load(Ordering::Relaxed);
        stamp_us >= from && stamp_us < self.until_us.load(Ordering::Relaxed)
    }
}

/// The name of the broadcast of this number.
pub(crate) fn name(number: usize) -> String {
    format!("b-{number}")
}

/// The number of the broadcast of this name.
pub(crate) fn number(name: &str) -> Option<usize> {
    name.strip_prefix("b-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_what_is_stamped_in_it() {
        let window = Window::default();
        assert!(!window.counts(0) && !window.counts(1_795_000_000_000_000));
        window.set(10, 20);
        assert_eq!([9, 10, 19, 20].map(|at| window.counts(at)), [false, true, true, false]);
    }

    #[test]
    fn names_are_numbers() {
        assert_eq!(number(&name(499)), Some(499));
        assert_eq!(number("room"), None);
    }
}
