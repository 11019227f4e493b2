//! Connectivity checks, forged and true, from many addresses, and ICE restarts between them.

use std::collections::HashSet;

use super::super::ice::{self, Agent, Credentials, Generation, PATHS_MAX};
use super::peer;
use super::script::{Script, flip};
use super::session::path;

/// Steps of a script that are taken.
const STEPS_MAX: usize = 200;
/// A reply is no larger than this, whatever was asked: less than twice the smallest check.
const REPLY_BYTES_MAX: usize = 100;
/// What attributes a browser sends, and those that mean something to a reader.
const KINDS: [u16; 12] = [
    0x0024, 0x0025, 0x8029, 0x802a, 0x0006, 0x0008, 0x8028, 0x0020, 0x8020, 0xc057, 0x0000, 0x7fff,
];

/// The credentials after `restarts` restarts.
pub(super) fn generation(restarts: u8) -> Generation {
    let local = Credentials { ufrag: format!("ours{restarts}"), password: "p".repeat(24) };
    Generation { local, remote_ufrag: format!("theirs{restarts}") }
}

/// The user name of checks for a generation.
pub(super) fn username(generation: &Generation) -> String {
    format!("{}:{}", generation.local.ufrag, generation.remote_ufrag)
}

/// Only what is signed changes anything, and the table of paths stays as large as it may be.
pub(super) fn checks(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let crypto = peer::crypto();
    let first = generation(0);
    let mut agent = Agent::new(first.local, first.remote_ufrag);
    let mut restarts = 0;
    for _ in 0..STEPS_MAX {
        let Some(step) = script.byte() else { return };
        let mut forged = true;
        let datagram = match step % 4 {
            0 => script.bytes().map(<[u8]>::to_vec),
            1 => {
                restarts = (restarts + 1) % 8;
                agent.restart(generation(restarts));
                continue;
            }
            more => signed(&mut script, restarts).map(|(mut datagram, covered)| {
                let (at, bits) = match more {
                    2 => (0, 0),
                    _ => (script.word().unwrap_or(0), script.byte().unwrap_or(1)),
                };
                let touched = bits != 0 && usize::from(at) % datagram.len() < covered;
                flip(&mut datagram, at, bits);
                forged = touched || covered == 0;
                datagram
            }),
        };
        let Some(datagram) = datagram else { return };
        let path = path(script.byte().unwrap_or(0));
        let before = (agent.paths().to_vec(), agent.selected(), agent.ufrag().to_owned());
        // As the receiver finds the session that a datagram is for.
        let addressee = ice::addressee(&datagram).map(str::to_owned);
        match agent.handle(path, &datagram, crypto) {
            Ok(answered) => {
                assert!(!forged, "a check that nobody signed");
                assert!(ice::is_stun(&datagram));
                assert_eq!(addressee.as_deref(), Some(agent.ufrag()));
                assert!(answered.reply.len() <= REPLY_BYTES_MAX && ice::is_stun(&answered.reply));
                assert!(!answered.passed || agent.knows(&path));
                assert!(answered.evicted.is_none_or(|evicted| !agent.knows(&evicted)));
            }
            Err(_) => {
                let after = (agent.paths().to_vec(), agent.selected(), agent.ufrag().to_owned());
                assert_eq!(before, after);
            }
        }
        let sources: HashSet<_> = agent.paths().iter().map(|path| path.source()).collect();
        assert!(sources.len() == agent.paths().len() && sources.len() <= PATHS_MAX);
        assert!(agent.selected().is_none_or(|selected| agent.knows(&selected)));
    }
}

/// A check with attributes of the script's choice.
fn signed(script: &mut Script<'_>, restarts: u8) -> Option<(Vec<u8>, usize)> {
    let what = script.byte()?;
    let mut attributes: Vec<(u16, &[u8])> = Vec::new();
    for _ in 0..what & 7 {
        let kind = KINDS[usize::from(script.byte()?) % KINDS.len()];
        attributes.push((kind, script.short()?));
    }
    let generation = generation(if what & 8 == 0 { restarts } else { what >> 4 & 7 });
    Some(peer::check(&username(&generation), &generation.local.password, &attributes))
}
