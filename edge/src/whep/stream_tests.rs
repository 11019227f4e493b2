//! What a viewer gets of a stream: its packets, and what it asks for again.

use super::*;
use crate::whep::history::tests::unit;
use crate::whep::outbox::tests::{Ear, Sent as Runs};
use dimpl::SrtpProfile;

struct Rig {
    stream: Stream,
    history: History,
    sealer: Sealer,
    outbox: Outbox,
    runs: Runs,
    now: Instant,
}

const PATH: Path = Path {
    peer: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9),
    local: None,
};

impl Rig {
    fn new(sequence: u16) -> Self {
        let profile = SrtpProfile::AEAD_AES_128_GCM;
        let material = [7; 56];
        let (_, server) = srtp::split(&material, profile).unwrap();
        let setup =
            Setup { ssrc: 77, payload_type: 102, capture_id: Some(3), rtx: None, playout: None };
        let runs = Runs::default();
        Self {
            stream: Stream::new(setup, sequence),
            history: History::default(),
            sealer: Sealer::new(profile, &server).unwrap(),
            outbox: Outbox::new(Box::new(Ear(runs.clone()))),
            runs,
            now: Instant::now(),
        }
    }

    fn send(&mut self, serial: u64, ticks: u64) -> Vec<Vec<u8>> {
        let unit = unit(serial, serial * 3_000, serial == 0, 3_000);
        self.history.push(unit.clone());
        let Self { stream, sealer, outbox, now, .. } = self;
        stream.send(&unit, ticks, *now, &mut Way { sealer, path: PATH, outbox }).unwrap();
        self.take()
    }

    fn nack(&mut self, first: u16, following: u16) -> (Resent, Vec<Vec<u8>>) {
        let Self { stream, history, sealer, outbox, now, .. } = self;
        let histories = std::slice::from_ref(history);
        let mut way = Way { sealer, path: PATH, outbox };
        let resent = stream.resend(first, following, histories, *now, &mut way);
        outbox.flush();
        (resent, self.take())
    }

    fn take(&self) -> Vec<Vec<u8>> {
        self.runs.lock().unwrap().drain(..).flat_map(|(_, run)| run).collect()
    }
}

fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

#[test]
fn timestamps_never_stand_still_or_go_back() {
    let mut rig = Rig::new(1);
    let stamps: Vec<u32> = [500, 400, 400, 9_000]
        .into_iter()
        .enumerate()
        .map(|(serial, ticks)| {
            let packets = rig.send(serial as u64, ticks);
            u32::from_be_bytes(packets[0][4..8].try_into().unwrap())
        })
        .collect();
    assert_eq!(stamps, [500, 501, 502, 9_000]);
}

#[test]
fn a_resent_packet_is_the_same_bytes() {
    let mut rig = Rig::new(0x7fff);
    let mut all = Vec::new();
    for serial in 0..20 {
        all.extend(rig.send(serial, serial * 3_000));
    }
    let (resent, packets) = rig.nack(sequence(&all[0]), 0b101);
    assert_eq!(resent, Resent { sent: 3, damped: 0, gone: 0, lost: 3 });
    assert_eq!(packets, [all[0].clone(), all[1].clone(), all[3].clone()]);
}

#[test]
fn with_rtx_a_resent_packet_goes_on_a_stream_of_its_own() {
    let mut rig = Rig::new(0x7fff);
    let rtx = Rtx { ssrc: 78, payload_type: 103 };
    rig.stream.setup.rtx = Some(rtx);
    let delay = PlayoutDelay::new(0, 400).unwrap();
    rig.stream.setup.playout = Some(Playout { id: 4, delay });
    let all: Vec<_> = (0..3).flat_map(|serial| rig.send(serial, serial * 3_000)).collect();
    let (resent, first) = rig.nack(sequence(&all[0]), 0b10);
    assert_eq!(resent.sent, 2);
    rig.now += Duration::from_millis(200);
    let (_, again) = rig.nack(sequence(&all[0]), 0);
    let repairs: Vec<_> = first.into_iter().chain(again).collect();
    let provider = rtc_crypto::default_provider().unwrap();
    let (key, salt) = ([7; 16], [7; 12]);
    let profile = rtc_srtp::protection_profile::ProtectionProfile::AeadAes128Gcm;
    let mut opener =
        rtc_srtp::context::Context::new(&key, &salt, profile, None, None, provider.crypto())
            .unwrap();
    for (at, (repair, original)) in repairs.iter().zip([0, 2, 0]).enumerate() {
        let repair = opener.decrypt_rtp(repair).unwrap();
        let original = opener.decrypt_rtp(&all[original]).unwrap();
        assert_eq!(sequence(&repair), 0x7fff + at as u16, "counts by itself");
        assert_eq!(repair[8..12], 78u32.to_be_bytes());
        assert_eq!(repair[1], original[1] & 0x80 | 103);
        // Timestamp and extensions are the original's, then its number and its payload.
        let start = if original[0] & 0x10 != 0 { 16 + 4 * usize::from(original[15]) } else { 12 };
        assert_eq!((repair[0], &repair[4..8]), (original[0], &original[4..8]));
        assert_eq!(repair[12..start], original[12..start]);
        assert_eq!(repair[start..start + 2], original[2..4]);
        assert_eq!(repair[start + 2..], original[start..]);
    }
}

#[test]
fn requests_are_damped_within_a_round_trip_and_by_rate() {
    let mut rig = Rig::new(0);
    let mut all = Vec::new();
    for serial in 0..50 {
        all.extend(rig.send(serial, serial * 3_000));
    }
    let first = sequence(&all[0]);
    assert_eq!(rig.nack(first, 0).0.sent, 1);
    assert_eq!(rig.nack(first, 0).0.damped, 1);
    rig.now += Duration::from_millis(100);
    assert_eq!(rig.nack(first, 0).0.sent, 1);
    let sent: u32 = (0..17).map(|i| rig.nack(first + 1 + i * 17, 0xffff).0.sent).sum();
    assert!((10..60).contains(&sent), "{sent}");
}

#[test]
fn what_was_never_sent_is_not_resent() {
    let mut rig = Rig::new(10);
    let packets = rig.send(0, 0);
    let after = sequence(packets.last().unwrap()) + 1;
    assert_eq!(rig.nack(after, 0).0.gone, 1);
    assert_eq!(rig.nack(9, 0).0.gone, 1);
}

#[test]
fn reports_tell_the_round_trip() {
    let mut rig = Rig::new(0);
    rig.send(0, 0);
    let mut report = Vec::new();
    let t0 = UtcTime::from_millis(1_700_000_000_000);
    assert!(rig.stream.report(90_000, 90_000, t0, rig.now, &mut report));
    assert!(!rig.stream.report(90_000, 90_000, t0, rig.now, &mut report));
    let ntp = (t0 + Duration::from_secs(1)).to_ntp();
    assert_eq!(report[8..16], ntp.to_be_bytes());
    let later = rig.now + Duration::from_millis(350);
    let rtt = rig.stream.reported((ntp >> 16) as u32, (1 << 16) / 4, later);
    assert_eq!(rtt, Some(Duration::from_millis(100)));
}
