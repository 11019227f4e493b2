//! The packetized frames of one track that viewers may still need: the current group, so that a
//! joiner starts at once, and a tail of the one before, so that a lost packet can be sent again.
//!
//! A broadcast keeps one; each worker keeps a copy of the references, so that sending takes no lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::trace::Stage;

use super::packetize::Payloads;
use crate::traced::Arrival;

/// How much of the group before the current one is kept: a few round trips of any viewer who can
/// still use a resent packet.
const TAIL: Duration = Duration::from_secs(1);
/// The most bytes of one track that are kept: a group of ten seconds at 12 Mb/s. A longer or richer
/// group loses its front, and joiners wait for the next keyframe.
pub(super) const BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most frames of one track that are kept: ten seconds at 100 per second.
pub(super) const UNITS_MAX: usize = 1_024;
/// The least time that a bitrate is told from.
const BITRATE_SPAN_MIN: Duration = Duration::from_millis(500);

/// A frame, packetized.
#[derive(Debug)]
pub(super) struct Unit {
    /// Counts the frames of the track at this edge, without gaps.
    pub serial: u64,
    /// The slot of its rendition ([`super::renditions`]); zero in audio.
    pub rendition: u8,
    /// Presentation time since `T0`, in ticks of the RTP clock. The RTP timestamp is its low 32
    /// bits, with no random offset, so that a player gets the capture time from it and `T0`.
    pub ticks: u64,
    /// Ticks per second.
    pub clock_hz: u32,
    /// Whether decoding can begin here.
    pub keyframe: bool,
    /// When the frame reached the origin.
    pub arrived: UtcTime,
    /// When it was captured as far as we know: `T0` and its media time.
    pub captured: UtcTime,
    /// When it was handed to the engine.
    pub pushed: Instant,
    /// Its group, if that is traced and begins here.
    pub traced: Option<Arc<Arrival>>,
    /// The packets.
    pub payloads: Payloads,
}

impl Unit {
    /// A viewer was sent it.
    pub(super) fn was_sent(&self) {
        if let Some(traced) = &self.traced {
            traced.served(Stage::Webrtc);
        }
    }
}

/// What is kept of one track.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    units: VecDeque<Arc<Unit>>,
    bytes: usize,
    /// The serial of the newest keyframe that is still kept.
    key: Option<u64>,
}

impl History {
    /// Adds the newest frame and lets go of what nobody can need any more. A frame that does not
    /// follow the last one replaces all.
    pub(super) fn push(&mut self, unit: Arc<Unit>) {
        if self.newest().is_some_and(|newest| newest.serial + 1 != unit.serial) {
            self.clear();
        }
        if unit.keyframe {
            self.key = Some(unit.serial);
        }
        self.bytes += unit.payloads.bytes();
        self.units.push_back(unit);
        self.trim();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The frame with this serial.
    pub(super) fn get(&self, serial: u64) -> Option<&Arc<Unit>> {
        let first = self.units.front()?.serial;
        self.units.get(usize::try_from(serial.checked_sub(first)?).ok()?)
    }

    /// The newest frame.
    pub(super) fn newest(&self) -> Option<&Arc<Unit>> {
        self.units.back()
    }

    /// The newest keyframe.
    pub(super) fn newest_key(&self) -> Option<&Arc<Unit>> {
        self.get(self.key?)
    }

    /// The media time that is live at `now`, in ticks: that of the newest frame, and the time since
    /// it came.
    pub(super) fn live_ticks(&self, now: Instant) -> Option<u64> {
        let newest = self.newest()?;
        let since = now.saturating_duration_since(newest.pushed);
        let ticks = since.as_micros() * u128::from(newest.clock_hz) / 1_000_000;
        Some(newest.ticks + u64::try_from(ticks).unwrap_or(0))
    }

    /// The track's bits per second as a viewer's link has it now: payload over time of what is kept.
    /// What it costs the edge in the long run is [`super::bitrate`]'s to say. `None` while that is so little
    /// that a keyframe alone would make it.
    pub(super) fn bitrate(&self) -> Option<u64> {
        let (first, newest) = (self.units.front()?, self.units.back()?);
        let ticks = newest.ticks.saturating_sub(first.ticks);
        let hz = u64::from(newest.clock_hz);
        // The newest frame's bytes belong to the time after it.
        let bits = 8 * self.bytes.saturating_sub(newest.payloads.bytes()) as u64;
        (ticks * 1_000 >= hz * BITRATE_SPAN_MIN.as_millis() as u64).then(|| bits * hz / ticks)
    }

    fn trim(&mut self) {
        let Some(newest) = self.units.back().cloned() else { return };
        let tail = u64::from(newest.clock_hz) * TAIL.as_secs();
        while let Some(first) = self.units.front() {
            let needed = self.key.is_none_or(|key| first.serial >= key);
            let recent = first.ticks + tail >= newest.ticks;
            let fits = self.bytes <= BYTES_MAX && self.units.len() <= UNITS_MAX;
            // Audio frames are all keyframes, so for them only the tail remains.
            if fits && (needed || recent) {
                return;
            }
            self.bytes -= first.payloads.bytes();
            if self.key == Some(first.serial) {
                self.key = None;
            }
            self.units.pop_front();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::whep::packetize;

    /// A frame of `bytes` bytes at `ticks` of 90 kHz.
    pub(in crate::whep) fn unit(
        serial: u64,
        ticks: u64,
        keyframe: bool,
        bytes: usize,
    ) -> Arc<Unit> {
        let mut nal = vec![serial as u8; bytes];
        nal[0] = if keyframe { 0x65 } else { 0x41 };
        let frame = [&(bytes as u32).to_be_bytes(), &nal[..]].concat();
        Arc::new(Unit {
            serial,
            rendition: 0,
            ticks,
            clock_hz: 90_000,
            keyframe,
            arrived: UtcTime::from_millis(0),
            captured: UtcTime::from_micros(1_700_000_000_000_000 + ticks * 1_000_000 / 90_000),
            pushed: Instant::now(),
            traced: None,
            payloads: packetize::h264(&frame, None).unwrap(),
        })
    }

    #[test]
    fn the_current_group_is_kept_whole_and_a_second_before_it() {
        let mut history = History::default();
        for serial in 0..300 {
            history.push(unit(serial, serial * 3_000, serial % 120 == 0, 100));
        }
        assert_eq!(history.newest_key().unwrap().serial, 240);
        assert!(history.get(240).is_some());
        assert!(history.get(200).is_none());
        let mut history = History::default();
        for serial in 0..130 {
            history.push(unit(serial, serial * 3_000, serial % 120 == 0, 100));
        }
        assert!(history.get(99).is_some() && history.get(98).is_none());
    }

    #[test]
    fn a_group_past_the_bound_loses_its_front_and_its_keyframe() {
        let mut history = History::default();
        for serial in 0..20 {
            history.push(unit(serial, serial * 3_000, serial == 0, 1024 * 1024));
        }
        assert!(history.bytes <= BYTES_MAX);
        assert!(history.newest_key().is_none());
        assert_eq!(history.newest().unwrap().serial, 19);
    }

    #[test]
    fn the_bitrate_is_bytes_over_time() {
        let mut history = History::default();
        for serial in 0..16 {
            assert_eq!(history.bitrate(), None);
            history.push(unit(serial, serial * 3_000, serial == 0, 1_000));
        }
        assert_eq!(history.bitrate(), Some(240_000));
    }

    #[test]
    fn a_gap_in_serials_starts_anew() {
        let mut history = History::default();
        history.push(unit(1, 0, true, 10));
        history.push(unit(5, 3_000, false, 10));
        assert!(history.get(1).is_none() && history.newest_key().is_none());
    }
}
