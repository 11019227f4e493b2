//! One viewer without socket or clock: datagrams and the time come in as arguments, datagrams and
//! what it saw go out.
//!
//! A light viewer reads the header that SRTP leaves clear, a full one all there is. Both check for
//! consent and report, so that to the edge they differ only in that the full ones ask for what is
//! missing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::SrtpProfile;
use rand::Rng as _;
use rtc_rtcp::Packet as RtcpPacket;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;

use crate::receiver::Receiver;
use crate::reception::Reception;
use crate::rtp::{self, Header, Unwrapped};
use crate::sdp::{Answer, Stream};
use crate::tally::Tally;
use crate::transport::{Credentials, Identity, Keys, Transport};
use lectern_bench_rig::stamp::Stamp;

/// From one receiver report to the next.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A viewer that has no keys after this never will.
const CONNECT_MAX: Duration = Duration::from_secs(15);
const VIDEO_HZ: u32 = 90_000;
const AUDIO_HZ: u32 = 48_000;

/// What a viewer is made of.
pub(crate) struct Setup {
    /// Whether it decrypts and depacketizes.
    pub(crate) full: bool,
    pub(crate) credentials: Credentials,
    pub(crate) answer: Answer,
    /// When its offer was posted, in Unix microseconds.
    pub(crate) posted_us: u64,
}

/// A frame that the viewer has whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) timestamp: u32,
    pub(crate) arrived_us: u64,
    /// What a full viewer read in it.
    pub(crate) stamp: Option<Stamp>,
}

/// How a viewer's start went, in Unix microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) posted_us: u64,
    pub(crate) first_rtp_us: Option<u64>,
    /// The first whole frame. It has to be a keyframe, which a full viewer checks.
    pub(crate) first_frame_us: Option<u64>,
    pub(crate) first_was_key: Option<bool>,
}

/// The viewer.
pub(crate) struct Viewer {
    transport: Transport,
    answer: Answer,
    keys: Option<Keys>,
    created: Instant,
    report_at: Instant,
    ssrc: u32,
    video: Incoming,
    audio: Incoming,
    full: Option<Box<Receiver>>,
    pub(crate) start: Start,
    pub(crate) failed: Option<String>,
}

/// How one stream arrives.
#[derive(Default)]
struct Incoming {
    numbers: Unwrapped,
    reception: Reception,
}

impl Viewer {
    pub(crate) fn new(setup: Setup, identity: Arc<Identity>, now: Instant) -> Self {
        let Setup { full, credentials, answer, posted_us } = setup;
        let ssrc = rand::rng().random();
        Self {
            transport: Transport::new(identity, &credentials, &answer, now),
            full: full.then(|| Box::new(Receiver::new(ssrc, answer.video))),
            answer,
            keys: None,
            created: now,
            report_at: now + REPORT_INTERVAL,
            ssrc,
            video: Incoming::default(),
            audio: Incoming::default(),
            start: Start { posted_us, ..Start::default() },
            failed: None,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// What the handshake agreed on.
    pub(crate) fn profile(&self) -> Option<SrtpProfile> {
        self.keys.as_ref().map(|keys| keys.profile)
    }

    pub(crate) fn video(&self) -> Stream {
        self.answer.video
    }

    /// Since when it has had media.
    pub(crate) fn watching_since_us(&self) -> Option<u64> {
        self.start.first_rtp_us
    }

    /// Packets received of video and audio, and those that have not come.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let (video, audio) = (self.video.reception.totals(), self.audio.reception.totals());
        (video.0 + audio.0, video.1 + audio.1)
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn wake(&self) -> Instant {
        let transport = self.transport.wake();
        let reports = match &self.keys {
            Some(_) => self.report_at,
            None => self.created + CONNECT_MAX,
        };
        let receiver = self.full.as_ref().filter(|_| self.keys.is_some());
        let receiver = receiver.and_then(|receiver| receiver.wake());
        receiver.unwrap_or(reports).min(reports).min(transport)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        tally: &mut Tally,
        out: &mut Vec<Vec<u8>>,
    ) {
        let done = self.transport.handle_timeout(now, out);
        self.progress(done, now);
        if self.keys.is_none() {
            if now >= self.created + CONNECT_MAX {
                self.fail("no keys in time");
            }
            return;
        }
        if now >= self.report_at {
            self.report_at = now + REPORT_INTERVAL;
            self.send_report(now, out);
        }
        if let (Some(receiver), Some(keys)) = (&mut self.full, &mut self.keys) {
            receiver.handle_timeout(now, keys, tally, out);
        }
    }

    /// Takes a datagram that arrived at `arrived_us`.
    pub(crate) fn handle(
        &mut self,
        datagram: &[u8],
        arrived_us: u64,
        now: Instant,
        tally: &mut Tally,
        out: &mut Vec<Vec<u8>>,
    ) {
        match datagram.first() {
            Some(0..=3 | 20..=63) => {
                let done = self.transport.handle(now, datagram, out);
                self.progress(done, now);
            }
            Some(128..=191) if rtp::is_rtcp(datagram) => self.take_rtcp(datagram, now),
            Some(128..=191) => self.take_rtp(datagram, arrived_us, now, tally, out),
            _ => tally.strange += 1,
        }
    }

    fn progress(&mut self, done: anyhow::Result<Option<Keys>>, now: Instant) {
        match done {
            Ok(Some(keys)) => {
                self.keys = Some(keys);
                // Browsers do not report in step either.
                self.report_at = now + REPORT_INTERVAL.mul_f64(rand::rng().random());
            }
            Ok(None) => {}
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    fn fail(&mut self, why: &str) {
        self.failed.get_or_insert_with(|| why.to_owned());
    }

    fn take_rtp(
        &mut self,
        datagram: &[u8],
        arrived_us: u64,
        now: Instant,
        tally: &mut Tally,
        out: &mut Vec<Vec<u8>>,
    ) {
        let (Some(header), Some(keys)) = (Header::read(datagram), &mut self.keys) else {
            tally.strange += 1;
            return;
        };
        tally.packets += 1;
        tally.bytes += datagram.len() as u64;
        self.start.first_rtp_us.get_or_insert(arrived_us);
        if header.ssrc == self.answer.audio.ssrc {
            let number = self.audio.numbers.unwrap(header.sequence);
            let reception = &mut self.audio.reception;
            reception.arrived(number, header.timestamp, AUDIO_HZ, arrived_us);
            if self.full.is_some() && keys.inbound.decrypt_rtp(datagram).is_err() {
                tally.strange += 1;
                return;
            }
            tally.audio_frames += 1;
            return;
        }
        let is_media = header.ssrc == self.answer.video.ssrc;
        let number = if is_media { self.video.numbers.unwrap(header.sequence) } else { 0 };
        if let Some(receiver) = &mut self.full {
            let arrival = receiver.take(datagram, header, number, arrived_us, keys, tally);
            if arrival.counts {
                let reception = &mut self.video.reception;
                reception.arrived(number, header.timestamp, VIDEO_HZ, arrived_us);
            }
            if let Some(first) = receiver.first_frame() {
                self.start.first_frame_us.get_or_insert(first.arrived_us);
                self.start.first_was_key.get_or_insert(first.keyframe);
            }
            receiver.ask(now, keys, tally, out);
        } else if is_media {
            let reception = &mut self.video.reception;
            reception.arrived(number, header.timestamp, VIDEO_HZ, arrived_us);
            if header.marker {
                tally.video_frames += 1;
                let timestamp = header.timestamp;
                tally.ended.push(Ended { timestamp, arrived_us, stamp: None });
                let (_, missing) = reception.totals();
                if missing == 0 {
                    self.start.first_frame_us.get_or_insert(arrived_us);
                }
            }
        } else {
            tally.strange += 1;
        }
    }

    fn take_rtcp(&mut self, datagram: &[u8], now: Instant) {
        // A light viewer does not need to know what the edge's clock says.
        let (Some(_), Some(keys)) = (&self.full, &mut self.keys) else { return };
        let Ok(compound) = keys.inbound.decrypt_rtcp(datagram) else { return };
        let Ok(packets) = rtc_rtcp::packet::unmarshal(&mut &compound[..]) else { return };
        for packet in &packets {
            let report = packet.as_any().downcast_ref::<rtc_rtcp::sender_report::SenderReport>();
            let Some(report) = report else { continue };
            for (stream, incoming) in
                [(self.answer.video, &mut self.video), (self.answer.audio, &mut self.audio)]
            {
                if stream.ssrc == report.ssrc {
                    incoming.reception.sender_reported((report.ntp_time >> 16) as u32, now);
                }
            }
        }
    }

    fn send_report(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let streams = [(self.answer.video, &mut self.video), (self.answer.audio, &mut self.audio)];
        let reports: Vec<ReceptionReport> = streams
            .into_iter()
            .filter_map(|(stream, incoming)| incoming.reception.report(stream.ssrc, now))
            .collect();
        let report = ReceiverReport { ssrc: self.ssrc, reports, profile_extensions: Bytes::new() };
        if let Some(keys) = &mut self.keys {
            seal_rtcp(&[Box::new(report)], keys, out);
        }
    }
}

/// Seals a compound packet.
pub(crate) fn seal_rtcp(packets: &[Box<dyn RtcpPacket>], keys: &mut Keys, out: &mut Vec<Vec<u8>>) {
    let sealed = rtc_rtcp::packet::marshal(packets)
        .map_err(drop)
        .and_then(|compound| keys.outbound.encrypt_rtcp(&compound).map_err(drop));
    // What cannot be written is ours alone to miss: the edge sees a report fewer.
    if let Ok(sealed) = sealed {
        out.push(sealed.to_vec());
    }
}
