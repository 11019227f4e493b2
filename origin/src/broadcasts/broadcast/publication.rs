//! One publication of a broadcast on the relay: its tracks and its catalog. Which there is, and when another
//! takes its place, is the broadcast's to say.

use lectern_relay_proto::net::{
    Announcer, BroadcastPublisher, Epoch, Error, RecordPublisher, TrackPublisher,
};
use lectern_relay_proto::{BroadcastId, Catalog, Timescale};

use crate::package::{Lane, Packaged};

/// What the relay orders groups of every track by. Not the tracks' own timescales: one of them may
/// change with the encoder's sample rate, and a MoQ track keeps its timescale for life.
const RELAY_TIMESCALE: Timescale = Timescale::VIDEO;

pub(super) struct Publication {
    epoch: Epoch,
    publisher: BroadcastPublisher,
    tracks: Vec<(Lane, TrackPublisher)>,
}

impl Publication {
    /// One that nobody hears of before its first catalog, and what its comments are written to.
    pub(super) fn begin(
        relay: &Announcer,
        id: &BroadcastId,
        epoch: Epoch,
    ) -> Result<(Self, RecordPublisher), Error> {
        let mut publisher = relay.broadcast(id, epoch)?;
        let comments = publisher.comments()?;
        Ok((Self { epoch, publisher, tracks: Vec::new() }, comments))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Publishes a catalog, and makes what tracks it lists that there are not.
    pub(super) fn set_catalog(&mut self, catalog: &Catalog) -> Result<(), Error> {
        for lane in [Lane::Video, Lane::Opus, Lane::Aac] {
            let name = lane.track();
            let listed = catalog.video.iter().any(|track| track.name == name)
                || catalog.audio.iter().any(|track| track.name == name);
            if listed && self.tracks.iter().all(|(at, _)| *at != lane) {
                self.tracks.push((lane, self.publisher.track(&name, RELAY_TIMESCALE)?));
            }
        }
        self.publisher.set_catalog(catalog)
    }

    /// Publishes a chunk, if its track is listed.
    pub(super) fn write(&mut self, packaged: Packaged) -> Result<(), Error> {
        let track = self.tracks.iter_mut().find(|(lane, _)| *lane == packaged.lane);
        let Some((_, track)) = track else { return Ok(()) };
        let time = packaged.time.rescale(RELAY_TIMESCALE);
        track.write(packaged.group, time, packaged.bytes)
    }

    /// Ends the group that each track has open.
    pub(super) fn finish_groups(&mut self) {
        for (_, track) in &mut self.tracks {
            if let Err(error) = track.finish_group() {
                tracing::warn!(%error, "the last group of the take was not finished");
            }
        }
    }
}
