use std::collections::HashMap;

use proptest::prelude::*;
use rml_amf0::Amf0Value;
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::messages::RtmpMessage;
use rml_rtmp::time::RtmpTimestamp;

use super::*;

/// The bytes that an encoder sends after its handshake, one message after the other.
struct Encoder {
    serializer: ChunkSerializer,
    bytes: Vec<u8>,
}

impl Encoder {
    fn new() -> Self {
        Self { serializer: ChunkSerializer::new(), bytes: Vec::new() }
    }

    fn message(mut self, message: RtmpMessage) -> Self {
        let payload = message.into_message_payload(RtmpTimestamp::new(0), 1).unwrap();
        self.bytes.extend(self.serializer.serialize(&payload, false, false).unwrap().bytes);
        self
    }

    fn command(self, name: &str, object: Amf0Value, arguments: &[Amf0Value]) -> Self {
        self.message(RtmpMessage::Amf0Command {
            command_name: name.into(),
            transaction_id: 1.0,
            command_object: object,
            additional_arguments: arguments.to_vec(),
        })
    }

    fn connect(self) -> Self {
        let app = HashMap::from([("app".to_owned(), text("live"))]);
        self.command("connect", Amf0Value::Object(app), &[])
    }

    fn publish(self, key: &str) -> Self {
        self.command("publish", Amf0Value::Null, &[text(key), text("live")])
    }

    fn audio(self, body: &[u8]) -> Self {
        self.message(RtmpMessage::AudioData { data: body.to_vec().into() })
    }

    /// A whole publication: configuration, a frame, and the end.
    fn lecture() -> Vec<u8> {
        Self::new()
            .connect()
            .publish("key")
            .audio(&[0xaf, 0, 0x12, 0x10])
            .audio(&[[0xaf, 1].as_slice(), &[7; 300]].concat())
            .command("deleteStream", Amf0Value::Null, &[Amf0Value::Number(1.0)])
            .bytes
    }
}

fn text(text: &str) -> Amf0Value {
    Amf0Value::Utf8String(text.into())
}

/// A session whose handshake is done, by the simple form of it (RTMP 1.0 §5.2).
fn session(now: Instant) -> Session {
    let mut session = Session::new(now);
    session.handle_input(now, &[&[3], &[0; 1536][..]].concat()).unwrap();
    session.handle_input(now, &[0; 1536]).unwrap();
    let answers = sent(&mut session);
    assert_eq!(answers.len(), 1 + 2 * 1536);
    session
}

fn sent(session: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(output) = session.poll_output() {
        match output {
            Output::Send(answer) => bytes.extend_from_slice(&answer),
            other => panic!("only answers were expected, not {other:?}"),
        }
    }
    bytes
}

/// Drains the outputs, accepts what is asked, and names what there was besides answers.
fn accept_all(session: &mut Session, now: Instant, names: &mut Vec<&'static str>) {
    while let Some(output) = session.poll_output() {
        names.push(match output {
            Output::Send(_) => continue,
            Output::Publish(request) => {
                assert_eq!((request.app.as_str(), request.stream_key.as_str()), ("live", "key"));
                session.accept_publish(now).unwrap();
                "publish"
            }
            Output::Tag(flv::Tag::AudioConfig { .. }) => "config",
            Output::Tag(_) => "tag",
            Output::Dropped(_) | Output::DataIgnored(_) => "dropped",
            Output::Unpublish => "unpublish",
        });
    }
}

#[test]
fn a_publication_is_the_same_however_its_bytes_are_split() {
    let now = Instant::now();
    let lecture = Encoder::lecture();
    for split in 0..=lecture.len() {
        let (mut session, mut names) = (session(now), Vec::new());
        for piece in [&lecture[..split], &lecture[split..]] {
            session.handle_input(now, piece).unwrap();
            accept_all(&mut session, now, &mut names);
        }
        assert_eq!(names, ["publish", "config", "tag", "unpublish"], "split at {split}");
    }
}

#[test]
fn a_handshake_is_the_same_however_it_is_split() {
    let now = Instant::now();
    let input = [&[3], &[0; 3072][..], &Encoder::lecture()].concat();
    for step in [1, 7, 1536, 1537, 3072, 3073, 3074] {
        let (mut session, mut names) = (Session::new(now), Vec::new());
        for piece in input.chunks(step) {
            session.handle_input(now, piece).unwrap();
            accept_all(&mut session, now, &mut names);
        }
        assert_eq!(names, ["publish", "config", "tag", "unpublish"], "{step} at a time");
    }
}

#[test]
fn nothing_of_media_is_read_before_the_answer() {
    let now = Instant::now();
    let mut session = session(now);
    session.handle_input(now, &Encoder::lecture()).unwrap();
    assert!(session.is_deciding());
    let mut outputs = Vec::new();
    while let Some(output) = session.poll_output() {
        outputs.push(output);
    }
    assert!(matches!(outputs.pop(), Some(Output::Publish(_))));
    assert!(outputs.iter().all(|output| matches!(output, Output::Send(_))));

    session.refuse_publish(&Refusal::UnknownKey);
    let answers = sent(&mut session);
    let said = String::from_utf8_lossy(&answers);
    assert!(said.contains("NetStream.Publish.BadName"), "{said}");
    session.handle_input(now, &Encoder::lecture()).unwrap();
    assert_eq!(sent(&mut session), b"", "a refused session is over");
}

#[test]
fn what_is_held_while_deciding_is_bounded() {
    let now = Instant::now();
    let mut session = session(now);
    session.handle_input(now, &Encoder::new().connect().publish("key").bytes).unwrap();
    session.handle_input(now, &[0; HELD_BYTES_MAX]).unwrap();
    assert!(matches!(session.handle_input(now, &[0]), Err(Error::HeldTooLarge)));
}

#[test]
fn each_state_has_its_timeout() {
    let start = Instant::now();
    let mut fresh = Session::new(start);
    assert_eq!(fresh.poll_timeout(), Some(start + HANDSHAKE_TIMEOUT));
    let almost = HANDSHAKE_TIMEOUT - Duration::from_millis(1);
    assert!(fresh.handle_timeout(start + almost).is_ok());
    let over = fresh.handle_timeout(start + HANDSHAKE_TIMEOUT);
    assert!(matches!(over, Err(Error::HandshakeTimeout)));

    let mut idle = session(start);
    idle.handle_input(start + Duration::from_secs(9), &Encoder::new().connect().bytes).unwrap();
    let over = idle.handle_timeout(start + PUBLISH_TIMEOUT);
    assert!(matches!(over, Err(Error::PublishTimeout)), "commands do not put it off");

    let mut publishing = session(start);
    let lecture = Encoder::new().connect().publish("key").audio(&[0xaf, 0, 0x12, 0x10]);
    publishing.handle_input(start, &lecture.bytes).unwrap();
    assert_eq!(publishing.poll_timeout(), None, "deciding is the caller's time");
    accept_all(&mut publishing, start, &mut Vec::new());
    let later = start + Duration::from_secs(20);
    let more = Encoder::new().audio(&[0xaf, 1, 9]);
    publishing.handle_input(later, &more.bytes).unwrap();
    assert!(publishing.handle_timeout(start + MEDIA_TIMEOUT).is_ok(), "media puts it off");
    let over = publishing.handle_timeout(later + MEDIA_TIMEOUT);
    assert!(matches!(over, Err(Error::MediaTimeout)));
    accept_all(&mut publishing, later, &mut Vec::new());
    assert_eq!(publishing.poll_timeout(), None);
}

#[test]
fn commands_out_of_order_are_refused() {
    let check = |encoder: Encoder, expect: &str| {
        let now = Instant::now();
        let mut session = session(now);
        let error = session.handle_input(now, &encoder.bytes).unwrap_err();
        assert_eq!(error.to_string(), expect);
        assert_eq!(session.poll_timeout(), None, "it is over");
    };
    check(Encoder::new().publish("key"), "publish out of order");
    check(
        Encoder::new().command("createStream", Amf0Value::Null, &[]),
        "createStream out of order",
    );
    check(Encoder::new().connect().connect(), "connect out of order");
}

#[test]
fn message_streams_are_bounded() {
    let now = Instant::now();
    let mut session = session(now);
    let create = |encoder: Encoder| encoder.command("createStream", Amf0Value::Null, &[]);
    let encoder = (0..17).fold(Encoder::new().connect(), |encoder, _| create(encoder));
    session.handle_input(now, &encoder.bytes).unwrap();
    let answers = sent(&mut session);
    let mut reader = ChunkDeserializer::new();
    reader.set_max_chunk_size(4096).unwrap();
    let (mut results, mut errors, mut unread) = (0, 0, &answers[..]);
    while let Some(payload) = reader.get_next_message(std::mem::take(&mut unread)).unwrap() {
        if let RtmpMessage::Amf0Command { command_name, .. } = payload.to_rtmp_message().unwrap() {
            results += usize::from(command_name == "_result");
            errors += usize::from(command_name == "_error");
        }
    }
    assert_eq!((results, errors), (1 + 16, 1));
}

#[test]
fn the_key_stays_out_of_debug_output() {
    let request = PublishRequest {
        app: "live".into(),
        stream_key: "secret".into(),
        flash_version: "FMLE".into(),
    };
    let debug = format!("{:?}", Output::Publish(request));
    assert!(debug.contains("live") && !debug.contains("secret"), "{debug}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0..32_u8], 0..2000),
        handshake in any::<bool>(),
        accept in any::<bool>(),
    ) {
        let now = Instant::now();
        let mut session = if handshake { session(now) } else { Session::new(now) };
        if accept {
            let encoder = Encoder::new().connect().publish("key");
            session.handle_input(now, &encoder.bytes).ok();
            while let Some(output) = session.poll_output() {
                if let Output::Publish(_) = output {
                    session.accept_publish(now).unwrap();
                }
            }
        }
        for piece in bytes.chunks(97) {
            if session.handle_input(now, piece).is_err() {
                break;
            }
        }
        while session.poll_output().is_some() {}
    }

    #[test]
    fn a_publication_with_any_byte_changed_never_panics(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let now = Instant::now();
        let mut lecture = Encoder::lecture();
        let at = at.index(lecture.len());
        lecture[at] = byte;
        let mut session = session(now);
        let _ = session.handle_input(now, &lecture);
        while let Some(output) = session.poll_output() {
            if let Output::Publish(_) = output {
                let _ = session.accept_publish(now);
            }
        }
    }
}
