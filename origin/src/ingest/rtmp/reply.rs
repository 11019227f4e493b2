//! What the server says to an encoder: builds the messages of a session's answers and serializes
//! them. Which answer is due when is the session's.

use bytes::Bytes;
use rml_amf0::Amf0Value;
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::messages::{
    MessagePayload, PeerBandwidthLimitType, RtmpMessage, UserControlEventType,
};
use rml_rtmp::time::RtmpTimestamp;

use super::amf::Object;

/// Our chunk size. Every answer fits one chunk of it, so each can carry a full header, which some
/// encoders need.
const CHUNK_SIZE: u32 = 4096;
/// How many bytes an encoder may send before it wants an acknowledgement, and we from it: a second
/// of high quality video.
pub(super) const WINDOW_BYTES: u32 = 2_500_000;
/// Longest description that an answer carries, in bytes; well within one chunk.
const DESCRIPTION_BYTES_MAX: usize = 1024;
/// The bit of Enhanced RTMP's `FourCcInfoMask` that says a codec can be forwarded.
const CAN_FORWARD: f64 = 4.0;

/// An `onStatus` that ends a publication or keeps it from beginning (RTMP 1.0 §7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The stream key is not accepted, or no longer.
    BadName,
    /// The key was good, but publishing cannot go on.
    Failed,
}

/// Serializes answers in the order they are made.
pub(super) struct Replies {
    serializer: ChunkSerializer,
}

impl Replies {
    pub(super) fn new() -> Self {
        Self { serializer: ChunkSerializer::new() }
    }

    /// The answers to `connect`, with what Enhanced RTMP v2 (§ "Enhancing NetConnection connect
    /// Command") lets a server offer: H.264 and AAC, no extensions.
    pub(super) fn connected(&mut self, transaction_id: f64) -> Vec<Bytes> {
        let window = RtmpMessage::WindowAcknowledgement { size: WINDOW_BYTES };
        let bandwidth = RtmpMessage::SetPeerBandwidth {
            size: WINDOW_BYTES,
            limit_type: PeerBandwidthLimitType::Dynamic,
        };
        let codec_map = |codec: &str| object([(codec, Amf0Value::Number(CAN_FORWARD))]);
        let properties = object([
            ("fmsVer", text("FMS/3,0,1,123")),
            ("capabilities", Amf0Value::Number(31.0)),
            ("mode", Amf0Value::Number(1.0)),
            ("fourCcList", Amf0Value::StrictArray(vec![text("avc1"), text("mp4a")])),
            ("videoFourCcInfoMap", codec_map("avc1")),
            ("audioFourCcInfoMap", codec_map("mp4a")),
            ("capsEx", Amf0Value::Number(0.0)),
        ]);
        let information = object([
            ("level", text("status")),
            ("code", text("NetConnection.Connect.Success")),
            ("description", text("Connection accepted.")),
            ("objectEncoding", Amf0Value::Number(0.0)),
        ]);
        let mut replies = vec![self.message(window, 0), self.message(bandwidth, 0)];
        replies.extend(self.chunk_size());
        replies.push(self.command("_result", transaction_id, properties, vec![information], 0));
        replies
    }

    /// `connect` cannot be accepted.
    pub(super) fn connect_refused(&mut self, transaction_id: f64, description: &str) -> Bytes {
        let information = object([
            ("level", text("error")),
            ("code", text("NetConnection.Connect.Rejected")),
            ("description", description_value(description)),
        ]);
        self.command("_error", transaction_id, Amf0Value::Null, vec![information], 0)
    }

    /// The plain success of a call.
    pub(super) fn result(&mut self, transaction_id: f64, value: Amf0Value) -> Bytes {
        self.command("_result", transaction_id, Amf0Value::Null, vec![value], 0)
    }

    /// The failure of a call.
    pub(super) fn error(&mut self, transaction_id: f64, description: &str) -> Bytes {
        let information = object([
            ("level", text("error")),
            ("code", text("NetConnection.Call.Failed")),
            ("description", description_value(description)),
        ]);
        self.command("_error", transaction_id, Amf0Value::Null, vec![information], 0)
    }

    /// What some encoders await after FCPublish. The key stays out of it.
    pub(super) fn on_fc_publish(&mut self) -> Bytes {
        let information = object([
            ("code", text("NetStream.Publish.Start")),
            ("description", text("FCPublish to stream.")),
        ]);
        self.command("onFCPublish", 0.0, Amf0Value::Null, vec![information], 0)
    }

    /// Publishing begins.
    pub(super) fn publish_started(&mut self, message_stream_id: u32) -> Vec<Bytes> {
        let begin = RtmpMessage::UserControl {
            event_type: UserControlEventType::StreamBegin,
            stream_id: Some(message_stream_id),
            buffer_length: None,
            timestamp: None,
        };
        let code = "NetStream.Publish.Start";
        let start = self.status(message_stream_id, "status", code, "Publishing.");
        vec![self.message(begin, 0), start]
    }

    /// Publishing does not begin, or ends, for a reason to be shown to the host.
    pub(super) fn publish_failed(
        &mut self,
        message_stream_id: u32,
        failure: Failure,
        description: &str,
    ) -> Bytes {
        let code = match failure {
            Failure::BadName => "NetStream.Publish.BadName",
            Failure::Failed => "NetStream.Publish.Failed",
        };
        self.status(message_stream_id, "error", code, description)
    }

    /// The encoder ended its publication.
    pub(super) fn unpublished(&mut self, message_stream_id: u32) -> Bytes {
        let code = "NetStream.Unpublish.Success";
        self.status(message_stream_id, "status", code, "Unpublished.")
    }

    /// Nothing is played over RTMP here.
    pub(super) fn play_refused(&mut self, message_stream_id: u32) -> Bytes {
        let description = "This server takes publishers only; watch in a browser.";
        self.status(message_stream_id, "error", "NetStream.Play.Failed", description)
    }

    /// So many bytes have arrived (§5.4.3).
    pub(super) fn acknowledgement(&mut self, bytes: u32) -> Bytes {
        self.message(RtmpMessage::Acknowledgement { sequence_number: bytes }, 0)
    }

    /// The answer to a ping (§7.1.7).
    pub(super) fn pong(&mut self, timestamp: u32) -> Bytes {
        let pong = RtmpMessage::UserControl {
            event_type: UserControlEventType::PingResponse,
            stream_id: None,
            buffer_length: None,
            timestamp: Some(RtmpTimestamp::new(timestamp)),
        };
        self.message(pong, 0)
    }

    fn chunk_size(&mut self) -> Option<Bytes> {
        let packet = self.serializer.set_max_chunk_size(CHUNK_SIZE, RtmpTimestamp::new(0));
        packet.ok().map(|packet| packet.bytes.into())
    }

    fn status(
        &mut self,
        message_stream_id: u32,
        level: &str,
        code: &str,
        description: &str,
    ) -> Bytes {
        let information = object([
            ("level", text(level)),
            ("code", text(code)),
            ("description", description_value(description)),
        ]);
        self.command("onStatus", 0.0, Amf0Value::Null, vec![information], message_stream_id)
    }

    fn command(
        &mut self,
        name: &str,
        transaction_id: f64,
        command_object: Amf0Value,
        additional_arguments: Vec<Amf0Value>,
        message_stream_id: u32,
    ) -> Bytes {
        let command = RtmpMessage::Amf0Command {
            command_name: name.into(),
            transaction_id,
            command_object,
            additional_arguments,
        };
        self.message(command, message_stream_id)
    }

    /// Serialization fails only for strings and messages longer than any that is made here; what
    /// cannot be said is left unsaid.
    fn message(&mut self, message: RtmpMessage, message_stream_id: u32) -> Bytes {
        let time = RtmpTimestamp::new(0);
        MessagePayload::from_rtmp_message(message, time, message_stream_id)
            .ok()
            .and_then(|payload| self.serializer.serialize(&payload, true, false).ok())
            .map(|packet| packet.bytes.into())
            .unwrap_or_default()
    }
}

fn text(text: &str) -> Amf0Value {
    Amf0Value::Utf8String(text.into())
}

fn description_value(description: &str) -> Amf0Value {
    text(&description[..description.floor_char_boundary(DESCRIPTION_BYTES_MAX)])
}

fn object<const N: usize>(properties: [(&str, Amf0Value); N]) -> Amf0Value {
    let properties = properties.into_iter().map(|(name, value)| (name.to_owned(), value));
    Amf0Value::Object(properties.collect::<Object>())
}
