//! The viewer's side of ICE and DTLS: checks, consent, the handshake, and the keys it ends in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use dimpl::{Dtls, DtlsCertificate, Output, SrtpProfile};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, Message, Setter as _};
use rtc_stun::textattrs::TextAttribute;

use crate::sdp::Answer;

/// From one unanswered check to the next.
const CHECK_REPEAT: Duration = Duration::from_millis(100);
/// Consent checks, spread so that a thousand viewers do not check at once (RFC 7675 §5.1).
const CONSENT_MS: std::ops::Range<u64> = 2_000..3_000;
/// A binding success response, RFC 8489 §5.
const SUCCESS: [u8; 2] = [1, 1];
const OUTPUT_BYTES: usize = 4_096;

/// What all viewers share.
pub(crate) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
    crypto: Arc<dyn RTCCryptoProvider>,
}

impl Identity {
    pub(crate) fn generate() -> anyhow::Result<Self> {
        let certificate = dimpl::certificate::generate_self_signed_certificate();
        let certificate =
            certificate.map_err(|error| anyhow::anyhow!("no certificate: {error}"))?;
        let crypto = rtc_crypto::default_provider();
        let crypto = crypto.map_err(|error| anyhow::anyhow!("no cryptography: {error}"))?;
        Ok(Self { certificate, config: Arc::new(dimpl::Config::default()), crypto })
    }

    pub(crate) fn fingerprint(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// The viewer's half of the ICE credentials.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) password: String,
}

impl Credentials {
    pub(crate) fn generate() -> Self {
        let text = |length| rand::rng().sample_iter(Alphanumeric).take(length).map(char::from);
        Self { ufrag: text(8).collect(), password: text(24).collect() }
    }
}

/// What the handshake ends in.
pub(crate) struct Keys {
    pub(crate) profile: SrtpProfile,
    /// Opens what the edge sends.
    pub(crate) inbound: Context,
    /// Seals what the viewer sends.
    pub(crate) outbound: Context,
}

/// One viewer's transport.
pub(crate) struct Transport {
    identity: Arc<Identity>,
    username: String,
    password: String,
    fingerprint: String,
    tie_breaker: [u8; 8],
    transaction: [u8; 12],
    check_at: Instant,
    dtls: Box<Dtls>,
    /// When the handshake's timer is due; `None` before there is a way for it.
    dtls_at: Option<Instant>,
    verified: bool,
    connected: bool,
    keys: Option<Keys>,
}

impl Transport {
    pub(crate) fn new(
        identity: Arc<Identity>,
        local: &Credentials,
        answer: &Answer,
        now: Instant,
    ) -> Self {
        let mut dtls = Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now);
        dtls.set_active(true);
        Self {
            identity,
            username: format!("{}:{}", answer.ufrag, local.ufrag),
            password: answer.password.clone(),
            fingerprint: answer.fingerprint.clone(),
            tie_breaker: rand::rng().random(),
            transaction: [0; 12],
            check_at: now,
            dtls: Box::new(dtls),
            dtls_at: None,
            verified: false,
            connected: false,
            keys: None,
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn wake(&self) -> Instant {
        self.dtls_at.map_or(self.check_at, |at| at.min(self.check_at))
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<Option<Keys>> {
        if now >= self.check_at {
            out.push(self.check()?);
            self.check_at = now
                + match self.dtls_at {
                    None => CHECK_REPEAT,
                    Some(_) => Duration::from_millis(rand::rng().random_range(CONSENT_MS)),
                };
        }
        if self.dtls_at.is_none_or(|at| now < at) {
            return Ok(None);
        }
        self.dtls.handle_timeout(now).context("DTLS")?;
        self.drain(out)
    }

    /// Takes a STUN message or DTLS records.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        out: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<Option<Keys>> {
        if datagram[0] < 4 {
            let ours = datagram.get(8..20) == Some(&self.transaction);
            if ours && datagram.starts_with(&SUCCESS) && self.dtls_at.is_none() {
                self.check_at = now + Duration::from_millis(rand::rng().random_range(CONSENT_MS));
                self.dtls.handle_timeout(now).context("DTLS")?;
                return self.drain(out);
            }
            return Ok(None);
        }
        self.dtls.handle_timeout(now).context("DTLS")?;
        self.dtls.handle_packet(datagram).context("DTLS")?;
        self.drain(out)
    }

    /// A connectivity check that nominates, RFC 8445 §7.2.2.
    fn check(&mut self) -> anyhow::Result<Vec<u8>> {
        const PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 255;
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        message.new_transaction_id()?;
        message.write_header();
        self.transaction = message.transaction_id.0;
        TextAttribute::new(ATTR_USERNAME, self.username.clone()).add_to(&mut message)?;
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker);
        message.add(ATTR_USE_CANDIDATE, &[]);
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        let (password, crypto) = (self.password.clone(), self.identity.crypto.crypto());
        MessageIntegrity::new_short_term_integrity_with_provider(password, crypto)
            .add_to(&mut message)?;
        FINGERPRINT.add_to(&mut message)?;
        Ok(message.raw)
    }

    fn drain(&mut self, out: &mut Vec<Vec<u8>>) -> anyhow::Result<Option<Keys>> {
        let mut buffer = [0; OUTPUT_BYTES];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => out.push(packet.to_vec()),
                Output::PeerCert(der) => {
                    let print = dimpl::certificate::calculate_fingerprint(der);
                    let print = dimpl::certificate::format_fingerprint(&print);
                    ensure!(
                        print.eq_ignore_ascii_case(&self.fingerprint),
                        "the edge's certificate is not that of its answer"
                    );
                    self.verified = true;
                }
                Output::KeyingMaterial(material, profile) => {
                    self.keys = Some(keys(&material, profile, &*self.identity.crypto)?);
                }
                Output::Connected => self.connected = true,
                Output::CloseNotify => bail!("the edge ended the session"),
                Output::BufferTooSmall { .. } => bail!("a DTLS record of more than 4 kB"),
                Output::Timeout(at) => {
                    self.dtls_at = Some(at);
                    break;
                }
                _ => {}
            }
        }
        Ok(if self.connected && self.verified { self.keys.take() } else { None })
    }
}

/// The client's keys of the exported material, RFC 5764 §4.2.
fn keys(
    material: &[u8],
    profile: SrtpProfile,
    crypto: &dyn RTCCryptoProvider,
) -> anyhow::Result<Keys> {
    let protection = match profile {
        SrtpProfile::AEAD_AES_256_GCM => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::AEAD_AES_128_GCM => ProtectionProfile::AeadAes128Gcm,
        _ => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let (key, salt) = (protection.key_len(), protection.salt_len());
    ensure!(material.len() == 2 * (key + salt), "keying material of {} bytes", material.len());
    let context = |side: usize| {
        let master = &material[side * key..][..key];
        let salt = &material[2 * key + side * salt..][..salt];
        Context::new(master, salt, protection, None, None, crypto.crypto())
    };
    Ok(Keys { profile, outbound: context(0)?, inbound: context(1)? })
}
