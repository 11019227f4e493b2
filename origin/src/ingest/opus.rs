//! What the first bytes of an Opus packet say of it (RFC 6716 §3): how long its sound lasts. Decoding
//! is the players'.

use bytes::Bytes;

/// Samples per second of every duration here, whatever was encoded (RFC 7587 §4.1).
pub const SAMPLE_RATE: u32 = 48_000;
/// The longest packet that is taken: more than the largest frame (RFC 6716 §3.2.1) twice over.
pub const PACKET_BYTES_MAX: usize = 3_000;
/// 120 ms, §3.2.5.
const PACKET_SAMPLES_MAX: u32 = SAMPLE_RATE / 1000 * 120;

/// How a packet is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Samples of each of its frames at [`SAMPLE_RATE`].
    pub frame_samples: u32,
    /// Samples of all its frames.
    pub samples: u32,
    /// Configuration and channels, without the count of frames.
    layout: u8,
}

impl Packet {
    /// Reads the head of a packet; `None` for what is none.
    pub fn parse(data: &[u8]) -> Option<Self> {
        if data.len() > PACKET_BYTES_MAX {
            return None;
        }
        let toc = *data.first()?;
        let frame_samples = frame_samples(toc >> 3);
        let frames = match toc & 0b11 {
            0 => 1,
            1 | 2 => 2,
            _ => u32::from(*data.get(1)? & 0x3f),
        };
        let samples = frame_samples * frames;
        (1..=PACKET_SAMPLES_MAX).contains(&samples).then_some(Self {
            frame_samples,
            samples,
            layout: toc & !0b11,
        })
    }

    /// A packet of one frame like these that was lost, or not sent (§3.2.1: a frame of no bytes): a
    /// decoder goes on with what it heard last, fading.
    pub fn missing(self) -> Bytes {
        Bytes::copy_from_slice(&[self.layout])
    }
}

/// By configuration, §3.1 table 2.
fn frame_samples(configuration: u8) -> u32 {
    let ms = SAMPLE_RATE / 1000;
    match (configuration, configuration & 0b11) {
        (..12, 3) => 60 * ms,
        (..12, 2) => 40 * ms,
        (..12, 1) => 20 * ms,
        (..12, _) => 10 * ms,
        (12..16, even) => {
            if even & 1 == 0 {
                10 * ms
            } else {
                20 * ms
            }
        }
        (_, tenths) => (ms * 5 / 2) << tenths,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(data: &[u8]) -> Option<u32> {
        Packet::parse(data).map(|packet| packet.samples)
    }

    #[test]
    fn a_packet_lasts_as_long_as_its_frames() {
        assert_eq!(samples(&[0xfc, 1, 2]), Some(960), "CELT, full band, 20 ms, stereo");
        assert_eq!(samples(&[0xe0]), Some(120), "2.5 ms");
        assert_eq!(samples(&[0x78, 9]), Some(960), "hybrid, full band, 20 ms");
        assert_eq!(samples(&[0x19, 9]), Some(5_760), "SILK, twice 60 ms");
        assert_eq!(samples(&[0x0b, 0x83]), Some(2_880), "three times 20 ms");
    }

    #[test]
    fn what_no_encoder_makes_is_none() {
        for data in
            [&[][..], &[0xff], &[0xff, 0], &[0x1b, 3], &[0xff, 7], &[0; PACKET_BYTES_MAX + 1]]
        {
            assert_eq!(Packet::parse(data), None, "{data:x?}");
        }
    }

    #[test]
    fn a_missing_packet_lasts_as_long_as_a_frame_of_those_around_it() {
        let packet = Packet::parse(&[0xff, 2, 0, 0]).expect("twice 20 ms of stereo");
        let missing = Packet::parse(&packet.missing()).expect("a packet");
        assert_eq!((missing.samples, missing.layout), (960, 0xfc));
    }

    /// As players will have it: the decoder takes the packet, and makes as much sound of it.
    #[test]
    fn libopus_conceals_a_missing_packet() {
        let mut decoder = opus::Decoder::new(SAMPLE_RATE, opus::Channels::Stereo).expect("decoder");
        let mut pcm = [0.0; 960 * 2];
        let packet = Packet::parse(&[0xfc]).expect("a packet").missing();
        let made = decoder.decode_float(&packet, &mut pcm, false).expect("decoded");
        assert_eq!(made, 960);
    }
}
