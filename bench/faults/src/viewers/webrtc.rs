//! A viewer over WebRTC.

use lectern_bench_webrtc::probe::{self, JoinError, Watcher};

use super::ladder::Failure;
use super::watch::Setting;
use crate::world::BROADCAST;

/// Reasons of an edge, which another may not have.
const OF_THE_EDGE: [&str; 6] = ["busy", "client-busy", "draining", "egress", "full", "refused"];

/// Watches until the session is over.
pub(crate) async fn play(watcher: Watcher, setting: Setting) -> Failure {
    let mut session = match watcher.join(&setting.base, BROADCAST).await {
        Ok(session) => session,
        Err(error) => return failure(&error),
    };
    loop {
        match session.next().await {
            probe::Event::Picture => setting.heard.picture(),
            probe::Event::Over(_) => return Failure::Attempt,
        }
    }
}

fn failure(error: &JoinError) -> Failure {
    match error {
        JoinError::Unreachable(_) => Failure::Edge,
        JoinError::Refused { reason: Some(reason), .. }
            if OF_THE_EDGE.contains(&reason.as_str()) =>
        {
            Failure::Edge
        }
        JoinError::Refused { status: 404 | 503, .. } => Failure::Absent,
        JoinError::Refused { .. } | JoinError::Unusable(_) => Failure::Attempt,
    }
}
