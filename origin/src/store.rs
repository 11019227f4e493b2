//! What must outlive the process for a broadcast's timeline to go on after a restart.

use std::io::Write;
use std::path::{Path, PathBuf};

use lectern_relay_proto::{BroadcastId, SegmentGrid, UtcTime};
use serde::{Deserialize, Serialize};

use crate::take::LEAD_MAX;

/// How a broadcast's timeline began and how far its counters have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    t0_ms: u64,
    /// The next period's id.
    pub next_period: u32,
    /// The next take's number.
    pub next_take: u32,
    /// The media sequence number that the next period's first segment has; or, while a period goes
    /// on, that its own first segment has.
    #[serde(default)]
    sequence: u64,
    /// Since when a period goes on, in media milliseconds, and segments are counted that are not
    /// stored.
    #[serde(default)]
    counting_since_ms: Option<u64>,
}

impl Timeline {
    /// How long before its first message a timeline begins. The first picture was taken before it
    /// arrived, and the encoder that sent it was still starting: nothing may lie before zero.
    const LEAD_IN_MS: u64 = 1_000;

    /// The timeline of a broadcast whose first message arrives at `now`.
    pub fn begin(now: UtcTime) -> Self {
        Self {
            t0_ms: now.as_millis().saturating_sub(Self::LEAD_IN_MS),
            next_period: 0,
            next_take: 0,
            sequence: 0,
            counting_since_ms: None,
        }
    }

    /// A period begins at `start_ms` with segment `sequence`.
    pub fn count_from(&mut self, sequence: u64, start_ms: u64) {
        self.sequence = sequence;
        self.counting_since_ms = Some(start_ms);
    }

    /// The next period begins with segment `next`.
    pub fn count_to(&mut self, next: u64) {
        self.sequence = next;
        self.counting_since_ms = None;
    }

    /// The media sequence number of the first segment after `now`. If a process ended without saying
    /// how far it had come, one that it cannot have reached: no number may ever be given twice.
    pub fn next_sequence(&self, now: UtcTime) -> u64 {
        let Some(since_ms) = self.counting_since_ms else { return self.sequence };
        let began_ms = self.t0_ms.saturating_add(since_ms);
        let went_on_ms = now.as_millis().saturating_sub(began_ms);
        // Media may be ahead of the clock.
        let went_on_ms = went_on_ms.saturating_add(LEAD_MAX.as_millis() as u64);
        let segments_max = went_on_ms / u64::from(SegmentGrid::DURATION_MS_MIN) + 2;
        self.sequence.saturating_add(segments_max)
    }

    /// The UTC instant that media time counts from.
    pub fn t0(&self) -> UtcTime {
        UtcTime::from_millis(self.t0_ms)
    }
}

/// Keeps one small file per broadcast in the data directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// The store could not read or write a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl Store {
    /// A store in `data_dir`, which is made if it does not exist.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let dir = data_dir.join("broadcasts");
        std::fs::create_dir_all(&dir).map_err(|source| Error {
            action: "create",
            path: dir.clone(),
            source,
        })?;
        Ok(Self { dir })
    }

    /// The timeline of a broadcast, or `None` if it never had one. A file that cannot be understood
    /// is put aside under another name, said in the log, and counts as none.
    pub fn load(&self, id: &BroadcastId) -> Result<Option<Timeline>, Error> {
        let path = self.path(id);
        let json = match std::fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error { action: "read", path, source }),
        };
        match serde_json::from_slice(&json) {
            Ok(timeline) => Ok(Some(timeline)),
            Err(error) => {
                let aside = path.with_extension("json.broken");
                tracing::error!(path = %path.display(), %error, aside = %aside.display(),
                    "timeline file is damaged; its broadcast begins a new timeline");
                std::fs::rename(&path, &aside).map_err(|source| Error {
                    action: "put aside",
                    path,
                    source,
                })?;
                Ok(None)
            }
        }
    }

    /// Replaces the timeline of a broadcast; a crash leaves the old one or the new one.
    pub fn save(&self, id: &BroadcastId, timeline: &Timeline) -> Result<(), Error> {
        let path = self.path(id);
        let fresh = path.with_extension("json.new");
        let json = serde_json::to_vec(timeline).expect("plain numbers");
        let write = || {
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(&json)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(|source| Error { action: "write", path: path.clone(), source })
    }

    fn path(&self, id: &BroadcastId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sequence_number_is_given_twice_even_after_a_crash() {
        let t0_ms = 1_795_000_000_000;
        let at = |media_ms| UtcTime::from_millis(t0_ms + media_ms);
        let mut timeline = Timeline::begin(at(Timeline::LEAD_IN_MS));
        assert_eq!(timeline.next_sequence(at(5_000)), 0);
        timeline.count_from(0, 1_000);
        // Ten seconds later there can be six segments, the one in progress counted, and five more of an
        // encoder that is as far ahead as it may be.
        assert_eq!(timeline.next_sequence(at(11_000)), 12);
        timeline.count_to(5);
        assert_eq!(timeline.next_sequence(at(600_000)), 5);
        // Nothing tells of a clock that was set back; what is stored is gone beyond all the same.
        timeline.count_from(5, 700_000);
        assert_eq!(timeline.next_sequence(at(0)), 12);
    }

    #[test]
    fn a_timeline_outlives_the_store_and_damage_is_put_aside() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let id: BroadcastId = "demo".parse().expect("valid");
        let mut timeline = Timeline::begin(UtcTime::from_millis(1_795_000_000_123));
        timeline.next_period = 7;
        let store = Store::open(dir.path()).expect("open");
        assert_eq!(store.load(&id).expect("load"), None);
        store.save(&id, &timeline).expect("save");
        let store = Store::open(dir.path()).expect("open again");
        assert_eq!(store.load(&id).expect("load"), Some(timeline));

        let file = dir.path().join("broadcasts/demo.json");
        std::fs::write(&file, b"{\"t0_ms\":").expect("write");
        assert_eq!(store.load(&id).expect("load"), None);
        assert!(!file.exists() && file.with_extension("json.broken").exists());
    }
}
