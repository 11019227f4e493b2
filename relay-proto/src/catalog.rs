//! The catalog: the track that describes the others.
//!
//! On the wire it is JSON that a stock MoQ player can read (the `hang` catalog: `video.renditions`,
//! `audio.renditions`, each with a CMAF container and its init segment), plus one object of ours,
//! `lectern`, for what such a player does not need: `T0`, the current period and its segment grid.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::segment::SegmentGrid;
use crate::time::{MediaTime, UtcTime};

/// The most renditions of one kind that a catalog may list.
pub const RENDITIONS_MAX: usize = 16;
/// The largest catalog that is read, in bytes.
pub const CATALOG_BYTES_MAX: usize = 256 * 1024;

/// The name of a track within a broadcast, such as `video/main` or `audio/opus`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackName(String);

impl TrackName {
    /// The catalog itself.
    pub const CATALOG: &'static str = "catalog.json";
    /// The rendition as the host sent it.
    pub const VIDEO_MAIN: &'static str = "video/main";
    /// Opus, for WebRTC and for DASH.
    pub const AUDIO_OPUS: &'static str = "audio/opus";
    /// AAC as the host sent it, for players without Opus.
    pub const AUDIO_AAC: &'static str = "audio/aac";

    /// A track name: 1 to 64 of `a–z A–Z 0–9 - _ .` with single slashes between them.
    pub fn new(name: impl Into<String>) -> Result<Self, CatalogError> {
        let name = name.into();
        let part_ok = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if name.len() <= 64 && name.split('/').all(part_ok) {
            Ok(Self(name))
        } else {
            Err(CatalogError::TrackName)
        }
    }

    /// Whether it carries pictures, which its name says.
    pub fn is_video(&self) -> bool {
        self.0.starts_with("video/")
    }

    /// The name as it stands in the catalog.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TrackName {
    type Error = CatalogError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<TrackName> for String {
    fn from(name: TrackName) -> Self {
        name.0
    }
}

/// What a broadcast consists of now.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// The UTC instant that media time counts from, in whole milliseconds.
    pub t0: UtcTime,
    /// Whether an encoder is publishing.
    pub state: PublisherState,
    /// What it is about, for people.
    pub about: About,
    /// The current period.
    pub period: Period,
    /// Video renditions, best first.
    pub video: Vec<VideoTrack>,
    /// Audio tracks: Opus first.
    pub audio: Vec<AudioTrack>,
}

/// Whether an encoder is publishing to the broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PublisherState {
    /// Frames are arriving.
    Live,
    /// The encoder went away without a word and may come back.
    Away,
    /// The host ended the broadcast.
    Ended,
}

/// A stretch of the timeline with one set of tracks and one segment grid: a DASH Period, the run
/// between two HLS discontinuities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Counts periods of the broadcast; groups carry it (see [`crate::GroupId`]).
    pub id: u32,
    /// Counts publisher connections of the broadcast.
    pub take: u32,
    /// Media time at which the period begins, in milliseconds after `T0`. Not after its first frame.
    pub start_ms: u64,
    /// The grid that numbers its segments.
    pub grid: SegmentGrid,
    /// The media sequence number of the segment that begins the period, by which HLS counts segments
    /// over all periods: what follows at once on the period before goes on without a gap.
    pub sequence: u64,
}

impl Period {
    /// The number, on its grid, that a segment at its very start has.
    pub fn first_number(&self) -> u64 {
        self.grid.number(MediaTime::from_millis(self.start_ms))
    }

    /// The media sequence number of segment `number` (RFC 8216bis §3.2).
    pub fn sequence_of(&self, number: u64) -> u64 {
        self.sequence.saturating_add(number.saturating_sub(self.first_number()))
    }
}

/// One video rendition.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoTrack {
    /// The track that carries it.
    pub name: TrackName,
    /// RFC 6381, such as `avc1.64001f`.
    pub codec: String,
    /// The CMAF header: `ftyp` and `moov`.
    pub init: Bytes,
    /// The AVCDecoderConfigurationRecord, ISO/IEC 14496-15 §5.3.3.
    pub description: Bytes,
    /// Coded size in pixels.
    pub width: u32,
    /// Coded size in pixels.
    pub height: u32,
    /// Frames per second, where the encoder states it.
    pub framerate: Option<f64>,
    /// Bits per second, where the encoder states it.
    pub bitrate: Option<u64>,
    /// Whether pictures are shown in another order than they are decoded (B-frames), which
    /// WebRTC cannot carry.
    pub reordered: bool,
}

/// One audio track.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioTrack {
    /// The track that carries it.
    pub name: TrackName,
    /// RFC 6381: `opus` or `mp4a.40.2`.
    pub codec: String,
    /// The CMAF header: `ftyp` and `moov`.
    pub init: Bytes,
    /// AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). Opus: empty.
    pub description: Bytes,
    /// Samples per second; also the track's timescale.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// Bits per second, where known.
    pub bitrate: Option<u64>,
}

/// Why a catalog was refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// It is larger than [`CATALOG_BYTES_MAX`].
    #[error("catalog of {0} bytes; at most {CATALOG_BYTES_MAX} are read")]
    TooLarge(usize),
    /// It is not the JSON that it should be.
    #[error("catalog is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A track name has characters that a path cannot carry, or too many.
    #[error("track name is not 1 to 64 of a-z A-Z 0-9 - _ . with single slashes between")]
    TrackName,
    /// More than [`RENDITIONS_MAX`] renditions of one kind.
    #[error("catalog lists more than {RENDITIONS_MAX} renditions")]
    TooManyRenditions,
    /// A binary field is not the base64 or hex that it should be.
    #[error("catalog field {0} is not valid base64 or hex")]
    Encoding(&'static str),
    /// A sample rate of zero.
    #[error("catalog lists an audio track without a sample rate")]
    SampleRate,
}

impl Catalog {
    /// The JSON of this catalog.
    pub fn to_json(&self) -> Bytes {
        let wire = Wire::from(self);
        Bytes::from(serde_json::to_vec(&wire).expect("maps with string keys and plain values"))
    }

    /// Reads a catalog that an origin of ours wrote.
    pub fn from_json(json: &[u8]) -> Result<Self, CatalogError> {
        if json.len() > CATALOG_BYTES_MAX {
            return Err(CatalogError::TooLarge(json.len()));
        }
        serde_json::from_slice::<Wire>(json)?.try_into()
    }

    /// The track whose groups decide where segments begin: video, or else audio.
    pub fn main_track(&self) -> Option<&TrackName> {
        let audio = || self.audio.first().map(|track| &track.name);
        self.video.first().map(|track| &track.name).or_else(audio)
    }
}

// The wire form. Key names are those of the `hang` catalog.

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default)]
    video: WireSection<WireVideo>,
    #[serde(default)]
    audio: WireSection<WireAudio>,
    lectern: WireLectern,
}

#[derive(Serialize, Deserialize)]
struct WireSection<T> {
    renditions: BTreeMap<TrackName, T>,
}

impl<T> Default for WireSection<T> {
    fn default() -> Self {
        Self { renditions: BTreeMap::new() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum WireContainer {
    Cmaf { init: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVideo {
    codec: String,
    container: WireContainer,
    coded_width: u32,
    coded_height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    framerate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate: Option<u64>,
    lectern: WireTrack,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAudio {
    codec: String,
    container: WireContainer,
    sample_rate: u32,
    number_of_channels: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate: Option<u64>,
    lectern: WireTrack,
}

/// What we say of a track beside the `hang` fields. `description` stays in here, since a stock
/// player would take it for a sign that samples are not in the container.
#[derive(Serialize, Deserialize)]
struct WireTrack {
    rank: usize,
    description: String,
    #[serde(default)]
    reordered: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLectern {
    t0_ms: u64,
    state: PublisherState,
    #[serde(flatten)]
    about: About,
    period: WirePeriod,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePeriod {
    id: u32,
    take: u32,
    start_ms: u64,
    segment_duration_ms: u32,
    sequence: u64,
}

impl From<&Catalog> for Wire {
    fn from(catalog: &Catalog) -> Self {
        let container = |init: &Bytes| WireContainer::Cmaf { init: BASE64.encode(init) };
        let video = catalog.video.iter().enumerate().map(|(rank, track)| {
            let wire = WireVideo {
                codec: track.codec.clone(),
                container: container(&track.init),
                coded_width: track.width,
                coded_height: track.height,
                framerate: track.framerate,
                bitrate: track.bitrate,
                lectern: WireTrack {
                    rank,
                    description: BASE64.encode(&track.description),
                    reordered: track.reordered,
                },
            };
            (track.name.clone(), wire)
        });
        let audio = catalog.audio.iter().enumerate().map(|(rank, track)| {
            let wire = WireAudio {
                codec: track.codec.clone(),
                container: container(&track.init),
                sample_rate: track.sample_rate,
                number_of_channels: track.channels,
                bitrate: track.bitrate,
                lectern: WireTrack {
                    rank,
                    description: BASE64.encode(&track.description),
                    reordered: false,
                },
            };
            (track.name.clone(), wire)
        });
        Self {
            video: WireSection { renditions: video.collect() },
            audio: WireSection { renditions: audio.collect() },
            lectern: WireLectern {
                t0_ms: catalog.t0.as_millis(),
                state: catalog.state,
                about: catalog.about.clone(),
                period: WirePeriod {
                    id: catalog.period.id,
                    take: catalog.period.take,
                    start_ms: catalog.period.start_ms,
                    segment_duration_ms: catalog.period.grid.duration_ms(),
                    sequence: catalog.period.sequence,
                },
            },
        }
    }
}

impl TryFrom<Wire> for Catalog {
    type Error = CatalogError;

    fn try_from(wire: Wire) -> Result<Self, CatalogError> {
        if wire.video.renditions.len().max(wire.audio.renditions.len()) > RENDITIONS_MAX {
            return Err(CatalogError::TooManyRenditions);
        }
        let mut video = Vec::with_capacity(wire.video.renditions.len());
        for (name, track) in wire.video.renditions {
            let rank = track.lectern.rank;
            video.push((
                rank,
                VideoTrack {
                    name,
                    codec: track.codec,
                    init: decode_init(&track.container)?,
                    description: decode(&track.lectern.description, "description")?,
                    width: track.coded_width,
                    height: track.coded_height,
                    framerate: track.framerate,
                    bitrate: track.bitrate,
                    reordered: track.lectern.reordered,
                },
            ));
        }
        let mut audio = Vec::with_capacity(wire.audio.renditions.len());
        for (name, track) in wire.audio.renditions {
            if track.sample_rate == 0 {
                return Err(CatalogError::SampleRate);
            }
            audio.push((
                track.lectern.rank,
                AudioTrack {
                    name,
                    codec: track.codec,
                    init: decode_init(&track.container)?,
                    description: decode(&track.lectern.description, "description")?,
                    sample_rate: track.sample_rate,
                    channels: track.number_of_channels,
                    bitrate: track.bitrate,
                },
            ));
        }
        video.sort_by_key(|(rank, _)| *rank);
        audio.sort_by_key(|(rank, _)| *rank);
        let period = wire.lectern.period;
        Ok(Self {
            t0: UtcTime::from_millis(wire.lectern.t0_ms),
            state: wire.lectern.state,
            about: wire.lectern.about,
            period: Period {
                id: period.id,
                take: period.take,
                start_ms: period.start_ms,
                grid: SegmentGrid::new(period.segment_duration_ms),
                sequence: period.sequence,
            },
            video: video.into_iter().map(|(_, track)| track).collect(),
            audio: audio.into_iter().map(|(_, track)| track).collect(),
        })
    }
}

fn decode_init(WireContainer::Cmaf { init }: &WireContainer) -> Result<Bytes, CatalogError> {
    decode(init, "init")
}

fn decode(text: &str, field: &'static str) -> Result<Bytes, CatalogError> {
    BASE64.decode(text).map(Bytes::from).map_err(|_| CatalogError::Encoding(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::about::Visibility;

    fn name(name: &str) -> TrackName {
        TrackName::new(name).expect("valid")
    }

    fn catalog() -> Catalog {
        Catalog {
            t0: UtcTime::from_millis(1_795_000_000_123),
            state: PublisherState::Live,
            about: About {
                title: Some("Algebra I".to_owned().try_into().expect("a title")),
                starts_at: Some(UtcTime::from_millis(1_795_000_000_000)),
                visibility: Visibility::Unlisted,
                viewers_max: Some(40),
                ..About::default()
            },
            period: Period {
                id: 4,
                take: 2,
                start_ms: 61_500,
                grid: SegmentGrid::new(4_000),
                sequence: 31,
            },
            video: vec![VideoTrack {
                name: name(TrackName::VIDEO_MAIN),
                codec: "avc1.64001f".into(),
                init: Bytes::from_static(b"ftypmoov"),
                description: Bytes::from_static(&[1, 0x64, 0, 0x1f]),
                width: 1280,
                height: 720,
                framerate: Some(30.0),
                bitrate: None,
                reordered: false,
            }],
            audio: ["audio/opus", "audio/aac"]
                .map(|track| AudioTrack {
                    name: name(track),
                    codec: "opus".into(),
                    init: Bytes::new(),
                    description: Bytes::new(),
                    sample_rate: 48_000,
                    channels: 2,
                    bitrate: Some(128_000),
                })
                .into(),
        }
    }

    #[test]
    fn a_catalog_survives_the_wire_with_its_order() {
        let catalog = catalog();
        assert_eq!(Catalog::from_json(&catalog.to_json()).expect("own catalog"), catalog);
    }

    #[test]
    fn one_that_says_little_of_itself_is_public() {
        let mut json: serde_json::Value =
            serde_json::from_slice(&catalog().to_json()).expect("JSON");
        let ours = json["lectern"].as_object_mut().expect("an object");
        ours.retain(|key, _| matches!(key.as_str(), "t0Ms" | "state" | "period"));
        let read =
            Catalog::from_json(json.to_string().as_bytes()).expect("as an older origin writes");
        assert_eq!(read.about, About::default());
        assert!(read.about.visibility.is_public());
    }

    #[test]
    fn a_stock_moq_player_finds_what_it_looks_for() {
        let json: serde_json::Value = serde_json::from_slice(&catalog().to_json()).expect("JSON");
        let video = &json["video"]["renditions"]["video/main"];
        assert_eq!(video["codec"], "avc1.64001f");
        assert_eq!(video["container"]["kind"], "cmaf");
        assert_eq!(video["codedWidth"], 1280);
        assert_eq!(json["audio"]["renditions"]["audio/opus"]["numberOfChannels"], 2);
    }

    #[test]
    fn hostile_catalogs_are_refused_with_a_reason() {
        let check = |json: &[u8], reason: &str| {
            let error = Catalog::from_json(json).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        };
        check(b"", "not valid");
        check(b"{}", "missing field `lectern`");
        check(&vec![b' '; CATALOG_BYTES_MAX + 1], "at most");
        let nested = format!("{{\"x\":{}", "[".repeat(100_000));
        check(nested.as_bytes(), "not valid");
        let json = String::from_utf8(catalog().to_json().to_vec()).expect("UTF-8");
        check(json.replace("video/main", "../etc/passwd").as_bytes(), "track name");
        check(json.replace("48000", "0").as_bytes(), "sample rate");
        check(json.replace("ZnR5cG1vb3Y=", "%").as_bytes(), "init");
        check(json.replace("Algebra I", &"x".repeat(121)).as_bytes(), "1 to 120 characters");
        // Who may watch is never guessed.
        check(json.replace("unlisted", "members").as_bytes(), "unknown variant");
    }
}
