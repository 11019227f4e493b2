//! Puts packets together to frames, in whatever order they come.

use crate::h264::{self, Contents};

/// Packets that are kept: a keyframe of a megabyte, or seconds of an ordinary stream.
const PACKETS_MAX: u64 = 1_024;

/// A packet of the stream.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Sequence number without end.
    pub(crate) number: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Unix time in microseconds.
    pub(crate) arrived_us: u64,
    pub(crate) payload: Vec<u8>,
}

/// A frame all of whose packets have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) timestamp: u32,
    /// When the last of its packets came.
    pub(crate) arrived_us: u64,
    /// `None` if the packets do not make whole NAL units.
    pub(crate) contents: Option<Contents>,
}

/// The packets of a stream, the latest ones.
pub(crate) struct Assembler {
    slots: Vec<Option<Slot>>,
    /// The first packet ever: a frame begins with it.
    origin: Option<u64>,
}

struct Slot {
    packet: Packet,
    /// Its frame has been handed out. The packet stays, to tell where the next frame begins.
    taken: bool,
}

impl Assembler {
    pub(crate) fn new() -> Self {
        Self { slots: (0..PACKETS_MAX).map(|_| None).collect(), origin: None }
    }

    /// Takes a packet, and hands each frame that is whole by it to `take`.
    pub(crate) fn insert(&mut self, packet: Packet, mut take: impl FnMut(Frame)) {
        let (number, marker) = (packet.number, packet.marker);
        self.origin.get_or_insert(number);
        let slot = &mut self.slots[(number % PACKETS_MAX) as usize];
        if slot.as_ref().is_some_and(|slot| slot.packet.number >= number) {
            return; // A copy, or older than what is kept.
        }
        *slot = Some(Slot { packet, taken: false });
        self.complete(number).into_iter().for_each(&mut take);
        if marker {
            // Where the next frame begins may not have been known without this packet.
            self.complete(number + 1).into_iter().for_each(&mut take);
        }
    }

    fn complete(&mut self, number: u64) -> Option<Frame> {
        let timestamp = self.slot(number).filter(|slot| !slot.taken)?.packet.timestamp;
        let mut first = number;
        while !self.begins(first)? {
            first -= 1;
        }
        let mut last = first;
        loop {
            let slot = self.slot(last).filter(|slot| slot.packet.timestamp == timestamp)?;
            if slot.packet.marker {
                break;
            }
            last += 1;
        }
        let packets = (first..=last).filter_map(|at| self.slot(at)).map(|slot| &slot.packet);
        let arrived_us = packets.clone().map(|packet| packet.arrived_us).max()?;
        let contents = h264::read(packets.map(|packet| packet.payload.as_slice()));
        for at in first..=last {
            if let Some(slot) = &mut self.slots[(at % PACKETS_MAX) as usize] {
                slot.taken = true;
                slot.packet.payload = Vec::new();
            }
        }
        Some(Frame { timestamp, arrived_us, contents })
    }

    /// Whether a frame begins with this packet; `None` while that cannot be known.
    fn begins(&self, number: u64) -> Option<bool> {
        let packet = &self.slot(number)?.packet;
        if self.origin == Some(number) || h264::begins_frame(&packet.payload) {
            return Some(true);
        }
        let before = &self.slot(number - 1)?.packet;
        Some(before.marker || before.timestamp != packet.timestamp)
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        let slot = self.slots[(number % PACKETS_MAX) as usize].as_ref();
        slot.filter(|slot| slot.packet.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of three packets, as (timestamp, when whole), by the order in which packets come.
    fn check(order: &[u64], expect: &[(u32, u64)]) {
        let mut assembler = Assembler::new();
        let mut frames = Vec::new();
        for (at, number) in order.iter().enumerate() {
            let place = (number - 300) % 3;
            let packet = Packet {
                number: *number,
                timestamp: ((number - 300) / 3) as u32,
                marker: place == 2,
                arrived_us: at as u64,
                payload: [[0x7c, 0x81, 1], [0x7c, 0x01, 1], [0x7c, 0x41, 1]][place as usize].into(),
            };
            assembler.insert(packet, |frame| {
                assert_eq!(frame.contents.map(|contents| contents.units), Some(1));
                frames.push((frame.timestamp, frame.arrived_us));
            });
        }
        assert_eq!(frames, expect, "{order:?}");
    }

    #[test]
    fn a_frame_is_whole_with_its_last_packet_whichever_that_is() {
        check(&[300, 301, 302, 303, 304, 305], &[(0, 2), (1, 5)]);
        check(&[300, 302, 301], &[(0, 2)]);
        check(&[300, 301, 303, 304, 305, 302], &[(0, 5), (1, 4)]);
        check(&[300, 301, 302, 302, 301], &[(0, 2)]);
        check(&[300, 301, 304, 305], &[]);
        check(&[300, 301, 302, 304, 305, 306, 307, 308], &[(0, 2), (2, 7)]);
    }

    #[test]
    fn a_frame_without_its_neighbour_is_known_by_the_unit_it_begins_with() {
        let mut assembler = Assembler::new();
        let mut frames = 0;
        let mut insert = |number, timestamp, marker, payload: &[u8]| {
            let payload = payload.to_vec();
            let packet = Packet { number, timestamp, marker, arrived_us: 0, payload };
            assembler.insert(packet, |_| frames += 1);
        };
        insert(70_000, 1, true, &[0x41, 1]);
        insert(70_002, 3, false, &[0x67, 1]);
        insert(70_003, 3, true, &[0x65, 1]);
        assert_eq!(frames, 2);
    }
}
