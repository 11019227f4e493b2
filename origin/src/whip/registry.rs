//! Who is there: sessions by the name in their URL, by what connectivity checks call them, and by the
//! addresses that have passed a check.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use aws_lc_rs::{digest, rand};
use lectern_relay_proto::{UtcTime, datagram};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::socket::Path;

/// Datagrams that wait for a session: half a second of 10 Mb/s.
pub(super) const MAILBOX_DATAGRAMS_MAX: usize = 512;
/// Bytes of a session's name: nobody guesses it.
const NAME_BYTES: usize = 16;

/// What a session's URL calls it. Whoever knows it and the stream key may end the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionName(String);

impl SessionName {
    /// A name that nobody else has; `None` if there is no randomness.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; NAME_BYTES];
        rand::fill(&mut bytes).ok()?;
        Some(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(super) fn from_url(name: &str) -> Self {
        Self(name.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A datagram for a session.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) path: Path,
    pub(super) bytes: Vec<u8>,
    pub(super) at: Instant,
    pub(super) arrived: UtcTime,
}

/// What is known of a session outside its task.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) mailbox: mpsc::Sender<Datagram>,
    /// Cancelled when the publisher wants it to end.
    pub(super) stop: CancellationToken,
    /// Of the stream key it was opened with.
    pub(super) key: KeyDigest,
    /// The publisher's half of the ICE credentials.
    pub(super) peer_ufrag: String,
    /// Ours.
    pub(super) ufrag: String,
}

/// A key that is compared without saying by the time it takes how much of it is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyDigest([u8; digest::SHA256_OUTPUT_LEN]);

impl KeyDigest {
    pub(super) fn of(key: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, key.as_bytes());
        Self(digest.as_ref().try_into().expect("SHA-256 is 32 bytes"))
    }
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Registry {
    sessions_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionName, Entry>,
    /// Places that are held for sessions which are being made.
    promised: usize,
    by_ufrag: HashMap<String, SessionName>,
    /// At most as many for each session as it lets pass.
    by_address: HashMap<SocketAddr, SessionName>,
}

impl Registry {
    /// A registry of so many sessions at the most.
    pub(super) fn new(sessions_max: usize) -> Self {
        Self { sessions_max, inner: Mutex::default() }
    }

    /// A place for a session; `None` if all are taken.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        let mut inner = self.lock();
        if inner.sessions.len() + inner.promised >= self.sessions_max {
            return None;
        }
        inner.promised += 1;
        Some(Place { registry: self.clone(), name: None })
    }

    /// The session of this name.
    pub(super) fn get(&self, name: &SessionName) -> Option<Entry> {
        self.lock().sessions.get(name).cloned()
    }

    /// Gives a datagram to whom it is for, or says why it is dropped.
    pub(super) fn post(&self, datagram: Datagram) -> Result<(), &'static str> {
        let inner = self.lock();
        let name = if datagram::is_stun(&datagram.bytes) {
            datagram::addressee(&datagram.bytes).and_then(|ufrag| inner.by_ufrag.get(ufrag))
        } else {
            inner.by_address.get(&datagram.path.peer)
        };
        let entry = name.and_then(|name| inner.sessions.get(name)).ok_or("stranger")?;
        entry.mailbox.try_send(datagram).map_err(|_| "session_full")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    name: Option<SessionName>,
}

impl Place {
    /// Enters the session.
    pub(super) fn enter(&mut self, name: SessionName, entry: Entry) {
        let mut inner = self.registry.lock();
        inner.by_ufrag.insert(entry.ufrag.clone(), name.clone());
        inner.sessions.insert(name.clone(), entry);
        if self.name.replace(name).is_none() {
            inner.promised -= 1;
        }
    }

    /// What comes from this address is for this session from now on.
    pub(super) fn take(&self, address: SocketAddr) {
        if let Some(name) = &self.name {
            self.registry.lock().by_address.insert(address, name.clone());
        }
    }

    /// And now no more.
    pub(super) fn leave(&self, address: SocketAddr) {
        let mut inner = self.registry.lock();
        if inner.by_address.get(&address) == self.name.as_ref() {
            inner.by_address.remove(&address);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        let Some(name) = &self.name else {
            inner.promised -= 1;
            return;
        };
        if let Some(entry) = inner.sessions.remove(name) {
            inner.by_ufrag.remove(&entry.ufrag);
        }
        inner.by_address.retain(|_, owner| owner != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ufrag: &str) -> (Entry, mpsc::Receiver<Datagram>) {
        let (mailbox, datagrams) = mpsc::channel(1);
        let entry = Entry {
            mailbox,
            stop: CancellationToken::new(),
            key: KeyDigest::of("key"),
            peer_ufrag: "theirs".into(),
            ufrag: ufrag.into(),
        };
        (entry, datagrams)
    }

    fn datagram(peer: &str, bytes: &[u8]) -> Datagram {
        Datagram {
            path: Path { peer: peer.parse().expect("an address"), local: None },
            bytes: bytes.to_vec(),
            at: Instant::now(),
            arrived: UtcTime::default(),
        }
    }

    /// A connectivity check by its user name alone.
    fn check(username: &str) -> Vec<u8> {
        let mut check = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        check.extend([0; 12]);
        check.extend([0, 6, 0, username.len() as u8]);
        check.extend(username.as_bytes());
        check
    }

    #[test]
    fn checks_go_by_name_and_all_else_by_addresses_that_passed() {
        let registry = Arc::new(Registry::new(2));
        let mut place = registry.place().expect("room");
        let (entry, mut datagrams) = entry("ours");
        let name = SessionName::random().expect("random");
        place.enter(name.clone(), entry);
        let from = "192.0.2.1:7";
        assert_eq!(registry.post(datagram(from, &[0x80; 20])), Err("stranger"));
        assert_eq!(registry.post(datagram(from, &check("else:theirs"))), Err("stranger"));
        assert_eq!(registry.post(datagram(from, &check("ours:theirs"))), Ok(()));
        assert!(datagrams.try_recv().is_ok());
        place.take(from.parse().expect("an address"));
        assert_eq!(registry.post(datagram(from, &[0x80; 20])), Ok(()));
        assert_eq!(registry.post(datagram(from, &[0x80; 20])), Err("session_full"));
        assert_eq!(registry.post(datagram("192.0.2.1:8", &[0x80; 20])), Err("stranger"));
        drop(place);
        assert_eq!(registry.post(datagram(from, &[0x80; 20])), Err("stranger"));
        assert_eq!(registry.post(datagram(from, &check("ours:theirs"))), Err("stranger"));
        assert!(registry.get(&name).is_none());
    }

    #[test]
    fn places_are_few_and_free_again() {
        let registry = Arc::new(Registry::new(1));
        let place = registry.place().expect("room");
        assert!(registry.place().is_none(), "it is promised");
        drop(place);
        let mut place = registry.place().expect("room again");
        place.enter(SessionName::random().expect("random"), entry("a").0);
        assert!(registry.place().is_none());
        drop(place);
        assert!(registry.place().is_some());
    }

    #[test]
    fn an_address_belongs_to_who_passed_last() {
        let registry = Arc::new(Registry::new(2));
        let address = "192.0.2.1:7".parse().expect("an address");
        let mut places = Vec::new();
        let mut inboxes = Vec::new();
        for ufrag in ["a", "b"] {
            let mut place = registry.place().expect("room");
            let (entry, datagrams) = entry(ufrag);
            place.enter(SessionName::random().expect("random"), entry);
            place.take(address);
            places.push(place);
            inboxes.push(datagrams);
        }
        places[0].leave(address);
        drop(places.remove(0));
        assert_eq!(registry.post(datagram("192.0.2.1:7", &[0x80; 20])), Ok(()));
        assert!(inboxes[1].try_recv().is_ok());
    }
}
