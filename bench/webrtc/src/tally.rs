//! What a group of viewers has counted.

use serde::{Deserialize, Serialize};

use crate::viewer::Ended;

/// Counters that only grow, and frames that have yet to be looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// RTP packets, resends included.
    pub(crate) packets: u64,
    /// And their bytes, as datagrams.
    pub(crate) bytes: u64,
    /// Video frames: whole ones at full viewers, ends of frames at light ones.
    pub(crate) video_frames: u64,
    pub(crate) audio_frames: u64,
    /// Of full viewers: packets that came after they had been missing.
    pub(crate) recovered: u64,
    /// Packets that were given up.
    pub(crate) lost: u64,
    /// Packets asked for, each time it is asked.
    pub(crate) nacked: u64,
    /// Packets on the stream of resends.
    pub(crate) resends: u64,
    /// Packets that had come before.
    pub(crate) useless: u64,
    pub(crate) keyframe_requests: u64,
    /// Frames whose packets made no NAL units.
    pub(crate) malformed: u64,
    /// Datagrams that nobody expected or that did not authenticate.
    pub(crate) strange: u64,
    #[serde(skip)]
    pub(crate) ended: Vec<Ended>,
}

impl Tally {
    /// What was counted since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            bytes: self.bytes - before.bytes,
            video_frames: self.video_frames - before.video_frames,
            audio_frames: self.audio_frames - before.audio_frames,
            recovered: self.recovered - before.recovered,
            lost: self.lost - before.lost,
            nacked: self.nacked - before.nacked,
            resends: self.resends - before.resends,
            useless: self.useless - before.useless,
            keyframe_requests: self.keyframe_requests - before.keyframe_requests,
            malformed: self.malformed - before.malformed,
            strange: self.strange - before.strange,
            ended: Vec::new(),
        }
    }
}
