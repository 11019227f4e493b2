//! Reads what one edge asks: what changes nothing is answered here, in the way of that edge's later
//! requests and not of other edges'; who registers goes to the registrar, and the rest to the desk.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use lectern_relay_proto::about::Given;
use lectern_relay_proto::comment::{Attempt, Attendee, NotRegistered, Request, Response, Settings};
use lectern_relay_proto::net::EdgeLink;
use lectern_relay_proto::{BroadcastId, UtcTime};
use tokio::sync::{Semaphore, mpsc};

use super::Metrics;
use super::desk::{Answers, HISTORY_MAX, answer};
use super::store::{self, Store};
use crate::registrations::{Application, Applications};
use crate::seldom::Seldom;
use crate::wall;

/// A request and whom to answer.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) answers: Answers,
    pub(super) at: Instant,
}

/// What the desk hears.
pub(super) enum Heard {
    /// To be answered.
    Asked(Asked),
    /// Of the edge's viewers.
    Said {
        /// Which.
        edge: Arc<str>,
        /// What.
        request: Request,
    },
    /// An edge is not there any more.
    Gone {
        /// Which.
        edge: Arc<str>,
    },
}

pub(super) struct Listener {
    pub(super) store: Store,
    pub(super) reads: Arc<Semaphore>,
    pub(super) desk: mpsc::Sender<Heard>,
    /// Of which broadcasts a list is kept of who attends.
    pub(super) attendance: Arc<RwLock<HashSet<BroadcastId>>>,
    pub(super) applications: Option<Applications>,
    pub(super) metrics: Metrics,
}

impl Listener {
    pub(super) async fn listen(self: Arc<Self>, mut edge: EdgeLink) {
        self.metrics.edges.inc();
        let name: Arc<str> = edge.name.as_str().into();
        let answers = Arc::new(Mutex::new(edge.responses));
        let said = Seldom::new();
        while let Some(record) = edge.requests.recv().await {
            let request = match serde_json::from_slice(&record) {
                Ok(request) => request,
                Err(error) => {
                    self.metrics.malformed.inc();
                    // All are counted. One in a while is enough to look for what is wrong with the edge.
                    if said.is_due(Instant::now()) {
                        tracing::warn!(edge = edge.name, %error, "a request cannot be read");
                    }
                    continue;
                }
            };
            let heard = match request {
                Request::History { broadcast, after } => {
                    self.history(&answers, broadcast, after).await;
                    continue;
                }
                Request::Present { broadcast, present } => {
                    self.attend(&broadcast, &present).await;
                    continue;
                }
                Request::Register { attempt, answers: given } => {
                    self.register(&answers, attempt, given);
                    continue;
                }
                Request::Clock { round } => {
                    let now_us = wall::now().as_micros();
                    answer(&answers, &Response::Clock { round, now_us });
                    continue;
                }
                Request::Reactions { .. } | Request::Viewers { .. } => {
                    Heard::Said { edge: name.clone(), request }
                }
                request => {
                    Heard::Asked(Asked { request, answers: answers.clone(), at: Instant::now() })
                }
            };
            if self.desk.send(heard).await.is_err() {
                break;
            }
        }
        self.metrics.edges.dec();
        let _ = self.desk.send(Heard::Gone { edge: name }).await;
    }

    fn register(&self, answers: &Answers, attempt: Attempt, given: Given) {
        let Some(applications) = &self.applications else {
            let why = NotRegistered::Unavailable;
            answer(answers, &Response::NotRegistered { attempt, why });
            return;
        };
        let answers = answers.clone();
        let reply = Box::new(move |response| answer(&answers, &response));
        applications.send(Application { attempt, answers: given, reply });
    }

    async fn history(&self, answers: &Answers, broadcast: BroadcastId, after: u64) {
        // The edge asks again after a while if there is no answer.
        match self.read_history(&broadcast, after).await {
            Ok(history) => answer(answers, &history),
            Err(error) => tracing::error!(%broadcast, %error, "comments cannot be read"),
        }
    }

    async fn read_history(
        &self,
        broadcast: &BroadcastId,
        after: u64,
    ) -> Result<Response, store::Error> {
        let _permit = self.reads.acquire().await;
        let comments = self.store.changes(broadcast, after, HISTORY_MAX).await?;
        let newest = self.store.newest(broadcast).await?;
        Ok(Response::History {
            broadcast: broadcast.clone(),
            after,
            newest: comments.last().map_or(newest.seq, |comment| comment.seq),
            complete: comments.len() < HISTORY_MAX as usize,
            comments,
            settings: Settings { attendance: self.is_attended(broadcast), ..newest.settings },
        })
    }

    fn is_attended(&self, broadcast: &BroadcastId) -> bool {
        self.attendance.read().unwrap_or_else(PoisonError::into_inner).contains(broadcast)
    }

    async fn attend(&self, broadcast: &BroadcastId, present: &[Attendee]) {
        if !self.is_attended(broadcast) {
            return;
        }
        let present = &present[..present.len().min(Attendee::TOLD_MAX)];
        let _permit = self.reads.acquire().await;
        match self.store.attend(broadcast, present, UtcTime::from(SystemTime::now())).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(%broadcast, "the list of who attends is full"),
            // They are told again in half a minute.
            Err(error) => tracing::error!(%broadcast, %error, "who attends cannot be noted"),
        }
    }
}
