//! A handshake that a script delays, repeats, mutilates and floods, or leaves to a real client.

use std::time::{Duration, Instant};

use super::super::dtls::{self, Connection, Error, Progress};
use super::peer::{self, Peer};
use super::script::{Script, flip};

/// Steps of a script that are taken.
const STEPS_MAX: usize = 250;
/// What a path carries that carries QUIC.
const DATAGRAM_BYTES_MAX: usize = 1_200;

struct Stage {
    connection: Connection,
    peer: Peer,
    now: Instant,
    /// Whether the peer's certificate is the one of the offer.
    invited: bool,
    keys: u32,
}

/// Nobody but the invited peer gets keys, once, and no timer stands still.
pub(super) fn handshake(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(first) = script.byte() else { return };
    let now = Instant::now();
    let invited = first & 1 == 0;
    let fingerprint = if invited { peer::fingerprint() } else { [7; 32] };
    let connection = Connection::new(peer::identity(), fingerprint);
    let mut stage = Stage { connection, peer: Peer::new(now), now, invited, keys: 0 };
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { break };
        if stage.step(step, &mut script).is_none() {
            break;
        }
    }
    stage.connection.close(&mut |packet| assert!(packet.len() <= DATAGRAM_BYTES_MAX));
}

impl Stage {
    /// `None` at the end of the script, or of the connection.
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        match step % 8 {
            0 => self.deliver(script.bytes()?),
            1 => {
                let record = record(script.byte()?, script.byte()?, script.bytes()?);
                self.deliver(&record)
            }
            2 => {
                let record = record(22, 0, &message(script)?);
                self.deliver(&record)
            }
            3 => {
                let next = self.peer.pending.pop_front();
                next.map_or(Some(()), |datagram| self.deliver(&datagram))
            }
            4 => {
                let mut datagram = self.peer.pending.front().cloned().unwrap_or_default();
                flip(&mut datagram, script.word()?, script.byte()?);
                self.deliver(&datagram)
            }
            5 => {
                // Out of order; or, if there is but one, once too often.
                let last = self.peer.pending.back().cloned().unwrap_or_default();
                self.deliver(&last)
            }
            6 => {
                self.now += Duration::from_millis(u64::from(script.byte()?) * 8);
                self.wait()
            }
            _ => {
                for _ in 0..16 {
                    let Some(datagram) = self.peer.pending.pop_front() else { break };
                    self.deliver(&datagram)?;
                }
                Some(())
            }
        }
    }

    fn deliver(&mut self, datagram: &[u8]) -> Option<()> {
        let mut sent = Vec::new();
        let mut send = |packet: &[u8]| sent.push(packet.to_vec());
        // As a session does it: what is not DTLS goes elsewhere.
        if !dtls::is_dtls(datagram) {
            return Some(());
        }
        let progress = self.connection.handle(self.now, datagram, &mut send);
        self.judge(progress, sent)
    }

    fn wait(&mut self) -> Option<()> {
        let mut sent = Vec::new();
        let mut send = |packet: &[u8]| sent.push(packet.to_vec());
        let progress = self.connection.handle_timeout(self.now, &mut send);
        if progress.is_ok() {
            assert!(
                self.connection.timeout().is_none_or(|at| at > self.now),
                "a timer stands still"
            );
        }
        self.peer.wait(self.now);
        self.judge(progress, sent)
    }

    fn judge(&mut self, progress: Result<Progress, Error>, sent: Vec<Vec<u8>>) -> Option<()> {
        for packet in sent {
            assert!(packet.len() <= DATAGRAM_BYTES_MAX && dtls::is_dtls(&packet));
            self.peer.take(self.now, &packet);
        }
        match progress {
            Ok(Progress { keys, closed }) => {
                self.keys += u32::from(keys.is_some());
                assert!(self.keys == 0 || self.invited && self.keys == 1);
                (!closed).then_some(())
            }
            // A session goes on after these, and ends with the others.
            Err(Error::Refused | Error::TooMany) => Some(()),
            Err(_) => None,
        }
    }
}

/// A record around `body`.
fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![20 + kind % 5, 0xfe, 0xfd, 0, epoch % 3, 0, 0, 0, 0, 0, epoch / 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// A fragment of a handshake message whose lengths may or may not add up.
fn message(script: &mut Script<'_>) -> Option<Vec<u8>> {
    let (kind, sequence) = (script.byte()?, script.byte()?);
    let (length, offset, body) = (script.word()?, script.word()?, script.bytes()?);
    let mut message = vec![kind, 0];
    message.extend(length.to_be_bytes());
    message.extend([0, sequence, 0]);
    message.extend(offset.to_be_bytes());
    message.push(0);
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    Some(message)
}
