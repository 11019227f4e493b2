//! One publication of a broadcast on the relay: its tracks and its catalog. Which there is, and when another
//! takes its place, is the broadcast's to say.

use lectern_relay_proto::net::{
    Announcer, BroadcastPublisher, Epoch, Error, RecordPublisher, TrackPublisher,
};
use lectern_relay_proto::{BroadcastId, Catalog, GroupId, Timescale, UtcTime, trace};

use super::traced::Traced;
use crate::package::{Lane, Packaged};

/// What the relay orders groups of every track by. Not the tracks' own timescales: one of them may
/// change with the encoder's sample rate, and a MoQ track keeps its timescale for life.
const RELAY_TIMESCALE: Timescale = Timescale::VIDEO;

pub(super) struct Publication {
    id: BroadcastId,
    epoch: Epoch,
    publisher: BroadcastPublisher,
    /// Of the newest catalog.
    t0: UtcTime,
    tracks: Vec<Track>,
}

struct Track {
    lane: Lane,
    publisher: TrackPublisher,
    /// The newest group, and what is told of it if it is traced.
    group: Option<GroupId>,
    traced: Option<Traced>,
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
        let (id, t0) = (id.clone(), UtcTime::default());
        Ok((Self { id, epoch, publisher, t0, tracks: Vec::new() }, comments))
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Publishes a catalog, and makes what tracks it lists that there are not.
    pub(super) fn set_catalog(&mut self, catalog: &Catalog) -> Result<(), Error> {
        self.t0 = catalog.t0;
        for lane in [Lane::Video, Lane::Opus, Lane::Aac] {
            let name = lane.track();
            let listed = catalog.video.iter().any(|track| track.name == name)
                || catalog.audio.iter().any(|track| track.name == name);
            if listed && self.tracks.iter().all(|track| track.lane != lane) {
                let publisher = self.publisher.track(&name, RELAY_TIMESCALE)?;
                self.tracks.push(Track { lane, publisher, group: None, traced: None });
            }
        }
        self.publisher.set_catalog(catalog)
    }

    /// Publishes a chunk, if its track is listed.
    pub(super) fn write(&mut self, packaged: Packaged) -> Result<(), Error> {
        let track = self.tracks.iter_mut().find(|track| track.lane == packaged.lane);
        let Some(track) = track else { return Ok(()) };
        if track.group.replace(packaged.group) != Some(packaged.group) {
            track.traced = trace::tracer()
                .and_then(|tracer| {
                    tracer.group(&self.id, self.t0, &packaged.lane.track(), packaged.group)
                })
                .map(Traced::begin);
        }
        if let Some(traced) = &mut track.traced {
            traced.packaged(packaged.arrived);
        }
        let time = packaged.time.rescale(RELAY_TIMESCALE);
        track.publisher.write(packaged.group, time, packaged.bytes)?;
        if let Some(traced) = &mut track.traced {
            traced.relayed();
        }
        Ok(())
    }

    /// Ends the group that each track has open.
    pub(super) fn finish_groups(&mut self) {
        for track in &mut self.tracks {
            track.traced = None;
            if let Err(error) = track.publisher.finish_group() {
                tracing::warn!(%error, "the last group of the take was not finished");
            }
        }
    }
}
