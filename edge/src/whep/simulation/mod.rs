//! A sender and a browser's receiver on a simulated link, in virtual time: what loss, a narrow link
//! and the start do together. Random, but the same for the same seed.

mod promises;
mod receiver;

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::SrtpProfile;
use lectern_relay_proto::UtcTime;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::cursor::{Cursor, Step};
use super::history::{History, Unit};
use super::link::Link;
use super::outbox::tests::{Ear, Sent};
use super::outbox::{Outbox, Path};
use super::pace;
use super::srtp::{self, Sealer};
use super::stream::{Rtx, Setup, Stream, Way};
use receiver::{NACK_TURN, Receiver};

const VIDEO: u32 = 77;
const REPAIR: u32 = 78;
const PATH: Path = Path { peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9), local: None };
const FRAME: Duration = Duration::from_micros(33_333);
/// UDP and IP, in front of every datagram.
const OVERHEAD: usize = 28;

/// One direction of the link.
#[derive(Clone, Copy)]
struct Pipe {
    loss: f64,
    delay: Duration,
    /// Bits per second and bytes of queue, if it is narrow.
    narrow: Option<(f64, f64)>,
    free: Duration,
}

impl Pipe {
    fn new(loss: f64) -> Self {
        Self { loss, delay: Duration::from_millis(20), narrow: None, free: Duration::ZERO }
    }

    fn narrow(bps: f64, queue: f64) -> Self {
        Self { narrow: Some((bps, queue)), ..Self::new(0.0) }
    }

    /// When what is sent now arrives, if it does.
    fn pass(&mut self, bytes: usize, now: Duration, random: &mut StdRng) -> Option<Duration> {
        if random.random_bool(self.loss) {
            return None;
        }
        let Some((bps, queue)) = self.narrow else { return Some(now + self.delay) };
        let free = self.free.max(now);
        let bits = (bytes + OVERHEAD) as f64 * 8.0;
        if (free - now).as_secs_f64() * bps + bits > queue * 8.0 {
            return None;
        }
        self.free = free + Duration::from_secs_f64(bits / bps);
        Some(self.free + self.delay)
    }
}

#[derive(Debug)]
enum Event {
    Encoded,
    Pace,
    NackTurn,
    ReportTurn,
    Media(Vec<u8>),
    Nack(Vec<(u16, u16)>),
    Report { fraction: u8, last_report: u32, delay: u32 },
}

/// A frame on its way.
struct Frame {
    sent: Duration,
    missing: u32,
    whole: Option<Duration>,
}

struct Stage {
    rtx: bool,
    /// How often the receiver asks for the same packet.
    nack_interval: Duration,
    seed: u64,
    seconds: u32,
    group: u64,
    key_bytes: usize,
    delta_bytes: usize,
    /// Frames that are there before the viewer comes.
    cached: u64,
    down: Pipe,
    up: Pipe,
}

impl Default for Stage {
    /// 2.5 Mb/s, a keyframe every two seconds, lossless.
    fn default() -> Self {
        Self {
            rtx: true,
            nack_interval: Duration::from_millis(40),
            seed: 1,
            seconds: 60,
            group: 60,
            key_bytes: 70_000,
            delta_bytes: 9_000,
            cached: 1,
            down: Pipe::new(0.0),
            up: Pipe::new(0.0),
        }
    }
}

struct Simulation {
    stage: Stage,
    start: Instant,
    now: Duration,
    random: StdRng,
    events: BinaryHeap<Scheduled>,
    count: u64,
    history: History,
    cursor: Cursor,
    stream: Stream,
    link: Link,
    sealer: Sealer,
    outbox: Outbox,
    out: Sent,
    opener: rtc_srtp::context::Context,
    receiver: Receiver,
    encoded: u64,
    frames: Vec<Frame>,
    by_sequence: HashMap<u16, usize>,
    /// Sequence numbers that were sealed, by SSRC.
    sealed: HashMap<(u32, u16), Vec<u8>>,
    arrived: HashSet<u16>,
    media_bytes: usize,
    resent_bytes: usize,
    dropped: usize,
    speeds: Vec<f64>,
    /// When the viewer was at the live edge.
    live: Option<Duration>,
}

struct Scheduled(Duration, u64, Event);

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.0, other.1).cmp(&(self.0, self.1))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scheduled {}

impl Simulation {
    fn run(stage: Stage) -> Self {
        let profile = SrtpProfile::AEAD_AES_128_GCM;
        let material = [7; 56];
        let (_, server) = srtp::split(&material, profile).unwrap();
        let rtx = stage.rtx.then_some(Rtx { ssrc: REPAIR, payload_type: 103 });
        let setup =
            Setup { ssrc: VIDEO, payload_type: 102, capture_id: Some(3), rtx, playout: None };
        let provider = rtc_crypto::default_provider().unwrap();
        let out = Sent::default();
        let mut random = StdRng::seed_from_u64(stage.seed);
        let mut simulation = Self {
            start: Instant::now(),
            now: Duration::ZERO,
            events: BinaryHeap::new(),
            count: 0,
            history: History::default(),
            cursor: Cursor::new(pace::SPEED_UNKNOWN),
            stream: Stream::new(setup, random.random()),
            link: Link::default(),
            sealer: Sealer::new(profile, &server).unwrap(),
            outbox: Outbox::new(Box::new(Ear(out.clone()))),
            out,
            opener: rtc_srtp::context::Context::new(
                server.key,
                server.salt,
                ProtectionProfile::AeadAes128Gcm,
                None,
                None,
                provider.crypto(),
            )
            .unwrap(),
            receiver: Receiver::default(),
            encoded: 0,
            frames: Vec::new(),
            by_sequence: HashMap::new(),
            sealed: HashMap::new(),
            arrived: HashSet::new(),
            media_bytes: 0,
            resent_bytes: 0,
            dropped: 0,
            speeds: Vec::new(),
            live: None,
            random,
            stage,
        };
        for _ in 0..simulation.stage.cached {
            simulation.encode();
            simulation.now += FRAME;
        }
        simulation.link.round_trip(Duration::from_millis(40));
        simulation.stream.set_round_trip(Duration::from_millis(40));
        simulation.at(simulation.now, Event::Encoded);
        simulation.at(simulation.now, Event::NackTurn);
        simulation.at(simulation.now + Duration::from_millis(500), Event::ReportTurn);
        let end = simulation.now + Duration::from_secs(simulation.stage.seconds.into());
        simulation.pump();
        while let Some(Scheduled(at, _, event)) = simulation.events.pop() {
            if at > end {
                break;
            }
            simulation.now = at;
            simulation.take(event);
        }
        simulation
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.push(Scheduled(at, self.count, event));
    }

    fn clock(&self) -> Instant {
        self.start + self.now
    }

    fn encode(&mut self) {
        let Stage { group, key_bytes, delta_bytes, .. } = self.stage;
        let keyframe = self.encoded.is_multiple_of(group);
        let spread = self.random.random_range(0.6..1.4);
        let bytes = if keyframe { key_bytes } else { (delta_bytes as f64 * spread) as usize };
        let unit = super::history::tests::unit(self.encoded, self.encoded * 3_000, keyframe, bytes);
        let unit = Unit { pushed: self.clock(), ..Arc::into_inner(unit).unwrap() };
        self.history.push(Arc::new(unit));
        self.encoded += 1;
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Encoded => {
                self.encode();
                self.at(self.now + FRAME, Event::Encoded);
                self.pump();
            }
            Event::Pace => self.pump(),
            Event::NackTurn => {
                self.nack(false);
                self.at(self.now + NACK_TURN, Event::NackTurn);
            }
            Event::ReportTurn => {
                self.report();
                self.at(self.now + Duration::from_secs(1), Event::ReportTurn);
            }
            Event::Media(datagram) => self.receive(&datagram),
            // From here on what the session does with feedback.
            Event::Nack(items) => {
                for (first, following) in items {
                    let now = self.clock();
                    let Self { stream, history, sealer, outbox, .. } = self;
                    let histories = std::slice::from_ref(&*history);
                    let mut way = Way { sealer, path: PATH, outbox };
                    let resent = stream.resend(first, following, histories, now, &mut way);
                    if self.cursor.is_catching(now) {
                        self.link.missing(resent.lost, now);
                    }
                }
                self.outbox.flush();
                self.resent_bytes += self.transmit(None);
                self.set_speed();
            }
            Event::Report { fraction, last_report, delay } => {
                let now = self.clock();
                if let Some(rtt) = self.stream.reported(last_report, delay, now) {
                    self.link.round_trip(rtt);
                }
                self.link.lost(fraction, now);
                self.stream.set_full(self.link.is_full());
                self.set_speed();
            }
        }
    }

    fn set_speed(&mut self) {
        let now = self.clock();
        let speed = pace::speed(&self.link, self.history.bitrate(), false, now);
        self.cursor.set_speed(speed, 90_000, now);
        self.speeds.push(speed);
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            let now = self.clock();
            match self.cursor.next(&self.history, now) {
                Step::Wait(until) => {
                    if let Some(until) = until {
                        self.at(until.duration_since(self.start), Event::Pace);
                    }
                    break;
                }
                Step::Send { unit, ticks, live } => {
                    let Self { stream, sealer, outbox, .. } = self;
                    stream
                        .send(&unit, ticks, now, &mut Way { sealer, path: PATH, outbox })
                        .unwrap();
                    self.link.sent(unit.payloads.bytes(), unit.payloads.count(), now);
                    if live {
                        self.live.get_or_insert(self.now);
                    }
                    let frame = self.frames.len();
                    let missing = unit.payloads.count() as u32;
                    self.frames.push(Frame { sent: self.now, missing, whole: None });
                    self.media_bytes += self.transmit(Some(frame));
                }
            }
        }
        let live = self.history.live_ticks(self.clock()).unwrap();
        let mut report = Vec::new();
        let (t0, now) = (UtcTime::from_millis(1_700_000_000_000), self.clock());
        if self.stream.report(live, 90_000, t0, now, &mut report)
            && let Some(at) = self.stage.down.pass(report.len(), self.now, &mut self.random)
        {
            let middle = u32::from_be_bytes(report[10..14].try_into().unwrap());
            self.receiver.reported = Some((middle, at));
        }
    }

    /// Puts what is in the outbox on the link; returns its bytes.
    fn transmit(&mut self, frame: Option<usize>) -> usize {
        let datagrams: Vec<Vec<u8>> =
            self.out.lock().unwrap().drain(..).flat_map(|(_, run)| run).collect();
        let mut bytes = 0;
        for datagram in datagrams {
            assert!(datagram.len() <= 1_200);
            bytes += datagram.len();
            let ssrc = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
            let sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
            let before = self.sealed.insert((ssrc, sequence), datagram.clone());
            assert!(
                before.is_none_or(|before| before == datagram && frame.is_none()),
                "two packets under one number"
            );
            assert_eq!(ssrc == VIDEO, frame.is_some() || !self.stage.rtx);
            if let Some(frame) = frame {
                self.by_sequence.insert(sequence, frame);
            }
            match self.stage.down.pass(datagram.len(), self.now, &mut self.random) {
                Some(at) => self.at(at, Event::Media(datagram)),
                None => self.dropped += 1,
            }
        }
        bytes
    }

    /// The part of the frames, but for the last second's, that was whole within `limit`.
    fn whole(&self, limit: Duration) -> f64 {
        let judged =
            self.frames.iter().filter(|frame| frame.sent + Duration::from_secs(1) < self.now);
        let (mut all, mut whole) = (0, 0);
        for frame in judged {
            all += 1;
            whole += u32::from(frame.whole.is_some_and(|at| at - frame.sent <= limit));
        }
        f64::from(whole) / f64::from(all)
    }

    fn resent_share(&self) -> f64 {
        self.resent_bytes as f64 / self.media_bytes as f64
    }
}
