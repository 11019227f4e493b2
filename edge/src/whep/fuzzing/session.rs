//! A whole session over time: whatever arrives, from wherever, between the frames that it is sent.
//!
//! The script has what strangers send and, so that there is more to reach than the first check, a
//! viewer that knows the credentials and has the certificate. The harness does what a worker does.

mod watch;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lectern_relay_proto::{TrackName, UtcTime};

use super::super::SessionId;
use super::super::admission::{Admission, Limits};
use super::super::dtls::Connection;
use super::super::established::Established;
use super::super::history::{History, Unit};
use super::super::ice::{Agent, PATHS_MAX};
use super::super::metrics::{Ended, Metrics};
use super::super::outbox::{Local, Outbox, Path};
use super::super::packetize::{self, Payloads};
use super::super::playout::PlayoutDelay;
use super::super::registry::Route;
use super::super::renditions::{Listed, RENDITIONS_MAX, Renditions};
use super::super::session::{Context, Parts, Session};
use super::super::socket::ConnectionId;
use super::super::stream::{Playout, Rtx, Setup, Stream};
use super::ice::{generation, username};
use super::peer::{self, Peer};
use super::script::{Script, flip};
use watch::{AUDIO, REPAIR, VIDEO, Watch};

/// Steps of a script that are taken.
const STEPS_MAX: usize = 200;
/// What a step of time may take, in milliseconds.
const WAITS_MS: [u64; 8] = [1, 5, 20, 40, 110, 450, 2_000, 16_000];
/// Larger frames only take longer.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Firings of a session's timer in one step of time: 20 s of looking at a full link every 10 ms.
const FIRINGS_MAX: usize = 2_000;
/// What viewers may ask for by name.
const NAMES: [&str; 4] = ["main", "video/low", "none", "1"];

/// One of a few addresses that datagrams come from: two of ours over UDP, or over a connection.
pub(super) fn path(number: u8) -> Path {
    let ip = if number & 0x10 == 0 { [127, 0, 0, 1] } else { [203, 0, 113, 7] };
    let local = match number >> 6 {
        0 => None,
        1 => Some(Local::Address(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        2 => Some(Local::Address(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)))),
        _ => Some(Local::Connection(ConnectionId::of(u64::from(number & 1)))),
    };
    Path { peer: SocketAddr::from((ip, 1_000 + u16::from(number & 0x3f))), local }
}

struct Stage {
    session: Session,
    admission: Arc<Admission>,
    video: Renditions,
    audio: History,
    outbox: Outbox,
    watch: Watch,
    peer: Peer,
    start: Instant,
    now: Instant,
    restarts: u8,
    serials: [u64; RENDITIONS_MAX],
    last: Option<Vec<u8>>,
}

/// Plays a script to its end, or the session's.
pub(super) fn datagrams(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let (Some(what), Some(pin)) = (script.byte(), script.byte()) else { return };
    let mut stage = Stage::new(what, pin);
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        match stage.step(step, &mut script) {
            Some(Ok(())) => stage.check(),
            Some(Err(why)) => {
                assert_ne!(why, Ended::Panic);
                break;
            }
            None => break,
        }
    }
    stage.end();
}

fn metrics() -> &'static Arc<Metrics> {
    static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();
    METRICS.get_or_init(|| {
        let registered = Metrics::register(&prometheus::Registry::new());
        Arc::new(registered.expect("a registry of their own"))
    })
}

fn listed(slot: u8) -> Listed {
    let name = ["video/main", "video/mid", "video/low", "video/1"][usize::from(slot) % 4];
    let name = TrackName::new(name).expect("a track's name");
    let bitrate = Some(3_000_000 >> slot);
    Listed { slot, name, bitrate, width: 1_280 >> slot, height: 720 >> slot }
}

impl Stage {
    fn new(what: u8, pin: u8) -> Self {
        let now = Instant::now();
        let limits = Limits {
            sessions_max: 1,
            half_open_max: 1,
            half_open_per_client_max: 1,
            joins_per_sec_max: 1,
            egress_bps_max: None,
        };
        let admission = Arc::new(Admission::new(limits, 1, metrics().clone(), now));
        let permit = admission.permit(Ipv4Addr::LOCALHOST.into()).expect("the only session");
        let has = |bit: u8| what & 1 << bit != 0;
        let setup = |ssrc, payload_type| Setup {
            ssrc,
            payload_type,
            capture_id: has(0).then_some(3),
            rtx: None,
            playout: None,
        };
        let playout = PlayoutDelay::new(0, 100).expect("a delay");
        let video = Setup {
            rtx: has(1).then_some(Rtx { ssrc: REPAIR, payload_type: 103 }),
            playout: has(2).then_some(Playout { id: 5, delay: playout }),
            ..setup(VIDEO, 102)
        };
        let fingerprint = if has(5) { [7; 32] } else { peer::fingerprint() };
        let first = generation(0);
        let parts = Parts {
            broadcast: "fuzzed".parse().expect("a valid id"),
            route: Route { worker: 0, room: 1, serial: 1 },
            id: SessionId::from_url("session"),
            ice: Agent::new(first.local, first.remote_ufrag),
            dtls: Connection::new(peer::identity(), fingerprint),
            video: (!has(3)).then(|| Stream::new(video, 0x7ff0)),
            audio: (!has(4)).then(|| Stream::new(setup(AUDIO, 111), 0x7fff)),
            rendition: NAMES.get(usize::from(pin)).map(|name| (*name).to_owned()),
            cname: "name".into(),
            t0: UtcTime::from_millis(1_700_000_000_000),
            permit,
            until: None,
            established: Established::default(),
        };
        let watch = Watch::default();
        let listing: Arc<[Listed]> = [listed(0)].into();
        Self {
            session: Session::new(parts, now),
            admission,
            video: Renditions::new(listing, Default::default()),
            audio: History::default(),
            outbox: Outbox::new(Box::new(watch.clone())),
            watch,
            peer: Peer::new(now),
            start: now,
            now,
            restarts: 0,
            serials: [0; RENDITIONS_MAX],
            last: None,
        }
    }

    /// `None` at the end of the script.
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<Result<(), Ended>> {
        let done = Some(Ok(()));
        match step % 16 {
            0 => {
                let from = path(script.byte()?);
                Some(self.deliver(from, script.bytes()?))
            }
            1 => {
                let (from, what) = (path(script.byte()?), script.byte()?);
                Some(self.deliver_check(from, what))
            }
            2 => {
                let from = path(script.byte()?);
                for _ in 0..16 {
                    let Some(datagram) = self.peer.pending.pop_front() else { break };
                    if let Err(why) = self.deliver(from, &datagram) {
                        return Some(Err(why));
                    }
                }
                done
            }
            3 => {
                let from = path(script.byte()?);
                let mut datagram = self.peer.pending.pop_front().unwrap_or_default();
                flip(&mut datagram, script.word()?, script.byte()?);
                Some(self.deliver(from, &datagram))
            }
            4 | 5 => {
                let from = path(script.byte()?);
                let Some(sealed) = self.peer.seal(script.bytes()?) else { return done };
                self.last = Some(sealed.clone());
                Some(self.deliver(from, &sealed))
            }
            6 => {
                let (from, at, bits) = (path(script.byte()?), script.word()?, script.byte()?);
                let Some(mut datagram) = self.last.clone() else { return done };
                flip(&mut datagram, at, bits);
                Some(self.deliver(from, &datagram))
            }
            7 | 8 => Some(self.wait(script.byte()?)),
            9 | 10 => {
                let (what, length) = (script.byte()?, script.word()?);
                self.push_video(what, usize::from(length) % FRAME_BYTES_MAX);
                done
            }
            11 => {
                self.push_audio(script.byte()?);
                done
            }
            12 => {
                self.restarts = (self.restarts + 1) % 8;
                self.session.restart_ice(generation(self.restarts));
                done
            }
            13 => {
                let name = NAMES.get(usize::from(script.byte()?)).map(|name| (*name).to_owned());
                self.with_session(|session, cx| session.pin(name, cx));
                done
            }
            14 => {
                self.list(script.byte()?);
                done
            }
            _ => {
                match script.byte()? {
                    0 => self.peer.close(),
                    what => self.watch.set_full(what & 1 != 0),
                }
                done
            }
        }
    }

    fn with_session<T>(&mut self, call: impl FnOnce(&mut Session, &mut Context<'_>) -> T) -> T {
        let mut cx = Context {
            now: self.now,
            video: &self.video,
            audio: &self.audio,
            outbox: &mut self.outbox,
            crypto: peer::crypto(),
            metrics: metrics(),
        };
        let called = call(&mut self.session, &mut cx);
        for datagram in self.watch.take_dtls() {
            self.peer.take(self.now, &datagram);
        }
        called
    }

    fn deliver(&mut self, from: Path, datagram: &[u8]) -> Result<(), Ended> {
        self.watch.expect(self.session.paths(), from);
        let mut datagram = datagram.to_vec();
        let moved = self.with_session(|session, cx| session.handle(from, &mut datagram, cx))?;
        let knows =
            |path: &Path| self.session.paths().iter().any(|known| known.source() == path.source());
        assert!(moved.passed.is_none_or(|passed| knows(&passed)));
        assert!(moved.evicted.is_none_or(|evicted| !knows(&evicted)));
        Ok(())
    }

    fn deliver_check(&mut self, from: Path, what: u8) -> Result<(), Ended> {
        let generation = generation(if what & 1 == 0 { self.restarts } else { what >> 4 & 7 });
        // Priority; nomination or another role; and a password that is guessed.
        let mut attributes: Vec<(u16, &[u8])> = vec![(0x24, &[0, 0, 1, 0])];
        if what & 2 != 0 {
            attributes.push((0x25, &[]));
        }
        if what & 4 != 0 {
            attributes.push((0x8029, &[0; 8]));
        }
        let password = if what & 8 == 0 { &generation.local.password[..] } else { "guess" };
        let (check, _) = peer::check(&username(&generation), password, &attributes);
        self.deliver(from, &check)
    }

    /// Some time passes: whatever is due is done when it is due, as a worker does it.
    fn wait(&mut self, how_long: u8) -> Result<(), Ended> {
        let until = self.now + Duration::from_millis(WAITS_MS[usize::from(how_long) % 8]);
        for _ in 0..FIRINGS_MAX {
            let at = self.session.wake();
            if at > until {
                self.now = until;
                self.peer.wait(until);
                return Ok(());
            }
            self.now = self.now.max(at);
            self.watch.expect(self.session.paths(), path(0));
            self.with_session(|session, cx| session.handle_timeout(cx))?;
            // A worker would fire it again and again.
            assert!(self.session.wake() > self.now, "a timer stands still");
        }
        panic!("a timer that hardly moves");
    }

    fn unit(
        &self,
        slot: u8,
        serial: u64,
        clock_hz: u32,
        keyframe: bool,
        payloads: Payloads,
    ) -> Unit {
        let since = self.now - self.start;
        // Frames may share an instant here; their times rise all the same.
        let ticks = (since.as_micros() * u128::from(clock_hz) / 1_000_000) as u64 + serial;
        let captured = UtcTime::from_millis(1_700_000_000_000) + since;
        Unit {
            serial,
            rendition: slot,
            ticks,
            clock_hz,
            keyframe,
            arrived: captured,
            captured,
            pushed: self.now,
            traced: None,
            payloads,
        }
    }

    fn push_video(&mut self, what: u8, length: usize) {
        let (slot, keyframe) = (what >> 1 & 3, what & 1 != 0);
        if !self.video.listing().iter().any(|listed| listed.slot == slot) {
            return;
        }
        let mut frame = vec![what; 4 + length.max(1)];
        frame[..4].copy_from_slice(&(length.max(1) as u32).to_be_bytes());
        frame[4] = if keyframe { 0x65 } else { 0x41 };
        let payloads = packetize::h264(&frame, None).expect("one unit");
        let serial = self.serials[usize::from(slot)];
        self.serials[usize::from(slot)] += 1;
        let unit = self.unit(slot, serial, 90_000, keyframe, payloads);
        self.video.history_mut(slot).push(Arc::new(unit));
        self.watch.expect(self.session.paths(), path(0));
        if self.session.interest() & 1 << slot != 0 {
            self.with_session(|session, cx| session.pump_video(cx));
        }
    }

    fn push_audio(&mut self, length: u8) {
        let packet = vec![length; usize::from(length) + 1];
        let payloads = packetize::opus(&packet.into()).expect("a packet");
        let serial = self.audio.newest().map_or(0, |newest| newest.serial + 1);
        let unit = Arc::new(self.unit(0, serial, 48_000, true, payloads));
        self.audio.push(unit.clone());
        self.watch.expect(self.session.paths(), path(0));
        self.with_session(|session, cx| session.send_audio(&unit, cx));
    }

    /// The broadcast has other renditions. The serials of a slot that comes again have a gap.
    fn list(&mut self, slots: u8) {
        let listing: Arc<[Listed]> =
            (0..4).filter(|slot| slots & 1 << slot != 0).map(listed).collect();
        for (slot, serial) in self.serials.iter_mut().enumerate() {
            *serial += u64::from(slots >> slot & 1 == 0);
        }
        self.video.list(listing);
        self.watch.expect(self.session.paths(), path(0));
        self.with_session(|session, cx| session.judge(cx));
    }

    fn check(&self) {
        let paths = self.session.paths();
        assert!(paths.len() <= PATHS_MAX);
        assert!(u32::from(self.session.interest()) < 1 << RENDITIONS_MAX);
        // Whatever is said, a session is over when nothing is heard of its viewer any more.
        assert!(self.session.wake() <= self.now + Duration::from_secs(15));
    }

    /// The session says goodbye, and gives its place back.
    fn end(mut self) {
        self.watch.expect(self.session.paths(), path(0));
        self.session.close(&mut self.outbox);
        drop(self.session);
        assert!(self.admission.permit(Ipv4Addr::LOCALHOST.into()).is_ok(), "a place is lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the fuzzer would knock at a door that never opens.
    #[test]
    fn the_viewer_of_a_script_gets_its_media() {
        let mut stage = Stage::new(0, u8::MAX);
        let steps: [&[u8]; 4] = [&[1, 1, 2], &[2, 1], &[9, 1, 0, 200], &[11, 80]];
        for step in steps {
            let mut script = Script::new(step);
            let step = script.byte().unwrap();
            assert_eq!(stage.step(step, &mut script), Some(Ok(())));
        }
        assert!(stage.watch.has_sent(VIDEO) && stage.watch.has_sent(AUDIO));
    }
}
