//! What viewers say as subtitles: raw WebVTT in segments (ISO/IEC 23009-1 §5.3.9.4; the files are
//! [`crate::comments`]').
//!
//! Text is on the grid of the media, with the same promise: Shaka holds all of a manifest to the smallest
//! `availabilityTimeOffset` that it finds. So a comment is shown as much later as it takes for a segment
//! to be known when its media begins; see `docs/decisions/0018-comments-as-subtitles.md`.

use super::xml::Document;
use super::{Decimal, availability_offset, last_number, start_number};
use crate::timeline::{PeriodLocator, PeriodView, Snapshot, TrackView};

/// After those of media, which depend on their codecs only.
const SET_ID: u32 = 3;
/// Milliseconds, as WebVTT counts.
const TIMESCALE: u32 = 1_000;
/// A few comments in every segment, and those of the segments before again. Players choose by it, and
/// there is nothing to choose.
const BITRATE: u32 = 4_000;
const ROLE_SCHEME: &str = "urn:mpeg:dash:role:2011";

/// The AdaptationSet of comments.
pub(super) fn comments(d: &mut Document, snapshot: &Snapshot, period: &PeriodView, closed: bool) {
    let tracks: Vec<&TrackView> =
        period.tracks.iter().filter(|track| track.is_playable()).collect();
    let end = last_number(&tracks).filter(|_| closed);
    let place = PeriodLocator::new(snapshot.t0, period.info.id);
    d.element(
        "AdaptationSet",
        |a| {
            a.set("id", SET_ID)
                .set("contentType", "text")
                .set("mimeType", "text/vtt")
                .set("segmentAlignment", "true")
                .set("selectionPriority", 0);
        },
        |d| {
            d.text("Label", "Comments");
            // Not `main`: nobody sees them who did not ask for them.
            d.empty("Role", |a| {
                a.set("schemeIdUri", ROLE_SCHEME).set("value", "subtitle");
            });
            d.empty("SegmentTemplate", |a| {
                a.set("timescale", TIMESCALE)
                    .set("duration", period.info.grid.duration_ms())
                    .set("presentationTimeOffset", period.info.start_ms)
                    .set("startNumber", start_number(period))
                    .maybe("endNumber", end)
                    .set("availabilityTimeOffset", Decimal(availability_offset(period)))
                    .set("media", format_args!("comments/{place}~$Number$.vtt"));
            });
            d.empty("Representation", |a| {
                a.set("id", "comments").set("bandwidth", BITRATE);
            });
        },
    );
}
