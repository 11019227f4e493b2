//! One viewer: ICE, DTLS, and the two streams, as a state machine without socket or clock.
//!
//! Datagrams, frames and the time come in as arguments, packets go to the outbox. A worker owns the
//! session and calls it from its one thread; [`super::cursor`] decides which frame goes when, and
//! [`feedback`] has what the viewer says of it.

mod feedback;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lectern_relay_proto::{BroadcastId, UtcTime};
use rtc_crypto::RTCCryptoProvider;

use super::SessionId;
use super::admission::Permit;
use super::choice::Load;
use super::cursor::{Cursor, Step};
use super::dtls::{self, Connection};
use super::established::{Attendance, Established};
use super::history::{History, Unit};
use super::ice::{self, Agent, Generation};
use super::link::Link;
use super::metrics::{Ended, Metrics};
use super::outbox::{Outbox, Path};
use super::pace;
use super::quota::Quota;
use super::registry::Route;
use super::renditions::Renditions;
use super::rtcp;
use super::srtp::{Opener, Sealer};
use super::stream::{Stream, Way};
use super::viewing::Viewing;

/// A viewer of whom nothing valid is heard for this long is gone: consent (RFC 7675) expires after
/// 30 s at most, browsers check every 2–3 s and report every second.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// When a link that took no more is looked at again; each frame that arrives does so as well.
const LINK_RETRY: Duration = Duration::from_millis(10);
/// How much later than the picture a player may let the sound be, which is what sender reports shift
/// it by. Sound comes later than its picture (encoders send it with the next one, and a player
/// buffers it longer), and a player that is told to the millisecond holds every picture back for it.
/// Nobody notices sound that is late by less than 125 ms (ITU-R BT.1359-1).
const SOUND_LAG: Duration = Duration::from_millis(40);

/// What a session is made of.
pub(super) struct Parts {
    /// Where it lives.
    pub route: Route,
    /// What it is watching.
    pub broadcast: BroadcastId,
    /// Its secret name.
    pub id: SessionId,
    /// Its lite agent.
    pub ice: Agent,
    /// Its DTLS.
    pub dtls: Connection,
    /// Video, if the answer has it.
    pub video: Option<Stream>,
    /// Audio, if the answer has it.
    pub audio: Option<Stream>,
    /// The rendition that the viewer asked for with its offer.
    pub rendition: Option<String>,
    /// The canonical name of both.
    pub cname: String,
    /// The instant that media time counts from.
    pub t0: UtcTime,
    /// The right to be.
    pub permit: Permit,
    /// When the viewer's right to watch ends, if it does.
    pub until: Option<Instant>,
    /// Where it counts once its handshake is done.
    pub established: Established,
}

/// What a session works with when it is called.
pub(super) struct Context<'a> {
    /// Now.
    pub now: Instant,
    /// The room's video.
    pub video: &'a Renditions,
    /// The room's audio.
    pub audio: &'a History,
    /// The way out.
    pub outbox: &'a mut Outbox,
    /// For connectivity checks.
    pub crypto: &'a dyn RTCCryptoProvider,
    /// Counters.
    pub metrics: &'a Metrics,
}

/// What a datagram changed outside the session.
#[derive(Default)]
pub(super) struct Moved {
    /// An address that belongs to it, as a check has just shown, whoever had it before.
    pub passed: Option<Path>,
    /// One that does not any more.
    pub evicted: Option<Path>,
    /// Whether the credentials before the last ICE restart are void now.
    pub renewed: bool,
    /// The answer to a check. It is to be sent once the rest is entered: the viewer goes on with the
    /// handshake at once, from the address that was added.
    pub reply: Option<Vec<u8>>,
}

/// The session.
pub(super) struct Session {
    parts: Parts,
    media: Option<Media>,
    created: Instant,
    heard: Instant,
    link: Link,
    quota: Quota,
    /// When our last flight of the handshake went out, and the round trip that the answers tell.
    flight: Option<Instant>,
    rtt: Option<Duration>,
    /// When the next cached frame is due.
    pace: Option<Instant>,
    /// The worker's timer for it.
    pub scheduled: Option<Instant>,
}

/// What exists once there are keys.
struct Media {
    sealer: Sealer,
    opener: Opener,
    cursor: Cursor,
    viewing: Viewing,
    path: Path,
    _attendance: Attendance,
}

impl Session {
    /// A session that waits for its viewer.
    pub(super) fn new(parts: Parts, now: Instant) -> Self {
        Self {
            parts,
            media: None,
            created: now,
            heard: now,
            link: Link::default(),
            quota: feedback::QUOTA,
            flight: None,
            rtt: None,
            pace: None,
            scheduled: None,
        }
    }

    /// Where it lives.
    pub(super) fn route(&self) -> Route {
        self.parts.route
    }

    /// Its name.
    pub(super) fn id(&self) -> &SessionId {
        &self.parts.id
    }

    /// Our ICE user name fragment.
    pub(super) fn ufrag(&self) -> &str {
        self.parts.ice.ufrag()
    }

    /// Begins an ICE restart. Keys, streams and the path of the media stay as they are.
    pub(super) fn restart_ice(&mut self, next: Generation) {
        self.parts.ice.restart(next);
    }

    /// The addresses that belong to it.
    pub(super) fn paths(&self) -> &[Path] {
        self.parts.ice.paths()
    }

    /// The slots of the renditions whose frames matter to it, one bit each.
    pub(super) fn interest(&self) -> u8 {
        let video = self.media.as_ref().filter(|_| self.parts.video.is_some());
        video.map_or(0, |media| media.viewing.interest())
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn wake(&self) -> Instant {
        let deadline = match self.media {
            Some(_) => self.heard + SILENCE_MAX,
            None => self.created + dtls::HANDSHAKE_MAX,
        };
        let others = [self.parts.dtls.timeout(), self.pace, self.parts.until];
        others.into_iter().flatten().fold(deadline, Instant::min)
    }

    /// Takes a datagram; `Err` ends the session.
    pub(super) fn handle(
        &mut self,
        path: Path,
        datagram: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Result<Moved, Ended> {
        if ice::is_stun(datagram) {
            return Ok(self.handle_check(path, datagram, cx));
        }
        if !self.parts.ice.knows(&path) {
            cx.metrics.bad("address");
        } else if dtls::is_dtls(datagram) {
            self.handle_dtls(path, datagram, cx)?;
        } else if rtcp::is_rtcp(datagram) {
            self.handle_rtcp(datagram, cx);
        } else {
            cx.metrics.bad("other");
        }
        Ok(Moved::default())
    }

    /// Does what is due; `Err` ends the session.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        if self.parts.until.is_some_and(|until| cx.now >= until) {
            return Err(Ended::Expired);
        }
        match self.media {
            None if cx.now >= self.created + dtls::HANDSHAKE_MAX => {
                return Err(Ended::HandshakeTimeout);
            }
            Some(_) if cx.now >= self.heard + SILENCE_MAX => return Err(Ended::Silent),
            _ => {}
        }
        if let Some(path) = self.parts.ice.selected() {
            let outbox = &mut *cx.outbox;
            let mut send = |packet: &[u8]| outbox.datagram(path, packet);
            let progress = self.parts.dtls.handle_timeout(cx.now, &mut send);
            self.progress(progress, path, cx)?;
        }
        if self.pace.is_some_and(|at| at <= cx.now) {
            self.pump_video(cx);
        }
        Ok(())
    }

    /// Sends the video that is due; `true` if a live frame was among it.
    pub(super) fn pump_video(&mut self, cx: &mut Context<'_>) -> bool {
        let undecided = |media: &Media| media.viewing.on().is_none() || media.viewing.is_stranded();
        let load = self.media.as_ref().is_some_and(undecided).then(|| self.load(cx));
        let (Some(media), Some(stream)) = (&mut self.media, &mut self.parts.video) else {
            return false;
        };
        let mut any_live = false;
        if let Some(load) = load {
            if media.viewing.on().is_none() {
                media.viewing.begin(cx.video, &load);
            } else {
                media.viewing.judge(cx.video, &load, cx.now);
            }
        }
        self.pace = loop {
            if !cx.outbox.ready(&media.path) {
                if let Some(on) = media.viewing.on() {
                    media.cursor.hold(cx.video.history(on));
                }
                break Some(cx.now + LINK_RETRY);
            }
            if let Some(switch) = media.viewing.switch(cx.video, cx.now) {
                media.cursor.jump(&switch.key, cx.now);
                cx.metrics.switched(switch.up, switch.reason.label());
            }
            let Some(on) = media.viewing.on() else { break None };
            match media.cursor.next(cx.video.history(on), cx.now) {
                Step::Wait(until) => {
                    let switch = media.viewing.due(cx.now);
                    break until.into_iter().chain(switch).min();
                }
                Step::Send { unit, ticks, live } => {
                    if stream.send(&unit, ticks, cx.now, &mut media.way(cx.outbox)).is_ok() {
                        cx.metrics.frames.inc();
                        unit.was_sent();
                        let payloads = &unit.payloads;
                        self.link.sent(payloads.bytes(), payloads.count(), cx.now);
                    }
                    any_live |= live;
                }
            }
        };
        cx.metrics.dropped("viewer-skipped", u64::from(media.cursor.take_skips()));
        self.report(cx);
        any_live
    }

    /// Sends an audio packet, which always is live: a joiner hears what is said now.
    pub(super) fn send_audio(&mut self, unit: &Unit, cx: &mut Context<'_>) -> bool {
        let (Some(media), Some(stream)) = (&mut self.media, &mut self.parts.audio) else {
            return false;
        };
        let sent = stream.send(unit, unit.ticks, cx.now, &mut media.way(cx.outbox)).is_ok();
        if sent {
            cx.metrics.frames.inc();
            unit.was_sent();
        }
        self.report(cx);
        sent
    }

    /// Its viewer may watch until then.
    pub(super) fn end_at(&mut self, until: Instant) {
        self.parts.until = Some(until);
    }

    /// The viewer asks for a rendition, or leaves the choice to us again.
    pub(super) fn pin(&mut self, rendition: Option<String>, cx: &mut Context<'_>) {
        match &mut self.media {
            Some(media) => media.viewing.pin(rendition, cx.now),
            None => self.parts.rendition = rendition,
        }
        self.judge(cx);
    }

    /// Chooses the rendition anew.
    pub(super) fn judge(&mut self, cx: &mut Context<'_>) {
        let load = self.load(cx);
        let (Some(media), Some(_)) = (&mut self.media, &self.parts.video) else { return };
        if media.viewing.judge(cx.video, &load, cx.now) {
            self.pump_video(cx);
        }
    }

    /// Says goodbye: BYE to the player, close_notify to its transport.
    pub(super) fn close(&mut self, outbox: &mut Outbox) {
        let ssrcs: Vec<u32> = self.streams().map(Stream::ssrc).collect();
        let (session, loss) = (self.parts.route.serial, self.link.loss());
        tracing::debug!(broadcast = %self.parts.broadcast, session, loss, "leaving the viewer");
        if let Some(media) = &mut self.media {
            let mut goodbye = Vec::new();
            rtcp::write_empty_report(&mut goodbye, ssrcs.first().copied().unwrap_or(0));
            rtcp::write_bye(&mut goodbye, &ssrcs);
            let sealer = &mut media.sealer;
            // Nobody is left to tell if that fails; the viewer then notices the silence.
            let _ = outbox.packet(media.path, |out| sealer.seal_rtcp(&goodbye, out));
            outbox.flush();
        }
        if let Some(path) = self.parts.ice.selected() {
            self.parts.dtls.close(&mut |packet| outbox.datagram(path, packet));
        }
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.parts.video.iter().chain(&self.parts.audio)
    }

    fn handle_check(&mut self, path: Path, datagram: &[u8], cx: &mut Context<'_>) -> Moved {
        match self.parts.ice.handle(path, datagram, cx.crypto) {
            Ok(answered) => {
                self.heard = cx.now;
                if let (Some(media), Some(selected)) = (&mut self.media, self.parts.ice.selected())
                {
                    media.path = selected;
                }
                let passed = answered.passed.then_some(path);
                let ice::Answered { reply, evicted, renewed, .. } = answered;
                Moved { passed, evicted, renewed, reply: Some(reply) }
            }
            Err(error) => {
                cx.metrics.bad(match error {
                    ice::Error::Malformed => "stun-malformed",
                    ice::Error::Unexpected => "stun-unexpected",
                    ice::Error::Forged => "stun-forged",
                });
                Moved::default()
            }
        }
    }

    fn handle_dtls(
        &mut self,
        path: Path,
        datagram: &[u8],
        cx: &mut Context<'_>,
    ) -> Result<(), Ended> {
        // The first answer to a flight tells the round trip before any report can. One that was
        // lost and sent again makes it seem longer; the shortest counts.
        if self.media.is_none()
            && let Some(sent) = self.flight
        {
            let rtt = cx.now.saturating_duration_since(sent);
            self.rtt = Some(self.rtt.map_or(rtt, |shortest| shortest.min(rtt)));
        }
        let outbox = &mut *cx.outbox;
        let mut sent = false;
        let mut send = |packet: &[u8]| {
            sent = true;
            outbox.datagram(path, packet);
        };
        let progress = self.parts.dtls.handle(cx.now, datagram, &mut send);
        self.flight = sent.then_some(cx.now);
        self.progress(progress, path, cx)
    }

    fn progress(
        &mut self,
        progress: Result<dtls::Progress, dtls::Error>,
        path: Path,
        cx: &mut Context<'_>,
    ) -> Result<(), Ended> {
        let progress = match progress {
            Ok(progress) => progress,
            Err(dtls::Error::Refused) => {
                cx.metrics.bad("dtls-refused");
                return Ok(());
            }
            Err(dtls::Error::TooMany) => {
                cx.metrics.bad("dtls-flood");
                return Ok(());
            }
            Err(dtls::Error::Fingerprint) => return Err(Ended::Fingerprint),
            Err(dtls::Error::Budget | dtls::Error::Failed) => return Err(Ended::HandshakeFailed),
        };
        if progress.closed {
            return Err(Ended::Closed);
        }
        // Once: other counters under the same keys would seal two packets with one nonce.
        if let Some(keys) = progress.keys.filter(|_| self.media.is_none()) {
            self.parts.permit.established();
            self.heard = cx.now;
            let path = self.parts.ice.selected().unwrap_or(path);
            cx.metrics.established(path.connection().is_some());
            let speed = pace::speed(&self.link, None, is_local(path.peer.ip()), cx.now);
            let cursor = Cursor::new(speed);
            if let Some(rtt) = self.rtt {
                self.link.round_trip(rtt);
                let streams = self.parts.video.iter_mut().chain(&mut self.parts.audio);
                streams.for_each(|stream| stream.set_round_trip(rtt));
            }
            let dtls::Keys { sealer, opener } = keys;
            let viewing = Viewing::new(self.parts.rendition.take(), cx.now);
            let _attendance = self.parts.established.attend();
            self.media = Some(Media { sealer, opener, cursor, viewing, path, _attendance });
            tracing::debug!(
                broadcast = %self.parts.broadcast,
                session = self.parts.route.serial,
                after_ms = cx.now.duration_since(self.created).as_millis() as u64,
                "session established"
            );
            self.pump_video(cx);
        }
        Ok(())
    }

    /// What a choice of rendition is made from.
    fn load(&self, cx: &Context<'_>) -> Load {
        Load {
            audio_bps: cx.audio.bitrate().filter(|_| self.parts.audio.is_some()).unwrap_or(0),
            estimate: self.link.estimate(cx.now),
            loss: self.link.loss(),
        }
    }

    /// Sends the sender reports that are due, in one compound with the name that ties them.
    fn report(&mut self, cx: &mut Context<'_>) {
        let (now, t0) = (cx.now, self.parts.t0);
        // Looked at with every frame, and seldom true.
        if !self.streams().any(|stream| stream.is_report_due(now)) {
            return;
        }
        let Some(media) = &mut self.media else { return };
        let mut compound = Vec::new();
        let mut ssrcs = Vec::new();
        let watched = media.viewing.on().and_then(|on| cx.video.history(on).live_ticks(now));
        let video = (&mut self.parts.video, watched, 90_000, t0);
        let audio_t0 = t0 + SOUND_LAG;
        let audio = (&mut self.parts.audio, cx.audio.live_ticks(now), 48_000, audio_t0);
        for (stream, live, clock_hz, t0) in [video, audio] {
            if let (Some(stream), Some(live)) = (stream, live)
                && stream.report(live, clock_hz, t0, now, &mut compound)
            {
                ssrcs.push(stream.ssrc());
            }
        }
        if ssrcs.is_empty() {
            return;
        }
        rtcp::write_cname(&mut compound, &ssrcs, &self.parts.cname);
        let sealer = &mut media.sealer;
        let sealed = cx.outbox.packet(media.path, |out| sealer.seal_rtcp(&compound, out));
        if sealed.is_err() {
            cx.metrics.send_error("seal");
        }
        cx.outbox.flush();
    }
}

impl Media {
    /// How packets get to the viewer.
    fn way<'a>(&'a self, outbox: &'a mut Outbox) -> Way<'a> {
        Way { sealer: &self.sealer, path: self.path, outbox }
    }
}

/// Whether this address is on our own network.
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
