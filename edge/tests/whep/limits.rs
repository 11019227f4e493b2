//! What an edge takes on, and that those who watch notice nothing of those who are refused.

use std::net::IpAddr;

use axum::http::StatusCode;
use lectern_edge::whep::{Engine, Joiner, OfferError};

use crate::host::{Host, engine_with, value};
use crate::http::post;
use crate::viewer::{self, Viewer};

fn open_from(engine: &Engine, client: u32, offer: &str) -> Result<(), OfferError> {
    let client = IpAddr::V4(client.into());
    engine
        .open(&"demo".parse().unwrap(), &Joiner { offer, client, rendition: None, until: None })
        .map(drop)
}

#[tokio::test]
async fn beyond_its_egress_an_edge_refuses_and_those_who_watch_go_on() {
    // Unmeasured, a viewer is taken to cost 4.15 Mbit/s.
    let (engine, registry) = engine_with(|config| config.egress_bps_max = Some(10_000_000));
    let mut host = Host::new(&engine, "demo");
    let mut other = Host::new(&engine, "other");
    host.push(1);
    other.push(1);
    let mut first = Viewer::open(&engine, "demo").unwrap();
    let mut second = Viewer::open(&engine, "other").unwrap();
    first.connect();
    second.connect();
    assert_eq!(Viewer::open(&engine, "demo").err(), Some(OfferError::Egress));
    let offer = viewer::offer(&viewer::certificate());
    let refused = post(&engine, "/whep/demo", "application/sdp", offer).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["lectern-reason"], "egress");
    assert!(refused.headers().contains_key("retry-after"));
    host.push(1);
    other.push(1);
    first.until("a live frame", |viewer| viewer.video().len() == 2);
    second.until("a live frame", |viewer| viewer.video().len() == 2);
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 2.0);
    // Measured, it costs a few kbit/s, and many fit.
    host.push(300);
    other.push(300);
    for _ in 0..3 {
        Viewer::open(&engine, "demo").unwrap();
    }
}

#[test]
fn tens_of_thousands_of_offers_leave_as_many_sessions_as_are_allowed() {
    const OFFERS: u32 = 20_000;
    let (engine, registry) = engine_with(|config| {
        config.half_open_max = 50;
        config.half_open_per_client_max = 20;
        config.joins_per_sec_max = 1_000_000;
    });
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut neighbour = Viewer::open(&engine, "demo").unwrap();
    neighbour.connect();
    let offer = viewer::offer(&viewer::certificate());
    let opened = (0..OFFERS).filter(|_| open_from(&engine, 1, &offer).is_ok()).count();
    assert_eq!(opened, 20);
    assert_eq!(open_from(&engine, 1, &offer), Err(OfferError::ClientBusy));
    // From as many addresses: others still get what is left, and no more.
    let opened = (0..OFFERS).filter(|n| open_from(&engine, 2 + n, &offer).is_ok()).count();
    assert_eq!(opened, 30);
    assert_eq!(open_from(&engine, 9, &offer), Err(OfferError::Busy));
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 51.0);
    let refused = f64::from(2 * OFFERS - 50 + 2);
    assert_eq!(value(&registry, "lectern_webrtc_offers_refused_total"), refused);
    host.push(1);
    neighbour.until("a live frame", |viewer| viewer.video().len() == 2);
}

#[test]
fn offers_come_in_no_faster_than_handshakes_can_be_afforded() {
    let (engine, _) = engine_with(|config| config.joins_per_sec_max = 8);
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let began = std::time::Instant::now();
    // Not even an offer: what is refused here is not read.
    let mut refused = Vec::new();
    for client in 0..1_000 {
        refused.push(open_from(&engine, client, "no offer").unwrap_err());
    }
    let busy = refused.iter().filter(|error| **error == OfferError::Busy).count();
    let allowed = 8.0 + 8.0 * began.elapsed().as_secs_f64() + 1.0;
    assert!((1_000 - busy) as f64 <= allowed, "{busy} were refused");
}

#[test]
fn a_flood_of_checks_for_nobody_keeps_nobody_out() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    let flood = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..20_000 {
        let check = n % 100 == 0;
        // Making one costs more than reading it; one of many is new.
        if check {
            let ufrag = format!("nobody{n}");
            let datagram = viewer.check(&ufrag, "guessguessguessguessguess");
            for _ in 0..100 {
                flood.send_to(&datagram, viewer.server).unwrap();
            }
        }
    }
    viewer.connect();
    viewer.until("the start", |viewer| viewer.video().len() == 1);
    assert!(value(&registry, "lectern_webrtc_bad_datagrams_total") > 0.0);
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 1.0);
}

#[test]
fn the_sessions_of_an_edge_that_goes_away_are_ended() {
    let (engine, registry) = engine_with(|_| {});
    let mut host = Host::new(&engine, "demo");
    host.push(1);
    let mut viewer = Viewer::open(&engine, "demo").unwrap();
    viewer.connect();
    let _half_open = Viewer::open(&engine, "demo").unwrap();
    drop((engine, host));
    viewer.until("close_notify", |viewer| viewer.closed);
    assert_eq!(value(&registry, "lectern_webrtc_sessions"), 0.0);
}
