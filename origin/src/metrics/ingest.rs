//! What publishers send, counted for each broadcast: bytes, pictures, packets of sound, and how far apart
//! keyframes are. Owns how many broadcasts are told apart by name, so that what scrapes this origin has a
//! bound, however many broadcasts are made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lectern_relay_proto::BroadcastId;
use lectern_relay_proto::metrics::Maker;
use prometheus::{Error, Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::ingest::flv::Tag;

/// Keyframes that are further apart say that the publisher stood still, and nothing of its settings.
const INTERVAL_MS_MAX: u32 = 60_000;

/// What is counted; clones count into the same.
#[derive(Clone, Debug)]
pub struct Ingest {
    bytes: IntCounterVec,
    frames: IntCounterVec,
    keyframe_interval: GaugeVec,
    named: Arc<Mutex<BTreeSet<BroadcastId>>>,
    named_max: usize,
}

/// What one broadcast counts, until it is dropped.
#[derive(Debug)]
pub struct IngestOf {
    ingest: Ingest,
    /// Its name in the metrics: none, if as many are named as may be.
    id: Option<BroadcastId>,
    video: Flow,
    audio: Flow,
    keyframe_interval: Option<Gauge>,
    keyframe_ms: Option<u32>,
}

#[derive(Debug)]
struct Flow {
    bytes: IntCounter,
    frames: IntCounter,
}

impl Ingest {
    /// Makes and registers the metrics, which name `named_max` broadcasts at most.
    pub fn register(registry: &Registry, named_max: usize) -> Result<Self, Error> {
        let maker = Maker(registry);
        let labels = ["broadcast", "media"];
        let keyframe_interval = GaugeVec::new(
            Opts::new(
                "lectern_ingest_keyframe_interval_seconds",
                "From one keyframe to the next, as the publisher's clock has it, the last time.",
            ),
            &["broadcast"],
        )?;
        registry.register(Box::new(keyframe_interval.clone()))?;
        Ok(Self {
            bytes: maker.counters(
                "lectern_ingest_media_bytes_total",
                "Bytes of media that publishers sent. Without a broadcast: those of all that are not named.",
                &labels,
            )?,
            frames: maker.counters(
                "lectern_ingest_frames_total",
                "Pictures, and packets of sound, that publishers sent.",
                &labels,
            )?,
            keyframe_interval,
            named: Arc::default(),
            named_max,
        })
    }

    /// What `id` counts.
    pub fn of(&self, id: &BroadcastId) -> IngestOf {
        let mut named = self.lock();
        let id = (named.len() < self.named_max && named.insert(id.clone())).then(|| id.clone());
        drop(named);
        let name = id.as_ref().map_or("", BroadcastId::as_str);
        let flow = |media| Flow {
            bytes: self.bytes.with_label_values(&[name, media]),
            frames: self.frames.with_label_values(&[name, media]),
        };
        let (video, audio) = (flow("video"), flow("audio"));
        IngestOf {
            ingest: self.clone(),
            id,
            video,
            audio,
            keyframe_interval: None,
            keyframe_ms: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<BroadcastId>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IngestOf {
    /// A publisher begins, or ends: its clock has nothing to do with the one before.
    pub fn restart(&mut self) {
        self.keyframe_ms = None;
    }

    /// Counts what a publisher sent.
    pub fn tag(&mut self, tag: &Tag) {
        match tag {
            Tag::Video { timestamp_ms, keyframe, data, .. } => {
                self.video.count(data.len());
                if *keyframe {
                    self.keyframe(*timestamp_ms);
                }
            }
            Tag::Audio { data, .. } => self.audio.count(data.len()),
            _ => {}
        }
    }

    fn keyframe(&mut self, at_ms: u32) {
        let before = self.keyframe_ms.replace(at_ms);
        // Milliseconds of 32 bits, which wrap.
        let interval_ms = before.map(|before_ms| at_ms.wrapping_sub(before_ms));
        let Some(interval_ms) = interval_ms.filter(|ms| *ms <= INTERVAL_MS_MAX) else { return };
        if let Some(id) = &self.id {
            let family = &self.ingest.keyframe_interval;
            let gauge = self
                .keyframe_interval
                .get_or_insert_with(|| family.with_label_values(&[id.as_str()]));
            gauge.set(f64::from(interval_ms) / 1_000.0);
        }
    }
}

impl Flow {
    fn count(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
        self.frames.inc();
    }
}

impl Drop for IngestOf {
    fn drop(&mut self) {
        let Some(id) = &self.id else { return };
        for media in ["video", "audio"] {
            let _ = self.ingest.bytes.remove_label_values(&[id.as_str(), media]);
            let _ = self.ingest.frames.remove_label_values(&[id.as_str(), media]);
        }
        let _ = self.ingest.keyframe_interval.remove_label_values(&[id.as_str()]);
        self.ingest.lock().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prometheus::{Encoder as _, TextEncoder};

    use super::*;

    fn id(text: &str) -> BroadcastId {
        text.parse().unwrap()
    }

    fn picture(timestamp_ms: u32, keyframe: bool) -> Tag {
        let data = Bytes::from_static(&[0; 100]);
        Tag::Video { timestamp_ms, composition_ms: 0, keyframe, data }
    }

    fn text(registry: &Registry) -> String {
        let mut text = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn as_many_as_may_be_are_named_and_the_others_are_counted_together() {
        let registry = Registry::new();
        let ingest = Ingest::register(&registry, 1).unwrap();
        let mut all = ["a", "b", "c"].map(|name| ingest.of(&id(name)));
        all.iter_mut().for_each(|each| each.tag(&picture(0, true)));
        let told = text(&registry);
        let bytes = "lectern_ingest_media_bytes_total";
        assert!(
            told.contains(&format!("{bytes}{{broadcast=\"a\",media=\"video\"}} 100\n")),
            "{told}"
        );
        assert!(
            told.contains(&format!("{bytes}{{broadcast=\"\",media=\"video\"}} 200\n")),
            "{told}"
        );
        assert!(!told.contains("\"b\""), "{told}");
        drop(all);
        assert!(!text(&registry).contains("\"a\""), "what is gone has no name");
        let _named = ingest.of(&id("b"));
        assert!(text(&registry).contains("\"b\""), "and another may have one");
    }

    #[test]
    fn keyframes_are_as_far_apart_as_the_publishers_clock_says() {
        let registry = Registry::new();
        let mut of = Ingest::register(&registry, 1).unwrap().of(&id("a"));
        let gauge = "lectern_ingest_keyframe_interval_seconds{broadcast=\"a\"}";
        of.tag(&picture(u32::MAX - 499, true));
        assert!(!text(&registry).contains(gauge), "one says nothing");
        of.tag(&picture(100, false));
        of.tag(&picture(1_500, true));
        assert!(text(&registry).contains(&format!("{gauge} 2\n")));
        of.restart();
        of.tag(&picture(900_000, true));
        assert!(text(&registry).contains(&format!("{gauge} 2\n")), "another publisher's clock");
    }
}
