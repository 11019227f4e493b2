//! Comments as subtitles beside live media, for players that are not ours: a file of WebVTT for each
//! segment, which LL-DASH and LL-HLS list alike. Pure; who asks is [`super::routes`]', and how files are
//! listed [`crate::dash`]'s and [`crate::hls`]'s.
//!
//! A comment arrives after the moment that it is about, so the text of a segment cannot be known while
//! players at the live edge fetch it. Here a cue therefore begins a nominal segment and [`SETTLE`] after
//! its comment came in: once the media of a segment begins, what is shown in it has been said. The
//! file does not change after that, unless something is deleted, and is the same at every edge. What
//! reached this edge late all the same is in the files after it, for as long as it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lectern_relay_proto::comment::Comment;
use lectern_relay_proto::{MediaTime, PublisherState, UtcTime};

use super::log::Entry;
use super::room::{RENDERED_FOR, Room};
use super::sidecar::{CUE_MS, clock, escape};
use crate::timeline::{PeriodLocator, PeriodView, Snapshot};

/// How long a comment may take from the origin's database to every edge, in all.
const SETTLE: Duration = Duration::from_secs(1);
/// The most cues of a file. More cannot be read, and of more the newest are shown.
const CUES_MAX: usize = 100;
/// The most files of a broadcast that are kept: those of the default window, and what lies around it.
const FILES_MAX: usize = 128;
/// How many segments after the newest may be asked for: manifests promise the next before it begins.
const AHEAD_MAX: u64 = 1;
/// The same of a period that is over, of whose end players learn with the next manifest. Nothing begins in these.
const EMPTY_MAX: u64 = 4;
/// MPEG-2 timestamps count so many to a millisecond, in 33 bits (ISO/IEC 13818-1 §2.4.3.7).
const MPEG_PER_MS: u64 = 90;
const MPEG_BITS: u32 = 33;

/// A file's place: its period, and its segment's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    period: PeriodLocator,
    number: u64,
}

/// Why there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// There never was one, or not yet.
    Unknown,
    /// It has left the window.
    Gone,
}

/// What a file covers, in ms of media time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    t0: UtcTime,
    from_ms: u64,
    to_ms: u64,
    delay_ms: u64,
    /// Where the last file of its period ends, if another period follows: what begins later is that one's.
    until_ms: Option<u64>,
    former: Option<Former>,
}

/// The period before, if it is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Former {
    /// Of what its last file covers.
    end_ms: u64,
    delay_ms: u64,
}

impl Place {
    /// Reads `top2v4~4~12.vtt`, as manifests have it, and nothing else that would mean the same.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let (period, number) = file.strip_suffix(".vtt")?.rsplit_once('~')?;
        let (period, parsed) = (PeriodLocator::parse(period)?, number.parse().ok()?);
        (number == u64::to_string(&parsed)).then_some(Self { period, number: parsed })
    }

    /// What the file here covers.
    pub(super) fn span(self, snapshot: &Snapshot, now: UtcTime) -> Result<Span, Absent> {
        let t0_s = snapshot.t0.as_millis() / 1_000;
        let at = |period: &PeriodView| period.info.id == self.period.period;
        let Some(at) = snapshot.periods.iter().position(at).filter(|_| self.period.t0_s == t0_s)
        else {
            let current = snapshot.current().map(|current| current.info.id);
            let former = self.period.t0_s < t0_s
                || (self.period.t0_s == t0_s && current > Some(self.period.period));
            return Err(if former { Absent::Gone } else { Absent::Unknown });
        };
        let (Some(period), next) = (snapshot.periods.get(at), snapshot.periods.get(at + 1)) else {
            return Err(Absent::Unknown);
        };
        if self.number < period.info.first_number()
            || self.number > last(snapshot, period, next, now)
        {
            return Err(Absent::Unknown);
        }
        let from_ms = ms(period.nominal_start(self.number));
        let to_ms = ms(period.nominal_start(self.number.saturating_add(1)));
        // As long after the window as media.
        let keep = snapshot.window + 2 * period.grid_duration();
        let end = snapshot.periods.iter().rev().find_map(PeriodView::end).map_or(0, ms);
        if u128::from(end.saturating_sub(to_ms)) > keep.as_millis() {
            return Err(Absent::Gone);
        }
        let former = at.checked_sub(1).and_then(|before| snapshot.periods.get(before));
        let former = former.and_then(|former| {
            Some(Former { end_ms: end_ms(former)?, delay_ms: delay_ms(former) })
        });
        let until_ms = next.map(|_| end_ms(period).unwrap_or_default());
        Ok(Span { t0: snapshot.t0, from_ms, to_ms, delay_ms: delay_ms(period), until_ms, former })
    }
}

/// The last number of a period for which there may be a file.
fn last(snapshot: &Snapshot, period: &PeriodView, next: Option<&PeriodView>, now: UtcTime) -> u64 {
    let now_ms = now.as_millis().saturating_sub(snapshot.t0.as_millis());
    let end_ms = next.map_or(now_ms, |next| next.info.start_ms);
    let grid_ms = u64::from(period.info.grid.duration_ms());
    let count = end_ms.saturating_sub(period.info.start_ms).checked_div(grid_ms).unwrap_or(0);
    let nominal = period.info.first_number().saturating_add(count);
    let newest = period.last_number.map_or(nominal, |last| last.max(nominal));
    let over = next.is_some() || snapshot.state != PublisherState::Live;
    newest.saturating_add(if over { EMPTY_MAX } else { AHEAD_MAX })
}

/// Where the last file of a period ends, if it has any. Not where its media ends: that file was fetched before
/// anybody knew where that would be.
fn end_ms(period: &PeriodView) -> Option<u64> {
    Some(ms(period.nominal_start(period.last_number?.saturating_add(1))))
}

/// How long after its comment a cue begins.
fn delay_ms(period: &PeriodView) -> u64 {
    let delay = period.grid_duration() + SETTLE;
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

fn ms(time: MediaTime) -> u64 {
    u64::try_from(time.as_duration().as_millis()).unwrap_or(u64::MAX)
}

impl Span {
    /// The moment of a comment: when the origin took it in, by its own clock, so that all edges agree;
    /// and never before what its writer saw.
    fn moment_ms(&self, comment: &Comment) -> u64 {
        comment.mt.max(comment.at.as_millis().saturating_sub(self.t0.as_millis()))
    }

    fn start_ms(&self, comment: &Comment) -> u64 {
        self.moment_ms(comment).saturating_add(self.delay_ms)
    }

    /// Whether a comment is shown at some time in it. Whatever reaches over a border is in the files on
    /// both sides (RFC 8216bis §3.1.4), but not on both sides of a discontinuity: there players tell cues
    /// apart that are one.
    fn shows(&self, comment: &Comment) -> bool {
        let start = self.start_ms(comment);
        let begun = self.former.is_some_and(|former| {
            self.moment_ms(comment).saturating_add(former.delay_ms) < former.end_ms
        });
        let is_next = self.until_ms.is_some_and(|until| start >= until);
        start < self.to_ms && start.saturating_add(CUE_MS) > self.from_ms && !begun && !is_next
    }
}

/// The file of the comments that are shown in `span`, of those in `shown`.
fn render(shown: &[&Entry], span: &Span) -> String {
    let comments = shown.iter().map(|entry| &entry.comment);
    let mut cues: Vec<&Comment> = comments.filter(|comment| span.shows(comment)).collect();
    // In the order of their beginnings: WebVTT §4.1 wants it, and dash.js drops what is not.
    cues.sort_by_key(|comment| (span.start_ms(comment), comment.id));
    let cues = cues.split_off(cues.len().saturating_sub(CUES_MAX));
    // Cue times are media time, which is what MPEG-2 timestamps stand for in fMP4 (RFC 8216bis §3.1.4).
    // That could go without saying; but said of this segment it stays true when 33 bits wrap, after
    // 26 hours. Said of its end, because hls.js 1.7 mistakes for none what maps to its own zero, where a
    // segment of its playlist begins.
    let mpeg = span.to_ms.saturating_mul(MPEG_PER_MS) & ((1 << MPEG_BITS) - 1);
    let local = clock(span.to_ms);
    let mut text = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{mpeg},LOCAL:{local}\n");
    for comment in cues {
        let start = span.start_ms(comment);
        let (from, to) = (clock(start), clock(start.saturating_add(CUE_MS)));
        // In one line, which the player breaks where it must. Browsers do not show whose voice a voice
        // span is, so the name is text.
        let said = comment.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (user, said) = (escape(&comment.user), escape(&said));
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n{from} --> {to}\n{user}: {said}\n", comment.id);
    }
    text
}

/// The files of one broadcast, each rendered once for all who ask while nothing has changed, or a little
/// longer.
#[derive(Default)]
pub(super) struct Files(Mutex<BTreeMap<Place, Rendered>>);

struct Rendered {
    head: u64,
    at: Instant,
    span: Span,
    file: Bytes,
}

impl Files {
    /// The file at `place`, which covers `span`.
    pub(super) fn get(&self, room: &Room, place: Place, span: Span) -> Bytes {
        // Held while one is rendered: whoever asks meanwhile mostly asks for the same.
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (head, now) = (room.head(), Instant::now());
        if let Some(there) = files.get(&place)
            && there.span == span
            && (there.head == head || now.duration_since(there.at) < RENDERED_FOR)
        {
            return there.file.clone();
        }
        let wanted = |comment: &Comment| span.shows(comment);
        let file: Bytes = room.shown(wanted, |shown| render(shown, &span)).into();
        files.insert(place, Rendered { head, at: now, span, file: file.clone() });
        if files.len() > FILES_MAX {
            files.pop_first();
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::comment;
    use lectern_relay_proto::comment::Settings;

    use super::*;
    use crate::timeline::testing::{Script, T0, snapshot};

    /// Grid of two seconds, so a cue begins three seconds after its comment.
    const NOW: UtcTime = UtcTime::from_millis(T0.as_millis() + 10_000);

    fn place(number: u64) -> Place {
        Place { period: PeriodLocator::new(T0, 0), number }
    }

    /// A comment that came in so many ms after T0.
    fn said(id: u64, at_ms: u64, text: &str) -> Entry {
        let at = UtcTime::from_millis(T0.as_millis() + at_ms);
        let comment = Comment { mt: 0, at, text: text.to_owned(), ..comment(id, id) };
        let json = serde_json::to_string(&comment).expect("plain").into();
        Entry { comment, json }
    }

    fn file(number: u64, entries: &[Entry]) -> String {
        let snapshot = snapshot(&[Script::new(&[2_000; 5])]);
        let span = place(number).span(&snapshot, NOW).expect("covers something");
        render(&entries.iter().collect::<Vec<_>>(), &span)
    }

    #[test]
    fn a_cue_begins_a_segment_and_a_second_after_its_comment_and_says_who() {
        let entries = [said(2, 900, "1 < 2 --> &c.\n\n\nNOTE no note"), said(1, 800, "a")];
        assert_eq!(
            file(2, &entries),
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:540000,LOCAL:00:00:06.000\n\
             \n1\n00:00:03.800 --> 00:00:11.800\nAda: a\n\
             \n2\n00:00:03.900 --> 00:00:11.900\nAda: 1 &lt; 2 --&gt; &amp;c. NOTE no note\n"
        );
    }

    #[test]
    fn a_cue_is_in_every_file_in_which_it_is_shown() {
        let entries = [said(1, 1_000, "a")];
        // From 4 s to 12 s.
        let cues = |number| file(number, &entries).matches(" --> ").count();
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(cues), [0, 0, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn nobody_sees_a_comment_before_the_picture_that_it_is_about() {
        let mut entry = said(1, 500, "a");
        entry.comment.mt = 1_500;
        assert!(file(2, &[entry]).contains("00:00:04.500 --> "));
    }

    #[test]
    fn of_more_than_anybody_can_read_the_newest_are_shown() {
        let entries: Vec<_> = (1..=150).map(|id| said(id, 1_000 + id, "a")).collect();
        let file = file(3, &entries);
        assert_eq!(file.matches(" --> ").count(), CUES_MAX);
        assert!(file.contains("\n150\n") && !file.contains("\n50\n"));
    }

    #[test]
    fn mpeg_timestamps_wrap() {
        let ms = 27 * 3_600_000;
        let (until_ms, former) = (None, None);
        let span = Span { t0: T0, from_ms: ms, to_ms: ms, delay_ms: 0, until_ms, former };
        let wrapped = ms * 90 - (1 << 33);
        let map = format!("\nX-TIMESTAMP-MAP=MPEGTS:{wrapped},LOCAL:27:00:00.000\n");
        assert!(render(&[], &span).contains(&map));
    }

    #[test]
    fn a_discontinuity_shows_nothing_twice_and_nothing_never() {
        let second =
            Script { period: 1, start_ms: 12_000, sequence: 5, ..Script::new(&[2_000; 3]) };
        // The first ends at 10 s.
        let snapshot = snapshot(&[Script::new(&[2_000; 5]), second]);
        let span = |period, number| {
            let place = Place { period: PeriodLocator::new(T0, period), number };
            place.span(&snapshot, T0 + Duration::from_secs(18)).expect("covers something")
        };
        let shows = |span: Span, at_ms| span.shows(&said(1, at_ms, "a").comment);
        // Begins at 9.9 s, before the end; and at 10.1 s, after it.
        assert!(shows(span(0, 4), 6_900) && !shows(span(1, 6), 6_900));
        assert!(!shows(span(0, 4), 7_100) && shows(span(1, 6), 7_100));
    }

    #[test]
    fn a_period_that_ends_before_its_last_file_does_shows_nothing_twice() {
        let second = Script { period: 1, start_ms: 9_500, sequence: 5, ..Script::new(&[2_000; 3]) };
        let snapshot = snapshot(&[Script::new(&[2_000, 2_000, 2_000, 2_000, 1_500]), second]);
        let shows = |period, number, at_ms| {
            let place = Place { period: PeriodLocator::new(T0, period), number };
            let span =
                place.span(&snapshot, T0 + Duration::from_secs(18)).expect("covers something");
            span.shows(&said(1, at_ms, "a").comment)
        };
        // Begins at 9.7 s: media of the first period has ended, but not its last file.
        let files =
            [(0, 4), (1, 5), (1, 6), (1, 7)].map(|(period, number)| shows(period, number, 6_700));
        assert_eq!(files, [true, false, false, false]);
        // Players that do not know yet that the first period is over ask for files after its last, too.
        let files = [(0, 4), (0, 5), (0, 6), (1, 5), (1, 6)];
        let files = files.map(|(period, number)| shows(period, number, 7_100));
        assert_eq!(files, [false, false, false, true, true]);
    }

    #[test]
    fn files_have_one_name_each() {
        let name = format!("{}~12.vtt", PeriodLocator::new(T0, 4));
        let expect = Place { period: PeriodLocator::new(T0, 4), number: 12 };
        assert_eq!(Place::parse(&name), Some(expect), "{name}");
        for name in [
            "",
            ".vtt",
            "12.vtt",
            "~12.vtt",
            "~~12.vtt",
            "a~b~.vtt",
            "a~b~+1.vtt",
            "a~b~01.vtt",
            "A~b~1.vtt",
            "a~b~1.VTT",
            "a~b~1",
            "a~b~99999999999999999999.vtt",
            "a~b~c~1.vtt",
        ] {
            assert_eq!(Place::parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_over() {
        let snapshot = snapshot(&[Script::new(&[2_000; 5])]);
        let check = |t0, period, number, expect| {
            let place = Place { period: PeriodLocator::new(t0, period), number };
            assert_eq!(place.span(&snapshot, NOW).err(), expect, "{place:?}");
        };
        check(T0, 0, 0, None);
        // By the clock segment 5 begins now, and the next may be early.
        check(T0, 0, 6, None);
        check(T0, 0, 7, Some(Absent::Unknown));
        check(T0, 0, u64::MAX, Some(Absent::Unknown));
        check(T0, 1, 0, Some(Absent::Unknown));
        check(T0 + Duration::from_secs(1), 0, 0, Some(Absent::Unknown));
        check(UtcTime::from_millis(0), 0, 0, Some(Absent::Gone));
    }

    #[test]
    fn a_file_is_made_once_and_anew_when_something_has_changed() {
        let room = Room::new("talk".parse().expect("an id"));
        room.history(0, 1, vec![said(1, 1_000, "a").comment], true, Settings::default());
        let snapshot = snapshot(&[Script::new(&[2_000; 5])]);
        let span = place(3).span(&snapshot, NOW).expect("covers something");
        let files = Files::default();
        let first = files.get(&room, place(3), span);
        assert_eq!(first.as_ptr(), files.get(&room, place(3), span).as_ptr());
        for number in 0..FILES_MAX as u64 + 10 {
            files.get(&room, place(number), span);
        }
        assert_eq!(files.0.lock().unwrap().len(), FILES_MAX);
    }
}
