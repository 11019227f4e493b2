//! The server's side of one RTMP connection, without socket or clock: bytes and instants come in,
//! answers and tags are drained. It owns the order of things (handshake, connect, publish, media)
//! and the timeouts; who may publish is asked of the caller, and nothing of media is read before
//! the answer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::messages::MessagePayload;

use super::reply::{self, Failure, Replies};
use super::{amf, chunk, message};
use crate::ingest::{Refusal, flv};

mod command;

/// The handshake is three kilobytes each way; who takes longer over it holds the slot for nothing.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// From handshake to `publish` encoders take five or six round trips and no thought.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);
/// A browser capture stalls for whole seconds; a socket that has been dead for longer than this is
/// not coming back. A returning encoder does not wait for it, since the newest wins.
pub const MEDIA_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes kept while the caller decides about a publication; the driver stops reading meanwhile, so
/// it is what one read brings.
const HELD_BYTES_MAX: usize = 256 << 10;
/// An encoder that wants acknowledgements more often than this gets them this often.
const WINDOW_BYTES_MIN: u32 = 16 << 10;

/// What a session wants done.
#[derive(Debug)]
pub enum Output {
    /// Bytes for the encoder.
    Send(Bytes),
    /// May this be published? To be answered by [`Session::accept_publish`] or
    /// [`Session::refuse_publish`]; until then input is held.
    Publish(PublishRequest),
    /// A tag of the accepted publication.
    Tag(flv::Tag),
    /// A tag was not usable and was left out.
    Dropped(flv::Error),
    /// A data message could not be read and was left out.
    DataIgnored(amf::Error),
    /// The encoder ended its publication. It may begin another on the same connection.
    Unpublish,
}

/// What an encoder asks to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The application of the URL, `live` in `rtmp://host/live/key`.
    pub app: String,
    /// The host's secret.
    pub stream_key: String,
    /// What the encoder calls itself in `connect`.
    pub flash_version: String,
}

impl std::fmt::Debug for PublishRequest {
    /// Without the key: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublishRequest")
            .field("app", &self.app)
            .field("flash_version", &self.flash_version)
            .finish_non_exhaustive()
    }
}

/// Why a connection ends. Outputs made before it are still to be sent: they tell the encoder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The handshake is not RTMP's.
    #[error("not an RTMP handshake")]
    Handshake,
    /// The chunk stream cannot be followed.
    #[error("chunk stream: {0}")]
    Chunk(#[from] chunk::Error),
    /// A command, or data that looks like an attack.
    #[error("message body: {0}")]
    Amf(#[from] amf::Error),
    /// A command where it makes no sense.
    #[error("{0} out of order")]
    OutOfOrder(&'static str),
    /// `connect` names no application, or `publish` no stream key, or too long a one.
    #[error("{0} is missing or too long")]
    Name(&'static str),
    /// Media that cannot be served.
    #[error(transparent)]
    Media(flv::Error),
    /// More arrived than is held while the caller decides.
    #[error("more than {HELD_BYTES_MAX} bytes before the answer to publish")]
    HeldTooLarge,
    /// No handshake within [`HANDSHAKE_TIMEOUT`].
    #[error("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    /// No `publish` within [`PUBLISH_TIMEOUT`].
    #[error("nothing published within {} s", PUBLISH_TIMEOUT.as_secs())]
    PublishTimeout,
    /// No media within [`MEDIA_TIMEOUT`].
    #[error("no media for {} s", MEDIA_TIMEOUT.as_secs())]
    MediaTimeout,
}

impl Error {
    /// A short fixed name, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Chunk(chunk::Error::MediaNotExpected) => "media_before_publish",
            Self::Chunk(_) => "chunk_stream",
            Self::Amf(_) => "message_body",
            Self::OutOfOrder(_) => "out_of_order",
            Self::Name(_) => "name",
            Self::Media(error) => error.reason(),
            Self::HeldTooLarge => "held_too_large",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::PublishTimeout => "publish_timeout",
            Self::MediaTimeout => "media_timeout",
        }
    }
}

enum State {
    /// RTMP 1.0 §5.2.
    Handshake(Box<Handshake>),
    /// Commands are exchanged; nothing is published.
    Commands,
    /// The caller decides about a publication on this message stream.
    Deciding { message_stream_id: u32 },
    /// Media is taken.
    Publishing { message_stream_id: u32 },
    /// Refused or stopped: only outputs remain.
    Closed,
}

/// One connection of an encoder.
pub struct Session {
    state: State,
    reader: chunk::Reader,
    replies: Replies,
    demuxer: flv::Demuxer,
    outputs: VecDeque<Output>,
    held: BytesMut,
    /// Set by `connect`.
    connected: Option<Connected>,
    message_streams: u32,
    /// When the present state has lasted too long.
    deadline: Instant,
    /// Bytes received; wraps as its field on the wire does.
    received: u32,
    acknowledged: u32,
    window: u32,
}

struct Connected {
    app: String,
    flash_version: String,
}

impl Session {
    /// A session for a connection that was accepted at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Handshake(Box::new(Handshake::new(PeerType::Server))),
            reader: chunk::Reader::new(),
            replies: Replies::new(),
            demuxer: flv::Demuxer::new(),
            outputs: VecDeque::new(),
            held: BytesMut::new(),
            connected: None,
            message_streams: 0,
            deadline: now + HANDSHAKE_TIMEOUT,
            received: 0,
            acknowledged: 0,
            window: reply::WINDOW_BYTES,
        }
    }

    /// Takes bytes of the encoder. After an error the connection is to be closed, once the outputs
    /// are sent.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<(), Error> {
        self.received = self.received.wrapping_add(input.len() as u32);
        let result = self.advance(now, input);
        if result.is_err() {
            self.state = State::Closed;
        } else if self.received.wrapping_sub(self.acknowledged) >= self.window {
            self.acknowledged = self.received;
            let acknowledgement = self.replies.acknowledgement(self.received);
            self.send(acknowledgement);
        }
        result
    }

    /// What the session wants done next, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] is due; `None` while the caller decides, or at the end.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Deciding { .. } | State::Closed => None,
            _ => Some(self.deadline),
        }
    }

    /// Ends the session if its present state has lasted too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let error = match &self.state {
            State::Handshake(_) => Error::HandshakeTimeout,
            State::Publishing { .. } => Error::MediaTimeout,
            _ => Error::PublishTimeout,
        };
        self.stop(Failure::Failed, &error.to_string());
        Err(error)
    }

    /// Whether the caller's answer to [`Output::Publish`] is awaited. Input should wait as well.
    pub fn is_deciding(&self) -> bool {
        matches!(self.state, State::Deciding { .. })
    }

    /// The stream key was accepted: says so, and goes on with what was held meanwhile.
    pub fn accept_publish(&mut self, now: Instant) -> Result<(), Error> {
        let State::Deciding { message_stream_id } = self.state else {
            return Ok(());
        };
        self.state = State::Publishing { message_stream_id };
        self.deadline = now + MEDIA_TIMEOUT;
        self.reader.expect_media();
        self.demuxer = flv::Demuxer::new();
        for reply in self.replies.publish_started(message_stream_id) {
            self.send(reply);
        }
        let held = std::mem::take(&mut self.held);
        let result = self.advance(now, &held);
        if result.is_err() {
            self.state = State::Closed;
        }
        result
    }

    /// The publication was refused: says why. The connection is to be closed.
    pub fn refuse_publish(&mut self, refusal: &Refusal) {
        let failure = match refusal {
            Refusal::UnknownKey => Failure::BadName,
            Refusal::Unavailable(_) | Refusal::Stopped(_) | Refusal::Blocked => Failure::Failed,
        };
        self.stop(failure, &refusal.to_string());
    }

    /// A newer publisher took over the key: says so. The connection is to be closed.
    pub fn supersede(&mut self) {
        self.stop(Failure::BadName, "Another encoder took over this stream key.");
    }

    /// The media cannot be taken any longer: says why. The connection is to be closed.
    pub fn fail_publish(&mut self, description: &str) {
        self.stop(Failure::Failed, description);
    }

    fn stop(&mut self, failure: Failure, description: &str) {
        if let State::Deciding { message_stream_id } | State::Publishing { message_stream_id } =
            self.state
        {
            let reply = self.replies.publish_failed(message_stream_id, failure, description);
            self.send(reply);
        }
        self.state = State::Closed;
    }

    fn send(&mut self, bytes: Bytes) {
        self.outputs.push_back(Output::Send(bytes));
    }

    fn advance(&mut self, now: Instant, input: &[u8]) -> Result<(), Error> {
        match &self.state {
            State::Handshake(_) => match self.shake_hands(now, input)? {
                Some(rest) => self.read_messages(now, &rest),
                None => Ok(()),
            },
            _ => self.read_messages(now, input),
        }
    }

    /// RTMP 1.0 §5.2. Returns what follows the handshake, once it is done.
    fn shake_hands(&mut self, now: Instant, input: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let State::Handshake(handshake) = &mut self.state else { return Ok(None) };
        let (response, rest) = match handshake.process_bytes(input) {
            Ok(HandshakeProcessResult::InProgress { response_bytes }) => (response_bytes, None),
            Ok(HandshakeProcessResult::Completed { response_bytes, remaining_bytes }) => {
                (response_bytes, Some(remaining_bytes))
            }
            Err(_) => return Err(Error::Handshake),
        };
        if !response.is_empty() {
            self.send(response.into());
        }
        if rest.is_some() {
            self.state = State::Commands;
            self.deadline = now + PUBLISH_TIMEOUT;
        }
        Ok(rest)
    }

    fn read_messages(&mut self, now: Instant, mut input: &[u8]) -> Result<(), Error> {
        loop {
            match self.state {
                State::Deciding { .. } => {
                    if self.held.len() + input.len() > HELD_BYTES_MAX {
                        return Err(Error::HeldTooLarge);
                    }
                    self.held.extend_from_slice(input);
                    return Ok(());
                }
                State::Closed => return Ok(()),
                _ => {}
            }
            let Some(message) = self.reader.read(&mut input)? else { return Ok(()) };
            self.handle_message(now, message)?;
        }
    }

    fn handle_message(&mut self, now: Instant, message: MessagePayload) -> Result<(), Error> {
        match message.type_id {
            message::AUDIO | message::VIDEO => self.handle_media(now, message),
            message::COMMAND_AMF0 | message::COMMAND_AMF3 => self.handle_command(now, &message),
            message::DATA_AMF0 | message::DATA_AMF3 => self.handle_data(&message),
            message::USER_CONTROL => {
                self.handle_user_control(message.data);
                Ok(())
            }
            message::WINDOW_ACK_SIZE => {
                if let Ok(window) = message.data.clone().try_get_u32() {
                    self.window = window.max(WINDOW_BYTES_MIN);
                }
                Ok(())
            }
            // Acknowledgements and bandwidth are about what we send, which is little. Kinds that
            // are unknown may come, and mean nothing here.
            _ => Ok(()),
        }
    }

    fn handle_media(&mut self, now: Instant, message: MessagePayload) -> Result<(), Error> {
        let State::Publishing { .. } = self.state else {
            return Ok(()); // Stragglers of a publication that the encoder ended.
        };
        self.deadline = now + MEDIA_TIMEOUT;
        let timestamp_ms = message.timestamp.value;
        let tag = match message.type_id {
            message::VIDEO => self.demuxer.video(timestamp_ms, message.data),
            _ => self.demuxer.audio(timestamp_ms, message.data),
        };
        match tag {
            Ok(Some(tag)) => self.outputs.push_back(Output::Tag(tag)),
            Ok(None) => {}
            Err(error) if error.is_fatal() => {
                self.stop(Failure::Failed, &sentence(&error.to_string()));
                return Err(Error::Media(error));
            }
            Err(error) => self.outputs.push_back(Output::Dropped(error)),
        }
        Ok(())
    }

    fn handle_data(&mut self, message: &MessagePayload) -> Result<(), Error> {
        let State::Publishing { .. } = self.state else { return Ok(()) };
        match amf::values(amf0_body(message)) {
            Ok(values) => {
                if let Some(metadata) = flv::Metadata::from_values(&values) {
                    self.outputs.push_back(Output::Tag(flv::Tag::Metadata(metadata)));
                }
                Ok(())
            }
            Err(error) if error.is_hostile() => Err(error.into()),
            Err(error) => {
                self.outputs.push_back(Output::DataIgnored(error));
                Ok(())
            }
        }
    }

    fn handle_user_control(&mut self, mut data: Bytes) {
        if data.try_get_u16() == Ok(message::PING_REQUEST)
            && let Ok(timestamp) = data.try_get_u32()
        {
            let pong = self.replies.pong(timestamp);
            self.send(pong);
        }
    }
}

/// What is said to be AMF3 is AMF0 behind a byte that says so, in every encoder met.
fn amf0_body(message: &MessagePayload) -> &[u8] {
    let amf3 = matches!(message.type_id, message::COMMAND_AMF3 | message::DATA_AMF3);
    match &message.data[..] {
        [0, body @ ..] if amf3 => body,
        body => body,
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

#[cfg(test)]
mod tests;
