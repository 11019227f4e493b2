//! What this edge asks its origin about comments, and waits to be answered: sent again when the answer
//! is late or the origin was away, and given up out loud. By the same way origins are asked for the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::{Attempt, Refusal, Request, Response};
use lectern_relay_proto::net::{OriginLink, RequestSender};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{ASK_EACH, Clock};

/// Attempts that wait for an answer, over all viewers; about 1 kB each, but for forms of several kB, of which
/// there is none more when all that waits has so many bytes.
const WAITING_MAX: usize = 8_192;
const LARGE_BYTES: usize = 4 << 10;
const WAITING_BYTES_MAX: usize = 8 << 20;
/// An attempt is sent again after so long without an answer.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// An attempt is given up after so long. Whether it is stored is not known then; the viewer's player
/// sends it again.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);
/// How often to look whether it is time for either.
const TICK: Duration = Duration::from_millis(500);
/// What a viewer is told when an attempt is given up.
const RETRY_AFTER_MS: u32 = 3_000;

/// The way to the origin.
pub(super) struct Uplink {
    sender: RequestSender,
    clock: Clock,
    waiting: Mutex<HashMap<Attempt, Waiting>>,
}

struct Waiting {
    request: bytes::Bytes,
    since: Instant,
    sent: Instant,
    /// Whoever sent it last; of two that send the same, one has gone.
    answer: mpsc::Sender<Response>,
}

impl Uplink {
    pub(super) fn new(link: &OriginLink, clock: Clock) -> Arc<Self> {
        Arc::new(Self { sender: link.sender(), clock, waiting: Mutex::default() })
    }

    /// Whether an origin has ever listened, now and once one does.
    pub(super) fn answered(&self) -> watch::Receiver<bool> {
        self.sender.answered()
    }

    /// Sends `request`, whose answer goes to `answer`, which has room for as many as its owner sends.
    /// Refuses if too many wait.
    pub(super) fn ask(
        &self,
        request: &Request,
        answer: mpsc::Sender<Response>,
    ) -> Result<(), Refusal> {
        let bytes: bytes::Bytes = serde_json::to_vec(request).expect("plain").into();
        if let Some(attempt) = request.attempt() {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= WAITING_MAX && !waiting.contains_key(attempt) {
                return Err(Refusal::Busy);
            }
            let bytes_waiting = || waiting.values().map(|entry| entry.request.len()).sum::<usize>();
            if bytes.len() > LARGE_BYTES && bytes_waiting() + bytes.len() > WAITING_BYTES_MAX {
                return Err(Refusal::Busy);
            }
            let now = Instant::now();
            // Sent again, it has waited since it was sent first.
            let since = waiting.get(attempt).map_or(now, |before| before.since);
            let entry = Waiting { request: bytes.clone(), since, sent: now, answer };
            waiting.insert(attempt.clone(), entry);
        }
        self.send(request, bytes);
        Ok(())
    }

    /// Says what no viewer waits to be answered. The caller says it again if that matters.
    pub(super) fn say(&self, request: &Request) {
        self.send(request, serde_json::to_vec(request).expect("plain").into());
    }

    fn send(&self, request: &Request, bytes: bytes::Bytes) {
        match request.broadcast() {
            Some(about) => self.sender.send(about, bytes),
            None => self.sender.send_to_all(&bytes),
        };
    }

    /// Hands answers to those who wait, and history to `history`, until `cancel`.
    pub(super) async fn run(
        &self,
        mut link: OriginLink,
        cancel: CancellationToken,
        history: impl Fn(Response),
    ) {
        let [mut tick, mut ask] = [TICK, ASK_EACH].map(|period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            interval
        });
        loop {
            let record = tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => {
                    self.tick(Instant::now());
                    continue;
                }
                _ = ask.tick() => {
                    self.say(&self.clock.ask());
                    continue;
                }
                record = link.next() => record,
            };
            let Some(record) = record else { return };
            match serde_json::from_slice::<Response>(&record) {
                Ok(response @ Response::History { .. }) => history(response),
                Ok(Response::Clock { round, now_us }) => {
                    self.clock.answered(round, UtcTime::from_micros(now_us));
                }
                Ok(response) => self.hand_over(response),
                Err(error) => tracing::warn!(%error, "an answer of the origin's cannot be read"),
            }
        }
    }

    fn hand_over(&self, response: Response) {
        let Some(attempt) = response.attempt() else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = waiting.remove(attempt) {
            // Fails once the viewer is gone, whose player asks again.
            let _ = entry.answer.try_send(response);
        }
    }

    fn tick(&self, now: Instant) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|attempt, entry| {
            if entry.answer.is_closed() {
                return false;
            }
            if now.duration_since(entry.since) >= GIVE_UP_AFTER {
                let _ = entry.answer.try_send(Response::Refused {
                    attempt: attempt.clone(),
                    reason: Refusal::Unavailable,
                    retry_after_ms: Some(RETRY_AFTER_MS),
                });
                return false;
            }
            if now.duration_since(entry.sent) >= AGAIN_AFTER
                && self.sender.send(&attempt.broadcast, entry.request.clone())
            {
                entry.sent = now;
            }
            true
        });
    }
}
