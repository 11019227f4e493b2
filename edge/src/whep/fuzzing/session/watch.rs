//! Looks at everything that a session sends: to whom, how large, and that no packet number ever
//! seals two different packets.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::super::outbox::{Path, Transmit};
use super::super::super::socket::ConnectionId;
use super::super::super::{dtls, ice, rtcp};

/// The SSRCs of the streams.
pub(super) const VIDEO: u32 = 77;
pub(super) const REPAIR: u32 = 78;
pub(super) const AUDIO: u32 = 79;
/// What every path carries.
const DATAGRAM_BYTES_MAX: usize = 1_200;
/// Packets after which a sequence number may stand for another packet: it has 16 bits.
const AGAIN_MIN: u64 = 1 << 15;

/// The way out of a session, and what was seen there.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// Who may be sent to, and who may be answered.
    known: Vec<(SocketAddr, Option<ConnectionId>)>,
    from: Option<(SocketAddr, Option<ConnectionId>)>,
    full: bool,
    dtls: Vec<Vec<u8>>,
    packets: HashMap<(u32, u16), (u64, u64)>,
    count: u64,
    reports: HashSet<[u8; 4]>,
}

impl Watch {
    /// From now on only `paths` may be sent to, and `from` may be answered.
    pub(super) fn expect(&self, paths: &[Path], from: Path) {
        let mut seen = self.seen();
        seen.known.clear();
        seen.known.extend(paths.iter().map(Path::source));
        seen.from = Some(from.source());
    }

    /// Whether connections take no more for now.
    pub(super) fn set_full(&self, full: bool) {
        self.seen().full = full;
    }

    /// What is for the viewer's DTLS.
    pub(super) fn take_dtls(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.seen().dtls)
    }

    /// Whether a stream was sent.
    #[cfg(test)]
    pub(super) fn has_sent(&self, ssrc: u32) -> bool {
        self.seen().packets.keys().any(|(of, _)| *of == ssrc)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transmit for Watch {
    fn transmit(&mut self, path: &Path, contents: &[u8], segment: usize) {
        let mut seen = self.seen();
        for datagram in contents.chunks(segment) {
            seen.take(path, datagram);
        }
    }

    fn ready(&self, path: &Path) -> bool {
        path.connection().is_none() || !self.seen().full
    }

    fn segments_max(&self) -> usize {
        64
    }
}

impl Seen {
    fn take(&mut self, path: &Path, datagram: &[u8]) {
        assert!((1..=DATAGRAM_BYTES_MAX).contains(&datagram.len()));
        let source = path.source();
        if ice::is_stun(datagram) {
            assert_eq!(Some(source), self.from, "an answer to somebody else");
            return;
        }
        assert!(self.known.contains(&source), "sent to somebody who did not authenticate");
        if dtls::is_dtls(datagram) {
            self.dtls.push(datagram.to_vec());
        } else if rtcp::is_rtcp(datagram) {
            // The index that seals it is at the end, RFC 7714 §9.1.
            let index = *datagram.last_chunk().expect("longer than that");
            assert!(self.reports.insert(index), "two reports under one number");
        } else {
            self.take_rtp(datagram);
        }
    }

    fn take_rtp(&mut self, datagram: &[u8]) {
        let ssrc = u32::from_be_bytes([datagram[8], datagram[9], datagram[10], datagram[11]]);
        assert!([VIDEO, REPAIR, AUDIO].contains(&ssrc) && datagram[0] >> 6 == 2);
        let sequence = u16::from_be_bytes([datagram[2], datagram[3]]);
        let mut hasher = DefaultHasher::new();
        datagram.hash(&mut hasher);
        let (hash, at) = (hasher.finish(), self.count);
        self.count += 1;
        let before = self.packets.insert((ssrc, sequence), (hash, at));
        let same = |(other, then): (u64, u64)| other == hash || at - then >= AGAIN_MIN;
        assert!(before.is_none_or(same), "two packets under one number");
    }
}
