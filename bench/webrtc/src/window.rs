//! A stretch of time over which is measured: what the viewers count in it, how late each frame is,
//! and a record of what one of them is sent.

use std::collections::HashSet;

use dimpl::SrtpProfile;
use serde::{Deserialize, Serialize};

use crate::load::Group;
use crate::rtp::{self, Header};
use crate::tally::Tally;
use crate::viewer::{Ended, Viewer};
use lectern_bench_rig::timeline::Timeline;

/// A viewer's first seconds are not measured: what it is sent from the cache is late by design, and
/// carries other timestamps. With a keyframe every four seconds it is at the live edge by then.
const SETTLE_US: u64 = 6_000_000;

/// What a frame is sent as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TraceFrame {
    /// When, from the start of the trace.
    pub(crate) at_us: u64,
    pub(crate) video: bool,
    /// Bytes of its datagrams.
    pub(crate) datagrams: Vec<usize>,
}

/// What was measured of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupReport {
    /// Viewers that had media when the window was opened.
    pub(crate) viewers: usize,
    pub(crate) full: usize,
    pub(crate) counted: Tally,
    /// Packets that have not come, by their sequence numbers, at all viewers.
    pub(crate) missing: u64,
    /// How late the frames of the window were at each settled viewer, in microseconds.
    pub(crate) latencies_us: Vec<u64>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) groups: [GroupReport; 2],
    /// Frames sent in the window.
    pub(crate) frames: u64,
    /// Stamps that contradicted the timestamps: zero, or the latencies are worth nothing.
    pub(crate) disagreements: u64,
    pub(crate) profile: Option<SrtpProfile>,
    pub(crate) trace: Vec<TraceFrame>,
}

/// The window, open or not.
#[derive(Debug, Default)]
pub(crate) struct Window {
    open: bool,
    /// Frames of the publisher's that count.
    from: u64,
    until: Option<u64>,
    /// Of the timeline, before.
    disagreements: u64,
    before: [(Tally, u64); 2],
    latencies_us: [Vec<u64>; 2],
    /// Frames that full viewers have had: after a keyframe request some come twice.
    seen: HashSet<(usize, u64)>,
    traced: Option<usize>,
    trace: Vec<TraceFrame>,
    begun_us: Option<u64>,
    /// Of the video frame that was recorded last.
    timestamp: Option<u32>,
}

impl Window {
    /// Opens the window; returns the first frame that counts.
    pub(crate) fn open<'a>(
        &mut self,
        timeline: &Timeline,
        tallies: &[Tally; 2],
        members: impl Iterator<Item = (&'a Viewer, Group)> + Clone,
    ) -> u64 {
        let traced = members.clone().position(|(viewer, _)| {
            viewer.is_full() && viewer.watching_since_us().is_some() && viewer.failed.is_none()
        });
        let mut before = tallies.clone().map(|tally| (tally, 0));
        for (viewer, group) in members {
            before[group as usize].1 += viewer.totals().1;
        }
        *self = Self {
            open: true,
            from: timeline.next(),
            disagreements: timeline.disagreements(),
            before,
            traced,
            ..Self::default()
        };
        self.from
    }

    /// Frames that the publisher sends from now on do not count.
    pub(crate) fn seal(&mut self, timeline: &Timeline) {
        self.until.get_or_insert(timeline.next());
    }

    /// Closes the window.
    pub(crate) fn close<'a>(
        &mut self,
        timeline: &Timeline,
        tallies: &[Tally; 2],
        members: impl Iterator<Item = (&'a Viewer, Group)> + Clone,
    ) -> Report {
        self.seal(timeline);
        let window = std::mem::take(self);
        let mut report = Report {
            frames: window.until.unwrap_or(window.from) - window.from,
            disagreements: timeline.disagreements() - window.disagreements,
            profile: members.clone().find_map(|(viewer, _)| viewer.profile()),
            trace: window.trace,
            ..Report::default()
        };
        let groups = report.groups.iter_mut().zip(window.latencies_us).zip(tallies);
        for (((group, latencies_us), tally), before) in groups.zip(&window.before) {
            group.latencies_us = latencies_us;
            group.counted = tally.since(&before.0);
        }
        for (viewer, group) in members {
            let group = &mut report.groups[group as usize];
            if viewer.watching_since_us().is_some() && viewer.failed.is_none() {
                group.viewers += 1;
                group.full += usize::from(viewer.is_full());
            }
            group.missing += viewer.totals().1;
        }
        for (group, before) in report.groups.iter_mut().zip(&window.before) {
            group.missing = group.missing.saturating_sub(before.1);
        }
        report
    }

    /// A viewer has a frame whole.
    pub(crate) fn take(
        &mut self,
        member: usize,
        group: Group,
        viewer: &Viewer,
        ended: Ended,
        timeline: &mut Timeline,
    ) {
        let settled = viewer.watching_since_us().map(|since| since + SETTLE_US);
        if settled.is_none_or(|settled| ended.arrived_us < settled) {
            return;
        }
        let (number, sent_us) = match ended.stamp {
            Some(stamp) => {
                timeline.learn(ended.timestamp, stamp);
                (stamp.number, stamp.sent_us)
            }
            None => {
                let Some(number) = timeline.number(ended.timestamp) else { return };
                let Some(sent_us) = timeline.sent_us(number) else { return };
                (number, sent_us)
            }
        };
        let counts =
            self.open && number >= self.from && self.until.is_none_or(|until| number < until);
        if counts && (!viewer.is_full() || self.seen.insert((member, number))) {
            self.latencies_us[group as usize].push(ended.arrived_us.saturating_sub(sent_us));
        }
    }

    /// A datagram came to a viewer; if it is the one that is recorded, notes its size and time.
    pub(crate) fn overhear(
        &mut self,
        member: usize,
        viewer: &Viewer,
        datagram: &[u8],
        arrived_us: u64,
    ) {
        if !self.open || self.traced != Some(member) || rtp::is_rtcp(datagram) {
            return;
        }
        let Some(header) = Header::read(datagram) else { return };
        if Some(header.ssrc) == viewer.video().rtx_ssrc {
            return;
        }
        let video = header.ssrc == viewer.video().ssrc;
        let begun_us = *self.begun_us.get_or_insert(arrived_us);
        let goes_on = video && self.timestamp == Some(header.timestamp);
        let same = self.trace.last_mut().filter(|frame| goes_on && frame.video);
        if video {
            self.timestamp = Some(header.timestamp);
        }
        match same {
            Some(frame) => frame.datagrams.push(datagram.len()),
            None => {
                let at_us = arrived_us.saturating_sub(begun_us);
                self.trace.push(TraceFrame { at_us, video, datagrams: vec![datagram.len()] });
            }
        }
    }
}
