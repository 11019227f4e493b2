//! A server with a gate that records what it is given, and a hand-driven encoder.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lectern_origin::ingest::flv::Tag;
use lectern_origin::ingest::rtmp::{Config, Metrics, Server};
use lectern_origin::ingest::{Gate, Refusal, Take, TakeError};
use lectern_relay_proto::UtcTime;
use prometheus::Registry;
use rml_amf0::Amf0Value;
use rml_rtmp::chunk_io::{ChunkDeserializer, ChunkSerializer};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::messages::{MessagePayload, RtmpMessage};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What the gate and its takes saw, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Claimed { take: usize },
    Tag { take: usize, tag: Tag, arrived: UtcTime },
    Ended { take: usize, clean: bool },
}

pub(crate) struct RecordingGate {
    seen: mpsc::UnboundedSender<Seen>,
    takes: AtomicUsize,
    newest: Mutex<HashMap<String, CancellationToken>>,
}

impl Gate for RecordingGate {
    type Take = RecordingTake;

    async fn claim(&self, stream_key: &str, _: SocketAddr) -> Result<RecordingTake, Refusal> {
        match stream_key {
            "lecture" | "seminar" | "panics" | "unacceptable" => {}
            "busy" => return Err(Refusal::Unavailable("The origin is draining.".into())),
            _ => return Err(Refusal::UnknownKey),
        }
        let superseded = CancellationToken::new();
        let older = self.newest.lock().unwrap().insert(stream_key.into(), superseded.clone());
        if let Some(older) = older {
            older.cancel();
        }
        let id = self.takes.fetch_add(1, Ordering::Relaxed);
        self.seen.send(Seen::Claimed { take: id }).unwrap();
        Ok(RecordingTake { id, key: stream_key.into(), superseded, seen: self.seen.clone() })
    }
}

pub(crate) struct RecordingTake {
    id: usize,
    key: String,
    superseded: CancellationToken,
    seen: mpsc::UnboundedSender<Seen>,
}

impl Take for RecordingTake {
    fn push(&mut self, tag: Tag, arrived: UtcTime) -> Result<(), TakeError> {
        match self.key.as_str() {
            "panics" => panic!("a take that panics, as the test wants"),
            "unacceptable" => return Err(TakeError::Unacceptable("Too wide a picture.".into())),
            _ => {}
        }
        // A test may have stopped listening.
        let _ = self.seen.send(Seen::Tag { take: self.id, tag, arrived });
        Ok(())
    }

    fn poll_timeout(&self) -> Option<UtcTime> {
        None
    }

    fn handle_timeout(&mut self, _now: UtcTime) -> Result<(), TakeError> {
        Ok(())
    }

    fn superseded(&self) -> CancellationToken {
        self.superseded.clone()
    }

    fn end(self, clean: bool) {
        let _ = self.seen.send(Seen::Ended { take: self.id, clean });
    }
}

/// A running server.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    seen: mpsc::UnboundedReceiver<Seen>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        Self::with_config(Config::default()).await
    }

    pub(crate) async fn with_config(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let gate = RecordingGate { seen: sender, takes: 0.into(), newest: Mutex::default() };
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let server = Server::new(listener, Arc::new(gate), config, metrics.clone());
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(server.run(shutdown.clone()));
        Self { address, metrics, seen, shutdown, server }
    }

    /// The next thing the gate or a take saw.
    pub(crate) async fn seen(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("the gate lives as long as the server")
    }

    pub(crate) async fn tag(&mut self) -> Tag {
        match self.seen().await {
            Seen::Tag { tag, .. } => tag,
            other => panic!("a tag was expected, not {other:?}"),
        }
    }

    pub(crate) fn saw_nothing_more(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Waits until every connection has ended.
    pub(crate) async fn shut_down(self) {
        self.shutdown.cancel();
        within(self.server).await.unwrap();
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens within the deadline")
}

pub(crate) fn text(text: &str) -> Amf0Value {
    Amf0Value::Utf8String(text.into())
}

/// An encoder whose every message the test chooses.
pub(crate) struct Encoder {
    pub(crate) socket: TcpStream,
    writer: ChunkSerializer,
    reader: ChunkDeserializer,
    unread: Vec<u8>,
    transaction_id: f64,
}

impl Encoder {
    /// Connects and shakes hands.
    pub(crate) async fn connect(origin: &Origin) -> Self {
        let mut socket = TcpStream::connect(origin.address).await.unwrap();
        let mut handshake = Handshake::new(PeerType::Client);
        socket.write_all(&handshake.generate_outbound_p0_and_p1().unwrap()).await.unwrap();
        let mut buffer = [0; 4096];
        let unread = loop {
            let bytes = within(socket.read(&mut buffer)).await.unwrap();
            assert_ne!(bytes, 0, "closed during the handshake");
            match handshake.process_bytes(&buffer[..bytes]).unwrap() {
                HandshakeProcessResult::InProgress { response_bytes } => {
                    socket.write_all(&response_bytes).await.unwrap();
                }
                HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                    socket.write_all(&response_bytes).await.unwrap();
                    break remaining_bytes;
                }
            }
        };
        let (writer, reader) = (ChunkSerializer::new(), ChunkDeserializer::new());
        Self { socket, writer, reader, unread, transaction_id: 0.0 }
    }

    /// An encoder whose publication was accepted.
    pub(crate) async fn publishing(origin: &Origin, key: &str) -> Self {
        let mut encoder = Self::connect(origin).await;
        encoder.connect_app("live").await;
        assert_eq!(encoder.publish(key).await, "NetStream.Publish.Start");
        encoder
    }

    pub(crate) async fn send(&mut self, message: RtmpMessage, time: u32, message_stream_id: u32) {
        let time = RtmpTimestamp::new(time);
        let payload = MessagePayload::from_rtmp_message(message, time, message_stream_id).unwrap();
        let packet = self.writer.serialize(&payload, false, false).unwrap();
        self.send_bytes(&packet.bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        // The server may have closed already, which is what the test then looks at.
        let _ = self.socket.write_all(bytes).await;
    }

    pub(crate) async fn send_body(&mut self, type_id: u8, body: Vec<u8>) {
        self.send(RtmpMessage::Unknown { type_id, data: body.into() }, 0, 1).await;
    }

    pub(crate) async fn video(&mut self, time: u32, body: &[u8]) {
        self.send(RtmpMessage::VideoData { data: body.to_vec().into() }, time, 1).await;
    }

    pub(crate) async fn audio(&mut self, time: u32, body: &[u8]) {
        self.send(RtmpMessage::AudioData { data: body.to_vec().into() }, time, 1).await;
    }

    pub(crate) async fn command(
        &mut self,
        name: &str,
        object: Amf0Value,
        arguments: Vec<Amf0Value>,
    ) {
        self.transaction_id += 1.0;
        let command = RtmpMessage::Amf0Command {
            command_name: name.into(),
            transaction_id: self.transaction_id,
            command_object: object,
            additional_arguments: arguments,
        };
        self.send(command, 0, 1).await;
    }

    /// Sends `connect` and returns the properties and information of the answer.
    pub(crate) async fn connect_app(&mut self, app: &str) -> (Amf0Value, Amf0Value) {
        let object = Amf0Value::Object(HashMap::from([
            ("app".to_owned(), text(app)),
            ("flashVer".to_owned(), text("FMLE/3.0 (compatible; test)")),
        ]));
        self.command("connect", object, vec![]).await;
        self.answer().await
    }

    /// Sends `publish` and returns the code of the answer.
    pub(crate) async fn publish(&mut self, key: &str) -> String {
        self.command("publish", Amf0Value::Null, vec![text(key), text("live")]).await;
        self.status().await.0
    }

    /// The next `_result` or `_error`.
    pub(crate) async fn answer(&mut self) -> (Amf0Value, Amf0Value) {
        loop {
            if let RtmpMessage::Amf0Command {
                command_name,
                command_object,
                mut additional_arguments,
                transaction_id,
            } = self.receive().await.expect("an answer before the end")
                && matches!(command_name.as_str(), "_result" | "_error")
            {
                assert_eq!(transaction_id, self.transaction_id);
                return (command_object, additional_arguments.remove(0));
            }
        }
    }

    /// Code and description of the next `onStatus`.
    pub(crate) async fn status(&mut self) -> (String, String) {
        loop {
            if let RtmpMessage::Amf0Command { command_name, additional_arguments, .. } =
                self.receive().await.expect("a status before the end")
                && command_name == "onStatus"
            {
                let information = &additional_arguments[0];
                return (property(information, "code"), property(information, "description"));
            }
        }
    }

    /// The next message; `None` once the server has closed.
    pub(crate) async fn receive(&mut self) -> Option<RtmpMessage> {
        let mut buffer = [0; 4096];
        loop {
            let unread = std::mem::take(&mut self.unread);
            if let Some(payload) = self.reader.get_next_message(&unread).unwrap() {
                let message = payload.to_rtmp_message().unwrap();
                if let RtmpMessage::SetChunkSize { size } = message {
                    self.reader.set_max_chunk_size(size as usize).unwrap();
                }
                return Some(message);
            }
            match within(self.socket.read(&mut buffer)).await {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.unread = buffer[..bytes].to_vec(),
            }
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.receive().await.is_some() {}
    }
}

pub(crate) fn property(object: &Amf0Value, name: &str) -> String {
    match object {
        Amf0Value::Object(properties) => match &properties[name] {
            Amf0Value::Utf8String(text) => text.clone(),
            other => panic!("{name} is {other:?}"),
        },
        other => panic!("an object was expected, not {other:?}"),
    }
}

/// A count of `metrics`, by its label.
pub(crate) fn count(counters: &prometheus::IntCounterVec, label: &str) -> u64 {
    counters.with_label_values(&[label]).get()
}

/// A sequence header tag: x264, High 3.1, 1280x720.
pub(crate) fn video_config() -> Vec<u8> {
    let avcc = [
        0x01, 0x64, 0x00, 0x1f, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40,
        0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20,
        0xf1, 0x83, 0x19, 0x60, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8,
        0xf8, 0x00,
    ];
    [&[0x17, 0, 0, 0, 0], &avcc[..]].concat()
}

/// A sequence header tag: AAC-LC, 44.1 kHz, stereo.
pub(crate) const AUDIO_CONFIG: [u8; 4] = [0xaf, 0, 0x12, 0x10];

/// A tag with a picture of one NAL unit.
pub(crate) fn picture(keyframe: bool, bytes: usize) -> Vec<u8> {
    let head = if keyframe { 0x17 } else { 0x27 };
    let nal: Vec<u8> = (0..bytes).map(|at| (at % 250) as u8 + 1).collect();
    [&[head, 1, 0, 0, 80], &(bytes as u32).to_be_bytes()[..], &nal].concat()
}
