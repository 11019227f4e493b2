//! LL-HLS: the playlists of a timeline snapshot (RFC 8216bis, draft-pantos-hls-rfc8216bis).
//!
//! Pure renders of what [`crate::dash`] renders too; who asks, who waits and what is cached is
//! [`crate::live`]'s. A viewer gets the very segments and parts that LL-DASH addresses.
//!
//! - [`multivariant`] lists the renditions, [`MediaPlaylist`] the segments and parts of one of them.
//! - A media playlist outlives encoder reconnects under one address, so its segments are counted by
//!   media sequence numbers, which the origin hands out per period
//!   ([`lectern_relay_proto::Period::sequence`]), and not by their numbers on the grid.
//! - What differs between edges is only how far back a playlist reaches: sequence numbers,
//!   discontinuity sequence numbers and parts are functions of the catalog and the media.

mod media;
mod multivariant;
mod reach;
#[cfg(test)]
mod tests;

pub use media::MediaPlaylist;
pub use multivariant::{beside_comments, multivariant};
pub use reach::{Asked, Reach};

use lectern_relay_proto::TrackName;

/// The media type of a playlist.
pub const CONTENT_TYPE: &str = "application/vnd.apple.mpegurl";
/// The name of a playlist, of all renditions and of each.
pub const FILE: &str = "index.m3u8";

/// Delta updates, EXT-X-SKIP, came with this version (§8).
const VERSION: u32 = 9;

/// Where the media playlist of `track` is found, beside the multivariant playlist: `video-main`.
/// Unlike [`crate::timeline::Locator`] it does not name a period, for it outlives them.
pub fn directory(track: &TrackName) -> String {
    crate::timeline::escaped(track).collect()
}
