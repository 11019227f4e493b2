//! The broadcasts that this edge holds.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use lectern_relay_proto::BroadcastId;

use super::Live;
use super::metrics::Metrics;
use crate::timeline::{Config, Timeline};

/// The most broadcasts at once. Memory is bounded by this times [`Config::bytes_max`].
const BROADCASTS_MAX: usize = 1_024;

/// The edge holds [`BROADCASTS_MAX`] broadcasts and takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this edge holds {BROADCASTS_MAX} broadcasts already")]
pub struct DirectoryFull;

/// Broadcasts by id.
pub struct Directory {
    config: Config,
    metrics: Arc<Metrics>,
    broadcasts: RwLock<BTreeMap<BroadcastId, Arc<Live>>>,
}

impl Directory {
    /// An empty directory whose broadcasts keep what `config` says.
    pub fn new(config: Config, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { config, metrics: Arc::new(metrics), broadcasts: RwLock::default() })
    }

    /// The broadcast `id`, new if it was not open.
    pub fn open(&self, id: BroadcastId) -> Result<Arc<Live>, DirectoryFull> {
        let mut broadcasts = self.broadcasts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = broadcasts.get(&id) {
            return Ok(live.clone());
        }
        if broadcasts.len() >= BROADCASTS_MAX {
            return Err(DirectoryFull);
        }
        let live = Live::new(id.clone(), Timeline::new(self.config), self.metrics.clone());
        broadcasts.insert(id, live.clone());
        Ok(live)
    }

    /// Drops the broadcast `id`; its readers stop.
    pub fn close(&self, id: &BroadcastId) {
        let mut broadcasts = self.broadcasts.write().unwrap_or_else(PoisonError::into_inner);
        let closed = broadcasts.remove(id);
        drop(broadcasts);
        if let Some(live) = closed {
            live.close();
        }
    }

    /// The broadcast `id`, if it is open.
    pub fn get(&self, id: &BroadcastId) -> Option<Arc<Live>> {
        let broadcasts = self.broadcasts.read().unwrap_or_else(PoisonError::into_inner);
        broadcasts.get(id).cloned()
    }

    /// Every open broadcast, by id.
    pub fn list(&self) -> Vec<Arc<Live>> {
        let broadcasts = self.broadcasts.read().unwrap_or_else(PoisonError::into_inner);
        broadcasts.values().cloned().collect()
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
