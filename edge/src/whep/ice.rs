//! ICE-lite: answers connectivity checks and remembers which addresses passed them.
//!
//! A lite agent (RFC 8445 §2.5) only ever answers, so it is a few lines on top of `rtc_stun`; the
//! full agent of `rtc-ice` would bring candidate pairs, timers and an entry for every address that
//! a peer chooses to send from, all of which a server that only answers has no use for.

pub(super) use lectern_relay_proto::datagram::{addressee, is_stun};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use rtc_crypto::RTCCryptoProvider;
use rtc_stun::attributes::{
    ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_USE_CANDIDATE,
    ATTR_USERNAME, RawAttribute,
};
use rtc_stun::error_code::{CODE_ROLE_CONFLICT, ErrorCodeAttribute};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use rtc_stun::xoraddr::XorMappedAddress;

use super::outbox::Path;

/// Of a STUN message, before its attributes: RFC 8489 §5.
const STUN_HEADER: usize = 20;
/// Paths that a session may use at once: a few interfaces in two address families, and over TCP a
/// connection from each to each address of ours. One more takes the place of the oldest that is not
/// in use.
pub(super) const PATHS_MAX: usize = 16;
/// Larger checks are not read: a browser's are about 100 bytes.
const CHECK_BYTES_MAX: usize = 548;
const UFRAG_LEN: usize = 8;
/// 24 of 62 characters: 142 bits, of the 128 that RFC 8445 §5.3 wants.
const PASSWORD_LEN: usize = 24;

/// Why a datagram was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Not a STUN message, or cut short.
    #[error("not a STUN message")]
    Malformed,
    /// Some other STUN message than a binding request.
    #[error("not a binding request")]
    Unexpected,
    /// User name or integrity do not match the session.
    #[error("connectivity check does not authenticate")]
    Forged,
}

/// Our half of the credentials of a session.
#[derive(Clone)]
pub(super) struct Credentials {
    /// Names the session in connectivity checks.
    pub ufrag: String,
    /// Authenticates them. A secret of the two peers.
    pub password: String,
}

impl Credentials {
    /// New random credentials.
    pub(super) fn generate() -> Self {
        let text = |length| rand::rng().sample_iter(Alphanumeric).take(length).map(char::from);
        Self { ufrag: text(UFRAG_LEN).collect(), password: text(PASSWORD_LEN).collect() }
    }
}

/// The credentials of one ICE session: ours, and the part of the peer's that checks name.
#[derive(Clone)]
pub(super) struct Generation {
    /// Our half.
    pub local: Credentials,
    /// The peer's user name fragment.
    pub remote_ufrag: String,
}

impl Generation {
    /// Whether a check with this user name is meant for it: `ours:theirs`, RFC 8445 §7.3.
    fn is_named(&self, username: &[u8]) -> bool {
        let rest = username.strip_prefix(self.local.ufrag.as_bytes());
        rest.and_then(|rest| rest.strip_prefix(b":")) == Some(self.remote_ufrag.as_bytes())
    }
}

/// What a check that authenticated brought.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The datagram to send back.
    pub reply: Vec<u8>,
    /// Whether the path passed, this time or once more.
    pub passed: bool,
    /// The address that had to go for it.
    pub evicted: Option<Path>,
    /// Whether it was the first under the credentials of a restart, so that those before are void.
    pub renewed: bool,
}

/// The lite agent of one session.
pub(super) struct Agent {
    current: Generation,
    /// After an ICE restart, until the first check under it.
    next: Option<Generation>,
    paths: Vec<Path>,
    selected: Option<Path>,
}

impl Agent {
    /// An agent for a peer that gave `remote_ufrag` in its offer.
    pub(super) fn new(local: Credentials, remote_ufrag: String) -> Self {
        let current = Generation { local, remote_ufrag };
        Self { current, next: None, paths: Vec::new(), selected: None }
    }

    /// Begins an ICE restart (RFC 8445 §9). Media stays on the path it is on, and the credentials so
    /// far stay good, until a check passes under `next`; one restart takes the place of another.
    pub(super) fn restart(&mut self, next: Generation) {
        self.next = Some(next);
    }

    /// Our ufrag.
    pub(super) fn ufrag(&self) -> &str {
        &self.current.local.ufrag
    }

    /// The addresses that passed.
    pub(super) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Whether `path` passed a check.
    pub(super) fn knows(&self, path: &Path) -> bool {
        self.paths.iter().any(|known| known.source() == path.source())
    }

    /// The path that the peer nominated, or else the first that passed.
    pub(super) fn selected(&self) -> Option<Path> {
        self.selected.or_else(|| self.paths.first().copied())
    }

    /// Takes a datagram that came over `path`.
    pub(super) fn handle(
        &mut self,
        path: Path,
        datagram: &[u8],
        crypto: &dyn RTCCryptoProvider,
    ) -> Result<Answered, Error> {
        if datagram.len() > CHECK_BYTES_MAX {
            return Err(Error::Malformed);
        }
        let mut request = Message::new();
        request.unmarshal_binary(datagram).map_err(|_| Error::Malformed)?;
        // Bytes behind the stated length would be covered by nothing.
        if usize::try_from(request.length).ok() != datagram.len().checked_sub(STUN_HEADER) {
            return Err(Error::Malformed);
        }
        if request.typ != BINDING_REQUEST {
            return Err(Error::Unexpected);
        }
        let renewed = self.authenticate(&mut request, crypto)?;
        if request.contains(ATTR_ICE_CONTROLLED) {
            // Two lite or two controlled agents: the peer must take the other role, §7.3.1.1.
            let reply = self.reply(&request, BINDING_ERROR, &CODE_ROLE_CONFLICT_ATTR, crypto)?;
            return Ok(Answered { reply, renewed, ..Answered::default() });
        }
        let evicted = self.remember(path);
        if request.contains(ATTR_USE_CANDIDATE) {
            self.selected = Some(path);
        }
        let mapped = XorMappedAddress { ip: path.peer.ip().to_canonical(), port: path.peer.port() };
        let reply = self.reply(&request, BINDING_SUCCESS, &mapped, crypto)?;
        Ok(Answered { reply, passed: true, evicted, renewed })
    }

    /// RFC 8445 §7.3: user name `ours:theirs`, integrity under our password. `true` if it is the
    /// first check after a restart, whose credentials then are the only ones.
    fn authenticate(
        &mut self,
        request: &mut Message,
        crypto: &dyn RTCCryptoProvider,
    ) -> Result<bool, Error> {
        let username = request.get(ATTR_USERNAME).map_err(|_| Error::Forged)?;
        let named = |generation: &&Generation| generation.is_named(&username);
        let generation = Some(&self.current).filter(named).or(self.next.as_ref().filter(named));
        let generation = generation.filter(|_| request.contains(ATTR_MESSAGE_INTEGRITY));
        let password = generation.ok_or(Error::Forged)?.local.password.as_bytes();
        if request.contains(ATTR_FINGERPRINT) {
            FINGERPRINT.check(request).map_err(|_| Error::Malformed)?;
        }
        MessageIntegrity::check(request, password, crypto.crypto()).map_err(|_| Error::Forged)?;
        // What follows the integrity is not covered by it and does not count, RFC 8489 §14.5.
        let covered = |attribute: &RawAttribute| attribute.typ != ATTR_MESSAGE_INTEGRITY;
        let end = request.attributes.0.iter().take_while(|attribute| covered(attribute)).count();
        request.attributes.0.truncate(end);
        let renewal = self.next.take_if(|next| next.is_named(&username));
        let renewed = renewal.is_some();
        if let Some(renewal) = renewal {
            self.current = renewal;
        }
        Ok(renewed)
    }

    /// Enters a path; gives back the one that has to go for it.
    fn remember(&mut self, path: Path) -> Option<Path> {
        if let Some(known) = self.paths.iter_mut().find(|known| known.source() == path.source()) {
            *known = path;
            return None;
        }
        let mut evicted = None;
        if self.paths.len() == PATHS_MAX {
            // By their source: the one in use may meanwhile have reached another address of ours.
            let used = self.selected().map(|used| used.source());
            let idle = self.paths.iter().position(|known| Some(known.source()) != used);
            evicted = Some(self.paths.remove(idle.unwrap_or(0)));
        }
        self.paths.push(path);
        evicted
    }

    fn reply(
        &self,
        request: &Message,
        kind: rtc_stun::message::MessageType,
        body: &dyn Setter,
        crypto: &dyn RTCCryptoProvider,
    ) -> Result<Vec<u8>, Error> {
        let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
            self.current.local.password.clone(),
            crypto.crypto(),
        );
        let mut reply = Message::new();
        reply.transaction_id = request.transaction_id;
        reply.typ = kind;
        reply.write_header();
        let setters: [&dyn Setter; 3] = [body, &integrity, &FINGERPRINT];
        for setter in setters {
            setter.add_to(&mut reply).map_err(|_| Error::Malformed)?;
        }
        Ok(reply.raw)
    }
}

/// The error of a role conflict, without a phrase.
const CODE_ROLE_CONFLICT_ATTR: ErrorCodeAttribute =
    ErrorCodeAttribute { code: CODE_ROLE_CONFLICT, reason: Vec::new() };

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtc_stun::attributes::ATTR_PRIORITY;
    use rtc_stun::textattrs::TextAttribute;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use crate::whep::outbox::Local;

    fn provider() -> Arc<dyn RTCCryptoProvider> {
        rtc_crypto::default_provider().unwrap()
    }

    fn agent() -> Agent {
        let local = Credentials { ufrag: "ours".into(), password: "p".repeat(24) };
        Agent::new(local, "theirs".into())
    }

    fn path(port: u16) -> Path {
        Path { peer: SocketAddr::from(([127, 0, 0, 1], port)), local: None }
    }

    fn check(username: &str, password: &str, extra: &[rtc_stun::attributes::AttrType]) -> Vec<u8> {
        let provider = provider();
        let mut message = Message::new();
        message.typ = BINDING_REQUEST;
        message.new_transaction_id().unwrap();
        message.write_header();
        TextAttribute::new(ATTR_USERNAME, username.into()).add_to(&mut message).unwrap();
        message.add(ATTR_PRIORITY, &[0, 0, 1, 0]);
        extra.iter().for_each(|attribute| message.add(*attribute, &[]));
        MessageIntegrity::new_short_term_integrity_with_provider(
            password.into(),
            provider.crypto(),
        )
        .add_to(&mut message)
        .unwrap();
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    }

    #[test]
    fn a_check_is_answered_and_its_address_remembered() {
        let mut agent = agent();
        let request = check("ours:theirs", &"p".repeat(24), &[]);
        assert!(is_stun(&request));
        assert_eq!(addressee(&request), Some("ours"));
        let answered = agent.handle(path(1), &request, &*provider()).unwrap();
        assert!(answered.passed && agent.knows(&path(1)));
        let mut reply = Message::new();
        reply.unmarshal_binary(&answered.reply).unwrap();
        assert_eq!(reply.typ, BINDING_SUCCESS);
        let password = "p".repeat(24);
        MessageIntegrity::check(&mut reply, password.as_bytes(), provider().crypto()).unwrap();
        FINGERPRINT.check(&reply).unwrap();
    }

    #[test]
    fn strangers_change_nothing() {
        let mut agent = agent();
        let right = "p".repeat(24);
        for (username, password) in [
            ("ours:others", &right[..]),
            ("other:theirs", &right),
            ("ours:theirs", "guess"),
            ("", ""),
        ] {
            let request = check(username, password, &[]);
            let answered = agent.handle(path(1), &request, &*provider());
            assert_eq!(answered.err(), Some(Error::Forged), "{username}");
        }
        assert_eq!(agent.selected(), None);
    }

    #[test]
    fn the_nominated_path_is_used_and_survives_a_flood_of_addresses() {
        let mut agent = agent();
        let password = "p".repeat(24);
        let nominate = check("ours:theirs", &password, &[ATTR_USE_CANDIDATE]);
        agent.handle(path(1), &nominate, &*provider()).unwrap();
        for port in 2..100 {
            let request = check("ours:theirs", &password, &[]);
            let answered = agent.handle(path(port), &request, &*provider()).unwrap();
            assert_eq!(answered.evicted.is_some(), port > PATHS_MAX as u16);
        }
        assert_eq!(agent.paths().len(), PATHS_MAX);
        assert_eq!(agent.selected(), Some(path(1)));
        assert!(agent.knows(&path(1)));
        // Nor does it matter at which of our addresses its packets arrive by now.
        let local = Some(Local::Address(Ipv4Addr::LOCALHOST.into()));
        let elsewhere = Path { local, ..path(1) };
        let request = check("ours:theirs", &password, &[]);
        agent.handle(elsewhere, &request, &*provider()).unwrap();
        for port in 100..200 {
            agent.handle(path(port), &request, &*provider()).unwrap();
        }
        assert!(agent.knows(&path(1)));
    }

    #[test]
    fn a_restart_counts_from_its_first_check_and_the_old_credentials_until_then() {
        let mut agent = agent();
        let [old, new] = ["p".repeat(24), "q".repeat(24)];
        let before = check("ours:theirs", &old, &[ATTR_USE_CANDIDATE]);
        agent.handle(path(1), &before, &*provider()).unwrap();
        let restart = |ufrag: &str| Generation {
            local: Credentials { ufrag: ufrag.into(), password: "q".repeat(24) },
            remote_ufrag: "again".into(),
        };
        agent.restart(restart("lost"));
        agent.restart(restart("newer"));
        let mut take = |port, username: &str, password: &str| {
            let request = check(username, password, &[]);
            let answered = agent.handle(path(port), &request, &*provider());
            (answered.map(|answered| answered.renewed), agent.selected())
        };
        let nominated = Some(path(1));
        assert_eq!(take(1, "ours:theirs", &old), (Ok(false), nominated));
        // Neither half of one with half of the other, nor a restart that another has replaced.
        for (username, password) in [
            ("newer:theirs", &new),
            ("ours:again", &old),
            ("newer:again", &old),
            ("lost:again", &new),
        ] {
            assert_eq!(take(2, username, password), (Err(Error::Forged), nominated), "{username}");
        }
        assert_eq!(take(2, "newer:again", &new), (Ok(true), nominated));
        assert_eq!(take(2, "newer:again", &new), (Ok(false), nominated));
        assert_eq!(take(1, "ours:theirs", &old), (Err(Error::Forged), nominated));
    }

    #[test]
    fn what_is_added_behind_the_integrity_does_not_count() {
        let mut agent = agent();
        let mut request = Message::new();
        request.unmarshal_binary(&check("ours:theirs", &"p".repeat(24), &[])).unwrap();
        // The fingerprint covers all, and anyone can compute it.
        request.raw.truncate(request.raw.len() - 8);
        request.length -= 8;
        request.attributes.0.pop();
        request.add(ATTR_ICE_CONTROLLED, &[0; 8]);
        FINGERPRINT.add_to(&mut request).unwrap();
        assert!(agent.handle(path(1), &request.raw, &*provider()).unwrap().passed);
    }

    #[test]
    fn a_controlled_peer_is_told_to_change_its_role() {
        let mut agent = agent();
        let request = check("ours:theirs", &"p".repeat(24), &[ATTR_ICE_CONTROLLED]);
        let answered = agent.handle(path(1), &request, &*provider()).unwrap();
        let mut reply = Message::new();
        reply.unmarshal_binary(&answered.reply).unwrap();
        assert_eq!(reply.typ, BINDING_ERROR);
        assert!(agent.paths().is_empty());
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            datagram.extend(bytes);
            let length = datagram.len().saturating_sub(20) as u16;
            datagram[2..4].copy_from_slice(&length.to_be_bytes());
            addressee(&datagram);
            let mut agent = agent();
            prop_assert!(agent.handle(path(1), &datagram, &*provider()).is_err());
        }

        #[test]
        fn a_flipped_bit_is_noticed(at in 0usize..100, bit in 0u8..8) {
            let mut request = check("ours:theirs", &"p".repeat(24), &[]);
            // All but the fingerprint at the end, which the integrity does not cover.
            let at = at % (request.len() - 8);
            request[at] ^= 1 << bit;
            let answered = agent().handle(path(1), &request, &*provider());
            prop_assert!(answered.is_err());
        }
    }
}
