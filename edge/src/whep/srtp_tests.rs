//! Published vectors, and `rtc_srtp` as the other side for all three profiles.

use super::*;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

const PROFILES: [(SrtpProfile, ProtectionProfile); 3] = [
    (SrtpProfile::AEAD_AES_256_GCM, ProtectionProfile::AeadAes256Gcm),
    (SrtpProfile::AEAD_AES_128_GCM, ProtectionProfile::AeadAes128Gcm),
    (SrtpProfile::AES128_CM_SHA1_80, ProtectionProfile::Aes128CmHmacSha1_80),
];

fn material(profile: SrtpProfile) -> Vec<u8> {
    (0..profile.keying_material_len()).map(|i| (i * 7 + 3) as u8).collect()
}

fn reference(profile: ProtectionProfile, master: &Master<'_>) -> Context {
    let provider = rtc_crypto::default_provider().unwrap();
    Context::new(master.key, master.salt, profile, None, None, provider.crypto()).unwrap()
}

/// RFC 3711 §B.3: the published vectors of the key derivation.
#[test]
fn key_derivation_matches_the_vectors_of_rfc_3711() {
    let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
    let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
    let master = Master { key: &key, salt: &salt };
    let check = |label, expect: &str| {
        let expect = hex(expect);
        let mut out = vec![0; expect.len()];
        derive(&master, label, &mut out).unwrap();
        assert_eq!(out, expect);
    };
    check(0, "C61E7A93744F39EE10734AFE3FF7A087");
    check(2, "30CBBC08863D8C85D49DB34A9AE1");
    check(1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn another_implementation_opens_our_rtp_across_a_rollover() {
    for (profile, theirs) in PROFILES {
        let material = material(profile);
        let (_, server) = split(&material, profile).unwrap();
        let sealer = Sealer::new(profile, &server).unwrap();
        let mut peer = reference(theirs, &server);
        for index in 0xfffe_u64..0x1_0003 {
            let mut header = [0x80, 96, 0, 0, 0, 0, 0, 9, 0xca, 0xfe, 0, 1];
            header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
            let payload = vec![index as u8; 1_100];
            let mut out = [0; 1_300];
            let n = sealer.seal_rtp(0xcafe_0001, index, &header, &payload, &mut out).unwrap();
            let opened = peer.decrypt_rtp(&out[..n]).unwrap();
            assert_eq!(opened[..12], header, "{profile:?}");
            assert_eq!(opened[12..], payload, "{profile:?}");
        }
    }
}

#[test]
fn rtcp_crosses_to_another_implementation_both_ways() {
    for (profile, theirs) in PROFILES {
        let material = material(profile);
        let (client, server) = split(&material, profile).unwrap();
        let report = [0x80, 200, 0, 2, 0xca, 0xfe, 0, 1, 1, 2, 3, 4];
        let mut sealer = Sealer::new(profile, &server).unwrap();
        let mut peer = reference(theirs, &server);
        for _ in 0..3 {
            let mut out = [0; 64];
            let n = sealer.seal_rtcp(&report, &mut out).unwrap();
            assert_eq!(peer.decrypt_rtcp(&out[..n]).unwrap()[..], report, "{profile:?}");
        }
        let mut opener = Opener::new(profile, &client).unwrap();
        let mut peer = reference(theirs, &client);
        for _ in 0..3 {
            let mut sealed = peer.encrypt_rtcp(&report).unwrap();
            assert_eq!(opener.open_rtcp(&mut sealed).unwrap(), report, "{profile:?}");
        }
    }
}

#[test]
fn forged_replayed_and_plain_rtcp_is_refused_and_leaves_no_state() {
    for (profile, _) in PROFILES {
        let material = material(profile);
        let (client, _) = split(&material, profile).unwrap();
        let mut sealer = Sealer::new(profile, &client).unwrap();
        let mut opener = Opener::new(profile, &client).unwrap();
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        let mut out = [0; 64];
        let n = sealer.seal_rtcp(&report, &mut out).unwrap();
        for flip in 0..n {
            let mut forged = out[..n].to_vec();
            forged[flip] ^= 1;
            assert_eq!(opener.open_rtcp(&mut forged), Err(Error::Forged), "{profile:?}");
        }
        assert!(opener.windows.is_empty());
        assert!(opener.open_rtcp(&mut out[..n].to_vec()).is_ok());
        assert_eq!(opener.open_rtcp(&mut out[..n].to_vec()), Err(Error::Replay));
        assert_eq!(opener.open_rtcp(&mut report.to_vec()), Err(Error::Short));
    }
}

#[test]
fn the_replay_window_takes_each_index_once_and_none_too_old() {
    let mut window = Replay::default();
    assert_eq!(window.accept(100), Ok(()));
    assert_eq!(window.accept(99), Ok(()));
    assert_eq!(window.accept(99), Err(Error::Replay));
    assert_eq!(window.accept(1_000), Ok(()));
    assert_eq!(window.accept(937), Ok(()));
    assert_eq!(window.accept(936), Err(Error::Replay));
}
