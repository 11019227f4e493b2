//! What the reader and the writer promise each other, and what the reader refuses.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::time::{MediaTime, Timescale, UtcTime};

fn frame(ticks: u64, duration: u32, keyframe: bool, data: &'static [u8]) -> Frame {
    Frame {
        dts: MediaTime::new(ticks, Timescale::VIDEO),
        composition_offset: 0,
        duration,
        keyframe,
        data: Bytes::from_static(data),
        arrived: UtcTime::from_micros(1_795_123_456_789_012),
    }
}

fn video() -> Vec<Frame> {
    let with_offset = |offset, frame| Frame { composition_offset: offset, ..frame };
    vec![
        with_offset(6_000, frame(u64::from(u32::MAX) + 7, 3_000, true, b"I frame")),
        with_offset(9_000, frame(u64::from(u32::MAX) + 3_007, 3_000, false, b"P")),
        with_offset(-3_000, frame(u64::from(u32::MAX) + 6_007, 3_003, false, b"B picture")),
    ]
}

fn round_trip(frames: &[Frame]) -> Chunk {
    let written = write_chunk(7, frames).expect("valid frames");
    let read = read_chunk(written.bytes.clone(), frames[0].dts.timescale).expect("own chunk");
    assert_eq!(read.bytes, written.bytes);
    assert_eq!(read.frames, written.frames);
    read
}

#[test]
fn b_frames_come_back_as_they_went_in() {
    assert_eq!(round_trip(&video()).frames, video());
}

#[test]
fn single_frames_come_back_whatever_their_kind() {
    for frame in video() {
        assert_eq!(round_trip(std::slice::from_ref(&frame)).frames, [frame]);
    }
}

#[test]
fn several_audio_frames_share_one_chunk() {
    let scale = Timescale::new(44_100).expect("not zero");
    let audio = |index: u64, data| Frame {
        dts: MediaTime::new(1_024 * index, scale),
        ..frame(0, 1_024, true, data)
    };
    let frames = [audio(5, b"one"), audio(6, b"two two"), audio(7, b"three"), audio(8, b"4")];
    assert_eq!(round_trip(&frames).frames, frames);
}

#[test]
fn a_gap_within_a_chunk_is_written_as_duration() {
    let frames = [frame(0, 3_000, true, b"a"), frame(4_500, 3_000, false, b"b")];
    let read = round_trip(&frames);
    assert_eq!(read.frames[0].duration, 4_500);
    assert_eq!(read.frames[1], frames[1]);
}

#[test]
fn frames_share_the_bytes_of_the_chunk() {
    let written = write_chunk(1, &video()).expect("valid frames");
    let read = read_chunk(written.bytes.clone(), Timescale::VIDEO).expect("own chunk");
    let all = written.bytes.as_ptr_range();
    for frame in written.frames.iter().chain(&read.frames) {
        assert!(all.contains(&frame.data.as_ptr()));
    }
}

#[test]
fn what_cannot_be_a_chunk_is_not_written() {
    let check = |frames: &[Frame], expect: fn(&Error) -> bool| {
        let error = write_chunk(1, frames).expect_err("refused");
        assert!(expect(&error), "{error}");
    };
    check(&[], |e| matches!(e, Error::Empty));
    check(&[frame(0, 1, true, b"")], |e| matches!(e, Error::EmptySample(0)));
    check(&[frame(9, 1, true, b"a"), frame(8, 1, true, b"b")], |e| matches!(e, Error::Times));
    check(&[frame(u64::MAX, 1, true, b"a")], |e| matches!(e, Error::Times));
    check(&[frame(0, 1, true, b"a"), frame(1 << 33, 1, true, b"b")], |e| matches!(e, Error::Times));
    let other = Frame { dts: MediaTime::from_millis(1), ..frame(0, 1, true, b"b") };
    check(&[frame(0, 1, true, b"a"), other], |e| matches!(e, Error::Times));
    check(&vec![frame(0, 0, true, b"a"); 257], |e| matches!(e, Error::TooManySamples(257)));
    let large = Frame { data: vec![0; CHUNK_BYTES_MAX].into(), ..frame(0, 1, true, b"a") };
    check(&[large], |e| matches!(e, Error::TooLarge(_)));
}

#[test]
fn the_largest_chunk_that_is_written_is_read() {
    let data = vec![7; CHUNK_BYTES_MAX - 1_024].into();
    round_trip(&[Frame { data, ..frame(0, 1, true, b"a") }]);
    round_trip(&vec![frame(0, 0, true, b"a"); SAMPLES_MAX]);
}

// Hostile bytes.

fn chunk() -> Vec<u8> {
    write_chunk(7, &video()).expect("valid frames").bytes.to_vec()
}

fn refused(bytes: Vec<u8>) -> Error {
    read_chunk(bytes.into(), Timescale::VIDEO).expect_err("refused")
}

/// Where the box of type `kind` begins.
fn find(bytes: &[u8], kind: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == kind).expect("present") - 4
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

#[test]
fn a_chunk_cut_short_anywhere_is_refused() {
    let whole = chunk();
    for len in 0..whole.len() {
        refused(whole[..len].to_vec());
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = chunk();
    bytes.push(0);
    assert!(matches!(refused(bytes), Error::Unsupported(_)));
}

#[test]
fn boxes_nested_500_deep_are_refused() {
    let whole = chunk();
    let (moof, mdat) = (find(&whole, b"moof"), find(&whole, b"mdat"));
    let mut nest = Vec::new();
    for depth in (1..=500_u32).rev() {
        nest.extend_from_slice(&(depth * 8).to_be_bytes());
        nest.extend_from_slice(if depth == 500 { b"moof" } else { b"traf" });
    }
    let bytes = [&whole[..moof], &nest, &whole[mdat..]].concat();
    assert!(matches!(refused(bytes), Error::UnexpectedBox { expected: "mfhd", .. }));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for kind in [b"prft", b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat"] {
        let at = find(&chunk(), kind);
        let size = u32::from_be_bytes(chunk()[at..at + 4].try_into().expect("four bytes"));
        for wrong in [0, 1, 7, 8, size - 1, size + 1, 0x7fff_ffff, u32::MAX] {
            let mut bytes = chunk();
            put(&mut bytes, at, wrong);
            refused(bytes);
        }
    }
}

#[test]
fn counts_that_the_bytes_cannot_hold_are_refused() {
    let at = find(&chunk(), b"trun") + 12;
    let check = |count, expect: fn(&Error) -> bool| {
        let mut bytes = chunk();
        put(&mut bytes, at, count);
        let error = refused(bytes);
        assert!(expect(&error), "{count}: {error}");
    };
    check(0, |e| matches!(e, Error::Empty));
    check(2, |e| matches!(e, Error::Box(_)));
    check(4, |e| matches!(e, Error::Box(_)));
    check(256, |e| matches!(e, Error::Box(_)));
    check(257, |e| matches!(e, Error::TooManySamples(257)));
    check(u32::MAX, |e| matches!(e, Error::TooManySamples(_)));
}

#[test]
fn boxes_in_another_order_are_refused() {
    let whole = chunk();
    let (moof, mdat) = (find(&whole, b"moof"), find(&whole, b"mdat"));
    let (prft, moof, mdat) = (&whole[..moof], &whole[moof..mdat], &whole[mdat..]);
    for order in [[moof, prft, mdat], [prft, mdat, moof], [prft, moof, moof], [prft, prft, moof]] {
        assert!(matches!(refused(order.concat()), Error::UnexpectedBox { .. }));
    }
    refused([prft, moof, mdat, mdat].concat());
    refused([prft, moof, mdat, moof].concat());
}

#[test]
fn samples_outside_mdat_are_refused() {
    let at = find(&chunk(), b"trun");
    for (field, wrong) in [(16, 0), (16, u32::MAX), (16, 1 << 30), (20, 8), (20, 6), (20, u32::MAX)]
    {
        let mut bytes = chunk();
        // With shared durations left to `tfhd`, entries begin with the first sample's own field.
        let sizes_at = if field == 20 { size_field(&bytes) } else { at + field };
        put(&mut bytes, sizes_at, wrong);
        refused(bytes);
    }
}

/// Where `trun` of [`video`] holds the first sample's size: after its duration.
fn size_field(bytes: &[u8]) -> usize {
    find(bytes, b"trun") + 24
}

#[test]
fn a_decode_time_near_the_end_of_time_is_refused() {
    let mut bytes = chunk();
    let at = find(&bytes, b"tfdt") + 12;
    put(&mut bytes, at, u32::MAX);
    assert!(matches!(refused(bytes), Error::Times));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = read_chunk(bytes.into(), Timescale::VIDEO);
    }

    #[test]
    fn mutated_chunks_are_read_within_bounds_or_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = chunk();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let len = bytes.len();
        if let Ok(chunk) = read_chunk(bytes.into(), Timescale::VIDEO) {
            prop_assert!(!chunk.frames.is_empty() && chunk.frames.len() <= SAMPLES_MAX);
            let total: usize = chunk.frames.iter().map(|frame| frame.data.len()).sum();
            prop_assert!(total < len);
        }
    }

    #[test]
    fn every_chunk_that_is_written_is_read_back(
        start in 0..TICKS_MAX / 2,
        samples in prop::collection::vec(
            (1..u32::MAX, any::<i32>(), any::<bool>(), prop::collection::vec(any::<u8>(), 1..64)),
            1..40,
        ),
        arrived_us in 0_u64..2_000_000_000_000_000,
    ) {
        let mut ticks = start;
        let frames: Vec<Frame> = samples
            .into_iter()
            .map(|(duration, composition_offset, keyframe, data)| {
                let dts = MediaTime::new(ticks, Timescale::VIDEO);
                ticks += u64::from(duration);
                let arrived = UtcTime::from_micros(arrived_us);
                Frame { dts, composition_offset, duration, keyframe, data: data.into(), arrived }
            })
            .collect();
        prop_assert_eq!(&round_trip(&frames).frames, &frames);
    }
}
