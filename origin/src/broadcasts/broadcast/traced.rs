//! The group that a track has open, as its trace tells of it once it is over: from its first chunk to its last
//! at each stage here.

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::trace::{GroupTrace, Stage};

use crate::wall;

/// From the first chunk to the last.
#[derive(Clone, Copy)]
struct Stretch {
    first: UtcTime,
    last: UtcTime,
}

impl Stretch {
    fn reach(stretch: &mut Option<Self>, at: UtcTime) {
        stretch.get_or_insert(Self { first: at, last: at }).last = at;
    }
}

/// A group that is traced. Dropping it tells.
pub(super) struct Traced {
    trace: GroupTrace,
    stages: [(Stage, Option<Stretch>); 3],
}

impl Traced {
    pub(super) fn begin(trace: GroupTrace) -> Self {
        let stages = [Stage::Ingest, Stage::Package, Stage::Relay].map(|stage| (stage, None));
        Self { trace, stages }
    }

    /// A chunk was packaged, whose first frame came when it did.
    pub(super) fn packaged(&mut self, arrived: UtcTime) {
        let [(_, ingest), (_, package), _] = &mut self.stages;
        Stretch::reach(ingest, arrived);
        Stretch::reach(package, wall::now());
    }

    /// The relay has it.
    pub(super) fn relayed(&mut self) {
        let [.., (_, relay)] = &mut self.stages;
        Stretch::reach(relay, wall::now());
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        for (stage, stretch) in self.stages {
            if let Some(Stretch { first, last }) = stretch {
                self.trace.tell(stage, first, last);
            }
        }
    }
}
