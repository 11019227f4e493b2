//! ICE-TCP: what one connection may cost, and that it costs nobody else anything.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use lectern_edge::whep::Engine;
use lectern_relay_proto::{GroupId, TrackName};
use prometheus::Registry;

use crate::host::{Host, engine_with, expected, value, video_frame};
use crate::link::frame;
use crate::viewer::{PATIENCE, Viewer};

const CONNECTIONS: &str = "lectern_webrtc_tcp_connections";
const CLOSED: &str = "lectern_webrtc_tcp_connections_closed_total";
const REFUSED: &str = "lectern_webrtc_tcp_connections_refused_total";

/// Waits until the engine has closed or reset a connection.
fn until_closed(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut some = [0; 16_384];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The metric's value under one label.
fn labelled(registry: &Registry, name: &str, label: &str) -> f64 {
    let families = registry.gather();
    let metrics = families.iter().filter(|family| family.name() == name);
    metrics
        .flat_map(|family| family.get_metric())
        .filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label))
        .map(|metric| metric.get_counter().get_value())
        .sum()
}

/// A viewer over UDP that watches, to see that whatever happens costs it nothing.
fn neighbour(engine: &Engine) -> Viewer {
    let mut neighbour = Viewer::open(engine, "demo").unwrap();
    neighbour.connect();
    neighbour.until("the start", |viewer| !viewer.video().is_empty());
    neighbour
}

fn still_watches(neighbour: &mut Viewer, host: &mut Host) {
    let before = neighbour.video().len();
    host.push(1);
    neighbour.until("the next frame", |viewer| viewer.video().len() == before + 1);
}

#[test]
fn connections_that_say_nothing_or_half_of_something_are_closed() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = neighbour(&engine);
    let viewer = Viewer::open(&engine, "demo").unwrap();
    let check = frame(&viewer.check(&viewer.line("a=ice-ufrag:"), "guess"));
    let beginnings: [&[u8]; 5] = [&[], &[0], &[7, 0xff, 1], &check[..30], &check];
    let streams: Vec<TcpStream> = beginnings
        .iter()
        .map(|beginning| {
            let mut stream = TcpStream::connect(engine.local_addr()).unwrap();
            stream.write_all(beginning).unwrap();
            stream
        })
        .collect();
    still_watches(&mut neighbour, &mut host);
    streams.iter().for_each(until_closed);
    assert_eq!(labelled(&registry, CLOSED, "unauthenticated"), 5.0);
    until("their places", || value(&registry, CONNECTIONS) == 0.0);
    still_watches(&mut neighbour, &mut host);
}

#[test]
fn frames_that_are_too_long_or_too_many_end_a_connection_at_once() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = neighbour(&engine);
    let send = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(engine.local_addr()).unwrap();
        // The engine may close it before all of this is written.
        drop(stream.write_all(bytes));
        stream
    };
    let oversize = [send(&[0xff, 0xff]), send(&[0x08, 0x01]), send(&[0x16, 0x03, 0x01, 0x02])];
    oversize.iter().for_each(until_closed);
    assert_eq!(labelled(&registry, CLOSED, "oversize"), 3.0);
    let garbage = frame(&[0x90; 100]).repeat(100);
    let strange = [send(&garbage), send(&[0; 4_000])];
    strange.iter().for_each(until_closed);
    assert_eq!(labelled(&registry, CLOSED, "strange"), 2.0);
    still_watches(&mut neighbour, &mut host);
}

#[test]
fn thousands_of_connections_take_no_more_than_their_share() {
    let (engine, registry) = engine_with(|config| config.tcp_connections_max = 40);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut watching = Viewer::open_tcp(&engine, "demo").unwrap();
    watching.connect();
    watching.until("the start", |viewer| viewer.video().len() == 1);
    let mut held = Vec::new();
    for round in 1..=2_000 {
        // One that is refused may be reset before it is known here that it was made.
        held.extend(TcpStream::connect(engine.local_addr()));
        if round % 100 == 0 {
            assert!(value(&registry, CONNECTIONS) <= 40.0);
        }
        // So that it is the engine that bounds them and not the test's own descriptors.
        if round % 200 == 0 && round < 2_000 {
            held.clear();
        }
    }
    until("refusals", || value(&registry, REFUSED) > 0.0);
    still_watches(&mut watching, &mut host);
    drop(held);
    until("the strangers' places", || value(&registry, CONNECTIONS) == 1.0);
    let mut joins = Viewer::open_tcp(&engine, "demo").unwrap();
    joins.connect();
    joins.until("the start", |viewer| viewer.video().len() == 2);
}

#[test]
fn a_connection_belongs_to_one_session() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut first = Viewer::open_tcp(&engine, "demo").unwrap();
    first.connect();
    let second = Viewer::open(&engine, "demo").unwrap();
    // Valid for the second session, and sent where the first one lives.
    let check = second.check(&second.line("a=ice-ufrag:"), &second.line("a=ice-pwd:"));
    first.link.send(&check);
    until_closed(first.link.stream());
    assert_eq!(labelled(&registry, CLOSED, "foreign"), 1.0);
    // The viewer whose connection it was may come back over another.
    let mut back = Viewer::open_tcp(&engine, "demo").unwrap();
    std::mem::swap(&mut back.link, &mut first.link);
    first.pass_ice();
    host.push(1);
    first.until("the next frame", |viewer| {
        viewer.video().last().is_some_and(|frame| frame.units == expected(1, 30, 0))
    });
}

#[test]
fn a_flood_from_a_viewer_is_slowed_down_and_does_not_reach_its_worker() {
    let (engine, registry) = engine_with(|config| config.workers = 1);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = neighbour(&engine);
    let mut flooder = Viewer::open_tcp(&engine, "demo").unwrap();
    flooder.connect();
    let stream = flooder.link.stream().try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let garbage = frame(&[0x80, 201, 0, 1, 0, 0, 0, 1]).repeat(1_000);
    // As much as the two systems hold between them: the engine reads it at its own pace.
    until("a full pipe", || (0..100).any(|_| (&stream).write(&garbage).is_err()));
    for _ in 0..5 {
        still_watches(&mut neighbour, &mut host);
    }
    assert_eq!(labelled(&registry, "lectern_webrtc_bad_datagrams_total", "worker-full"), 0.0);
}

#[test]
fn a_viewer_that_does_not_read_skips_and_delays_nobody() {
    let (engine, registry) = engine_with(|config| config.workers = 1);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = neighbour(&engine);
    let mut slow = Viewer::open_tcp(&engine, "demo").unwrap();
    slow.connect();
    slow.until("the start", |viewer| viewer.video().len() == 1);
    let bytes = || engine.metrics().tcp.bytes.get();
    // More than the system holds between the two: groups of ten frames, until some are skipped.
    host.gop = 10;
    let skipped = || labelled(&registry, "lectern_webrtc_frames_dropped_total", "viewer-skipped");
    let mut most = 0;
    until("skipped frames", || {
        still_watches(&mut neighbour, &mut host);
        most = bytes();
        skipped() > 0.0
    });
    // Nothing more is kept for it while it does not read.
    (0..20).for_each(|_| still_watches(&mut neighbour, &mut host));
    assert!(bytes() - most < 600_000, "{} bytes more", bytes() - most);
    // Once it reads, it goes on with whole frames and is live again.
    let last = host.number - 1;
    slow.until("the newest frame", |viewer| {
        viewer.video().last().is_some_and(|frame| frame.units == expected(last, 10, 0))
    });
    let whole =
        |units: &Vec<Vec<u8>>| (0..host.number).any(|number| *units == expected(number, 10, 0));
    assert!(slow.video().iter().all(|frame| whole(&frame.units)));
    assert!(slow.video().len() < host.number as usize);
}

#[test]
fn a_viewer_that_never_reads_is_disconnected() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = neighbour(&engine);
    let mut deaf = Viewer::open_tcp(&engine, "demo").unwrap();
    deaf.connect();
    host.gop = 1;
    until("skipped frames", || {
        still_watches(&mut neighbour, &mut host);
        labelled(&registry, "lectern_webrtc_frames_dropped_total", "viewer-skipped") > 0.0
    });
    until("the end of its connection", || labelled(&registry, CLOSED, "stalled") == 1.0);
    until("its place", || value(&registry, CONNECTIONS) == 0.0);
}

#[test]
fn a_viewer_that_is_gone_frees_its_connection() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open_tcp(&engine, "demo").unwrap();
    viewer.connect();
    let established = "lectern_webrtc_sessions_established_total";
    until("the session", || labelled(&registry, established, "tcp") == 1.0);
    // As the system ends the connections of a process that is killed with bytes unread.
    host.push(1);
    until("bytes that it will not read", || {
        let mut some = [0; 1];
        viewer.link.stream().peek(&mut some).is_ok()
    });
    drop(viewer);
    until("its connection to be closed", || value(&registry, CONNECTIONS) == 0.0);
    assert_eq!(labelled(&registry, CLOSED, "peer"), 1.0);
    host.push(1);
}

#[test]
fn the_connection_of_a_session_that_is_over_is_closed_after_the_goodbye() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open_tcp(&engine, "demo").unwrap();
    viewer.connect();
    assert!(engine.close(&"demo".parse().unwrap(), &viewer.answer.session));
    viewer.until("close_notify", |viewer| viewer.closed);
    until_closed(viewer.link.stream());
    assert_eq!(labelled(&registry, CLOSED, "session-over"), 1.0);
}

#[test]
fn a_frame_larger_than_a_send_arrives_whole() {
    let (engine, _) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open_tcp(&engine, "demo").unwrap();
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 1);
    let mut large = video_frame(1, true);
    let slice: Vec<u8> = std::iter::once(0x41).chain((0..300_000).map(|at| at as u8)).collect();
    large.keyframe = false;
    large.data = [&(slice.len() as u32).to_be_bytes(), &slice[..]].concat().into();
    let group = GroupId { period: 0, index: 0 };
    let track = TrackName::new(TrackName::VIDEO_MAIN).unwrap();
    host.feed.push_video(&track, group, &large);
    viewer.until("the large frame", |viewer| viewer.video().len() == 2);
    assert_eq!(viewer.video()[1].units, [slice]);
}
