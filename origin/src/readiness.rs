//! Whether encoders may be sent to this origin: not while it could only refuse them, nor once it is about to
//! stop. What liveness is, it does not say: a database that is away is no reason to start again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// How often the database is asked whether it is there.
const LOOK_EACH: Duration = Duration::from_secs(2);
/// Silent for so long it is away. Less is what a restart of it takes.
const SILENT_MAX: Duration = Duration::from_secs(10);

/// Whether encoders may be sent here. Clones are the same.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    /// Publishers who are on air.
    takes_live: IntGauge,
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
    pub(crate) fn new(answered: bool, takes_live: IntGauge) -> Self {
        let answered = answered.then(Instant::now);
        let state = State { answered, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), takes_live }
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
        let why = state.failure.as_deref().unwrap_or("it has not answered yet");
        Err(format!("publishers would be refused, since the database is away: {why}"))
    }

    /// Keeps up with the database until `cancel`, and then it is about to stop.
    pub(crate) async fn follow(self, database: Database, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.look(&database)).await;
        self.change(|state| state.stopping = true);
    }

    async fn look(&self, database: &Database) {
        loop {
            let answer = database.answers().await;
            self.change(|state| match answer {
                Ok(()) => (state.answered, state.failure) = (Some(Instant::now()), None),
                Err(error) => state.failure = Some(error.to_string()),
            });
            tokio::time::sleep(LOOK_EACH).await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_sent_elsewhere_while_they_would_be_refused_here() {
        let live = IntGauge::new("live", "on air").expect("a name");
        let readiness = Readiness::new(true, live.clone());
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
        assert!(Readiness::new(false, live).ready().is_err());
    }
}
