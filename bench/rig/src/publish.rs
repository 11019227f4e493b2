//! The host: publishes the clip over RTMP in real time, from a thread of its own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
    PublishRequestType, StreamMetadata,
};
use rml_rtmp::time::RtmpTimestamp;

use crate::clip::{AUDIO_FRAMES, Clip, FRAMES_PER_SECOND, VIDEO_FRAMES};
use crate::stamp::Stamp;
use crate::timeline::Timeline;
use crate::unix_us;

/// How long the server may take to answer, or to take a frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running publisher. Dropping it ends it.
pub struct Publisher {
    stop: Arc<AtomicBool>,
    late_us: Arc<Mutex<Vec<u64>>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Connects, and goes on publishing. Notes in `timeline` when each video frame was sent; every
    /// `stamp_every`-th says so itself.
    pub fn start(
        server: SocketAddr,
        key: &str,
        clip: Arc<Clip>,
        timeline: Arc<Mutex<Timeline>>,
        stamp_every: u64,
    ) -> anyhow::Result<Self> {
        let mut client = Client::connect(server, key).context("cannot publish")?;
        let stop = Arc::new(AtomicBool::new(false));
        let late_us = Arc::<Mutex<Vec<u64>>>::default();
        let (stopped, late) = (stop.clone(), late_us.clone());
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(move || {
            let published = client.publish(&clip, &timeline, stamp_every, &stopped, &late);
            if let Err(error) = published {
                eprintln!("the publisher broke off: {error:#}");
            }
        })?;
        Ok(Self { stop, late_us, thread: Some(thread) })
    }

    /// By how much frames were sent later than planned, since the last call.
    pub fn take_lateness_us(&self) -> Vec<u64> {
        std::mem::take(&mut *self.late_us.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Client {
    socket: TcpStream,
    session: ClientSession,
}

impl Client {
    fn connect(server: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&server, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut handshake = Handshake::new(PeerType::Client);
        let hello = handshake.generate_outbound_p0_and_p1();
        socket.write_all(&hello.map_err(|error| anyhow::anyhow!("{error:?}"))?)?;
        let mut buffer = [0; 4_096];
        let rest = loop {
            let read = socket.read(&mut buffer)?;
            match handshake.process_bytes(&buffer[..read]) {
                Ok(HandshakeProcessResult::InProgress { response_bytes }) => {
                    socket.write_all(&response_bytes)?;
                }
                Ok(HandshakeProcessResult::Completed { response_bytes, remaining_bytes }) => {
                    socket.write_all(&response_bytes)?;
                    break remaining_bytes;
                }
                Err(error) => bail!("the handshake failed: {error:?}"),
            }
        };
        let (session, results) = ClientSession::new(ClientSessionConfig::new())?;
        let mut client = Self { socket, session };
        client.send(results)?;
        let results = client.session.handle_input(&rest)?;
        client.send(results)?;
        let request = client.session.request_connection("live".into())?;
        client.send([request])?;
        client.event(&ClientSessionEvent::ConnectionRequestAccepted)?;
        let request = client.session.request_publishing(key.into(), PublishRequestType::Live)?;
        client.send([request])?;
        client.event(&ClientSessionEvent::PublishRequestAccepted)?;
        let mut metadata = StreamMetadata::new();
        metadata.video_width = Some(1_280);
        metadata.video_height = Some(720);
        metadata.video_frame_rate = Some(FRAMES_PER_SECOND as f32);
        metadata.audio_sample_rate = Some(48_000);
        let metadata = client.session.publish_metadata(&metadata)?;
        client.send([metadata])?;
        Ok(client)
    }

    fn send(
        &mut self,
        results: impl IntoIterator<Item = ClientSessionResult>,
    ) -> anyhow::Result<Vec<ClientSessionEvent>> {
        let mut events = Vec::new();
        for result in results {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    self.socket.write_all(&packet.bytes)?;
                }
                ClientSessionResult::RaisedEvent(event) => events.push(event),
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        Ok(events)
    }

    fn event(&mut self, expect: &ClientSessionEvent) -> anyhow::Result<()> {
        let mut buffer = [0; 4_096];
        loop {
            let read = self.socket.read(&mut buffer).with_context(|| format!("no {expect:?}"))?;
            if read == 0 {
                bail!("closed before {expect:?}");
            }
            let results = self.session.handle_input(&buffer[..read])?;
            if self.send(results)?.contains(expect) {
                return Ok(());
            }
        }
    }

    fn publish(
        &mut self,
        clip: &Clip,
        timeline: &Mutex<Timeline>,
        stamp_every: u64,
        stop: &AtomicBool,
        late_us: &Mutex<Vec<u64>>,
    ) -> anyhow::Result<()> {
        let zero = RtmpTimestamp::new(0);
        let configs = [
            self.session.publish_video_data(clip.video_config.clone().into(), zero, false)?,
            self.session.publish_audio_data(clip.audio_config.clone().into(), zero, false)?,
        ];
        self.send(configs)?;
        let begun = Instant::now();
        let (mut video, mut audio) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            let video_at = video_time(video);
            let audio_at = audio_time(audio);
            let due = video_at.min(audio_at);
            std::thread::sleep((begun + due).saturating_duration_since(Instant::now()));
            let timestamp = RtmpTimestamp::new(due.as_millis() as u32);
            let sent = if video_at <= audio_at {
                let late = begun.elapsed().saturating_sub(due).as_micros() as u64;
                late_us.lock().unwrap_or_else(PoisonError::into_inner).push(late);
                let mut timeline = timeline.lock().unwrap_or_else(PoisonError::into_inner);
                let stamp = Stamp { number: timeline.next(), sent_us: unix_us() };
                timeline.send(stamp.sent_us);
                drop(timeline);
                let stamp = stamp.number.is_multiple_of(stamp_every).then_some(stamp);
                let body = clip.video(video, stamp);
                video += 1;
                self.session.publish_video_data(body.into(), timestamp, false)?
            } else {
                let body = clip.audio(audio).to_vec();
                audio += 1;
                self.session.publish_audio_data(body.into(), timestamp, false)?
            };
            self.send([sent])?;
            self.hear()?;
        }
        let results = self.session.stop_publishing()?;
        self.send(results)?;
        Ok(())
    }

    /// Takes what the server says meanwhile, such as acknowledgements, without waiting for it.
    fn hear(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 4_096];
        self.socket.set_nonblocking(true)?;
        let read = self.socket.read(&mut buffer);
        self.socket.set_nonblocking(false)?;
        match read {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => {
                let results = self.session.handle_input(&buffer[..read])?;
                self.send(results).map(drop)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// When video frame `number` is due.
fn video_time(number: u64) -> Duration {
    Duration::from_micros(number * 1_000_000 / FRAMES_PER_SECOND)
}

/// When audio frame `number` is due: the loops of both are equally long.
fn audio_time(number: u64) -> Duration {
    let clip_us = VIDEO_FRAMES * 1_000_000 / FRAMES_PER_SECOND;
    Duration::from_micros(number * clip_us / AUDIO_FRAMES)
}
