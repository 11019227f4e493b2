//! A viewer's place in the video, and the rule by which it starts.
//!
//! A joiner gets the newest keyframe at once and then the cached frames of its group, faster than
//! they were made but not in a burst, until it is at the live edge. What is sent late carries the
//! timestamp that is live when it is sent: with the original ones a browser's jitter buffer takes
//! the burst for the pace of the stream and never recovers. A keyframe that arrives while the
//! viewer is still behind ends the chase.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::history::{History, Unit};

/// A viewer that reports the picture lost is sent the keyframe again, but not within this of the
/// last one: it may still be on its way. A browser repeats itself every 200 ms; one that never got
/// the very first packet has no other way to say so.
const RESTART_MIN: Duration = Duration::from_millis(300);
/// Each answer doubles that time, up to this: a link that loses every keyframe is not helped by more
/// of them.
const RESTART_MAX: Duration = Duration::from_secs(4);
/// After so long without a report the picture is taken to be whole.
const RESTART_CALM: Duration = Duration::from_secs(10);

/// A place in the video.
#[derive(Debug)]
pub(super) struct Cursor {
    state: State,
    speed: f64,
    /// Bytes of the keyframe that the start began with, while the link is not given time for it.
    burst: usize,
    /// When the viewer was last sent a keyframe.
    keyed: Option<Instant>,
    restarts: Restarts,
    skips: u32,
}

/// Answers to reports of a lost picture.
#[derive(Debug)]
struct Restarts {
    /// How long after a keyframe the next report is answered.
    interval: Duration,
    asked: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// For a keyframe.
    Waiting,
    /// Behind: frame `next` is due when its distance from `from`, at the viewer's speed, has
    /// passed since `since`.
    Catching { next: u64, from: u64, since: Instant },
    /// At the live edge.
    Live { next: u64 },
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this frame with this RTP time; `live` if it is sent as it came, not from the cache.
    Send {
        /// The frame.
        unit: Arc<Unit>,
        /// Its RTP time in ticks.
        ticks: u64,
        /// Whether the viewer was at the live edge.
        live: bool,
    },
    /// Nothing until the next frame, or until this instant.
    Wait(Option<Instant>),
}

impl Cursor {
    /// A viewer that has had nothing yet. `speed` is how much faster than live it may be sent what
    /// is cached.
    pub(super) fn new(speed: f64) -> Self {
        let restarts = Restarts { interval: RESTART_MIN, asked: None };
        Self { state: State::Waiting, speed, burst: 0, keyed: None, restarts, skips: 0 }
    }

    /// From now on what is cached goes this much faster than live. `clock_hz` is the video's.
    pub(super) fn set_speed(&mut self, speed: f64, clock_hz: u32, now: Instant) {
        if let State::Catching { next, from, since } = self.state {
            // What was due by now stays due; only what follows is paced anew.
            let passed = now.saturating_duration_since(since).as_secs_f64() * self.speed;
            let from = from + (passed * f64::from(clock_hz)) as u64;
            self.state = State::Catching { next, from, since: since.max(now) };
        }
        self.speed = speed;
    }

    /// Starts again from the newest keyframe, unless the viewer was sent one just now.
    pub(super) fn restart(&mut self, now: Instant) -> bool {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        if since(self.restarts.asked).is_some_and(|calm| calm >= RESTART_CALM) {
            self.restarts.interval = RESTART_MIN;
        }
        self.restarts.asked = Some(now);
        if since(self.keyed).is_some_and(|recently| recently < self.restarts.interval) {
            return false;
        }
        self.restarts.interval = (self.restarts.interval * 2).min(RESTART_MAX);
        self.state = State::Waiting;
        true
    }

    /// Whether the viewer is sent what is cached without a pause. Not so while the link is given
    /// time for the keyframe.
    pub(super) fn is_catching(&self, now: Instant) -> bool {
        matches!(self.state, State::Catching { since, .. } if self.burst == 0 && since <= now)
    }

    /// The link takes no more for now. Frames wait where they are, in the history that all share;
    /// once a keyframe is newer than the one that is next, what lies before it is skipped.
    pub(super) fn hold(&mut self, history: &History) {
        let (State::Live { next } | State::Catching { next, .. }) = self.state else { return };
        if history.newest_key().is_some_and(|key| key.serial > next) {
            self.skips += 1;
            self.state = State::Waiting;
        }
    }

    /// Goes on with this keyframe of another rendition, and then as a joiner does.
    pub(super) fn jump(&mut self, key: &Unit, now: Instant) {
        self.begin(key, now);
    }

    /// How often frames that the viewer still needed were gone, since the last call.
    pub(super) fn take_skips(&mut self) -> u32 {
        std::mem::take(&mut self.skips)
    }

    /// What to do at `now`. Call until it says wait.
    pub(super) fn next(&mut self, history: &History, now: Instant) -> Step {
        // Each turn settles into another state or returns; three states, so three turns.
        for _ in 0..3 {
            match self.state {
                State::Waiting => {
                    let Some(key) = history.newest_key() else { return Step::Wait(None) };
                    self.begin(key, now);
                }
                State::Catching { next, from, since } => {
                    if let Some(key) = history.newest_key()
                        && key.serial > next
                    {
                        self.begin(key, now);
                        continue;
                    }
                    let Some(unit) = history.get(next) else {
                        self.fell_off(history, next);
                        if matches!(self.state, State::Live { .. }) {
                            return Step::Wait(None);
                        }
                        continue;
                    };
                    let behind = unit.ticks.saturating_sub(from) as f64;
                    let wait = behind / (f64::from(unit.clock_hz) * self.speed);
                    let due = since + seconds(wait);
                    if now < due {
                        return Step::Wait(Some(due));
                    }
                    // A keyframe is many frames' worth of bytes at once. The frame after it goes
                    // soon, since only from it the receiver sees what of the keyframe was lost; then
                    // the link gets the time to pass the one and the resends of it.
                    let since = match history.bitrate() {
                        Some(bitrate) if !unit.keyframe && self.burst > 0 => {
                            let bits = std::mem::take(&mut self.burst) as f64 * 8.0;
                            since + seconds(bits / (bitrate as f64 * self.speed))
                        }
                        _ => since,
                    };
                    let ticks = history.live_ticks(now).unwrap_or(unit.ticks);
                    let newest = history.newest().is_some_and(|newest| newest.serial == next);
                    self.state = if newest {
                        State::Live { next: next + 1 }
                    } else {
                        State::Catching { next: next + 1, from, since }
                    };
                    return Step::Send { unit: unit.clone(), ticks, live: false };
                }
                State::Live { next } => {
                    if let Some(unit) = history.get(next) {
                        self.state = State::Live { next: next + 1 };
                        if unit.keyframe {
                            self.keyed = Some(now);
                        }
                        return Step::Send { unit: unit.clone(), ticks: unit.ticks, live: true };
                    }
                    self.fell_off(history, next);
                    if matches!(self.state, State::Live { .. }) {
                        return Step::Wait(None);
                    }
                }
            }
        }
        Step::Wait(None)
    }

    fn begin(&mut self, key: &Unit, now: Instant) {
        self.keyed = Some(now);
        self.burst = key.payloads.bytes();
        self.state = State::Catching { next: key.serial, from: key.ticks, since: now };
    }

    /// `next` is not kept: either it is yet to come, or the viewer must go on with a keyframe.
    fn fell_off(&mut self, history: &History, next: u64) {
        self.state = match history.newest() {
            Some(newest) if newest.serial >= next => {
                self.skips += 1;
                State::Waiting
            }
            _ => State::Live { next },
        };
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whep::history::tests::unit;

    const FRAME: Duration = Duration::from_nanos(33_333_333);

    fn history(frames: u64, group: u64) -> History {
        let mut history = History::default();
        for serial in 0..frames {
            history.push(unit(serial, serial * 3_000, serial % group == 0, 50));
        }
        history
    }

    /// Everything due at `now`: serials and RTP times.
    fn drain(cursor: &mut Cursor, history: &History, now: Instant) -> Vec<(u64, u64, bool)> {
        let mut sent = Vec::new();
        while let Step::Send { unit, ticks, live } = cursor.next(history, now) {
            sent.push((unit.serial, ticks, live));
        }
        sent
    }

    #[test]
    fn a_joiner_gets_the_keyframe_at_once_and_the_rest_paced_on_the_live_clock() {
        let history = history(40, 30);
        let mut cursor = Cursor::new(10.0);
        let start = history.newest().unwrap().pushed;
        let live = 39 * 3_000;
        assert_eq!(drain(&mut cursor, &history, start), [(30, live, false)]);
        let Step::Wait(Some(due)) = cursor.next(&history, start) else { panic!("paced") };
        assert!(due > start && due <= start + FRAME / 10 + Duration::from_micros(1));
        let sent = drain(&mut cursor, &history, start + FRAME);
        assert_eq!(
            sent.iter().map(|(serial, ..)| *serial).collect::<Vec<_>>(),
            (31..40).collect::<Vec<_>>()
        );
        assert!(sent.iter().all(|(_, ticks, _)| (live..=live + 3_000).contains(ticks)));
        assert!(matches!(cursor.next(&history, start + FRAME), Step::Wait(None)));
    }

    #[test]
    fn at_the_live_edge_frames_go_as_they_come_with_their_own_time() {
        let mut history = history(1, 30);
        let mut cursor = Cursor::new(1.5);
        let now = Instant::now();
        assert_eq!(drain(&mut cursor, &history, now).len(), 1);
        history.push(unit(1, 3_000, false, 50));
        assert_eq!(drain(&mut cursor, &history, now), [(1, 3_000, true)]);
    }

    #[test]
    fn a_live_keyframe_ends_the_chase() {
        let mut history = history(29, 30);
        let mut cursor = Cursor::new(1.5);
        let now = Instant::now();
        drain(&mut cursor, &history, now);
        history.push(unit(29, 29 * 3_000, false, 50));
        history.push(unit(30, 30 * 3_000, true, 50));
        assert_eq!(drain(&mut cursor, &history, now)[0].0, 30);
        history.push(unit(31, 31 * 3_000, false, 50));
        assert_eq!(drain(&mut cursor, &history, now), [(31, 31 * 3_000, true)]);
    }

    #[test]
    fn a_viewer_whose_frames_are_gone_goes_on_with_the_newest_keyframe() {
        let mut cursor = Cursor::new(1.5);
        let now = Instant::now();
        drain(&mut cursor, &history(1, 30), now);
        let mut later = History::default();
        for serial in 50..60 {
            later.push(unit(serial, serial * 3_000, serial == 55, 50));
        }
        assert_eq!(drain(&mut cursor, &later, now)[0].0, 55);
        assert_eq!(cursor.take_skips(), 1);
    }

    #[test]
    fn a_link_that_takes_no_more_costs_the_frames_up_to_the_next_keyframe() {
        let mut history = history(1, 30);
        let mut cursor = Cursor::new(1.5);
        let now = Instant::now();
        drain(&mut cursor, &history, now);
        for serial in 1..10 {
            history.push(unit(serial, serial * 3_000, false, 50));
            cursor.hold(&history);
        }
        // No keyframe yet: all of it is still due.
        let due: Vec<u64> = drain(&mut cursor, &history, now).iter().map(|sent| sent.0).collect();
        assert_eq!(due, (1..10).collect::<Vec<_>>());
        for serial in 10..20 {
            history.push(unit(serial, serial * 3_000, serial == 15, 50));
            cursor.hold(&history);
        }
        assert_eq!(drain(&mut cursor, &history, now)[0].0, 15);
        assert_eq!(cursor.take_skips(), 1);
    }

    #[test]
    fn picture_loss_is_answered_from_the_cache_and_less_often_the_longer_it_lasts() {
        let history = history(35, 30);
        let mut cursor = Cursor::new(10.0);
        let start = Instant::now();
        drain(&mut cursor, &history, start);
        // A viewer that loses every keyframe asks five times a second.
        let mut answered = Vec::new();
        for ms in (0..15_000).step_by(200) {
            let now = start + Duration::from_millis(ms);
            if cursor.restart(now) {
                answered.push(ms);
                assert_eq!(drain(&mut cursor, &history, now)[0].0, 30);
            }
        }
        assert_eq!(answered, [400, 1_000, 2_200, 4_600, 8_600, 12_600]);
        let calm = start + Duration::from_millis(14_800) + RESTART_CALM;
        assert!(cursor.restart(calm));
        drain(&mut cursor, &history, calm);
        assert!(cursor.restart(calm + 2 * RESTART_MIN), "it starts over after a calm");
    }

    #[test]
    fn a_live_keyframe_on_its_way_answers_a_report() {
        let mut history = history(1, 30);
        let mut cursor = Cursor::new(10.0);
        let start = Instant::now();
        drain(&mut cursor, &history, start);
        history.push(unit(1, 3_000, true, 50));
        let later = start + RESTART_MAX;
        drain(&mut cursor, &history, later);
        assert!(!cursor.restart(later + Duration::from_millis(10)));
    }

    #[test]
    fn a_new_speed_counts_from_the_moment_it_is_set() {
        let history = history(120, 120);
        let mut cursor = Cursor::new(1.0);
        let mut early = Vec::new();
        let start = Instant::now();
        let mut drain = |cursor: &mut Cursor, now| {
            let sent = drain(cursor, &history, now);
            early.extend(sent.iter().map(|(serial, ..)| *serial));
            early.len()
        };
        // A little over, so that no frame is due at the very instant.
        let at = |frames: u32| start + FRAME * frames + Duration::from_millis(1);
        assert_eq!(drain(&mut cursor, start), 1);
        // The keyframe is one frame's worth here, and takes that time.
        assert_eq!(drain(&mut cursor, at(11)), 11);
        cursor.set_speed(4.0, 90_000, at(11));
        assert_eq!(drain(&mut cursor, at(11)), 11, "no burst");
        assert_eq!(drain(&mut cursor, at(21)), 51);
        cursor.set_speed(1.0, 90_000, at(21));
        assert_eq!(drain(&mut cursor, at(31)), 61);
    }
}
