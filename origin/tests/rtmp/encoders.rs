//! A library's client publishes: what another implementation of RTMP makes of our answers.

use std::time::SystemTime;

use lectern_origin::ingest::flv::Tag;
use lectern_relay_proto::UtcTime;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

struct Client {
    socket: TcpStream,
    session: ClientSession,
}

impl Client {
    async fn connect(origin: &Origin) -> Self {
        let mut socket = TcpStream::connect(origin.address).await.unwrap();
        let mut handshake = Handshake::new(PeerType::Client);
        socket.write_all(&handshake.generate_outbound_p0_and_p1().unwrap()).await.unwrap();
        let mut buffer = [0; 4096];
        loop {
            let bytes = within(socket.read(&mut buffer)).await.unwrap();
            let (response, done) = match handshake.process_bytes(&buffer[..bytes]).unwrap() {
                HandshakeProcessResult::InProgress { response_bytes } => (response_bytes, false),
                HandshakeProcessResult::Completed { response_bytes, .. } => (response_bytes, true),
            };
            socket.write_all(&response).await.unwrap();
            if done {
                break;
            }
        }
        let (session, results) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut client = Self { socket, session };
        client.send(results).await;
        client
    }

    /// Sends what is to be sent and returns the events.
    async fn send(
        &mut self,
        results: impl IntoIterator<Item = ClientSessionResult>,
    ) -> Vec<ClientSessionEvent> {
        let mut events = Vec::new();
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.socket.write_all(&packet.bytes).await.unwrap();
                }
                ClientSessionResult::RaisedEvent(event) => events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        events
    }

    async fn event(&mut self, expect: ClientSessionEvent) {
        let mut buffer = [0; 4096];
        loop {
            let bytes = within(self.socket.read(&mut buffer)).await.unwrap();
            assert_ne!(bytes, 0, "closed before {expect:?}");
            let results = self.session.handle_input(&buffer[..bytes]).unwrap();
            if self.send(results).await.contains(&expect) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_another_make_publishes_from_beginning_to_end() {
    let mut origin = Origin::start().await;
    let start: UtcTime = SystemTime::now().into();
    let mut client = Client::connect(&origin).await;
    let request = client.session.request_connection("live".into()).unwrap();
    client.send([request]).await;
    client.event(ClientSessionEvent::ConnectionRequestAccepted).await;
    let request =
        client.session.request_publishing("lecture".into(), PublishRequestType::Live).unwrap();
    client.send([request]).await;
    client.event(ClientSessionEvent::PublishRequestAccepted).await;
    assert_eq!(origin.seen().await, Seen::Claimed { take: 0 });

    let mut metadata = StreamMetadata::new();
    metadata.video_width = Some(1280);
    metadata.encoder = Some("test".into());
    let sent = client.session.publish_metadata(&metadata).unwrap();
    client.send([sent]).await;
    let Tag::Metadata(metadata) = origin.tag().await else { panic!("metadata was expected") };
    assert_eq!((metadata.width, metadata.encoder.as_deref()), (Some(1280.0), Some("test")));

    let publish = [
        client.session.publish_video_data(video_config().into(), RtmpTimestamp::new(0), false),
        client.session.publish_audio_data(
            AUDIO_CONFIG.to_vec().into(),
            RtmpTimestamp::new(0),
            false,
        ),
        // Beyond 24 bits, in several chunks.
        client.session.publish_video_data(
            picture(true, 9000).into(),
            RtmpTimestamp::new(u32::MAX),
            false,
        ),
    ];
    client.send(publish.map(Result::unwrap)).await;
    assert!(matches!(origin.tag().await, Tag::VideoConfig { .. }));
    assert!(matches!(origin.tag().await, Tag::AudioConfig { .. }));
    let Seen::Tag { tag, arrived, .. } = origin.seen().await else { panic!("a tag was expected") };
    let data = picture(true, 9000).split_off(5).into();
    let expect = Tag::Video { timestamp_ms: u32::MAX, composition_ms: 80, keyframe: true, data };
    assert_eq!(tag, expect);
    assert!(start <= arrived);

    let results = client.session.stop_publishing().unwrap();
    client.send(results).await;
    assert_eq!(origin.seen().await, Seen::Ended { take: 0, clean: true });
}
