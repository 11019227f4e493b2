//! ICE restarts (RFC 9725 §4.3.3): new credentials for a session whose keys and streams go on.

use lectern_relay_proto::BroadcastId;

use super::{Engine, new_etag};
use crate::whep::ice::{Credentials, Generation};
use crate::whep::mailbox::Command;
use crate::whep::registry::{Entry, Restart};
use crate::whep::sdpfrag::Fragment;
use crate::whep::{OfferError, SessionId};

/// What identifies an ICE session to its viewer.
pub(in crate::whep) struct IceSession {
    /// Its entity tag, quotes included.
    pub etag: String,
    /// The viewer's user name fragment.
    pub peer_ufrag: String,
}

impl Engine {
    /// The ICE session of a session; `None` if there is none of that name in this broadcast.
    pub(in crate::whep) fn ice(&self, id: &BroadcastId, session: &SessionId) -> Option<IceSession> {
        let Entry { etag, peer_ufrag, .. } = self.entry(id, session)?;
        Some(IceSession { etag, peer_ufrag })
    }

    /// Restarts the ICE of a session with the player's new user name fragment. Gives the new entity
    /// tag and the fragment to answer with; what was before stays good until the first check.
    pub(in crate::whep) fn restart_ice(
        &self,
        session: &SessionId,
        peer_ufrag: &str,
        fragment: &Fragment<'_>,
    ) -> Option<Result<(String, String), OfferError>> {
        let shared = self.shared();
        let local = Credentials::generate();
        let answer = fragment.answer(&local, &shared.candidates(), shared.with_tcp);
        let (etag, peer_ufrag) = (new_etag(), peer_ufrag.to_owned());
        let ufrag = local.ufrag.clone();
        let restart = Restart { etag: etag.clone(), ufrag, peer_ufrag: peer_ufrag.clone() };
        let next = Box::new(Generation { local, remote_ufrag: peer_ufrag });
        let restarted = shared.registry.restart(session, restart, |route| {
            shared.mailboxes[route.worker].command(Command::Restart(route, next))
        })?;
        Some(restarted.map(|()| (etag, answer)).map_err(|_| OfferError::Busy))
    }
}
