//! What a request for a segment deserves, as a pure function of the snapshot.

use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::{MediaTime, PublisherState};

use crate::timeline::{Locator, PeriodView, Segment, Snapshot, TrackView};

/// The answer to a request for one segment.
#[derive(Debug)]
pub(super) enum Answer {
    /// Here it is, whole or in progress.
    Found(Arc<Segment>),
    /// It is the next to begin, within about this long: wait.
    Next(Duration),
    /// Not there, perhaps later.
    NotYet(&'static str),
    /// It was there and will not be again.
    Expired,
    /// It would be waited for, but too many wait already.
    Busy,
}

/// The track at `locator`, or why there is none.
pub(super) fn track<'a>(
    snapshot: &'a Snapshot,
    locator: &Locator,
) -> Result<(&'a PeriodView, &'a TrackView), Answer> {
    let t0_s = snapshot.t0.as_millis() / 1_000;
    if locator.t0_s != t0_s {
        let former = locator.t0_s < t0_s;
        return Err(if former { Answer::Expired } else { Answer::NotYet("no such broadcast") });
    }
    let current = snapshot.current().map(|period| period.info.id);
    let Some(period) = snapshot.period(locator.period) else {
        let former = current.is_some_and(|current| locator.period < current);
        return Err(if former { Answer::Expired } else { Answer::NotYet("no such period") });
    };
    let track = period.track(&locator.track).ok_or(Answer::NotYet("no such track"))?;
    Ok((period, track))
}

/// The answer for segment `number` of the track at `locator`.
pub(super) fn segment(snapshot: &Snapshot, locator: &Locator, number: u64) -> Answer {
    let (period, track) = match track(snapshot, locator) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    if let Some(segment) = track.segment(number) {
        return Answer::Found(segment.clone());
    }
    let first = track.segments.first().map(|segment| segment.number);
    let newest = track.segments.last();
    let grid = period.info.grid;
    // Before anything is there, the first segment is the one to wait for.
    let next_max = match period.last_number {
        Some(last) => last.saturating_add(1),
        None => grid.number(MediaTime::from_millis(period.info.start_ms)),
    };
    if first.is_some_and(|first| number < first)
        || (first.is_none() && period.last_number.is_some_and(|last| number < last))
    {
        return Answer::Expired;
    }
    if newest.is_some_and(|newest| number < newest.number) {
        return Answer::NotYet("this segment was lost");
    }
    let current = snapshot.current().is_some_and(|current| current.info.id == period.info.id);
    let over = !current || snapshot.state != PublisherState::Live;
    if over && newest.is_none_or(|newest| newest.complete) {
        return Answer::NotYet("the period is over");
    }
    if number <= next_max {
        return Answer::Next(Duration::from_millis(u64::from(grid.duration_ms())));
    }
    Answer::NotYet("too far ahead")
}
