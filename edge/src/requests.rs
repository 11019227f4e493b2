//! How requests are answered: counted by what they ask for and class of status, and for how long they took. A
//! path is read here and not its route's name, since what lies under one route differs; no label's value is a
//! stranger's to choose.

use std::time::Duration;

use axum::http::StatusCode;
use lectern_relay_proto::metrics::Maker;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry};

/// Seconds: from memory, a round trip to the origin, a blocking reload, and what is about to time out.
const SECONDS: [f64; 8] = [0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// The classes of status; the label `status`.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What a request asks for; the label `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `/live`, `/live/{id}`.
    Status,
    Manifest,
    Playlist,
    Init,
    Segment,
    Part,
    Time,
    /// `/live/{id}/comments`, and files of them.
    Comments,
    /// `/live/{id}/experience`.
    Experience,
    /// `/live/{id}/access`, `/live/{id}/registration`.
    Access,
    /// `/whep/{id}`, and sessions.
    Whep,
    /// Pages, and what they load.
    Page,
    /// What this edge does not serve, or others serve beside it.
    Other,
}

impl Kind {
    /// In the order of their declaration.
    pub(crate) const ALL: [Self; 13] = [
        Self::Status,
        Self::Manifest,
        Self::Playlist,
        Self::Init,
        Self::Segment,
        Self::Part,
        Self::Time,
        Self::Comments,
        Self::Experience,
        Self::Access,
        Self::Whep,
        Self::Page,
        Self::Other,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Manifest => "manifest",
            Self::Playlist => "playlist",
            Self::Init => "init",
            Self::Segment => "segment",
            Self::Part => "part",
            Self::Time => "time",
            Self::Comments => "comments",
            Self::Experience => "experience",
            Self::Access => "access",
            Self::Whep => "whep",
            Self::Page => "page",
            Self::Other => "other",
        }
    }

    /// What a URL's path asks for.
    pub(crate) fn of(path: &str) -> Self {
        let mut steps = path.split('/').skip(1);
        match [steps.next(), steps.next(), steps.next(), steps.next(), steps.next()] {
            [Some("time"), None, ..] => Self::Time,
            [Some("live"), None, ..] | [Some("live"), Some(_), None, ..] => Self::Status,
            [Some("live"), Some(_), Some(file), None, _] => match file {
                "manifest.mpd" => Self::Manifest,
                "index.m3u8" => Self::Playlist,
                "comments" | "comments.vtt" => Self::Comments,
                "experience" => Self::Experience,
                "access" | "registration" => Self::Access,
                _ => Self::Other,
            },
            [Some("live"), Some(_), Some(track), Some(file), None] => match file {
                "index.m3u8" => Self::Playlist,
                _ if track == "comments" => Self::Comments,
                "init.mp4" => Self::Init,
                _ => match file.strip_suffix(".m4s") {
                    Some(numbers) if numbers.contains('.') => Self::Part,
                    Some(_) => Self::Segment,
                    None => Self::Other,
                },
            },
            [Some("whep"), Some(_), ..] => Self::Whep,
            [Some("" | "player.js" | "comments.js"), None, ..]
            | [Some("watch" | "embed"), Some(_), None, ..]
            | [Some("assets"), Some(_), ..] => Self::Page,
            _ => Self::Other,
        }
    }
}

/// What is counted of them; all clones count into the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    // Looked up once and for all: a look-up by labels takes a lock, and every request would.
    answered: [[IntCounter; CLASSES.len()]; Kind::ALL.len()],
    seconds: [Histogram; Kind::ALL.len()],
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let answered = Maker(registry).counters(
            "lectern_edge_http_requests_total",
            "Requests, by what was asked for and class of status.",
            &["kind", "status"],
        )?;
        let seconds = HistogramOpts::new(
            "lectern_edge_http_request_seconds",
            "From a request to the beginning of its answer. Blocking reloads of playlists, parts and \
             segments that are about to come, and offers before there is media, are held.",
        );
        let seconds = HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["kind"])?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            answered: Kind::ALL.map(|kind| {
                CLASSES.map(|class| answered.with_label_values(&[kind.as_str(), class]))
            }),
            seconds: Kind::ALL.map(|kind| seconds.with_label_values(&[kind.as_str()])),
        })
    }

    /// Counts a request whose answer begins after so long.
    pub(crate) fn answered(&self, kind: Kind, status: StatusCode, after: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.answered[kind as usize][class].inc();
        self.seconds[kind as usize].observe(after.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_told_by_the_path() {
        let check = |path, expect| assert_eq!(Kind::of(path), expect, "{path}");
        check("/", Kind::Page);
        check("/watch/talk", Kind::Page);
        check("/assets/player-1a.js", Kind::Page);
        check("/time", Kind::Time);
        check("/live", Kind::Status);
        check("/live/talk", Kind::Status);
        check("/live/talk/manifest.mpd", Kind::Manifest);
        check("/live/talk/index.m3u8", Kind::Playlist);
        check("/live/talk/video/index.m3u8", Kind::Playlist);
        check("/live/talk/comments/index.m3u8", Kind::Playlist);
        check("/live/talk/comments/0.jsonl", Kind::Comments);
        check("/live/talk/comments.vtt", Kind::Comments);
        check("/live/talk/video@0/init.mp4", Kind::Init);
        check("/live/talk/video@0/7.m4s", Kind::Segment);
        check("/live/talk/video@0/7.1.m4s", Kind::Part);
        check("/live/talk/registration", Kind::Access);
        check("/live/talk/experience", Kind::Experience);
        check("/whep/talk/secret/layer", Kind::Whep);
        for path in ["", "*", "/console", "/live/talk/a/b/c", "/live/talk/video/x", "/wp-login.php"]
        {
            check(path, Kind::Other);
        }
    }

    #[test]
    fn each_kind_has_a_place_and_a_name_of_its_own() {
        let mut names: Vec<_> = Kind::ALL.map(Kind::as_str).into();
        assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len());
    }

    #[test]
    fn requests_are_counted_by_class_of_status_and_timed() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).unwrap();
        metrics.answered(Kind::Segment, StatusCode::NOT_FOUND, Duration::from_millis(50));
        metrics.answered(Kind::Page, StatusCode::OK, Duration::ZERO);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "lectern_edge_http_requests_total{kind=\"segment\",status=\"4xx\"} 1",
            "lectern_edge_http_requests_total{kind=\"page\",status=\"2xx\"} 1",
            "lectern_edge_http_request_seconds_bucket{kind=\"segment\",le=\"0.02\"} 0",
            "lectern_edge_http_request_seconds_bucket{kind=\"segment\",le=\"0.1\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
