//! Which rendition a viewer is sent, which it is to be sent instead, and the passage between them.
//!
//! A viewer goes over at a keyframe of the new rendition. Upwards it waits for the next one however
//! long that takes; downwards, where the link is in need, only a moment, and then takes the newest
//! that is kept and catches up as a joiner does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choice::{self, Choice, Load, Sight, Trouble};
use super::history::Unit;
use super::renditions::{Renditions, Rung};

/// How long a step down waits for a live keyframe. Renditions of one encoder have theirs at the same
/// time, every second or two, so often it is spared to see the picture go back; longer would be
/// felt on a link that is full.
const DOWN_WAIT: Duration = Duration::from_millis(500);

/// What a viewer watches.
#[derive(Debug)]
pub(super) struct Viewing {
    /// The slot that is sent; `None` until there is any.
    on: Option<u8>,
    /// What was sent is gone, and there is nothing else yet.
    stranded: bool,
    wish: Option<Wish>,
    pin: Option<String>,
    choice: Choice,
}

/// Another rendition that is to be sent.
#[derive(Clone, Copy, Debug)]
struct Wish {
    slot: u8,
    reason: Reason,
    up: bool,
    /// The newest frame of it when it was wished for: a keyframe after that is live.
    after: Option<u64>,
    /// When a keyframe that is kept will do.
    due: Option<Instant>,
}

/// Why another rendition is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The link was calm.
    Calm,
    /// The estimate is under what is sent.
    Estimate,
    /// Packets are lost.
    Loss,
    /// The viewer asked for it.
    Pinned,
    /// The one that was sent stopped, or is not listed any more.
    Gone,
}

impl Reason {
    /// A word for metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Estimate => "estimate",
            Self::Loss => "loss",
            Self::Pinned => "pinned",
            Self::Gone => "gone",
        }
    }
}

/// A switch that is to be made now.
#[derive(Debug)]
pub(super) struct Switch {
    /// Where the new rendition begins.
    pub key: Arc<Unit>,
    /// Whether it is a better one.
    pub up: bool,
    /// Why.
    pub reason: Reason,
}

impl Viewing {
    /// A viewer that watches nothing yet, and may have asked for a rendition.
    pub(super) fn new(pin: Option<String>, now: Instant) -> Self {
        Self { on: None, stranded: false, wish: None, pin, choice: Choice::new(now) }
    }

    /// The slot that is sent.
    pub(super) fn on(&self) -> Option<u8> {
        self.on
    }

    /// The slots whose frames matter to this viewer, one bit each.
    pub(super) fn interest(&self) -> u8 {
        let bit = |slot: u8| 1 << slot;
        match self.on.filter(|_| !self.stranded) {
            Some(on) => bit(on) | self.wish.map_or(0, |wish| bit(wish.slot)),
            None => u8::MAX,
        }
    }

    /// Whether any frame at all is a reason to [`Self::judge`].
    pub(super) fn is_stranded(&self) -> bool {
        self.stranded
    }

    /// When [`Self::switch`] will say more than it does now, unless a frame comes first.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.wish?.due.filter(|due| *due > now)
    }

    /// Begins with the rendition that was asked for, or else the best that a link should carry of
    /// which nothing is known.
    pub(super) fn begin(&mut self, video: &Renditions, load: &Load) {
        let mut rungs = video.ladder();
        // One whose group is too large to be kept would leave the viewer waiting.
        if rungs.iter().any(|rung| video.newest_key(rung.slot).is_some()) {
            rungs.retain(|rung| video.newest_key(rung.slot).is_some());
        }
        self.on = self.pinned(video, &rungs).or_else(|| {
            let first = choice::first(&rungs, load.audio_bps, load.estimate)?;
            Some(rungs.get(first)?.slot)
        });
    }

    /// The viewer asks for a rendition, or for our choice again.
    pub(super) fn pin(&mut self, asked: Option<String>, now: Instant) {
        self.wish = None;
        self.pin = asked;
        self.choice.settle(now);
    }

    /// Chooses anew; `true` if [`Self::switch`] is worth a call now.
    pub(super) fn judge(&mut self, video: &Renditions, load: &Load, now: Instant) -> bool {
        let Some(on) = self.on else { return false };
        let alone = matches!(video.listing(), [only] if only.slot == on);
        if alone && self.wish.is_none() && !self.stranded {
            return false;
        }
        let rungs = video.ladder();
        self.stranded = rungs.is_empty();
        let wanted = match (self.pinned(video, &rungs), position(&rungs, on)) {
            (Some(pinned), _) => Some((pinned, Reason::Pinned)),
            (None, Some(at)) => self.chosen(&rungs, at, load, now),
            (None, None) => choice::first(&rungs, load.audio_bps, load.estimate)
                .map(|first| (rungs[first].slot, Reason::Gone)),
        };
        match wanted {
            Some((slot, _)) if slot == on => self.wish = None,
            Some((slot, reason)) => self.want(slot, reason, video, now),
            None => {}
        }
        self.wish.is_some()
    }

    /// The switch that can be made at `now`, which is then taken to be made.
    pub(super) fn switch(&mut self, video: &Renditions, now: Instant) -> Option<Switch> {
        let Wish { slot, reason, up, after, due } = self.wish?;
        let key = video.newest_key(slot)?;
        let live = after.is_none_or(|after| key.serial > after);
        if !live && due.is_none_or(|due| now < due) {
            return None;
        }
        self.wish = None;
        self.on = Some(slot);
        match reason {
            Reason::Calm => self.choice.raised(now),
            _ => self.choice.settle(now),
        }
        Some(Switch { key: key.clone(), up, reason })
    }

    /// What the link suggests, and a wish that still stands.
    fn chosen(
        &mut self,
        rungs: &[Rung],
        at: usize,
        load: &Load,
        now: Instant,
    ) -> Option<(u8, Reason)> {
        let sight = Sight { rungs, at, load: *load };
        let step = self.choice.judge(&sight, now).map(|step| match step {
            choice::Step::Up(to) => (to, Reason::Calm),
            choice::Step::Down(to, Trouble::Estimate) => (to, Reason::Estimate),
            choice::Step::Down(to, Trouble::Loss) => (to, Reason::Loss),
        });
        let step = step.and_then(|(to, reason)| Some((rungs.get(to)?.slot, reason)));
        // A step down that is on its way is made even if the link is calm meanwhile. One up is
        // called off by the first sign of trouble, and nothing else is wanted once what was sent
        // comes again.
        let stands = |wish: &Wish| matches!(wish.reason, Reason::Estimate | Reason::Loss);
        if step.is_none() {
            self.wish = self.wish.filter(stands);
        }
        step
    }

    fn want(&mut self, slot: u8, reason: Reason, video: &Renditions, now: Instant) {
        if let Some(wish) = self.wish.as_mut().filter(|wish| wish.slot == slot) {
            wish.reason = reason;
            return;
        }
        let up = self.on.is_some_and(|on| video.is_better(slot, on));
        let due = match reason {
            // Nothing else can be sent meanwhile.
            Reason::Gone => Some(now),
            _ if up => None,
            _ => Some(now + DOWN_WAIT),
        };
        let after = video.history(slot).newest().map(|newest| newest.serial);
        self.wish = Some(Wish { slot, reason, up, after, due });
    }

    fn pinned(&self, video: &Renditions, rungs: &[Rung]) -> Option<u8> {
        let slot = video.slot(self.pin.as_deref()?)?;
        position(rungs, slot).map(|_| slot)
    }
}

fn position(rungs: &[Rung], slot: u8) -> Option<usize> {
    rungs.iter().position(|rung| rung.slot == slot)
}

#[cfg(test)]
#[path = "viewing_tests.rs"]
mod tests;
