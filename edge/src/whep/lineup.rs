//! Which renditions a broadcast has: from the catalogs, the slot of each, and its parameter sets in
//! each period.

use std::collections::VecDeque;
use std::sync::Arc;

use lectern_relay_proto::{Catalog, TrackName, VideoTrack};

use super::h264::{self, Parameters};
use super::renditions::{Listed, RENDITIONS_MAX};

/// Periods whose parameter sets are kept: the one before may still have frames under way.
const PERIODS_MAX: usize = 2;

/// The renditions of a broadcast.
#[derive(Default)]
pub(super) struct Lineup {
    /// By slot.
    names: [Option<TrackName>; RENDITIONS_MAX],
    /// Newest last.
    periods: VecDeque<Period>,
    listing: Arc<[Listed]>,
}

struct Period {
    id: u32,
    /// By slot.
    parameters: [Option<Parameters>; RENDITIONS_MAX],
}

/// What a catalog came to.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// `profile-level-id` of the best rendition that can be sent; `None` if none can.
    pub profile: Option<[u8; 3]>,
    /// Slots that another rendition has now.
    pub reassigned: Vec<u8>,
    /// Whether other renditions are listed than before.
    pub changed: bool,
    /// Renditions that were left out because there are [`RENDITIONS_MAX`] better ones.
    pub beyond: usize,
    /// Why others were left out.
    pub refused: Vec<(TrackName, Refused)>,
}

/// Why a rendition cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// WebRTC has no way to say in which order pictures are shown.
    #[error("it has B-frames")]
    Reordered,
    /// Viewers are offered H.264 only.
    #[error("it is not H.264")]
    Codec,
    /// Its parameter sets cannot be read.
    #[error(transparent)]
    Parameters(#[from] h264::Error),
}

impl Lineup {
    /// Takes what a catalog lists. Renditions that WebRTC cannot carry are left out.
    pub(super) fn set(&mut self, catalog: &Catalog) -> Listing {
        let mut outcome = Listing::default();
        let mut sendable = Vec::new();
        for track in &catalog.video {
            match parameters(track) {
                Ok(_) if sendable.len() == RENDITIONS_MAX => outcome.beyond += 1,
                Ok(parameters) => sendable.push((track, parameters)),
                Err(why) => outcome.refused.push((track.name.clone(), why)),
            }
        }
        outcome.profile = sendable.first().map(|(_, parameters)| parameters.profile);
        let mut period = Period { id: catalog.period.id, parameters: Default::default() };
        let listed = |name: &TrackName| sendable.iter().any(|(track, _)| track.name == *name);
        // Slots that are free first, then those of renditions that are gone.
        let mut free: Vec<u8> = (0..RENDITIONS_MAX as u8)
            .filter(|slot| !self.names[usize::from(*slot)].as_ref().is_some_and(listed))
            .collect();
        free.sort_by_key(|slot| self.names[usize::from(*slot)].is_some());
        let mut free = free.into_iter();
        let mut listing = Vec::new();
        for (track, parameters) in sendable {
            let slot = self.slot(&track.name).or_else(|| {
                let slot = free.next()?;
                if self.names[usize::from(slot)].replace(track.name.clone()).is_some() {
                    outcome.reassigned.push(slot);
                    self.forget(slot);
                }
                Some(slot)
            });
            // There are as many slots as renditions that are listed at most.
            let Some(slot) = slot else { continue };
            period.parameters[usize::from(slot)] = Some(parameters);
            let (name, bitrate) = (track.name.clone(), track.bitrate);
            let (width, height) = (track.width, track.height);
            listing.push(Listed { slot, name, bitrate, width, height });
        }
        self.periods.retain(|known| known.id != period.id);
        self.periods.push_back(period);
        if self.periods.len() > PERIODS_MAX {
            self.periods.pop_front();
        }
        outcome.changed = *self.listing != listing[..];
        self.listing = listing.into();
        outcome
    }

    /// Forgets the periods, since time itself began anew. Slots stay.
    pub(super) fn clear(&mut self) {
        self.periods.clear();
    }

    /// The newest period.
    pub(super) fn newest(&self) -> Option<u32> {
        self.periods.back().map(|period| period.id)
    }

    /// The rendition that has a slot.
    pub(super) fn name(&self, slot: u8) -> Option<&TrackName> {
        self.names.get(usize::from(slot))?.as_ref()
    }

    /// What the newest catalog lists, best first.
    pub(super) fn listing(&self) -> &Arc<[Listed]> {
        &self.listing
    }

    /// The slot of a rendition, listed now or before.
    pub(super) fn slot(&self, name: &TrackName) -> Option<u8> {
        let at = self.names.iter().position(|known| known.as_ref() == Some(name))?;
        Some(at as u8)
    }

    /// Whether a slot can be sent in any period that is kept.
    pub(super) fn knows(&self, slot: u8) -> bool {
        self.periods.iter().any(|period| period.parameters[usize::from(slot)].is_some())
    }

    /// The parameter sets of a slot in a period; `None` if it cannot be sent there.
    pub(super) fn parameters(&self, period: u32, slot: u8) -> Option<&Parameters> {
        let period = self.periods.iter().find(|known| known.id == period)?;
        period.parameters.get(usize::from(slot))?.as_ref()
    }

    /// A slot passes to another rendition: what came under it before must not be taken for that.
    fn forget(&mut self, slot: u8) {
        for period in &mut self.periods {
            period.parameters[usize::from(slot)] = None;
        }
    }
}

fn parameters(track: &VideoTrack) -> Result<Parameters, Refused> {
    if track.reordered {
        return Err(Refused::Reordered);
    }
    if !track.codec.starts_with("avc1") {
        return Err(Refused::Codec);
    }
    Ok(Parameters::parse(&track.description)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use lectern_relay_proto::{Period as CatalogPeriod, PublisherState, SegmentGrid, UtcTime};

    fn track(name: &str) -> VideoTrack {
        let description = Bytes::from_static(&[
            1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 3,
        ]);
        VideoTrack {
            name: TrackName::new(format!("video/{name}")).unwrap(),
            codec: "avc1.42c01f".into(),
            init: Bytes::new(),
            description,
            width: 640,
            height: 360,
            framerate: None,
            bitrate: None,
            reordered: false,
        }
    }

    fn catalog(period: u32, video: Vec<VideoTrack>) -> Catalog {
        Catalog {
            t0: UtcTime::from_millis(0),
            state: PublisherState::Live,
            about: lectern_relay_proto::About::default(),
            period: CatalogPeriod {
                id: period,
                take: 0,
                start_ms: 0,
                grid: SegmentGrid::new(2_000),
                sequence: 0,
            },
            video,
            audio: Vec::new(),
        }
    }

    fn slots(lineup: &Lineup) -> Vec<(String, u8)> {
        let listing = lineup.listing().iter();
        listing.map(|listed| (listed.id().to_owned(), listed.slot)).collect()
    }

    fn named(names: &[(&str, u8)]) -> Vec<(String, u8)> {
        names.iter().map(|(name, slot)| ((*name).to_owned(), *slot)).collect()
    }

    #[test]
    fn a_rendition_keeps_its_slot_for_as_long_as_it_is_listed() {
        let mut lineup = Lineup::default();
        assert!(lineup.set(&catalog(0, vec![track("hd"), track("sd")])).changed);
        assert_eq!(slots(&lineup), named(&[("hd", 0), ("sd", 1)]));
        let outcome = lineup.set(&catalog(1, vec![track("uhd"), track("sd")]));
        assert!(outcome.reassigned.is_empty());
        assert_eq!(slots(&lineup), named(&[("uhd", 2), ("sd", 1)]));
        // Frames of the period before are still described.
        assert!(lineup.parameters(0, 0).is_some() && lineup.parameters(1, 0).is_none());
        assert!(!lineup.set(&catalog(2, vec![track("uhd"), track("sd")])).changed);
    }

    #[test]
    fn renditions_that_webrtc_cannot_carry_are_left_out() {
        let mut reordered = track("b-frames");
        reordered.reordered = true;
        let mut foreign = track("hevc");
        foreign.codec = "hvc1.1.6.L93.B0".into();
        let mut lineup = Lineup::default();
        let outcome = lineup.set(&catalog(0, vec![reordered.clone(), foreign, track("sd")]));
        assert_eq!(slots(&lineup), named(&[("sd", 0)]));
        assert_eq!(outcome.profile, Some([0x42, 0xc0, 0x1f]));
        let refused: Vec<Refused> = outcome.refused.iter().map(|(_, why)| *why).collect();
        assert_eq!(refused, [Refused::Reordered, Refused::Codec]);
        assert_eq!(lineup.set(&catalog(1, vec![reordered])).profile, None);
    }

    #[test]
    fn more_renditions_than_there_are_slots_are_left_out_and_slots_of_those_gone_pass_on() {
        let names = |first: usize, count: usize| {
            (first..first + count).map(|at| track(&format!("r{at}"))).collect::<Vec<_>>()
        };
        let mut lineup = Lineup::default();
        let outcome = lineup.set(&catalog(0, names(0, RENDITIONS_MAX + 2)));
        assert_eq!((lineup.listing().len(), outcome.beyond), (RENDITIONS_MAX, 2));
        let outcome = lineup.set(&catalog(1, names(1, RENDITIONS_MAX)));
        assert_eq!(outcome.reassigned, [0]);
        assert!(lineup.parameters(0, 0).is_none() && lineup.parameters(1, 0).is_some());
        assert!(lineup.parameters(0, 1).is_some());
    }
}
