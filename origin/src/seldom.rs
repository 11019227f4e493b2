//! Says once a minute what is found again and again: while the database is away, several loops find that, and each
//! says what it keeps them from; and an edge that is not understood may ask without end.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// From one time to the next.
const SAID_EACH: Duration = Duration::from_secs(60);

/// When something was said last.
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether it is to be said at `now`, which it then is.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = said.is_none_or(|said| now.saturating_duration_since(said) >= SAID_EACH);
        if due {
            *said = Some(now);
        }
        due
    }
}

/// As [`tracing::warn`], at most once a minute from where it stands; in between at the level `debug`.
macro_rules! warn_seldom {
    ($($what:tt)+) => {{
        static SAID: $crate::seldom::Seldom = $crate::seldom::Seldom::new();
        if SAID.is_due(std::time::Instant::now()) {
            tracing::warn!($($what)+);
        } else {
            tracing::debug!($($what)+);
        }
    }};
}
pub(crate) use warn_seldom;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute() {
        let (seldom, began) = (Seldom::new(), Instant::now());
        let due = |secs| seldom.is_due(began + Duration::from_secs(secs));
        assert_eq!(
            [0, 2, 59, 60, 61, 119, 300].map(due),
            [true, false, false, true, false, false, true]
        );
    }
}
