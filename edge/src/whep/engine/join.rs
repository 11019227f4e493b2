//! How a viewer gets in: waiting for media and for a turn, within what this edge may carry.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lectern_relay_proto::BroadcastId;
use rand::Rng as _;
use tokio::time;

use super::{Engine, Shared, new_etag};
use crate::whep::answer::{self, Local};
use crate::whep::broadcast::{Broadcast, Described};
use crate::whep::dtls::Connection;
use crate::whep::ice::{Agent, Credentials};
use crate::whep::mailbox::Command;
use crate::whep::registry::{Entry, Route};
use crate::whep::sdp::{self, Kind};
use crate::whep::session::{Parts, Session};
use crate::whep::stream::{Playout, Rtx, Setup, Stream};
use crate::whep::{Answer, Joiner, OfferError, SessionId};

impl Engine {
    /// Answers the offer of a viewer. The session waits ten seconds for its viewer.
    ///
    /// Parsing happens here, on the caller's thread and not on those that send media.
    pub fn open(&self, id: &BroadcastId, joiner: &Joiner<'_>) -> Result<Answer, OfferError> {
        let shared = self.shared();
        let turn = shared.described(id);
        let turn = turn.and_then(|_| shared.admission.turn(joiner.client, Instant::now()));
        shared.settle(turn.and_then(|()| shared.open(id, joiner)))
    }

    /// The same for a viewer who waits up to `wait` for the broadcast to have media, and for a turn
    /// to join. A broadcast that is not known is not waited for: anybody can think of a name.
    pub async fn open_within(
        &self,
        id: &BroadcastId,
        joiner: &Joiner<'_>,
        wait: Duration,
    ) -> Result<Answer, OfferError> {
        let shared = self.shared();
        let turn = shared.wait_for_turn(id, joiner.offer.len(), joiner.client, wait).await;
        shared.settle(turn.and_then(|()| shared.open(id, joiner)))
    }
}

impl Shared {
    /// Waits for `id` to be known and to have media, and then for a turn to join.
    async fn wait_for_turn(
        &self,
        id: &BroadcastId,
        offer_bytes: usize,
        client: IpAddr,
        wait: Duration,
    ) -> Result<(), OfferError> {
        let until = time::Instant::now() + wait;
        let mut news = self.lobby.listen();
        let mut place = None;
        while let Err(error) = self.described(id) {
            if !matches!(error, OfferError::NoMedia | OfferError::Unheard) || wait.is_zero() {
                return Err(error);
            }
            if place.is_none() {
                place = Some(self.lobby.place(offer_bytes).ok_or_else(|| error.clone())?);
            }
            if !news.wait(until).await {
                return self.described(id).and(Err(error));
            }
        }
        let place = match place.or_else(|| self.lobby.place(offer_bytes)) {
            Some(place) if !wait.is_zero() => place,
            _ => return self.admission.turn(client, time::Instant::now().into_std()),
        };
        let (now, until) = (time::Instant::now().into_std(), until.into_std());
        let mut at = self.admission.client_turn(client, now, until.max(now))?;
        if at > now {
            time::sleep_until(at.into()).await;
        }
        let asked = at;
        at = self.admission.edge_turn(asked, until.max(asked))?;
        if at > asked {
            time::sleep_until(at.into()).await;
        }
        drop(place);
        Ok(())
    }

    /// Counts how an offer ended, and says what an operator would want to know.
    fn settle(&self, opened: Result<Answer, OfferError>) -> Result<Answer, OfferError> {
        let Err(error) = &opened else {
            self.metrics.opened.inc();
            return opened;
        };
        self.metrics.refused(error.reason());
        use OfferError::{Busy, ClientBusy, Egress, Full};
        if matches!(error, Full | Egress | Busy | ClientBusy)
            && let Some(others) = self.full.pass(Instant::now())
        {
            tracing::warn!(%error, others, "WebRTC viewers are refused");
        }
        opened
    }

    fn open(&self, id: &BroadcastId, joiner: &Joiner<'_>) -> Result<Answer, OfferError> {
        let opened = catch_unwind(AssertUnwindSafe(|| self.try_open(id, joiner)));
        opened.unwrap_or(Err(OfferError::Fault))
    }

    /// A known broadcast, and what can be sent of it to one more viewer.
    fn described(&self, id: &BroadcastId) -> Result<(Arc<Broadcast>, Described), OfferError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(OfferError::Draining);
        }
        let broadcast = self.broadcasts().get(id).cloned();
        let broadcast = broadcast.filter(|broadcast| !broadcast.is_idle());
        let unknown = || match self.informed.load(Ordering::Relaxed) {
            true => OfferError::Unknown,
            false => OfferError::Unheard,
        };
        let broadcast = broadcast.ok_or_else(unknown)?;
        let described = broadcast.described().ok_or(OfferError::NoMedia)?;
        Ok((broadcast, described))
    }

    fn try_open(&self, id: &BroadcastId, joiner: &Joiner<'_>) -> Result<Answer, OfferError> {
        let Joiner { offer, client, rendition, until } = *joiner;
        let (broadcast, described) = self.described(id)?;
        if described.reordered {
            return Err(OfferError::BFrames);
        }
        if described.foreign_video {
            return Err(OfferError::Codec);
        }
        if rendition.is_some_and(|asked| !broadcast.has_rendition(asked)) {
            return Err(OfferError::Rendition);
        }
        let offer = sdp::negotiate(offer, &described.wanted)?;
        let permit = self.admission.permit(client)?;
        let serial = self.next();
        let route = Route { worker: permit.worker(), room: broadcast.key, serial };
        let credentials = Credentials::generate();
        let [video_ssrc, audio_ssrc, rtx_ssrc] = ssrcs();
        let stream = |kind, ssrc| {
            let choice = offer.choice(kind)?;
            let (payload_type, capture_id) = (choice.payload_type, choice.capture_id);
            let rtx = choice.rtx.map(|payload_type| Rtx { ssrc: rtx_ssrc, payload_type });
            let playout = choice.playout_id.zip(self.config.playout_delay);
            let playout = playout.map(|(id, delay)| Playout { id, delay });
            let setup = Setup { ssrc, payload_type, capture_id, rtx, playout };
            Some(Stream::new(setup, rand::rng().random()))
        };
        let cname = format!("{:016x}", rand::rng().random::<u64>());
        let sdp = answer::render(
            &offer,
            &Local {
                session: serial,
                ufrag: &credentials.ufrag,
                password: &credentials.password,
                fingerprint: &self.fingerprint,
                candidates: &self.candidates(),
                with_tcp: self.with_tcp,
                cname: &cname,
                ssrc: [(Kind::Video, video_ssrc), (Kind::Audio, audio_ssrc)],
                rtx_ssrc,
                playout_delay: self.config.playout_delay.is_some(),
            },
        );
        let video_line = offer.line(Kind::Video);
        let (video, audio) = (stream(Kind::Video, video_ssrc), stream(Kind::Audio, audio_ssrc));
        let session_id = SessionId::generate();
        let etag = new_etag();
        let ufrag = credentials.ufrag.clone();
        tracing::debug!(broadcast = %id, session = serial, "a viewer joins");
        let parts = Parts {
            broadcast: id.clone(),
            route,
            id: session_id.clone(),
            ice: Agent::new(credentials, offer.ufrag.clone()),
            dtls: Connection::new(self.identity.clone(), offer.fingerprint),
            video,
            audio,
            rendition: rendition.map(str::to_owned),
            cname,
            t0: described.t0,
            permit,
            until,
            established: broadcast.established.clone(),
        };
        let session = Box::new(Session::new(parts, Instant::now()));
        self.enter(&broadcast, route.worker)?;
        let entry = Entry {
            route,
            broadcast: id.as_str().into(),
            etag: etag.clone(),
            ufrag,
            next_ufrag: None,
            peer_ufrag: offer.ufrag,
            video: video_line,
        };
        self.registry.insert(session_id.clone(), entry);
        let command = Command::Open(session, broadcast.clone());
        if self.mailboxes[route.worker].command(command).is_err() {
            broadcast.leave(route.worker);
            self.registry.withdraw(&session_id);
            return Err(OfferError::Busy);
        }
        Ok(Answer { session: session_id, etag, sdp, t0: described.t0 })
    }

    /// Enters a viewer into a broadcast if that is still known, and its stream within the egress of
    /// this edge. Those who come at the same time come one after the other here.
    fn enter(&self, broadcast: &Arc<Broadcast>, worker: usize) -> Result<(), OfferError> {
        let broadcasts = self.broadcasts();
        // One that went while the offer was read has no feed, nor would it get the next one.
        let known = broadcasts.get(&broadcast.id);
        if !known.is_some_and(|known| Arc::ptr_eq(known, broadcast)) {
            return Err(OfferError::Unknown);
        }
        if let Some(max) = self.admission.limits().egress_bps_max {
            let one_more = broadcast.egress_bps().per_viewer;
            let all = broadcasts.values().map(|broadcast| broadcast.egress_bps().in_all);
            if all.fold(one_more, u64::saturating_add) > max {
                return Err(OfferError::Egress);
            }
        }
        broadcast.enter(worker);
        Ok(())
    }
}

/// Three different SSRCs; zero stands for nobody in some players.
fn ssrcs() -> [u32; 3] {
    let first = rand::rng().random_range(1..u32::MAX - 1);
    [first, first + 1, first + 2]
}
