//! The lock and the clock around the table. Time is virtual: it moves on only when everything waits.

use prometheus::Registry;

use super::*;

const LINGER: Duration = Duration::from_secs(10);

struct Edge {
    demand: Arc<Demand>,
    registry: Registry,
    _run: tokio::task::JoinHandle<()>,
}

impl Edge {
    fn new(subscribed_max: usize) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        let config = Config { linger: LINGER, subscribed_max, prewarm: Prewarm::default() };
        let demand = Demand::new(config, metrics);
        let runs = demand.clone();
        let _run = tokio::spawn(async move { runs.run().await });
        Self { demand, registry, _run }
    }

    fn announce(&self, id: &str) -> Wanted {
        self.demand.announced(&id.parse().unwrap())
    }

    fn watching(&self, id: &str) -> Arc<Watching> {
        self.demand.interest(&id.parse().unwrap()).watching()
    }

    fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let metrics = family.get_metric().iter().filter(|metric| {
            label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label)
        });
        let value = |m: &prometheus::proto::Metric| {
            let sum = m.get_histogram().get_sample_sum();
            m.get_counter().get_value() + m.get_gauge().get_value() + sum
        };
        metrics.map(value).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_to_go_is_lingered_for_and_no_longer() {
    let edge = Edge::new(9);
    let mut wanted = edge.announce("talk");
    let (one, other) = (edge.watching("talk"), edge.watching("talk"));
    assert!(!*wanted.wanted.borrow(), "nobody has begun");
    one.begin().await.unwrap();
    other.begin().await.unwrap();
    one.begin().await.unwrap();
    wanted.until(true).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert!(!one.warms_up_within().is_zero());
    wanted.arrived();
    assert!(one.warms_up_within().is_zero());
    assert_eq!(edge.metric("lectern_edge_warm_up_seconds", ""), 0.25);
    drop(one);
    tokio::time::sleep(LINGER * 5).await;
    assert!(*wanted.wanted.borrow(), "one is left");
    drop(other);
    let began = Instant::now();
    wanted.until(false).await;
    assert_eq!(began.elapsed(), LINGER);
    assert_eq!(edge.metric("lectern_edge_broadcasts_subscribed", ""), 0.0);
    assert_eq!(edge.metric("lectern_edge_broadcasts_announced", ""), 1.0);
    assert_eq!(edge.metric("lectern_edge_warm_ups_total", "media"), 1.0);
    // A later deadline than the one that was waited for is waited for as well.
    let mut emptied = false;
    wanted.leave(|| emptied = true);
    assert!(emptied);
    edge.watching("talk").begin().await.unwrap();
    tokio::time::sleep(LINGER / 2).await;
    edge.watching("talk").begin().await.unwrap();
    let began = Instant::now();
    wanted.until(false).await;
    assert_eq!(began.elapsed(), LINGER);
    assert_eq!(edge.metric("lectern_edge_warm_ups_total", "nothing"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_it_is_emptied_waits_for_that() {
    let edge = Edge::new(9);
    let mut wanted = edge.announce("talk");
    edge.watching("talk").begin().await.unwrap();
    wanted.until(false).await;
    let again = edge.watching("talk");
    let mut beginning = Box::pin(again.begin());
    assert!(futures::poll!(&mut beginning).is_pending());
    wanted.leave(|| {});
    beginning.await.unwrap();
    wanted.until(true).await;
    wanted.leave(|| panic!("it is wanted"));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_one_is_refused_and_counted_and_its_place_is_not_taken() {
    let edge = Edge::new(1);
    let (_a, _b) = (edge.announce("a"), edge.announce("b"));
    let watching = edge.watching("a");
    watching.begin().await.unwrap();
    for _ in 0..3 {
        assert_eq!(edge.watching("b").begin().await, Err(NoRoom));
    }
    assert_eq!(edge.metric("lectern_edge_warm_ups_total", "refused"), 3.0);
    drop(watching);
    edge.watching("b").begin().await.unwrap();
    // Of what is not announced nobody can want anything.
    edge.watching("c").begin().await.unwrap();
    assert_eq!(edge.metric("lectern_edge_broadcasts_subscribed", ""), 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_not_held_by_those_who_are_late() {
    let edge = Edge::new(9);
    let mut wanted = edge.announce("talk");
    let watching = edge.watching("talk");
    watching.begin().await.unwrap();
    edge.demand.forget(&"talk".parse().unwrap());
    let waits = tokio::time::timeout(LINGER, wanted.until(true)).await;
    assert!(waits.is_err(), "nothing more is said of it");
    drop(watching);
    assert_eq!(edge.metric("lectern_edge_broadcasts_announced", ""), 0.0);
    assert_eq!(edge.demand.lock().table.announced(), 0);
}

#[test]
fn names_are_valid_and_taken_once() {
    let registry = Registry::new();
    Metrics::register(&registry).unwrap();
    assert!(Metrics::register(&registry).is_err());
}
