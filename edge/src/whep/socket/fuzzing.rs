//! For the fuzzer: connections over TCP.

use std::time::{Duration, Instant};

use super::DATAGRAM_BYTES_MAX;
use super::framing::{self, Reader};
use super::gate::{Gate, STRANGE_MAX, UNOWNED_MAX};
use crate::whep::fuzzing::script::Script;
use crate::whep::registry::Route;

/// Frames of a connection, in pieces of the script's choice: they come out the same in others, and
/// a reader that is out of frames always has room.
pub(in crate::whep) fn framing(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let Some(pieces) = script.short() else { return };
    let bytes = script.rest();
    let cut = read(bytes, pieces);
    assert_eq!(cut, read(bytes, &[]));
    let Ok(frames) = cut else { return };
    let mut framed = Vec::new();
    frames.iter().for_each(|frame| match frame.len() {
        0 => framed.extend([0, 0]),
        length => framing::write(frame, length, &mut framed),
    });
    assert_eq!(framed, bytes[..framed.len()]);
    assert!(bytes.len() - framed.len() < 2 + DATAGRAM_BYTES_MAX);
}

/// Reads in pieces of these sizes in turn, or else as large as there is room for.
fn read(bytes: &[u8], pieces: &[u8]) -> Result<Vec<Vec<u8>>, Vec<Vec<u8>>> {
    let mut reader = Reader::new();
    let (mut frames, mut rest) = (Vec::new(), bytes);
    let mut pieces = pieces.iter().map(|piece| 1 + usize::from(*piece) * 8).cycle();
    while !rest.is_empty() {
        let space = reader.space();
        assert!(!space.is_empty(), "no room, and no frame");
        let length = pieces.next().unwrap_or(usize::MAX).min(rest.len()).min(space.len());
        let (piece, after) = rest.split_at(length);
        space[..length].copy_from_slice(piece);
        reader.filled(length);
        rest = after;
        loop {
            match reader.next() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                // The connection is closed; what came before counts.
                Err(_) => return Err(frames),
            }
        }
    }
    Ok(frames)
}

/// A connection's account: whoever belongs to no session is gone in time, and before it was heard
/// often.
pub(in crate::whep) fn gate(bytes: &[u8]) {
    let mut now = Instant::now();
    let mut gate = Gate::new(now);
    let (mut owned, mut heard) = (now, 0);
    let route = |number: u8| {
        let route = Route { worker: 0, room: 1, serial: number.into() };
        (number > 0).then_some(route)
    };
    for step in bytes {
        let (owner, addressee) = (route(step >> 2 & 3), route(step >> 4 & 3));
        let went_on = if step & 1 == 0 {
            // As a connection does it, which reads nothing more until the next tick. The frames that
            // came with the last bytes are all looked at.
            heard += u32::from(owner.is_none());
            gate.frame(owner, addressee)
        } else {
            now += Duration::from_millis(100) * u32::from(step >> 6);
            if owner.is_some() {
                (owned, heard) = (now, 0);
            }
            let ticked = gate.tick(owner, now);
            assert!(gate.may_read());
            ticked
        };
        if went_on.is_err() {
            return;
        }
        assert!(heard <= STRANGE_MAX && now.duration_since(owned) < UNOWNED_MAX);
    }
}
