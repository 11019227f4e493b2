//! A player of segments without its decoder: what is buffered of each track, and where it plays. Pure.
//!
//! It holds a buffer of [`AIM`], plays a little slower or faster to keep it, stands still when any track has
//! run out, steps over a gap once there is media behind it, and goes to live where it is too far behind.
//! That is what dash.js and hls.js do by what our manifests ask of them.

/// Microseconds of media time.
pub(crate) type MediaUs = u64;

/// What a player wants to have buffered.
pub(crate) const AIM: MediaUs = 1_500_000;
/// Further behind than this it does not catch up by playing faster.
const BEHIND_MAX: MediaUs = 6_000_000;
/// After a stall, or behind a gap, there must be so much.
const RESUME: MediaUs = 300_000;
/// What is this close together is no gap.
const TOUCHING: MediaUs = 100_000;
/// Per cent of the time that passes, with too little buffered and too much.
const SLOWER: u64 = 96;
const FASTER: u64 = 106;

/// A stretch of media that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: MediaUs,
    end: MediaUs,
}

/// The player.
#[derive(Clone, Debug)]
pub(crate) struct Playhead {
    tracks: Vec<Vec<Range>>,
    at: Option<MediaUs>,
    standing: bool,
}

impl Playhead {
    /// With so many tracks, all of which it needs.
    pub(crate) fn new(tracks: usize) -> Self {
        Self { tracks: vec![Vec::new(); tracks], at: None, standing: true }
    }

    /// Media of a track has come.
    pub(crate) fn appended(&mut self, track: usize, start: MediaUs, end: MediaUs) {
        let Some(ranges) = self.tracks.get_mut(track).filter(|_| end > start) else { return };
        ranges.push(Range { start, end });
        ranges.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges.drain(..) {
            match merged.last_mut() {
                Some(last) if range.start <= last.end + TOUCHING => {
                    last.end = last.end.max(range.end)
                }
                _ => merged.push(range),
            }
        }
        *ranges = merged;
    }

    /// Where it plays.
    pub(crate) fn at(&self) -> Option<MediaUs> {
        self.at
    }

    /// So much time has passed. Whether the picture has moved.
    pub(crate) fn advance(&mut self, passed_us: u64) -> bool {
        let Some(at) = self.at else { return self.begin() };
        let ahead = self.until(at).saturating_sub(at);
        if let Some(live) = self.newest()
            && live.saturating_sub(at) > BEHIND_MAX
        {
            return self.go_to(live.saturating_sub(AIM).max(at));
        }
        if self.standing && ahead < RESUME {
            return self.step_over(at);
        }
        let rate = match ahead {
            0..1_200_000 => SLOWER,
            1_200_000..2_000_000 => 100,
            _ => FASTER,
        };
        let step = (passed_us * rate / 100).min(ahead);
        self.standing = step == 0;
        self.at = Some(at + step);
        if self.standing { self.step_over(at) } else { true }
    }

    /// Begins as close to live as the buffer allows, once there is that much.
    fn begin(&mut self) -> bool {
        let Some(end) = self.newest() else { return false };
        let start = end.saturating_sub(AIM);
        // The last track to have something that far back decides.
        let begin = self.tracks.iter().filter_map(|ranges| ranges.last()).map(|range| range.start);
        let start = begin.max().map_or(start, |begin| begin.max(start));
        if end.saturating_sub(start) < AIM {
            return false;
        }
        self.go_to(start)
    }

    fn go_to(&mut self, at: MediaUs) -> bool {
        self.at = Some(at);
        self.standing = self.until(at) < at + RESUME;
        !self.standing
    }

    /// Steps over a gap, if there is enough behind it.
    fn step_over(&mut self, at: MediaUs) -> bool {
        let next = self.tracks.iter().map(|ranges| {
            let covers = ranges.iter().find(|range| range.start <= at + TOUCHING && at < range.end);
            let begins = ranges.iter().find(|range| range.start > at).map(|range| range.start);
            if covers.is_some() { Some(at) } else { begins }
        });
        let Some(next) = next.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
        else {
            return false;
        };
        if next <= at || self.until(next).saturating_sub(next) < RESUME {
            return false;
        }
        self.go_to(next)
    }

    /// Until where all tracks go on from `at`.
    fn until(&self, at: MediaUs) -> MediaUs {
        let ends = self.tracks.iter().map(|ranges| {
            let found = ranges.iter().find(|range| range.start <= at + TOUCHING && at < range.end);
            found.map_or(at, |range| range.end)
        });
        ends.min().unwrap_or(at)
    }

    /// Where the newest media of all tracks ends.
    fn newest(&self) -> Option<MediaUs> {
        self.tracks.iter().map(|ranges| ranges.last().map(|range| range.end)).min().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: MediaUs = 1_000_000;

    /// Plays for so long, 20 ms at a time; how long it stood still, at the longest.
    fn stall(playhead: &mut Playhead, ms: u64) -> u64 {
        let (mut longest, mut standing) = (0, 0);
        for _ in 0..ms / 20 {
            standing = if playhead.advance(20_000) { 0 } else { standing + 20 };
            longest = longest.max(standing);
        }
        longest
    }

    #[test]
    fn a_buffer_bridges_what_it_holds_and_no_more() {
        let mut playhead = Playhead::new(2);
        assert!(!playhead.advance(20_000));
        playhead.appended(0, 0, 2 * SECOND);
        assert!(!playhead.advance(20_000), "without sound there is nothing to play");
        playhead.appended(1, 0, 2 * SECOND);
        assert_eq!(stall(&mut playhead, 1_400), 0);
        assert!(stall(&mut playhead, 1_000) >= 700);
        playhead.appended(0, 2 * SECOND, 4 * SECOND);
        assert!(!playhead.advance(20_000));
        playhead.appended(1, 2 * SECOND, 4 * SECOND);
        assert!(stall(&mut playhead, 1_000) <= 20);
    }

    #[test]
    fn gaps_are_stepped_over_once_there_is_something_behind_them() {
        let mut playhead = Playhead::new(1);
        playhead.appended(0, 0, 2 * SECOND);
        stall(&mut playhead, 3_000);
        playhead.appended(0, 5 * SECOND, 5 * SECOND + RESUME / 2);
        assert!(!playhead.advance(20_000));
        playhead.appended(0, 5 * SECOND + RESUME / 2, 6 * SECOND);
        assert!(playhead.advance(20_000));
        assert!(playhead.at.is_some_and(|at| at >= 5 * SECOND));
    }

    #[test]
    fn who_is_far_behind_goes_to_live() {
        let mut playhead = Playhead::new(1);
        playhead.appended(0, 0, 2 * SECOND);
        playhead.advance(20_000);
        playhead.appended(0, 2 * SECOND, 20 * SECOND);
        assert!(playhead.advance(20_000));
        assert!(playhead.at.is_some_and(|at| at >= 18 * SECOND));
    }
}
