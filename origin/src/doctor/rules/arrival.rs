//! What the network does on the way in: media that comes in bursts, with gaps before them.

use lectern_relay_proto::UtcTime;

use super::Rule;
use super::hold::Recent;
use crate::doctor::code;
use crate::doctor::report::{Finding, Severity};
use crate::doctor::seen::Second;

/// Within a second the latest may come so much later than the timeliest. A large keyframe takes 300 ms
/// over a thin line; the buffers of players over HTTP hold about half a second.
const SPREAD_MS_MAX: i64 = 500;
/// So many such seconds of the last ones. One is a hiccup, as every network has.
const BAD_S: u32 = 2;
const OF_S: u32 = 10;
/// One such as this empties every buffer.
const STALL_MS: i64 = 2_000;
/// What an encoder had piled up before it was connected says nothing of the network.
const START_S: u64 = 3;

/// Bursts and gaps of arrival against timestamps.
#[derive(Default)]
pub(super) struct Jitter {
    recent: Recent,
    worst_ms: i64,
    since: Option<UtcTime>,
}

impl Rule for Jitter {
    fn second(&mut self, second: &Second) {
        if second.age.as_secs() <= START_S {
            return;
        }
        let spread_ms = second.jitter_ms().unwrap_or(0);
        let bad = spread_ms > SPREAD_MS_MAX;
        self.recent.push(bad);
        if bad {
            self.worst_ms = self.worst_ms.max(spread_ms);
        }
        match self.recent.count(OF_S) {
            0 => *self = Self { recent: self.recent, ..Self::default() },
            count if count >= BAD_S || spread_ms >= STALL_MS => {
                self.since.get_or_insert(second.at);
            }
            _ => {}
        }
    }

    fn finding(&self) -> Option<Finding> {
        let since = self.since?;
        let seconds = (self.worst_ms as f64 / 100.0).round() / 10.0;
        let title = format!("Your stream arrives in bursts, up to {seconds} s late");
        let detail = "Viewers see the picture stop and then hurry; players go further behind live to be \
            safe from it.";
        let remedy = "Use a cable instead of Wi-Fi, and stop other uploads. In OBS: set a lower Bitrate \
            under Settings › Output, and tick Dynamically change bitrate to manage congestion under \
            Settings › Advanced. In ffmpeg: -maxrate equal to -b:v, and a -bufsize of half of that.";
        let words = [title.as_str(), detail, remedy];
        let finding = Finding::new(code::ARRIVAL_JITTER, Severity::Warning, since, words);
        Some(finding.with("seconds", seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn arrive(rule: &mut Jitter, seconds: std::ops::Range<u64>, spread_ms: i64) {
        for n in seconds {
            let mut second = testing::second(n);
            second.video.lag_ms = Some((-40, spread_ms - 40));
            rule.second(&second);
        }
    }

    #[test]
    fn bursts_are_named_and_their_end_noticed() {
        let mut rule = Jitter::default();
        arrive(&mut rule, 1..10, 300);
        arrive(&mut rule, 10..11, 900);
        assert_eq!(rule.finding(), None, "a hiccup");
        arrive(&mut rule, 11..14, 100);
        arrive(&mut rule, 14..15, 700);
        assert!(rule.finding().expect("found").title.contains("up to 0.9 s"));
        arrive(&mut rule, 15..24, 100);
        assert!(rule.finding().is_some());
        arrive(&mut rule, 24..25, 100);
        assert_eq!(rule.finding(), None);
    }

    #[test]
    fn one_long_stall_is_enough_but_not_at_the_start() {
        let mut rule = Jitter::default();
        arrive(&mut rule, 1..4, 2_500);
        assert_eq!(rule.finding(), None);
        arrive(&mut rule, 8..9, 2_500);
        assert!(rule.finding().is_some());
    }
}
