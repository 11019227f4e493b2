//! Whether this edge's clock agrees with those of its origins: what is live now, how old a picture is and whether a
//! viewer token is still good are read off one clock and were written by the other. The origins are asked again and
//! again, and the furthest of them is told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::UtcTime;
use lectern_relay_proto::comment::Request;
use lectern_relay_proto::metrics::Maker;
use lectern_relay_proto::skew::{News, Skew, offset_us};
use prometheus::{Gauge, Registry};

/// How often they are asked.
pub(crate) const ASK_EACH: Duration = Duration::from_secs(10);

/// What is known of them.
pub struct Clock {
    state: Mutex<State>,
    offset: Gauge,
}

#[derive(Default)]
struct State {
    /// Each round of questions has another number: what is left of one on the relay answers no other.
    round: u64,
    asked: Option<(Instant, UtcTime)>,
    furthest_us: Option<i64>,
    skew: Skew,
}

impl Clock {
    /// Nobody has been asked.
    ///
    /// # Errors
    /// If `registry` has a metric of this name already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let offset = Maker(registry).seconds(
            "lectern_edge_clock_offset_seconds",
            "How far the clock of an origin is ahead of this edge's, of several the furthest; 0 before the \
             first answer",
        )?;
        // Rounds of an earlier life may still be on the relay.
        let state = State { round: rand::random(), ..State::default() };
        Ok(Self { state: Mutex::new(state), offset })
    }

    /// What to ask every origin now; what the former round came to is told.
    pub(crate) fn ask(&self) -> Request {
        self.ask_at(Instant::now(), SystemTime::now().into())
    }

    fn ask_at(&self, now: Instant, utc: UtcTime) -> Request {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(offset_us) = state.furthest_us.take() {
            let secs = offset_us as f64 / 1e6;
            self.offset.set(secs);
            match state.skew.observe(offset_us) {
                Some(News::Apart) => tracing::warn!(
                    ahead_secs = secs,
                    "the clock of this edge and that of an origin are apart: players ask for what is not there \
                     yet or stay behind, and viewer tokens end at the wrong time; have both machines follow NTP"
                ),
                Some(News::Together) => {
                    tracing::info!(
                        ahead_secs = secs,
                        "the clocks of this edge and its origins agree"
                    );
                }
                None => {}
            }
        }
        state.round = state.round.wrapping_add(1);
        state.asked = Some((now, utc));
        Request::Clock { round: state.round }
    }

    /// An origin has answered that it was `theirs` there.
    pub(crate) fn answered(&self, round: u64, theirs: UtcTime) {
        self.answered_at(round, theirs, Instant::now());
    }

    fn answered_at(&self, round: u64, theirs: UtcTime, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((asked, utc)) = state.asked.filter(|_| round == state.round) else { return };
        let round_trip = now.saturating_duration_since(asked);
        let Some(offset) = offset_us(utc, round_trip, theirs) else { return };
        let furthest = state.furthest_us.map_or(0, i64::unsigned_abs);
        if state.furthest_us.is_none() || offset.unsigned_abs() > furthest {
            state.furthest_us = Some(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_origins_the_furthest_is_told_and_of_an_earlier_round_nothing() {
        let registry = Registry::new();
        let clock = Clock::register(&registry).unwrap();
        let (now, utc) = (Instant::now(), UtcTime::from_millis(1_000_000));
        let ask = |utc| match clock.ask_at(now, utc) {
            Request::Clock { round } => round,
            other => panic!("{other:?}"),
        };
        let ms = Duration::from_millis;
        let first = ask(utc);
        assert_eq!(clock.offset.get(), 0.0);
        clock.answered_at(first, utc + ms(20), now + ms(40));
        clock.answered_at(first, UtcTime::from_millis(997_000), now);
        clock.answered_at(first, utc + ms(500), now);
        let second = ask(utc);
        assert_eq!((clock.offset.get(), second), (-3.0, first.wrapping_add(1)));
        clock.answered_at(first, utc + ms(9_000), now);
        // It took too long.
        clock.answered_at(second, utc + ms(9_000), now + ms(1_500));
        ask(utc);
        assert_eq!(clock.offset.get(), -3.0, "as measured last");
    }
}
