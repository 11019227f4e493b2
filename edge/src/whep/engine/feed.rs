//! How media gets in.

use std::sync::Arc;

use lectern_relay_proto::{Catalog, Frame, GroupId, TrackName};

use super::Shared;
use crate::demand::Interest;
use crate::whep::broadcast::Broadcast;

/// The media side of a broadcast, for the task that receives it from upstream.
///
/// No call waits for a viewer. Dropping a feed changes nothing for viewers who are there: the task
/// may come back with another one after it lost its upstream. [`Feed::end`] sends them away.
pub struct Feed {
    pub(super) broadcast: Arc<Broadcast>,
    pub(super) shared: Arc<Shared>,
}

impl Feed {
    /// The same, whose viewers say that they want the broadcast.
    pub(crate) fn wanted_by(self, interest: Interest) -> Self {
        self.broadcast.set_interest(interest);
        self
    }

    /// Says what the broadcast consists of now: `T0`, the parameter sets of the period, which codecs
    /// there are. Frames of a period wait, within bounds, for its catalog.
    pub fn set_catalog(&self, catalog: &Catalog) {
        self.broadcast.set_catalog(catalog);
    }

    /// A frame of the video rendition `track`, AVCC as in CMAF. One that the catalog of its period
    /// does not list, or that WebRTC cannot carry, is dropped and counted.
    pub fn push_video(&self, track: &TrackName, group: GroupId, frame: &Frame) {
        self.broadcast.push_video(track, group, frame);
    }

    /// An Opus packet.
    pub fn push_audio(&self, group: GroupId, frame: &Frame) {
        self.broadcast.push_audio(group, frame);
    }

    /// Forgets the media, for instance because upstream was lost. Viewers stay, joiners are told to
    /// come back.
    pub fn clear(&self) {
        self.broadcast.clear();
    }

    /// The broadcast is over: viewers are told so, and it becomes unknown once the feed is dropped.
    pub fn end(&self) {
        self.broadcast.end();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.broadcast.detach() {
            drop(self.shared.swept_broadcasts());
        }
    }
}
