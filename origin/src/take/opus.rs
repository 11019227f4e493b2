//! Opus that a publisher sends, carried as it is on a counter of samples.
//!
//! Players over HTTP want sound without holes, and WebRTC publishers leave some: packets are lost on the
//! way, and an encoder may send none while nobody speaks (DTX). So what is missing is filled with packets
//! that tell a decoder so, which it conceals; and where the publisher's sound card runs faster or slower
//! than its clock, a packet is left out or filled in before anybody could hear the sound part from the
//! picture.

use bytes::Bytes;
use lectern_relay_proto::{Frame, MediaTime, Timescale, UtcTime};

use crate::ingest::opus::{Packet, SAMPLE_RATE};

const MS: i64 = SAMPLE_RATE as i64 / 1000;
/// How far the count may be ahead of the source's clock before a packet is left out. Half of it is what
/// is left then, and neither is heard as out of sync (ITU-R BT.1359: 45 ms early).
const AHEAD_MAX: i64 = 30 * MS;
/// The shortest hole that is filled. Packets of 20 ms are filled from 15 on, so that one that is missing
/// always is.
const HOLE_MIN: i64 = 10 * MS;
/// The longest. A source that was away for longer would come back as a burst of silence.
const HOLE_MAX: i64 = 2_000 * MS;

/// Counts the samples of a source of Opus.
#[derive(Debug)]
pub(super) struct Opus {
    channels: u8,
    /// Where the next packet belongs.
    next: Option<i64>,
}

impl Opus {
    /// A source that is decoded to so many channels, one or two.
    pub(super) fn new(channels: u8) -> Self {
        Self { channels: channels.clamp(1, 2), next: None }
    }

    /// What it is decoded to.
    pub(super) fn channels(&self) -> u8 {
        self.channels
    }

    /// Takes a packet that begins at `media_ms`, and appends it to `out`, behind what is missing before
    /// it. `false` if it was left out: it is no packet, or there is sound of its time already.
    pub(super) fn push(
        &mut self,
        media_ms: u64,
        data: Bytes,
        arrived: UtcTime,
        out: &mut Vec<Frame>,
    ) -> bool {
        let Some(packet) = Packet::parse(&data) else { return false };
        let stated = i64::try_from(media_ms).unwrap_or(i64::MAX / MS).saturating_mul(MS);
        let frame = i64::from(packet.frame_samples);
        let mut at = self.next.unwrap_or(stated);
        let hole = stated - at;
        if hole < -AHEAD_MAX {
            return false;
        }
        if hole > HOLE_MAX {
            at = stated;
        } else if hole >= HOLE_MIN.max(frame * 3 / 4) {
            // Whole frames, as many as come closest.
            for _ in 0..((hole + frame / 2) / frame).max(1) {
                push(at, packet.frame_samples, packet.missing(), arrived, out);
                at += frame;
            }
        }
        push(at, packet.samples, data, arrived, out);
        self.next = Some(at + i64::from(packet.samples));
        true
    }
}

fn push(at: i64, samples: u32, data: Bytes, arrived: UtcTime, out: &mut Vec<Frame>) {
    let Ok(ticks) = u64::try_from(at) else { return };
    let dts = MediaTime::new(ticks, Timescale::OPUS);
    out.push(Frame {
        dts,
        composition_offset: 0,
        duration: samples,
        keyframe: true,
        data,
        arrived,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: &[u8] = &[0xfc, 1, 2, 3];

    struct Rig {
        opus: Opus,
        out: Vec<Frame>,
    }

    impl Rig {
        fn new() -> Self {
            Self { opus: Opus::new(2), out: Vec::new() }
        }

        fn push(&mut self, ms: u64) -> bool {
            self.opus.push(ms, Bytes::from_static(PACKET), UtcTime::default(), &mut self.out)
        }

        /// When each packet begins, and whether it was sent.
        fn made(&self) -> Vec<(u64, bool)> {
            let made = |frame: &Frame| (frame.dts.ticks / 48, frame.data.len() > 1);
            self.out.iter().map(made).collect()
        }
    }

    #[test]
    fn a_lost_packet_is_filled_in_its_place() {
        let mut rig = Rig::new();
        for ms in [1_000, 1_020, 1_060, 1_080] {
            assert!(rig.push(ms));
        }
        let expect = [(1_000, true), (1_020, true), (1_040, false), (1_060, true), (1_080, true)];
        assert_eq!(rig.made(), expect);
    }

    #[test]
    fn a_silent_speaker_leaves_no_hole() {
        let mut rig = Rig::new();
        rig.push(0);
        // With DTX the encoder sends one packet in 400 ms (RFC 6716 §2.1.9).
        rig.push(400);
        rig.push(420);
        let made = rig.made();
        assert_eq!(made.len(), 22);
        assert!(made.windows(2).all(|pair| pair[1].0 - pair[0].0 == 20), "{made:?}");
    }

    #[test]
    fn a_leap_is_not_filled() {
        let mut rig = Rig::new();
        rig.push(0);
        rig.push(5_000);
        assert_eq!(rig.made(), [(0, true), (5_000, true)]);
    }

    #[test]
    fn a_sound_card_that_runs_off_is_followed_within_what_nobody_hears() {
        // 0.1 %, twenty times what a bad quartz has, for ten minutes each way.
        for permille in [1_i64, -1] {
            let mut rig = Rig::new();
            let mut worst = 0;
            let mut left_out = 0;
            for n in 0..30_000_i64 {
                let stated = (10_000 + n * 20 + n * 20 * permille / 1000).unsigned_abs();
                left_out += u64::from(!rig.push(stated));
                let heard = rig.out.last().expect("something").dts.ticks / 48;
                worst = worst.max(heard.abs_diff(stated));
            }
            assert!(worst <= 30, "{worst} ms");
            let filled = rig.made().iter().filter(|(_, sent)| !sent).count() as u64;
            let expect = if permille > 0 { (30, 0) } else { (0, 29) };
            assert_eq!((filled, left_out), expect);
            let dts: Vec<_> = rig.out.iter().map(|frame| frame.dts.ticks).collect();
            assert!(dts.windows(2).all(|pair| pair[1] - pair[0] == 960), "without a hole");
        }
    }

    #[test]
    fn what_is_no_packet_is_left_out() {
        let mut rig = Rig::new();
        assert!(!rig.opus.push(0, Bytes::new(), UtcTime::default(), &mut rig.out));
        assert!(rig.out.is_empty());
    }
}
