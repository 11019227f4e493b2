//! What has happened in a broadcast since it was looked at last.

use lectern_relay_proto::{BroadcastId, UtcTime};

use crate::broadcasts::Broadcasts;
use crate::control::records::{BroadcastState, WebhookEvent};
use crate::doctor::{Finding, Severity};

/// How a broadcast was when it was looked at last; by default as one that is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    state: Option<(BroadcastState, Option<UtcTime>)>,
    /// Hints are for the host alone.
    findings: Vec<Finding>,
}

/// What is told with an event.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) state: BroadcastState,
    /// Since when.
    pub(super) since: Option<UtcTime>,
    pub(super) finding: Option<Finding>,
}

impl News {
    /// How a broadcast is now.
    pub(super) fn of(broadcasts: &Broadcasts, id: &BroadcastId) -> Self {
        let status = broadcasts.status(id);
        let state = status.map(|status| (BroadcastState::of(&status), status.since));
        let mut findings = broadcasts.findings(id);
        findings.retain(|finding| finding.severity != Severity::Hint);
        Self { state, findings }
    }

    /// Goes over to `new`, and says what has happened.
    pub(super) fn changed(&mut self, new: Self) -> Vec<(WebhookEvent, Data)> {
        let old = std::mem::replace(self, new);
        let was = old.state.map_or(BroadcastState::Unbegun, |(state, _)| state);
        // What is not there any more has ended.
        let (state, since) = self.state.unwrap_or((BroadcastState::Ended, None));
        let event = match (was, state) {
            (was, state) if was == state => None,
            (_, BroadcastState::Live) => Some(WebhookEvent::Live),
            // Nobody waits for what has ended: it has gone to another origin, which tells the rest.
            (BroadcastState::Ended, BroadcastState::Away) => None,
            (_, BroadcastState::Away) => Some(WebhookEvent::Away),
            (BroadcastState::Live | BroadcastState::Away, BroadcastState::Ended) => {
                Some(WebhookEvent::Ended)
            }
            // Of one that has ended long ago is nothing to tell.
            (_, BroadcastState::Ended | BroadcastState::Unbegun) => None,
        };
        let data = |finding| Data { state, since, finding };
        let found = |findings: &[Finding], code| findings.iter().any(|other| other.code == code);
        let gone = old.findings.iter().filter(|before| !found(&self.findings, before.code));
        let gone = gone.map(|before| (WebhookEvent::FindingGone, data(Some(before.clone()))));
        let new = self.findings.iter().filter(|now| !found(&old.findings, now.code));
        let new = new.map(|now| (WebhookEvent::FindingAppeared, data(Some(now.clone()))));
        event.map(|event| (event, data(None))).into_iter().chain(gone).chain(new).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(states: &[Option<BroadcastState>]) -> Vec<&'static str> {
        let mut news = News::default();
        let mut told = Vec::new();
        for state in states {
            let new = News { state: state.map(|state| (state, None)), ..News::default() };
            told.extend(news.changed(new).iter().map(|(event, _)| event.as_str()));
        }
        told
    }

    #[test]
    fn each_change_is_told_once() {
        use BroadcastState::{Away, Ended, Live, Unbegun};
        let all =
            [Some(Unbegun), Some(Live), Some(Live), Some(Away), Some(Live), Some(Ended), None];
        let expected = ["broadcast.live", "broadcast.away", "broadcast.live", "broadcast.ended"];
        assert_eq!(told(&all), expected);
        assert_eq!(told(&[Some(Live), None]), ["broadcast.live", "broadcast.ended"]);
    }

    #[test]
    fn of_what_has_ended_before_nothing_is_told() {
        use BroadcastState::{Away, Ended, Live, Unbegun};
        assert!(told(&[Some(Ended), Some(Ended)]).is_empty());
        assert!(told(&[Some(Unbegun), None]).is_empty());
        let gone_over = told(&[Some(Live), Some(Ended), Some(Away)]);
        assert_eq!(gone_over, ["broadcast.live", "broadcast.ended"]);
    }
}
