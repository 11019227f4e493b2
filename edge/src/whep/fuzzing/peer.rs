//! A viewer in step with the script: checks that authenticate, a real DTLS client, and its SRTCP.
//!
//! Without it the fuzzer would have to guess keys to get past the first check.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Dtls, DtlsCertificate, Output};
use rtc_crypto::RTCCryptoProvider;
use rtc_stun::attributes::{ATTR_USERNAME, AttrType};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter as _, TransactionId};

use super::super::dtls::Identity;
use super::super::srtp::{self, Sealer};

/// Flights of the client that nobody delivered; it makes new ones for as long as it lasts.
const PENDING_MAX: usize = 64;

/// The certificate of every server here: making one takes long.
pub(super) fn identity() -> Arc<Identity> {
    static IDENTITY: OnceLock<Arc<Identity>> = OnceLock::new();
    let generate = || Arc::new(Identity::generate().expect("a certificate can be made"));
    IDENTITY.get_or_init(generate).clone()
}

/// The certificate of every viewer here.
pub(super) fn certificate() -> &'static DtlsCertificate {
    static CERTIFICATE: OnceLock<DtlsCertificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        dimpl::certificate::generate_self_signed_certificate().expect("a certificate can be made")
    })
}

/// Its fingerprint.
pub(super) fn fingerprint() -> [u8; 32] {
    certificate().fingerprint().try_into().expect("SHA-256")
}

/// The arithmetic of connectivity checks.
pub(super) fn crypto() -> &'static dyn RTCCryptoProvider {
    static CRYPTO: OnceLock<Arc<dyn RTCCryptoProvider>> = OnceLock::new();
    let provider = || rtc_crypto::default_provider().expect("a provider is built in");
    &**CRYPTO.get_or_init(provider)
}

/// How every viewer here is set up: a configuration tries out all of its arithmetic.
fn config() -> Arc<dimpl::Config> {
    static CONFIG: OnceLock<Arc<dimpl::Config>> = OnceLock::new();
    let build = || {
        let config = dimpl::Config::builder().dangerously_set_rng_seed(1).build();
        Arc::new(config.expect("a valid configuration"))
    };
    CONFIG.get_or_init(build).clone()
}

/// A viewer's DTLS and SRTCP.
pub(super) struct Peer {
    dtls: Dtls,
    /// What it wants to send, oldest first.
    pub(super) pending: VecDeque<Vec<u8>>,
    sealer: Option<Sealer>,
}

impl Peer {
    /// A viewer that is about to say hello.
    pub(super) fn new(now: Instant) -> Self {
        let mut dtls = Dtls::new_12(config(), certificate().clone(), now);
        dtls.set_active(true);
        let mut peer = Self { dtls, pending: VecDeque::new(), sealer: None };
        peer.wait(now);
        peer
    }

    /// Some time has passed.
    pub(super) fn wait(&mut self, now: Instant) {
        // What it makes of a broken server is its own affair.
        let _ = self.dtls.handle_timeout(now);
        self.drain();
    }

    /// Takes a datagram of the server.
    pub(super) fn take(&mut self, now: Instant, datagram: &[u8]) {
        let _ = self.dtls.handle_timeout(now);
        let _ = self.dtls.handle_packet(datagram);
        self.drain();
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        let _ = self.dtls.close();
        self.drain();
    }

    /// A compound as SRTCP; `None` before there are keys.
    pub(super) fn seal(&mut self, compound: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = vec![0; compound.len() + 32];
        let length = self.sealer.as_mut()?.seal_rtcp(compound, &mut sealed).ok()?;
        sealed.truncate(length);
        Some(sealed)
    }

    fn drain(&mut self) {
        let mut buffer = [0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) if self.pending.len() < PENDING_MAX => {
                    self.pending.push_back(packet.to_vec());
                }
                Output::KeyingMaterial(material, profile) => {
                    let (client, _) = srtp::split(&material, profile).expect("keys that fit");
                    self.sealer = Sealer::new(profile, &client).ok();
                }
                Output::Timeout(_) | Output::BufferTooSmall { .. } => break,
                _ => {}
            }
        }
    }
}

/// A connectivity check for `username` with these attributes, signed with `password`, and how many
/// of its bytes the signature covers with itself.
pub(super) fn check(
    username: &str,
    password: &str,
    attributes: &[(u16, &[u8])],
) -> (Vec<u8>, usize) {
    let mut message = Message::new();
    message.typ = BINDING_REQUEST;
    message.transaction_id = TransactionId([7; 12]);
    message.write_header();
    message.add(ATTR_USERNAME, username.as_bytes());
    for (kind, value) in attributes {
        message.add(AttrType(*kind), value);
    }
    let password = password.to_owned();
    let integrity =
        MessageIntegrity::new_short_term_integrity_with_provider(password, crypto().crypto());
    // Refused behind a fingerprint; then the check goes without a signature.
    let signed = integrity.add_to(&mut message).is_ok();
    let covered = if signed { message.raw.len() } else { 0 };
    FINGERPRINT.add_to(&mut message).expect("a fingerprint fits");
    (message.raw, covered)
}
