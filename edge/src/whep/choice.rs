//! Which rendition a viewer's link carries: down fast, up carefully.
//!
//! What is known is the receiver's estimate (REMB), the packets it lost, and what each rendition
//! takes. The audio is taken off first, so it is never what has to give way.
//!
//! **Down** at once, to what the estimate carries, when the estimate falls and is under what is sent;
//! also when it stays under that without growing, and a step when loss persists. An estimate that
//! merely is lower than what is sent says little: receivers raise it slowly and never far beyond
//! what they receive, so after a quiet picture, or a step up, it lags behind.
//!
//! **Up** one step, after a calm time without such signs. It is short when the estimate has room for
//! the step. Mostly it cannot (Chromium's stops at 1.5 times what it receives), so after a longer
//! one the step is tried. A step up that has to be taken back doubles the calm that the next needs.

use std::time::{Duration, Instant};

use super::renditions::Rung;

/// What a joiner's link is taken to carry before anything is known of it: 720p, on most links.
const START_BPS: u64 = 3_000_000;
/// How far an estimate must fall to count as falling. Receivers say so at once from 3% on.
const FALL: f64 = 0.97;
/// Under this share of what is sent an estimate is too low. What is sent is measured over a second
/// or a group, so a little less is nothing.
const UNDER: f64 = 0.95;
/// How much of an estimate that fell is filled again, so that the queue it fell for can drain.
const FILL: f64 = 0.9;
/// What an estimate must have over a rendition before it is stepped up to.
const HEADROOM: f64 = 1.2;
/// An estimate that is too low must grow by this...
const GROWTH: f64 = 1.05;
/// ...within this. Chromium's grows by 8% a second where nothing holds it back.
const GROWTH_TIME: Duration = Duration::from_secs(5);
/// After a step down the queue that the link had built up drains, and reports are still about that.
const DRAIN: Duration = Duration::from_millis(1_500);
/// Loss above this is congestion. A bad radio link loses a few percent whatever is sent.
const LOSS_MAX: f64 = 0.10;
/// For how long, before a step down; right after a step up the first report counts.
const LOSS_TIME: Duration = Duration::from_secs(2);
/// Loss above this is not calm.
const LOSS_CALM: f64 = 0.02;
/// The calm before a step up that the estimate has room for.
const CALM: Duration = Duration::from_secs(5);
/// The calm before one that must be tried.
const CALM_TRIAL: Duration = Duration::from_secs(10);
/// The most calm that is asked for, however many steps up had to be taken back.
const CALM_MAX: Duration = Duration::from_secs(300);
/// A step up that is not taken back within this was right.
const TRIAL: Duration = Duration::from_secs(30);

/// What one viewer's link has shown so far.
#[derive(Debug)]
pub(super) struct Choice {
    calm_since: Instant,
    /// The last estimate.
    seen: Option<u64>,
    /// Since when the estimate is too low without having grown, and where it was then.
    low: Option<(Instant, u64)>,
    lossy_since: Option<Instant>,
    /// When the last step down was made.
    lowered: Option<Instant>,
    /// When the last step up was made, while it may still prove wrong.
    trial: Option<Instant>,
    /// Steps up in a row that had to be taken back.
    taken_back: u32,
}

/// What is known of a viewer's link and needs when a choice is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// What the viewer's audio takes, in bits per second.
    pub audio_bps: u64,
    /// What the receiver takes the link to carry, in bits per second.
    pub estimate: Option<u64>,
    /// The share of packets that is lost.
    pub loss: f64,
}

/// What a choice is made from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight<'a> {
    /// The renditions that there are, best first.
    pub rungs: &'a [Rung],
    /// Which of them is sent.
    pub at: usize,
    /// What is known beside them.
    pub load: Load,
}

/// Another rendition than is sent, by its place among the rungs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A better one.
    Up(usize),
    /// A lesser one.
    Down(usize, Trouble),
}

/// Why a lesser rendition is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The estimate is under what is sent.
    Estimate,
    /// Packets are lost.
    Loss,
}

/// The rendition to begin with: the best that fits `estimate`, or else what most links carry; the
/// least if none is known to. `None` if there is none at all.
pub(super) fn first(rungs: &[Rung], audio_bps: u64, estimate: Option<u64>) -> Option<usize> {
    let room = estimate.map_or(START_BPS, |estimate| share(estimate, FILL));
    best_within(rungs, 0, audio_bps, room).or(rungs.len().checked_sub(1))
}

impl Choice {
    /// A link of which nothing is known.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            calm_since: now,
            seen: None,
            low: None,
            lossy_since: None,
            lowered: None,
            trial: None,
            taken_back: 0,
        }
    }

    /// Takes a report; says which rendition should be sent instead, if another.
    pub(super) fn judge(&mut self, sight: &Sight<'_>, now: Instant) -> Option<Step> {
        let fell = self.take_estimate(sight, now);
        if self.lowered.is_some_and(|at| now.duration_since(at) < DRAIN) {
            self.settle(now);
            return None;
        }
        let stuck = self.low.is_some_and(|(since, _)| now.duration_since(since) >= GROWTH_TIME);
        if self.low.is_some() && (fell || stuck) {
            return self.down(sight, Trouble::Estimate, now);
        }
        if self.take_loss(sight.load.loss, now) {
            return self.down(sight, Trouble::Loss, now);
        }
        if self.low.is_some() || sight.load.loss > LOSS_CALM {
            self.calm_since = now;
            return None;
        }
        if self.trial.is_some_and(|since| now.duration_since(since) >= TRIAL) {
            self.trial = None;
            self.taken_back = 0;
        }
        self.up(sight, now)
    }

    /// A better rendition is sent from now on, by our own choice.
    pub(super) fn raised(&mut self, now: Instant) {
        self.trial = Some(now);
        self.settle(now);
    }

    /// Another rendition is sent from now on, for other reasons: what was seen of the one before
    /// says nothing of this one.
    pub(super) fn settle(&mut self, now: Instant) {
        self.calm_since = now;
        self.low = None;
        self.lossy_since = None;
    }

    /// Whether the estimate fell since the last report. A first one that is too low counts as such.
    fn take_estimate(&mut self, sight: &Sight<'_>, now: Instant) -> bool {
        let Some(estimate) = sight.load.estimate else {
            self.low = None;
            return false;
        };
        let fell = self.seen.is_none_or(|seen| estimate < share(seen, FALL));
        self.seen = Some(estimate);
        let sent = sight.rungs.get(sight.at).and_then(|rung| rung.bps);
        let is_low = sent
            .is_some_and(|bps| estimate < share(bps.saturating_add(sight.load.audio_bps), UNDER));
        self.low = match self.low {
            _ if !is_low => None,
            Some((since, at)) if estimate < share(at, GROWTH) => Some((since, at)),
            _ => Some((now, estimate)),
        };
        fell
    }

    /// Whether loss has lasted.
    fn take_loss(&mut self, loss: f64, now: Instant) -> bool {
        if loss <= LOSS_MAX {
            self.lossy_since = None;
            return false;
        }
        let since = *self.lossy_since.get_or_insert(now);
        self.trial.is_some() || now.duration_since(since) >= LOSS_TIME
    }

    fn down(&mut self, sight: &Sight<'_>, why: Trouble, now: Instant) -> Option<Step> {
        if self.trial.take().is_some() {
            self.taken_back += 1;
        }
        self.settle(now);
        self.lowered = Some(now);
        let least = sight.rungs.len().checked_sub(1).filter(|least| *least > sight.at)?;
        let next = sight.at + 1;
        let to = match (why, sight.load.estimate) {
            (Trouble::Estimate, Some(estimate)) => {
                let room = share(estimate, FILL);
                best_within(sight.rungs, next, sight.load.audio_bps, room).unwrap_or(least)
            }
            _ => next,
        };
        Some(Step::Down(to, why))
    }

    fn up(&self, sight: &Sight<'_>, now: Instant) -> Option<Step> {
        let to = sight.at.checked_sub(1)?;
        let needed = sight
            .rungs
            .get(to)?
            .bps
            .map(|bps| share(bps.saturating_add(sight.load.audio_bps), HEADROOM));
        let has_room = sight.load.estimate.zip(needed).is_some_and(|(has, needed)| has >= needed);
        let calm = if has_room { CALM } else { CALM_TRIAL };
        // Six doublings are past the most already.
        let calm = (calm * (1 << self.taken_back.min(6))).min(CALM_MAX);
        (now.duration_since(self.calm_since) >= calm).then_some(Step::Up(to))
    }
}

/// The best rung from `from` on that, with the audio, takes no more than `room`.
fn best_within(rungs: &[Rung], from: usize, audio_bps: u64, room: u64) -> Option<usize> {
    let fits = |rung: &Rung| rung.bps.is_some_and(|bps| bps.saturating_add(audio_bps) <= room);
    let after = rungs.get(from..)?.iter().position(fits)?;
    Some(from + after)
}

fn share(bps: u64, of: f64) -> u64 {
    (bps as f64 * of) as u64
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
