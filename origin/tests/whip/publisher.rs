//! A publisher: the same library on the other side, with a socket of its own, that sends made-up pictures.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, Frequency, KeyframeRequestKind, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::UdpSocket;

use crate::support::{Answer, DEADLINE, ask};

/// x264, Constrained Baseline, 320x180, and a picture parameter set.
const SPS: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x0c, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80,
];
const PPS: [u8; 4] = [0x68, 0xee, 0x3c, 0x80];
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// A publisher.
pub(crate) struct Publisher {
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    pub(crate) offer: String,
    video: Mid,
    audio: Mid,
    socket: Option<UdpSocket>,
    pictures: u64,
    /// What was asked for since it was last looked.
    pub(crate) keyframes_asked: usize,
    pub(crate) connected: bool,
    /// Every so many datagrams one is not sent.
    pub(crate) loses_every: usize,
    sent: usize,
}

impl Publisher {
    /// With an offer of H.264 and Opus.
    pub(crate) fn new() -> Self {
        let mut rtc = Rtc::builder()
            .clear_codecs()
            .enable_opus(true, false)
            .enable_h264(true)
            .set_rtcp_report_interval_audio(Duration::from_millis(500))
            .build(Instant::now());
        let mut changes = rtc.sdp_api();
        let direction = Direction::SendOnly;
        let audio = changes.add_media(MediaKind::Audio, direction, None, None, None);
        let video = changes.add_media(MediaKind::Video, direction, None, None, None);
        let (offer, pending) = changes.apply().expect("an offer");
        Self {
            rtc,
            pending: Some(pending),
            offer: offer.to_sdp_string(),
            video,
            audio,
            socket: None,
            pictures: 0,
            keyframes_asked: 0,
            connected: false,
            loses_every: usize::MAX,
            sent: 0,
        }
    }

    /// Publishes, and returns once it is connected.
    pub(crate) async fn publish(&mut self, router: &Router, key: &str) -> Answer {
        let headers =
            [("content-type", "application/sdp"), ("authorization", &format!("Bearer {key}"))];
        let answer = ask(router, "POST", "/whip", &headers, self.offer.clone()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let local = socket.local_addr().unwrap();
        self.rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        self.socket = Some(socket);
        let sdp = SdpAnswer::from_sdp_string(&answer.body).expect("an answer");
        let pending = self.pending.take().expect("not answered yet");
        self.rtc.sdp_api().accept_answer(pending, sdp).expect("accepted");
        let connect = async {
            while !self.connected {
                self.run(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DEADLINE, connect).await.expect("connected in time");
        answer
    }

    /// A picture and the sound of its time, 40 ms; `large` needs several packets.
    pub(crate) async fn send(&mut self, keyframe: bool, large: bool) {
        let mut picture = Vec::new();
        if keyframe {
            for set in [&SPS[..], &PPS] {
                picture.extend([&START_CODE, set].concat());
            }
        }
        let slice = if keyframe { [0x65, 0x88] } else { [0x41, 0x9a] };
        picture.extend([&START_CODE[..], &slice].concat());
        picture.resize(picture.len() + if large { 5_000 } else { 50 }, 0x55);
        let ms = self.pictures * 40;
        self.pictures += 1;
        self.write(self.video, MediaTime::new(ms * 90, Frequency::NINETY_KHZ), picture);
        for half in [0, 20] {
            let time = MediaTime::new((ms + half) * 48, Frequency::FORTY_EIGHT_KHZ);
            self.write(self.audio, time, vec![0xfc, 1, 2, 3]);
            self.drain();
        }
        self.run(Duration::from_millis(40)).await;
    }

    fn write(&mut self, mid: Mid, time: MediaTime, data: Vec<u8>) {
        let writer = self.rtc.writer(mid).expect("connected");
        let payload_type = writer.payload_params().next().expect("agreed").pt();
        writer.write(payload_type, Instant::now(), time, data).expect("written");
        self.drain();
    }

    /// Takes what comes for so long, and does what is due.
    pub(crate) async fn run(&mut self, most: Duration) {
        let end = Instant::now() + most;
        let mut buffer = [0; 2_048];
        loop {
            let due = self.drain().min(end);
            let socket = self.socket.as_ref().expect("bound");
            let received = tokio::time::timeout_at(due.into(), socket.recv_from(&mut buffer)).await;
            if let Ok(Ok((size, source))) = received {
                let destination = socket.local_addr().unwrap();
                if let Ok(receive) =
                    Receive::new(Protocol::Udp, source, destination, &buffer[..size])
                {
                    let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                }
            } else {
                let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
            }
            if Instant::now() >= end {
                self.drain();
                return;
            }
        }
    }

    /// Sends what is to be sent; when something is due.
    fn drain(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return at,
                Ok(Output::Transmit(transmit)) => {
                    self.sent += 1;
                    if !self.sent.is_multiple_of(self.loses_every) {
                        self.send_raw(&transmit.contents, transmit.destination);
                    }
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::KeyframeRequest(request))) => {
                    assert_eq!(request.kind, KeyframeRequestKind::Pli);
                    self.keyframes_asked += 1;
                }
                Ok(Output::Event(Event::Closed)) => self.connected = false,
                Ok(Output::Event(_)) => {}
                Err(_) => return Instant::now() + Duration::from_secs(1),
            }
        }
    }

    /// Sends anything, from the address that is known to the server.
    pub(crate) fn send_raw(&self, bytes: &[u8], destination: SocketAddr) {
        let socket = self.socket.as_ref().expect("bound");
        // What there is no room for is lost.
        let _ = socket.try_send_to(bytes, destination);
    }

    /// Says goodbye as a closed page does.
    pub(crate) async fn close(mut self) {
        self.rtc.close().expect("closing");
        self.drain();
        self.run(Duration::from_millis(50)).await;
    }
}
