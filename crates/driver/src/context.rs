//! What a driver is told about the call it makes.

use belay_model::id::{DeploymentId, RecordHash, StepId};
use belay_model::release::Record;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where progress goes. Lines are helpful, never load-bearing.
pub trait Progress: Send + Sync {
    /// One line, such as `2 of 3 instances ready`.
    fn line(&self, text: &str);
}

/// A record with everything needed to run it.
#[derive(Clone)]
pub struct Material {
    /// The record.
    pub record: Record,
    /// Its secrets in clear; never written down, never printed.
    pub secrets: BTreeMap<String, String>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.secrets.keys().collect();
        f.debug_struct("Material")
            .field("record", &self.record)
            .field("secrets", &names)
            .finish()
    }
}

/// What one call belongs to.
#[derive(Clone)]
pub struct Context {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Which step; absent for observations between steps.
    pub step: Option<StepId>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The worker's fencing number.
    pub epoch: u64,
    /// How long the call may take, milliseconds from now.
    pub deadline_ms: u64,
    /// Records that the step names, with their secrets.
    pub material: Arc<BTreeMap<RecordHash, Material>>,
    /// Where progress goes.
    pub progress: Arc<dyn Progress>,
}

impl Context {
    /// The same key for the same step however often it is tried: what platforms take as an idempotency key.
    pub fn idempotency_key(&self) -> String {
        let step = self
            .step
            .map_or_else(|| "-".to_owned(), |step| step.to_string());
        format!("{}/{step}", self.deployment)
    }
}
