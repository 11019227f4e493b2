//! SRTP and SRTCP with keys from DTLS: key derivation, sealing of RTP and RTCP, opening of RTCP.
//!
//! Our own, because this is where the processor time of a viewer goes: the payload of a packet is
//! shared by all viewers, so it is sealed out of place, straight into the send buffer. Which packets
//! exist and what is in them is for others to know. RFC 3711 for the transform, the key derivation
//! and AES-CM; RFC 7714 for AES-GCM.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, hmac};
use dimpl::SrtpProfile;

/// Bytes of an AES-GCM tag.
const GCM_TAG: usize = 16;
/// Bytes of the truncated HMAC-SHA1 tag of SRTP_AES128_CM_SHA1_80.
const SHA1_80_TAG: usize = 10;
/// The E flag and the index at the end of an SRTCP packet.
const SRTCP_INDEX: usize = 4;
/// The part of an RTCP packet that stays readable: the first header and the sender's SSRC.
const RTCP_CLEAR: usize = 8;
/// The E flag: the packet is encrypted. RFC 3711 §3.4.
const E_FLAG: u32 = 1 << 31;
/// RTCP sources whose replay windows a session keeps. A browser reports from one or two; only
/// packets that authenticate can take a place.
const RTCP_SOURCES_MAX: usize = 4;

/// Why a packet was not sealed or opened, or keys not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The keying material is not what the profile calls for, or the profile is not known.
    #[error("keying material does not fit the SRTP profile")]
    Keys,
    /// The output buffer is too small, or the cipher refused. Drop the packet.
    #[error("packet could not be sealed")]
    Seal,
    /// Too short to be SRTCP.
    #[error("packet is too short to be SRTCP")]
    Short,
    /// Not from the peer: the tag does not match. Also a plaintext packet.
    #[error("SRTCP packet does not authenticate")]
    Forged,
    /// Seen before, or too old to tell.
    #[error("SRTCP packet is a replay")]
    Replay,
    /// More RTCP sources than a peer has reason to use.
    #[error("too many RTCP sources")]
    Sources,
}

/// The key and salt of one direction, as DTLS exported them.
pub(super) struct Master<'a> {
    /// 16 or 32 bytes.
    pub key: &'a [u8],
    /// 12 bytes for AES-GCM, 14 for AES-CM.
    pub salt: &'a [u8],
}

/// Splits exported keying material into the client's and the server's half, RFC 5764 §4.2.
pub(super) fn split(
    material: &[u8],
    profile: SrtpProfile,
) -> Result<(Master<'_>, Master<'_>), Error> {
    let (key, salt) = lengths(profile)?;
    if material.len() != 2 * (key + salt) {
        return Err(Error::Keys);
    }
    let (keys, salts) = material.split_at(2 * key);
    let client = Master { key: &keys[..key], salt: &salts[..salt] };
    let server = Master { key: &keys[key..], salt: &salts[salt..] };
    Ok((client, server))
}

/// Bytes of master key and master salt.
fn lengths(profile: SrtpProfile) -> Result<(usize, usize), Error> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Ok((16, 12)),
        SrtpProfile::AEAD_AES_256_GCM => Ok((32, 12)),
        SrtpProfile::AES128_CM_SHA1_80 => Ok((16, 14)),
        #[allow(unreachable_patterns)]
        _ => Err(Error::Keys),
    }
}

/// Seals what one side sends.
pub(super) struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_index: u32,
}

impl Sealer {
    /// The sender's side of `master`.
    pub(super) fn new(profile: SrtpProfile, master: &Master<'_>) -> Result<Self, Error> {
        let rtp = Cipher::derive(profile, master, Label::RTP)?;
        let rtcp = Cipher::derive(profile, master, Label::RTCP)?;
        Ok(Self { rtp, rtcp, rtcp_index: 0 })
    }

    /// Writes the SRTP packet of `header` and `payload` to the front of `out`; returns its length.
    ///
    /// `index` is the 48-bit packet index, rollover counter and sequence number (RFC 3711 §3.3.1).
    /// The same index must never be sealed with other contents: under AES-GCM that gives away the
    /// authentication key.
    pub(super) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header: &[u8],
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let body = header.len() + payload.len();
        let end = body + self.rtp.tag_len();
        let out = out.get_mut(..end).ok_or(Error::Seal)?;
        let (out_header, rest) = out.split_at_mut(header.len());
        out_header.copy_from_slice(header);
        match &self.rtp {
            Cipher::Gcm { key, salt } => {
                let (text, tag) = rest.split_at_mut(payload.len());
                key.seal_out_of_place_scatter(
                    Nonce::assume_unique_for_key(gcm_rtp_iv(salt, ssrc, index)),
                    Aad::from(header),
                    payload,
                    text,
                    &[],
                    tag,
                )
                .map_err(|_| Error::Seal)?;
            }
            Cipher::Cm(cm) => {
                let Cm { key, salt, mac } = &**cm;
                let (text, _) = rest.split_at_mut(payload.len());
                text.copy_from_slice(payload);
                cm_crypt(key, cm_iv(salt, ssrc, index), text)?;
                let mut context = hmac::Context::with_key(mac);
                context.update(&out[..body]);
                context.update(&((index >> 16) as u32).to_be_bytes());
                let tag = context.sign();
                out[body..].copy_from_slice(&tag.as_ref()[..SHA1_80_TAG]);
            }
        }
        Ok(end)
    }

    /// Writes the SRTCP packet of the compound `packet` to the front of `out`; returns its length.
    pub(super) fn seal_rtcp(&mut self, packet: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if packet.len() < RTCP_CLEAR || self.rtcp_index >= E_FLAG {
            return Err(Error::Seal);
        }
        let index = self.rtcp_index;
        self.rtcp_index += 1;
        let ssrc = be32(packet, 4);
        let word = (index | E_FLAG).to_be_bytes();
        let end = packet.len() + self.rtcp.tag_len() + SRTCP_INDEX;
        let out = out.get_mut(..end).ok_or(Error::Seal)?;
        out[..packet.len()].copy_from_slice(packet);
        match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let aad = gcm_rtcp_aad(packet, word);
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, ssrc, index));
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce,
                        Aad::from(aad),
                        &mut out[RTCP_CLEAR..packet.len()],
                    )
                    .map_err(|_| Error::Seal)?;
                out[packet.len()..packet.len() + GCM_TAG].copy_from_slice(tag.as_ref());
                out[end - SRTCP_INDEX..].copy_from_slice(&word);
            }
            Cipher::Cm(cm) => {
                let Cm { key, salt, mac } = &**cm;
                let iv = cm_iv(salt, ssrc, u64::from(index));
                cm_crypt(key, iv, &mut out[RTCP_CLEAR..packet.len()])?;
                let signed = packet.len() + SRTCP_INDEX;
                out[packet.len()..signed].copy_from_slice(&word);
                let tag = hmac::sign(mac, &out[..signed]);
                out[signed..].copy_from_slice(&tag.as_ref()[..SHA1_80_TAG]);
            }
        }
        Ok(end)
    }
}

/// Opens the RTCP that the other side sends.
pub(super) struct Opener {
    rtcp: Cipher,
    windows: Vec<(u32, Replay)>,
}

impl Opener {
    /// The receiver's side of the peer's `master`.
    pub(super) fn new(profile: SrtpProfile, master: &Master<'_>) -> Result<Self, Error> {
        let rtcp = Cipher::derive(profile, master, Label::RTCP)?;
        Ok(Self { rtcp, windows: Vec::new() })
    }

    /// Opens an SRTCP packet in place and returns the compound RTCP packet. State changes only
    /// after the packet has authenticated.
    pub(super) fn open_rtcp<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let trailer = self.rtcp.tag_len() + SRTCP_INDEX;
        let body = packet.len().checked_sub(trailer).ok_or(Error::Short)?;
        if body < RTCP_CLEAR {
            return Err(Error::Short);
        }
        let ssrc = be32(packet, 4);
        let index = match &self.rtcp {
            Cipher::Gcm { key, salt } => {
                let word = be32(packet, packet.len() - SRTCP_INDEX);
                let index = encrypted_index(word)?;
                let aad = gcm_rtcp_aad(packet, word.to_be_bytes());
                let nonce = Nonce::assume_unique_for_key(gcm_rtcp_iv(salt, ssrc, index));
                let sealed = &mut packet[RTCP_CLEAR..body + GCM_TAG];
                key.open_in_place(nonce, Aad::from(aad), sealed).map_err(|_| Error::Forged)?;
                index
            }
            Cipher::Cm(cm) => {
                let Cm { key, salt, mac } = &**cm;
                let signed = body + SRTCP_INDEX;
                let tag = hmac::sign(mac, &packet[..signed]);
                constant_time::verify_slices_are_equal(
                    &tag.as_ref()[..SHA1_80_TAG],
                    &packet[signed..],
                )
                .map_err(|_| Error::Forged)?;
                let index = encrypted_index(be32(packet, body))?;
                let iv = cm_iv(salt, ssrc, u64::from(index));
                cm_crypt(key, iv, &mut packet[RTCP_CLEAR..body])?;
                index
            }
        };
        self.window(ssrc)?.accept(index)?;
        Ok(&packet[..body])
    }

    fn window(&mut self, ssrc: u32) -> Result<&mut Replay, Error> {
        let at = match self.windows.iter().position(|(known, _)| *known == ssrc) {
            Some(at) => at,
            None if self.windows.len() < RTCP_SOURCES_MAX => {
                self.windows.push((ssrc, Replay::default()));
                self.windows.len() - 1
            }
            None => return Err(Error::Sources),
        };
        Ok(&mut self.windows[at].1)
    }
}

/// The index of an SRTCP packet that is encrypted; ours must be.
fn encrypted_index(word: u32) -> Result<u32, Error> {
    if word & E_FLAG == 0 { Err(Error::Forged) } else { Ok(word & !E_FLAG) }
}

/// The 64 packets before the newest, RFC 3711 §3.3.2.
#[derive(Default)]
struct Replay {
    newest: Option<u32>,
    seen: u64,
}

impl Replay {
    fn accept(&mut self, index: u32) -> Result<(), Error> {
        let Some(newest) = self.newest else {
            self.newest = Some(index);
            self.seen = 1;
            return Ok(());
        };
        if index > newest {
            self.seen = self.seen.checked_shl(index - newest).unwrap_or(0) | 1;
            self.newest = Some(index);
            return Ok(());
        }
        let bit = 1u64.checked_shl(newest - index).ok_or(Error::Replay)?;
        if self.seen & bit != 0 {
            return Err(Error::Replay);
        }
        self.seen |= bit;
        Ok(())
    }
}

/// One direction's session key and salt, of RTP or of RTCP.
enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    /// Boxed: its key schedules are 1.7 kB, and few sessions end up with it.
    Cm(Box<Cm>),
}

/// AES in counter mode and HMAC-SHA1.
struct Cm {
    key: EncryptingKey,
    salt: [u8; 14],
    mac: hmac::Key,
}

/// The labels of RFC 3711 §4.3.2: encryption, authentication, salt.
#[derive(Clone, Copy)]
struct Label {
    key: u8,
    auth: u8,
    salt: u8,
}

impl Label {
    const RTP: Self = Self { key: 0, auth: 1, salt: 2 };
    const RTCP: Self = Self { key: 3, auth: 4, salt: 5 };
}

impl Cipher {
    fn derive(profile: SrtpProfile, master: &Master<'_>, label: Label) -> Result<Self, Error> {
        let (key_len, salt_len) = lengths(profile)?;
        if master.key.len() != key_len || master.salt.len() != salt_len {
            return Err(Error::Keys);
        }
        let key = &mut [0; 32][..key_len];
        derive(master, label.key, key)?;
        if matches!(profile, SrtpProfile::AES128_CM_SHA1_80) {
            let mut salt = [0; 14];
            derive(master, label.salt, &mut salt)?;
            let mut auth = [0; 20];
            derive(master, label.auth, &mut auth)?;
            let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth);
            return Ok(Self::Cm(Box::new(Cm { key: ctr(key)?, salt, mac })));
        }
        let mut salt = [0; 12];
        derive(master, label.salt, &mut salt)?;
        let algorithm = if key_len == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key).map_err(|_| Error::Keys)?;
        Ok(Self::Gcm { key: LessSafeKey::new(key), salt })
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Gcm { .. } => GCM_TAG,
            Self::Cm(_) => SHA1_80_TAG,
        }
    }
}

/// AES-CM PRF, RFC 3711 §4.3.3, with a key derivation rate of zero. A 12-byte salt is padded with
/// zeros on the right, RFC 7714 §11.
fn derive(master: &Master<'_>, label: u8, out: &mut [u8]) -> Result<(), Error> {
    let mut iv = [0; 16];
    iv[..master.salt.len()].copy_from_slice(master.salt);
    iv[7] ^= label;
    out.fill(0);
    cm_crypt(&ctr(master.key)?, iv, out).map_err(|_| Error::Keys)
}

fn ctr(key: &[u8]) -> Result<EncryptingKey, Error> {
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::ctr).map_err(|_| Error::Keys)
}

fn cm_crypt(key: &EncryptingKey, iv: [u8; 16], text: &mut [u8]) -> Result<(), Error> {
    let context = EncryptionContext::Iv128(iv.into());
    key.less_safe_encrypt(text, context).map(drop).map_err(|_| Error::Seal)
}

/// RFC 3711 §4.1.1: salt, SSRC and packet index; the last two bytes count blocks.
fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    xor(&mut iv[4..8], &ssrc.to_be_bytes());
    xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
    iv
}

/// RFC 7714 §8.1.
fn gcm_rtp_iv(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; NONCE_LEN] {
    let mut iv = *salt;
    xor(&mut iv[2..6], &ssrc.to_be_bytes());
    xor(&mut iv[6..12], &index.to_be_bytes()[2..]);
    iv
}

/// RFC 7714 §9.1.
fn gcm_rtcp_iv(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; NONCE_LEN] {
    let mut iv = *salt;
    xor(&mut iv[2..6], &ssrc.to_be_bytes());
    xor(&mut iv[8..12], &index.to_be_bytes());
    iv
}

/// RFC 7714 §9.2: the clear header and the word with the index.
fn gcm_rtcp_aad(packet: &[u8], word: [u8; 4]) -> [u8; RTCP_CLEAR + 4] {
    let mut aad = [0; RTCP_CLEAR + 4];
    aad[..RTCP_CLEAR].copy_from_slice(&packet[..RTCP_CLEAR]);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    aad
}

fn xor(into: &mut [u8], with: &[u8]) {
    into.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
