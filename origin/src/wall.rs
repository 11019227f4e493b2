//! UTC by which media is stamped: that of the machine's clock, without its jumps. An encoder that sends in real
//! time would otherwise seem to have stood still, or to have sent a minute in a second, when somebody sets the
//! clock; and media time never runs back. A difference is made up for slowly, or at once when nobody publishes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lectern_relay_proto::UtcTime;

/// Of a second, how much may be made up for in each: as much as systems themselves slew by.
const SLEW: f64 = 0.000_5;
/// A smaller difference is nobody's jump.
const JUMP: Duration = Duration::from_secs(1);
/// By a greater one it is not led.
const REACH_MAX: Duration = Duration::from_secs(24 * 60 * 60);

static WALL: Mutex<Option<Wall>> = Mutex::new(None);

/// What the time is.
pub(crate) fn now() -> UtcTime {
    let (at, system_us) = (Instant::now(), system_us());
    lock().get_or_insert_with(|| Wall::new(at, system_us)).read(at, system_us)
}

/// Nobody publishes: from now on it is what the machine's clock says.
pub(crate) fn settle() {
    *lock() = Some(Wall::new(Instant::now(), system_us()));
}

/// Nobody publishes, and what somebody will go on with has come as far as `at`: from now on it is no earlier.
/// That is so where the machine's clock was set back, or whoever published it before has one that is ahead.
pub(crate) fn reach(at: UtcTime) {
    let (now, system_us) = (Instant::now(), system_us());
    lock().get_or_insert_with(|| Wall::new(now, system_us)).reach(now, system_us, at);
}

/// What the machine's clock says, in microseconds of Unix time.
fn system_us() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1e6)
}

fn lock() -> MutexGuard<'static, Option<Wall>> {
    WALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that was right once and runs evenly.
#[derive(Debug)]
struct Wall {
    /// When it was read last, and what it said, in microseconds of Unix time.
    read: Instant,
    said_us: f64,
    /// The machine's clock has jumped, and that was said.
    apart: bool,
}

impl Wall {
    fn new(at: Instant, system_us: f64) -> Self {
        Self { read: at, said_us: system_us, apart: false }
    }

    fn reach(&mut self, now: Instant, system_us: f64, at: UtcTime) {
        let ahead = at.saturating_since(self.read(now, system_us));
        if ahead < JUMP {
            return;
        }
        let secs = ahead.as_secs_f64();
        if ahead > REACH_MAX {
            tracing::error!(
                secs,
                "what was published last lies far ahead of the machine's clock, which \
                may be wrong"
            );
            return;
        }
        tracing::warn!(
            secs,
            "the machine's clock is behind what was published last; media goes on from there"
        );
        self.said_us += secs * 1e6;
    }

    fn read(&mut self, at: Instant, system_us: f64) -> UtcTime {
        let elapsed_us = at.saturating_duration_since(self.read).as_secs_f64() * 1e6;
        let behind_us = system_us - (self.said_us + elapsed_us);
        let slewed_us = behind_us.clamp(-elapsed_us * SLEW, elapsed_us * SLEW);
        self.said_us += elapsed_us + slewed_us;
        self.read = self.read.max(at);
        let apart = behind_us.abs() > JUMP.as_secs_f64() * 1e6;
        if apart && !self.apart {
            let secs = behind_us / 1e6;
            tracing::warn!(secs, "the machine's clock was set; media goes on as it was");
        }
        self.apart = apart;
        (SystemTime::UNIX_EPOCH + Duration::from_micros(self.said_us as u64)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: u64 = 1_795_000_000_000;

    /// What it says after each second, beside the machine's clock that is off by so much from the first on.
    fn differences(offset_ms: i64, secs: u64) -> Vec<i64> {
        let began = Instant::now();
        let mut wall = Wall::new(began, START_MS as f64 * 1e3);
        let read = |second: u64| {
            let true_ms = START_MS + second * 1_000;
            let system_us = true_ms.saturating_add_signed(offset_ms) as f64 * 1e3;
            let said = wall.read(began + Duration::from_secs(second), system_us);
            said.as_millis() as i64 - true_ms as i64
        };
        (1..=secs).map(read).collect()
    }

    #[test]
    fn a_jump_is_not_followed_but_slowly() {
        for offset_ms in [30_000, -30_000] {
            let differences = differences(offset_ms, 3_600);
            let before = std::iter::once(&0).chain(&differences);
            for (before, now) in before.zip(&differences) {
                let step = (now - before) * offset_ms.signum();
                assert!((0..=1).contains(&step), "{step} ms in a second");
            }
            let made_up = differences[3_599].abs();
            assert!((1_700..=1_800).contains(&made_up), "{made_up} ms in an hour");
        }
    }

    #[test]
    fn what_goes_on_begins_where_it_ended_though_the_clock_was_set_back() {
        let (began, system_us) = (Instant::now(), START_MS as f64 * 1e3);
        for (ahead_ms, moved) in [(400, false), (3_600_000, true), (90_000_000, false)] {
            let mut wall = Wall::new(began, system_us);
            wall.reach(began, system_us, UtcTime::from_millis(START_MS + ahead_ms));
            let said_ms = wall.read(began, system_us).as_millis() - START_MS;
            assert_eq!(said_ms, if moved { ahead_ms } else { 0 });
        }
    }

    #[test]
    fn what_is_small_is_made_up_for() {
        assert_eq!(differences(20, 60).last(), Some(&20));
        assert_eq!(differences(0, 60).last(), Some(&0));
    }
}
