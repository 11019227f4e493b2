//! How messages stand on the streams of moq-lite-06 (draft-lcurley-moq-lite), as far as it has to be known to
//! measure and to count them. What is wrong with them otherwise, the library says.

use std::sync::Arc;

use bytes::Buf;

use super::{Asked, Excess, MESSAGE_BYTES_MAX};

/// Of streams that carry requests and their answers.
const ANNOUNCE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const FETCH: u64 = 3;
/// Of streams in one direction.
const GROUP: u64 = 0;
/// The longest suffix of a path in an announcement. What stands behind it grows with each relay that it passes.
const SUFFIX_BYTES_MAX: u64 = 256;
/// Of what is said about announcements.
const ANNOUNCE_START: u64 = 0;
const ANNOUNCE_END: u64 = 1;

/// What is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A message, or a frame of a group.
    Message,
    Announced,
    Retracted,
    /// To be told what is announced.
    Interest,
    Fetched,
    /// To a track.
    Subscribed(Track),
    /// A group begins, of that subscription of ours.
    Group {
        subscription: u64,
        sequence: u64,
    },
}

/// A track, as the library knows it: the path of its broadcast without what it leaves out, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Track(Vec<u8>);

impl Track {
    /// What a SUBSCRIBE is for: after an id, two strings.
    fn of(mut subscribe: &[u8]) -> Option<Self> {
        VarInt::default().read(&mut subscribe)?;
        let [path, name] = [string(&mut subscribe)?, string(&mut subscribe)?];
        let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty());
        let mut track = parts.collect::<Vec<_>>().join(&b'/');
        // Neither has it: both are UTF-8.
        track.push(0xff);
        track.extend_from_slice(name);
        Some(Self(track))
    }
}

fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(VarInt::default().read(rest)?).ok()?;
    let (string, later) = rest.split_at_checked(length)?;
    *rest = later;
    Some(string)
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the kind of the stream.
    Kind,
    /// Before the type of a message.
    Type,
    /// Before its length.
    Length,
    /// So many bytes of it are to come.
    Body(usize),
    /// Where no messages come, but frames that we asked for.
    Fetched,
}

/// Whose stream it is.
enum Side {
    /// The peer's, in one direction.
    Data,
    /// The peer's: it asks.
    Requests,
    /// Ours: it answers what we asked for, which its first byte says.
    Answers(Arc<Asked>),
}

/// Follows the messages of one stream of the peer's.
pub(super) struct Framing {
    side: Side,
    state: State,
    kind: u64,
    /// Of the message that is being read.
    message_type: u64,
    /// Messages that have been read.
    messages: usize,
    number: VarInt,
    /// The message itself, where it is of interest.
    body: Vec<u8>,
}

impl Framing {
    /// Of a stream in one direction that the peer has opened.
    pub(super) fn data() -> Self {
        Self::new(Side::Data, State::Kind)
    }

    /// Of a stream that the peer has opened to ask for something.
    pub(super) fn requests() -> Self {
        Self::new(Side::Requests, State::Kind)
    }

    /// Of one that we have opened, whose first byte is in `asked` before anything is answered.
    pub(super) fn answers(asked: Arc<Asked>) -> Self {
        Self::new(Side::Answers(asked), State::Kind)
    }

    fn new(side: Side, state: State) -> Self {
        let (number, body) = (VarInt::default(), Vec::new());
        Self { side, state, kind: 0, message_type: 0, messages: 0, number, body }
    }

    /// Whether what comes is no longer looked at.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Fetched)
    }

    /// Reads on.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        mut see: impl FnMut(Seen) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        if let (Side::Answers(asked), State::Kind) = (&self.side, self.state) {
            self.kind = asked.kind.get().copied().unwrap_or_default().into();
            self.state = self.next();
        }
        while !bytes.is_empty() {
            match self.state {
                State::Fetched => return Ok(()),
                State::Body(rest) => {
                    let (now, later) = bytes.split_at(rest.min(bytes.len()));
                    bytes = later;
                    if self.is_of_interest() {
                        self.body.extend_from_slice(now);
                    }
                    self.state = State::Body(rest - now.len());
                }
                State::Kind | State::Type | State::Length => {
                    let Some(number) = self.number.read(&mut bytes) else { return Ok(()) };
                    self.state = match self.state {
                        State::Kind => {
                            self.kind = number;
                            self.next()
                        }
                        State::Type => {
                            self.message_type = number;
                            State::Length
                        }
                        _ => match usize::try_from(number) {
                            Ok(length) if length <= MESSAGE_BYTES_MAX || self.is_frame() => {
                                State::Body(length)
                            }
                            _ => return Err(Excess::Message(number)),
                        },
                    };
                }
            }
            if let State::Body(0) = self.state {
                see(Seen::Message)?;
                if let Some(seen) = self.seen()? {
                    see(seen)?;
                }
                self.body = Vec::new();
                self.messages += 1;
                self.state = self.next();
            }
        }
        Ok(())
    }

    /// What stands before the next message.
    fn next(&self) -> State {
        match (&self.side, self.kind) {
            (Side::Answers(_), FETCH) => State::Fetched,
            (Side::Answers(_), SUBSCRIBE) => State::Type,
            // The first says how many are to come.
            (Side::Answers(_), ANNOUNCE) if self.messages > 0 => State::Type,
            // Of a frame its time, where a message has its type.
            (Side::Data, GROUP) if self.messages > 0 => State::Type,
            _ => State::Length,
        }
    }

    /// Whether what is read is not a message but a frame, which may be as long as its group.
    fn is_frame(&self) -> bool {
        matches!(self.side, Side::Data) && self.kind == GROUP && self.messages > 0
    }

    /// Whether it is to be known what the message says.
    fn is_of_interest(&self) -> bool {
        match (&self.side, self.kind) {
            (Side::Data, GROUP) | (Side::Requests, SUBSCRIBE) => self.messages == 0,
            (Side::Answers(_), ANNOUNCE) => {
                self.messages > 0 && self.message_type == ANNOUNCE_START
            }
            _ => false,
        }
    }

    /// What the message that has been read is counted as. What cannot be read is not: the library ends its
    /// stream.
    fn seen(&self) -> Result<Option<Seen>, Excess> {
        let mut body = self.body.as_slice();
        Ok(match (&self.side, self.kind, self.messages) {
            (Side::Data, GROUP, 0) => group_of(body),
            (Side::Requests, SUBSCRIBE, 0) => Track::of(body).map(Seen::Subscribed),
            (Side::Requests, ANNOUNCE, 0) => Some(Seen::Interest),
            (Side::Requests, FETCH, 0) => Some(Seen::Fetched),
            (Side::Answers(_), ANNOUNCE, 1..) => match self.message_type {
                ANNOUNCE_START => match VarInt::default().read(&mut body) {
                    Some(suffix) if suffix > SUFFIX_BYTES_MAX => {
                        return Err(Excess::Path(suffix));
                    }
                    _ => Some(Seen::Announced),
                },
                ANNOUNCE_END => Some(Seen::Retracted),
                _ => None,
            },
            _ => None,
        })
    }
}

/// Which group a stream carries.
fn group_of(mut header: &[u8]) -> Option<Seen> {
    let subscription = VarInt::default().read(&mut header)?;
    let sequence = VarInt::default().read(&mut header)?;
    Some(Seen::Group { subscription, sequence })
}

/// The id of a SUBSCRIBE of ours, as it begins.
pub(super) fn subscription_of(mut begin: &[u8]) -> Option<u64> {
    let mut number = || VarInt::default().read(&mut begin);
    let kind = number()?;
    let _length = number()?;
    let id = number()?;
    (kind == SUBSCRIBE).then_some(id)
}

/// A variable-length integer (RFC 9000 §16) that may come in pieces.
#[derive(Default)]
struct VarInt {
    value: u64,
    /// Bytes that are to come; 0 before the first.
    rest: usize,
}

impl VarInt {
    /// `None` if there is more of it to come.
    fn read(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        while bytes.has_remaining() {
            let byte = bytes.get_u8();
            if self.rest == 0 {
                self.rest = (1 << (byte >> 6)) - 1;
                self.value = u64::from(byte & 0x3f);
            } else {
                self.rest -= 1;
                self.value = self.value << 8 | u64::from(byte);
            }
            if self.rest == 0 {
                return Some(std::mem::take(&mut self.value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(value: u64) -> Vec<u8> {
        match value {
            0..0x40 => vec![value as u8],
            0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
            _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
        }
    }

    fn string_of(text: &str) -> Vec<u8> {
        [&number(text.len() as u64)[..], text.as_bytes()].concat()
    }

    fn message(body: &[u8]) -> Vec<u8> {
        [&number(body.len() as u64)[..], body].concat()
    }

    fn subscribe(id: u64, path: &str, track: &str) -> Vec<u8> {
        let body = [number(id), string_of(path), string_of(track), vec![7, 0, 0, 0, 0, 0]].concat();
        [number(SUBSCRIBE), message(&body)].concat()
    }

    fn answers_to(kind: u64) -> Framing {
        let asked = Asked::default();
        asked.kind.set(kind as u8).expect("new");
        Framing::answers(Arc::new(asked))
    }

    /// What is seen in `bytes` when they come in pieces of `piece`.
    fn seen(framing: &mut Framing, bytes: &[u8], piece: usize) -> Result<Vec<String>, Excess> {
        let mut seen = Vec::new();
        for bytes in bytes.chunks(piece) {
            framing.read(bytes, |saw| {
                seen.push(format!("{saw:?}"));
                Ok(())
            })?;
        }
        Ok(seen)
    }

    fn seen_apart(framing: &mut Framing, bytes: &[u8], piece: usize) -> Vec<String> {
        let seen = seen(framing, bytes, piece).expect("in bounds");
        seen.into_iter().filter(|seen| seen != "Message").collect()
    }

    #[test]
    fn a_subscription_is_known_by_its_track_however_it_is_written() {
        let track = |path, name| Track::of(&[number(1), string_of(path), string_of(name)].concat());
        let wanted = track("live/room/1.2.3", "video/main");
        assert_eq!(track("//live///room/1.2.3/", "video/main"), wanted);
        assert_ne!(track("live/room/1.2.3", "video//main"), wanted);
        assert_ne!(track("live/room/1.2.3/video", "main"), wanted);
        let wanted = vec![format!("{:?}", Seen::Subscribed(wanted.expect("read")))];
        // Whatever comes after it on its stream is an update.
        let update = message(&[1, 2, 3]);
        for id in [0, 63, 64, 20_000, 1 << 40] {
            let bytes = [subscribe(id, "live/room/1.2.3", "video/main"), update.clone()].concat();
            for piece in [1, 2, 3, 7, 1_000] {
                assert_eq!(seen_apart(&mut Framing::requests(), &bytes, piece), wanted);
            }
            assert_eq!(subscription_of(&bytes), Some(id));
        }
    }

    #[test]
    fn announcements_are_counted_from_their_second_message_on() {
        let typed = |kind, body: &[u8]| [number(kind), message(body)].concat();
        // The first has no type: its length is what a START would be.
        let first = message(&[]);
        let room = string_of("room");
        let bytes =
            [first, typed(0, &room), typed(2, b"again"), typed(1, &[0]), typed(9, b"new")].concat();
        for piece in [1, 5, 100] {
            let seen = seen_apart(&mut answers_to(ANNOUNCE), &bytes, piece);
            assert_eq!(seen, ["Announced", "Retracted"]);
        }
        let long = [message(&[]), typed(0, &string_of(&"x".repeat(257)))].concat();
        let refused = seen(&mut answers_to(ANNOUNCE), &long, 10);
        assert_eq!(refused, Err(Excess::Path(257)));
        let others =
            [[number(ANNOUNCE), message(b"")].concat(), [number(FETCH), message(b"")].concat()];
        let seen = others.map(|bytes| seen_apart(&mut Framing::requests(), &bytes, 1));
        assert_eq!(seen, [["Interest"], ["Fetched"]]);
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_has_come() {
        let too_long = number(MESSAGE_BYTES_MAX as u64 + 1);
        let longest = vec![0; MESSAGE_BYTES_MAX];
        let excess = Err(Excess::Message(MESSAGE_BYTES_MAX as u64 + 1));
        for kind in 0..8 {
            let bytes = [number(kind), message(&longest), too_long.clone()].concat();
            assert_eq!(seen(&mut Framing::requests(), &bytes, 100), excess);
        }
        let setup = [number(1), too_long.clone()].concat();
        assert_eq!(seen(&mut Framing::data(), &setup, 1), excess);
        let answer = [number(0), too_long].concat();
        assert_eq!(seen(&mut answers_to(SUBSCRIBE), &answer, 1), excess);
    }

    #[test]
    fn frames_of_a_group_are_counted_and_may_be_long() {
        let mut group = Framing::data();
        let header = [number(GROUP), message(&[7, 9, 0])].concat();
        let begins =
            vec!["Message".to_owned(), "Group { subscription: 7, sequence: 9 }".to_owned()];
        assert_eq!(seen(&mut group, &header, 1), Ok(begins));
        let frame = |bytes: usize| [number(90), message(&vec![0xff; bytes])].concat();
        let frames = [frame(0), frame(1), frame(1 << 20), frame(3)].concat();
        assert_eq!(seen(&mut group, &frames, 1_000), Ok(vec!["Message".to_owned(); 4]));
        let mut fetched = answers_to(FETCH);
        assert_eq!(seen(&mut fetched, &[0xff; 1_000], 100), Ok(vec![]));
        assert!(fetched.is_over());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_in_any_pieces(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            piece in 1..50_usize,
            kind in 0..8_u64,
        ) {
            let all: [fn(u64) -> Framing; 3] =
                [|_| Framing::data(), |_| Framing::requests(), answers_to];
            for new in all {
                let whole = seen(&mut new(kind), &bytes, 300);
                prop_assert_eq!(seen(&mut new(kind), &bytes, piece), whole);
            }
        }
    }
}
