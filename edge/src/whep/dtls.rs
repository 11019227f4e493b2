//! DTLS of one session, passive, on `dimpl`: a guard in front of it, a budget around it, and the
//! SRTP keys out of it.
//!
//! Until a handshake is done anyone who can forge the viewer's address could end it with a single
//! plaintext datagram, so what a client has no reason to send does not get in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output};
use lectern_relay_proto::datagram;
pub(super) use lectern_relay_proto::datagram::is_dtls;

use super::quota::Quota;
use super::srtp::{self, Opener, Sealer};

/// How long a handshake may take, from the session's creation.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// First retransmission. Most viewers are closer than this; a needless resend is five packets.
const RETRANSMIT: Duration = Duration::from_millis(250);
/// Flights are sent again this often: at a doubling interval, for as long as a handshake may take.
const RETRIES: usize = 6;
/// Datagrams and bytes that a handshake may take from the peer: a client sends about ten of them,
/// each again a few times, and a certificate chain of a few kilobytes at most.
const HANDSHAKE_DATAGRAMS_MAX: u32 = 100;
const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;
/// Datagrams in [`WINDOW`] that are read once connected: resent last flights and a close_notify.
const CONNECTED_DATAGRAMS_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(5);
/// Of the datagrams that we make: what every path carries.
const MTU: usize = 1_200;
/// Large enough for any output of `dimpl`, above all a peer's certificate.
const OUTPUT_BYTES: usize = 16 * 1024;
/// Why a datagram was not taken, or why the connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Dropped by the guard: nothing happened.
    #[error("not what a DTLS client sends")]
    Refused,
    /// Dropped: more than a connected peer has reason to send. Nothing happened.
    #[error("too many datagrams on a connected session")]
    TooMany,
    /// The handshake used up its budget. The session must end.
    #[error("handshake took too many datagrams")]
    Budget,
    /// The certificate is not the one of the offer. The session must end.
    #[error("certificate does not match the fingerprint of the offer")]
    Fingerprint,
    /// The handshake failed. The session must end.
    #[error("handshake failed")]
    Failed,
}

/// What all sessions of a process share: its certificate and settings.
pub(super) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<dimpl::Config>,
}

impl Identity {
    /// A new self-signed certificate.
    pub(super) fn generate() -> Option<Self> {
        let certificate = dimpl::certificate::generate_self_signed_certificate().ok()?;
        let config = dimpl::Config::builder()
            .mtu(MTU)
            .use_server_cookie(true)
            .flight_start_rto(RETRANSMIT)
            .flight_retries(RETRIES)
            .handshake_timeout(HANDSHAKE_MAX)
            .build()
            .ok()?;
        Some(Self { certificate, config: Arc::new(config) })
    }

    /// SHA-256 of the certificate as SDP writes it, RFC 8122 §5.
    pub(super) fn fingerprint(&self) -> String {
        self.certificate.fingerprint_str()
    }
}

/// The SRTP keys of a session: one side seals, the other opens.
pub(super) struct Keys {
    /// For what we send.
    pub sealer: Sealer,
    /// For the peer's RTCP.
    pub opener: Opener,
}

/// What a datagram or a timer brought.
#[derive(Default)]
pub(super) struct Progress {
    /// The handshake is done and the peer is who the offer said: here are the keys.
    pub keys: Option<Keys>,
    /// The peer closed the connection.
    pub closed: bool,
}

/// One connection.
pub(super) struct Connection {
    identity: Arc<Identity>,
    /// Made for the first datagram, since many sessions never see one.
    dtls: Option<Box<Dtls>>,
    fingerprint: [u8; 32],
    verified: bool,
    connected: bool,
    keys: Option<Keys>,
    datagrams: u32,
    bytes: usize,
    /// What is read once connected.
    quota: Quota,
    timeout: Option<Instant>,
}

impl Connection {
    /// A connection to the peer whose certificate has this SHA-256 fingerprint.
    pub(super) fn new(identity: Arc<Identity>, fingerprint: [u8; 32]) -> Self {
        Self {
            identity,
            dtls: None,
            fingerprint,
            verified: false,
            connected: false,
            keys: None,
            datagrams: 0,
            bytes: 0,
            quota: Quota::new(CONNECTED_DATAGRAMS_MAX, WINDOW),
            timeout: None,
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Takes a datagram from an address that passed ICE; `send` is given the answers.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Error> {
        if !datagram::is_from_dtls_client(datagram) {
            return Err(Error::Refused);
        }
        self.spend(now, datagram.len())?;
        let dtls = self.dtls.get_or_insert_with(|| {
            let identity = &self.identity;
            Box::new(Dtls::new_12(identity.config.clone(), identity.certificate.clone(), now))
        });
        dtls.handle_timeout(now).map_err(|_| Error::Failed)?;
        dtls.handle_packet(datagram).map_err(|_| Error::Failed)?;
        self.drain(send)
    }

    /// Does what is due: sends a flight again, or gives the handshake up.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        send: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Error> {
        if self.timeout.is_none_or(|at| now < at) {
            return Ok(Progress::default());
        }
        self.timeout = None;
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now).map_err(|_| Error::Failed)?;
        }
        self.drain(send)
    }

    /// Says goodbye with a close_notify.
    pub(super) fn close(&mut self, send: &mut dyn FnMut(&[u8])) {
        if let Some(dtls) = &mut self.dtls
            && dtls.close().is_ok()
        {
            // The connection is over whatever comes of it.
            drop(self.drain(send));
        }
    }

    fn spend(&mut self, now: Instant, bytes: usize) -> Result<(), Error> {
        if self.connected {
            return if self.quota.take(now) { Ok(()) } else { Err(Error::TooMany) };
        }
        self.datagrams += 1;
        self.bytes += bytes;
        if self.datagrams > HANDSHAKE_DATAGRAMS_MAX || self.bytes > HANDSHAKE_BYTES_MAX {
            return Err(Error::Budget);
        }
        Ok(())
    }

    fn drain(&mut self, send: &mut dyn FnMut(&[u8])) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        let Some(dtls) = &mut self.dtls else { return Ok(progress) };
        let mut buffer = [0; OUTPUT_BYTES];
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => send(packet),
                Output::PeerCert(der) => {
                    let fingerprint = dimpl::certificate::calculate_fingerprint(der);
                    if fingerprint != self.fingerprint {
                        return Err(Error::Fingerprint);
                    }
                    self.verified = true;
                }
                Output::KeyingMaterial(material, profile) => {
                    let (client, server) =
                        srtp::split(&material, profile).map_err(|_| Error::Failed)?;
                    self.keys = Some(Keys {
                        sealer: Sealer::new(profile, &server).map_err(|_| Error::Failed)?,
                        opener: Opener::new(profile, &client).map_err(|_| Error::Failed)?,
                    });
                }
                Output::Connected => self.connected = true,
                Output::CloseNotify => progress.closed = true,
                Output::BufferTooSmall { .. } => return Err(Error::Failed),
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                _ => {}
            }
        }
        if self.connected && self.verified {
            progress.keys = self.keys.take();
        }
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend(epoch.to_be_bytes());
        record.extend([0; 6]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    fn message(kind: u8, length: u32, sequence: u16, offset: u32, fragment: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend(&length.to_be_bytes()[1..]);
        message.extend(sequence.to_be_bytes());
        message.extend(&offset.to_be_bytes()[1..]);
        message.extend(&(fragment.len() as u32).to_be_bytes()[1..]);
        message.extend(fragment);
        message
    }

    /// Runs a handshake with a client of the same library; `meddle` may inject datagrams.
    fn handshake(
        claimed: Option<[u8; 32]>,
        mut meddle: impl FnMut(&mut Connection),
    ) -> Result<Option<Keys>, Error> {
        let now = Instant::now();
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let actual: [u8; 32] = certificate.fingerprint().try_into().unwrap();
        let identity = Arc::new(Identity::generate().unwrap());
        let mut server = Connection::new(identity, claimed.unwrap_or(actual));
        let mut client = Dtls::new_12(Arc::new(dimpl::Config::default()), certificate, now);
        client.set_active(true);
        client.handle_timeout(now).unwrap();
        let mut keys = None;
        for _ in 0..20 {
            let mut to_server = Vec::new();
            let mut buffer = vec![0; OUTPUT_BYTES];
            loop {
                match client.poll_output(&mut buffer) {
                    Output::Packet(packet) => to_server.push(packet.to_vec()),
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
            let mut to_client = Vec::new();
            for datagram in to_server {
                meddle(&mut server);
                let mut send = |packet: &[u8]| to_client.push(packet.to_vec());
                let progress = server.handle(now, &datagram, &mut send)?;
                keys = progress.keys.or(keys);
            }
            if to_client.is_empty() {
                break;
            }
            for datagram in to_client {
                client.handle_timeout(now).unwrap();
                client.handle_packet(&datagram).unwrap();
            }
        }
        Ok(keys)
    }

    #[test]
    fn a_client_with_the_offered_certificate_gets_keys() {
        assert!(handshake(None, |_| {}).unwrap().is_some());
    }

    #[test]
    fn another_certificate_than_the_offered_gets_none() {
        assert_eq!(handshake(Some([7; 32]), |_| {}).err(), Some(Error::Fingerprint));
    }

    #[test]
    fn forged_plaintext_does_not_end_a_handshake() {
        let keys = handshake(None, |server| {
            let now = Instant::now();
            for forged in [
                record(21, 0, &[2, 40]),
                record(22, 0, &[]),
                record(22, 0, &message(1, 60, 0, 0, &[])),
                record(22, 0, &message(14, 0, 3, 0, &[])),
            ] {
                assert_eq!(server.handle(now, &forged, &mut |_| {}).err(), Some(Error::Refused));
            }
        });
        assert!(keys.unwrap().is_some());
    }

    #[test]
    fn a_flood_of_fragments_uses_the_budget_up() {
        let identity = Arc::new(Identity::generate().unwrap());
        let mut server = Connection::new(identity, [0; 32]);
        let now = Instant::now();
        let fragment = record(22, 0, &message(1, 16_000, 0, 8_000, &[0]));
        let ended = (0..30_000).find_map(|_| server.handle(now, &fragment, &mut |_| {}).err());
        assert!(matches!(ended, Some(Error::Budget | Error::Failed)));
        assert!(server.datagrams <= HANDSHAKE_DATAGRAMS_MAX + 1);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(
            kind in 19u8..26, epoch in 0u16..3, body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let identity = Arc::new(Identity::generate().unwrap());
            let mut server = Connection::new(identity, [0; 32]);
            drop(server.handle(Instant::now(), &record(kind, epoch, &body), &mut |_| {}));
        }
    }
}
