//! Simulated links: a report every third of a second, from a receiver that does as Chromium's does.

use super::*;

const AUDIO: u64 = 64_000;
const RUNGS: [Rung; 3] = [rung(0, 2_500_000), rung(1, 1_000_000), rung(2, 300_000)];
const REPORT: Duration = Duration::from_millis(333);

const fn rung(slot: u8, bps: u64) -> Rung {
    Rung { slot, bps: Some(bps) }
}

/// A viewer on a link of `capacity`, which may change.
struct Sim {
    choice: Choice,
    at: usize,
    now: Instant,
    began: Instant,
    estimate: Option<f64>,
    loss: f64,
    /// Bits that the link has not carried yet.
    queue: f64,
    moves: Vec<(Duration, Step)>,
    /// Reports taken on each rung.
    spent: [u32; 3],
}

impl Sim {
    fn new(at: usize) -> Self {
        let now = Instant::now();
        let choice = Choice::new(now);
        Self {
            choice,
            at,
            now,
            began: now,
            estimate: None,
            loss: 0.0,
            queue: 0.0,
            moves: Vec::new(),
            spent: [0; 3],
        }
    }

    /// A receiver that sends REMB: under overuse 0.85 of what arrives, but never more than before;
    /// otherwise 8% more a second, up to 1.5 times what arrives.
    fn run(&mut self, time: Duration, capacity: impl Fn(Duration) -> u64) {
        let until = self.now + time;
        while self.now < until {
            self.now += REPORT;
            let step = REPORT.as_secs_f64();
            let capacity = capacity(self.now - self.began) as f64;
            let sent = (RUNGS[self.at].bps.unwrap() + AUDIO) as f64;
            self.queue = (self.queue + (sent - capacity) * step).max(0.0);
            // A queue of 300 ms, beyond which it loses.
            let over = (self.queue - capacity * 0.3).max(0.0);
            self.queue -= over;
            let loss = over / (sent * step);
            self.loss = (self.loss + loss) / 2.0;
            let arrived = sent.min(capacity);
            let before = self.estimate.unwrap_or(arrived);
            let overused = self.queue > capacity * 0.1;
            self.estimate = Some(if overused {
                before.min(0.85 * arrived)
            } else {
                before.max((before * (1.0 + 0.08 * step)).min(1.5 * arrived + 10_000.0))
            });
            self.spent[self.at] += 1;
            self.report();
        }
    }

    fn report(&mut self) {
        let sight = Sight {
            rungs: &RUNGS,
            at: self.at,
            load: Load {
                audio_bps: AUDIO,
                estimate: self.estimate.map(|estimate| estimate as u64),
                loss: self.loss,
            },
        };
        let Some(step) = self.choice.judge(&sight, self.now) else { return };
        self.moves.push((self.now - self.began, step));
        match step {
            Step::Up(to) => {
                assert_eq!(to + 1, self.at, "one step");
                self.at = to;
                self.choice.raised(self.now);
            }
            Step::Down(to, _) => {
                assert!(to > self.at);
                self.at = to;
                self.choice.settle(self.now);
            }
        }
    }

    fn ups(&self) -> Vec<f64> {
        let ups = self.moves.iter().filter(|(_, step)| matches!(step, Step::Up(_)));
        ups.map(|(at, _)| at.as_secs_f64()).collect()
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[test]
fn a_link_with_room_is_left_alone_and_gets_the_best_within_a_minute() {
    let mut sim = Sim::new(0);
    sim.run(minutes(10), |_| 10_000_000);
    assert!(sim.moves.is_empty(), "{:?}", sim.moves);
    let mut sim = Sim::new(2);
    sim.run(minutes(1), |_| 10_000_000);
    assert_eq!((sim.at, sim.moves.len()), (0, 2), "{:?}", sim.moves);
    sim.run(minutes(10), |_| 10_000_000);
    assert_eq!(sim.moves.len(), 2);
}

#[test]
fn a_link_that_falls_is_followed_within_a_report_or_two() {
    let mut sim = Sim::new(0);
    let falls = Duration::from_secs(20);
    let capacity = |at| if at < falls { 4_000_000 } else { 700_000 };
    sim.run(Duration::from_secs(25), capacity);
    let (at, step) = sim.moves[0];
    assert_eq!(step, Step::Down(2, Trouble::Estimate));
    assert!(at < falls + 3 * REPORT, "{at:?}");
    assert_eq!(sim.moves.len(), 1);
}

#[test]
fn a_step_up_that_fails_is_taken_back_and_tried_ever_more_rarely() {
    let mut sim = Sim::new(0);
    sim.run(minutes(60), |_| 1_500_000);
    let reports: u32 = sim.spent.iter().sum();
    assert!(f64::from(sim.spent[1]) > 0.95 * f64::from(reports), "{:?}", sim.spent);
    let ups = sim.ups();
    // 10, 20, 40, 80, 160 s and then every five minutes.
    assert!((14..=18).contains(&ups.len()), "{ups:?}");
    let gaps: Vec<f64> = ups.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[..4].windows(2).all(|pair| pair[1] > pair[0] * 1.3), "{gaps:?}");
    // What is tried in vain lasts a few seconds.
    for pair in sim.moves.windows(2) {
        if let ((up, Step::Up(_)), (down, Step::Down(..))) = (pair[0], pair[1]) {
            assert!(down - up < Duration::from_secs(7), "{up:?} to {down:?}");
        }
    }
}

#[test]
fn a_link_that_comes_and_goes_does_not_make_the_picture_flap() {
    for half in [2, 4, 8, 16] {
        let mut sim = Sim::new(0);
        let capacity = |at: Duration| {
            if (at.as_secs() / half).is_multiple_of(2) { 5_000_000 } else { 600_000 }
        };
        sim.run(minutes(10), capacity);
        let ups = sim.ups();
        assert!(ups.len() <= 8, "every {half} s: {ups:?}");
        assert!(ups.iter().filter(|at| **at > 300.0).count() <= 2, "every {half} s: {ups:?}");
    }
}

#[test]
fn an_estimate_that_only_lags_behind_a_livelier_picture_changes_nothing() {
    let now = Instant::now();
    let mut choice = Choice::new(now);
    let mut judge = |bps: u64, estimate: u64, seconds: u64| {
        let rungs = [rung(0, bps), rung(1, 100_000)];
        let sight = Sight {
            rungs: &rungs,
            at: 0,
            load: Load { audio_bps: 0, estimate: Some(estimate), loss: 0.0 },
        };
        choice.judge(&sight, now + Duration::from_secs(seconds))
    };
    // A still picture of 300 kb/s, and then a film; the estimate grows by 8% a second.
    assert_eq!(judge(300_000, 450_000, 1), None);
    let mut estimate = 450_000.0;
    for second in 2..25 {
        estimate *= 1.08;
        assert_eq!(judge(2_500_000, estimate as u64, second), None, "{second}");
    }
    // If it stops to, the link may be full.
    let stopped = (25..40).find_map(|second| judge(3_500_000, estimate as u64, second));
    assert_eq!(stopped, Some(Step::Down(1, Trouble::Estimate)));
}

#[test]
fn loss_counts_when_it_lasts_and_at_once_after_a_step_up() {
    let mut now = Instant::now();
    let mut choice = Choice::new(now);
    let sight = |at: usize, loss: f64| Sight {
        rungs: &RUNGS,
        at,
        load: Load { audio_bps: AUDIO, estimate: None, loss },
    };
    assert_eq!(choice.judge(&sight(0, 0.3), now), None);
    now += REPORT;
    assert_eq!(choice.judge(&sight(0, 0.01), now), None);
    now += REPORT;
    assert_eq!(choice.judge(&sight(0, 0.3), now), None);
    now += LOSS_TIME;
    assert_eq!(choice.judge(&sight(0, 0.3), now), Some(Step::Down(1, Trouble::Loss)));
    now += CALM_TRIAL;
    assert_eq!(choice.judge(&sight(1, 0.0), now), Some(Step::Up(0)));
    choice.raised(now);
    now += REPORT;
    assert_eq!(choice.judge(&sight(0, 0.2), now), Some(Step::Down(1, Trouble::Loss)));
    // A bad radio link: no reason to go down, nor to go up.
    for _ in 0..300 {
        now += REPORT;
        assert_eq!(choice.judge(&sight(1, 0.05), now), None);
    }
}

#[test]
fn the_first_rendition_is_the_best_that_most_links_carry_with_its_audio() {
    assert_eq!(first(&RUNGS, AUDIO, None), Some(0));
    let rich = [rung(0, START_BPS - AUDIO + 1), rung(1, START_BPS - AUDIO)];
    assert_eq!(first(&rich, AUDIO, None), Some(1));
    assert_eq!(first(&RUNGS, AUDIO, Some(1_200_000)), Some(1));
    assert_eq!(first(&RUNGS, AUDIO, Some(1)), Some(2));
    let unknown = Rung { slot: 0, bps: None };
    assert_eq!(first(&[unknown, rung(1, 1_000)], AUDIO, None), Some(1));
    assert_eq!(first(&[unknown], AUDIO, None), Some(0));
    assert_eq!(first(&[], AUDIO, None), None);
}
