//! What a hotfix is, and what it takes over from the deployment that it supersedes.

use crate::id::DeploymentId;
use crate::plan::Step;
use crate::state::Goal;
use serde::{Deserialize, Serialize};

/// A deployment that waits for nobody: it supersedes what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hotfix {
    /// It goes out although releases are held up.
    pub passes_freeze: bool,
}

/// What came to a deployment with the lock and the baseline of the one before, which was superseded half-way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakesOver {
    /// From which deployment.
    pub from: DeploymentId,
    /// What was there by then, which is not the baseline any more, with the records that it names.
    pub found: Box<Goal>,
    /// Names of the targets that something had been begun on, in the order in which it was.
    pub touched: Vec<String>,
    /// What takes back the commands that had been run, the last phase first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
    /// What stays behind of what had been done and cannot be taken back (I14), one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residue: Vec<String>,
}

/// What has to be run on the way back for what was run in one phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debt {
    /// The phase's name.
    pub phase: String,
    /// Its target, if it had one.
    pub target: Option<String>,
    /// Before the move back.
    pub late: Vec<Step>,
    /// Behind it.
    pub early: Vec<Step>,
}
