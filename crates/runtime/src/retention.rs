//! Garbage collection: what the store keeps by its rule stays, the rest goes when a worker has nothing else to do.

use crate::artifacts::chain;
use async_trait::async_trait;
use belay_engine::ports::{Clock, StoreError};
use belay_store::{AnyStore, Artifacts};
use std::sync::Arc;
use std::time::Duration;

/// How long things are kept that no good record needs.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Records, their artifacts and secrets, and progress lines of the last days; journals stay out of the archive so long.
    pub days: u32,
    /// So many deployments of each scope stay out of the archive, however old they are.
    pub newest: usize,
    /// What was added or used within this time stays: a deployment that is being written down may be about to name it.
    pub grace: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            days: 30,
            newest: 20,
            grace: Duration::from_secs(60 * 60),
        }
    }
}

/// The engine's port.
pub(crate) struct Collector {
    pub(crate) store: Arc<AnyStore>,
    pub(crate) artifacts: Artifacts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rule: Retention,
}

#[async_trait]
impl belay_engine::ports::Retention for Collector {
    async fn collect(&self) -> Result<(), StoreError> {
        let now_us = self.clock.now_us();
        let kept = self.store.kept(now_us, self.rule.days).await?;
        let artifacts = self.artifacts.collect(&kept.artifacts).await;
        let artifacts = artifacts.map_err(|error| StoreError::Unwritable(chain(&error)))?;
        let grace_us = i64::try_from(self.rule.grace.as_micros()).unwrap_or(i64::MAX);
        let blobs = self
            .store
            .collect_blobs(&kept.blobs, now_us.saturating_sub(grace_us))
            .await?;
        let age_us = i64::from(self.rule.days) * 24 * 60 * 60 * 1_000_000;
        let lines = self.store.prune_progress(now_us - age_us).await?;
        let (days, newest) = (self.rule.days, self.rule.newest);
        let archived = self.store.archive(now_us, days, newest).await?;
        if archived > 0 {
            tracing::info!(archived, "moved journals into the archive");
        }
        if !artifacts.is_empty() || !blobs.is_empty() {
            let (artifacts, blobs) = (artifacts.len(), blobs.len());
            tracing::info!(
                artifacts,
                blobs,
                lines,
                "removed what is not needed any more"
            );
        }
        Ok(())
    }
}
