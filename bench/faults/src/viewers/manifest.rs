//! What an MPD of ours says, as far as a player needs it to go on from segment to segment. Pure.

use std::time::Duration;

use roxmltree::{Document, Node};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    /// Unix time in milliseconds.
    pub(crate) t0_ms: i64,
    /// From oldest to newest; never empty.
    pub(crate) periods: Vec<Period>,
}

/// A stretch with one set of tracks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Period {
    pub(crate) id: String,
    /// Since T0.
    pub(crate) start: Duration,
    /// The first video and the first sound, as far as there are any.
    pub(crate) tracks: Vec<Track>,
}

/// How segments of a track are named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Track {
    pub(crate) kind: String,
    pub(crate) timescale: u32,
    /// Of a segment, nominally.
    pub(crate) duration: Duration,
    pub(crate) first: u64,
    /// The last, if that is known.
    pub(crate) last: Option<u64>,
    pub(crate) init: String,
    media: String,
}

impl Track {
    /// Where segment `number` is.
    pub(crate) fn segment(&self, number: u64) -> String {
        self.media.replace("$Number$", &number.to_string())
    }
}

impl Period {
    /// The track of a kind.
    pub(crate) fn track(&self, kind: &str) -> Option<&Track> {
        self.tracks.iter().find(|track| track.kind == kind)
    }
}

impl Manifest {
    /// Reads an MPD.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        let mpd = document.root_element();
        let start = attribute(&mpd, "availabilityStartTime")?;
        let t0 = OffsetDateTime::parse(start, &Rfc3339).map_err(|error| error.to_string())?;
        let periods = mpd.children().filter(|node| node.has_tag_name(tag("Period")));
        let periods: Vec<Period> = periods.map(|node| period(&node)).collect::<Result<_, _>>()?;
        if periods.is_empty() {
            return Err("no period".to_owned());
        }
        Ok(Self { t0_ms: (t0.unix_timestamp_nanos() / 1_000_000) as i64, periods })
    }

    /// The segment of `kind` that is to be played at `media`, since T0.
    pub(crate) fn at(&self, kind: &str, media: Duration) -> Option<(String, u64)> {
        let period = self.periods.iter().rev().find(|period| period.start <= media);
        let period = period.or_else(|| self.periods.first())?;
        let track = period.track(kind)?;
        let into =
            media.saturating_sub(period.start).as_millis() / track.duration.as_millis().max(1);
        Some((period.id.clone(), track.first.saturating_add(into as u64)))
    }

    /// What to play instead of segment `number` of a period, as far as that is over: what follows.
    pub(crate) fn following(&self, kind: &str, period: &str, number: u64) -> Option<(String, u64)> {
        let at = self.periods.iter().position(|known| known.id == period);
        let Some(at) = at else {
            // It is not there any more, so the viewer is far behind.
            let last = self.periods.last()?;
            return Some((last.id.clone(), last.track(kind)?.first));
        };
        let (known, next) = (&self.periods[at], self.periods.get(at + 1)?);
        let track = known.track(kind)?;
        // Where it does not say, by the clock, as players reckon.
        let count = || {
            let into = next.start.saturating_sub(known.start).as_millis();
            track.first
                + (into.div_ceil(track.duration.as_millis().max(1)) as u64).saturating_sub(1)
        };
        let last = track.last.unwrap_or_else(count);
        (number > last).then(|| Some((next.id.clone(), next.track(kind)?.first)))?
    }
}

fn period(node: &Node<'_, '_>) -> Result<Period, String> {
    let mut tracks: Vec<Track> = Vec::new();
    for set in node.children().filter(|child| child.has_tag_name(tag("AdaptationSet"))) {
        let kind = attribute(&set, "contentType")?;
        let wanted = matches!(kind, "video" | "audio");
        if wanted && !tracks.iter().any(|track| track.kind == kind) {
            tracks.push(track(&set, kind)?);
        }
    }
    let start = duration(attribute(node, "start")?).ok_or("a period's start")?;
    Ok(Period { id: attribute(node, "id")?.to_owned(), start, tracks })
}

fn track(set: &Node<'_, '_>, kind: &str) -> Result<Track, String> {
    let child = |name| {
        let found = set.children().find(|child| child.has_tag_name(tag(name)));
        found.ok_or(format!("no {name}"))
    };
    let (template, representation) = (child("SegmentTemplate")?, child("Representation")?);
    let number = |name| {
        let text = attribute(&template, name)?;
        text.parse::<u64>().map_err(|_| format!("{name}=\"{text}\""))
    };
    let id = attribute(&representation, "id")?;
    let name = |text: &str| text.replace("$RepresentationID$", id);
    let timescale = number("timescale")?.clamp(1, u32::MAX.into());
    let last = template.attribute("endNumber").map(|_| number("endNumber")).transpose()?;
    Ok(Track {
        kind: kind.to_owned(),
        timescale: timescale as u32,
        duration: Duration::from_millis(number("duration")?.saturating_mul(1_000) / timescale),
        first: number("startNumber")?,
        last,
        init: name(attribute(&template, "initialization")?),
        media: name(attribute(&template, "media")?),
    })
}

fn tag(name: &str) -> (&str, &str) {
    ("urn:mpeg:dash:schema:mpd:2011", name)
}

fn attribute<'a>(node: &Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    node.attribute(name).ok_or_else(|| format!("{} without {name}", node.tag_name().name()))
}

/// Of `PT7.32S`: ours are all in seconds.
fn duration(text: &str) -> Option<Duration> {
    let seconds = text.strip_prefix("PT")?.strip_suffix('S')?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MPD: &str = r#"<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" availabilityStartTime="1970-01-01T00:00:01.5Z">
 <Period id="p0" start="PT0S">
  <AdaptationSet contentType="video">
   <SegmentTemplate timescale="90000" duration="180000" startNumber="0" endNumber="2" initialization="$RepresentationID$~a~0/init.mp4" media="$RepresentationID$~a~0/$Number$.m4s"/>
   <Representation id="video-main"/>
  </AdaptationSet>
 </Period>
 <Period id="p1" start="PT7.32S">
  <AdaptationSet contentType="video">
   <SegmentTemplate timescale="90000" duration="180000" startNumber="2" initialization="$RepresentationID$~a~1/init.mp4" media="$RepresentationID$~a~1/$Number$.m4s"/>
   <Representation id="video-main"/>
  </AdaptationSet>
 </Period>
</MPD>"#;

    #[test]
    fn segments_follow_each_other_across_periods() {
        let manifest = Manifest::read(MPD).unwrap();
        assert_eq!(manifest.t0_ms, 1_500);
        let at = |seconds| manifest.at("video", Duration::from_secs(seconds)).unwrap();
        assert_eq!(at(3), ("p0".to_owned(), 1));
        assert_eq!(at(12), ("p1".to_owned(), 4));
        let track = manifest.periods[1].track("video").unwrap();
        assert_eq!(track.segment(4), "video-main~a~1/4.m4s");
        let next = |period: &str, number| manifest.following("video", period, number);
        assert_eq!(next("p0", 2), None);
        assert_eq!(next("p0", 3), Some(("p1".to_owned(), 2)));
        assert_eq!(next("p1", 9), None);
        assert_eq!(next("gone", 9), Some(("p1".to_owned(), 2)));
        assert_eq!(manifest.at("audio", Duration::ZERO), None);
    }

    #[test]
    fn where_a_period_does_not_say_its_end_the_clock_does() {
        let manifest = Manifest::read(&MPD.replace(" endNumber=\"2\"", "")).unwrap();
        assert_eq!(manifest.following("video", "p0", 3), None);
        assert_eq!(manifest.following("video", "p0", 4), Some(("p1".to_owned(), 2)));
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        assert!(Manifest::read("").is_err());
        assert!(Manifest::read(&MPD.replace("startNumber=\"0\"", "startNumber=\"x\"")).is_err());
        assert!(Manifest::read(&MPD.replace("Period", "Other")).is_err());
    }
}
