//! What a viewer does when pictures stop: when it asks the edge, begins anew, or goes to another edge. It is the
//! policy of our own player (`web/src/ladder.ts`, `session.ts` and `edges.ts`) with one path pinned, and
//! with its figures. Pure: moments go in, actions come out.

use std::time::{Duration, Instant};

/// Without a picture for so long, the edge is asked.
const STALL_ASK: Duration = Duration::from_secs(2);
/// Without a picture for so long, though the edge has some, the connection is dead.
const STALL_DEAD: Duration = Duration::from_secs(5);
/// From one question to the next.
const PROBE: Duration = Duration::from_millis(1_500);
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// An edge that was left is not gone to again for so long, unless there is no other and it says that it is well.
const LOST: Duration = Duration::from_secs(20);
/// And is not asked whether it is for so long.
const LOOK: Duration = Duration::from_secs(4);
/// While no other is well and the edge is about to stop, they are asked again within so long.
const LOOK_AGAIN: Duration = Duration::from_secs(4);
/// Viewers leave an edge that is lost, or about to go, within so long.
const LEAVE_LOST: Duration = Duration::from_millis(400);
const LEAVE_DRAINING: Duration = Duration::from_secs(3);

/// What the edge says of the broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    Live,
    /// Away, ended, or unknown to it: nothing to be had here now.
    Away,
    #[default]
    Unreachable,
}

/// Why an attempt came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Of the edge, which another may not have.
    Edge,
    /// There is no media.
    Absent,
    /// Of this attempt.
    Attempt,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Picture(u64),
    Failed(u64, Failure),
    Standing(Standing),
    /// The edge is about to stop.
    Draining,
    /// Or not, if it was: another process is there.
    Staying,
    /// The edge has lost its upstream, and that one has not.
    Better(usize),
    /// Of the others that one is well, if any.
    Looked(Option<usize>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// An attempt at an edge.
    Start(u64, usize),
    Stop(u64),
    /// Ask that edge how the broadcast stands.
    Ask(usize),
    /// Ask these other edges than the first whether one of them is well.
    Look(usize, Vec<usize>),
}

#[derive(Clone, Copy, Debug)]
struct Front {
    id: u64,
    edge: usize,
    last: Instant,
    dead: bool,
}

#[derive(Clone, Copy, Debug)]
struct Trying {
    id: u64,
    edge: usize,
    deadline: Instant,
}

/// One viewer.
#[derive(Debug)]
pub(crate) struct Ladder {
    /// How long an attempt may take to its first picture.
    first_picture: Duration,
    /// When each edge was left last.
    left: Vec<Option<Instant>>,
    current: usize,
    front: Option<Front>,
    trying: Option<Trying>,
    retry: Option<Instant>,
    probe: Option<Instant>,
    asking: bool,
    /// The edge is about to stop.
    drained: bool,
    /// How soon an edge is to be left for one that is looked for.
    looking: Option<Duration>,
    look: Option<Instant>,
    /// When to go, and where.
    leaving: Option<(Instant, usize)>,
    failures: u32,
    ids: u64,
    actions: Vec<Action>,
    /// What it watched had to be begun anew at the same edge, and at another.
    pub(crate) anew: usize,
    pub(crate) moved: usize,
}

impl Ladder {
    /// A viewer of the first of so many edges, who begins at once.
    pub(crate) fn new(edges: usize, first_picture: Duration, now: Instant) -> Self {
        let mut ladder = Self {
            first_picture,
            left: vec![None; edges],
            current: 0,
            front: None,
            trying: None,
            retry: None,
            probe: None,
            asking: false,
            drained: false,
            looking: None,
            look: None,
            leaving: None,
            failures: 0,
            ids: 0,
            actions: Vec::new(),
            anew: 0,
            moved: 0,
        };
        ladder.start(now);
        ladder
    }

    /// What is to be done since the last call.
    pub(crate) fn drain(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The edge that is asked.
    pub(crate) fn edge(&self) -> usize {
        self.current
    }

    /// When [`Self::timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let trying = self.trying.map(|trying| trying.deadline);
        let leaving = self.leaving.map(|(at, _)| at);
        [trying, leaving, self.look, self.retry, self.probe_due()].into_iter().flatten().min()
    }

    /// Takes what happens; `random` is from 0 to 1.
    pub(crate) fn handle(&mut self, event: Event, random: f64, now: Instant) {
        match event {
            Event::Picture(id) => self.picture(id, now),
            Event::Failed(id, failure) => self.failed(id, failure, random, now),
            Event::Standing(standing) => self.stands(standing, random, now),
            Event::Draining => {
                self.drained = true;
                // It plays on until it stops, and is left only for one that is known to be better.
                self.look(LEAVE_DRAINING, now);
            }
            Event::Staying if self.drained => {
                (self.drained, self.looking, self.look) = (false, None, None);
            }
            Event::Staying => {}
            Event::Looked(edge) => self.looked(edge, random, now),
            Event::Better(edge) => self.leave_for(edge, LEAVE_LOST, random, now),
        }
    }

    /// Does what is due.
    pub(crate) fn timeout(&mut self, random: f64, now: Instant) {
        if let Some((_, edge)) = self.leaving.filter(|(at, _)| now >= *at) {
            self.leaving = None;
            self.current = edge;
            (self.asking, self.drained, self.looking, self.look) = (false, false, None, None);
            self.start(now);
        }
        if self.look.is_some_and(|at| now >= at) {
            self.look(LEAVE_DRAINING, now);
        }
        if let Some(trying) = self.trying.filter(|trying| now >= trying.deadline) {
            self.failed(trying.id, Failure::Attempt, random, now);
        }
        if self.retry.is_some_and(|at| now >= at) {
            self.start(now);
        }
        if self.probe_due().is_some_and(|at| now >= at) {
            self.ask();
        }
    }

    fn probe_due(&self) -> Option<Instant> {
        if self.asking {
            return None;
        }
        if self.probe.is_some() {
            return self.probe;
        }
        let idle = self.trying.is_none() && self.retry.is_none();
        let front = self.front.filter(|front| !front.dead && idle)?;
        Some(front.last + STALL_ASK)
    }

    fn start(&mut self, now: Instant) {
        if let Some(before) = self.trying.take() {
            self.actions.push(Action::Stop(before.id));
        }
        self.ids += 1;
        (self.retry, self.probe) = (None, None);
        let deadline = now + self.first_picture;
        self.trying = Some(Trying { id: self.ids, edge: self.current, deadline });
        self.actions.push(Action::Start(self.ids, self.current));
    }

    fn picture(&mut self, id: u64, now: Instant) {
        if let Some(trying) = self.trying.filter(|trying| trying.id == id) {
            self.trying = None;
            let front = Front { id, edge: trying.edge, last: now, dead: false };
            if let Some(before) = self.front.replace(front) {
                self.actions.push(Action::Stop(before.id));
                *(if before.edge == trying.edge { &mut self.anew } else { &mut self.moved }) += 1;
            }
        } else if let Some(front) = self.front.as_mut().filter(|f| f.id == id && !f.dead) {
            front.last = now;
            // It moves again by itself: no replacement at the same edge is needed.
            let (edge, trying) = (front.edge, self.trying);
            if let Some(trying) = trying.filter(|trying| trying.edge == edge) {
                self.actions.push(Action::Stop(trying.id));
                self.trying = None;
            }
        } else {
            return;
        }
        (self.retry, self.probe, self.failures) = (None, None, 0);
    }

    fn failed(&mut self, id: u64, failure: Failure, random: f64, now: Instant) {
        if self.trying.is_some_and(|trying| trying.id == id) {
            self.trying = None;
            self.actions.push(Action::Stop(id));
            let wait = match failure {
                Failure::Absent => PROBE,
                _ => (RETRY * 2_u32.saturating_pow(self.failures)).min(RETRY_MAX),
            };
            if !self.is_alive(now) {
                self.failures = if failure == Failure::Absent { 0 } else { self.failures + 1 };
                self.retry = Some(now + jittered(wait, random));
            }
        } else if let Some(front) = self.front.as_mut().filter(|f| f.id == id && !f.dead) {
            front.dead = true;
            self.probe = None;
            if self.trying.is_none() && self.retry.is_none() {
                self.ask();
            }
        } else {
            return;
        }
        if failure == Failure::Edge {
            self.leave(LEAVE_LOST, random, now);
        }
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.front.is_some_and(|f| !f.dead && now.saturating_duration_since(f.last) < STALL_DEAD)
    }

    fn ask(&mut self) {
        (self.asking, self.probe) = (true, None);
        self.actions.push(Action::Ask(self.current));
    }

    fn stands(&mut self, standing: Standing, random: f64, now: Instant) {
        self.asking = false;
        let silent = self.front.map(|front| now.saturating_duration_since(front.last));
        let dead = self.front.is_none_or(|front| front.dead);
        // One that has no place, or refuses this viewer alone, is not left for another that may do the same.
        if standing == Standing::Unreachable && !self.leave(LEAVE_LOST, random, now) {
            self.look(LEAVE_LOST, now);
        }
        if self.retry.is_some() || (!dead && silent.is_some_and(|silent| silent < STALL_ASK)) {
            return;
        }
        if self.trying.is_some() {
            return;
        }
        match standing {
            Standing::Live if dead || silent.is_none_or(|silent| silent >= STALL_DEAD) => {
                self.start(now);
            }
            Standing::Away if dead => self.retry = Some(now + jittered(PROBE, random)),
            _ => self.probe = Some(now + jittered(PROBE * 2, random)),
        }
    }

    /// Goes to another edge within so long, if there is one that was not left a moment ago; whether there is.
    fn leave(&mut self, within: Duration, random: f64, now: Instant) -> bool {
        let next = one_of(&self.left_for(LOST, now), random);
        if let Some(next) = next {
            self.leave_for(next, within, random, now);
        }
        next.is_some()
    }

    /// Goes to an edge that says that it is well, also if it was left a moment ago.
    fn look(&mut self, within: Duration, now: Instant) {
        self.look = None;
        if self.leaving.is_none() && self.looking.is_none() {
            self.looking = Some(within);
            let mut askable = self.left_for(LOST, now);
            for edge in self.left_for(LOOK, now) {
                if !askable.contains(&edge) {
                    askable.push(edge);
                }
            }
            self.actions.push(Action::Look(self.current, askable));
        }
    }

    /// The others that were left so long ago, or never.
    fn left_for(&self, least: Duration, now: Instant) -> Vec<usize> {
        let is_left = |edge: &usize| self.left[*edge].is_none_or(|at| now - at >= least);
        (0..self.left.len()).filter(|edge| *edge != self.current).filter(is_left).collect()
    }

    fn looked(&mut self, back: Option<usize>, random: f64, now: Instant) {
        let Some(within) = self.looking.take() else { return };
        if self.leaving.is_some() {
            return;
        }
        match back {
            Some(edge) => self.leave_for(edge, within, random, now),
            None if self.drained => self.look = Some(now + jittered(LOOK_AGAIN, random)),
            None => {}
        }
    }

    fn leave_for(&mut self, edge: usize, within: Duration, random: f64, now: Instant) {
        self.left[self.current] = Some(now);
        self.look = None;
        self.leaving.get_or_insert((now + within.mul_f64(random), edge));
    }
}

fn one_of(edges: &[usize], random: f64) -> Option<usize> {
    let at = (random * edges.len() as f64) as usize;
    edges.get(at.min(edges.len().saturating_sub(1))).copied()
}

/// Half fixed, half random.
fn jittered(wait: Duration, random: f64) -> Duration {
    wait / 2 + (wait / 2).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        ladder: Ladder,
        now: Instant,
    }

    impl Rig {
        fn new() -> Self {
            let now = Instant::now();
            let mut ladder = Ladder::new(2, Duration::from_secs(4), now);
            assert_eq!(ladder.drain(), [Action::Start(1, 0)]);
            ladder.handle(Event::Picture(1), 0.5, now);
            Self { ladder, now }
        }

        fn handle(&mut self, event: Event) -> Vec<Action> {
            self.ladder.handle(event, 0.5, self.now);
            self.ladder.drain()
        }

        /// Waits until something is due; returns what is done then, and after how long.
        fn wait(&mut self) -> (Vec<Action>, u128) {
            let at = self.ladder.deadline().expect("nothing is due");
            let waited = at.saturating_duration_since(self.now).as_millis();
            self.now = at.max(self.now);
            self.ladder.timeout(0.5, self.now);
            (self.ladder.drain(), waited)
        }
    }

    #[test]
    fn an_edge_that_is_gone_is_left_and_not_gone_back_to_at_once() {
        let mut rig = Rig::new();
        assert_eq!(rig.wait(), (vec![Action::Ask(0)], 2_000));
        assert_eq!(rig.handle(Event::Standing(Standing::Unreachable)), []);
        assert_eq!(rig.wait(), (vec![Action::Start(2, 1)], 200));
        assert_eq!(rig.handle(Event::Picture(2)), [Action::Stop(1)]);
        assert_eq!((rig.ladder.anew, rig.ladder.moved), (0, 1));
        assert_eq!(rig.wait().0, [Action::Ask(1)]);
        // The first was left two seconds ago.
        assert_eq!(rig.handle(Event::Standing(Standing::Unreachable)), [Action::Look(1, vec![])]);
        rig.handle(Event::Looked(None));
        assert!(rig.ladder.leaving.is_none());
    }

    #[test]
    fn of_two_edges_that_are_replaced_in_turn_the_second_is_left_for_the_first_again() {
        let mut rig = Rig::new();
        assert_eq!(rig.handle(Event::Draining), [Action::Look(0, vec![1])]);
        rig.handle(Event::Looked(Some(1)));
        rig.wait();
        rig.handle(Event::Picture(2));
        assert_eq!(rig.handle(Event::Draining), [Action::Look(1, vec![])], "just left");
        assert_eq!(rig.handle(Event::Draining), [], "they are being asked");
        rig.handle(Event::Looked(None));
        rig.ladder.handle(Event::Picture(2), 0.5, rig.now + Duration::from_secs(2));
        assert_eq!(rig.wait(), (vec![Action::Look(1, vec![0])], 3_000));
        rig.handle(Event::Picture(2));
        rig.handle(Event::Looked(Some(0)));
        assert_eq!(rig.wait().0, [Action::Start(3, 0)]);
        assert_eq!(rig.ladder.look, None);
    }

    #[test]
    fn an_edge_that_was_replaced_where_it_is_is_not_left() {
        let mut rig = Rig::new();
        rig.handle(Event::Draining);
        rig.handle(Event::Looked(None));
        assert!(rig.ladder.look.is_some());
        rig.handle(Event::Staying);
        assert_eq!((rig.ladder.look, rig.ladder.drained), (None, false));
        rig.handle(Event::Draining);
        rig.handle(Event::Staying);
        rig.handle(Event::Looked(Some(1)));
        assert!(rig.ladder.leaving.is_none());
    }

    #[test]
    fn an_edge_that_hears_nothing_is_left_for_one_that_does() {
        let mut rig = Rig::new();
        rig.wait();
        assert_eq!(rig.handle(Event::Better(1)), []);
        assert_eq!(rig.wait(), (vec![Action::Start(2, 1)], 200));
    }

    #[test]
    fn a_pause_of_the_host_is_waited_for() {
        let mut rig = Rig::new();
        rig.wait();
        for _ in 0..5 {
            assert_eq!(rig.handle(Event::Standing(Standing::Away)), []);
            assert_eq!(rig.wait().0, [Action::Ask(0)]);
        }
        rig.handle(Event::Picture(1));
        assert_eq!((rig.ladder.anew, rig.ladder.moved), (0, 0));
    }

    #[test]
    fn a_session_that_is_dead_is_begun_anew() {
        let mut rig = Rig::new();
        assert_eq!(rig.handle(Event::Failed(1, Failure::Attempt)), [Action::Ask(0)]);
        assert_eq!(rig.handle(Event::Standing(Standing::Live)), [Action::Start(2, 0)]);
        assert_eq!(rig.handle(Event::Failed(2, Failure::Attempt)), [Action::Stop(2)]);
        let (done, waited) = rig.wait();
        assert_eq!((done, waited), (vec![Action::Start(3, 0)], 375));
        rig.handle(Event::Picture(3));
        assert_eq!((rig.ladder.anew, rig.ladder.moved), (1, 0));
    }

    #[test]
    fn an_edge_that_is_about_to_stop_is_left_without_a_gap() {
        let mut rig = Rig::new();
        assert_eq!(rig.handle(Event::Draining), [Action::Look(0, vec![1])]);
        assert_eq!(rig.handle(Event::Looked(Some(1))), []);
        assert_eq!(rig.wait(), (vec![Action::Start(2, 1)], 1_500));
        // The former picture goes on meanwhile.
        rig.handle(Event::Picture(1));
        assert_eq!(rig.handle(Event::Picture(2)), [Action::Stop(1)]);
    }
}
