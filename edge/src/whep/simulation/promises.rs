//! What must come out whatever the link does.

use std::time::Duration;

use super::{Pipe, Simulation, Stage};

const IN_TIME: Duration = Duration::from_millis(500);

#[test]
fn five_percent_loss_each_way_costs_one_frame_in_a_thousand_at_most() {
    // A browser that is not told the round trip takes it for 100 ms.
    for (rtx, interval_ms) in [(true, 40), (false, 40), (true, 100)] {
        for seed in 1..=5 {
            let (down, up) = (Pipe::new(0.05), Pipe::new(0.05));
            let nack_interval = Duration::from_millis(interval_ms);
            let stage = Stage { rtx, nack_interval, seed, down, up, ..Stage::default() };
            let run = Simulation::run(stage);
            let whole = run.whole(IN_TIME);
            assert!(whole >= 0.999, "seed {seed}: {whole}");
            assert!(run.resent_share() < 0.08, "seed {seed}: {}", run.resent_share());
        }
    }
}

#[test]
fn a_keyframe_burst_of_a_rich_stream_is_repaired_too() {
    for seed in 1..=3 {
        let stage = Stage {
            seed,
            seconds: 20,
            group: 120,
            key_bytes: 500_000,
            delta_bytes: 20_000,
            down: Pipe::new(0.05),
            up: Pipe::new(0.05),
            ..Stage::default()
        };
        let run = Simulation::run(stage);
        assert!(run.whole(IN_TIME) >= 0.999, "seed {seed}: {}", run.whole(IN_TIME));
    }
}

#[test]
fn resends_help_a_narrow_link_and_do_not_collapse_it() {
    let check = |bps, queue, least| {
        for seed in 1..=3 {
            let down = Pipe::narrow(bps, queue);
            let with = Simulation::run(Stage { seed, down, ..Stage::default() });
            let deaf = Pipe::new(1.0);
            let without = Simulation::run(Stage { seed, down, up: deaf, ..Stage::default() });
            let (whole, alone) = (with.whole(IN_TIME), without.whole(IN_TIME));
            assert!(whole >= least, "{bps} {queue} {seed}: {whole}");
            assert!(whole >= alone * 0.8, "{bps} {queue} {seed}: {whole}, without {alone}");
            assert!(with.resent_share() <= 0.26, "{}", with.resent_share());
        }
    };
    // Every keyframe of the stream overflows the queue.
    check(3e6, 30e3, 0.97);
    check(3e6, 60e3, 0.99);
    // Less than the stream itself: nothing helps, and what is resent before that shows, and to find
    // out whether it still is so, must cost little.
    check(2e6, 30e3, 0.0);
}

#[test]
fn a_start_is_as_fast_as_the_link_allows() {
    // The viewer comes four seconds into a group of eight.
    let start = |bps, queue| {
        let down = Pipe::narrow(bps, queue);
        let stage = Stage { seconds: 10, group: 240, cached: 120, down, ..Stage::default() };
        let run = Simulation::run(stage);
        let joined = run.frames[0].sent;
        let key = run.frames[0].whole.map(|at| at - joined);
        let live = run.live.map(|at| at - joined);
        (key.unwrap_or(Duration::MAX), live.unwrap(), run)
    };
    let ms = Duration::from_millis;
    // Wide: what goes through unharmed raises the speed, so that it takes less than the eight
    // seconds of a fixed 1.5.
    let (key, live, run) = start(50e6, 200e3);
    assert!(key < ms(100) && live < ms(3_000), "{key:?} {live:?}");
    assert_eq!(run.dropped, 0);
    // Narrow, with a queue that the keyframe alone overflows: it is repaired, and what follows it
    // gets through.
    let (key, _, run) = start(5e6, 40e3);
    assert!(key < ms(600), "{key:?}");
    assert!(run.whole(IN_TIME) > 0.95, "{}", run.whole(IN_TIME));
    // Hardly more than the stream.
    let (key, _, run) = start(3e6, 40e3);
    assert!(key < ms(600), "{key:?}");
    assert!(run.whole(IN_TIME) > 0.9, "{}", run.whole(IN_TIME));
}
