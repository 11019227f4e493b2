//! What is subscribed to when, in virtual time.

use super::*;

const LINGER: Duration = Duration::from_secs(60);

/// A table, and what it asked for: `+a` to subscribe, `-a` to let go after media came, `~a` before.
struct Edge {
    table: Table,
    start: Instant,
}

impl Edge {
    fn new(subscribed_max: usize, prewarm: &[&str]) -> Self {
        let prewarm = prewarm.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let prewarm = prewarm.try_into().expect("a setting");
        let table = Table::new(Config { linger: LINGER, subscribed_max, prewarm });
        Self { table, start: Instant::now() }
    }

    /// The same, with these announced.
    fn with(subscribed_max: usize, prewarm: &[&str], announced: &[&str]) -> Self {
        let mut edge = Self::new(subscribed_max, prewarm);
        announced.iter().for_each(|id| edge.announce(id));
        edge
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn announce(&mut self, id: &str) {
        self.table.announce(&of(id), self.start);
    }

    fn hold(&mut self, id: &str, seconds: u64) -> Held {
        self.table.hold(&of(id), self.at(seconds))
    }

    fn release(&mut self, id: &str, seconds: u64) {
        let at = self.at(seconds);
        self.table.release(&of(id), at);
    }

    fn expire(&mut self, seconds: u64) {
        self.table.expire(self.at(seconds));
    }

    fn left(&mut self, id: &str, seconds: u64) {
        let at = self.at(seconds);
        assert!(self.table.is_leaving(&of(id)));
        self.table.left(&of(id), at);
    }

    fn changes(&mut self) -> String {
        let mut said = Vec::new();
        while let Some(change) = self.table.next_change() {
            said.push(match change {
                Change::Subscribe(id) => format!("+{}", id.as_str()),
                Change::LetGo { id, had_media: true } => format!("-{}", id.as_str()),
                Change::LetGo { id, had_media: false } => format!("~{}", id.as_str()),
            });
        }
        said.join(" ")
    }
}

fn of(id: &str) -> BroadcastId {
    id.parse().expect("an id")
}

#[test]
fn nothing_is_subscribed_to_before_somebody_asks_and_once_however_many_do() {
    let mut edge = Edge::with(9, &[], &["a", "b"]);
    assert_eq!((edge.changes().as_str(), edge.table.announced()), ("", 2));
    for _ in 0..3 {
        assert_eq!(edge.hold("a", 1), Held::Here);
    }
    assert_eq!((edge.changes().as_str(), edge.table.subscribed()), ("+a", 1));
    assert_eq!(edge.hold("nobody", 1), Held::Unknown);
    // It is announced by another origin.
    edge.announce("a");
    assert_eq!(edge.changes(), "");
}

#[test]
fn it_stays_for_the_linger_after_the_last_and_comes_again() {
    let mut edge = Edge::with(9, &[], &["a"]);
    edge.hold("a", 0);
    edge.hold("a", 1);
    assert_eq!(edge.table.arrived(&of("a"), edge.at(2)), Some(Duration::from_secs(2)));
    assert_eq!(edge.table.arrived(&of("a"), edge.at(3)), None, "the first alone is a warm-up");
    edge.release("a", 10);
    assert_eq!(edge.table.next_due(), None, "somebody watches");
    edge.expire(1_000);
    edge.release("a", 1_000);
    assert_eq!(edge.table.next_due(), Some(edge.at(1_060)));
    // Who comes meanwhile begins it anew.
    edge.hold("a", 1_059);
    edge.expire(1_060);
    edge.release("a", 1_061);
    edge.expire(1_120);
    assert_eq!(edge.changes(), "+a");
    edge.expire(1_121);
    assert_eq!((edge.changes().as_str(), edge.table.subscribed()), ("-a", 0));
    edge.left("a", 1_121);
    assert_eq!((edge.hold("a", 2_000), edge.changes().as_str()), (Held::Here, "+a"));
    assert_eq!(edge.table.warming_since(&of("a")), Some(edge.at(2_000)));
}

#[test]
fn who_comes_while_it_is_let_go_of_has_it_once_it_is_empty() {
    let mut edge = Edge::with(1, &[], &["a", "b"]);
    edge.hold("a", 0);
    edge.release("a", 0);
    edge.expire(60);
    assert_eq!(edge.changes(), "+a ~a");
    assert_eq!((edge.hold("a", 60), edge.hold("a", 60)), (Held::Soon, Held::Soon));
    assert_eq!(edge.changes(), "", "not before it is empty");
    assert_eq!(edge.hold("b", 60), Held::NoRoom, "the place is taken all the same");
    edge.left("a", 60);
    assert_eq!(edge.changes(), "+a");
    // They may be gone again by then.
    edge.release("a", 61);
    edge.release("a", 61);
    edge.expire(121);
    assert_eq!(edge.changes(), "~a");
}

#[test]
fn those_idle_for_longest_make_room_and_those_watched_never_do() {
    let mut edge = Edge::with(3, &[], &["a", "b", "c", "d", "e", "f"]);
    for (id, until) in [("a", 20), ("b", 10), ("c", 0)] {
        edge.hold(id, 0);
        if until > 0 {
            edge.release(id, until);
        }
    }
    edge.changes();
    assert_eq!((edge.hold("d", 21), edge.changes().as_str()), (Held::Here, "~b +d"));
    assert_eq!((edge.hold("e", 21), edge.changes().as_str()), (Held::Here, "~a +e"));
    assert_eq!((edge.hold("f", 21), edge.changes().as_str()), (Held::NoRoom, ""));
    assert_eq!(edge.table.subscribed(), 3);
    edge.release("c", 22);
    assert_eq!((edge.hold("f", 22), edge.changes().as_str()), (Held::Here, "~c +f"));
}

#[test]
fn what_is_listed_is_always_there() {
    let mut edge = Edge::with(3, &["a", "z"], &["a", "b", "c"]);
    assert_eq!(edge.changes(), "+a");
    edge.expire(10_000);
    edge.hold("b", 10_000);
    assert_eq!((edge.hold("c", 10_000), edge.changes().as_str()), (Held::NoRoom, "+b"));
    // Its place is kept for it.
    edge.announce("z");
    assert_eq!((edge.changes().as_str(), edge.table.subscribed()), ("+z", 3));
    edge.release("b", 10_001);
    assert_eq!((edge.hold("c", 10_002), edge.changes().as_str()), (Held::Here, "~b +c"));
    edge.hold("a", 10_002);
    edge.release("a", 10_003);
    edge.release("c", 10_003);
    edge.expire(20_000);
    assert_eq!(edge.changes(), "~c");
}

#[test]
fn where_all_are_warm_those_that_nobody_watches_make_room() {
    let mut edge = Edge::with(2, &["*"], &["a", "b", "c"]);
    assert_eq!(edge.changes(), "+a +b");
    edge.hold("a", 1);
    edge.expire(10_000);
    assert_eq!((edge.hold("c", 10_000), edge.changes().as_str()), (Held::Here, "~b +c"));
    edge.left("b", 10_000);
    assert_eq!(edge.hold("b", 10_001), Held::NoRoom);
    // And come back when there is room.
    edge.table.forget(&of("c"), edge.at(10_002));
    assert_eq!(edge.changes(), "~c +b");
}

#[test]
fn what_is_gone_and_comes_back_is_there_for_those_who_stayed() {
    let mut edge = Edge::with(9, &[], &["a"]);
    edge.hold("a", 0);
    edge.table.forget(&of("a"), edge.at(1));
    assert_eq!((edge.changes().as_str(), edge.table.announced()), ("+a ~a", 0));
    assert_eq!(edge.hold("a", 2), Held::Unknown);
    edge.announce("a");
    assert_eq!(edge.changes(), "+a");
    edge.release("a", 3);
    edge.expire(63);
    assert_eq!(edge.changes(), "~a");
    edge.left("a", 63);
    edge.table.forget(&of("a"), edge.at(64));
    // Nobody is left, and neither is anything of it.
    assert!(edge.table.entries.is_empty());
    edge.release("a", 65);
}

#[test]
fn a_thousand_that_are_announced_are_only_names() {
    let mut edge = Edge::new(256, &[]);
    let names: Vec<String> = (0..1_000).map(|number| format!("talk-{number}")).collect();
    names.iter().for_each(|id| edge.announce(id));
    for round in 0..3 {
        for id in &names {
            assert_eq!(edge.hold(id, round), Held::Here);
            edge.release(id, round);
            assert!(edge.table.subscribed() <= 256);
            // As the one who is told to empty it does.
            while let Some(change) = edge.table.next_change() {
                if let Change::LetGo { id, .. } = change {
                    edge.table.left(&id, edge.start);
                }
            }
        }
    }
    edge.expire(1_000);
    assert_eq!((edge.table.subscribed(), edge.table.next_due()), (0, None));
}

#[test]
fn with_fewer_places_those_go_that_nobody_holds_and_with_more_there_is_room() {
    let mut edge = Edge::with(3, &[], &["a", "b", "c", "d"]);
    for (id, at) in [("a", 0), ("b", 1), ("c", 2)] {
        edge.hold(id, at);
    }
    edge.release("b", 3);
    edge.changes();
    edge.table.set_max(1, edge.at(4));
    assert_eq!(edge.changes(), "~b");
    edge.left("b", 4);
    assert_eq!(edge.hold("d", 4), Held::NoRoom);
    edge.release("a", 5);
    assert_eq!(edge.hold("d", 5), Held::NoRoom, "the one place is taken by c");
    edge.table.set_max(4, edge.at(6));
    assert_eq!(edge.hold("d", 6), Held::Here);
}
