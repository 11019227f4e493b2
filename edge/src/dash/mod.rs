//! LL-DASH: the manifest of a timeline snapshot (ISO/IEC 23009-1; DASH-IF CR-Low-Latency-Live).
//!
//! A pure render; who asks and how it is cached is [`crate::live`]'s.
//!
//! How times are laid out. Presentation time is media time: `availabilityStartTime` is `T0`, and in
//! every Period `Period@start` and `presentationTimeOffset` are both the period's start. Segment
//! `n` is nominally at `Period@start + (n − startNumber)·D`, where `startNumber` is the grid's
//! number at the period's start. For an encoder with GOPs of `D` that is exactly where it is. A
//! segment truly begins at the first keyframe at or after `nD − D/2`, so with other GOPs it may be
//! up to `D` away from its nominal time.
//!
//! When a segment is promised. A player may ask for segment `n` at its nominal end less
//! `availabilityTimeOffset`. That is [`MARGIN`] after the nominal start, less what segments of this
//! period have been seen to begin early. With regular GOPs the first chunk exists by then. With
//! irregular ones a segment may begin after it was promised: later than the promise by less than
//! `D` (the grid's spread is `D` at most), when the segment before it has certainly begun, which is
//! exactly when the edge holds the request instead of refusing it. The opposite choice, to promise
//! each segment only when the latest of them would exist, would cost every viewer up to `D` of delay.

mod date;
#[cfg(test)]
mod tests;
mod text;
mod xml;

use std::time::Duration;

use lectern_relay_proto::{MediaTime, PublisherState, UtcTime};

use crate::timeline::{Kind, PeriodView, Snapshot, TrackView};
pub use date::DateTime;
use date::{Decimal, Seconds};
use xml::{Attributes, Document};

/// The media type of a manifest.
pub const CONTENT_TYPE: &str = "application/dash+xml";
/// How long after a segment's nominal start its first chunk is promised: one chunk (33–100 ms, it
/// exists once its last frame has arrived) and a few hops.
pub const MARGIN: Duration = Duration::from_millis(100);

/// The latency that players aim at, glass to glass. dash.js holds what it is told to within 0.2 s
/// down to 0.7 s, mostly a hundredth above; a second in all leaves it a Wi-Fi retransmission or a late
/// keyframe without a stall.
const LATENCY_TARGET_MS: u32 = 950;
const LATENCY_MIN_MS: u32 = 500;
/// Beyond this a player seeks instead of catching up.
const LATENCY_MAX_MS: u32 = 6_000;
/// Catch-up speeds that listeners do not notice.
const RATE_MIN: &str = "0.96";
const RATE_MAX: &str = "1.06";
/// How often players look for a new Period or the end.
const UPDATE_PERIOD: Duration = Duration::from_secs(2);
/// Earliness below this is timestamp jitter, which [`MARGIN`] covers.
const EARLY_MIN: Duration = Duration::from_millis(50);
/// Earliness is rounded up to a multiple of this, so that the manifest settles.
const EARLY_STEP_MS: u64 = 100;

/// A period whose media ends sooner than this before the next begins is followed by it directly: its
/// frames are no longer than that.
const GAP_MIN: Duration = Duration::from_millis(150);

const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,\
     urn:mpeg:dash:profile:cmaf:2019,\
     http://www.dashif.org/guidelines/low-latency-live-v5";
const UTC_TIMING_SCHEME: &str = "urn:mpeg:dash:utc:http-iso:2014";
const CHANNELS_SCHEME: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
/// Where the edge tells the time, see [`crate::live::routes`].
const TIME_PATH: &str = "/time";

/// The MPD, as published at `now`. Two renders of equal snapshots differ only in `publishTime`.
pub fn render(snapshot: &Snapshot, now: UtcTime) -> String {
    let periods: Vec<&PeriodView> =
        snapshot.periods.iter().filter(|period| is_listed(period)).collect();
    let mut document = Document::new();
    document.element(
        "MPD",
        |a| mpd_attributes(a, snapshot, &periods, now),
        |d| {
            service_description(d);
            for (at, period) in periods.iter().enumerate() {
                self::period(d, snapshot, period, periods.get(at + 1).copied());
            }
            utc_timing(d);
        },
    );
    document.finish()
}

/// Whether players may hear of a period. dash.js reads only once which tracks it has, and plays on
/// without one that comes a moment later, for ever: so all of them have begun, or the main one has a
/// whole segment, after which a track without media is not merely late.
fn is_listed(period: &PeriodView) -> bool {
    let whole = |main: &TrackView| main.segments.iter().any(|segment| segment.complete);
    let mut tracks = period.tracks.iter();
    match period.main().is_some_and(whole) {
        true => tracks.any(TrackView::is_playable),
        false => !period.tracks.is_empty() && tracks.all(TrackView::is_playable),
    }
}

fn mpd_attributes(
    a: &mut Attributes<'_>,
    snapshot: &Snapshot,
    periods: &[&PeriodView],
    now: UtcTime,
) {
    let ended = snapshot.state == PublisherState::Ended;
    let duration_max = periods.iter().map(|period| period.grid_duration()).max();
    let end = periods.last().and_then(|period| period.end()).filter(|_| ended);
    a.set("xmlns", "urn:mpeg:dash:schema:mpd:2011")
        .set("type", "dynamic")
        .set("profiles", PROFILES)
        .set("availabilityStartTime", DateTime(snapshot.t0))
        .set("publishTime", DateTime(now))
        // Without an update period players know that this is the last manifest.
        .maybe("minimumUpdatePeriod", (!ended).then_some(Seconds(UPDATE_PERIOD)))
        .maybe("mediaPresentationDuration", end.map(|end| Seconds(end.as_duration())))
        .set("minBufferTime", "PT1S")
        .set("timeShiftBufferDepth", Seconds(time_shift_depth(snapshot)))
        .set("suggestedPresentationDelay", "PT0.2S")
        // Nominal, not the longest there may be: Shaka adds any slack here to its latency.
        .maybe("maxSegmentDuration", duration_max.map(Seconds));
}

/// How far back the segments reach that this edge holds, and no further than the window: one that
/// joined a moment ago, or whose memory is short, must not promise more.
fn time_shift_depth(snapshot: &Snapshot) -> Duration {
    let first = snapshot.periods.iter().find_map(|period| {
        let first = period.main()?.segments.first()?;
        Some((first.start, first.number > start_number(period)))
    });
    let (Some((start, true)), Some(newest)) = (first, snapshot.newest_start()) else {
        return snapshot.window;
    };
    let depth = Duration::from_secs(newest.saturating_since(start).as_secs());
    depth.max(Duration::from_secs(1)).min(snapshot.window)
}

fn service_description(d: &mut Document) {
    d.element(
        "ServiceDescription",
        |a| {
            a.set("id", 0);
        },
        |d| {
            d.empty("Latency", |a| {
                a.set("referenceId", 0)
                    .set("min", LATENCY_MIN_MS)
                    .set("target", LATENCY_TARGET_MS)
                    .set("max", LATENCY_MAX_MS);
            });
            d.empty("PlaybackRate", |a| {
                a.set("min", RATE_MIN).set("max", RATE_MAX);
            });
        },
    );
}

fn utc_timing(d: &mut Document) {
    d.empty("UTCTiming", |a| {
        a.set("schemeIdUri", UTC_TIMING_SCHEME).set("value", TIME_PATH);
    });
}

/// What a period says of its end. While it is the last and more may follow, nothing: were it to state
/// a duration or the number of its last segment, dash.js would take the broadcast for ended, and
/// hear of no later period. When another follows, the number, and, after a gap, the duration as well:
/// without it dash.js waits for media in the gap.
fn period(d: &mut Document, snapshot: &Snapshot, period: &PeriodView, next: Option<&PeriodView>) {
    let current = snapshot.current().is_some_and(|last| last.info.id == period.info.id);
    let over = !current || snapshot.state != PublisherState::Live;
    let listed = || period.tracks.iter().filter(|track| track.is_playable());
    let settled =
        over && listed().all(|track| track.segments.last().is_some_and(|segment| segment.complete));
    let closed = settled && (next.is_some() || snapshot.state == PublisherState::Ended);
    let next = next.map(|next| MediaTime::from_millis(next.info.start_ms));
    let gap = |end: &MediaTime| next.is_some_and(|next| next.saturating_since(*end) > GAP_MIN);
    let end = period.end().filter(|_| closed).filter(gap);
    let start = MediaTime::from_millis(period.info.start_ms);
    d.element(
        "Period",
        |a| {
            a.set("id", format_args!("p{}", period.info.id))
                .set("start", Seconds(start.as_duration()))
                .maybe("duration", end.map(|end| Seconds(end.saturating_since(start))));
        },
        |d| {
            for set in sets(period) {
                set.render(d, snapshot, period, closed);
            }
            if snapshot.comments {
                text::comments(d, snapshot, period, closed);
            }
        },
    );
}

/// Tracks that a player may switch between.
struct AdaptationSet<'a> {
    id: usize,
    priority: usize,
    tracks: Vec<&'a TrackView>,
}

/// One set for video, one for each audio codec. The id of a set depends on its codec only, so that
/// it is the same in every period; the order of the catalog says which codec is preferred.
fn sets(period: &PeriodView) -> Vec<AdaptationSet<'_>> {
    let mut sets: Vec<AdaptationSet<'_>> = Vec::new();
    for track in period.tracks.iter().filter(|track| track.is_playable()) {
        let alike = |set: &&mut AdaptationSet<'_>| {
            set.tracks.first().is_some_and(|first| set_key(first) == set_key(track))
        };
        match sets.iter_mut().find(alike) {
            Some(set) => set.tracks.push(track),
            None => sets.push(AdaptationSet { id: 0, priority: 0, tracks: vec![track] }),
        }
    }
    let mut other = 3;
    let count = sets.len();
    for (at, set) in sets.iter_mut().enumerate() {
        set.priority = count - at;
        set.id = match set.tracks.first().map(|track| set_key(track)) {
            Some(("video", ..)) => 0,
            Some((_, "opus", _)) => 1,
            Some((_, "mp4a", 48_000)) => 2,
            _ => {
                other += 1;
                other
            }
        };
    }
    sets
}

/// What tracks of one set have in common: kind, codec family (one for all video, since a player
/// can change level and profile), timescale.
fn set_key(track: &TrackView) -> (&'static str, &str, u32) {
    let family = match track.kind {
        Kind::Video { .. } => "",
        Kind::Audio { .. } => track.codec.split('.').next().unwrap_or_default(),
    };
    (track.kind.as_str(), family, track.timescale.hz())
}

impl AdaptationSet<'_> {
    fn render(&self, d: &mut Document, snapshot: &Snapshot, period: &PeriodView, closed: bool) {
        let Some(first) = self.tracks.first() else { return };
        d.element(
            "AdaptationSet",
            |a| {
                a.set("id", self.id)
                    .set("contentType", first.kind.as_str())
                    .set("mimeType", format_args!("{}/mp4", first.kind.as_str()))
                    .set("segmentAlignment", "true")
                    .set("startWithSAP", 1)
                    .set("selectionPriority", self.priority);
            },
            |d| {
                self.timing(d, snapshot);
                d.empty("SegmentTemplate", |a| self.template(a, period, closed));
                self.tracks.iter().for_each(|track| representation(d, track));
            },
        );
    }

    /// What ties media time to the wall clock, and says where a decoder may step in.
    fn timing(&self, d: &mut Document, snapshot: &Snapshot) {
        d.element(
            "ProducerReferenceTime",
            |a| {
                a.set("id", self.id)
                    .set("inband", "true")
                    .set("type", "encoder")
                    .set("wallClockTime", DateTime(snapshot.t0))
                    .set("presentationTime", 0);
            },
            utc_timing,
        );
        let Some(timescale) = self.tracks.first().map(|track| track.timescale.hz()) else { return };
        let chunk_ticks_max = self.tracks.iter().map(|track| track.chunk_ticks_max).max();
        if let Some(ticks) = chunk_ticks_max.filter(|&ticks| ticks > 0) {
            // Rounded up to hundredths of a second, so that jitter does not change the manifest.
            let step = (timescale / 100).max(1);
            d.empty("Resync", |a| {
                a.set("type", 0).set("dT", u64::from(ticks.div_ceil(step)) * u64::from(step));
            });
        }
    }

    fn template(&self, a: &mut Attributes<'_>, period: &PeriodView, closed: bool) {
        let Some(first) = self.tracks.first() else { return };
        let timescale = first.timescale;
        // The same for every track of a period.
        let (_, place) = split(&first.locator);
        let grid = period.info.grid;
        let ticks = MediaTime::from_millis(u64::from(grid.duration_ms())).rescale(timescale).ticks;
        let offset = MediaTime::from_millis(period.info.start_ms).rescale(timescale).ticks;
        let end = last_number(&self.tracks).filter(|_| closed);
        a.set("timescale", timescale.hz())
            .set("duration", ticks)
            .set("presentationTimeOffset", offset)
            .set("startNumber", start_number(period))
            .maybe("endNumber", end)
            .set("availabilityTimeOffset", Decimal(availability_offset(period)))
            .set("availabilityTimeComplete", "false")
            .set("initialization", format_args!("$RepresentationID${place}/init.mp4"))
            .set("media", format_args!("$RepresentationID${place}/$Number$.m4s"));
    }
}

/// A locator as the track's own part and what follows, `~` T0 `~` period. The first is the id of the
/// Representation: by it players know a track again in the next period (mpd-parser joins on it).
fn split(locator: &str) -> (&str, &str) {
    let at = locator.rmatch_indices('~').nth(1).map_or(locator.len(), |(at, _)| at);
    locator.split_at(at)
}

fn representation(d: &mut Document, track: &TrackView) {
    let common = |a: &mut Attributes<'_>| {
        a.set("id", split(&track.locator).0)
            .set("codecs", &track.codec)
            .maybe("bandwidth", track.bitrate);
    };
    match track.kind {
        Kind::Video { width, height, framerate } => d.empty("Representation", |a| {
            common(a);
            a.set("width", width).set("height", height).maybe("frameRate", frame_rate(framerate));
        }),
        Kind::Audio { sample_rate, channels } => d.element(
            "Representation",
            |a| {
                common(a);
                a.set("audioSamplingRate", sample_rate);
            },
            |d| {
                d.empty("AudioChannelConfiguration", |a| {
                    a.set("schemeIdUri", CHANNELS_SCHEME).set("value", channels);
                });
            },
        ),
    }
}

/// `30`, or thousandths as a ratio, as FrameRateType has it.
fn frame_rate(rate: Option<f64>) -> Option<String> {
    let thousandths =
        (rate.filter(|rate| (1.0..=1_000.0).contains(rate))? * 1_000.0).round() as u32;
    Some(match thousandths % 1_000 {
        0 => (thousandths / 1_000).to_string(),
        _ => format!("{thousandths}/1000"),
    })
}

/// The number of the newest segment of these tracks.
fn last_number<'a>(tracks: impl IntoIterator<Item = &'a &'a TrackView>) -> Option<u64> {
    tracks.into_iter().filter_map(|track| track.segments.last()).map(|last| last.number).max()
}

fn start_number(period: &PeriodView) -> u64 {
    period.info.first_number()
}

/// How long before its nominal end a segment may be asked for; see the top of this file.
fn availability_offset(period: &PeriodView) -> Duration {
    let mut early = Duration::ZERO;
    if period.early >= EARLY_MIN {
        let ms = u64::try_from(period.early.as_millis()).unwrap_or(u64::MAX);
        early = Duration::from_millis(ms.div_ceil(EARLY_STEP_MS).saturating_mul(EARLY_STEP_MS));
    }
    period.grid_duration().saturating_sub(MARGIN) + early.min(period.grid_duration())
}
