use proptest::prelude::*;

use super::*;

/// Writes chunks by hand, so that a test can say exactly what is on the wire.
#[derive(Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn basic(mut self, format: u8, id: u32) -> Self {
        let head = format << 6;
        match id {
            2..64 => self.0.push(head | id as u8),
            64..320 => self.0.extend([head, (id - 64) as u8]),
            _ => self.0.extend([head | 1, ((id - 64) % 256) as u8, ((id - 64) / 256) as u8]),
        }
        self
    }

    fn u24(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes()[1..]);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A type 0 chunk with as much payload as given.
    fn full(self, id: u32, time: u32, length: usize, kind: u8, payload: &[u8]) -> Self {
        let extended = time >= TIMESTAMP_EXTENDED;
        let wire = self.basic(0, id).u24(time.min(TIMESTAMP_EXTENDED)).u24(length as u32);
        let wire = wire.bytes(&[kind]).bytes(&1_u32.to_le_bytes());
        let wire = if extended { wire.bytes(&time.to_be_bytes()) } else { wire };
        wire.bytes(payload)
    }

    fn more(self, id: u32, payload: &[u8]) -> Self {
        self.basic(3, id).bytes(payload)
    }

    fn chunk_size(self, size: u32) -> Self {
        self.full(2, 0, 4, message::SET_CHUNK_SIZE, &size.to_be_bytes())
    }
}

fn reader() -> Reader {
    let mut reader = Reader::new();
    reader.expect_media();
    reader
}

type Read = (u32, u8, Vec<u8>);

fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Read>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push((message.timestamp.value, message.type_id, message.data.to_vec()));
    }
    Ok(messages)
}

fn check(wire: Wire, expect: &[Read]) {
    assert_eq!(read_all(&mut reader(), &wire.0).as_deref(), Ok(expect));
    for split in 0..=wire.0.len() {
        let mut reader = reader();
        let mut messages = read_all(&mut reader, &wire.0[..split]).unwrap();
        messages.extend(read_all(&mut reader, &wire.0[split..]).unwrap());
        assert_eq!(messages, expect, "split at {split}");
    }
    let mut reader = reader();
    let bytes = wire.0.iter().map(std::slice::from_ref);
    let messages: Vec<Read> = bytes.flat_map(|b| read_all(&mut reader, b).unwrap()).collect();
    assert_eq!(messages, expect, "byte by byte");
}

fn check_error(wire: Wire, expect: Error) {
    assert_eq!(read_all(&mut reader(), &wire.0), Err(expect));
}

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 % 251) as u8).collect()
}

#[test]
fn audio_between_the_chunks_of_a_picture_reaches_both_whole() {
    let (video, audio) = (payload(300), payload(20));
    let wire = Wire::default()
        .full(6, 40, 300, message::VIDEO, &video[..128])
        .full(4, 23, 20, message::AUDIO, &audio)
        .more(6, &video[128..256])
        .more(6, &video[256..]);
    check(wire, &[(23, message::AUDIO, audio), (40, message::VIDEO, video)]);
}

#[test]
fn every_length_of_chunk_stream_id_is_read() {
    let wire = [2, 63, 64, 319, 320, 65_599]
        .into_iter()
        .fold(Wire::default(), |wire, id| wire.full(id, id, 1, message::AUDIO, b"x"));
    let expect = [2, 63, 64, 319, 320, 65_599].map(|id| (id, message::AUDIO, b"x".to_vec()));
    check(wire, &expect);
}

#[test]
fn compressed_headers_repeat_what_they_leave_out() {
    let wire = Wire::default()
        .full(4, 100, 2, message::AUDIO, b"aa")
        .basic(1, 4) // Another length.
        .u24(23)
        .bytes(&[0, 0, 3, message::AUDIO])
        .bytes(b"bbb")
        .basic(2, 4) // Another delta.
        .u24(24)
        .bytes(b"ccc")
        .more(4, b"ddd"); // The same delta again.
    let times_and_bodies = [(100, "aa"), (123, "bbb"), (147, "ccc"), (171, "ddd")];
    let expect =
        times_and_bodies.map(|(time, body)| (time, message::AUDIO, body.as_bytes().to_vec()));
    check(wire, &expect);
}

#[test]
fn a_type_3_chunk_after_a_full_header_adds_its_time_again() {
    let wire = Wire::default().full(4, 10, 1, message::AUDIO, b"a").more(4, b"b");
    check(wire, &[(10, message::AUDIO, b"a".to_vec()), (20, message::AUDIO, b"b".to_vec())]);
}

#[test]
fn timestamps_wrap() {
    let wire = Wire::default().full(4, u32::MAX - 9, 1, message::AUDIO, b"a").basic(2, 4).u24(23);
    let expect = [(u32::MAX - 9, message::AUDIO, vec![b'a']), (13, message::AUDIO, vec![b'b'])];
    check(wire.bytes(b"b"), &expect);
}

#[test]
fn type_3_chunks_repeat_an_extended_timestamp() {
    let (time, video) = (0x0123_4567, payload(300));
    let wire = Wire::default()
        .full(6, time, 300, message::VIDEO, &video[..128])
        .basic(3, 6)
        .bytes(&time.to_be_bytes())
        .bytes(&video[128..256])
        .basic(3, 6)
        .bytes(&time.to_be_bytes())
        .bytes(&video[256..])
        .full(6, 7, 1, message::VIDEO, b"x");
    check(wire, &[(time, message::VIDEO, video), (7, message::VIDEO, b"x".to_vec())]);
}

#[test]
fn an_extended_timestamp_left_out_of_type_3_chunks_is_told_apart() {
    // The payload begins like the timestamp, for as long as it can without being it.
    for alike in 0..4 {
        let time = 0x0123_4567_u32;
        let mut video = payload(300);
        video[128..128 + alike].copy_from_slice(&time.to_be_bytes()[..alike]);
        video[128 + alike] = 0xee;
        let wire = Wire::default()
            .full(6, time, 300, message::VIDEO, &video[..128])
            .more(6, &video[128..256])
            .more(6, &video[256..])
            .full(4, 7, 1, message::AUDIO, b"x");
        check(wire, &[(time, message::VIDEO, video), (7, message::AUDIO, b"x".to_vec())]);
    }
}

#[test]
fn payload_shorter_than_an_extended_timestamp_gives_back_the_next_chunks() {
    let time = 0x0123_4567;
    let wire = Wire::default()
        .full(6, time, 129, message::VIDEO, &payload(128))
        .more(6, &[0x01]) // As the timestamp begins; its next byte is not the next header's.
        .full(4, 7, 1, message::AUDIO, b"x");
    let video = [payload(128), vec![0x01]].concat();
    check(wire, &[(time, message::VIDEO, video), (7, message::AUDIO, b"x".to_vec())]);
}

#[test]
fn a_new_chunk_size_holds_from_the_next_chunk() {
    let video = payload(300);
    let wire = Wire::default()
        .full(6, 0, 300, message::VIDEO, &video[..128])
        .chunk_size(100)
        .more(6, &video[128..228])
        .chunk_size(0x7fff_ffff)
        .more(6, &video[228..]);
    check(wire, &[(0, message::VIDEO, video)]);
}

#[test]
fn an_aborted_message_is_forgotten() {
    let wire = Wire::default()
        .full(6, 0, 300, message::VIDEO, &payload(128))
        .full(2, 0, 4, message::ABORT, &6_u32.to_be_bytes())
        .full(6, 9, 1, message::VIDEO, b"x");
    check(wire, &[(9, message::VIDEO, b"x".to_vec())]);
}

#[test]
fn an_empty_message_is_a_message() {
    let wire = Wire::default().full(4, 5, 0, message::AUDIO, b"").full(4, 6, 1, 8, b"x");
    check(wire, &[(5, message::AUDIO, vec![]), (6, message::AUDIO, b"x".to_vec())]);
}

#[test]
fn a_fresh_stream_may_begin_with_a_type_1_header() {
    let wire = Wire::default().basic(1, 2).u24(3).bytes(&[0, 0, 6, message::USER_CONTROL]);
    let wire = wire.bytes(&[0, 7, 0, 0, 0, 9]);
    check(wire, &[(3, message::USER_CONTROL, vec![0, 7, 0, 0, 0, 9])]);
    check_error(Wire::default().basic(2, 5).u24(3), Error::HeaderMissing(5));
    check_error(Wire::default().basic(3, 5), Error::HeaderMissing(5));
}

#[test]
fn oversized_messages_are_refused_by_their_header() {
    let too_large = |kind, bytes, bytes_max| Error::MessageTooLarge { kind, bytes, bytes_max };
    let bytes = VIDEO_BYTES_MAX + 1;
    let wire = Wire::default().full(6, 0, bytes, message::VIDEO, b"");
    check_error(wire, too_large(message::VIDEO, bytes, VIDEO_BYTES_MAX));
    for kind in [message::AUDIO, message::COMMAND_AMF0, message::DATA_AMF0, 22] {
        let bytes = MESSAGE_BYTES_MAX + 1;
        let wire = Wire::default().full(6, 0, bytes, kind, b"");
        check_error(wire, too_large(kind, bytes, MESSAGE_BYTES_MAX));
    }
}

#[test]
fn chunk_streams_are_bounded() {
    let open = |wire: Wire, id| wire.full(id, 0, 1, message::AUDIO, b"x");
    let ids = 100..100 + CHUNK_STREAMS_MAX as u32;
    let wire = ids.clone().fold(Wire::default(), open);
    assert_eq!(read_all(&mut reader(), &wire.0).map(|read| read.len()), Ok(CHUNK_STREAMS_MAX));
    check_error(open(ids.fold(Wire::default(), open), 9), Error::TooManyChunkStreams);
}

#[test]
fn unfinished_messages_are_bounded_together() {
    let half = VIDEO_BYTES_MAX / 2 + MESSAGE_BYTES_MAX * 5;
    let wire = [6, 7].into_iter().fold(Wire::default().chunk_size(half as u32), |wire, id| {
        wire.full(id, 0, VIDEO_BYTES_MAX, message::VIDEO, &payload(half))
    });
    check_error(wire, Error::PartialTooLarge(PARTIAL_BYTES_MAX));

    let almost = MESSAGE_BYTES_MAX - 1;
    let wire = [6, 7, 8].into_iter().fold(Wire::default().chunk_size(almost as u32), |wire, id| {
        wire.full(id, 0, MESSAGE_BYTES_MAX, message::COMMAND_AMF0, &payload(almost))
    });
    let before_media = read_all(&mut Reader::new(), &wire.0);
    assert_eq!(before_media, Err(Error::PartialTooLarge(PARTIAL_BYTES_MAX_BEFORE_MEDIA)));
}

#[test]
fn media_before_it_is_expected_is_refused_by_its_header() {
    let wire = Wire::default().full(6, 0, 1000, message::VIDEO, b"");
    assert_eq!(read_all(&mut Reader::new(), &wire.0), Err(Error::MediaNotExpected));
}

#[test]
fn nonsense_in_control_messages_is_refused() {
    check_error(Wire::default().chunk_size(0), Error::ChunkSize(0));
    check_error(Wire::default().chunk_size(0x8000_0000), Error::ChunkSize(0x8000_0000));
    let wire = Wire::default().full(2, 0, 3, message::ABORT, &[0, 0, 6]);
    check_error(wire, Error::ControlLength { kind: message::ABORT, bytes: 3 });
    let wire = Wire::default().full(6, 0, 300, message::VIDEO, &payload(128)).full(
        6,
        0,
        300,
        message::VIDEO,
        &payload(128),
    );
    check_error(wire, Error::HeaderInsideMessage(6));
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_say_the_same_however_split(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..10_u8, Just(0xc2), Just(0xff)], 0..2000),
        splits in prop::collection::vec(1..64_usize, 0..100),
    ) {
        let whole = read_all(&mut reader(), &bytes);
        let mut reader = reader();
        let mut rest = &bytes[..];
        let mut pieces = Ok(Vec::new());
        for take in splits.into_iter().chain([usize::MAX]) {
            let (piece, after) = rest.split_at(take.min(rest.len()));
            rest = after;
            let Ok(messages) = &mut pieces else { break };
            match read_all(&mut reader, piece) {
                Ok(more) => messages.extend(more),
                Err(error) => pieces = Err(error),
            }
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn messages_survive_any_chunk_size_and_interleaving(
        chunk_size in 1..400_u32,
        time in prop_oneof![0..100_u32, 0x00ff_fff0..0x0100_0010_u32, any::<u32>()],
        first in prop::collection::vec(any::<u8>(), 1..600),
        second in prop::collection::vec(any::<u8>(), 1..600),
    ) {
        let size = chunk_size as usize;
        let mut wire = Wire::default().chunk_size(chunk_size);
        let (mut a, mut b) = (first.chunks(size), second.chunks(size));
        let repeat = if time >= TIMESTAMP_EXTENDED { time.to_be_bytes().to_vec() } else { vec![] };
        wire = wire.full(6, time, first.len(), message::VIDEO, a.next().unwrap());
        wire = wire.full(4, 1, second.len(), message::AUDIO, b.next().unwrap());
        loop {
            let (next_a, next_b) = (a.next(), b.next());
            if let Some(chunk) = next_a {
                wire = wire.basic(3, 6).bytes(&repeat).bytes(chunk);
            }
            if let Some(chunk) = next_b {
                wire = wire.more(4, chunk);
            }
            if next_a.is_none() && next_b.is_none() {
                break;
            }
        }
        let mut messages = read_all(&mut reader(), &wire.0).unwrap();
        messages.sort_by_key(|message| message.1);
        let expect = [(1, message::AUDIO, second), (time, message::VIDEO, first)];
        prop_assert_eq!(messages, expect);
    }
}
