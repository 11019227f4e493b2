//! How messages stand on the streams of moq-lite-06 (draft-lcurley-moq-lite), as far as it has to be known to
//! measure and to count them. What is wrong with them otherwise, the library says.

use std::sync::{Arc, OnceLock};

use bytes::Buf;

use super::{Excess, MESSAGE_BYTES_MAX};

/// Of streams that carry requests and their answers.
const ANNOUNCE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const FETCH: u64 = 3;
/// Of streams in one direction.
const GROUP: u64 = 0;
/// Of what is said about announcements.
const ANNOUNCE_START: u64 = 0;
const ANNOUNCE_END: u64 = 1;

/// What is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Announced,
    Retracted,
    /// To a track: its broadcast's path and its name, as they stand in the message.
    Subscribed(&'a [u8]),
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
    /// Where messages have ended, and frames come.
    Media,
}

/// Whose stream it is.
enum Side {
    /// The peer's, in one direction.
    Data,
    /// The peer's: it asks.
    Requests,
    /// Ours: it answers what we asked for, which its first byte says.
    Answers(Arc<OnceLock<u8>>),
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
    pub(super) fn answers(asked: Arc<OnceLock<u8>>) -> Self {
        Self::new(Side::Answers(asked), State::Kind)
    }

    fn new(side: Side, state: State) -> Self {
        let (number, body) = (VarInt::default(), Vec::new());
        Self { side, state, kind: 0, message_type: 0, messages: 0, number, body }
    }

    /// Whether what comes is no longer looked at.
    pub(super) fn is_media(&self) -> bool {
        matches!(self.state, State::Media)
    }

    /// Reads on.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        mut see: impl FnMut(Seen<'_>) -> Result<(), Excess>,
    ) -> Result<(), Excess> {
        if let (Side::Answers(asked), State::Kind) = (&self.side, self.state) {
            self.kind = asked.get().copied().unwrap_or_default().into();
            self.state = self.next();
        }
        while !bytes.is_empty() {
            match self.state {
                State::Media => return Ok(()),
                State::Body(rest) => {
                    let (now, later) = bytes.split_at(rest.min(bytes.len()));
                    bytes = later;
                    if self.is_subscribe() {
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
                            Ok(length) if length <= MESSAGE_BYTES_MAX => State::Body(length),
                            _ => return Err(Excess::Message(number)),
                        },
                    };
                }
            }
            if let State::Body(0) = self.state {
                self.seen().map_or(Ok(()), &mut see)?;
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
            (Side::Data, GROUP) if self.messages > 0 => State::Media,
            (Side::Answers(_), FETCH) => State::Media,
            (Side::Answers(_), SUBSCRIBE) => State::Type,
            // The first says how many are to come.
            (Side::Answers(_), ANNOUNCE) if self.messages > 0 => State::Type,
            _ => State::Length,
        }
    }

    fn is_subscribe(&self) -> bool {
        matches!(self.side, Side::Requests) && self.kind == SUBSCRIBE && self.messages == 0
    }

    /// What the message that has been read is counted as.
    fn seen(&self) -> Option<Seen<'_>> {
        if self.is_subscribe() {
            return track_of(&self.body).map(Seen::Subscribed);
        }
        match (&self.side, self.kind, self.message_type) {
            (Side::Answers(_), ANNOUNCE, _) if self.messages == 0 => None,
            (Side::Answers(_), ANNOUNCE, ANNOUNCE_START) => Some(Seen::Announced),
            (Side::Answers(_), ANNOUNCE, ANNOUNCE_END) => Some(Seen::Retracted),
            _ => None,
        }
    }
}

/// The part of a SUBSCRIBE that says to what: after an id, two strings.
fn track_of(subscribe: &[u8]) -> Option<&[u8]> {
    let mut rest = subscribe;
    VarInt::default().read(&mut rest)?;
    let from = rest;
    for _ in 0..2 {
        let length = usize::try_from(VarInt::default().read(&mut rest)?).ok()?;
        rest = rest.get(length..)?;
    }
    from.get(..from.len() - rest.len())
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

    fn string(text: &str) -> Vec<u8> {
        [&number(text.len() as u64)[..], text.as_bytes()].concat()
    }

    fn message(body: &[u8]) -> Vec<u8> {
        [&number(body.len() as u64)[..], body].concat()
    }

    fn subscribe(id: u64, path: &str, track: &str) -> Vec<u8> {
        let body = [number(id), string(path), string(track), vec![7, 0, 0, 0, 0, 0]].concat();
        [number(SUBSCRIBE), message(&body)].concat()
    }

    fn answers_to(kind: u64) -> Framing {
        let asked = OnceLock::from(kind as u8);
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

    #[test]
    fn a_subscription_is_known_by_its_track() {
        let wanted = [string("live/room/1.2.3"), string("video/main")].concat();
        let wanted = vec![format!("{:?}", Seen::Subscribed(&wanted))];
        // Whatever comes after it on its stream is an update.
        let update = message(&[1, 2, 3]);
        for id in [0, 63, 64, 20_000, 1 << 40] {
            let bytes = [subscribe(id, "live/room/1.2.3", "video/main"), update.clone()].concat();
            for piece in [1, 2, 3, 7, 1_000] {
                assert_eq!(seen(&mut Framing::requests(), &bytes, piece), Ok(wanted.clone()));
            }
        }
    }

    #[test]
    fn announcements_are_counted_from_their_second_message_on() {
        let typed = |kind, body: &[u8]| [number(kind), message(body)].concat();
        // The first has no type: its length is what a START would be.
        let first = message(&[]);
        let bytes =
            [first, typed(0, b"room"), typed(2, b"again"), typed(1, &[0]), typed(9, b"new")]
                .concat();
        for piece in [1, 5, 100] {
            let seen = seen(&mut answers_to(ANNOUNCE), &bytes, piece);
            assert_eq!(seen, Ok(vec!["Announced".into(), "Retracted".into()]));
        }
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
    fn media_is_not_looked_at() {
        let mut group = Framing::data();
        let header = [number(GROUP), message(&[0, 0, 0])].concat();
        assert_eq!(seen(&mut group, &header, 1), Ok(vec![]));
        assert!(group.is_media());
        assert_eq!(seen(&mut group, &[0xff; 1_000], 100), Ok(vec![]));
        let mut fetched = answers_to(FETCH);
        assert_eq!(seen(&mut fetched, &[0xff; 1_000], 100), Ok(vec![]));
        assert!(fetched.is_media());
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
