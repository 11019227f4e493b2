//! Webhooks: servers of others are told what happens here, signed as Standard Webhooks has it, and told
//! again until they have heard. `docs/webhooks.md` says what they are told.
//!
//! [`news`] knows what has happened, [`address`] whom this origin may be sent to, [`message`] how it is said,
//! [`schedule`] when it is said again. What is to be told is in the database before anybody is told it, and stays
//! there when this process ends: a server hears each thing once or more often, under one name.

mod address;
mod message;
mod news;
mod schedule;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lectern_relay_proto::about::WebUrl;
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::{BroadcastId, UtcTime};
use prometheus::{IntCounter, IntCounterVec, Registry};
use reqwest::StatusCode;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

pub use self::address::{Networks, NetworksError, Unreachable};
pub(crate) use self::message::new_secret;
use self::news::News;
use crate::control::Control;
use crate::control::records::{Attempt, WebhookEvent};
use crate::control::store::{self, Changed, Due, Happened};
use crate::seldom::warn_seldom;

/// What happened and is not in the database yet, while that is away.
const UNWRITTEN_MAX: usize = 1_024;
/// When to try the database again.
const DATABASE_AGAIN: Duration = Duration::from_secs(5);
/// Whoever has claimed something and has said nothing for so long is gone. More than an attempt takes.
const CLAIM: Duration = Duration::from_secs(60);
/// How often to look for what another origin has left behind.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// How much longer than it has to an attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// Tells servers of others what happens here.
pub struct Webhooks {
    control: Arc<Control>,
    networks: Networks,
    /// There is something new to tell, or somebody new to tell it to.
    news: Notify,
    metrics: Metrics,
}

/// What an operator can count of it.
pub struct Metrics {
    attempts: IntCounterVec,
    left_out: IntCounter,
}

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// If `registry` has metrics of these names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        let attempts = maker.counters(
            "lectern_origin_webhook_attempts_total",
            "Attempts to tell a webhook something, by what came of them.",
            &["outcome"],
        )?;
        for outcome in ["heard", "failed", "given-up", "gone"] {
            attempts.with_label_values(&[outcome]);
        }
        let left_out = maker.counter(
            "lectern_origin_webhook_left_out_total",
            "What webhooks are never told, since they or the database were away for too long.",
        )?;
        Ok(Self { attempts, left_out })
    }
}

/// What came of an attempt.
struct Outcome {
    status: Option<u16>,
    error: Option<String>,
    /// When the server wants to be asked again.
    retry_after: Option<Duration>,
}

impl Webhooks {
    /// Tells those who are public, and those in `networks`.
    pub fn new(control: Arc<Control>, networks: Networks, metrics: Metrics) -> Self {
        Self { control, networks, news: Notify::new(), metrics }
    }

    /// Whether one may be told something at this address, as far as the address says itself.
    ///
    /// # Errors
    /// If it names what is not public, or is not HTTPS where it must be.
    pub fn check(&self, url: &WebUrl) -> Result<(), Unreachable> {
        self.networks.check(url)
    }

    /// Looks at what is to be told: somebody may want to hear it now who did not before.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Tells one webhook that nothing has happened.
    pub async fn test(&self, webhook: &str) -> Changed {
        let at = now();
        let body = message::test(at);
        let happened = Happened { event: WebhookEvent::Test, broadcast: None, body, at };
        let told = self.control.store().tell(webhook, &happened).await;
        self.wake();
        told
    }

    /// Tells what happens, until `cancel`. What is not told then is told after the next start.
    pub async fn run(&self, cancel: CancellationToken) {
        let (sender, receiver) = mpsc::channel(UNWRITTEN_MAX);
        let all = async {
            tokio::join!(self.watch(sender), self.write(receiver), self.tell());
        };
        cancel.run_until_cancelled(all).await;
    }

    /// Sees what happens.
    async fn watch(&self, unwritten: mpsc::Sender<Happened>) {
        let broadcasts = self.control.broadcasts();
        let mut signals = broadcasts.signals();
        let mut news: HashMap<BroadcastId, News> = HashMap::new();
        let all = || self.control.all().into_iter().map(|listed| listed.broadcast.id.clone());
        for id in all() {
            let known = News::of(broadcasts, &id);
            news.insert(id, known);
        }
        loop {
            let changed: HashSet<_> = match signals.recv().await {
                Ok(id) => HashSet::from([id]),
                // Any may have.
                Err(RecvError::Lagged(_)) => all().chain(news.keys().cloned()).collect(),
                Err(RecvError::Closed) => return,
            };
            for id in changed {
                let known = news.entry(id.clone()).or_default();
                let listed = self.control.get(&id);
                let about = listed.as_ref().map(|listed| &listed.broadcast.about);
                for (event, data) in known.changed(News::of(broadcasts, &id)) {
                    let at = now();
                    let body = message::body(event, at, &id, about, &data);
                    let broadcast = Some(id.as_str().to_owned());
                    let happened = Happened { event, broadcast, body, at };
                    if unwritten.try_send(happened).is_err() {
                        tracing::warn!(broadcast = %id, event = event.as_str(), "too much waits for the database: webhooks are not told");
                        self.metrics.left_out.inc();
                    }
                }
                if listed.is_none() && broadcasts.status(&id).is_none() {
                    news.remove(&id);
                }
            }
        }
    }

    /// Writes down what happened.
    async fn write(&self, mut unwritten: mpsc::Receiver<Happened>) {
        let mut last = UtcTime::default();
        while let Some(mut happened) = unwritten.recv().await {
            // What happened in the same millisecond is told in its order all the same.
            happened.at = happened.at.max(last + Duration::from_millis(1));
            last = happened.at;
            let left_out = loop {
                match self.control.store().happened(&happened).await {
                    Ok(left_out) => break left_out,
                    Err(error) => {
                        warn_seldom!(%error, "what webhooks are to be told cannot be written down; trying again");
                        tokio::time::sleep(DATABASE_AGAIN).await;
                    }
                }
            };
            if left_out > 0 {
                tracing::warn!(
                    webhooks = left_out,
                    "webhooks that do not hear have too much to hear already"
                );
                self.metrics.left_out.inc_by(left_out);
            }
            self.wake();
        }
    }

    /// Tells it. To each webhook one thing after another: one that is slow keeps nobody else waiting.
    async fn tell(&self) {
        let mut telling = FuturesUnordered::new();
        let mut busy = HashSet::new();
        loop {
            let wake_at = match self.claimed(&busy).await {
                Ok((claimed, next)) => {
                    for due in claimed {
                        busy.insert(due.webhook.id.clone());
                        telling.push(self.attempt(due));
                    }
                    next.map_or(LOOK_AGAIN, |at| at.saturating_since(now()).min(LOOK_AGAIN))
                }
                Err(error) => {
                    warn_seldom!(%error, "what webhooks are to be told cannot be read; trying again");
                    DATABASE_AGAIN
                }
            };
            tokio::select! {
                () = self.news.notified() => {}
                () = tokio::time::sleep(wake_at) => {}
                Some(webhook) = telling.next() => {
                    busy.remove(&webhook);
                }
            }
        }
    }

    /// What is due to those who are not busy, claimed for this origin; and when the next of it is due.
    async fn claimed(
        &self,
        busy: &HashSet<String>,
    ) -> Result<(Vec<Due>, Option<UtcTime>), store::Error> {
        let store = self.control.store();
        let mut claimed = Vec::new();
        let idle = store.due().await?.into_iter().filter(|due| !busy.contains(&due.webhook.id));
        for due in idle {
            let Some(at) = due.delivery.next_at.map(UtcTime::from) else { continue };
            if at > now() {
                return Ok((claimed, Some(at)));
            }
            if store.claim(&due.delivery, now() + CLAIM).await? {
                claimed.push(due);
            }
        }
        Ok((claimed, None))
    }

    /// Tells one webhook one thing, and notes what came of it; returns which webhook that was.
    async fn attempt(&self, due: Due) -> String {
        let outcome = tokio::time::timeout(ATTEMPT_MAX, self.post(&due)).await;
        let outcome = outcome.unwrap_or_else(|_| Outcome::failed("it did not answer in time"));
        let at = now();
        let attempts = due.delivery.attempts.saturating_add(1);
        let gone = outcome.status == Some(StatusCode::GONE.as_u16());
        let next = match &outcome.error {
            Some(_) if !gone => schedule::next(attempts, outcome.retry_after, rand::random()),
            _ => None,
        };
        let word = match (&outcome.error, next) {
            (None, _) => "heard",
            (Some(_), _) if gone => "gone",
            (Some(_), Some(_)) => "failed",
            (Some(_), None) => "given-up",
        };
        self.metrics.attempts.with_label_values(&[word]).inc();
        if let Some(why) = &outcome.error {
            let (webhook, event) = (&due.webhook.id, due.delivery.event.as_str());
            tracing::info!(%webhook, event, attempts, outcome = word, "a webhook did not hear: {why}");
        }
        let Outcome { status, error, .. } = outcome;
        let attempt = Attempt { at: at.into(), status, error, attempts };
        let next = next.map(|after| at + after);
        if let Err(error) = self.control.store().attempted(&due, &attempt, next, gone).await {
            // It is told again once nobody is taken to be telling it.
            tracing::warn!(%error, "what came of telling a webhook is not noted");
        }
        due.webhook.id
    }

    async fn post(&self, due: &Due) -> Outcome {
        let client = match self.networks.client(&due.webhook.url).await {
            Ok(client) => client,
            Err(error) => return Outcome::failed(error),
        };
        let id = &due.delivery.id;
        let seconds = now().as_millis() / 1_000;
        let Some(signature) = message::sign(&due.secret, id, seconds, &due.body) else {
            return Outcome::failed("its secret is damaged: remove it, and add it again");
        };
        let request = client
            .post(due.webhook.url.as_str())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature)
            .body(due.body.clone());
        match request.send().await {
            Ok(response) => Outcome::answered(&response),
            Err(error) => Outcome::failed(message::failure(&error)),
        }
    }
}

impl Outcome {
    fn failed(why: impl ToString) -> Self {
        Self { status: None, error: Some(why.to_string()), retry_after: None }
    }

    fn answered(response: &reqwest::Response) -> Self {
        let status = response.status();
        let error = (!status.is_success()).then(|| match status {
            StatusCode::GONE => {
                "it wants to hear nothing more (410), and was turned off".to_owned()
            }
            status if status.is_redirection() => {
                format!(
                    "it answered {status}, and where that leads is not followed: enter that address"
                )
            }
            status => format!("it answered {status}"),
        });
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let status = Some(status.as_u16());
        Self { status, error, retry_after: retry_after.map(Duration::from_secs) }
    }
}

fn now() -> UtcTime {
    SystemTime::now().into()
}
