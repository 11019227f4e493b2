//! Whether encoders may be sent to this origin: not while it could only refuse them, nor once it is about to
//! stop. What liveness is, it does not say: a database that is away is no reason to start again. Whoever looks
//! after the database so also sees whether its clock agrees with this machine's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::skew::{News, Skew};
use prometheus::{Gauge, IntGauge, Registry};
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// How often it is looked whether the database is there: it is asked only if nobody else was answered.
const LOOK_EACH: Duration = Duration::from_secs(2);
/// Silent for so long it is away. Less is what a restart of it takes.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// How often it is asked what the time is.
const CLOCK_EACH: Duration = Duration::from_secs(30);

/// Whether encoders may be sent here. Clones are the same.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    /// Publishers who are on air.
    takes_live: IntGauge,
    metrics: Metrics,
}

/// What an operator sees of the database.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    up: IntGauge,
    clock_offset: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let maker = Maker(registry);
        Ok(Self {
            up: maker.gauge(
                "lectern_origin_database_up",
                "Whether the database answered when it was asked last",
            )?,
            clock_offset: maker.seconds(
                "lectern_origin_database_clock_offset_seconds",
                "How far the clock of the PostgreSQL server is ahead of this origin's; 0 before it was asked, \
                 and with SQLite",
            )?,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    /// When the database answered last, and why it did not since.
    answered: Option<Instant>,
    failure: Option<String>,
    stopping: bool,
}

impl Readiness {
    /// Of an origin that has just started, with a database that `answered` or not.
    pub(crate) fn new(answered: bool, takes_live: IntGauge, metrics: Metrics) -> Self {
        metrics.up.set(answered.into());
        let failure = (!answered).then(|| "it has not answered yet".to_owned());
        let answered = answered.then(Instant::now);
        let state = State { answered, failure, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), takes_live, metrics }
    }

    /// `Ok` while they may; otherwise why not.
    pub fn ready(&self) -> Result<(), String> {
        self.ready_at(Instant::now())
    }

    fn ready_at(&self, now: Instant) -> Result<(), String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopping {
            return Err("stopping".to_owned());
        }
        let silent = state.answered.is_none_or(|at| now.duration_since(at) > SILENT_MAX);
        // Edges find it by the same name, and whoever is on air here needs them.
        if !silent || self.takes_live.get() > 0 {
            return Ok(());
        }
        let why = state.failure.as_deref().unwrap_or("it takes too long");
        Err(format!("publishers would be refused, since the database cannot be used: {why}"))
    }

    /// Keeps up with the database until `cancel`, and then it is about to stop.
    pub(crate) async fn follow(self, database: Database, cancel: CancellationToken) {
        let look = async { tokio::join!(self.look(&database), self.compare_clocks(&database)) };
        cancel.run_until_cancelled(look).await;
        self.change(|state| state.stopping = true);
    }

    async fn look(&self, database: &Database) {
        loop {
            let answer = database.answers(LOOK_EACH).await;
            self.metrics.up.set(answer.is_ok().into());
            self.change(|state| match answer {
                Ok(()) => {
                    if state.failure.take().is_some() {
                        tracing::info!("the database can be used again");
                    }
                    state.answered = Some(Instant::now());
                }
                Err(error) => {
                    if state.failure.is_none() {
                        tracing::error!(
                            %error,
                            "the database cannot be used: nobody new can publish, comments and changes are not \
                             stored, and what is on air goes on; trying again"
                        );
                    }
                    state.failure = Some(error.to_string());
                }
            });
            tokio::time::sleep(LOOK_EACH).await;
        }
    }

    async fn compare_clocks(&self, database: &Database) {
        let mut skew = Skew::default();
        loop {
            // An error is said by whoever needs more than the time.
            if let Ok(Some(offset_us)) = database.clock_offset_us().await {
                let ahead_secs = offset_us as f64 / 1e6;
                self.metrics.clock_offset.set(ahead_secs);
                match skew.observe(offset_us) {
                    Some(News::Apart) => tracing::warn!(
                        ahead_secs,
                        "the clock of the database's server and that of this origin are apart: where several \
                         origins are, broadcasts begin late or jump when they move, and what is stored bears \
                         the wrong time; have both machines follow NTP"
                    ),
                    Some(News::Together) => {
                        tracing::info!(
                            ahead_secs,
                            "the clocks of the database and this origin agree"
                        );
                    }
                    None => {}
                }
            }
            tokio::time::sleep(CLOCK_EACH).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(answered: bool, live: &IntGauge) -> Readiness {
        let metrics = Metrics::register(&Registry::new()).expect("registered");
        Readiness::new(answered, live.clone(), metrics)
    }

    #[test]
    fn encoders_are_sent_elsewhere_while_they_would_be_refused_here() {
        let live = IntGauge::new("live", "on air").expect("a name");
        let readiness = readiness(true, &live);
        let began = Instant::now();
        assert_eq!(readiness.ready_at(began + SILENT_MAX / 2), Ok(()));
        readiness.change(|state| state.failure = Some("no route to it".to_owned()));
        let later = began + SILENT_MAX * 2;
        let said = readiness.ready_at(later).expect_err("away");
        assert!(said.ends_with("no route to it"), "{said}");
        live.inc();
        assert_eq!(readiness.ready_at(later), Ok(()), "whoever is on air stays");
        readiness.change(|state| state.stopping = true);
        assert_eq!(readiness.ready_at(began), Err("stopping".to_owned()));
    }

    #[test]
    fn an_origin_whose_database_was_never_there_is_not_ready() {
        let live = IntGauge::new("live", "on air").expect("a name");
        assert!(readiness(false, &live).ready().is_err());
    }

    #[tokio::test]
    async fn a_database_that_has_just_answered_somebody_is_not_asked() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let url = format!("sqlite:{}", dir.path().join("lectern.db").display());
        let database = Database::new(&url).expect("a database");
        database.answers(LOOK_EACH).await.expect("there");
        database.close().await;
        assert!(database.answers(Duration::from_secs(3_600)).await.is_ok());
        assert!(database.answers(Duration::ZERO).await.is_err());
        assert!(database.clock_offset_us().await.expect("no clock").is_none());
    }
}
