//! What must outlive the process for a broadcast's timeline to go on after a restart.

use std::io::Write;
use std::path::{Path, PathBuf};

use lectern_relay_proto::{BroadcastId, UtcTime};
use serde::{Deserialize, Serialize};

/// How a broadcast's timeline began and how far its counters have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    t0_ms: u64,
    /// The next period's id.
    pub next_period: u32,
    /// The next take's number.
    pub next_take: u32,
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
        }
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
