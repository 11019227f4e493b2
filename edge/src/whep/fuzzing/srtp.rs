//! SRTCP: what the viewer sealed opens once, and nothing else opens at all.

use dimpl::SrtpProfile;

use super::super::srtp::{self, Error, Opener, Sealer};
use super::script::{Script, flip};

/// Steps of a script that are taken.
const STEPS_MAX: usize = 200;
/// Every profile, with the bytes of its keying material.
const PROFILES: [(SrtpProfile, usize); 3] = [
    (SrtpProfile::AEAD_AES_128_GCM, 56),
    (SrtpProfile::AEAD_AES_256_GCM, 88),
    (SrtpProfile::AES128_CM_SHA1_80, 60),
];

/// Opens what a script seals, forges, changes and repeats.
pub(super) fn records(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(profile) = script.byte() else { return };
    let (profile, length) = PROFILES[usize::from(profile) % PROFILES.len()];
    let material: Vec<u8> = (0..length).map(|i| i as u8).collect();
    let (client, _) = srtp::split(&material, profile).expect("material that fits");
    let mut opener = Opener::new(profile, &client).expect("keys that fit");
    let mut sealer = Sealer::new(profile, &client).expect("keys that fit");
    let mut last: Option<Vec<u8>> = None;
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { return };
        match step % 4 {
            0 => {
                let Some(bytes) = script.bytes() else { return };
                let opened = opener.open_rtcp(&mut bytes.to_vec()).map(<[u8]>::to_vec);
                assert!(matches!(opened, Err(Error::Short | Error::Forged)), "{opened:?}");
            }
            1 => {
                let Some(bytes) = script.bytes() else { return };
                let mut sealed = vec![0; bytes.len() + 32];
                let Ok(length) = sealer.seal_rtcp(bytes, &mut sealed) else { continue };
                sealed.truncate(length);
                match opener.open_rtcp(&mut sealed.clone()) {
                    Ok(opened) => assert_eq!(opened, bytes),
                    Err(error) => assert_eq!(error, Error::Sources),
                }
                last = Some(sealed);
            }
            2 => {
                let Some(last) = &last else { continue };
                let again = opener.open_rtcp(&mut last.clone()).map(<[u8]>::to_vec);
                assert!(matches!(again, Err(Error::Replay | Error::Sources)), "{again:?}");
            }
            _ => {
                let (Some(at), Some(bits)) = (script.word(), script.byte()) else { return };
                let Some(mut changed) = last.clone().filter(|_| bits != 0) else { continue };
                flip(&mut changed, at, bits);
                let opened = opener.open_rtcp(&mut changed).map(<[u8]>::to_vec);
                assert_eq!(opened, Err(Error::Forged));
            }
        }
    }
}
