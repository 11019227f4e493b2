//! Who publishes to a broadcast and who waits, and when one gives way to the other. Pure: it is told when
//! media comes, and what comes of that is the caller's to do.
//!
//! Newest wins: a publisher that presents a live key takes over, since an encoder that lost its connection
//! comes back before the old socket is known to be dead. A backup key never takes over from a primary one:
//! its publisher waits, and goes on air while the other is silent. Then the primary one waits, if it is still
//! there, and is on air again once its media comes steadily. Who waited begins with a keyframe.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lectern_relay_proto::UtcTime;
use tokio_util::sync::CancellationToken;

use super::super::Grant;
use super::Publishing;
use crate::ingest::TakeError;

/// Takeovers of one broadcast within [`TAKEOVER_WINDOW`]. An encoder on a bad line comes back a few
/// times a minute; two encoders with one key would take over from each other for ever.
const TAKEOVERS_MAX: usize = 10;
const TAKEOVER_WINDOW: Duration = Duration::from_secs(60);
/// A publisher on air that has sent nothing for so long is no reason for another to wait.
const SILENT: Duration = Duration::from_secs(3);
/// How long a primary publisher that fell silent has to send media again before it is on air again, the
/// first time. Each time within [`RETURNS_WINDOW`] doubles it: who falls silent again and again is not
/// steady, and viewers see each change.
const STEADY: Duration = Duration::from_secs(2);
const RETURNS_WINDOW: Duration = Duration::from_secs(600);
/// Doublings of it: in the end two minutes.
const DOUBLINGS_MAX: usize = 6;
/// Media with a longer hole in it does not come steadily.
const HOLE: Duration = Duration::from_secs(1);

/// Who publishes, and who waits.
#[derive(Default)]
pub(super) struct Succession {
    /// Counts claims.
    claims: u64,
    /// Whose media is published.
    on_air: Option<Claim>,
    /// Who waits for the one on air to fall silent, or to have been steady for long enough.
    waiting: Option<Claim>,
    /// When the latest takeovers were.
    takeovers: VecDeque<Instant>,
    /// When primary publishers were put on air again.
    returns: VecDeque<UtcTime>,
}

/// A publisher's right to the broadcast.
struct Claim {
    number: u64,
    grant: Grant,
    since: UtcTime,
    /// When media came of it last.
    heard: UtcTime,
    /// Since when it comes without a hole, and whether a picture to begin with was among it.
    steady_since: UtcTime,
    steady_keyframe: bool,
    over: Over,
}

/// Whether a publisher's right is over, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Over {
    token: CancellationToken,
    why: Arc<OnceLock<TakeError>>,
}

impl Over {
    /// Cancelled once it is.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Why it is over, where it is not that another publisher has taken over.
    pub(super) fn why(&self) -> Option<TakeError> {
        self.why.get().cloned()
    }

    fn end(&self, why: Option<TakeError>) {
        if let Some(why) = why {
            // The first reason stands.
            let _ = self.why.set(why);
        }
        self.token.cancel();
    }
}

/// Two publishers keep taking over from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fight;

/// What is to be done about a publisher's media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Publish it.
    OnAir,
    /// Nothing: it waits.
    Waits,
    /// It is to go on air with this: [`Succession::change_over`].
    GoesOnAir,
    /// Its right is over.
    Over,
}

impl Succession {
    /// Whether one with a backup key would wait.
    pub(super) fn waits(&self, grant: &Grant) -> bool {
        grant.backup && self.on_air.as_ref().is_some_and(|on_air| !on_air.grant.backup)
    }

    /// Whether one may take over at `now`.
    pub(super) fn check(&mut self, now: Instant) -> Result<(), Fight> {
        self.takeovers.retain(|at| now.saturating_duration_since(*at) < TAKEOVER_WINDOW);
        if self.takeovers.len() >= TAKEOVERS_MAX { Err(Fight) } else { Ok(()) }
    }

    /// That of somebody on air was taken over at `now`, here or elsewhere.
    pub(super) fn note_takeover(&mut self, now: Instant) {
        if self.takeovers.len() == TAKEOVERS_MAX {
            self.takeovers.pop_front();
        }
        self.takeovers.push_back(now);
    }

    /// Puts one on air instead of whoever is. Returns its number, and what tells it of its end.
    pub(super) fn take_over(&mut self, grant: &Grant, at: UtcTime) -> (u64, Over) {
        let claim = self.claim(grant, at);
        let entered = (claim.number, claim.over.clone());
        let former = self.on_air.replace(claim);
        // At most one of them is a backup to whoever is newer; of two that are, the one on air.
        let (kept, ended) = match (former, self.waiting.take()) {
            (Some(former), None) if former.grant.backup => (Some(former), None),
            (Some(former), Some(waiting)) if former.grant.backup && !grant.backup => {
                (Some(former), Some(waiting))
            }
            (former, Some(waiting)) if waiting.grant.backup || grant.backup => {
                (Some(waiting), former)
            }
            (former, waiting) => {
                waiting.iter().for_each(|waiting| waiting.over.end(None));
                (None, former)
            }
        };
        self.waiting = kept;
        ended.iter().for_each(|ended| ended.over.end(None));
        entered
    }

    /// Lets one wait, instead of whoever does.
    pub(super) fn stand_by(&mut self, grant: &Grant, at: UtcTime) -> (u64, Over) {
        let claim = self.claim(grant, at);
        let entered = (claim.number, claim.over.clone());
        if let Some(former) = self.waiting.replace(claim) {
            former.over.end(None);
        }
        entered
    }

    fn claim(&mut self, grant: &Grant, at: UtcTime) -> Claim {
        self.claims += 1;
        Claim {
            number: self.claims,
            grant: grant.clone(),
            since: at,
            heard: at,
            steady_since: at,
            steady_keyframe: false,
            over: Over::default(),
        }
    }

    /// Media of publisher `number` came at `at`; one may begin with it if `is_start`.
    pub(super) fn media(&mut self, number: u64, at: UtcTime, is_start: bool) -> Heard {
        if let Some(on_air) = self.on_air.as_mut().filter(|claim| claim.number == number) {
            on_air.heard = on_air.heard.max(at);
            return Heard::OnAir;
        }
        let steady = self.steady_for(at);
        let Some(waiting) = self.waiting.as_mut().filter(|claim| claim.number == number) else {
            return Heard::Over;
        };
        if at.saturating_since(waiting.heard) > HOLE {
            (waiting.steady_since, waiting.steady_keyframe) = (at, false);
        }
        waiting.heard = waiting.heard.max(at);
        let is_steady =
            waiting.steady_keyframe && at.saturating_since(waiting.steady_since) >= steady;
        waiting.steady_keyframe |= is_start;
        let gives_way = self.on_air.as_ref().is_none_or(|on_air| {
            let silent = at.saturating_since(on_air.heard) >= SILENT;
            silent || (on_air.grant.backup && !waiting.grant.backup && is_steady)
        });
        if gives_way && is_start { Heard::GoesOnAir } else { Heard::Waits }
    }

    /// How long media of one that waits to return has to come steadily.
    fn steady_for(&mut self, at: UtcTime) -> Duration {
        self.returns.retain(|returned| at.saturating_since(*returned) < RETURNS_WINDOW);
        STEADY * (1 << self.returns.len().min(DOUBLINGS_MAX))
    }

    /// Puts whoever waits on air at `at`; who was on air waits from now on. Returns whether a backup is on
    /// air now; `None` if nobody waited.
    pub(super) fn change_over(&mut self, at: UtcTime) -> Option<bool> {
        let next = self.waiting.take()?;
        let is_backup = next.grant.backup;
        if let Some(mut former) = self.on_air.replace(next) {
            if former.grant.backup && !is_backup {
                if self.returns.len() > DOUBLINGS_MAX {
                    self.returns.pop_front();
                }
                self.returns.push_back(at);
            }
            (former.steady_since, former.steady_keyframe) = (at, false);
            self.waiting = Some(former);
        }
        Some(is_backup)
    }

    /// Whoever publishes ends, since this process may not any more; a backup waits for whoever may. Returns
    /// whether somebody was on air.
    pub(super) fn lose(&mut self, at: UtcTime) -> bool {
        let on_air = self.on_air.take();
        let was_on_air = on_air.is_some();
        let (mut backups, others): (Vec<_>, Vec<_>) =
            [self.waiting.take(), on_air].into_iter().flatten().partition(|it| it.grant.backup);
        others.iter().for_each(|claim| claim.over.end(Some(TakeError::Elsewhere)));
        self.waiting = backups.pop();
        if let Some(waiting) = &mut self.waiting {
            (waiting.steady_since, waiting.steady_keyframe) = (at, false);
        }
        backups.iter().for_each(|claim| claim.over.end(Some(TakeError::Elsewhere)));
        was_on_air
    }

    /// The host ends whoever publishes, and whoever waits.
    pub(super) fn end_all(&mut self) {
        for claim in [self.on_air.take(), self.waiting.take()].into_iter().flatten() {
            claim.over.end(Some(TakeError::Ended));
        }
    }

    /// Ends whoever publishes or waits with `key`.
    pub(super) fn revoke(&mut self, key: &str) {
        for place in [&mut self.on_air, &mut self.waiting] {
            if let Some(claim) = place.take_if(|claim| &*claim.grant.key == key) {
                claim.over.end(Some(TakeError::Ended));
            }
        }
    }

    /// Whether whoever publishes does so with `key`.
    pub(super) fn is_on_air_with(&self, key: &str) -> bool {
        self.on_air.as_ref().is_some_and(|claim| &*claim.grant.key == key)
    }

    /// Publisher `number` has gone.
    pub(super) fn leave(&mut self, number: u64) {
        for place in [&mut self.on_air, &mut self.waiting] {
            place.take_if(|claim| claim.number == number);
        }
    }

    pub(super) fn is_on_air(&self, number: u64) -> bool {
        self.on_air.as_ref().is_some_and(|claim| claim.number == number)
    }

    pub(super) fn is_waiting(&self, number: u64) -> bool {
        self.waiting.as_ref().is_some_and(|claim| claim.number == number)
    }

    /// Who is on air.
    pub(super) fn publishing(&self) -> Option<Publishing> {
        let Claim { grant, since, .. } = self.on_air.as_ref()?;
        Some(Publishing { key: grant.key.clone(), protocol: grant.protocol, since: *since })
    }

    /// Whether somebody waits.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcasts::Protocol;

    fn at(ms: u64) -> UtcTime {
        UtcTime::from_millis(1_795_000_000_000 + ms)
    }

    fn grant(backup: bool) -> Grant {
        let key = if backup { "backup" } else { "main" };
        Grant { key: key.into(), backup, protocol: Protocol::Rtmp }
    }

    /// A primary publisher on air, and a backup that waits.
    fn both() -> (Succession, (u64, Over), (u64, Over)) {
        let mut succession = Succession::default();
        let main = succession.take_over(&grant(false), at(0));
        assert!(succession.waits(&grant(true)) && !succession.waits(&grant(false)));
        let backup = succession.stand_by(&grant(true), at(0));
        (succession, main, backup)
    }

    /// Sends from `from` to `to` 25 pictures a second, each 25th a keyframe, and changes over when told to.
    /// Returns when that was.
    fn send(succession: &mut Succession, number: u64, from: u64, to: u64) -> Option<u64> {
        let mut changed = None;
        for ms in (from..to).step_by(40) {
            if succession.media(number, at(ms), ms.is_multiple_of(1_000)) == Heard::GoesOnAir {
                succession.change_over(at(ms));
                changed = Some(ms);
            }
        }
        changed
    }

    #[test]
    fn a_backup_begins_at_its_keyframe_once_the_primary_is_silent() {
        let (mut succession, main, backup) = both();
        assert_eq!(succession.media(main.0, at(1_500), false), Heard::OnAir);
        assert_eq!(send(&mut succession, backup.0, 0, 4_500), None, "not for three seconds");
        assert_eq!(send(&mut succession, backup.0, 4_520, 6_000), Some(5_000));
        assert!(succession.is_on_air(backup.0) && succession.is_waiting(main.0));
        assert!(!main.1.token().is_cancelled(), "it may come back");
    }

    #[test]
    fn the_primary_returns_at_a_keyframe_once_it_has_been_steady() {
        let (mut succession, main, backup) = both();
        assert_eq!(send(&mut succession, backup.0, 0, 5_000), Some(3_000));
        // What had piled up, and then a hole.
        assert_eq!(succession.media(main.0, at(5_000), true), Heard::Waits);
        assert_eq!(send(&mut succession, backup.0, 5_000, 7_000), None);
        assert_eq!(send(&mut succession, main.0, 6_520, 12_000), Some(9_000));
        assert!(succession.is_on_air(main.0) && succession.is_waiting(backup.0));
        assert!(!backup.1.token().is_cancelled());
    }

    #[test]
    fn one_that_falls_silent_again_and_again_has_to_be_steady_for_longer() {
        let (mut succession, main, backup) = both();
        let (mut now, mut waited) = (0, Vec::new());
        for _ in 0..9 {
            let silent = now;
            now = (now..)
                .find(|ms| send(&mut succession, backup.0, *ms, *ms + 1).is_some())
                .expect("on air");
            assert!(now - silent <= 4_000);
            let begins = now + 5_000;
            let mut ms = begins;
            while !succession.is_on_air(main.0) {
                send(&mut succession, backup.0, ms, ms + 1);
                send(&mut succession, main.0, ms, ms + 1);
                ms += 20;
            }
            waited.push((ms - begins) / 1_000);
            now = ms;
        }
        assert_eq!(waited[..4], [2, 4, 8, 16], "{waited:?}");
        assert!(waited.iter().all(|secs| *secs <= 128), "it ends: {waited:?}");
    }

    #[test]
    fn the_newest_of_its_kind_wins_and_a_backup_stays() {
        let (mut succession, main, backup) = both();
        let newer = succession.take_over(&grant(false), at(1_000));
        assert!(main.1.token().is_cancelled() && main.1.why().is_none());
        assert!(succession.is_on_air(newer.0) && succession.is_waiting(backup.0));
        let newer_backup = succession.stand_by(&grant(true), at(1_000));
        assert!(backup.1.token().is_cancelled());
        // A primary that is back while its backup is on air, and the frozen one of before still there.
        assert_eq!(send(&mut succession, newer_backup.0, 2_000, 5_500), Some(4_000));
        let back = succession.take_over(&grant(false), at(6_000));
        assert!(newer.1.token().is_cancelled() && !newer_backup.1.token().is_cancelled());
        assert!(succession.is_on_air(back.0) && succession.is_waiting(newer_backup.0));
    }

    #[test]
    fn a_newer_backup_takes_over_from_one_on_air_and_the_frozen_primary_goes_on_waiting() {
        let (mut succession, main, backup) = both();
        send(&mut succession, backup.0, 0, 3_500);
        let newer = succession.take_over(&grant(true), at(4_000));
        assert!(backup.1.token().is_cancelled() && !main.1.token().is_cancelled());
        assert!(succession.is_on_air(newer.0) && succession.is_waiting(main.0));
    }

    #[test]
    fn where_another_process_publishes_only_a_backup_waits() {
        let (mut succession, main, backup) = both();
        assert!(succession.lose(at(1_000)));
        assert_eq!(main.1.why(), Some(TakeError::Elsewhere));
        assert!(succession.is_waiting(backup.0) && !backup.1.token().is_cancelled());
        assert_eq!(succession.media(backup.0, at(2_000), true), Heard::GoesOnAir, "if it may");
        succession.change_over(at(2_000));
        assert!(succession.lose(at(3_000)) && succession.is_waiting(backup.0));
        assert_eq!(succession.media(main.0, at(3_000), true), Heard::Over);
    }

    #[test]
    fn takeovers_are_bounded() {
        let mut succession = Succession::default();
        let now = Instant::now();
        for _ in 0..TAKEOVERS_MAX {
            succession.check(now).expect("not yet");
            succession.note_takeover(now);
        }
        assert_eq!(succession.check(now), Err(Fight));
        assert_eq!(succession.check(now + TAKEOVER_WINDOW), Ok(()));
    }
}
