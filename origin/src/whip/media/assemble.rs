//! Packets to pictures and packets of sound: in the order in which they were sent, without what is
//! missing.
//!
//! What is missing is waited for, since the publisher sends it again when asked to (NACK). What does not
//! come in time is given up, with the picture that it belongs to; the owner is told, and asks for a
//! keyframe. Pure: `now` is an argument.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::depacketize::{self, Format, Picture};

/// How long a packet of a picture is waited for: it is asked for again within some 30 ms, and most ways
/// back and forth take less than 100. Viewers over WebRTC see a stop of this length.
const PICTURE_WAIT: Duration = Duration::from_millis(250);
/// The same for sound, which is not sent again: enough for packets that overtake one another.
const SOUND_WAIT: Duration = Duration::from_millis(60);
/// Packets held, and bytes of them: a keyframe of 4 MB, at 1200 bytes a packet. Whoever sends more before
/// a picture is whole does not send pictures, and all that is held goes.
const PACKETS_MAX: usize = 4_096;
const BYTES_MAX: usize = 6 << 20;

/// A packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Its sequence number, extended so that it does not wrap.
    pub(super) number: u64,
    /// Its timestamp, extended likewise.
    pub(super) ticks: u64,
    /// Whether the picture ends here (RFC 6184 §5.1 and the like).
    pub(super) marker: bool,
    pub(super) payload: Arc<[u8]>,
}

/// What came together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A picture, or a packet of sound, and its timestamp.
    Whole(u64, Picture),
    /// Something is missing here, or cannot be read.
    Lost,
}

/// Puts the packets of one stream together.
#[derive(Debug)]
pub(super) struct Assembler {
    format: Format,
    held: BTreeMap<u64, Packet>,
    bytes: usize,
    /// The number of the packet that is next; `None` until a picture begins for certain.
    next: Option<u64>,
    /// Packets before this one were used, or given up.
    floor: u64,
    /// Since when a packet is missing.
    missing_since: Option<Instant>,
    overflowed: bool,
}

impl Assembler {
    /// An assembler for what is packetized as `format` says.
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            held: BTreeMap::new(),
            bytes: 0,
            next: None,
            floor: 0,
            missing_since: None,
            overflowed: false,
        }
    }

    /// Takes a packet. One that came twice, or after it was given up, is dropped.
    pub(super) fn push(&mut self, packet: Packet) {
        if packet.number < self.floor {
            return;
        }
        self.bytes += packet.payload.len();
        if let Some(twin) = self.held.insert(packet.number, packet) {
            self.bytes -= twin.payload.len();
        }
        if self.held.len() > PACKETS_MAX || self.bytes > BYTES_MAX {
            self.restart();
            self.overflowed = true;
        }
    }

    /// When [`Self::pop`] may give something without another packet.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.missing_since.map(|since| since + self.wait())
    }

    /// The next picture, or that it is lost.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Unit> {
        if std::mem::take(&mut self.overflowed) {
            return Some(Unit::Lost);
        }
        let next = match self.next {
            Some(next) => next,
            None => self.begin()?,
        };
        match self.end_of_unit(next) {
            End::At(end) => {
                self.missing_since = None;
                self.next = Some(end);
                let packets = self.take_before(end);
                let Some(first) = packets.first() else { return Some(Unit::Lost) };
                let ticks = first.ticks;
                let payloads = packets.iter().map(|packet| &*packet.payload);
                Some(match depacketize::picture(self.format, payloads) {
                    Some(picture) => Unit::Whole(ticks, picture),
                    None => Unit::Lost,
                })
            }
            End::NotYet => {
                self.missing_since = None;
                None
            }
            End::Missing(after) => {
                let since = *self.missing_since.get_or_insert(now);
                if now.saturating_duration_since(since) < self.wait() {
                    return None;
                }
                self.missing_since = None;
                self.take_before(after);
                self.next = None;
                Some(Unit::Lost)
            }
        }
    }

    fn wait(&self) -> Duration {
        if self.format == Format::Opus { SOUND_WAIT } else { PICTURE_WAIT }
    }

    /// Finds the first packet that begins a picture for certain, and drops those before it.
    fn begin(&mut self) -> Option<u64> {
        let begins = |packet: &Packet| depacketize::begins(self.format, &packet.payload);
        let first = self.held.values().find(|packet| begins(packet)).map(|packet| packet.number);
        match first {
            Some(first) => {
                self.take_before(first);
                self.next = Some(first);
            }
            None => {
                self.held.clear();
                self.bytes = 0;
            }
        }
        first
    }

    /// Where the picture ends that begins with packet `first`.
    fn end_of_unit(&self, first: u64) -> End {
        let mut expected = first;
        let mut ticks = None;
        for (number, packet) in self.held.range(first..) {
            if *number != expected {
                return End::Missing(*number);
            }
            // Some senders forget the marker.
            if ticks.is_some_and(|ticks| ticks != packet.ticks) {
                return End::At(expected);
            }
            // Padding carries no timestamp of a picture.
            if !packet.payload.is_empty() {
                ticks = Some(packet.ticks);
            }
            expected += 1;
            if packet.marker || self.format == Format::Opus {
                return End::At(expected);
            }
        }
        End::NotYet
    }

    /// Takes the packets before `end` that carry something.
    fn take_before(&mut self, end: u64) -> Vec<Packet> {
        self.floor = self.floor.max(end);
        let rest = self.held.split_off(&end);
        let taken = std::mem::replace(&mut self.held, rest);
        let taken: Vec<_> = taken.into_values().collect();
        self.bytes -= taken.iter().map(|packet| packet.payload.len()).sum::<usize>();
        taken.into_iter().filter(|packet| !packet.payload.is_empty()).collect()
    }

    fn restart(&mut self) {
        self.held.clear();
        self.bytes = 0;
        self.next = None;
        self.missing_since = None;
    }
}

enum End {
    /// Before this packet.
    At(u64),
    /// More packets are to come.
    NotYet,
    /// Packets are missing before this one.
    Missing(u64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture of VP8 in as many packets.
    fn picture(first: u64, packets: u64, ticks: u64) -> Vec<Packet> {
        let packet = |at: u64| Packet {
            number: first + at,
            ticks,
            marker: at + 1 == packets,
            // No keyframe, which would have to begin like one.
            payload: [if at == 0 { 0x10 } else { 0 }, 1, first as u8].into(),
        };
        (0..packets).map(packet).collect()
    }

    struct Rig {
        assembler: Assembler,
        start: Instant,
    }

    impl Rig {
        fn new() -> Self {
            Self { assembler: Assembler::new(Format::Vp8), start: Instant::now() }
        }

        /// The timestamps of what is whole at `ms`, and `None` where something is lost.
        fn pop_at(&mut self, ms: u64) -> Vec<Option<u64>> {
            let now = self.start + Duration::from_millis(ms);
            let mut made = Vec::new();
            while let Some(unit) = self.assembler.pop(now) {
                made.push(match unit {
                    Unit::Whole(ticks, _) => Some(ticks),
                    Unit::Lost => None,
                });
            }
            made
        }

        fn push(&mut self, packets: &[Packet]) {
            packets.iter().cloned().for_each(|packet| self.assembler.push(packet));
        }
    }

    #[test]
    fn packets_in_any_order_make_pictures_in_order() {
        let mut rig = Rig::new();
        let (first, second) = (picture(10, 3, 100), picture(13, 2, 200));
        rig.push(&first[..1]);
        assert_eq!(rig.pop_at(0), []);
        rig.push(&second);
        assert_eq!(rig.pop_at(0), []);
        rig.push(&first[2..]);
        rig.push(&first[1..2]);
        assert_eq!(rig.pop_at(10), [Some(100), Some(200)]);
    }

    #[test]
    fn what_does_not_come_in_time_is_lost_with_its_picture() {
        let mut rig = Rig::new();
        let (first, second, third) = (picture(0, 1, 0), picture(1, 3, 100), picture(4, 1, 200));
        rig.push(&first);
        rig.push(&second[..1]);
        rig.push(&second[2..]);
        rig.push(&third);
        assert_eq!(rig.pop_at(0), [Some(0)]);
        assert_eq!(rig.assembler.timeout(), Some(rig.start + PICTURE_WAIT));
        assert_eq!(rig.pop_at(249), []);
        assert_eq!(rig.pop_at(250), [None, Some(200)]);
        // Then it comes after all.
        rig.push(&second);
        assert_eq!(rig.pop_at(300), []);
        assert_eq!(rig.assembler.bytes, 0);
    }

    #[test]
    fn a_picture_without_its_marker_ends_where_the_next_begins() {
        let mut rig = Rig::new();
        let (mut first, second) = (picture(0, 2, 0), picture(2, 1, 100));
        first[1].marker = false;
        rig.push(&first);
        assert_eq!(rig.pop_at(0), []);
        rig.push(&second);
        assert_eq!(rig.pop_at(0), [Some(0), Some(100)]);
    }

    #[test]
    fn padding_between_pictures_is_nothing() {
        let mut rig = Rig::new();
        let padding = Packet { number: 1, ticks: 0, marker: false, payload: [].into() };
        rig.push(&picture(0, 1, 0));
        rig.push(&[padding]);
        rig.push(&picture(2, 2, 100));
        assert_eq!(rig.pop_at(0), [Some(0), Some(100)]);
    }

    #[test]
    fn who_never_ends_a_picture_is_held_to_a_bound() {
        let mut rig = Rig::new();
        rig.push(&picture(0, 1, 0));
        assert_eq!(rig.pop_at(0), [Some(0)]);
        let endless = picture(1, 2 * PACKETS_MAX as u64 + 10, 100);
        for packet in &endless[..PACKETS_MAX + 1] {
            rig.push(std::slice::from_ref(packet));
            assert!(rig.assembler.held.len() <= PACKETS_MAX);
        }
        assert_eq!(rig.pop_at(0), [None]);
        assert_eq!(rig.assembler.bytes, 0);
    }

    #[test]
    fn sound_goes_on_after_a_packet_that_is_lost() {
        let mut rig = Rig::new();
        rig.assembler = Assembler::new(Format::Opus);
        let packet = |number| Packet {
            number,
            ticks: number * 960,
            marker: false,
            payload: [0xfc, 1].into(),
        };
        rig.push(&[packet(5), packet(7)]);
        assert_eq!(rig.pop_at(0), [Some(5 * 960)]);
        assert_eq!(rig.pop_at(60), [None, Some(7 * 960)]);
    }

    proptest! {
        /// Whatever is lost, doubled and reordered: pictures come in order, whole, and none twice.
        #[test]
        fn pictures_come_once_and_in_order(
            order in prop::collection::vec((0..200_usize, 0..40_u64), 0..400)
        ) {
            let mut rig = Rig::new();
            let mut all = Vec::new();
            for n in 0..50 {
                all.extend(picture(n * 4, 4, n * 100));
            }
            let (mut ms, mut seen) = (0, Vec::new());
            for (at, wait) in order {
                rig.push(&all[at..=at]);
                ms += wait;
                seen.extend(rig.pop_at(ms).into_iter().flatten());
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
            let held: usize = rig.assembler.held.values().map(|packet| packet.payload.len()).sum();
            prop_assert_eq!(rig.assembler.bytes, held);
        }
    }
}
