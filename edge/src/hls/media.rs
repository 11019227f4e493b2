//! A media playlist: the segments and parts of one rendition (RFC 8216bis §4.4.3–§4.4.5).

use std::fmt::Write as _;
use std::time::Duration;

use lectern_relay_proto::{MediaTime, PublisherState, TrackName};

use super::multivariant::renditions;
use super::reach::Reach;
use super::{FILE, VERSION, directory};
use crate::dash::DateTime;
use crate::timeline::{Kind, PeriodLocator, PeriodView, SegmentView, Snapshot, TrackView};

/// PART-HOLD-BACK in part targets, HOLD-BACK in target durations (§4.4.3.8).
const HOLD_BACK: u32 = 3;
/// CAN-SKIP-UNTIL in target durations (§4.4.3.8).
const SKIP_UNTIL: u32 = 6;
/// Parts are listed this far back, in target durations (§6.2.2).
const PARTS_LISTED: u32 = 3;

/// The most segments that a track may lack where one period follows another: one at either side.
const BRIDGED_MAX: u64 = 2;

/// The playlist of one rendition.
pub struct MediaPlaylist<'a> {
    snapshot: &'a Snapshot,
    track: &'a TrackName,
    entries: Vec<Entry<'a>>,
    target: Duration,
    part_target: Duration,
}

/// A segment in its place.
struct Entry<'a> {
    sequence: u64,
    number: u64,
    period: &'a PeriodView,
    track: &'a TrackView,
    start: MediaTime,
    media: Media<'a>,
}

enum Media<'a> {
    Whole {
        segment: &'a SegmentView,
        duration: Duration,
    },
    /// A segment that this edge never got.
    Gap {
        duration: Duration,
    },
    /// The last one, in progress. All its parts are listed: no more than a group may have chunks.
    Open {
        segment: &'a SegmentView,
    },
}

impl<'a> MediaPlaylist<'a> {
    /// The playlist of `track`; `None` while it has no whole segment.
    pub fn new(snapshot: &'a Snapshot, track: &'a TrackName) -> Option<Self> {
        let entries = entries(snapshot, track);
        // Players take a playlist that has parts alone for an empty one.
        let longest = entries.iter().filter(|entry| !entry.is_open()).map(Entry::duration).max()?;
        // No segment is as long as two of the grid's but the last of a take that ended in the middle of
        // a long GOP, and none may be longer than the target.
        let grid_ms = entries.iter().map(|entry| entry.period.info.grid.duration_ms()).max()?;
        let target = Duration::from_millis(u64::from(2 * grid_ms)).max(longest);
        let target = Duration::from_millis((target.as_millis() as u64).next_multiple_of(1_000));
        let part_target = entries.iter().map(|entry| entry.track.part_target).max()?;
        Some(Self { snapshot, track, entries, target, part_target })
    }

    /// The media sequence number of its first segment.
    pub fn first(&self) -> u64 {
        self.entries.first().map_or(0, |first| first.sequence)
    }

    /// Whether it is as long as players stay behind its end (§6.3.3).
    pub fn is_playable(&self) -> bool {
        let spanned = self.entries.first().map(|first| self.end().saturating_since(first.start));
        spanned.is_some_and(|spanned| spanned >= self.target * HOLD_BACK)
    }

    /// Without the segments before `sequence`: what a playlist begins with may never go down.
    pub fn starting_at(mut self, sequence: u64) -> Self {
        self.entries.retain(|entry| entry.sequence >= sequence);
        self
    }

    /// How far it reaches.
    pub fn reach(&self) -> Reach {
        let (open, parts) = match self.entries.last().map(|last| &last.media) {
            Some(Media::Open { segment }) => (1, count(segment.parts.len())),
            _ => (0, 0),
        };
        let before = self.entries.len().checked_sub(1 + open).and_then(|at| self.entries.get(at));
        let parts_before = match before.map(|before| &before.media) {
            Some(Media::Whole { segment, .. }) => count(segment.parts.len()),
            _ => 0,
        };
        let last = self.entries.last().map_or(0, |last| last.sequence);
        Reach {
            sequence: if open > 0 { last } else { last.saturating_add(1) },
            parts,
            parts_before,
            part_target: self.part_target,
            ended: self.has_ended(),
        }
    }

    fn has_ended(&self) -> bool {
        let open = self.entries.last().is_some_and(|e| matches!(e.media, Media::Open { .. }));
        self.snapshot.state == PublisherState::Ended && !open
    }

    /// All of it.
    pub fn render(&self) -> String {
        self.render_from(0)
    }

    /// A delta update (§6.2.5.1): all but the segments that a player that asks for one has.
    pub fn render_delta(&self) -> String {
        let end = self.end();
        let skippable =
            |entry: &&Entry<'_>| end.saturating_since(entry.end()) > self.target * SKIP_UNTIL;
        self.render_from(self.entries.iter().take_while(skippable).count())
    }

    fn render_from(&self, skipped: usize) -> String {
        let mut text = String::with_capacity(512 + self.entries.len() * 64);
        self.head(&mut text, Some(self.part_target));
        if skipped > 0 {
            let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        let mut period = self.entries.get(skipped.wrapping_sub(1)).map(|entry| entry.period);
        for (at, entry) in self.entries.iter().enumerate().skip(skipped) {
            let id = entry.period.info.id;
            let former = period.replace(entry.period).map(|former| former.info.id);
            // One tag for each, or the discontinuity sequence number would not be the period's id.
            for _ in former.unwrap_or(id)..id {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if former != Some(id) {
                let _ = writeln!(text, "#EXT-X-MAP:URI=\"../{}/init.mp4\"", entry.track.locator);
            }
            if former != Some(id) || at == skipped {
                let time = DateTime(self.snapshot.t0 + entry.start.as_duration());
                let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{time}");
            }
            self.entry(&mut text, entry);
        }
        self.tail(&mut text);
        text
    }

    fn head(&self, text: &mut String, part_target: Option<Duration>) {
        let target = self.target.as_secs();
        let _ = writeln!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-TARGETDURATION:{target}"
        );
        let hold_back = target * u64::from(HOLD_BACK);
        match part_target.map(|part_target| part_target.as_secs_f64()) {
            _ if self.has_ended() => {}
            Some(part_target) => {
                let _ = writeln!(
                    text,
                    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}.0,\
                     PART-HOLD-BACK={:.3},HOLD-BACK={hold_back}.0\n\
                     #EXT-X-PART-INF:PART-TARGET={part_target:.3}",
                    target * u64::from(SKIP_UNTIL),
                    part_target * f64::from(HOLD_BACK),
                );
            }
            None => {
                let _ = writeln!(
                    text,
                    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={hold_back}.0"
                );
            }
        }
        if let Some(first) = self.entries.first() {
            let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{}", first.sequence);
            let discontinuity = first.period.info.id;
            if discontinuity > 0 {
                let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}");
            }
        }
    }

    fn entry(&self, text: &mut String, entry: &Entry<'_>) {
        match &entry.media {
            Media::Whole { segment, duration } => {
                if self.lists_parts_of(entry) {
                    parts(text, entry, segment);
                }
                whole(text, entry, *duration);
            }
            Media::Gap { duration } => {
                text.push_str("#EXT-X-GAP\n");
                whole(text, entry, *duration);
            }
            Media::Open { segment } => parts(text, entry, segment),
        }
    }

    fn tail(&self, text: &mut String) {
        if self.has_ended() {
            text.push_str("#EXT-X-ENDLIST\n");
            return;
        }
        if self.snapshot.state == PublisherState::Live
            && let Some(last) = self.entries.last()
        {
            let (number, part) = hinted(last);
            let _ = writeln!(
                text,
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"../{}/{number}.{part}.m4s\"",
                last.track.locator,
            );
        }
        self.reports(text);
    }

    /// How far the other renditions have come (§4.4.5.4).
    fn reports(&self, text: &mut String) {
        let Some(last) = self.entries.last() else { return };
        for other in renditions(last.period).filter(|other| other.name != *self.track) {
            let Some(playlist) = MediaPlaylist::new(self.snapshot, &other.name) else { continue };
            let Some((sequence, part)) = playlist.newest() else { continue };
            let _ = writeln!(
                text,
                "#EXT-X-RENDITION-REPORT:URI=\"../{}/{FILE}\",LAST-MSN={sequence},LAST-PART={part}",
                directory(&other.name),
            );
        }
    }

    /// The newest part, by its segment's media sequence number and its own.
    fn newest(&self) -> Option<(u64, u32)> {
        self.entries.iter().rev().find_map(|entry| {
            let (Media::Whole { segment, .. } | Media::Open { segment }) = &entry.media else {
                return None;
            };
            Some((entry.sequence, count(segment.parts.len()).checked_sub(1)?))
        })
    }

    fn lists_parts_of(&self, entry: &Entry<'_>) -> bool {
        let far = self.end().saturating_since(entry.start) > self.target * PARTS_LISTED;
        !far && !self.has_ended()
    }

    /// Media time at which what is listed ends.
    fn end(&self) -> MediaTime {
        self.entries.last().map_or(MediaTime::from_millis(0), Entry::end)
    }
}

impl MediaPlaylist<'_> {
    /// The playlist of comments beside this one: the same segments, whole as soon as their media begins,
    /// on the grid of nominal times that their files are cut by (see [`crate::comments`]).
    ///
    /// Text needs no parts (RFC 8216bis §4.4.4.9), and of what it has in a segment nothing can be said
    /// before all is. Its segments reach up to a nominal duration beyond the media that is listed, less
    /// than the target duration that §6.2.4 allows.
    pub fn render_comments(&self) -> String {
        let mut text = String::with_capacity(512 + self.entries.len() * 48);
        self.head(&mut text, None);
        let mut former = None;
        for entry in &self.entries {
            let (id, period) = (entry.period.info.id, entry.period);
            for _ in former.unwrap_or(id)..id {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if former.replace(id) != Some(id) {
                let start = period.nominal_start(entry.number);
                let time = DateTime(self.snapshot.t0 + start.as_duration());
                let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{time}");
            }
            let (seconds, number) = (period.grid_duration().as_secs_f64(), entry.number);
            let place = PeriodLocator::new(self.snapshot.t0, id);
            let _ = writeln!(text, "#EXTINF:{seconds:.5},\n{place}~{number}.vtt");
        }
        if self.has_ended() {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }

    /// The media sequence number of the newest segment of comments.
    pub fn last_of_comments(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.sequence)
    }
}

impl Entry<'_> {
    fn is_open(&self) -> bool {
        matches!(self.media, Media::Open { .. })
    }

    fn duration(&self) -> Duration {
        match &self.media {
            Media::Whole { duration, .. } | Media::Gap { duration } => *duration,
            Media::Open { segment } => segment.end.saturating_since(self.start),
        }
    }

    fn end(&self) -> MediaTime {
        match &self.media {
            Media::Whole { segment, .. } | Media::Open { segment } => segment.end,
            Media::Gap { duration } => {
                let end = self.start.as_duration() + *duration;
                MediaTime::from_millis(u64::try_from(end.as_millis()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The segments to list: the newest run without a gap in the sequence, within the window, up to the
/// first that is in progress.
fn entries<'a>(snapshot: &'a Snapshot, track: &TrackName) -> Vec<Entry<'a>> {
    let mut runs: Vec<Vec<Entry<'a>>> = Vec::new();
    for period in &snapshot.periods {
        let Some(track) = period.track(track) else { continue };
        let run = run(period, track);
        let Some(first) = run.first() else { continue };
        if let Some(former) = runs.last().and_then(|run| run.last()) {
            match bridge(former, first) {
                // It is whole in a moment; a playlist has parts at its end only.
                Some(_) if former.is_open() => break,
                Some(gaps) => runs.push(gaps),
                // Nobody waits for what of a killed origin is not whole.
                None => {
                    let gap = missed(former, first);
                    runs.clear();
                    runs.extend(gap.map(|gap| vec![gap]));
                }
            }
        }
        runs.push(run);
    }
    let mut entries: Vec<Entry<'a>> = runs.into_iter().flatten().collect();
    let Some(end) = entries.last().map(Entry::end) else { return entries };
    let past = |entry: &Entry<'_>| end.saturating_since(entry.end()) > snapshot.window;
    let first = entries.iter().position(|entry| !past(entry)).unwrap_or_default();
    entries.drain(..first);
    entries
}

/// What is between two periods: nothing as a rule, and a segment that the other tracks have where this
/// one had nothing to say at the end of a take, or not yet at its beginning. `None` if the sequence does
/// not go on: an origin that was killed does not know how far it had come.
fn bridge<'a>(former: &Entry<'a>, first: &Entry<'a>) -> Option<Vec<Entry<'a>>> {
    let next = former.sequence.saturating_add(1);
    let missing = first.sequence.checked_sub(next).filter(|missing| *missing <= BRIDGED_MAX)?;
    let end = former.end();
    let grid = Duration::from_millis(former.period.info.grid.duration_ms().into());
    let duration = first.start.saturating_since(end).min(grid);
    let gap = |at: u64| Entry {
        sequence: next + at,
        number: former.number.saturating_add(1 + at),
        period: former.period,
        track: former.track,
        start: end,
        media: Media::Gap { duration },
    };
    Some((0..missing).map(gap).collect())
}

/// What stands for all that is missing where the sequence does not go on, right before what there is again:
/// with it there is a segment, and not parts alone, as soon as there is a part.
fn missed<'a>(former: &Entry<'a>, first: &Entry<'a>) -> Option<Entry<'a>> {
    let sequence = first.sequence.checked_sub(1)?;
    let grid = Duration::from_millis(first.period.info.grid.duration_ms().into());
    let duration = first.start.saturating_since(former.end()).min(grid);
    let start = first.start.as_duration().saturating_sub(duration).as_millis();
    Some(Entry {
        sequence,
        number: first.number.saturating_sub(1),
        period: first.period,
        track: first.track,
        start: MediaTime::from_millis(u64::try_from(start).unwrap_or(u64::MAX)),
        media: Media::Gap { duration },
    })
}

/// The segments of one period.
fn run<'a>(period: &'a PeriodView, track: &'a TrackView) -> Vec<Entry<'a>> {
    let entry = |number: u64, start: MediaTime, media: Media<'a>| Entry {
        sequence: period.info.sequence_of(number),
        number,
        period,
        track,
        start,
        media,
    };
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(track.segments.len());
    for (at, segment) in track.segments.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| track.segments.get(before));
        if let Some(before) = before {
            let missing = segment.number.saturating_sub(before.number).saturating_sub(1);
            let hole = segment.start.saturating_since(before.end);
            let each = hole / u32::try_from(missing.max(1)).unwrap_or(u32::MAX);
            let mut start = before.end.as_duration();
            for number in before.number + 1..segment.number {
                let at = MediaTime::from_millis(start.as_millis() as u64);
                entries.push(entry(number, at, Media::Gap { duration: each }));
                start += each;
            }
        }
        let after = track.segments.get(at + 1).filter(|next| next.number == segment.number + 1);
        let end = after.map_or(segment.end, |next| next.start);
        let duration = end.saturating_since(segment.start);
        let media = match segment.complete {
            true => Media::Whole { segment, duration },
            false => Media::Open { segment },
        };
        entries.push(entry(segment.number, segment.start, media));
    }
    entries
}

fn whole(text: &mut String, entry: &Entry<'_>, duration: Duration) {
    let (seconds, locator, number) = (duration.as_secs_f64(), &entry.track.locator, entry.number);
    let _ = writeln!(text, "#EXTINF:{seconds:.5},\n../{locator}/{number}.m4s");
}

fn parts(text: &mut String, entry: &Entry<'_>, segment: &SegmentView) {
    let (locator, number) = (&entry.track.locator, entry.number);
    for (at, part) in segment.parts.iter().enumerate() {
        let duration = MediaTime::new(part.duration.into(), entry.track.timescale);
        let seconds = duration.as_duration().as_secs_f64();
        let _ = write!(
            text,
            "#EXT-X-PART:DURATION={seconds:.5},URI=\"../{locator}/{number}.{at}.m4s\""
        );
        // Sound can be decoded from any part, but is only said to at the beginning of a segment, as
        // pictures are: of parts that are all independent, hls.js passes over a short one.
        let sound = matches!(entry.track.kind, Kind::Audio { .. });
        let independent = part.independent && (at == 0 || !sound);
        text.push_str(if independent { ",INDEPENDENT=YES\n" } else { "\n" });
    }
}

/// The part that comes next, as a segment number and a part of it: with GOPs as long as the grid, no
/// part follows in a segment that is as long.
fn hinted(last: &Entry<'_>) -> (u64, usize) {
    match &last.media {
        Media::Open { segment } => {
            let grid = Duration::from_millis(last.period.info.grid.duration_ms().into());
            let parted = segment.parts.iter().map(|part| u64::from(part.duration)).sum();
            let parted = MediaTime::new(parted, last.track.timescale).as_duration();
            // Timestamps of whole milliseconds are off by one.
            match parted + Duration::from_millis(1) >= grid {
                true => (last.number.saturating_add(1), 0),
                false => (last.number, segment.parts.len()),
            }
        }
        _ => (last.number.saturating_add(1), 0),
    }
}

fn count(parts: usize) -> u32 {
    u32::try_from(parts).unwrap_or(u32::MAX)
}
