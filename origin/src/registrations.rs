//! Viewers who register: their answers checked once more, by the form that there is now, stored, and
//! answered with the token by which they watch. One task, which stores together what waits together.
//!
//! What is asked is the [`control`](crate::control)'s to know, and the way from the edges the
//! [`comments`](crate::comments)'.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::about::{About, Answers, Given};
use lectern_relay_proto::comment::{Attempt, NotRegistered, Response};
use lectern_relay_proto::metrics::Maker;
use prometheus::{IntCounter, IntCounterVec, Registry};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::control::records::{NewRegistration, Registered};
use crate::control::store::Conflict;

/// Registrations of all edges that wait to be stored, at most 16 kB each. When full, who comes is told to
/// come back.
const QUEUE_MAX: usize = 1_024;
/// Registrations that are stored together.
const BATCH_MAX: usize = 256;
/// How long one may watch who has registered,
const GOOD_FOR: Duration = Duration::from_secs(30 * 86_400);
/// or until so long after the broadcast is to begin, if that is later.
const GOOD_AFTER_START: Duration = Duration::from_secs(86_400);

/// What is told to whoever registered.
pub type Reply = Box<dyn FnOnce(Response) + Send>;

/// A viewer who wants to be registered.
pub struct Application {
    /// This attempt.
    pub attempt: Attempt,
    /// What they answered.
    pub answers: Given,
    /// What they are told.
    pub reply: Reply,
}

/// Takes registrations to the [`Registrar`].
#[derive(Clone)]
pub struct Applications {
    sender: mpsc::Sender<Application>,
    metrics: Metrics,
}

impl Applications {
    /// Has a registration taken, or refused at once if too many wait.
    pub fn send(&self, application: Application) {
        if let Err(full) = self.sender.try_send(application) {
            let Application { attempt, reply, .. } = full.into_inner();
            refuse(&self.metrics, attempt, reply, NotRegistered::Busy);
        }
    }
}

/// Takes in registrations.
pub struct Registrar {
    control: Arc<Control>,
    applications: mpsc::Receiver<Application>,
    metrics: Metrics,
}

/// What is counted of registrations.
#[derive(Clone, Debug)]
pub struct Metrics {
    stored: IntCounter,
    refused: IntCounterVec,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            stored: maker.counter(
                "lectern_registrations_stored_total",
                "Registrations of viewers that were stored, or found to be.",
            )?,
            refused: maker.counters(
                "lectern_registrations_refused_total",
                "Registrations of viewers that the origin refused, by reason.",
                &["reason"],
            )?,
        })
    }
}

impl Registrar {
    /// A registrar of the broadcasts in `control`, and what takes registrations to it.
    pub fn new(control: Arc<Control>, metrics: Metrics) -> (Self, Applications) {
        let (sender, applications) = mpsc::channel(QUEUE_MAX);
        let to_it = Applications { sender, metrics: metrics.clone() };
        (Self { control, applications, metrics }, to_it)
    }

    /// Takes in registrations, until `cancel`. Who was not answered by then asks again.
    pub async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.serve()).await;
    }

    async fn serve(&mut self) {
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.applications.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.take_in(std::mem::take(&mut batch)).await;
        }
    }

    async fn take_in(&self, batch: Vec<Application>) {
        let now = UtcTime::from(SystemTime::now());
        let mut new = Vec::with_capacity(batch.len());
        let mut waiting = Vec::with_capacity(batch.len());
        for Application { attempt, answers, reply } in batch {
            match self.check(&attempt, answers) {
                Ok((about, answers)) => {
                    new.push(NewRegistration {
                        broadcast: attempt.broadcast.clone(),
                        attempt: attempt.client.clone(),
                        fields: field_names(&about),
                        answers,
                        registered_at: now,
                    });
                    waiting.push((attempt, reply, about.starts_at));
                }
                Err(why) => refuse(&self.metrics, attempt, reply, why),
            }
        }
        if new.is_empty() {
            return;
        }
        // First what they are told with: who is stored and not answered asks again, and is answered then.
        let stored = match self.control.signing_key().await {
            Ok(key) => self.control.store().register(&new).await.map(|all| (key, all)),
            Err(error) => {
                tracing::error!(%error, "there is no key to sign viewer tokens with");
                waiting.into_iter().for_each(|(attempt, reply, _)| {
                    refuse(&self.metrics, attempt, reply, NotRegistered::Unavailable);
                });
                return;
            }
        };
        let (key, stored) = match stored {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, registrations = new.len(), "registrations cannot be stored");
                for (attempt, reply, _) in waiting {
                    refuse(&self.metrics, attempt, reply, NotRegistered::Unavailable);
                }
                return;
            }
        };
        for (stored, (attempt, reply, starts_at)) in stored.into_iter().zip(waiting) {
            match stored {
                Ok(registered) => {
                    self.metrics.stored.inc();
                    let expires = good_until(&registered, starts_at);
                    let subject = format!("registration-{}", registered.number);
                    let token = key.sign(&attempt.broadcast, expires, Some(&subject));
                    reply(Response::Registered { attempt, token, expires: expires.as_millis() });
                }
                Err(Conflict::Full) => refuse(&self.metrics, attempt, reply, NotRegistered::Full),
                // It was removed a moment ago.
                Err(_) => refuse(&self.metrics, attempt, reply, NotRegistered::NoRegistration),
            }
        }
    }

    fn check(&self, attempt: &Attempt, given: Given) -> Result<(About, Answers), NotRegistered> {
        let listed = self.control.get(&attempt.broadcast);
        let about = listed.map(|listed| listed.broadcast.about.clone()).unwrap_or_default();
        let form = about.form().ok_or(NotRegistered::NoRegistration)?;
        let answers = form.check(given).map_err(|errors| NotRegistered::Invalid { errors })?;
        Ok((about, answers))
    }
}

fn refuse(metrics: &Metrics, attempt: Attempt, reply: Reply, why: NotRegistered) {
    metrics.refused.with_label_values(&[why.as_str()]).inc();
    reply(Response::NotRegistered { attempt, why });
}

fn field_names(about: &About) -> String {
    let fields = about.form().map(|form| &*form.fields).unwrap_or_default();
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    names.join(" ")
}

/// Until when one may watch. Who asks again is told the same.
fn good_until(registered: &Registered, starts_at: Option<UtcTime>) -> UtcTime {
    let at_least = registered.registered_at + GOOD_FOR;
    starts_at.map_or(at_least, |starts_at| at_least.max(starts_at + GOOD_AFTER_START))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_registers_early_watches_the_whole_of_it() {
        let at = |day: u64| UtcTime::from_millis(day * 86_400_000);
        let registered = Registered { number: 1, registered_at: at(100) };
        assert_eq!(good_until(&registered, None), at(130));
        assert_eq!(good_until(&registered, Some(at(90))), at(130));
        assert_eq!(good_until(&registered, Some(at(110))), at(130));
        assert_eq!(good_until(&registered, Some(at(180))), at(181));
    }
}
