//! What a request for a segment deserves, as a pure function of the snapshot.

use std::sync::Arc;
use std::time::Duration;

use lectern_relay_proto::{PublisherState, SegmentGrid, UtcTime};

use crate::timeline::{Locator, PeriodView, Segment, Snapshot, TrackView};

/// How many segments after the last that a player may take a period to have are answered as empty.
/// Players learn of a period's end with the next manifest, up to two seconds later, and until then
/// ask for what the former one promised; dash.js never recovers from a refusal of it, and every
/// player reports one as an error.
const EMPTY_MAX: u64 = 4;
/// How long the next segment is waited for. The one before may last for longer than the grid says: it
/// is when its GOP ends that a longer grid, and a new period, begin.
pub(super) const WAIT_MAX: Duration =
    Duration::from_millis(SegmentGrid::DURATION_MS_MAX as u64 + 1_000);

/// How long a segment from before this edge joined is waited for, while such are being fetched.
const OLDER_WAIT_MAX: Duration = Duration::from_secs(3);

/// The answer to a request for one segment.
#[derive(Debug)]
pub(super) enum Answer {
    /// Here it is, whole or in progress.
    Found(Arc<Segment>),
    /// It is the next to begin, within about this long: wait.
    Next(Duration),
    /// It is from before this edge joined, and may be fetched within about this long: wait.
    Older(Duration),
    /// The period ended before it: an empty segment.
    Empty,
    /// Not there, but perhaps a quarter of a second later: not to be kept by any cache.
    Soon(&'static str),
    /// Not there, perhaps later.
    NotYet(&'static str),
    /// It was there and will not be again.
    Expired,
    /// Nothing of the broadcast has come yet.
    Unbegun,
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
pub(super) fn segment(snapshot: &Snapshot, locator: &Locator, number: u64, now: UtcTime) -> Answer {
    let (period, track) = match track(snapshot, locator) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    if let Some(segment) = track.segment(number) {
        return Answer::Found(segment.clone());
    }
    let first = track.segments.first().map(|segment| segment.number);
    let before_first = match first {
        Some(first) => number < first,
        None => period.last_number.is_some_and(|last| number <= last),
    };
    // An edge that has just joined knows of no segment, or of none of this track, and players ask for those
    // that they saw.
    let live = snapshot.state == PublisherState::Live
        && snapshot.current().is_some_and(|current| current.info.id == period.info.id);
    let unheard = first.is_none() && period.last_number.is_none_or(|last| live && number < last);
    // By the clock, and the next one may be early; the first of the period is what to begin with.
    let passed = number <= nominal(snapshot, period, now).saturating_add(1)
        && number > period.info.first_number();
    if (track.older_to_come && before_first) || (unheard && passed) {
        return Answer::Older(OLDER_WAIT_MAX);
    }
    let newest = track.segments.last();
    // Before anything is there, the first segment is the one to wait for.
    let next_max = match period.last_number {
        Some(last) => last.saturating_add(1),
        None => period.info.first_number(),
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
        let end = last_nominal(snapshot, period, now).map(|last| last.saturating_add(EMPTY_MAX));
        return match end {
            Some(end) if number <= end => Answer::Empty,
            _ => Answer::NotYet("the period is over"),
        };
    }
    if number <= next_max {
        return Answer::Next(WAIT_MAX);
    }
    Answer::NotYet("too far ahead")
}

/// The last segment that a player may take a period to have, which is over: as nominal durations
/// count, the one in which the next period begins. As long as there is none, the one of now.
fn last_nominal(snapshot: &Snapshot, period: &PeriodView, now: UtcTime) -> Option<u64> {
    let nominal = nominal(snapshot, period, now);
    period.last_number.map(|last| last.max(nominal))
}

/// The segment of now, or in which the next period begins, as nominal durations count.
fn nominal(snapshot: &Snapshot, period: &PeriodView, now: UtcTime) -> u64 {
    let next = snapshot.periods.iter().find(|next| next.info.id > period.info.id);
    let now_ms = now.as_millis().saturating_sub(snapshot.t0.as_millis());
    let end_ms = next.map_or(now_ms, |next| next.info.start_ms);
    let ms = end_ms.saturating_sub(period.info.start_ms);
    let count = ms / u64::from(period.info.grid.duration_ms()).max(1);
    period.info.first_number().saturating_add(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::testing::{Script, T0, feed, name};
    use crate::timeline::{Config, Timeline};

    #[test]
    fn what_an_edge_that_has_just_joined_may_yet_hear_is_waited_for() {
        let script = Script::new(&[2_000; 12]);
        let mut timeline = Timeline::new(Config::default());
        timeline.set_catalog(&script.catalog());
        let video = name("video/main");
        let locator = Locator::new(&video, T0, 0);
        let now = T0 + Duration::from_secs(11);
        let waits = |timeline: &mut Timeline, number| {
            let snapshot = timeline.snapshot().unwrap();
            matches!(segment(&snapshot, &locator, number, now), Answer::Older(_))
        };
        // Nothing has come: segments 0 to 4 have been, and 5 is of now.
        let asked = [1, 4, 5, 6, 7];
        assert_eq!(
            asked.map(|number| waits(&mut timeline, number)),
            [true, true, true, true, false]
        );
        let joined = script.events().into_iter().filter(|event| event.group.index >= 4);
        joined.filter(|event| event.at_ms < 11_000).for_each(|event| feed(&mut timeline, &event));
        assert_eq!(
            asked.map(|number| waits(&mut timeline, number)),
            [true, true, false, false, false]
        );
        let snapshot = timeline.snapshot().unwrap();
        assert!(matches!(segment(&snapshot, &locator, 5, now), Answer::Found(_)));
        // Another track may come later.
        let mut timeline = Timeline::new(Config::default());
        timeline.set_catalog(&script.catalog());
        let joined = script.events().into_iter().filter(|event| event.group.index >= 4);
        let joined = joined.filter(|event| event.track == video && event.at_ms < 11_000);
        joined.for_each(|event| feed(&mut timeline, &event));
        let snapshot = timeline.snapshot().unwrap();
        let sound = Locator::new(&snapshot.current().unwrap().tracks[1].name, T0, 0);
        let answer = segment(&snapshot, &sound, 4, now);
        assert!(matches!(answer, Answer::Older(_)), "{answer:?}");
    }
}
