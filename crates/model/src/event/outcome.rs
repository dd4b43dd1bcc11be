//! How a deployment ends.

use crate::id::DeploymentId;
use serde::{Deserialize, Serialize};

/// What became of a rollback inside a failed deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackResult {
    /// Nothing had been changed, or policy left it.
    None,
    /// The goal is met.
    Complete,
    /// By policy only a part.
    Limited,
    /// A person gave up on it; see the residue.
    Incomplete,
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// What was asked for is there, verified.
    Succeeded,
    /// It is not.
    Failed {
        /// What became of going back.
        rollback: RollbackResult,
        /// What stayed behind, one line each.
        residue: Vec<String>,
    },
    /// Left as it was, on request.
    Stopped,
    /// It had not begun, and a later one took its place in the queue.
    Replaced {
        /// Which.
        by: DeploymentId,
    },
}
