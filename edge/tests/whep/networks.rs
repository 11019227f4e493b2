//! The networks that viewers come from: IPv4 and IPv6, UDP and TCP, through address translation.

use std::net::SocketAddr;

use lectern_edge::whep::Engine;

use crate::host::{Host, engine_with, expected, value};
use crate::link::Link;
use crate::viewer::{Viewer, certificate};

/// Plays `demo` over `link`, and gives what the engine took the viewer's address for.
fn play(engine: &Engine, host: &mut Host, link: Link, server: SocketAddr) -> SocketAddr {
    let before = host.number;
    let mut viewer =
        Viewer::open_over(engine, "demo", link, server, certificate(), &mut |offer| offer).unwrap();
    viewer.connect();
    viewer.until("the cached group", |viewer| viewer.video().len() as u64 == before);
    host.push(2);
    viewer.until("live frames", |viewer| viewer.video().len() as u64 == before + 2);
    for (frame, number) in viewer.video().iter().zip(0..) {
        assert_eq!(frame.units, expected(number, 30, 0), "frame {number}");
    }
    viewer.mapped.unwrap()
}

#[test]
fn one_engine_serves_both_families_over_both_transports() {
    let (engine, registry) = engine_with(|config| config.listen = "[::]:0".parse().unwrap());
    let mut host = Host::new(&engine, "demo");
    host.push(3);
    let port = engine.local_addr().port();
    for ip in ["127.0.0.1", "::1"] {
        let server = SocketAddr::new(ip.parse().unwrap(), port);
        for link in [Link::udp(server), Link::tcp(server)] {
            let ours = link.local_addr();
            assert_eq!(play(&engine, &mut host, link, server), ours);
        }
    }
    // Every one of the machine's addresses answers from itself.
    let server = SocketAddr::from(([127, 0, 0, 2], port));
    play(&engine, &mut host, Link::udp(server), server);
    play(&engine, &mut host, Link::tcp(server), server);
    for sent in [&engine.metrics().udp, &engine.metrics().tcp] {
        assert!(sent.packets.get() > 0 && sent.bytes.get() > sent.packets.get());
    }
    assert_eq!(value(&registry, "lectern_webrtc_sessions_established_total"), 6.0);
}

#[test]
fn viewers_are_told_the_addresses_outside_a_nat_and_reach_those_inside() {
    let (engine, _) = engine_with(|config| {
        config.listen = "[::]:0".parse().unwrap();
        config.public_addresses = ["203.0.113.7", "[2001:db8::7]:30189", "203.0.113.8:443"]
            .map(|text| text.parse().unwrap())
            .to_vec();
    });
    let mut host = Host::new(&engine, "demo");
    host.push(3);
    let port = engine.local_addr().port();
    // What the translation outside makes of a packet to 203.0.113.7.
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let viewer = Viewer::open(&engine, "demo").unwrap();
    let told: Vec<String> = viewer
        .answer
        .sdp
        .lines()
        .take_while(|line| !line.starts_with("a=end-of-candidates"))
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').enumerate().filter(|(at, _)| *at != 3).map(|(_, word)| word))
        .map(|words| words.collect::<Vec<_>>().join(" "))
        .collect();
    let tcp = "typ host tcptype passive";
    let expect = [
        format!("1 1 udp 203.0.113.7 {port} typ host"),
        "2 1 udp 2001:db8::7 30189 typ host".into(),
        "3 1 udp 203.0.113.8 443 typ host".into(),
        format!("4 1 tcp 203.0.113.7 {port} {tcp}"),
        format!("5 1 tcp 2001:db8::7 30189 {tcp}"),
        format!("6 1 tcp 203.0.113.8 443 {tcp}"),
    ];
    assert_eq!(told, expect);
    play(&engine, &mut host, Link::udp(server), server);
    play(&engine, &mut host, Link::tcp(server), server);
}

#[test]
fn without_tcp_none_is_offered_and_none_is_open() {
    let (engine, _) = engine_with(|config| config.tcp_connections_max = 0);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let viewer = Viewer::open(&engine, "demo").unwrap();
    assert!(!viewer.answer.sdp.contains(" tcp "));
    assert!(std::net::TcpStream::connect(engine.local_addr()).is_err());
}
